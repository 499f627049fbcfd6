#include "fake.h"

/* A caller that holds back while servers refuse most of its calls. */

static void start(fake *f, int throttle)
{
    f->config = fake_node_config("client");
    f->config.timeout = 2;
    f->config.throttle = throttle;
    f->config.breaker = 0;
    f->seed = 99;
    fake_start(f);
    fake_call(f, "m");
    fake_servers(f, "m", "s.1");
    fake_answer(f, 0, "", "[]");
    fake_advance(f, 11000); /* and that is forgotten */
    f->n_events = f->n_sent = 0;
}

/* One call: 1 when it was sent, which its server does, or refuses. */
static int call(fake *f, int is_done)
{
    f->n_events = f->n_sent = 0;
    uint64_t id = fake_call(f, "m");
    int sent = f->n_sent;
    if (sent && is_done) fake_answer(f, 0, "", "[]");
    else if (sent) fake_refuse(f, 0, CLOUDS_EOVERLOAD);
    CHECK_INT(fake_results(f, id), 1);
    return sent > 0;
}

static int sent_of(fake *f, int calls, int is_done)
{
    int sent = 0;
    for (int i = 0; i < calls; i++) sent += call(f, is_done);
    return sent;
}

static void all_well(void)
{
    fake f = {0};
    start(&f, 1);
    CHECK_INT(sent_of(&f, 1000, 1), 1000);
    fake_end(&f);
}

/* Half of them is what servers may refuse. */
static void half_is_refused(void)
{
    fake f = {0};
    start(&f, 1);
    CHECK(call(&f, 1));
    for (int i = 0; i < 500; i++) CHECK(call(&f, 0) && call(&f, 1));
    CHECK_INT(cl_core_counters(f.core)[CL_COUNT_THROTTLED_CALLS], 0);
    fake_end(&f);
}

/* With nothing done at all next to nothing is sent: one of n + 1. */
static void all_is_refused(void)
{
    fake f = {0};
    start(&f, 1);
    int sent = sent_of(&f, 1000, 0);
    CHECK(sent >= 2 && sent < 30); /* the sum of 1 / (n + 1) is 7.5 */
    CHECK_INT(cl_core_counters(f.core)[CL_COUNT_THROTTLED_CALLS], 1000 - sent);
    fake_advance(&f, 10000); /* it is forgotten */
    CHECK(call(&f, 1));
    CHECK_INT(sent_of(&f, 100, 1), 100);
    fake_end(&f);
}

/* Servers that do 20 calls a second and are asked 100 get twice of what they take, and do all of it. */
static void most_is_refused(void)
{
    fake f = {0};
    start(&f, 1);
    int sent = 0, done = 0;
    for (int second = 0; second < 40; second++, fake_advance(&f, 1000)) {
        int left = 20;
        for (int i = 0; i < 100; i++) {
            if (!call(&f, left > 0)) continue;
            if (second >= 20) sent++, done += left > 0;
            left -= left > 0;
        }
    }
    CHECK_INT(done, 400);
    CHECK(sent > 700 && sent < 900);
    fake_end(&f);
}

static void what_its_end_says(void)
{
    fake f = {0};
    start(&f, 1);
    while (call(&f, 0)) {}
    const fake_event *e = fake_find(&f, CLOUDS_EVENT_RESULT);
    CHECK_INT(e->e.code, CLOUDS_EOVERLOAD);
    CHECK_INT(e->e.outcome, CLOUDS_OUTCOME_NOT_DONE);
    CHECK(strstr(e->error, "\"code\":\"CLOUDS_OVERLOADED\"") && strstr(e->error, "\"reason\":\"throttle\""));
    CHECK(strstr(e->error, "\"retry_after\":1") && strstr(e->error, "\"method\":\"m\""));
    fake_end(&f);
}

static void timeouts_count(void)
{
    fake f = {0};
    start(&f, 1);
    for (int i = 0; i < 40; i++) fake_call(&f, "m");
    CHECK_INT(f.n_sent, 40); /* nothing is known before one has ended */
    fake_advance(&f, 2000);
    f.n_sent = 0;
    for (int i = 0; i < 100; i++) fake_call(&f, "m");
    CHECK(f.n_sent < 15);
    fake_end(&f);
}

static void who_names_its_server_is_not_held_back(void)
{
    fake f = {0};
    start(&f, 1);
    sent_of(&f, 200, 0);
    f.n_sent = 0;
    for (int i = 0; i < 20; i++) fake_call_spec(&f, (cl_call_spec){.server = CL_STR("s.1")});
    CHECK_INT(f.n_sent, 20);
    fake_end(&f);
}

static void without_the_option(void)
{
    fake f = {0};
    start(&f, 0);
    CHECK_INT(sent_of(&f, 300, 0), 300);
    fake_end(&f);
}

/* A call that is sent to a second server is two for the servers: the second is held back as often, and its end counts. */

static uint64_t call_hedged(fake *f)
{
    f->n_events = f->n_sent = 0;
    return fake_call_spec(f, (cl_call_spec){.method = CL_STR("m"), .once = CL_STR("k"), .hedge = 0.05});
}

static void start_hedging(fake *f)
{
    start(f, 1);
    fake_servers(f, "m", "f.1,f.2");
    fake_advance(f, 11000);
}

static void a_second_server_is_asked_where_all_is_well(void)
{
    fake f = {0};
    start_hedging(&f);
    for (int i = 0; i < 20; i++) {
        uint64_t id = call_hedged(&f);
        fake_advance(&f, 60);
        CHECK_INT(f.n_sent, 2);
        fake_answer(&f, 1, "", "[]");
        CHECK_INT(fake_result(&f, id)->e.code, 0);
    }
    CHECK_INT(cl_core_counters(f.core)[CL_COUNT_THROTTLED_CALLS], 0);
    fake_end(&f);
}

/* Calls that are under way when servers begin to refuse others. */
static void a_second_server_is_not_asked_where_most_is_refused(void)
{
    enum { CALLS = 50 };
    fake f = {0};
    uint64_t ids[CALLS];
    start_hedging(&f);
    for (int i = 0; i < CALLS; i++)
        ids[i] = fake_call_spec(&f, (cl_call_spec){.method = CL_STR("m"), .once = CL_STR("k"), .hedge = 0.5});
    CHECK_INT(f.n_sent, CALLS);
    uint64_t hedges = cl_core_counters(f.core)[CL_COUNT_HEDGES];
    for (int i = 0; i < 400; i++) {
        f.n_events = f.n_sent = 0;
        fake_call(&f, "m");
        for (int k = 0; k < f.n_sent; k++) fake_refuse(&f, k, CLOUDS_EOVERLOAD); /* and the other one, too */
    }
    uint64_t throttled = cl_core_counters(f.core)[CL_COUNT_THROTTLED_CALLS];
    fake_advance(&f, 600);
    CHECK(cl_core_counters(f.core)[CL_COUNT_HEDGES] - hedges < 5);
    CHECK_INT(cl_core_counters(f.core)[CL_COUNT_THROTTLED_CALLS], throttled); /* no call has ended by it */
    for (int i = 0; i < CALLS; i++) CHECK_INT(fake_results(&f, ids[i]), 0);
    fake_end(&f);
}

/* After 40 calls that were done, 30 that nobody answered are few enough; 60 are not. */
static void the_end_of_a_second_counts(void)
{
    for (int hedged = 0; hedged < 2; hedged++) {
        fake f = {0};
        start_hedging(&f);
        CHECK_INT(sent_of(&f, 40, 1), 40);
        f.n_sent = f.n_events = 0;
        const cl_call_spec spec = {.method = CL_STR("m"), .once = CL_STR("k"), .hedge = hedged ? 0.05 : 0};
        for (int i = 0; i < 30; i++) fake_call_spec(&f, spec);
        fake_advance(&f, 2000);
        CHECK_INT(f.n_sent, hedged ? 60 : 30);
        int sent = sent_of(&f, 100, 1);
        if (!CHECK(hedged ? sent < 100 : sent == 100)) printf("# %d\n", sent);
        fake_end(&f);
    }
}

int main(void)
{
    RUN(all_well);
    RUN(half_is_refused);
    RUN(all_is_refused);
    RUN(most_is_refused);
    RUN(what_its_end_says);
    RUN(timeouts_count);
    RUN(who_names_its_server_is_not_held_back);
    RUN(without_the_option);
    RUN(a_second_server_is_asked_where_all_is_well);
    RUN(a_second_server_is_not_asked_where_most_is_refused);
    RUN(the_end_of_a_second_counts);
    return tap_end();
}
