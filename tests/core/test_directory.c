#include "core/internal.h"
#include "fake.h"
#include "core/method.h"

/* Lists of servers: learning, ageing, news, balancing, questions to the user. */

static const char *to_of(fake *f, const char *method)
{
    fake_call(f, method);
    const char *to = fake_last_sent(f)->to;
    fake_answer(f, f->n_sent - 1, "", "[]");
    return to;
}

static void round_robin_is_per_method(void)
{
    fake f = {0};
    fake_start(&f);
    fake_call(&f, "a"), fake_call(&f, "b");
    fake_servers(&f, "a", "s.1,s.2"), fake_servers(&f, "b", "s.1,s.2");
    int a1 = 0, b1 = 0;
    for (int i = 0; i < 20; i++) {
        a1 += strcmp(to_of(&f, "a"), "s.1") == 0;
        b1 += strcmp(to_of(&f, "b"), "s.1") == 0;
    }
    CHECK_INT(a1, 10);
    CHECK_INT(b1, 10);
    fake_end(&f);
}

static void one_look_serves_many(void)
{
    fake f = {0};
    fake_start(&f);
    for (int i = 0; i < 50; i++) fake_call(&f, "m");
    CHECK_INT(f.n_looks, 1);
    fake_servers(&f, "m", "s.1");
    CHECK_INT(f.n_sent, 50);
    fake_servers(&f, "m", "s.1"); /* an answer nobody waits for */
    fake_servers(&f, "never", "s.1");
    fake_end(&f);
}

static void an_empty_list_is_not_kept(void)
{
    fake f = {0};
    fake_start(&f);
    for (int i = 1; i <= 3; i++) {
        uint64_t id = fake_call(&f, "m");
        CHECK_INT(f.n_looks, i);
        fake_servers(&f, "m", "");
        CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_ENOSERVER);
    }
    fake_end(&f);
}

static void old_lists_serve_while_refreshed(void)
{
    fake f = {0};
    fake_start(&f);
    fake_call(&f, "m");
    fake_servers(&f, "m", "s.1");
    /* The first refresh is due soon, since what a call waited for may lack those whom only a scan finds; later ones by
     * age. */
    const int64_t ages[] = {1000, 60000};
    for (int i = 0; i < 2; i++) {
        f.now += ages[i] - 1;
        CHECK_STR(to_of(&f, "m"), 3, "s.1");
        CHECK_INT(f.n_looks, 1 + i);
        f.now += 1;
        CHECK_STR(to_of(&f, "m"), 3, "s.1");
        CHECK_INT(f.n_looks, 2 + i);
        CHECK_INT(f.looks[1 + i].known, 1);
        to_of(&f, "m");
        CHECK_INT(f.n_looks, 2 + i);
        if (i == 0) fake_servers(&f, "m", "s.1");
    }
    fake_servers_code(&f, "m", CLOUDS_EUNREACHABLE); /* the old list stays */
    CHECK_STR(to_of(&f, "m"), 3, "s.1");
    fake_servers(&f, "m", "s.2");
    CHECK_STR(to_of(&f, "m"), 3, "s.2");
    fake_end(&f);
}

static void failed_looks(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call(&f, "m");
    fake_servers_code(&f, "m", CLOUDS_EUNREACHABLE);
    CHECK_INT(fake_results(&f, id), 0);
    fake_advance(&f, 100); /* asked again */
    CHECK(f.n_looks >= 2);
    fake_servers_code(&f, "m", CLOUDS_EREDIS);
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_EREDIS);
    CHECK_INT(fake_result(&f, id)->e.outcome, CLOUDS_OUTCOME_NOT_DONE);
    fake_end(&f);
}

static void news_between_looks(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call(&f, "m");
    cl_core_server_up(f.core, CL_STR("m"), (cl_server){.id = CL_STR("s.1"), .native = 1});
    CHECK_INT(f.n_sent, 1); /* who waits goes at once */
    fake_answer(&f, 0, "", "[]");
    CHECK_INT(fake_result(&f, id)->e.code, 0);
    fake_servers(&f, "m", "s.1");
    cl_core_server_up(f.core, CL_STR("m"), (cl_server){.id = CL_STR("s.2"), .native = 1});
    cl_core_server_up(f.core, CL_STR("m"), (cl_server){.id = CL_STR("s.2"), .native = 1});
    cl_core_server_up(f.core, CL_STR("unknown"), (cl_server){.id = CL_STR("s.2"), .native = 1});
    char first[8];
    snprintf(first, sizeof first, "%s", to_of(&f, "m"));
    CHECK(strcmp(first, to_of(&f, "m")) != 0);
    CHECK_STR(to_of(&f, "m"), 3, first);
    cl_core_server_down(f.core, CL_STR("m"), CL_STR("s.1"));
    cl_core_server_down(f.core, CL_STR("m"), CL_STR("s.9"));
    cl_core_server_down(f.core, CL_STR("zzz"), CL_STR("s.2"));
    for (int i = 0; i < 3; i++) CHECK_STR(to_of(&f, "m"), 3, "s.2");
    cl_core_peer_draining(f.core, CL_STR("s.2"));
    cl_core_peer_draining(f.core, CL_STR("s.9"));
    int looks = f.n_looks;
    fake_call(&f, "m");
    CHECK_INT(f.n_looks, looks + 1);
    fake_end(&f);
}

static void a_draining_peer_still_answers(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call(&f, "m");
    fake_servers(&f, "m", "s.1,s.2");
    cl_core_peer_draining(f.core, CL_STR("s.1"));
    CHECK_INT(fake_results(&f, id), 0);
    fake_answer(&f, 0, "", "[]");
    CHECK_INT(fake_result(&f, id)->e.code, 0);
    fake_end(&f);
}

static void half_at_most_are_avoided(void)
{
    fake f = {0};
    fake_start(&f);
    fake_call(&f, "m");
    fake_servers(&f, "m", "s.1,s.2,s.3,s.4");
    for (int i = 0; i < 2; i++) fake_call(&f, "m"); /* s.1 and s.2 are silent */
    fake_advance(&f, 2001);
    int seen[5] = {0};
    for (int i = 0; i < 12; i++) {
        fake_call(&f, "m");
        seen[fake_last_sent(&f)->to[2] - '0']++;
    }
    CHECK_INT(seen[1] + seen[2], 0);
    CHECK_INT(seen[3], 6);
    CHECK_INT(seen[4], 6);
    fake_end(&f);
}

static void when_all_are_silent_all_are_used(void)
{
    fake f = {0};
    fake_start(&f);
    for (int i = 0; i < 4; i++) fake_call(&f, "m");
    fake_servers(&f, "m", "s.1,s.2,s.3,s.4");
    CHECK_INT(f.n_sent, 4);
    fake_advance(&f, 2001);
    int seen[5] = {0};
    for (int i = 0; i < 12; i++) {
        fake_call(&f, "m");
        seen[fake_last_sent(&f)->to[2] - '0']++;
    }
    for (int i = 1; i <= 4; i++) CHECK_INT(seen[i], 3);
    fake_end(&f);
}

/* As the original, which unlists it: with nobody else left there is no server, for a while. */
static void who_shuns_silent_servers_asks_none_of_them(void)
{
    fake f = {.config = fake_node_config("client")};
    f.config.shun_silent = 1;
    fake_start(&f);
    uint64_t id = fake_call_spec(&f, (cl_call_spec){.timeout = 0.1, .retries = 1, .method = CL_STR("m")});
    fake_servers(&f, "m", "s.1");
    CHECK_INT(f.n_sent, 1);
    fake_advance(&f, 101);
    fake_servers(&f, "m", "s.1"); /* the look finds it again */
    CHECK_INT(f.n_sent, 1);
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_ENOSERVER);
    CHECK_INT(fake_result(&f, id)->e.outcome, CLOUDS_OUTCOME_UNKNOWN); /* the first attempt may have run */
    fake_call(&f, "other");
    fake_servers(&f, "other", "s.1");
    CHECK_INT(f.n_sent, 2); /* what else it serves is not its fault */
    fake_advance(&f, 1000);
    CHECK_STR(to_of(&f, "m"), 3, "s.1");
    fake_end(&f);
}

static void avoidance_grows_and_ends(void)
{
    fake f = {0};
    fake_start(&f);
    fake_call_spec(&f, (cl_call_spec){.timeout = 0.1, .method = CL_STR("m")});
    fake_servers(&f, "m", "s.1,s.2");
    fake_advance(&f, 101); /* s.1: for 1 s */
    fake_advance(&f, 1000);
    cl_core_servers(f.core, CL_STR("m"), (cl_server[]){{.id = CL_STR("s.1"), .native = 1}}, 1, 0);
    fake_call_spec(&f, (cl_call_spec){.timeout = 0.1, .method = CL_STR("m")});
    fake_advance(&f, 101); /* s.1: for 2 s */
    fake_servers(&f, "m", "s.1,s.2");
    fake_advance(&f, 1500);
    for (int i = 0; i < 4; i++) CHECK_STR(to_of(&f, "m"), 3, "s.2");
    fake_advance(&f, 600);
    CHECK(strcmp(to_of(&f, "m"), to_of(&f, "m")) != 0);
    fake_end(&f);
}

static void an_empty_registry_after_a_restart_is_not_believed_at_once(void)
{
    fake f = {0};
    fake_start(&f);
    fake_call(&f, "m");
    fake_servers(&f, "m", "s.1");
    cl_core_bus(f.core, 0, CLOUDS_EUNREACHABLE, "");
    cl_core_bus(f.core, 1, 0, NULL);
    fake_servers(&f, "m", "");
    CHECK_STR(to_of(&f, "m"), 3, "s.1");
    f.now += 10001;
    fake_servers(&f, "m", "");
    int looks = f.n_looks;
    fake_call(&f, "m");
    CHECK_INT(f.n_looks, looks + 1);
    fake_end(&f);
}

static void saving_and_clearing_are_told(void)
{
    fake f = {.config = fake_node_config("client")};
    f.config.save_servers = f.config.clear_servers = 1;
    fake_start(&f);
    fake_call(&f, "m");
    fake_servers(&f, "m", "s.1,n.2");
    fake_event *e = fake_find(&f, CLOUDS_EVENT_SAVE_SERVERS);
    CHECK_STR(e->method, strlen(e->method), "m");
    CHECK_STR(e->data, strlen(e->data), "[\"s.1\",\"n.2\"]");
    CHECK(e->tag == cl_node_tag(f.node));
    fake_servers(&f, "m", "");
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_SAVE_SERVERS), 1);
    fake_servers(&f, "m", "s.1");
    fake_answer(&f, 0, "", "[]");
    fake_advance(&f, 90001);
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_CLEAR_SERVERS), 3);
    int looks = f.n_looks;
    to_of(&f, "m");
    CHECK_INT(f.n_looks, looks); /* the core ages nothing by itself */
    fake_end(&f);
}

static void finding_is_asked(void)
{
    fake f = {.config = fake_node_config("client")};
    f.config.find_server = 1;
    fake_start(&f);
    uint64_t id = fake_call_spec(&f, (cl_call_spec){.user_data = 9});
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_FIND_SERVER), 0); /* nothing is known yet */
    fake_servers(&f, "m", "s.1,n.2");
    fake_event *e = fake_find(&f, CLOUDS_EVENT_FIND_SERVER);
    CHECK_INT(e->e.id, id);
    CHECK_STR(e->data, strlen(e->data), "[\"s.1\",\"n.2\"]");
    CHECK_STR(e->method, strlen(e->method), "m");
    CHECK_INT(f.n_sent, 0);
    CHECK_INT(cl_core_choose(f.core, 12345, CL_STR("s.1")), CLOUDS_ESTALE);
    CHECK_INT(cl_core_choose(f.core, id, CL_STR("n.2")), 0);
    CHECK_INT(cl_core_choose(f.core, id, CL_STR("n.2")), CLOUDS_ESTALE);
    CHECK_STR(f.sent[0].to, 3, "n.2");
    CHECK_INT(f.sent[0].flags, 0);
    fake_refuse(&f, 0, CLOUDS_EDRAINING); /* asked again */
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_FIND_SERVER), 2);
    CHECK_INT(cl_core_choose(f.core, id, CL_STR("elsewhere")), 0);
    fake_answer(&f, 1, "", "[]");
    CHECK_INT(fake_result(&f, id)->e.code, 0);
    fake_end(&f);
}

static void a_retry_may_find_the_same(void)
{
    fake f = {.config = fake_node_config("client")};
    f.config.find_server = 1;
    fake_start(&f);
    uint64_t id = fake_call_spec(&f, (cl_call_spec){.retries = 1});
    fake_servers(&f, "m", "s.1");
    cl_core_choose(f.core, id, CL_STR("s.1"));
    fake_advance(&f, 2001);
    cl_core_choose(f.core, id, CL_STR("s.1"));
    CHECK_INT(f.n_sent, 2);
    fake_answer(&f, 1, "", "[]");
    CHECK_INT(fake_result(&f, id)->e.code, 0);
    fake_end(&f);
}

static void finding_nothing(void)
{
    fake f = {.config = fake_node_config("client")};
    f.config.find_server = 1;
    fake_start(&f);
    uint64_t none = fake_call(&f, "m"), same = fake_call(&f, "m"), slow = fake_call(&f, "m");
    uint64_t again = fake_call_spec(&f, (cl_call_spec){.retries = 1}), nobody = fake_call(&f, "k");
    fake_servers(&f, "m", "s.1");
    fake_servers(&f, "k", "");
    CHECK_STR(fake_find(&f, CLOUDS_EVENT_FIND_SERVER)->data, 2, "[]");
    cl_core_choose(f.core, nobody, CL_STR_NONE);
    CHECK_INT(fake_result(&f, nobody)->e.code, CLOUDS_ENOSERVER);
    cl_core_choose(f.core, none, CL_STR_NONE);
    CHECK_INT(fake_result(&f, none)->e.code, CLOUDS_ENOSERVER);
    cl_core_choose(f.core, same, CL_STR("s.1"));
    fake_refuse(&f, 0, CLOUDS_EOVERLOAD);
    cl_core_choose(f.core, same, CL_STR("s.1"));
    CHECK_INT(fake_result(&f, same)->e.code, CLOUDS_EOVERLOAD);
    cl_core_choose(f.core, again, CL_STR_NONE);
    CHECK_INT(fake_results(&f, again), 0);
    int asked = fake_count(&f, CLOUDS_EVENT_FIND_SERVER);
    fake_advance(&f, 2001);
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_FIND_SERVER), asked + 1);
    CHECK_INT(fake_result(&f, slow)->e.code, CLOUDS_EEXPIRED); /* the user did not answer */
    CHECK_INT(cl_core_choose(f.core, slow, CL_STR("s.1")), CLOUDS_ESTALE);
    fake_end(&f);
}

static void the_round_goes_on_with_a_new_list(void)
{
    fake f = {0};
    fake_start(&f);
    fake_call(&f, "m");
    fake_servers(&f, "m", "s.1,s.2,s.3,s.4");
    fake_call(&f, "m");
    fake_servers(&f, "m", "s.9,s.4,s.2,s.3");
    static const char *const order[] = {"s.1", "s.2", "s.3", "s.4", "s.9", "s.2"};
    for (int i = 0; i < 4; i++) fake_call(&f, "m");
    for (int i = 0; i < 6; i++) CHECK_STR(f.sent[i].to, 3, order[i]);
    fake_end(&f);
}

/* Whoever can publish can announce servers without end. */
static void a_list_has_a_limit(void)
{
    fake f = {0};
    fake_start(&f);
    fake_call(&f, "m");
    char id[32];
    for (int i = 0; i < 21000; i++) {
        snprintf(id, sizeof id, "s.%d", i);
        cl_core_server_up(f.core, CL_STR("m"), (cl_server){.id = cl_str_z(id), .native = 1});
    }
    CHECK_INT(cl_core_counters(f.core)[CL_COUNT_LIMIT_HITS], 1000);
    fake_servers(&f, "m", "s.20999");
    fake_call(&f, "m");
    CHECK_STR(fake_last_sent(&f)->to, 7, "s.20999");
    fake_end(&f);
}

static void the_bus_is_told_of_a_method_that_is_forgotten(void)
{
    fake f = {0};
    fake_start(&f);
    char name[64];
    for (int i = 0; i < CL_METHODS_MAX; i++) {
        snprintf(name, sizeof name, "m%d", i);
        CHECK(fake_call(&f, name) != 0);
        fake_servers(&f, name, "");
        f.n_events = 0;
    }
    CHECK_INT(f.n_unwatched, 0);
    fake_call(&f, "m0"); /* used again, so another is the oldest */
    fake_servers(&f, "m0", "");
    fake_call(&f, "one more");
    CHECK_INT(f.n_unwatched, 1);
    CHECK_STR(f.unwatched, strlen(f.unwatched), "m1");
    fake_end(&f);
}

/* Half an hour without a call, and up to as long again. */
static void what_nobody_calls_is_forgotten(void)
{
    enum { PERIOD = 30 * 60 * 1000 };
    fake f = {0};
    fake_start(&f);
    fake_call(&f, "once");
    fake_servers(&f, "once", "s.1");
    fake_answer(&f, 0, "", "[]");
    fake_call(&f, "often");
    fake_servers(&f, "often", "s.1");
    fake_answer(&f, 1, "", "[]");
    int looks = f.n_looks;
    fake_advance(&f, PERIOD);
    fake_call(&f, "often");
    fake_answer(&f, 2, "", "[]");
    CHECK_INT(f.n_unwatched, 0);
    cl_core_bus(f.core, 0, CLOUDS_EUNREACHABLE, ""); /* it could not be found again */
    fake_advance(&f, PERIOD);
    CHECK_INT(f.n_unwatched, 0);
    cl_core_bus(f.core, 1, 0, NULL);
    fake_call(&f, "often");
    fake_advance(&f, PERIOD);
    CHECK_INT(f.n_unwatched, 1);
    CHECK_STR(f.unwatched, strlen(f.unwatched), "once");
    CHECK_INT(f.core->methods.len, 1);
    CHECK(f.n_looks >= looks);
    fake_advance(&f, 2 * PERIOD); /* the calls have ended */
    CHECK_INT(f.n_unwatched, 2);
    CHECK_INT(f.core->methods.len, 0);
    CHECK_INT(f.core->peers.len, 0);
    looks = f.n_looks;
    fake_call(&f, "once"); /* looked for anew */
    CHECK_INT(f.n_looks, looks + 1);
    fake_servers(&f, "once", "s.1");
    CHECK_INT(f.core->methods.len, 1);
    fake_end(&f);
}

int main(void)
{
    RUN(round_robin_is_per_method);
    RUN(one_look_serves_many);
    RUN(an_empty_list_is_not_kept);
    RUN(old_lists_serve_while_refreshed);
    RUN(failed_looks);
    RUN(news_between_looks);
    RUN(a_draining_peer_still_answers);
    RUN(half_at_most_are_avoided);
    RUN(when_all_are_silent_all_are_used);
    RUN(who_shuns_silent_servers_asks_none_of_them);
    RUN(avoidance_grows_and_ends);
    RUN(an_empty_registry_after_a_restart_is_not_believed_at_once);
    RUN(saving_and_clearing_are_told);
    RUN(finding_is_asked);
    RUN(a_retry_may_find_the_same);
    RUN(finding_nothing);
    RUN(the_round_goes_on_with_a_new_list);
    RUN(a_list_has_a_limit);
    RUN(the_bus_is_told_of_a_method_that_is_forgotten);
    RUN(what_nobody_calls_is_forgotten);
    return tap_end();
}
