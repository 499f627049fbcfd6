/* Spans of calls and requests: what they are part of, which of them are recorded, what is noted in them. */
#include "base/hex.h"
#include "core/internal.h"
#include "fake.h"
#include "proto/meta.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"
#define PARENT "00-" TRACE "-" SPAN "-"

static cl_buf recorded; /* spans in JSON, each ended by \n */

static void record(void *self, const cl_span *span)
{
    CHECK_INT(cl_span_put(span, &recorded), 0);
    CHECK_INT(cl_buf_put_char(&recorded, '\n'), 0);
}

static cl_core_config traced(void)
{
    cl_core_config config = fake_core_config();
    config.traces = config.trace_by_parent = config.trace_for_others = 1;
    config.trace_below = (uint64_t)INT64_MAX + 1;
    return config;
}

static void start(fake *f, const cl_core_config *config, const char *type)
{
    cl_buf_clear(&recorded);
    f->span = record;
    f->seed = 7;
    f->config = fake_node_config(type);
    f->config.retries = 1;
    fake_open(f, config);
    f->node = fake_node(f, "c.1", &f->config);
    cl_core_bus(f->core, 1, 0, NULL);
    cl_node_ready(f->node, 0, NULL);
    if (type[0] == 's') {
        CHECK_INT(cl_node_register(f->node, CL_STR("up"), &(cl_op_spec){.id = 7}), 0);
        cl_core_registered(f->core, 7, 0, NULL);
    }
}

static void end(fake *f)
{
    cl_buf_free(&recorded);
    f->meta = NULL;
    fake_end(f);
}

/* The nth span; "" when there are not so many. */
static const char *span(int n)
{
    static char text[4096];
    const char *at = recorded.data, *stop = at ? at + recorded.len : at;
    for (; at && at < stop && n > 0; n--) at = (const char *)memchr(at, '\n', (size_t)(stop - at)) + 1;
    size_t length = at && at < stop ? (size_t)((const char *)memchr(at, '\n', (size_t)(stop - at)) - at) : 0;
    snprintf(text, sizeof text, "%.*s", (int)length, length ? at : "");
    return text;
}

static int has(int n, const char *part)
{
    int found = strstr(span(n), part) != NULL;
    if (!found) printf("# span %d has no %s: %s\n", n, part, span(n));
    return found;
}

/* The text behind "name":" of a span. */
static const char *of(int n, const char *name, char out[64])
{
    char key[64];
    snprintf(key, sizeof key, "\"%s\":\"", name);
    const char *at = strstr(span(n), key);
    snprintf(out, 64, "%.*s", at ? (int)strcspn(at + strlen(key), "\"") : 0, at ? at + strlen(key) : "");
    return out;
}

static cl_trace_place place_of(const char *meta)
{
    cl_trace_place place = {.flags = 99};
    CHECK_INT(cl_traceparent_read(cl_meta_trace_of(cl_str_z(meta)).parent, &place), 0);
    return place;
}

static void a_call_begins_a_trace(void)
{
    fake f = {0};
    char text[64], digits[64];
    cl_core_config config = traced();
    start(&f, &config, "client");
    fake_call(&f, "m");
    fake_servers(&f, "m", "f.1");
    cl_trace_place place = place_of(fake_last_sent(&f)->meta);
    CHECK_INT(place.flags, 1);
    fake_advance(&f, 20);
    fake_answer(&f, 0, "", "[]");
    cl_hex_write(place.span, CL_SPAN_ID, digits);
    digits[2 * CL_SPAN_ID] = 0;
    CHECK_STR(of(0, "spanId", text), strlen(text), digits);
    CHECK(has(0, "\"name\":\"m\",\"kind\":3") &&
          has(0, "{\"key\":\"clouds.server\",\"value\":{\"stringValue\":\"f.1\"}}"));
    CHECK(has(0, "\"clouds.outcome\",\"value\":{\"stringValue\":\"OK\"}") &&
          has(0, "\"clouds.sends\",\"value\":{\"intValue\":\"1\"}"));
    CHECK(!strstr(span(0), "parentSpanId") && !strstr(span(0), "status") && !strstr(span(0), "events"));
    long long began = atoll(of(0, "startTimeUnixNano", text)), ended = atoll(of(0, "endTimeUnixNano", text));
    CHECK_INT(began, (f.now - 20) * 1000000);
    CHECK_INT(ended, f.now * 1000000);
    end(&f);
}

static void a_call_goes_on_in_the_trace_of_its_meta(void)
{
    fake f = {0};
    cl_core_config config = traced();
    start(&f, &config, "client");
    fake_call_spec(&f,
                   (cl_call_spec){.method = CL_STR("m"),
                                  .meta = CL_STR("{\"a\":1,\"traceparent\":\"" PARENT "01\",\"tracestate\":\"x=1\"}")});
    fake_servers(&f, "m", "f.1");
    const char *meta = fake_last_sent(&f)->meta;
    CHECK(strncmp(meta, "{\"a\":1,\"traceparent\":\"00-" TRACE "-", 48) == 0 && !strstr(meta, SPAN));
    CHECK(strstr(meta, "\"tracestate\":\"x=1\""));
    fake_answer(&f, 0, "", "[]");
    CHECK(has(0, "\"traceId\":\"" TRACE "\"") && has(0, "\"parentSpanId\":\"" SPAN "\"") &&
          has(0, "\"traceState\":\"x=1\""));
    /* What is not recorded there is not here, and goes on as it is. */
    fake_call_spec(
        &f, (cl_call_spec){.method = CL_STR("m"), .trace = CL_STR("{\"b\":1,\"traceparent\":\"" PARENT "00\"}")});
    meta = fake_last_sent(&f)->meta;
    CHECK_STR(meta, strlen(meta), "{\"traceparent\":\"" PARENT "00\"}");
    fake_answer(&f, 1, "", "[]");
    CHECK_STR(span(1), strlen(span(1)), "");
    /* One that cannot be begins anew, without its state. */
    fake_call_spec(&f, (cl_call_spec){.method = CL_STR("m"),
                                      .meta = CL_STR("{\"traceparent\":\"00-1-2-01\",\"tracestate\":\"x=1\"}")});
    meta = fake_last_sent(&f)->meta;
    CHECK(place_of(meta).flags == 1 && !strstr(meta, "tracestate"));
    end(&f);
}

static void a_request_hands_on_its_own_span(void)
{
    fake f = {0};
    char text[64];
    cl_core_config config = traced();
    start(&f, &config, "server");
    f.meta = "{\"-secret\":1,\"traceparent\":\"" PARENT "01\"}";
    uint64_t id = fake_inbound(&f, f.node, "c.9", "abc", "up", CL_NATIVE | CL_FRAMES, f.now + 1500);
    const char *seen = fake_find(&f, CLOUDS_EVENT_REQUEST)->meta;
    CHECK(strncmp(seen, "{\"-secret\":1,\"traceparent\":\"00-" TRACE, 48) == 0 && !strstr(seen, SPAN));
    fake_call_spec(&f, (cl_call_spec){.method = CL_STR("m"), .parent = id});
    fake_servers(&f, "m", "f.1");
    CHECK(!strstr(fake_last_sent(&f)->meta, "secret"));
    fake_answer(&f, f.n_sent - 1, "", "[]");
    CHECK_INT(cl_core_answer(f.core, id, CL_STR("{\"message\":\"no\\u0041\",\"code\":\"E\"}"), CL_STR_NONE), 0);
    CHECK(has(0, "\"name\":\"m\",\"kind\":3") && has(1, "\"name\":\"up\",\"kind\":2") &&
          has(1, "\"parentSpanId\":\"" SPAN "\""));
    CHECK_STR(of(0, "parentSpanId", text), 16, of(1, "spanId", (char[64]){0}));
    CHECK(has(1, "\"status\":{\"code\":2,\"message\":\"noA\"}") &&
          has(1, "\"error.type\",\"value\":{\"stringValue\":\"E\"}"));
    CHECK(has(1, "\"name\":\"exception\"") && has(1, "\"clouds.caller\",\"value\":{\"stringValue\":\"c.9\"}"));
    end(&f);
}

static void events_tell_of_failures(void)
{
    fake f = {0};
    cl_core_config config = traced();
    start(&f, &config, "client");
    uint64_t id = fake_call(&f, "m");
    fake_servers(&f, "m", "f.1,f.2");
    fake_refuse(&f, 0, CLOUDS_EDRAINING);
    fake_advance(&f, 2000);
    fake_advance(&f, 2100);
    CHECK(fake_result(&f, id) != NULL);
    CHECK(has(0, "\"name\":\"failover\",\"attributes\":[{\"key\":\"error.type\",\"value\":{\"stringValue\":\"CLOUDS_"
                 "DRAINING\"}},"
                 "{\"key\":\"clouds.server\",\"value\":{\"stringValue\":\"f.1\"}}]}"));
    CHECK(has(0, "\"name\":\"retry\",\"attributes\":[{\"key\":\"error.type\",\"value\":{\"stringValue\":\"CLOUDS_CALL_"
                 "SERVICE_TIMEOUT\"}}"));
    CHECK(has(0, "\"name\":\"exception\"") && has(0, "\"clouds.attempts\",\"value\":{\"intValue\":\"2\"}"));
    CHECK(has(0, "\"clouds.outcome\",\"value\":{\"stringValue\":\"UNKNOWN\"}"));
    end(&f);
}

static void what_is_sampled(void)
{
    fake f = {0};
    cl_core_config config = traced();
    config.trace_below = 0;
    start(&f, &config, "client");
    fake_call(&f, "m");
    fake_servers(&f, "m", "f.1");
    CHECK_INT(place_of(fake_last_sent(&f)->meta).flags, 0); /* so that others do not decide anew */
    fake_answer(&f, 0, "", "[]");
    CHECK_INT(recorded.len, 0);
    end(&f);
    config.trace_below = (uint64_t)INT64_MAX / 2;
    start(&f, &config, "client");
    fake_call(&f, "m");
    fake_servers(&f, "m", "f.1");
    int chosen = 0, count = 400;
    for (int i = 0; i < count; i++) {
        chosen += place_of(fake_last_sent(&f)->meta).flags;
        fake_answer(&f, f.n_sent - 1, "", "[]");
        fake_call(&f, "m");
    }
    CHECK(chosen > count / 3 && chosen < count * 2 / 3);
    end(&f);
}

static void off_is_off(void)
{
    fake f = {0};
    cl_core_config config = fake_core_config();
    start(&f, &config, "client");
    fake_call(&f, "m");
    fake_servers(&f, "m", "f.1");
    CHECK_STR(fake_last_sent(&f)->meta, strlen(fake_last_sent(&f)->meta), "");
    fake_answer(&f, 0, "", "[]");
    fake_call_spec(&f, (cl_call_spec){.method = CL_STR("m"),
                                      .meta = CL_STR("{\"traceparent\":\"" PARENT "01\",\"trace-to\":\"x\"}")});
    CHECK(strstr(fake_last_sent(&f)->meta, PARENT "01"));
    fake_answer(&f, 1, "", "[]");
    CHECK_INT(recorded.len, 0);
    end(&f);
}

static void npm_servers_do_without(void)
{
    fake f = {0};
    cl_core_config config = traced();
    start(&f, &config, "client");
    uint64_t id = fake_call(&f, "m");
    fake_servers(&f, "m", "n.1");
    CHECK_STR(fake_last_sent(&f)->meta, strlen(fake_last_sent(&f)->meta), "");
    CHECK_INT(fake_last_sent(&f)->flags & CL_FRAMES, 0);
    fake_answer(&f, 0, "", "[]");
    CHECK_INT(fake_result(&f, id)->e.code, 0);
    CHECK(has(0, "\"clouds.server\",\"value\":{\"stringValue\":\"n.1\"}"));
    end(&f);
}

static void who_asks_gets_the_spans(void)
{
    fake f = {0};
    cl_core_config config = fake_core_config();
    config.trace_for_others = 1;
    start(&f, &config, "client");
    fake_call_spec(&f, (cl_call_spec){.method = CL_STR("m"), .meta = CL_STR("{\"trace-to\":\"c.77\"}")});
    fake_servers(&f, "m", "f.1");
    CHECK_INT(place_of(fake_last_sent(&f)->meta).flags, 1);
    CHECK(strstr(fake_last_sent(&f)->meta, "\"trace-to\":\"c.77\""));
    fake_answer(&f, 0, "", "[]");
    fake_sent *s = fake_last_sent(&f);
    CHECK_INT(s->type, CL_MESSAGE);
    CHECK_STR(s->to, strlen(s->to), "c.77");
    CHECK(strncmp(s->data, "{\"$span\":{\"traceId\":\"", 20) == 0);
    CHECK_INT(recorded.len, 0);
    end(&f);
}

static void what_has_no_room_goes_without(void)
{
    fake f = {0};
    cl_core_config config = traced();
    static char meta[8193];
    start(&f, &config, "client");
    snprintf(meta, sizeof meta, "{\"a\":\"%08180d\"}", 0);
    uint64_t id = fake_call_spec(&f, (cl_call_spec){.method = CL_STR("m"), .meta = cl_str_z(meta)});
    fake_servers(&f, "m", "f.1");
    CHECK(strncmp(fake_last_sent(&f)->meta, meta, 200) == 0);
    fake_answer(&f, 0, "", "[]");
    CHECK_INT(fake_result(&f, id)->e.code, 0);
    CHECK(has(0, "\"kind\":3"));
    end(&f);
}

static void a_long_meta_is_handed_on_without(void)
{
    fake f = {0};
    cl_core_config config = traced();
    static char meta[8193], own[101];
    start(&f, &config, "server");
    f.meta = meta;
    CHECK_INT(snprintf(meta, sizeof meta, "{\"a\":\"%08184d\"}", 0), 8192);
    uint64_t id = fake_inbound(&f, f.node, "c.9", "abc", "up", CL_NATIVE | CL_FRAMES, f.now + 1500);
    CHECK_INT(fake_find(&f, CLOUDS_EVENT_REQUEST)->e.meta_len, 8192);
    CHECK(fake_call_spec(&f, (cl_call_spec){.method = CL_STR("m"), .parent = id}) != 0);
    fake_servers(&f, "m", "f.1");
    CHECK_INT(fake_last_sent(&f)->meta_n, 8192);
    CHECK_INT(cl_core_answer(f.core, id, CL_STR_NONE, CL_STR("[]")), 0);
    CHECK(has(0, "\"name\":\"up\",\"kind\":2"));
    end(&f);
    /* It has room in the meta of the request, but not beside what the handler says as well. */
    start(&f, &config, "server");
    f.meta = meta;
    int n = snprintf(meta, sizeof meta, "{\"a\":\"%08100d\"}", 0),
        own_n = snprintf(own, sizeof own, "{\"b\":\"%050d\"}", 0);
    id = fake_inbound(&f, f.node, "c.9", "abd", "up", CL_NATIVE | CL_FRAMES, f.now + 1500);
    CHECK(fake_find(&f, CLOUDS_EVENT_REQUEST)->e.meta_len > (size_t)n);
    CHECK(fake_call_spec(&f, (cl_call_spec){.method = CL_STR("m"), .parent = id, .meta = cl_str_z(own)}) != 0);
    fake_servers(&f, "m", "f.1");
    CHECK_INT(fake_last_sent(&f)->meta_n, n + own_n - 1);
    end(&f);
}

static int publish(fake *f, uint64_t confirmed)
{
    const cl_payload payload = {.json = CL_STR("1")};
    return cl_node_publish(f->node, CL_STR("a.topic"), &payload, CL_STR_NONE, &(cl_op_spec){.id = confirmed},
                           confirmed != 0);
}

/* Whether the program is told by the code or by the event. */
static void what_is_not_published_says_why(void)
{
    fake f = {0};
    cl_core_config config = traced();
    config.max_in_flight = 1;
    start(&f, &config, "client");
    f.publish_code = 1;
    CHECK_INT(publish(&f, 1), 0);
    CHECK(has(0, "\"name\":\"a.topic\",\"kind\":4") && !strstr(span(0), "error.type"));
    CHECK_INT(publish(&f, 2), CLOUDS_ELIMIT); /* one operation is outstanding */
    CHECK(has(1, "{\"stringValue\":\"CLOUDS_LIMIT_REACHED\"}") && has(1, "\"status\":{\"code\":2"));
    end(&f);
    config.max_in_flight = 10;
    start(&f, &config, "client");
    f.publish_code = CLOUDS_EUNREACHABLE;
    CHECK_INT(publish(&f, 0), CLOUDS_EUNREACHABLE);
    CHECK_INT(publish(&f, 1), 0);
    CHECK(has(0, "CLOUDS_UNREACHABLE") && has(1, "CLOUDS_UNREACHABLE"));
    end(&f);
}

/* What waits for the node to listen has as much room with a trace as without. */
static void what_is_published_early_needs_no_room_for_a_trace(void)
{
    fake f = {0};
    cl_core_config config = traced();
    config.limits.write_soft = sizeof(cl_message) + strlen("a.topic") + 1;
    cl_buf_clear(&recorded);
    f.span = record;
    f.config = fake_node_config("client");
    fake_open(&f, &config);
    f.node = fake_node(&f, "c.1", &f.config);
    CHECK_INT(publish(&f, 0), 0);
    CHECK(has(0, "\"kind\":4") && !strstr(span(0), "error.type"));
    CHECK_INT(publish(&f, 0), CLOUDS_ELIMIT);
    end(&f);
}

int main(void)
{
    RUN(a_call_begins_a_trace);
    RUN(a_call_goes_on_in_the_trace_of_its_meta);
    RUN(a_request_hands_on_its_own_span);
    RUN(events_tell_of_failures);
    RUN(what_is_sampled);
    RUN(off_is_off);
    RUN(npm_servers_do_without);
    RUN(who_asks_gets_the_spans);
    RUN(what_has_no_room_goes_without);
    RUN(a_long_meta_is_handed_on_without);
    RUN(what_is_not_published_says_why);
    RUN(what_is_published_early_needs_no_room_for_a_trace);
    return tap_end();
}
