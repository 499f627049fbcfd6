/* Requests: calls from others that this process serves. */
#ifndef CL_CORE_REQUEST_H
#define CL_CORE_REQUEST_H

#include "core/timers.h"

enum {
    CL_REQUEST_INLINE = 96,
};

typedef struct cl_request {
    cl_timed timed; /* its deadline */
    cl_list_node of_node;
    cl_node *node;
    uint64_t id, link;
    int64_t deadline; /* 0: not known */
    int native;
    size_t bytes;           /* of its arguments */
    cl_str caller, wire_id; /* in `small` or in `big` */
    char *big;
    char small[CL_REQUEST_INLINE];
} cl_request;

void cl_serve_call(cl_core *core, cl_node *node, const cl_envelope *e);
cl_request *cl_request_find(const cl_core *core, uint64_t id);
/* The time of a handler that still runs is over: what it calls is, too. */
int cl_request_is_overdue(const cl_core *core, uint64_t id);
/* The node stops to serve: those not begun are refused. */
void cl_request_refuse_waiting(cl_node *node);
/* The node ends: the others are lost, and their callers get an error as far as they can be reached. */
void cl_request_end_all(cl_node *node);
void cl_request_discard_all(cl_node *node);

#endif
