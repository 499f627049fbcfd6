/* Whole flows through the exported functions, over each bus, in each mode on each side. */
#include <time.h>

#include "api/kit.h"

static const char *kind, *server_mode, *client_mode;

static void values_and_errors(void)
{
    kit_pair p = kit_open(kind, server_mode, client_mode);
    clouds_event e;
    uint64_t call = kit_call(p.client_node, "echo", "[1,\"zwei\",null,{},[]]",
                             &(clouds_call_options){.size = sizeof(clouds_call_options), .user_data = 77});
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK(e.id == call);
    CHECK_INT(e.code, 0);
    CHECK_INT(e.outcome, CLOUDS_OUTCOME_OK);
    CHECK_INT(e.user_data, 77);
    CHECK(e.node == p.client_node);
    CHECK_STR(e.data, e.data_len, "[1,\"zwei\",null,{},[]]");
    CHECK_INT(e.error_len, 0);
    CHECK_STR(e.peer, e.peer_len, clouds_node_id(p.server_node));

    call = kit_call(p.client_node, "fail", "[]", NULL);
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK(e.id == call);
    CHECK_INT(e.code, CLOUDS_EAPP);
    CHECK_INT(e.outcome, CLOUDS_OUTCOME_APP_ERROR);
    CHECK_STR(e.data, e.data_len, "[7]");
    CHECK_STR(e.error, e.error_len, "{\"message\":\"no\",\"code\":\"E_NO\",\"extra\":[1]}");
    kit_close(&p);
}

static void white_space_goes_not_along(void)
{
    kit_pair p = kit_open(kind, server_mode, client_mode);
    clouds_event e;
    kit_call(p.client_node, "silent", "[]", NULL);
    REQUIRE(kit_await(p.server, p.client, CLOUDS_EVENT_REQUEST, &e) == 1);
    static const char error[] = "\n {\"message\":\"x\"}\t", result[] = " [7]\r\n";
    CHECK_INT(clouds_fail(p.server, e.id, error, sizeof error - 1, result, sizeof result - 1), 0);
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK_INT(e.code, CLOUDS_EAPP);
    CHECK_STR(e.error, e.error_len, "{\"message\":\"x\"}");
    CHECK_STR(e.data, e.data_len, "[7]");
    kit_close(&p);
}

static void no_server(void)
{
    kit_pair p = kit_open(kind, server_mode, client_mode);
    clouds_event e;
    kit_call(p.client_node, "nobody.has.this", "[]", NULL);
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK_INT(e.code, CLOUDS_ENOSERVER);
    CHECK_INT(e.outcome, CLOUDS_OUTCOME_NOT_DONE);
    CHECK(e.error_len > 0 && memmem(e.error, e.error_len, "CLOUDS_NO_AVAILABLE_SERVER", 26));
    kit_close(&p);
}

static void timeout_and_cancel(void)
{
    kit_pair p = kit_open(kind, server_mode, client_mode);
    clouds_event e;
    clouds_call_options fast = {.size = sizeof fast, .timeout = 1};
    uint64_t call = kit_call(p.client_node, "silent", "[]", &fast);
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK(e.id == call);
    CHECK_INT(e.code, CLOUDS_ETIMEOUT);
    CHECK_INT(e.outcome, CLOUDS_OUTCOME_UNKNOWN);

    call = kit_call(p.client_node, "silent", "[]", NULL);
    CHECK_INT(clouds_cancel(p.client, call), 0);
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK(e.id == call);
    CHECK_INT(e.code, CLOUDS_ECANCELED);
    CHECK_INT(clouds_cancel(p.client, call), CLOUDS_ESTALE);
    kit_close(&p);
}

static void request_details(void)
{
    kit_pair p = kit_open(kind, server_mode, client_mode);
    clouds_event e;
    clouds_call_options o = {.size = sizeof o, .timeout = 5};
    kit_call(p.client_node, "silent", " \t[ true]\r\n", &o);
    REQUIRE(kit_await(p.server, p.client, CLOUDS_EVENT_REQUEST, &e) == 1);
    CHECK_STR(e.method, e.method_len, "silent");
    CHECK_STR(e.data, e.data_len, "[ true]"); /* what is around it goes not along: others look at the first byte */
    CHECK_STR(e.peer, e.peer_len, clouds_node_id(p.client_node));
    CHECK(e.node == p.server_node);
    CHECK(e.time_left > 3 && e.time_left < 6);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double left = (double)e.number / 1000 - ((double)now.tv_sec + (double)now.tv_nsec * 1e-9);
    CHECK(left > 3 && left <= e.time_left + 0.002); /* whole milliseconds */
    uint64_t request = e.id;
    CHECK_INT(clouds_reply(p.server, request, "[", 1), CLOUDS_EJSON);
    CHECK_INT(clouds_reply(p.server, request, "{}", 2), CLOUDS_EJSON);
    CHECK_INT(clouds_fail(p.server, request, "{\"message\":5}", 13, NULL, 0), CLOUDS_EJSON);
    CHECK_INT(clouds_reply(p.server, request, "\n[1] ", 5), 0);
    CHECK_INT(clouds_reply(p.server, request, "[1]", 3), CLOUDS_ESTALE);
    CHECK_INT(clouds_fail(p.server, request, "{\"message\":\"x\"}", 15, NULL, 0), CLOUDS_ESTALE);
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK_STR(e.data, e.data_len, "[1]");
    kit_close(&p);
}

static void answer_too_big(void)
{
    const char *url = kit_url(kind);
    clouds_options *options = KIT_OPTIONS("url", url, "mode", server_mode, "max_message", "4096");
    kit_pair p = {.client = kit_context(url, client_mode)};
    CHECK_INT(clouds_context_create(options, &p.server), 0);
    clouds_options_destroy(options);
    p.server_node = kit_node(p.server, "server");
    p.client_node = kit_node(p.client, "client");
    CHECK_INT(kit_register(p.server, p.server_node, "silent"), 0);
    CHECK_INT(kit_register(p.server, p.server_node, "echo"), 0);
    CHECK(kit_find(&p));
    clouds_event e;
    kit_call(p.client_node, "silent", "[]", NULL);
    REQUIRE(kit_await(p.server, p.client, CLOUDS_EVENT_REQUEST, &e) == 1);
    char big[5000];
    memset(big, ' ', sizeof big);
    big[0] = '[', big[sizeof big - 1] = ']';
    CHECK_INT(clouds_reply(p.server, e.id, big, sizeof big), CLOUDS_ETOOBIG);
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK(e.code != 0);
    CHECK(e.error_len && memmem(e.error, e.error_len, "CLOUDS_TOO_BIG", 14));
    uint64_t call;
    CHECK_INT(clouds_node_call(p.server_node, "x", 1, big, sizeof big, NULL, &call), CLOUDS_ETOOBIG);
    kit_close(&p);
}

static int has(const char *text, size_t n, const char *part)
{
    return memmem(text, n, part, strlen(part)) != NULL;
}

/* Each side has limits of its own: what is over them is an error at once, that says by how much. */
static void over_the_limits_of_the_other(void)
{
    static char big[5001], deep[91];
    memset(big, ' ', 5000);
    big[0] = '[', big[4999] = ']';
    memset(deep, '[', 45);
    memset(deep + 45, ']', 45);
    const char *url = kit_url(kind);
    kit_pair p = {.server = kit_context(url, server_mode)};
    clouds_options *options =
        KIT_OPTIONS("url", url, "mode", client_mode, "max_message", "3000", "max_depth", "20", "max_in_flight", "100");
    CHECK_INT(clouds_context_create(options, &p.client), 0);
    clouds_options_destroy(options);
    p.server_node = kit_node(p.server, "server");
    p.client_node = kit_node(p.client, "client");
    CHECK_INT(kit_register(p.server, p.server_node, "silent"), 0);
    CHECK_INT(kit_register(p.server, p.server_node, "echo"), 0);
    CHECK_INT(kit_register(p.client, p.client_node, "silent2"), 0);
    CHECK(kit_find(&p));
    clouds_event e;
    for (int i = 0; i < 2; i++) {
        kit_call(p.client_node, "silent", "[]", NULL);
        CHECK_INT(kit_await(p.server, p.client, CLOUDS_EVENT_REQUEST, &e), 1);
        int code = i ? clouds_reply(p.server, e.id, deep, 90) : clouds_reply(p.server, e.id, big, 5000);
        CHECK(code == 0 || code == CLOUDS_ETOOBIG);
        CHECK_INT(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e), 1);
        if (e.code == CLOUDS_EAPP) { /* inproc: the server knows it already */
            CHECK(has(e.error, e.error_len, "CLOUDS_TOO_BIG"));
        } else {
            CHECK_INT(e.code, CLOUDS_ETOOBIG);
            CHECK_INT(e.outcome, CLOUDS_OUTCOME_UNKNOWN);
        }
        if (i == 0) CHECK(has(e.error, e.error_len, "\"limit\":3000"));
        else CHECK(has(e.error, e.error_len, "deep"));
    }
    CHECK(kit_find(&p));          /* nobody is blamed, and the connection lives */
    for (int i = 0; i < 2; i++) { /* the other way: not begun */
        uint64_t call = kit_call(p.server_node, "silent2", i ? deep : big, NULL);
        CHECK_INT(kit_await(p.server, p.client, CLOUDS_EVENT_RESULT, &e), 1);
        CHECK_INT(e.id, call);
        CHECK_INT(e.code, CLOUDS_ETOOBIG);
        CHECK_INT(e.outcome, CLOUDS_OUTCOME_NOT_DONE);
    }
    kit_close(&p);
}

static void messages(void)
{
    kit_pair p = kit_open(kind, server_mode, client_mode);
    clouds_event e;
    uint64_t operation = 0;
    const char *to = clouds_node_id(p.server_node);
    CHECK_INT(clouds_node_send(p.client_node, to, strlen(to), "{\"a\":1}", 7, CLOUDS_SEND_CONFIRM, NULL, &operation),
              0);
    REQUIRE(kit_await(p.server, p.client, CLOUDS_EVENT_MESSAGE, &e) == 1);
    CHECK_STR(e.data, e.data_len, "{\"a\":1}");
    CHECK_STR(e.peer, e.peer_len, clouds_node_id(p.client_node));
    CHECK(e.node == p.server_node);
    kit_close(&p);
}

static void message_confirmed(void)
{
    kit_pair p = kit_open(kind, server_mode, client_mode);
    clouds_event e;
    uint64_t operation = 0;
    const char *to = clouds_node_id(p.server_node);
    CHECK_INT(clouds_node_send(p.client_node, to, strlen(to), "1", 1, CLOUDS_SEND_CONFIRM, NULL, &operation), 0);
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_SENT, &e) == 1);
    CHECK(e.id == operation);
    CHECK_INT(e.code, 0);
    CHECK(e.number == 1 || e.number == -1);
    CHECK_INT(clouds_node_send(p.client_node, "nobody", 6, "1", 1, CLOUDS_SEND_CONFIRM, NULL, &operation), 0);
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_SENT, &e) == 1);
    CHECK(e.id == operation);
    CHECK_INT(e.number, 0);
    kit_close(&p);
}

static void status_and_unregister(void)
{
    kit_pair p = kit_open(kind, server_mode, client_mode);
    clouds_event e;
    uint64_t operation = 0;
    CHECK_INT(clouds_node_status(p.client_node, NULL, &operation), 0);
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_STATUS, &e) == 1);
    CHECK(e.id == operation);
    CHECK_INT(e.code, 0);
    CHECK(memmem(e.data, e.data_len, "\"echo\"", 6));
    CHECK(memmem(e.data, e.data_len, clouds_node_id(p.server_node), strlen(clouds_node_id(p.server_node))));
    CHECK_INT(clouds_node_unregister(p.server_node, "echo", 4, NULL, &operation), 0);
    REQUIRE(kit_await(p.server, p.client, CLOUDS_EVENT_UNREGISTERED, &e) == 1);
    CHECK(e.id == operation);
    CHECK_INT(e.code, 0);
    CHECK_STR(e.method, e.method_len, "echo");
    /* Never there: at once in inline mode, by the event in thread mode. */
    int code = clouds_node_unregister(p.server_node, "never", 5, NULL, &operation);
    if (code == 0) {
        REQUIRE(kit_await(p.server, p.client, CLOUDS_EVENT_UNREGISTERED, &e) == 1);
        code = e.code;
    }
    CHECK_INT(code, CLOUDS_EINVAL);
    kit_close(&p);
}

static void many_calls(void)
{
    kit_pair p = kit_open(kind, server_mode, client_mode);
    enum { CALLS = 2000, BATCH = 64 };
    static unsigned char seen[CALLS];
    memset(seen, 0, sizeof seen);
    clouds_event batch[BATCH];
    int sent = 0, done = 0;
    double until = kit_now() + KIT_PATIENCE;
    while (done < CALLS && kit_now() < until) {
        for (int i = 0; i < 100 && sent < CALLS && sent - done < 500; i++, sent++) {
            char args[32];
            snprintf(args, sizeof args, "[%d]", sent);
            kit_call(p.client_node, "echo", args,
                     &(clouds_call_options){.size = sizeof(clouds_call_options), .user_data = (uint64_t)sent});
        }
        int n = clouds_poll(p.server, batch, sizeof *batch, BATCH, 0.001);
        for (int i = 0; i < n; i++) kit_answer(p.server, &batch[i]);
        n = clouds_poll(p.client, batch, sizeof *batch, BATCH, 0.001);
        for (int i = 0; i < n; i++) {
            if (batch[i].type != CLOUDS_EVENT_RESULT) continue;
            char want[32];
            snprintf(want, sizeof want, "[%d]", (int)batch[i].user_data);
            CHECK_STR(batch[i].data, batch[i].data_len, want);
            CHECK_INT(seen[batch[i].user_data]++, 0);
            done++;
        }
    }
    CHECK_INT(done, CALLS);
    kit_close(&p);
}

static void orderly_close(void)
{
    kit_pair p = kit_open(kind, server_mode, client_mode);
    clouds_event e;
    uint64_t call = kit_call(p.client_node, "silent", "[]", NULL);
    REQUIRE(kit_await(p.server, p.client, CLOUDS_EVENT_REQUEST, &e) == 1);
    uint64_t request = e.id;
    CHECK_INT(clouds_node_close(p.server_node, 10, NULL, NULL), 0);
    CHECK_INT(clouds_node_close(p.server_node, 10, NULL, NULL), CLOUDS_ECLOSED);
    uint64_t operation;
    CHECK_INT(clouds_node_register(p.server_node, "late", 4, NULL, &operation), CLOUDS_ECLOSED);
    CHECK_INT(clouds_reply(p.server, request, "[2]", 3), 0);
    int answered = 0, gone = 0;
    for (double until = kit_now() + KIT_PATIENCE; !(answered && gone) && kit_now() < until;) {
        if (kit_next(p.server, &e, 0.01) == 1 && e.type == CLOUDS_EVENT_NODE_CLOSED)
            gone += e.node == p.server_node && e.number == 0;
        if (kit_next(p.client, &e, 0.01) == 1 && e.type == CLOUDS_EVENT_RESULT) answered += e.id == call && e.code == 0;
    }
    CHECK(answered == 1 && gone == 1);
    /* The context: every call of it ends before it does. */
    call = kit_call(p.client_node, "nobody", "[]",
                    &(clouds_call_options){.size = sizeof(clouds_call_options), .retries = 3});
    CHECK_INT(clouds_context_close(p.client, 1, NULL, NULL), 0);
    CHECK_INT(clouds_context_close(p.client, 1, NULL, NULL), CLOUDS_ECLOSED);
    int results = 0;
    do {
        REQUIRE(kit_await(p.client, p.server, 0, &e) == 1);
        if (e.type == CLOUDS_EVENT_RESULT) results += e.id == call;
    } while (e.type != CLOUDS_EVENT_CONTEXT_CLOSED);
    CHECK_INT(results, 1);
    CHECK_INT(kit_next(p.client, &e, 0), CLOUDS_ECLOSED);
    CHECK_INT(kit_next(p.client, &e, -1), CLOUDS_ECLOSED);
    clouds_node *node;
    CHECK_INT(clouds_node_create(p.client, NULL, &node), CLOUDS_ECLOSED);
    kit_close(&p);
}

/* In thread mode a request waits to be polled; nobody sees it once its caller has given up. */
static void a_request_expires_before_it_is_polled(void)
{
    if (strcmp(server_mode, "thread") != 0) return;
    kit_pair p = kit_open(kind, server_mode, client_mode);
    clouds_event e;
    kit_call(p.client_node, "silent", "[]",
             &(clouds_call_options){.size = sizeof(clouds_call_options), .deadline = 0.1});
    REQUIRE(kit_await(p.client, NULL, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK(e.code == CLOUDS_ETIMEOUT || e.code == CLOUDS_EEXPIRED);
    int sent = e.code == CLOUDS_ETIMEOUT;
    uint64_t expired = 0, canceled = 0;
    kit_next(p.client, &e, 0.2); /* the clocks of both sides may differ by some milliseconds */
    /* The caller's word that it has given up may come first. */
    for (double until = kit_now() + KIT_PATIENCE; sent && expired + canceled == 0 && kit_now() < until;) {
        CHECK(kit_next(p.server, &e, 0.01) == 0 || e.type != CLOUDS_EVENT_REQUEST);
        CHECK_INT(clouds_counter(p.server, "expired_requests", 0, NULL, &expired), 0);
        CHECK_INT(clouds_counter(p.server, "canceled_requests", 0, NULL, &canceled), 0);
    }
    CHECK_INT(expired + canceled, sent);
    CHECK(kit_find(&p)); /* and the next is served */
    kit_close(&p);
}

/* A request that was begun is closed at its deadline, whether its handler knows that or not. */
static void a_request_is_closed_at_its_deadline(void)
{
    kit_pair p = kit_open(kind, server_mode, client_mode);
    clouds_event e;
    const clouds_call_options brief = {.size = sizeof brief, .timeout = 1};
    kit_call(p.client_node, "silent", "[]", &brief);
    CHECK_INT(kit_await(p.server, p.client, CLOUDS_EVENT_REQUEST, &e), 1);
    uint64_t request = e.id;
    CHECK_INT(clouds_request_open(p.server, request), 1);
    CHECK_INT(kit_await(p.client, NULL, CLOUDS_EVENT_RESULT, &e), 1);
    CHECK_INT(e.code, CLOUDS_ETIMEOUT);
    double until = kit_now() + KIT_PATIENCE;
    while (clouds_request_open(p.server, request) == 1 && kit_now() < until) usleep(1000);
    CHECK_INT(clouds_request_open(p.server, request), 0);
    CHECK_INT(clouds_reply(p.server, request, "[]", 2), CLOUDS_ESTALE);
    CHECK_INT(clouds_request_open(p.server, 12345678), 0);
    uint64_t overdue = 0;
    while (overdue == 0 && kit_now() < until) {
        CHECK_INT(clouds_counter(p.server, "overdue_requests", 0, NULL, &overdue), 0);
        kit_next(p.server, &e, 0.001);
    }
    CHECK_INT(overdue, 1);
    kit_close(&p);
}

/* The close has been carried out: nothing is begun any more. */
static void begins_nothing(clouds_context *server, double seconds)
{
    clouds_event e;
    for (int n = 1; n == 1; seconds = 0)
        if ((n = kit_next(server, &e, seconds)) == 1) CHECK(e.type != CLOUDS_EVENT_REQUEST);
}

/* What a closing node has accepted but its user never saw was not begun, and says so; what was begun is lost. In thread
 * mode the close waits for the library's thread, and until then a poll may begin what came before: so there the server
 * is polled when the callers have been told. */
static void a_closing_node_tells_its_callers(void)
{
    kit_pair p = kit_open(kind, server_mode, client_mode);
    clouds_event e;
    uint64_t before = 0;
    clouds_counter(p.server, "requests", 0, NULL, &before);
    kit_call(p.client_node, "silent", "[1]", NULL);
    CHECK_INT(kit_await(p.server, p.client, CLOUDS_EVENT_REQUEST, &e), 1); /* begun */
    kit_call(p.client_node, "silent", "[2]", NULL);
    double until = kit_now() + KIT_PATIENCE;
    int runs_by_itself = strcmp(server_mode, "thread") == 0;
    if (runs_by_itself) /* else it stays in the socket until the node closes, which is as good */
        for (uint64_t requests = 0; requests < before + 2 && kit_now() < until; kit_next(p.client, &e, 0.001))
            clouds_counter(p.server, "requests", 0, NULL, &requests);
    CHECK_INT(clouds_node_close(p.server_node, 0, NULL, NULL), 0);
    int codes[2] = {0};
    for (int i = 0; i < 2; i++) {
        while (clouds_poll(p.client, &e, sizeof e, 1, 0.002) == 0 || e.type != CLOUDS_EVENT_RESULT) {
            if (!runs_by_itself) begins_nothing(p.server, 0.002);
            if (kit_now() > until) break;
        }
        codes[i] = e.code;
        CHECK_INT(e.outcome, e.code == CLOUDS_ELOST ? CLOUDS_OUTCOME_UNKNOWN : CLOUDS_OUTCOME_NOT_DONE);
    }
    CHECK(codes[0] == CLOUDS_ELOST || codes[1] == CLOUDS_ELOST);
    CHECK(codes[0] != codes[1]);
    begins_nothing(p.server, 0);
    kit_close(&p);
}

/* What it has accepted may need others. */
static void a_draining_node_calls(void)
{
    kit_pair p = kit_open(kind, server_mode, client_mode);
    clouds_event e;
    CHECK_INT(kit_register(p.client, p.client_node, "helper"), 0);
    kit_call(p.client_node, "silent", "[]", NULL);
    REQUIRE(kit_await(p.server, p.client, CLOUDS_EVENT_REQUEST, &e) == 1);
    clouds_call_options on_behalf = {.size = sizeof on_behalf, .parent = e.id, .retries = 20, .timeout = 2};
    CHECK_INT(clouds_node_close(p.server_node, 20, NULL, NULL), 0);
    uint64_t call, other;
    CHECK_INT(clouds_node_call(p.server_node, "helper", 6, "[]", 2, NULL, &other), CLOUDS_ECLOSED);
    CHECK_INT(clouds_node_call(p.server_node, "helper", 6, "[]", 2, &on_behalf, &call), 0);
    uint64_t request = e.id;
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_REQUEST, &e) == 1);
    CHECK_INT(clouds_reply(p.client, e.id, "[5]", 3), 0);
    REQUIRE(kit_await(p.server, p.client, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK(e.id == call);
    CHECK_STR(e.data, e.data_len, "[5]");
    CHECK_INT(clouds_reply(p.server, request, "[6]", 3), 0);
    int answered = 0, closed = 0; /* in any order */
    for (double until = kit_now() + KIT_PATIENCE; kit_now() < until && !(answered && closed);) {
        if (kit_next(p.server, &e, 0.002) == 1) closed += e.type == CLOUDS_EVENT_NODE_CLOSED;
        if (kit_next(p.client, &e, 0.002) != 1 || e.type != CLOUDS_EVENT_RESULT) continue;
        CHECK_STR(e.data, e.data_len, "[6]");
        answered++;
    }
    CHECK_INT(answered, 1);
    CHECK_INT(closed, 1);
    CHECK_INT(clouds_node_call(p.server_node, "helper", 6, "[]", 2, &on_behalf, &call), CLOUDS_ECLOSED);
    kit_close(&p);
}

static void choosing_a_server(void)
{
    kit_pair p = kit_open(kind, server_mode, client_mode);
    clouds_node *node = kit_node_of(p.client, KIT_OPTIONS("find_server", "true", "user_data", "5"));
    clouds_event e;
    const char *server = clouds_node_id(p.server_node);
    uint64_t call = kit_call(node, "echo", "[3]", NULL);
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_FIND_SERVER, &e) == 1);
    CHECK_STR(e.method, e.method_len, "echo");
    uint64_t question = e.id;
    CHECK_INT(clouds_choose(p.client, question, server, strlen(server)), 0);
    CHECK_INT(clouds_choose(p.client, question, server, strlen(server)), CLOUDS_ESTALE);
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK(e.id == call);
    CHECK_INT(e.code, 0);
    kit_call(node, "echo", "[3]", NULL);
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_FIND_SERVER, &e) == 1);
    CHECK_INT(clouds_choose(p.client, e.id, "", 0), 0);
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK_INT(e.code, CLOUDS_ENOSERVER);
    kit_close(&p);
}

static void asking_before_attempts(void)
{
    kit_pair p = kit_open(kind, server_mode, client_mode);
    clouds_call_options ask = {
        .size = sizeof ask, .flags = CLOUDS_CALL_ASK, .user_data = 9, .retries = 1, .timeout = KIT_PATIENCE};
    clouds_event e;
    uint64_t call = kit_call(p.client_node, "echo", "[3]", &ask);
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_ATTEMPT, &e) == 1);
    CHECK(e.id == call && e.user_data == 9 && e.number == 0 && e.code == 0 && e.node == p.client_node);
    CHECK_STR(e.data, e.data_len, "[3]");
    CHECK_INT(clouds_choose(p.client, call, "x", 1), CLOUDS_ESTALE); /* it is not that question */
    CHECK_INT(clouds_attempt(p.client, call, "{}", 2), CLOUDS_EJSON);
    CHECK_INT(clouds_attempt(p.client, call, "[4]", 3), 0);
    CHECK_INT(clouds_attempt(p.client, call, NULL, 0), CLOUDS_ESTALE);
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK_STR(e.data, e.data_len, "[4]");
    ask.timeout = 1;
    call = kit_call(p.client_node, "silent", "[]", &ask);
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_ATTEMPT, &e) == 1);
    CHECK_INT(clouds_attempt(p.client, call, NULL, 0), 0);
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_ATTEMPT, &e) == 1);
    CHECK(e.id == call && e.number == 1 && e.code == CLOUDS_ETIMEOUT);
    CHECK_INT(clouds_cancel(p.client, call), 0);
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK_INT(e.code, CLOUDS_ECANCELED);
    CHECK_INT(clouds_attempt(p.client, call, NULL, 0), CLOUDS_ESTALE);
    kit_close(&p);
}

/* Each kind of operation is waited for as a call is, has user data of its own, and is ended by a cancel. */
static void operations_are_waited_for(void)
{
    kit_pair p = kit_open(kind, server_mode, client_mode);
    const clouds_operation_options wait = {.size = sizeof wait, .flags = CLOUDS_OPERATION_WAIT, .user_data = 77};
    const char *server = clouds_node_id(p.server_node);
    clouds_event e = {0};
    uint64_t id = 0;
    CHECK_INT(clouds_node_register(p.server_node, "more", 4, &wait, &id), 0);
    CHECK_INT(clouds_wait(p.server, id, KIT_PATIENCE, &e, sizeof e), 1);
    CHECK(e.type == CLOUDS_EVENT_REGISTERED && e.id == id && e.user_data == 77 && e.code == 0);
    clouds_event_release(&e);
    CHECK_INT(clouds_node_unregister(p.server_node, "more", 4, &wait, &id), 0);
    CHECK_INT(clouds_wait(p.server, id, KIT_PATIENCE, &e, sizeof e), 1);
    CHECK(e.type == CLOUDS_EVENT_UNREGISTERED && e.id == id && e.user_data == 77 && e.code == 0);
    clouds_event_release(&e);
    CHECK_INT(clouds_node_send(p.client_node, server, strlen(server), "1", 1, CLOUDS_SEND_CONFIRM, &wait, &id), 0);
    CHECK_INT(clouds_wait(p.client, id, KIT_PATIENCE, &e, sizeof e), 1);
    CHECK(e.type == CLOUDS_EVENT_SENT && e.id == id && e.user_data == 77 && e.code == 0);
    clouds_event_release(&e);
    CHECK_INT(clouds_node_status(p.client_node, &wait, &id), 0);
    CHECK_INT(clouds_wait(p.client, id, KIT_PATIENCE, &e, sizeof e), 1);
    CHECK(e.type == CLOUDS_EVENT_STATUS && e.id == id && e.user_data == 77 && e.data_len > 0);
    clouds_event_release(&e);
    CHECK_INT(clouds_cancel(p.client, id), CLOUDS_ESTALE);
    CHECK_INT(clouds_node_close(p.client_node, 0, &wait, &id), 0);
    CHECK_INT(clouds_cancel(p.client, id), CLOUDS_ESTALE); /* a close cannot be given up */
    CHECK_INT(clouds_wait(p.client, id, KIT_PATIENCE, &e, sizeof e), 1);
    CHECK(e.type == CLOUDS_EVENT_NODE_CLOSED && e.node == p.client_node && e.user_data == 77);
    clouds_event_release(&e);
    CHECK_INT(clouds_context_close(p.client, 0, &wait, &id), 0);
    CHECK_INT(clouds_wait(p.client, id, KIT_PATIENCE, &e, sizeof e), 1);
    CHECK(e.type == CLOUDS_EVENT_CONTEXT_CLOSED && e.id == id);
    clouds_event_release(&e);
    while (kit_next(p.client, &e, 0) == 1) continue;
    CHECK_INT(kit_next(p.client, &e, 0), CLOUDS_ECLOSED);
    kit_close(&p);
}

static void both_in_one_context(void)
{
    clouds_context *context = kit_context(kit_url(kind), client_mode);
    clouds_node *server = kit_node(context, "server"), *client = kit_node(context, "client");
    clouds_event e;
    CHECK_INT(kit_register(context, server, "echo"), 0);
    kit_call(client, "echo", "[9]", NULL);
    REQUIRE(kit_await(context, NULL, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK_STR(e.data, e.data_len, "[9]");
    uint64_t value = 0;
    CHECK_INT(clouds_counter(context, "calls", 0, NULL, &value), 0);
    CHECK_INT(value, 1);
    clouds_context_destroy(context);
}

static void all(void)
{
    printf("# %s server %s, client %s\n", kind, server_mode, client_mode);
    RUN(values_and_errors);
    RUN(white_space_goes_not_along);
    RUN(no_server);
    RUN(timeout_and_cancel);
    RUN(request_details);
    RUN(answer_too_big);
    RUN(over_the_limits_of_the_other);
    RUN(messages);
    RUN(message_confirmed);
    RUN(status_and_unregister);
    RUN(many_calls);
    RUN(orderly_close);
    RUN(a_request_expires_before_it_is_polled);
    RUN(a_request_is_closed_at_its_deadline);
    RUN(a_closing_node_tells_its_callers);
    RUN(a_draining_node_calls);
    RUN(choosing_a_server);
    RUN(asking_before_attempts);
    RUN(operations_are_waited_for);
    RUN(both_in_one_context);
}

int main(int argc, char **argv)
{
    kind = argc > 1 ? argv[1] : "inproc:";
    kit_mode_pairs(&server_mode, &client_mode, all);
    return kit_end();
}
