/* What the files of clouds.core share: the state, its coroutines, slots, requests, contexts and nodes.
 *
 * Design note. Events come from the library in batches; this module hands each of them to Lua directly: the results of
 * a call go onto the stack of the coroutine that waits for it, the arguments of a request onto the stack of a pooled
 * coroutine that runs the handler. C never waits: what waits in Lua is a coroutine that has yielded and that a slot
 * knows. It yields a mark and the slot's handle, so that a coroutine of the program's own hands its wait on to who
 * resumed it (clouds.coroutines).
 *
 *   slot      one thing waited for: a call, an operation, a sleep
 *   task      a coroutine of ours
 *   request   an inbound call until it is answered
 *   scope     the request on whose behalf the running code acts: calls made in it inherit its deadline; or a span in
 *             such a scope
 *
 * Slots are few and reused; the handle of one carries a generation, so that a stale one finds nothing. A task whose
 * function has ended without having waited goes on with the next event of the batch; else it goes back into the pool.
 * Whoever resumes it (we, or the user's own code), it ends in finish(), which answers the request it runs for. */
#ifndef LC_INTERNAL_H
#define LC_INTERNAL_H

#include <stdint.h>
#include <clouds.h>
#include <lua.h>
#include <lauxlib.h>

#include "json.h"

/* Handles of slots and requests: generation * HANDLE_SPAN + index. Exact in a double. */
#define LC_HANDLE_SPAN 1048576u

typedef uint64_t lc_handle;

typedef struct lc_state lc_state;
typedef struct lc_context lc_context;
typedef struct lc_node lc_node;
typedef struct lc_span lc_span;

enum lc_slot_state { LC_SLOT_FREE, LC_SLOT_OPEN, LC_SLOT_WAITING, LC_SLOT_CALLBACK, LC_SLOT_IGNORED, LC_SLOT_DONE };

/* What is kept for a call until it ends: nothing; the first argument of the hook `attempt`; the table that gets who answered.
 */
enum lc_kept { LC_KEPT_NOTHING, LC_KEPT_HOOKED, LC_KEPT_ABOUT };

typedef struct lc_slot {
    uint32_t generation, next_free;
    enum lc_slot_state state;
    lua_State *co;   /* WAITING: who waits; DONE: a thread that holds the values. Anchored, as a callback is */
    int ref;         /* the place in the registry for what it anchors, for as long as there are slots */
    lc_context *ctx; /* the context whose event completes it, or NULL */
    lc_node *node;   /* whose call or operation it is; anchored meanwhile */
    uint64_t id;     /* of the call, or of the operation that completes it */
    lc_handle scope; /* what was in force when the wait began; held */
    bool cancelable; /* of the module in Lua: ends when the caller of the request gives up */
    bool operation;  /* no call */
    bool as_json;    /* the results are to be given as the text that they came as */
    uint8_t kept;    /* enum lc_kept: what is kept for this call, in the table `kept` */
    bool anchored;   /* that place has something. Also in a free slot, for a while: s->left_over says in how many */
} lc_slot;

enum lc_task_kind { LC_TASK_PLAIN, LC_TASK_REQUEST };

typedef struct lc_task {
    lc_state *state;
    lua_State *co;
    enum lc_task_kind kind;
    bool finished;
    bool waits;      /* in lc_slot_wait */
    bool taken;      /* the program has it by coroutine.running, and may resume it */
    bool pulls;      /* started for an event: it goes on with the next one, as long as it never waited */
    bool anchored;   /* its place in the registry has its coroutine */
    int ref;         /* that place */
    lc_handle scope; /* held until it has finished, and 0 then */
} lc_task;

typedef struct lc_request {
    uint32_t generation, next_free;
    bool used, detached;
    bool canceled;         /* its caller has given up */
    bool owes, owes_error; /* an answer that found no room: owed, or if that is empty, that there is none */
    lc_text owed, owed_values, owed_bytes;
    int holders; /* who may still answer: coroutines and waits on its behalf, and what clouds.request() gave out */
    lc_context *ctx;
    uint64_t id;
    int node;   /* the number of the node that serves it */
    double due; /* by lc_clock; 0: its caller did not say */
    char *text; /* method, the caller's id, meta; kept for the next request in this place */
    size_t method_len, peer_len, meta_len, room;
} lc_request;

enum { LC_BATCH = 256 };

/* A handler that was found before: neither the tables nor the text of its method have to be looked at again. */
enum { LC_CACHED_HANDLERS = 8, LC_CACHED_NAME = 48 };

typedef struct lc_cached_handler {
    int node; /* its number; 0: none is kept here */
    int ref;  /* the place in the registry that has the handler */
    size_t method_len;
    char method[LC_CACHED_NAME];
} lc_cached_handler;

struct lc_context {
    lc_context *next;
    lc_state *state;
    clouds_context *context; /* NULL: destroyed */
    int refs;                /* its userdata, its nodes, and the slots it will complete */
    int nodes;               /* open ones */
    int waiting;             /* slots it will complete */
    int serving;             /* nodes that keep the loop running */
    bool dirty;              /* the library was called since the last poll */
    double number;           /* names it towards Lua */
    int count, cursor;       /* events of the batch, and how many are dealt with */
    clouds_event events[LC_BATCH];
};

struct lc_node {
    lc_state *state;
    lc_context *ctx;   /* not to be used when the node is destroyed */
    clouds_node *node; /* NULL: destroyed */
    int number;        /* its user_data, which events carry */
    int methods;       /* registered ones */
    int leaving;       /* of these: how many are being unregistered */
    int failed;        /* of these: whose registration failed for good, which keep nothing running */
    bool listening;    /* it has listeners for messages */
    bool serving;      /* for one of these reasons: it keeps the loop running */
    int calls;         /* slots that wait for it */
    bool anchored;     /* serving, or waited for: not to be collected */
};

struct lc_state {
    lc_codec codec;
    lc_text out, out2, bytes;         /* what is being encoded */
    clouds_call_options call_options; /* of these a call sets what it needs: the rest stays 0 */
    bool had_rarer_options;           /* the call before set some that most calls leave alone */
    lc_slot *slots;
    uint32_t slot_count, slot_room, slot_free, left_over;
    lc_request *requests;
    uint32_t request_count, request_room, request_free;
    uint64_t requests_begun, requests_open, requests_failed; /* failed: answered by an error */
    lc_span *spans;
    uint32_t span_count, span_room, span_free;
    uint32_t owing;                                          /* requests with an answer that found no room */
    bool resending;                                          /* the module in Lua will call core.resend */
    lc_task *current;                                        /* the task that runs now, if we resumed it */
    lua_State *running; /* the coroutine that we resumed last and that runs, whose ever it is */
    lc_handle scope;
    int depth;          /* of resumes inside of resumes */
    int poll_depth;     /* what that was when the poll began */
    lc_context *polled; /* whose events are dealt with now, or NULL */
    lc_task **pool;     /* these wait for work */
    int pooled, pool_room;
    lc_cached_handler found[LC_CACHED_HANDLERS]; /* each method has one place */
    lc_context *contexts;
    double last_context;
    lc_handle last_scope; /* of those that are no requests */
    int last_node;
    bool polling, can_block, closed;
    /* Places in the registry. */
    int tasks_ref;   /* weak: coroutine -> its task */
    int kept_ref;    /* slot -> what is kept for its call */
    int methods_ref; /* node number -> method -> handler */
    int leaving_ref; /* number of the context and operation that unregisters -> { node, method } */
    int serving_ref; /* node number -> node userdata that must not be collected */
    int body_ref, traceback_ref, pending_ref;
    int on_cancel_ref; /* place of a request -> its handle, and the functions to call when its caller gives up */
    int error_ref;     /* metatable of errors */
    int hooks_ref;     /* the table that core.setup was given */
    const void *pending, *node_type; /* what they are known by: core.pending, and the metatable of nodes */
    lc_node *known;                  /* the last that was found to be a node, if it was not collected since */
};

/* state.c */
lc_state *lc_state_of(lua_State *L);     /* from upvalue 1 of a function of ours */
lc_state *lc_state_of_process(void);     /* the one that was made last; NULL: none */
lc_state *lc_state_create(lua_State *L); /* anchored in the registry; raises */
double lc_clock(void);
double lc_coarse_clock(void); /* behind lc_clock by up to a tick of the kernel's */
void lc_push_hook(lua_State *L, lc_state *s, const char *name);
/* Adds functions with the state as upvalue 1 to the table at the top. */
void lc_add_functions(lua_State *L, lc_state *s, const luaL_Reg *functions);
/* Makes the metatable `name` whose __index has `methods`; pushes nothing. */
void lc_add_type(lua_State *L, lc_state *s, const char *name, const luaL_Reg *methods, lua_CFunction collect);

/* task.c: the caller pushes a function and its arguments, the first of them onto the coroutine if it likes; start moves
 * the `values` that are at the top of L, and runs. What begun is started: nothing between may raise. The caller's hold
 * on the scope becomes the task's. */
lc_task *lc_task_begin(lua_State *L, lc_state *s);
void lc_task_start(lua_State *L, lc_state *s, lc_task *task, enum lc_task_kind kind, lc_handle scope, int values);
/* The task whose coroutine L is, or NULL. */
lc_task *lc_task_of(lua_State *L, lc_state *s);
lc_handle lc_scope_of(lua_State *L, lc_state *s);
/* Resumes `co` (anchored by the caller) with the `values` at its top. */
void lc_resume(lua_State *L, lc_state *s, lua_State *co, int values, lc_handle scope);
/* Reports the error at the top of L, and pops it, through the hook `report`. lc_report_about: above the error are the
 * text of what failed and a table that says more, or nil; both are popped too. */
void lc_report(lua_State *L, lc_state *s, const char *what);
void lc_report_about(lua_State *L, lc_state *s);
void lc_task_open(lua_State *L, lc_state *s);

/* slot.c */
lc_slot *lc_slot_new(lua_State *L, lc_state *s); /* raises */
lc_handle lc_slot_handle(const lc_state *s, const lc_slot *slot);
lc_slot *lc_slot_find(lc_state *s, lc_handle handle);
/* The slot that an event of the context completes: its user_data is the handle. NULL: nobody waits for it. */
lc_slot *lc_slot_of_event(lc_state *s, const lc_context *ctx, const clouds_event *event);
/* The event `id` will complete it; the node is on the stack at `index`. */
void lc_slot_bind(lua_State *L, lc_slot *slot, lc_node *node, int index, uint64_t id, bool operation);
void lc_slot_set_scope(lc_state *s, lc_slot *slot, lc_handle scope);
/* Its callback is the function at `index`, which is popped if it is at the top. */
void lc_slot_call_back(lua_State *L, lc_slot *slot, int index);
/* Completes the slot with the `values` at the top of L, and pops them. There is room for a few more. */
void lc_slot_complete(lua_State *L, lc_state *s, lc_slot *slot, int values);
/* Of a slot that has a callback: pushes that; and gives the slot back, with its hold on the scope going to the caller.
 * The callback stays anchored until another call takes that place, nearly always the next; or lc_slot_tidy clears it.
 */
void lc_slot_push_callback(lua_State *L, const lc_slot *slot);
lc_handle lc_slot_end_callback(lua_State *L, lc_state *s, lc_slot *slot);
void lc_slot_tidy(lua_State *L, lc_state *s);
/* Keeps the value at `index` for this call; lc_slot_push_kept pushes it. */
void lc_slot_keep(lua_State *L, lc_state *s, lc_slot *slot, enum lc_kept kept, int index);
void lc_slot_push_kept(lua_State *L, const lc_state *s, const lc_slot *slot);
void lc_slot_release(lua_State *L, lc_state *s, lc_slot *slot);
/* Ends a C function with the values of the slot, waiting for them if need be. */
int lc_slot_wait(lua_State *L, lc_state *s, lc_slot *slot);
/* Gives nil and the error at the top in the loop's next turn; at once where nothing can wait. */
int lc_slot_wait_refused(lua_State *L, lc_state *s);
/* May the running code wait? lc_slot_check_wait raises when not. */
bool lc_slot_may_wait(lua_State *L, lc_state *s);
void lc_slot_check_wait(lua_State *L, lc_state *s);
/* Every slot the context would have completed ends with an error. */
void lc_slot_fail_all(lua_State *L, lc_state *s, lc_context *ctx, int code);
/* So does every wait on behalf of this request, which came through `ctx`, that can be canceled. */
void lc_slot_fail_scope(lua_State *L, lc_state *s, const lc_context *ctx, lc_handle scope, int code, const char *words);
void lc_slot_add(lua_State *L, lc_state *s);

/* error.c */
void lc_push_error(lua_State *L, lc_state *s, int code, const char *text);
void lc_push_event_error(lua_State *L, lc_state *s, const clouds_event *event);
/* Is it an error of the library's kind? Are the `count` values from `first` on nil and such an error: a failed call? */
bool lc_is_error(lua_State *L, lc_state *s, int index);
bool lc_is_failure(lua_State *L, lc_state *s, int first, int count);
/* What the codec refused: raises when that is a mistake of the program ("bad arguments: ..."), for `what`; else, since
 * data may be anything, nil and the error. */
int lc_refuse(lua_State *L, lc_state *s, const char *what);
/* Pushes the error of `code`, which a function of the library has just returned, with all it says about it. */
void lc_push_last_error(lua_State *L, lc_state *s, int code);
/* nil and that error. */
int lc_fail(lua_State *L, lc_state *s, int code);
/* true when `code` is 0; else nil and that error. */
int lc_true_or_fail(lua_State *L, lc_state *s, int code);
/* Writes the error at `index` as a JSON object into s->out; its values, if it has some, into s->out2. */
void lc_encode_error(lua_State *L, lc_state *s, int index);

/* What was encoded is not needed any more: gives much memory back. lc_trim_large: only if it is very much. */
static inline void lc_trim(lc_state *s)
{
    lc_text_trim(&s->out);
    lc_text_trim(&s->out2);
    lc_text_trim(&s->bytes);
}

static inline void lc_trim_large(lc_state *s)
{
    enum { LARGE = 1 << 20 };
    if (s->out.cap > LARGE || s->out2.cap > LARGE || s->bytes.cap > LARGE) lc_trim(s);
}

/* The bytes that came with an event. */
static inline lc_area lc_bytes_of(const clouds_event *event)
{
    return (lc_area){event->bytes, event->bytes_len};
}

/* The bytes that were encoded last; no bytes: NULL and 0. */
static inline lc_area lc_encoded_bytes(const lc_state *s)
{
    return s->bytes.len ? (lc_area){s->bytes.data, s->bytes.len} : (lc_area){0};
}

/* request.c */
lc_request *lc_request_new(lua_State *L, lc_state *s, lc_context *ctx, const clouds_event *event); /* raises */
lc_handle lc_request_handle(const lc_state *s, const lc_request *request);
lc_request *lc_request_find(lc_state *s, lc_handle handle);
void lc_request_release(lc_state *s, lc_request *request);
/* One more who may answer it, and one less; the last of them leaves an error as the answer. Neither allocates, so both
 * may be used in finalisers. No request, or one that is answered: nothing. */
void lc_request_hold(lc_state *s, lc_handle handle);
void lc_request_drop(lc_state *s, lc_handle handle);
/* The handler failed: the error at `index` goes to the caller, and is reported. */
void lc_request_fail(lua_State *L, lc_state *s, lc_handle request, int index);
/* At the end of a poll: sees to it that answers which found no room are sent again. */
void lc_request_send_owed(lua_State *L, lc_state *s);
/* The handler ended: pcall's results are on the whole stack. */
void lc_request_end(lua_State *L, lc_state *s, lc_handle scope, bool ok);
/* The request of the function that runs, called with a dot or a colon: its arguments are behind it then. NULL: ended.
 */
lc_request *lc_request_strip_self(lua_State *L, lc_state *s);

/* request_text.c */
/* One without memory for them has none. */
void lc_request_keep_text(lc_request *request, const clouds_event *event);
const char *lc_request_meta(const lc_request *request); /* NULL: none came along */
/* Pushes a table of what clouds.request() has as it is: method, caller, id, trace, meta. */
void lc_request_push_facts(lua_State *L, lc_state *s, const lc_request *request);
/* Pushes what came along with the call: a table, empty without any. */
void lc_request_push_meta(lua_State *L, lc_state *s, const lc_request *request);

/* request_cancel.c */
int lc_request_canceled(lua_State *L);
int lc_request_on_cancel(lua_State *L);
void lc_request_cancel_open(lua_State *L, lc_state *s);
/* Its caller has given up: what waits on its behalf ends, and what was asked for is called. */
void lc_request_cancel(lua_State *L, lc_state *s, const lc_context *ctx, uint64_t id);
void lc_request_add(lua_State *L, lc_state *s);

/* span.c */
/* The scope that a span is in, and all that are around it: a request, or none. Of another scope, that. */
lc_handle lc_span_root(const lc_state *s, lc_handle scope);
/* As lc_request_hold and lc_request_drop, which do this for a span. Is it one? */
bool lc_span_hold(lc_state *s, lc_handle scope);
bool lc_span_drop(lc_state *s, lc_handle scope);
/* The text of clouds_span_begin; NULL: it is no span. */
const char *lc_span_text(const lc_state *s, lc_handle scope, size_t *len);
/* What is done here is in the trace of that: the text of the span, else the meta of the request, else NULL. */
const char *lc_span_meta(lc_state *s, lc_handle scope, size_t *len);
void lc_span_add(lua_State *L, lc_state *s);
void lc_span_free_all(lc_state *s);

/* request_open.c: the names of the methods of open requests, with commas; the bytes of that. The host declares it, too.
 */
size_t lc_requests_describe(char *out, size_t size);
/* How many there were, how many are open, and how many were answered by an error; the hook is called with the method of
 * each request that code is about to run for. The host declares these, too. */
void lc_requests_count(uint64_t *begun, uint64_t *open, uint64_t *failed);
void lc_requests_watch(void (*hook)(const char *method, size_t size));
/* The coroutine that was resumed last and runs; NULL: none. */
lua_State *lc_running(void);
/* Code is about to run for the request of this scope, if it is one. */
void lc_request_works(lc_state *s, lc_handle scope);
void lc_request_open_add(lua_State *L, lc_state *s);
void lc_request_drop_all(lc_state *s, const lc_context *ctx);

/* core.c: core.run_apart of the function and its arguments that are the `values` at the top; 0 for false. The host
 * declares it, too. */
uint64_t lc_run_apart(lua_State *L, int values);

/* context.c, dispatch.c, node.c, call.c */
void lc_context_add(lua_State *L, lc_state *s);
lc_context *lc_check_context(lua_State *L, int index);
clouds_options *lc_options_from(lua_State *L, int index); /* raises */
/* The options of an operation with the limit at `index`, in seconds; none: the node option operation_timeout counts. */
clouds_operation_options lc_limit_at(lua_State *L, int index);
void lc_context_destroy(lua_State *L, lc_state *s, lc_context *ctx);
void lc_context_unref(lc_context *ctx);
/* Handlers were set, or are gone. */
void lc_clear_handler_cache(lua_State *L, lc_state *s);
void lc_dispatch(lua_State *L, lc_state *s, lc_context *ctx, const clouds_event *event);
/* A function that is to run in a task: it and its arguments are pushed, and the scope is held. */
typedef struct lc_work {
    enum lc_task_kind kind;
    lc_handle scope;
    int values; /* how many were pushed; 0: there is nothing to run */
} lc_work;

/* The next event, when a task that has just ended can go on with it: a request, or the result of a call that has a
 * callback. No other is taken from the batch. */
lc_work lc_dispatch_next(lua_State *L, lc_state *s, lc_context *ctx);
void lc_node_add(lua_State *L, lc_state *s);
lc_node *lc_check_node(lua_State *L, int index);
/* Anchors the node at `index` or lets it go (index 0), as its members say. */
void lc_node_update_anchor(lua_State *L, lc_state *s, lc_node *node, int index);
int lc_node_call(lua_State *L);
int lc_node_call_with(lua_State *L);
int lc_node_call_json(lua_State *L);

/* methods.c: the node is at index 1, the method at index 2, the handler at index 3. */
/* It has a new table of methods, or (fresh false) none any more. */
void lc_methods_set(lua_State *L, lc_state *s, const lc_node *node, bool fresh);
void lc_methods_add(lua_State *L, lc_state *s, lc_node *node);
/* There is no such method to unregister: its registration had failed, or it is being unregistered. */
void lc_methods_refused(lua_State *L, lc_state *s);
/* It is being unregistered, and dropped when that has ended, unless it is registered anew before. */
void lc_methods_leave(lua_State *L, lc_state *s, uint64_t operation);
void lc_methods_left(lua_State *L, lc_state *s, const lc_context *ctx, uint64_t operation);
int lc_methods_failed(lua_State *L);

/* channel.c */
int lc_node_publish(lua_State *L);
int lc_node_subscribe(lua_State *L);
int lc_node_subscribed(lua_State *L);
int lc_node_unsubscribe(lua_State *L);

int lc_node_bind(lua_State *L);

#endif
