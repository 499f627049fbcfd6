/* Requests: calls from others that this process serves. */
#ifndef CL_CORE_REQUEST_H
#define CL_CORE_REQUEST_H

#include "core/timers.h"

typedef struct cl_offer cl_offer;
typedef struct cl_offer_key cl_offer_key;

enum {
    CL_REQUEST_INLINE = 96,
};

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
/* Busy: with the last words of this thread. */
void cl_request_refuse_busy(cl_node *node, const cl_envelope *e);
cl_request *cl_request_find(const cl_core *core, uint64_t id);
/* The time of a handler that still runs is over: what it calls is, too. */
int cl_request_is_overdue(const cl_core *core, uint64_t id);
/* The node stops to serve: those not begun are refused. */
void cl_request_refuse_waiting(cl_node *node);
/* The node ends: the others are lost, and their callers get an error as far as they can be reached. */
void cl_request_end_all(cl_node *node);
void cl_request_discard_all(cl_node *node);
void cl_request_drop(cl_core *core, cl_request *r); /* it ends, and no answer is sent */

/* cancel.c */
void cl_cancel_arrived(cl_core *core, cl_node *node, const cl_envelope *e);
/* Its caller has given up, and it is begun: its handler hears of it, and the calls made on its behalf end. */
void cl_cancel_request(cl_core *core, cl_request *r);
void cl_cancel_forget(cl_request *r); /* one that is cancelable ends */

#endif
