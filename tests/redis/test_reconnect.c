/* Redis goes away and comes back: what was pending ends with the right word, and everything is there again by itself.
 */
#include <stdio.h>

#include "base/error.h"
#include "clouds.h"
#include "redis/fake.h"
#include "redis/kit.h"
#include "support/tap.h"

static test_redis server;
static kit a, b;
static int node_a, node_b;

#define ID_A "s.686c821a.100.0"
#define ID_B "c.686c821a.100.1"

static void begin(const cl_limits *limits)
{
    if (!server.pid) CHECK(test_redis_restart(&server) == 0);
    test_redis_command(&server, "FLUSHALL");
    CHECK(kit_open(&a, server.url, limits) == 0);
    CHECK(kit_node(&a, &node_a, ID_A, 2) == 0);
    kit_take(&a, "state");
}

static void restarted_empty(void)
{
    begin(NULL);
    CHECK_INT(kit_register(&a, &node_a, "back"), 0);
    test_redis_kill(&server);
    kit_note *n = kit_take(&a, "state");
    CHECK_INT(n->number, 0);
    CHECK(n->code < 0 && n->text[0]);
    REQUIRE(test_redis_restart(&server) == 0);
    WAIT_FOR(a.up);
    WAIT_FOR(strcmp(test_redis_command(&server, "GET clouds:S:back:" ID_A), "1") == 0);
    CHECK(atoi(test_redis_command(&server, "TTL clouds:S:back:" ID_A)) >= 3);
    CHECK_STR(test_redis_command(&server, "SISMEMBER clouds:M:back " ID_A), 1, "1");
    CHECK_INT(kit_say(&a, ID_A, ID_A, "7", 3), 0);
    CHECK(kit_take(&a, "envelope")->node == &node_a);
    CHECK(kit_find(&a, "ready") == NULL); /* told once */
    kit_close(&a, 0);
}

static void over_and_over(void)
{
    begin(NULL);
    CHECK_INT(kit_register(&a, &node_a, "m"), 0);
    for (int i = 0; i < 5; i++) {
        test_redis_kill(&server);
        WAIT_FOR(!a.up);
        REQUIRE(test_redis_restart(&server) == 0);
        WAIT_FOR(a.up && strcmp(test_redis_command(&server, "EXISTS clouds:S:m:" ID_A), "1") == 0);
    }
    kit_close(&a, 0);
}

/* What Redis had was perhaps delivered; what never left was not. */
static void deliveries_of_the_pending(void)
{
    begin(NULL);
    test_redis_freeze(&server, 1);
    for (uint64_t i = 1; i <= 10; i++) CHECK_INT(kit_call(&a, ID_A, ID_A, "m", "iiiiiiii", "[]", i), 0);
    a.bus->ops->flush(a.bus);
    for (uint64_t i = 11; i <= 20; i++) CHECK_INT(kit_call(&a, ID_A, ID_A, "m", "iiiiiiii", "[]", i), 0);
    test_redis_kill(&server);
    int lost = 0, not_sent = 0;
    for (uint64_t i = 1; i <= 20; i++) {
        kit_note *n = kit_take(&a, "delivery");
        CHECK_INT(n->id, i);
        CHECK(n->code == CL_DELIVERY_LOST || n->code == CL_DELIVERY_NOT_SENT);
        if (i <= 10) CHECK_INT(n->code, CL_DELIVERY_LOST);
        lost += n->code == CL_DELIVERY_LOST;
        not_sent += n->code == CL_DELIVERY_NOT_SENT;
    }
    CHECK_INT(lost + not_sent, 20);
    CHECK(kit_find(&a, "delivery") == NULL);
    CHECK_INT(kit_call(&a, ID_A, ID_A, "m", "iiiiiiii", "[]", 30), CLOUDS_EUNREACHABLE);
    kit_close(&a, 0);
}

/* A kernel that takes no more: the tail is provably not sent. */
static void what_the_kernel_did_not_take(void)
{
    cl_limits limits;
    char args[4100];
    kit_limits(&limits);
    limits.write_soft = 4 << 20;
    begin(&limits);
    memset(args, ' ', sizeof args);
    args[0] = '[';
    args[4000] = ']';
    args[4001] = '\0';
    a.quiet = 0;
    test_redis_freeze(&server, 1);
    for (uint64_t i = 1; i <= 800; i++) CHECK_INT(kit_call(&a, ID_A, ID_A, "m", "iiiiiiii", args, i), 0);
    a.bus->ops->flush(a.bus);
    test_redis_kill(&server);
    int state = CL_DELIVERY_LOST, lost = 0, not_sent = 0;
    for (uint64_t i = 1; i <= 800; i++) {
        kit_note *n = kit_take(&a, "delivery");
        CHECK_INT(n->id, i);
        if (n->code == CL_DELIVERY_NOT_SENT) state = CL_DELIVERY_NOT_SENT;
        CHECK_INT(n->code, state); /* first all that left, then all that did not */
        lost += n->code == CL_DELIVERY_LOST;
        not_sent += n->code == CL_DELIVERY_NOT_SENT;
    }
    CHECK(lost > 10 && not_sent > 10);
    kit_close(&a, 0);
}

static void write_soft_is_a_refusal(void)
{
    cl_limits limits;
    static char args[70000];
    int code = 0;
    kit_limits(&limits);
    begin(&limits);
    memset(args, ' ', sizeof args);
    args[0] = '[';
    args[65000] = ']';
    args[65001] = '\0';
    test_redis_freeze(&server, 1);
    for (int i = 0; i < 100 && !code; i++) code = kit_call(&a, ID_A, ID_A, "m", "iiiiiiii", args, 0);
    CHECK_INT(code, CLOUDS_ELIMIT);
    CHECK(strstr(clouds_last_error(), "write_soft") != NULL);
    CHECK_INT(cl_error_facts().limit, limits.write_soft);
    test_redis_freeze(&server, 0);
    WAIT_FOR(a.envelopes > 10);
    CHECK_INT(kit_call(&a, ID_A, ID_A, "m", "iiiiiiii", "[]", 0), 0);
    CHECK(a.up);
    kit_close(&a, 0);
}

static int answer(const char *result, uint64_t token)
{
    cl_envelope e = {.type = CL_RESULT,
                     .from = CL_STR(ID_A),
                     .to = CL_STR(ID_A),
                     .id = CL_STR("iiiiiiii"),
                     .result = cl_str_z(result)};
    return a.bus->ops->send(a.bus, &node_a, &e, token);
}

/* Answers may fill the queue to the brim; the commands that come then must not cost them. */
static void a_full_queue_has_room_for_commands(void)
{
    cl_limits limits;
    static char large[65100] = "[1]";
    uint64_t answers = 0;
    kit_limits(&limits);
    limits.write_soft = limits.write_hard = 1 << 20;
    begin(&limits);
    memset(large + 2, ' ', 65000);
    large[65002] = ']';
    kit_forget(&a);
    test_redis_freeze(&server, 1);
    while (answers < 1000 && answer(large, answers + 1) == 0) answers++;
    while (answers < 10000 && answer("[1]", answers + 1) == 0) answers++;
    CHECK(strstr(clouds_last_error(), "write_hard") != NULL);
    REQUIRE(answers < 2000); /* there is room for so many notes */
    for (uint64_t i = 0; i < 40; i++) {
        char method[16];
        snprintf(method, sizeof method, "m%d", (int)i);
        CHECK_INT(a.bus->ops->register_method(a.bus, &node_a, cl_str_z(method), 100000 + i), 0);
    }
    test_redis_freeze(&server, 0);
    for (uint64_t i = 0; i < answers; i++) {
        if (!CHECK(kit_take(&a, "delivery")->code == CL_DELIVERY_WRITTEN)) break;
    }
    for (int i = 0; i < 40; i++) CHECK_INT(kit_take(&a, "registered")->code, 0);
    CHECK(kit_find(&a, "state") == NULL);
    WAIT_FOR(a.envelopes == answers);
    kit_close(&a, 0);
}

static void answers_and_messages_wait(void)
{
    begin(NULL);
    test_redis_kill(&server);
    WAIT_FOR(!a.up);
    kit_forget(&a);
    CHECK_INT(kit_say(&a, ID_A, ID_A, "{\"n\":1}", 41), 0);
    cl_envelope late = {.type = CL_RESULT,
                        .from = CL_STR(ID_A),
                        .to = CL_STR(ID_A),
                        .id = CL_STR("iiiiiiii"),
                        .result = CL_STR("[1]"),
                        .deadline = cl_loop_now() + 1};
    CHECK_INT(a.bus->ops->send(a.bus, &node_a, &late, 42), 0);
    cl_envelope good = late;
    good.deadline = 0;
    good.result = CL_STR("[2]");
    CHECK_INT(a.bus->ops->send(a.bus, &node_a, &good, 43), 0);
    kit_idle(20);
    REQUIRE(test_redis_restart(&server) == 0);
    kit_note *n = kit_take(&a, "delivery");
    CHECK_INT(n->id, 42); /* its caller has given up */
    CHECK_INT(n->code, CL_DELIVERY_NOT_SENT);
    n = kit_take(&a, "delivery");
    CHECK_INT(n->id, 41);
    n = kit_take(&a, "delivery");
    CHECK_INT(n->id, 43);
    kit_close(&a, 0);
}

static void the_backlog_has_a_limit(void)
{
    cl_limits limits;
    char text[1200];
    int code = 0, taken = 0;
    kit_limits(&limits);
    limits.write_soft = 50000;
    begin(&limits);
    test_redis_kill(&server);
    WAIT_FOR(!a.up);
    memset(text, '1', sizeof text);
    text[1000] = '\0';
    for (; taken < 1000 && !code; taken++) code = kit_say(&a, ID_A, ID_B, text, (uint64_t)taken + 1);
    CHECK_INT(code, CLOUDS_ELIMIT);
    CHECK(strstr(clouds_last_error(), "write_soft") != NULL);
    CHECK(taken > 10 && taken < 60);
    kit_forget(&a);
    a.bus->ops->close(a.bus);
    for (int i = 1; i < taken; i++) CHECK_INT(kit_take(&a, "delivery")->code, CL_DELIVERY_NOT_SENT);
    WAIT_FOR(a.closed);
    kit_close(&a, 1);
}

static void registered_while_away(void)
{
    begin(NULL);
    test_redis_kill(&server);
    WAIT_FOR(!a.up);
    REQUIRE(a.bus->ops->register_method(a.bus, &node_a, CL_STR("later"), 60) == 0);
    REQUIRE(a.bus->ops->node_open(a.bus, &node_b, CL_STR(ID_B), 2) == 0);
    kit_idle(50);
    CHECK(kit_find(&a, "registered") == NULL);
    REQUIRE(test_redis_restart(&server) == 0);
    CHECK(kit_take(&a, "ready")->node == &node_b);
    kit_note *n = kit_take(&a, "registered");
    CHECK_INT(n->id, 60);
    CHECK_INT(n->code, 0);
    kit_close(&a, 0);
}

static void withdrawn_while_away(void)
{
    begin(NULL);
    CHECK_INT(kit_register(&a, &node_a, "w"), 0);
    test_redis_command(&server, "CLIENT KILL TYPE normal SKIPME yes");
    test_redis_command(&server, "CLIENT KILL TYPE pubsub");
    WAIT_FOR(!a.up);
    CHECK_INT(a.bus->ops->unregister_method(a.bus, &node_a, CL_STR("w"), 61), 0);
    kit_note *n = kit_take(&a, "registered");
    CHECK_INT(n->id, 61);
    CHECK_INT(n->code, 0);
    CHECK_STR(test_redis_command(&server, "EXISTS clouds:S:w:" ID_A), 1, "0");
    kit_close(&a, 0);
}

static void closed_while_away(void)
{
    begin(NULL);
    CHECK_INT(kit_register(&a, &node_a, "m"), 0);
    REQUIRE(a.bus->ops->register_method(a.bus, &node_a, CL_STR("n"), 70) == 0);
    test_redis_kill(&server);
    WAIT_FOR(!a.up);
    REQUIRE(a.bus->ops->register_method(a.bus, &node_a, CL_STR("o"), 71) == 0);
    REQUIRE(a.bus->ops->unregister_method(a.bus, &node_a, CL_STR("m"), 72) == 0);
    int64_t start = cl_loop_now();
    a.bus->ops->node_close(a.bus, &node_a);
    CHECK(kit_find(&a, "closed") == NULL); /* never from inside */
    CHECK(kit_take(&a, "closed")->node == &node_a);
    CHECK(cl_loop_now() - start < 5000);
    int ended = 0;
    for (kit_note *n; (n = kit_find(&a, "registered"));) ended += n->id == 71 || n->id == 72;
    CHECK_INT(ended, 2);
    kit_close(&a, 0);
}

static void closed_while_lingering(void)
{
    cl_limits limits;
    kit_limits(&limits);
    limits.linger = 600;
    begin(&limits);
    CHECK_INT(kit_register(&a, &node_a, "m"), 0);
    a.bus->ops->node_close(a.bus, &node_a);
    kit_idle(30);
    CHECK(kit_find(&a, "closed") == NULL);
    test_redis_kill(&server);
    CHECK(kit_take(&a, "closed")->node == &node_a);
    kit_close(&a, 0);
}

/* A Redis that is stopped, not dead, is noticed by its silence. */
static void a_frozen_redis_is_left(void)
{
    cl_limits limits;
    kit_limits(&limits);
    limits.ping_interval = 0.1;
    limits.ping_timeout = 2;
    begin(&limits);
    kit_idle(500);
    CHECK(a.up && kit_find(&a, "state") == NULL); /* pings are answered */
    test_redis_freeze(&server, 1);
    kit_note *n = kit_take(&a, "state");
    CHECK_INT(n->number, 0);
    CHECK(strstr(n->text, "does not answer") != NULL);
    test_redis_freeze(&server, 0);
    WAIT_FOR(a.up);
    kit_close(&a, 0);
}

/* The end of the last node waits for no Redis: the pings, which are far away here, are not what ends it. */
static void a_close_waits_for_no_redis(void)
{
    cl_limits limits;
    kit_limits(&limits);
    limits.ping_interval = limits.ping_timeout = limits.connect_timeout = 1000;
    begin(&limits);
    CHECK_INT(kit_register(&a, &node_a, "m"), 0);
    test_redis_freeze(&server, 1);
    a.bus->ops->node_close(a.bus, &node_a);
    CHECK(kit_take(&a, "closed")->node == &node_a);
    a.bus->ops->close(a.bus);
    WAIT_FOR(a.closed);
    test_redis_freeze(&server, 0);
    WAIT_FOR(strcmp(test_redis_command(&server, "EXISTS clouds:S:m:" ID_A), "0") == 0); /* what was sent is done */
    kit_close(&a, 1);
}

static void only_one_connection_is_lost(void)
{
    begin(NULL);
    REQUIRE(kit_open(&b, server.url, NULL) == 0);
    REQUIRE(kit_node(&b, &node_b, ID_B, 2) == 0);
    CHECK_INT(kit_register(&a, &node_a, "m"), 0);
    for (int i = 0; i < 4; i++) {
        kit_forget(&a);
        test_redis_argv(&server, i % 2 ? 4 : 6,
                        (const char *[]){"CLIENT", "KILL", "TYPE", i % 2 ? "pubsub" : "normal", "SKIPME", "yes"}, NULL);
        WAIT_FOR(!a.up);
        WAIT_FOR(a.up && b.up);
        kit_forget(&a);
        CHECK_INT(kit_call(&b, ID_B, ID_A, "m", "iiiiiiii", "[]", 0), 0);
        CHECK(kit_take(&a, "envelope")->node == &node_a);
    }
    kit_close(&a, 0);
    kit_close(&b, 0);
}

static void attempts_back_off(void)
{
    fake f;
    cl_limits limits;
    kit_limits(&limits);
    limits.reconnect_min = 0.01;
    limits.reconnect_max = 0.2;
    REQUIRE(fake_start(&f) == 0);
    fake_answer(&f, "*", NULL, 0); /* closes at the first command */
    REQUIRE(kit_open(&a, f.url, &limits) == 0);
    int64_t start = cl_loop_now();
    WAIT_FOR(fake_accepted(&f) >= 20); /* of two connections */
    CHECK(cl_loop_now() - start >= 500);
    fake_answer(&f, "", NULL, 0);
    WAIT_FOR(a.up);
    kit_close(&a, 0);
    fake_stop(&f);
}

static void deadlines_travel_in_redis_time(void)
{
    begin(NULL);
    cl_envelope e = {.type = CL_CALL,
                     .flags = CL_NATIVE,
                     .from = CL_STR(ID_A),
                     .to = CL_STR(ID_A),
                     .id = CL_STR("iiiiiiii"),
                     .method = CL_STR("m"),
                     .args = CL_STR("[]"),
                     .deadline = cl_loop_now() + 5000};
    CHECK_INT(a.bus->ops->send(a.bus, &node_a, &e, 0), 0);
    kit_note *n = kit_take(&a, "envelope");
    CHECK(n->number >= e.deadline - 2 && n->number <= e.deadline + 2);
    e.flags = 0;
    CHECK_INT(a.bus->ops->send(a.bus, &node_a, &e, 0), 0);
    CHECK_INT(kit_take(&a, "envelope")->number, 0); /* npm nodes get exactly i, m, a */
    kit_close(&a, 0);
}

static void torn_down_without_close(void)
{
    begin(NULL);
    CHECK_INT(kit_register(&a, &node_a, "m"), 0);
    for (uint64_t i = 1; i < 20; i++) kit_call(&a, ID_A, ID_A, "m", "iiiiiiii", "[]", i);
    a.bus->ops->lookup(a.bus, CL_STR("x"), 0);
    a.bus->ops->status(a.bus, 5);
    a.bus->ops->node_close(a.bus, &node_a);
    kit_close(&a, 1);
}

int main(void)
{
    if (test_redis_start(&server, NULL)) return EXIT_FAILURE;
    RUN(restarted_empty);
    RUN(over_and_over);
    RUN(deliveries_of_the_pending);
    RUN(what_the_kernel_did_not_take);
    RUN(write_soft_is_a_refusal);
    RUN(a_full_queue_has_room_for_commands);
    RUN(answers_and_messages_wait);
    RUN(the_backlog_has_a_limit);
    RUN(registered_while_away);
    RUN(withdrawn_while_away);
    RUN(closed_while_away);
    RUN(a_close_waits_for_no_redis);
    RUN(closed_while_lingering);
    RUN(a_frozen_redis_is_left);
    RUN(only_one_connection_is_lost);
    RUN(attempts_back_off);
    RUN(deadlines_travel_in_redis_time);
    RUN(torn_down_without_close);
    test_redis_stop(&server);
    return tap_end();
}
