#include "fake.h"

/* The limits of a method that is offered: P1, P2 and P7 of the acceptance tests, over a clock that stands still. */

static void start_server(fake *f, cl_offer_spec limits)
{
    f->config = fake_node_config("server");
    fake_start(f);
    CHECK_INT(cl_node_offer(f->node, CL_STR("up"), &limits, &(cl_op_spec){.id = 7}), 0);
    cl_core_registered(f->core, 7, 0, NULL);
    f->n_events = 0;
}

static uint64_t counter(const fake *f, enum cl_counter which)
{
    return cl_core_counters(f->core)[which];
}

/* A call with the number `i` as its last argument. */
static uint64_t come(fake *f, const char *from, const char *args, int64_t deadline)
{
    return fake_inbound_args(f, f->node, from, "abc", "up", args, CL_NATIVE, deadline);
}

static void answer(fake *f, uint64_t id)
{
    CHECK_INT(cl_core_answer(f->core, id, CL_STR_NONE, CL_STR("[]")), 0);
}

static int begun(const fake *f)
{
    return fake_count(f, CLOUDS_EVENT_REQUEST);
}

static void check_busy(fake *f, unsigned flags, const char *reason, const char *retry_after)
{
    fake_sent *s = fake_last_sent(f);
    char want[64];
    CHECK_INT(s->type, CL_RESULT);
    CHECK_INT(s->flags, flags);
    CHECK(strstr(s->error, "\"code\":\"CLOUDS_OVERLOADED\"") != NULL);
    snprintf(want, sizeof want, "\"reason\":\"%s\",\"retry_after\":%s}", reason, retry_after);
    if (!CHECK(strstr(s->error, want) != NULL)) printf("# %s lacks %s\n", s->error, want);
}

/* ---- P1 */

enum { SERVICE_MS = 40, SLOTS = 8, LOAD = 3, RUN_MS = 5000 };

typedef struct load {
    fake f;
    int seen; /* events that were looked at */
    int64_t came[4000];
    uint64_t running[64];
    int64_t until[64];
    int n_running, most, calls, good;
    int64_t longest; /* from coming to the answer */
} load;

static void begin_new(load *l)
{
    for (; l->seen < l->f.n_events; l->seen++) {
        const fake_event *e = &l->f.events[l->seen];
        if (e->e.type != CLOUDS_EVENT_REQUEST) continue;
        int64_t length = l->f.now + SERVICE_MS - l->came[atoi(e->data + 1)];
        if (length > l->longest) l->longest = length;
        l->until[l->n_running] = l->f.now + SERVICE_MS;
        l->running[l->n_running++] = e->e.id;
        if (l->n_running > l->most) l->most = l->n_running;
    }
    if (l->f.n_events > 2000) l->f.n_events = l->seen = 0;
    if (l->f.n_sent > 2000) l->f.n_sent = 0;
}

static void end_due(load *l)
{
    for (int i = 0; i < l->n_running;) {
        if (l->until[i] > l->f.now) {
            i++;
            continue;
        }
        uint64_t id = l->running[i];
        l->running[i] = l->running[--l->n_running];
        l->until[i] = l->until[l->n_running];
        answer(&l->f, id);
        l->good++;
        begin_new(l);
    }
}

static void step(load *l, double *debt, double a_ms)
{
    fake_advance(&l->f, 1);
    begin_new(l);
    end_due(l);
    for (*debt += a_ms; *debt >= 1; *debt -= 1) {
        char args[16];
        l->came[l->calls] = l->f.now;
        snprintf(args, sizeof args, "[%d]", l->calls++);
        come(&l->f, "c.9", args, 0);
        begin_new(l);
    }
}

static void three_times_the_load_keeps_the_goodput(void)
{
    static load l;
    double debt = 0, capacity = (double)SLOTS / SERVICE_MS;
    start_server(&l.f, (cl_offer_spec){.concurrency = SLOTS, .queue = 1000, .age = 100, .target = 5});
    for (int ms = 0; ms < RUN_MS; ms++) step(&l, &debt, capacity * LOAD);
    CHECK_INT(l.most, SLOTS);
    CHECK(l.good >= 0.9 * capacity * RUN_MS);
    CHECK(l.longest <= 100 + 2 * SERVICE_MS);
    CHECK(counter(&l.f, CL_COUNT_SHED_REQUESTS) > 0);
    check_busy(&l.f, CL_NATIVE | CL_REFUSED, "age", "0.100");
    /* Less than it can do: nothing waits for long any more, and nothing is refused. */
    for (int ms = 0; ms < 200; ms++) step(&l, &debt, capacity / 2);
    uint64_t shed = counter(&l.f, CL_COUNT_SHED_REQUESTS);
    for (int ms = 0; ms < 1000; ms++) step(&l, &debt, capacity / 2);
    CHECK_INT(counter(&l.f, CL_COUNT_SHED_REQUESTS), shed);
    fake_end(&l.f);
}

/* ---- P2 */

static int done_at(fake *f, const char *from, int ms)
{
    int done = 0;
    for (int i = 0; i < ms; i++) {
        uint64_t id = come(f, from, "[7]", 0);
        if (id) answer(f, id), done++;
        fake_advance(f, 1);
        f->n_events = f->n_sent = 0;
    }
    return done;
}

static void a_rate_and_its_burst(void)
{
    fake f = {0};
    start_server(&f, (cl_offer_spec){.rate = 100, .burst = 10});
    int done = done_at(&f, "c.9", 5000);
    CHECK(done >= 507 && done <= 513);
    CHECK_INT(counter(&f, CL_COUNT_RATE_REFUSALS), 5000 - done);
    for (int i = 0; i < 20; i++) come(&f, "c.9", "[7]", 0);
    check_busy(&f, CL_NATIVE | CL_REFUSED, "rate", "0.010");
    fake_end(&f);
}

static void a_rate_for_each_caller(void)
{
    fake f = {0};
    start_server(&f, (cl_offer_spec){.caller_rate = 100, .caller_burst = 10});
    int one = done_at(&f, "c.1", 2000), other = done_at(&f, "c.2", 2000);
    CHECK(one >= 207 && one <= 213);
    CHECK_INT(other, one);
    /* Of more callers than are remembered the one that was quiet for longest is forgotten. */
    for (int i = 0; i < 20; i++) come(&f, "c.2", "[7]", 0);
    check_busy(&f, CL_NATIVE | CL_REFUSED, "rate", "0.010");
    for (int i = 0; i < 10000; i++) {
        char id[16];
        snprintf(id, sizeof id, "d.%d", i);
        uint64_t request = come(&f, id, "[7]", 0);
        if (request) answer(&f, request);
        f.n_events = f.n_sent = 0;
    }
    CHECK(come(&f, "c.2", "[7]", 0) != 0);
    fake_end(&f);
}

/* ---- P7 */

static void serial_runs_one_at_a_time_in_order(void)
{
    fake f = {0};
    start_server(&f, (cl_offer_spec){.concurrency = 1, .queue = 1000});
    for (int i = 0; i < 1000; i++) {
        char args[16];
        snprintf(args, sizeof args, "[%d]", i);
        come(&f, "c.9", args, 0);
    }
    for (int i = 0; i < 1000; i++) {
        REQUIRE(begun(&f) == i + 1);
        const fake_event *e = fake_last_event(&f);
        CHECK_INT(atoi(e->data + 1), i);
        fake_advance(&f, 3);
        answer(&f, e->e.id);
    }
    CHECK_INT(counter(&f, CL_COUNT_QUEUED_REQUESTS), 999);
    CHECK_INT(counter(&f, CL_COUNT_SHED_REQUESTS), 0);
    fake_end(&f);
}

static void keys_are_in_order_and_beside_each_other(void)
{
    enum { KEYS = 10, REQUESTS = 1000 };
    fake f = {0};
    int next[KEYS] = {0}, running[KEYS] = {0}, most = 0, now = 0;
    uint64_t random = 1;
    start_server(&f, (cl_offer_spec){.key_arg = 1, .queue = 1000});
    for (int i = 0; i < REQUESTS; i++) {
        char args[32];
        snprintf(args, sizeof args, "[ \"k%d\" ,%d]", i % KEYS, i / KEYS);
        come(&f, "c.9", args, 0);
    }
    uint64_t open[KEYS];
    for (int seen = 0; seen < REQUESTS;) {
        for (; seen < f.n_events; seen++) {
            int key, number;
            REQUIRE(sscanf(f.events[seen].data, "[ \"k%d\" ,%d]", &key, &number) == 2);
            CHECK_INT(running[key]++, 0);
            CHECK_INT(number, next[key]++);
            open[key] = f.events[seen].e.id;
            if (++now > most) most = now;
        }
        random = random * 6364136223846793005u + 1442695040888963407u;
        int key = (int)((random >> 33) % KEYS);
        if (!running[key]) continue;
        running[key] = 0, now--;
        answer(&f, open[key]);
    }
    CHECK_INT(most, KEYS);
    fake_end(&f);
}

static void a_key_is_what_a_text_says_however_it_is_written(void)
{
    fake f = {0};
    start_server(&f, (cl_offer_spec){.key_arg = 1, .queue = 10});
    uint64_t first = come(&f, "c.9", "[\"\u00e9A\"]", 0);
    CHECK(first != 0);
    CHECK_INT(come(&f, "c.9", "[\"\\u00e9\\u0041\"]", 0), 0); /* behind the first */
    CHECK(come(&f, "c.9", "[\"\\\\u00e9A\"]", 0) != 0);
    CHECK(come(&f, "c.9", "[\"\\\"\"]", 0) != 0);
    answer(&f, first);
    CHECK_INT(begun(&f), 4);
    fake_end(&f);
}

/* Each list is one key, each text of which is behind the first. */
static void a_key_is_a_value_however_it_is_written(void)
{
    static const char *const same[][6] = {
        {"[7]", "[7.0]", "[70e-1]", "[0.7E+1]", "[ 7 ]", NULL},
        {"[0]", "[-0]", "[0.00]", "[0e5]", NULL},
        {"[-1.5]", "[-15e-1]", "[-1.50]", NULL},
        {"[9007199254740993]", "[9007199254740993.0]", NULL},
        {"[9007199254740992]", NULL},
        {"[1e300]", "[10e299]", NULL},
        {"[100]", "[1e2]", NULL},
        {"[{\"id\":7,\"b\":[ ]}]", "[{ \"id\" : 7.0, \"b\":[]}]", "[{\"\\u0069d\":7,\"b\":[]}]", NULL},
        {"[\"7\"]", NULL},
        {"[\" 7.0 \"]", NULL},
        {"[true]", NULL},
        {"[null]", "[]", NULL},
    };
    fake f = {0};
    start_server(&f, (cl_offer_spec){.key_arg = 1, .queue = 100});
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        for (size_t k = 0; same[i][k]; k++)
            if (!CHECK((come(&f, "c.9", same[i][k], 0) != 0) == (k == 0))) printf("# %s\n", same[i][k]);
    fake_end(&f);
}

static void a_key_with_a_concurrency(void)
{
    fake f = {0};
    start_server(&f, (cl_offer_spec){.key_arg = 2, .concurrency = 2, .queue = 10});
    uint64_t a = come(&f, "c.9", "[1,\"a\"]", 0);
    CHECK_INT(come(&f, "c.9", "[2,\"a\"]", 0), 0); /* behind the first */
    uint64_t b = come(&f, "c.9", "[3,\"b\"]", 0);
    CHECK(a && b);
    CHECK_INT(come(&f, "c.9", "[4]", 0), 0); /* no slot; left out is null */
    CHECK_INT(come(&f, "c.9", "[5,null]", 0), 0);
    answer(&f, b);
    CHECK_STR(fake_last_event(&f)->data, 3, "[4]");
    uint64_t c = fake_last_event(&f)->e.id;
    answer(&f, a);
    CHECK_STR(fake_last_event(&f)->data, 7, "[2,\"a\"]");
    answer(&f, c);
    CHECK_STR(fake_last_event(&f)->data, 8, "[5,null]");
    CHECK_INT(begun(&f), 5);
    fake_end(&f);
}

/* ---- what waits */

static void the_queue_has_an_end(void)
{
    fake f = {0};
    start_server(&f, (cl_offer_spec){.concurrency = 1, .queue = 2, .age = 100, .target = 5});
    uint64_t id = come(&f, "c.9", "[0]", 0);
    come(&f, "c.9", "[1]", 0), come(&f, "c.9", "[2]", 0);
    CHECK_INT(f.n_sent, 0);
    CHECK_INT(come(&f, "c.9", "[3]", 0), 0);
    check_busy(&f, CL_NATIVE | CL_REFUSED, "queue", "0.100");
    CHECK_INT(fake_inbound(&f, f.node, "n.9", "abc", "up", 0, 0), 0); /* towards npm it is an error like others */
    check_busy(&f, 0, "queue", "0.100");
    fake_advance(&f, 99);
    CHECK_INT(f.n_sent, 2);
    fake_advance(&f, 2); /* a handler that never ends keeps nobody waiting for ever */
    CHECK_INT(f.n_sent, 4);
    answer(&f, id);
    CHECK_INT(begun(&f), 1);
    fake_end(&f);
}

static void without_a_queue(void)
{
    fake f = {0};
    start_server(&f, (cl_offer_spec){.concurrency = 1});
    uint64_t id = come(&f, "c.9", "[0]", 0);
    CHECK_INT(come(&f, "c.9", "[1]", 0), 0);
    check_busy(&f, CL_NATIVE | CL_REFUSED, "concurrency", "0.100");
    answer(&f, id);
    CHECK(come(&f, "c.9", "[2]", 0) != 0);
    fake_end(&f);
}

static void who_waits_has_a_deadline(void)
{
    fake f = {0};
    start_server(&f, (cl_offer_spec){.concurrency = 1, .queue = 10});
    uint64_t id = come(&f, "c.9", "[0]", 0);
    come(&f, "c.9", "[1]", f.now + 50);
    come(&f, "c.9", "[2]", f.now + 500);
    fake_advance(&f, 50);
    CHECK_INT(f.n_sent, 1);
    CHECK(strstr(fake_last_sent(&f)->error, "CLOUDS_EXPIRED") != NULL);
    f.now += 450; /* its timer is late */
    answer(&f, id);
    CHECK_INT(begun(&f), 1);
    CHECK(strstr(fake_last_sent(&f)->error, "CLOUDS_EXPIRED") != NULL);
    CHECK_INT(counter(&f, CL_COUNT_EXPIRED_REQUESTS), 2);
    CHECK(come(&f, "c.9", "[3]", 0) != 0);
    fake_end(&f);
}

static void a_handler_that_is_overdue_gives_its_place_up(void)
{
    fake f = {0};
    start_server(&f, (cl_offer_spec){.concurrency = 1, .queue = 10});
    CHECK(come(&f, "c.9", "[0]", f.now + 50) != 0);
    come(&f, "c.9", "[1]", 0);
    fake_advance(&f, 50);
    CHECK_INT(begun(&f), 2);
    fake_end(&f);
}

static void what_waits_counts_as_accepted(void)
{
    fake f = {0};
    start_server(&f, (cl_offer_spec){.concurrency = 1, .queue = 5000});
    for (int i = 0; i < 1000; i++) come(&f, "c.9", "[0]", 0);
    CHECK_INT(f.n_sent, 0);
    come(&f, "c.9", "[0]", 0);
    CHECK_INT(f.n_sent, 1);
    CHECK(strstr(fake_last_sent(&f)->error, "CLOUDS_OVERLOADED") != NULL);
    CHECK_INT(counter(&f, CL_COUNT_LIMIT_HITS), 1);
    fake_end(&f);
}

static void no_room_for_the_event(void)
{
    fake f = {0};
    start_server(&f, (cl_offer_spec){.concurrency = 1, .key_arg = 1, .queue = 10});
    uint64_t id = come(&f, "c.9", "[0]", 0);
    for (int i = 0; i < 3; i++) come(&f, "c.9", "[0]", 0);
    f.reserve_code = CLOUDS_ELIMIT;
    answer(&f, id);
    CHECK_INT(f.n_sent, 4); /* the answer, and three that are busy */
    f.reserve_code = 0;
    CHECK(come(&f, "c.9", "[0]", 0) != 0);
    fake_end(&f);
}

/* ---- the life of the limits */

static void limits_can_change(void)
{
    fake f = {0};
    start_server(&f, (cl_offer_spec){.concurrency = 1, .queue = 10});
    uint64_t id = come(&f, "c.9", "[0]", 0);
    for (int i = 1; i < 6; i++) come(&f, "c.9", "[1]", 0);
    const cl_offer_spec wider = {.concurrency = 3, .queue = 10};
    CHECK_INT(cl_node_offer(f.node, CL_STR("up"), &wider, &(cl_op_spec){.id = 8}), 0);
    CHECK_INT(begun(&f), 3);
    CHECK_INT(f.n_registers, 2);
    CHECK_INT(cl_node_register(f.node, CL_STR("up"), &(cl_op_spec){.id = 9}), 0);
    CHECK(come(&f, "c.9", "[2]", 0) != 0); /* no limits any more; what waits keeps them */
    CHECK_INT(begun(&f), 4);
    answer(&f, id);
    CHECK_INT(begun(&f), 5);
    fake_end(&f);
}

static void what_waits_is_served_after_the_end_of_the_offer(void)
{
    fake f = {0};
    start_server(&f, (cl_offer_spec){.concurrency = 1, .queue = 10});
    uint64_t id = come(&f, "c.9", "[0]", 0);
    come(&f, "c.9", "[1]", 0);
    CHECK_INT(cl_node_unregister(f.node, CL_STR("up"), &(cl_op_spec){.id = 8}), 0);
    cl_core_registered(f.core, 8, 0, NULL);
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_UNREGISTERED), 0);
    answer(&f, id);
    CHECK_INT(begun(&f), 2);
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_UNREGISTERED), 1); /* behind what waited */
    CHECK_INT(fake_last_event(&f)->e.type, CLOUDS_EVENT_UNREGISTERED);
    const cl_offer_spec again = {.concurrency = 1, .queue = 10};
    CHECK_INT(cl_node_offer(f.node, CL_STR("up"), &again, &(cl_op_spec){.id = 9}), 0);
    CHECK_INT(come(&f, "c.9", "[2]", 0), 0); /* the one before still runs */
    answer(&f, fake_find(&f, CLOUDS_EVENT_REQUEST)->e.id);
    CHECK_INT(begun(&f), 3);
    fake_end(&f);
}

/* However what waits ends: canceled, too old, or served by the method that is there again. */
static void who_unregisters_hears_when_nothing_waits(void)
{
    for (int way = 0; way < 3; way++) {
        fake f = {0};
        start_server(&f, (cl_offer_spec){.concurrency = 1, .queue = 10, .age = 100, .target = 100});
        come(&f, "c.9", "[0]", 0);
        fake_inbound_args(&f, f.node, "c.9", "waits", "up", "[1]", CL_NATIVE, 0);
        CHECK_INT(cl_node_unregister(f.node, CL_STR("up"), &(cl_op_spec){.id = 8}), 0);
        cl_core_registered(f.core, 8, 0, NULL);
        CHECK_INT(fake_count(&f, CLOUDS_EVENT_UNREGISTERED), 0);
        if (way == 0) fake_cancel(&f, f.node, "c.9", "waits");
        if (way == 1) fake_advance(&f, 200);
        if (way == 2)
            CHECK_INT(cl_node_offer(f.node, CL_STR("up"), &(cl_offer_spec){.concurrency = 1, .queue = 1},
                                    &(cl_op_spec){.id = 9}),
                      0);
        CHECK_INT(fake_count(&f, CLOUDS_EVENT_UNREGISTERED), 1);
        CHECK_INT(fake_find(&f, CLOUDS_EVENT_UNREGISTERED)->e.code, 0);
        fake_end(&f);
    }
}

static void the_drain_serves_what_waits(void)
{
    fake f = {0};
    start_server(&f, (cl_offer_spec){.concurrency = 1, .queue = 10});
    uint64_t id = come(&f, "c.9", "[0]", 0);
    come(&f, "c.9", "[1]", 0);
    CHECK_INT(cl_node_close(f.node, 5), 0);
    answer(&f, id);
    CHECK_INT(begun(&f), 2);
    CHECK_INT(f.n_closes, 0);
    answer(&f, fake_last_event(&f)->e.id);
    CHECK_INT(f.n_closes, 1);
    fake_end(&f);
}

static void the_end_of_the_drain_refuses_what_waits(void)
{
    fake f = {0};
    start_server(&f, (cl_offer_spec){.concurrency = 1, .key_arg = 1, .queue = 10});
    come(&f, "c.9", "[0]", 0);
    come(&f, "c.9", "[0]", 0), come(&f, "c.9", "[1]", 0);
    CHECK_INT(cl_node_close(f.node, 0.1), 0);
    fake_advance(&f, 100);
    CHECK_INT(f.n_sent, 2);
    CHECK(strstr(fake_last_sent(&f)->error, "CLOUDS_DRAINING") != NULL);
    CHECK_INT(begun(&f), 1);
    cl_core_node_closed(f.core, f.node);
    CHECK_INT(fake_find(&f, CLOUDS_EVENT_NODE_CLOSED)->e.number, 3);
    fake_end(&f);
}

int main(void)
{
    RUN(three_times_the_load_keeps_the_goodput);
    RUN(a_rate_and_its_burst);
    RUN(a_rate_for_each_caller);
    RUN(serial_runs_one_at_a_time_in_order);
    RUN(keys_are_in_order_and_beside_each_other);
    RUN(a_key_is_what_a_text_says_however_it_is_written);
    RUN(a_key_is_a_value_however_it_is_written);
    RUN(a_key_with_a_concurrency);
    RUN(the_queue_has_an_end);
    RUN(without_a_queue);
    RUN(who_waits_has_a_deadline);
    RUN(a_handler_that_is_overdue_gives_its_place_up);
    RUN(what_waits_counts_as_accepted);
    RUN(no_room_for_the_event);
    RUN(limits_can_change);
    RUN(what_waits_is_served_after_the_end_of_the_offer);
    RUN(who_unregisters_hears_when_nothing_waits);
    RUN(the_drain_serves_what_waits);
    RUN(the_end_of_the_drain_refuses_what_waits);
    return tap_end();
}
