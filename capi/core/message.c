#include "base/error.h"
#include "core/internal.h"

/* Messages to a node: fire and forget. Until the node listens they wait here, within the bytes of a connection's queue.
 */

static int send_message(cl_node *node, cl_str receiver, cl_str value, uint64_t token)
{
    cl_core *core = node->core;
    cl_envelope e = cl_envelope_of(CL_MESSAGE, node->id, receiver, CL_STR_NONE);
    e.data = value;
    int code = core->bus->ops->send(core->bus, node, &e, token);
    if (code == 0) core->counters[CL_COUNT_MESSAGES_OUT]++;
    else if (code == CLOUDS_ELIMIT || code == CLOUDS_ETOOBIG) core->counters[CL_COUNT_LIMIT_HITS]++;
    return code;
}

static cl_message *queue_message(cl_node *node, cl_str receiver, cl_str value, uint64_t operation)
{
    cl_message *message = cl_malloc(sizeof *message + receiver.n + value.n);
    if (!message) return NULL;
    memcpy(message->room, receiver.p, receiver.n);
    memcpy(message->room + receiver.n, value.p, value.n);
    message->receiver = cl_str_of(message->room, receiver.n);
    message->value = cl_str_of(message->room + receiver.n, value.n);
    message->operation = operation;
    node->message_bytes += sizeof *message + receiver.n + value.n;
    cl_list_append(&node->messages, &message->of_node);
    return message;
}

static void discard(cl_node *node, cl_message *message)
{
    node->message_bytes -= sizeof *message + message->receiver.n + message->value.n;
    cl_list_remove(&message->of_node);
    cl_free(message);
}

static int may_send(const cl_node *node, cl_str receiver, cl_str value)
{
    const cl_limits *limits = &node->core->config.limits;
    if (node->state == CL_NODE_CLOSING) return CLOUDS_ECLOSED;
    if (node->state == CL_NODE_FAILED) return cl_error(node->failure, "%s", node->failure_text);
    if (!receiver.n) return CLOUDS_EINVAL;
    size_t size = receiver.n + value.n;
    if (size > limits->message) return cl_error_too_big("the message", size, limits->message);
    size_t waiting = node->message_bytes + sizeof(cl_message) + size;
    if (node->state == CL_NODE_OPENING && waiting > limits->write_soft)
        return cl_error_limit(CLOUDS_ELIMIT, waiting, limits->write_soft,
                              "messages of %zu bytes wait for the node to listen already (write_soft)",
                              node->message_bytes);
    return 0;
}

int cl_node_send(cl_node *node, cl_str receiver, cl_str value, const cl_op_spec *spec, int confirm)
{
    cl_core *core = node->core;
    cl_op *op = NULL;
    uint64_t token = confirm ? spec->id : 0;
    int code = may_send(node, receiver, value);
    if (code) {
        core->counters[CL_COUNT_LIMIT_HITS] += code == CLOUDS_ELIMIT || code == CLOUDS_ETOOBIG;
        return code;
    }
    if (confirm && (code = cl_op_create(node, CL_OP_SEND, spec, receiver, &op)) != 0) return code;
    if (node->state != CL_NODE_OPENING) code = send_message(node, receiver, value, token);
    else if (!queue_message(node, receiver, value, token)) code = CLOUDS_ENOMEM;
    if (!code || !op) return code;
    cl_op_end(op, code, NULL, 0, CL_STR_NONE); /* room for the event is reserved, so the event reports it */
    return 0;
}

void cl_message_flush(cl_node *node)
{
    while (!cl_list_empty(&node->messages)) {
        cl_message *message = CL_OWNER(node->messages.next, cl_message, of_node);
        int code = send_message(node, message->receiver, message->value, message->operation);
        cl_op *op = code ? cl_op_find(node->core, message->operation) : NULL;
        discard(node, message);
        if (op) cl_op_end(op, code, NULL, 0, CL_STR_NONE);
    }
}

void cl_message_drop_all(cl_node *node, int code)
{
    while (!cl_list_empty(&node->messages)) {
        cl_message *message = CL_OWNER(node->messages.next, cl_message, of_node);
        cl_op *op = cl_op_find(node->core, message->operation);
        discard(node, message);
        if (op && code) cl_op_end(op, code, NULL, 0, CL_STR_NONE);
    }
}

void cl_message_delivery(cl_core *core, cl_op *op, enum cl_delivery delivery, int64_t number)
{
    if (op->kind != CL_OP_SEND) return;
    if (delivery == CL_DELIVERY_NOT_SENT) cl_op_end(op, CLOUDS_EUNREACHABLE, NULL, 0, CL_STR_NONE);
    else
        cl_op_end(op, 0, NULL,
                  delivery == CL_DELIVERY_NOBODY || delivery == CL_DELIVERY_UNPROVEN ? 0
                  : delivery == CL_DELIVERY_LOST                                     ? -1
                                                                                     : number,
                  CL_STR_NONE);
}

static cl_message *queued_message_of(const cl_op *op)
{
    CL_LIST_EACH(it, &op->node->messages)
    {
        cl_message *message = CL_OWNER(it, cl_message, of_node);
        if (message->operation == op->id) return message;
    }
    return NULL;
}

void cl_message_forget(cl_op *op)
{
    cl_message *message = queued_message_of(op);
    if (message) discard(op->node, message);
}

/* The bus has not reported a delivery, so it may have arrived, unless it still waits here. */
void cl_message_due(cl_op *op)
{
    cl_message *message = queued_message_of(op);
    int late = cl_op_timeout_code(op->node->core);
    if (message) discard(op->node, message);
    if (message) cl_op_end(op, late == CLOUDS_ETIMEOUT ? CLOUDS_EUNREACHABLE : late, NULL, 0, CL_STR_NONE);
    else cl_op_end(op, 0, NULL, -1, CL_STR_NONE);
}

void cl_message_arrived(cl_core *core, cl_node *node, const cl_envelope *e)
{
    core->counters[CL_COUNT_MESSAGES_IN]++;
    clouds_event event = {.type = CLOUDS_EVENT_MESSAGE};
    cl_set_text(&event.peer, &event.peer_len, e->from);
    cl_set_text(&event.data, &event.data_len, e->data);
    cl_emit(core, node, &event);
}
