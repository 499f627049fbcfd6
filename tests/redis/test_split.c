/* Every byte delivered alone, and what we send taken in pieces, gives the same as a plain connection: 10 000 messages
 * and all answers; fewer where the processors are so busy that a byte takes long. */
#include <stdio.h>

#include "base/rand.h"
#include "clouds.h"
#include "redis/fake.h"
#include "redis/kit.h"
#include "support/tap.h"

#ifdef __SANITIZE_THREAD__
enum { MESSAGES = 2000 }; /* each byte costs tens of times as much */
#else
enum { MESSAGES = 10000 };
#endif
enum { LEAST = 200, WINDOW = 100, BEGUN_MS = 60000 };

static test_redis server;
static splitter split;
static kit a;
static int node_a;

#define ID_A "s.686c821a.100.0"

typedef struct tally {
    uint64_t hash, deliveries, envelopes;
} tally;

static tally now;

static void on_envelope(kit *k, void *node, const cl_envelope *e)
{
    char text[600];
    int n = snprintf(text, sizeof text, "%c %.*s %.*s %.*s %.*s", e->type, (int)e->id.n, e->id.p, (int)e->method.n,
                     e->method.p, (int)e->args.n, e->args.p, (int)e->data.n, e->data.p);
    now.hash = now.hash * 1099511628211u ^ cl_siphash((const uint64_t[2]){1, 2}, text, (size_t)n);
    now.envelopes++;
}

/* The same stream each time: lengths from next to nothing to a hundred bytes, so that every boundary is met. */
static int send_number(uint64_t i)
{
    char id[16], args[512];
    uint64_t seed = i;
    size_t n = cl_rand_next(&seed) % 60;
    snprintf(id, sizeof id, "%08llu", (unsigned long long)i);
    int at = snprintf(args, sizeof args, "[%llu,\"", (unsigned long long)i);
    for (size_t k = 0; k < n; k++) args[at++] = (char)('a' + cl_rand_next(&seed) % 26);
    snprintf(args + at, sizeof args - (size_t)at, "\\u00e4\\n\",{\"k\":[]}]");
    return i % 5 ? kit_call(&a, ID_A, ID_A, "m.add", id, args, i + 1) : kit_say(&a, ID_A, ID_A, args, i + 1);
}

/* How long an answer may take is another test's: one that comes byte by byte takes long where little else gets to run.
 */
static const cl_limits *patient(void)
{
    static cl_limits limits;
    kit_limits(&limits);
    limits.ping_timeout = 1000;
    return &limits;
}

/* Sends as many, but none that would begin too late. */
static tally run(const char *url, uint64_t messages)
{
    tally none = {0};
    now = none;
    now.hash = 14695981039346656037u;
    if (!CHECK(kit_open(&a, url, patient()) == 0) || !CHECK(kit_node(&a, &node_a, ID_A, 5) == 0)) return none;
    CHECK_INT(kit_register(&a, &node_a, "m.add"), 0);
    a.bus->ops->lookup(a.bus, CL_STR("m.add"), 0);
    kit_note *n = kit_take(&a, "servers");
    CHECK_STR(n->text, strlen(n->text), "m.add " ID_A "+");
    a.quiet = 1;
    a.on_envelope = on_envelope;
    int64_t begun = cl_loop_now();
    for (uint64_t sent = 0; now.envelopes < messages && cl_loop_now() < begun + 3 * BEGUN_MS;) {
        if (sent >= LEAST && sent < messages && cl_loop_now() > begun + BEGUN_MS) messages = sent;
        while (sent < messages && sent < now.envelopes + WINDOW) CHECK_INT(send_number(sent++), 0);
        kit_turn_all(20);
    }
    WAIT_FOR(a.deliveries == messages);
    now.deliveries = a.deliveries;
    CHECK(a.up && !kit_find(&a, "dropped"));
    kit_close(&a, 0);
    return now;
}

static void every_byte_alone(void)
{
    tally alone = run(split.url, MESSAGES), plain = run(server.url, alone.envelopes);
    printf("# %d messages\n", (int)alone.envelopes);
    CHECK(alone.envelopes >= LEAST);
    CHECK_INT(alone.deliveries, alone.envelopes);
    CHECK_INT(plain.envelopes, alone.envelopes);
    CHECK(plain.hash == alone.hash);
}

static void large_ones_too(void)
{
    static char text[3 << 20];
    memset(text, '7', sizeof text - 1);
    REQUIRE(kit_open(&a, server.url, NULL) == 0);
    REQUIRE(kit_node(&a, &node_a, ID_A, 5) == 0);
    a.quiet = 1;
    for (int i = 0; i < 20; i++) {
        CHECK_INT(kit_say(&a, ID_A, ID_A, text, 1), 0);
        uint64_t want = (uint64_t)i + 1;
        WAIT_FOR(a.envelopes == want);
    }
    CHECK(a.up);
    kit_close(&a, 0);
}

int main(void)
{
    if (test_redis_start(&server, NULL) || splitter_start(&split, server.socket)) return EXIT_FAILURE;
    RUN(every_byte_alone);
    RUN(large_ones_too);
    splitter_stop(&split);
    test_redis_stop(&server);
    return tap_end();
}
