#include "fake.h"

/* Who gives a call up tells its server, and what that makes of it. */

static void start_server(fake *f, int cancel_events)
{
    f->config = fake_node_config("server");
    f->config.cancel_events = cancel_events;
    fake_start(f);
    cl_node_register(f->node, CL_STR("up"), &(cl_op_spec){.id = 7});
}

/* ---- the caller */

static int is_cancel_of(const fake *f, int sent)
{
    const fake_sent *call = &f->sent[sent], *x = &f->canceled;
    return x->type == CL_CANCEL && strcmp(x->from, call->from) == 0 && strcmp(x->to, call->to) == 0 &&
           x->id_n == call->id_n && memcmp(x->id, call->id, x->id_n) == 0 && x->token == 0;
}

static void who_cancels_tells_the_server(void)
{
    static const char *const servers[] = {"f.1", "l.1"};
    for (int i = 0; i < 2; i++) {
        fake f = {0};
        fake_start(&f);
        fake_call(&f, "m");
        fake_servers(&f, "m", servers[i]);
        uint64_t id = fake_call(&f, "m");
        REQUIRE(f.n_sent == 2);
        CHECK_INT(cl_core_cancel(f.core, id), 0);
        CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_ECANCELED);
        CHECK_INT(f.n_canceled, 1);
        CHECK(is_cancel_of(&f, 1));
        CHECK_INT(cl_core_cancel(f.core, id), CLOUDS_ESTALE);
        CHECK_INT(f.n_canceled, 1);
        fake_end(&f);
    }
}

/* Nor do those of an older version. */
static void npm_nodes_hear_nothing(void)
{
    static const char *const servers[] = {"n.1", "s.1"};
    for (int i = 0; i < 2; i++) {
        fake f = {0};
        fake_start(&f);
        uint64_t id = fake_call(&f, "m");
        fake_servers(&f, "m", servers[i]);
        REQUIRE(f.n_sent == 1);
        CHECK_INT(cl_core_cancel(f.core, id), 0);
        CHECK_INT(f.n_canceled, 0);
        fake_end(&f);
    }
}

static void what_was_not_sent_needs_no_cancel(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call(&f, "m");
    CHECK_INT(cl_core_cancel(f.core, id), 0); /* it waits for the list */
    CHECK_INT(f.n_canceled, 0);
    id = fake_call(&f, "m");
    fake_servers(&f, "m", "l.1");
    REQUIRE(f.n_sent == 1);
    fake_answer(&f, 0, "null", "[1]");
    CHECK_INT(fake_result(&f, id)->e.code, 0);
    CHECK_INT(cl_core_cancel(f.core, id), CLOUDS_ESTALE);
    CHECK_INT(f.n_canceled, 0);
    f.recalls = 1; /* it has not left */
    id = fake_call(&f, "m");
    CHECK_INT(cl_core_cancel(f.core, id), 0);
    CHECK_INT(f.n_canceled, 0);
    fake_end(&f);
}

static void an_attempt_that_times_out_is_canceled(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call_spec(&f, (cl_call_spec){.timeout = 1, .retries = 1});
    fake_servers(&f, "m", "l.1,l.2");
    REQUIRE(f.n_sent == 1);
    fake_advance(&f, 1000);
    CHECK_INT(f.n_canceled, 1);
    CHECK(is_cancel_of(&f, 0));
    REQUIRE(f.n_sent == 2);
    fake_advance(&f, 1000);
    CHECK_INT(f.n_canceled, 2);
    CHECK(is_cancel_of(&f, 1));
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_ETIMEOUT);
    fake_end(&f);
}

static void a_node_that_closes_cancels_its_calls(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call(&f, "m");
    fake_servers(&f, "m", "l.1");
    REQUIRE(f.n_sent == 1);
    CHECK_INT(cl_node_close(f.node, 0), 0);
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_ECANCELED);
    CHECK_INT(f.n_canceled, 1);
    CHECK(is_cancel_of(&f, 0));
    fake_end(&f);
}

/* ---- the server */

static void a_handler_hears_of_it_once(void)
{
    fake f = {0};
    start_server(&f, 1);
    uint64_t other = fake_inbound(&f, f.node, "c.9", "abd", "up", CL_NATIVE, 0);
    uint64_t request = fake_inbound(&f, f.node, "c.9", "abc", "up", CL_NATIVE, 0);
    fake_cancel(&f, f.node, "c.9", "abc");
    fake_event *e = fake_find(&f, CLOUDS_EVENT_CANCELED);
    REQUIRE(e != NULL);
    CHECK_INT(e->e.id, request);
    CHECK(strcmp(e->peer, "c.9") == 0);
    fake_cancel(&f, f.node, "c.9", "abc");
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_CANCELED), 1);
    CHECK_INT(cl_core_counters(f.core)[CL_COUNT_CANCELED_REQUESTS], 1);
    int sent = f.n_sent;
    CHECK_INT(cl_core_answer(f.core, request, CL_STR_NONE, CL_STR("[1]")), 0); /* nobody waits for it */
    CHECK_INT(f.n_sent, sent);
    CHECK_INT(cl_core_answer(f.core, request, CL_STR_NONE, CL_STR("[1]")), CLOUDS_ESTALE);
    CHECK_INT(cl_core_answer(f.core, other, CL_STR_NONE, CL_STR("[1]")), 0);
    CHECK_INT(f.n_sent, sent + 1);
    fake_end(&f);
}

/* By who has called and the id that he gave, both. */
static void only_the_caller_can_cancel(void)
{
    static const char *const wrong[][2] = {{"c.8", "abc"}, {"c.9", "ab"}, {"c.9a", "bc"}, {"c.", "9abc"}, {"", ""}};
    fake f = {0};
    start_server(&f, 1);
    uint64_t request = fake_inbound(&f, f.node, "c.9", "abc", "up", CL_NATIVE, 0);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) fake_cancel(&f, f.node, wrong[i][0], wrong[i][1]);
    static char longest[600];
    memset(longest, 'x', sizeof longest - 1);
    fake_cancel(&f, f.node, "c.9", longest);
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_CANCELED), 0);
    CHECK_INT(cl_core_answer(f.core, request, CL_STR_NONE, CL_STR("[1]")), 0);
    fake_cancel(&f, f.node, "c.9", "abc"); /* too late */
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_CANCELED), 0);
    fake_end(&f);
}

static void cancel_by(fake *f, uint64_t link, const char *id)
{
    cl_envelope e = cl_envelope_of(CL_CANCEL, CL_STR("c.9"), cl_node_id(f->node), cl_str_z(id));
    e.link = link;
    cl_core_envelope(f->core, f->node, &e);
}

/* The ids of a link are known to its other end, and so are easy to guess: what comes another way does not mean them. */
static void a_short_id_counts_by_its_link_only(void)
{
    fake f = {0};
    start_server(&f, 1);
    uint64_t request = fake_inbound(&f, f.node, "c.9", "12345678", "up", CL_NATIVE, 0); /* by the link 77 */
    cancel_by(&f, 0, "12345678");
    cancel_by(&f, 78, "12345678");
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_CANCELED), 0);
    cancel_by(&f, 77, "12345678");
    REQUIRE(fake_count(&f, CLOUDS_EVENT_CANCELED) == 1);
    CHECK_INT(fake_find(&f, CLOUDS_EVENT_CANCELED)->e.id, request);
    fake_inbound(&f, f.node, "c.9", "0123456789abcdef", "up", CL_NATIVE, 0); /* a secret one goes any way */
    cancel_by(&f, 0, "0123456789abcdef");
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_CANCELED), 2);
    fake_end(&f);
}

static void what_was_not_begun_is_not(void)
{
    fake f = {0};
    start_server(&f, 1);
    f.waiting = 1;
    uint64_t request = fake_inbound(&f, f.node, "c.9", "abc", "up", CL_NATIVE, 0);
    int sent = f.n_sent;
    fake_cancel(&f, f.node, "c.9", "abc");
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_CANCELED), 0);
    CHECK_INT(f.n_sent, sent);
    CHECK_INT(cl_core_answer(f.core, request, CL_STR_NONE, CL_STR("[1]")), CLOUDS_ESTALE);
    CHECK_INT(cl_core_counters(f.core)[CL_COUNT_CANCELED_REQUESTS], 1);
    fake_end(&f);
}

/* A server of one request at a time, with one that runs. */
static uint64_t start_serial(fake *f, cl_offer_spec limits)
{
    f->config = fake_node_config("server");
    f->config.cancel_events = 1;
    fake_start(f);
    limits.queue = 1000;
    CHECK_INT(cl_node_offer(f->node, CL_STR("up"), &limits, &(cl_op_spec){.id = 7}), 0);
    cl_core_registered(f->core, 7, 0, NULL);
    return fake_inbound_args(f, f->node, "c.9", "first", "up", "[0]", CL_NATIVE, 0);
}

/* What waits for its turn is taken out, and never begun. */
static void what_waits_for_its_turn_does_not_any_more(void)
{
    fake f = {0};
    uint64_t first = start_serial(&f, (cl_offer_spec){.concurrency = 1});
    fake_inbound_args(&f, f.node, "c.9", "abc", "up", "[1]", CL_NATIVE, 0);
    fake_inbound_args(&f, f.node, "c.8", "abc", "up", "[2]", CL_NATIVE, 0);
    fake_inbound_args(&f, f.node, "c.9", "abd", "up", "[3]", CL_NATIVE, f.now + 500);
    fake_cancel(&f, f.node, "c.9a", "bc");
    fake_cancel(&f, f.node, "c.9", "ab");
    fake_cancel(&f, f.node, "c.9", "abc");
    fake_cancel(&f, f.node, "c.9", "abc");
    fake_cancel(&f, f.node, "c.9", "abd");
    CHECK_INT(cl_core_counters(f.core)[CL_COUNT_CANCELED_REQUESTS], 2);
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_CANCELED), 0);
    CHECK_INT(f.n_sent, 0);
    fake_advance(&f, 1000); /* nothing expires that is gone */
    CHECK_INT(f.n_sent, 0);
    CHECK_INT(cl_core_answer(f.core, first, CL_STR_NONE, CL_STR("[]")), 0);
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_REQUEST), 2);
    CHECK_STR(fake_last_event(&f)->data, 3, "[2]");
    CHECK_INT(cl_core_answer(f.core, fake_last_event(&f)->e.id, CL_STR_NONE, CL_STR("[]")), 0);
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_REQUEST), 2);
    CHECK_INT(cl_core_counters(f.core)[CL_COUNT_REQUESTS], 2);
    fake_end(&f);
}

/* It gives up its key, and the next of that key may begin. */
static void the_key_goes_on_to_the_next(void)
{
    fake f = {0};
    uint64_t first = start_serial(&f, (cl_offer_spec){.concurrency = 1, .key_arg = 1});
    fake_inbound_args(&f, f.node, "c.9", "a1", "up", "[1]", CL_NATIVE, 0); /* holds the key 1 */
    fake_inbound_args(&f, f.node, "c.9", "a2", "up", "[1,2]", CL_NATIVE, 0);
    fake_inbound_args(&f, f.node, "c.9", "a3", "up", "[1,3]", CL_NATIVE, 0);
    fake_cancel(&f, f.node, "c.9", "a1");
    fake_cancel(&f, f.node, "c.9", "a2");
    CHECK_INT(cl_core_answer(f.core, first, CL_STR_NONE, CL_STR("[]")), 0);
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_REQUEST), 2);
    CHECK_STR(fake_last_event(&f)->data, 5, "[1,3]");
    fake_end(&f);
}

/* Among many that wait, begin, expire and are canceled, each is found; the room that they took is free again. */
static void many_that_wait(void)
{
    enum { N = 900 };
    fake f = {0};
    char name[16], args[16];
    start_serial(&f, (cl_offer_spec){.concurrency = 1});
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "i%d", i);
        snprintf(args, sizeof args, "[%d]", i);
        fake_inbound_args(&f, f.node, "c.9", name, "up", args, CL_NATIVE, i % 7 == 0 ? f.now + 100 : 0);
        if (i % 50 != 49) continue;
        for (int j = i - 49; j <= i; j++) {
            snprintf(name, sizeof name, "i%d", j);
            if (j % 3) fake_cancel(&f, f.node, "c.9", name);
        }
    }
    fake_advance(&f, 200);
    CHECK_INT(cl_core_counters(f.core)[CL_COUNT_CANCELED_REQUESTS], N / 3 * 2);
    int sent = f.n_sent;
    for (int i = 0; i < N; i++) {
        if (i % 3 || i % 7 == 0) continue;
        CHECK_INT(cl_core_answer(f.core, fake_last_event(&f)->e.id, CL_STR_NONE, CL_STR("[]")), 0);
        REQUIRE(fake_last_event(&f)->e.type == CLOUDS_EVENT_REQUEST);
        CHECK_INT(atoi(fake_last_event(&f)->data + 1), i);
        sent++;
    }
    CHECK_INT(f.n_sent, sent);
    CHECK_INT(cl_core_answer(f.core, fake_last_event(&f)->e.id, CL_STR_NONE, CL_STR("[]")), 0);
    for (int i = 0; i < N; i++) fake_inbound(&f, f.node, "c.9", "again", "up", CL_NATIVE, 0);
    CHECK_INT(cl_core_counters(f.core)[CL_COUNT_LIMIT_HITS], 0);
    fake_end(&f);
}

static void nobody_is_told_who_did_not_ask(void)
{
    fake f = {0};
    start_server(&f, 0);
    uint64_t request = fake_inbound(&f, f.node, "c.9", "abc", "up", CL_NATIVE, 0);
    uint64_t call = fake_call_spec(&f, (cl_call_spec){.parent = request});
    fake_cancel(&f, f.node, "c.9", "abc");
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_CANCELED), 0);
    CHECK_INT(fake_results(&f, call), 0);
    CHECK(fake_call_spec(&f, (cl_call_spec){.parent = request}) != 0);
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_RESULT), 0);
    int sent = f.n_sent;
    CHECK_INT(cl_core_answer(f.core, request, CL_STR_NONE, CL_STR("[1]")), 0);
    CHECK_INT(f.n_sent, sent);
    fake_end(&f);
}

/* A -> B -> C: the calls that B makes for A end with it, and C hears of it too. */
static void it_travels_on(void)
{
    fake f = {0};
    start_server(&f, 1);
    uint64_t request = fake_inbound(&f, f.node, "c.9", "abc", "up", CL_NATIVE, 0);
    uint64_t sent = fake_call_spec(&f, (cl_call_spec){.parent = request});
    fake_servers(&f, "m", "l.1");
    uint64_t own = fake_call(&f, "m");
    REQUIRE(f.n_sent == 2);
    fake_cancel(&f, f.node, "c.9", "abc");
    CHECK_INT(fake_result(&f, sent)->e.code, CLOUDS_ECANCELED);
    CHECK_INT(f.n_canceled, 1);
    CHECK(is_cancel_of(&f, 0));
    CHECK_INT(fake_results(&f, own), 0);
    uint64_t later = fake_call_spec(&f, (cl_call_spec){.parent = request});
    CHECK_INT(fake_result(&f, later)->e.code, CLOUDS_ECANCELED);
    CHECK_INT(f.n_sent, 2);
    fake_end(&f);
}

static void calls_outlive_a_request_that_is_answered(void)
{
    fake f = {0};
    start_server(&f, 1);
    uint64_t request = fake_inbound(&f, f.node, "c.9", "abc", "up", CL_NATIVE, 0);
    uint64_t call = fake_call_spec(&f, (cl_call_spec){.parent = request});
    CHECK_INT(cl_core_answer(f.core, request, CL_STR_NONE, CL_STR("[1]")), 0);
    fake_cancel(&f, f.node, "c.9", "abc");
    CHECK_INT(fake_results(&f, call), 0);
    CHECK_INT(cl_core_cancel(f.core, call), 0);
    CHECK_INT(fake_results(&f, call), 1);
    fake_end(&f);
}

static void the_deadline_cancels_too(void)
{
    fake f = {0};
    start_server(&f, 1);
    uint64_t request = fake_inbound(&f, f.node, "c.9", "abc", "up", CL_NATIVE, f.now + 500);
    uint64_t again = fake_inbound(&f, f.node, "c.9", "abd", "up", CL_NATIVE, f.now + 500);
    fake_cancel(&f, f.node, "c.9", "abd");
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_CANCELED), 1);
    CHECK_INT(fake_find(&f, CLOUDS_EVENT_CANCELED)->e.id, again);
    fake_advance(&f, 500);
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_CANCELED), 2);
    CHECK_INT(fake_find(&f, CLOUDS_EVENT_CANCELED)->e.id, request);
    fake_end(&f);
}

/* What is open, what was canceled, what was answered, in any order: each finds its own. */
static void many_requests(void)
{
    enum { N = 600 };
    fake f = {0};
    uint64_t ids[N];
    char name[16];
    start_server(&f, 1);
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "i%d", i);
        ids[i] = fake_inbound(&f, f.node, "c.9", name, "up", CL_NATIVE, 0);
        REQUIRE(ids[i] != 0);
        if (i % 3 == 1) CHECK_INT(cl_core_answer(f.core, ids[i - 1], CL_STR_NONE, CL_STR("[1]")), 0);
        if (i % 50 != 49) continue;
        snprintf(name, sizeof name, "i%d", i - 20);
        int was_open = (i - 20) % 3 != 0, before = fake_count(&f, CLOUDS_EVENT_CANCELED);
        fake_cancel(&f, f.node, "c.9", name);
        CHECK_INT(fake_count(&f, CLOUDS_EVENT_CANCELED), before + was_open);
        if (was_open) CHECK_INT(fake_find(&f, CLOUDS_EVENT_CANCELED)->e.id, ids[i - 20]);
    }
    fake_end(&f);
}

int main(void)
{
    RUN(who_cancels_tells_the_server);
    RUN(npm_nodes_hear_nothing);
    RUN(what_was_not_sent_needs_no_cancel);
    RUN(an_attempt_that_times_out_is_canceled);
    RUN(a_node_that_closes_cancels_its_calls);
    RUN(a_handler_hears_of_it_once);
    RUN(only_the_caller_can_cancel);
    RUN(a_short_id_counts_by_its_link_only);
    RUN(what_was_not_begun_is_not);
    RUN(what_waits_for_its_turn_does_not_any_more);
    RUN(the_key_goes_on_to_the_next);
    RUN(many_that_wait);
    RUN(nobody_is_told_who_did_not_ask);
    RUN(it_travels_on);
    RUN(calls_outlive_a_request_that_is_answered);
    RUN(the_deadline_cancels_too);
    RUN(many_requests);
    return tap_end();
}
