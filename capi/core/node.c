#include <stdio.h>

#include "core/internal.h"

/* Nodes: opening, ready, draining, shutting, gone. While draining a node serves what it has accepted; then it is shut,
 * which ends its own calls, and is freed when the bus has closed its address. */

static int64_t sweep_period(const cl_node *node)
{
    int64_t period = cl_ms(node->config.server_max_age) / 2;
    return period > 0 ? period : 1;
}

static void sweep_due(cl_core *core, cl_timed *timed, int64_t now)
{
    cl_node *node = CL_OWNER(timed, cl_node, sweep);
    cl_timers_set(core, timed, now + sweep_period(node));
    clouds_event event = {.type = CLOUDS_EVENT_CLEAR_SERVERS};
    cl_emit(core, node, &event);
}

static void begin_close(cl_node *node);

static void drain_due(cl_core *core, cl_timed *timed, int64_t now)
{
    cl_timers_stop(core, timed);
    begin_close(CL_OWNER(timed, cl_node, drain));
}

static void learn_age(cl_core *core, const cl_node *node)
{
    int64_t age = node->config.clear_servers ? INT64_MAX : cl_ms(node->config.server_max_age);
    if (age > 0 && (core->max_age == 0 || age < core->max_age)) core->max_age = age;
}

static void set_lists(cl_node *node)
{
    cl_list_init(&node->calls);
    cl_list_init(&node->requests);
    cl_list_init(&node->ops);
    cl_list_init(&node->messages);
    cl_list_init(&node->offers);
    cl_channels_init(&node->channels);
    cl_list_append(&node->core->nodes, &node->of_core);
}

static int adopt_timers(cl_core *core, cl_node *node)
{
    int code = cl_timers_adopt(core, &node->drain, drain_due);
    if (code) return code;
    code = cl_timers_adopt(core, &node->sweep, sweep_due);
    if (code) cl_timers_abandon(core, &node->drain);
    return code;
}

static void take_over(cl_node *node, const cl_node_config *config)
{
    node->config = *config;
    node->timeout = cl_ms(config->timeout);
    node->deadline = cl_ms(config->deadline);
    node->near = cl_tags_value(cl_str_z(node->config.tags), cl_str_z(node->config.prefer));
}

/* The sweep keeps its pace when nothing of it changed. */
static void set_sweep(cl_node *node, int was_on, int64_t old_period)
{
    int on = node->config.clear_servers && node->state != CL_NODE_CLOSING;
    if (!on) cl_timers_stop(node->core, &node->sweep);
    else if (!was_on || old_period != sweep_period(node))
        cl_timers_set(node->core, &node->sweep, cl_core_now(node->core) + sweep_period(node));
}

int cl_node_create(cl_core *core, cl_str id, const cl_node_config *config, void *tag, cl_node **out)
{
    if (!id.n) return CLOUDS_EINVAL;
    cl_node *node = cl_calloc(1, sizeof *node + id.n + 1);
    if (!node) return CLOUDS_ENOMEM;
    node->core = core;
    node->tag = tag;
    take_over(node, config);
    memcpy(node->text, id.p, id.n);
    node->id = cl_str_of(node->text, id.n);
    int code = adopt_timers(core, node);
    if (code) return cl_free(node), code;
    set_lists(node);
    code = core->port.reserve(core->port.self);                /* READY */
    if (code == 0) code = core->port.reserve(core->port.self); /* NODE_CLOSED */
    if (code) return cl_node_free(node), code;
    learn_age(core, node);
    set_sweep(node, 0, 0);
    *out = node;
    return 0;
}

static void describe(cl_node *node)
{
    cl_bus *bus = node->core->bus;
    const cl_traits traits = {(uint32_t)node->config.weight, cl_str_z(node->config.tags)};
    if (bus->ops->describe) bus->ops->describe(bus, node, &traits);
}

int cl_node_open(cl_node *node, double heartbeat)
{
    cl_bus *bus = node->core->bus;
    int code = bus->ops->node_open(bus, node, node->id, heartbeat);
    if (code == 0) describe(node);
    return code;
}

void cl_node_configure(cl_node *node, const cl_node_config *config)
{
    cl_core *core = node->core;
    int was_on = node->config.clear_servers;
    int64_t old_period = sweep_period(node);
    int32_t old_weight = node->config.weight;
    take_over(node, config);
    if (node->config.weight != old_weight && !node->draining) describe(node);
    core->max_age = 0;
    CL_LIST_EACH(it, &core->nodes) learn_age(core, CL_OWNER(it, cl_node, of_core));
    set_sweep(node, was_on, old_period);
}

cl_str cl_node_id(const cl_node *node)
{
    return node->id;
}

void *cl_node_tag(const cl_node *node)
{
    return node->tag;
}

int cl_node_is_closing(const cl_node *node)
{
    return node->draining;
}

static void emit_ready(cl_node *node, int code, const char *words)
{
    clouds_event event = {.type = CLOUDS_EVENT_READY,
                          .code = code,
                          .outcome = (uint32_t)clouds_err_outcome(code),
                          .user_data = node->config.user_data};
    if (code) cl_set_text(&event.error, &event.error_len, cl_error_text_of_node(node, code, words));
    cl_emit(node->core, node, &event);
}

/* It will never listen: whatever waits for that ends. */
static void failed(cl_node *node, int code, const char *words)
{
    node->state = CL_NODE_FAILED;
    node->failure = code;
    snprintf(node->failure_text, sizeof node->failure_text, "%s", words && *words ? words : clouds_strerror(code));
    while (!cl_list_empty(&node->calls)) cl_call_fail(CL_OWNER(node->calls.next, cl_call, of_node), code);
    cl_message_drop_all(node, code);
    cl_channels_end(node, code, node->failure_text);
    cl_op_end_all(node, code, node->failure_text);
}

void cl_node_ready(cl_node *node, int code, const char *words)
{
    if (node->state != CL_NODE_OPENING) return;
    if (code > 0) code = CLOUDS_EUNREACHABLE;
    if (code == 0) node->state = CL_NODE_READY;
    emit_ready(node, code, words);
    if (code) {
        failed(node, code, words);
        return;
    }
    cl_channels_ready(node);
    cl_message_flush(node);
    cl_attempt_unpark(node->core, cl_core_now(node->core));
}

/* What the bus has accepted can still be confirmed until the address is closed. */
static void end_operations(cl_node *node)
{
    CL_LIST_EACH(it, &node->ops)
    {
        cl_op *op = CL_OWNER(it, cl_op, of_node);
        if (op->kind == CL_OP_REGISTER || op->kind == CL_OP_STATUS || op->kind == CL_OP_EXPLAIN) cl_op_end(op, CLOUDS_ECLOSED, NULL, 0, CL_STR_NONE);
    }
}

static void begin_close(cl_node *node)
{
    cl_core *core = node->core;
    int opened = node->state != CL_NODE_OPENING;
    node->state = CL_NODE_CLOSING;
    cl_timers_stop(core, &node->drain);
    cl_timers_stop(core, &node->sweep);
    if (!opened) emit_ready(node, CLOUDS_ECLOSED, NULL);
    cl_request_refuse_waiting(node);
    cl_call_close_all(node);
    cl_message_drop_all(node, CLOUDS_ECLOSED);
    end_operations(node);
    core->bus->ops->node_close(core->bus, node);
}

void cl_node_check_drained(cl_node *node)
{
    if (node->draining && node->state != CL_NODE_CLOSING && cl_list_empty(&node->requests)) begin_close(node);
}

int cl_node_close(cl_node *node, double drain)
{
    if (node->draining) return CLOUDS_ECLOSED;
    cl_core *core = node->core;
    node->draining = 1;
    cl_channels_end(node, CLOUDS_ECLOSED, NULL);
    core->bus->ops->node_drain(core->bus, node);
    if (!cl_list_empty(&node->requests)) {
        if (!(drain >= 0)) drain = node->config.drain_timeout;
        cl_timers_set(core, &node->drain, cl_core_now(core) + cl_ms(drain));
    }
    cl_node_check_drained(node);
    return 0;
}

void cl_node_free(cl_node *node)
{
    cl_core *core = node->core;
    while (!cl_list_empty(&node->calls)) cl_call_discard(core, CL_OWNER(node->calls.next, cl_call, of_node));
    while (!cl_list_empty(&node->ops)) cl_op_discard(core, CL_OWNER(node->ops.next, cl_op, of_node));
    cl_message_drop_all(node, 0);
    cl_request_discard_all(node);
    cl_once_free_of_node(node);
    cl_channels_free(node);
    size_t at = 0;
    for (void *service; (service = cl_strmap_next(&node->services, &at));) cl_service_free(service);
    cl_strmap_free(&node->services);
    cl_strmap_free(&node->cancelable);
    cl_timers_abandon(core, &node->drain);
    cl_timers_abandon(core, &node->sweep);
    cl_list_remove(&node->of_core);
    cl_free(node);
}

void cl_core_node_closed(cl_core *core, cl_node *node)
{
    node->draining = 1;
    cl_channels_end(node, CLOUDS_ECLOSED, NULL);
    if (node->state == CL_NODE_OPENING) emit_ready(node, CLOUDS_ECLOSED, NULL);
    node->state = CL_NODE_CLOSING;
    cl_call_close_all(node);
    cl_message_drop_all(node, CLOUDS_ECLOSED);
    end_operations(node);
    cl_op_end_all(node, 0, NULL);
    clouds_event event = {.type = CLOUDS_EVENT_NODE_CLOSED, .user_data = node->config.user_data};
    cl_request_end_all(node);
    event.number = (int64_t)node->unanswered;
    cl_emit(core, node, &event);
    void *tag = node->tag;
    cl_node_free(node);
    if (core->port.closed) core->port.closed(core->port.self, tag);
}
