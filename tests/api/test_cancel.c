/* Cancellation through the exported functions: who calls gives up, and the handler hears of it, over each bus, in each
 * mode on each side. */
#include "api/kit.h"

static const char *kind, *server_mode, *client_mode;

typedef struct chain {
    clouds_context *client, *middle, *last;
    clouds_node *client_node, *middle_node, *last_node;
} chain;

static clouds_node *server_of(clouds_context *context, const char *cancel_events, const char *method)
{
    clouds_node *node = kit_node_of(context, KIT_OPTIONS("type", "server", "cancel_events", cancel_events));
    CHECK_INT(kit_register(context, node, method), 0);
    CHECK_INT(kit_register(context, node, "echo"), 0);
    return node;
}

/* A client, a server of "middle" and one of "last", each with a context of its own. */
static chain open_chain(const char *cancel_events)
{
    const char *url = kit_url(kind);
    chain c = {.client = kit_context(url, client_mode),
               .middle = kit_context(url, server_mode),
               .last = kit_context(url, server_mode)};
    c.client_node = kit_node(c.client, "client");
    c.middle_node = server_of(c.middle, cancel_events, "middle");
    c.last_node = server_of(c.last, cancel_events, "last");
    return c;
}

static int logged;

static void close_chain(chain *c)
{
    logged = 0;
    clouds_context_destroy(c->client);
    clouds_context_destroy(c->middle);
    clouds_context_destroy(c->last);
}

/* What came, of all three, and was not taken yet. */
typedef struct seen {
    clouds_context *context;
    uint32_t type;
    int32_t code;
    uint64_t id;
    clouds_node *node;
    char peer[64];
} seen;

static seen log_[256];

static void pump(const chain *c)
{
    clouds_context *const all[] = {c->client, c->middle, c->last};
    clouds_event e;
    for (int i = 0; i < 3; i++) {
        while (kit_next(all[i], &e, 0.001) == 1 && logged < 256) {
            seen *s = &log_[logged++];
            *s = (seen){all[i], e.type, e.code, e.id, e.node, ""};
            snprintf(s->peer, sizeof s->peer, "%.*s", (int)e.peer_len, e.peer);
        }
    }
}

static int take(clouds_context *context, uint32_t type, seen *out)
{
    for (int i = 0; i < logged; i++) {
        if (log_[i].context != context || log_[i].type != type) continue;
        *out = log_[i];
        log_[i].type = 0;
        return 1;
    }
    return 0;
}

static int await(const chain *c, clouds_context *context, uint32_t type, seen *out)
{
    for (double until = kit_now() + KIT_PATIENCE; kit_now() < until;) {
        if (take(context, type, out)) return 1;
        pump(c);
    }
    printf("# no event of type %u came\n", type);
    return 0;
}

/* The request for a method, and the call that made it. */
static uint64_t begin(chain *c, const char *method, clouds_context *server, const clouds_call_options *options,
                      uint64_t *call)
{
    seen e;
    *call = kit_call(c->client_node, method, "[1]", options);
    return await(c, server, CLOUDS_EVENT_REQUEST, &e) == 1 ? e.id : 0;
}

static uint64_t counter(clouds_context *context, const char *name)
{
    uint64_t value = 0;
    CHECK_INT(clouds_counter(context, name, 0, NULL, &value), 0);
    return value;
}

static void a_cancel_reaches_the_handler(void)
{
    chain c = open_chain("true");
    seen e;
    uint64_t call, request = begin(&c, "middle", c.middle, NULL, &call);
    REQUIRE(request != 0);
    CHECK_INT(clouds_cancel(c.client, call), 0);
    REQUIRE(await(&c, c.middle, CLOUDS_EVENT_CANCELED, &e) == 1);
    CHECK(e.id == request);
    CHECK(e.node == c.middle_node);
    CHECK(strcmp(e.peer, clouds_node_id(c.client_node)) == 0);
    CHECK_INT(counter(c.middle, "canceled_requests"), 1);
    CHECK_INT(clouds_request_open(c.middle, request), 1);
    CHECK_INT(clouds_reply(c.middle, request, "[1]", 3), 0);
    REQUIRE(await(&c, c.client, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK(e.id == call);
    CHECK_INT(e.code, CLOUDS_ECANCELED);
    CHECK_INT(counter(c.client, "late_answers"), 0); /* it was sent nowhere */
    close_chain(&c);
}

static void so_does_the_end_of_its_time(void)
{
    chain c = open_chain("true");
    seen e;
    const clouds_call_options brief = {.size = sizeof brief, .timeout = 1};
    uint64_t call, request = begin(&c, "middle", c.middle, &brief, &call);
    REQUIRE(request != 0);
    REQUIRE(await(&c, c.middle, CLOUDS_EVENT_CANCELED, &e) == 1);
    CHECK(e.id == request);
    close_chain(&c);
}

static void so_does_the_end_of_the_caller(void)
{
    chain c = open_chain("true");
    seen e;
    uint64_t call, request = begin(&c, "middle", c.middle, NULL, &call);
    REQUIRE(request != 0);
    CHECK_INT(clouds_node_close(c.client_node, 0, NULL, NULL), 0);
    REQUIRE(await(&c, c.middle, CLOUDS_EVENT_CANCELED, &e) == 1);
    CHECK(e.id == request);
    close_chain(&c);
}

/* A -> B -> C: C knows that A gave up, and B calls nobody any more. */
static void it_goes_through_a_chain(void)
{
    chain c = open_chain("true");
    seen e;
    uint64_t call, inner = 0, request = begin(&c, "middle", c.middle, NULL, &call);
    REQUIRE(request != 0);
    const clouds_call_options inherits = {.size = sizeof inherits, .parent = request};
    CHECK_INT(clouds_node_call(c.middle_node, "last", 4, "[]", 2, &inherits, &inner), 0);
    REQUIRE(await(&c, c.last, CLOUDS_EVENT_REQUEST, &e) == 1);
    uint64_t last = e.id;
    CHECK_INT(clouds_cancel(c.client, call), 0);
    REQUIRE(await(&c, c.last, CLOUDS_EVENT_CANCELED, &e) == 1);
    CHECK(e.id == last);
    REQUIRE(await(&c, c.middle, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK(e.id == inner);
    CHECK_INT(e.code, CLOUDS_ECANCELED);
    uint64_t requests = counter(c.last, "requests");
    CHECK_INT(clouds_node_call(c.middle_node, "last", 4, "[]", 2, &inherits, &inner), 0);
    REQUIRE(await(&c, c.middle, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK_INT(e.code, CLOUDS_ECANCELED);
    CHECK_INT(counter(c.last, "requests"), requests);
    close_chain(&c);
}

static void await_counter(const chain *c, clouds_context *context, const char *name, uint64_t value)
{
    for (double until = kit_now() + KIT_PATIENCE; counter(context, name) < value && kit_now() < until;) pump(c);
    CHECK_INT(counter(context, name), value);
}

/* What waits for its turn is taken out when its caller gives up, and at the end of its time; it is not begun. */
static void what_waits_for_its_turn_is_not_begun(void)
{
    chain c = open_chain("true");
    seen e;
    clouds_offer_options serial = {.size = sizeof serial, .flags = CLOUDS_OFFER_SERIAL};
    CHECK_INT(clouds_node_offer(c.middle_node, "middle", 6, &serial, NULL, NULL), 0);
    REQUIRE(await(&c, c.middle, CLOUDS_EVENT_REGISTERED, &e) == 1);
    uint64_t call, request = begin(&c, "middle", c.middle, NULL, &call);
    REQUIRE(request != 0);
    const clouds_call_options brief = {.size = sizeof brief, .timeout = 1, .deadline = 1};
    uint64_t given_up = kit_call(c.client_node, "middle", "[2]", NULL);
    await_counter(&c, c.middle, "queued_requests", 1);
    CHECK_INT(clouds_cancel(c.client, given_up), 0);
    await_counter(&c, c.middle, "canceled_requests", 1);
    kit_call(c.client_node, "middle", "[3]", &brief);
    for (double until = kit_now() + KIT_PATIENCE; kit_now() < until; pump(&c)) /* told, or seen: what comes first */
        if (counter(c.middle, "canceled_requests") + counter(c.middle, "expired_requests") == 2) break;
    CHECK_INT(counter(c.middle, "canceled_requests") + counter(c.middle, "expired_requests"), 2);
    uint64_t last = kit_call(c.client_node, "middle", "[5]", NULL);
    await_counter(&c, c.middle, "queued_requests", 3);
    CHECK_INT(clouds_reply(c.middle, request, "[1]", 3), 0);
    REQUIRE(await(&c, c.middle, CLOUDS_EVENT_REQUEST, &e) == 1);
    CHECK_INT(clouds_reply(c.middle, e.id, "[5]", 3), 0);
    do REQUIRE(await(&c, c.client, CLOUDS_EVENT_RESULT, &e) == 1);
    while (e.id != last);
    CHECK_INT(e.code, 0);
    CHECK_INT(counter(c.middle, "requests"), 2);
    CHECK_INT(take(c.middle, CLOUDS_EVENT_REQUEST, &e), 0);
    CHECK_INT(take(c.middle, CLOUDS_EVENT_CANCELED, &e), 0);
    close_chain(&c);
}

static void who_did_not_ask_is_not_told(void)
{
    chain c = open_chain("false");
    seen e;
    uint64_t call, request = begin(&c, "middle", c.middle, NULL, &call);
    REQUIRE(request != 0);
    CHECK_INT(clouds_cancel(c.client, call), 0);
    for (double until = kit_now() + KIT_PATIENCE; counter(c.middle, "canceled_requests") == 0 && kit_now() < until;)
        pump(&c);
    CHECK_INT(take(c.middle, CLOUDS_EVENT_CANCELED, &e), 0);
    CHECK_INT(counter(c.middle, "canceled_requests"), 1);
    CHECK_INT(clouds_reply(c.middle, request, "[1]", 3), 0);
    close_chain(&c);
}

static void all(void)
{
    printf("# %s server %s, client %s\n", kind, server_mode, client_mode);
    RUN(a_cancel_reaches_the_handler);
    RUN(so_does_the_end_of_its_time);
    RUN(so_does_the_end_of_the_caller);
    RUN(it_goes_through_a_chain);
    RUN(what_waits_for_its_turn_is_not_begun);
    RUN(who_did_not_ask_is_not_told);
}

int main(int argc, char **argv)
{
    kind = argc > 1 ? argv[1] : "inproc:";
    kit_mode_pairs(&server_mode, &client_mode, all);
    return kit_end();
}
