/* Operations, which end with one event and are no calls; and messages that wait for their node. */
#ifndef CL_CORE_OPERATION_H
#define CL_CORE_OPERATION_H

#include "base/buf.h"
#include "core/method.h"
#include "core/timers.h"

enum cl_op_kind {
    CL_OP_REGISTER,
    CL_OP_UNREGISTER,
    CL_OP_SEND,
    CL_OP_STATUS,
    CL_OP_PUBLISH,
    CL_OP_SUBSCRIBE,
    CL_OP_PAUSE,
    CL_OP_EXPLAIN
};

/* Something accepted from the user that ends with one event, and is no call. */
typedef struct cl_op {
    cl_timed timed;
    cl_list_node of_node;
    cl_node *node;
    uint64_t id, user_data;
    enum cl_op_kind kind;
    int asked;   /* status, explain: the bus has it */
    int is_over; /* unregister: the bus has done it, and requests that it was accepted with wait for their turn */
    int failure; /* status: no memory or too much */
    int parts, uncertain; /* publish: deliveries to come, and whether one of them is not known */
    int64_t receivers;    /* publish: so far */
    cl_buf rows;          /* status: (length, method, length, server, length, its state)* */
    cl_str text;          /* method, receiver or topics, in `room` */
    char room[];
} cl_op;

/* A message, or something published, that waits for its node to listen. */
typedef struct cl_message {
    cl_list_node of_node;
    uint64_t operation; /* 0: without a confirmation */
    int type;           /* CL_MESSAGE or CL_PUBLISH */
    cl_str to;          /* the receiver or the topic; in `room`, as the payload */
    cl_payload payload;
    char room[];
} cl_message;

/* operation.c */
int cl_op_create(cl_node *node, enum cl_op_kind kind, const cl_op_spec *spec, cl_str text, cl_op **out);
cl_op *cl_op_find(const cl_core *core, uint64_t id);
/* Raises its event and frees it. */
void cl_op_end(cl_op *op, int code, const char *words, int64_t number, cl_str data);
void cl_op_end_all(cl_node *node, int code, const char *words); /* words NULL: those of the code */
/* Unregister: no request of the method waits any more. */
void cl_op_end_unregistered(cl_node *node, cl_str method);
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
/* 0, or why nothing can be sent to `to`. */
int cl_message_may_send(const cl_node *node, cl_str to, const cl_payload *payload);
/* Until the node listens. 0 or CLOUDS_ENOMEM. */
int cl_message_queue(cl_node *node, int type, cl_str to, const cl_payload *payload, uint64_t operation);

/* status.c */
void cl_status_ask_all(cl_core *core);
/* Appends a JSON array, as clouds_node_links gives it, for who has asked by this link (0: none). 0 or CLOUDS_ENOMEM. */
int cl_links_put_all(cl_core *core, uint64_t asked_by, cl_buf *out);

/* state.c: what is known here of the nodes of this context and of servers, as members of a JSON object. */
int cl_state_put(cl_core *core, cl_buf *out);

/* explain.c: the bus is up; and a list has come, or could not be had. */
void cl_explain_ask_all(cl_core *core);
void cl_explain_listed(cl_core *core, cl_method *m, const cl_server *servers, size_t n, int code);

#endif
