/* clouds_node_configure and clouds_open. */
#include <pthread.h>
#include <stdatomic.h>

#include "api/kit.h"

static const char *kind = "inproc:", *mode;

static int configure(clouds_node *node, const char *name, const char *value)
{
    clouds_options *options = KIT_OPTIONS(name, value);
    int code = clouds_node_configure(node, options);
    clouds_options_destroy(options);
    return code;
}

/* The question comes, with what the call carries; then no more. */
static void find_server(void)
{
    kit_pair p = kit_open(kind, mode, mode);
    clouds_event e;
    const clouds_call_options own = {.size = sizeof own, .user_data = 4711};
    CHECK_INT(configure(p.client_node, "find_server", "true"), 0);
    uint64_t call = kit_call(p.client_node, "echo", "[5]", &own);
    CHECK_INT(kit_await(p.client, p.server, CLOUDS_EVENT_FIND_SERVER, &e), 1);
    CHECK_STR(e.method, e.method_len, "echo");
    CHECK_INT(e.user_data, 4711);
    CHECK(e.node == p.client_node && e.data[0] == '[');
    const char *id = clouds_node_id(p.server_node);
    CHECK_INT(clouds_choose(p.client, e.id, id, strlen(id)), 0);
    CHECK_INT(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e), 1);
    CHECK(e.id == call && e.code == 0);
    CHECK_INT(configure(p.client_node, "find_server", "false"), 0);
    call = kit_call(p.client_node, "echo", "[6]", NULL);
    CHECK_INT(kit_await(p.client, p.server, 0, &e), 1);
    CHECK(e.type == CLOUDS_EVENT_RESULT && e.id == call && e.code == 0);
    kit_close(&p);
}

/* Of calls that begin after it; what is not set stays. */
static void timeout(void)
{
    kit_pair p = kit_open(kind, mode, mode);
    clouds_event e;
    CHECK_INT(configure(p.client_node, "user_data", "18446744073709551615"), 0);
    CHECK_INT(configure(p.client_node, "timeout", "1"), 0);
    double start = kit_now();
    kit_call(p.client_node, "silent", "[]", NULL);
    CHECK_INT(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e), 1);
    CHECK_INT(e.code, CLOUDS_ETIMEOUT);
    CHECK(kit_now() - start < 30); /* 60 before */
    const char *id = clouds_node_id(p.client_node);
    CHECK_INT(clouds_node_send(p.server_node, id, strlen(id), "1", 1, 0, NULL, NULL), 0);
    CHECK_INT(kit_await(p.client, p.server, CLOUDS_EVENT_MESSAGE, &e), 1);
    CHECK(e.user_data == UINT64_MAX);
    kit_close(&p);
}

static int count_sweeps(clouds_context *context, double seconds)
{
    clouds_event e;
    int n = 0;
    for (double until = kit_now() + seconds; kit_now() < until;)
        n += kit_next(context, &e, 0.02) == 1 && e.type == CLOUDS_EVENT_CLEAR_SERVERS;
    return n;
}

/* The sweep begins when it is asked for, keeps its pace when something else changes, and ends. */
static void sweep(void)
{
    clouds_context *context = kit_context(kit_url("inproc:"), mode);
    clouds_node *node = kit_node(context, "client");
    clouds_event e;
    clouds_options *options = KIT_OPTIONS("clear_servers", "true", "server_max_age", "0.2");
    CHECK_INT(clouds_node_configure(node, options), 0);
    clouds_options_destroy(options);
    CHECK_INT(kit_await(context, NULL, CLOUDS_EVENT_CLEAR_SERVERS, &e), 1);
    int n = 0;
    for (double until = kit_now() + KIT_PATIENCE; n < 2 && kit_now() < until;) {
        CHECK_INT(configure(node, "retries", "1"), 0);
        n += kit_next(context, &e, 0.01) == 1 && e.type == CLOUDS_EVENT_CLEAR_SERVERS;
    }
    CHECK_INT(n, 2);
    CHECK_INT(configure(node, "clear_servers", "false"), 0);
    const clouds_call_options once = {.size = sizeof once, .retries = -1};
    uint64_t call = kit_call(node, "nobody", "[]", &once); /* its end comes behind what was on its way */
    CHECK(kit_await(context, NULL, CLOUDS_EVENT_RESULT, &e) == 1 && e.id == call);
    CHECK_INT(count_sweeps(context, 0.4), 0);
    clouds_context_destroy(context);
}

static void what_cannot(void)
{
    static const char *const fixed[][2] = {{"id", "other"},    {"type", "server"}, {"heartbeat", "1"},
                                           {"url", "inproc:"}, {"mode", "thread"}, {"max_events", "100"}};
    clouds_context *context = kit_context(kit_url("inproc:"), mode);
    clouds_node *node = kit_node(context, "client");
    clouds_event e;
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        clouds_options *options = KIT_OPTIONS(fixed[i][0], fixed[i][1], "find_server", "true");
        CHECK_INT(clouds_node_configure(node, options), CLOUDS_EOPTION);
        CHECK(strstr(clouds_last_error(), fixed[i][0]) != NULL);
        clouds_options_destroy(options);
    }
    kit_call(node, "nobody", "[]", NULL); /* find_server did not come through */
    int n;
    do n = kit_next(context, &e, KIT_PATIENCE);
    while (n == 1 && e.type != CLOUDS_EVENT_RESULT && e.type != CLOUDS_EVENT_FIND_SERVER);
    CHECK(n == 1 && e.type == CLOUDS_EVENT_RESULT);
    CHECK_INT(clouds_node_configure(node, NULL), CLOUDS_EINVAL);
    CHECK_INT(clouds_node_configure(node, (clouds_options *)node), CLOUDS_EHANDLE);
    clouds_options *nothing = KIT_OPTIONS(NULL);
    CHECK_INT(clouds_node_configure(node, nothing), 0);
    CHECK_INT(clouds_node_close(node, 0, NULL, NULL), 0);
    CHECK_INT(clouds_node_configure(node, nothing), CLOUDS_ECLOSED);
    clouds_options_destroy(nothing);
    clouds_context_destroy(context);
}

/* ---- thread mode: from every thread */

static clouds_node *shared;
static atomic_int failures, finished;

static void *change(void *number)
{
    for (int i = 0; i < 200; i++) {
        char text[20];
        snprintf(text, sizeof text, "%d", 1 + i % 9);
        if (configure(shared, number ? "timeout" : "user_data", text) != 0) atomic_fetch_add(&failures, 1);
    }
    atomic_fetch_add(&finished, 1);
    return NULL;
}

static void from_many_threads(void)
{
    pthread_t threads[3];
    kit_pair p = kit_open("inproc:", "thread", "thread");
    clouds_event e;
    shared = p.client_node;
    for (intptr_t i = 0; i < 3; i++) pthread_create(&threads[i], NULL, change, (void *)(i % 2));
    double until = kit_now() + KIT_PATIENCE;
    while (atomic_load(&finished) < 3 && kit_now() < until) {
        kit_call(p.client_node, "echo", "[1]", NULL);
        CHECK_INT(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e), 1);
        CHECK_INT(e.code, 0);
    }
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    CHECK_INT(atomic_load(&failures), 0);
    kit_close(&p);
}

/* ---- clouds_open */

static void open_short(void)
{
    const char *url = kit_url("inproc:");
    clouds_context *context = NULL, *second = NULL;
    clouds_node *node = NULL, *other = NULL;
    CHECK_INT(clouds_open(url, "server", &context, &node), 0);
    CHECK(clouds_node_id(node)[0] == 's');
    CHECK_INT(kit_register(context, node, "echo"), 0);
    setenv("CLOUDS_URL", url, 1);
    CHECK_INT(clouds_open(NULL, NULL, &second, &other), 0);
    CHECK(clouds_node_id(other)[0] == 'b');
    kit_call(other, "echo", "[1]", NULL);
    clouds_event e;
    CHECK_INT(kit_await(second, context, CLOUDS_EVENT_RESULT, &e), 1);
    CHECK_INT(e.code, 0);
    setenv("CLOUDS_URL", "http://nowhere", 1);
    clouds_context_destroy(second);
    second = NULL;
    CHECK_INT(clouds_open(NULL, NULL, &second, &other), CLOUDS_EURL);
    CHECK_INT(clouds_open(url, "no word", &second, &other), CLOUDS_EOPTION);
    CHECK_INT(clouds_open(url, NULL, NULL, &other), CLOUDS_EINVAL);
    CHECK_INT(clouds_open(url, NULL, &second, NULL), CLOUDS_EINVAL);
    CHECK(!second);
    unsetenv("CLOUDS_URL");
    clouds_context_destroy(context);
    CHECK_INT(clouds_set_allocator(NULL, NULL), 0); /* nothing is left */
}

static void in_each_mode(void)
{
    RUN(find_server);
    RUN(timeout);
    RUN(sweep);
    RUN(what_cannot);
}

int main(int argc, char **argv)
{
    if (argc > 1) kind = argv[1];
    kit_modes(&mode, in_each_mode);
    RUN(from_many_threads);
    RUN(open_short);
    return kit_end();
}
