/* Thread mode: one who waits runs the engine itself. Whoever does, nothing is lost, late or run by two. */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "api/inside.h"

static const char *kind = "inproc:";
static const clouds_call_options kept = {.size = sizeof kept, .flags = CLOUDS_CALL_WAIT, .timeout = KIT_PATIENCE};
static clouds_context *client, *server;
static clouds_node *client_node, *server_node;
static pthread_t server_thread;
static atomic_int stop, served;

static void *serve(void *unused)
{
    clouds_event e[16];
    while (!atomic_load(&stop)) {
        int n = clouds_poll(server, e, sizeof *e, 16, 1);
        for (int i = 0; i < n; i++) {
            kit_answer(server, &e[i]);
            if (e[i].type == CLOUDS_EVENT_REQUEST) atomic_fetch_add(&served, 1);
        }
    }
    return NULL;
}

static clouds_context *client_of(const char *url, const char *max_message)
{
    clouds_context *context = NULL;
    clouds_options *options = KIT_OPTIONS("url", url, "mode", "thread", "max_message", max_message);
    CHECK_INT(clouds_context_create(options, &context), 0);
    clouds_options_destroy(options);
    return context;
}

static void begin_with(const char *max_message)
{
    const char *url = kit_url(kind);
    kit_pair p = {.server = kit_context(url, "thread"), .client = client_of(url, max_message)};
    p.server_node = kit_node(p.server, "server");
    p.client_node = kit_node(p.client, "client");
    CHECK_INT(kit_register(p.server, p.server_node, "echo"), 0);
    CHECK_INT(kit_register(p.server, p.server_node, "silent"), 0);
    CHECK(kit_find(&p));
    client = p.client, server = p.server, client_node = p.client_node, server_node = p.server_node;
    atomic_store(&stop, 0);
    pthread_create(&server_thread, NULL, serve, NULL);
}

static void begin(void)
{
    begin_with("1048576");
}

static void end_server(void)
{
    atomic_store(&stop, 1);
    clouds_wakeup(server);
    pthread_join(server_thread, NULL);
    clouds_context_destroy(server);
}

static void end(void)
{
    clouds_context_destroy(client);
    end_server();
}

static unsigned takes(void)
{
    cl_context *context = cl_handle_enter(client, CL_HANDLE_CONTEXT);
    pthread_mutex_lock(&context->thread.leader.lock);
    unsigned n = context->thread.leader.takes;
    pthread_mutex_unlock(&context->thread.leader.lock);
    cl_handle_leave(client);
    return n;
}

static int call_once(int number)
{
    char args[40], text[200];
    clouds_event e;
    int n = snprintf(args, sizeof args, "[%d]", number);
    uint64_t call;
    if (clouds_node_call(client_node, "echo", 4, args, (size_t)n, &kept, &call) != 0) return 0;
    if (clouds_wait_into(client, call, KIT_PATIENCE, &e, sizeof e, text, sizeof text, NULL) != 1) return 0;
    return e.code == 0 && e.data_len == (size_t)n && memcmp(e.data, args, e.data_len) == 0;
}

/* Calls until one was led by this thread: the next one will most likely be, too. Who comes to its turn only after a
 * tick, for others have the processors, never leads: from when that has taken all patience on the tests run without it.
 */
static void get_the_lead(void)
{
    static double patience = KIT_PATIENCE;
    unsigned before = takes();
    double from = kit_now();
    while (kit_now() < from + patience) {
        CHECK(call_once(1));
        if (takes() > before) return;
    }
    patience = 0;
    printf("# nobody but the I/O thread comes to lead\n");
}

static void one_after_the_other(void)
{
    begin();
    int good = 0;
    for (int i = 0; i < 500; i++) good += call_once(i);
    CHECK_INT(good, 500);
    get_the_lead();
    end();
}

/* Right after, when nobody runs the engine: a message leaves, a call nobody waits for is made, a message arrives. */
static void what_else_is_asked(void)
{
    clouds_event e;
    begin();
    const char *to = clouds_node_id(server_node), *back = clouds_node_id(client_node);
    for (int i = 0; i < 20; i++) {
        get_the_lead();
        uint64_t sent;
        CHECK_INT(clouds_node_send(client_node, to, strlen(to), "1", 1, CLOUDS_SEND_CONFIRM, NULL, &sent), 0);
        CHECK_INT(kit_await(client, NULL, CLOUDS_EVENT_SENT, &e), 1);
        CHECK(e.id == sent);
        get_the_lead();
        int before = atomic_load(&served);
        uint64_t call = kit_call(client_node, "echo", "[]", &kept);
        double until = kit_now() + KIT_PATIENCE;
        while (atomic_load(&served) == before && kit_now() < until) usleep(100);
        CHECK_INT(atomic_load(&served), before + 1);
        CHECK_INT(clouds_wait(client, call, KIT_PATIENCE, &e, sizeof e), 1);
        clouds_event_release(&e);
        get_the_lead();
        CHECK_INT(clouds_node_send(server_node, back, strlen(back), "2", 1, 0, NULL, NULL), 0);
        CHECK_INT(kit_await(client, NULL, CLOUDS_EVENT_MESSAGE, &e), 1);
    }
    end();
}

static void the_descriptor(void)
{
    clouds_event e;
    begin();
    get_the_lead();
    while (kit_next(client, &e, 0) == 1) continue;
    struct pollfd fd = {.fd = clouds_fd(client), .events = POLLIN};
    const char *to = clouds_node_id(client_node);
    CHECK_INT(clouds_node_send(server_node, to, strlen(to), "2", 1, 0, NULL, NULL), 0);
    CHECK_INT(poll(&fd, 1, KIT_PATIENCE * 1000), 1);
    CHECK_INT(kit_await(client, NULL, CLOUDS_EVENT_MESSAGE, &e), 1);
    CHECK(call_once(1));
    end();
}

/* A call that its leader cannot even send, since the envelope adds to it, is over before the leader sleeps. */
static void over_at_once(void)
{
    char args[1020];
    clouds_event e;
    begin_with("1024");
    memset(args, ' ', sizeof args);
    args[0] = '[', args[sizeof args - 1] = ']';
    for (int i = 0; i < 20; i++) {
        get_the_lead();
        uint64_t call;
        CHECK_INT(clouds_node_call(client_node, "echo", 4, args, sizeof args, &kept, &call), 0);
        double start = kit_now();
        CHECK_INT(clouds_wait(client, call, KIT_PATIENCE, &e, sizeof e), 1);
        CHECK_INT(e.code, CLOUDS_ETOOBIG);
        CHECK(kit_now() - start < KIT_PATIENCE / 2);
        clouds_event_release(&e);
    }
    end();
}

/* So that the next such call leaves at once. */
static void learn_silent(void)
{
    int before = atomic_load(&served);
    uint64_t call = kit_call(client_node, "silent", "[]", &kept);
    double until = kit_now() + KIT_PATIENCE;
    while (atomic_load(&served) == before && kit_now() < until) usleep(100);
    CHECK_INT(atomic_load(&served), before + 1);
    CHECK_INT(clouds_cancel(client, call), 0);
}

/* A leader whose time is over leaves; its call goes on without it. */
static void leaving_early(void)
{
    clouds_event e;
    begin();
    learn_silent();
    for (int i = 0; i < 5; i++) {
        get_the_lead();
        clouds_call_options o = kept;
        o.timeout = 0.5;
        uint64_t call = kit_call(client_node, "silent", "[]", &o);
        double start = kit_now();
        int n = clouds_wait(client, call, 0.02, &e, sizeof e);
        if (n == 0) CHECK(kit_now() - start >= 0.015);
        if (n == 0) n = clouds_wait(client, call, 0, &e, sizeof e);
        /* Only a machine that stood still for the whole timeout has the answer by now. */
        CHECK(n == 0 || kit_now() - start >= 0.49);
        if (n == 0) n = clouds_wait(client, call, KIT_PATIENCE, &e, sizeof e);
        CHECK_INT(n, 1);
        CHECK_INT(e.code, CLOUDS_ETIMEOUT);
        clouds_event_release(&e);
    }
    end();
}

static uint64_t silent_call;
static atomic_int result, code_of;

static void *wait_for_silent(void *unused)
{
    clouds_event e = {0};
    get_the_lead();
    silent_call = kit_call(client_node, "silent", "[]", &kept);
    atomic_store(&result, 1000);
    atomic_store(&result, clouds_wait(client, silent_call, KIT_PATIENCE, &e, sizeof e));
    atomic_store(&code_of, e.code);
    clouds_event_release(&e);
    return NULL;
}

static pthread_t start_silent(void)
{
    pthread_t thread;
    atomic_store(&result, 0);
    pthread_create(&thread, NULL, wait_for_silent, NULL);
    while (atomic_load(&result) != 1000) usleep(100);
    return thread;
}

static void canceled_under_the_leader(void)
{
    begin();
    for (int i = 0; i < 10; i++) {
        pthread_t thread = start_silent();
        if (i % 2) await_waiters(client, silent_call, 1); /* it leads, and the I/O thread sleeps */
        int code = clouds_cancel(client, silent_call);
        CHECK_INT(code, 0);
        pthread_join(thread, NULL);
        /* Canceled before it waited, it finds nothing. */
        CHECK((atomic_load(&result) == 1 && atomic_load(&code_of) == CLOUDS_ECANCELED) ||
              (i % 2 == 0 && atomic_load(&result) == CLOUDS_ESTALE));
    }
    end();
}

static void destroyed_under_the_leader(void)
{
    for (int i = 0; i < 10; i++) {
        begin();
        pthread_t thread = start_silent();
        if (i % 2) await_waiters(client, silent_call, 1);
        clouds_context_destroy(client);
        pthread_join(thread, NULL);
        CHECK(atomic_load(&result) == CLOUDS_ECLOSED || (i % 2 == 0 && atomic_load(&result) == CLOUDS_EHANDLE));
        end_server();
    }
}

/* ---- everything at once */

enum { EACH = 300 };
static atomic_int good, polled, running;

static void *many_calls(void *number)
{
    for (int i = 0; i < EACH; i++) {
        atomic_fetch_add(&good, call_once((int)(intptr_t)number * 1000 + i));
        if (i % 50 == 49) usleep(1500); /* so that the I/O thread takes over now and then */
    }
    atomic_fetch_sub(&running, 1);
    return NULL;
}

static void *many_polled(void *unused)
{
    clouds_event e;
    for (int i = 0; i < EACH; i++) {
        uint64_t call = kit_call(client_node, "echo", "[7]", NULL);
        CHECK_INT(kit_await(client, NULL, CLOUDS_EVENT_RESULT, &e), 1);
        if (e.id == call && e.code == 0) atomic_fetch_add(&polled, 1);
    }
    atomic_fetch_sub(&running, 1);
    return NULL;
}

static void *many_things(void *unused)
{
    const char *to = clouds_node_id(server_node);
    clouds_options *options = KIT_OPTIONS("retries", "1");
    uint64_t value;
    while (atomic_load(&running) > 0) {
        CHECK_INT(clouds_node_send(client_node, to, strlen(to), "1", 1, 0, NULL, NULL), 0);
        CHECK_INT(clouds_node_configure(client_node, options), 0);
        CHECK_INT(clouds_counter(client, "calls", 0, NULL, &value), 0);
        clouds_wakeup(client);
        usleep(500);
    }
    clouds_options_destroy(options);
    return NULL;
}

static void all_at_once(void)
{
    pthread_t threads[4];
    begin();
    atomic_store(&good, 0);
    atomic_store(&polled, 0);
    atomic_store(&running, 3);
    pthread_create(&threads[0], NULL, many_calls, (void *)1);
    pthread_create(&threads[1], NULL, many_calls, (void *)2);
    pthread_create(&threads[2], NULL, many_polled, NULL);
    pthread_create(&threads[3], NULL, many_things, NULL);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    CHECK_INT(atomic_load(&good), 2 * EACH);
    CHECK_INT(atomic_load(&polled), EACH);
    end();
}

int main(int argc, char **argv)
{
    if (argc > 1) kind = argv[1];
    RUN(one_after_the_other);
    RUN(what_else_is_asked);
    RUN(the_descriptor);
    RUN(over_at_once);
    RUN(leaving_early);
    RUN(canceled_under_the_leader);
    RUN(destroyed_under_the_leader);
    RUN(all_at_once);
    return kit_end();
}
