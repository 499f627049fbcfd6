/* Messages that go one way, and bursts, through the public header; the floors are in baseline_ways.c.
 *
 * Usage: bench_ways publish|notify|burst URL SECONDS
 *   publish: to 100 subscribers with a context each, all in one other process
 *   notify:  calls that want no answer, of 12 bytes, to one server
 *   burst:   20 clients with a context each make 1000 calls at once and wait for all answers */
#include <clouds.h>

#include "ways.h"

enum { EVENTS = 512 };

static clouds_event events[EVENTS];
static clouds_context *contexts[WAYS_SUBSCRIBERS];
static clouds_node *nodes[WAYS_SUBSCRIBERS];
static int count_of_contexts, way;
static const char *url;

static void must(int code, const char *what)
{
    if (code >= 0) return;
    fprintf(stderr, "%s: %s\n", what, clouds_last_error());
    exit(1);
}

static void open_context(const char *type)
{
    clouds_options *options;
    int i = count_of_contexts++;
    must(clouds_options_create(&options), "options");
    must(clouds_options_set_string(options, "url", url), "url");
    must(clouds_options_set_number(options, "max_in_flight", BENCH_MAX_W), "max_in_flight");
    must(clouds_options_set_number(options, "write_soft", 64e6), "write_soft");
    must(clouds_options_set_number(options, "write_hard", 128e6), "write_hard");
    must(clouds_context_create(options, &contexts[i]), "context");
    clouds_options_destroy(options);
    must(clouds_options_create(&options), "options");
    must(clouds_options_set_string(options, "type", type), "type");
    must(clouds_node_create(contexts[i], options, &nodes[i]), "node");
    clouds_options_destroy(options);
}

/* Takes what a context has, and answers requests; how many of `type` there were. */
static uint64_t take(clouds_context *context, uint32_t type, double timeout)
{
    uint64_t found = 0;
    int n = clouds_poll(context, events, sizeof *events, EVENTS, timeout);
    must(n, "poll");
    for (int i = 0; i < n; i++) {
        found += events[i].type == type;
        must(events[i].code, "event");
        if (events[i].type == CLOUDS_EVENT_REQUEST && way == WAYS_BURSTS)
            must(clouds_reply(context, events[i].id, events[i].data, events[i].data_len), "reply");
        else if (events[i].type == CLOUDS_EVENT_REQUEST) clouds_reply(context, events[i].id, "[]", 2);
    }
    return found;
}

static void await(clouds_context *context, uint32_t type)
{
    while (!take(context, type, 1)) continue;
}

/* All that came is counted, of messages or requests. */
static void receive(uint32_t type)
{
    struct epoll_event ready[64];
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < count_of_contexts; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = contexts[i]};
        epoll_ctl(epoll, EPOLL_CTL_ADD, clouds_fd(contexts[i]), &e);
    }
    for (;;) {
        int n = epoll_wait(epoll, ready, 64, -1);
        for (int i = 0; i < n; i++) {
            uint64_t got = take(ready[i].data.ptr, type, 0);
            if (way != WAYS_BURSTS) ways_count(got);
        }
    }
}

static void subscribe(void *arg, int ready)
{
    (void)arg;
    clouds_subscribe_options wide = {.size = sizeof wide, .queue = WAYS_WINDOW};
    for (int i = 0; i < WAYS_SUBSCRIBERS; i++) {
        uint64_t id;
        open_context("base");
        must(clouds_node_subscribe(nodes[i], "[\"bench\"]", 9, &wide, NULL, &id), "subscribe");
        await(contexts[i], CLOUDS_EVENT_SUBSCRIBED);
    }
    bench_ready(ready);
    receive(CLOUDS_EVENT_PUBLISHED);
}

static void serve(void *arg, int ready)
{
    (void)arg;
    uint64_t id;
    open_context("server");
    must(clouds_node_register(nodes[0], "bench", 5, NULL, &id), "register");
    await(contexts[0], CLOUDS_EVENT_REGISTERED);
    bench_ready(ready);
    receive(CLOUDS_EVENT_REQUEST);
}

static void wait_here(void)
{
    take(contexts[0], 0, 0.0002);
}

static void publish_one(void)
{
    clouds_payload p = {.size = sizeof p, .json = "\"0123456789\"", .json_len = 12};
    must(clouds_node_publish(nodes[0], "bench", 5, &p, 0, NULL, NULL), "publish");
}

static void publish(void)
{
    do { /* until all are known */
        atomic_store(ways_arrived, 0);
        publish_one();
        for (int i = 0; i < 20; i++) take(contexts[0], 0, 0.01);
    } while (atomic_load(ways_arrived) < WAYS_SUBSCRIBERS);
    ways_begin();
    for (int i = 0; ways_goes_on(WAYS_SUBSCRIBERS); i++) {
        publish_one();
        if (i % 64 == 63) take(contexts[0], 0, 0);
    }
}

static void call(int i, const clouds_call_options *how)
{
    uint64_t id;
    must(clouds_node_call(nodes[i], "bench", 5, "[\"01234567\"]", 12, how, &id), "call");
}

static void notify(void)
{
    clouds_call_options how = {.size = sizeof how, .flags = CLOUDS_CALL_NOTIFY};
    call(0, &how);
    await(contexts[0], CLOUDS_EVENT_RESULT);
    ways_begin();
    for (int i = 0; ways_goes_on(1); i++) {
        call(0, &how);
        if (i % 256 == 255) take(contexts[0], 0, 0);
    }
}

static void burst(void)
{
    clouds_call_options how = {.size = sizeof how, .timeout = 10};
    for (int i = 0; i < WAYS_CLIENTS; i++) {
        if (i) open_context("client");
        call(i, &how);
        await(contexts[i], CLOUDS_EVENT_RESULT);
    }
    ways_begin();
    while (ways_goes_on(0)) {
        uint64_t left[WAYS_CLIENTS], open = WAYS_CLIENTS;
        for (int i = 0; i < WAYS_CLIENTS; i++) {
            left[i] = WAYS_BURST;
            for (int j = 0; j < WAYS_BURST; j++) call(i, &how);
            left[i] -= take(contexts[i], CLOUDS_EVENT_RESULT, 0); /* and sends */
        }
        for (int i = 0; open; i = (i + 1) % WAYS_CLIENTS) {
            if (!left[i]) continue;
            left[i] -= take(contexts[i], CLOUDS_EVENT_RESULT, open == 1 ? 1 : 0);
            open -= left[i] == 0;
        }
        ways_count(WAYS_CLIENTS * WAYS_BURST);
    }
}

int main(int argc, char **argv)
{
    way = ways_arguments(argc, argv);
    url = argv[2];
    ways_wait = wait_here;
    pid_t child = bench_fork(way == WAYS_PUBLISH ? subscribe : serve, NULL);
    open_context("client");
    way == WAYS_PUBLISH ? publish() : way == WAYS_NOTIFY ? notify() : burst();
    ways_print();
    bench_end(child, SIGKILL);
    return 0;
}
