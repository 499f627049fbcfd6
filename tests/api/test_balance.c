/* Which server is called, through the exported functions, over each bus. */
#include "api/kit.h"

static const char *kind, *mode;

enum { SERVERS = 3, CALLERS = 2, KEYS = 30 };

typedef struct world {
    clouds_context *contexts[SERVERS], *clients[CALLERS];
    clouds_node *servers[SERVERS], *nodes[CALLERS];
} world;

static world open_world(const char *balance)
{
    const char *url = kit_url(kind);
    world w;
    for (int i = 0; i < SERVERS; i++) {
        w.contexts[i] = kit_context(url, mode);
        w.servers[i] = kit_node(w.contexts[i], "server");
        CHECK_INT(kit_register(w.contexts[i], w.servers[i], "echo"), 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        w.clients[i] = kit_context(url, mode);
        w.nodes[i] = kit_node_of(w.clients[i], KIT_OPTIONS("type", "client", "balance", balance));
    }
    return w;
}

static void close_world(world *w)
{
    for (int i = 0; i < CALLERS; i++) clouds_context_destroy(w->clients[i]);
    for (int i = 0; i < SERVERS; i++) clouds_context_destroy(w->contexts[i]);
}

/* Who answered a call. */
static int server_of(world *w, int caller, const char *args, const char *key)
{
    double until = kit_now() + KIT_PATIENCE;
    clouds_call_options o = {.size = sizeof o, .key = key, .key_len = key ? strlen(key) : 0};
    uint64_t id = kit_call(w->nodes[caller], "echo", args, &o);
    clouds_event e;
    while (kit_now() < until) {
        for (int i = 0; i < SERVERS; i++)
            if (kit_next(w->contexts[i], &e, 0) == 1) kit_answer(w->contexts[i], &e);
        if (kit_next(w->clients[caller], &e, 0.001) != 1 || e.type != CLOUDS_EVENT_RESULT || e.id != id) continue;
        CHECK_INT(e.code, 0);
        for (int i = 0; i < SERVERS; i++)
            if (strncmp(clouds_node_id(w->servers[i]), e.peer, e.peer_len) == 0) return i;
    }
    CHECK(kit_now() < until);
    return -1;
}

/* Both callers know all servers, which come one after the other. */
static void know_all(world *w)
{
    double until = kit_now() + KIT_PATIENCE;
    for (int caller = 0; caller < CALLERS; caller++) {
        int seen[SERVERS] = {0}, n = 0;
        for (int i = 0; n < SERVERS && kit_now() < until; i++) {
            char args[16];
            snprintf(args, sizeof args, "[%d]", i);
            int server = server_of(w, caller, args, NULL);
            if (server >= 0) n += !seen[server]++;
        }
        CHECK_INT(n, SERVERS);
    }
}

static void same_server(const char *balance, int with_key)
{
    world w = open_world(balance);
    int share[SERVERS] = {0};
    know_all(&w);
    for (int i = 0; i < KEYS; i++) {
        char text[16], alike[16]; /* as another language may write it */
        snprintf(text, sizeof text, "[%d]", i);
        snprintf(alike, sizeof alike, "[ %d.0 ]", i);
        int first = server_of(&w, 0, with_key ? "[]" : text, with_key ? text : NULL);
        REQUIRE(first >= 0);
        share[first]++;
        for (int caller = 0; caller < CALLERS; caller++)
            CHECK_INT(server_of(&w, caller, with_key ? "[1]" : alike, with_key ? text : NULL), first);
    }
    for (int i = 0; i < SERVERS; i++) CHECK(share[i] > 0);
    close_world(&w);
}

static void calls_of_a_key_go_to_one_server(void)
{
    same_server("rr", 1);
}

static void equal_arguments_go_to_one_server(void)
{
    same_server("hash", 0);
}

static void other_ways(void)
{
    static const char *const ways[] = {"random", "least"};
    for (int i = 0; i < 2; i++) {
        world w = open_world(ways[i]);
        know_all(&w);
        close_world(&w);
    }
}

/* ---- weights, and what is explained */

static const char *explained(clouds_context *context, clouds_node *node, clouds_event *e)
{
    uint64_t operation;
    CHECK_INT(clouds_node_explain(node, "echo", 4, NULL, &operation), 0);
    CHECK(kit_await(context, NULL, CLOUDS_EVENT_STATUS, e) == 1 && e->id == operation);
    CHECK_INT(e->code, 0);
    CHECK_STR(e->method, e->method_len, "echo");
    return e->data;
}

static int says(const clouds_event *e, const char *text)
{
    return memmem(e->data, e->data_len, text, strlen(text)) != NULL;
}

/* Where all are on one machine anyway, nobody says on which. */
static int says_host(void)
{
    return strcmp(kind, "inproc:") != 0 && strcmp(kind, "local:") != 0;
}

/* With nothing configured but that it is preferred. */
static void who_is_on_the_same_machine(void)
{
    const char *url = kit_url(kind);
    clouds_context *server = kit_context(url, mode), *other = kit_context(url, mode), *client = kit_context(url, mode);
    clouds_node *here = kit_node_of(server, KIT_OPTIONS("type", "server", "id", "s.here"));
    clouds_node *there = kit_node_of(other, KIT_OPTIONS("type", "server", "id", "s.there", "tags", "host=another"));
    clouds_node *caller = kit_node_of(client, KIT_OPTIONS("type", "client", "prefer", "host"));
    clouds_event e = {0};
    CHECK_INT(kit_register(server, here, "echo"), 0);
    CHECK_INT(kit_register(other, there, "echo"), 0);
    double until = kit_now() + KIT_PATIENCE;
    do explained(client, caller, &e);
    while (!(says(&e, "s.here") && says(&e, "another")) && kit_now() < until);
    CHECK(says(&e, "\"tags\":{\"host\":\"another\"},\"near\":false}"));
    if (says_host()) {
        CHECK(says(&e, "\"choice\":{\"rule\":\"near\",\"among\":1,\"server\":\"s.here\"}"));
        CHECK(says(&e, "\"prefer\":\"host="));
    } else {
        CHECK(says(&e, "\"choice\":{\"rule\":\"well\",\"among\":2,"));
        CHECK(!says(&e, "\"prefer\""));
    }
    clouds_context_destroy(client);
    clouds_context_destroy(other);
    clouds_context_destroy(server);
}

static int create_code(clouds_context *context, const char *tags, const char *prefer)
{
    clouds_node *node = NULL;
    clouds_options *options = KIT_OPTIONS("type", "client", "tags", tags, "prefer", prefer);
    int code = clouds_node_create(context, options, &node);
    clouds_options_destroy(options);
    return code;
}

/* A program has all of its 256 bytes. */
static void how_many_tags_there_may_be(void)
{
    clouds_context *context = kit_context(kit_url(kind), mode);
    char tags[300] = "a0=";
    for (int i = 1; i < 4; i++) {
        memset(tags + strlen(tags), 'v', 61);
        snprintf(tags + strlen(tags), 8, ",a%d=", i);
    }
    memset(tags + strlen(tags), 'v', 256 - strlen(tags));
    CHECK_INT(strlen(tags), 256);
    CHECK_INT(create_code(context, tags, ""), 0);
    CHECK_INT(create_code(context, tags, "a3"), 0);
    tags[256] = 'v';
    CHECK_INT(create_code(context, tags, ""), CLOUDS_EOPTION);
    CHECK_INT(create_code(context, "", "host"), 0);
    CHECK_INT(create_code(context, "zone=a", "host"), 0);
    CHECK_INT(create_code(context, "", "hosts"), CLOUDS_EOPTION);
    CHECK_INT(create_code(context, "host=", "host"), CLOUDS_EOPTION);
    clouds_context_destroy(context);
}

static void who_would_be_called(void)
{
    const char *url = kit_url(kind);
    clouds_context *server = kit_context(url, mode), *other = kit_context(url, mode), *client = kit_context(url, mode);
    clouds_node *heavy = kit_node_of(server, KIT_OPTIONS("type", "server", "id", "s.heavy", "weight", "3", "tags", "zone=a"));
    clouds_node *light = kit_node_of(other, KIT_OPTIONS("type", "server", "id", "s.light", "tags", "zone=b,host=x"));
    clouds_node *caller =
        kit_node_of(client, KIT_OPTIONS("type", "client", "tags", "zone=b", "prefer", "zone", "balance", "least"));
    clouds_event e = {0};
    CHECK_INT(kit_register(server, heavy, "echo"), 0);
    CHECK_INT(kit_register(other, light, "echo"), 0);
    double until = kit_now() + KIT_PATIENCE;
    do explained(client, caller, &e);
    while (!(says(&e, "\"near\":true") && says(&e, "s.heavy")) && kit_now() < until); /* what it says of itself, too */
    CHECK(says(&e, "\"method\":\"echo\",\"bus\":\"up\",\"balance\":\"least\",\"prefer\":\"zone=b\","
                   "\"choice\":{\"rule\":\"near\",\"among\":1,\"server\":\"s.light\"}"));
    CHECK(says(&e, says_host() ? "\"weight\":3,\"tags\":{\"zone\":\"a\",\"host\":\""
                               : "\"weight\":3,\"tags\":{\"zone\":\"a\"},\"near\":false}"));
    CHECK(says(&e, "\"weight\":1,\"tags\":{\"zone\":\"b\",\"host\":\"x\"},\"near\":true}"));
    CHECK(says(&e, strcmp(kind, "local:") == 0 ? "\"route\":\"link\",\"address\":\"unix:/" : "\"route\":\"bus\""));
    uint64_t operation;
    CHECK_INT(clouds_node_pause(light, "echo", 4, 1, NULL, &operation), 0);
    CHECK_INT(kit_await(other, NULL, CLOUDS_EVENT_PAUSED, &e), 1);
    until = kit_now() + KIT_PATIENCE;
    do explained(client, caller, &e);
    while (!says(&e, "\"id\":\"s.light\",\"state\":\"paused\"") && kit_now() < until);
    CHECK(says(&e, "\"choice\":{\"rule\":\"well\",\"among\":1,\"server\":\"s.heavy\"}"));
    clouds_context_destroy(client);
    clouds_context_destroy(other);
    clouds_context_destroy(server);
}

static void what_cannot_be_asked(void)
{
    clouds_context *context = kit_context(kit_url(kind), mode);
    clouds_node *node = kit_node(context, "client");
    char words[200] = "";
    clouds_operation_options o = {.size = sizeof o, .error = words, .error_size = sizeof words};
    uint64_t operation = 0;
    CHECK_INT(clouds_node_explain(node, "", 0, &o, &operation), CLOUDS_EINVAL);
    CHECK(strstr(words, "method"));
    CHECK_INT(clouds_node_explain(node, NULL, 4, NULL, &operation), CLOUDS_EINVAL);
    CHECK_INT(clouds_node_explain(NULL, "m", 1, NULL, &operation), CLOUDS_EHANDLE);
    CHECK_INT(operation, 0);
    clouds_context_destroy(context);
}

static void all(void)
{
    RUN(who_would_be_called);
    RUN(who_is_on_the_same_machine);
    RUN(how_many_tags_there_may_be);
    RUN(what_cannot_be_asked);
    RUN(calls_of_a_key_go_to_one_server);
    RUN(equal_arguments_go_to_one_server);
    RUN(other_ways);
}

int main(int argc, char **argv)
{
    kind = argc > 1 ? argv[1] : "inproc:";
    kit_modes(&mode, all);
    return kit_end();
}
