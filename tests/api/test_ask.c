/* What a node asks another, through the exported functions, over each bus. */
#include "api/kit.h"

static const char *kind, *server_mode, *client_mode;

static int is_local(void)
{
    return strcmp(kind, "inproc:") == 0 || strcmp(kind, "local:") == 0;
}

static clouds_context *open_context(const char *url, const char *mode, const char *admin)
{
    clouds_context *context = NULL;
    clouds_options *options = KIT_OPTIONS("url", url, "mode", mode, "admin", admin);
    CHECK_INT(clouds_context_create(options, &context), 0);
    clouds_options_destroy(options);
    return context;
}

/* As kit_open, with a server that answers what it is asked as `admin` says. */
static kit_pair open_pair(const char *admin)
{
    const char *url = kit_url(kind);
    kit_pair p = {.server = open_context(url, server_mode, admin), .client = kit_context(url, client_mode)};
    p.server_node = kit_node(p.server, "server");
    p.client_node = kit_node(p.client, "client");
    CHECK_INT(kit_register(p.server, p.server_node, "echo"), 0);
    CHECK(kit_find(&p));
    return p;
}

/* What the program that is asked is told. */
typedef struct news {
    uint32_t type;
    uint64_t id;
    int64_t number;
    double time_left;
    clouds_node *node;
    char method[64], peer[256];
} news;

/* Lets the program that is asked do what it has to. */
static void serve(kit_pair *p, news *told)
{
    clouds_event e;
    while (kit_next(p->server, &e, 0) == 1) {
        kit_answer(p->server, &e);
        if (e.type != CLOUDS_EVENT_STOP && e.type != CLOUDS_EVENT_PAUSED) continue;
        if (!CHECK(told != NULL)) continue;
        *told = (news){e.type, e.id, e.number, e.time_left, e.node, "", ""};
        snprintf(told->method, sizeof told->method, "%.*s", (int)e.method_len, e.method);
        snprintf(told->peer, sizeof told->peer, "%.*s", (int)e.peer_len, e.peer);
    }
}

/* Asks, and waits for the end; and, where `told` is given, for what its program is told. */
static clouds_event ask_id(kit_pair *p, const char *id, const char *what, const char *args, news *told)
{
    uint64_t operation = 0;
    clouds_event e = {.code = -1000, .error = "", .data = ""};
    const clouds_operation_options options = {.size = sizeof options, .timeout = KIT_PATIENCE, .user_data = 77};
    int code = clouds_node_ask(p->client_node, id, strlen(id), what, args, strlen(args), &options, &operation);
    if (code != 0) return (clouds_event){.code = code, .error = "", .data = ""};
    if (told) told->type = 0;
    double until = kit_now() + KIT_PATIENCE;
    while (kit_now() < until) {
        serve(p, told);
        if (kit_next(p->client, &e, 0.002) == 1 && e.type == CLOUDS_EVENT_STATUS) break;
    }
    CHECK(e.type == CLOUDS_EVENT_STATUS && e.id == operation && e.user_data == 77);
    while (told && !told->type && kit_now() < until) serve(p, told);
    return e;
}

static clouds_event ask(kit_pair *p, const char *what, const char *args, news *told)
{
    clouds_event e = ask_id(p, clouds_node_id(p->server_node), what, args, told);
    const char *id = clouds_node_id(p->server_node);
    if (e.type == CLOUDS_EVENT_STATUS) CHECK_STR(e.peer, e.peer_len, id);
    if (e.type == CLOUDS_EVENT_STATUS) CHECK_STR(e.method, e.method_len, what);
    return e;
}

static int says(const char *text, size_t n, const char *part)
{
    int found = memmem(text, n, part, strlen(part)) != NULL;
    if (!found) printf("# '%.*s' does not have '%s'\n", (int)n, text, part);
    return found;
}

static int told_by(kit_pair *p, const news *told)
{
    return told->id == 0 && told->node == p->server_node && strcmp(told->peer, clouds_node_id(p->client_node)) == 0;
}

static void ping_and_status(void)
{
    kit_pair p = open_pair("on");
    char expected[256];
    clouds_event e = ask(&p, "ping", "", NULL);
    snprintf(expected, sizeof expected, "{\"id\":\"%s\",\"version\":\"%s\",\"pid\":%d,\"state\":\"ready\",\"paused\":false}",
             clouds_node_id(p.server_node), clouds_version(), (int)getpid());
    CHECK_INT(e.code, 0);
    CHECK_STR(e.data, e.data_len, expected);
    e = ask(&p, "ping", "{}", NULL);
    CHECK_INT(e.code, 0);
    e = ask(&p, "status", "", NULL);
    CHECK_INT(e.code, 0);
    CHECK(says(e.data, e.data_len, "\"methods\":{\"echo\":{\"paused\":false}},\"requests\":0,\"calls\":0,\"counters\":{\"calls\":"));
    kit_close(&p);
}

/* What it is, what it serves, and what it has counted. */
static void info_and_methods(void)
{
    kit_pair p = open_pair("on");
    char host[256] = "";
    CHECK_INT(gethostname(host, sizeof host - 1), 0);
    clouds_event e = ask(&p, "info", "", NULL);
    CHECK_INT(e.code, 0);
    char expected[300];
    snprintf(expected, sizeof expected, "\"paused\":false,\"host\":\"%s\",\"uptime\":", host);
    CHECK(says(e.data, e.data_len, expected));
    CHECK(says(e.data, e.data_len, ",\"counts\":false,\"type\":\"server\",\"weight\":1,\"tags\":{"));
    e = ask(&p, "methods", "", NULL);
    CHECK_INT(e.code, 0);
    CHECK(says(e.data, e.data_len, "\"paused\":false,\"methods\":{\"echo\":{\"paused\":false}}}"));
    e = ask(&p, "stats", "", NULL);
    CHECK_INT(e.code, CLOUDS_ENOTSUP);
    CHECK(says(e.error, e.error_len, "not counted by method there (context option stats)"));
    kit_close(&p);
}

static int call(kit_pair *p);

static void its_statistics(void)
{
    const char *url = kit_url(kind);
    kit_pair p = {.client = kit_context(url, client_mode)};
    clouds_options *options = KIT_OPTIONS("url", url, "mode", server_mode, "admin", "on", "stats", "true");
    CHECK_INT(clouds_context_create(options, &p.server), 0);
    clouds_options_destroy(options);
    p.server_node = kit_node(p.server, "server");
    p.client_node = kit_node(p.client, "client");
    CHECK_INT(kit_register(p.server, p.server_node, "echo"), 0);
    CHECK(kit_find(&p) && call(&p) == 0);
    clouds_event e = ask(&p, "stats", "", NULL);
    CHECK_INT(e.code, 0);
    CHECK(says(e.data, e.data_len, ",\"bounds\":[0.000500,"));
    CHECK(says(e.data, e.data_len, "],\"methods\":{\"echo\":{\"requests\":{\"open\":0,\"ok\":"));
    kit_close(&p);
}

static void refused(kit_pair *p, const char *what, const char *args, const char *why)
{
    clouds_event e = ask(p, what, args, NULL);
    CHECK_INT(e.code, CLOUDS_EAPP);
    CHECK(says(e.error, e.error_len, why));
}

static size_t count(const char *text, size_t n, const char *part)
{
    size_t found = 0;
    for (const char *p = text; (p = memmem(p, n - (size_t)(p - text), part, strlen(part))) != NULL; p++) found++;
    return found;
}

/* What it has itself: the link by which it is asked among them, if it is asked by one. */
static void its_links(void)
{
    kit_pair p = open_pair("on");
    clouds_event e = ask(&p, "links", "", NULL);
    char expected[128];
    snprintf(expected, sizeof expected, "{\"id\":\"%s\",\"version\":\"", clouds_node_id(p.server_node));
    CHECK_INT(e.code, 0);
    CHECK(says(e.data, e.data_len, expected) && says(e.data, e.data_len, "\"paused\":false,\"links\":["));
    if (strcmp(kind, "inproc:") == 0) CHECK(says(e.data, e.data_len, "\"links\":[]}"));
    if (strcmp(kind, "local:") == 0) {
        snprintf(expected, sizeof expected, "{\"peer\":\"%s\",\"here\":\"%s\",\"ours\":false,\"state\":\"open\"",
                 clouds_node_id(p.client_node), clouds_node_id(p.server_node));
        CHECK(says(e.data, e.data_len, expected));
        CHECK_INT(count(e.data, e.data_len, "\"asked\":true"), 1);
    }
    CHECK(count(e.data, e.data_len, "\"asked\":true") <= 1);
    refused(&p, "links", "{\"method\":\"echo\"}", "'links' does not take 'method'");
    kit_close(&p);
}

/* A node that offers nothing is asked as well as another; over Redis it is known by what it offers. */
static void a_client(void)
{
    kit_pair p = open_pair("on");
    kit_pair back = {.server = p.client, .client = p.server, .server_node = p.client_node, .client_node = p.server_node};
    clouds_event e = ask(&back, "ping", "", NULL);
    CHECK(e.code == CLOUDS_ENOTSUP || e.code == 0);
    if (is_local()) CHECK_INT(e.code, 0);
    kit_close(&p);
}

static int call(kit_pair *p)
{
    clouds_event e;
    kit_call(p->client_node, "echo", "[]", NULL);
    return kit_await(p->client, p->server, CLOUDS_EVENT_RESULT, &e) == 1 ? e.code : -1000;
}

static void pause_and_resume(void)
{
    kit_pair p = open_pair("on");
    news told;
    clouds_event e = ask(&p, "pause", "{\"method\":\"\\u0065cho\"}", &told);
    CHECK_INT(e.code, 0);
    CHECK(told.type == CLOUDS_EVENT_PAUSED && told.number == 1 && told_by(&p, &told));
    CHECK_STR(told.method, strlen(told.method), "echo");
    CHECK_INT(call(&p), CLOUDS_ENOSERVER);
    e = ask(&p, "status", "", NULL);
    CHECK(says(e.data, e.data_len, "\"paused\":false,\"methods\":{\"echo\":{\"paused\":true}}"));
    e = ask(&p, "resume", "{\"method\":\"echo\"}", &told);
    CHECK(e.code == 0 && told.number == 0);
    CHECK(kit_find(&p));
    e = ask(&p, "pause", "", &told);
    CHECK(e.code == 0 && told.number == 1 && !*told.method);
    CHECK(says(e.data, e.data_len, "\"paused\":true"));
    CHECK_INT(call(&p), CLOUDS_ENOSERVER);
    e = ask(&p, "resume", "", &told);
    CHECK(e.code == 0 && told.number == 0);
    CHECK(kit_find(&p));
    kit_close(&p);
}

static void stop(void)
{
    kit_pair p = open_pair("on");
    news told;
    clouds_event e = ask(&p, "stop", "{\"drain\":2.5}", &told);
    CHECK_INT(e.code, 0);
    CHECK(told.type == CLOUDS_EVENT_STOP && told.time_left == 2.5 && told_by(&p, &told));
    CHECK_INT(call(&p), 0); /* that is the program's to do */
    CHECK_INT(ask(&p, "stop", "", NULL).code, 0); /* it is told once */
    CHECK_INT(ask(&p, "ping", "", NULL).code, 0);
    kit_close(&p);
    p = open_pair("on");
    e = ask(&p, "stop", "", &told);
    CHECK(e.code == 0 && told.type == CLOUDS_EVENT_STOP && told.time_left < 0);
    kit_close(&p);
}

/* While a request keeps it from closing. */
static void one_that_drains(void)
{
    kit_pair p = open_pair("on");
    clouds_event e = {0};
    CHECK_INT(kit_register(p.server, p.server_node, "silent"), 0);
    uint64_t id = kit_call(p.client_node, "silent", "[]", NULL);
    CHECK(id != 0);
    double until = kit_now() + KIT_PATIENCE;
    while (e.type != CLOUDS_EVENT_REQUEST && kit_now() < until) {
        kit_next(p.client, &e, 0.002);
        kit_next(p.server, &e, 0.002);
    }
    REQUIRE(e.type == CLOUDS_EVENT_REQUEST);
    CHECK_INT(clouds_node_close(p.server_node, KIT_PATIENCE, NULL, NULL), 0);
    do e = ask(&p, "ping", "", NULL); /* a context with a thread may come to the close behind it */
    while (e.code == 0 && !memmem(e.data, e.data_len, "draining", 8) && kit_now() < until);
    if (strcmp(kind, "local:") == 0 && e.code == CLOUDS_ENOSERVER) { /* it has heard that the link takes nothing more */
        kit_close(&p);
        return;
    }
    CHECK_INT(e.code, 0);
    CHECK(says(e.data, e.data_len, "\"state\":\"draining\""));
    int may_be_gone = strcmp(kind, "local:") == 0;
    e = ask(&p, "stop", "", NULL);
    CHECK(e.code == 0 || (may_be_gone && e.code == CLOUDS_ENOSERVER));
    e = ask(&p, "pause", "", NULL);
    CHECK(e.code == CLOUDS_EAPP || (may_be_gone && e.code == CLOUDS_ENOSERVER));
    kit_close(&p);
}

static void what_is_refused_there(void)
{
    kit_pair p = open_pair("on");
    refused(&p, "pause", "{\"method\":\"nobody\"}", "no method 'nobody' is registered");
    refused(&p, "resume", "{\"method\":1}", "'method' must be the name of a method");
    refused(&p, "pause", "{\"method\":\"\"}", "'method' must be the name of a method");
    refused(&p, "pause", "{\"metod\":\"echo\"}", "'pause' does not take 'metod'");
    refused(&p, "ping", "{\"method\":\"echo\"}", "'ping' does not take 'method'");
    refused(&p, "stop", "{\"drain\":-1}", "'drain' must be a number of seconds");
    refused(&p, "stop", "{\"drain\":\"1\"}", "'drain' must be a number of seconds");
    refused(&p, "stop", "{\"drain\":9999999}", "'drain' must be a number of seconds");
    CHECK_INT(call(&p), 0);
    kit_close(&p);
}

static void what_is_refused_here(void)
{
    kit_pair p = open_pair("on");
    uint64_t operation = 99;
    CHECK_INT(clouds_node_ask(p.client_node, "x", 1, "dance", NULL, 0, NULL, &operation), CLOUDS_EINVAL);
    CHECK_STR(clouds_last_error(), strlen(clouds_last_error()),
              "a node cannot be asked to 'dance'; expected ping, info, status, stats, methods, links, pause, resume or stop");
    CHECK_INT(clouds_node_ask(p.client_node, "x", 1, NULL, NULL, 0, NULL, &operation), CLOUDS_EINVAL);
    CHECK_INT(clouds_node_ask(p.client_node, NULL, 1, "ping", NULL, 0, NULL, &operation), CLOUDS_EINVAL);
    CHECK_INT(clouds_node_ask(p.client_node, "", 0, "ping", NULL, 0, NULL, &operation), CLOUDS_EINVAL);
    CHECK_INT(clouds_node_ask(p.client_node, "x", 1, "ping", NULL, 2, NULL, &operation), CLOUDS_EINVAL);
    CHECK_INT(clouds_node_ask(p.client_node, "x", 1, "ping", "[]", 2, NULL, &operation), CLOUDS_EJSON);
    CHECK_INT(clouds_node_ask(p.client_node, "x", 1, "ping", "{", 1, NULL, &operation), CLOUDS_EJSON);
    CHECK_INT(operation, 99);
    CHECK_INT(clouds_node_ask(NULL, "x", 1, "ping", NULL, 0, NULL, &operation), CLOUDS_EHANDLE);
    CHECK_INT(clouds_node_register(p.server_node, "$node", 5, NULL, NULL), CLOUDS_EINVAL);
    CHECK_INT(clouds_node_ask(p.client_node, "x", 1, "ping", NULL, 0, NULL, NULL), 0); /* nobody waits for it */
    kit_close(&p);
}

static void nobody_there(void)
{
    kit_pair p = open_pair("on");
    clouds_event e = ask_id(&p, "s.nobody", "ping", "", NULL);
    CHECK_INT(e.code, CLOUDS_ENOSERVER);
    CHECK_INT(e.outcome, CLOUDS_OUTCOME_NOT_DONE);
    CHECK(says(e.error, e.error_len, "no available server s.nobody for ping on "));
    if (!is_local()) CHECK(says(e.error, e.error_len, "or a node of npm clouds 0.1, which answers no questions"));
    kit_close(&p);
}

static void who_may_ask(void)
{
    kit_pair p = open_pair("off");
    clouds_event e = ask(&p, "stop", "", NULL);
    CHECK_INT(e.code, CLOUDS_ENOTSUP);
    CHECK(says(e.error, e.error_len, "it answers no questions (option admin)"));
    kit_close(&p);
    p = open_pair("local");
    e = ask(&p, "ping", "", NULL);
    CHECK_INT(e.code, is_local() ? 0 : CLOUDS_ENOTSUP);
    kit_close(&p);
    clouds_context *context = NULL;
    clouds_options *options = KIT_OPTIONS("url", "inproc:x", "admin", "yes");
    CHECK_INT(clouds_context_create(options, &context), CLOUDS_EOPTION);
    clouds_options_destroy(options);
}

/* Another program's call for the method of questions means nothing where the caller reads no frames, and else what it says. */
static void a_call_by_hand(void)
{
    kit_pair p = open_pair("on");
    clouds_event e;
    const char *id = clouds_node_id(p.server_node);
    const clouds_call_options there = {.size = sizeof there, .server = id, .server_len = strlen(id)};
    static const char *const broken[] = {"[]", "[1]", "[\"dance\"]", "[\"ping\",1]", "[\"stop\",{\"drain\":{}}]", "[{\"a\":1}]"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        kit_call(p.client_node, "$node", broken[i], &there);
        REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e) == 1);
        if (!CHECK(e.code != 0)) printf("# %s\n", broken[i]);
    }
    CHECK_INT(call(&p), 0);
    kit_close(&p);
}

static void waiting_for_it(void)
{
    const char *url = kit_url(kind);
    clouds_context *server = open_context(url, "thread", "on"), *client = kit_context(url, client_mode);
    clouds_node *node = kit_node(server, "server"), *asks = kit_node(client, "client");
    CHECK_INT(kit_register(server, node, "echo"), 0);
    const clouds_operation_options wait = {.size = sizeof wait, .flags = CLOUDS_OPERATION_WAIT};
    uint64_t operation = 0;
    clouds_event e;
    const char *id = clouds_node_id(node);
    CHECK_INT(clouds_node_ask(asks, id, strlen(id), "ping", NULL, 0, &wait, &operation), 0);
    CHECK_INT(clouds_wait(client, operation, KIT_PATIENCE, &e, sizeof e), 1);
    CHECK(e.type == CLOUDS_EVENT_STATUS && e.code == 0);
    clouds_event_release(&e);
    CHECK_INT(clouds_node_ask(asks, "s.nobody", 8, "ping", NULL, 0, &wait, &operation), 0);
    clouds_cancel(client, operation);
    CHECK_INT(clouds_wait(client, operation, KIT_PATIENCE, &e, sizeof e), 1);
    CHECK(e.type == CLOUDS_EVENT_STATUS && (e.code == CLOUDS_ECANCELED || e.code == CLOUDS_ENOSERVER));
    clouds_event_release(&e);
    clouds_context_destroy(client);
    clouds_context_destroy(server);
}

static void all(void)
{
    printf("# %s asks %s\n", client_mode, server_mode);
    RUN(ping_and_status);
    RUN(info_and_methods);
    RUN(its_statistics);
    RUN(its_links);
    RUN(a_client);
    RUN(pause_and_resume);
    RUN(stop);
    RUN(one_that_drains);
    RUN(what_is_refused_there);
    RUN(what_is_refused_here);
    RUN(nobody_there);
    RUN(who_may_ask);
    RUN(a_call_by_hand);
    RUN(waiting_for_it);
}

int main(int argc, char **argv)
{
    kind = argc > 1 ? argv[1] : "inproc:";
    kit_mode_pairs(&server_mode, &client_mode, all);
    return kit_end();
}
