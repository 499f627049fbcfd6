/* The one descriptor: readable whenever a poll has work, and not when it has none; wakeups are never lost. */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/epoll.h>

#include "api/kit.h"

static const char *mode;

static int readable(int fd, double seconds)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, (int)(seconds * 1000)) == 1;
}

/* An event loop as asyncio has it: sleeps on the descriptor alone, polls with timeout 0. */
static int await_by_fd(clouds_context *context, int fd, uint32_t type, clouds_event *e)
{
    double until = kit_now() + KIT_PATIENCE;
    while (kit_now() < until) {
        if (!readable(fd, KIT_PATIENCE)) return 0;
        while (kit_next(context, e, 0) == 1) {
            if (e->type == type) return 1;
            kit_answer(context, e);
        }
    }
    return 0;
}

/* Polls until the descriptor is quiet. */
static int settle(clouds_context *context, int fd)
{
    clouds_event e;
    for (int i = 0; i < 10000; i++) {
        while (kit_next(context, &e, 0) == 1) kit_answer(context, &e);
        if (!readable(fd, 0.03)) return 1;
    }
    return 0;
}

static void whole_flow(void)
{
    clouds_context *context = kit_context(kit_url("inproc:"), mode);
    int fd = clouds_fd(context);
    REQUIRE(fd >= 0);
    clouds_node *node = kit_node(context, "base");
    clouds_event e;
    uint64_t operation;
    REQUIRE(await_by_fd(context, fd, CLOUDS_EVENT_READY, &e));
    CHECK_INT(clouds_node_register(node, "echo", 4, NULL, &operation), 0);
    REQUIRE(await_by_fd(context, fd, CLOUDS_EVENT_REGISTERED, &e));
    for (int i = 0; i < 200; i++) {
        kit_call(node, "echo", "[1]", NULL);
        REQUIRE(await_by_fd(context, fd, CLOUDS_EVENT_RESULT, &e));
        CHECK_INT(e.code, 0);
    }
    CHECK_INT(clouds_fd(context), fd);
    clouds_context_destroy(context);
}

/* A call nobody answers ends by a timer: the descriptor must say so although no byte arrives. */
static void timers(void)
{
    clouds_context *context = kit_context(kit_url("inproc:"), mode);
    int fd = clouds_fd(context);
    clouds_node *node = kit_node(context, "base");
    clouds_event e;
    CHECK_INT(kit_register(context, node, "silent"), 0);
    settle(context, fd);
    double start = kit_now();
    kit_call(node, "silent", "[]", &(clouds_call_options){.size = sizeof(clouds_call_options), .timeout = 1});
    REQUIRE(await_by_fd(context, fd, CLOUDS_EVENT_RESULT, &e));
    CHECK_INT(e.code, CLOUDS_ETIMEOUT);
    CHECK(kit_now() - start >= 0.99);
    clouds_context_destroy(context);
}

/* Nothing to do: not readable, so an event loop does not spin. */
static void quiet(void)
{
    clouds_context *context = kit_context(kit_url("inproc:"), mode);
    int fd = clouds_fd(context);
    clouds_node *node = kit_node(context, "base");
    clouds_event e;
    CHECK_INT(kit_register(context, node, "silent"), 0);
    CHECK(settle(context, fd));
    kit_call(node, "silent", "[]", NULL); /* a timer that is far away */
    CHECK(settle(context, fd));
    int spins = 0;
    double until = kit_now() + 0.3;
    while (kit_now() < until)
        if (readable(fd, 0.05)) spins++, kit_next(context, &e, 0);
    CHECK(spins < 20);
    clouds_context_destroy(context);
}

/* Events that did not fit into the user's array keep the descriptor readable. */
static void leftovers(void)
{
    clouds_context *context = kit_context(kit_url("inproc:"), mode);
    int fd = clouds_fd(context);
    clouds_node *node = kit_node(context, "base");
    clouds_event e;
    CHECK_INT(kit_register(context, node, "echo"), 0);
    enum { CALLS = 50 };
    for (int i = 0; i < CALLS; i++) kit_call(node, "echo", "[]", NULL);
    int results = 0;
    while (results < CALLS && readable(fd, KIT_PATIENCE)) {
        int n = kit_next(context, &e, 0);
        CHECK(n >= 0);
        if (n == 1 && e.type == CLOUDS_EVENT_RESULT) results++;
        if (n == 1) kit_answer(context, &e);
    }
    CHECK_INT(results, CALLS);
    clouds_context_destroy(context);
}

/* The recipe for EPOLLET: after each edge poll until nothing comes. What the loop itself begins makes an edge too. */
static void edge_triggered(void)
{
    enum { CALLS = 300 };
    clouds_context *context = kit_context(kit_url("inproc:"), mode);
    clouds_node *node = kit_node(context, "base");
    CHECK_INT(kit_register(context, node, "echo"), 0);
    int loop = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event edge = {.events = EPOLLIN | EPOLLET};
    REQUIRE(epoll_ctl(loop, EPOLL_CTL_ADD, clouds_fd(context), &edge) == 0);
    int results = 0, begun = 0;
    while (results < CALLS) {
        while (begun < CALLS && begun < results + 7) kit_call(node, "echo", "[]", NULL), begun++;
        REQUIRE(epoll_wait(loop, &edge, 1, KIT_PATIENCE * 1000) == 1);
        clouds_event e[4];
        for (int n; (n = clouds_poll(context, e, sizeof *e, 4, 0)) != 0;) {
            REQUIRE(n > 0);
            for (int i = 0; i < n; i++) kit_answer(context, &e[i]), results += e[i].type == CLOUDS_EVENT_RESULT;
        }
    }
    CHECK_INT(results, CALLS);
    close(loop);
    clouds_context_destroy(context);
}

static void asked_late(void)
{
    clouds_context *context = kit_context(kit_url("inproc:"), mode);
    clouds_node *node = kit_node(context, "base");
    clouds_event e;
    CHECK_INT(kit_register(context, node, "silent"), 0);
    kit_call(node, "silent", "[]", &(clouds_call_options){.size = sizeof(clouds_call_options), .timeout = 0.1});
    int fd = clouds_fd(context);
    REQUIRE(await_by_fd(context, fd, CLOUDS_EVENT_RESULT, &e));
    clouds_context_destroy(context);
}

/* ---- wakeups */

static clouds_context *woken;
static atomic_int pings, pongs, quit;

static void *waker(void *unused)
{
    for (int i = 1; i <= 3000 && !atomic_load(&quit); i++) {
        atomic_store(&pings, i);
        clouds_wakeup(woken);
        double until = kit_now() + KIT_PATIENCE;
        while (atomic_load(&pongs) < i && kit_now() < until) sched_yield();
        if (atomic_load(&pongs) < i) break;
    }
    atomic_store(&quit, 1);
    clouds_wakeup(woken);
    return NULL;
}

/* Each wakeup must make the sleeper look again; the waker gives up at one that is lost. */
static void stress_wakeups(int by_fd)
{
    pthread_t thread;
    clouds_event e;
    woken = kit_context(kit_url("inproc:"), mode);
    int fd = by_fd ? clouds_fd(woken) : -1;
    atomic_store(&pings, 0);
    atomic_store(&pongs, 0);
    atomic_store(&quit, 0);
    pthread_create(&thread, NULL, waker, NULL);
    while (!atomic_load(&quit)) {
        if (by_fd) {
            if (!CHECK(readable(fd, KIT_PATIENCE))) break;
            kit_next(woken, &e, 0);
        } else {
            kit_next(woken, &e, KIT_PATIENCE * 2);
        }
        atomic_store(&pongs, atomic_load(&pings));
    }
    atomic_store(&quit, 1);
    atomic_store(&pongs, 1 << 30);
    pthread_join(thread, NULL);
    CHECK_INT(atomic_load(&pings), 3000);
    clouds_context_destroy(woken);
}

static void wakeups_end_polls(void)
{
    stress_wakeups(0);
}

static void wakeups_make_it_readable(void)
{
    stress_wakeups(1);
}

/* Sticky: one before the poll counts; several are one. */
static void wakeup_before(void)
{
    clouds_event e;
    clouds_context *context = kit_context(kit_url("inproc:"), mode);
    CHECK_INT(kit_await(context, NULL, CLOUDS_EVENT_BUS_UP, &e), 1); /* nothing else happens here */
    for (int i = 0; i < 5; i++) CHECK_INT(clouds_wakeup(context), 0);
    double start = kit_now();
    CHECK_INT(kit_next(context, &e, KIT_PATIENCE), 0);
    CHECK(kit_now() - start < KIT_PATIENCE / 2);
    start = kit_now();
    CHECK_INT(kit_next(context, &e, 0.1), 0);
    CHECK(kit_now() - start >= 0.09);
    clouds_context_destroy(context);
}

/* Other functions run the loop too. What that brings, or takes, is said by the descriptor all the same. */

static int begin_status(clouds_context *context, clouds_node *node, uint64_t *operation)
{
    const clouds_operation_options waited = {.size = sizeof waited, .flags = CLOUDS_OPERATION_WAIT};
    return clouds_node_status(node, &waited, operation);
}

static void a_wait_keeps_the_wakeup(void)
{
    clouds_context *context = kit_context(kit_url("inproc:"), mode);
    int fd = clouds_fd(context);
    clouds_node *node = kit_node(context, "base");
    clouds_event e;
    uint64_t operation;
    REQUIRE(await_by_fd(context, fd, CLOUDS_EVENT_READY, &e));
    REQUIRE(settle(context, fd));
    CHECK_INT(clouds_wakeup(context), 0);
    for (int i = 0; i < 20; i++) {
        CHECK_INT(begin_status(context, node, &operation), 0);
        CHECK_INT(clouds_wait(context, operation, KIT_PATIENCE, &e, sizeof e), 1);
        CHECK_INT(clouds_event_release(&e), 0);
    }
    CHECK(readable(fd, 0.5));
    CHECK_INT(kit_next(context, &e, 0), 0);
    CHECK(settle(context, fd));
    clouds_context_destroy(context);
}

/* An event that arrives between a poll and the sleep on the descriptor: from another thread's context. */
static atomic_int served;
static const char *shared_url;

static void *serve(void *unused)
{
    clouds_context *context = kit_context(shared_url, "inline");
    clouds_node *node = kit_node(context, "server");
    clouds_event e;
    CHECK_INT(kit_register(context, node, "echo"), 0);
    atomic_store(&served, 1);
    while (atomic_load(&served) == 1)
        if (kit_next(context, &e, 0.05) == 1) kit_answer(context, &e);
    clouds_context_destroy(context);
    return NULL;
}

static void lost_events(void)
{
    static char url[256];
    pthread_t thread;
    clouds_event e;
    snprintf(url, sizeof url, "%s", kit_url("inproc:"));
    shared_url = url;
    atomic_store(&served, 0);
    pthread_create(&thread, NULL, serve, NULL);
    while (!atomic_load(&served)) usleep(1000);
    clouds_context *context = kit_context(url, mode);
    int fd = clouds_fd(context);
    clouds_node *node = kit_node(context, "client");
    int done = 0;
    for (int i = 0; i < 1500; i++) {
        kit_call(node, "echo", "[1]", NULL);
        if (!await_by_fd(context, fd, CLOUDS_EVENT_RESULT, &e)) break;
        done += e.code == 0;
    }
    CHECK_INT(done, 1500);
    clouds_context_destroy(context);
    atomic_store(&served, 2);
    pthread_join(thread, NULL);
}

/* The request of the client comes, and is answered; the client has not looked since. */
static int answer_next(clouds_context *server, clouds_context *client)
{
    clouds_event e = {0};
    double until = kit_now() + KIT_PATIENCE;
    while (kit_now() < until) {
        clouds_event other;
        kit_next(client, &other, 0);
        if (kit_next(server, &e, 0.01) != 1 || e.type != CLOUDS_EVENT_REQUEST) continue;
        kit_answer(server, &e);
        return kit_next(server, &e, 0) >= 0;
    }
    return 0;
}

/* A call that is refused for lack of room lets the loop turn, which takes what has come meanwhile. */
static void a_refusal_keeps_what_it_brings(void)
{
    enum { CALLS = 20 };
    char url[256];
    clouds_context *context = NULL;
    clouds_event e;
    int refused = 0, results = 0;
    snprintf(url, sizeof url, "%s", kit_url("inproc:"));
    clouds_context *server = kit_context(url, "inline");
    CHECK_INT(kit_register(server, kit_node(server, "server"), "echo"), 0);
    clouds_options *options = KIT_OPTIONS("url", url, "mode", mode, "max_in_flight", "1");
    REQUIRE(clouds_context_create(options, &context) == 0);
    clouds_options_destroy(options);
    clouds_node *node = kit_node(context, "client");
    int fd = clouds_fd(context);
    REQUIRE(await_by_fd(context, fd, CLOUDS_EVENT_READY, &e));
    for (int i = 0; i < CALLS; i++) {
        uint64_t call;
        kit_call(node, "echo", "[]", NULL);
        REQUIRE(answer_next(server, context));
        int is_refused = clouds_node_call(node, "echo", 4, "[]", 2, NULL, &call) == CLOUDS_ELIMIT;
        refused += is_refused;
        if (!CHECK(readable(fd, 1))) break;
        results += await_by_fd(context, fd, CLOUDS_EVENT_RESULT, &e);
        if (is_refused) continue;
        REQUIRE(answer_next(server, context)); /* the thread was faster: there was room for it already */
        REQUIRE(await_by_fd(context, fd, CLOUDS_EVENT_RESULT, &e));
    }
    CHECK_INT(results, CALLS);
    if (strcmp(mode, "inline") == 0) CHECK_INT(refused, CALLS);
    clouds_context_destroy(context);
    clouds_context_destroy(server);
}

/* Who sleeps on the descriptor alone learns of the end, however often it looks, and whether it asked before or after.
 */
static void readable_after_the_end(void)
{
    for (int late = 0; late < 2; late++) {
        clouds_context *context =
            kit_context(late ? "redis+unix:///nonexistent/clouds.sock" : kit_url("inproc:"), mode);
        int fd = late ? -1 : clouds_fd(context);
        clouds_event e;
        kit_node(context, "base");
        CHECK_INT(clouds_context_close(context, 0, NULL, NULL), 0);
        if (late) CHECK_INT(kit_await(context, NULL, CLOUDS_EVENT_CONTEXT_CLOSED, &e), 1);
        else CHECK_INT(await_by_fd(context, fd, CLOUDS_EVENT_CONTEXT_CLOSED, &e), 1);
        if (late) fd = clouds_fd(context);
        for (int i = 0; i < 3; i++) {
            CHECK(readable(fd, KIT_PATIENCE));
            CHECK_INT(kit_next(context, &e, 0), CLOUDS_ECLOSED);
        }
        clouds_context_destroy(context);
    }
}

static void in_each_mode(void)
{
    RUN(whole_flow);
    RUN(timers);
    RUN(quiet);
    RUN(leftovers);
    RUN(edge_triggered);
    RUN(asked_late);
    RUN(wakeups_end_polls);
    RUN(wakeups_make_it_readable);
    RUN(wakeup_before);
    RUN(a_wait_keeps_the_wakeup);
    RUN(lost_events);
    RUN(a_refusal_keeps_what_it_brings);
    RUN(readable_after_the_end);
}

int main(void)
{
    kit_modes(&mode, in_each_mode);
    return kit_end();
}
