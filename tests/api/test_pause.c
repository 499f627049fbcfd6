/* Servers that take no calls for a while, through the exported functions, over each bus: P6 of the acceptance tests. */
#include "api/kit.h"

static const char *kind, *mode;

enum { SERVERS = 2 };

typedef struct world {
    clouds_context *contexts[SERVERS], *client;
    clouds_node *servers[SERVERS], *node;
    int served[SERVERS];
} world;

static world open_world(void)
{
    const char *url = kit_url(kind);
    world w = {.client = kit_context(url, mode)};
    w.node = kit_node(w.client, "client");
    for (int i = 0; i < SERVERS; i++) {
        w.contexts[i] = kit_context(url, mode);
        w.servers[i] = kit_node(w.contexts[i], "server");
        CHECK_INT(kit_register(w.contexts[i], w.servers[i], "echo"), 0);
        CHECK_INT(kit_register(w.contexts[i], w.servers[i], "other"), 0);
    }
    return w;
}

static void close_world(world *w)
{
    clouds_context_destroy(w->client);
    for (int i = 0; i < SERVERS; i++) clouds_context_destroy(w->contexts[i]);
}

/* The servers answer what has come. */
static void serve(world *w)
{
    clouds_event e;
    for (int i = 0; i < SERVERS; i++)
        while (kit_next(w->contexts[i], &e, 0) == 1)
            if (e.type == CLOUDS_EVENT_REQUEST) {
                w->served[i]++;
                CHECK_INT(clouds_reply(w->contexts[i], e.id, "[]", 2), 0);
            }
}

/* The end of a call. */
static clouds_event result_of(world *w, uint64_t id)
{
    double until = kit_now() + KIT_PATIENCE;
    clouds_event e;
    while (kit_now() < until) {
        serve(w);
        if (kit_next(w->client, &e, 0.001) == 1 && e.type == CLOUDS_EVENT_RESULT && e.id == id) return e;
    }
    CHECK(kit_now() < until);
    return (clouds_event){.code = -1000, .error = ""};
}

static int call(world *w, const char *method)
{
    return result_of(w, kit_call(w->node, method, "[]", NULL)).code;
}

/* Over etcd a change is known a moment later, and changes of a node become known in their order. */
static void settle(world *w, int i)
{
    static int number;
    char mark[32];
    double until = kit_now() + KIT_PATIENCE;
    clouds_event e = {.code = -1, .error = ""};
    if (strncmp(kind, "etcd:", 5) != 0) return;
    snprintf(mark, sizeof mark, "mark.%d", number++);
    CHECK_INT(kit_register(w->contexts[i], w->servers[i], mark), 0);
    while (e.code != 0 && !memmem(e.error, e.error_len, ": 1 server is paused", 20) && kit_now() < until)
        e = result_of(w, kit_call(w->node, mark, "[]", NULL));
    CHECK(kit_now() < until);
}

static void begin_pause(world *w, int i, const char *method, int paused)
{
    uint64_t operation = 0;
    clouds_event e;
    CHECK_INT(clouds_node_pause(w->servers[i], method, strlen(method), paused, NULL, &operation), 0);
    REQUIRE(kit_await(w->contexts[i], NULL, CLOUDS_EVENT_PAUSED, &e) == 1);
    CHECK(e.id == operation && e.code == 0 && e.number == paused);
    CHECK_STR(e.method, e.method_len, method);
}

static void pause_server(world *w, int i, const char *method, int paused)
{
    begin_pause(w, i, method, paused);
    settle(w, i);
}

/* Calls until both servers have answered. */
static void call_until_both(world *w, const char *method)
{
    double until = kit_now() + KIT_PATIENCE;
    w->served[0] = w->served[1] = 0;
    while ((!w->served[0] || !w->served[1]) && kit_now() < until) CHECK_INT(call(w, method), 0);
    CHECK(w->served[0] && w->served[1]);
}

static void one_then_both(void)
{
    world w = open_world();
    call_until_both(&w, "echo");
    pause_server(&w, 0, "echo", 1);
    w.served[0] = w.served[1] = 0;
    for (int i = 0; i < 20; i++) CHECK_INT(call(&w, "echo"), 0);
    CHECK_INT(w.served[0], 0);
    CHECK_INT(w.served[1], 20);
    call_until_both(&w, "other"); /* that is another method */

    pause_server(&w, 1, "", 1);
    clouds_event e = result_of(&w, kit_call(w.node, "echo", "[]", NULL));
    CHECK_INT(e.code, CLOUDS_ENOSERVER);
    CHECK_INT(e.outcome, CLOUDS_OUTCOME_NOT_DONE);
    if (!CHECK(memmem(e.error, e.error_len, ": 2 servers are paused", 22) != NULL)) printf("# %s\n", e.error);
    clouds_call_options patient = {.size = sizeof patient, .retries = 5, .timeout = 10};
    uint64_t waits = kit_call(w.node, "echo", "[]", &patient);
    for (int i = 0; i < 20; i++) kit_next(w.client, &e, 0.005), serve(&w);
    w.served[0] = 0;
    begin_pause(&w, 0, "echo", 0);
    CHECK_INT(result_of(&w, waits).code, 0);
    CHECK_INT(w.served[0], 1);
    pause_server(&w, 1, "", 0);
    call_until_both(&w, "echo");
    close_world(&w);
}

/* Who comes later finds the state, too; and what is registered on a node that is paused. */
static void who_comes_later(void)
{
    world w = open_world();
    pause_server(&w, 0, "", 1);
    pause_server(&w, 1, "", 1);
    for (int i = 0; i < SERVERS; i++) CHECK_INT(kit_register(w.contexts[i], w.servers[i], "late"), 0);
    clouds_event e = result_of(&w, kit_call(w.node, "late", "[]", NULL));
    CHECK_INT(e.code, CLOUDS_ENOSERVER);
    CHECK(memmem(e.error, e.error_len, ": 2 servers are paused", 22) != NULL);
    for (int i = 0; i < SERVERS; i++) pause_server(&w, i, "", 0);
    call_until_both(&w, "late");
    close_world(&w);
}

static void a_pinned_call(void)
{
    world w = open_world();
    call_until_both(&w, "echo");
    pause_server(&w, 0, "echo", 1);
    const char *id = clouds_node_id(w.servers[0]);
    clouds_call_options there = {.size = sizeof there, .server = id, .server_len = strlen(id)};
    clouds_event e = result_of(&w, kit_call(w.node, "echo", "[]", &there));
    /* Who does not know that the node is one of ours is told in words only. */
    CHECK(e.code == CLOUDS_ENOSERVER || (e.code == CLOUDS_EAPP && strcmp(kind, "inproc:") && strcmp(kind, "local:")));
    CHECK(memmem(e.error, e.error_len, "the method is paused there", 26) != NULL);
    close_world(&w);
}

static void what_cannot_be_paused(void)
{
    world w = open_world();
    clouds_event e;
    uint64_t id = 0;
    int code = clouds_node_pause(w.servers[0], "unknown", 7, 1, NULL, &id);
    if (code == 0 && kit_await(w.contexts[0], NULL, CLOUDS_EVENT_PAUSED, &e) == 1) code = e.code;
    CHECK_INT(code, CLOUDS_EINVAL);
    CHECK_INT(clouds_node_close(w.servers[0], 0, NULL, NULL), 0);
    CHECK_INT(clouds_node_pause(w.servers[0], NULL, 0, 1, NULL, NULL), CLOUDS_ECLOSED);
    close_world(&w);
}

static void all(void)
{
    RUN(one_then_both);
    RUN(who_comes_later);
    RUN(a_pinned_call);
    RUN(what_cannot_be_paused);
}

int main(int argc, char **argv)
{
    kind = argc > 1 ? argv[1] : "inproc:";
    kit_modes(&mode, all);
    return kit_end();
}
