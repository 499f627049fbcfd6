/* Calls: the record, its state machine, and the ids of its attempts. */
#ifndef CL_CORE_CALL_H
#define CL_CORE_CALL_H

#include "core/hedge.h"
#include "core/method.h"
#include "core/timers.h"

enum {
    CL_WIRE_ID = 33,      /* digits of the id of an attempt */
    CL_LINK_ID = 8,       /* bytes of one towards a linked peer */
    CL_CALL_INLINE = 160, /* bytes of arguments that need no memory of their own */
    CL_TRIED_INLINE = 4,
};

enum cl_call_state {
    CL_CALL_PARKED,   /* the bus is down or the node is not ready: core->parked */
    CL_CALL_LOOKUP,   /* waits for the list: method->waiting */
    CL_CALL_CHOOSING, /* waits for cl_core_choose */
    CL_CALL_SENT,     /* waits for the answer: peer->calls */
    CL_CALL_PAUSED,   /* waits for the next attempt to begin: method->paused, if for a server */
    CL_CALL_ASKED,    /* waits for cl_core_attempt */
    CL_CALL_HEDGED,   /* its own attempts are over, and it waits for its twin (hedge.c) */
    CL_CALL_BACKOFF,  /* would fail over, and waits for the budget */
    CL_CALL_BLOCKED   /* all queues are full, and it waits for room in one: peer->blocked, or blocked_large */
};

/* Why an attempt looks for another server by itself. */
enum cl_failing {
    CL_FAILING_NOT,
    CL_FAILING_UNRECEIVED, /* no server has received it */
    CL_FAILING_REFUSED     /* a server received and refused it */
};

typedef struct cl_call {
    cl_timed timed;
    cl_list_node of_node, place;
    cl_list_node of_parent; /* only with `parent` */
    cl_carried carried;     /* this attempt, by a link */
    cl_node *node;
    uint64_t id, user_data;
    int64_t timeout, deadline; /* ms: length of an attempt; end of the call */
    int64_t until, sent_at;    /* end of this attempt; when it was sent, or its beginning was asked for */
    int64_t latest;            /* how far the deadline may move while attempts are asked for */
    int32_t retries;           /* attempts that the caller still allows */
    /* From here to `tried`: zero at first. */
    uint32_t sends; /* envelopes on the wire so far */
    uint32_t attempts;
    int32_t ended;       /* why the last attempt ended; 0: this is the first */
    cl_extension *along; /* meta, bytes, idempotency key; owned; NULL: none */
    cl_method *method;
    struct cl_stats *stats; /* NULL: it is not counted */
    int64_t began;          /* in microseconds, if it is */
    struct cl_open_span *span; /* NULL: it has none */
    cl_hedge *hedge;           /* NULL: it has none */
    struct cl_request *parent; /* the request on whose behalf it is made, while that is open */
    cl_peer *peer;             /* the pinned, or the one asked last; counted */
    char *reason_error;        /* JSON that came with the reason; owned */
    size_t reason_error_len;
    char *big;      /* arguments that do not fit below; owned */
    int32_t reason; /* why the last attempt was not done; 0: none */
    uint8_t state, pinned;
    uint8_t failing;   /* enum cl_failing of this attempt */
    uint8_t looked_up; /* the list was asked for since the last send */
    uint8_t maybe;     /* an earlier attempt may have been executed */
    uint8_t ask;       /* the user is asked before each attempt */
    uint8_t as_native; /* this attempt was sent as one of a native caller */
    uint8_t notify;    /* no answer is wanted */
    uint8_t question;  /* ask.c */
    uint8_t as_frames; /* to who reads frames */
    uint8_t as_linked; /* only the peer can answer this attempt */
    uint8_t by_link;   /* the same, for its answer has to come over a link, beside another way */
    uint8_t balance;   /* enum cl_balance */
    uint8_t is_traced; /* all that goes along is of a trace, which whoever reads no frames does without */
    uint8_t way;       /* what carried this attempt: cl_bus.way */
    uint16_t tried_n, tried_cap;
    uint32_t paused_n; /* servers that said so themselves */
    uint32_t at;       /* where its server stood in the list of the method; only a guess when it was not chosen there */
    uint64_t key;    /* CL_BALANCE_HASH */
    cl_peer **tried; /* counted; in tried_few, or in memory of its own */
    cl_peer *tried_few[CL_TRIED_INLINE];
    cl_str args;
    cl_str wire_id; /* of this attempt, in `id_room` */
    char id_room[CL_WIRE_ID + 1];
    char small[CL_CALL_INLINE];
} cl_call;

/* call.c */
cl_call *cl_call_find(const cl_core *core, uint64_t id);
/* Copies the arguments; those it has stay when there is no room. 0, CLOUDS_ELIMIT, CLOUDS_ETOOBIG or CLOUDS_ENOMEM. */
int cl_call_set_args(cl_call *call, cl_str args, const cl_str *bytes); /* bytes NULL: those it has */
/* The end of a call. error empty: made from the code (0: success). */
void cl_call_complete(cl_call *call, int code, cl_str error, cl_str data);
void cl_call_complete_along(cl_call *call, int code, cl_str error, cl_str data, const cl_extension *x);
void cl_attempt_fail_with_text(cl_call *call, int code, int said); /* said: with the last words of this thread */
void cl_call_fail(cl_call *call, int code); /* with the text of the code, or the object kept with the reason */
cl_call *cl_call_copy(cl_call *call); /* the same to be sent elsewhere, without events; NULL: no memory or room */
void cl_call_close_all(cl_node *node);
void cl_call_discard(cl_core *core, cl_call *call); /* at the end of all, without an event */

/* attempt.c: the state machine */
void cl_attempt_begin(cl_call *call, int64_t start, int64_t now);
void cl_attempt_dispatch(cl_call *call, int64_t now);
void cl_attempt_send(cl_call *call, cl_peer *peer, int64_t now);
/* To this server, and to no other when that is not possible. 0, or the error of the bus. */
int cl_attempt_send_once(cl_call *call, cl_peer *peer, int64_t now);
/* This attempt ended without an answer: the next one, or the end of the call. */
void cl_attempt_failed(cl_call *call, int code, int64_t now);
void cl_attempt_look_in_pause(cl_call *call, int64_t now); /* servers may have come that nobody announced */
/* It was provably not executed: another server, if there is one. `error` is kept. */
void cl_attempt_fail_over(cl_call *call, enum cl_failing how, int code, cl_str error, int64_t now);
void cl_attempt_lost(cl_call *call, int64_t now);
/* The bus refused it although it seems to be up. */
void cl_attempt_retry_soon(cl_call *call, int64_t now);
void cl_attempt_unpark(cl_core *core, int64_t now);
/* Those that wait for room towards a peer which is gone look for another. */
void cl_attempt_redirect_blocked(cl_peer *peer, int64_t now);
/* A server came up: the next attempts of those that found none begin now. */
void cl_attempt_resume(cl_method *m, int64_t now);
void cl_attempt_leave(cl_call *call); /* whatever place it waits in */
/* The first that waits in a list, taken out of it; or NULL. */
cl_call *cl_attempt_next(cl_list_node *places);
/* What the files of the state machine share: the state, and the list of the place where the call waits; the end of its
 * wait; why the last attempt was not done; the server that is asked. */
void cl_attempt_enter(cl_call *call, enum cl_call_state state, cl_list_node *list);
void cl_attempt_wait_until(cl_call *call, int64_t when);
void cl_attempt_keep_reason(cl_call *call, int code, cl_str error);
void cl_attempt_set_peer(cl_call *call, cl_peer *peer);

/* timeout.c */
void cl_attempt_due(cl_core *core, cl_timed *timed, int64_t now);
void cl_attempt_blame(cl_call *call, int64_t now); /* its server was silent until now */

/* along.c: copies what goes along, with what it has from the request on whose behalf it is made. 0, CLOUDS_ELIMIT,
 * CLOUDS_ETOOBIG or CLOUDS_ENOMEM. */
int cl_along_keep(cl_core *core, cl_call *call, const cl_call_spec *spec, const struct cl_request *parent);
int cl_along_set_bytes(cl_core *core, cl_call *call, cl_str bytes); /* in the place of those it has */
int cl_along_copy(cl_core *core, cl_call *call, const cl_extension *x);
void cl_along_drop(cl_core *core, cl_call *call);
void cl_along_show(const cl_extension *x, clouds_event *event);

/* ask.c: what a question asks for; the code it ends with; its event, with the object in `data`. */
#define CL_ASK_METHOD "$node"
cl_str cl_ask_word(const cl_call *call);
int cl_ask_code(int code);
void cl_ask_complete(cl_core *core, const cl_call *call, clouds_event *event, cl_str data);

/* cancel.c: what was sent is no longer wanted, which its server hears of if it is native. */
void cl_cancel_attempt(cl_call *call);

/* blocked.c: while others wait for room in the queue towards `peer`, may it be sent before them? */
int cl_attempt_may_overtake(const cl_call *call, cl_peer *peer);
/* It waits for room in the queue towards `peer`, behind those that came before. `from`: the servers that were tried
 * before this. */
void cl_attempt_block(cl_call *call, cl_peer *peer, unsigned from, int has_text);

/* answer.c */
void cl_answer_arrived(cl_core *core, cl_node *node, const cl_envelope *e);

/* choose.c */
void cl_choose_ask(cl_call *call, int64_t now);

/* attempt_id.c */
uint64_t cl_token_of(uint64_t call, uint32_t send);
uint64_t cl_token_call(uint64_t token);
void cl_attempt_set_keys(cl_core *core);
/* Writes the id and returns its length. */
size_t cl_attempt_id(const cl_core *core, uint64_t token, int linked, char out[CL_WIRE_ID]);
/* 0, or -1 when it has not the form of an attempt of this core. */
int cl_attempt_token(const cl_core *core, cl_str id, uint64_t *token);
int cl_attempt_is_ours(const cl_core *core, cl_str id, uint64_t token);

#endif
