/* Every allocation fails in turn, once and from then on: every operation that was accepted still ends, and nothing
 * leaks. */
#include <stdint.h>
#include <stdio.h>

#include "base/mem.h"
#include "clouds.h"
#include "redis/kit.h"
#include "support/tap.h"

enum { PATIENCE = 20000 };

static test_redis server;
static kit a;
static int node_a;
static long count, fail_at, live;
static int forever;
static int asks_status; /* or looks for nobody: each wants a scan, and a second one would have to wait */

#define ID_A "s.686c821a.100.0"

static void *allocate(void *unused, void *block, size_t size)
{
    if (size == 0) {
        live -= block != NULL;
        free(block);
        return NULL;
    }
    count++;
    if (fail_at && (count == fail_at || (forever && count > fail_at))) return NULL;
    void *made = realloc(block, size);
    live += made && !block;
    return made;
}

static kit_note *await(const char *what, int ms)
{
    int64_t end = cl_loop_now() + ms;
    for (;;) {
        kit_note *n = kit_find(&a, what);
        if (n || cl_loop_now() > end) return n;
        kit_turn_all(2);
    }
}

/* `patience`: how long an answer may take; 0: none is expected, since all memory is gone. */
static int expect(const char *what, int accepted, int patience)
{
    if (accepted != 0) return 1;
    if (await(what, patience ? patience : 5)) return 1;
    return !patience;
}

static void use(int patience)
{
    cl_bus *bus = a.bus;
    int code = bus->ops->node_open(bus, &node_a, CL_STR(ID_A), 0.1);
    if (code) return;
    CHECK(expect("ready", 0, patience));
    CHECK(expect("registered", bus->ops->register_method(bus, &node_a, CL_STR("m"), 1), patience));
    CHECK(expect("registered", bus->ops->register_method(bus, &node_a, CL_STR("n"), 2), patience));
    bus->ops->lookup(bus, CL_STR("m"), 0);
    kit_note *list = await("servers", patience ? patience : 5);
    CHECK(list || !patience);
    int scanned = list && list->number == 0; /* an empty list took the scan of this second */
    if (!asks_status && !scanned) {
        bus->ops->lookup(bus, CL_STR("nobody"), 0);
        CHECK(expect("servers", 0, patience));
    }
    for (uint64_t i = 1; i <= 3; i++) {
        kit_call(&a, ID_A, ID_A, "m", "iiiiiiii", "[1]", i);
        cl_envelope e = {.type = CL_CALL,
                         .flags = CL_NATIVE,
                         .from = CL_STR(ID_A),
                         .to = CL_STR(ID_A),
                         .id = CL_STR("iiiiiiii"),
                         .method = CL_STR("m"),
                         .args = CL_STR("[]"),
                         .deadline = cl_loop_now() + 1000};
        bus->ops->send(bus, &node_a, &e, 10 + i);
    }
    await("envelope", patience ? 20 : 2);
    if (asks_status && !scanned) {
        bus->ops->status(bus, 3);
        CHECK(expect("end", 0, patience));
    }
    bus->ops->forget(bus, CL_STR("m"), CL_STR("x"));
    CHECK(expect("registered", bus->ops->unregister_method(bus, &node_a, CL_STR("n"), 4), patience));
    bus->ops->node_drain(bus, &node_a);
    bus->ops->node_close(bus, &node_a);
    CHECK(expect("closed", 0, patience));
}

static void scenario(int patience)
{
    cl_limits limits;
    kit_limits(&limits);
    limits.reconnect_min = 0.001;
    limits.reconnect_max = 0.002;
    limits.linger = 0.001;
    limits.ping_interval = 0.05;
    test_redis_command(&server, "FLUSHALL");
    count = 0;
    int code = kit_open(&a, server.url, &limits);
    if (code) {
        CHECK_INT(code, CLOUDS_ENOMEM);
        fail_at = 0;
        if (a.loop) kit_close(&a, 1);
        return;
    }
    use(patience);
    fail_at = 0;
    kit_close(&a, 0);
}

static long clean_run(void)
{
    fail_at = 0;
    scenario(PATIENCE);
    return count;
}

static void each_in_turn(void)
{
    for (asks_status = 0; asks_status < 2; asks_status++) {
        long n = clean_run();
        CHECK(n > 50);
        for (long i = 1; i <= n && !tap_bad; i++) {
            fail_at = i;
            scenario(forever ? 0 : PATIENCE);
            if (tap_bad) printf("# allocation %ld of %ld\n", i, n);
        }
    }
}

static void each_once(void)
{
    forever = 0;
    each_in_turn();
}

static void from_then_on(void)
{
    forever = 1;
    each_in_turn();
}

/* A program that tries to register, again and again, while Redis is away. What is over leaves nothing behind. */
static void try_in_vain(clouds_context *context, clouds_node *node, int round)
{
    enum { TRIES = 50 };
    clouds_operation_options brief = {.size = sizeof brief, .timeout = 0.001};
    int left = 0;
    for (int i = 0; i < TRIES; i++) {
        char other[32];
        size_t n = (size_t)snprintf(other, sizeof other, "other.%d.%d", round, i);
        CHECK_INT(clouds_node_register(node, "same", 4, &brief, NULL), 0);
        CHECK_INT(clouds_node_register(node, other, n, &brief, NULL), 0);
        CHECK_INT(clouds_node_unregister(node, other, n, &brief, NULL), 0);
        left += 3;
    }
    int64_t end = cl_loop_now() + PATIENCE;
    while (left > 0 && cl_loop_now() < end) {
        clouds_event events[16];
        int n = clouds_poll(context, events, sizeof *events, 16, 1);
        for (int i = 0; i < n; i++)
            left -= events[i].type == CLOUDS_EVENT_REGISTERED || events[i].type == CLOUDS_EVENT_UNREGISTERED;
    }
    CHECK_INT(left, 0);
}

static void registered_in_vain(void)
{
    clouds_options *options;
    clouds_context *context;
    clouds_node *node;
    test_redis_kill(&server);
    REQUIRE(clouds_options_create(&options) == 0);
    REQUIRE(clouds_options_set_string(options, "url", server.url) == 0);
    REQUIRE(clouds_options_set_string(options, "mode", "inline") == 0);
    REQUIRE(clouds_context_create(options, &context) == 0);
    REQUIRE(clouds_node_create(context, options, &node) == 0);
    clouds_options_destroy(options);
    for (int round = 0; round < 5; round++) try_in_vain(context, node, round);
    long before = live;
    for (int round = 5; round < 15; round++) try_in_vain(context, node, round);
    CHECK(live < before + 50);
    if (live >= before + 50) printf("# %ld blocks, then %ld\n", before, live);
    clouds_context_destroy(context);
}

int main(void)
{
    if (test_redis_start(&server, NULL)) return EXIT_FAILURE;
    cl_mem_hook(allocate, NULL);
    RUN(each_once);
    RUN(from_then_on);
    fail_at = 0;
    RUN(registered_in_vain);
    cl_mem_hook(NULL, NULL);
    test_redis_stop(&server);
    return tap_end();
}
