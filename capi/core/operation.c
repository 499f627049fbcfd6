#include "base/error.h"
#include "core/internal.h"
#include "core/offer.h"
#include "proto/schema.h"

/* Operations: register, unregister, a confirmed message, status. Each ends with one event. */

static cl_op *allocate(cl_node *node, enum cl_op_kind kind, uint64_t id, cl_str text)
{
    cl_op *op = cl_calloc(1, sizeof *op + text.n + 1);
    if (!op) return NULL;
    memcpy(op->room, text.p, text.n);
    op->text = cl_str_of(op->room, text.n);
    op->node = node;
    op->id = id;
    op->kind = kind;
    cl_list_init(&op->of_node);
    return op;
}

int cl_op_timeout_code(const cl_core *core)
{
    if (core->bus_up) return CLOUDS_ETIMEOUT;
    return core->bus_code ? core->bus_code : CLOUDS_EUNREACHABLE;
}

/* The operation ends here, so the bus need not report its end. */
static void abandon(cl_core *core, const cl_op *op)
{
    if (core->bus->ops->abandon && !op->is_over && (op->kind == CL_OP_REGISTER || op->kind == CL_OP_UNREGISTER))
        core->bus->ops->abandon(core->bus, op->id);
}

/* The method of a registration stays offered, and the bus goes on trying: the number says so. */
static void op_due(cl_core *core, cl_timed *timed, int64_t now)
{
    cl_op *op = CL_OWNER(timed, cl_op, timed);
    abandon(core, op);
    if (op->kind == CL_OP_SEND || op->kind == CL_OP_PUBLISH) cl_message_due(op);
    else if (op->kind == CL_OP_SUBSCRIBE) cl_channel_due(op);
    else cl_op_end(op, cl_op_timeout_code(core), NULL, op->kind == CL_OP_REGISTER, CL_STR_NONE);
}

int cl_op_cancel(cl_core *core, uint64_t id)
{
    cl_op *op = cl_op_find(core, id);
    if (!op) return CLOUDS_ESTALE;
    if (op->kind == CL_OP_SUBSCRIBE) return cl_channel_cancel(op);
    int is_sent = op->kind == CL_OP_SEND || op->kind == CL_OP_PUBLISH;
    abandon(core, op);
    if (is_sent) cl_message_forget(op);
    cl_op_end(op, CLOUDS_ECANCELED, NULL, is_sent ? -1 : op->kind == CL_OP_REGISTER, CL_STR_NONE);
    return 0;
}

static int too_many(cl_core *core)
{
    core->counters[CL_COUNT_LIMIT_HITS]++;
    return cl_error_limit(CLOUDS_ELIMIT, core->ops.len, core->config.max_in_flight,
                          "%zu operations are outstanding already (max_in_flight)", (size_t)core->ops.len);
}

int cl_op_create(cl_node *node, enum cl_op_kind kind, const cl_op_spec *spec, cl_str text, cl_op **out)
{
    cl_core *core = node->core;
    uint64_t id = spec->id;
    if (!id || cl_op_find(core, id)) return CLOUDS_EINVAL;
    if (core->ops.len >= core->config.max_in_flight) return too_many(core);
    cl_op *op = allocate(node, kind, id, text);
    if (!op) return CLOUDS_ENOMEM;
    int code = cl_timers_adopt(core, &op->timed, op_due);
    if (code) return cl_free(op), code;
    code = cl_idmap_put(&core->ops, id, op);
    if (code == 0) code = core->port.reserve(core->port.self);
    if (code) return cl_op_discard(core, op), code;
    cl_list_append(&node->ops, &op->of_node);
    op->user_data = spec->user_data;
    double seconds = spec->timeout > 0 ? spec->timeout : node->config.operation_timeout;
    cl_timers_set(core, &op->timed, cl_core_now(core) + cl_ms(seconds));
    *out = op;
    return 0;
}

cl_op *cl_op_find(const cl_core *core, uint64_t id)
{
    return cl_idmap_get(&core->ops, id);
}

void cl_op_discard(cl_core *core, cl_op *op)
{
    cl_timers_abandon(core, &op->timed);
    cl_idmap_take(&core->ops, op->id);
    cl_list_remove(&op->of_node);
    cl_buf_free(&op->rows);
    cl_free(op);
}

static uint32_t event_of(enum cl_op_kind kind)
{
    static const uint32_t types[] = {CLOUDS_EVENT_REGISTERED, CLOUDS_EVENT_UNREGISTERED, CLOUDS_EVENT_SENT,
                                     CLOUDS_EVENT_STATUS,     CLOUDS_EVENT_SENT,         CLOUDS_EVENT_SUBSCRIBED,
                                     CLOUDS_EVENT_PAUSED,     CLOUDS_EVENT_STATUS};
    return types[kind];
}

void cl_op_end(cl_op *op, int code, const char *words, int64_t number, cl_str data)
{
    cl_core *core = op->node->core;
    clouds_event event = {.type = event_of(op->kind),
                          .code = code,
                          .outcome = (uint32_t)clouds_err_outcome(code),
                          .id = op->id,
                          .user_data = op->user_data,
                          .number = number};
    if (op->kind == CL_OP_SEND) cl_set_text(&event.peer, &event.peer_len, op->text);
    else cl_set_text(&event.method, &event.method_len, op->text);
    cl_set_text(&event.data, &event.data_len, data);
    if (code) cl_set_text(&event.error, &event.error_len, cl_error_text_of_op(op, code, words));
    cl_emit(core, op->node, &event);
    cl_op_discard(core, op);
}

void cl_op_end_all(cl_node *node, int code, const char *words)
{
    while (!cl_list_empty(&node->ops)) {
        cl_op *op = CL_OWNER(node->ops.next, cl_op, of_node);
        cl_op_end(op, code, words, -1, CL_STR_NONE);
    }
}

void cl_core_registered(cl_core *core, uint64_t operation, int code, const char *words)
{
    cl_op *op = cl_op_find(core, operation);
    if (!op || (op->kind != CL_OP_REGISTER && op->kind != CL_OP_UNREGISTER)) return;
    op->is_over = op->kind == CL_OP_UNREGISTER && code == 0 && cl_offer_leaves(op->node, op->text);
    if (!op->is_over) cl_op_end(op, code, words, 0, CL_STR_NONE);
}

void cl_op_end_unregistered(cl_node *node, cl_str method)
{
    CL_LIST_EACH(it, &node->ops)
    {
        cl_op *op = CL_OWNER(it, cl_op, of_node);
        if (op->is_over && cl_str_eq(op->text, method)) cl_op_end(op, 0, NULL, 0, CL_STR_NONE);
    }
}

static int add_service(cl_node *node, cl_str method)
{
    if (cl_strmap_get(&node->services, method)) return 0;
    cl_service *service = cl_malloc(sizeof *service + method.n + 1);
    if (!service) return CLOUDS_ENOMEM;
    service->offer = NULL;
    service->schema = NULL;
    service->paused = 0;
    cl_service_changed(node, service);
    memcpy(service->text, method.p, method.n);
    service->name = cl_str_of(service->text, method.n);
    service->stats = cl_stats_of_service(node->core, service->name);
    if (cl_strmap_put(&node->services, service->name, service) == 0) return 0;
    cl_free(service);
    return CLOUDS_ENOMEM;
}

void cl_service_free(cl_service *service)
{
    if (service) cl_schema_destroy(service->schema);
    cl_free(service);
}

static void remove_service(cl_node *node, cl_str method)
{
    node->last_service = NULL;
    cl_service *service = cl_strmap_take(&node->services, method);
    if (service && service->offer) cl_offer_withdraw(service->offer);
    cl_service_free(service);
}

/* `schema` is the service's from then on, also when there is no memory for the limits. */
static int set_offer(cl_node *node, cl_str method, const cl_offer_spec *limits, cl_schema *schema)
{
    cl_service *service = cl_strmap_get(&node->services, method);
    cl_schema_destroy(service->schema);
    service->schema = schema;
    if (!limits && service->offer) cl_offer_withdraw(service->offer);
    service->offer = limits ? cl_offer_set(node, service->name, limits) : NULL;
    cl_service_changed(node, service);
    return limits && !service->offer ? CLOUDS_ENOMEM : 0;
}

static int is_open(const cl_node *node)
{
    return !node->draining && node->state != CL_NODE_CLOSING;
}

int cl_node_register(cl_node *node, cl_str method, const cl_op_spec *spec)
{
    return cl_node_offer_schema(node, method, NULL, CL_STR_NONE, spec);
}

int cl_node_offer(cl_node *node, cl_str method, const cl_offer_spec *limits, const cl_op_spec *spec)
{
    return cl_node_offer_schema(node, method, limits, CL_STR_NONE, spec);
}

int cl_node_offer_schema(cl_node *node, cl_str method, const cl_offer_spec *limits, cl_str declaration,
                         const cl_op_spec *spec)
{
    if (!is_open(node)) return CLOUDS_ECLOSED;
    if (node->state == CL_NODE_FAILED) return cl_error(node->failure, "%s", node->failure_text);
    if (!method.n) return CLOUDS_EINVAL;
    cl_op *op;
    cl_schema *schema = NULL;
    int new = cl_strmap_get(&node->services, method) == NULL;
    int code = declaration.n ? cl_schema_create(declaration, &schema) : 0;
    if (code) return code;
    code = add_service(node, method);
    if (code == 0) code = cl_op_create(node, CL_OP_REGISTER, spec, method, &op);
    if (code) {
        if (new) remove_service(node, method);
        cl_schema_destroy(schema);
        return code;
    }
    code = set_offer(node, method, limits, schema);
    if (code == 0) code = node->core->bus->ops->register_method(node->core->bus, node, method, spec->id);
    if (code == 0) cl_pause_registered(node, cl_strmap_get(&node->services, method));
    if (code == 0) return 0;
    if (new) remove_service(node, method);
    cl_op_end(op, code, clouds_last_error(), 0,
              CL_STR_NONE); /* room for the event is reserved, so the event reports it */
    return 0;
}

int cl_node_unregister(cl_node *node, cl_str method, const cl_op_spec *spec)
{
    if (!is_open(node)) return CLOUDS_ECLOSED;
    if (!cl_strmap_get(&node->services, method))
        return cl_error(CLOUDS_EINVAL, "no method '%.*s' is registered", (int)method.n, method.p);
    cl_op *op;
    int code = cl_op_create(node, CL_OP_UNREGISTER, spec, method, &op);
    if (code) return code;
    code = node->core->bus->ops->unregister_method(node->core->bus, node, op->text, spec->id);
    remove_service(node, op->text);
    if (code) cl_op_end(op, code, clouds_last_error(), 0, CL_STR_NONE);
    return 0;
}
