/* A primary that becomes a replica: nobody stays with it, and what a new primary counts proves nothing at first. */
#include <stdio.h>
#include <unistd.h>

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
    REQUIRE(kit_register(&a, &node_a, "m") == 0);
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

static int delivery_of_a_call_to_nobody(const test_redis *server, unsigned flags)
{
    CHECK(kit_open(&a, server->url, NULL) == 0);
    CHECK(kit_node(&a, &node_a, ID_A, 2) == 0);
    cl_envelope e = {.type = CL_CALL,
                     .flags = flags,
                     .from = CL_STR(ID_A),
                     .to = CL_STR("s.686c821a.9.9"),
                     .id = CL_STR("iiiiiiii"),
                     .method = CL_STR("m"),
                     .args = CL_STR("[]"),
                     .deadline = cl_loop_now() + 60000};
    CHECK_INT(a.bus->ops->send(a.bus, NULL, &e, 3), 0);
    int delivery = kit_take(&a, "delivery")->code;
    kit_close(&a, 0);
    return delivery;
}

static void what_a_new_primary_counts_proves_nothing_of_others(void)
{
    CHECK_INT(delivery_of_a_call_to_nobody(&second, 0), CL_DELIVERY_NOBODY);
    demote(&second, &first);
    WAIT_FOR(strstr(test_redis_command(&second, "INFO replication"), "master_link_status:up") != NULL);
    test_redis_command(&second, "REPLICAOF NO ONE");
    CHECK_INT(delivery_of_a_call_to_nobody(&second, 0), CL_DELIVERY_UNPROVEN);
    CHECK_INT(delivery_of_a_call_to_nobody(&second, CL_NATIVE), CL_DELIVERY_NOBODY);
}

static void home_of(test_redis *server, char home[17])
{
    const char *run_id = strstr(test_redis_command(server, "INFO server"), "run_id:");
    snprintf(home, 17, "%s", run_id ? run_id + 7 : "");
}

/* A call to ID_A, published at the second: it counts nobody. */
static void publish_at_second(const char *id, const char *home)
{
    const char *count = test_redis_command(&second,
                                           "PUBLISH clouds:L:" ID_A " {\"t\":\"c\",\"s\":\"" ID_B
                                           "\",\"d\":{\"i\":\"%s\",\"m\":\"m\",\"a\":[],\"x\":9000000000000%s%s%s}}",
                                           id, *home ? ",\"h\":\"" : "", home, *home ? "\"" : "");
    CHECK(strcmp(count, "0") == 0);
}

/* Nothing turns the loop of the node between the demotion and the end of what it is to hear through its replica. */
static void what_another_redis_published_is_no_call(void)
{
    char here[17], there[17];
    home_of(&first, here);
    home_of(&second, there);
    REQUIRE(kit_open(&a, first.url, NULL) == 0);
    REQUIRE(kit_node(&a, &node_a, ID_A, 600) == 0);
    kit_take(&a, "state");
    demote(&first, &second);
    while (!strstr(test_redis_command(&first, "INFO replication"), "master_link_status:up")) usleep(10000);
    publish_at_second("astray", there);
    publish_at_second("home", here);
    publish_at_second("npm", "");
    CHECK(strcmp(test_redis_command(&second, "WAIT 1 20000"), "1") == 0);
    CHECK(strstr(kit_take(&a, "envelope")->text, "id=home ") != NULL);
    CHECK(strstr(kit_take(&a, "envelope")->text, "id=npm ") != NULL);
    is_left(&a);
    kit_close(&a, 0);
    test_redis_command(&first, "REPLICAOF NO ONE");
}

int main(void)
{
    if (test_redis_start(&first, &(test_redis_options){.tcp = 1})) return EXIT_FAILURE;
    if (test_redis_start(&second, &(test_redis_options){.tcp = 1})) return EXIT_FAILURE;
    RUN(a_demoted_primary_is_left);
    RUN(what_a_new_primary_counts_proves_nothing_of_others);
    RUN(what_another_redis_published_is_no_call);
    test_redis_stop(&first);
    test_redis_stop(&second);
    return tap_end();
}
