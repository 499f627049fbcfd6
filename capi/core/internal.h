/* What the files of core share. Nothing outside of core includes this.
 *
 * Design notes
 *
 * - Every record that can wait has a cl_timed, adopted once (cl_timers_adopt): setting a timer cannot fail later.
 *
 * - A call is in one state and one place: the parked list, the waiting list of its method, the calls of its peer or
 *   those that wait for room towards it, none.
 *
 * - Peers are counted: one lives while a list names it or a call points to it. Methods live while calls use them, and
 *   then as long as the cache has room.
 *
 * - port.event never calls back, so a function may go on after it; the bus may refuse a send at once. */
#ifndef CL_CORE_INTERNAL_H
#define CL_CORE_INTERNAL_H

#include "base/buf.h"
#include "base/error.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/rare.h"
#include "base/mem.h"
#include "base/pool.h"
#include "core/core.h"

enum {
    CL_WIRE_ID = 33,        /* digits of the id of an attempt */
    CL_LINK_ID = 8,         /* bytes of one towards a linked peer */
    CL_METHODS_MAX = 10000, /* methods whose lists are kept */
    CL_SERVERS_MAX = 20000, /* servers of one method */
    CL_CALL_INLINE = 160,   /* bytes of arguments that need no memory of their own */
    CL_REQUEST_INLINE = 96,
    CL_TRIED_INLINE = 4,
    CL_OVERDUE = 256,
};

typedef struct cl_timed {
    cl_timer timer;
    cl_link row;                                                     /* in core->row, when it is not in the heap */
    void (*due)(cl_core *core, struct cl_timed *timed, int64_t now); /* must move or remove the timer */
} cl_timed;

/* A server, or a node that may become one. */
typedef struct cl_peer {
    cl_link calls;         /* attempts that wait for its answer */
    cl_link blocked;       /* calls that wait for room in the queue towards it, in their order */
    cl_link blocked_place; /* in core->blocked_peers while there are such */
    uint32_t refs;         /* entries of lists, and calls that point here */
    uint32_t strikes;      /* timeouts in a row */
    uint64_t listed;       /* the new list that named it last */
    int native;            /* enum cl_native */
    int64_t avoid_until;
    int several;           /* that a call reached several nodes of this id was told */
    const void *silent_in; /* the method in which it was silent last; to be compared only */
    cl_str id;             /* in `text` */
    char text[];
} cl_peer;

/* A method somebody here calls, and who serves it. */
typedef struct cl_method {
    cl_link recent;  /* core->recent, least recently used first */
    cl_link waiting; /* calls that wait for the list */
    cl_link paused;  /* calls that found no server, and have retries */
    cl_peer **servers;
    uint32_t n, cap, turn;
    uint32_t refs;   /* calls */
    int64_t learned; /* when the list was complete; INT64_MIN: never, or not since the bus was lost */
    int64_t asked;   /* when the outstanding look was asked for */
    int lookup;      /* 0 none, 1 a refresh, 2 one that calls wait for */
    cl_str name;     /* in `text` */
    char text[];
} cl_method;

enum cl_call_state {
    CL_CALL_PARKED,   /* the bus is down or the node is not ready: core->parked */
    CL_CALL_LOOKUP,   /* waits for the list: method->waiting */
    CL_CALL_CHOOSING, /* waits for cl_core_choose */
    CL_CALL_SENT,     /* waits for the answer: peer->calls */
    CL_CALL_PAUSED,   /* waits for the next attempt to begin: method->paused, if for a server */
    CL_CALL_ASKED,    /* waits for cl_core_attempt */
    CL_CALL_BACKOFF,  /* would fail over, and waits for the budget */
    CL_CALL_BLOCKED   /* all queues are full, and it waits for room in one: peer->blocked */
};

/* Why an attempt looks for another server by itself. */
enum cl_failing {
    CL_FAILING_NOT,
    CL_FAILING_UNRECEIVED, /* no server has received it */
    CL_FAILING_REFUSED     /* a server received and refused it */
};

typedef struct cl_call {
    cl_timed timed;
    cl_link of_node, place;
    cl_node *node;
    uint64_t id, user_data;
    int64_t timeout, deadline; /* ms: length of an attempt; end of the call */
    int64_t until, sent_at;    /* end of this attempt; when it was sent, or its beginning was asked for */
    int64_t latest;            /* how far the deadline may move while attempts are asked for */
    int32_t retries;           /* attempts that the caller still allows */
    /* From here to `tried`: zero at first. */
    uint32_t sends; /* envelopes on the wire so far */
    uint32_t attempts;
    int32_t ended; /* why the last attempt ended; 0: this is the first */
    cl_method *method;
    cl_peer *peer;      /* the pinned, or the one asked last; counted */
    char *reason_error; /* JSON that came with the reason; owned */
    size_t reason_error_len;
    char *big;      /* arguments that do not fit below; owned */
    int32_t reason; /* why the last attempt was not done; 0: none */
    uint8_t state, pinned;
    uint8_t failing;   /* enum cl_failing of this attempt */
    uint8_t looked_up; /* the list was asked for since the last send */
    uint8_t maybe;     /* an earlier attempt may have been executed */
    uint8_t ask;       /* the user is asked before each attempt */
    uint8_t as_native; /* this attempt told the server that we are one of its kind */
    uint8_t as_linked; /* only the peer can answer this attempt */
    uint16_t tried_n, tried_cap;
    cl_peer **tried; /* counted; in tried_few, or in memory of its own */
    cl_peer *tried_few[CL_TRIED_INLINE];
    cl_str args;
    cl_str wire_id; /* of this attempt, in `id_room` */
    char id_room[CL_WIRE_ID + 1];
    char small[CL_CALL_INLINE];
} cl_call;

typedef struct cl_request {
    cl_timed timed; /* its deadline */
    cl_link of_node;
    cl_node *node;
    uint64_t id, link;
    int64_t deadline; /* 0: not known */
    int native;
    size_t bytes;           /* of its arguments */
    cl_str caller, wire_id; /* in `small` or in `big` */
    char *big;
    char small[CL_REQUEST_INLINE];
} cl_request;

enum cl_op_kind { CL_OP_REGISTER, CL_OP_UNREGISTER, CL_OP_SEND, CL_OP_STATUS };

/* Something accepted from the user that ends with one event, and is no call. */
typedef struct cl_op {
    cl_timed timed;
    cl_link of_node;
    cl_node *node;
    uint64_t id, user_data;
    enum cl_op_kind kind;
    int asked;   /* status: the bus has it */
    int failure; /* status: no memory or too much */
    cl_buf rows; /* status: (length, method, length, server)* */
    cl_str text; /* method or receiver, in `room` */
    char room[];
} cl_op;

/* A message that waits for its node to listen. */
typedef struct cl_message {
    cl_link of_node;
    uint64_t operation;     /* 0: nobody wants to know */
    cl_str receiver, value; /* in `room` */
    char room[];
} cl_message;

typedef struct cl_service {
    cl_str name;
    char text[];
} cl_service;

enum cl_node_state { CL_NODE_OPENING, CL_NODE_READY, CL_NODE_FAILED, CL_NODE_CLOSING };

struct cl_node {
    cl_core *core;
    void *tag;
    cl_link of_core;
    cl_link calls, requests, ops, messages;
    size_t message_bytes;
    cl_node_config config;
    enum cl_node_state state;
    int draining;
    size_t unanswered; /* requests that ended without an answer, because the node does */
    int failure;       /* CL_NODE_FAILED: why */
    char failure_text[256];
    int64_t timeout, deadline; /* ms; deadline 0: from the attempts */
    cl_strmap services;
    const cl_service *last_service; /* the one asked last, most often the one asked next; or NULL */
    cl_timed drain, sweep;
    cl_str id; /* in `text` */
    char text[];
};

/* Automatic failovers: at most a tenth of the calls of the last ten seconds, or a hundred. */
typedef struct cl_budget {
    int64_t second;
    uint32_t calls[10], spent[10];
    uint64_t calls_sum, spent_sum;
} cl_budget;

struct cl_core {
    cl_core_config config;
    cl_port port;
    cl_bus *bus;
    int muted; /* what the bus reports is ignored */
    uint64_t counters[CL_COUNTERS];
    uint64_t second_key[2];
    uint64_t link_mask; /* hides the tokens in the ids towards linked peers */
    uint64_t newest;    /* the highest id of a call so far */
    cl_heap timers;
    cl_link row;   /* timers that were set in the order in which they are due */
    size_t timed;  /* records that may be in the heap */
    int64_t armed; /* what the port was told last; INT64_MIN while ticking */
    cl_timed retry, room;
    cl_idmap calls, requests, ops;
    cl_strmap methods, peers;
    cl_link recent, parked, nodes;
    cl_link blocked_peers; /* peers towards which calls wait for room */
    cl_pool spare_calls, spare_requests;
    size_t call_bytes;            /* arguments that are held outside of call records */
    size_t request_bytes;         /* arguments of the open requests */
    uint64_t overdue[CL_OVERDUE]; /* requests that were begun and ended at their deadline, the latest */
    unsigned overdue_at;
    cl_budget budget;
    int bus_up, was_up, bus_code;
    int down_logged;    /* since the bus was there last */
    char bus_text[200]; /* why the bus is not there */
    int64_t up_since;
    int64_t max_age;
    int64_t max_deadline;
    uint64_t lists;         /* lists learned so far */
    cl_method *last_method; /* the one called last, most often the one called next */
    cl_buf scratch;         /* JSON under construction */
    cl_buf message;         /* words under construction */
    cl_str cluster;
};

/* timers.c */
int64_t cl_ms(double seconds);
int64_t cl_core_now(const cl_core *core);
int cl_timers_adopt(cl_core *core, cl_timed *timed, void (*due)(cl_core *, cl_timed *, int64_t));
void cl_timers_abandon(cl_core *core, cl_timed *timed);
void cl_timers_set(cl_core *core, cl_timed *timed, int64_t when);
void cl_timers_set_next(cl_core *core, cl_timed *timed,
                        int64_t when); /* the same, cheap when it is due after all others */
void cl_timers_start_next(cl_core *core, cl_timed *timed, int64_t when); /* the same for one that is not set */
void cl_timers_stop(cl_core *core, cl_timed *timed);
int cl_timers_is_set(const cl_timed *timed);
/* Something was refused although the bus seemed fine: look again soon. */
void cl_core_retry_soon(cl_core *core, int64_t now);

/* attempt_id.c */
uint64_t cl_token_of(uint64_t call, uint32_t send);
uint64_t cl_token_call(uint64_t token);
void cl_attempt_set_keys(cl_core *core);
/* Writes the id and returns its length. */
size_t cl_attempt_id(const cl_core *core, uint64_t token, int linked, char out[CL_WIRE_ID]);
/* 0, or -1 when it has not the form of an attempt of ours. */
int cl_attempt_token(const cl_core *core, cl_str id, uint64_t *token);
int cl_attempt_is_ours(const cl_core *core, cl_str id, uint64_t token);

/* budget.c */
void cl_budget_call(cl_budget *b, int64_t now);
int cl_budget_take(cl_budget *b, int64_t now);
void cl_budget_give_back(cl_budget *b); /* what was just taken */

/* peer.c */
cl_peer *cl_peer_get(cl_core *core, cl_str id);        /* counted; NULL: no memory */
cl_peer *cl_peer_find(const cl_core *core, cl_str id); /* not counted */
void cl_peer_hold(cl_peer *peer);
void cl_peer_release(cl_core *core, cl_peer *peer);
void cl_peer_avoid(cl_peer *peer, int64_t now);
static inline void cl_peer_forgive(cl_peer *peer)
{
    peer->strikes = 0;
    peer->avoid_until = INT64_MIN;
}
static inline int cl_peer_is_well(const cl_peer *peer, int64_t now)
{
    return peer->avoid_until <= now;
}

/* directory.c */
int cl_directory_method(cl_core *core, cl_str name, cl_method **out); /* counted for a call */
void cl_directory_release(cl_core *core, cl_method *m);
void cl_directory_free(cl_core *core, cl_method *m);
void cl_directory_lookup(cl_core *core, cl_method *m, int known, int64_t now);
void cl_directory_refresh(cl_core *core, cl_method *m, int64_t now); /* when it is old */
void cl_directory_drop(cl_core *core, cl_method *m, cl_peer *peer);
void cl_directory_drop_all(cl_core *core, cl_peer *peer);
void cl_directory_bus_up(cl_core *core, int64_t now);
void cl_directory_lookup_waiting(cl_core *core, int64_t now);
int cl_directory_ids(const cl_method *m, cl_buf *out); /* a JSON array */

/* balance.c */
cl_peer *cl_balance_pick(cl_method *m, const cl_call *call, int tried_too, int64_t now);
int cl_call_has_tried(const cl_call *call, const cl_peer *peer);

/* call.c */
cl_call *cl_call_find(const cl_core *core, uint64_t id);
/* Copies the arguments; those it has stay when there is no room. 0, CLOUDS_ELIMIT, CLOUDS_ETOOBIG or CLOUDS_ENOMEM. */
int cl_call_set_args(cl_call *call, cl_str args);
/* The end of a call. error empty: made from the code (0: success). */
void cl_call_complete(cl_call *call, int code, cl_str error, cl_str data);
void cl_attempt_fail_with_text(cl_call *call, int code, int said); /* said: with the last words of this thread */
void cl_call_fail(cl_call *call, int code); /* with our own words, or those kept with the reason */
void cl_call_close_all(cl_node *node);
void cl_call_discard(cl_core *core, cl_call *call); /* at the end of all, without an event */

/* attempt.c: the state machine */
void cl_attempt_begin(cl_call *call, int64_t start, int64_t now);
void cl_attempt_dispatch(cl_call *call, int64_t now);
void cl_attempt_send(cl_call *call, cl_peer *peer, int64_t now);
void cl_attempt_due(cl_core *core, cl_timed *timed, int64_t now);
/* This attempt ended without an answer: the next one, or the end of the call. */
void cl_attempt_failed(cl_call *call, int code, int64_t now);
/* It was provably not executed: another server, if there is one. `error` is kept. */
void cl_attempt_fail_over(cl_call *call, enum cl_failing how, int code, cl_str error, int64_t now);
void cl_attempt_lost(cl_call *call, int64_t now);
void cl_attempt_unpark(cl_core *core, int64_t now);
/* Those that wait for room towards a peer which is gone look for another. */
void cl_attempt_redirect_blocked(cl_peer *peer, int64_t now);
/* A server came up: the next attempts of those that found none begin now. */
void cl_attempt_resume(cl_method *m, int64_t now);
void cl_attempt_leave(cl_call *call); /* whatever place it waits in */
/* The first that waits in a list, taken out of it; or NULL. */
cl_call *cl_attempt_next(cl_link *places);

/* answer.c */
void cl_answer_arrived(cl_core *core, cl_node *node, const cl_envelope *e);

/* choose.c */
void cl_choose_ask(cl_call *call, int64_t now);

/* serve.c */
void cl_serve_call(cl_core *core, cl_node *node, const cl_envelope *e);
cl_request *cl_request_find(const cl_core *core, uint64_t id);
/* The time of a handler that still runs is over: what it calls is, too. */
int cl_request_is_overdue(const cl_core *core, uint64_t id);
/* The node stops to serve: those not begun are refused. */
void cl_request_refuse_waiting(cl_node *node);
/* The node ends: the others are lost, and their callers told so as far as they can be reached. */
void cl_request_end_all(cl_node *node);
void cl_request_discard_all(cl_node *node);

/* node.c */
void cl_node_check_drained(cl_node *node); /* is the drain over? */
void cl_node_free(cl_node *node);
int cl_node_may_send(const cl_node *node);

/* operation.c */
int cl_op_create(cl_node *node, enum cl_op_kind kind, const cl_op_spec *spec, cl_str text, cl_op **out);
cl_op *cl_op_find(const cl_core *core, uint64_t id);
/* Raises its event and frees it. */
void cl_op_end(cl_op *op, int code, const char *words, int64_t number, cl_str data);
void cl_op_end_all(cl_node *node, int code, const char *words); /* words NULL: those of the code */
/* Why it is not done in time, as far as it is known. */
int cl_op_timeout_code(const cl_core *core);
int cl_op_cancel(cl_core *core, uint64_t id);
void cl_op_discard(cl_core *core, cl_op *op);

/* message.c */
void cl_message_arrived(cl_core *core, cl_node *node, const cl_envelope *e);
void cl_message_flush(cl_node *node);
void cl_message_drop_all(cl_node *node, int code);
void cl_message_delivery(cl_core *core, cl_op *op, enum cl_delivery delivery, int64_t number);
void cl_message_due(cl_op *op);
void cl_message_forget(cl_op *op); /* what of it still waits here */

/* status.c */
void cl_status_ask_all(cl_core *core);

/* error_text.c */
typedef struct cl_remote_error {
    int is_object, empty, numbered; /* an object; without members; with members "0", "1", ... only */
    int has_message, has_code;
    cl_str message, code; /* raw, when they are text */
} cl_remote_error;
/* Error objects of ours; all are in the scratch, or static. Only with the text of the code: */
cl_str cl_error_text_of_code(cl_core *core, int code);
/* With the last words of this thread, and what they are about. */
cl_str cl_error_text_last(cl_core *core, int code);
/* Of a call: what it called, whom it asked. `said`: with the last words of this thread. */
cl_str cl_error_text_of_call(const cl_call *call, int code, int said);
/* Of an operation or a node; `why` empty or NULL: what is known of the bus, or the text of the code. */
cl_str cl_error_text_of_op(const cl_op *op, int code, const char *why);
cl_str cl_error_text_of_node(const cl_node *node, int code, const char *why);
cl_str cl_error_text_of_bus(cl_core *core, int code, const char *why);
void cl_remote_error_read(const cl_core *core, cl_str error, cl_remote_error *out);
int cl_remote_error_is_falsy(cl_str error); /* null, false, 0, "": no error for the original */
cl_str cl_remote_error_normal(cl_core *core, cl_str error, const cl_remote_error *words);

/* core.c */
int cl_emit(cl_core *core, const cl_node *node, clouds_event *event);
static inline void cl_set_text(const char **p, size_t *n, cl_str s)
{
    *p = s.p;
    *n = s.n;
}

#endif
