#include "fake.h"

/* Servers that fail, or say that they are busy: P3, P4 and P5 of the acceptance tests, over a clock that stands still.
 */

enum { SERVERS = 5 };
enum way { GOOD, SILENT, LOST, APP_ERROR, BUSY };

typedef struct world {
    fake f;
    enum way ways[SERVERS];
    int share[SERVERS], calls, failed;
} world;

static void start(world *w, int servers)
{
    char ids[64] = "";
    w->f.config = fake_node_config("client");
    w->f.config.timeout = 0.2;
    fake_start(&w->f);
    for (int i = 0; i < servers; i++) snprintf(ids + strlen(ids), sizeof ids - strlen(ids), "%ss.%d", i ? "," : "", i);
    fake_call(&w->f, "m");
    fake_servers(&w->f, "m", ids);
    fake_answer(&w->f, 0, "", "[]");
}

static void react(world *w, int i)
{
    int server = w->f.sent[i].to[2] - '0';
    w->share[server]++;
    switch (w->ways[server]) {
    case GOOD:
        fake_answer(&w->f, i, "", "[]");
        break;
    case LOST:
        fake_delivery(&w->f, i, CL_DELIVERY_LOST);
        break;
    case APP_ERROR:
        fake_answer(&w->f, i, "{\"message\":\"no\"}", "[]");
        break;
    case BUSY:
        fake_refuse_busy(&w->f, i, "0.250");
        break;
    case SILENT:
        break;
    }
}

/* A call each millisecond, and what the servers do. */
static void run(world *w, int ms)
{
    memset(w->share, 0, sizeof w->share);
    w->calls = w->failed = 0;
    for (; ms > 0; ms--) {
        w->f.n_sent = w->f.n_events = 0;
        w->calls += fake_call(&w->f, "m") != 0;
        for (int i = 0; i < w->f.n_sent; i++) react(w, i);
        fake_advance(&w->f, 1);
        for (int i = 0; i < w->f.n_events; i++)
            w->failed += w->f.events[i].e.type == CLOUDS_EVENT_RESULT && w->f.events[i].e.code != 0;
    }
}

static uint64_t counter(const world *w, enum cl_counter which)
{
    return cl_core_counters(w->f.core)[which];
}

/* P3 */
static void one_fails(enum way way)
{
    world w = {0};
    start(&w, SERVERS);
    run(&w, 100);
    CHECK_INT(w.share[2], 20);
    w.ways[2] = way;
    run(&w, 1000);
    run(&w, 1000);
    CHECK(w.share[2] * 100 <= 2 * w.calls);
    CHECK(counter(&w, CL_COUNT_BREAKER_OPENS) >= 1);
    CHECK(counter(&w, CL_COUNT_PROBES) >= 1);
    w.ways[2] = GOOD;
    run(&w, 2000);
    CHECK(w.share[2] > 0);
    run(&w, 1000);
    CHECK_INT(w.share[2], 200);
    CHECK_INT(w.failed, 0);
    fake_end(&w.f);
}

static void one_of_five_only_times_out(void)
{
    one_fails(SILENT);
}

static void one_of_five_only_fails(void)
{
    one_fails(LOST);
}

/* P4: nothing is refused by a breaker, and no server is left without a call. */
static void all_are_bad(void)
{
    world w = {0};
    start(&w, SERVERS);
    for (int i = 0; i < SERVERS; i++) w.ways[i] = LOST;
    run(&w, 1000);
    run(&w, 1000);
    for (int i = 0; i < SERVERS; i++) CHECK(w.share[i] > 0);
    int sent = 0;
    for (int i = 0; i < SERVERS; i++) sent += w.share[i];
    CHECK_INT(sent, w.calls);
    CHECK_INT(w.failed, w.calls);
    fake_end(&w.f);
}

/* P5 */
static void errors_of_the_service_open_nothing(void)
{
    world w = {0};
    start(&w, SERVERS);
    for (int i = 0; i < SERVERS; i++) w.ways[i] = APP_ERROR;
    run(&w, 2000);
    for (int i = 0; i < SERVERS; i++) CHECK_INT(w.share[i], 400);
    CHECK_INT(counter(&w, CL_COUNT_BREAKER_OPENS), 0);
    fake_end(&w.f);
}

/* ---- the rules */

static void half_of_them_at_most_are_out(void)
{
    world w = {0};
    start(&w, SERVERS);
    w.ways[0] = w.ways[1] = w.ways[2] = LOST;
    run(&w, 300);
    run(&w, 300);
    CHECK_INT(w.share[0], 0);
    CHECK_INT(w.share[1], 0);
    CHECK(w.share[2] > 50 && w.share[3] > 50 && w.share[4] > 50);
    fake_end(&w.f);
}

static int sent_to(world *w, const char *server)
{
    return strcmp(fake_last_sent(&w->f)->to, server) == 0;
}

static void fail_at(world *w, const char *server, int times)
{
    for (int failed = 0; failed < times;) {
        fake_call(&w->f, "m");
        int lost = sent_to(w, server);
        if (lost) fake_delivery(&w->f, w->f.n_sent - 1, CL_DELIVERY_LOST), failed++;
        else fake_answer(&w->f, w->f.n_sent - 1, "", "[]");
    }
}

static void half_of_many_opens_it(void)
{
    world w = {0};
    start(&w, 1);
    for (int i = 0; i < 19; i++) {
        fake_call(&w.f, "m");
        if (i % 2 == 0) fake_delivery(&w.f, w.f.n_sent - 1, CL_DELIVERY_LOST);
        else fake_answer(&w.f, w.f.n_sent - 1, "", "[]");
        fake_advance(&w.f, 100);
    }
    CHECK_INT(counter(&w, CL_COUNT_BREAKER_OPENS), 0);
    fail_at(&w, "s.0", 1); /* the twentieth */
    CHECK_INT(counter(&w, CL_COUNT_BREAKER_OPENS), 1);
    fake_end(&w.f);
}

static void what_is_long_ago_does_not_count(void)
{
    world w = {0};
    start(&w, 1);
    for (int i = 0; i < 40; i++) {
        fake_call(&w.f, "m");
        if (i % 2 == 0) fake_delivery(&w.f, w.f.n_sent - 1, CL_DELIVERY_LOST);
        else fake_answer(&w.f, w.f.n_sent - 1, "", "[]");
        fake_advance(&w.f, 1000);
    }
    CHECK_INT(counter(&w, CL_COUNT_BREAKER_OPENS), 0);
    fake_end(&w.f);
}

/* One call at a time, and three that are good. */
static void a_server_is_probed(void)
{
    world w = {0};
    start(&w, 2);
    fail_at(&w, "s.0", 5);
    CHECK_INT(counter(&w, CL_COUNT_BREAKER_OPENS), 1);
    for (int i = 0; i < 6; i++) {
        fake_call(&w.f, "m");
        CHECK(sent_to(&w, "s.1"));
        fake_answer(&w.f, w.f.n_sent - 1, "", "[]");
    }
    fake_advance(&w.f, 1200); /* the longest first pause */
    int probe = 0, others = 0;
    for (int good = 0; good < 3; good++) {
        for (int i = 0; i < 4; i++) {
            fake_call(&w.f, "m");
            if (!sent_to(&w, "s.0")) {
                others++;
                continue;
            }
            probe++;
            fake_call(&w.f, "m"), fake_call(&w.f, "m"); /* while it is under way no other goes there */
            CHECK(sent_to(&w, "s.1"));
            fake_answer(&w.f, w.f.n_sent - 3, "", "[]");
            break;
        }
    }
    CHECK_INT(probe, 3);
    CHECK(others <= 3);
    CHECK_INT(counter(&w, CL_COUNT_PROBES), 3);
    int at[2] = {0};
    for (int i = 0; i < 10; i++) fake_call(&w.f, "m"), at[sent_to(&w, "s.0")]++;
    CHECK_INT(at[0], 5);
    fake_end(&w.f);
}

/* Each pause is twice as long as the one before, up to half a minute, and a fifth more or less. */
static void pauses_grow(void)
{
    world w = {0};
    start(&w, 2);
    fail_at(&w, "s.0", 5);
    for (int64_t pause = 1000; pause <= 64000; pause *= 2) {
        int64_t most = pause < 30000 ? pause : 30000, begun = w.f.now;
        for (;;) {
            fake_advance(&w.f, 50);
            w.f.n_sent = w.f.n_events = 0;
            fake_call(&w.f, "m");
            int first = sent_to(&w, "s.0");
            if (first) break;
            fake_answer(&w.f, 0, "", "[]");
        }
        CHECK(w.f.now - begun >= most * 4 / 5);
        CHECK(w.f.now - begun <= most * 6 / 5 + 100);
        fake_delivery(&w.f, 0, CL_DELIVERY_LOST);
    }
    fake_end(&w.f);
}

/* A probe that is given up does not keep the server out for as long as its call might have taken. */
static void a_probe_that_is_canceled(void)
{
    world w = {0};
    start(&w, 2);
    fail_at(&w, "s.0", 5);
    fake_advance(&w.f, 1200);
    w.f.n_sent = 0;
    uint64_t id = 0;
    while (!sent_to(&w, "s.0")) id = fake_call_spec(&w.f, (cl_call_spec){.timeout = 60});
    CHECK_INT(cl_core_cancel(w.f.core, id), 0);
    fake_advance(&w.f, 1200);
    fake_call(&w.f, "m");
    if (!sent_to(&w, "s.0")) fake_call(&w.f, "m");
    CHECK(sent_to(&w, "s.0"));
    fake_end(&w.f);
}

static void a_method_does_not_answer_for_another(void)
{
    world w = {0};
    start(&w, 2);
    fake_call(&w.f, "k");
    fake_servers(&w.f, "k", "s.0,s.1");
    fail_at(&w, "s.0", 5);
    int at[2] = {0};
    for (int i = 0; i < 10; i++) fake_call(&w.f, "k"), at[sent_to(&w, "s.0")]++;
    CHECK_INT(at[0], 5);
    fake_end(&w.f);
}

static void pinned_calls_go_there_all_the_same(void)
{
    world w = {0};
    start(&w, 2);
    fail_at(&w, "s.0", 5);
    fake_call_spec(&w.f, (cl_call_spec){.server = CL_STR("s.0")});
    CHECK(sent_to(&w, "s.0"));
    fake_end(&w.f);
}

static void it_can_be_switched_off(void)
{
    world w = {0};
    start(&w, 2);
    cl_node_config config = w.f.config;
    config.breaker = 0;
    cl_node_configure(w.f.node, &config);
    fail_at(&w, "s.0", 20);
    CHECK_INT(counter(&w, CL_COUNT_BREAKER_OPENS), 0);
    fake_end(&w.f);
}

/* A server that comes anew is tried at once. */
static void an_announced_server_is_tried(void)
{
    world w = {0};
    start(&w, 2);
    fail_at(&w, "s.0", 5);
    cl_core_server_up(w.f.core, CL_STR("m"), (cl_server){.id = CL_STR("s.0"), .native = CL_NATIVE_OURS});
    fake_call(&w.f, "m");
    if (!sent_to(&w, "s.0")) fake_call(&w.f, "m");
    CHECK(sent_to(&w, "s.0"));
    fake_end(&w.f);
}

/* Who says for how long it is busy is asked again after that, unless all say so. */
static void a_busy_server_is_left_alone(void)
{
    world w = {0};
    start(&w, 3);
    w.ways[0] = BUSY;
    run(&w, 1000);
    CHECK_INT(w.failed, 0);
    CHECK_INT(w.share[0], 4);
    CHECK_INT(counter(&w, CL_COUNT_BREAKER_OPENS), 0);
    w.ways[1] = w.ways[2] = BUSY;
    run(&w, 100);
    CHECK_INT(w.failed, 100);
    CHECK(w.share[1] > 10 && w.share[2] > 10);
    fake_end(&w.f);
}

static void what_a_busy_server_says_is_passed_on(void)
{
    world w = {0};
    start(&w, 1);
    uint64_t id = fake_call(&w.f, "m");
    fake_refuse_busy(&w.f, w.f.n_sent - 1, "12.5");
    CHECK(strstr(fake_result(&w.f, id)->error, "\"reason\":\"rate\",\"retry_after\":12.500}") != NULL);
    static const char *const odd[] = {"-1", "1e3", "\"1\"", "null", "0", "99999999999999999999999", "1.0.0"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        id = fake_call(&w.f, "m");
        fake_refuse_busy(&w.f, w.f.n_sent - 1, odd[i]);
        CHECK(strstr(fake_result(&w.f, id)->error, "retry_after") == NULL);
    }
    id = fake_call(&w.f, "m");
    fake_refuse_busy(&w.f, w.f.n_sent - 1, "0.0019");
    CHECK(strstr(fake_result(&w.f, id)->error, "\"retry_after\":0.001}") != NULL);
    fake_end(&w.f);
}

int main(void)
{
    RUN(one_of_five_only_times_out);
    RUN(one_of_five_only_fails);
    RUN(all_are_bad);
    RUN(errors_of_the_service_open_nothing);
    RUN(half_of_them_at_most_are_out);
    RUN(half_of_many_opens_it);
    RUN(what_is_long_ago_does_not_count);
    RUN(a_server_is_probed);
    RUN(pauses_grow);
    RUN(a_probe_that_is_canceled);
    RUN(a_method_does_not_answer_for_another);
    RUN(pinned_calls_go_there_all_the_same);
    RUN(it_can_be_switched_off);
    RUN(an_announced_server_is_tried);
    RUN(a_busy_server_is_left_alone);
    RUN(what_a_busy_server_says_is_passed_on);
    return tap_end();
}
