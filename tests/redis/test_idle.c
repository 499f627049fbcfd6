/* What a context sends while nothing happens: what is due about as often goes out together, and nothing is asked that an
 * answer tells anyway. Counted are not times but what Redis counts, so that a slow machine changes nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redis/kit.h"
#include "support/tap.h"

enum { ROUNDS = 12 };

static test_redis server;
static kit a;
static int nodes[3];

typedef struct counts {
    long long expires, infos, times, pings, reads;
} counts;

static int questions; /* of this test itself: each is an INFO, and one read */

static long long behind(const char *text, const char *name)
{
    const char *p = strstr(text, name);
    return p ? atoll(p + strlen(name)) : 0;
}

static counts count(void)
{
    const char *all = test_redis_command(&server, "INFO all");
    questions++;
    return (counts){.expires = behind(all, "cmdstat_expire:calls="),
                    .infos = behind(all, "cmdstat_info:calls="),
                    .times = behind(all, "cmdstat_time:calls="),
                    .pings = behind(all, "cmdstat_ping:calls="),
                    .reads = behind(all, "total_reads_processed:")};
}

static counts since(counts before)
{
    counts now = count();
    return (counts){now.expires - before.expires, now.infos - before.infos, now.times - before.times,
                    now.pings - before.pings, now.reads - before.reads};
}

/* Until the keys of all nodes, two each, were renewed so often. */
static counts after_rounds(int nodes_n, int rounds)
{
    counts before = count(), seen = {0};
    questions = 0;
    for (int64_t end = cl_loop_now() + 20000; seen.expires < 2 * nodes_n * rounds && cl_loop_now() < end;) {
        kit_idle(100);
        seen = since(before);
    }
    CHECK(seen.expires >= 2 * nodes_n * rounds);
    seen.infos -= questions;
    seen.reads -= questions;
    return seen;
}

static void open_kit(double ping_interval)
{
    cl_limits limits;
    kit_limits(&limits);
    limits.ping_interval = ping_interval;
    REQUIRE(kit_open(&a, server.url, &limits) == 0);
}

/* Three nodes that have registered at different times: their heartbeats are one write. */
static void heartbeats_of_a_context(void)
{
    static const char *const ids[] = {"s.686c821a.100.0", "s.686c821a.100.1", "s.686c821a.100.2"};
    open_kit(1000);
    for (int i = 0; i < 3; i++) {
        REQUIRE(kit_node(&a, &nodes[i], ids[i], 0.4) == 0);
        CHECK_INT(kit_register(&a, &nodes[i], "m"), 0);
        kit_idle(130);
    }
    after_rounds(3, 2);
    counts seen = after_rounds(3, ROUNDS);
    CHECK(seen.reads <= 2 * (seen.expires / 6)); /* else it is three for each round */
    printf("# %lld EXPIRE, %lld reads, %lld INFO\n", seen.expires, seen.reads, seen.infos);
    kit_close(&a, 0);
}

/* The clock and both connections are asked along with the heartbeat, and the role is told by its answers. */
static void what_is_asked_of_connections(void)
{
    open_kit(0.4);
    REQUIRE(kit_node(&a, &nodes[0], "s.686c821a.100.0", 0.4) == 0);
    CHECK_INT(kit_register(&a, &nodes[0], "m"), 0);
    after_rounds(1, 2);
    counts seen = after_rounds(1, ROUNDS);
    CHECK(seen.infos <= ROUNDS / 3); /* else it is one for each round */
    CHECK(seen.times > 0 && seen.pings > 0);
    printf("# %lld EXPIRE, %lld reads, %lld INFO, %lld TIME, %lld PING\n", seen.expires, seen.reads, seen.infos,
           seen.times, seen.pings);
    kit_close(&a, 0);
}

/* Who writes nothing asks for the role. */
static void the_role_without_writes(void)
{
    open_kit(0.2);
    REQUIRE(kit_node(&a, &nodes[0], "c.1", 1000) == 0);
    counts before = count(), seen = {0};
    questions = 0;
    for (int64_t end = cl_loop_now() + 20000; seen.infos - questions < 3 && cl_loop_now() < end; seen = since(before)) kit_idle(100);
    CHECK(seen.infos - questions >= 3);
    kit_close(&a, 0);
}

int main(void)
{
    if (test_redis_start(&server, NULL)) return EXIT_FAILURE;
    RUN(heartbeats_of_a_context);
    RUN(what_is_asked_of_connections);
    RUN(the_role_without_writes);
    test_redis_stop(&server);
    return tap_end();
}
