/* What is wrong with an answer, and what a request is after it; calls on behalf of requests that are over. */
#include "api/kit.h"

static const char *mode;
static clouds_context *context;
static clouds_node *node;

/* A context of small limits that calls itself. */
static void open_self(void)
{
    clouds_options *options = KIT_OPTIONS("url", kit_url("inproc:"), "mode", mode, "max_message", "4096", "max_depth", "8",
                                          "max_values", "100");
    CHECK_INT(clouds_context_create(options, &context), 0);
    clouds_options_destroy(options);
    node = kit_node(context, "base");
    CHECK_INT(kit_register(context, node, "silent"), 0);
}

static uint64_t next_request(void)
{
    clouds_event e = {0};
    kit_call(node, "silent", "[]", NULL);
    return kit_await(context, NULL, CLOUDS_EVENT_REQUEST, &e) == 1 ? e.id : 0;
}

static int says(const clouds_event *e, const char *words)
{
    return memmem(e->error, e->error_len, words, strlen(words)) != NULL;
}

static const char deep[] = "[[[[[[[[[[[[]]]]]]]]]]]]";
static char large[8192], many[400];

static void make_texts(void)
{
    memset(large, ' ', sizeof large);
    large[0] = '[';
    large[sizeof large - 1] = ']';
    for (int i = 0; i < 150; i++) memcpy(many + 2 * i, i ? ",1" : "[1", 2);
    strcpy(many + 300, "]");
}

/* Too large in one of its ways: the caller is told why, and the request is answered. */
static void check_told(uint64_t request, int code, const char *words)
{
    clouds_event e = {0};
    CHECK_INT(code, CLOUDS_ETOOBIG);
    CHECK(strstr(clouds_last_error(), words) && strstr(clouds_last_error(), "its caller was told"));
    CHECK_INT(clouds_request_open(context, request), 0);
    CHECK_INT(clouds_reply(context, request, "[]", 2), CLOUDS_ESTALE);
    REQUIRE(kit_await(context, NULL, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK(e.code == CLOUDS_EAPP && e.outcome == CLOUDS_OUTCOME_APP_ERROR); /* it has run */
    CHECK(says(&e, words) && says(&e, "CLOUDS_TOO_BIG"));
}

static void too_big_in_each_way(void)
{
    static const char error[] = "{\"message\":\"no\"}", deep_error[] = "{\"message\":\"no\",\"a\":[[[[[[[[[[]]]]]]]]]]}";
    open_self();
    make_texts();
    uint64_t r = next_request();
    check_told(r, clouds_reply(context, r, large, sizeof large), "max_message");
    r = next_request();
    check_told(r, clouds_reply(context, r, deep, strlen(deep)), "max_depth");
    r = next_request();
    check_told(r, clouds_reply(context, r, many, strlen(many)), "max_values");
    r = next_request();
    check_told(r, clouds_fail(context, r, error, strlen(error), large, sizeof large), "max_message");
    r = next_request();
    check_told(r, clouds_fail(context, r, error, strlen(error), deep, strlen(deep)), "max_depth");
    r = next_request();
    check_told(r, clouds_fail(context, r, deep_error, strlen(deep_error), NULL, 0), "max_depth");
    clouds_context_destroy(context);
}

/* Of a wrong answer nobody hears, and the request waits for a right one. */
static void wrong_answers_leave_it_open(void)
{
    clouds_event e = {0};
    open_self();
    uint64_t r = next_request();
    CHECK_INT(clouds_reply(context, r, "{}", 2), CLOUDS_EJSON);
    CHECK_INT(clouds_reply(context, r, NULL, 0), CLOUDS_EJSON);
    CHECK_INT(clouds_reply(context, r, NULL, 2), CLOUDS_EINVAL);
    CHECK_INT(clouds_fail(context, r, "{}", 2, NULL, 0), CLOUDS_EJSON);
    CHECK_INT(clouds_fail(context, r, NULL, 2, NULL, 0), CLOUDS_EINVAL);
    CHECK_INT(clouds_fail(context, r, "{\"message\":\"no\"}", 16, "5", 1), CLOUDS_EJSON);
    CHECK_INT(clouds_request_open(context, r), 1);
    CHECK_INT(clouds_reply(context, r, "[5]", 3), 0);
    REQUIRE(kit_await(context, NULL, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK_STR(e.data, e.data_len, "[5]");
    clouds_context_destroy(context);
}

/* ---- parents */

/* Inline mode says so at once, and thread mode by the event. */
static void check_stale(uint64_t parent)
{
    const clouds_call_options how = {.size = sizeof how, .parent = parent};
    clouds_event e = {0};
    uint64_t call = 0;
    int code = clouds_node_call(node, "silent", 6, "[]", 2, &how, &call);
    if (strcmp(mode, "inline") == 0) {
        CHECK_INT(code, CLOUDS_ESTALE);
        CHECK(strstr(clouds_last_error(), "no request that is open"));
        return;
    }
    CHECK_INT(code, 0);
    REQUIRE(kit_await(context, NULL, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK(e.id == call && e.code == CLOUDS_ESTALE && e.outcome == CLOUDS_OUTCOME_NOT_DONE);
    CHECK(says(&e, "no request that is open"));
}

static void a_parent_that_is_none(void)
{
    clouds_event e = {0};
    open_self();
    check_stale(999998);
    uint64_t r = next_request();
    CHECK_INT(clouds_reply(context, r, "[]", 2), 0);
    REQUIRE(kit_await(context, NULL, CLOUDS_EVENT_RESULT, &e) == 1);
    check_stale(r);
    clouds_context_destroy(context);
}

/* Its caller has given up: nothing is sent, and the call says that no time was left. */
static void a_parent_whose_time_is_over(void)
{
    const clouds_call_options brief = {.size = sizeof brief, .deadline = 1};
    clouds_event e = {0};
    open_self();
    kit_call(node, "silent", "[]", &brief);
    REQUIRE(kit_await(context, NULL, CLOUDS_EVENT_REQUEST, &e) == 1);
    const clouds_call_options how = {.size = sizeof how, .parent = e.id};
    REQUIRE(kit_await(context, NULL, CLOUDS_EVENT_RESULT, &e) == 1);
    for (double until = kit_now() + KIT_PATIENCE; clouds_request_open(context, how.parent) && kit_now() < until;)
        kit_next(context, &e, 0.01);
    uint64_t call = kit_call(node, "silent", "[]", &how);
    REQUIRE(kit_await(context, NULL, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK(e.id == call && e.code == CLOUDS_EEXPIRED);
    clouds_context_destroy(context);
}

static void in_each_mode(void)
{
    RUN(too_big_in_each_way);
    RUN(wrong_answers_leave_it_open);
    RUN(a_parent_that_is_none);
    RUN(a_parent_whose_time_is_over);
}

int main(void)
{
    kit_modes(&mode, in_each_mode);
    return kit_end();
}
