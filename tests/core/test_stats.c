#include "core/internal.h"
#include "fake.h"

/* What is counted by method: how calls and requests ended, how long they took, and what is open. */

static void start(fake *f, const char *type)
{
    cl_core_config config = fake_core_config();
    config.stats = 1;
    f->config = fake_node_config(type);
    fake_open(f, &config);
    f->node = fake_node(f, type[0] == 's' ? "s.1" : "c.1", &f->config);
    cl_core_bus(f->core, 1, 0, NULL);
    cl_node_ready(f->node, 0, NULL);
}

static const char *stats(fake *f)
{
    const cl_op_spec spec = {.id = ++f->ids};
    CHECK_INT(cl_node_stats(f->node, &spec), 0);
    fake_event *e = fake_last_event(f);
    CHECK(e->e.type == CLOUDS_EVENT_STATUS && e->e.id == spec.id && e->e.code == 0);
    return e->data;
}

#define BOUNDS \
    "{\"bounds\":[0.000500,0.001000,0.002500,0.005000,0.010000,0.025000,0.050000,0.100000,0.250000,0.500000,1.000000," \
    "2.500000,5.000000,10.000000],\"methods\":"

static void is(fake *f, const char *methods)
{
    char want[2048];
    snprintf(want, sizeof want, "%s%s}", BOUNDS, methods);
    const char *found = stats(f);
    CHECK_STR(found, strlen(found), want);
}

static void calls(void)
{
    fake f = {0};
    start(&f, "client");
    is(&f, "{}");
    fake_call(&f, "m");
    fake_servers(&f, "m", "s.1");
    fake_advance(&f, 20);
    is(&f, "{\"m\":{\"calls\":{\"open\":1,\"ok\":0,\"app_error\":0,\"not_done\":0,\"unknown\":0,\"seconds\":0.000000,"
           "\"took\":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}}}");
    fake_answer(&f, f.n_sent - 1, "", "[]"); /* after 20 ms */
    fake_call(&f, "m");
    fake_answer(&f, f.n_sent - 1, "{\"message\":\"no\"}", "[]"); /* at once */
    fake_call(&f, "m");
    fake_advance(&f, 2100); /* no answer for 2 s, which is too long */
    const uint64_t given_up = fake_call(&f, "m");
    CHECK_INT(cl_core_cancel(f.core, given_up), 0);
    fake_call_spec(&f, (cl_call_spec){.method = CL_STR("none"), .deadline = 30, .timeout = 30});
    fake_servers(&f, "none", "");
    const char *all = stats(&f); /* in any order */
    CHECK(strstr(all, "\"m\":{\"calls\":{\"open\":0,\"ok\":1,\"app_error\":1,\"not_done\":0,\"unknown\":2,"
                      "\"seconds\":2.020000,\"took\":[2,0,0,0,0,1,0,0,0,0,0,1,0,0,0]}}"));
    CHECK(strstr(all, "\"none\":{\"calls\":{\"open\":0,\"ok\":0,\"app_error\":0,\"not_done\":1,\"unknown\":0,"
                      "\"seconds\":0.000000,\"took\":[1,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}}"));
    fake_end(&f);
}

static void offer(fake *f, const char *method, const cl_offer_spec *limits)
{
    const cl_op_spec spec = {.id = ++f->ids};
    CHECK_INT(cl_node_offer(f->node, cl_str_z(method), limits, &spec), 0);
    cl_core_registered(f->core, spec.id, 0, NULL);
}

static uint64_t come(fake *f, const char *method, const char *id, int64_t deadline)
{
    return fake_inbound(f, f->node, "c.1", id, method, CL_NATIVE | CL_FRAMES, deadline);
}

static void requests(void)
{
    fake f = {0};
    start(&f, "server");
    offer(&f, "m", NULL);
    is(&f, "{\"m\":{\"requests\":{\"open\":0,\"ok\":0,\"app_error\":0,\"not_done\":0,\"unknown\":0,\"seconds\":0.000000,"
           "\"took\":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0],\"waiting\":0}}}");
    uint64_t first = come(&f, "m", "1", 0), second = come(&f, "m", "2", 0);
    fake_advance(&f, 1);
    CHECK_INT(cl_core_answer(f.core, first, CL_STR_NONE, CL_STR("[]")), 0);
    fake_advance(&f, 2);
    CHECK_INT(cl_core_answer(f.core, second, CL_STR("{\"message\":\"no\"}"), CL_STR_NONE), 0);
    come(&f, "m", "3", f.now + 60); /* not answered in time */
    fake_advance(&f, 60);
    CHECK(come(&f, "m", "4", f.now - 1) == 0);     /* too late when it came */
    CHECK(come(&f, "other", "5", 0) == 0);         /* not offered: it has no entry */
    f.waiting = 1;                                 /* the program has not taken the next */
    CHECK(come(&f, "m", "6", 0) != 0);
    fake_cancel(&f, f.node, "c.1", "6");
    f.waiting = 0;
    CHECK(come(&f, "m", "7", 0) != 0);
    is(&f, "{\"m\":{\"requests\":{\"open\":1,\"ok\":1,\"app_error\":1,\"not_done\":2,\"unknown\":1,\"seconds\":0.064000,"
           "\"took\":[1,1,0,1,0,0,0,1,0,0,0,0,0,0,0],\"waiting\":0,\"refused\":{\"expired\":1}}}}");
    fake_end(&f);
}

/* A request that waits is neither open nor does its time run. */
static void requests_that_wait(void)
{
    fake f = {0};
    start(&f, "server");
    offer(&f, "m", &(cl_offer_spec){.concurrency = 1, .queue = 1, .age = 1000, .target = 5});
    uint64_t first = come(&f, "m", "1", 0);
    CHECK(come(&f, "m", "2", 0) == 0);
    CHECK(come(&f, "m", "3", 0) == 0); /* the queue is full */
    fake_advance(&f, 40);
    is(&f, "{\"m\":{\"requests\":{\"open\":1,\"ok\":0,\"app_error\":0,\"not_done\":1,\"unknown\":0,\"seconds\":0.000000,"
           "\"took\":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0],\"waiting\":1,\"limit\":1,"
           "\"queue\":{\"seconds\":0.000000,\"took\":[1,0,0,0,0,0,0,0,0,0,0,0,0,0,0]},"
           "\"refused\":{\"queue\":1}}}}");
    CHECK_INT(cl_core_answer(f.core, first, CL_STR_NONE, CL_STR("[]")), 0);
    fake_event *second = fake_find(&f, CLOUDS_EVENT_REQUEST);
    CHECK(second && second->e.id != first);
    CHECK_INT(cl_core_answer(f.core, second->e.id, CL_STR_NONE, CL_STR("[]")), 0);
    is(&f, "{\"m\":{\"requests\":{\"open\":0,\"ok\":2,\"app_error\":0,\"not_done\":1,\"unknown\":0,\"seconds\":0.040000,"
           "\"took\":[1,0,0,0,0,0,1,0,0,0,0,0,0,0,0],\"waiting\":0,\"limit\":1,"
           "\"queue\":{\"seconds\":0.040000,\"took\":[1,0,0,0,0,0,1,0,0,0,0,0,0,0,0]},"
           "\"refused\":{\"queue\":1}}}}");
    fake_end(&f);
}

static void refusals(void)
{
    fake f = {0};
    start(&f, "server");
    offer(&f, "rate", &(cl_offer_spec){.rate = 1, .burst = 1, .queue = 1});
    offer(&f, "one", &(cl_offer_spec){.concurrency = 1});
    offer(&f, "aged", &(cl_offer_spec){.concurrency = 1, .queue = 2, .age = 10, .target = 5});
    for (int i = 0; i < 3; i++) come(&f, "rate", "r", 0);
    for (int i = 0; i < 2; i++) come(&f, "one", "o", 0);
    for (int i = 0; i < 2; i++) come(&f, "aged", "a", 0);
    fake_advance(&f, 20);
    come(&f, "aged", "late", f.now - 1);
    const char *all = stats(&f);
    CHECK(strstr(all, "\"refused\":{\"rate\":2}"));
    CHECK(strstr(all, "\"refused\":{\"concurrency\":1}"));
    CHECK(strstr(all, "\"refused\":{\"age\":1,\"expired\":1}"));
    fake_end(&f);
}

static void too_many_methods(void)
{
    fake f = {0};
    char name[32];
    start(&f, "client");
    cl_stats *other = cl_stats_of(f.core, CL_STR("other")); /* of that name, or of no name that is known */
    for (int i = 0; i < CL_STATS_METHODS; i++) {
        snprintf(name, sizeof name, "m%d", i);
        CHECK(cl_stats_of(f.core, cl_str_z(name)) != other);
    }
    CHECK(cl_stats_of(f.core, CL_STR("m0")) != other);
    CHECK(cl_stats_of(f.core, CL_STR("m500")) == other);
    fake_call(&f, "m501");
    fake_servers(&f, "m501", "s.1");
    fake_answer(&f, f.n_sent - 1, "", "[]");
    is(&f, "{\"other\":{\"calls\":{\"open\":0,\"ok\":1,\"app_error\":0,\"not_done\":0,\"unknown\":0,\"seconds\":0.000000,"
           "\"took\":[1,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}}}");
    fake_end(&f);
}

static void when_nothing_is_counted(void)
{
    fake f = {0};
    fake_start(&f);
    CHECK(cl_stats_of(f.core, CL_STR("m")) == NULL);
    CHECK_INT(cl_node_stats(f.node, &(cl_op_spec){.id = 99}), CLOUDS_ENOTSUP);
    fake_end(&f);
}

int main(void)
{
    RUN(calls);
    RUN(requests);
    RUN(requests_that_wait);
    RUN(refusals);
    RUN(too_many_methods);
    RUN(when_nothing_is_counted);
    return tap_end();
}
