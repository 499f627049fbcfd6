#include <malloc.h>

#include "base/mem.h"
#include "fake.h"

/* Idempotency keys: at the server, and what a caller does with one. */

enum { FLAGS = CL_NATIVE | CL_FRAMES };

static void start_server(fake *f)
{
    f->config = fake_node_config("server");
    fake_start(f);
    CHECK_INT(cl_node_register(f->node, CL_STR("up"), &(cl_op_spec){.id = 7}), 0);
    cl_core_registered(f->core, 7, 0, NULL);
}

static uint64_t come(fake *f, const char *key, const char *from, const char *id, const char *args)
{
    f->once = key;
    uint64_t request = fake_inbound_args(f, f->node, from, id, "up", args, FLAGS, f->now + 1000);
    f->once = NULL;
    return request;
}

static int hits(fake *f)
{
    return (int)cl_core_counters(f->core)[CL_COUNT_ONCE_HITS];
}

static void check_answer(const fake_sent *s, const char *to, const char *id, const char *error, const char *result)
{
    CHECK_INT(s->type, CL_RESULT);
    CHECK_STR(s->to, strlen(s->to), to);
    CHECK_STR(s->id, strlen(s->id), id);
    CHECK_STR(s->error, strlen(s->error), error);
    CHECK_STR(s->result, strlen(s->result), result);
}

static void check_refused(const fake_sent *s, const char *id, int code)
{
    CHECK_STR(s->id, strlen(s->id), id);
    CHECK_INT(s->flags, FLAGS | CL_REFUSED);
    if (!CHECK(strstr(s->error, clouds_err_name(code)) != NULL)) printf("# %s\n", s->error);
}

static void a_repeat_waits_for_the_answer_or_has_it(void)
{
    fake f = {0};
    start_server(&f);
    uint64_t request = come(&f, "k", "c.9", "a", "[1]");
    CHECK(request != 0);
    CHECK_INT(come(&f, "k", "c.9", "b", "[1]"), 0);
    CHECK_INT(come(&f, "k", "c.8", "c", "[1]"), 0);
    CHECK_INT(f.n_sent, 0);
    CHECK_INT(cl_core_answer(f.core, request, CL_STR_NONE, CL_STR("[8]")), 0);
    CHECK_INT(f.n_sent, 3);
    check_answer(&f.sent[0], "c.9", "a", "", "[8]");
    check_answer(&f.sent[1], "c.9", "b", "", "[8]");
    check_answer(&f.sent[2], "c.8", "c", "", "[8]");
    CHECK_INT(come(&f, "k", "c.7", "d", "[1]"), 0);
    check_answer(&f.sent[3], "c.7", "d", "", "[8]");
    CHECK_INT(hits(&f), 3);
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_REQUEST), 1);
    CHECK(come(&f, "l", "c.9", "e", "[1]") != 0); /* another key, and none */
    CHECK(fake_inbound(&f, f.node, "c.9", "f", "up", FLAGS, 0) != 0);
    fake_end(&f);
}

static void an_error_is_an_answer(void)
{
    fake f = {0};
    start_server(&f);
    uint64_t request = come(&f, "k", "c.9", "a", "[1]");
    CHECK_INT(cl_core_answer(f.core, request, CL_STR("{\"message\":\"no\"}"), CL_STR("[2]")), 0);
    CHECK_INT(come(&f, "k", "c.9", "b", "[1]"), 0);
    check_answer(fake_last_sent(&f), "c.9", "b", "{\"message\":\"no\"}", "[2]");
    fake_end(&f);
}

static void other_content_is_a_conflict(void)
{
    fake f = {0};
    start_server(&f);
    CHECK_INT(cl_node_register(f.node, CL_STR("down"), &(cl_op_spec){.id = 8}), 0);
    uint64_t request = come(&f, "k", "c.9", "a", "[1]");
    CHECK_INT(come(&f, "k", "c.9", "b", "[2]"), 0);
    check_refused(fake_last_sent(&f), "b", CLOUDS_EKEY);
    f.once = "k";
    CHECK_INT(fake_inbound_args(&f, f.node, "c.9", "c", "down", "[1]", FLAGS, f.now + 1000), 0);
    f.once = NULL;
    check_refused(fake_last_sent(&f), "c", CLOUDS_EKEY);
    CHECK_INT(cl_core_answer(f.core, request, CL_STR_NONE, CL_STR("[8]")), 0);
    CHECK_INT(come(&f, "k", "c.9", "d", "[3]"), 0);
    check_refused(fake_last_sent(&f), "d", CLOUDS_EKEY);
    CHECK_INT(hits(&f), 0);
    fake_end(&f);
}

/* It was not executed. */
static void a_refusal_frees_the_key(void)
{
    fake f = {0};
    start_server(&f);
    const cl_offer_spec limits = {.concurrency = 1, .queue = 1, .age = 100, .target = 100};
    CHECK_INT(cl_node_offer(f.node, CL_STR("up"), &limits, &(cl_op_spec){.id = 8}), 0);
    uint64_t first = come(&f, NULL, "c.9", "a", "[1]");
    CHECK_INT(come(&f, "k", "c.9", "b", "[1]"), 0); /* waits for its turn */
    CHECK_INT(come(&f, "k", "c.9", "c", "[1]"), 0);
    CHECK_INT(hits(&f), 1);
    CHECK_INT(come(&f, "l", "c.9", "d", "[1]"), 0);
    check_refused(fake_last_sent(&f), "d", CLOUDS_EOVERLOAD);
    CHECK_INT(f.n_sent, 1);
    fake_advance(&f, 200);
    CHECK_INT(f.n_sent, 3);
    check_refused(&f.sent[1], "b", CLOUDS_EOVERLOAD);
    check_refused(&f.sent[2], "c", CLOUDS_EOVERLOAD);
    CHECK_INT(cl_core_answer(f.core, first, CL_STR_NONE, CL_STR("[]")), 0);
    CHECK(come(&f, "k", "c.9", "e", "[2]") != 0);
    fake_end(&f);
}

static void what_waited_for_its_turn_is_answered_to_all(void)
{
    fake f = {0};
    start_server(&f);
    const cl_offer_spec limits = {.concurrency = 1, .queue = 5};
    CHECK_INT(cl_node_offer(f.node, CL_STR("up"), &limits, &(cl_op_spec){.id = 8}), 0);
    uint64_t first = come(&f, NULL, "c.9", "a", "[1]");
    come(&f, "k", "c.9", "b", "[1]");
    come(&f, "k", "c.9", "c", "[1]");
    come(&f, "l", "c.9", "e", "[1]");
    fake_cancel(&f, f.node, "c.9", "e"); /* its key is free again; b stays, since c waits for its answer */
    CHECK_INT(come(&f, "l", "c.9", "f", "[2]"), 0);
    CHECK_INT(hits(&f), 1);
    fake_cancel(&f, f.node, "c.9", "b");
    CHECK_INT(cl_core_answer(f.core, first, CL_STR_NONE, CL_STR("[]")), 0);
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_REQUEST), 2);
    CHECK_INT(cl_core_answer(f.core, fake_find(&f, CLOUDS_EVENT_REQUEST)->e.id, CL_STR_NONE, CL_STR("[8]")), 0);
    check_answer(&f.sent[1], "c.9", "b", "", "[8]");
    check_answer(&f.sent[2], "c.9", "c", "", "[8]");
    fake_end(&f);
}

/* Its caller has given up, and repeats the call. */
static void an_answer_that_is_late_is_kept(void)
{
    fake f = {0};
    start_server(&f);
    uint64_t request = come(&f, "k", "c.9", "a", "[1]"); /* has a second */
    fake_advance(&f, 2000);
    int64_t deadline = -1;
    CHECK_INT(cl_core_request(f.core, request, &deadline), 1);
    CHECK_INT(deadline, 0);
    CHECK_INT(come(&f, "k", "c.9", "b", "[1]"), 0);
    CHECK_INT(cl_core_answer(f.core, request, CL_STR_NONE, CL_STR("[8]")), 0);
    CHECK_INT(f.n_sent, 1);
    check_answer(fake_last_sent(&f), "c.9", "b", "", "[8]");
    CHECK_INT(cl_core_counters(f.core)[CL_COUNT_OVERDUE_REQUESTS], 0);
    fake_end(&f);
}

/* Who repeats it waits for longer: it ends when nobody waits any more. */
static void one_that_waits_to_be_begun_has_the_time_of_its_repeat(void)
{
    fake f = {0};
    start_server(&f);
    uint64_t request = come(&f, "k", "c.9", "a", "[1]"); /* has a second */
    f.once = "k";
    CHECK_INT(fake_inbound_args(&f, f.node, "c.9", "b", "up", "[1]", FLAGS, f.now + 5000), 0);
    f.once = NULL;
    f.waiting = 1;
    fake_advance(&f, 4900);
    CHECK_INT(cl_core_request(f.core, request, &(int64_t){0}), 1);
    CHECK_INT(f.n_sent, 0);
    fake_advance(&f, 200);
    CHECK_INT(cl_core_request(f.core, request, &(int64_t){0}), 0);
    CHECK_INT(f.n_sent, 2);
    check_refused(&f.sent[0], "a", CLOUDS_EEXPIRED);
    check_refused(&f.sent[1], "b", CLOUDS_EEXPIRED);
    fake_end(&f);
}

static void one_that_is_never_answered_ends(void)
{
    fake f = {0};
    start_server(&f);
    uint64_t request = come(&f, "k", "c.9", "a", "[1]");
    fake_advance(&f, 60999);
    CHECK_INT(cl_core_request(f.core, request, &(int64_t){0}), 1);
    fake_advance(&f, 2);
    CHECK_INT(cl_core_request(f.core, request, &(int64_t){0}), 0);
    CHECK_INT(cl_core_counters(f.core)[CL_COUNT_OVERDUE_REQUESTS], 1);
    CHECK(come(&f, "k", "c.9", "b", "[1]") != 0);
    fake_end(&f);
}

static void a_key_is_free_after_its_window(void)
{
    fake f = {0};
    start_server(&f);
    uint64_t request = come(&f, "k", "c.9", "a", "[1]");
    fake_advance(&f, 500);
    CHECK_INT(cl_core_answer(f.core, request, CL_STR_NONE, CL_STR("[8]")), 0);
    fake_advance(&f, 59999);
    CHECK_INT(come(&f, "k", "c.9", "b", "[1]"), 0);
    fake_advance(&f, 1);
    CHECK(come(&f, "k", "c.9", "c", "[2]") != 0);
    fake_end(&f);
}

static void who_gives_up_does_not_stop_it(void)
{
    fake f = {0};
    f.config = fake_node_config("server");
    f.config.cancel_events = 1;
    fake_start(&f);
    CHECK_INT(cl_node_register(f.node, CL_STR("up"), &(cl_op_spec){.id = 7}), 0);
    uint64_t request = come(&f, "k", "c.9", "a", "[1]");
    fake_cancel(&f, f.node, "c.9", "a");
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_CANCELED), 0);
    uint64_t inner = fake_call_spec(&f, (cl_call_spec){.method = CL_STR("m"), .args = CL_STR("[]"), .parent = request});
    CHECK(inner != 0 && fake_results(&f, inner) == 0);
    CHECK_INT(cl_core_answer(f.core, request, CL_STR_NONE, CL_STR("[8]")), 0);
    CHECK_INT(f.n_sent, 0);
    CHECK_INT(come(&f, "k", "c.9", "b", "[1]"), 0);
    check_answer(fake_last_sent(&f), "c.9", "b", "", "[8]");
    f.waiting = 1; /* one that was not begun never is, unless another waits for it */
    CHECK(come(&f, "l", "c.9", "c", "[1]") != 0);
    fake_cancel(&f, f.node, "c.9", "c");
    request = come(&f, "l", "c.9", "d", "[1]");
    CHECK(request != 0);
    CHECK_INT(come(&f, "l", "c.9", "e", "[1]"), 0);
    fake_cancel(&f, f.node, "c.9", "d");
    f.waiting = 0;
    CHECK_INT(cl_core_answer(f.core, request, CL_STR_NONE, CL_STR("[9]")), 0);
    check_answer(fake_last_sent(&f), "c.9", "e", "", "[9]");
    fake_end(&f);
}

static void the_end_of_the_node_ends_them(void)
{
    fake f = {0};
    start_server(&f);
    come(&f, "k", "c.9", "a", "[1]");
    come(&f, "k", "c.9", "b", "[1]");
    cl_node_close(f.node, 0);
    cl_core_node_closed(f.core, f.node);
    f.node = NULL;
    CHECK_INT(f.n_sent, 2);
    CHECK_INT(f.sent[0].flags, FLAGS | CL_LOST);
    CHECK_INT(f.sent[1].flags, FLAGS | CL_LOST);
    CHECK_STR(f.sent[1].id, strlen(f.sent[1].id), "b");
    fake_end(&f);
}

static void a_draining_node_still_has_the_answers(void)
{
    fake f = {0};
    start_server(&f);
    uint64_t request = come(&f, "k", "c.9", "a", "[1]"), other = come(&f, "l", "c.9", "b", "[1]");
    CHECK_INT(cl_core_answer(f.core, request, CL_STR_NONE, CL_STR("[8]")), 0);
    cl_node_close(f.node, 5);
    CHECK_INT(come(&f, "k", "c.9", "c", "[1]"), 0);
    check_answer(fake_last_sent(&f), "c.9", "c", "", "[8]");
    CHECK_INT(come(&f, "m", "c.9", "d", "[1]"), 0);
    check_refused(fake_last_sent(&f), "d", CLOUDS_EDRAINING);
    CHECK_INT(cl_core_answer(f.core, other, CL_STR_NONE, CL_STR("[9]")), 0);
    fake_end(&f);
}

/* ---- bounds */

static void start_bounded(fake *f, size_t keys, size_t bytes)
{
    cl_core_config config = fake_core_config();
    config.once_keys = keys;
    config.once_bytes = bytes;
    f->config = fake_node_config("server");
    fake_open(f, &config);
    f->node = fake_node(f, "c.1", &f->config);
    cl_core_bus(f->core, 1, 0, "");
    cl_node_ready(f->node, 0, NULL);
    CHECK_INT(cl_node_register(f->node, CL_STR("up"), &(cl_op_spec){.id = 7}), 0);
}

static void the_oldest_answers_go_first(void)
{
    fake f = {0};
    start_bounded(&f, 2, 1 << 20);
    cl_core_answer(f.core, come(&f, "1", "c.9", "a", "[1]"), CL_STR_NONE, CL_STR("[1]"));
    cl_core_answer(f.core, come(&f, "2", "c.9", "b", "[1]"), CL_STR_NONE, CL_STR("[2]"));
    uint64_t third = come(&f, "3", "c.9", "c", "[1]");
    CHECK(third != 0);
    CHECK_INT(come(&f, "2", "c.9", "d", "[1]"), 0); /* is there still */
    uint64_t fourth = come(&f, "1", "c.9", "e", "[1]");
    CHECK(fourth != 0);                             /* is not */
    CHECK_INT(come(&f, "5", "c.9", "f", "[1]"), 0); /* those that run take all the room */
    check_refused(fake_last_sent(&f), "f", CLOUDS_EOVERLOAD);
    cl_core_answer(f.core, third, CL_STR_NONE, CL_STR("[3]"));
    CHECK(come(&f, "5", "c.9", "g", "[1]") != 0);
    fake_end(&f);
}

static void an_answer_without_room_is_not_kept(void)
{
    static char big[8000];
    fake f = {0};
    start_bounded(&f, 100, 4096);
    memset(big, ' ', sizeof big);
    big[0] = '[', big[sizeof big - 1] = ']';
    uint64_t request = come(&f, "k", "c.9", "a", "[1]");
    CHECK_INT(cl_core_answer(f.core, request, CL_STR_NONE, cl_str_of(big, sizeof big)), 0);
    CHECK_INT(come(&f, "k", "c.9", "b", "[1]"), 0);
    CHECK(strstr(fake_last_sent(&f)->error, "CLOUDS_LIMIT_REACHED") != NULL);
    CHECK_INT(fake_last_sent(&f)->flags, FLAGS); /* it was executed */
    fake_end(&f);
}

static size_t held;

static void *counted(void *self, void *block, size_t size)
{
    held -= block ? malloc_usable_size(block) : 0;
    if (size == 0) return free(block), NULL;
    block = realloc(block, size);
    held += block ? malloc_usable_size(block) : 0;
    return block;
}

/* P8: a million keys take what they may. */
static void a_million_keys_are_bounded(void)
{
    enum { KEYS = 1000000 };
    fake f = {0};
    CHECK_INT(clouds_set_allocator(counted, NULL), 0);
    start_bounded(&f, KEYS, 16 << 20);
    size_t before = held, most = 0;
    for (int i = 0; i < KEYS; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        f.n_events = f.n_sent = 0;
        uint64_t request = come(&f, key, "c.9", "a", "[1]");
        cl_core_answer(f.core, request, CL_STR_NONE, CL_STR("[\"the answer\"]"));
        if (held > most) most = held;
    }
    if (!CHECK(most - before <= 16 << 20)) printf("# %zu bytes\n", most - before);
    CHECK(most - before > 8 << 20);
    CHECK_INT(come(&f, "999999", "c.9", "b", "[1]"), 0);
    fake_end(&f);
    CHECK_INT(clouds_set_allocator(NULL, NULL), 0);
}

/* ---- callers */

static uint64_t call_once(fake *f, int retries)
{
    return fake_call_spec(
        f, (cl_call_spec){.method = CL_STR("m"), .args = CL_STR("[]"), .once = CL_STR("k"), .retries = retries});
}

static void retries_prefer_the_server_that_may_have_run_it(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = call_once(&f, 2);
    fake_servers(&f, "m", "f.1,f.2,f.3");
    char first[48];
    strcpy(first, f.sent[0].to);
    CHECK_STR(f.sent[0].once, 1, "k");
    CHECK_INT(f.sent[0].deadline, f.now + 6000); /* that of the whole call */
    fake_advance(&f, 2000);
    CHECK_INT(f.n_sent, 2);
    CHECK_STR(f.sent[1].to, strlen(f.sent[1].to), first);
    CHECK_STR(f.sent[1].once, 1, "k");
    fake_delivery(&f, 1, CL_DELIVERY_LOST); /* its connection broke, and it is there still */
    CHECK_INT(f.n_sent, 3);
    CHECK_STR(f.sent[2].to, strlen(f.sent[2].to), first);
    fake_answer(&f, 2, "null", "[1]");
    CHECK_INT(fake_result(&f, id)->e.code, 0);
    fake_end(&f);
}

static void another_server_is_asked_when_it_is_gone(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = call_once(&f, 1);
    fake_servers(&f, "m", "f.1,f.2");
    char first[48];
    strcpy(first, f.sent[0].to);
    int looks = f.n_looks;
    cl_core_peer_down(f.core, cl_str_z(first));
    CHECK_INT(f.n_sent, 1);
    CHECK_INT(f.n_looks, looks + 1); /* is it gone, or only its connection? */
    fake_servers(&f, "m", strcmp(first, "f.1") == 0 ? "f.2" : "f.1");
    CHECK_INT(f.n_sent, 2);
    fake_answer(&f, 1, "null", "[1]");
    CHECK_INT(fake_result(&f, id)->e.code, 0);
    fake_end(&f);
}

static void a_conflict_ends_the_call(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = call_once(&f, 3);
    fake_servers(&f, "m", "f.1,f.2");
    fake_refuse(&f, 0, CLOUDS_EKEY);
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_EKEY);
    CHECK_INT(fake_result(&f, id)->e.outcome, CLOUDS_OUTCOME_NOT_DONE);
    fake_end(&f);
}

static void who_cannot_take_a_key_is_not_asked(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = call_once(&f, 0);
    fake_servers(&f, "m", "n.1,f.1,n.2");
    CHECK_INT(f.n_sent, 1);
    CHECK_STR(f.sent[0].to, strlen(f.sent[0].to), "f.1");
    fake_answer(&f, 0, "null", "[1]");
    CHECK_INT(fake_result(&f, id)->e.code, 0);
    id = call_once(&f, 0);
    fake_answer(&f, 1, "null", "[1]");
    fake_servers(&f, "m", "n.1");
    id = call_once(&f, 0);
    fake_servers(&f, "m", "n.1");
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_ENOTSUP);
    CHECK_INT(fake_result(&f, id)->e.outcome, CLOUDS_OUTCOME_NOT_DONE);
    fake_end(&f);
}

int main(void)
{
    RUN(a_repeat_waits_for_the_answer_or_has_it);
    RUN(an_error_is_an_answer);
    RUN(other_content_is_a_conflict);
    RUN(a_refusal_frees_the_key);
    RUN(what_waited_for_its_turn_is_answered_to_all);
    RUN(an_answer_that_is_late_is_kept);
    RUN(one_that_waits_to_be_begun_has_the_time_of_its_repeat);
    RUN(one_that_is_never_answered_ends);
    RUN(a_key_is_free_after_its_window);
    RUN(who_gives_up_does_not_stop_it);
    RUN(the_end_of_the_node_ends_them);
    RUN(a_draining_node_still_has_the_answers);
    RUN(the_oldest_answers_go_first);
    RUN(an_answer_without_room_is_not_kept);
    RUN(a_million_keys_are_bounded);
    RUN(retries_prefer_the_server_that_may_have_run_it);
    RUN(another_server_is_asked_when_it_is_gone);
    RUN(a_conflict_ends_the_call);
    RUN(who_cannot_take_a_key_is_not_asked);
    return tap_end();
}
