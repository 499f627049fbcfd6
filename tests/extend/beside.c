/* A transport of one's own with Redis as the directory, and as the way to all whom it does not reach. Its counterpart
 * is a plain Redis; what goes over which of them is seen by what Redis counts. */
#include <clouds_extend.h>

#include <stdlib.h>
#include <unistd.h>

#include "../../examples/extend/extend.h"
#include "extend/until.h"
#include "support/redis.h"
#include "support/tap.h"

static test_redis redis;
static char folder[64], own_url[320], plain_url[320];
static const char *mode = "inline";

/* ---- a transport that is there and takes nothing, or listens where no record can say it */

typedef struct sloth {
    const clouds_host *host;
    const clouds_transport_sink *sink;
    void *closing_node;
    int closing;
} sloth;

static int asked_to_send, closed_nodes;
static const char *listens_at; /* NULL: an id is all that is needed */

static int s_create(void *user_data, const clouds_host *host, const clouds_transport_sink *sink, const char *address,
                    size_t address_len, void **transport)
{
    sloth *s = calloc(1, sizeof *s);
    if (!s) return CLOUDS_ENOMEM;
    s->host = host;
    s->sink = sink;
    sink->state(sink->self, 1, 0, NULL);
    *transport = s;
    return 0;
}

static void s_close(void *transport)
{
    sloth *s = transport;
    s->closing = 1;
    s->host->defer(s->host->self);
}

static int s_open(void *transport, void *node, const char *id, size_t id_len, const char *at, clouds_address *addresses,
                  size_t *n)
{
    if (!listens_at) return 0;
    snprintf(addresses->text, sizeof addresses->text, "%s", listens_at);
    *n = 1;
    return 0;
}

static int s_send(void *transport, void *node, const clouds_frame *frame)
{
    const clouds_transport_sink *sink = ((sloth *)transport)->sink;
    clouds_address at;
    asked_to_send++;
    CHECK_INT(sink->locate(sink->self, frame->to, frame->to_len, &at), 0);
    CHECK(strcmp(at.text, "") == 0);
    CHECK_INT(sink->locate(sink->self, "c.nobody", 8, &at), CLOUDS_ENOSERVER);
    return CLOUDS_EUNREACHABLE;
}

static void s_close_node(void *transport, void *node, int served)
{
    sloth *s = transport;
    s->closing_node = node;
    closed_nodes++;
    s->host->defer(s->host->self);
}

static void s_flush(void *transport)
{
    sloth *s = transport;
    if (s->closing_node) s->sink->node_closed(s->sink->self, s->closing_node);
    s->closing_node = NULL;
    if (s->closing) s->sink->closed(s->sink->self);
    s->closing = 0;
}

static const clouds_transport_ops sloth_ops = {.size = sizeof sloth_ops,
                                               .create = s_create,
                                               .close = s_close,
                                               .destroy = free,
                                               .open = s_open,
                                               .send = s_send,
                                               .close_node = s_close_node,
                                               .flush = s_flush};

/* ---- contexts */

typedef struct side {
    clouds_context *context;
    clouds_node *node;
    clouds_event events[16];
    int registered, requests, messages, canceled, outcome, code;
    char words[256];
} side;

static void turn(side *s)
{
    int n = clouds_poll(s->context, s->events, sizeof *s->events, 16, 0.002);
    for (int i = 0; i < n; i++) {
        const clouds_event *e = &s->events[i];
        s->registered += e->type == CLOUDS_EVENT_REGISTERED && e->code == 0;
        s->messages += e->type == CLOUDS_EVENT_MESSAGE;
        s->canceled += e->type == CLOUDS_EVENT_CANCELED;
        if (e->type == CLOUDS_EVENT_RESULT || e->type == CLOUDS_EVENT_READY) {
            s->outcome = e->type == CLOUDS_EVENT_RESULT ? (int)e->outcome : -2;
            s->code = e->code;
            snprintf(s->words, sizeof s->words, "%.*s", (int)e->error_len, e->error ? e->error : "");
        }
        if (e->type != CLOUDS_EVENT_REQUEST) continue;
        s->requests++;
        if (e->data_len > 2) clouds_reply(s->context, e->id, e->data, e->data_len); /* not [] */
    }
}

static int begun(side *s, const char *url, const char *type, const char *id)
{
    clouds_options *context = NULL, *node = NULL;
    *s = (side){.outcome = -1};
    int code = clouds_options_create(&context);
    if (code == 0) code = clouds_options_create(&node);
    if (code == 0) code = clouds_options_set_string(context, "url", url);
    if (code == 0) code = clouds_options_set_string(context, "mode", mode);
    if (code == 0) code = clouds_options_set_string(node, "type", type);
    if (code == 0 && id) code = clouds_options_set_string(node, "id", id);
    if (code == 0) code = clouds_options_set_bool(node, "cancel_events", 1);
    if (code == 0) code = clouds_context_create(context, &s->context);
    if (code == 0) code = clouds_node_create(s->context, node, &s->node);
    snprintf(s->words, sizeof s->words, "%s", code ? clouds_last_error() : "");
    s->code = code;
    clouds_options_destroy(context);
    clouds_options_destroy(node);
    if (code != 0) clouds_context_destroy(s->context);
    return code == 0;
}

static void serve(side *s, const char *url, const char *method)
{
    REQUIRE(begun(s, url, "server", NULL));
    REQUIRE(clouds_node_register(s->node, method, strlen(method), NULL, NULL) == 0);
    UNTIL(s->registered == 1, s);
}

static int call(side *from, side *to, const char *method)
{
    uint64_t id;
    clouds_call_options options = {.size = sizeof options, .timeout = 5};
    from->outcome = -1;
    if (clouds_node_call(from->node, method, strlen(method), "[1]", 3, &options, &id) != 0) return -1;
    UNTIL(from->outcome >= 0, from, to);
    return from->outcome;
}

/* How many messages Redis has passed on since it was last asked. */
static int published(void)
{
    static const char name[] = "cmdstat_publish:calls=";
    const char *stats = test_redis_command(&redis, "INFO commandstats"), *found = strstr(stats, name);
    int n = found ? atoi(found + sizeof name - 1) : 0;
    test_redis_command(&redis, "CONFIG RESETSTAT");
    return n;
}

/* ---- the tests */

/* One by one: the first may go before the record of the caller was read. */
static void calls_go_over_ones_own(void)
{
    side a, b;
    serve(&a, own_url, "m");
    REQUIRE(begun(&b, own_url, "client", NULL));
    for (int i = 0; i < 3; i++) CHECK_INT(call(&b, &a, "m"), CLOUDS_OUTCOME_OK);
    published();
    for (int i = 0; i < 50; i++) CHECK_INT(call(&b, &a, "m"), CLOUDS_OUTCOME_OK);
    CHECK_INT(published(), 0);
    uint64_t id;
    b.outcome = -1;
    int before = a.requests;
    REQUIRE(clouds_node_call(b.node, "m", 1, "[]", 2, NULL, &id) == 0);
    UNTIL(a.requests > before, &a, &b);
    CHECK_INT(clouds_cancel(b.context, id), 0);
    UNTIL(a.canceled == 1, &a, &b);
    CHECK_INT(published(), 0);
    REQUIRE(clouds_node_send(b.node, clouds_node_id(a.node), strlen(clouds_node_id(a.node)), "1", 1, 0, NULL, NULL) ==
            0);
    UNTIL(a.messages == 1, &a, &b);
    CHECK_INT(published(), 1);
    clouds_context_destroy(a.context);
    CHECK(call(&b, &b, "m") != CLOUDS_OUTCOME_OK);
    clouds_context_destroy(b.context);
}

static void others_are_called_over_redis(void)
{
    side own, plain;
    serve(&own, own_url, "of.own");
    serve(&plain, plain_url, "of.plain");
    for (int i = 0; i < 5; i++) CHECK_INT(call(&own, &plain, "of.plain"), CLOUDS_OUTCOME_OK);
    for (int i = 0; i < 5; i++) CHECK_INT(call(&plain, &own, "of.own"), CLOUDS_OUTCOME_OK);
    clouds_context_destroy(own.context);
    clouds_context_destroy(plain.context);
}

static void calls_go_on_without_redis(void)
{
    side a, b;
    serve(&a, own_url, "m");
    REQUIRE(begun(&b, own_url, "client", NULL));
    for (int i = 0; i < 3; i++) CHECK_INT(call(&b, &a, "m"), CLOUDS_OUTCOME_OK);
    test_redis_kill(&redis);
    for (int i = 0; i < 20; i++) CHECK_INT(call(&b, &a, "m"), CLOUDS_OUTCOME_OK);
    REQUIRE(test_redis_restart(&redis) == 0);
    side c;
    REQUIRE(begun(&c, plain_url, "client", NULL));
    clouds_call_options options = {.size = sizeof options, .timeout = 2, .retries = 20};
    uint64_t id;
    REQUIRE(clouds_node_call(c.node, "m", 1, "[1]", 3, &options, &id) == 0);
    UNTIL(c.outcome >= 0, &a, &b, &c); /* it is registered again */
    CHECK_INT(c.outcome, CLOUDS_OUTCOME_OK);
    clouds_context_destroy(a.context);
    clouds_context_destroy(b.context);
    clouds_context_destroy(c.context);
}

static void what_it_does_not_take_goes_over_redis(void)
{
    char url[340];
    side a, b;
    snprintf(url, sizeof url, "sloth+%s", plain_url);
    serve(&a, url, "m");
    REQUIRE(begun(&b, url, "client", NULL));
    for (int i = 0; i < 5; i++) CHECK_INT(call(&b, &a, "m"), CLOUDS_OUTCOME_OK);
    CHECK(asked_to_send >= 5);
    clouds_context_destroy(a.context);
    clouds_context_destroy(b.context);
}

static void an_address_that_no_record_takes_is_named(void)
{
    char url[340];
    side a;
    snprintf(url, sizeof url, "sloth+%s", plain_url);
    listens_at = "a b";
    CHECK(!begun(&a, url, "server", NULL));
    CHECK_INT(a.code, CLOUDS_EINVAL);
    CHECK(strstr(a.words, "the transport's address is \"a b\": expected at most 505 characters") != NULL);
    listens_at = NULL;
}

/* Who came first stays, and gets its calls over its own transport still. */
static void an_id_has_one_owner(void)
{
    char url[340];
    side a, second, b;
    REQUIRE(begun(&a, own_url, "server", "s.one"));
    REQUIRE(clouds_node_register(a.node, "m", 1, NULL, NULL) == 0);
    UNTIL(a.registered == 1, &a);
    CHECK(!begun(&second, own_url, "server", "s.one")); /* the transport sees it first */
    CHECK_INT(second.code, CLOUDS_EEXIST);
    int closed = closed_nodes;
    snprintf(url, sizeof url, "sloth+%s", plain_url);
    REQUIRE(begun(&second, url, "server", "s.one"));
    UNTIL(second.outcome == -2 && closed_nodes > closed, &a, &second);
    CHECK_INT(second.code, CLOUDS_EEXIST);
    clouds_context_destroy(second.context);
    CHECK_INT(closed_nodes, closed + 1);
    REQUIRE(begun(&b, own_url, "client", NULL));
    for (int i = 0; i < 3; i++) CHECK_INT(call(&b, &a, "m"), CLOUDS_OUTCOME_OK);
    published();
    CHECK_INT(call(&b, &a, "m"), CLOUDS_OUTCOME_OK);
    CHECK_INT(published(), 0);
    clouds_context_destroy(a.context);
    clouds_context_destroy(b.context);
}

int main(void)
{
    strcpy(folder, "/tmp/clouds-beside-XXXXXX");
    if (!mkdtemp(folder) || setenv("BOX_FOLDER", folder, 1) || test_redis_start(&redis, NULL)) return 99;
    snprintf(plain_url, sizeof plain_url, "%s", redis.url);
    snprintf(own_url, sizeof own_url, "box+%s", redis.url);
    if (box_register() || clouds_transport_register("sloth", &sloth_ops)) return 99;
    RUN(calls_go_over_ones_own);
    RUN(others_are_called_over_redis);
    RUN(what_it_does_not_take_goes_over_redis);
    RUN(an_address_that_no_record_takes_is_named);
    RUN(an_id_has_one_owner);
    RUN(calls_go_on_without_redis);
    mode = "thread";
    RUN(calls_go_over_ones_own);
    RUN(others_are_called_over_redis);
    RUN(what_it_does_not_take_goes_over_redis);
    RUN(calls_go_on_without_redis);
    test_redis_stop(&redis);
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) ? 1 : tap_end();
}
