/* A primary that becomes a replica: nobody stays with it, and what a new primary counts proves nothing at first. */
#include <stdio.h>

#include "clouds.h"
#include "redis/kit.h"
#include "support/tap.h"

static test_redis first, second;
static kit a, b;
static int node_a, node_b;

#define ID_A "s.686c821a.100.0"
#define ID_B "c.686c821a.100.1"

static void demote(test_redis *server, const test_redis *primary)
{
    test_redis_command(server, "REPLICAOF 127.0.0.1 %d", primary->port);
}

static void is_left(kit *k)
{
    kit_note *n = kit_take(k, "state");
    CHECK_INT(n->number, 0);
    CHECK_INT(n->code, CLOUDS_EREDIS);
    CHECK(strstr(n->text, "this Redis is a replica") != NULL);
}

/* A server hears it by its own writes, a client has to ask. Each leaves with both connections. */
static void a_demoted_primary_is_left(void)
{
    cl_limits limits;
    kit_limits(&limits);
    limits.ping_interval = 0.2;
    REQUIRE(kit_open(&a, first.url, NULL) == 0);
    REQUIRE(kit_node(&a, &node_a, ID_A, 0.3) == 0);
    REQUIRE(kit_enroll(&a, &node_a, "m") == 0);
    REQUIRE(kit_open(&b, first.url, &limits) == 0);
    REQUIRE(kit_node(&b, &node_b, ID_B, 600) == 0);
    kit_take(&a, "state");
    kit_take(&b, "state");
    demote(&first, &second);
    is_left(&a);
    is_left(&b);
    WAIT_FOR(strcmp(test_redis_command(&first, "PUBSUB CHANNELS clouds:*"), "") == 0);
    test_redis_command(&first, "REPLICAOF NO ONE");
    WAIT_FOR(a.up && b.up);
    WAIT_FOR(strcmp(test_redis_command(&first, "EXISTS clouds:S:m:" ID_A), "1") == 0);
    kit_close(&a, 0);
    kit_close(&b, 0);
}

static int fate_of_a_call_to_nobody(const test_redis *server)
{
    CHECK(kit_open(&a, server->url, NULL) == 0);
    CHECK(kit_node(&a, &node_a, ID_A, 2) == 0);
    CHECK_INT(kit_call(&a, ID_A, "s.686c821a.9.9", "m", "iiiiiiii", "[]", 3), 0);
    int fate = kit_take(&a, "fate")->code;
    kit_close(&a, 0);
    return fate;
}

static void what_a_new_primary_counts_proves_nothing(void)
{
    CHECK_INT(fate_of_a_call_to_nobody(&second), CL_FATE_NOBODY);
    demote(&second, &first);
    WAIT_FOR(strstr(test_redis_command(&second, "INFO replication"), "master_link_status:up") != NULL);
    test_redis_command(&second, "REPLICAOF NO ONE");
    CHECK_INT(fate_of_a_call_to_nobody(&second), CL_FATE_UNPROVEN);
}

int main(void)
{
    if (test_redis_start(&first, &(test_redis_options){.tcp = 1})) return EXIT_FAILURE;
    if (test_redis_start(&second, &(test_redis_options){.tcp = 1})) return EXIT_FAILURE;
    RUN(a_demoted_primary_is_left);
    RUN(what_a_new_primary_counts_proves_nothing);
    test_redis_stop(&first);
    test_redis_stop(&second);
    return tap_end();
}
