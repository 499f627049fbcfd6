/* Requests that a program refuses before it has done anything for them, over each bus, in each mode on each side. */
#include "api/kit.h"

static const char *kind, *server_mode, *client_mode;

static uint64_t counter(clouds_context *context, const char *name)
{
    uint64_t value = 0;
    CHECK_INT(clouds_counter(context, name, 0, NULL, &value), 0);
    return value;
}

/* The server's counter follows what it was told by its thread. */
static void await_counter(clouds_context *context, const char *name, uint64_t value)
{
    double until = kit_now() + KIT_PATIENCE;
    clouds_event e;
    while (counter(context, name) != value && kit_now() < until) kit_next(context, &e, 0.001);
    CHECK_INT(counter(context, name), value);
}

static uint64_t next_request(kit_pair *p)
{
    clouds_event e = {0};
    CHECK_INT(kit_await(p->server, p->client, CLOUDS_EVENT_REQUEST, &e), 1);
    return e.id;
}

/* The outcome of a call, which a server refuses with `code`. */
static void expect(kit_pair *p, uint64_t call, int code, const char *counts)
{
    clouds_event e = {0};
    uint64_t before = counter(p->server, counts), replies = counter(p->server, "replies"), request = next_request(p);
    CHECK_INT(clouds_request_open(p->server, request), 1);
    CHECK_INT(clouds_refuse(p->server, request, CLOUDS_ECANCELED), CLOUDS_EINVAL);
    CHECK_INT(clouds_request_open(p->server, request), 1);
    CHECK_INT(clouds_refuse(p->server, request, code), 0);
    CHECK_INT(clouds_refuse(p->server, request, code), CLOUDS_ESTALE);
    CHECK_INT(clouds_reply(p->server, request, "[]", 2), CLOUDS_ESTALE);
    CHECK_INT(clouds_request_open(p->server, request), 0);
    CHECK_INT(kit_await(p->client, p->server, CLOUDS_EVENT_RESULT, &e), 1);
    CHECK(e.id == call);
    CHECK_INT(e.code, code);
    CHECK_INT(e.outcome, CLOUDS_OUTCOME_NOT_DONE);
    await_counter(p->server, counts, before + 1);
    CHECK_INT(counter(p->server, "replies"), replies);
}

static void its_caller_hears_that_nothing_was_done(void)
{
    kit_pair p = kit_open(kind, server_mode, client_mode);
    const char *id = clouds_node_id(p.server_node);
    const clouds_call_options there = {.size = sizeof there, .server = id, .server_len = strlen(id)};
    expect(&p, kit_call(p.client_node, "silent", "[]", &there), CLOUDS_EOVERLOAD, "refused_requests");
    expect(&p, kit_call(p.client_node, "silent", "[]", &there), CLOUDS_ENOMETHOD, "refused_requests");
    CHECK_INT(counter(p.server, "expired_requests"), 0);
    kit_close(&p);
}

/* What was refused is not what the key stands for: a repeat is served. */
static void its_key_is_free_again(void)
{
    kit_pair p = kit_open(kind, server_mode, client_mode);
    const clouds_call_options once = {.size = sizeof once, .once = "order 7", .once_len = 7};
    clouds_event e = {0};
    kit_call(p.client_node, "silent", "[]", &once);
    CHECK_INT(clouds_refuse(p.server, next_request(&p), CLOUDS_EOVERLOAD), 0);
    CHECK_INT(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e), 1);
    CHECK_INT(e.outcome, CLOUDS_OUTCOME_NOT_DONE);
    uint64_t again = kit_call(p.client_node, "silent", "[]", &once);
    CHECK_INT(clouds_reply(p.server, next_request(&p), "[5]", 3), 0);
    CHECK_INT(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e), 1);
    CHECK(e.id == again);
    CHECK_INT(e.code, 0);
    CHECK_STR(e.data, e.data_len, "[5]");
    kit_close(&p);
}

/* What has expired counts as that once, whoever is first: the program, or the library's own clock. */
static void one_that_is_late_counts_once(void)
{
    kit_pair p = kit_open(kind, server_mode, client_mode);
    const clouds_call_options brief = {.size = sizeof brief, .deadline = 0.3};
    clouds_event e = {0};
    kit_call(p.client_node, "silent", "[]", &brief);
    uint64_t request = next_request(&p);
    CHECK_INT(clouds_refuse(p.server, request, CLOUDS_EEXPIRED), 0);
    CHECK_INT(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e), 1);
    CHECK(e.code != 0);
    await_counter(p.server, "expired_requests", 1);
    CHECK_INT(clouds_refuse(p.server, request, CLOUDS_EEXPIRED), CLOUDS_ESTALE);
    kit_close(&p);
}

static void wrong_use(void)
{
    kit_pair p = kit_open(kind, server_mode, client_mode);
    CHECK_INT(clouds_refuse(p.server, 4711, CLOUDS_EOVERLOAD), CLOUDS_ESTALE);
    CHECK_INT(clouds_refuse(NULL, 4711, CLOUDS_EOVERLOAD), CLOUDS_EHANDLE);
    kit_close(&p);
}

static void all(void)
{
    RUN(its_caller_hears_that_nothing_was_done);
    RUN(its_key_is_free_again);
    RUN(one_that_is_late_counts_once);
    RUN(wrong_use);
}

int main(int argc, char **argv)
{
    kind = argc > 1 ? argv[1] : "inproc:";
    kit_mode_pairs(&server_mode, &client_mode, all);
    return kit_end();
}
