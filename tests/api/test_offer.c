/* The limits of a method that is offered, through the exported functions, over each bus, in each mode on each side. */
#include <math.h>

#include "api/kit.h"

static const char *kind, *server_mode, *client_mode;

static uint64_t counter(clouds_context *context, const char *name)
{
    uint64_t value = 0;
    CHECK_INT(clouds_counter(context, name, 0, NULL, &value), 0);
    return value;
}

static void offer(kit_pair *p, const char *method, clouds_offer_options limits)
{
    uint64_t operation = 0;
    clouds_event e;
    limits.size = sizeof limits;
    CHECK_INT(clouds_node_offer(p->server_node, method, strlen(method), &limits, NULL, &operation), 0);
    REQUIRE(kit_await(p->server, NULL, CLOUDS_EVENT_REGISTERED, &e) == 1);
    CHECK(e.id == operation && e.code == 0);
}

/* A counter once it has this value: what a thread tells of itself is that of its last turn. */
static uint64_t counter_at(kit_pair *p, const char *name, uint64_t value)
{
    double until = kit_now() + KIT_PATIENCE;
    clouds_event e;
    while (counter(p->server, name) < value && kit_now() < until) kit_next(p->server, &e, 0.001);
    return counter(p->server, name);
}

/* The next request, while the client does its part. */
static clouds_event next_request(kit_pair *p)
{
    clouds_event e = {0};
    CHECK(kit_await(p->server, p->client, CLOUDS_EVENT_REQUEST, &e) == 1);
    return e;
}

static int number_of(const clouds_event *e)
{
    return (int)strtol(e->data + 1, NULL, 10);
}

/* P7: each begins when the one before was answered, in the order of the calls. */
static void serial(void)
{
    enum { CALLS = 1000 };
    kit_pair p = kit_open(kind, server_mode, client_mode);
    offer(&p, "silent", (clouds_offer_options){.flags = CLOUDS_OFFER_SERIAL});
    for (int i = 0; i < CALLS; i++) {
        char args[16];
        snprintf(args, sizeof args, "[%d]", i);
        kit_call(p.client_node, "silent", args, NULL);
    }
    uint64_t last = 0;
    for (int i = 0; i < CALLS; i++) {
        clouds_event e = next_request(&p);
        REQUIRE(number_of(&e) == i);
        if (i) CHECK_INT(clouds_request_open(p.server, last), 0);
        last = e.id;
        CHECK_INT(clouds_reply(p.server, e.id, e.data, e.data_len), 0);
    }
    CHECK_INT(counter(p.server, "shed_requests"), 0);
    kit_close(&p);
}

/* Waits until the server knows of so many that wait. */
static void await_queued(kit_pair *p, uint64_t n)
{
    double until = kit_now() + KIT_PATIENCE;
    clouds_event e;
    while (counter(p->server, "queued_requests") < n && kit_now() < until) {
        kit_next(p->client, &e, 0.001);
        if (!CHECK(kit_next(p->server, &e, 0.001) == 0)) printf("# event %s\n", clouds_event_name(e.type));
    }
    CHECK_INT(counter(p->server, "queued_requests"), n);
}

static void keys(void)
{
    kit_pair p = kit_open(kind, server_mode, client_mode);
    offer(&p, "silent", (clouds_offer_options){.key_arg = 2});
    kit_call(p.client_node, "silent", "[1, {\"k\": 1}]", NULL);
    clouds_event first = next_request(&p);
    CHECK_INT(number_of(&first), 1);
    uint64_t id = first.id;
    kit_call(p.client_node, "silent", "[2,{\"k\": 1}]", NULL);
    kit_call(p.client_node, "silent", "[3,5]", NULL);
    clouds_event other = next_request(&p);
    CHECK_INT(number_of(&other), 3); /* beside the first; the second waits for it */
    await_queued(&p, 1);
    CHECK_INT(clouds_reply(p.server, id, "[]", 2), 0);
    clouds_event second = next_request(&p);
    CHECK_INT(number_of(&second), 2);
    kit_close(&p);
}

static void rate(void)
{
    kit_pair p = kit_open(kind, server_mode, client_mode);
    clouds_event e;
    offer(&p, "echo", (clouds_offer_options){.rate = 0.001, .burst = 3});
    for (int i = 0; i < 4; i++) {
        kit_call(p.client_node, "echo", "[]", NULL);
        REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e) == 1);
        CHECK_INT(e.code, i < 3 ? 0 : CLOUDS_EOVERLOAD);
    }
    CHECK_INT(e.outcome, CLOUDS_OUTCOME_NOT_DONE);
    CHECK(memmem(e.error, e.error_len, "\"reason\":\"rate\",\"retry_after\":", 30) != NULL);
    CHECK(memmem(e.error, e.error_len, "echo: the server is busy: it takes 0.001 calls a second", 55) != NULL);
    CHECK_INT(counter_at(&p, "rate_refusals", 1), 1);
    /* Without limits again. */
    CHECK_INT(kit_register(p.server, p.server_node, "echo"), 0);
    kit_call(p.client_node, "echo", "[]", NULL);
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK_INT(e.code, 0);
    kit_close(&p);
}

/* A handler that does not end: who waits for it is told soon, and who finds the queue full at once. */
static void queue(void)
{
    kit_pair p = kit_open(kind, server_mode, client_mode);
    clouds_event e;
    offer(&p, "silent", (clouds_offer_options){.concurrency = 1, .queue = 1, .queue_age = 0.5});
    kit_call(p.client_node, "silent", "[1]", NULL);
    uint64_t id = next_request(&p).id;
    uint64_t waits = kit_call(p.client_node, "silent", "[2]", NULL),
             full = kit_call(p.client_node, "silent", "[3]", NULL);
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK(e.id == full);
    CHECK(memmem(e.error, e.error_len, "\"reason\":\"queue\"", 16) != NULL);
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK(e.id == waits);
    CHECK_INT(e.code, CLOUDS_EOVERLOAD);
    CHECK(memmem(e.error, e.error_len, "\"reason\":\"age\"", 14) != NULL);
    CHECK_INT(counter_at(&p, "shed_requests", 1), 1);
    CHECK_INT(clouds_reply(p.server, id, "[]", 2), 0);
    REQUIRE(kit_await(p.client, p.server, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK_INT(e.code, 0);
    kit_close(&p);
}

static void what_no_offer_can_be(void)
{
    kit_pair p = kit_open(kind, server_mode, client_mode);
    static const struct {
        clouds_offer_options limits;
        int code;
        const char *words;
    } wrong[] = {
        {{.flags = 2}, CLOUDS_ENOTSUP, "the flags 2"},
        {{.concurrency = -2}, CLOUDS_ENOTSUP, "a concurrency of -2"},
        {{.flags = CLOUDS_OFFER_SERIAL, .concurrency = -1}, CLOUDS_EINVAL, "serial is a concurrency of 1, and not one"},
        {{.flags = CLOUDS_OFFER_SERIAL, .concurrency = 2}, CLOUDS_EINVAL, "serial is a concurrency of 1"},
        {{.reserved = 1}, CLOUDS_EINVAL, "reserved"},
        {{.rate = -1}, CLOUDS_EINVAL, "rate is -1"},
        {{.rate = 1, .burst = INFINITY}, CLOUDS_EINVAL, "burst is inf"},
        {{.caller_rate = -2}, CLOUDS_EINVAL, "caller_rate is -2"},
        {{.burst = 5}, CLOUDS_EINVAL, "burst is 5 and rate is not set"},
        {{.rate = 1, .caller_burst = 5}, CLOUDS_EINVAL, "caller_burst is 5 and caller_rate is not set"},
        {{.queue_target = -1}, CLOUDS_EINVAL, "queue_target is -1"},
        {{.queue_age = NAN}, CLOUDS_EINVAL, "queue_age is"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        clouds_offer_options limits = wrong[i].limits;
        uint64_t id = 4711;
        limits.size = sizeof limits;
        CHECK_INT(clouds_node_offer(p.server_node, "m", 1, &limits, NULL, &id), wrong[i].code);
        if (!CHECK(strstr(clouds_last_error(), wrong[i].words) != NULL)) printf("# %s\n", clouds_last_error());
        CHECK_INT(id, 4711);
    }
    CHECK_INT(clouds_node_offer(p.server_node, "", 0, NULL, NULL, NULL), CLOUDS_EINVAL);
    CHECK_INT(clouds_node_offer(p.server_node, "m", 1, NULL, NULL, NULL), 0);
    kit_close(&p);
}

/* Requests that wait end with their node: refused, and none of them is begun. */
static void a_node_that_closes(void)
{
    kit_pair p = kit_open(kind, server_mode, client_mode);
    clouds_event e;
    offer(&p, "silent", (clouds_offer_options){.flags = CLOUDS_OFFER_SERIAL});
    kit_call(p.client_node, "silent", "[1]", NULL);
    next_request(&p);
    kit_call(p.client_node, "silent", "[2]",
             &(clouds_call_options){.size = sizeof(clouds_call_options), .retries = -1});
    await_queued(&p, 1);
    CHECK_INT(clouds_node_close(p.server_node, 0, NULL, NULL), 0);
    REQUIRE(kit_await(p.server, p.client, CLOUDS_EVENT_NODE_CLOSED, &e) == 1);
    CHECK_INT(e.number, 2);
    kit_close(&p);
}

static void all(void)
{
    printf("# server %s, client %s\n", server_mode, client_mode);
    RUN(serial);
    RUN(keys);
    RUN(rate);
    RUN(queue);
    RUN(what_no_offer_can_be);
    RUN(a_node_that_closes);
}

int main(int argc, char **argv)
{
    kind = argc > 1 ? argv[1] : "inproc:";
    kit_mode_pairs(&server_mode, &client_mode, all);
    return kit_end();
}
