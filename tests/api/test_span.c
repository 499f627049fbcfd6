/* Spans of the program's own: what their texts are, and what is recorded of them. */
#include "api/kit.h"

#include <fcntl.h>

static const char *mode;
static char file[64];

static const char *const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
#define META "{\"a\":1,\"traceparent\":\"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-%s\",\"tracestate\":\"x=1\"}"

static clouds_context *open_context(const char *trace)
{
    clouds_context *context = NULL;
    clouds_options *options =
        KIT_OPTIONS("url", kit_url("inproc:"), "mode", mode, "trace", trace, "trace_service", "spans");
    CHECK_INT(clouds_context_create(options, &context), 0);
    clouds_options_destroy(options);
    return context;
}

static char *read_file(void)
{
    static char text[65536];
    int fd = open(file, O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    text[n < 0 ? 0 : n] = '\0';
    return text;
}

/* What was recorded is in the file then. */
static void close_in_order(clouds_context *context)
{
    clouds_event e;
    CHECK_INT(clouds_context_close(context, 0, NULL, NULL), 0);
    CHECK_INT(kit_await(context, NULL, CLOUDS_EVENT_CONTEXT_CLOSED, &e), 1);
    clouds_context_destroy(context);
}

static clouds_context *recording(void)
{
    char to[80];
    snprintf(file, sizeof file, "%s/spans", getenv("CLOUDS_RUNTIME_DIR"));
    unlink(file);
    snprintf(to, sizeof to, "file:%s", file);
    return open_context(to);
}

static int begin(clouds_node *node, const char *meta, char *span, size_t size)
{
    return clouds_span_begin(node, meta, meta ? strlen(meta) : 0, span, size);
}

static int end(clouds_node *node, const char *span, const char *name, const char *error)
{
    return clouds_span_end(node, span, strlen(span), CLOUDS_SPAN_INTERNAL, name, strlen(name), error,
                           error ? strlen(error) : 0);
}

static void in_a_trace(void)
{
    char meta[256], span[512], inner[1024], trace[33], id[17], inner_id[17], wanted[200];
    clouds_context *context = recording();
    clouds_node *node = kit_node(context, "client");
    snprintf(meta, sizeof meta, META, "01");
    CHECK_INT(clouds_span_id(meta, strlen(meta), id), 1);
    CHECK_STR(id, strlen(id), "00f067aa0ba902b7");
    int n = begin(node, meta, span, sizeof span);
    CHECK_INT(n, (int)strlen(span));
    CHECK_INT(clouds_trace_id(span, strlen(span), trace), 1);
    CHECK_STR(trace, strlen(trace), TRACE);
    CHECK_INT(clouds_span_id(span, strlen(span), id), 1);
    CHECK(strcmp(id, "00f067aa0ba902b7") != 0 && strstr(span, "\"tracestate\":\"x=1\"") && !strstr(span, "\"a\""));
    CHECK(begin(node, span, inner, sizeof inner) > 0);
    CHECK_INT(clouds_span_id(inner, strlen(inner), inner_id), 1);
    CHECK_INT(end(node, inner, "inner", "{\"message\":\"it \\\"broke\\\"\",\"code\":\"E_X\"}"), 0);
    CHECK_INT(end(node, span, "outer", NULL), 0);
    CHECK_INT(clouds_span_end(node, span, strlen(span), CLOUDS_SPAN_CONSUMER, "a.topic", 7, "{just words", 11), 0);
    close_in_order(context);
    const char *found = read_file();
    snprintf(wanted, sizeof wanted,
             "\"spanId\":\"%s\",\"parentSpanId\":\"%s\",\"traceState\":\"x=1\",\"name\":\"inner\",\"kind\":1,", inner_id, id);
    CHECK(strstr(found, wanted) != NULL);
    snprintf(wanted, sizeof wanted,
             "\"spanId\":\"%s\",\"parentSpanId\":\"00f067aa0ba902b7\",\"traceState\":\"x=1\",\"name\":\"outer\",\"kind\":1,", id);
    CHECK(strstr(found, wanted) != NULL);
    CHECK(strstr(found, "\"status\":{\"code\":2,\"message\":\"it \\\"broke\\\"\"}") != NULL);
    CHECK(strstr(found, "{\"key\":\"error.type\",\"value\":{\"stringValue\":\"E_X\"}}") != NULL);
    CHECK(strstr(found, "\"name\":\"a.topic\",\"kind\":5,") != NULL);
    CHECK(strstr(found, "{\"key\":\"messaging.destination.name\",\"value\":{\"stringValue\":\"a.topic\"}}") != NULL);
    CHECK(strstr(found, "\"status\":{\"code\":2,\"message\":\"{just words\"}") != NULL);
}

static void without_one(void)
{
    char meta[256], span[512], trace[33], id[17];
    clouds_context *context = recording();
    clouds_node *node = kit_node(context, "client");
    CHECK(begin(node, NULL, span, sizeof span) > 0);
    CHECK_INT(clouds_trace_id(span, strlen(span), trace), 1);
    CHECK_INT(end(node, span, "first", NULL), 0);
    snprintf(meta, sizeof meta, META, "00"); /* not recorded, and so is what is in it */
    CHECK_INT(begin(node, meta, span, sizeof span), 0);
    CHECK_INT(clouds_span_id(meta, strlen(meta), id), 0);
    CHECK_STR(id, strlen(id), "00f067aa0ba902b7");
    close_in_order(context);
    CHECK(strstr(read_file(), "\"name\":\"first\",\"kind\":1,") != NULL && !strstr(read_file(), "parentSpanId"));
    context = open_context("off");
    CHECK_INT(begin(kit_node(context, "client"), NULL, span, sizeof span), 0);
    CHECK_STR(span, strlen(span), "");
    CHECK_INT(clouds_span_id("{}", 2, id), 0);
    CHECK_STR(id, strlen(id), "");
    close_in_order(context);
}

/* A call in a span, on behalf of a request too. */
static void calls(void)
{
    char span[512], id[17], parent[17];
    clouds_event e;
    clouds_context *context = recording();
    clouds_node *node = kit_node(context, "server");
    CHECK_INT(kit_register(context, node, "m"), 0);
    kit_call(node, "m", "[]", NULL);
    REQUIRE(kit_await(context, NULL, CLOUDS_EVENT_REQUEST, &e) == 1);
    uint64_t outer = e.id;
    REQUIRE(clouds_span_begin(node, e.meta, e.meta_len, span, sizeof span) > 0);
    clouds_call_options options = {.size = sizeof options, .parent = outer, .trace = span, .trace_len = strlen(span)};
    kit_call(node, "m", "[]", &options);
    REQUIRE(kit_await(context, NULL, CLOUDS_EVENT_REQUEST, &e) == 1);
    CHECK(e.id != outer && !memmem(e.meta, e.meta_len, "-span", 5));
    CHECK_INT(clouds_span_id(e.meta, e.meta_len, id), 1);
    CHECK_INT(clouds_reply(context, e.id, "[]", 2), 0);
    CHECK_INT(clouds_reply(context, outer, "[]", 2), 0);
    CHECK_INT(end(node, span, "between", NULL), 0);
    CHECK_INT(clouds_span_id(span, strlen(span), parent), 1);
    for (int i = 0; i < 2; i++) REQUIRE(kit_await(context, NULL, CLOUDS_EVENT_RESULT, &e) == 1);
    close_in_order(context);
    char wanted[100];
    snprintf(wanted, sizeof wanted, "\"parentSpanId\":\"%s\",\"name\":\"m\",\"kind\":3,", parent);
    CHECK(strstr(read_file(), wanted) != NULL);
}

/* Publishes "1" at "a.topic", and what comes of it is in `e`. */
static int published(clouds_context *context, clouds_node *node, const char *meta, const char *trace, clouds_event *e)
{
    const clouds_payload p = {.size = sizeof p,
                              .json = "1",
                              .json_len = 1,
                              .meta = meta,
                              .meta_len = meta ? strlen(meta) : 0,
                              .trace = trace,
                              .trace_len = trace ? strlen(trace) : 0};
    int code = clouds_node_publish(node, "a.topic", 7, &p, 0, NULL, NULL);
    return code ? code : kit_await(context, NULL, CLOUDS_EVENT_PUBLISHED, e);
}

static clouds_node *subscriber(clouds_context *context)
{
    clouds_event e;
    uint64_t id = 0;
    clouds_node *node = kit_node(context, "client");
    CHECK_INT(clouds_node_subscribe(node, "[\"a.topic\"]", 11, NULL, NULL, &id), 0);
    CHECK_INT(kit_await(context, NULL, CLOUDS_EVENT_SUBSCRIBED, &e), 1);
    return node;
}

/* The id of the span that an event is in, which has to be in TRACE and not its first one. */
static void span_of(const clouds_event *e, char id[17])
{
    char trace[33];
    CHECK_INT(clouds_trace_id(e->meta, e->meta_len, trace), 1);
    CHECK_STR(trace, strlen(trace), TRACE);
    CHECK_INT(clouds_span_id(e->meta, e->meta_len, id), 1);
    CHECK(strcmp(id, "00f067aa0ba902b7") != 0);
}

static void publishing(void)
{
    char meta[256], other[256], id[3][17], wanted[100], span[512];
    clouds_event e;
    clouds_context *context = recording();
    clouds_node *node = subscriber(context);
    snprintf(meta, sizeof meta, META, "01");
    snprintf(other, sizeof other, "{\"traceparent\":\"00-00000000000000000000000000000001-0000000000000001-01\"}");
    REQUIRE(published(context, node, NULL, meta, &e) == 1);
    span_of(&e, id[0]);
    CHECK(!memmem(e.meta, e.meta_len, "\"a\"", 3)); /* but for the trace nothing of it goes along */
    REQUIRE(published(context, node, "{\"b\":2}", meta, &e) == 1);
    span_of(&e, id[1]);
    CHECK(memmem(e.meta, e.meta_len, "\"b\":2", 5) != NULL);
    REQUIRE(published(context, node, meta, other, &e) == 1); /* its own counts */
    span_of(&e, id[2]);
    REQUIRE(begin(node, meta, span, sizeof span) > 0);
    REQUIRE(published(context, node, NULL, span, &e) == 1);
    CHECK(!memmem(e.meta, e.meta_len, "-span", 5));
    CHECK_INT(published(context, node, NULL, "[]", &e), CLOUDS_EJSON);
    CHECK(strstr(clouds_last_error(), "the trace") != NULL);
    close_in_order(context);
    for (int i = 0; i < 3; i++) {
        snprintf(wanted, sizeof wanted, "\"spanId\":\"%s\",\"parentSpanId\":\"00f067aa0ba902b7\"", id[i]);
        CHECK(strstr(read_file(), wanted) != NULL);
    }
    CHECK(strstr(read_file(), "\"name\":\"a.topic\",\"kind\":4,") != NULL);
}

/* What is not recorded here is handed on as it is. */
static void publishing_without_traces(void)
{
    char meta[256], id[17];
    clouds_event e;
    clouds_context *context = open_context("off");
    clouds_node *node = subscriber(context);
    snprintf(meta, sizeof meta, META, "01");
    REQUIRE(published(context, node, NULL, meta, &e) == 1);
    CHECK_INT(clouds_span_id(e.meta, e.meta_len, id), 1);
    CHECK_STR(id, strlen(id), "00f067aa0ba902b7");
    REQUIRE(published(context, node, NULL, "{}", &e) == 1);
    CHECK_INT(e.meta_len, 0);
    close_in_order(context);
}

/* With a trace there would be too much meta: it is left out. */
static void publishing_without_room(void)
{
    static char full[8193];
    char meta[256];
    clouds_event e;
    clouds_context *context = recording();
    clouds_node *node = subscriber(context);
    snprintf(meta, sizeof meta, META, "01");
    int n = snprintf(full, sizeof full, "{\"b\":\"");
    memset(full + n, 'x', sizeof full - 1 - (size_t)n - 2);
    snprintf(full + sizeof full - 3, 3, "\"}");
    REQUIRE(published(context, node, full, meta, &e) == 1);
    CHECK_STR(e.meta, e.meta_len, full);
    close_in_order(context);
}

/* Whatever can be published without a trace can be with one, up to the longest message. */
static void publishing_near_the_limit(void)
{
    enum { MOST = 16384, NEAR = 600 };
    static char json[MOST];
    char meta[256];
    int codes[2] = {0}, taken = 0, differ = 0;
    clouds_context *context = NULL;
    clouds_options *options =
        KIT_OPTIONS("url", kit_url("inproc:"), "mode", mode, "trace", "off", "max_message", "16384");
    CHECK_INT(clouds_context_create(options, &context), 0);
    clouds_options_destroy(options);
    clouds_node *node = subscriber(context);
    snprintf(meta, sizeof meta, META, "01");
    memset(json, '1', sizeof json);
    json[0] = '"';
    for (size_t n = MOST - NEAR; n < MOST; n++) {
        json[n - 1] = '"';
        for (int i = 0; i < 2; i++) {
            clouds_event e;
            uint64_t id = 0;
            const clouds_payload p = {.size = sizeof p,
                                      .json = json,
                                      .json_len = n,
                                      .trace = i ? meta : NULL,
                                      .trace_len = i ? strlen(meta) : 0};
            codes[i] = clouds_node_publish(node, "a.topic", 7, &p, CLOUDS_SEND_CONFIRM, NULL, &id);
            if (codes[i] == 0 && kit_await(context, NULL, CLOUDS_EVENT_SENT, &e) == 1)
                codes[i] = e.code ? e.code : (int)e.number;
        }
        json[n - 1] = '1';
        taken += codes[0] == 1;
        differ += codes[0] != codes[1];
    }
    CHECK(taken > 0 && taken < NEAR);
    CHECK_INT(differ, 0);
    close_in_order(context);
}

static void refusals(void)
{
    static const char *const wrong[] = {"{}", "{\"-span\":\"x\"}", "{\"-span\":\"00f067aa0ba902b7 1 1\"}",
                                        "{\"traceparent\":\"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\","
                                        "\"-span\":\"00f067aa0ba902b7 1 99999999999999999999999999\"}",
                                        "{\"traceparent\":\"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\","
                                        "\"-span\":\"00f067aa0ba902b7 -1 1\"}"};
    char span[CLOUDS_SPAN_MORE + 2];
    clouds_context *context = recording();
    clouds_node *node = kit_node(context, "client");
    CHECK_INT(begin(node, NULL, span, CLOUDS_SPAN_MORE - 1), CLOUDS_ETOOBIG);
    CHECK_INT(begin(node, "{}", span, CLOUDS_SPAN_MORE), CLOUDS_ETOOBIG);
    CHECK_INT(begin(node, NULL, NULL, 0), CLOUDS_ETOOBIG);
    CHECK_INT(begin(node, "[]", span, sizeof span), CLOUDS_EJSON);
    CHECK_INT(clouds_span_begin(node, NULL, 3, span, sizeof span), CLOUDS_EINVAL);
    CHECK_INT(clouds_span_begin(NULL, NULL, 0, span, sizeof span), CLOUDS_EHANDLE);
    CHECK_INT(end(node, "nothing", "x", NULL), CLOUDS_EJSON);
    CHECK_INT(end(node, wrong[0], "x", NULL), 0); /* it is not recorded */
    for (size_t i = 1; i < sizeof wrong / sizeof *wrong; i++) CHECK_INT(end(node, wrong[i], "x", NULL), CLOUDS_EINVAL);
    REQUIRE(begin(node, NULL, span, sizeof span) > 0);
    CHECK_INT(end(node, span, "", NULL), CLOUDS_EINVAL);
    CHECK_INT(clouds_span_end(node, span, strlen(span), 3, "x", 1, NULL, 0), CLOUDS_EINVAL);
    CHECK_INT(clouds_span_end(node, NULL, 2, CLOUDS_SPAN_INTERNAL, "x", 1, NULL, 0), CLOUDS_EINVAL);
    CHECK_INT(clouds_span_id(span, strlen(span), NULL), 0);
    close_in_order(context);
    CHECK_STR(read_file(), strlen(read_file()), "");
}

static void all(void)
{
    RUN(in_a_trace);
    RUN(without_one);
    RUN(calls);
    RUN(publishing);
    RUN(publishing_without_traces);
    RUN(publishing_without_room);
    RUN(publishing_near_the_limit);
    RUN(refusals);
}

int main(void)
{
    kit_url("local:"); /* the folder of the file */
    kit_modes(&mode, all);
    return kit_end();
}
