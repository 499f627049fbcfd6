/* clouds_poll_into and clouds_wait_into: texts in the caller's memory, and what happens when there is too little of it.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "api/kit.h"

static const char *kind = "inproc:", *mode;
static const clouds_call_options kept = {.size = sizeof kept, .flags = CLOUDS_CALL_WAIT};

static int lies_in(const char *p, size_t n, const char *text, size_t used)
{
    return n ? p >= text && p + n <= text + used : p == text;
}

static int all_inside(const clouds_event *e, const char *text, size_t used)
{
    return lies_in(e->peer, e->peer_len, text, used) && lies_in(e->method, e->method_len, text, used) &&
           lies_in(e->data, e->data_len, text, used) && lies_in(e->error, e->error_len, text, used);
}

static size_t number_args(char *out, size_t cap, int number)
{
    return (size_t)snprintf(out, cap, "[%d,\"%0*d\"]", number, 1 + number * 13 % 200, number);
}

static void serve_some(clouds_context *server, double timeout)
{
    clouds_event events[16];
    static char text[65536];
    size_t used;
    int n = clouds_poll_into(server, events, sizeof *events, 16, text, sizeof text, &used, timeout);
    CHECK(n >= 0);
    for (int i = 0; i < n; i++) {
        CHECK(all_inside(&events[i], text, used));
        kit_answer(server, &events[i]);
    }
}

enum { CALLS = 500 };

/* Each answer once, whole, and in the caller's memory; few at a time, since the room is small. */
static void batches(void)
{
    kit_pair p = kit_open(kind, mode, mode);
    static uint64_t calls[CALLS];
    char args[300], seen[CALLS] = {0};
    for (int i = 0; i < CALLS; i++) {
        size_t n = number_args(args, sizeof args, i);
        CHECK_INT(clouds_node_call(p.client_node, "echo", 4, args, n, NULL, &calls[i]), 0);
    }
    int got = 0, most = 0;
    double until = kit_now() + KIT_PATIENCE;
    while (got < CALLS && kit_now() < until) {
        clouds_event events[64];
        char text[1000];
        size_t used = 9999;
        serve_some(p.server, 0);
        int n = clouds_poll_into(p.client, events, sizeof *events, 64, text, sizeof text, &used, 0.01);
        if (!CHECK(n >= 0 && used <= sizeof text)) break;
        if (n > most) most = n;
        for (int i = 0; i < n; i++) {
            if (events[i].type != CLOUDS_EVENT_RESULT) continue;
            int which = (int)(events[i].data_len ? strtol(events[i].data + 1, NULL, 10) : -1);
            CHECK(all_inside(&events[i], text, used));
            if (!CHECK(which >= 0 && which < CALLS && !seen[which] && events[i].id == calls[which])) continue;
            CHECK_STR(events[i].data, events[i].data_len, (number_args(args, sizeof args, which), args));
            seen[which] = 1;
            got++;
        }
    }
    CHECK_INT(got, CALLS);
    CHECK(most > 1);
    kit_close(&p);
}

static char *big_args(size_t n)
{
    char *args = malloc(n + 1);
    memset(args, 'b', n);
    memcpy(args, "[\"", 2);
    memcpy(args + n - 2, "\"]", 3);
    return args;
}

/* What does not fit stays, before and after other events, and comes when there is room. */
static void too_big(void)
{
    enum { BIG = 50000 };
    kit_pair p = kit_open(kind, mode, mode);
    char *args = big_args(BIG), small[100], *text = NULL;
    clouds_event e, before;
    kit_call(p.client_node, "echo", args, NULL);
    memset(&before, 0x5a, sizeof before);
    double until = kit_now() + KIT_PATIENCE;
    size_t needed = 7;
    int n = 0;
    while (kit_now() < until) {
        serve_some(p.server, 0);
        e = before;
        n = clouds_poll_into(p.client, &e, sizeof e, 1, small, sizeof small, &needed, 0.01);
        if (n < 0) break;
    }
    CHECK_INT(n, CLOUDS_ETOOBIG);
    CHECK(memcmp(&e, &before, sizeof e) == 0);
    CHECK(needed >= BIG && needed < BIG + 1000);
    size_t again = 0;
    CHECK_INT(clouds_poll_into(p.client, &e, sizeof e, 1, NULL, 0, &again, 5), CLOUDS_ETOOBIG);
    CHECK(again == needed);
    text = malloc(needed);
    CHECK_INT(clouds_poll_into(p.client, &e, sizeof e, 1, text, needed - 1, NULL, 5), CLOUDS_ETOOBIG);
    CHECK_INT(clouds_poll_into(p.client, &e, sizeof e, 1, text, needed, &again, 5), 1);
    CHECK(again == needed && e.type == CLOUDS_EVENT_RESULT && all_inside(&e, text, needed));
    CHECK(e.data_len == BIG && memcmp(e.data, args, BIG) == 0);
    /* Still there after further polls. */
    kit_call(p.client_node, "echo", "[1]", NULL);
    clouds_event other;
    CHECK_INT(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &other), 1);
    CHECK(e.data_len == BIG && memcmp(e.data, args, BIG) == 0);
    free(text);
    free(args);
    kit_close(&p);
}

/* Room of zero bytes is enough for what has no text. */
static void no_text(void)
{
    clouds_context *context = kit_context(kit_url("inproc:"), mode);
    clouds_node *node = kit_node(context, "base");
    clouds_event e;
    size_t used = 5;
    int n;
    double until = kit_now() + KIT_PATIENCE;
    do n = clouds_poll_into(context, &e, sizeof e, 1, NULL, 0, &used, 1);
    while (n >= 0 && kit_now() < until && (n == 0 || e.type != CLOUDS_EVENT_READY));
    CHECK(n == 1 && e.node == node && used == 0 && e.data && e.peer && e.method && e.error);
    CHECK_INT(clouds_poll_into(context, &e, sizeof e, 1, NULL, 0, &used, 0), 0);
    CHECK_INT(used, 0);
    clouds_context_destroy(context);
}

static void wait_in_steps(void)
{
    kit_pair p = kit_open(kind, "thread", mode);
    char *args = big_args(3000), text[4096];
    clouds_event e;
    uint64_t call = kit_call(p.client_node, "echo", args, &kept);
    size_t needed = 0;
    int code = 0;
    double until = kit_now() + KIT_PATIENCE;
    while (code == 0 && kit_now() < until) {
        serve_some(p.server, 0.01);
        code = clouds_wait_into(p.client, call, 0.01, &e, sizeof e, text, 100, &needed);
    }
    CHECK_INT(code, CLOUDS_ETOOBIG);
    CHECK(needed >= 3000 && needed < sizeof text);
    CHECK_INT(clouds_wait_into(p.client, call, 0, &e, sizeof e, NULL, 0, NULL), CLOUDS_ETOOBIG);
    size_t used = 0;
    CHECK_INT(clouds_wait_into(p.client, call, 0, &e, sizeof e, text, sizeof text, &used), 1);
    CHECK(used == needed && e.id == call && e.code == 0 && all_inside(&e, text, used));
    CHECK(e.data_len == 3000 && memcmp(e.data, args, 3000) == 0);
    CHECK_INT(clouds_wait_into(p.client, call, 0, &e, sizeof e, text, sizeof text, &used), CLOUDS_ESTALE);
    clouds_event_release(&e); /* nothing to release, and no harm */
    CHECK(e.data_len == 3000);
    free(args);
    kit_close(&p);
    CHECK_INT(clouds_set_allocator(NULL, NULL), 0);
}

static void misuse(void)
{
    clouds_context *context = kit_context(kit_url("inproc:"), mode);
    clouds_event e;
    char text[64];
    size_t needed = 77;
    CHECK_INT(clouds_poll_into(context, NULL, sizeof e, 1, text, sizeof text, &needed, 0), CLOUDS_EINVAL);
    CHECK_INT(clouds_poll_into(context, &e, sizeof e, 0, text, sizeof text, &needed, 0), CLOUDS_EINVAL);
    CHECK_INT(clouds_poll_into(context, &e, 8, 1, text, sizeof text, &needed, 0), CLOUDS_EINVAL);
    CHECK_INT(clouds_poll_into(context, &e, sizeof e, 1, NULL, 8, &needed, 0), CLOUDS_EINVAL);
    CHECK_INT(clouds_wait_into(context, 1, 0, &e, sizeof e, NULL, 8, &needed), CLOUDS_EINVAL);
    CHECK_INT(clouds_wait_into(context, 1, 0, NULL, sizeof e, text, sizeof text, &needed), CLOUDS_EINVAL);
    CHECK_INT(clouds_wait_into(context, 1, 0, &e, sizeof e, text, sizeof text, &needed), CLOUDS_ESTALE);
    CHECK_INT(needed, 77);
    clouds_context_destroy(context);
}

/* ---- thread mode: one serves through clouds_poll_into, many wait */

enum { THREADS = 6, EACH = 200 };
static clouds_context *busy;
static clouds_node *busy_node;
static atomic_int good, stop;

static void *call_and_wait(void *number)
{
    for (int i = 0; i < EACH; i++) {
        char args[300], text[700];
        clouds_event e;
        uint64_t call;
        size_t n = number_args(args, sizeof args, (int)(intptr_t)number * EACH + i), needed;
        if (clouds_node_call(busy_node, "echo", 4, args, n, &kept, &call) != 0) break;
        int code = clouds_wait_into(busy, call, KIT_PATIENCE, &e, sizeof e, text, 4, &needed);
        if (code == CLOUDS_ETOOBIG) code = clouds_wait_into(busy, call, 0, &e, sizeof e, text, sizeof text, &needed);
        if (code == 1 && e.code == 0 && e.data_len == n && memcmp(e.data, args, n) == 0) atomic_fetch_add(&good, 1);
    }
    return NULL;
}

static void *serve(void *unused)
{
    while (!atomic_load(&stop)) serve_some(busy, 0.05);
    return NULL;
}

static void many_threads(void)
{
    pthread_t threads[THREADS], server;
    busy = kit_context(kit_url("inproc:"), "thread");
    busy_node = kit_node(busy, "base");
    CHECK_INT(kit_register(busy, busy_node, "echo"), 0);
    atomic_store(&good, 0);
    atomic_store(&stop, 0);
    pthread_create(&server, NULL, serve, NULL);
    for (intptr_t i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, call_and_wait, (void *)i);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    atomic_store(&stop, 1);
    clouds_wakeup(busy);
    pthread_join(server, NULL);
    CHECK_INT(atomic_load(&good), THREADS * EACH);
    clouds_context_destroy(busy);
}

static void in_each_mode(void)
{
    RUN(batches);
    RUN(too_big);
    RUN(no_text);
    RUN(wait_in_steps);
    RUN(misuse);
}

int main(int argc, char **argv)
{
    if (argc > 1) kind = argv[1];
    kit_modes(&mode, in_each_mode);
    RUN(many_threads);
    return kit_end();
}
