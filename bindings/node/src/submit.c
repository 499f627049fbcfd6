/* Orders of JavaScript, a batch at a time. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define NUMBER(name, texts) name,
enum { NO_ORDER, ADDON_ORDERS(NUMBER) };
#undef NUMBER

typedef struct piece {
    const char *p;
    size_t n;
} piece;

/* The texts still to be read, and the bytes of the orders that have some. */
typedef struct reader {
    const char *p, *end;
    napi_env env;
    napi_value areas;
} reader;

static piece next(reader *r)
{
    const char *end = r->p < r->end ? memchr(r->p, '\0', (size_t)(r->end - r->p)) : NULL;
    if (!end) end = r->end;
    piece text = {r->p, (size_t)(end - r->p)};
    r->p = end < r->end ? end + 1 : end;
    return text;
}

static addon_area bytes_of(const reader *r, const double *order)
{
    return addon_area_at(r->env, r->areas, order[7]);
}

static clouds_payload payload_of(piece value, piece meta, addon_area bytes)
{
    return (clouds_payload){.size = sizeof(clouds_payload),
                            .json = value.n ? value.p : NULL,
                            .json_len = value.n,
                            .bytes = bytes.n ? bytes.p : NULL,
                            .bytes_len = bytes.n,
                            .meta = meta.n ? meta.p : NULL,
                            .meta_len = meta.n};
}

/* Each is behind the other texts of the call. */
static void read_more(reader *r, clouds_call_options *options)
{
    piece key = next(r), once = next(r), reply_to = next(r), correlation = next(r), hedge = next(r), trace = next(r);
    options->key = key.p, options->key_len = key.n;
    options->once = once.p, options->once_len = once.n;
    options->reply_to = reply_to.p, options->reply_to_len = reply_to.n;
    options->correlation = correlation.p, options->correlation_len = correlation.n;
    options->trace = trace.p, options->trace_len = trace.n;
    options->hedge = hedge.n ? (double)strtoll(hedge.p, NULL, 10) / 1e6 : 0;
}

static int call(addon_bridge *bridge, const double *order, reader *r, uint64_t *id)
{
    piece method = next(r), server = next(r), arguments = next(r), meta = next(r);
    addon_area bytes = bytes_of(r, order);
    uint64_t parent = *id;
    uint32_t flags = (uint32_t)order[6];
    clouds_call_options options = {.size = sizeof options,
                                   .timeout = order[2],
                                   .deadline = order[3],
                                   .retries = (int32_t)order[4],
                                   .flags = flags & ~ADDON_TELL_SERVER,
                                   .user_data = (uint64_t)order[5] | (flags & ADDON_TELL_SERVER ? ADDON_TELLS : 0),
                                   .server = server.p,
                                   .server_len = server.n,
                                   .meta = meta.p,
                                   .meta_len = meta.n,
                                   .bytes = bytes.n ? bytes.p : NULL,
                                   .bytes_len = bytes.n,
                                   .parent = parent};
    if ((int)order[0] == CALL_WITH) read_more(r, &options);
    *id = 0;
    return clouds_node_call(bridge->node, method.p, method.n, arguments.p, arguments.n, &options, id);
}

static int fail(addon_bridge *bridge, uint64_t request, reader *r)
{
    piece error = next(r), values = next(r);
    return clouds_fail(bridge->context, request, error.p, error.n, values.n ? values.p : NULL, values.n);
}

static clouds_operation_options limits(const double *order)
{
    return (clouds_operation_options){.size = sizeof(clouds_operation_options), .timeout = order[2]};
}

static int send_message(addon_bridge *bridge, const double *order, reader *r, uint64_t *id)
{
    piece receiver = next(r), value = next(r);
    clouds_operation_options options = limits(order);
    clouds_payload payload = payload_of(value, (piece){0}, bytes_of(r, order));
    if (!payload.bytes_len)
        return clouds_node_send(bridge->node, receiver.p, receiver.n, value.p, value.n, (uint32_t)order[6], &options, id);
    return clouds_node_send_payload(bridge->node, receiver.p, receiver.n, &payload, (uint32_t)order[6], &options, id);
}

static int publish(addon_bridge *bridge, const double *order, reader *r, uint64_t *id)
{
    piece topic = next(r), value = next(r), meta = next(r), trace = next(r);
    clouds_operation_options options = limits(order);
    clouds_payload payload = payload_of(value, meta, bytes_of(r, order));
    payload.trace = trace.p, payload.trace_len = trace.n;
    return clouds_node_publish(bridge->node, topic.p, topic.n, &payload, (uint32_t)order[6], &options, id);
}

static int subscribe(addon_bridge *bridge, const double *order, reader *r, uint64_t *id)
{
    piece topics = next(r), group = next(r);
    clouds_operation_options operation = limits(order);
    clouds_subscribe_options options = {.size = sizeof options,
                                        .flags = (uint32_t)order[6],
                                        .queue = (uint32_t)order[3],
                                        .queue_bytes = order[4],
                                        .group = group.n ? group.p : NULL,
                                        .group_len = group.n};
    return clouds_node_subscribe(bridge->node, topics.p, topics.n, &options, &operation, id);
}

static unsigned digit_of(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* Numbers as the digits of their bytes. 1, or 0: there are not as many. */
static int read_numbers(piece text, double *out, size_t count)
{
    unsigned char *bytes = (unsigned char *)out;
    if (text.n != count * sizeof *out * 2) return 0;
    for (size_t i = 0; i < text.n / 2; i++)
        bytes[i] = (unsigned char)(digit_of(text.p[2 * i]) << 4 | digit_of(text.p[2 * i + 1]));
    return 1;
}

static int offer(addon_bridge *bridge, const clouds_operation_options *options, reader *r, uint64_t *id)
{
    piece method = next(r), limits = next(r), schema = next(r);
    double n[10] = {0};
    if (!read_numbers(limits, n, sizeof n / sizeof *n) && !schema.n)
        return clouds_node_offer(bridge->node, method.p, method.n, NULL, options, id);
    const clouds_offer_options record = {.size = sizeof record,
                                         .flags = (uint32_t)n[0],
                                         .concurrency = (int32_t)n[1],
                                         .key_arg = (uint32_t)n[2],
                                         .queue = (int32_t)n[3],
                                         .queue_age = n[4],
                                         .queue_target = n[5],
                                         .rate = n[6],
                                         .burst = n[7],
                                         .caller_rate = n[8],
                                         .caller_burst = n[9],
                                         .schema = schema.n ? schema.p : NULL,
                                         .schema_len = schema.n};
    return clouds_node_offer(bridge->node, method.p, method.n, &record, options, id);
}

static int reply(addon_bridge *bridge, const double *order, reader *r, uint64_t request)
{
    piece values = next(r);
    clouds_payload payload = payload_of(values, (piece){0}, bytes_of(r, order));
    if (!payload.bytes_len) return clouds_reply(bridge->context, request, values.p, values.n);
    return clouds_reply_payload(bridge->context, request, &payload);
}

static int attempt(addon_bridge *bridge, const double *order, reader *r, uint64_t id)
{
    clouds_payload payload = payload_of(next(r), (piece){0}, bytes_of(r, order));
    return clouds_attempt_payload(bridge->context, id, &payload);
}

static int ask(addon_bridge *bridge, const clouds_operation_options *options, reader *r, uint64_t *id)
{
    piece peer = next(r), what = next(r), args = next(r); /* each ends with NUL */
    return clouds_node_ask(bridge->node, peer.p, peer.n, what.p, args.p, args.n, options, id);
}

static int execute(addon_bridge *bridge, const double *order, reader *r, uint64_t *id)
{
    piece text;
    clouds_operation_options options = limits(order);
    switch ((int)order[0]) {
    case CALL:
    case CALL_WITH:
        return call(bridge, order, r, id);
    case REPLY:
        return reply(bridge, order, r, *id);
    case FAIL:
        return fail(bridge, *id, r);
    case SEND:
        return send_message(bridge, order, r, id);
    case PUBLISH:
        return publish(bridge, order, r, id);
    case SUBSCRIBE:
        return subscribe(bridge, order, r, id);
    case UNSUBSCRIBE:
        return clouds_unsubscribe(bridge->context, *id);
    case REFUSE:
        text = next(r); /* ends with NUL */
        return clouds_refuse(bridge->context, *id, atoi(text.p));
    case REGISTER:
        return offer(bridge, &options, r, id);
    case UNREGISTER:
        text = next(r);
        return clouds_node_unregister(bridge->node, text.p, text.n, &options, id);
    case EXPLAIN:
        text = next(r);
        return clouds_node_explain(bridge->node, text.p, text.n, &options, id);
    case STATUS:
        return clouds_node_status(bridge->node, &options, id);
    case LINKS:
        return clouds_node_links(bridge->node, &options, id);
    case STATS:
        return clouds_node_stats(bridge->node, &options, id);
    case ASK:
        return ask(bridge, &options, r, id);
    case CANCEL:
        return clouds_cancel(bridge->context, *id);
    case PAUSE:
    case RESUME:
        text = next(r);
        return clouds_node_pause(bridge->node, text.p, text.n, (int)order[0] == PAUSE, &options, id);
    case CHOOSE:
        text = next(r);
        return clouds_choose(bridge->context, *id, text.p, text.n);
    case ATTEMPT:
        return attempt(bridge, order, r, *id);
    default:
        return CLOUDS_EINVAL;
    }
}

/* Adds the number of an order and the error as JSON to the list of problems, which is made for the first. */
static void add_problem(napi_env env, napi_value *problems, uint32_t index)
{
    napi_value number, words;
    uint32_t count = 0;
    if (!*problems && napi_create_array(env, problems) != napi_ok) return;
    napi_get_array_length(env, *problems, &count);
    napi_create_uint32(env, index, &number);
    napi_create_string_utf8(env, clouds_last_error_json(), NAPI_AUTO_LENGTH, &words);
    napi_set_element(env, *problems, count, number);
    napi_set_element(env, *problems, count + 1, words);
}

static bool read_text(napi_env env, addon_text *in, napi_value text, uint32_t characters)
{
    size_t room = (size_t)characters * 3 + 1;
    in->len = 0;
    if (addon_text_room(in, room) && napi_get_value_string_utf8(env, text, in->p, room, &in->len) == napi_ok)
        return true;
    napi_throw_error(env, "CLOUDS_OUT_OF_MEMORY", "no memory for the texts");
    return false;
}

static napi_value execute_all(napi_env env, addon_bridge *bridge, double *orders, uint32_t count, napi_value areas)
{
    const addon_text *in = &bridge->state->in;
    reader r = {in->p, in->p + in->len, env, areas};
    napi_value problems = NULL;
    for (uint32_t i = 0; i < count; i++) {
        double *order = orders + i * ADDON_ORDER_NUMBERS;
        uint64_t id = (uint64_t)order[1];
        int code = execute(bridge, order, &r, &id);
        order[1] = (double)id;
        order[2] = code;
        if (code != 0) add_problem(env, &problems, i);
    }
    return problems;
}

/* submit(bridge, orders, count, text, characters, list of Buffers): undefined, or [index, error as JSON, ...] of the orders that were
 * refused. */
napi_value addon_submit(napi_env env, napi_callback_info info)
{
    size_t argc = 6, length = 0;
    napi_value a[6], problems;
    uint32_t count = 0, characters = 0;
    double *orders = NULL;
    napi_get_cb_info(env, info, &argc, a, NULL, NULL);
    addon_bridge *bridge = addon_bridge_of(env, a[0]);
    if (!bridge) return NULL;
    napi_get_typedarray_info(env, a[1], NULL, &length, (void **)&orders, NULL, NULL);
    napi_get_value_uint32(env, a[2], &count);
    napi_get_value_uint32(env, a[4], &characters);
    if (!orders || count > length / ADDON_ORDER_NUMBERS) return addon_refuse(env, CLOUDS_EINVAL);
    if (!read_text(env, &bridge->state->in, a[3], characters)) return NULL;
    problems = execute_all(env, bridge, orders, count, a[5]);
    addon_text_trim(&bridge->state->in);
    return problems;
}
