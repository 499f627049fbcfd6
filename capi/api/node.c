/* Nodes: create, close, destroy, and what they ask for. */
#include <math.h>
#include <string.h>

#include "api/check.h"
#include "api/config.h"
#include "api/handle.h"
#include "api/last_error.h"
#include "api/offer.h"
#include "base/error.h"
#include "base/mem.h"

/* Reserves the events that an operation of the node will end with. */
static int reserve(cl_context *context, size_t n)
{
    cl_context_lock(context);
    int code = cl_events_reserve(&context->inbox.events, n);
    cl_context_unlock(context);
    return code == 0 ? 0 : cl_error(code, NULL);
}

/* ---- create */

static int make_node(cl_context *context, const cl_options *options, cl_api_node **out)
{
    cl_api_node *node = cl_calloc(1, sizeof *node);
    if (!node) return cl_error(CLOUDS_ENOMEM, NULL);
    node->context = context;
    node->context_handle = context->handle;
    cl_list_init(&node->link);
    int code = cl_config_node(node, options);
    if (code == 0) {
        node->handle = context->threaded ? cl_handle_open(CL_HANDLE_NODE, node)
                                         : cl_handle_open_exclusive(CL_HANDLE_NODE, node, context->handle);
        if (!node->handle) code = cl_error(CLOUDS_ENOMEM, NULL);
    }
    if (code == 0) *out = node;
    else cl_api_node_free(node);
    return code;
}

static void revoke(cl_api_node *node)
{
    void *object;
    if (cl_handle_revoke(node->handle, CL_HANDLE_NODE, &object)) cl_handle_retire(node->handle);
}

/* Opens it; READY and NODE_CLOSED are promised. */
static int open_node(cl_context *context, cl_api_node *node)
{
    int code = reserve(context, 2);
    if (code != 0) return code;
    node->promised = 2;
    cl_context_lock(context);
    cl_list_append(&context->inbox.nodes, &node->link);
    cl_context_unlock(context);
    code = cl_submit(context, &(cl_command){.kind = CL_DO_OPEN, .node = node});
    return code == CLOUDS_ENOMEM ? cl_error(code, NULL) : code;
}

int clouds_node_create(clouds_context *handle, const clouds_options *options_handle, clouds_node **out)
{
    cl_context *context;
    const cl_options *options;
    cl_api_node *node = NULL;
    int code = cl_guard_context(handle, &context);
    if (code != 0) return code;
    code = cl_options_enter(options_handle, &options);
    if (code == 0) {
        if (!out) code = cl_error(CLOUDS_EINVAL, "clouds_node_create: out is NULL");
        else if (atomic_load(&context->closing)) code = cl_error(CLOUDS_ECLOSED, "the context is closed");
        else code = make_node(context, options, &node);
        cl_options_leave(options_handle);
    }
    if (code == 0) {
        clouds_node *node_handle = node->handle;
        code = open_node(context, node);
        if (code == 0) *out = node_handle;
        else revoke(node), cl_api_node_free(node);
    }
    cl_guard_leave(context);
    return code;
}

const char *clouds_node_id(clouds_node *handle)
{
    cl_api_node *node;
    if (cl_guard_node(handle, &node) != 0) return NULL;
    const char *id = node->id;
    cl_guard_leave_node(node);
    return id;
}

/* ---- close and destroy */

static int close_node(clouds_node *handle, double drain, const clouds_operation_options *options, uint64_t *operation)
{
    clouds_operation_options own;
    cl_api_node *node;
    int code = cl_guard_node(handle, &node);
    if (code != 0) return code;
    code = cl_operation_read(options, operation, 1, &own);
    if (code != 0) {
        /* nothing is done */
    } else if (isnan(drain)) {
        code = cl_error(CLOUDS_EINVAL, "drain is not a number");
    } else if (atomic_load(&node->context->closing) || atomic_exchange(&node->closing, 1)) {
        code = cl_error(CLOUDS_ECLOSED, "the node is closed already");
    } else {
        node->close_command = (cl_command){.kind = CL_DO_CLOSE_NODE, .node = node, .close.drain = drain};
        code = cl_operation_start_close(node->context, &own, &node->close_command, operation);
        if (code == CLOUDS_ENOMEM) atomic_store(&node->closing, 0);
    }
    cl_guard_leave_node(node);
    return code;
}

int clouds_node_close(clouds_node *node, double drain, const clouds_operation_options *options, uint64_t *operation)
{
    return cl_report_operation_error(options, close_node(node, drain, options, operation));
}

/* The handle is dead; what becomes of the node is the engine's business. */
static void destroy(cl_api_node *node)
{
    cl_context *context = node->context;
    int unclosed = !atomic_exchange(&node->closing, 1) && !atomic_load(&context->closing);
    node->destroy_command = (cl_command){.kind = CL_DO_DESTROY, .node = node, .close.no_event = unclosed};
    cl_submit_embedded(context, &node->destroy_command);
}

void clouds_node_destroy(clouds_node *handle)
{
    cl_api_node *node;
    void *object;
    if (!handle || cl_guard_node_and_context(handle, &node) != 0) return;
    cl_context *context = node->context;
    int mine = cl_handle_revoke(handle, CL_HANDLE_NODE, &object);
    cl_guard_unpin_node(handle, context);
    if (mine) {
        cl_handle_retire(handle);
        destroy(node);
    }
    cl_guard_leave(context);
}

static int check_open(const cl_api_node *node)
{
    if (!atomic_load(&node->closing) && !atomic_load(&node->context->closing)) return 0;
    return cl_error(CLOUDS_ECLOSED, "the node is closed");
}

/* ---- configure */

static int configure(cl_api_node *node, const cl_options *options)
{
    cl_config_change changes[CL_OPTIONS];
    int code = cl_options_check_live(options);
    if (code == 0) code = check_open(node);
    if (code != 0) return code;
    size_t n = cl_config_changes(options, changes);
    const cl_str bytes = cl_str_of((const char *)changes, n * sizeof *changes);
    return cl_submit(node->context, &(cl_command){.kind = CL_DO_CONFIGURE, .node = node, .change.text = bytes});
}

int clouds_node_configure(clouds_node *handle, const clouds_options *options_handle)
{
    cl_api_node *node;
    const cl_options *options;
    int code = cl_guard_node(handle, &node);
    if (code != 0) return code;
    if (!options_handle) code = cl_error(CLOUDS_EINVAL, "clouds_node_configure: options is NULL");
    else code = cl_options_enter(options_handle, &options);
    if (code == 0) {
        code = configure(node, options);
        cl_options_leave(options_handle);
    }
    cl_guard_leave_node(node);
    return code;
}

/* ---- operations that end with one event */

/* What a refused operation is about. */
static int about(const cl_api_node *node, cl_str method, cl_str receiver, int code)
{
    if (code == 0) return 0;
    cl_error_about(&(cl_facts){.method = method,
                               .node = receiver.n ? receiver : cl_str_z(node->id),
                               .cluster = cl_str_z(node->context->config.url_text)});
    return code;
}

static int start(cl_command *command, const clouds_operation_options *options, uint64_t *operation)
{
    clouds_operation_options own;
    int code = cl_operation_read(options, operation, 0, &own);
    if (code == 0) code = check_open(command->node);
    if (code != 0) return code;
    if (command->kind == CL_DO_REGISTER) atomic_store(&command->node->context->thread.serves, 1);
    return cl_operation_start(command->node->context, &own, command, operation);
}

/* `limits`: of an offer, as bytes. */
static int method_operation(clouds_node *handle, enum cl_command_kind kind, const char *method, size_t len,
                            cl_str limits, cl_str schema, const clouds_operation_options *options, uint64_t *operation)
{
    cl_api_node *node;
    int code = cl_guard_node(handle, &node);
    if (code != 0) return code;
    cl_command command = {
        .kind = kind, .node = node, .operation.name = cl_str_of(method, len), .operation.value = limits,
        .operation.meta = schema};
    code = cl_check_text(method, len, "the method");
    if (code == 0) code = cl_check_name(command.operation.name, node->context->config.limits.method, "method");
    if (code == 0 && kind == CL_DO_REGISTER && cl_ask_is_method(command.operation.name))
        code = cl_error(CLOUDS_EINVAL, "the method %.*s is the library's", (int)len, method);
    if (code == 0) code = cl_offer_check_schema(&node->context->config.limits, schema);
    if (code == 0) code = start(&command, options, operation);
    if (code != 0) about(node, cl_str_of(method ? method : "", method ? len : 0), CL_STR_NONE, code);
    cl_guard_leave_node(node);
    return code;
}

int clouds_node_register(clouds_node *node, const char *method, size_t method_len,
                         const clouds_operation_options *options, uint64_t *operation)
{
    return cl_report_operation_error(
        options, method_operation(node, CL_DO_REGISTER, method, method_len, CL_STR_NONE, CL_STR_NONE, options, operation));
}

static int offer_method(clouds_node *node, const char *method, size_t len, const clouds_offer_options *offer,
                        const clouds_operation_options *options, uint64_t *operation)
{
    cl_offer_spec limits = {0};
    cl_str schema = CL_STR_NONE;
    int code = offer ? cl_offer_read(offer, &limits, &schema) : 1;
    if (code < 0) return code;
    cl_str bytes = cl_str_of((const char *)&limits, code == 1 ? 0 : sizeof limits);
    return method_operation(node, CL_DO_REGISTER, method, len, bytes, schema, options, operation);
}

int clouds_node_offer(clouds_node *node, const char *method, size_t method_len, const clouds_offer_options *offer,
                      const clouds_operation_options *options, uint64_t *operation)
{
    return cl_report_operation_error(options, offer_method(node, method, method_len, offer, options, operation));
}

int clouds_node_unregister(clouds_node *node, const char *method, size_t method_len,
                           const clouds_operation_options *options, uint64_t *operation)
{
    return cl_report_operation_error(
        options, method_operation(node, CL_DO_UNREGISTER, method, method_len, CL_STR_NONE, CL_STR_NONE, options, operation));
}

static int pause_method(clouds_node *handle, const char *method, size_t len, int paused,
                        const clouds_operation_options *options, uint64_t *operation)
{
    cl_api_node *node;
    int code = cl_guard_node(handle, &node);
    if (code != 0) return code;
    cl_command command = {
        .kind = CL_DO_PAUSE, .node = node, .operation.name = cl_str_of(method, len), .operation.confirm = paused != 0};
    code = cl_check_text(method, len, "the method");
    if (code == 0 && len) code = cl_check_name(command.operation.name, node->context->config.limits.method, "method");
    if (code == 0) code = start(&command, options, operation);
    if (code != 0) about(node, cl_str_of(method ? method : "", method ? len : 0), CL_STR_NONE, code);
    cl_guard_leave_node(node);
    return code;
}

int clouds_node_pause(clouds_node *node, const char *method, size_t method_len, int paused,
                      const clouds_operation_options *options, uint64_t *operation)
{
    return cl_report_operation_error(options, pause_method(node, method, method_len, paused, options, operation));
}

static int ask_status(clouds_node *handle, enum cl_command_kind kind, const clouds_operation_options *options,
                      uint64_t *operation)
{
    cl_api_node *node;
    int code = cl_guard_node(handle, &node);
    if (code != 0) return code;
    code = about(node, CL_STR_NONE, CL_STR_NONE, start(&(cl_command){.kind = kind, .node = node}, options, operation));
    cl_guard_leave_node(node);
    return code;
}

int clouds_node_status(clouds_node *node, const clouds_operation_options *options, uint64_t *operation)
{
    return cl_report_operation_error(options, ask_status(node, CL_DO_STATUS, options, operation));
}

int clouds_node_links(clouds_node *node, const clouds_operation_options *options, uint64_t *operation)
{
    return cl_report_operation_error(options, ask_status(node, CL_DO_LINKS, options, operation));
}

int clouds_node_stats(clouds_node *node, const clouds_operation_options *options, uint64_t *operation)
{
    return cl_report_operation_error(options, ask_status(node, CL_DO_STATS, options, operation));
}

static int explain(clouds_node *handle, const char *method, size_t len, const clouds_operation_options *options,
                   uint64_t *operation)
{
    cl_api_node *node;
    int code = cl_guard_node(handle, &node);
    if (code != 0) return code;
    cl_command command = {.kind = CL_DO_EXPLAIN, .node = node, .operation.name = cl_str_of(method, len)};
    code = cl_check_text(method, len, "the method");
    if (code == 0) code = cl_check_name(command.operation.name, 65535, "method");
    if (code == 0) code = start(&command, options, operation);
    if (code != 0) about(node, cl_str_of(method ? method : "", method ? len : 0), CL_STR_NONE, code);
    cl_guard_leave_node(node);
    return code;
}

int clouds_node_explain(clouds_node *node, const char *method, size_t method_len,
                        const clouds_operation_options *options, uint64_t *operation)
{
    return cl_report_operation_error(options, explain(node, method, method_len, options, operation));
}

static int check_question(const cl_api_node *node, cl_str peer, cl_str what, cl_str args)
{
    int code = cl_check_name(peer, 65535, "node");
    if (code == 0 && !cl_ask_is_known(what))
        code = cl_error(CLOUDS_EINVAL, "a node cannot be asked to '%.*s'; expected ping, info, status, stats, methods, links, pause, resume or stop",
                        what.n < 100 ? (int)what.n : 100, what.p);
    return code == 0 && args.n ? cl_check_json(&node->context->config.limits, args, '{', "the question") : code;
}

static int ask_node(clouds_node *handle, cl_str peer, const char *what, cl_str args,
                    const clouds_operation_options *options, uint64_t *operation)
{
    const cl_str word = what ? cl_str_z(what) : CL_STR_NONE;
    cl_api_node *node;
    int code = cl_guard_node(handle, &node);
    if (code != 0) return code;
    cl_command command = {
        .kind = CL_DO_ASK, .node = node, .operation.name = peer, .operation.meta = word, .operation.value = args};
    code = check_question(node, peer, word, args);
    if (code == 0) code = cl_refused(node->context, start(&command, options, operation));
    if (code != 0) about(node, CL_STR_NONE, peer, code);
    cl_guard_leave_node(node);
    return code;
}

static int check_texts(const char *peer, size_t peer_len, const char *args, size_t args_len)
{
    int code = cl_check_text(peer, peer_len, "the node");
    return code ? code : cl_check_text(args, args_len, "the question");
}

int clouds_node_ask(clouds_node *node, const char *peer, size_t peer_len, const char *what, const char *args,
                    size_t args_len, const clouds_operation_options *options, uint64_t *operation)
{
    int code = check_texts(peer, peer_len, args, args_len);
    if (code == 0)
        code = ask_node(node, cl_str_of(peer, peer_len), what, cl_str_of(args, args_len), options, operation);
    return cl_report_operation_error(options, code);
}

/* ---- messages */

static int check_send(const cl_api_node *node, cl_str receiver, const clouds_payload *p, uint32_t flags,
                      const uint64_t *operation)
{
    if (flags & ~(uint32_t)CLOUDS_SEND_CONFIRM)
        return cl_error(CLOUDS_ENOTSUP, "this version does not know the flags %u of a message", flags);
    if (flags && !operation) return cl_error(CLOUDS_EINVAL, "the pointer for the operation's id is NULL");
    int code = cl_check_name(receiver, 65535, "receiver");
    if (code == 0 && p->json_len) code = cl_payload_check(&node->context->config.limits, p, 0);
    else if (code == 0 && (p->meta_len | p->bytes_len))
        code = cl_error(CLOUDS_EINVAL, "meta and bytes go along with a value");
    return code == 0 ? check_open(node) : code;
}

static int send_payload(clouds_node *handle, const char *receiver, size_t receiver_len, const clouds_payload *p,
                        uint32_t flags, const clouds_operation_options *options, uint64_t *operation)
{
    cl_api_node *node;
    int code = cl_guard_node(handle, &node);
    if (code != 0) return code;
    cl_command command = {.kind = CL_DO_SEND, .node = node, .operation.confirm = flags != 0};
    command.operation.name = cl_str_of(receiver, receiver_len);
    command.operation.value = cl_str_of(p->json, p->json_len);
    command.operation.meta = cl_str_of(p->meta, p->meta_len);
    command.operation.bytes = cl_str_of(p->bytes, p->bytes_len);
    code = cl_check_text(receiver, receiver_len, "the receiver");
    if (code == 0) code = cl_check_text(p->json, p->json_len, "the value");
    if (code == 0) code = check_send(node, command.operation.name, p, flags, operation);
    if (code == 0 && flags) {
        code = start(&command, options, operation);
    } else if (code == 0) {
        command.id = cl_context_id(node->context, 0);
        uint64_t id = command.id;
        code = cl_refused(node->context, cl_submit(node->context, &command));
        if (code == 0 && operation) *operation = id;
    }
    if (code != 0) about(node, CL_STR_NONE, cl_str_of(receiver ? receiver : "", receiver ? receiver_len : 0), code);
    cl_guard_leave_node(node);
    return code;
}

int clouds_node_send(clouds_node *node, const char *receiver, size_t receiver_len, const char *value, size_t value_len,
                     uint32_t flags, const clouds_operation_options *options, uint64_t *operation)
{
    const clouds_payload payload = {.json = value, .json_len = value_len};
    return cl_report_operation_error(options,
                                     send_payload(node, receiver, receiver_len, &payload, flags, options, operation));
}

int clouds_node_send_payload(clouds_node *node, const char *receiver, size_t receiver_len,
                             const clouds_payload *payload, uint32_t flags, const clouds_operation_options *options,
                             uint64_t *operation)
{
    clouds_payload p;
    int code = cl_payload_read(payload, &p);
    if (code == 0) code = send_payload(node, receiver, receiver_len, &p, flags, options, operation);
    return cl_report_operation_error(options, code);
}
