/* A directory and a transport of one's own, from a program that has nothing of the library but its headers and itself.
 * test_extend.py builds it against what is installed; with sanitizers it is built with the rest. */
#include <clouds_extend.h>

#include <pthread.h>
#include <unistd.h>

#include "../../examples/extend/extend.h"
#include "extend/until.h"
#include "support/tap.h"

static char folder[64];

static int says(const char *text)
{
    if (strstr(clouds_last_error(), text)) return 1;
    printf("# it says: %s\n", clouds_last_error());
    return 0;
}

/* ---- a directory that does next to nothing, and what it was told when it spoke */

static struct tattler {
    const clouds_host *host;
    const clouds_directory_sink *sink;
    clouds_node *caller;
    int claim_code, create_code, makes_nothing;
    int looked, inside, inside_api, foreign, bad_server, bad_tags, bad_weight, bad_row, no_name, answered, woken, due, freed;
} t;

static int t_create(void *user_data, const clouds_host *host, const clouds_directory_sink *sink, const char *address,
                    size_t address_len, void **directory)
{
    struct tattler *one = user_data;
    one->host = host;
    one->sink = sink;
    CHECK_STR(address, address_len, "//user:secret@here/x");
    CHECK_INT(host->size, sizeof *host);
    CHECK_INT(host->version, clouds_version_number());
    CHECK_INT(sink->size, sizeof *sink);
    CHECK(host->now(host->self) > 0);
    if (one->create_code) return one->create_code;
    sink->state(sink->self, 1, 0, NULL);
    if (!one->makes_nothing) *directory = one;
    return 0;
}

static void t_close(void *directory)
{
    t.host->defer(t.host->self);
    t.looked = -1;
}

static void t_destroy(void *directory)
{
    t.freed++;
}

static int t_claim(void *directory, void *node, const char *id, size_t id_len, double heartbeat, clouds_address *at)
{
    return t.claim_code;
}

static int t_announce(void *directory, void *node, const clouds_address *addresses, size_t n)
{
    return 0;
}

static int t_method(void *directory, void *node, const char *method, size_t n, uint64_t operation)
{
    return 0;
}

static void t_drain(void *directory, void *node)
{
}

static int t_leave(void *directory, void *node)
{
    return 0;
}

static void *speak(void *unused)
{
    t.foreign = t.sink->servers(t.sink->self, "m", 1, NULL, 0, 0);
    t.host->wake(t.host->self);
    return NULL;
}

static void t_lookup(void *directory, const char *method, size_t n, int known)
{
    pthread_t other;
    uint64_t id;
    t.looked = 1;
    t.inside = t.sink->servers(t.sink->self, method, n, NULL, 0, 0);
    t.inside_api = clouds_node_call(t.caller, "m", 1, "[]", 2, NULL, &id);
    if (pthread_create(&other, NULL, speak, NULL) == 0) pthread_join(other, NULL);
    t.host->timer(t.host->self, 0.01);
}

static int t_locate(void *directory, const char *id, size_t n, clouds_address *address)
{
    return CLOUDS_ENOSERVER;
}

static void t_status(void *directory, uint64_t operation)
{
}

static void t_woken(void *directory)
{
    t.woken++;
}

static void t_due(void *directory)
{
    clouds_server s = {.size = sizeof s, .id = NULL};
    clouds_server_row row = {.size = sizeof row, .server = {.size = sizeof s, .id = "s.1", .id_len = 3}};
    t.due++;
    t.bad_server = t.sink->server_up(t.sink->self, "m", 1, &s);
    s.id = "s.1", s.id_len = 3, s.tags = "no tags", s.tags_len = 7;
    t.bad_tags = t.sink->server_up(t.sink->self, "m", 1, &s);
    s.tags = NULL, s.weight = 1000000;
    t.bad_weight = t.sink->servers(t.sink->self, "m", 1, &s, 1, 0);
    t.bad_row = t.sink->status(t.sink->self, 1, &row, 1, 0, 0);
    t.no_name = t.sink->server_down(t.sink->self, NULL, 0, "s.1", 3);
    t.answered = t.sink->servers(t.sink->self, "m", 1, NULL, 0, 0);
}

static void t_flush(void *directory)
{
    if (t.looked < 0) t.sink->closed(t.sink->self);
}

static const clouds_directory_ops tattler = {.size = sizeof tattler,
                                             .user_data = &t,
                                             .create = t_create,
                                             .close = t_close,
                                             .destroy = t_destroy,
                                             .due = t_due,
                                             .woken = t_woken,
                                             .flush = t_flush,
                                             .claim = t_claim,
                                             .announce = t_announce,
                                             .add = t_method,
                                             .remove = t_method,
                                             .drain = t_drain,
                                             .leave = t_leave,
                                             .lookup = t_lookup,
                                             .locate = t_locate,
                                             .status = t_status};

/* ---- registering */

static void what_cannot_be_registered_is_told(void)
{
    struct {
        clouds_directory_ops ops;
        uint64_t more;
    } newer = {.ops = tattler};
    clouds_directory_ops ops = tattler;
    clouds_transport_ops empty = {.size = sizeof empty};
    CHECK_INT(clouds_directory_register("x", NULL), CLOUDS_EINVAL);
    ops.size = 4;
    CHECK_INT(clouds_directory_register("x", &ops), CLOUDS_EINVAL);
    CHECK(says("the size of clouds_directory_ops is 4 bytes: this library takes"));
    ops.size = 1 << 20;
    CHECK_INT(clouds_directory_register("x", &ops), CLOUDS_EINVAL);
    newer.ops.size = sizeof newer;
    newer.more = 1;
    CHECK_INT(clouds_directory_register("newer", &newer.ops), CLOUDS_ENOTSUP);
    CHECK(says("which version " CLOUDS_VERSION " of the library does not know"));
    newer.more = 0;
    CHECK_INT(clouds_directory_register("newer", &newer.ops), 0);
    ops = tattler;
    ops.flags = 8;
    CHECK_INT(clouds_directory_register("x", &ops), CLOUDS_ENOTSUP);
    ops = tattler;
    ops.locate = NULL;
    CHECK_INT(clouds_directory_register("x", &ops), CLOUDS_EINVAL);
    CHECK(says("clouds_directory_ops: locate is NULL"));
    ops = tattler;
    ops.unsubscribe = (void (*)(void *, void *, const char *, size_t, const char *, size_t))1;
    CHECK_INT(clouds_directory_register("x", &ops), CLOUDS_EINVAL);
    CHECK(says("subscribe, unsubscribe and follow"));
    CHECK_INT(clouds_transport_register("x", &empty), CLOUDS_EINVAL);
    CHECK(says("clouds_transport_ops: create is NULL"));
    CHECK_INT(clouds_transport_register("x", NULL), CLOUDS_EINVAL);
}

static void a_name_is_checked(void)
{
    static const char *const wrong[] = {NULL, "", "Upper", "a+b", "9lives", "a b", "a-name-of-more-than-thirty-one-bytes"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK_INT(clouds_directory_register(wrong[i], &tattler), CLOUDS_EINVAL);
    CHECK_INT(clouds_directory_register("local", &tattler), CLOUDS_EEXIST);
    CHECK(says("\"local\" is a name of the library's own"));
    CHECK_INT(clouds_directory_register("redis", &tattler), CLOUDS_EEXIST);
    CHECK_INT(board_register(), 0);
    CHECK_INT(box_register(), 0);
    CHECK_INT(board_register(), CLOUDS_EEXIST);
    CHECK(says("a directory is registered as \"board\" already"));
    CHECK_INT(box_register(), CLOUDS_EEXIST);
    CHECK_INT(clouds_directory_register("tattler", &tattler), 0);
}

static void an_address_names_what_is_registered(void)
{
    clouds_context *context;
    clouds_node *node;
    CHECK_INT(clouds_open("nobox+board:x", "client", &context, &node), CLOUDS_EURL);
    CHECK(says("no transport is registered as \"nobox\""));
    CHECK_INT(clouds_open("box+nowhere:x", "client", &context, &node), CLOUDS_EURL);
    CHECK(says("no directory is registered as \"nowhere\""));
    CHECK_INT(clouds_open("nobox+redis://x", "client", &context, &node), CLOUDS_EURL);
    CHECK(says("no transport is registered as \"nobox\""));
    CHECK_INT(clouds_open("box+redis://x:port", "client", &context, &node), CLOUDS_EURL);
    CHECK_INT(clouds_open("box+redis+sentinel://x", "client", &context, &node), CLOUDS_EURL);
    CHECK_INT(clouds_open("box:x", "client", &context, &node), CLOUDS_EURL);
    CHECK_INT(clouds_open("board:/nowhere/at/all", "client", &context, &node), CLOUDS_ESYSTEM);
    CHECK(says("board: the folder cannot be watched"));
}

/* ---- faults of a directory */

static const char *const TATTLER = "tattler://user:secret@here/x";

static void what_comes_at_a_wrong_time_is_refused(void)
{
    clouds_context *context;
    clouds_event e;
    uint64_t id;
    clouds_call_options options = {.size = sizeof options, .flags = CLOUDS_CALL_WAIT, .timeout = 5};
    t = (struct tattler){0};
    REQUIRE(clouds_open(TATTLER, "client", &context, &t.caller) == 0);
    REQUIRE(clouds_node_call(t.caller, "m", 1, "[]", 2, &options, &id) == 0);
    REQUIRE(clouds_wait(context, id, -1, &e, sizeof e) >= 0);
    CHECK_INT(e.code, CLOUDS_ENOSERVER);
    char error[256];
    snprintf(error, sizeof error, "%.*s", (int)e.error_len, e.error ? e.error : "");
    CHECK(strstr(error, "tattler://***@here/x") && !strstr(error, "secret"));
    clouds_event_release(&e);
    CHECK_INT(t.inside, CLOUDS_EBUSY);
    CHECK(t.inside_api == CLOUDS_EBUSY || t.inside_api == CLOUDS_ETHREAD);
    CHECK_INT(t.foreign, CLOUDS_EBUSY);
    CHECK_INT(t.bad_server, CLOUDS_EINVAL);
    CHECK_INT(t.bad_tags, CLOUDS_EINVAL);
    CHECK_INT(t.bad_weight, CLOUDS_EINVAL);
    CHECK_INT(t.bad_row, CLOUDS_EINVAL);
    CHECK_INT(t.no_name, CLOUDS_EINVAL);
    CHECK_INT(t.answered, 0);
    CHECK_INT(t.due, 1);
    CHECK(t.woken >= 1);
    clouds_context_destroy(context);
    CHECK_INT(t.freed, 1);
}

static void what_fails_at_first_is_told(void)
{
    clouds_context *context;
    clouds_node *node;
    t = (struct tattler){.create_code = CLOUDS_EAUTH};
    CHECK_INT(clouds_open(TATTLER, "client", &context, &node), CLOUDS_EAUTH);
    t = (struct tattler){.makes_nothing = 1};
    CHECK_INT(clouds_open(TATTLER, "client", &context, &node), CLOUDS_EINVAL);
    CHECK(says("create of the directory made nothing"));
    t = (struct tattler){.claim_code = 7};
    int code = clouds_open(TATTLER, "client", &context, &node);
    CHECK(code == CLOUDS_EINVAL || code == 0);
    if (code == 0) clouds_context_destroy(context);
}

/* ---- the examples, between two contexts */

typedef struct side {
    clouds_context *context;
    clouds_node *node;
    clouds_event events[16];
    int registered, subscribed, requests, published, rows;
    int outcome;
    char data[128];
} side;

static void turn(side *s)
{
    int n = clouds_poll(s->context, s->events, sizeof *s->events, 16, 0.005);
    for (int i = 0; i < n; i++) {
        const clouds_event *e = &s->events[i];
        snprintf(s->data, sizeof s->data, "%.*s", (int)e->data_len, e->data ? e->data : "");
        s->registered += e->type == CLOUDS_EVENT_REGISTERED && e->code == 0;
        s->subscribed += e->type == CLOUDS_EVENT_SUBSCRIBED && e->code == 0;
        s->published += e->type == CLOUDS_EVENT_PUBLISHED;
        if (e->type == CLOUDS_EVENT_RESULT) s->outcome = e->code ? e->code : 1;
        if (e->type == CLOUDS_EVENT_STATUS) s->rows += strstr(s->data, "\"m\"") != NULL;
        if (e->type != CLOUDS_EVENT_REQUEST) continue;
        s->requests++;
        clouds_reply(s->context, e->id, e->data, e->data_len);
    }
}

static int opened(side *s, const char *url, const char *type, const char *mode)
{
    clouds_options *context = NULL, *node = NULL;
    *s = (side){0};
    int code = clouds_options_create(&context);
    if (code == 0) code = clouds_options_create(&node);
    if (code == 0) code = clouds_options_set_string(context, "url", url);
    if (code == 0) code = clouds_options_set_string(context, "mode", mode);
    if (code == 0) code = clouds_options_set_string(node, "type", type);
    if (code == 0) code = clouds_context_create(context, &s->context);
    if (code == 0) code = clouds_node_create(s->context, node, &s->node);
    if (code != 0) printf("# %s\n", clouds_last_error());
    clouds_options_destroy(context);
    clouds_options_destroy(node);
    return code == 0;
}

static void over(const char *scheme, const char *mode)
{
    char url[128];
    uint64_t id;
    side a, b;
    snprintf(url, sizeof url, "%s:%s", scheme, folder);
    REQUIRE(opened(&a, url, "server", mode) && opened(&b, url, "client", mode));
    REQUIRE(clouds_node_register(a.node, "m", 1, NULL, NULL) == 0);
    REQUIRE(clouds_node_subscribe(a.node, "[\"news.*\"]", 10, NULL, NULL, &id) == 0);
    UNTIL(a.registered && a.subscribed, &a, &b);
    for (int i = 0; i < 50; i++) {
        b.outcome = 0;
        REQUIRE(clouds_node_call(b.node, "m", 1, "[1,\"two\"]", 9, NULL, &id) == 0);
        UNTIL(b.outcome, &a, &b);
        CHECK_INT(b.outcome, 1);
        CHECK_STR(b.data, strlen(b.data), "[1,\"two\"]");
    }
    CHECK_INT(a.requests, 50);
    const clouds_payload payload = {.size = sizeof payload, .json = "[3]", .json_len = 3};
    REQUIRE(clouds_node_publish(b.node, "news.today", 10, &payload, 0, NULL, NULL) == 0);
    UNTIL(a.published == 1, &a, &b);
    CHECK_STR(a.data, strlen(a.data), "[3]");
    REQUIRE(clouds_node_status(b.node, NULL, &id) == 0);
    UNTIL(b.rows == 1, &a, &b);
    clouds_context_destroy(a.context);
    b.outcome = 0;
    REQUIRE(clouds_node_call(b.node, "m", 1, "[]", 2, NULL, &id) == 0);
    while (!b.outcome) turn(&b);
    CHECK(b.outcome < 0);
    clouds_context_destroy(b.context);
}

static void calls_over_links(void)
{
    over("board", "inline");
    over("board", "thread");
}

static void calls_over_a_transport_of_ones_own(void)
{
    over("box+board", "inline");
    over("box+board", "thread");
}

int main(void)
{
    strcpy(folder, "/tmp/clouds-extend-XXXXXX");
    if (!mkdtemp(folder)) return 99;
    RUN(what_cannot_be_registered_is_told);
    RUN(a_name_is_checked);
    RUN(an_address_names_what_is_registered);
    RUN(what_comes_at_a_wrong_time_is_refused);
    RUN(what_fails_at_first_is_told);
    RUN(calls_over_links);
    RUN(calls_over_a_transport_of_ones_own);
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) ? 1 : tap_end();
}
