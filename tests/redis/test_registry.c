/* Registrations: byte for byte what docs/WIRE.md says, and there again after whatever happened to them. */
#include <stdio.h>

#include "clouds.h"
#include "redis/kit.h"
#include "redis/monitor.h"
#include "support/tap.h"

static test_redis server;
static kit a, b;
static int node_a, node_b;
static monitor seen;

#define ID_A "s.686c821a.100.0"
#define ID_B "c.686c821a.100.1"

static int redis_says(const char *command, const char *want)
{
    char text[256];
    snprintf(text, sizeof text, "%s", command);
    const char *argv[16];
    int argc = 0;
    for (char *save, *word = strtok_r(text, " ", &save); word && argc < 16; word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    return strcmp(test_redis_argv(&server, argc, argv, NULL), want) == 0;
}

/* Turns both loops until Redis says so. */
static int becomes(const char *command, const char *want)
{
    int64_t end = cl_loop_now() + 20000;
    while (!redis_says(command, want)) {
        if (cl_loop_now() > end) return 0;
        kit_turn_all(10);
    }
    return 1;
}

static void begin(void)
{
    test_redis_command(&server, "FLUSHALL");
    CHECK(kit_open(&a, server.url, NULL) == 0);
    CHECK(kit_node(&a, &node_a, ID_A, 2) == 0);
}

static void is_byte_exact(void)
{
    REQUIRE(monitor_start(&seen, &server) == 0);
    begin();
    CHECK_INT(kit_register(&a, &node_a, "math.add"), 0);
    monitor_read(&seen, &server);
    CHECK_INT(monitor_count(&seen, "\"SET\" \"clouds:S:math.add:" ID_A "\" \"1\" \"EX\" \"4\""), 1);
    CHECK_INT(monitor_count(&seen, "\"SADD\" \"clouds:M:math.add\" \"" ID_A "\""), 1);
    CHECK_INT(monitor_count(&seen, "\"SUBSCRIBE\" \"clouds:L:" ID_A "\""), 1);
    CHECK_INT(monitor_count(&seen, "\"KEYS\""), 0);
    const char *record = test_redis_command(&server, "GET clouds:N:" ID_A);
    CHECK(strncmp(record, "{\"v\":1,\"host\":\"686c821a\",\"pid\":", 31) == 0);
    CHECK(strstr(record, ",\"abilities\":[\"deadline\",\"refuse\"") != NULL);
    /* The subscription is confirmed before the first registration leaves. */
    CHECK(strstr(seen.text, "SUBSCRIBE\" \"clouds:L:") < strstr(seen.text, "\"SET\""));
    kit_close(&a, 0);
    monitor_stop(&seen);
}

/* Registered before it listens: Redis sees the subscription first all the same (WIRE.md 5.4). */
static void listens_before_it_is_found(void)
{
    for (int i = 0; i < 10; i++) {
        test_redis_command(&server, "FLUSHALL");
        REQUIRE(monitor_start(&seen, &server) == 0);
        REQUIRE(kit_open(&a, server.url, NULL) == 0);
        if (i % 2) kit_take(&a, "state");
        REQUIRE(a.bus->ops->node_open(a.bus, &node_a, CL_STR(ID_A), 2) == 0);
        REQUIRE(a.bus->ops->register_method(a.bus, &node_a, CL_STR("early"), 1) == 0);
        CHECK_INT(kit_take(&a, "registered")->code, 0);
        monitor_read(&seen, &server);
        const char *subscribed = strstr(seen.text, "\"SUBSCRIBE\" \"clouds:L:"),
                   *set = strstr(seen.text, "\"SET\" \"clouds:S:");
        const char *record = strstr(seen.text, "\"SET\" \"clouds:N:");
        CHECK(subscribed && record && set && subscribed < record && record < set);
        kit_close(&a, 0);
        monitor_stop(&seen);
    }
}

static void ttl_follows_the_heartbeat(void)
{
    static const struct {
        double heartbeat;
        int ttl;
    } rows[] = {{0.4, 1}, {0.5, 1}, {0.6, 2}, {1.5, 3}, {5, 10}, {0.0001, 1}, {1e10, 4294966}, {-1, 10}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char id[40], command[100];
        begin();
        snprintf(id, sizeof id, "s.686c821a.7.%zu", i);
        CHECK_INT(kit_node(&a, &node_b, id, rows[i].heartbeat), 0);
        REQUIRE(monitor_start(&seen, &server) == 0);
        CHECK_INT(kit_register(&a, &node_b, "x"), 0);
        monitor_read(&seen, &server);
        snprintf(command, sizeof command, "\"SET\" \"clouds:S:x:%s\" \"1\" \"EX\" \"%d\"", id, rows[i].ttl);
        CHECK_INT(monitor_count(&seen, command), 1);
        monitor_stop(&seen);
        kit_close(&a, 0);
    }
}

/* A renewal every 200 ms, and some may be late. */
static void renews_with_expire(void)
{
    begin();
    CHECK_INT(kit_node(&a, &node_b, ID_B, 0.2), 0);
    CHECK_INT(kit_register(&a, &node_b, "fast"), 0);
    REQUIRE(monitor_start(&seen, &server) == 0);
    int64_t start = cl_loop_now(), end = start + 20000;
    int renewals = 0;
    while (renewals < 3 && cl_loop_now() < end) {
        kit_turn_all(10);
        monitor_read(&seen, &server);
        renewals = monitor_count(&seen, "\"EXPIRE\" \"clouds:S:fast:" ID_B "\" \"1\"");
    }
    CHECK(renewals >= 3 && renewals <= 2 + (cl_loop_now() - start) / 200);
    CHECK_INT(monitor_count(&seen, "\"SET\""), 0);
    monitor_stop(&seen);
    kit_close(&a, 0);
}

static void heals_after_flushall(void)
{
    begin();
    CHECK_INT(kit_node(&a, &node_b, ID_B, 0.3), 0);
    CHECK_INT(kit_register(&a, &node_b, "heal"), 0);
    test_redis_command(&server, "FLUSHALL");
    int64_t start = cl_loop_now();
    CHECK(becomes("GET clouds:S:heal:" ID_B, "1"));
    CHECK(cl_loop_now() - start < 10000);
    CHECK(becomes("SISMEMBER clouds:M:heal " ID_B, "1"));
    CHECK(becomes("EXISTS clouds:N:" ID_B, "1"));
    kit_close(&a, 0);
}

static void withdraw_takes_it_back(void)
{
    begin();
    REQUIRE(kit_open(&b, server.url, NULL) == 0);
    REQUIRE(kit_node(&b, &node_b, ID_B, 2) == 0);
    b.bus->ops->lookup(b.bus, CL_STR("gone"), 0);
    kit_take(&b, "servers");
    CHECK_INT(kit_register(&a, &node_a, "gone"), 0);
    CHECK_INT(kit_register(&a, &node_a, "stays"), 0);
    CHECK_INT(a.bus->ops->unregister_method(a.bus, &node_a, CL_STR("gone"), 5), 0);
    kit_note *n = kit_take(&a, "registered");
    CHECK_INT(n->id, 5);
    CHECK_INT(n->code, 0);
    CHECK(redis_says("EXISTS clouds:S:gone:" ID_A, "0"));
    CHECK(redis_says("SISMEMBER clouds:M:gone " ID_A, "0"));
    CHECK(redis_says("EXISTS clouds:S:stays:" ID_A, "1"));
    n = kit_take(&b, "down");
    CHECK_STR(n->text, strlen(n->text), "gone " ID_A);
    CHECK_INT(a.bus->ops->unregister_method(a.bus, &node_a, CL_STR("gone"), 6), CLOUDS_EINVAL);
    CHECK_INT(kit_register(&a, &node_a, "gone"), 0);
    CHECK(redis_says("EXISTS clouds:S:gone:" ID_A, "1"));
    kit_close(&a, 0);
    kit_close(&b, 0);
}

static void enroll_and_withdraw_at_once(void)
{
    begin();
    for (uint64_t i = 0; i < 5; i++) {
        CHECK_INT(a.bus->ops->register_method(a.bus, &node_a, CL_STR("flip"), 100 + i), 0);
        CHECK_INT(a.bus->ops->unregister_method(a.bus, &node_a, CL_STR("flip"), 200 + i), 0);
    }
    CHECK_INT(a.bus->ops->register_method(a.bus, &node_a, CL_STR("flip"), 300), 0);
    int ended = 0;
    for (int i = 0; i < 11; i++) ended += kit_take(&a, "registered")->id != 0;
    CHECK_INT(ended, 11);
    CHECK(becomes("EXISTS clouds:S:flip:" ID_A, "1"));
    kit_close(&a, 0);
}

/* What is asked while Redis is away: the last word counts, and what it supersedes is told so when Redis is back. */
static void the_last_word_counts(void)
{
    begin();
    CHECK_INT(kit_register(&a, &node_a, "kept"), 0);
    CHECK_INT(kit_register(&a, &node_a, "gone"), 0);
    test_redis_kill(&server);
    WAIT_FOR(!a.up);
    CHECK_INT(a.bus->ops->unregister_method(a.bus, &node_a, CL_STR("kept"), 100), 0);
    CHECK_INT(a.bus->ops->register_method(a.bus, &node_a, CL_STR("kept"), 101), 0);
    CHECK_INT(a.bus->ops->unregister_method(a.bus, &node_a, CL_STR("gone"), 200), 0);
    CHECK_INT(a.bus->ops->register_method(a.bus, &node_a, CL_STR("gone"), 201), 0);
    CHECK_INT(a.bus->ops->unregister_method(a.bus, &node_a, CL_STR("gone"), 202), 0);
    REQUIRE(test_redis_restart(&server) == 0);
    int codes[300], ended = 0;
    for (int i = 0; i < 300; i++) codes[i] = 1;
    for (kit_note *n; ended < 5 && (n = kit_take(&a, "registered")); ended++) codes[n->id] = n->code;
    CHECK_INT(ended, 5);
    CHECK_INT(codes[100], CLOUDS_ECANCELED);
    CHECK_INT(codes[101], 0);
    CHECK_INT(codes[200], 0);
    CHECK_INT(codes[201], CLOUDS_ECANCELED);
    CHECK_INT(codes[202], 0);
    CHECK(becomes("EXISTS clouds:S:kept:" ID_A, "1"));
    CHECK(becomes("EXISTS clouds:S:gone:" ID_A, "0"));
    kit_close(&a, 0);
}

static void drain_and_close_in_order(void)
{
    begin();
    REQUIRE(kit_open(&b, server.url, NULL) == 0);
    REQUIRE(kit_node(&b, &node_b, ID_B, 2) == 0);
    b.bus->ops->lookup(b.bus, CL_STR("one"), 0);
    kit_take(&b, "servers");
    b.bus->ops->lookup(b.bus, CL_STR("two"), 0);
    kit_take(&b, "servers");
    CHECK_INT(kit_register(&a, &node_a, "one"), 0);
    CHECK_INT(kit_register(&a, &node_a, "two"), 0);
    a.bus->ops->node_drain(a.bus, &node_a);
    kit_note *n = kit_take(&b, "draining");
    int64_t heard = n->at;
    CHECK_STR(n->text, strlen(n->text), ID_A);
    CHECK(kit_take(&b, "down")->at - heard < 2000);
    kit_take(&b, "down");
    CHECK(becomes("KEYS clouds:[SN]:*", ""));
    /* Whoever does not know yet is still heard. */
    CHECK_INT(kit_call(&b, ID_B, ID_A, "one", "idididid", "[]", 0), 0);
    kit_take(&a, "envelope");
    CHECK_INT(a.bus->ops->register_method(a.bus, &node_a, CL_STR("late"), 9), CLOUDS_ECLOSED);
    a.bus->ops->node_close(a.bus, &node_a);
    int64_t begun = cl_loop_now();
    n = kit_take(&a, "closed");
    CHECK(n->node == &node_a && n->at - begun >= 90);
    CHECK(redis_says("PUBSUB NUMSUB clouds:L:" ID_A, "clouds:L:" ID_A "\n0"));
    kit_close(&a, 0);
    kit_close(&b, 0);
}

static void news_travel_fast(void)
{
    begin();
    REQUIRE(kit_open(&b, server.url, NULL) == 0);
    kit_take(&b, "state");
    b.bus->ops->lookup(b.bus, CL_STR("quick0"), 0);
    kit_take(&b, "servers");
    int64_t best = 20000;
    for (uint64_t i = 0; i < 20 && best >= 200; i++) { /* a busy machine may take longer */
        char name[16];
        snprintf(name, sizeof name, "quick%d", (int)i);
        int64_t start = cl_loop_now();
        REQUIRE(a.bus->ops->register_method(a.bus, &node_a, cl_str_z(name), i) == 0);
        kit_take(&b, "up");
        if (cl_loop_now() - start < best) best = cl_loop_now() - start;
    }
    CHECK(best < 200);
    kit_close(&a, 0);
    kit_close(&b, 0);
}

static void odd_names(void)
{
    static const char *const names[] = {"a:b", "a*", "a[bc]d", "back\\slash", "sp ace", "\xc3\xa4\"q", "-"};
    begin();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char want[100];
        CHECK_INT(kit_register(&a, &node_a, names[i]), 0);
        a.bus->ops->lookup(a.bus, cl_str_z(names[i]), 0);
        kit_note *n = kit_take(&a, "servers");
        snprintf(want, sizeof want, "%s " ID_A "+", names[i]);
        CHECK_STR(n->text, strlen(n->text), want);
    }
    a.bus->ops->lookup(a.bus, CL_STR("a"), 0);
    CHECK_INT(kit_take(&a, "servers")->number, 0);
    kit_close(&a, 0);
}

static void forget_deletes(void)
{
    begin();
    test_redis_command(&server, "SETEX clouds:S:old:s.npm.1.0 100 1");
    a.bus->ops->forget(a.bus, CL_STR("old"), CL_STR("s.npm.1.0"));
    CHECK(becomes("EXISTS clouds:S:old:s.npm.1.0", "0"));
    kit_close(&a, 0);
}

static void a_full_redis_is_named_and_tried_again(void)
{
    begin();
    CHECK_INT(kit_node(&a, &node_b, ID_B, 1), 0);
    CHECK_INT(kit_register(&a, &node_b, "before"), 0);
    test_redis_command(&server, "CONFIG SET maxmemory 1");
    CHECK_INT(a.bus->ops->register_method(a.bus, &node_b, CL_STR("during"), 50), 0);
    kit_note *n = kit_take(&a, "registered");
    CHECK_INT(n->id, 50);
    CHECK_INT(n->code, CLOUDS_EREDIS);
    CHECK(strstr(n->text, "Redis is full") && strstr(n->text, "OOM"));
    kit_idle(3000); /* past the TTL of 2 s: EXPIRE keeps what is there */
    CHECK(redis_says("EXISTS clouds:S:before:" ID_B, "1"));
    test_redis_command(&server, "CONFIG SET maxmemory 0");
    CHECK(becomes("GET clouds:S:during:" ID_B, "1"));
    CHECK(a.up);
    kit_close(&a, 0);
}

static void a_replica_is_named(void)
{
    test_redis replica;
    char port[16];
    test_redis_options options = {.extra = {"--replicaof", "127.0.0.1", port}};
    snprintf(port, sizeof port, "%d", server.port);
    REQUIRE(test_redis_start(&replica, &options) == 0);
    REQUIRE(kit_open(&a, replica.url, NULL) == 0);
    REQUIRE(a.bus->ops->node_open(a.bus, &node_a, CL_STR(ID_A), 0.3) == 0);
    REQUIRE(a.bus->ops->register_method(a.bus, &node_a, CL_STR("ro"), 51) == 0);
    kit_note *n = kit_take(&a, "state");
    CHECK_INT(n->code, CLOUDS_EREDIS);
    CHECK(strstr(n->text, "this Redis is a replica: give the address of its primary") != NULL);
    test_redis_command(&replica, "REPLICAOF NO ONE");
    int64_t end = cl_loop_now() + 20000; /* it is promoted: the registration comes by itself */
    while (strcmp(test_redis_command(&replica, "EXISTS clouds:S:ro:" ID_A), "1") != 0 && cl_loop_now() < end)
        kit_turn_all(10);
    CHECK(cl_loop_now() < end);
    kit_close(&a, 0);
    test_redis_stop(&replica);
}

static void two_nodes_of_one_id(void)
{
    begin();
    CHECK_INT(a.bus->ops->node_open(a.bus, &node_b, CL_STR(ID_A), 2), CLOUDS_EEXIST);
    a.bus->ops->node_close(a.bus, &node_a);
    CHECK_INT(a.bus->ops->node_open(a.bus, &node_b, CL_STR(ID_A), 2), 0);
    CHECK(kit_take(&a, "closed")->node == &node_a);
    CHECK(kit_take(&a, "ready")->node == &node_b);
    CHECK_INT(kit_say(&a, ID_A, ID_A, "1", 3), 0);
    CHECK(kit_take(&a, "envelope")->node == &node_b);
    kit_close(&a, 0);
}

int main(void)
{
    if (test_redis_start(&server, &(test_redis_options){.tcp = 1})) return EXIT_FAILURE;
    RUN(is_byte_exact);
    RUN(listens_before_it_is_found);
    RUN(ttl_follows_the_heartbeat);
    RUN(renews_with_expire);
    RUN(heals_after_flushall);
    RUN(withdraw_takes_it_back);
    RUN(enroll_and_withdraw_at_once);
    RUN(the_last_word_counts);
    RUN(drain_and_close_in_order);
    RUN(news_travel_fast);
    RUN(odd_names);
    RUN(forget_deletes);
    RUN(a_full_redis_is_named_and_tried_again);
    RUN(a_replica_is_named);
    RUN(two_nodes_of_one_id);
    test_redis_stop(&server);
    return tap_end();
}
