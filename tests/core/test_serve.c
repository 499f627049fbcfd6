#include "fake.h"

#include "base/log.h"

/* Requests from others, and the life of a node. */

static void start_server(fake *f)
{
    f->config = fake_node_config("server");
    fake_start(f);
    CHECK_INT(cl_node_register(f->node, CL_STR("up"), &(cl_op_spec){.id = 7}), 0);
    cl_core_registered(f->core, 7, 0, NULL);
}

static void requests_are_answered(void)
{
    fake f = {0};
    start_server(&f);
    CHECK_INT(fake_find(&f, CLOUDS_EVENT_REGISTERED)->e.id, 7);
    CHECK_STR(fake_find(&f, CLOUDS_EVENT_REGISTERED)->method, 2, "up");
    uint64_t id = fake_inbound(&f, f.node, "c.9", "abc", "up", CL_NATIVE, f.now + 1500);
    fake_event *e = fake_find(&f, CLOUDS_EVENT_REQUEST);
    CHECK_INT(e->e.id, id);
    CHECK_STR(e->peer, strlen(e->peer), "c.9");
    CHECK_STR(e->method, strlen(e->method), "up");
    CHECK_STR(e->data, strlen(e->data), "[7]");
    CHECK(e->e.time_left > 1.49 && e->e.time_left < 1.51);
    f.now += 1499;
    CHECK_INT(cl_core_answer(f.core, id, CL_STR_NONE, CL_STR("[8]")), 0);
    fake_sent *s = fake_last_sent(&f);
    CHECK_INT(s->type, CL_RESULT);
    CHECK_STR(s->to, strlen(s->to), "c.9");
    CHECK_STR(s->from, strlen(s->from), "c.1");
    CHECK_STR(s->id, strlen(s->id), "abc");
    CHECK_STR(s->result, strlen(s->result), "[8]");
    CHECK_STR(s->error, strlen(s->error), "");
    CHECK_INT(s->link, 77);
    CHECK_INT(s->flags, CL_NATIVE);
    CHECK_INT(cl_core_answer(f.core, id, CL_STR_NONE, CL_STR("[8]")), CLOUDS_ESTALE);
    CHECK_INT(cl_core_answer(f.core, 1, CL_STR_NONE, CL_STR("[8]")), CLOUDS_ESTALE);
    id = fake_inbound(
        &f, f.node, "n.9",
        "a-very-long-id-of-a-foreign-caller-that-needs-memory-of-its-own-0123456789-0123456789-0123456789-0123", "up",
        0, 0);
    CHECK(fake_find(&f, CLOUDS_EVENT_REQUEST)->e.time_left < 0);
    cl_core_answer(f.core, id, CL_STR("{\"message\":\"no\"}"), CL_STR_NONE);
    s = fake_last_sent(&f);
    CHECK_STR(s->error, strlen(s->error), "{\"message\":\"no\"}");
    CHECK_STR(s->result, strlen(s->result), "[]");
    CHECK_INT(strlen(s->id), 63); /* as much as the fake keeps */
    fake_end(&f);
}

static void check_refused(fake *f, unsigned flags, const char *error)
{
    fake_sent *s = fake_last_sent(f);
    CHECK_INT(s->type, CL_RESULT);
    CHECK_INT(s->flags, flags);
    CHECK_STR(s->error, strlen(s->error), error);
    CHECK_STR(s->result, strlen(s->result), "[]");
    CHECK_INT(s->link, 77);
}

/* Who answers is told that there is no room, and may answer again. */
static void an_answer_without_room(void)
{
    fake f = {0};
    start_server(&f);
    uint64_t id = fake_inbound(&f, f.node, "c.9", "abc", "up", CL_NATIVE, 0);
    static const int codes[] = {CLOUDS_ELIMIT, CLOUDS_ENOMEM};
    for (int i = 0; i < 2; i++) {
        f.send_code = codes[i];
        CHECK_INT(cl_core_answer(f.core, id, CL_STR_NONE, CL_STR("[8]")), codes[i]);
    }
    CHECK_INT(cl_core_counters(f.core)[CL_COUNT_REPLIES], 0);
    f.send_code = 0;
    CHECK_INT(cl_core_answer(f.core, id, CL_STR_NONE, CL_STR("[8]")), 0);
    CHECK_STR(fake_last_sent(&f)->result, 3, "[8]");
    CHECK_INT(cl_core_counters(f.core)[CL_COUNT_REPLIES], 1);
    CHECK_INT(cl_core_answer(f.core, id, CL_STR_NONE, CL_STR("[8]")), CLOUDS_ESTALE);
    id = fake_inbound(&f, f.node, "c.9", "abd", "up", CL_NATIVE, 0);
    f.send_code = CLOUDS_EUNREACHABLE; /* its caller is gone: nobody waits */
    CHECK_INT(cl_core_answer(f.core, id, CL_STR_NONE, CL_STR("[8]")), CLOUDS_EUNREACHABLE);
    CHECK_INT(cl_core_answer(f.core, id, CL_STR_NONE, CL_STR("[8]")), CLOUDS_ESTALE);
    CHECK_INT(cl_core_counters(f.core)[CL_COUNT_LOST_ANSWERS], 1);
    fake_end(&f);
}

static void expired_requests_are_not_started(void)
{
    fake f = {0};
    start_server(&f);
    CHECK_INT(fake_inbound(&f, f.node, "c.9", "abc", "up", CL_NATIVE, f.now), 0);
    check_refused(&f, CL_NATIVE | CL_REFUSED,
                  "{\"message\":\"the deadline passed before the server began\",\"code\":\"CLOUDS_EXPIRED\"}");
    CHECK_INT(cl_core_counters(f.core)[CL_COUNT_EXPIRED_REQUESTS], 1);
    CHECK(fake_inbound(&f, f.node, "c.9", "abc", "up", CL_NATIVE, f.now + 1) != 0);
    fake_end(&f);
}

static char logged[400];

static void keep_line(void *user_data, int level, const char *text)
{
    snprintf(logged, sizeof logged, "%d %s", level, text);
}

/* A line about a request says whose it is, and nothing in it forges another line. */
static void a_line_names_its_request(void)
{
    fake f = {0};
    char want[400];
    start_server(&f);
    cl_log_hook(keep_line, NULL, CLOUDS_LOG_DEBUG);
    uint64_t begun = fake_inbound(&f, f.node, "c.9\n", "abe", "up", CL_NATIVE, f.now + 100);
    fake_advance(&f, 100);
    cl_log_hook(NULL, NULL, 0);
    snprintf(want, sizeof want,
             "%d a request was not answered before its deadline; caller c.9\\x0a; node c.1; request %llu",
             CLOUDS_LOG_DEBUG, (unsigned long long)begun);
    CHECK_STR(logged, strlen(logged), want);
    fake_end(&f);
}

/* A request is closed at its deadline: one that the user has not seen is refused, one that was begun is over. */
static void requests_end_at_their_deadline(void)
{
    fake f = {0};
    int64_t deadline = 0;
    start_server(&f);
    const uint64_t *counters = cl_core_counters(f.core);
    f.waiting = 1;
    uint64_t waiting = fake_inbound(&f, f.node, "c.9", "abc", "up", CL_NATIVE, f.now + 100);
    uint64_t other = fake_inbound(&f, f.node, "c.9", "abd", "up", CL_NATIVE, 0);
    fake_advance(&f, 99);
    CHECK_INT(f.n_sent, 0);
    CHECK_INT(cl_core_request(f.core, waiting, &deadline), 1);
    CHECK_INT(deadline, f.now + 1);
    fake_advance(&f, 1);
    CHECK_INT(f.n_sent, 1);
    CHECK_INT(fake_last_sent(&f)->flags, CL_NATIVE | CL_REFUSED);
    CHECK_INT(counters[CL_COUNT_EXPIRED_REQUESTS], 1);
    CHECK_INT(cl_core_answer(f.core, waiting, CL_STR_NONE, CL_STR("[8]")), CLOUDS_ESTALE);
    f.waiting = 0;
    uint64_t begun = fake_inbound(&f, f.node, "c.9", "abe", "up", CL_NATIVE, f.now + 100);
    fake_advance(&f, 100);
    CHECK_INT(f.n_sent, 1);
    CHECK_INT(counters[CL_COUNT_OVERDUE_REQUESTS], 1);
    CHECK_INT(cl_core_request(f.core, begun, &deadline), 0);
    CHECK_INT(cl_core_answer(f.core, begun, CL_STR_NONE, CL_STR("[8]")), CLOUDS_ESTALE);
    begun = fake_inbound(&f, f.node, "c.9", "abf", "up", CL_NATIVE, f.now + 100);
    f.now += 100; /* the timer is late */
    CHECK_INT(cl_core_answer(f.core, begun, CL_STR_NONE, CL_STR("[8]")), CLOUDS_ESTALE);
    CHECK_INT(counters[CL_COUNT_OVERDUE_REQUESTS], 2);
    CHECK_INT(cl_core_answer(f.core, other, CL_STR_NONE, CL_STR("[8]")), 0);
    fake_end(&f);
}

/* The bytes of the requests that are open are bounded, too; a single one always has its chance. */
static void requests_are_bounded_in_bytes(void)
{
    fake f = {.config = fake_node_config("server")};
    cl_core_config config = fake_core_config();
    config.max_in_flight_bytes = 5;
    fake_open(&f, &config);
    cl_core_bus(f.core, 1, 0, NULL);
    f.node = fake_node(&f, "c.1", &f.config);
    cl_node_ready(f.node, 0, NULL);
    CHECK_INT(cl_node_register(f.node, CL_STR("up"), &(cl_op_spec){.id = 7}), 0);
    uint64_t first = fake_inbound(&f, f.node, "c.9", "abc", "up", CL_NATIVE, 0); /* [7] */
    CHECK(first != 0);
    CHECK_INT(fake_inbound(&f, f.node, "c.9", "abd", "up", CL_NATIVE, 0), 0);
    check_refused(&f, CL_NATIVE | CL_REFUSED, "{\"message\":\"the server is busy\",\"code\":\"CLOUDS_OVERLOADED\"}");
    CHECK_INT(cl_core_answer(f.core, first, CL_STR_NONE, CL_STR("[8]")), 0);
    CHECK(fake_inbound(&f, f.node, "c.9", "abe", "up", CL_NATIVE, 0) != 0);
    fake_end(&f);
}

static void what_is_not_served_is_refused(void)
{
    fake f = {0};
    start_server(&f);
    CHECK_INT(fake_inbound(&f, f.node, "n.9", "abc", "down", 0, 0), 0);
    check_refused(&f, 0, "{\"message\":\"service handler not found\"}");
    CHECK_INT(fake_inbound(&f, f.node, "c.9", "abc", "down", CL_NATIVE, 0), 0);
    check_refused(&f, CL_NATIVE | CL_REFUSED,
                  "{\"message\":\"service handler not found\",\"code\":\"CLOUDS_NO_SUCH_METHOD\"}");
    CHECK_INT(fake_inbound(&f, f.node, "n.9", "abc", "up", CL_NO_ARRAY, 0), 0);
    check_refused(&f, 0,
                  "{\"message\":\"the arguments of a call must be an array\",\"code\":\"CLOUDS_INVALID_ARGUMENT\"}");
    CHECK_INT(fake_inbound(&f, f.node, "c.9", "abc", "up", CL_NATIVE | CL_UNSUPPORTED, 0), 0);
    check_refused(&f, CL_NATIVE | CL_REFUSED, "{\"message\":\"not supported here\",\"code\":\"CLOUDS_NOT_SUPPORTED\"}");
    f.reserve_code = CLOUDS_ENOMEM;
    CHECK_INT(fake_inbound(&f, f.node, "c.9", "abc", "up", CL_NATIVE, 0), 0);
    check_refused(&f, CL_NATIVE | CL_REFUSED, "{\"message\":\"the server is busy\",\"code\":\"CLOUDS_OVERLOADED\"}");
    f.reserve_code = 0;
    for (int i = 0; i < 1000; i++) CHECK(fake_inbound(&f, f.node, "c.9", "abc", "up", CL_NATIVE, 0) != 0);
    int sent = f.n_sent;
    CHECK_INT(fake_inbound(&f, f.node, "n.9", "abc", "up", 0, 0), 0);
    CHECK_INT(f.n_sent, sent + 1);
    check_refused(&f, 0, "{\"message\":\"the server is busy\",\"code\":\"CLOUDS_OVERLOADED\"}");
    CHECK_INT(cl_core_counters(f.core)[CL_COUNT_REFUSED_REQUESTS], 6);
    fake_end(&f);
}

static void who_serves_nothing_says_nothing(void)
{
    fake f = {0};
    fake_start(&f);
    CHECK_INT(fake_inbound(&f, f.node, "n.9", "abc", "up", 0, 0), 0);
    CHECK_INT(f.n_sent, 0);
    fake_event *e = fake_find(&f, CLOUDS_EVENT_UNKNOWN);
    CHECK_STR(e->method, strlen(e->method), "c");
    CHECK_STR(e->peer, strlen(e->peer), "n.9");
    CHECK_STR(e->error, strlen(e->error), "raw");
    fake_inbound(&f, f.node, "c.9", "abc", "up", CL_NATIVE, 0); /* one of ours is spared the wait */
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_UNKNOWN), 2);
    CHECK_INT(f.n_sent, 1);
    cl_envelope other = {.type = CL_OTHER,
                         .from = CL_STR("x"),
                         .method = CL_STR("zz"),
                         .data = CL_STR("[5]"),
                         .raw = CL_STR("{}"),
                         .id = CL_STR_NONE,
                         .args = CL_STR_NONE,
                         .error = CL_STR_NONE,
                         .result = CL_STR_NONE};
    cl_core_envelope(f.core, f.node, &other);
    e = fake_find(&f, CLOUDS_EVENT_UNKNOWN);
    CHECK_STR(e->method, strlen(e->method), "zz");
    CHECK_STR(e->data, strlen(e->data), "[5]");
    other.type = CL_MESSAGE;
    cl_core_envelope(f.core, f.node, &other);
    e = fake_find(&f, CLOUDS_EVENT_MESSAGE);
    CHECK_STR(e->data, strlen(e->data), "[5]");
    CHECK_STR(e->peer, strlen(e->peer), "x");
    fake_end(&f);
}

static void an_answer_too_big_is_an_error_answer(void)
{
    fake f = {0};
    start_server(&f);
    uint64_t id = fake_inbound(&f, f.node, "c.9", "abc", "up", CL_NATIVE, 0);
    f.send_code = CLOUDS_ETOOBIG;
    CHECK_INT(cl_core_answer(f.core, id, CL_STR_NONE, CL_STR("[8]")), CLOUDS_ETOOBIG);
    CHECK_INT(cl_core_answer(f.core, id, CL_STR_NONE, CL_STR("[8]")), CLOUDS_ESTALE);
    fake_end(&f);
}

static void closing_without_work(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t waiting = fake_call(&f, "m"), sent = fake_call(&f, "k");
    fake_servers(&f, "k", "s.1");
    CHECK_INT(cl_node_close(f.node, -1), 0);
    CHECK_INT(cl_node_close(f.node, -1), CLOUDS_ECLOSED);
    CHECK(cl_node_is_closing(f.node));
    CHECK_INT(f.n_drains, 1);
    CHECK_INT(f.n_closes, 1);
    CHECK_INT(fake_result(&f, waiting)->e.code, CLOUDS_ECLOSED);
    CHECK_INT(fake_result(&f, waiting)->e.outcome, CLOUDS_OUTCOME_NOT_DONE);
    CHECK_INT(fake_result(&f, sent)->e.code, CLOUDS_ECANCELED);
    CHECK_INT(fake_call_code(&f, f.node, (cl_call_spec){.id = 5}), CLOUDS_ECLOSED);
    CHECK_INT(cl_node_register(f.node, CL_STR("x"), &(cl_op_spec){.id = 6}), CLOUDS_ECLOSED);
    CHECK_INT(cl_node_unregister(f.node, CL_STR("x"), &(cl_op_spec){.id = 6}), CLOUDS_ECLOSED);
    CHECK_INT(cl_node_send(f.node, CL_STR("x"), CL_STR("1"), &(cl_op_spec){.id = 6}, 1), CLOUDS_ECLOSED);
    CHECK_INT(cl_node_status(f.node, &(cl_op_spec){.id = 6}), CLOUDS_ECLOSED);
    fake_answer(&f, 0, "", "[]"); /* in any order */
    cl_core_bus(f.core, 0, CLOUDS_EUNREACHABLE, "");
    cl_core_bus(f.core, 1, 0, NULL);
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_NODE_CLOSED), 0);
    cl_core_node_closed(f.core, f.node);
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_NODE_CLOSED), 1);
    CHECK_INT(fake_find(&f, CLOUDS_EVENT_NODE_CLOSED)->e.number, 0);
    fake_end(&f);
}

static void draining_serves_what_was_accepted(void)
{
    fake f = {0};
    start_server(&f);
    uint64_t id = fake_inbound(&f, f.node, "c.9", "abc", "up", CL_NATIVE, 0);
    uint64_t own = fake_call(&f, "m");
    cl_node_close(f.node, 5);
    CHECK_INT(f.n_drains, 1);
    CHECK_INT(f.n_closes, 0);
    CHECK_INT(fake_inbound(&f, f.node, "c.9", "abd", "up", CL_NATIVE, 0), 0);
    check_refused(&f, CL_NATIVE | CL_REFUSED, "{\"message\":\"the server is stopping\",\"code\":\"CLOUDS_DRAINING\"}");
    uint64_t npm = fake_inbound(&f, f.node, "n.9", "abe", "up", 0, 0);
    CHECK(npm != 0);
    fake_servers(&f, "m", "s.1");
    fake_answer(&f, f.n_sent - 1, "", "[]");
    CHECK_INT(fake_result(&f, own)->e.code, 0);
    CHECK_INT(fake_call_code(&f, f.node, (cl_call_spec){.id = 500000}), CLOUDS_ECLOSED);
    uint64_t child = fake_call_spec(&f, (cl_call_spec){.parent = id});
    CHECK(child != 0);
    CHECK_INT(cl_core_answer(f.core, id, CL_STR_NONE, CL_STR("[]")), 0);
    CHECK_INT(f.n_closes, 0);
    CHECK_INT(cl_core_answer(f.core, npm, CL_STR_NONE, CL_STR("[]")), 0);
    CHECK_INT(f.n_closes, 1);
    CHECK_INT(fake_result(&f, child)->e.code, CLOUDS_ECANCELED);
    /* the bus lingers for npm callers that do not know yet */
    npm = fake_inbound(&f, f.node, "n.9", "abf", "up", 0, 0);
    CHECK(npm != 0);
    CHECK_INT(cl_core_answer(f.core, npm, CL_STR_NONE, CL_STR("[]")), 0);
    CHECK_INT(f.n_closes, 1);
    cl_core_node_closed(f.core, f.node);
    CHECK_INT(fake_find(&f, CLOUDS_EVENT_NODE_CLOSED)->e.number, 0);
    fake_end(&f);
}

static void the_drain_has_an_end(void)
{
    fake f = {0};
    start_server(&f);
    uint64_t id = fake_inbound(&f, f.node, "c.9", "abc", "up", CL_NATIVE, 0);
    fake_inbound(&f, f.node, "c.9", "abd", "up", CL_NATIVE, 0);
    cl_node_close(f.node, -1);
    fake_advance(&f, 7999);
    CHECK_INT(f.n_closes, 0);
    fake_advance(&f, 2);
    CHECK_INT(f.n_closes, 1);
    CHECK_INT(f.n_sent, 0);
    cl_core_node_closed(f.core, f.node);
    CHECK_INT(f.n_sent, 2); /* begun, so nobody knows */
    CHECK_INT(f.sent[0].flags, CL_NATIVE | CL_LOST);
    CHECK_INT(fake_find(&f, CLOUDS_EVENT_NODE_CLOSED)->e.number, 2);
    CHECK_INT(cl_core_answer(f.core, id, CL_STR_NONE, CL_STR("[]")), CLOUDS_ESTALE);
    fake_end(&f);
}

/* What waits for the user when the drain is over was not begun. */
static void the_end_of_the_drain_refuses(void)
{
    fake f = {0};
    start_server(&f);
    f.waiting = 1;
    uint64_t id = fake_inbound(&f, f.node, "c.9", "abc", "up", CL_NATIVE, 0);
    cl_node_close(f.node, 1);
    fake_advance(&f, 1000);
    CHECK_INT(f.n_closes, 1);
    check_refused(&f, CL_NATIVE | CL_REFUSED, "{\"message\":\"the server is stopping\",\"code\":\"CLOUDS_DRAINING\"}");
    CHECK_INT(cl_core_answer(f.core, id, CL_STR_NONE, CL_STR("[]")), CLOUDS_ESTALE);
    cl_core_node_closed(f.core, f.node);
    CHECK_INT(f.n_sent, 1);
    CHECK_INT(fake_find(&f, CLOUDS_EVENT_NODE_CLOSED)->e.number, 1);
    fake_end(&f);
}

static void a_node_that_never_listens(void)
{
    fake f = {0};
    cl_core_config config = fake_core_config();
    cl_node_config client = fake_node_config("client");
    client.user_data = 31;
    fake_open(&f, &config);
    f.node = fake_node(&f, "c.1", &client);
    uint64_t id = fake_call(&f, "m");
    cl_node_send(f.node, CL_STR("x"), CL_STR("1"), &(cl_op_spec){.id = 6}, 1);
    cl_node_register(f.node, CL_STR("m"), &(cl_op_spec){.id = 8});
    cl_node_ready(f.node, CLOUDS_EAUTH, "no way");
    fake_event *e = fake_find(&f, CLOUDS_EVENT_READY);
    CHECK_INT(e->e.code, CLOUDS_EAUTH);
    CHECK_INT(e->e.user_data, 31);
    CHECK_STR(e->error, strlen(e->error),
              "{\"message\":\"c.1 does not listen: no way\",\"code\":\"CLOUDS_AUTH_FAILED\",\"node\":\"c.1\"}");
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_EAUTH);
    CHECK_INT(fake_find(&f, CLOUDS_EVENT_SENT)->e.code, CLOUDS_EAUTH);
    CHECK_INT(fake_find(&f, CLOUDS_EVENT_REGISTERED)->e.code, CLOUDS_EAUTH);
    CHECK_INT(fake_call_code(&f, f.node, (cl_call_spec){.id = 5}), CLOUDS_EAUTH);
    cl_node_ready(f.node, 0, NULL); /* once only */
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_READY), 1);
    cl_node_close(f.node, 0);
    cl_core_node_closed(f.core, f.node);
    f.node = fake_node(&f, "c.2", &client); /* closed before it was ready */
    cl_node_close(f.node, 0);
    CHECK_INT(fake_find(&f, CLOUDS_EVENT_READY)->e.code, CLOUDS_ECLOSED);
    cl_node_ready(f.node, 0, NULL);
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_READY), 2);
    fake_end(&f);
}

static void messages_go_out(void)
{
    fake f = {0};
    cl_core_config config = fake_core_config();
    cl_node_config client = fake_node_config("client");
    config.limits.write_soft = 4096;
    fake_open(&f, &config);
    f.node = fake_node(&f, "c.1", &client);
    CHECK_INT(cl_node_send(f.node, CL_STR("b.1"), CL_STR("{\"a\":1}"), &(cl_op_spec){.id = 0}, 0), 0);
    CHECK_INT(cl_node_send(f.node, CL_STR("b.1"), CL_STR("2"), &(cl_op_spec){.id = 6}, 1), 0);
    CHECK_INT(cl_node_send(f.node, CL_STR_NONE, CL_STR("2"), &(cl_op_spec){.id = 0}, 0), CLOUDS_EINVAL);
    int code = 0;
    for (int i = 0; i < 1000 && code == 0; i++)
        code = cl_node_send(f.node, CL_STR("b.1"), CL_STR("3"), &(cl_op_spec){.id = 0}, 0);
    CHECK_INT(code, CLOUDS_ELIMIT);
    CHECK_INT(f.n_sent, 0);
    cl_node_ready(f.node, 0, NULL);
    CHECK_STR(f.sent[0].data, strlen(f.sent[0].data), "{\"a\":1}");
    CHECK_INT(f.sent[0].type, CL_MESSAGE);
    CHECK_INT(f.sent[0].token, 0);
    CHECK_INT(f.sent[1].token, 6);
    cl_core_delivery(f.core, 6, CL_DELIVERY_WRITTEN, 3);
    CHECK_INT(fake_find(&f, CLOUDS_EVENT_SENT)->e.number, 3);
    CHECK_INT(fake_find(&f, CLOUDS_EVENT_SENT)->e.id, 6);
    static const struct {
        enum cl_delivery delivery;
        int code, number;
    } deliveries[] = {
        {CL_DELIVERY_NOBODY, 0, 0}, {CL_DELIVERY_NOT_SENT, CLOUDS_EUNREACHABLE, 0}, {CL_DELIVERY_LOST, 0, -1}};
    for (int i = 0; i < 3; i++) {
        cl_node_send(f.node, CL_STR("b.1"), CL_STR("2"), &(cl_op_spec){.id = 50 + (uint64_t)i}, 1);
        cl_core_delivery(f.core, 50 + (uint64_t)i, deliveries[i].delivery, 0);
        CHECK_INT(fake_find(&f, CLOUDS_EVENT_SENT)->e.code, deliveries[i].code);
        CHECK_INT(fake_find(&f, CLOUDS_EVENT_SENT)->e.number, deliveries[i].number);
    }
    cl_node_send(f.node, CL_STR("b.1"), CL_STR("2"), &(cl_op_spec){.id = 60}, 1); /* no word from the bus */
    fake_advance(&f, 2001);
    CHECK_INT(fake_find(&f, CLOUDS_EVENT_SENT)->e.id, 60);
    CHECK_INT(fake_find(&f, CLOUDS_EVENT_SENT)->e.number, -1);
    f.send_code = CLOUDS_ELIMIT;
    CHECK_INT(cl_node_send(f.node, CL_STR("b.1"), CL_STR("2"), &(cl_op_spec){.id = 0}, 0), CLOUDS_ELIMIT);
    CHECK_INT(cl_node_send(f.node, CL_STR("b.1"), CL_STR("2"), &(cl_op_spec){.id = 61}, 1), 0);
    CHECK_INT(fake_find(&f, CLOUDS_EVENT_SENT)->e.code, CLOUDS_ELIMIT);
    fake_end(&f);
}

static void a_letter_that_never_left(void)
{
    fake f = {0};
    cl_core_config config = fake_core_config();
    cl_node_config client = fake_node_config("client");
    fake_open(&f, &config);
    f.node = fake_node(&f, "c.1", &client);
    cl_node_send(f.node, CL_STR("b.1"), CL_STR("2"), &(cl_op_spec){.id = 6}, 1);
    fake_advance(&f, 2001);
    CHECK_INT(fake_find(&f, CLOUDS_EVENT_SENT)->e.code, CLOUDS_EUNREACHABLE);
    cl_node_ready(f.node, 0, NULL);
    CHECK_INT(f.n_sent, 0);
    fake_end(&f);
}

static void registering(void)
{
    fake f = {0};
    start_server(&f);
    CHECK_INT(cl_node_register(f.node, CL_STR("up"), &(cl_op_spec){.id = 8}), 0);
    CHECK_INT(cl_node_register(f.node, CL_STR("up"), &(cl_op_spec){.id = 8}), CLOUDS_EINVAL); /* an id twice */
    CHECK_INT(f.n_registers, 2);
    cl_core_registered(f.core, 8, CLOUDS_EREDIS, "full");
    fake_event *e = fake_find(&f, CLOUDS_EVENT_REGISTERED);
    CHECK_INT(e->e.code, CLOUDS_EREDIS);
    CHECK_STR(e->error, strlen(e->error),
              "{\"message\":\"cannot register up: "
              "full\",\"code\":\"CLOUDS_REDIS_ERROR\",\"method\":\"up\",\"node\":\"c.1\"}");
    cl_core_registered(f.core, 8, 0, NULL);
    cl_core_registered(f.core, 4711, 0, NULL);
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_REGISTERED), 2);
    CHECK_INT(cl_node_unregister(f.node, CL_STR("nope"), &(cl_op_spec){.id = 9}), CLOUDS_EINVAL);
    CHECK_STR(clouds_last_error(), strlen(clouds_last_error()), "no method 'nope' is registered");
    CHECK_INT(cl_node_unregister(f.node, CL_STR("up"), &(cl_op_spec){.id = 9}), 0);
    CHECK_INT(f.n_unregisters, 1);
    cl_core_registered(f.core, 9, 0, NULL);
    CHECK_INT(fake_find(&f, CLOUDS_EVENT_UNREGISTERED)->e.id, 9);
    CHECK_INT(fake_inbound(&f, f.node, "n.9", "abc", "up", 0, 0), 0);
    f.register_code = CLOUDS_ENOMEM;
    CHECK_INT(cl_node_register(f.node, CL_STR("late"), &(cl_op_spec){.id = 10}), 0);
    CHECK_INT(fake_find(&f, CLOUDS_EVENT_REGISTERED)->e.code, CLOUDS_ENOMEM);
    f.register_code = 0;
    CHECK_INT(f.n_abandoned, 0); /* the bus has ended all of these */
    cl_node_register(f.node, CL_STR("slow"), &(cl_op_spec){.id = 11});
    cl_node_close(f.node, 0);
    CHECK_INT(fake_find(&f, CLOUDS_EVENT_REGISTERED)->e.code, CLOUDS_ECLOSED);
    cl_core_registered(f.core, 11, 0, NULL);
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_REGISTERED), 4);
    fake_end(&f);
}

static void the_bus_is_told_who_waits_no_longer(void)
{
    fake f = {0};
    start_server(&f);
    CHECK_INT(cl_node_register(f.node, CL_STR("up"), &(cl_op_spec){.id = 8, .timeout = 1}), 0);
    CHECK_INT(cl_node_unregister(f.node, CL_STR("up"), &(cl_op_spec){.id = 9, .timeout = 3}), 0);
    CHECK_INT(cl_node_status(f.node, &(cl_op_spec){.id = 10, .timeout = 1}), 0);
    fake_advance(&f, 2000);
    CHECK_INT(f.n_abandoned, 1);
    CHECK_INT(cl_core_cancel(f.core, 9), 0);
    CHECK_INT(f.n_abandoned, 2);
    fake_end(&f);
}

static void status_is_grouped(void)
{
    fake f = {0};
    cl_core_config config = fake_core_config();
    cl_node_config monitor = fake_node_config("monitor");
    fake_open(&f, &config);
    f.node = fake_node(&f, "m.1", &monitor);
    CHECK_INT(cl_node_status(f.node, &(cl_op_spec){.id = 5}), 0);
    CHECK_INT(f.n_status, 0); /* not connected yet */
    cl_core_bus(f.core, 1, 0, NULL);
    CHECK_INT(f.n_status, 1);
    cl_str methods[] = {CL_STR("b"), CL_STR("a"), CL_STR("a"), CL_STR("a")};
    cl_server servers[] = {{.id = CL_STR("s.1"), .native = 1}, {.id = CL_STR("s.2"), .native = 1}, {.id = CL_STR("s.1"), .native = 0}, {.id = CL_STR("s.2"), .native = 1}};
    cl_core_status(f.core, 5, methods, servers, 2, 0, 0);
    cl_core_status(f.core, 5, methods + 2, servers + 2, 2, 0, 0);
    cl_core_status(f.core, 6, methods, servers, 2, 0, 0);
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_STATUS), 0);
    cl_core_status(f.core, 5, NULL, NULL, 0, 1, 0);
    fake_event *e = fake_find(&f, CLOUDS_EVENT_STATUS);
    CHECK_INT(e->e.code, 0);
    CHECK_STR(
        e->data, strlen(e->data),
        "{\"servers\":{\"s.1\":[\"a\",\"b\"],\"s.2\":[\"a\"]},\"methods\":{\"a\":[\"s.1\",\"s.2\"],\"b\":[\"s.1\"]}}");
    cl_core_status(f.core, 5, NULL, NULL, 0, 1, 0);
    cl_node_status(f.node, &(cl_op_spec){.id = 7});
    cl_core_status(f.core, 7, NULL, NULL, 0, 1, 0);
    e = fake_find(&f, CLOUDS_EVENT_STATUS);
    CHECK_STR(e->data, strlen(e->data), "{\"servers\":{},\"methods\":{}}");
    cl_node_status(f.node, &(cl_op_spec){.id = 8});
    cl_core_status(f.core, 8, methods, servers, 1, 1, CLOUDS_EREDIS);
    CHECK_INT(fake_find(&f, CLOUDS_EVENT_STATUS)->e.code, CLOUDS_EREDIS);
    cl_node_status(f.node, &(cl_op_spec){.id = 9});
    cl_core_status(f.core, 9, NULL, NULL, 0, 1, CLOUDS_EUNREACHABLE);
    int before = f.n_status;
    fake_advance(&f, 200);
    CHECK(f.n_status > before); /* asked again */
    fake_advance(&f, 2001);
    CHECK_INT(fake_find(&f, CLOUDS_EVENT_STATUS)->e.code, CLOUDS_ETIMEOUT);
    fake_end(&f);
}

static void bus_news_are_told_once(void)
{
    fake f = {0};
    fake_start(&f);
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_BUS_UP), 1);
    cl_core_bus(f.core, 1, 0, NULL);
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_BUS_UP), 1);
    for (int i = 0; i < 5; i++) cl_core_bus(f.core, 0, CLOUDS_EUNREACHABLE, "refused");
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_BUS_DOWN), 1);
    CHECK(fake_find(&f, CLOUDS_EVENT_BUS_DOWN)->tag == NULL);
    cl_core_bus(f.core, 0, CLOUDS_EAUTH, "wrong");
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_BUS_DOWN), 2);
    fake_end(&f);
}

int main(void)
{
    RUN(requests_are_answered);
    RUN(an_answer_without_room);
    RUN(expired_requests_are_not_started);
    RUN(requests_end_at_their_deadline);
    RUN(a_line_names_its_request);
    RUN(requests_are_bounded_in_bytes);
    RUN(what_is_not_served_is_refused);
    RUN(who_serves_nothing_says_nothing);
    RUN(an_answer_too_big_is_an_error_answer);
    RUN(closing_without_work);
    RUN(draining_serves_what_was_accepted);
    RUN(the_drain_has_an_end);
    RUN(the_end_of_the_drain_refuses);
    RUN(a_node_that_never_listens);
    RUN(messages_go_out);
    RUN(a_letter_that_never_left);
    RUN(registering);
    RUN(the_bus_is_told_who_waits_no_longer);
    RUN(status_is_grouped);
    RUN(bus_news_are_told_once);
    return tap_end();
}
