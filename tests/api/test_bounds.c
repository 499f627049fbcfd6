/* What waits for the library's thread, and what waits for the user, is bounded in bytes. */
#include <semaphore.h>
#include <stdatomic.h>

#include "api/inside.h"

enum { ROOM = 65536, LARGE = 20000 };

static uint64_t counter(clouds_context *context, const char *name)
{
    uint64_t value = 0;
    CHECK_INT(clouds_counter(context, name, 0, NULL, &value), 0);
    return value;
}

static clouds_context *narrow(const char *url)
{
    clouds_context *context = NULL;
    clouds_options *options =
        KIT_OPTIONS("url", url, "mode", "thread", "max_event_bytes", "65536", "max_in_flight_bytes", "65536");
    CHECK_INT(clouds_context_create(options, &context), 0);
    clouds_options_destroy(options);
    return context;
}

/* ---- the library's thread is stopped */

static sem_t stopped, go_on;
static _Atomic(cl_context *) to_stop;

static void await_post(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0) continue;
}

static int is_free(cl_context *context)
{
    if (pthread_mutex_trylock(&context->inbox.lock) != 0) return 0;
    pthread_mutex_unlock(&context->inbox.lock);
    return 1;
}

/* The library's thread stays in an allocation, with no lock that others need. */
static void *stopping_realloc(void *unused, void *block, size_t size)
{
    cl_context *context = atomic_load(&to_stop);
    if (context && pthread_equal(pthread_self(), context->thread.id) && is_free(context)) {
        atomic_store(&to_stop, NULL);
        sem_post(&stopped);
        await_post(&go_on);
    }
    if (size) return realloc(block, size);
    free(block);
    return NULL;
}

static size_t queued(clouds_context *handle)
{
    cl_context *context = cl_handle_enter(handle, CL_HANDLE_CONTEXT);
    pthread_mutex_lock(&context->thread.queue.lock);
    size_t n = context->thread.queue.count;
    pthread_mutex_unlock(&context->thread.queue.lock);
    cl_handle_leave(handle);
    return n;
}

static void commands_without_text(void)
{
    clouds_context *handle = narrow(kit_url("inproc:"));
    clouds_node *node = kit_node(handle, "base");
    clouds_event e;
    uint64_t operation, subscription;
    int sent = 0, code, further = 0;
    CHECK_INT(kit_await(handle, NULL, CLOUDS_EVENT_READY, &e), 1);
    CHECK_INT(clouds_node_subscribe(node, "[\"a\"]", 5, NULL, NULL, &subscription), 0);
    CHECK_INT(kit_await(handle, NULL, CLOUDS_EVENT_SUBSCRIBED, &e), 1);
    cl_context *context = cl_handle_enter(handle, CL_HANDLE_CONTEXT);
    atomic_store(&to_stop, context);
    CHECK_INT(clouds_node_status(node, NULL, &operation), 0);
    await_post(&stopped);
    while ((code = clouds_node_status(node, NULL, &operation)) == 0 && sent < 100000) sent++;
    CHECK_INT(code, CLOUDS_ELIMIT);
    CHECK(strstr(clouds_last_error(), "max_event_bytes") != NULL);
    CHECK(sent > 10 && (size_t)sent <= ROOM / sizeof(cl_command));
    CHECK_INT(queued(handle), sent);
    CHECK_INT(clouds_node_send(node, "nobody", 6, "1", 1, 0, NULL, NULL), CLOUDS_ELIMIT);
    CHECK_INT(clouds_cancel(handle, operation), CLOUDS_ELIMIT);
    CHECK_INT(clouds_node_call(node, "m", 1, "[]", 2, NULL, &operation), CLOUDS_ELIMIT);
    CHECK_INT(clouds_unsubscribe(handle, subscription), 0); /* takes no room */
    CHECK_INT(clouds_unsubscribe(handle, subscription), CLOUDS_ESTALE);
    sem_post(&go_on);
    cl_handle_leave(handle);
    for (int ended = 0; further <= sent || !ended;) { /* what was accepted is done, and there is room again */
        REQUIRE(kit_await(handle, NULL, 0, &e) == 1);
        further += e.type == CLOUDS_EVENT_STATUS;
        ended += e.type == CLOUDS_EVENT_UNSUBSCRIBED;
    }
    CHECK_INT(clouds_node_status(node, NULL, &operation), 0);
    CHECK_INT(kit_await(handle, NULL, CLOUDS_EVENT_STATUS, &e), 1);
    clouds_context_destroy(handle);
}

/* ---- results that nobody takes */

enum { CALLS = 50 };

static clouds_context *server, *client;
static clouds_node *client_node;
static uint64_t calls[CALLS];

static void serve_one(void)
{
    static char text[LARGE];
    clouds_event e;
    memset(text, ' ', sizeof text);
    text[0] = '[', text[sizeof text - 1] = ']';
    while (kit_next(server, &e, 0.01) == 1)
        if (e.type == CLOUDS_EVENT_REQUEST) CHECK_INT(clouds_reply(server, e.id, text, sizeof text), 0);
}

/* As many calls as are accepted, whose results wait, or do not. */
static int fill_with_results(uint32_t flags)
{
    const clouds_call_options options = {.size = sizeof options, .flags = flags, .timeout = KIT_PATIENCE};
    uint64_t first = counter(client, "results");
    double until = kit_now() + KIT_PATIENCE;
    int n = 0;
    while (n < CALLS && clouds_node_call(client_node, "large", 5, "[]", 2, &options, &calls[n]) == 0) n++;
    while (counter(client, "results") < first + (uint64_t)n && kit_now() < until) serve_one();
    return n;
}

static int take(int held, int i, clouds_event *e)
{
    return held ? clouds_wait(client, calls[i], KIT_PATIENCE, e, sizeof *e) == 1
                : kit_await(client, NULL, CLOUDS_EVENT_RESULT, e) == 1;
}

static void results(uint32_t flags)
{
    const char *url = kit_url("inproc:");
    int held = flags == CLOUDS_CALL_WAIT, whole = 0, lost = 0;
    clouds_event e;
    server = kit_context(url, "inline");
    client = narrow(url);
    clouds_node *server_node = kit_node(server, "server");
    client_node = kit_node(client, "client");
    CHECK_INT(kit_register(server, server_node, "large"), 0);
    CHECK_INT(fill_with_results(flags), CALLS);
    CHECK(counter(client, "lost_results") > 0);
    uint64_t none;
    CHECK_INT(clouds_node_call(client_node, "large", 5, "[]", 2, NULL, &none), CLOUDS_ELIMIT);
    CHECK(strstr(clouds_last_error(), "bytes of results wait") != NULL);
    for (int i = 0; i < CALLS && CHECK(take(held, i, &e)); i++) {
        if (e.code == 0) whole += e.data_len == LARGE;
        else lost += e.code == CLOUDS_ELIMIT && e.outcome == CLOUDS_OUTCOME_UNKNOWN && strstr(e.error, "\"method\":\"large\"");
        if (held) clouds_event_release(&e);
    }
    CHECK_INT(whole, 2 * ROOM / LARGE);
    CHECK_INT(whole + lost, CALLS);
    CHECK_INT(counter(client, "lost_results"), lost);
    CHECK(fill_with_results(flags) > 0); /* what was taken makes room */
    clouds_context_destroy(client);
    clouds_context_destroy(server);
}

static void results_for_poll(void)
{
    results(0);
}

static void results_for_wait(void)
{
    results(CLOUDS_CALL_WAIT);
}

int main(void)
{
    sem_init(&stopped, 0, 0);
    sem_init(&go_on, 0, 0);
    clouds_set_allocator(stopping_realloc, NULL);
    RUN(commands_without_text);
    RUN(results_for_poll);
    RUN(results_for_wait);
    return kit_end();
}
