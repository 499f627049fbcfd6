/* Idempotency keys through the exported functions, over each bus, in each mode on each side. */
#include "api/kit.h"

static const char *kind, *server_mode, *client_mode, *url;
static const char *direct = "true"; /* over Redis: are there links? */

static clouds_context *context_of(const char *mode)
{
    clouds_context *context = NULL;
    clouds_options *options = KIT_OPTIONS("url", url, "mode", mode, "direct", direct);
    CHECK_INT(clouds_context_create(options, &context), 0);
    clouds_options_destroy(options);
    return context;
}

static void renew_client(kit_pair *p)
{
    clouds_context_destroy(p->client);
    p->client = context_of(client_mode);
    p->client_node = kit_node(p->client, "client");
    CHECK(kit_find(p));
}

static kit_pair open_pair(void)
{
    url = kit_url(kind);
    kit_pair p = {.server = context_of(server_mode)};
    p.server_node = kit_node(p.server, "server");
    CHECK_INT(kit_register(p.server, p.server_node, "echo"), 0);
    CHECK_INT(kit_register(p.server, p.server_node, "silent"), 0);
    renew_client(&p);
    return p;
}

static uint64_t counter(clouds_context *context, const char *name)
{
    uint64_t value = 0;
    CHECK_INT(clouds_counter(context, name, 0, NULL, &value), 0);
    return value;
}

static uint64_t call_once(clouds_node *node, const char *args, clouds_call_options options)
{
    options.size = sizeof options;
    if (!options.once) options.once = "order 7", options.once_len = 7;
    return kit_call(node, "silent", args, &options);
}

static void check_result(const clouds_event *e, uint64_t call, const char *data)
{
    CHECK(e->id == call);
    if (!CHECK(e->code == 0)) printf("# %.*s\n", (int)e->error_len, e->error);
    CHECK_STR(e->data, e->data_len, data);
}

/* Until so many repeats have come. */
static void await_hits(kit_pair *p, uint64_t hits)
{
    double until = kit_now() + KIT_PATIENCE;
    clouds_event e;
    while (counter(p->server, "once_hits") < hits && kit_now() < until) {
        kit_next(p->client, &e, 0.001);
        CHECK(kit_next(p->server, &e, 0.001) <= 0);
    }
}

/* P8: each of five callers is a new connection and a new node. */
static void five_repeats_are_one_execution(void)
{
    kit_pair p = open_pair();
    clouds_event e;
    uint64_t call = call_once(p.client_node, "[1]", (clouds_call_options){.timeout = 1});
    REQUIRE(kit_await(p.server, p.client, CLOUDS_EVENT_REQUEST, &e) == 1);
    uint64_t request = e.id;
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK(e.id == call);
    CHECK_INT(e.code, CLOUDS_ETIMEOUT);
    CHECK_INT(clouds_request_open(p.server, request), 1);
    for (int i = 0; i < 5; i++) {
        renew_client(&p);
        call = call_once(p.client_node, "[1]", (clouds_call_options){.retries = 3});
        if (i < 2) await_hits(&p, (uint64_t)i + 1);
        if (i == 1) {
            const clouds_payload answer = {.size = sizeof answer,
                                           .json = "[\"once\"]",
                                           .json_len = 8,
                                           .meta = "{\"a\":1}",
                                           .meta_len = 7,
                                           .bytes = "xyz",
                                           .bytes_len = 3};
            CHECK_INT(clouds_reply_payload(p.server, request, &answer), 0);
        }
        if (i == 0) continue; /* it goes before it has the answer */
        REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e) == 1);
        check_result(&e, call, "[\"once\"]");
        CHECK_STR(e.meta, e.meta_len, "{\"a\":1}");
        CHECK_STR((const char *)e.bytes, e.bytes_len, "xyz");
    }
    CHECK_INT(counter(p.server, "once_hits"), 5);
    kit_close(&p);
}

static void other_content_is_refused(void)
{
    kit_pair p = open_pair();
    clouds_event e;
    uint64_t first = call_once(p.client_node, "[1]", (clouds_call_options){.bytes = "a", .bytes_len = 1});
    REQUIRE(kit_await(p.server, p.client, CLOUDS_EVENT_REQUEST, &e) == 1);
    uint64_t request = e.id;
    static const struct {
        const char *args, *bytes;
    } rows[] = {{"[2]", "a"}, {"[1]", "b"}, {"[1]", NULL}};
    for (int i = 0; i < 3; i++) {
        const char *bytes = rows[i].bytes;
        uint64_t call = call_once(p.client_node, rows[i].args,
                                  (clouds_call_options){.retries = 2, .bytes = bytes, .bytes_len = bytes ? 1 : 0});
        REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e) == 1);
        CHECK(e.id == call);
        CHECK_INT(e.code, CLOUDS_EKEY);
        CHECK_INT(e.outcome, CLOUDS_OUTCOME_NOT_DONE);
        CHECK(strstr(e.error, "\"code\":\"CLOUDS_KEY_CONFLICT\"") != NULL);
    }
    CHECK_INT(clouds_reply(p.server, request, "[5]", 3), 0);
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e) == 1);
    check_result(&e, first, "[5]");
    kit_close(&p);
}

static void what_is_no_key(void)
{
    static const char zeros[256];
    kit_pair p = open_pair();
    clouds_event e;
    uint64_t call = 0;
    clouds_call_options o = {.size = sizeof o, .once = zeros, .once_len = 256};
    CHECK_INT(clouds_node_call(p.client_node, "echo", 4, "[]", 2, &o, &call), CLOUDS_ETOOBIG);
    CHECK(strstr(clouds_last_error(), "idempotency key") != NULL);
    o = (clouds_call_options){.size = sizeof o, .once_len = 1};
    CHECK_INT(clouds_node_call(p.client_node, "echo", 4, "[]", 2, &o, &call), CLOUDS_EINVAL);
    call = call_once(p.client_node, "[1]", (clouds_call_options){.once = zeros, .once_len = 255});
    REQUIRE(kit_await(p.server, p.client, CLOUDS_EVENT_REQUEST, &e) == 1);
    CHECK_INT(clouds_reply(p.server, e.id, "[6]", 3), 0);
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e) == 1);
    check_result(&e, call, "[6]");
    kit_close(&p);
}

static void each(void)
{
    printf("# %s: server %s, client %s\n", kind, server_mode, client_mode);
    RUN(five_repeats_are_one_execution);
    RUN(other_content_is_refused);
    RUN(what_is_no_key);
}

int main(int argc, char **argv)
{
    kind = argc > 1 ? argv[1] : "inproc:";
    kit_mode_pairs(&server_mode, &client_mode, each);
    if (strncmp(kind, "redis", 5) == 0) {
        direct = "false";
        kit_mode_pairs(&server_mode, &client_mode, each);
    }
    return kit_end();
}
