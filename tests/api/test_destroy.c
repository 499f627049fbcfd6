/* Destruction in any state, in any order, from any thread. */
#include <pthread.h>
#include <stdatomic.h>

#include "api/kit.h"

static const char *kind, *mode;

/* Options, context, two nodes: every order of their destruction, with calls, requests and registrations under way. */
static void every_order(void)
{
    static const int orders[24][4] = {
        {0, 1, 2, 3}, {0, 1, 3, 2}, {0, 2, 1, 3}, {0, 2, 3, 1}, {0, 3, 1, 2}, {0, 3, 2, 1}, {1, 0, 2, 3}, {1, 0, 3, 2},
        {1, 2, 0, 3}, {1, 2, 3, 0}, {1, 3, 0, 2}, {1, 3, 2, 0}, {2, 0, 1, 3}, {2, 0, 3, 1}, {2, 1, 0, 3}, {2, 1, 3, 0},
        {2, 3, 0, 1}, {2, 3, 1, 0}, {3, 0, 1, 2}, {3, 0, 2, 1}, {3, 1, 0, 2}, {3, 1, 2, 0}, {3, 2, 0, 1}, {3, 2, 1, 0}};
    for (int i = 0; i < 24; i++)
        for (int polls = 0; polls < 4; polls += 3) {
            clouds_options *options = KIT_OPTIONS("url", kit_url(kind), "mode", mode);
            clouds_context *context = NULL;
            clouds_event e;
            uint64_t id;
            CHECK_INT(clouds_context_create(options, &context), 0);
            clouds_node *a = kit_node(context, "server"), *b = kit_node(context, "client");
            CHECK_INT(clouds_node_register(a, "silent", 6, NULL, &id), 0);
            for (int k = 0; k < polls; k++) kit_next(context, &e, 0.02);
            kit_call(b, "silent", "[]", NULL);
            kit_call(b, "silent", "[]",
                     &(clouds_call_options){.size = sizeof(clouds_call_options), .flags = CLOUDS_CALL_WAIT});
            for (int k = 0; k < polls; k++) kit_next(context, &e, 0.02);
            for (int k = 0; k < 4; k++) {
                if (orders[i][k] == 0) clouds_options_destroy(options);
                if (orders[i][k] == 1) clouds_context_destroy(context);
                if (orders[i][k] == 2) clouds_node_destroy(a);
                if (orders[i][k] == 3) clouds_node_destroy(b);
            }
            CHECK_INT(clouds_node_call(b, "x", 1, "[]", 2, NULL, &id), CLOUDS_EHANDLE);
            CHECK_INT(kit_next(context, &e, 0), CLOUDS_EHANDLE);
        }
}

/* A node destroyed without a close: its calls still complete, and its end is not told. */
static void node_without_close(void)
{
    clouds_context *context = kit_context(kit_url(kind), mode);
    clouds_node *a = kit_node(context, "server"), *b = kit_node(context, "client");
    clouds_event e;
    CHECK_INT(kit_register(context, a, "silent"), 0);
    uint64_t call = kit_call(b, "silent", "[]", NULL);
    clouds_node_destroy(b);
    REQUIRE(kit_await(context, NULL, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK(e.id == call);
    CHECK(e.code == CLOUDS_ECANCELED || e.code == CLOUDS_ECLOSED);
    CHECK(e.node == b);
    CHECK(clouds_node_id(b) == NULL);
    while (kit_next(context, &e, 0.1) == 1) CHECK(e.type != CLOUDS_EVENT_NODE_CLOSED);
    /* The context forgets it: its closing waits for nothing. */
    CHECK_INT(clouds_context_close(context, 0, NULL, NULL), 0);
    CHECK_INT(kit_await(context, NULL, CLOUDS_EVENT_CONTEXT_CLOSED, &e), 1);
    clouds_context_destroy(context);
}

static void node_closed_then_destroyed(void)
{
    clouds_context *context = kit_context(kit_url(kind), mode);
    clouds_node *a = kit_node(context, "server");
    clouds_event e;
    CHECK_INT(clouds_node_close(a, 0, NULL, NULL), 0);
    clouds_node_destroy(a);
    REQUIRE(kit_await(context, NULL, CLOUDS_EVENT_NODE_CLOSED, &e) == 1);
    CHECK(e.node == a);
    clouds_context_destroy(context);
}

static void close_at_once(void)
{
    for (int i = 0; i < 20; i++) {
        clouds_context *context = kit_context(kit_url(kind), mode);
        clouds_event e;
        uint64_t call = 0;
        clouds_node *a = i % 2 ? kit_node(context, "server") : NULL;
        if (a) call = kit_call(a, "nobody", "[]", NULL);
        CHECK_INT(clouds_context_close(context, 0, NULL, NULL), 0);
        int results = 0, n;
        while ((n = kit_next(context, &e, KIT_PATIENCE)) == 1) {
            results += e.type == CLOUDS_EVENT_RESULT && e.id == call;
            if (e.type == CLOUDS_EVENT_CONTEXT_CLOSED) break;
        }
        CHECK_INT(n, 1);
        CHECK_INT(results, a != NULL);
        clouds_context_destroy(context);
    }
}

/* Many nodes that come and go. */
static void churn(void)
{
    clouds_context *context = kit_context(kit_url(kind), mode);
    clouds_event e[64];
    for (int i = 0; i < 300; i++) {
        clouds_node *a = kit_node(context, "client");
        uint64_t call = kit_call(a, "nobody", "[]", NULL);
        CHECK(call != 0);
        if (i % 3) clouds_node_close(a, 0, NULL, NULL);
        clouds_node_destroy(a);
        if (i % 7 == 0) clouds_poll(context, e, sizeof *e, 64, 0);
    }
    clouds_node *last = kit_node(context, "server");
    CHECK_INT(kit_register(context, last, "echo"), 0);
    CHECK_INT(clouds_context_close(context, 0, NULL, NULL), 0);
    CHECK_INT(kit_await(context, NULL, CLOUDS_EVENT_CONTEXT_CLOSED, &e[0]), 1);
    clouds_context_destroy(context);
}

static clouds_context *shared;
static atomic_int result, inside;

static void *sleep_in_poll(void *unused)
{
    clouds_event e;
    int code;
    atomic_store(&inside, 1);
    do code = clouds_poll(shared, &e, sizeof e, 1, -1);
    while (code >= 0 || code == CLOUDS_ETHREAD); /* the other one was looking */
    atomic_store(&result, code);
    return NULL;
}

/* Until the other thread is seen inside of its poll, where nothing more will happen that could bring it out. */
static void await_sleeper(void)
{
    clouds_event e;
    double until = kit_now() + KIT_PATIENCE;
    while (clouds_poll(shared, &e, sizeof e, 1, 0) != CLOUDS_ETHREAD && kit_now() < until) usleep(100);
}

/* Who is inside hears that it is closed; who comes a moment later finds the handle gone. */
static void under_a_poll(void)
{
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        clouds_event e;
        shared = kit_context(kit_url(kind), mode);
        CHECK_INT(kit_await(shared, NULL, CLOUDS_EVENT_BUS_UP, &e), 1);
        atomic_store(&inside, 0);
        pthread_create(&thread, NULL, sleep_in_poll, NULL);
        while (!atomic_load(&inside)) continue;
        if (i % 2) await_sleeper();
        clouds_context_destroy(shared);
        pthread_join(thread, NULL);
        if (i % 2) CHECK_INT(atomic_load(&result), CLOUDS_ECLOSED);
        else CHECK(atomic_load(&result) == CLOUDS_ECLOSED || atomic_load(&result) == CLOUDS_EHANDLE);
    }
}

/* Thread mode: callers at work on other threads while the context goes. */
static clouds_node *shared_node;

static void *work(void *unused)
{
    uint64_t call;
    int code;
    do {
        code = clouds_node_call(shared_node, "nobody", 6, "[1]", 3, NULL, &call);
        if (code == 0) clouds_cancel(shared, call);
        clouds_node_send(shared_node, "nobody", 6, "1", 1, 0, NULL, NULL);
        clouds_wakeup(shared);
    } while (code == 0 || code == CLOUDS_ELIMIT);
    atomic_store(&result, code);
    return NULL;
}

static void under_workers(void)
{
    for (int i = 0; i < 10; i++) {
        pthread_t threads[3];
        shared = kit_context(kit_url(kind), "thread");
        shared_node = kit_node(shared, "client");
        for (int k = 0; k < 3; k++) pthread_create(&threads[k], NULL, work, NULL);
        usleep(5000);
        if (i % 2) clouds_node_destroy(shared_node);
        clouds_context_destroy(shared);
        for (int k = 0; k < 3; k++) pthread_join(threads[k], NULL);
        CHECK(atomic_load(&result) == CLOUDS_EHANDLE || atomic_load(&result) == CLOUDS_ECLOSED);
    }
}

static void in_each_mode(void)
{
    RUN(every_order);
    RUN(node_without_close);
    RUN(node_closed_then_destroyed);
    RUN(close_at_once);
    RUN(churn);
    RUN(under_a_poll);
}

int main(int argc, char **argv)
{
    kind = argc > 1 ? argv[1] : "inproc:";
    kit_modes(&mode, in_each_mode);
    RUN(under_workers);
    return kit_end();
}
