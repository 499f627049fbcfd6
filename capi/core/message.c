#include "base/error.h"
#include "core/internal.h"

/* Messages to a node: fire and forget. Until the node listens they wait here, within the bytes of a connection's queue.
 */

/* What goes along needs a frame: over Redis nobody hears it who reads none. */
static int send_message(cl_node *node, cl_str receiver, const cl_payload *payload, uint64_t token)
{
    cl_core *core = node->core;
    cl_envelope e = cl_envelope_of(CL_MESSAGE, node->id, receiver, CL_STR_NONE);
    e.data = payload->json;
    cl_extension x = CL_EXTENSION_NONE;
    if (payload->meta.n | payload->bytes.n) {
        x.meta = payload->meta;
        x.bytes = payload->bytes;
        e.extension = &x;
        e.flags = CL_NATIVE | CL_FRAMES;
    }
    int code = core->bus->ops->send(core->bus, node, &e, token);
    if (code == 0) core->counters[CL_COUNT_MESSAGES_OUT]++;
    else if (code == CLOUDS_ELIMIT || code == CLOUDS_ETOOBIG) core->counters[CL_COUNT_LIMIT_HITS]++;
    return code;
}

static size_t size_of(cl_str to, const cl_payload *payload)
{
    return to.n + payload->json.n + payload->meta.n + payload->bytes.n;
}

static cl_str keep(char **room, cl_str text)
{
    if (text.n) memcpy(*room, text.p, text.n);
    cl_str kept = cl_str_of(*room, text.n);
    *room += text.n;
    return kept;
}

int cl_message_queue(cl_node *node, int type, cl_str to, const cl_payload *payload, uint64_t operation)
{
    size_t size = size_of(to, payload);
    cl_message *message = cl_malloc(sizeof *message + size);
    if (!message) return CLOUDS_ENOMEM;
    char *room = message->room;
    message->type = type;
    message->to = keep(&room, to);
    message->payload.json = keep(&room, payload->json);
    message->payload.meta = keep(&room, payload->meta);
    message->payload.bytes = keep(&room, payload->bytes);
    message->operation = operation;
    node->message_bytes += sizeof *message + size;
    cl_list_append(&node->messages, &message->of_node);
    return 0;
}

static void discard(cl_node *node, cl_message *message)
{
    node->message_bytes -= sizeof *message + size_of(message->to, &message->payload);
    cl_list_remove(&message->of_node);
    cl_free(message);
}

int cl_message_may_send(const cl_node *node, cl_str to, const cl_payload *payload)
{
    const cl_limits *limits = &node->core->config.limits;
    uint64_t *hits = &node->core->counters[CL_COUNT_LIMIT_HITS];
    if (node->state == CL_NODE_CLOSING) return CLOUDS_ECLOSED;
    if (node->state == CL_NODE_FAILED) return cl_error(node->failure, "%s", node->failure_text);
    if (!to.n) return CLOUDS_EINVAL;
    size_t size = size_of(to, payload), waiting = node->message_bytes + sizeof(cl_message) + size;
    if (size > limits->message) return ++*hits, cl_error_too_big("the message", size, limits->message);
    if (node->state != CL_NODE_OPENING || waiting <= limits->write_soft) return 0;
    ++*hits;
    return cl_error_limit(CLOUDS_ELIMIT, waiting, limits->write_soft,
                          "messages of %zu bytes wait for the node to listen already (write_soft)",
                          node->message_bytes);
}

int cl_node_send(cl_node *node, cl_str receiver, cl_str value, const cl_op_spec *spec, int confirm)
{
    const cl_payload payload = {value, CL_STR_NONE, CL_STR_NONE};
    return cl_node_send_along(node, receiver, &payload, spec, confirm);
}

int cl_node_send_along(cl_node *node, cl_str receiver, const cl_payload *payload, const cl_op_spec *spec, int confirm)
{
    cl_op *op = NULL;
    uint64_t token = confirm ? spec->id : 0;
    int code = cl_message_may_send(node, receiver, payload);
    if (code) return code;
    if (confirm && (code = cl_op_create(node, CL_OP_SEND, spec, receiver, &op)) != 0) return code;
    if (node->state != CL_NODE_OPENING) code = send_message(node, receiver, payload, token);
    else code = cl_message_queue(node, CL_MESSAGE, receiver, payload, token);
    if (!code || !op) return code;
    cl_op_end(op, code, NULL, 0, CL_STR_NONE); /* room for the event is reserved, so the event reports it */
    return 0;
}

void cl_message_flush(cl_node *node)
{
    while (!cl_list_empty(&node->messages)) {
        cl_message *message = CL_OWNER(node->messages.next, cl_message, of_node);
        int is_message = message->type == CL_MESSAGE;
        int code = is_message ? send_message(node, message->to, &message->payload, message->operation)
                              : cl_publish_send(node, message->to, &message->payload, message->operation);
        cl_op *op = cl_op_find(node->core, message->operation);
        if (!is_message && code < 0 && !op) cl_publish_lost(node, message->to);
        discard(node, message);
        if (op && !is_message) cl_publish_sent(op, code);
        else if (op && code) cl_op_end(op, code, NULL, 0, CL_STR_NONE);
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
    if (op->kind == CL_OP_PUBLISH) {
        cl_publish_delivery(op, delivery, number);
        return;
    }
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
    if (e->extension) cl_along_show(e->extension, &event);
    cl_emit(core, node, &event);
}
