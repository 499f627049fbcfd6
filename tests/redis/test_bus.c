/* The bus against a real Redis: what it writes there byte for byte, and what it hears. */
#include <unistd.h>

#include "clouds.h"
#include "redis/kit.h"
#include "support/tap.h"

static test_redis server;
static kit a, b;
static int node_a, node_b;

#define ID_A "s.686c821a.100.0"
#define ID_B "c.686c821a.100.1"

static void connects_and_says_so(void)
{
    REQUIRE(kit_open(&a, server.url, NULL) == 0);
    kit_note *n = kit_take(&a, "state");
    CHECK_INT(n->number, 1);
    CHECK_INT(kit_node(&a, &node_a, ID_A, 2), 0);
    CHECK_STR(test_redis_command(&server, "PUBSUB NUMSUB clouds:L:" ID_A), strlen("clouds:L:" ID_A "\n1"),
              "clouds:L:" ID_A "\n1");
    kit_close(&a, 0);
}

static void carries_envelopes(void)
{
    REQUIRE(kit_open(&a, server.url, NULL) == 0);
    REQUIRE(kit_open(&b, server.url, NULL) == 0);
    REQUIRE(kit_node(&a, &node_a, ID_A, 2) == 0);
    REQUIRE(kit_node(&b, &node_b, ID_B, 2) == 0);
    kit_take(&b, "state");
    CHECK_INT(kit_call(&b, ID_B, ID_A, "add", "AbCdEfGh", "[1,2]", 77), 0);
    kit_note *n = kit_take(&b, "delivery");
    CHECK_INT(n->id, 77);
    CHECK_INT(n->code, CL_DELIVERY_WRITTEN);
    CHECK_INT(n->number, 1);
    n = kit_take(&a, "envelope");
    CHECK(n->node == &node_a);
    CHECK_STR(n->text, strlen(n->text),
              "c from=" ID_B " to=" ID_A " id=AbCdEfGh method=add args=[1,2] error= result= data=");
    kit_close(&a, 0);
    kit_close(&b, 0);
}

static void nobody_is_an_answer(void)
{
    REQUIRE(kit_open(&a, server.url, NULL) == 0);
    REQUIRE(kit_node(&a, &node_a, ID_A, 2) == 0);
    CHECK_INT(kit_call(&a, ID_A, "s.nobody.1.1", "add", "AbCdEfGh", "[]", 5), 0);
    kit_note *n = kit_take(&a, "delivery");
    CHECK_INT(n->id, 5);
    CHECK_INT(n->code, CL_DELIVERY_NOBODY);
    kit_close(&a, 0);
}

static void registers_and_is_found(void)
{
    REQUIRE(kit_open(&a, server.url, NULL) == 0);
    REQUIRE(kit_open(&b, server.url, NULL) == 0);
    REQUIRE(kit_node(&a, &node_a, ID_A, 2) == 0);
    REQUIRE(kit_node(&b, &node_b, ID_B, 2) == 0);
    CHECK(strstr(test_redis_command(&server, "PUBSUB CHANNELS"), "clouds:D") == NULL); /* nobody looks for anybody */
    b.bus->ops->lookup(b.bus, CL_STR("math.add"), 0);
    CHECK_INT(kit_take(&b, "servers")->number, 0);
    CHECK(strcmp(test_redis_command(&server, "PUBSUB NUMSUB clouds:D"), "clouds:D\n1") == 0);
    CHECK_INT(kit_register(&a, &node_a, "math.add"), 0);
    const char *value = test_redis_command(&server, "GET clouds:S:math.add:" ID_A);
    CHECK_STR(value, strlen(value), "1");
    int ttl = atoi(test_redis_command(&server, "TTL clouds:S:math.add:" ID_A));
    CHECK(ttl == 4 || ttl == 3);
    kit_note *n = kit_take(&b, "up");
    CHECK_STR(n->text, strlen(n->text), "math.add " ID_A "+");
    b.bus->ops->lookup(b.bus, CL_STR("math.add"), 0);
    n = kit_take(&b, "servers");
    CHECK_INT(n->code, 0);
    CHECK_STR(n->text, strlen(n->text), "math.add " ID_A "+");
    kit_close(&a, 0);
    kit_close(&b, 0);
}

int main(void)
{
    if (test_redis_start(&server, NULL)) return EXIT_FAILURE;
    RUN(connects_and_says_so);
    RUN(carries_envelopes);
    RUN(nobody_is_an_answer);
    RUN(registers_and_is_found);
    test_redis_stop(&server);
    return tap_end();
}
