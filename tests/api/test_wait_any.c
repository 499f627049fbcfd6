/* clouds_wait_any and clouds_wait_any_into: the first of several. */
#include <pthread.h>
#include <stdatomic.h>

#include "api/inside.h"

static const char *mode;
static clouds_context *context;
static clouds_node *node;

static const clouds_call_options kept = {.size = sizeof kept, .flags = CLOUDS_CALL_WAIT};

static void open_silent(void)
{
    context = kit_context(kit_url("inproc:"), mode);
    node = kit_node(context, "base");
    CHECK_INT(kit_register(context, node, "silent"), 0);
}

static uint64_t ends_after(double seconds)
{
    const clouds_call_options how = {.size = sizeof how, .flags = CLOUDS_CALL_WAIT, .deadline = seconds};
    return kit_call(node, "silent", "[]", &how);
}

static int first_of(const uint64_t *calls, size_t count, double timeout, clouds_event *e)
{
    return clouds_wait_any(context, calls, count, timeout, e, sizeof *e);
}

/* Each comes once, in the order in which they end, and not in that of the list. */
static void in_the_order_of_their_ends(void)
{
    clouds_event e = {0};
    open_silent();
    uint64_t calls[] = {ends_after(1.8), ends_after(1.2), ends_after(0.6)};
    CHECK_INT(first_of(calls, 3, 0, &e), 0);
    for (size_t left = 3; left > 0; left--) {
        CHECK_INT(first_of(calls, left, KIT_PATIENCE, &e), 1);
        CHECK(e.type == CLOUDS_EVENT_RESULT && e.id == calls[left - 1] && e.code == CLOUDS_ETIMEOUT);
        CHECK(e.error_len && e.error[0] == '{');
        CHECK_INT(clouds_event_release(&e), 0);
    }
    CHECK_INT(first_of(calls, 3, 0, &e), CLOUDS_ESTALE);
    clouds_context_destroy(context);
}

/* More than have a place on the stack; and one that is there twice. */
static void many(void)
{
    enum { COUNT = 100 };
    uint64_t calls[COUNT + 1];
    clouds_event e = {0};
    open_silent();
    for (int i = 0; i < COUNT; i++) calls[i] = ends_after(20);
    calls[COUNT - 1] = ends_after(0.05);
    calls[COUNT] = calls[COUNT - 1];
    CHECK_INT(first_of(calls, COUNT + 1, KIT_PATIENCE, &e), 1);
    CHECK(e.id == calls[COUNT]);
    CHECK_INT(clouds_event_release(&e), 0);
    CHECK_INT(first_of(calls, COUNT - 1, 0, &e), 0);
    CHECK_INT(clouds_wait(context, calls[0], 0, &e, sizeof e), 0); /* kept as before */
    clouds_context_destroy(context);
}

/* Operations and calls together; a cancel is an end too. */
static void operations_and_cancel(void)
{
    const clouds_operation_options wait = {.size = sizeof wait, .flags = CLOUDS_OPERATION_WAIT};
    clouds_event e = {0};
    uint64_t ids[2];
    open_silent();
    ids[0] = kit_call(node, "silent", "[]", &kept);
    CHECK_INT(clouds_node_status(node, &wait, &ids[1]), 0);
    CHECK_INT(first_of(ids, 2, KIT_PATIENCE, &e), 1);
    CHECK(e.type == CLOUDS_EVENT_STATUS && e.id == ids[1]);
    CHECK_INT(clouds_event_release(&e), 0);
    CHECK_INT(clouds_cancel(context, ids[0]), 0);
    CHECK_INT(first_of(ids, 1, KIT_PATIENCE, &e), 1);
    CHECK(e.id == ids[0] && e.code == CLOUDS_ECANCELED);
    CHECK_INT(clouds_event_release(&e), 0);
    clouds_context_destroy(context);
}

static void questions(void)
{
    const clouds_call_options ask = {.size = sizeof ask, .flags = CLOUDS_CALL_WAIT | CLOUDS_CALL_ASK, .timeout = 20};
    clouds_event e = {0};
    open_silent();
    uint64_t calls[] = {kit_call(node, "silent", "[]", &kept), kit_call(node, "silent", "[1]", &ask)};
    CHECK_INT(first_of(calls, 2, KIT_PATIENCE, &e), 1);
    CHECK(e.type == CLOUDS_EVENT_ATTEMPT && e.id == calls[1]);
    CHECK_INT(clouds_event_release(&e), 0);
    CHECK_INT(clouds_attempt(context, calls[1], NULL, 0), 0);
    CHECK_INT(first_of(calls, 2, 0.01, &e), 0);
    clouds_context_destroy(context);
}

static void texts_in_a_room(void)
{
    clouds_event e = {0};
    char text[512];
    size_t needed = 0;
    open_silent();
    uint64_t calls[] = {kit_call(node, "silent", "[]", &kept), kit_call(node, "nobody", "[]", &kept)};
    CHECK_INT(clouds_wait_any_into(context, calls, 2, KIT_PATIENCE, &e, sizeof e, NULL, 0, &needed), CLOUDS_ETOOBIG);
    CHECK(needed > 6 && needed < sizeof text);
    CHECK_INT(clouds_wait_any_into(context, calls, 2, 0, &e, sizeof e, text, sizeof text, &needed), 1);
    CHECK(e.id == calls[1] && e.code == CLOUDS_ENOSERVER && !e.owned);
    CHECK(e.error >= text && e.error + e.error_len <= text + needed);
    clouds_context_destroy(context);
}

static void misuse(void)
{
    clouds_event e = {0};
    open_silent();
    uint64_t plain = kit_call(node, "silent", "[]", NULL);
    uint64_t calls[] = {kit_call(node, "silent", "[]", &kept), plain};
    CHECK_INT(first_of(calls, 0, 0, &e), CLOUDS_EINVAL);
    CHECK_INT(first_of(NULL, 2, 0, &e), CLOUDS_EINVAL);
    CHECK_INT(first_of(calls, SIZE_MAX / 2, 0, &e), CLOUDS_EINVAL);
    CHECK_INT(clouds_wait_any(context, calls, 1, 0, NULL, sizeof e), CLOUDS_EINVAL);
    CHECK_INT(clouds_wait_any(context, calls, 1, 0, &e, 8), CLOUDS_EINVAL);
    CHECK_INT(clouds_wait_any(NULL, calls, 1, 0, &e, sizeof e), CLOUDS_EHANDLE);
    CHECK_INT(first_of(calls, 2, 0, &e), CLOUDS_ESTALE);
    char id[32];
    snprintf(id, sizeof id, " %llu ", (unsigned long long)plain);
    CHECK(strstr(clouds_last_error(), id) != NULL); /* which */
    CHECK_INT(first_of(calls, 1, 0, &e), 0);
    clouds_context_destroy(context);
}

/* ---- thread mode */

static uint64_t shared[3];
static atomic_int ends[3];

static void *wait_for_shared(void *code)
{
    clouds_event e;
    int got = first_of(shared, 3, KIT_PATIENCE, &e);
    *(int *)code = got;
    if (got != 1) return NULL;
    for (int i = 0; i < 3; i++) atomic_fetch_add(&ends[i], e.id == shared[i]);
    clouds_event_release(&e);
    return NULL;
}

/* All wait for the same: one is told of the end, and the others that it is taken. */
static void several_wait_for_the_same(void)
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    int codes[THREADS], won = 0, stale = 0;
    open_silent();
    for (int i = 0; i < 3; i++) shared[i] = kit_call(node, "silent", "[]", &kept);
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, wait_for_shared, &codes[i]);
    for (int i = 0; i < 3; i++) await_waiters(context, shared[i], THREADS);
    CHECK_INT(clouds_cancel(context, shared[1]), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++) won += codes[i] == 1, stale += codes[i] == CLOUDS_ESTALE;
    CHECK(won == 1 && stale == THREADS - 1);
    CHECK_INT(atomic_load(&ends[1]), 1);
    for (int i = 0; i < 3; i++) await_waiters(context, shared[i], 0);
    clouds_context_destroy(context);
}

static void destroy_sends_home(void)
{
    pthread_t thread;
    int code = 0;
    open_silent();
    for (int i = 0; i < 3; i++) shared[i] = kit_call(node, "silent", "[]", &kept);
    pthread_create(&thread, NULL, wait_for_shared, &code);
    await_waiters(context, shared[2], 1);
    clouds_context_destroy(context);
    pthread_join(thread, NULL);
    CHECK_INT(code, CLOUDS_ECLOSED);
}

static atomic_int served;

static void *serve(void *unused)
{
    clouds_event e[8];
    while (!atomic_load(&served)) {
        int n = clouds_poll(context, e, sizeof *e, 8, 0.05);
        for (int i = 0; i < n; i++) kit_answer(context, &e[i]);
    }
    return unused;
}

/* Keeps eight calls outstanding, and answers come in any order. */
static void *keep_some_outstanding(void *good)
{
    uint64_t calls[8];
    clouds_event e;
    for (int i = 0; i < 8; i++) calls[i] = kit_call(node, "echo", "[1]", &kept);
    for (int done = 0; done < 300; done++) {
        if (first_of(calls, 8, KIT_PATIENCE, &e) != 1) return NULL;
        for (int i = 0; i < 8; i++)
            if (calls[i] == e.id) calls[i] = kit_call(node, "echo", "[1]", &kept);
        *(int *)good += e.code == 0;
        clouds_event_release(&e);
    }
    return NULL;
}

static void from_several_threads(void)
{
    enum { THREADS = 3 };
    pthread_t threads[THREADS], server;
    int good[THREADS] = {0};
    open_silent();
    CHECK_INT(kit_register(context, node, "echo"), 0);
    atomic_store(&served, 0);
    pthread_create(&server, NULL, serve, NULL);
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, keep_some_outstanding, &good[i]);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++) CHECK_INT(good[i], 300);
    atomic_store(&served, 1);
    pthread_join(server, NULL);
    clouds_context_destroy(context);
}

static void in_each_mode(void)
{
    RUN(in_the_order_of_their_ends);
    RUN(many);
    RUN(operations_and_cancel);
    RUN(questions);
    RUN(texts_in_a_room);
    RUN(misuse);
}

int main(void)
{
    kit_modes(&mode, in_each_mode);
    RUN(several_wait_for_the_same);
    RUN(destroy_sends_home);
    RUN(from_several_threads);
    return kit_end();
}
