#include "fake.h"

/* A second server for calls that take long. */

enum { SERVERS = 40, SLOW = 100, QUICK = 5 };

static int count(fake *f, enum cl_counter which)
{
    return (int)cl_core_counters(f->core)[which];
}

static uint64_t call_hedged(fake *f, double hedge, int retries)
{
    return fake_call_spec(f, (cl_call_spec){.method = CL_STR("m"),
                                            .args = CL_STR("[1]"),
                                            .once = CL_STR("k"),
                                            .hedge = hedge,
                                            .retries = retries});
}

static uint64_t start(fake *f, const char *servers, int retries)
{
    fake_start(f);
    uint64_t id = call_hedged(f, 0.05, retries);
    fake_servers(f, "m", servers);
    CHECK_INT(f->n_sent, 1);
    return id;
}

static void the_second_server_wins(void)
{
    fake f = {0};
    uint64_t id = start(&f, "f.1,f.2", 0);
    fake_advance(&f, 49);
    CHECK_INT(f.n_sent, 1);
    fake_advance(&f, 1);
    CHECK_INT(f.n_sent, 2);
    CHECK(strcmp(f.sent[0].to, f.sent[1].to) != 0);
    CHECK_STR(f.sent[1].args, 3, "[1]");
    CHECK_STR(f.sent[1].once, 1, "k");
    CHECK_INT(f.sent[1].deadline, f.sent[0].deadline);
    fake_answer(&f, 1, "null", "[2]");
    fake_event *e = fake_result(&f, id);
    CHECK_INT(e->e.code, 0);
    CHECK_STR(e->data, 3, "[2]");
    CHECK_STR(e->peer, strlen(e->peer), f.sent[1].to);
    CHECK_INT(f.n_canceled, 1);
    CHECK_STR(f.canceled.to, strlen(f.canceled.to), f.sent[0].to);
    fake_answer(&f, 0, "null", "[3]");
    CHECK_INT(fake_results(&f, id), 1);
    CHECK_INT(count(&f, CL_COUNT_LATE_ANSWERS), 1);
    CHECK_INT(count(&f, CL_COUNT_HEDGES), 1);
    CHECK_INT(count(&f, CL_COUNT_HEDGE_WINS), 1);
    CHECK_INT(count(&f, CL_COUNT_CALLS), 1);
    CHECK_INT(count(&f, CL_COUNT_RESULTS), 1);
    fake_end(&f);
}

static void the_first_server_wins(void)
{
    fake f = {0};
    uint64_t id = start(&f, "f.1,f.2,f.3", 0);
    fake_advance(&f, 60);
    CHECK_INT(f.n_sent, 2);
    fake_advance(&f, 60); /* there is one second server */
    CHECK_INT(f.n_sent, 2);
    fake_answer(&f, 0, "{\"message\":\"no\"}", "[2]");
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_EAPP);
    CHECK_INT(f.n_canceled, 1);
    CHECK_STR(f.canceled.to, strlen(f.canceled.to), f.sent[1].to);
    CHECK_INT(count(&f, CL_COUNT_HEDGE_WINS), 0);
    fake_end(&f);
}

static void who_answers_in_time_is_not_hedged(void)
{
    fake f = {0};
    uint64_t id = start(&f, "f.1,f.2", 0);
    fake_advance(&f, 40);
    fake_answer(&f, 0, "null", "[2]");
    fake_advance(&f, 5000);
    CHECK_INT(f.n_sent, 1);
    CHECK_INT(fake_result(&f, id)->e.code, 0);
    fake_end(&f);
}

static void without_a_second_server_there_is_none(void)
{
    fake f = {0};
    uint64_t id = start(&f, "f.1", 0);
    fake_advance(&f, 1999);
    CHECK_INT(f.n_sent, 1);
    CHECK_INT(count(&f, CL_COUNT_HEDGES), 0);
    fake_advance(&f, 1);
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_ETIMEOUT);
    fake_end(&f);
}

static void a_second_server_that_fails_is_not_noticed(void)
{
    static const int refusals[] = {CLOUDS_EOVERLOAD, CLOUDS_EDRAINING, CLOUDS_ENOMETHOD, CLOUDS_EKEY};
    for (int i = 0; i < 5; i++) {
        fake f = {0};
        uint64_t id = start(&f, "f.1,f.2", 0);
        fake_advance(&f, 60);
        if (i < 4) fake_refuse(&f, 1, refusals[i]);
        else cl_core_peer_down(f.core, cl_str_z(f.sent[1].to));
        CHECK_INT(fake_results(&f, id), 0);
        CHECK_INT(f.n_sent, 2);
        fake_answer(&f, 0, "null", "[2]");
        CHECK_INT(fake_result(&f, id)->e.code, 0);
        CHECK_INT(f.n_canceled, 0);
        fake_end(&f);
    }
}

static void the_second_server_is_waited_for(void)
{
    for (int answered = 0; answered < 2; answered++) {
        fake f = {0};
        uint64_t id = start(&f, "f.1,f.2", 0);
        fake_advance(&f, 60);
        cl_core_peer_down(f.core, cl_str_z(f.sent[0].to));
        CHECK_INT(fake_results(&f, id), 0);
        if (answered) fake_answer(&f, 1, "null", "[2]");
        else fake_refuse(&f, 1, CLOUDS_EOVERLOAD);
        CHECK_INT(fake_result(&f, id)->e.code, answered ? 0 : CLOUDS_ELOST);
        CHECK_INT(fake_result(&f, id)->e.outcome, answered ? CLOUDS_OUTCOME_OK : CLOUDS_OUTCOME_UNKNOWN);
        fake_end(&f);
    }
}

/* What was refused by one may have been executed by the other. */
static void what_is_not_known_stays_unknown(void)
{
    fake f = {0};
    uint64_t id = start(&f, "f.1,f.2", 0);
    fake_advance(&f, 60);
    fake_delivery(&f, 1, CL_DELIVERY_LOST);
    fake_refuse(&f, 0, CLOUDS_EKEY);
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_EKEY);
    CHECK_INT(fake_result(&f, id)->e.outcome, CLOUDS_OUTCOME_UNKNOWN);
    fake_end(&f);
}

static void both_time_out(void)
{
    fake f = {0};
    uint64_t id = start(&f, "f.1,f.2", 0);
    fake_advance(&f, 2000);
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_ETIMEOUT);
    CHECK_INT(f.n_sent, 2);
    CHECK_INT(count(&f, CL_COUNT_RESULTS), 1);
    fake_end(&f);
}

static void who_gives_up_gives_up_both(void)
{
    fake f = {0};
    uint64_t id = start(&f, "f.1,f.2", 0);
    fake_advance(&f, 60);
    CHECK_INT(cl_core_cancel(f.core, id), 0);
    CHECK_INT(f.n_canceled, 2);
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_ECANCELED);
    id = call_hedged(&f, 0.05, 0);
    fake_advance(&f, 60);
    CHECK_INT(f.n_sent, 4);
    cl_node_close(f.node, 0);
    CHECK_INT(fake_result(&f, id)->e.outcome, CLOUDS_OUTCOME_UNKNOWN);
    fake_end(&f);
}

static void hedges_are_paid_from_the_budget(void)
{
    fake f = {0};
    fake_start(&f);
    for (int i = 0; i < 200; i++) {
        call_hedged(&f, 0.05, 0);
        if (i == 0) fake_servers(&f, "m", "f.1,f.2");
    }
    CHECK_INT(f.n_sent, 200);
    fake_advance(&f, 60);
    CHECK_INT(count(&f, CL_COUNT_HEDGES), 100);
    CHECK_INT(f.n_sent, 300);
    fake_end(&f);
}

/* ---- by what the method takes: P10 */

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* One of many servers is slow. The time that 99 of 100 calls take, and how many were sent. */
static int p99_of(double hedge, int *sent)
{
    enum { CALLS = 2000 };
    static int took[CALLS];
    fake f = {0};
    char servers[SERVERS * 6 + 1] = "";
    for (int i = 0; i < SERVERS; i++) sprintf(servers + strlen(servers), "%sf.%d", i ? "," : "", i);
    fake_start(&f);
    *sent = 0;
    for (int i = 0; i < CALLS; i++) {
        int64_t begun = f.now;
        f.n_sent = f.n_events = 0;
        uint64_t id = call_hedged(&f, hedge, 0);
        if (i == 0) fake_servers(&f, "m", servers);
        for (int ms = 0; ms < 1000 && fake_results(&f, id) == 0; ms++) {
            for (int k = 0; k < f.n_sent; k++)
                if (f.now >= f.sent[k].at + (strcmp(f.sent[k].to, "f.7") == 0 ? SLOW : QUICK))
                    fake_answer(&f, k, "null", "[]"), f.sent[k].at += 1000000;
            if (fake_results(&f, id) == 0) fake_advance(&f, 1);
        }
        took[i] = (int)(f.now - begun);
        *sent += f.n_sent;
    }
    fake_end(&f);
    qsort(took, CALLS, sizeof *took, compare);
    return took[CALLS - 1 - CALLS / 100];
}

static void one_slow_server_is_not_noticed(void)
{
    int plain_sent, sent, plain = p99_of(0, &plain_sent), hedged = p99_of(-1, &sent);
    CHECK_INT(plain, SLOW);
    CHECK_INT(plain_sent, 2000);
    if (!CHECK(hedged * 2 <= plain)) printf("# %d ms, not %d\n", hedged, plain);
    if (!CHECK(sent <= 2100)) printf("# %d calls\n", sent);
}

int main(void)
{
    RUN(the_second_server_wins);
    RUN(the_first_server_wins);
    RUN(who_answers_in_time_is_not_hedged);
    RUN(without_a_second_server_there_is_none);
    RUN(a_second_server_that_fails_is_not_noticed);
    RUN(the_second_server_is_waited_for);
    RUN(what_is_not_known_stays_unknown);
    RUN(both_time_out);
    RUN(who_gives_up_gives_up_both);
    RUN(hedges_are_paid_from_the_budget);
    RUN(one_slow_server_is_not_noticed);
    return tap_end();
}
