/* What goes along with calls, answers and messages, and calls that want no answer, over each bus, in each mode on each
 * side. */
#include "api/kit.h"

static const char *kind, *server_mode, *client_mode;

static const clouds_call_options with_both = {
    .size = sizeof with_both, .meta = "{\"a\":1,\"-b\":2}", .meta_len = 14, .bytes = "\0\1\xff", .bytes_len = 3};

static uint64_t call_with(clouds_node *node, const char *method, clouds_call_options options)
{
    options.size = sizeof options;
    return kit_call(node, method, "[{\"$bytes\":[0,3]}]", &options);
}

static int is(const char *p, size_t n, const char *want, size_t want_n)
{
    return n == want_n && memcmp(p, want, n) == 0;
}

static void meta_and_bytes_come_back(void)
{
    kit_pair p = kit_open(kind, server_mode, client_mode);
    clouds_event e;
    uint64_t call = call_with(p.client_node, "silent", with_both);
    REQUIRE(kit_await(p.server, p.client, CLOUDS_EVENT_REQUEST, &e) == 1);
    CHECK_STR(e.meta, e.meta_len, "{\"a\":1,\"-b\":2}");
    CHECK(is(e.bytes, e.bytes_len, "\0\1\xff", 3));
    CHECK_INT(e.flags, CLOUDS_FLAG_BYTES);
    CHECK_STR(e.data, e.data_len, "[{\"$bytes\":[0,3]}]");
    const clouds_payload answer = {.size = sizeof answer,
                                   .json = "[7]",
                                   .json_len = 3,
                                   .bytes = "xy\0",
                                   .bytes_len = 3,
                                   .meta = "{\"m\":[]}",
                                   .meta_len = 8};
    CHECK_INT(clouds_reply_payload(p.server, e.id, &answer), 0);
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK(e.id == call);
    CHECK_INT(e.code, 0);
    CHECK_STR(e.data, e.data_len, "[7]");
    CHECK_STR(e.meta, e.meta_len, "{\"m\":[]}");
    CHECK(is(e.bytes, e.bytes_len, "xy\0", 3));
    CHECK_INT(e.flags, CLOUDS_FLAG_BYTES);
    call_with(p.client_node, "echo", (clouds_call_options){0}); /* what has nothing is as ever */
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK(e.meta_len == 0 && e.bytes_len == 0 && e.flags == 0);
    kit_close(&p);
}

static void messages_carry_them_too(void)
{
    kit_pair p = kit_open(kind, server_mode, client_mode);
    clouds_event e;
    uint64_t sent = 0;
    const clouds_payload payload = {.size = sizeof payload,
                                    .json = "{}",
                                    .json_len = 2,
                                    .bytes = "xyz",
                                    .bytes_len = 3,
                                    .meta = "{\"a\":1}",
                                    .meta_len = 7};
    const char *to = clouds_node_id(p.client_node);
    CHECK_INT(clouds_node_send_payload(p.server_node, to, strlen(to), &payload, CLOUDS_SEND_CONFIRM, NULL, &sent), 0);
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_MESSAGE, &e) == 1);
    CHECK_STR(e.data, e.data_len, "{}");
    CHECK_STR(e.meta, e.meta_len, "{\"a\":1}");
    CHECK(is(e.bytes, e.bytes_len, "xyz", 3));
    kit_close(&p);
}

/* With and without bytes, small and large: they go in different ways. */
static void messages_keep_their_order(void)
{
    static char large[6000];
    kit_pair p = kit_open(kind, server_mode, client_mode);
    static const size_t bytes[] = {3, 0, 3, sizeof large, 3, 0, sizeof large, 0};
    enum { ROWS = sizeof bytes / sizeof *bytes };
    const char *to = clouds_node_id(p.client_node);
    for (int i = 0; i < ROWS; i++) {
        char json[4] = {(char)('0' + i)};
        const clouds_payload payload = {
            .size = sizeof payload, .json = json, .json_len = 1, .bytes = bytes[i] ? large : NULL, .bytes_len = bytes[i]};
        CHECK_INT(clouds_node_send_payload(p.server_node, to, strlen(to), &payload, 0, NULL, NULL), 0);
    }
    for (int i = 0; i < ROWS; i++) {
        clouds_event e;
        REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_MESSAGE, &e) == 1);
        CHECK_INT(e.data[0] - '0', i);
        CHECK(e.bytes_len == bytes[i]);
    }
    kit_close(&p);
}

static int attempt_with(const kit_pair *p, uint64_t call, const char *args, const char *bytes, const char *meta)
{
    const clouds_payload payload = {.size = sizeof payload,
                                    .json = args,
                                    .json_len = strlen(args),
                                    .bytes = bytes,
                                    .bytes_len = strlen(bytes),
                                    .meta = meta,
                                    .meta_len = strlen(meta)};
    return clouds_attempt_payload(p->client, call, &payload);
}

/* The bytes of an attempt take the place of those of the call, whose meta stays. */
static void an_attempt_has_bytes_of_its_own(void)
{
    kit_pair p = kit_open(kind, server_mode, client_mode);
    static const struct {
        int plain;
        const char *bytes;
    } rows[] = {{0, "other"}, {0, ""}, {1, NULL}};
    for (int i = 0; i < 3; i++) {
        clouds_event e;
        clouds_call_options options = with_both;
        options.flags = CLOUDS_CALL_ASK;
        uint64_t call = call_with(p.client_node, "silent", options);
        REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_ATTEMPT, &e) == 1);
        CHECK_INT(clouds_attempt_payload(p.client, call, NULL), CLOUDS_EINVAL);
        CHECK_INT(attempt_with(&p, call, "[]", "x", "{\"a\":2}"), CLOUDS_EINVAL);
        CHECK_INT(attempt_with(&p, call, "{}", "x", ""), CLOUDS_EJSON);
        CHECK_INT(rows[i].plain ? clouds_attempt(p.client, call, "[5]", 3)
                                : attempt_with(&p, call, "[5]", rows[i].bytes, ""),
                  0);
        REQUIRE(kit_await(p.server, p.client, CLOUDS_EVENT_REQUEST, &e) == 1);
        CHECK_STR(e.data, e.data_len, "[5]");
        CHECK_STR(e.meta, e.meta_len, "{\"a\":1,\"-b\":2}");
        if (rows[i].plain) CHECK(is(e.bytes, e.bytes_len, "\0\1\xff", 3));
        else CHECK(is(e.bytes, e.bytes_len, rows[i].bytes, strlen(rows[i].bytes)));
        CHECK_INT(clouds_reply(p.server, e.id, "[]", 2), 0);
        REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e) == 1);
        CHECK_INT(e.code, 0);
    }
    kit_close(&p);
}

static void the_mark_of_bytes(void)
{
    CHECK_INT(clouds_bytes_mark("$bytes", 6), 1);
    CHECK_INT(clouds_bytes_mark("$$bytes", 7), 2);
    CHECK_INT(clouds_bytes_mark("$$bytes", 6), 0);
    CHECK_INT(clouds_bytes_mark("bytes", 5), 0);
    CHECK_INT(clouds_bytes_mark(NULL, 0), 0);
    CHECK_INT(clouds_bytes_mark(NULL, 6), 0);
}

/* Members for one hop stay behind; the call's own come on top. */
static void meta_travels_on(void)
{
    kit_pair p = kit_open(kind, server_mode, client_mode);
    clouds_event e;
    CHECK_INT(kit_register(p.client, p.client_node, "second"), 0);
    call_with(p.client_node, "silent", with_both);
    REQUIRE(kit_await(p.server, p.client, CLOUDS_EVENT_REQUEST, &e) == 1);
    uint64_t request = e.id;
    static const struct {
        const char *own, *want;
    } rows[] = {{NULL, "{\"a\":1}"}, {"{\"a\":3,\"-c\":4}", "{\"a\":3,\"-c\":4}"}};
    for (int i = 0; i < 2; i++) {
        call_with(p.server_node, "second",
                  (clouds_call_options){
                      .parent = request, .meta = rows[i].own, .meta_len = rows[i].own ? strlen(rows[i].own) : 0});
        REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_REQUEST, &e) == 1);
        CHECK_STR(e.meta, e.meta_len, rows[i].want);
        CHECK_INT(e.bytes_len, 0);
    }
    kit_close(&p);
}

/* Of a request that is no parent, what it says of a trace goes along, and nothing else. */
static void a_trace_goes_along(void)
{
    static const char meta[] = "{\"a\":1,\"tracestate\":\"x=1\",\"traceparent\":\"00-1-2-01\",\"-b\":2}";
    static const struct {
        const char *own, *want;
    } rows[] = {{NULL, "{\"traceparent\":\"00-1-2-01\",\"tracestate\":\"x=1\"}"},
                {"{\"c\":3,\"tracestate\":\"y=2\"}", "{\"traceparent\":\"00-1-2-01\",\"c\":3,\"tracestate\":\"y=2\"}"}};
    kit_pair p = kit_open(kind, server_mode, client_mode);
    clouds_event e;
    for (int i = 0; i < 2; i++) {
        clouds_call_options options = {.trace = meta, .trace_len = sizeof meta - 1, .meta = rows[i].own};
        options.meta_len = rows[i].own ? strlen(rows[i].own) : 0;
        call_with(p.client_node, "silent", options);
        REQUIRE(kit_await(p.server, p.client, CLOUDS_EVENT_REQUEST, &e) == 1);
        CHECK_STR(e.meta, e.meta_len, rows[i].want);
    }
    kit_close(&p);
}

static int call_code(const kit_pair *p, clouds_call_options options)
{
    uint64_t call;
    options.size = sizeof options;
    return clouds_node_call(p->client_node, "echo", 4, "[]", 2, &options, &call);
}

static void what_cannot_go_along(void)
{
    static char long_meta[8200], big[9000000];
    kit_pair p = kit_open(kind, server_mode, client_mode);
    memset(long_meta, ' ', sizeof long_meta);
    memcpy(long_meta, "{}", 2);
    CHECK_INT(call_code(&p, (clouds_call_options){.meta = "[]", .meta_len = 2}), CLOUDS_EJSON);
    CHECK_INT(call_code(&p, (clouds_call_options){.meta = "{", .meta_len = 1}), CLOUDS_EJSON);
    CHECK_INT(call_code(&p, (clouds_call_options){.meta = long_meta, .meta_len = 8193}), CLOUDS_ETOOBIG);
    CHECK_INT(call_code(&p, (clouds_call_options){.meta = NULL, .meta_len = 3}), CLOUDS_EINVAL);
    CHECK_INT(call_code(&p, (clouds_call_options){.bytes = NULL, .bytes_len = 3}), CLOUDS_EINVAL);
    CHECK_INT(call_code(&p, (clouds_call_options){.trace = NULL, .trace_len = 3}), CLOUDS_EINVAL);
    CHECK_INT(call_code(&p, (clouds_call_options){.trace = "[]", .trace_len = 2}), CLOUDS_EJSON);
    clouds_event e;
    int code = call_code(&p, (clouds_call_options){.bytes = big, .bytes_len = sizeof big});
    if (code == 0 && kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e) == 1) code = e.code;
    CHECK_INT(code, CLOUDS_ETOOBIG);
    CHECK_INT(call_code(&p, (clouds_call_options){.meta = long_meta, .meta_len = 8192}), 0);
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK_INT(e.code, 0);
    CHECK_INT(clouds_reply_payload(p.server, 12345, NULL), CLOUDS_EINVAL);
    const clouds_payload empty = {.size = sizeof empty, .json = "[]", .json_len = 2};
    CHECK_INT(clouds_reply_payload(p.server, 12345, &empty), CLOUDS_ESTALE);
    kit_close(&p);
}

/* ---- notify */

static void who_wants_no_answer_gets_none(void)
{
    kit_pair p = kit_open(kind, server_mode, client_mode);
    clouds_event e;
    uint64_t call = call_with(p.client_node, "silent", (clouds_call_options){.flags = CLOUDS_CALL_NOTIFY});
    REQUIRE(kit_await(p.client, NULL, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK(e.id == call);
    CHECK_INT(e.code, 0);
    CHECK_STR(e.data, e.data_len, "[]");
    CHECK_STR(e.peer, e.peer_len, clouds_node_id(p.server_node));
    REQUIRE(kit_await(p.server, p.client, CLOUDS_EVENT_REQUEST, &e) == 1);
    CHECK_INT(e.flags, CLOUDS_FLAG_NOTIFY);
    CHECK_INT(clouds_reply(p.server, e.id, "[1]", 3), 0);
    CHECK_INT(clouds_reply(p.server, e.id, "[1]", 3), CLOUDS_ESTALE);
    CHECK(kit_find(&p)); /* what went over the same way meanwhile has come */
    uint64_t late = 1;
    CHECK_INT(clouds_counter(p.client, "late_answers", 0, NULL, &late), 0);
    CHECK_INT(late, 0);
    call_with(p.client_node, "nobody.has.this", (clouds_call_options){.flags = CLOUDS_CALL_NOTIFY});
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK_INT(e.code, CLOUDS_ENOSERVER);
    kit_close(&p);
}

static void all(void)
{
    printf("# %s server %s, client %s\n", kind, server_mode, client_mode);
    RUN(meta_and_bytes_come_back);
    RUN(messages_carry_them_too);
    RUN(messages_keep_their_order);
    RUN(an_attempt_has_bytes_of_its_own);
    RUN(the_mark_of_bytes);
    RUN(meta_travels_on);
    RUN(a_trace_goes_along);
    RUN(what_cannot_go_along);
    RUN(who_wants_no_answer_gets_none);
}

int main(int argc, char **argv)
{
    kind = argc > 1 ? argv[1] : "inproc:";
    kit_mode_pairs(&server_mode, &client_mode, all);
    return kit_end();
}
