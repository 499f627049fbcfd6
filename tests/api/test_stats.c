/* What is counted by method, through the exported functions. */
#include "api/kit.h"

static const char *kind, *mode;

static clouds_context *open_context(const char *url, const char *stats)
{
    clouds_context *context = NULL;
    clouds_options *options = KIT_OPTIONS("url", url, "mode", mode, "stats", stats);
    CHECK_INT(clouds_context_create(options, &context), 0);
    clouds_options_destroy(options);
    return context;
}

static int has(const clouds_event *e, const char *text)
{
    char data[4096];
    snprintf(data, sizeof data, "%.*s", (int)e->data_len, e->data);
    if (CHECK(strstr(data, text) != NULL)) return 1;
    printf("# %s lacks %s\n", data, text);
    return 0;
}

/* clouds_node_stats, wherever its failure is told. */
static int ask(clouds_context *context, clouds_node *node, clouds_event *e)
{
    const clouds_operation_options o = {.size = sizeof o, .user_data = 7};
    uint64_t id = 0;
    int code = clouds_node_stats(node, &o, &id);
    if (code != 0) return code;
    CHECK(kit_await(context, NULL, CLOUDS_EVENT_STATUS, e) == 1 && e->id == id && e->user_data == 7);
    return e->code;
}

static void both_ends(void)
{
    const char *url = kit_url(kind);
    clouds_context *service = open_context(url, "true"), *caller = open_context(url, "true");
    clouds_node *server = kit_node(service, "server"), *client = kit_node(caller, "client");
    clouds_event e;
    CHECK_INT(kit_register(service, server, "echo"), 0);
    for (int i = 0; i < 3; i++) {
        uint64_t id = kit_call(client, "echo", "[]", NULL);
        double until = kit_now() + KIT_PATIENCE;
        int done = 0;
        while (!done && kit_now() < until) {
            if (kit_next(service, &e, 0) == 1) kit_answer(service, &e);
            done = kit_next(caller, &e, 0.001) == 1 && e.type == CLOUDS_EVENT_RESULT && e.id == id;
        }
        CHECK(done && e.code == 0);
    }
    CHECK_INT(ask(caller, client, &e), 0);
    has(&e, "\"methods\":{\"echo\":{\"calls\":{\"open\":0,\"ok\":3,\"app_error\":0,\"not_done\":0,\"unknown\":0,");
    CHECK_INT(ask(service, server, &e), 0);
    has(&e, "\"methods\":{\"echo\":{\"requests\":{\"open\":0,\"ok\":3,\"app_error\":0,\"not_done\":0,\"unknown\":0,");
    clouds_context_destroy(caller);
    clouds_context_destroy(service);
}

static double seconds_of(clouds_context *context, clouds_node *node)
{
    clouds_event e;
    char data[4096] = "";
    if (CHECK(ask(context, node, &e) == 0)) snprintf(data, sizeof data, "%.*s", (int)e.data_len, e.data);
    const char *said = strstr(data, "\"seconds\":");
    return CHECK(said != NULL) ? strtod(said + strlen("\"seconds\":"), NULL) : -1;
}

/* Both ends wait for nothing before the call, which is no part of it, and the server for a while before it answers. */
static void what_is_waited_for_counts_and_nothing_before(void)
{
    enum { WAIT_MS = 50 };
    const char *url = kit_url(kind);
    clouds_context *service = open_context(url, "true"), *caller = open_context(url, "true");
    clouds_node *server = kit_node(service, "server"), *client = kit_node(caller, "client");
    clouds_event e;
    CHECK_INT(kit_register(service, server, "slow"), 0);
    for (double until = kit_now() + 4 * WAIT_MS / 1e3; kit_now() < until;) {
        kit_next(service, &e, WAIT_MS / 1e3);
        kit_next(caller, &e, WAIT_MS / 1e3);
    }
    double began = kit_now();
    kit_call(client, "slow", "[]", NULL);
    CHECK(kit_await(service, caller, CLOUDS_EVENT_REQUEST, &e) == 1);
    uint64_t request = e.id;
    double taken = kit_now();
    while (kit_now() < taken + WAIT_MS / 1e3) kit_next(caller, &e, WAIT_MS / 1e3);
    CHECK_INT(clouds_reply(service, request, "[1]", 3), 0);
    CHECK(kit_await(caller, service, CLOUDS_EVENT_RESULT, &e) == 1 && e.code == 0);
    double took = kit_now() - began, of_call = seconds_of(caller, client), of_request = seconds_of(service, server);
    printf("# %.6f: the call %.6f, the request %.6f\n", took, of_call, of_request);
    CHECK(of_request >= WAIT_MS / 1e3 && of_call >= WAIT_MS / 1e3);
    CHECK(of_request <= took + 1e-3 && of_call <= took + 1e-3);
    clouds_context_destroy(caller);
    clouds_context_destroy(service);
}

static void one_that_is_open_when_all_ends(void)
{
    const char *url = kit_url(kind);
    clouds_context *service = open_context(url, "true"), *caller = open_context(url, "true");
    clouds_node *server = kit_node(service, "server"), *client = kit_node(caller, "client");
    clouds_event e;
    CHECK_INT(kit_register(service, server, "never"), 0);
    kit_call(client, "never", "[]", NULL);
    CHECK(kit_await(service, caller, CLOUDS_EVENT_REQUEST, &e) == 1);
    clouds_context_destroy(service);
    clouds_context_destroy(caller);
}

static void when_it_cannot_be_asked(void)
{
    const char *url = kit_url(kind);
    clouds_context *context = open_context(url, "false"), *counting = open_context(url, "true");
    clouds_node *node = kit_node(context, "client"), *closed = kit_node(counting, "client");
    clouds_event e;
    CHECK_INT(ask(context, node, &e), CLOUDS_ENOTSUP);
    CHECK_INT(clouds_node_stats(NULL, NULL, NULL), CLOUDS_EHANDLE);
    CHECK_INT(clouds_node_close(closed, 0, NULL, NULL), 0);
    CHECK(kit_await(counting, NULL, CLOUDS_EVENT_NODE_CLOSED, &e) == 1);
    CHECK_INT(clouds_node_stats(closed, NULL, NULL), CLOUDS_ECLOSED);
    clouds_context_destroy(context);
    clouds_context_destroy(counting);
}

static void all(void)
{
    RUN(both_ends);
    RUN(what_is_waited_for_counts_and_nothing_before);
    RUN(one_that_is_open_when_all_ends);
    RUN(when_it_cannot_be_asked);
}

int main(int argc, char **argv)
{
    kind = argc > 1 ? argv[1] : "inproc:";
    kit_modes(&mode, all);
    return kit_end();
}
