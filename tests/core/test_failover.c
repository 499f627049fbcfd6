#include "core/internal.h"
#include "fake.h"

/* What happens when a server provably did not do it, and when it is lost. */

static void a_draining_server_is_left(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call(&f, "m");
    fake_servers(&f, "m", "s.1,s.2");
    fake_refuse(&f, 0, CLOUDS_EDRAINING);
    CHECK_INT(f.n_sent, 2);
    CHECK_STR(f.sent[1].to, 3, "s.2");
    CHECK_INT(cl_core_counters(f.core)[CL_COUNT_FAILOVERS], 1);
    fake_answer(&f, 1, "", "[2]");
    CHECK_INT(fake_result(&f, id)->e.code, 0);
    for (int i = 0; i < 3; i++) {
        fake_call(&f, "m");
        CHECK_STR(fake_last_sent(&f)->to, 3, "s.2");
    }
    fake_end(&f);
}

static void the_last_refusal_is_the_answer(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call(&f, "m");
    fake_servers(&f, "m", "s.1,s.2");
    fake_refuse(&f, 0, CLOUDS_EOVERLOAD);
    fake_refuse(&f, 1, CLOUDS_EOVERLOAD);
    fake_event *e = fake_result(&f, id);
    CHECK_INT(e->e.code, CLOUDS_EOVERLOAD);
    CHECK_INT(e->e.outcome, CLOUDS_OUTCOME_NOT_DONE);
    CHECK_STR(
        e->error, strlen(e->error),
        "{\"message\":\"m: from the server\",\"code\":\"CLOUDS_OVERLOADED\",\"method\":\"m\",\"server\":\"s.2\"}");
    CHECK_INT(f.n_looks, 1);
    id = fake_call(&f, "m");
    fake_refuse(&f, 2, CLOUDS_EDRAINING);
    fake_refuse(&f, 3, CLOUDS_EDRAINING);
    CHECK_INT(fake_results(&f, id), 0); /* perhaps there is a new one */
    CHECK_INT(f.n_looks, 2);
    fake_servers(&f, "m", "s.1,s.2");
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_EDRAINING);
    id = fake_call(&f, "m");
    fake_refuse(&f, 4, CLOUDS_EDRAINING);
    fake_refuse(&f, 5, CLOUDS_EDRAINING);
    fake_servers(&f, "m", "s.1,s.2,s.3");
    CHECK_INT(f.n_sent, 7);
    CHECK_STR(f.sent[6].to, 3, "s.3");
    fake_answer(&f, 6, "", "[]");
    CHECK_INT(fake_result(&f, id)->e.code, 0);
    fake_end(&f);
}

static void a_server_without_the_method_is_left(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call(&f, "m");
    fake_servers(&f, "m", "n.1,s.2");
    fake_answer(&f, 0, "{\"message\":\"service handler not found\",\"originStack\":\"x\"}", "");
    fake_refuse(&f, 1, CLOUDS_ENOMETHOD);
    fake_servers(&f, "m", "");
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_ENOMETHOD);
    CHECK_INT(fake_result(&f, id)->e.outcome, CLOUDS_OUTCOME_NOT_DONE);
    /* the same words with a code, with values, or from one of ours, are the service's own */
    id = fake_call(&f, "m");
    fake_servers(&f, "m", "n.1");
    fake_answer(&f, 2, "{\"message\":\"service handler not found\",\"code\":\"E\"}", "[]");
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_EAPP);
    id = fake_call(&f, "m");
    fake_answer(&f, 3, "{\"message\":\"service handler not found\"}", "[1]");
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_EAPP);
    fake_servers(&f, "m", "s.5");
    id = fake_call(&f, "m");
    fake_answer(&f, 4, "{\"message\":\"service handler not found\"}", "[]");
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_EAPP);
    fake_end(&f);
}

static void nobody_there_is_an_answer(void)
{
    fake f = {0};
    fake_start(&f);
    fake_call(&f, "other");
    fake_servers(&f, "other", "n.1");
    uint64_t id = fake_call(&f, "m");
    fake_servers(&f, "m", "n.1,n.2");
    fake_delivery(&f, 1, CL_DELIVERY_NOBODY);
    CHECK_STR(f.sent[2].to, 3, "n.2");
    fake_delivery(&f, 2, CL_DELIVERY_NOBODY);
    CHECK_INT(f.looks[f.n_looks - 1].known, 0);
    fake_servers(&f, "m", "n.1,n.2"); /* the keys are still there */
    fake_event *e = fake_result(&f, id);
    CHECK_INT(e->e.code, CLOUDS_ENOSERVER);
    CHECK_INT(e->e.outcome, CLOUDS_OUTCOME_NOT_DONE);
    CHECK_INT(f.n_forgets, 0);
    int looks = f.n_looks;
    fake_call(&f, "other"); /* gone from all lists */
    CHECK_INT(f.n_looks, looks + 1);
    fake_delivery(&f, 1, CL_DELIVERY_NOBODY); /* twice, and for a call that is over */
    fake_end(&f);
}

static void not_sent_is_sent_again(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call(&f, "m");
    fake_servers(&f, "m", "s.1");
    cl_core_bus(f.core, 0, CLOUDS_EUNREACHABLE, "");
    fake_delivery(&f, 0, CL_DELIVERY_NOT_SENT);
    CHECK_INT(fake_results(&f, id), 0);
    cl_core_bus(f.core, 1, 0, NULL);
    CHECK_INT(f.n_sent, 2);
    fake_delivery(&f, 1, CL_DELIVERY_NOT_SENT); /* this time the bus seems fine */
    CHECK_INT(f.n_sent, 3);
    fake_answer(&f, 2, "", "[]");
    CHECK_INT(fake_result(&f, id)->e.code, 0);
    id = fake_call(&f, "m");
    for (int i = 0; i < 10 && !fake_results(&f, id); i++) { /* not for ever */
        fake_delivery(&f, f.n_sent - 1, CL_DELIVERY_NOT_SENT);
        fake_servers(&f, "m", "s.1");
    }
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_ENOSERVER);
    fake_end(&f);
}

/* The deliveries of a broken connection come before the word that the bus is down. */
static void not_sent_says_nothing_about_the_server(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call(&f, "m");
    fake_servers(&f, "m", "s.1");
    uint64_t pinned = fake_call_spec(&f, (cl_call_spec){.server = CL_STR("s.1")});
    CHECK_INT(f.n_sent, 2);
    f.send_code = CLOUDS_EUNREACHABLE;
    fake_delivery(&f, 0, CL_DELIVERY_NOT_SENT);
    fake_delivery(&f, 1, CL_DELIVERY_NOT_SENT);
    cl_core_bus(f.core, 0, CLOUDS_EUNREACHABLE, "");
    fake_advance(&f, 500);
    CHECK_INT(fake_results(&f, id) + fake_results(&f, pinned), 0);
    f.send_code = 0;
    cl_core_bus(f.core, 1, 0, NULL);
    CHECK_INT(f.n_sent, 4);
    CHECK_STR(f.sent[2].to, 3, "s.1");
    fake_servers(&f, "m", ""); /* a Redis that lost everything: the list from before still counts */
    fake_call(&f, "m");
    CHECK_INT(f.n_sent, 5);
    for (int i = 0; i < 10 && !fake_results(&f, pinned); i++) { /* not for ever */
        for (int n = f.n_sent - 1; n >= 0; n--) fake_delivery(&f, n, CL_DELIVERY_NOT_SENT);
        fake_advance(&f, 100);
    }
    CHECK_INT(fake_result(&f, pinned)->e.code, CLOUDS_ENOSERVER);
    fake_end(&f);
}

static void lost_is_unknown(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call(&f, "m"), patient = fake_call_spec(&f, (cl_call_spec){.retries = 1});
    fake_servers(&f, "m", "s.1");
    fake_servers(&f, "m", "s.1,s.2");
    fake_delivery(&f, 0, CL_DELIVERY_LOST);
    fake_delivery(&f, 1, CL_DELIVERY_LOST);
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_ELOST);
    CHECK_INT(fake_result(&f, id)->e.outcome, CLOUDS_OUTCOME_UNKNOWN);
    CHECK_INT(f.n_sent, 3);
    CHECK_STR(f.sent[2].to, 3, "s.2");
    fake_delivery(&f, 1, CL_DELIVERY_LOST); /* of the attempt before */
    fake_delivery(&f, 2, CL_DELIVERY_WRITTEN);
    CHECK_INT(fake_results(&f, patient), 0);
    fake_answer(&f, 2, "", "[]");
    CHECK_INT(fake_result(&f, patient)->e.code, 0);
    fake_end(&f);
}

static void what_was_lost_once_stays_unknown(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call_spec(&f, (cl_call_spec){.retries = 1});
    fake_servers(&f, "m", "s.1");
    fake_delivery(&f, 0, CL_DELIVERY_LOST);
    fake_delivery(&f, 1, CL_DELIVERY_NOBODY);
    fake_servers(&f, "m", "");
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_ENOSERVER);
    CHECK_INT(fake_result(&f, id)->e.outcome, CLOUDS_OUTCOME_UNKNOWN);
    fake_end(&f);
}

static void a_peer_that_goes_takes_its_attempts(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call(&f, "m"), patient = fake_call_spec(&f, (cl_call_spec){.retries = 3});
    uint64_t pinned = fake_call_spec(&f, (cl_call_spec){.retries = 2, .server = CL_STR("s.1")});
    fake_servers(&f, "m", "s.1");
    CHECK_INT(f.n_sent, 3);
    fake_servers(&f, "m", "s.1,s.2");
    cl_core_peer_down(f.core, CL_STR("s.1"));
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_ELOST);
    CHECK_INT(f.n_sent, 5); /* the patient elsewhere, the pinned to the same */
    fake_answer(&f, f.n_sent - 1, "", "[]");
    fake_answer(&f, f.n_sent - 2, "", "[]");
    CHECK_INT(fake_result(&f, patient)->e.code, 0);
    CHECK_INT(fake_result(&f, pinned)->e.code, 0);
    fake_call(&f, "m");
    CHECK_STR(fake_last_sent(&f)->to, 3, "s.2");
    cl_core_peer_down(f.core, CL_STR("nobody"));
    fake_end(&f);
}

/* Its servers stay: they are reached another way. */
static void a_way_that_breaks_takes_its_attempts(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t lost = fake_call(&f, "m");
    fake_servers(&f, "m", "s.1");
    f.bus.way = 1;
    uint64_t kept = fake_call(&f, "m"), again = fake_call_spec(&f, (cl_call_spec){.retries = 1});
    cl_core_way_lost(f.core, CL_STR("s.1"), 0);
    CHECK_INT(fake_result(&f, lost)->e.code, CLOUDS_ELOST);
    CHECK_INT(fake_results(&f, kept), 0);
    fake_answer(&f, 1, "", "[]");
    CHECK_INT(fake_result(&f, kept)->e.code, 0);
    CHECK_INT(f.n_sent, 3);
    f.bus.way = 0;
    cl_core_way_lost(f.core, CL_STR("s.1"), 1);
    CHECK_INT(f.n_sent, 4); /* to the same, which is still listed */
    fake_answer(&f, 3, "", "[]");
    CHECK_INT(fake_result(&f, again)->e.code, 0);
    CHECK_INT(f.n_looks, 1);
    cl_core_way_lost(f.core, CL_STR("nobody"), 0);
    fake_end(&f);
}

static void pinned_calls_go_nowhere_else(void)
{
    fake f = {0};
    fake_start(&f);
    fake_call(&f, "m");
    fake_servers(&f, "m", "s.1,s.2");
    uint64_t id = fake_call_spec(&f, (cl_call_spec){.server = CL_STR("s.2")});
    CHECK_STR(fake_last_sent(&f)->to, 3, "s.2");
    CHECK_INT(fake_last_sent(&f)->flags, CL_NATIVE);
    fake_delivery(&f, 1, CL_DELIVERY_NOBODY);
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_ENOSERVER);
    CHECK_STR(fake_result(&f, id)->peer, 3, "s.2");
    CHECK_INT(f.n_sent, 2);
    id = fake_call_spec(&f, (cl_call_spec){.server = CL_STR("x.9"), .method = CL_STR("never.looked.up")});
    CHECK_INT(f.n_looks, 1);
    fake_refuse(&f, 2, CLOUDS_EDRAINING);
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_EDRAINING);
    fake_end(&f);
}

/* PROMISES 4 and 8: at most a hundred at once, but no call that a healthy server could take fails. */
static void failovers_keep_within_the_budget(void)
{
    fake f = {0};
    fake_start(&f);
    cl_core_servers(f.core, CL_STR("m"), NULL, 0, 0);
    for (int i = 0; i < 600; i++) fake_call_spec(&f, (cl_call_spec){.timeout = 60});
    fake_servers(&f, "m", "s.1,s.2");
    CHECK_INT(f.n_sent, 600);
    for (int i = 0; i < 600; i++)
        if (strcmp(f.sent[i].to, "s.1") == 0) fake_refuse(&f, i, CLOUDS_EDRAINING);
    CHECK_INT(f.n_sent, 700);
    fake_advance(&f, 9000);
    CHECK_INT(f.n_sent, 700);
    fake_advance(&f, 12000);
    CHECK_INT(f.n_sent, 900);
    for (int i = 0; i < f.n_sent; i++)
        if (strcmp(f.sent[i].to, "s.2") == 0) fake_answer(&f, i, "", "[]");
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_RESULT), 600);
    for (int i = 0; i < f.n_events; i++) CHECK(f.events[i].e.type != CLOUDS_EVENT_RESULT || f.events[i].e.code == 0);
    fake_end(&f);
}

static void the_budget_grows_with_the_calls(void)
{
    fake f = {0};
    fake_start(&f);
    fake_call(&f, "m");
    fake_servers(&f, "m", "s.1,s.2");
    for (int i = 0; i < 2000; i++) {
        fake_call(&f, "m");
        fake_answer(&f, f.n_sent - 1, "", "[]");
    }
    int from = f.n_sent;
    for (int i = 0; i < 900; i++) fake_call(&f, "m");
    for (int i = from; i < from + 900; i++)
        if (strcmp(f.sent[i].to, "s.1") == 0) fake_refuse(&f, i, CLOUDS_EDRAINING);
    CHECK_INT(f.n_sent - from - 900, 290); /* a tenth of 2901 */
    fake_end(&f);
}

static void a_busy_cluster_gets_no_more_than_the_budget(void)
{
    fake f = {0};
    fake_start(&f);
    for (int i = 0; i < 600; i++) fake_call_spec(&f, (cl_call_spec){.timeout = 60});
    fake_servers(&f, "m", "s.1,s.2");
    for (int i = 0; i < 600; i++)
        if (strcmp(f.sent[i].to, "s.1") == 0) fake_refuse(&f, i, CLOUDS_EOVERLOAD);
    CHECK_INT(f.n_sent, 700);
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_RESULT), 200);
    CHECK_INT(fake_find(&f, CLOUDS_EVENT_RESULT)->e.code, CLOUDS_EOVERLOAD);
    fake_end(&f);
}

/* What no server received costs none of them anything: it goes on at once, however many calls it is. */
static void what_nobody_received_costs_no_budget(void)
{
    fake f = {0};
    fake_start(&f);
    fake_call(&f, "m");
    fake_servers(&f, "m", "s.1,s.2");
    for (int i = 0; i < 599; i++) fake_call(&f, "m");
    CHECK_INT(f.n_sent, 600);
    for (int i = 0; i < 600; i++)
        if (strcmp(f.sent[i].to, "s.1") == 0) fake_delivery(&f, i, CL_DELIVERY_NOBODY);
    CHECK_INT(f.n_sent, 900);
    CHECK_INT((int)cl_core_counters(f.core)[CL_COUNT_FAILOVERS], 300);
    for (int i = 600; i < f.n_sent; i++) CHECK_STR(f.sent[i].to, 3, "s.2");
    fake_end(&f);
}

/* Nobody was counted, but that proves nothing: the call may have been executed, and the server is not asked again. */
static void an_unproven_loss_is_not_repeated(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call(&f, "m");
    fake_servers(&f, "m", "s.1,s.2");
    fake_delivery(&f, 0, CL_DELIVERY_UNPROVEN);
    CHECK_INT(f.n_sent, 1);
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_ELOST);
    CHECK_INT(fake_result(&f, id)->e.outcome, CLOUDS_OUTCOME_UNKNOWN);
    for (int i = 0; i < 4; i++) fake_call(&f, "m");
    for (int i = 1; i < f.n_sent; i++) CHECK_STR(f.sent[i].to, 3, "s.2");
    fake_end(&f);
}

/* Where nobody is left of many, Redis is not asked for each of them by every call. */
static void a_graveyard_is_not_walked_through(void)
{
    fake f = {0};
    fake_start(&f);
    for (int i = 0; i < 200; i++) cl_budget_take(&f.core->budget, 1000000); /* spent by others */
    uint64_t id = fake_call_spec(&f, (cl_call_spec){.timeout = 5});
    fake_servers(&f, "m", "a1,a2,a3,a4,a5,a6,a7,a8,a9,b1,b2,b3,b4,b5,b6,b7,b8,b9,c1,c2");
    for (int i = 0; i < f.n_sent; i++) fake_delivery(&f, i, CL_DELIVERY_NOBODY);
    CHECK_INT(f.n_sent, 8); /* it asks who lives before it goes on */
    fake_servers(&f, "m", "b1,b2,b3,b4,b5,b6,b7,b8,b9,c1,c2");
    for (int i = 8; i < f.n_sent; i++) fake_delivery(&f, i, CL_DELIVERY_NOBODY);
    CHECK_INT(f.n_sent, 9);
    fake_advance(&f, 5000);
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_ENOSERVER);
    CHECK_INT(fake_result(&f, id)->e.outcome, CLOUDS_OUTCOME_NOT_DONE);
    fake_end(&f);
}

static void many_servers_can_be_tried(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call(&f, "m");
    fake_servers(&f, "m", "a1,a2,a3,a4,a5,a6,a7,a8,a9,b1,b2,b3,b4,b5,b6,b7,b8,b9,c1,c2");
    for (int i = 0; i < 19; i++) fake_refuse(&f, i, CLOUDS_EOVERLOAD);
    CHECK_INT(f.n_sent, 20);
    for (int i = 0; i < 20; i++)
        for (int k = 0; k < i; k++) CHECK(strcmp(f.sent[i].to, f.sent[k].to) != 0);
    fake_answer(&f, 19, "", "[]");
    CHECK_INT(fake_result(&f, id)->e.code, 0);
    fake_end(&f);
}

/* Answers are lost with the connection to the bus: the server had no fair chance to answer. */
static void a_loss_of_the_bus_is_not_the_servers_fault(void)
{
    fake f = {0};
    fake_start(&f);
    fake_call(&f, "m");
    fake_servers(&f, "m", "n.1");
    uint64_t before = fake_call(&f, "m");
    CHECK_INT(f.n_sent, 2);
    cl_core_bus(f.core, 0, CLOUDS_EUNREACHABLE, "");
    fake_advance(&f, 100);
    cl_core_bus(f.core, 1, 0, NULL);
    fake_servers(&f, "m", "n.1");
    fake_advance(&f, 100000);
    CHECK_INT(fake_result(&f, before)->e.code, CLOUDS_ETIMEOUT);
    CHECK_INT(fake_result(&f, before)->e.outcome, CLOUDS_OUTCOME_UNKNOWN);
    CHECK_INT(f.n_forgets, 0);
    uint64_t late = fake_call(&f, "m"); /* still known */
    CHECK_INT(f.n_sent, 3);
    cl_core_bus(f.core, 0, CLOUDS_EUNREACHABLE, "");
    fake_advance(&f, 100000);
    CHECK_INT(fake_result(&f, late)->e.code, CLOUDS_ETIMEOUT);
    CHECK_INT(f.n_forgets, 0);
    cl_core_bus(f.core, 1, 0, NULL);
    fake_call(&f, "m");
    CHECK_INT(f.n_sent, 4);
    fake_advance(&f, 100000); /* now it had its time */
    CHECK_INT(f.n_forgets, 1);
    fake_end(&f);
}

/* The queue of one connection is full: another server may still be reached, and nothing left this process. */
static void a_full_queue_to_one_server(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call(&f, "m");
    fake_servers(&f, "m", "s.1,s.2,s.3");
    fake_answer(&f, 0, "", "[]");
    f.full = "s.2";
    uint64_t around = fake_call(&f, "m");
    CHECK_INT(f.n_sent, 2);
    CHECK_STR(f.sent[1].to, 3, "s.3");
    CHECK_INT(cl_core_counters(f.core)[CL_COUNT_FAILOVERS], 0);
    fake_answer(&f, 1, "", "[1]");
    CHECK_INT(fake_result(&f, around)->e.code, 0);
    id = fake_call_spec(&f, (cl_call_spec){.server = CL_STR("s.2")}); /* that queue and no other */
    fake_advance(&f, 100);
    CHECK_INT(fake_results(&f, id), 0);
    f.full = NULL;
    fake_advance(&f, 10);
    CHECK_INT(f.n_sent, 3);
    CHECK_STR(f.sent[2].to, 3, "s.2");
    fake_answer(&f, 2, "", "[1]");
    CHECK_INT(fake_result(&f, id)->e.code, 0);
    fake_end(&f);
}

/* All queues are full: calls wait for room in their order, and none that is new goes ahead of them. */
static void full_queues_are_waited_for(void)
{
    fake f = {0};
    fake_start(&f);
    fake_call(&f, "m");
    fake_servers(&f, "m", "s.1");
    CHECK_INT(f.n_sent, 1);
    f.full = "s.1";
    uint64_t ids[4];
    for (int i = 0; i < 3; i++) ids[i] = fake_call(&f, "m");
    fake_advance(&f, 500);
    CHECK_INT(f.n_sent, 1);
    CHECK_INT(cl_core_counters(f.core)[CL_COUNT_LIMIT_HITS], 3);
    CHECK_INT(cl_core_check_room(f.core), 0);
    f.full = NULL;
    ids[3] = fake_call(&f, "m");
    CHECK_INT(f.n_sent, 1); /* its turn has not come */
    CHECK_INT(cl_core_check_room(f.core), 4);
    CHECK_INT(f.n_sent, 5);
    for (int i = 0; i < 4; i++) CHECK_INT(f.sent[1 + i].token & 0xffffffff, ids[i]);
    for (int i = 1; i < 5; i++) fake_answer(&f, i, "", "[]");
    for (int i = 0; i < 4; i++) CHECK_INT(fake_result(&f, ids[i])->e.code, 0);
    fake_end(&f);
}

/* What a link sends in fragments waits for room of its own: no small call waits behind it, and it keeps its order. */
static void large_calls_that_wait_hinder_no_small_one(void)
{
    enum { SIZE = 300000 };
    fake f = {0};
    fake_start(&f);
    fake_call(&f, "m");
    fake_servers(&f, "m", "s.1");
    char *large = malloc(SIZE);
    REQUIRE(large != NULL);
    memset(large, ' ', SIZE);
    large[0] = '[', large[SIZE - 1] = ']';
    f.full = "s.1", f.full_above = 1000;
    uint64_t ids[4];
    for (int i = 0; i < 2; i++) ids[i] = fake_call_spec(&f, (cl_call_spec){.args = cl_str_of(large, SIZE)});
    CHECK_INT(f.n_sent, 1);
    ids[2] = fake_call(&f, "m");
    CHECK_INT(f.n_sent, 2);
    CHECK_INT(f.sent[1].token & 0xffffffff, ids[2]);
    f.full_above = 0; /* neither finds room, and each waits among its own */
    ids[3] = fake_call(&f, "m");
    fake_advance(&f, 100);
    CHECK_INT(f.n_sent, 2);
    f.full_above = 1000;
    CHECK_INT(cl_core_check_room(f.core), 1);
    REQUIRE(f.n_sent == 3);
    CHECK_INT(f.sent[2].token & 0xffffffff, ids[3]);
    f.full = NULL;
    CHECK_INT(cl_core_check_room(f.core), 2);
    REQUIRE(f.n_sent == 5);
    for (int i = 0; i < 2; i++) CHECK_INT(f.sent[3 + i].token & 0xffffffff, ids[i]);
    for (int i = 1; i < 5; i++) fake_answer(&f, i, "", "[]");
    for (int i = 0; i < 4; i++) CHECK_INT(fake_result(&f, ids[i])->e.code, 0);
    free(large);
    fake_end(&f);
}

/* Room that does not come is an error at the end of the call's own time, and a retry begins the wait anew. */
static void a_queue_that_stays_full(void)
{
    fake f = {0};
    fake_start(&f);
    fake_call(&f, "m");
    fake_servers(&f, "m", "s.1,s.2");
    f.send_code = CLOUDS_ELIMIT;
    uint64_t once = fake_call_spec(&f, (cl_call_spec){.timeout = 1});
    uint64_t twice = fake_call_spec(&f, (cl_call_spec){.timeout = 1, .retries = 1});
    fake_advance(&f, 999);
    CHECK_INT(fake_results(&f, once), 0);
    fake_advance(&f, 2);
    CHECK_INT(fake_result(&f, once)->e.code, CLOUDS_ELIMIT);
    CHECK_INT(fake_result(&f, once)->e.outcome, CLOUDS_OUTCOME_NOT_DONE);
    CHECK_INT(fake_results(&f, twice), 0);
    f.send_code = 0;
    fake_advance(&f, 10);
    CHECK_INT(f.n_sent, 2);
    fake_answer(&f, 1, "", "[]");
    CHECK_INT(fake_result(&f, twice)->e.code, 0);
    fake_end(&f);
}

/* Who waits for room towards a server that goes away looks for another; nothing of it has left. */
static void a_crowd_disperses(void)
{
    fake f = {0};
    fake_start(&f);
    fake_call(&f, "m");
    fake_servers(&f, "m", "s.1");
    f.full = "s.1";
    uint64_t id = fake_call(&f, "m");
    cl_core_server_up(f.core, CL_STR("m"), (cl_server){.id = CL_STR("s.2"), .native = CL_NATIVE_OURS});
    cl_core_peer_down(f.core, CL_STR("s.1"));
    fake_sent *s = fake_last_sent(&f);
    CHECK_STR(s->to, strlen(s->to), "s.2");
    fake_answer(&f, f.n_sent - 1, "", "[]");
    CHECK_INT(fake_result(&f, id)->e.code, 0);
    fake_end(&f);
}

/* A way opens while the bus is down, by which calls that wait can go; and one that nobody tells of is found. */
static void a_link_that_opens_takes_what_waits(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t first = fake_call(&f, "m");
    fake_servers(&f, "m", "l.1,l.2");
    fake_answer(&f, 0, "", "[]");
    CHECK_INT(fake_result(&f, first)->e.code, 0);
    cl_core_bus(f.core, CL_BUS_DOWN, CLOUDS_EUNREACHABLE, "gone");
    uint64_t second = fake_call(&f, "m"), other = fake_call(&f, "unknown");
    cl_core_linked(f.core);
    CHECK_INT(f.n_sent, 1); /* to somebody else */
    f.linked = "l.2";
    cl_core_linked(f.core);
    CHECK_INT(f.n_sent, 2);
    CHECK_STR(f.sent[1].to, 3, "l.2");
    fake_answer(&f, 1, "", "[2]");
    CHECK_INT(fake_result(&f, second)->e.code, 0);
    f.linked = NULL;
    uint64_t third = fake_call(&f, "m");
    CHECK_INT(f.n_sent, 2);
    f.linked = "l.1";
    fake_advance(&f, 1000);
    CHECK_INT(f.n_sent, 3);
    fake_answer(&f, 2, "", "[3]");
    CHECK_INT(fake_result(&f, third)->e.code, 0);
    CHECK_INT(fake_results(&f, other), 0);
    cl_core_bus(f.core, CL_BUS_UP, 0, NULL);
    fake_servers(&f, "unknown", "s.1");
    CHECK_INT(f.n_sent, 4);
    fake_end(&f);
}

/* Beside another way by which anybody could answer: then a short id counts over a link alone, as does its cancel. */
static void over_an_open_link_ids_are_short(void)
{
    fake f = {0};
    fake_start(&f);
    f.linked = "f.1";
    uint64_t first = fake_call(&f, "m");
    fake_servers(&f, "m", "f.1");
    REQUIRE(f.n_sent == 1);
    CHECK_INT(f.sent[0].id_n, 8);
    CHECK(f.sent[0].flags & CL_BY_LINK);
    fake_answer(&f, 0, "", "[\"evil\"]"); /* the right id and name, by the other way */
    CHECK_INT(fake_results(&f, first), 0);
    f.answer_link = 7;
    fake_answer(&f, 0, "", "[1]");
    CHECK_STR(fake_result(&f, first)->data, 3, "[1]");
    uint64_t second = fake_call(&f, "m");
    CHECK_INT(cl_core_cancel(f.core, second), 0);
    CHECK_INT(f.canceled.id_n, 8);
    CHECK(f.canceled.flags & CL_BY_LINK);
    f.link_code = CLOUDS_EUNREACHABLE; /* it closed just now: the call goes the other way, where its id is a secret */
    f.answer_link = 0;
    uint64_t third = fake_call(&f, "m");
    REQUIRE(f.n_sent == 3);
    CHECK_INT(f.sent[2].id_n, 33);
    CHECK(!(f.sent[2].flags & CL_BY_LINK));
    fake_answer(&f, 2, "", "[3]");
    CHECK_STR(fake_result(&f, third)->data, 3, "[3]");
    uint64_t fourth = fake_call(&f, "m");
    CHECK_INT(cl_core_cancel(f.core, fourth), 0);
    CHECK(!(f.canceled.flags & CL_BY_LINK));
    fake_end(&f);
}

int main(void)
{
    RUN(a_draining_server_is_left);
    RUN(the_last_refusal_is_the_answer);
    RUN(a_server_without_the_method_is_left);
    RUN(nobody_there_is_an_answer);
    RUN(not_sent_is_sent_again);
    RUN(not_sent_says_nothing_about_the_server);
    RUN(lost_is_unknown);
    RUN(what_was_lost_once_stays_unknown);
    RUN(a_peer_that_goes_takes_its_attempts);
    RUN(a_way_that_breaks_takes_its_attempts);
    RUN(pinned_calls_go_nowhere_else);
    RUN(failovers_keep_within_the_budget);
    RUN(the_budget_grows_with_the_calls);
    RUN(a_busy_cluster_gets_no_more_than_the_budget);
    RUN(what_nobody_received_costs_no_budget);
    RUN(an_unproven_loss_is_not_repeated);
    RUN(a_graveyard_is_not_walked_through);
    RUN(many_servers_can_be_tried);
    RUN(a_loss_of_the_bus_is_not_the_servers_fault);
    RUN(a_link_that_opens_takes_what_waits);
    RUN(over_an_open_link_ids_are_short);
    RUN(a_full_queue_to_one_server);
    RUN(full_queues_are_waited_for);
    RUN(large_calls_that_wait_hinder_no_small_one);
    RUN(a_queue_that_stays_full);
    RUN(a_crowd_disperses);
    return tap_end();
}
