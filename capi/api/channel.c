/* clouds_node_publish, clouds_node_subscribe, clouds_unsubscribe. */
#include <inttypes.h>
#include <math.h>

#include "api/check.h"
#include "api/internal.h"
#include "api/last_error.h"
#include "api/record.h"
#include "base/buf.h"
#include "base/error.h"
#include "proto/topic.h"

enum { QUEUE = CLOUDS_SUBSCRIBE_QUEUE, QUEUE_BYTES = CLOUDS_SUBSCRIBE_BYTES, QUEUE_MOST = 1 << 24 };

static int check_open(const cl_api_node *node)
{
    if (!atomic_load(&node->closing) && !atomic_load(&node->context->closing)) return 0;
    return cl_error(CLOUDS_ECLOSED, "the node is closed");
}

static int about(const cl_api_node *node, int code)
{
    if (code == 0) return 0;
    cl_error_about(&(cl_facts){.node = cl_str_z(node->id), .cluster = cl_str_z(node->context->config.url_text)});
    return code;
}

/* ---- publish */

static int check_trace(const cl_limits *limits, const clouds_payload *p)
{
    int code = cl_check_text(p->trace, p->trace_len, "the trace");
    return code == 0 && p->trace_len ? cl_check_json(limits, cl_str_of(p->trace, p->trace_len), '{', "the trace") : code;
}

static int publish(cl_api_node *node, cl_command *command, const clouds_payload *payload, uint32_t flags,
                   const clouds_operation_options *options, uint64_t *operation)
{
    clouds_operation_options own;
    clouds_payload p = {0};
    int code = cl_payload_read(payload, &p);
    if (code == 0 && flags & ~(uint32_t)CLOUDS_SEND_CONFIRM)
        code = cl_error(CLOUDS_ENOTSUP, "this version does not know the flags %u of a publish", flags);
    if (code == 0 && flags && !operation) code = cl_error(CLOUDS_EINVAL, "the pointer for the operation's id is NULL");
    if (code == 0) code = cl_topic_check(command->operation.name);
    if (code == 0) code = cl_payload_check(&node->context->config.limits, &p, 0);
    if (code == 0) code = check_trace(&node->context->config.limits, &p);
    if (code == 0) code = check_open(node);
    if (code != 0) return code;
    command->operation.value = cl_str_of(p.json, p.json_len);
    command->operation.meta = cl_str_of(p.meta, p.meta_len);
    command->operation.bytes = cl_str_of(p.bytes, p.bytes_len);
    command->operation.trace = cl_str_of(p.trace, p.trace_len);
    command->operation.confirm = flags != 0;
    if (flags) {
        code = cl_operation_read(options, operation, 0, &own);
        return code ? code : cl_operation_start(node->context, &own, command, operation);
    }
    uint64_t id = command->id = cl_context_id(node->context, 0);
    code = cl_refused(node->context, cl_submit(node->context, command));
    if (code == 0 && operation) *operation = id;
    return code;
}

int clouds_node_publish(clouds_node *handle, const char *topic, size_t topic_len, const clouds_payload *payload,
                        uint32_t flags, const clouds_operation_options *options, uint64_t *operation)
{
    cl_api_node *node;
    int code = cl_guard_node(handle, &node);
    if (code == 0) {
        cl_command command = {.kind = CL_DO_PUBLISH, .node = node, .operation.name = cl_str_of(topic, topic_len)};
        code = cl_check_text(topic, topic_len, "the topic");
        if (code == 0) code = publish(node, &command, payload, flags, options, operation);
        about(node, code);
        cl_guard_leave_node(node);
    }
    return cl_report_operation_error(options, code);
}

/* ---- subscribe */

static int is_among(cl_str line, cl_str lines)
{
    while (lines.n) {
        const char *end = memchr(lines.p, '\n', lines.n);
        size_t n = end ? (size_t)(end - lines.p) : lines.n;
        if (cl_str_eq(line, cl_str_of(lines.p, n))) return 1;
        lines = end ? cl_str_of(end + 1, lines.n - n - 1) : CL_STR_NONE;
    }
    return 0;
}

static int check_topic(cl_str topic, cl_str others, const clouds_subscribe_options *o)
{
    int code = cl_topic_check_pattern(topic);
    if (code) return code;
    int is_pattern = cl_topic_is_pattern(topic);
    if (is_pattern && o->group_len)
        return cl_error(CLOUDS_EINVAL, "'%.*s' is a pattern, and a group takes topics only", (int)topic.n, topic.p);
    if (is_pattern && o->flags & CLOUDS_SUBSCRIBE_ALL)
        return cl_error(CLOUDS_EINVAL, "'%.*s' is a pattern, and all-of takes topics only", (int)topic.n, topic.p);
    if (is_among(topic, others))
        return cl_error(CLOUDS_EINVAL, "the topic '%.*s' is there twice", (int)topic.n, topic.p);
    return 0;
}

/* Reads a JSON array of topics to lines of `out`. */
static int read_topics(const cl_limits *limits, cl_str json, const clouds_subscribe_options *o, cl_buf *out)
{
    cl_json j;
    cl_str raw;
    int escaped, more, n = 0;
    int code = cl_check_json(limits, json, '[', "the list of topics");
    if (code) return code;
    cl_json_start(&j, json, limits->json);
    cl_json_enter(&j, '[');
    while ((more = cl_json_element(&j)) > 0) {
        if (cl_json_peek(&j) != '"') return cl_error(CLOUDS_EINVAL, "topic number %d is no text", n + 1);
        if (++n > CLOUDS_SUBSCRIBE_TOPICS)
            return cl_error_limit(CLOUDS_EINVAL, (uint64_t)n, CLOUDS_SUBSCRIBE_TOPICS,
                                  "there are more than %d topics in one subscription", CLOUDS_SUBSCRIBE_TOPICS);
        cl_str before = cl_buf_str(out);
        if (n > 1 && cl_buf_put_char(out, '\n') != 0) return cl_error(CLOUDS_ENOMEM, NULL);
        size_t at = out->len;
        if (cl_json_string(&j, &raw, &escaped) != 0) return cl_error(CLOUDS_EJSON, NULL);
        if (cl_json_unescape(raw, out) != 0) return cl_error(CLOUDS_ENOMEM, NULL);
        code = check_topic(cl_str_of(out->data + at, out->len - at), cl_str_of(out->data, before.n), o);
        if (code) return code;
    }
    if (n == 0) return cl_error(CLOUDS_EINVAL, "there is no topic");
    if (n == 1 && o->flags & CLOUDS_SUBSCRIBE_ALL) return cl_error(CLOUDS_EINVAL, "all-of takes two topics or more");
    return 0;
}

static int read_options(const clouds_subscribe_options *theirs, clouds_subscribe_options *o)
{
    const uint32_t known = CLOUDS_SUBSCRIBE_ALL | CLOUDS_SUBSCRIBE_DROP_NEWEST;
    char bytes[CL_NUMBER_TEXT];
    *o = (clouds_subscribe_options){0};
    int code = theirs ? cl_record_read(CL_RECORD_clouds_subscribe_options, theirs, o) : 0;
    if (code) return code;
    if (o->reserved) return cl_error(CLOUDS_EINVAL, "reserved is not 0");
    if (o->group && !o->group_len) return cl_error(CLOUDS_EINVAL, "the name of the group is empty");
    if (o->flags & ~known)
        return cl_error(CLOUDS_ENOTSUP, "this version does not know the flags %u of a subscription", o->flags);
    if (o->queue > QUEUE_MOST)
        return cl_error_limit(CLOUDS_EINVAL, o->queue, QUEUE_MOST, "a queue of %u messages: at most %d are possible",
                              o->queue, QUEUE_MOST);
    if (!(o->queue_bytes >= 0) || o->queue_bytes > 1e15)
        return cl_error(CLOUDS_EINVAL, "a queue of %s bytes: expected 0 (the default) to 1e15",
                        cl_number_text(bytes, o->queue_bytes, 6));
    if (!o->queue) o->queue = QUEUE;
    if (!(o->queue_bytes > 0)) o->queue_bytes = QUEUE_BYTES;
    code = cl_check_text(o->group, o->group_len, "the group");
    if (code == 0 && o->group_len && o->flags & CLOUDS_SUBSCRIBE_ALL)
        code = cl_error(CLOUDS_EINVAL, "all-of is not possible in a group");
    return code == 0 && o->group_len ? cl_topic_check_group(cl_str_of(o->group, o->group_len)) : code;
}

/* Under the lock: its queue, and room for both of its completions. */
static int reserve(cl_context *context, uint64_t id, const clouds_subscribe_options *o)
{
    cl_inbox *inbox = &context->inbox;
    int code = cl_subscriptions_add(&inbox->subscriptions, id, o->queue, (size_t)o->queue_bytes,
                                    (o->flags & CLOUDS_SUBSCRIBE_DROP_NEWEST) != 0);
    if (code) return code;
    code = cl_events_reserve(&inbox->events, 1);
    if (code == 0 && (code = cl_completion_reserve(context, id)) != 0) cl_events_unreserve(&inbox->events, 1);
    if (code) cl_subscriptions_remove(&inbox->subscriptions, id);
    return code;
}

static void unreserve(cl_context *context, uint64_t id)
{
    cl_completion_unreserve(context, id);
    cl_events_unreserve(&context->inbox.events, 1);
    cl_subscriptions_remove(&context->inbox.subscriptions, id);
}

static int start(cl_api_node *node, cl_str topics, const clouds_subscribe_options *o,
                 const clouds_operation_options *op, uint64_t *subscription)
{
    cl_context *context = node->context;
    uint64_t id = cl_context_id(context, (op->flags & CLOUDS_OPERATION_WAIT) != 0);
    const cl_command command = {.kind = CL_DO_SUBSCRIBE,
                                .node = node,
                                .subscribe = {.op = {id, op->user_data ? op->user_data : o->user_data, op->timeout},
                                              .user_data = o->user_data,
                                              .topics = topics,
                                              .group = cl_str_of(o->group, o->group_len),
                                              .all = (o->flags & CLOUDS_SUBSCRIBE_ALL) != 0,
                                              .queue = o->queue,
                                              .queue_bytes = (size_t)o->queue_bytes}};
    cl_context_lock(context);
    int code = reserve(context, id, o);
    cl_context_unlock(context);
    if (code) return cl_error(code, NULL);
    code = cl_submit(context, &command);
    if (code == 0) {
        *subscription = id;
        return 0;
    }
    cl_context_lock(context);
    unreserve(context, id);
    cl_context_unlock(context);
    return code;
}

static int subscribe(cl_api_node *node, cl_str json, const clouds_subscribe_options *options,
                     const clouds_operation_options *operation, uint64_t *subscription)
{
    clouds_subscribe_options o;
    clouds_operation_options op;
    cl_buf topics = {0};
    if (!subscription) return cl_error(CLOUDS_EINVAL, "the pointer for the subscription's id is NULL");
    int code = read_options(options, &o);
    if (code == 0) code = cl_operation_read(operation, subscription, 0, &op);
    if (code == 0) code = check_open(node);
    if (code == 0) code = read_topics(&node->context->config.limits, json, &o, &topics);
    if (code == 0) code = start(node, cl_buf_str(&topics), &o, &op, subscription);
    cl_buf_free(&topics);
    return code;
}

int clouds_node_subscribe(clouds_node *handle, const char *topics, size_t topics_len,
                          const clouds_subscribe_options *options, const clouds_operation_options *operation,
                          uint64_t *subscription)
{
    cl_api_node *node;
    int code = cl_guard_node(handle, &node);
    if (code == 0) {
        code = cl_check_text(topics, topics_len, "the list of topics");
        if (code == 0) code = subscribe(node, cl_str_of(topics, topics_len), options, operation, subscription);
        about(node, code);
        cl_guard_leave_node(node);
    }
    return cl_report_operation_error(operation, code);
}

/* ---- unsubscribe */

static int no_such(uint64_t subscription)
{
    return cl_error(CLOUDS_ESTALE, "there is no subscription %" PRIu64 ", or it has ended", subscription);
}

int clouds_unsubscribe(clouds_context *handle, uint64_t subscription)
{
    cl_context *context;
    int code = cl_guard_context(handle, &context);
    if (code) return code;
    cl_context_lock(context);
    int is_open = cl_subscriptions_is_open(&context->inbox.subscriptions, subscription);
    cl_context_unlock(context);
    code = is_open ? cl_submit(context, &(cl_command){.kind = CL_DO_UNSUBSCRIBE, .id = subscription})
                   : no_such(subscription);
    if (code == 0) {
        cl_context_lock(context);
        cl_subscriptions_close(&context->inbox.subscriptions, subscription);
        cl_context_unlock(context);
    }
    cl_guard_leave(context);
    return code;
}
