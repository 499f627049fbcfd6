/* clouds_node_call and clouds_cancel. */
#include <math.h>
#include <string.h>

#include "api/check.h"
#include "api/internal.h"
#include "api/last_error.h"
#include "api/record.h"
#include "base/error.h"
#include "base/seconds.h"
#include "proto/topic.h"

enum { CORRELATION_MAX = 255 };

/* Two servers may run it. */
CL_RARE static int check_hedge(const clouds_call_options *o)
{
    if (!isfinite(o->hedge)) return cl_error(CLOUDS_EINVAL, "hedge is %g, which is no number of seconds", o->hedge);
    if (o->server_len) return cl_error(CLOUDS_EINVAL, "a call of one server cannot be hedged: there is no second one");
    if (o->reply_to_len || (o->flags & CLOUDS_CALL_NOTIFY))
        return cl_error(CLOUDS_EINVAL, "a call that waits for no answer cannot be hedged");
    if (o->once_len || (o->flags & CLOUDS_CALL_IDEMPOTENT)) return 0;
    return cl_error(CLOUDS_EINVAL, "a hedged call may run at two servers: it needs an idempotency key (once), or to be "
                                   "called idempotent");
}

static int check_once(const clouds_call_options *o)
{
    int code = cl_check_text(o->once, o->once_len, "the idempotency key");
    if (code || o->once_len <= CL_ONCE_MAX) return code;
    return cl_error_limit(CLOUDS_ETOOBIG, o->once_len, CL_ONCE_MAX,
                          "the idempotency key has %zu bytes, at most %d are possible", o->once_len, CL_ONCE_MAX);
}

static int check_reply_to(const clouds_call_options *o)
{
    int code = cl_check_text(o->reply_to, o->reply_to_len, "the topic of the answer");
    if (code == 0) code = cl_check_text(o->correlation, o->correlation_len, "the correlation");
    if (code) return code;
    if (o->correlation_len && !o->reply_to_len)
        return cl_error(CLOUDS_EINVAL, "a correlation needs a topic for the answer (reply_to)");
    if (o->reply_to_len) code = cl_topic_check(cl_str_of(o->reply_to, o->reply_to_len));
    if (code == 0 && o->correlation_len)
        code = cl_check_name(cl_str_of(o->correlation, o->correlation_len), CORRELATION_MAX, "correlation");
    return code;
}

/* As most calls: times, and nothing besides. */
static inline int is_plain(const clouds_call_options *o)
{
    size_t more = o->server_len | o->meta_len | o->bytes_len | o->key_len | o->once_len | o->reply_to_len;
    return !(more | o->correlation_len | o->trace_len | o->flags | o->reserved) && o->hedge == 0;
}

static inline int check_periods(const clouds_call_options *o)
{
    int code = cl_check_period(o->timeout, "the timeout");
    return code ? code : cl_check_period(o->deadline, "the deadline");
}

CL_RARE static int check_more(const clouds_call_options *o)
{
    if (o->flags & ~(uint32_t)(CLOUDS_CALL_WAIT | CLOUDS_CALL_ASK | CLOUDS_CALL_NOTIFY | CLOUDS_CALL_IDEMPOTENT))
        return cl_error(CLOUDS_ENOTSUP, "this version does not know the flags %u of clouds_call_options", o->flags);
    if (o->reserved) return cl_error(CLOUDS_EINVAL, "clouds_call_options.reserved is %u, and must be 0", o->reserved);
    int code = o->hedge == 0 ? 0 : check_hedge(o);
    if (code == 0) code = cl_check_text(o->meta, o->meta_len, "the meta");
    if (code == 0) code = cl_check_text(o->trace, o->trace_len, "the trace");
    if (code == 0) code = cl_check_text(o->bytes, o->bytes_len, "the bytes");
    if (code == 0) code = check_periods(o);
    if (code == 0) code = cl_check_text(o->server, o->server_len, "the server");
    if (code == 0) code = cl_check_text(o->key, o->key_len, "the key");
    if (code == 0) code = check_once(o);
    if (code == 0) code = check_reply_to(o);
    if (code == 0 && o->server_len) code = cl_check_name(cl_str_of(o->server, o->server_len), 65535, "server");
    return code;
}

/* While it drains a node may still call on behalf of what it serves: the core knows what that is, and in thread mode
 * `open`. */
static int is_closed(cl_api_node *node, uint64_t parent)
{
    cl_context *context = node->context;
    if (!atomic_load_explicit(&node->closing, memory_order_relaxed) &&
        !atomic_load_explicit(&context->closing, memory_order_relaxed))
        return 0;
    if (!parent || !context->threaded) return !parent;
    pthread_mutex_lock(&context->inbox.lock);
    int serves = cl_idmap_get(&context->inbox.open, cl_open_key(CL_OPEN_REQUEST, parent)) != NULL;
    pthread_mutex_unlock(&context->inbox.lock);
    return !serves;
}

static int check_args(const cl_limits *limits, const cl_call_spec *spec)
{
    size_t bytes = spec->method.n + spec->args.n;
    int code = cl_check_json(limits, spec->args, '[', "the list of arguments");
    if (code == 0 && bytes > limits->message) code = cl_error_too_big("the call", bytes, limits->message);
    if (code != 0 && spec->method.n <= CL_ERROR_NAME) cl_error_prefix(spec->method);
    return code;
}

static int check_call(cl_api_node *node, const cl_call_spec *spec)
{
    int code = cl_check_name(spec->method, 65535, "method");
    if (code == 0) code = check_args(&node->context->config.limits, spec);
    if (code == 0 && spec->meta.n) code = cl_check_meta(&node->context->config.limits, spec->meta);
    if (code == 0 && spec->trace.n) code = cl_check_json(&node->context->config.limits, spec->trace, '{', "the trace");
    if (code == 0 && is_closed(node, spec->parent)) code = cl_error(CLOUDS_ECLOSED, "the node is closed");
    return code;
}

CL_RARE static int no_room_for_results(const cl_context *context)
{
    size_t bytes = context->inbox.events.bytes + context->inbox.wait_bytes;
    return cl_error_limit(CLOUDS_ELIMIT, bytes, context->config.max_result_bytes,
                          "%zu bytes of results wait to be taken already (max_event_bytes and max_in_flight_bytes)",
                          bytes);
}

CL_RARE static int too_many(const cl_context *context)
{
    return cl_error_limit(CLOUDS_ELIMIT, context->config.max_in_flight, context->config.max_in_flight,
                          "%zu calls are outstanding already (max_in_flight)", context->config.max_in_flight);
}

/* Under the lock. */
static int reserve(cl_context *context, uint64_t id)
{
    const cl_inbox *inbox = &context->inbox;
    size_t most = context->config.max_in_flight;
    if (context->threaded && inbox->calls_open >= most) return too_many(context);
    if (cl_id_is_waited_for(id) && inbox->wait_slots.len >= most) return too_many(context);
    /* The rest is for the results of those that are outstanding. */
    if (cl_deliver_is_full(context, context->config.max_result_bytes / 2)) return no_room_for_results(context);
    int code = cl_completion_reserve(context, id);
    if (code == 0 && context->threaded) context->inbox.calls_open++;
    return code;
}

static void unreserve(cl_context *context, uint64_t id)
{
    cl_context_lock(context);
    cl_completion_unreserve(context, id);
    if (context->threaded) context->inbox.calls_open--;
    cl_context_unlock(context);
}

static int start_call(cl_context *context, cl_command *c)
{
    cl_context_lock(context);
    int code = reserve(context, c->id);
    cl_context_unlock(context);
    if (code != 0) return code == CLOUDS_ENOMEM ? cl_error(code, NULL) : code;
    if (context->threaded) c->call.made_at = cl_loop_now(); /* else it is made now */
    uint64_t id = c->id;                                    /* in thread mode the command may be done already */
    code = cl_submit(context, c);
    if (code != 0) unreserve(context, id);
    return code;
}

CL_RARE static void about(const cl_api_node *node, const char *method, size_t len, const clouds_call_options *options)
{
    cl_facts facts = {.cluster = cl_str_z(node->context->config.url_text)};
    if (method) facts.method = cl_str_of(method, len);
    if (options->server) facts.server = cl_str_of(options->server, options->server_len);
    cl_error_about(&facts);
}

static int read_options(const clouds_call_options *theirs, clouds_call_options *room, const clouds_call_options **out)
{
    static const clouds_call_options none = {0};
    const void *seen = &none;
    int code = theirs ? cl_record_view(CL_RECORD_clouds_call_options, theirs, room, &seen) : 0;
    *out = code == 0 ? seen : &none;
    return code;
}

CL_RARE static void set_more(cl_call_spec *spec, const clouds_call_options *o)
{
    spec->server = cl_str_of(o->server, o->server_len);
    spec->ask = (o->flags & CLOUDS_CALL_ASK) != 0;
    spec->notify = (o->flags & CLOUDS_CALL_NOTIFY) || o->reply_to_len;
    spec->meta = cl_str_of(o->meta, o->meta_len);
    spec->trace = cl_str_of(o->trace, o->trace_len);
    spec->bytes = cl_str_of(o->bytes, o->bytes_len);
    spec->hedge = o->hedge > 0 ? cl_at_most(o->hedge) : o->hedge;
    spec->once = cl_str_of(o->once, o->once_len);
    spec->reply_to = cl_str_of(o->reply_to, o->reply_to_len);
    spec->correlation = cl_str_of(o->correlation, o->correlation_len);
    if (o->key_len) spec->has_key = 1, spec->key = cl_balance_key(cl_str_of(o->key, o->key_len));
}

static int call_method(clouds_node *handle, const char *method, size_t method_len, const char *args, size_t args_len,
                       const clouds_call_options *options, uint64_t *call)
{
    cl_api_node *node;
    int code = cl_guard_node(handle, &node);
    if (code != 0) return code;
    clouds_call_options room;
    const clouds_call_options *o;
    code = read_options(options, &room, &o);
    int plain = is_plain(o);
    if (code == 0) code = plain ? check_periods(o) : check_more(o);
    if (code == 0) code = cl_check_text(method, method_len, "the method");
    if (code == 0) code = cl_check_text(args, args_len, "the list of arguments");
    if (code == 0 && !call) code = cl_error(CLOUDS_EINVAL, "the pointer for the call's id is NULL");
    if (code == 0) {
        cl_command c = {.kind = CL_DO_CALL,
                        .node = node,
                        .call = {.user_data = o->user_data,
                                 .method = cl_str_of(method, method_len),
                                 .args = cl_json_trim(cl_str_of(args, args_len)),
                                 .server = CL_STR_NONE,
                                 .timeout = cl_at_most(o->timeout),
                                 .deadline = cl_at_most(o->deadline),
                                 .parent = o->parent,
                                 .retries = o->retries,
                                 .meta = CL_STR_NONE,
                                 .trace = CL_STR_NONE,
                                 .bytes = CL_STR_NONE,
                                 .once = CL_STR_NONE,
                                 .reply_to = CL_STR_NONE,
                                 .correlation = CL_STR_NONE}};
        if (!plain) set_more(&c.call, o);
        code = check_call(node, &c.call);
        c.id = cl_context_id(node->context, (o->flags & CLOUDS_CALL_WAIT) != 0);
        if (code == 0) code = cl_refused(node->context, start_call(node->context, &c));
        if (code == 0) *call = c.id;
    }
    if (code != 0) about(node, method, method_len, o);
    cl_guard_leave_node(node);
    return code;
}

int clouds_node_call(clouds_node *node, const char *method, size_t method_len, const char *args, size_t args_len,
                     const clouds_call_options *options, uint64_t *call)
{
    return cl_report_call_error(options, call_method(node, method, method_len, args, args_len, options, call));
}

/* ---- cancel */

/* A call kept for clouds_wait: 1 when there is nothing more to do, 0 when the core has to be asked. The first cancel
 * leaves the completion to a wait, even one that is there already: between two slices of waiting nobody waits. The
 * second says that nobody will. Under the lock. */
static int can_cancel_waited(cl_context *context, uint64_t call)
{
    cl_wait_slot *slot = cl_idmap_get(&context->inbox.wait_slots, call);
    if (!slot || slot->abandoned || slot->closing) return CLOUDS_ESTALE;
    if (!slot->canceled) {
        slot->canceled = slot->done;
        return slot->done;
    }
    if (!cl_list_empty(&slot->watches)) return CLOUDS_ESTALE;
    slot->abandoned = 1;
    if (slot->done) cl_wait_slot_drop(&context->inbox.wait_slots, call);
    return 1;
}

/* 0: the core has to be asked; 1: done; or CLOUDS_ESTALE. Under the lock. */
static int can_cancel(cl_context *context, uint64_t call)
{
    if (cl_id_is_waited_for(call)) return can_cancel_waited(context, call);
    return context->threaded && !cl_idmap_get(&context->inbox.open, cl_open_key(CL_OPEN_CALL, call)) ? CLOUDS_ESTALE
                                                                                                     : 0;
}

/* A second cancel of an event to come finds nothing. Under the lock. */
static void note_canceled(cl_context *context, uint64_t call, int canceled)
{
    cl_wait_slot *slot = cl_id_is_waited_for(call) ? cl_idmap_get(&context->inbox.wait_slots, call) : NULL;
    if (slot) slot->canceled = canceled;
    else if (context->threaded) cl_idmap_take(&context->inbox.open, cl_open_key(CL_OPEN_CALL, call));
}

static int cancel_inline(cl_context *context, uint64_t call, const cl_command *command)
{
    int code = can_cancel(context, call);
    if (code != 0) return code;
    note_canceled(context, call, 1);
    code = cl_submit(context, command);
    if (code != 0 && code != CLOUDS_ESTALE) note_canceled(context, call, 0);
    return code;
}

/* The lock is held until the command is queued: the call cannot complete before it is known whether it was. */
static int cancel_threaded(cl_context *context, uint64_t call, const cl_command *command)
{
    enum cl_wake whom = CL_WAKE_NONE;
    pthread_mutex_lock(&context->inbox.lock);
    int code = can_cancel(context, call);
    if (code == 0 && (code = cl_queue_put(context, command, &whom)) == 0) note_canceled(context, call, 1);
    pthread_mutex_unlock(&context->inbox.lock);
    cl_queue_wake(context, whom);
    return code;
}

int clouds_cancel(clouds_context *handle, uint64_t call)
{
    cl_context *context;
    int code = cl_guard_context(handle, &context);
    if (code != 0) return code;
    const cl_command command = {.kind = CL_DO_CANCEL, .id = call};
    code = context->threaded ? cancel_threaded(context, call, &command) : cancel_inline(context, call, &command);
    if (code == CLOUDS_ESTALE) cl_error(code, "no such call, or it has completed");
    cl_guard_leave(context);
    return code < 0 ? code : 0;
}
