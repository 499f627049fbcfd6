/* Calls over direct links beside Redis: which way each goes, and what becomes of it when that way ends. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clouds.h"
#include "proto/direct.h"
#include "redis/kit.h"
#include "support/tap.h"

#define ID_A "s.686c821a.100.0"
#define ID_B "c.686c821a.100.1"
#define ID_C "s.686c821a.100.2"

static test_redis server;
static kit a, b;
static int node_a, node_b;
static const char *listen_at; /* of the turn */
static char folder[64];

/* ---- help */

static int open_kit(kit *k, const char *listen)
{
    static cl_direct direct;
    cl_limits limits;
    kit_limits(&limits);
    direct = (cl_direct){.ping = 0.2, .timeout = 0.3, .idle = 300};
    if (cl_direct_parse(listen, &direct) != 0) return CLOUDS_EOPTION;
    limits.direct = &direct;
    limits.hello_timeout = 0.5;
    limits.connect_timeout = 1;
    return kit_open(k, server.tcp_url, &limits);
}

static uint64_t count(const kit *k, enum cl_bus_count which)
{
    return k->bus->counts[which];
}

/* Calls are answered with their arguments. */
static void answer(kit *k, void *node, const cl_envelope *e)
{
    if (e->type != CL_CALL) return;
    const cl_envelope r = {.type = CL_RESULT,
                           .flags = CL_NATIVE,
                           .from = e->to,
                           .to = e->from,
                           .id = e->id,
                           .result = e->args,
                           .link = e->link};
    k->bus->ops->send(k->bus, node, &r, 0);
}

static int call(const char *to, uint64_t token)
{
    char id[24];
    snprintf(id, sizeof id, "%08llu", (unsigned long long)token);
    return kit_call(&b, ID_B, to, "echo", id, "[1]", token);
}

/* A server and its caller. */
static int open_both(void)
{
    int code = open_kit(&a, listen_at);
    if (code == 0) code = open_kit(&b, listen_at);
    if (code == 0) code = kit_node(&a, &node_a, ID_A, 2);
    if (code == 0) code = kit_node(&b, &node_b, ID_B, 2);
    a.on_envelope = answer;
    return code;
}

/* Calls until one goes over the link. */
static uint64_t link_up(void)
{
    uint64_t token = 1;
    for (int64_t end = cl_loop_now() + 20000; count(&b, CL_BUS_LINK_CALLS) == 0 && cl_loop_now() < end; token++) {
        if (call(ID_A, token) != 0) break;
        kit_turn_all(5);
    }
    WAIT_FOR(b.envelopes == token - 1);
    CHECK_INT(count(&b, CL_BUS_LINK_OPENS), 1);
    return token;
}

static void close_both(void)
{
    kit_close(&b, 0);
    kit_close(&a, 0);
}

/* PUBLISHes that Redis has executed. */
static int published(void)
{
    const char *text = strstr(test_redis_command(&server, "INFO commandstats"), "cmdstat_publish:calls=");
    return text ? atoi(text + 22) : 0;
}

/* Somebody who listens and does as he likes. */
static int listen_raw(int *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, n) != 0 || listen(fd, 100) != 0) exit(97);
    getsockname(fd, (struct sockaddr *)&at, &n);
    *port = ntohs(at.sin_port);
    return fd;
}

/* Makes Redis say that a node of ours is somewhere else. */
static void say_it_is_at(const char *id, const char *context, const char *address)
{
    test_redis_command(&server, "SET clouds:N:%s {\"v\":2,\"pid\":1,\"token\":\"x\",\"at\":[\"link:%s\",\"%s\"]}", id,
                       context, address);
}

/* ---- tests, for each place to listen at */

static void no_call_waits_for_a_link(void)
{
    REQUIRE(open_both() == 0);
    CHECK_INT(call(ID_A, 1), 0);
    CHECK_INT(count(&b, CL_BUS_BUS_CALLS), 1); /* at once, by Redis */
    WAIT_FOR(b.envelopes == 1);
    CHECK_INT(count(&b, CL_BUS_LINK_CALLS), 0);
    close_both();
}

static void an_open_link_carries_calls_and_their_answers(void)
{
    REQUIRE(open_both() == 0);
    uint64_t token = link_up();
    int before = published();
    for (int i = 0; i < 100; i++) CHECK_INT(call(ID_A, token++), 0);
    WAIT_FOR(b.envelopes == token - 1);
    CHECK_INT(published(), before);
    CHECK(kit_find(&a, "dropped") == NULL && kit_find(&b, "dropped") == NULL);
    close_both();
}

static void messages_go_by_redis(void)
{
    REQUIRE(open_both() == 0);
    link_up();
    int before = published();
    for (uint64_t i = 0; i < 10; i++) CHECK_INT(kit_say(&b, ID_B, ID_A, "1", 1000 + i), 0);
    WAIT_FOR(b.deliveries >= 10);
    CHECK_INT(published(), before + 10);
    close_both();
}

/* Promise 13. */
static void redis_gone_breaks_no_open_link(void)
{
    REQUIRE(open_both() == 0);
    uint64_t token = link_up();
    test_redis_kill(&server);
    WAIT_FOR(!a.up && !b.up);
    CHECK_INT(b.bus->ops->is_linked(b.bus, CL_STR(ID_A)), 1);
    CHECK_INT(b.bus->ops->is_linked(b.bus, CL_STR(ID_C)), 0);
    for (int i = 0; i < 100; i++) CHECK_INT(call(ID_A, token++), 0);
    WAIT_FOR(b.envelopes == token - 1);
    REQUIRE(test_redis_restart(&server) == 0);
    WAIT_FOR(a.up && b.up);
    CHECK_INT(call(ID_A, token++), 0);
    WAIT_FOR(b.envelopes == token - 1);
    CHECK_INT(count(&b, CL_BUS_LINK_LOSSES), 0);
    close_both();
}

static void the_end_of_a_link_loses_what_it_carried(void)
{
    REQUIRE(open_both() == 0);
    uint64_t token = link_up();
    kit_forget(&b);
    a.on_envelope = NULL; /* nothing is answered any more */
    uint64_t seen = a.envelopes;
    for (int i = 0; i < 5; i++) CHECK_INT(call(ID_A, token++), 0);
    WAIT_FOR(a.envelopes == seen + 5);
    kit_close(&a, 1);
    for (int i = 0; i < 5; i++) CHECK_INT(kit_take(&b, "delivery")->code, CL_DELIVERY_LOST);
    CHECK_INT(count(&b, CL_BUS_LINK_LOSSES), 1);
    CHECK(kit_find(&b, "gone") == NULL); /* whether the node is dead is not said with that */
    CHECK_INT(call(ID_A, token), 0);
    CHECK_INT(kit_take(&b, "delivery")->code, CL_DELIVERY_NOBODY); /* by Redis */
    kit_close(&b, 0);
}

static void who_closes_loses_no_call(void)
{
    REQUIRE(open_both() == 0);
    uint64_t token = link_up();
    for (int i = 0; i < 50; i++) CHECK_INT(call(ID_A, token++), 0);
    a.bus->ops->node_drain(a.bus, &node_a);
    WAIT_FOR(kit_find(&b, "draining") != NULL);
    WAIT_FOR(b.envelopes == token - 1);
    a.bus->ops->node_close(a.bus, &node_a);
    kit_take(&a, "closed");
    int code = call(ID_A, token++);
    /* refused by the link, or by nobody's listening: never begun, and never lost */
    if (code == 0) WAIT_FOR(b.envelopes == token - 1 || kit_find(&b, "delivery"));
    for (kit_note *n; (n = kit_find(&b, "delivery"));) CHECK(n->code != CL_DELIVERY_LOST);
    close_both();
}

/* Promise 16: an address that another context has taken over. */
static void another_context_gets_no_call(void)
{
    REQUIRE(open_both() == 0);
    kit c;
    int node_c;
    REQUIRE(open_kit(&c, listen_at) == 0);
    REQUIRE(kit_node(&c, &node_c, ID_C, 2) == 0);
    char record[600];
    snprintf(record, sizeof record, "%s", test_redis_command(&server, "GET clouds:N:" ID_C));
    const char *address = strstr(record, strncmp(listen_at, "tcp", 3) == 0 ? "\"tcp:" : "\"unix:");
    REQUIRE(address != NULL);
    char at[300];
    snprintf(at, sizeof at, "%.*s", (int)strcspn(address + 1, "\""), address + 1);
    say_it_is_at(ID_A, "0123456789abcdef", at);
    uint64_t token = 1;
    for (int64_t end = cl_loop_now() + 20000; !count(&b, CL_BUS_LINK_REFUSED) && cl_loop_now() < end; token++) {
        CHECK_INT(call(ID_A, token), 0);
        WAIT_FOR(b.envelopes == token);
    }
    CHECK_INT(count(&b, CL_BUS_LINK_REFUSED), 1);
    CHECK_INT(count(&b, CL_BUS_LINK_CALLS), 0);
    CHECK_INT(c.envelopes, 0);
    kit_close(&c, 0);
    close_both();
}

static void a_node_that_moved_is_found(void)
{
    REQUIRE(open_both() == 0);
    uint64_t token = link_up();
    b.bus->ops->lookup(b.bus, CL_STR("echo"), 0);
    kit_take(&b, "servers");
    kit_close(&a, 0);
    REQUIRE(open_kit(&a, listen_at) == 0);
    REQUIRE(kit_node(&a, &node_a, ID_A, 2) == 0);
    REQUIRE(kit_register(&a, &node_a, "echo") == 0);
    a.on_envelope = answer;
    kit_forget(&b);
    uint64_t links = count(&b, CL_BUS_LINK_CALLS), answers = b.envelopes, sent = 0;
    for (int64_t end = cl_loop_now() + 20000; count(&b, CL_BUS_LINK_CALLS) == links && cl_loop_now() < end;) {
        sent += call(ID_A, token++) == 0;
        kit_turn_all(5);
    }
    CHECK(count(&b, CL_BUS_LINK_CALLS) > links);
    WAIT_FOR(b.envelopes == answers + sent);
    CHECK_INT(count(&b, CL_BUS_LINK_OPENS), 2);
    close_both();
}

/* ---- tests over TCP only */

/* Who does not speak costs the calls nothing, and is left alone for a while. */
static void a_silent_listener_hinders_nothing(void)
{
    int port, fd = listen_raw(&port);
    char at[64];
    REQUIRE(open_both() == 0);
    snprintf(at, sizeof at, "tcp:127.0.0.1:%d", port);
    say_it_is_at(ID_A, "0123456789abcdef", at);
    uint64_t token = 1;
    for (int64_t end = cl_loop_now() + 1500; cl_loop_now() < end; token++) {
        CHECK_INT(call(ID_A, token), 0);
        WAIT_FOR(b.envelopes == token);
    }
    CHECK_INT(count(&b, CL_BUS_LINK_CALLS), 0);
    CHECK(count(&b, CL_BUS_LINK_REFUSED) >= 1 && count(&b, CL_BUS_LINK_REFUSED) <= 2); /* after 0.5 s, and again */
    int dials = 0;
    for (int other; (other = accept(fd, NULL, NULL)) >= 0; close(other)) dials++;
    CHECK(dials >= 1 && dials <= 2);
    close(fd);
    close_both();
}

static void beyond_this_machine_is_not_dialled_without_a_key(void)
{
    REQUIRE(open_both() == 0);
    say_it_is_at(ID_A, "0123456789abcdef", "tcp:192.0.2.1:7000");
    for (uint64_t token = 1; token <= 10; token++) CHECK_INT(call(ID_A, token), 0);
    WAIT_FOR(b.envelopes == 10);
    CHECK_INT(count(&b, CL_BUS_LINK_OPENS) + count(&b, CL_BUS_LINK_REFUSED), 0);
    close_both();
}

static void records_that_say_nonsense(void)
{
    static const char *const addresses[] = {"tcp:", "tcp:127.0.0.1", "tcp:127.0.0.1:0", "tcp:127.0.0.1:99999",
                                            "tcp:[::1:5", "unix:", "unix:1:2:", "unix:x:y:/z", "unix:1:2:relative",
                                            "smoke:signal", ""};
    REQUIRE(open_both() == 0);
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        say_it_is_at(ID_C, "0123456789abcdef", addresses[i]);
        CHECK_INT(call(ID_C, 100 + i), 0);
        CHECK_INT(kit_take(&b, "delivery")->code, CL_DELIVERY_NOBODY);
    }
    test_redis_command(&server, "SET clouds:N:%s nonsense", ID_C);
    CHECK_INT(call(ID_C, 99), 0);
    CHECK_INT(kit_take(&b, "delivery")->code, CL_DELIVERY_NOBODY);
    CHECK_INT(count(&b, CL_BUS_LINK_OPENS), 0);
    close_both();
}

/* The process at the other end is stopped: pings find out. */
static void a_link_that_falls_silent_is_cut(void)
{
    REQUIRE(open_both() == 0);
    uint64_t token = link_up();
    kit_forget(&b);
    CHECK_INT(call(ID_A, token), 0);
    int64_t began = cl_loop_now();
    while (!count(&b, CL_BUS_LINK_LOSSES) && cl_loop_now() < began + 20000) cl_loop_run(b.loop, 20); /* b's loop only */
    CHECK_INT(count(&b, CL_BUS_LINK_LOSSES), 1);
    kit_note *n = kit_find(&b, "delivery");
    CHECK(n && n->code == CL_DELIVERY_LOST);
    close_both();
}

static void ports_of_a_range(void)
{
    kit k[3];
    char range[64];
    int port, fd = listen_raw(&port);
    snprintf(range, sizeof range, "tcp://127.0.0.1:%d-%d", port, port + 2);
    /* One of three is taken; maybe others of this machine have the next ones. */
    int opened = 0;
    for (int i = 0; i < 3; i++) {
        int code = open_kit(&k[opened], range);
        if (code == 0) {
            opened++;
            continue;
        }
        CHECK_INT(code, CLOUDS_EEXIST);
        CHECK(strstr(clouds_last_error(), range) != NULL && strstr(clouds_last_error(), "every port is in use"));
    }
    CHECK(opened < 3);
    for (int i = 0; i < opened; i++) kit_close(&k[i], 0);
    snprintf(range, sizeof range, "tcp://127.0.0.1:%d", port);
    CHECK_INT(open_kit(&k[0], range), CLOUDS_EEXIST);
    CHECK(strstr(clouds_last_error(), range) != NULL);
    CHECK_INT(open_kit(&k[0], "tcp://192.0.2.1:7000"), CLOUDS_ESYSTEM); /* no address of this machine */
    CHECK(strstr(clouds_last_error(), "tcp://192.0.2.1:7000") != NULL);
    close(fd);
}

int main(void)
{
    static const char *const places[] = {"unix", "tcp://127.0.0.1:0", "tcp://[::1]:0", "unix,tcp://[::]:0"};
    const test_redis_options options = {.tcp = 1};
    strcpy(folder, "/tmp/clouds-direct-XXXXXX");
    if (!mkdtemp(folder)) return EXIT_FAILURE;
    setenv("CLOUDS_RUNTIME_DIR", folder, 1);
    if (test_redis_start(&server, &options)) return EXIT_FAILURE;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        listen_at = places[i];
        printf("# %s\n", listen_at);
        RUN(no_call_waits_for_a_link);
        RUN(an_open_link_carries_calls_and_their_answers);
        RUN(messages_go_by_redis);
        RUN(redis_gone_breaks_no_open_link);
        RUN(the_end_of_a_link_loses_what_it_carried);
        RUN(who_closes_loses_no_call);
        RUN(another_context_gets_no_call);
        RUN(a_node_that_moved_is_found);
    }
    listen_at = "tcp://127.0.0.1:0";
    RUN(a_silent_listener_hinders_nothing);
    RUN(beyond_this_machine_is_not_dialled_without_a_key);
    RUN(records_that_say_nonsense);
    RUN(a_link_that_falls_silent_is_cut);
    RUN(ports_of_a_range);
    test_redis_stop(&server);
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) == 0 ? tap_end() : 1;
}
