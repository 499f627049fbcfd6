/* Whatever is sent to the port where the links of a context arrive: it lives, counts what was broken, and serves the
 * others. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/rand.h"
#include "clouds.h"
#include "proto/direct.h"
#include "proto/frame.h"
#include "redis/kit.h"
#include "support/tap.h"

#define ID_A "s.686c821a.100.0"
#define US "00000000000000aa"

static test_redis server;
static kit a;
static int node_a, port;
static char context[17];

static void answer(kit *k, void *node, const cl_envelope *e)
{
    const cl_envelope r = {.type = CL_RESULT,
                           .flags = CL_NATIVE,
                           .from = e->to,
                           .to = e->from,
                           .id = e->id,
                           .result = e->args,
                           .link = e->link};
    if (e->type == CL_CALL) k->bus->ops->send(k->bus, node, &r, 0);
}

static int open_victim(void)
{
    static cl_direct direct = {.ping = 1, .timeout = 2, .idle = 300};
    cl_limits limits;
    kit_limits(&limits);
    direct.tcp = 0;
    if (cl_direct_parse("tcp://127.0.0.1:0", &direct) != 0) return -1;
    limits.direct = &direct;
    limits.hello_timeout = 0.5;
    limits.links = 50;
    int code = kit_open(&a, server.url, &limits);
    if (code == 0) code = kit_node(&a, &node_a, ID_A, 2);
    a.on_envelope = answer;
    const char *record = test_redis_command(&server, "GET clouds:N:" ID_A);
    const char *link = strstr(record, "\"link:"), *tcp = strstr(record, "\"tcp:127.0.0.1:");
    if (code || !link || !tcp) return -1;
    snprintf(context, sizeof context, "%.16s", link + 6);
    port = atoi(tcp + 15);
    return 0;
}

static int attack(void)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof at) != 0) exit(94);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void put(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t done = send(fd, p, n, MSG_NOSIGNAL);
        if (done > 0) p += done, n -= (size_t)done;
        else if (errno != EAGAIN) return;
        kit_turn_all(0);
    }
}

/* Reads until it closes, or until so much has come: how much, or -1: it closed. */
static ssize_t take(int fd, char *out, size_t wanted)
{
    int64_t end = cl_loop_now() + 10000;
    size_t got = 0;
    while (got < wanted && cl_loop_now() < end) {
        kit_turn_all(1);
        ssize_t n = recv(fd, out + got, wanted - got, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN)) return -1;
        if (n > 0) got += (size_t)n;
    }
    return (ssize_t)got;
}

static int is_closed(int fd)
{
    char bytes[4096];
    return take(fd, bytes, sizeof bytes) < 0;
}

static size_t frame(char *out, int type, const char *from, const char *to, const char *id, const char *method,
                    const char *first)
{
    cl_buf b = {0};
    cl_envelope e = cl_envelope_of(type, cl_str_z(from), cl_str_z(to), cl_str_z(id));
    e.method = cl_str_z(method);
    if (type == CL_CALL) e.args = cl_str_z(first);
    else if (type == CL_RESULT) e.result = cl_str_z(first);
    else e.data = cl_str_z(first);
    if (cl_frame_encode(&e, &b) != 0) exit(93);
    memcpy(out, b.data, b.len);
    size_t n = b.len;
    cl_buf_free(&b);
    return n;
}

/* A link that was let in. */
static int greet(void)
{
    char bytes[512], back[512];
    int fd = attack();
    size_t n = frame(bytes, CL_FRAME_HELLO, US, context, "", "3", "");
    put(fd, bytes, n);
    CHECK(take(fd, back, CL_FRAME_PREFIX + CL_FRAME_HEAD) > 0);
    while (recv(fd, back, sizeof back, 0) > 0) continue;
    return fd;
}

/* The next frame; its texts are in `back`. */
static int next_frame(int fd, char *back, size_t room, cl_envelope *e)
{
    int64_t end = cl_loop_now() + 10000, whole = 0;
    size_t got = 0;
    while (whole == 0 && cl_loop_now() < end) {
        kit_turn_all(1);
        ssize_t n = recv(fd, back + got, room - got, 0);
        if (n > 0) got += (size_t)n;
        whole = cl_frame_decode(cl_str_of(back, got), room, e);
    }
    return whole > 0;
}

static void it_still_serves(void)
{
    char bytes[512], back[512];
    cl_envelope e;
    int fd = greet();
    put(fd, bytes, frame(bytes, CL_CALL, "c.1", ID_A, "12345678", "echo", "[7]"));
    CHECK(next_frame(fd, back, sizeof back, &e) && e.type == CL_RESULT && cl_str_eq(e.result, CL_STR("[7]")));
    close(fd);
    kit_turn_all(1);
    kit_forget(&a);
}

static int greet_as(const char *abilities, const char *node)
{
    char back[512];
    cl_buf b = {0};
    cl_extension x = CL_EXTENSION_NONE, room = CL_EXTENSION_NONE;
    cl_envelope e = cl_envelope_of(CL_FRAME_HELLO, CL_STR(US), cl_str_z(context), CL_STR_NONE);
    int fd = attack();
    x.abilities = cl_str_z(abilities);
    x.node = cl_str_z(node);
    e.method = CL_STR("3");
    e.extension = &x;
    if (cl_frame_encode(&e, &b) != 0) exit(92);
    put(fd, b.data, b.len);
    cl_buf_free(&b);
    CHECK(next_frame(fd, back, sizeof back, &e) && e.type == CL_FRAME_HELLO && cl_frame_extend(&e, &room) == 0);
    CHECK(cl_str_eq(room.node, CL_STR(ID_A)));
    CHECK(memmem(room.abilities.p, room.abilities.n, "names", 5) != NULL);
    return fd;
}

/* A version that does not know of it says its names, and is told ours. */
static void names_that_both_know_are_left_out(void)
{
    static const struct {
        const char *abilities, *node, *from, *to;
        int is_left_out;
    } links[] = {{"", "", "c.1", ID_A, 0},    {"fragments", "c.1", "c.1", ID_A, 0}, {"names", "", "c.1", ID_A, 0},
                 {"names", "c.1", "", "", 1}, {"names", "c.1", "c.1", ID_A, 1},     {"x,names", "c.1", "", ID_A, 1}};
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        char bytes[512], back[512];
        cl_envelope e;
        int fd = greet_as(links[i].abilities, links[i].node);
        kit_forget(&a);
        put(fd, bytes, frame(bytes, CL_CALL, links[i].from, links[i].to, "12345678", "echo", "[7]"));
        CHECK(next_frame(fd, back, sizeof back, &e) && cl_str_eq(e.result, CL_STR("[7]")));
        CHECK(cl_str_eq(e.from, links[i].is_left_out ? CL_STR_NONE : CL_STR(ID_A)));
        CHECK(cl_str_eq(e.to, links[i].is_left_out ? CL_STR_NONE : CL_STR("c.1")));
        const kit_note *n = kit_find(&a, "envelope");
        CHECK(n && strstr(n->text, "from=c.1 to=" ID_A " id=12345678"));
        put(fd, bytes, frame(bytes, CL_CALL, "c.2", links[i].to, "12345678", "echo", "[8]")); /* of another node */
        CHECK(next_frame(fd, back, sizeof back, &e) && cl_str_eq(e.result, CL_STR("[8]")));
        CHECK(cl_str_eq(e.to, CL_STR("c.2")));
        close(fd);
    }
    kit_turn_all(1);
    kit_forget(&a);
}

/* Who opened a link to us is asked nothing over it: what comes as an answer is a forged one. */
static void answers_that_nobody_asked_for(void)
{
    static const char *const from[] = {"c.1", ID_A, "s.686c821a.7.7"};
    for (size_t i = 0; i < 3; i++) {
        char bytes[512];
        int fd = greet();
        kit_forget(&a);
        put(fd, bytes, frame(bytes, CL_RESULT, from[i], ID_A, "12345678", "", "[7]"));
        WAIT_FOR(kit_find(&a, "dropped") != NULL);
        CHECK(kit_find(&a, "envelope") == NULL);
        close(fd);
    }
    kit_turn_all(1);
    kit_forget(&a);
}

static void hellos_that_name_another(void)
{
    char bytes[512];
    const struct {
        const char *from, *to, *version;
    } bad[] = {{US, "00000000000000bb", "3"},
               {US, ID_A, "3"},
               {US, "", "3"},
               {US, "000", "3"},
               {"", "THE CONTEXT", "3"},
               {"short", "THE CONTEXT", "3"},
               {US, "THE CONTEXT", ""},
               {US, "THE CONTEXT", "1"},
               {US, "THE CONTEXT", "2"},
               {US, "THE CONTEXT", "x"},
               {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "THE CONTEXT", "3"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *to = strcmp(bad[i].to, "THE CONTEXT") == 0 ? context : bad[i].to;
        int fd = attack();
        put(fd, bytes, frame(bytes, CL_FRAME_HELLO, bad[i].from, to, "", bad[i].version, ""));
        CHECK(is_closed(fd));
        CHECK(kit_find(&a, "dropped") != NULL);
        close(fd);
    }
    it_still_serves();
}

static void what_is_no_hello(void)
{
    char bytes[9000] = {0};
    const char *const others[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
                                  "*1\r\n$4\r\nPING\r\n", "SSH-2.0-OpenSSH_9.2\r\n"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        int fd = attack();
        put(fd, others[i], strlen(others[i]));
        CHECK(is_closed(fd)); /* at once, or after the time for the hello */
        close(fd);
    }
    int fd = attack();
    put(fd, bytes, frame(bytes, CL_CALL, "c.1", ID_A, "12345678", "echo", "[1]")); /* before the hello */
    CHECK(is_closed(fd));
    close(fd);
    fd = attack();
    bytes[0] = 0x10, bytes[1] = 0x27; /* 10000: more than is taken before the hello */
    put(fd, bytes, 4);
    CHECK(is_closed(fd));
    close(fd);
    int silent = attack(), slow = attack();
    put(slow, "\x20", 1);
    CHECK(is_closed(silent));
    CHECK(is_closed(slow));
    close(silent);
    close(slow);
    CHECK_INT(a.envelopes, 1); /* that of it_still_serves */
    it_still_serves();
}

static void calls_for_who_is_not_here(void)
{
    char bytes[512], back[512];
    cl_envelope e;
    int fd = greet();
    uint64_t before = a.envelopes;
    put(fd, bytes, frame(bytes, CL_CALL, "c.1", "s.nobody", "12345678", "echo", "[7]"));
    int64_t end = cl_loop_now() + 10000, whole = 0;
    size_t got = 0;
    while (whole == 0 && cl_loop_now() < end) {
        kit_turn_all(1);
        ssize_t n = recv(fd, back + got, sizeof back - got, 0);
        if (n > 0) got += (size_t)n;
        whole = cl_frame_decode(cl_str_of(back, got), sizeof back, &e);
    }
    CHECK(whole > 0 && e.type == CL_RESULT && (e.flags & CL_REFUSED) && cl_str_eq(e.id, CL_STR("12345678")));
    CHECK_INT(a.envelopes, before);
    const int types[] = {CL_RESULT, CL_MESSAGE, CL_CANCEL};
    for (size_t i = 0; i < 3; i++) {
        put(fd, bytes, frame(bytes, types[i], "c.1", "s.nobody", "12345678", "", types[i] == CL_RESULT ? "[]" : "1"));
        WAIT_FOR(kit_find(&a, "dropped") != NULL);
    }
    close(fd);
    it_still_serves();
}

/* Everything at once: random frames, lengths and cuts, in pieces of random size. */
static void random_bytes(void)
{
    uint64_t random = 12345;
    char bytes[2048];
    for (int round = 0; round < 300; round++) {
        int fd = round % 2 ? greet() : attack();
        size_t n = frame(bytes, "crmpdxPswu"[cl_rand_next(&random) % 10], "c.1", ID_A, "12345678", "echo", "[1,2,3]");
        for (unsigned i = (unsigned)(cl_rand_next(&random) % 4); i > 0; i--)
            bytes[cl_rand_next(&random) % n] = (char)cl_rand_next(&random);
        for (size_t at = 0; at < n;) {
            size_t piece = 1 + cl_rand_next(&random) % 20;
            if (piece > n - at) piece = n - at;
            put(fd, bytes + at, piece);
            kit_turn_all(0);
            at += piece;
        }
        close(fd);
        if (round % 20 == 0) kit_idle(5), kit_forget(&a);
    }
    kit_forget(&a);
    it_still_serves();
}

static void more_than_may_be(void)
{
    int fds[80];
    for (int i = 0; i < 80; i++) fds[i] = attack(), kit_turn_all(0);
    kit_idle(50);
    for (int i = 0; i < 80; i++) CHECK(is_closed(fds[i])), close(fds[i]); /* those past max_links at once */
    it_still_serves();
}

int main(void)
{
    if (test_redis_start(&server, NULL) || open_victim() != 0) return EXIT_FAILURE;
    it_still_serves();
    RUN(what_is_no_hello);
    RUN(names_that_both_know_are_left_out);
    RUN(answers_that_nobody_asked_for);
    RUN(hellos_that_name_another);
    RUN(calls_for_who_is_not_here);
    RUN(random_bytes);
    RUN(more_than_may_be);
    kit_close(&a, 0);
    test_redis_stop(&server);
    return tap_end();
}
