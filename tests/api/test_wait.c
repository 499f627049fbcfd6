/* clouds_wait: completions that are kept, from one thread and from many. */
#include <pthread.h>
#include <stdatomic.h>

#include "api/inside.h"

static const char *mode;
static clouds_context *context;
static clouds_node *node;

static const clouds_call_options kept = {.size = sizeof kept, .flags = CLOUDS_CALL_WAIT};

static void open_echo(void)
{
    context = kit_context(kit_url("inproc:"), mode);
    node = kit_node(context, "base");
    CHECK_INT(kit_register(context, node, "silent"), 0);
}

/* No method at all: the call ends by itself, without anybody who polls. */
static void ends_here_only(void)
{
    clouds_event e = {0}, other;
    open_echo();
    uint64_t call = kit_call(node, "nobody", "[]", &kept);
    CHECK_INT(clouds_wait(context, call, KIT_PATIENCE, &e, sizeof e), 1);
    CHECK(e.type == CLOUDS_EVENT_RESULT && e.id == call && e.node == node);
    CHECK_INT(e.code, CLOUDS_ENOSERVER);
    CHECK(e.error_len && memmem(e.error, e.error_len, "CLOUDS_NO_AVAILABLE_SERVER", 26));
    while (kit_next(context, &other, 0.05) == 1) CHECK(other.type != CLOUDS_EVENT_RESULT);
    CHECK(e.error[0] == '{'); /* still there after polls */
    CHECK_INT(clouds_wait(context, call, 0, &other, sizeof other), CLOUDS_ESTALE);
    clouds_event_release(&e);
    CHECK_INT(e.error_len, 0);
    clouds_event_release(&e);
    clouds_context_destroy(context);
}

static void a_value_outlives_the_context(void)
{
    clouds_event e = {0};
    open_echo();
    uint64_t call = kit_call(node, "nobody", "[]", &kept);
    CHECK_INT(clouds_wait(context, call, KIT_PATIENCE, &e, sizeof e), 1);
    clouds_context_destroy(context);
    CHECK(e.error_len && e.error[0] == '{');
    CHECK_INT(clouds_set_allocator(NULL, NULL), CLOUDS_EBUSY);
    clouds_event_release(&e);
    CHECK_INT(clouds_set_allocator(NULL, NULL), 0);
}

/* The questions of a call come where its completion does. */
static void questions_come_here_too(void)
{
    const clouds_call_options ask = {.size = sizeof ask, .flags = CLOUDS_CALL_WAIT | CLOUDS_CALL_ASK, .timeout = 20};
    clouds_event e = {0};
    char text[64];
    size_t needed = 0;
    open_echo();
    uint64_t call = kit_call(node, "silent", "[1]", &ask);
    CHECK_INT(clouds_wait_into(context, call, KIT_PATIENCE, &e, sizeof e, text, 1, &needed), CLOUDS_ETOOBIG);
    CHECK_INT(needed, 9);
    CHECK_INT(clouds_wait(context, call, KIT_PATIENCE, &e, sizeof e), 1);
    CHECK(e.type == CLOUDS_EVENT_ATTEMPT && e.id == call && e.number == 0);
    CHECK_STR(e.data, e.data_len, "[1]");
    clouds_event_release(&e);
    CHECK_INT(clouds_wait(context, call, 0, &e, sizeof e), 0); /* it waits for the answer */
    CHECK_INT(clouds_attempt(context, call, NULL, 0), 0);
    CHECK_INT(clouds_attempt(context, call, NULL, 0), CLOUDS_ESTALE);
    CHECK_INT(clouds_node_close(node, 0, NULL, NULL), 0);
    CHECK_INT(clouds_wait(context, call, KIT_PATIENCE, &e, sizeof e), 1);
    CHECK_INT(e.type, CLOUDS_EVENT_RESULT);
    clouds_event_release(&e);
    CHECK_INT(clouds_wait(context, call, 0, &e, sizeof e), CLOUDS_ESTALE);
    clouds_context_destroy(context);
}

/* Its completion takes the place of a question that nobody took. */
static void a_question_nobody_took(void)
{
    const clouds_call_options ask = {.size = sizeof ask, .flags = CLOUDS_CALL_WAIT | CLOUDS_CALL_ASK, .deadline = 0.05};
    clouds_event e = {0};
    open_echo();
    uint64_t call = kit_call(node, "silent", "[1]", &ask);
    double until = kit_now() + KIT_PATIENCE;
    uint64_t results = 0;
    while (results == 0 && kit_now() < until) {
        kit_next(context, &e, 0.01);
        clouds_counter(context, "results", 0, NULL, &results);
    }
    CHECK_INT(clouds_wait(context, call, KIT_PATIENCE, &e, sizeof e), 1);
    CHECK(e.type == CLOUDS_EVENT_RESULT && e.code == CLOUDS_EEXPIRED);
    clouds_event_release(&e);
    clouds_context_destroy(context);
}

static void time_passes(void)
{
    clouds_event e;
    open_echo();
    uint64_t call = kit_call(node, "silent", "[]",
                             &(clouds_call_options){.size = sizeof kept, .flags = CLOUDS_CALL_WAIT, .timeout = 2});
    CHECK_INT(clouds_wait(context, call, 0, &e, sizeof e), 0);
    double start = kit_now();
    CHECK_INT(clouds_wait(context, call, 0.05, &e, sizeof e), 0);
    CHECK(kit_now() - start >= 0.045);
    CHECK_INT(clouds_wait(context, call, -1, &e, sizeof e), 1);
    CHECK_INT(e.code, CLOUDS_ETIMEOUT);
    clouds_event_release(&e);
    clouds_context_destroy(context);
}

static void not_made_for_it(void)
{
    clouds_event e;
    open_echo();
    uint64_t call = kit_call(node, "silent", "[]", NULL);
    CHECK_INT(clouds_wait(context, call, 0, &e, sizeof e), CLOUDS_ESTALE);
    CHECK_INT(clouds_wait(context, call + 1, 0, &e, sizeof e), CLOUDS_ESTALE);
    clouds_context_destroy(context);
}

/* Waits in slices, as a language does that must look for signals. */
static int wait_in_slices(uint64_t call, clouds_event *e)
{
    double until = kit_now() + KIT_PATIENCE;
    int code = 0;
    while (code == 0 && kit_now() < until) code = clouds_wait(context, call, 0.00005, e, sizeof *e);
    return code;
}

static atomic_ullong to_cancel;

static void *cancel_each(void *unused)
{
    for (unsigned long long call, last = 0; (call = atomic_load(&to_cancel)) != UINT64_MAX;) {
        if (call == last) continue;
        for (unsigned spin = (unsigned)call % 97 * 40; spin > 0; spin--) atomic_load(&to_cancel);
        CHECK_INT(clouds_cancel(context, call), 0);
        last = call;
    }
    return unused;
}

/* Wherever the cancel falls, before, between and in slices: the wait hears of it. */
static void cancel_between_slices(void)
{
    enum { ROUNDS = 400 };
    int threaded = strcmp(mode, "thread") == 0, heard = 0;
    pthread_t canceler;
    clouds_event e;
    open_echo();
    atomic_store(&to_cancel, 0);
    if (threaded) pthread_create(&canceler, NULL, cancel_each, NULL);
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t call = kit_call(node, "silent", "[]", &kept);
        if (threaded) atomic_store(&to_cancel, call);
        for (int slice = 0; !threaded && slice < i % 3; slice++) clouds_wait(context, call, 0.00005, &e, sizeof e);
        if (!threaded) CHECK_INT(clouds_cancel(context, call), 0);
        if (wait_in_slices(call, &e) != 1) continue;
        heard += e.code == CLOUDS_ECANCELED;
        clouds_event_release(&e);
        CHECK_INT(clouds_wait(context, call, 0, &e, sizeof e), CLOUDS_ESTALE); /* once */
    }
    CHECK_INT(heard, ROUNDS);
    atomic_store(&to_cancel, UINT64_MAX);
    if (threaded) pthread_join(canceler, NULL);
    clouds_context_destroy(context);
}

/* A cancel that comes too late changes nothing. */
static void cancel_after_the_end(void)
{
    clouds_event e;
    open_echo();
    uint64_t call = kit_call(node, "nobody", "[]", &kept);
    double until = kit_now() + KIT_PATIENCE;
    uint64_t results = 0;
    while (results == 0 && kit_now() < until) {
        kit_next(context, &e, 0.01);
        clouds_counter(context, "results", 0, NULL, &results);
    }
    CHECK_INT(clouds_cancel(context, call), 0);
    CHECK_INT(clouds_wait(context, call, KIT_PATIENCE, &e, sizeof e), 1);
    CHECK_INT(e.code, CLOUDS_ENOSERVER);
    clouds_event_release(&e);
    CHECK_INT(clouds_cancel(context, call), CLOUDS_ESTALE);
    clouds_context_destroy(context);
}

static void a_second_cancel_drops_it(void)
{
    clouds_event e;
    open_echo();
    uint64_t done = kit_call(node, "nobody", "[]", &kept);
    double until = kit_now() + 0.3;
    while (kit_now() < until) kit_next(context, &e, 0.05);
    CHECK_INT(clouds_cancel(context, done), 0);
    CHECK_INT(clouds_cancel(context, done), 0);
    CHECK_INT(clouds_cancel(context, done), CLOUDS_ESTALE);
    CHECK_INT(clouds_wait(context, done, 0, &e, sizeof e), CLOUDS_ESTALE);
    uint64_t pending = kit_call(node, "silent", "[]", &kept);
    CHECK_INT(clouds_cancel(context, pending), 0);
    CHECK_INT(clouds_cancel(context, pending), 0);
    CHECK_INT(clouds_cancel(context, pending), CLOUDS_ESTALE);
    CHECK_INT(clouds_wait(context, pending, 0, &e, sizeof e), CLOUDS_ESTALE);
    while (kit_next(context, &e, 0.05) == 1) CHECK(e.type != CLOUDS_EVENT_RESULT);
    clouds_context_destroy(context);
}

static void too_many_kept(void)
{
    clouds_options *options = KIT_OPTIONS("url", kit_url("inproc:"), "mode", mode, "max_in_flight", "3");
    clouds_event e;
    uint64_t call;
    CHECK_INT(clouds_context_create(options, &context), 0);
    clouds_options_destroy(options);
    node = kit_node(context, "base");
    for (int i = 0; i < 3; i++) kit_call(node, "nobody", "[]", &kept);
    CHECK_INT(clouds_node_call(node, "nobody", 6, "[]", 2, &kept, &call), CLOUDS_ELIMIT);
    double until = kit_now() + 0.2;
    while (kit_now() < until) kit_next(context, &e, 0.05);
    CHECK_INT(clouds_node_call(node, "nobody", 6, "[]", 2, &kept, &call), CLOUDS_ELIMIT); /* completed, not taken */
    clouds_context_destroy(context);
}

/* ---- thread mode */

static atomic_int good, stop;

static void *call_and_wait(void *number)
{
    for (int i = 0; i < 300; i++) {
        char args[40];
        clouds_event e;
        uint64_t call;
        int n = snprintf(args, sizeof args, "[%d,%d]", (int)(intptr_t)number, i);
        if (clouds_node_call(node, "echo", 4, args, (size_t)n, &kept, &call) != 0) break;
        if (clouds_wait(context, call, KIT_PATIENCE, &e, sizeof e) != 1) break;
        if (e.code == 0 && e.data_len == (size_t)n && memcmp(e.data, args, e.data_len) == 0) atomic_fetch_add(&good, 1);
        clouds_event_release(&e);
    }
    return NULL;
}

static void *serve(void *unused)
{
    clouds_event e[32];
    while (!atomic_load(&stop)) {
        int n = clouds_poll(context, e, sizeof *e, 32, 0.05);
        for (int i = 0; i < n; i++) kit_answer(context, &e[i]);
    }
    return NULL;
}

static void many_threads(void)
{
    enum { THREADS = 6 };
    pthread_t threads[THREADS], server;
    open_echo();
    CHECK_INT(kit_register(context, node, "echo"), 0);
    atomic_store(&good, 0);
    atomic_store(&stop, 0);
    pthread_create(&server, NULL, serve, NULL);
    for (intptr_t i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, call_and_wait, (void *)i);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    atomic_store(&stop, 1);
    pthread_join(server, NULL);
    CHECK_INT(atomic_load(&good), THREADS * 300);
    clouds_context_destroy(context);
}

static uint64_t contested;
static atomic_int winners, stales, closed;

static void *contend(void *unused)
{
    clouds_event e;
    int code = clouds_wait(context, contested, KIT_PATIENCE, &e, sizeof e);
    if (code == 1) atomic_fetch_add(&winners, 1), clouds_event_release(&e);
    if (code == CLOUDS_ESTALE) atomic_fetch_add(&stales, 1);
    if (code == CLOUDS_ECLOSED) atomic_fetch_add(&closed, 1);
    return NULL;
}

/* Several wait for one call: one gets it, and the others are told. */
static void contest(void)
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    open_echo();
    for (int round = 0; round < 20; round++) {
        atomic_store(&winners, 0);
        atomic_store(&stales, 0);
        contested = kit_call(node, "silent", "[]",
                             &(clouds_call_options){.size = sizeof kept, .flags = CLOUDS_CALL_WAIT, .timeout = 0.03});
        for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, contend, NULL);
        for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
        CHECK_INT(atomic_load(&winners), 1);
        CHECK_INT(atomic_load(&stales), THREADS - 1);
    }
    clouds_context_destroy(context);
}

/* Canceled while somebody waits: that is who hears of it. */
static void cancel_tells_waiters(void)
{
    pthread_t thread;
    open_echo();
    atomic_store(&winners, 0);
    contested = kit_call(node, "silent", "[]", &kept);
    pthread_create(&thread, NULL, contend, NULL);
    await_waiters(context, contested, 1);
    CHECK_INT(clouds_cancel(context, contested), 0);
    pthread_join(thread, NULL);
    CHECK_INT(atomic_load(&winners), 1);
    clouds_context_destroy(context);
}

/* Destroyed under the feet of those who wait and poll: they return CLOUDS_ECLOSED first. */
static void destroy_sends_home(void)
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    open_echo();
    atomic_store(&closed, 0);
    contested = kit_call(node, "silent", "[]", &kept);
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, contend, NULL);
    await_waiters(context, contested, THREADS);
    clouds_context_destroy(context);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    CHECK_INT(atomic_load(&closed), THREADS);
}

static void in_each_mode(void)
{
    RUN(ends_here_only);
    RUN(a_value_outlives_the_context);
    RUN(questions_come_here_too);
    RUN(a_question_nobody_took);
    RUN(time_passes);
    RUN(not_made_for_it);
    RUN(cancel_between_slices);
    RUN(cancel_after_the_end);
    RUN(a_second_cancel_drops_it);
    RUN(too_many_kept);
}

int main(void)
{
    kit_modes(&mode, in_each_mode);
    RUN(many_threads);
    RUN(contest);
    RUN(cancel_tells_waiters);
    RUN(destroy_sends_home);
    return kit_end();
}
