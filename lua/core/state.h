/* What the files of clouds.core share: the state, its coroutines, slots, requests, contexts and nodes.
 *
 * Design note. The library tells what happened in batches of events; this module hands each of them to Lua without a
 * detour: the results of a call go onto the stack of the coroutine that waits for it, the arguments of a request onto
 * the stack of a pooled coroutine that runs the handler. C never waits: what waits in Lua is a coroutine that has
 * yielded and that a slot knows. It yields a mark and the slot's handle, so that a coroutine of the program's own hands
 * its wait on to who resumed it (clouds.coroutines).
 *
 *   slot      one thing waited for: a call, an operation, a sleep
 *   task      a coroutine of ours
 *   request   an inbound call until it is answered
 *   scope     the request on whose behalf the running code acts: calls made in it inherit its deadline
 *
 * Slots are few and reused; the handle of one carries a generation, so that a stale one finds nothing. A task goes back
 * into the pool when its function has ended. Whoever resumes it (we, or the user's own code), it ends in finish(),
 * which answers the request it runs for. */
#ifndef CL_LUA_STATE_H
#define CL_LUA_STATE_H

#include <stdint.h>
#include <clouds.h>
#include <lua.h>
#include <lauxlib.h>

#include "json.h"

/* Handles of slots and requests: generation * HANDLE_SPAN + index. Exact in a double. */
#define CL_HANDLE_SPAN 1048576u

typedef uint64_t cl_handle;

typedef struct cl_state cl_state;
typedef struct cl_ctx cl_ctx;
typedef struct cl_lua_node cl_lua_node;

enum cl_slot_state { CL_SLOT_FREE, CL_SLOT_OPEN, CL_SLOT_WAITING, CL_SLOT_CALLBACK, CL_SLOT_IGNORED, CL_SLOT_DONE };

typedef struct cl_slot {
    uint32_t generation, next_free;
    enum cl_slot_state state;
    lua_State *co;     /* WAITING: who waits; DONE: a thread that holds the values. Anchored, as a callback is */
    int ref;           /* the place in the registry for what it anchors, for as long as there are slots */
    cl_ctx *ctx;       /* the context whose event completes it, or NULL */
    cl_lua_node *node; /* whose call or operation it is; anchored meanwhile */
    uint64_t id;       /* of the call, or of the operation that completes it */
    cl_handle scope;   /* what was in force when the wait began; held */
    bool operation;    /* completed by an operation's id, not by user_data */
    bool asks;         /* a call that asks before each attempt: the table `asked` has whom */
} cl_slot;

enum cl_task_kind { CL_TASK_PLAIN, CL_TASK_REQUEST };

typedef struct cl_task {
    cl_state *state;
    lua_State *co;
    enum cl_task_kind kind;
    bool finished;
    bool waits;      /* in cl_slot_wait */
    bool taken;      /* the program has it by coroutine.running, and may resume it */
    bool anchored;   /* its place in the registry has its coroutine */
    int ref;         /* that place */
    cl_handle scope; /* held until it has finished, and 0 then */
} cl_task;

typedef struct cl_request {
    uint32_t generation, next_free;
    bool used, detached;
    int holders; /* who may still answer: coroutines and waits on its behalf, and what clouds.request() gave out */
    cl_ctx *ctx;
    uint64_t id;
    int node; /* the number of the node that serves it */
    double arrived, time_left;
    char *text; /* method, then the caller's id; kept for the next request in this place */
    size_t method_len, peer_len, room;
} cl_request;

enum { CL_BATCH = 256 };

/* A handler that was found before: neither the tables nor the text of its method have to be looked at again. */
enum { CL_FOUND = 8, CL_FOUND_NAME = 48 };

typedef struct cl_found {
    int node; /* its number; 0: none is kept here */
    int ref;  /* the place in the registry that has the handler */
    size_t method_len;
    char method[CL_FOUND_NAME];
} cl_found;

struct cl_ctx {
    cl_ctx *next;
    cl_state *state;
    clouds_context *context; /* NULL: destroyed */
    int refs;                /* its userdata, its nodes, and the slots it will complete */
    int nodes;               /* open ones */
    int waiting;             /* slots it will complete */
    int serving;             /* nodes that keep the loop running */
    bool dirty;              /* something was asked of the library since the last poll */
    double number;           /* names it towards Lua */
    int count, cursor;       /* events of the batch, and how many are dealt with */
    clouds_event events[CL_BATCH];
};

struct cl_lua_node {
    cl_state *state;
    cl_ctx *ctx;       /* not to be used when the node is destroyed */
    clouds_node *node; /* NULL: destroyed */
    int number;        /* its user_data, which events carry */
    int methods;       /* registered ones */
    int failed;        /* of these: whose registration failed for good, which keep nothing running */
    bool listening;    /* somebody wants its messages */
    bool serving;      /* for one of these reasons: it keeps the loop running */
    int calls;         /* slots that wait for it */
    bool anchored;     /* serving, or waited for: not to be collected */
};

struct cl_state {
    cl_codec codec;
    cl_text out, out2; /* what is being encoded */
    cl_slot *slots;
    uint32_t slot_count, slot_room, slot_free;
    cl_request *requests;
    uint32_t request_count, request_room, request_free;
    cl_task *current; /* the task that runs now, if we resumed it */
    cl_handle scope;
    int depth;      /* of resumes inside of resumes */
    cl_task **pool; /* these wait for work */
    int pooled, pool_room;
    cl_found found[CL_FOUND]; /* each method has one place */
    cl_ctx *contexts;
    double last_context;
    int last_node;
    double now;
    bool polling, can_block, closed;
    /* Places in the registry. */
    int tasks_ref;   /* weak: coroutine -> its task */
    int asked_ref;   /* slot -> what the hook `attempt` is told */
    int methods_ref; /* node number -> method -> handler */
    int serving_ref; /* node number -> node userdata that must not be collected */
    int body_ref, traceback_ref, pending_ref;
    int error_ref;                   /* metatable of errors */
    int hooks_ref;                   /* the table that core.setup was given */
    const void *pending, *node_type; /* what they are known by: core.pending, and the metatable of nodes */
    cl_lua_node *known;              /* the last that was found to be a node, if it was not collected since */
};

/* state.c */
cl_state *cl_state_of(lua_State *L);     /* from upvalue 1 of a function of ours */
cl_state *cl_state_create(lua_State *L); /* anchored in the registry; raises */
double cl_clock(void);
double cl_coarse_clock(void); /* behind cl_clock by up to a tick of the kernel's */
void cl_push_hook(lua_State *L, cl_state *s, const char *name);
/* Adds functions with the state as upvalue 1 to the table at the top. */
void cl_add_functions(lua_State *L, cl_state *s, const luaL_Reg *functions);
/* Makes the metatable `name` whose __index has `methods`; pushes nothing. */
void cl_add_type(lua_State *L, cl_state *s, const char *name, const luaL_Reg *methods, lua_CFunction collect);

/* task.c: the caller pushes a function and its arguments, the first of them onto the coroutine if it likes; start moves
 * the `values` that are at the top of L, and runs. What begun is started: nothing between may raise. */
cl_task *cl_task_begin(lua_State *L, cl_state *s);
void cl_task_start(lua_State *L, cl_state *s, cl_task *task, enum cl_task_kind kind, cl_handle scope, int values);
/* The task whose coroutine L is, or NULL. */
cl_task *cl_task_of(lua_State *L, cl_state *s);
cl_handle cl_scope_of(lua_State *L, cl_state *s);
/* Resumes `co` (anchored by the caller) with the `values` at its top. */
void cl_resume(lua_State *L, cl_state *s, lua_State *co, int values, cl_handle scope);
/* Reports the error at the top of L, and pops it, through the hook `report`. cl_report_about: above the error are the
 * text of what failed and a table that says more, or nil; both are popped too. */
void cl_report(lua_State *L, cl_state *s, const char *what);
void cl_report_about(lua_State *L, cl_state *s);
void cl_task_open(lua_State *L, cl_state *s);

/* slot.c */
cl_slot *cl_slot_new(lua_State *L, cl_state *s); /* raises */
cl_handle cl_slot_handle(const cl_state *s, const cl_slot *slot);
cl_slot *cl_slot_find(cl_state *s, cl_handle handle);
cl_slot *cl_slot_find_operation(cl_state *s, const cl_ctx *ctx, uint64_t id);
/* The event `id` will complete it; the node is on the stack at `index`. */
void cl_slot_bind(lua_State *L, cl_slot *slot, cl_lua_node *node, int index, uint64_t id, bool operation);
void cl_slot_set_scope(cl_state *s, cl_slot *slot, cl_handle scope);
/* Its callback is the function at `index`. */
void cl_slot_call_back(lua_State *L, cl_slot *slot, int index);
/* Completes the slot with the `values` at the top of L, and pops them. There is room for a few more. */
void cl_slot_complete(lua_State *L, cl_state *s, cl_slot *slot, int values);
/* The value at the top of L, which is popped, is what the hook `attempt` is told of this call. */
void cl_slot_ask(lua_State *L, cl_state *s, cl_slot *slot);
void cl_slot_release(lua_State *L, cl_state *s, cl_slot *slot);
/* Ends a C function with the values of the slot, waiting for them if need be. */
int cl_slot_wait(lua_State *L, cl_state *s, cl_slot *slot);
/* Gives nil and the error at the top in the loop's next turn; at once where nothing can wait. */
int cl_slot_wait_refused(lua_State *L, cl_state *s);
/* May the running code wait? cl_slot_check_wait raises when not. */
bool cl_slot_may_wait(lua_State *L, cl_state *s);
void cl_slot_check_wait(lua_State *L, cl_state *s);
/* Every slot the context would have completed ends with an error. */
void cl_slot_fail_all(lua_State *L, cl_state *s, cl_ctx *ctx, int code);
void cl_slot_add(lua_State *L, cl_state *s);

/* error.c */
void cl_push_error(lua_State *L, cl_state *s, int code, const char *text);
void cl_push_event_error(lua_State *L, cl_state *s, const clouds_event *event);
/* Is it an error of the library's kind? Are the `count` values from `first` on nil and such an error: a failed call? */
bool cl_is_error(lua_State *L, cl_state *s, int index);
bool cl_is_failure(lua_State *L, cl_state *s, int first, int count);
/* What the codec refused: raises when that is a mistake of the program ("bad arguments: ..."), for `what`; else, since
 * data may be anything, nil and the error. */
int cl_refuse(lua_State *L, cl_state *s, const char *what);
/* Pushes the error of `code`, which a function of the library has just returned, with all it says about it. */
void cl_push_last_error(lua_State *L, cl_state *s, int code);
/* nil and that error. */
int cl_fail(lua_State *L, cl_state *s, int code);
/* Writes the error at `index` as a JSON object into s->out; its values, if it has some, into s->out2. */
void cl_encode_error(lua_State *L, cl_state *s, int index);

/* request.c */
cl_request *cl_request_new(lua_State *L, cl_state *s, cl_ctx *ctx, const clouds_event *event); /* raises */
cl_handle cl_request_handle(const cl_state *s, const cl_request *request);
cl_request *cl_request_find(cl_state *s, cl_handle handle);
void cl_request_release(cl_state *s, cl_request *request);
/* One more who may answer it, and one less; the last of them leaves an error as the answer. Neither allocates, so both
 * may be used in finalisers. No request, or one that is answered: nothing. */
void cl_request_hold(cl_state *s, cl_handle handle);
void cl_request_let(cl_state *s, cl_handle handle);
/* The handler failed: the error at `index` goes to the caller, and is reported. */
void cl_request_fail(lua_State *L, cl_state *s, cl_request *request, int index);
/* The handler ended: pcall's results are on the whole stack. */
void cl_request_end(lua_State *L, cl_state *s, cl_handle scope, bool ok);
void cl_request_add(lua_State *L, cl_state *s);
void cl_request_drop_all(cl_state *s, const cl_ctx *ctx);

/* context.c, dispatch.c, node.c, call.c */
void cl_context_add(lua_State *L, cl_state *s);
cl_ctx *cl_check_context(lua_State *L, int index);
clouds_options *cl_options_from(lua_State *L, int index); /* raises */
void cl_context_cut(lua_State *L, cl_state *s, cl_ctx *ctx);
void cl_context_unref(cl_ctx *ctx);
/* Handlers were set, or are gone. */
void cl_forget_handlers(lua_State *L, cl_state *s);
void cl_dispatch(lua_State *L, cl_state *s, cl_ctx *ctx, const clouds_event *event);
void cl_node_add(lua_State *L, cl_state *s);
cl_lua_node *cl_check_node(lua_State *L, int index);
/* Anchors the node at `index` or lets it go (index 0), as its members say. */
void cl_node_settle(lua_State *L, cl_state *s, cl_lua_node *node, int index);
int cl_node_call(lua_State *L);
int cl_node_bind(lua_State *L);

#endif
