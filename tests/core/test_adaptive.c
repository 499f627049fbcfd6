#include "fake.h"

/* A limit that is found, over a clock that stands still: a service of so many places, in each of which a request takes
 * so long, and in front of which the others wait; and more calls than it can do. */

enum { ROOM = 4096, SECOND = 1000, LEAST = 4, MOST = 1000 };

typedef struct service {
    fake f;
    int places, cost;
    int seen; /* events that were looked at */
    uint64_t inside[ROOM]; /* a ring: those that were begun, in their order */
    int64_t until[ROOM], begun[ROOM];
    unsigned first, served, last; /* in a place: from first to served; waiting for one: from there to last */
    double debt;
    int done, most, longest; /* since `forget` */
} service;

static void offer(fake *f, cl_offer_spec limits)
{
    const cl_op_spec spec = {.id = ++f->ids};
    CHECK_INT(cl_node_offer(f->node, CL_STR("up"), &limits, &spec), 0);
    cl_core_registered(f->core, spec.id, 0, NULL);
}

static const cl_offer_spec adaptive = {.is_adaptive = 1, .queue = 1000, .age = 100, .target = 5};

static service *start(int places, int cost)
{
    static service s;
    s = (service){.places = places, .cost = cost};
    s.f.config = fake_node_config("server");
    fake_start(&s.f);
    offer(&s.f, adaptive);
    return &s;
}

static void forget(service *s)
{
    s->done = s->most = s->longest = 0;
}

static void take_places(service *s)
{
    while (s->served != s->last && s->served - s->first < (unsigned)s->places)
        s->until[s->served++ % ROOM] = s->f.now + s->cost;
}

static void begin_new(service *s)
{
    for (; s->seen < s->f.n_events; s->seen++) {
        const fake_event *e = &s->f.events[s->seen];
        if (e->e.type != CLOUDS_EVENT_REQUEST) continue;
        s->begun[s->last % ROOM] = s->f.now;
        s->inside[s->last++ % ROOM] = e->e.id;
        int running = (int)(s->last - s->first);
        if (running > s->most) s->most = running;
    }
    if (s->f.n_events > 2000) s->f.n_events = s->seen = 0;
    if (s->f.n_sent > 2000) s->f.n_sent = 0;
    take_places(s);
}

static void end_due(service *s)
{
    while (s->first != s->served && s->until[s->first % ROOM] <= s->f.now) {
        int length = (int)(s->f.now - s->begun[s->first % ROOM]);
        if (length > s->longest) s->longest = length;
        CHECK_INT(cl_core_answer(s->f.core, s->inside[s->first++ % ROOM], CL_STR_NONE, CL_STR("[]")), 0);
        s->done++;
        begin_new(s);
    }
}

/* `load`: calls, as a part of what it can do. */
static void run(service *s, double load, int ms)
{
    for (int i = 0; i < ms; i++) {
        fake_advance(&s->f, 1);
        begin_new(s);
        end_due(s);
        for (s->debt += load * s->places / s->cost; s->debt >= 1; s->debt--) {
            fake_inbound(&s->f, s->f.node, "c.9", "abc", "up", CL_NATIVE, 0);
            begin_new(s);
        }
    }
}

static const char *own_status(fake *f)
{
    const cl_op_spec spec = {.id = ++f->ids};
    CHECK_INT(cl_node_status(f->node, &spec), 0);
    cl_core_status(f->core, spec.id, NULL, NULL, 0, 1, 0);
    return fake_last_event(f)->data;
}

static int limit(fake *f)
{
    const char *at = strstr(own_status(f), "\"concurrency\":");
    return CHECK(at != NULL) ? atoi(at + strlen("\"concurrency\":")) : -1;
}

static double goodput(const service *s, int ms)
{
    return (double)s->done * s->cost / ((double)s->places * ms);
}

/* What comes in five seconds of three times the load: nearly all that can be done, by at most so many times as many as
 * are of use. */
static void check_found(service *s, int times)
{
    forget(s);
    run(s, 3, 5 * SECOND);
    if (!CHECK(goodput(s, 5 * SECOND) >= 0.9)) printf("# goodput %g\n", goodput(s, 5 * SECOND));
    if (!CHECK(s->most >= s->places && s->most <= times * s->places + 1)) printf("# %d of %d\n", s->most, s->places);
    if (!CHECK(s->longest <= (times + 1) * s->cost)) printf("# %d ms\n", s->longest);
}

static void it_is_found(void)
{
    static const int of[][2] = {{4, 40}, {8, 40}, {30, 40}, {100, 40}, {8, 500}, {40, 5}};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        service *s = start(of[i][0], of[i][1]);
        CHECK_INT(limit(&s->f), LEAST);
        run(s, 3, 2 * SECOND + 20 * s->cost);
        check_found(s, 3);
        run(s, 3, 60 * SECOND); /* it is measured again */
        check_found(s, 2);
        fake_end(&s->f);
    }
}

/* Of one place no more than the least limit is made. */
static void it_has_a_least(void)
{
    service *s = start(1, 20);
    run(s, 3, 60 * SECOND);
    forget(s);
    run(s, 3, 20 * SECOND);
    CHECK(s->most >= 2 && s->most <= 2 * LEAST);
    CHECK(goodput(s, 20 * SECOND) >= 0.99);
    fake_end(&s->f);
}

static void it_has_a_most(void)
{
    service *s = start(2000, 400);
    run(s, 1, 40 * SECOND);
    CHECK_INT(s->most, MOST);
    CHECK(s->longest <= 400);
    fake_end(&s->f);
}

/* Places come and go. */
static void it_follows_what_can_be_done(void)
{
    service *s = start(8, 40);
    run(s, 3, 10 * SECOND);
    check_found(s, 2);
    s->places = 64;
    run(s, 3, 10 * SECOND);
    check_found(s, 2);
    s->places = 8;
    run(s, 3, 60 * SECOND);
    check_found(s, 2);
    CHECK(cl_core_counters(s->f.core)[CL_COUNT_LIMIT_CHANGES] > 10);
    fake_end(&s->f);
}

/* All requests take three times as long, which looks at first as if too many ran; and again as long as before. */
static void it_follows_what_a_request_takes(void)
{
    service *s = start(50, 40);
    run(s, 3, 10 * SECOND);
    check_found(s, 2);
    s->cost = 120;
    forget(s);
    run(s, 3, 20 * SECOND);
    CHECK(goodput(s, 20 * SECOND) >= 0.85);
    check_found(s, 2);
    s->cost = 40;
    run(s, 3, 60 * SECOND);
    check_found(s, 2);
    fake_end(&s->f);
}

/* Where no request waits for another, nothing is known of the limit. */
static void it_stays_where_it_is_not_reached(void)
{
    service *s = start(20, 40);
    run(s, 3, 20 * SECOND);
    run(s, 0, 2 * SECOND);
    int found = limit(&s->f);
    uint64_t changes = cl_core_counters(s->f.core)[CL_COUNT_LIMIT_CHANGES];
    fake_advance(&s->f, 3600 * SECOND);
    CHECK_INT(limit(&s->f), found);
    run(s, 0.5, 120 * SECOND);
    CHECK_INT(limit(&s->f), found);
    s->cost = 60; /* that it takes longer now is not for the others that run */
    run(s, 0.5, 120 * SECOND);
    CHECK_INT(limit(&s->f), found);
    CHECK_INT(cl_core_counters(s->f.core)[CL_COUNT_LIMIT_CHANGES], changes);
    s->cost = 40;
    run(s, 3, 5 * SECOND);
    check_found(s, 2);
    fake_end(&s->f);
}

/* Few at a time are enough for a hundred short ones that come together. */
static void a_burst_finds_room(void)
{
    service *s = start(100, 10);
    for (int i = 0; i < 100; i++) {
        for (int k = 0; k < 100; k++) fake_inbound(&s->f, s->f.node, "c.9", "abc", "up", CL_NATIVE, 0);
        forget(s);
        run(s, 0, 200);
    }
    CHECK(s->most >= 50);
    CHECK_INT(s->done, 100);
    fake_end(&s->f);
}

static void it_is_told(void)
{
    service *s = start(8, 40);
    CHECK(strstr(own_status(&s->f), "\"running\":0,\"waiting\":0,\"concurrency\":4,\"queue\":1000,\"adaptive\":true}") != NULL);
    run(s, 3, 20 * SECOND);
    const char *status = own_status(&s->f), *latency = strstr(status, ",\"latency\":0.0");
    if (!CHECK(latency && strstr(latency, ",\"unqueued\":0.0"))) printf("# %s\n", status);
    const cl_op_spec spec = {.id = ++s->f.ids};
    CHECK_INT(cl_node_explain(s->f.node, CL_STR("up"), &spec), 0);
    const cl_server itself = {.id = cl_node_id(s->f.node), .native = CL_NATIVE_OURS};
    cl_core_servers(s->f.core, CL_STR("up"), &itself, 1, 0);
    const char *explained = fake_last_event(&s->f)->data;
    if (!CHECK(strstr(explained, ",\"near\":false,\"limits\":{\"running\":"))) printf("# %s\n", explained);
    CHECK(strstr(explained, "\"adaptive\":true,\"latency\":0.0") != NULL);
    fake_end(&s->f);
}

/* Offered again it goes on as it is; with a number it has that. */
static void it_may_be_changed(void)
{
    service *s = start(20, 40);
    run(s, 3, 10 * SECOND);
    int found = limit(&s->f);
    CHECK(found >= 20);
    offer(&s->f, adaptive);
    CHECK_INT(limit(&s->f), found);
    offer(&s->f, (cl_offer_spec){.concurrency = 7, .queue = 10});
    CHECK_INT(limit(&s->f), 7);
    CHECK(strstr(own_status(&s->f), "adaptive") == NULL);
    offer(&s->f, adaptive);
    CHECK_INT(limit(&s->f), LEAST);
    fake_end(&s->f);
}

int main(void)
{
    RUN(it_is_found);
    RUN(it_has_a_least);
    RUN(it_has_a_most);
    RUN(it_follows_what_can_be_done);
    RUN(it_follows_what_a_request_takes);
    RUN(it_stays_where_it_is_not_reached);
    RUN(a_burst_finds_room);
    RUN(it_is_told);
    RUN(it_may_be_changed);
    return tap_end();
}
