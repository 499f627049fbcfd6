/* Calls over direct links beside Redis: which way each goes, and what becomes of it when that way ends. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clouds.h"
#include "net/keys.h"
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
static cl_key_ring *keys;     /* of the turn */
static char folder[64];
static size_t most_links = 1000; /* of those that are opened next */
static double hello_timeout = 10; /* of those, too */

/* ---- help */

static int open_kit(kit *k, const char *listen)
{
    static cl_direct direct;
    cl_limits limits;
    kit_limits(&limits);
    direct = (cl_direct){.ping = 0.2, .timeout = 2, .idle = 300, .keys = keys};
    if (cl_direct_parse(listen, &direct) != 0) return CLOUDS_EOPTION;
    limits.direct = &direct;
    limits.links = most_links;
    limits.hello_timeout = hello_timeout;
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

static int has(const cl_buf *text, const char *part)
{
    cl_str s = cl_buf_str(text);
    return memmem(s.p, s.n, part, strlen(part)) != NULL;
}

static void links_are_told(void)
{
    cl_buf at_b = {0}, at_a = {0};
    char expected[128];
    REQUIRE(open_both() == 0);
    CHECK_INT(b.bus->ops->put_links(b.bus, 0, &at_b), 0);
    CHECK_STR(at_b.data, at_b.len, "[]");
    link_up();
    cl_buf_clear(&at_b);
    CHECK_INT(b.bus->ops->put_links(b.bus, 0, &at_b), 0);
    CHECK_INT(a.bus->ops->put_links(a.bus, 0, &at_a), 0);
    printf("# %.*s\n# %.*s\n", (int)at_b.len, at_b.data, (int)at_a.len, at_a.data);
    int is_unix = strncmp(listen_at, "unix", 4) == 0;
    const char *security = is_unix ? "\"security\":\"user\"" : keys ? "\"security\":\"tls\"" : "\"security\":\"none\"";
    const char *address = is_unix                  ? "\"address\":\"unix:"
                          : strchr(listen_at, '[') ? "\"address\":\"tcp:[::1]:"
                                                   : "\"address\":\"tcp:127.0.0.1:";
    CHECK(has(&at_b, "\"nodes\":[\"" ID_A "\"],\"ours\":true,\"state\":\"open\"") &&
          has(&at_b, "\"in_flight\":0,\"unwritten\":0,\"age\":"));
    CHECK(has(&at_b, security) && has(&at_a, security) && has(&at_b, address) && has(&at_a, address));
    CHECK(!has(&at_b, "\"error\"") && !has(&at_b, "\"asked\""));
    char ends[2][17]; /* each says how the other is called */
    sscanf(at_b.data, "[{\"peer\":\"%16[0-9a-f]\",\"here\":\"%16[0-9a-f]\"", ends[0], ends[1]);
    snprintf(expected, sizeof expected, "[{\"peer\":\"%s\",\"here\":\"%s\",", ends[1], ends[0]);
    CHECK(has(&at_a, expected));
    CHECK(has(&at_a, "\"ours\":false,\"state\":\"open\"") && !has(&at_a, "\"nodes\"") && !has(&at_a, "in_flight"));
    cl_limits limits;
    kit_limits(&limits);
    CHECK_INT(cl_json_check(cl_buf_str(&at_b), '[', limits.json), 0);
    CHECK_INT(cl_json_check(cl_buf_str(&at_a), '[', limits.json), 0);
    kit_close(&a, 1);
    WAIT_FOR(count(&b, CL_BUS_LINK_LOSSES) == 1);
    cl_buf_clear(&at_b);
    CHECK_INT(b.bus->ops->put_links(b.bus, 0, &at_b), 0);
    CHECK(has(&at_b, "\"nodes\":[\"" ID_A "\"],\"ours\":true,\"state\":\"resting\",\"for\":"));
    CHECK(has(&at_b, ",\"error\":\"") && !has(&at_b, ",\"error\":\"\""));
    kit_close(&b, 0);
    cl_buf_free(&at_b);
    cl_buf_free(&at_a);
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
static void A8_another_context_gets_no_call(void)
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
    char name[40];
    snprintf(name, sizeof name, "0123456789abcdef%s%s", keys ? ";psk:" : "", keys ? keys->keys[0].name : "");
    say_it_is_at(ID_A, name, at);
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

static struct {
    char text[32];
    size_t n;
} asked[5];
static size_t asked_n;
static uint64_t asked_by;

static void keep(kit *k, void *node, const cl_envelope *e)
{
    if (e->type != CL_CALL || asked_n == 5) return;
    if (e->id.n > sizeof asked->text) exit(96);
    memcpy(asked[asked_n].text, e->id.p, e->id.n);
    asked[asked_n++].n = e->id.n;
    asked_by = e->link;
}

/* A Redis that has forgotten where a node is ends none of its answers. */
static void an_answer_counts_though_the_record_is_gone(void)
{
    REQUIRE(open_both() == 0);
    REQUIRE(kit_register(&a, &node_a, "echo") == 0);
    uint64_t token = link_up(), answers = b.envelopes;
    asked_n = 0;
    a.on_envelope = keep;
    for (int i = 0; i < 5; i++) CHECK_INT(call(ID_A, token++), 0);
    WAIT_FOR(asked_n == 5);
    test_redis_command(&server, "DEL clouds:N:" ID_A);
    b.bus->ops->lookup(b.bus, CL_STR("echo"), 0);
    WAIT_FOR(!b.bus->ops->is_linked(b.bus, CL_STR(ID_A)));
    for (int i = 0; i < 5; i++) {
        const cl_envelope r = {.type = CL_RESULT,
                               .flags = CL_NATIVE,
                               .from = CL_STR(ID_A),
                               .to = CL_STR(ID_B),
                               .id = cl_str_of(asked[i].text, asked[i].n),
                               .result = CL_STR("[1]"),
                               .link = asked_by};
        CHECK_INT(a.bus->ops->send(a.bus, &node_a, &r, 0), 0);
    }
    WAIT_FOR(b.envelopes == answers + 5);
    CHECK(kit_find(&b, "dropped") == NULL);
    a.on_envelope = answer;
    WAIT_FOR(b.bus->ops->is_linked(b.bus, CL_STR(ID_A)) || (b.bus->ops->lookup(b.bus, CL_STR("echo"), 0), 0));
    CHECK_INT(count(&b, CL_BUS_LINK_OPENS), 1); /* and it is the same link when it is known again */
    close_both();
}

/* What a child does away with after a fork is its own copy. */
static void a_child_leaves_the_socket(void)
{
    const char *before = listen_at;
    int status = -1;
    listen_at = "unix";
    REQUIRE(open_both() == 0);
    pid_t child = fork();
    if (child == 0) {
        kit_close(&a, 1);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    link_up();
    CHECK_INT(count(&b, CL_BUS_LINK_REFUSED), 0);
    close_both();
    listen_at = before;
}

/* Past max_links the link that was not used for longest makes room. */
static void the_idlest_link_makes_room(void)
{
    kit c;
    int node_c;
    most_links = 1;
    REQUIRE(open_both() == 0);
    most_links = 1000;
    REQUIRE(open_kit(&c, listen_at) == 0);
    REQUIRE(kit_node(&c, &node_c, ID_C, 2) == 0);
    c.on_envelope = answer;
    uint64_t token = link_up();
    uint64_t carried = count(&b, CL_BUS_LINK_CALLS);
    for (int64_t end = cl_loop_now() + 20000; count(&b, CL_BUS_LINK_CALLS) == carried && cl_loop_now() < end; token++) {
        CHECK_INT(call(ID_C, token), 0);
        WAIT_FOR(b.envelopes == token);
    }
    CHECK_INT(count(&b, CL_BUS_LINK_OPENS), 2);
    CHECK_INT(count(&b, CL_BUS_LINK_LOSSES), 0);
    kit_close(&c, 0);
    close_both();
}

/* ---- tests over TCP only */

/* A container has a folder of the same name, and not the same folder. */
static void A9_the_socket_of_another_machine_is_passed_over(void)
{
    const char *before = listen_at;
    listen_at = "unix,tcp://127.0.0.1:0";
    REQUIRE(open_both() == 0);
    char record[600], other[600];
    snprintf(record, sizeof record, "%s", test_redis_command(&server, "GET clouds:N:" ID_A));
    char *inode = strchr(strstr(record, "unix:") + 5, ':');
    snprintf(other, sizeof other, "%.*s:1%s", (int)(inode - record), record, inode + 1);
    test_redis_command(&server, "SET clouds:N:%s %s", ID_A, other);
    link_up();
    CHECK_INT(count(&b, CL_BUS_LINK_REFUSED), 0);
    close_both();
    listen_at = before;
}

/* Who does not speak costs the calls nothing, and is left alone for a while. */
static void a_silent_listener_hinders_nothing(void)
{
    int port, fd = listen_raw(&port);
    char at[64];
    hello_timeout = 0.5;
    REQUIRE(open_both() == 0);
    hello_timeout = 10;
    snprintf(at, sizeof at, "tcp:127.0.0.1:%d", port);
    say_it_is_at(ID_A, "0123456789abcdef", at);
    uint64_t token = 1;
    int64_t begun = cl_loop_now(), late = begun + 20000;
    for (; cl_loop_now() < begun + 1500 || (!count(&b, CL_BUS_LINK_REFUSED) && cl_loop_now() < late); token++) {
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
    static const char *const addresses[] = {
        "tcp:",  "tcp:127.0.0.1", "tcp:127.0.0.1:0", "tcp:127.0.0.1:99999", "tcp:[::1:5",
        "unix:", "unix:1:2:",     "unix:x:y:/z",     "unix:1:2:relative",   "smoke:signal",
        ""};
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

static void cannot_listen(const char *at, int why)
{
    kit k;
    CHECK_INT(open_kit(&k, at), why);
    CHECK(strstr(clouds_last_error(), at) != NULL);
    kit_close(&k, 1);
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
        kit_close(&k[opened], 1);
    }
    CHECK(opened < 3);
    for (int i = 0; i < opened; i++) kit_close(&k[i], 0);
    snprintf(range, sizeof range, "tcp://127.0.0.1:%d", port);
    cannot_listen(range, CLOUDS_EEXIST);
    cannot_listen("tcp://192.0.2.1:7000", CLOUDS_ESYSTEM); /* no address of this machine */
    close(fd);
}

/* ---- keys */

static char key_paths[2][96];

static cl_key_ring *read_keys(const char *path)
{
    cl_key_ring *ring = NULL;
    if (cl_key_ring_read(path, &ring) != 0) printf("# %s\n", clouds_last_error());
    return ring;
}

/* Both of the files, in this order. */
static cl_key_ring *join_keys(const char *first, const char *second)
{
    char path[128], command[400];
    snprintf(path, sizeof path, "%s/joined", folder);
    snprintf(command, sizeof command, "umask 077; cat '%s' '%s' > '%s'", first, second, path);
    return system(command) == 0 ? read_keys(path) : NULL;
}

static int open_both_with(cl_key_ring *of_a, cl_key_ring *of_b)
{
    keys = of_a;
    int code = open_kit(&a, "tcp://127.0.0.1:0");
    keys = of_b;
    if (code == 0) code = open_kit(&b, "tcp://127.0.0.1:0");
    keys = NULL;
    if (code == 0) code = kit_node(&a, &node_a, ID_A, 2);
    if (code == 0) code = kit_node(&b, &node_b, ID_B, 2);
    a.on_envelope = answer;
    return code;
}

/* Calls go by Redis, all of them, while links are refused. */
static void no_link_comes_about(int is_dialled)
{
    uint64_t token = 1;
    for (int64_t end = cl_loop_now() + 20000; is_dialled && !count(&b, CL_BUS_LINK_REFUSED) && cl_loop_now() < end;) {
        CHECK_INT(call(ID_A, token), 0);
        WAIT_FOR(b.envelopes == token);
        token++;
    }
    for (int i = 0; i < 20; i++, token++) {
        CHECK_INT(call(ID_A, token), 0);
        WAIT_FOR(b.envelopes == token);
    }
    CHECK_INT(count(&b, CL_BUS_LINK_REFUSED) > 0, is_dialled);
    CHECK_INT(count(&b, CL_BUS_LINK_OPENS), 0);
    CHECK_INT(count(&b, CL_BUS_LINK_CALLS), 0);
}

static void another_key_is_refused(void)
{
    cl_key_ring *one = read_keys(key_paths[0]), *other = read_keys(key_paths[1]);
    REQUIRE(one && other && open_both_with(one, other) == 0);
    no_link_comes_about(1);
    CHECK(count(&a, CL_BUS_AUTH_FAILURES) > 0);
    CHECK(count(&b, CL_BUS_AUTH_FAILURES) > 0);
    close_both();
    cl_key_ring_free(one);
    cl_key_ring_free(other);
}

static void a_key_at_one_end_only(void)
{
    cl_key_ring *one = read_keys(key_paths[0]);
    REQUIRE(one && open_both_with(one, NULL) == 0);
    no_link_comes_about(0);
    close_both();
    REQUIRE(open_both_with(NULL, one) == 0);
    no_link_comes_about(0);
    close_both();
    cl_key_ring_free(one);
}

/* A record that says there is no key where there is one, and the other way about: the connection is made, and refused.
 */
static void plain_on_tls_and_tls_on_plain(void)
{
    cl_key_ring *one = read_keys(key_paths[0]);
    for (int i = 0; i < 2; i++) {
        REQUIRE(one && open_both_with(i ? NULL : one, i ? one : NULL) == 0);
        char record[600], context[17] = "", at[64];
        snprintf(record, sizeof record, "%s", test_redis_command(&server, "GET clouds:N:" ID_A));
        const char *link = strstr(record, "\"link:"), *tcp = strstr(record, "\"tcp:");
        REQUIRE(link && tcp);
        snprintf(context, sizeof context, "%.16s", link + 6);
        snprintf(at, sizeof at, "%.*s", (int)strcspn(tcp + 1, "\""), tcp + 1);
        char name[40];
        snprintf(name, sizeof name, "%s%s%s", context, i ? ";psk:" : "", i ? one->keys[0].name : "");
        say_it_is_at(ID_A, name, at);
        no_link_comes_about(1);
        close_both();
    }
    cl_key_ring_free(one);
}

/* Keys are changed one process after the other: the new one is accepted first, then used, then the old one goes. */
static void keys_can_be_changed(void)
{
    cl_key_ring *old = read_keys(key_paths[0]), *old_new = join_keys(key_paths[0], key_paths[1]);
    cl_key_ring *new_old = join_keys(key_paths[1], key_paths[0]), *new = read_keys(key_paths[1]);
    cl_key_ring *const steps[][2] = {{old, old_new}, {old_new, old}, {old_new, new_old}, {new_old, old_new},
                                     {new_old, new}, {new, new_old}, {new, new}};
    REQUIRE(old && old_new && new_old && new);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        REQUIRE(open_both_with(steps[i][0], steps[i][1]) == 0);
        link_up();
        CHECK_INT(count(&a, CL_BUS_AUTH_FAILURES) + count(&b, CL_BUS_AUTH_FAILURES), 0);
        close_both();
    }
    cl_key_ring_free(old);
    cl_key_ring_free(old_new);
    cl_key_ring_free(new_old);
    cl_key_ring_free(new);
}

/* Messages of all sizes around those of records and buffers, back and forth. */
static void all_sizes_come_whole(void)
{
    static const size_t sizes[] = {1, 100, 16000, 16383, 16384, 16385, 65536, 70000, 1000000, 3000000};
    REQUIRE(open_both() == 0);
    uint64_t token = link_up();
    char *args = malloc(3000010);
    REQUIRE(args != NULL);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint64_t before = b.envelopes;
        memset(args, 'x', sizes[i] + 4);
        memcpy(args, "[\"", 2);
        memcpy(args + 2 + sizes[i], "\"]", 3);
        char id[24];
        snprintf(id, sizeof id, "%08llu", (unsigned long long)token++);
        CHECK_INT(kit_call(&b, ID_B, ID_A, "echo", id, args, token), 0);
        WAIT_FOR(b.envelopes == before + 1);
    }
    CHECK_INT(count(&b, CL_BUS_LINK_LOSSES), 0);
    free(args);
    close_both();
}

static void put_file(const char *path, const char *text, mode_t mode)
{
    unlink(path);
    FILE *file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0 || chmod(path, mode) != 0) exit(95);
}

static void files_of_keys(void)
{
    static const char key[] = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF\n";
    static const struct {
        const char *text;
        mode_t mode;
        const char *why;
    } bad[] = {{key, 0640, "others than its owner"},
               {key, 0604, "others than its owner"},
               {"", 0600, "no key"},
               {"\n# nothing\n", 0600, "no key"},
               {"0011", 0600, "64 hex digits"},
               {"zz112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n", 0600, "64 hex digits"}};
    char path[96];
    cl_key_ring *ring = NULL;
    snprintf(path, sizeof path, "%s/bad", folder);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_file(path, bad[i].text, bad[i].mode);
        CHECK_INT(cl_key_ring_read(path, &ring), CLOUDS_EOPTION);
        CHECK(strstr(clouds_last_error(), path) && strstr(clouds_last_error(), bad[i].why));
    }
    CHECK_INT(cl_key_ring_read(folder, &ring), CLOUDS_EOPTION);
    unlink(path);
    CHECK_INT(cl_key_ring_read(path, &ring), CLOUDS_EOPTION);
    char text[400];
    snprintf(text, sizeof text, "# the first\n%s\r\n\n%.64s", key, key);
    put_file(path, text, 0600);
    CHECK_INT(cl_key_ring_read(path, &ring), 0);
    CHECK_INT(ring->n, 2);
    CHECK_STR(ring->keys[0].name, 8, ring->keys[1].name);
    cl_key_ring_free(ring);
    CHECK_INT(cl_key_create(path), CLOUDS_EEXIST);
}

static int make_keys(void)
{
    for (int i = 0; i < 2; i++) {
        snprintf(key_paths[i], sizeof key_paths[i], "%s/key%d", folder, i);
        if (cl_key_create(key_paths[i]) != 0) return -1;
    }
    return 0;
}

static void run_for(const char *listen)
{
    listen_at = listen;
    printf("# %s%s\n", listen_at, keys ? " with a key" : "");
    RUN(no_call_waits_for_a_link);
    RUN(an_open_link_carries_calls_and_their_answers);
    RUN(links_are_told);
    RUN(messages_go_by_redis);
    RUN(redis_gone_breaks_no_open_link);
    RUN(the_end_of_a_link_loses_what_it_carried);
    RUN(who_closes_loses_no_call);
    RUN(A8_another_context_gets_no_call);
    RUN(a_node_that_moved_is_found);
    RUN(an_answer_counts_though_the_record_is_gone);
    RUN(all_sizes_come_whole);
}

int main(void)
{
    static const char *const places[] = {"unix", "tcp://127.0.0.1:0", "tcp://[::1]:0", "unix,tcp://[::]:0"};
    const test_redis_options options = {.tcp = 1};
    strcpy(folder, "/tmp/clouds-direct-XXXXXX");
    if (!mkdtemp(folder)) return EXIT_FAILURE;
    setenv("CLOUDS_RUNTIME_DIR", folder, 1);
    if (test_redis_start(&server, &options)) return EXIT_FAILURE;
    if (make_keys() != 0) return EXIT_FAILURE;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) run_for(places[i]);
    cl_key_ring *ring = keys = read_keys(key_paths[0]);
    run_for("tcp://127.0.0.1:0");
    keys = NULL;
    cl_key_ring_free(ring);
    listen_at = "tcp://127.0.0.1:0";
    RUN(a_child_leaves_the_socket);
    RUN(the_idlest_link_makes_room);
    RUN(A9_the_socket_of_another_machine_is_passed_over);
    RUN(a_silent_listener_hinders_nothing);
    RUN(beyond_this_machine_is_not_dialled_without_a_key);
    RUN(records_that_say_nonsense);
    RUN(a_link_that_falls_silent_is_cut);
    RUN(ports_of_a_range);
    RUN(another_key_is_refused);
    RUN(a_key_at_one_end_only);
    RUN(plain_on_tls_and_tls_on_plain);
    RUN(keys_can_be_changed);
    RUN(files_of_keys);
    test_redis_stop(&server);
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) == 0 ? tap_end() : 1;
}
