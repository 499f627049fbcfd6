#include "base/log.h"
#include "fake.h"

#include "base/rand.h"

/* Calls: completion, timeout, deadline, retries, waiting for the bus, ids. */

static void answers_complete(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call_spec(&f, (cl_call_spec){.user_data = 42});
    CHECK_INT(f.n_looks, 1);
    CHECK_INT(f.looks[0].known, 0);
    CHECK_INT(f.n_sent, 0);
    fake_servers(&f, "m", "s.1");
    CHECK_INT(f.n_sent, 1);
    CHECK_STR(f.sent[0].to, strlen(f.sent[0].to), "s.1");
    CHECK_STR(f.sent[0].args, strlen(f.sent[0].args), "[1]");
    CHECK_INT(f.sent[0].flags, CL_NATIVE);
    CHECK_INT(f.sent[0].deadline, f.now + 2000);
    CHECK_INT(strlen(f.sent[0].id), 33);
    fake_answer(&f, 0, "", "[\"x\"]");
    fake_event *e = fake_result(&f, id);
    CHECK_INT(e->e.code, 0);
    CHECK_INT(e->e.outcome, CLOUDS_OUTCOME_OK);
    CHECK_INT(e->e.user_data, 42);
    CHECK_STR(e->data, strlen(e->data), "[\"x\"]");
    CHECK_STR(e->peer, strlen(e->peer), "s.1");
    CHECK_STR(e->method, strlen(e->method), "m");
    fake_answer(&f, 0, "", "[\"again\"]");
    CHECK_INT(fake_results(&f, id), 1);
    CHECK_INT(cl_core_counters(f.core)[CL_COUNT_LATE_ANSWERS], 1);
    CHECK_INT(cl_core_cancel(f.core, id), CLOUDS_ESTALE);
    fake_end(&f);
}

static void app_errors_pass(void)
{
    static const struct {
        const char *sent, *seen;
    } cases[] = {
        {"{\"message\":\"boom\",\"code\":\"E\",\"x\":[1]}", "{\"message\":\"boom\",\"code\":\"E\",\"x\":[1]}"},
        {"{\"code\":5}", "{\"code\":5}"},
        {"{}", "{\"message\":\"\"}"},
        {"\"text\\n\"", "{\"message\":\"text\\n\"}"},
        {"7.5", "{\"message\":\"7.5\"}"},
        {"true", "{\"message\":\"true\"}"},
        {"{\"0\":\"b\",\"1\":\"\\ud83d\",\"2\":\"\\ude00\"}", "{\"message\":\"b\\ud83d\\ude00\"}"},
        {"{\"0\":\"b\",\"2\":\"c\"}", "{\"0\":\"b\",\"2\":\"c\"}"},
    };
    fake f = {0};
    fake_start(&f);
    fake_call(&f, "m");
    fake_servers(&f, "m", "n.1");
    fake_answer(&f, 0, "", "[]");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t id = fake_call(&f, "m");
        fake_answer(&f, f.n_sent - 1, cases[i].sent, "[3]");
        fake_event *e = fake_result(&f, id);
        CHECK_INT(e->e.code, CLOUDS_EAPP);
        CHECK_INT(e->e.outcome, CLOUDS_OUTCOME_APP_ERROR);
        CHECK_STR(e->error, strlen(e->error), cases[i].seen);
        CHECK_STR(e->data, strlen(e->data), "[3]");
    }
    static const char *const falsy[] = {"null", "false", "0", "-0", "0.0e5", "\"\""};
    for (size_t i = 0; i < sizeof falsy / sizeof *falsy; i++) {
        uint64_t id = fake_call(&f, "m");
        fake_answer(&f, f.n_sent - 1, falsy[i], "");
        CHECK_INT(fake_result(&f, id)->e.code, 0);
        CHECK_STR(fake_result(&f, id)->data, 2, "[]");
    }
    fake_end(&f);
}

/* It waited for its way to the server until its time was over: it was not done, and its next attempt goes elsewhere. */
static void what_never_left_is_not_done(void)
{
    fake f = {0};
    fake_start(&f);
    f.recalls = 1;
    uint64_t id = fake_call(&f, "m");
    fake_servers(&f, "m", "s.1,s.2");
    fake_advance(&f, 2001);
    fake_event *e = fake_result(&f, id);
    CHECK_INT(e->e.code, CLOUDS_EEXPIRED);
    CHECK_INT(e->e.outcome, CLOUDS_OUTCOME_NOT_DONE);
    id = fake_call_spec(&f, (cl_call_spec){.retries = 1});
    char first[48];
    snprintf(first, sizeof first, "%s", fake_last_sent(&f)->to);
    fake_advance(&f, 2001);
    CHECK_INT(fake_results(&f, id), 0);
    CHECK(strcmp(fake_last_sent(&f)->to, first) != 0);
    f.recalls = 0; /* the second attempt did leave */
    fake_advance(&f, 2001);
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_ETIMEOUT);
    CHECK_INT(fake_result(&f, id)->e.outcome, CLOUDS_OUTCOME_UNKNOWN);
    fake_end(&f);
}

static void timeout_of_npm_server_deletes_it(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call(&f, "m");
    fake_servers(&f, "m", "n.1");
    fake_advance(&f, 1999);
    CHECK_INT(fake_results(&f, id), 0);
    fake_advance(&f, 2);
    fake_event *e = fake_result(&f, id);
    CHECK_INT(e->e.code, CLOUDS_ETIMEOUT);
    CHECK_INT(e->e.outcome, CLOUDS_OUTCOME_UNKNOWN);
    CHECK_STR(e->error, strlen(e->error),
              "{\"message\":\"timeout: no answer to m from "
              "n.1\",\"code\":\"CLOUDS_CALL_SERVICE_TIMEOUT\",\"method\":\"m\",\"server\":\"n.1\"}");
    CHECK_INT(f.n_forgets, 1);
    CHECK_STR(f.forgot_server, 3, "n.1");
    CHECK_STR(f.forgot_method, 1, "m");
    fake_answer(&f, 0, "", "[1]");
    CHECK_INT(fake_results(&f, id), 1);
    fake_call(&f, "m"); /* its list is empty now */
    CHECK_INT(f.n_sent, 1);
    CHECK_INT(f.looks[f.n_looks - 1].known, 0);
    fake_end(&f);
}

static void timeout_of_our_server_avoids_it(void)
{
    fake f = {0};
    fake_start(&f);
    fake_call(&f, "m");
    fake_servers(&f, "m", "s.1,s.2");
    fake_advance(&f, 2001);
    CHECK_INT(f.n_forgets, 0);
    for (int i = 0; i < 4; i++) {
        fake_call(&f, "m");
        CHECK_STR(fake_last_sent(&f)->to, 3, "s.2");
        fake_answer(&f, f.n_sent - 1, "", "[]");
    }
    fake_advance(&f, 1001); /* the first time for a second */
    fake_call(&f, "m");
    fake_call(&f, "m");
    CHECK(strcmp(f.sent[f.n_sent - 1].to, f.sent[f.n_sent - 2].to) != 0);
    fake_end(&f);
}

static void auto_clean_is_an_option(void)
{
    fake f = {.config = fake_node_config("client")};
    f.config.auto_clean = 0;
    fake_start(&f);
    fake_call(&f, "m");
    fake_servers(&f, "m", "n.1");
    fake_advance(&f, 2001);
    CHECK_INT(f.n_forgets, 0);
    fake_call(&f, "m");
    CHECK_INT(f.n_sent, 2); /* all avoided: all used */
    fake_end(&f);
}

static void removal_can_be_taken_over(void)
{
    fake f = {.config = fake_node_config("client")};
    f.config.remove_server = 1;
    fake_start(&f);
    fake_call(&f, "m");
    fake_servers(&f, "m", "n.1");
    fake_advance(&f, 2001);
    CHECK_INT(f.n_forgets, 0);
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_REMOVE_SERVER), 1);
    CHECK_STR(fake_find(&f, CLOUDS_EVENT_REMOVE_SERVER)->peer, 3, "n.1");
    CHECK_STR(fake_find(&f, CLOUDS_EVENT_REMOVE_SERVER)->method, 1, "m");
    fake_end(&f);
}

/* WIRE 7.3: timeout 2 s, retry 2, no server: attempts at 0, 2, 4 s, and the end with the third. */
static void no_server_is_retried_later(void)
{
    fake f = {0};
    fake_start(&f);
    int64_t start = f.now;
    uint64_t id = fake_call_spec(&f, (cl_call_spec){.retries = 2});
    for (int i = 0; i < 3; i++) {
        CHECK_INT(f.n_looks, i + 1);
        CHECK_INT(fake_results(&f, id), 0);
        fake_servers(&f, "m", "");
        if (i < 2) fake_advance(&f, 2001);
    }
    fake_event *e = fake_result(&f, id);
    CHECK(e->at - start >= 4000 && e->at - start < 4010);
    CHECK_INT(e->e.code, CLOUDS_ENOSERVER);
    CHECK_INT(e->e.outcome, CLOUDS_OUTCOME_NOT_DONE);
    CHECK_STR(e->error, strlen(e->error),
              "{\"message\":\"no available server for m\",\"code\":\"CLOUDS_NO_AVAILABLE_SERVER\",\"method\":\"m\"}");
    CHECK_INT(cl_core_counters(f.core)[CL_COUNT_RETRIES], 2);
    fake_end(&f);
}

/* An attempt that waits its whole time for a list costs the next one nothing. */
static void slow_lists_leave_all_retries(void)
{
    fake f = {0};
    fake_start(&f);
    int64_t start = f.now;
    uint64_t id = fake_call_spec(&f, (cl_call_spec){.retries = 2});
    fake_servers(&f, "m", "");
    fake_advance(&f, 5999);
    CHECK_INT(fake_results(&f, id), 0);
    fake_advance(&f, 2);
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_ENOSERVER);
    CHECK_INT(fake_result(&f, id)->at - start, 6000);
    CHECK_INT(cl_core_counters(f.core)[CL_COUNT_RETRIES], 2);
    fake_end(&f);
}

/* Nobody announces an npm server, so a long pause looks for one: after a second, and then ever more seldom. */
static void a_long_pause_looks_for_servers(void)
{
    static const int64_t looks[] = {1000, 2000, 4000, 8000, 16000, 26000, 36000};
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call_spec(&f, (cl_call_spec){.timeout = 200, .retries = 1});
    fake_servers(&f, "m", "");
    int64_t start = f.now;
    for (int i = 0; i < 7; i++) {
        CHECK_INT(f.n_looks, i + 1);
        fake_advance(&f, start + looks[i] - 1 - f.now);
        CHECK_INT(f.n_looks, i + 1);
        fake_advance(&f, 1);
        CHECK_INT(f.n_looks, i + 2);
        if (i < 6) fake_servers(&f, "m", "");
    }
    CHECK_INT(f.n_sent, 0);
    fake_servers(&f, "m", "s.1");
    CHECK_INT(f.n_sent, 1);
    fake_answer(&f, 0, "", "[1]");
    CHECK_STR(fake_result(&f, id)->data, 3, "[1]");
    fake_end(&f);
}

/* Whoever waits for a server is told when one comes up; a pinned call waits for its own. */
static void a_server_that_comes_up_ends_the_wait(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call_spec(&f, (cl_call_spec){.retries = 2});
    uint64_t pinned = fake_call_spec(&f, (cl_call_spec){.retries = 2, .server = CL_STR("s.9")});
    fake_servers(&f, "m", "");
    fake_advance(&f, 500);
    CHECK_INT(f.n_sent, 1); /* the pinned one */
    cl_core_server_up(f.core, CL_STR("other"), (cl_server){.id = CL_STR("s.2"), .native = 1});
    CHECK_INT(f.n_sent, 1);
    cl_core_server_up(f.core, CL_STR("m"), (cl_server){.id = CL_STR("s.2"), .native = 1});
    CHECK_INT(f.n_sent, 2);
    CHECK_STR(f.sent[1].to, strlen(f.sent[1].to), "s.2");
    fake_answer(&f, 1, "", "[2]");
    CHECK_STR(fake_result(&f, id)->data, 3, "[2]");
    CHECK_INT(fake_results(&f, pinned), 0);
    fake_end(&f);
}

/* A list with nobody but a server that is left alone for its silence is no reason to begin: the retries keep their
 * pace. */
static void a_shunned_server_ends_no_pause(void)
{
    fake f = {.config = fake_node_config("client")};
    f.config.shun_silent = 1;
    fake_start(&f);
    uint64_t id = fake_call_spec(&f, (cl_call_spec){.retries = 3});
    fake_servers(&f, "m", "s.1");
    fake_advance(&f, 2000);
    for (int i = 0; i < 5; i++) fake_servers(&f, "m", "s.1");
    CHECK_INT(fake_results(&f, id), 0);
    CHECK_INT(cl_core_counters(f.core)[CL_COUNT_RETRIES], 2); /* after the timeout, and for the pause */
    cl_core_server_up(f.core, CL_STR("m"), (cl_server){.id = CL_STR("s.2"), .native = 1});
    CHECK_STR(fake_last_sent(&f)->to, 3, "s.2");
    fake_end(&f);
}

/* The question before each attempt: what it says, and that the attempt's time begins with the answer. */
static void attempts_are_asked_for(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call_spec(&f, (cl_call_spec){.retries = 2, .ask = 1, .user_data = 7, .args = CL_STR("[0]")});
    fake_event *e = fake_find(&f, CLOUDS_EVENT_ATTEMPT);
    CHECK(e && e->e.id == id && e->e.user_data == 7 && e->e.number == 0 && e->e.code == 0);
    CHECK_STR(e->method, 1, "m");
    CHECK_STR(e->data, strlen(e->data), "[0]");
    CHECK_INT(f.n_looks, 0);
    fake_advance(&f, 1500);
    int64_t start = f.now;
    CHECK_INT(cl_core_attempt(f.core, id, CL_STR("[1]"), NULL), 0);
    CHECK_INT(cl_core_attempt(f.core, id, CL_STR("[1]"), NULL), CLOUDS_ESTALE);
    fake_servers(&f, "m", "s.1,s.2");
    CHECK_STR(fake_last_sent(&f)->args, 3, "[1]");
    CHECK_INT(fake_last_sent(&f)->deadline, start + 2000);
    fake_advance(&f, 2000);
    e = fake_find(&f, CLOUDS_EVENT_ATTEMPT);
    CHECK(e->e.number == 1 && e->e.code == CLOUDS_ETIMEOUT && e->e.outcome == CLOUDS_OUTCOME_UNKNOWN);
    CHECK_STR(e->data, strlen(e->data), "[1]");
    CHECK_INT(cl_core_attempt(f.core, id, CL_STR_NONE, NULL), 0);
    CHECK_INT(f.n_sent, 2);
    CHECK_STR(fake_last_sent(&f)->args, 3, "[1]");
    fake_answer(&f, 1, "", "[]");
    CHECK_INT(fake_result(&f, id)->e.code, 0);
    CHECK_INT(cl_core_attempt(f.core, id, CL_STR_NONE, NULL), CLOUDS_ESTALE);
    fake_end(&f);
}

/* Nobody answers the question: a deadline that was given holds, and the reason of the attempt before is not lost. */
static void a_question_ends_with_its_call(void)
{
    fake f = {0};
    fake_start(&f);
    int64_t start = f.now;
    uint64_t never = fake_call_spec(&f, (cl_call_spec){.ask = 1, .deadline = 3});
    uint64_t second = fake_call_spec(&f, (cl_call_spec){.ask = 1, .retries = 5, .deadline = 4});
    uint64_t canceled = fake_call_spec(&f, (cl_call_spec){.ask = 1});
    CHECK_INT(cl_core_cancel(f.core, canceled), 0);
    CHECK_INT(fake_result(&f, canceled)->e.code, CLOUDS_ECANCELED);
    CHECK_INT(cl_core_attempt(f.core, second, CL_STR_NONE, NULL), 0);
    fake_servers(&f, "m", "");
    fake_advance(&f, 2500); /* the pause of the second is over */
    CHECK_INT(fake_find(&f, CLOUDS_EVENT_ATTEMPT)->e.code, CLOUDS_ENOSERVER);
    fake_advance(&f, 2000);
    CHECK_INT(fake_result(&f, never)->e.code, CLOUDS_EEXPIRED);
    CHECK_INT(fake_result(&f, never)->at, start + 3000);
    CHECK_INT(fake_result(&f, second)->e.code, CLOUDS_ENOSERVER);
    CHECK_INT(fake_result(&f, second)->at, start + 4000);
    uint64_t closed = fake_call_spec(&f, (cl_call_spec){.ask = 1});
    CHECK_INT(cl_node_close(f.node, 0), 0);
    CHECK_INT(fake_result(&f, closed)->e.code, CLOUDS_ECLOSED);
    fake_end(&f);
}

static void a_question_waits_for_no_pause(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call_spec(&f, (cl_call_spec){.ask = 1, .retries = 1});
    CHECK_INT(cl_core_attempt(f.core, id, CL_STR_NONE, NULL), 0);
    fake_servers(&f, "m", "");
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_ATTEMPT), 1);
    cl_core_server_up(f.core, CL_STR("m"), (cl_server){.id = CL_STR("s.2"), .native = 1});
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_ATTEMPT), 2);
    CHECK_INT(cl_core_attempt(f.core, id, CL_STR_NONE, NULL), 0);
    CHECK_INT(f.n_sent, 1);
    fake_end(&f);
}

/* Arguments that do not fit, and questions that cannot be asked: the call ends by that. */
static void a_question_without_room(void)
{
    fake f = {0};
    cl_core_config config = fake_core_config();
    fake_start(&f);
    char *big = malloc(config.limits.message);
    memset(big, '1', config.limits.message);
    uint64_t id = fake_call_spec(&f, (cl_call_spec){.ask = 1});
    CHECK_INT(cl_core_attempt(f.core, id, cl_str_of(big, config.limits.message), NULL), 0);
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_ETOOBIG);
    free(big);
    f.question_code = CLOUDS_ENOMEM;
    id = fake_call_spec(&f, (cl_call_spec){.ask = 1});
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_ENOMEM);
    fake_end(&f);
}

static void timeouts_are_retried_elsewhere_at_once(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call_spec(&f, (cl_call_spec){.retries = 2});
    fake_servers(&f, "m", "s.1,s.2,s.3");
    fake_advance(&f, 2000);
    CHECK_INT(f.n_sent, 2);
    fake_advance(&f, 2000);
    CHECK_INT(f.n_sent, 3);
    CHECK(strcmp(f.sent[0].to, f.sent[1].to) && strcmp(f.sent[1].to, f.sent[2].to) &&
          strcmp(f.sent[0].to, f.sent[2].to));
    CHECK(strcmp(f.sent[0].id, f.sent[1].id) != 0);
    fake_answer(&f, 0, "", "[0]"); /* of an attempt that is over */
    CHECK_INT(fake_results(&f, id), 0);
    CHECK_INT(cl_core_counters(f.core)[CL_COUNT_LATE_ANSWERS], 1);
    fake_answer(&f, 2, "", "[2]");
    CHECK_STR(fake_result(&f, id)->data, 3, "[2]");
    fake_end(&f);
}

/* WIRE 7.3: one silent npm server, one retry: the second attempt finds none, since the key was deleted. */
static void a_retry_that_finds_nobody_is_not_harmless(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call_spec(&f, (cl_call_spec){.retries = 1});
    fake_servers(&f, "m", "n.1");
    fake_advance(&f, 2000);
    fake_servers(&f, "m", "");
    fake_event *e = fake_result(&f, id);
    CHECK_INT(e->e.code, CLOUDS_ENOSERVER);
    CHECK_INT(e->e.outcome, CLOUDS_OUTCOME_UNKNOWN); /* the first attempt may have been executed */
    fake_end(&f);
}

static void deadline_limits_the_whole(void)
{
    fake f = {0};
    fake_start(&f);
    int64_t start = f.now;
    uint64_t id = fake_call_spec(&f, (cl_call_spec){.retries = 5, .deadline = 3});
    fake_servers(&f, "m", "s.1");
    fake_advance(&f, 2500);
    CHECK_INT(f.n_sent, 2);
    CHECK_INT(f.sent[1].deadline, start + 3000);
    fake_advance(&f, 1000);
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_ETIMEOUT);
    CHECK_INT(fake_result(&f, id)->at, start + 3000);
    CHECK_INT(f.n_sent, 2);
    id = fake_call_spec(&f, (cl_call_spec){.timeout = 1e300});
    fake_advance(&f, 86400 * 1000 + 1); /* max_deadline */
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_ETIMEOUT);
    fake_end(&f);
}

static void an_early_deadline_deletes_nobody(void)
{
    fake f = {0};
    fake_start(&f);
    fake_call_spec(&f, (cl_call_spec){.deadline = 0.2});
    fake_servers(&f, "m", "n.1");
    fake_advance(&f, 300);
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_RESULT), 1);
    CHECK_INT(f.n_forgets, 0);
    fake_call(&f, "m");
    CHECK_INT(f.n_sent, 2);
    fake_end(&f);
}

/* An answer that is over our limits: the call was executed, and its server is not to blame. */
static void an_answer_that_is_too_big(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call_spec(&f, (cl_call_spec){.retries = 3});
    fake_servers(&f, "m", "n.1");
    cl_envelope e = {.type = CL_RESULT,
                     .flags = CL_TOO_BIG,
                     .from = CL_STR("n.1"),
                     .id = cl_str_of(f.sent[0].id, f.sent[0].id_n),
                     .size = 5000000};
    cl_core_envelope(f.core, f.node, &e);
    fake_event *r = fake_result(&f, id);
    CHECK_INT(r->e.code, CLOUDS_ETOOBIG);
    CHECK_INT(r->e.outcome, CLOUDS_OUTCOME_UNKNOWN);
    CHECK(strstr(r->error, "\"size\":5000000") && strstr(r->error, "\"limit\":1048576"));
    fake_advance(&f, 100000);
    CHECK_INT(f.n_forgets, 0);
    fake_end(&f);
}

static void an_answer_that_says_what_is_not_known(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call_spec(&f, (cl_call_spec){.retries = 3});
    fake_servers(&f, "m", "n.1");
    cl_envelope e = cl_envelope_of(CL_RESULT, CL_STR("n.1"), CL_STR("c.1"), cl_str_of(f.sent[0].id, f.sent[0].id_n));
    e.flags = CL_UNSUPPORTED;
    cl_core_envelope(f.core, f.node, &e);
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_EPROTO);
    CHECK_INT(fake_result(&f, id)->e.outcome, CLOUDS_OUTCOME_UNKNOWN);
    CHECK_INT(f.n_sent, 1);
    fake_end(&f);
}

/* A server that reads no frames is passed over, and where there is no other the call was not executed. */
static void what_goes_along_needs_frames(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call_spec(&f, (cl_call_spec){.meta = CL_STR("{}"), .bytes = CL_STR("x")});
    fake_servers(&f, "m", "n.1,s.2,f.3");
    REQUIRE(f.n_sent == 1);
    CHECK(strcmp(f.sent[0].to, "f.3") == 0);
    CHECK_INT(f.sent[0].flags, CL_NATIVE | CL_FRAMES);
    fake_answer(&f, 0, "null", "[1]");
    CHECK_INT(fake_result(&f, id)->e.code, 0);
    id = fake_call_spec(&f, (cl_call_spec){.method = CL_STR("o"), .meta = CL_STR("{}")});
    fake_servers(&f, "o", "n.1,s.2");
    fake_servers(&f, "o", "n.1,s.2");
    fake_event *r = fake_result(&f, id);
    REQUIRE(r != NULL);
    CHECK_INT(r->e.code, CLOUDS_ENOTSUP);
    CHECK_INT(r->e.outcome, CLOUDS_OUTCOME_NOT_DONE);
    CHECK_INT(f.n_sent, 1);
    fake_end(&f);
}

/* Once at most: what may have been executed is not sent again, whatever the caller allows. */
static void a_notification_is_not_repeated(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call_spec(&f, (cl_call_spec){.notify = 1, .retries = 3, .timeout = 1});
    fake_servers(&f, "m", "l.1,l.2");
    REQUIRE(f.n_sent == 1);
    CHECK_INT(f.sent[0].flags & CL_NOTIFY, CL_NOTIFY);
    fake_delivery(&f, 0, CL_DELIVERY_NOBODY); /* this was not */
    REQUIRE(f.n_sent == 2);
    fake_delivery(&f, 1, CL_DELIVERY_WRITTEN);
    CHECK_INT(fake_result(&f, id)->e.code, 0);
    id = fake_call_spec(&f, (cl_call_spec){.notify = 1, .retries = 3, .timeout = 1});
    fake_delivery(&f, 2, CL_DELIVERY_LOST);
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_ELOST);
    id = fake_call_spec(&f, (cl_call_spec){.notify = 1, .retries = 3, .timeout = 1});
    fake_advance(&f, 1000);
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_ETIMEOUT);
    CHECK_INT(f.n_sent, 4);
    fake_end(&f);
}

static void calls_inherit_the_time_left(void)
{
    fake f = {.config = fake_node_config("server")};
    fake_start(&f);
    cl_node_register(f.node, CL_STR("up"), &(cl_op_spec){.id = 7});
    uint64_t parent = fake_inbound(&f, f.node, "c.9", "abc", "up", CL_NATIVE, f.now + 500);
    CHECK(parent != 0);
    uint64_t id = fake_call_spec(&f, (cl_call_spec){.parent = parent});
    CHECK_INT(fake_call_code(&f, f.node, (cl_call_spec){.id = 500000, .parent = 999999}), CLOUDS_ESTALE);
    uint64_t other = fake_call_spec(&f, (cl_call_spec){0});
    fake_servers(&f, "m", "s.1");
    CHECK_INT(f.sent[0].deadline, f.now + 500);
    CHECK_INT(f.sent[1].deadline, f.now + 2000);
    fake_advance(&f, 501);
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_ETIMEOUT);
    CHECK_INT(fake_results(&f, other), 0);
    id = fake_call_spec(&f, (cl_call_spec){.parent = parent}); /* no time is left at all */
    CHECK_INT(f.n_sent, 2);
    fake_advance(&f, 1);
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_EEXPIRED);
    fake_end(&f);
}

static void calls_wait_for_bus_and_node(void)
{
    fake f = {0};
    cl_core_config config = fake_core_config();
    cl_node_config client = fake_node_config("client");
    fake_open(&f, &config);
    f.node = fake_node(&f, "c.1", &client);
    uint64_t early = fake_call_spec(&f, (cl_call_spec){.timeout = 0.5}), id = fake_call(&f, "m");
    CHECK_INT(f.n_looks, 0);
    fake_advance(&f, 501);
    CHECK_INT(fake_result(&f, early)->e.code, CLOUDS_EEXPIRED);
    CHECK_INT(fake_result(&f, early)->e.outcome, CLOUDS_OUTCOME_NOT_DONE);
    cl_core_bus(f.core, 1, 0, NULL);
    CHECK_INT(f.n_looks, 0);
    cl_node_ready(f.node, 0, NULL);
    CHECK_INT(f.n_looks, 1);
    fake_servers(&f, "m", "s.1");
    CHECK_INT(f.n_sent, 1);
    fake_answer(&f, 0, "", "[]");
    CHECK_INT(fake_result(&f, id)->e.code, 0);
    fake_end(&f);
}

static void refused_sends_wait_for_the_bus(void)
{
    fake f = {0};
    fake_start(&f);
    fake_call(&f, "m");
    fake_servers(&f, "m", "s.1");
    f.send_code = CLOUDS_EUNREACHABLE;
    uint64_t id = fake_call(&f, "m"), late = fake_call_spec(&f, (cl_call_spec){.deadline = 0.3});
    cl_core_bus(f.core, 0, CLOUDS_EUNREACHABLE, "gone");
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_BUS_DOWN), 1);
    fake_advance(&f, 301);
    CHECK_INT(fake_result(&f, late)->e.code, CLOUDS_EEXPIRED);
    f.send_code = 0;
    CHECK_INT(f.n_sent, 1);
    cl_core_bus(f.core, 1, 0, NULL);
    CHECK_INT(f.n_sent, 2);
    CHECK_INT(f.looks[f.n_looks - 1].known, 1); /* the list is refreshed meanwhile */
    fake_answer(&f, 1, "", "[]");
    CHECK_INT(fake_result(&f, id)->e.code, 0);
    f.send_code = CLOUDS_EUNREACHABLE; /* and without a word of the bus: it is tried again soon */
    id = fake_call(&f, "m");
    fake_advance(&f, 100);
    f.send_code = 0;
    fake_advance(&f, 100);
    CHECK_INT(f.n_sent, 3);
    fake_answer(&f, 2, "", "[]");
    CHECK_INT(fake_result(&f, id)->e.code, 0);
    CHECK_INT(cl_core_counters(f.core)[CL_COUNT_RECONNECTS], 1);
    fake_end(&f);
}

/* A look may take longer than an attempt (Redis is scanned once a second): the last word still holds then. */
static void nobody_served_it_a_moment_ago(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call_spec(&f, (cl_call_spec){.timeout = 0.2});
    fake_advance(&f, 201);
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_EEXPIRED); /* nothing is known yet */
    fake_servers(&f, "m", "");
    id = fake_call_spec(&f, (cl_call_spec){.timeout = 0.2});
    CHECK_INT(fake_results(&f, id), 0); /* one may have come meanwhile */
    fake_advance(&f, 201);
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_ENOSERVER);
    CHECK_INT(fake_result(&f, id)->e.outcome, CLOUDS_OUTCOME_NOT_DONE);
    fake_advance(&f, 10000); /* and it holds until there is another */
    id = fake_call_spec(&f, (cl_call_spec){.timeout = 0.2});
    fake_advance(&f, 201);
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_ENOSERVER);
    fake_end(&f);
}

static void other_send_errors_end_the_call(void)
{
    static const int codes[] = {CLOUDS_ETOOBIG, CLOUDS_ENOMEM};
    fake f = {0};
    fake_start(&f);
    fake_call(&f, "m");
    fake_servers(&f, "m", "s.1");
    for (int i = 0; i < 2; i++) {
        f.send_code = codes[i];
        uint64_t id = fake_call_spec(&f, (cl_call_spec){.retries = 3});
        CHECK_INT(fake_result(&f, id)->e.code, codes[i]);
        CHECK_INT(fake_result(&f, id)->e.outcome, CLOUDS_OUTCOME_NOT_DONE);
    }
    fake_end(&f);
}

static void limits_are_errors(void)
{
    fake f = {0};
    fake_start(&f);
    for (int i = 0; i < 1000; i++) CHECK(fake_call(&f, "m") != 0);
    CHECK_INT(fake_call_code(&f, f.node, (cl_call_spec){.id = 5}), CLOUDS_ELIMIT);
    CHECK(cl_core_counters(f.core)[CL_COUNT_LIMIT_HITS] == 1);
    fake_servers(&f, "m", "");
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_RESULT), 1000);
    f.reserve_code = CLOUDS_ENOMEM;
    CHECK_INT(fake_call_code(&f, f.node, (cl_call_spec){.id = 5}), CLOUDS_ENOMEM);
    f.reserve_code = 0;
    CHECK_INT(fake_call_code(&f, f.node, (cl_call_spec){.id = 5, .method = CL_STR_NONE}), CLOUDS_EINVAL);
    CHECK_INT(fake_call_code(&f, f.node, (cl_call_spec){.id = 0}), CLOUDS_EINVAL);
    char *big = calloc(1, (1 << 20) + 1);
    CHECK_INT(fake_call_code(&f, f.node, (cl_call_spec){.id = 5, .args = cl_str_of(big, (1 << 20) + 1)}),
              CLOUDS_ETOOBIG);
    int accepted = 0;
    for (int i = 0; i < 100; i++)
        accepted +=
            fake_call_code(&f, f.node, (cl_call_spec){.id = ++f.ids, .args = cl_str_of(big, 1 << 19 << 0 | 1)}) == 0;
    CHECK_INT(accepted, 100);
    free(big);
    fake_end(&f);
}

static void arguments_held_are_bounded(void)
{
    fake f = {0};
    fake_start(&f);
    size_t size = 1 << 19;
    char *big = calloc(1, size);
    uint64_t first = fake_call_spec(&f, (cl_call_spec){.args = cl_str_of(big, size)});
    for (int i = 1; i < 128; i++) CHECK(fake_call_spec(&f, (cl_call_spec){.args = cl_str_of(big, size)}) != 0);
    CHECK_INT(fake_call_code(&f, f.node, (cl_call_spec){.id = 5, .args = cl_str_of(big, size)}), CLOUDS_ELIMIT);
    CHECK(fake_call(&f, "m") != 0); /* a small one holds nothing */
    for (int i = 0; i < 10; i++) {
        cl_core_cancel(f.core, first);
        first = fake_call_spec(&f, (cl_call_spec){.args = cl_str_of(big, size)});
        CHECK(first != 0);
    }
    free(big);
    fake_end(&f);
}

static void methods_kept_are_bounded(void)
{
    fake f = {0};
    fake_start(&f);
    char name[16];
    for (int i = 0; i < 10050; i++) {
        snprintf(name, sizeof name, "m%d", i);
        uint64_t id = fake_call(&f, name);
        CHECK(id != 0);
        fake_servers(&f, name, "s.1");
        cl_core_cancel(f.core, id);
        f.n_events = f.n_sent = f.n_looks = 0;
    }
    fake_call(&f, "m10049");
    CHECK_INT(f.n_looks, 0); /* still known */
    fake_call(&f, "m1");
    CHECK_INT(f.n_looks, 1); /* dropped */
    fake_end(&f);
}

static void cancel_completes(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t looking = fake_call(&f, "m"), sent = fake_call(&f, "k");
    fake_servers(&f, "k", "s.1");
    CHECK_INT(cl_core_cancel(f.core, looking), 0);
    CHECK_INT(cl_core_cancel(f.core, sent), 0);
    CHECK_INT(fake_result(&f, looking)->e.code, CLOUDS_ECANCELED);
    CHECK_INT(fake_result(&f, sent)->e.code, CLOUDS_ECANCELED);
    CHECK_INT(cl_core_cancel(f.core, 12345), CLOUDS_ESTALE);
    fake_servers(&f, "m", "s.1");
    fake_answer(&f, 0, "", "[]");
    CHECK_INT(fake_results(&f, sent), 1);
    CHECK_INT(f.n_sent, 1);
    fake_end(&f);
}

static void only_its_answer_reaches_a_call(void)
{
    fake f = {0};
    fake_start(&f);
    cl_node_config client = fake_node_config("client");
    cl_node *other = fake_node(&f, "c.2", &client);
    cl_node_ready(other, 0, NULL);
    uint64_t id = fake_call(&f, "m");
    fake_servers(&f, "m", "s.1");
    uint64_t state = 3;
    char good[64];
    memcpy(good, f.sent[0].id, sizeof good);
    for (int i = 0; i < 33; i++) { /* forged: every digit changed in turn */
        memcpy(f.sent[0].id, good, sizeof good);
        f.sent[0].id[i] = good[i] == 'A' ? 'B' : 'A';
        fake_answer(&f, 0, "", "[\"evil\"]");
    }
    CHECK_INT(cl_core_counters(f.core)[CL_COUNT_FOREIGN_ANSWERS], 33);
    for (int i = 0; i < 1000; i++) {
        for (int k = 0; k < 33; k++) f.sent[0].id[k] = (char)(cl_rand_next(&state) % 255 + 1);
        f.sent[0].id_n = cl_rand_next(&state) % 34;
        fake_answer(&f, 0, "", "[\"evil\"]");
    }
    memcpy(f.sent[0].id, good, sizeof good);
    f.sent[0].id_n = 33;
    cl_node *mine = f.node;
    f.node = other; /* the right id at the wrong node */
    fake_answer(&f, 0, "", "[\"evil\"]");
    f.node = mine;
    CHECK_INT(fake_results(&f, id), 0);
    fake_answer(&f, 0, "", "[\"good\"]");
    CHECK_STR(fake_result(&f, id)->data, 8, "[\"good\"]");
    fake_end(&f);
}

/* Where nobody else can answer the id is short, and counts from that peer alone. */
static void a_linked_peer_gets_short_ids(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t first = fake_call(&f, "m");
    fake_servers(&f, "m", "l.1,s.1");
    uint64_t second = fake_call(&f, "m");
    CHECK_INT(f.sent[0].id_n, 8);
    CHECK_INT(f.sent[1].id_n, 33);
    fake_sent good = f.sent[0];
    strcpy(f.sent[0].to, "l.2");
    fake_answer(&f, 0, "", "[\"evil\"]"); /* from another peer */
    f.sent[0] = good;
    for (int bit = 0; bit < 64; bit++) {
        f.sent[0].id[bit / 8] = (char)(good.id[bit / 8] ^ 1 << bit % 8);
        fake_answer(&f, 0, "", "[\"evil\"]");
        f.sent[0] = good;
    }
    strcpy(f.sent[0].to, "s.1");
    uint64_t token = f.sent[1].token ^ f.sent[0].token; /* the short id of what went out with a long one */
    for (int i = 0; i < 8; i++) f.sent[0].id[i] = (char)(good.id[i] ^ (char)(token >> (8 * i)));
    fake_answer(&f, 0, "", "[\"evil\"]");
    f.sent[0] = good;
    CHECK_INT(fake_results(&f, first) + fake_results(&f, second), 0);
    fake_answer(&f, 0, "", "[1]");
    fake_answer(&f, 1, "", "[2]");
    CHECK_STR(fake_result(&f, first)->data, 3, "[1]");
    CHECK_STR(fake_result(&f, second)->data, 3, "[2]");
    fake_answer(&f, 0, "", "[1]");
    CHECK(cl_core_counters(f.core)[CL_COUNT_LATE_ANSWERS] >= 1);
    fake_end(&f);
}

static char logged[8][200];
static int n_logged;

static void on_log(void *unused, int level, const char *text)
{
    if (n_logged < 8) snprintf(logged[n_logged++], sizeof *logged, "%d %s", level, text);
}

/* Each loss and each return is said once, as loud as each other, however often it is tried meanwhile. */
static void the_bus_is_logged_once_each_way(void)
{
    fake f = {0};
    cl_log_hook(on_log, NULL, CLOUDS_LOG_INFO);
    fake_start(&f);
    for (int i = 0; i < 3; i++) cl_core_bus(f.core, 0, CLOUDS_EUNREACHABLE, "connection refused");
    cl_core_bus(f.core, 0, CLOUDS_EAUTH, "wrong password");
    for (int i = 0; i < 2; i++) cl_core_bus(f.core, 1, 0, "");
    CHECK_INT(n_logged, 4);
    CHECK_STR(logged[0], strlen(logged[0]), "1 : connected");
    CHECK_STR(logged[1], strlen(logged[1]), "2 connection refused");
    CHECK_STR(logged[2], strlen(logged[2]), "2 wrong password");
    CHECK_STR(logged[3], strlen(logged[3]), "2 : connected again");
    cl_log_hook(NULL, NULL, 0);
    fake_end(&f);
}

static void timers_are_armed_rarely(void)
{
    fake f = {0};
    fake_start(&f);
    fake_call(&f, "m");
    fake_servers(&f, "m", "s.1");
    fake_answer(&f, 0, "", "[]");
    int arms = f.arms;
    for (int i = 0; i < 1000; i++) {
        fake_call(&f, "m");
        fake_answer(&f, f.n_sent - 1, "", "[]");
        f.now++;
    }
    CHECK(f.arms - arms < 3);
    fake_end(&f);
}

int main(void)
{
    RUN(answers_complete);
    RUN(app_errors_pass);
    RUN(what_never_left_is_not_done);
    RUN(timeout_of_npm_server_deletes_it);
    RUN(timeout_of_our_server_avoids_it);
    RUN(auto_clean_is_an_option);
    RUN(removal_can_be_taken_over);
    RUN(no_server_is_retried_later);
    RUN(slow_lists_leave_all_retries);
    RUN(a_long_pause_looks_for_servers);
    RUN(a_server_that_comes_up_ends_the_wait);
    RUN(a_shunned_server_ends_no_pause);
    RUN(attempts_are_asked_for);
    RUN(a_question_ends_with_its_call);
    RUN(a_question_waits_for_no_pause);
    RUN(a_question_without_room);
    RUN(timeouts_are_retried_elsewhere_at_once);
    RUN(a_retry_that_finds_nobody_is_not_harmless);
    RUN(deadline_limits_the_whole);
    RUN(an_early_deadline_deletes_nobody);
    RUN(an_answer_that_is_too_big);
    RUN(an_answer_that_says_what_is_not_known);
    RUN(what_goes_along_needs_frames);
    RUN(a_notification_is_not_repeated);
    RUN(calls_inherit_the_time_left);
    RUN(calls_wait_for_bus_and_node);
    RUN(refused_sends_wait_for_the_bus);
    RUN(nobody_served_it_a_moment_ago);
    RUN(other_send_errors_end_the_call);
    RUN(limits_are_errors);
    RUN(arguments_held_are_bounded);
    RUN(methods_kept_are_bounded);
    RUN(cancel_completes);
    RUN(only_its_answer_reaches_a_call);
    RUN(a_linked_peer_gets_short_ids);
    RUN(the_bus_is_logged_once_each_way);
    RUN(timers_are_armed_rarely);
    return tap_end();
}
