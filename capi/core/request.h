/* Requests: calls from others that this process serves. */
#ifndef CL_CORE_REQUEST_H
#define CL_CORE_REQUEST_H

#include "core/stats.h"
#include "core/timers.h"

struct cl_once;
typedef struct cl_offer cl_offer;
typedef struct cl_offer_key cl_offer_key;

enum {
    CL_REQUEST_INLINE = 96,
};

/* Who waits for an answer. */
typedef struct cl_caller {
    cl_str id, wire_id;
    uint64_t link;
    unsigned flags;               /* CL_NATIVE, CL_FRAMES and CL_NOTIFY of its call */
    cl_str reply_to, correlation; /* where the answer is published; empty: it is sent */
} cl_caller;

typedef struct cl_reply_to cl_reply_to;

static inline int cl_caller_wants_answer(const cl_caller *c)
{
    return !(c->flags & CL_NOTIFY) || c->reply_to.n;
}

typedef struct cl_request {
    cl_timed timed; /* its deadline */
    cl_list_node of_node;
    cl_node *node;
    uint64_t id, link;
    int64_t deadline; /* 0: not known */
    char *meta;       /* for what is called on its behalf; owned; NULL: none */
    size_t meta_len;
    unsigned native;        /* CL_NATIVE, CL_FRAMES and CL_NOTIFY of its call */
    uint8_t is_cancelable;  /* the node's map of those has it */
    uint8_t is_canceled;    /* its caller waits for no answer */
    uint8_t is_unwanted;    /* the same, and with an idempotency key: another may wait for it, or come */
    cl_reply_to *reply_to;  /* owned; NULL: the answer is sent */
    uint8_t outcome;        /* enum clouds_outcome, once it is known */
    struct cl_stats *stats; /* NULL: it is not counted */
    int64_t began;          /* in microseconds, if it is */
    struct cl_open_span *span; /* NULL: it has none */
    struct cl_once *once;   /* what remembers it by its idempotency key; NULL: it has none */
    cl_list_node calls;     /* made on its behalf */
    cl_offer *offer;        /* of a method with limits; NULL: there are none */
    cl_offer_key *key;      /* free again when it ends; or NULL */
    size_t bytes;           /* of its arguments */
    cl_str caller, wire_id; /* in `small` or in `big` */
    char *big;
    char small[CL_REQUEST_INLINE];
} cl_request;

void cl_serve_call(cl_core *core, cl_node *node, const cl_envelope *e);
/* Hands a call to the user. 0, or -1: there was no room for it, and it is refused. */
int cl_request_begin(cl_node *node, const cl_envelope *e, cl_offer *offer, cl_offer_key *key, int64_t now);
/* Is there room for one more that waits? */
int cl_request_has_room(const cl_core *core, size_t bytes);
void cl_request_refuse(cl_node *node, const cl_envelope *e, int code);
void cl_request_refuse_with(cl_node *node, const cl_envelope *e, unsigned flags, enum cl_refusal why, cl_str error);
/* Busy: with the last words of this thread. */
void cl_request_refuse_busy(cl_node *node, const cl_envelope *e, enum cl_refusal why);
/* Answers at once what is no request of the user's. `flags`: 0, or CL_REFUSED. */
void cl_request_answer(cl_node *node, const cl_envelope *e, unsigned flags, cl_str error, cl_str result);
cl_request *cl_request_find(const cl_core *core, uint64_t id);
/* The node stops to serve: those not begun are refused. */
void cl_request_refuse_waiting(cl_node *node);
/* The node ends: the others are lost, and their callers get an error as far as they can be reached. */
void cl_request_end_all(cl_node *node);
void cl_request_discard_all(cl_node *node);
void cl_request_drop(cl_core *core, cl_request *r); /* it ends, and no answer is sent */

/* reply.c */
cl_caller cl_caller_of(const cl_envelope *e);
cl_caller cl_request_caller(const cl_request *r);
int cl_reply_to_keep(cl_request *r, const cl_extension *x);
/* 0, or what the bus refused the answer with. */
int cl_caller_answer(cl_node *node, const cl_caller *to, cl_str error, cl_str result, const cl_extension *x);
/* arguments.c: 1: its arguments are not what the method takes, and it was refused. */
int cl_arguments_refused(cl_node *node, const cl_envelope *e);
/* question.c */
void cl_question_arrived(cl_core *core, cl_node *node, const cl_envelope *e);

/* cancel.c: whether what came by this link may be canceled by it: an id of a link is no secret to its other end, so one
 * that came another way was guessed. */
int cl_cancel_is_meant(const cl_envelope *cancel, uint64_t link);
void cl_cancel_arrived(cl_core *core, cl_node *node, const cl_envelope *e);
/* Its caller has given up, and it is begun: its handler hears of it, and the calls made on its behalf end. */
void cl_cancel_request(cl_core *core, cl_request *r);
void cl_cancel_forget(cl_request *r); /* one that is cancelable ends */

#endif
