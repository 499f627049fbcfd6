/* Whatever is sent to a node's socket: it lives, counts what was broken, and serves the others. */
#include <sys/stat.h>

#include "base/rand.h"
#include "local/inside.h"
#include "local/raw.h"

static size_t hello(char *out)
{
    return frame(out, CL_FRAME_HELLO, "x.1", "s.1", "", "2", "");
}

static void wrong_hello(void)
{
    char bytes[512];
    const char *const wanted[] = {"s.2", "", "s.11", "x.1"};
    for (int i = 0; i < 4; i++) {
        int fd = attack(), before = victim.dropped;
        put(fd, bytes, frame(bytes, CL_FRAME_HELLO, "x.1", wanted[i], "", "2", ""));
        CHECK(is_closed(fd, 5000));
        CHECK_INT(victim.dropped, before + 1);
        close(fd);
    }
    const char *const versions[] = {"", "1", "0", "x", "-2", "2x"};
    for (int i = 0; i < 6; i++) {
        int fd = attack();
        put(fd, bytes, frame(bytes, CL_FRAME_HELLO, "x.1", "s.1", "", versions[i], ""));
        CHECK(is_closed(fd, 5000));
        close(fd);
    }
    int fd = attack();
    put(fd, bytes, frame(bytes, CL_FRAME_HELLO, "x\xff", "s.1", "", "2", "")); /* no text */
    CHECK(is_closed(fd, 5000));
    close(fd);
    fd = attack();
    put(fd, bytes, frame(bytes, CL_CALL, "x.1", "s.1", "1", "m", "[]")); /* before the hello */
    CHECK(is_closed(fd, 5000));
    close(fd);
    still_serves();
}

/* Two at once: one says nothing, the other is slow. */
static void no_hello(void)
{
    int silent = attack(), slow = attack();
    put(slow, "\x20", 1);
    CHECK(is_closed(silent, 10000)); /* hello_timeout */
    CHECK(is_closed(slow, 10000));
    close(silent);
    close(slow);
    still_serves();
}

/* Before the hello no more than 4 kB are taken. */
static void a_huge_hello(void)
{
    char *bytes = calloc(1, 10000);
    int fd = attack(), before = victim.dropped;
    bytes[0] = 0x10, bytes[1] = 0x27; /* 10000 */
    put(fd, bytes, 4);
    CHECK(is_closed(fd, 5000));
    CHECK_INT(victim.dropped, before + 1);
    CHECK_INT(victim.dropped_code, CLOUDS_ETOOBIG);
    close(fd);
    free(bytes);
    still_serves();
}

static void lengths(void)
{
    static const unsigned char huge[][4] = {
        {0xff, 0xff, 0xff, 0xff}, {0, 0, 0, 0x80}, {0, 0, 0, 0}, {23, 0, 0, 0}, {0, 0, 0x80, 0}};
    char bytes[512];
    for (size_t i = 0; i < sizeof huge / sizeof huge[0]; i++) {
        int fd = attack(), before = victim.dropped;
        put(fd, bytes, hello(bytes));
        put(fd, (const char *)huge[i], 4);
        put(fd, "ZZZZZZZZZZZZZZZZZZZZZZZZ", 24); /* no head of anything that could be passed over */
        CHECK(is_closed(fd, 5000));
        CHECK_INT(victim.dropped, before + 1);
        close(fd);
    }
    still_serves();
}

static void names_that_overlap_the_end(void)
{
    char bytes[512];
    for (int at = 6; at < 24; at++) {
        int fd = attack();
        put(fd, bytes, hello(bytes));
        size_t n = frame(bytes, CL_CALL, "x.1", "s.1", "1", "m", "[]");
        bytes[at] = (char)0xff;
        put(fd, bytes, n);
        is_closed(fd, 20);
        close(fd);
    }
    still_serves();
}

static void broken_json(void)
{
    static const char *const texts[] = {"", "{}", "[", "[1,]", "[\x01]", "nonsense", "[\"\xff\"]", "[]]"};
    char bytes[512];
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        int fd = attack(), before = victim.dropped;
        int envelopes = victim.envelopes;
        put(fd, bytes, hello(bytes));
        put(fd, bytes, frame(bytes, CL_CALL, "x.1", "s.1", "1", "m", texts[i]));
        CHECK(is_closed(fd, 5000));
        CHECK_INT(victim.dropped, before + 1);
        CHECK_INT(victim.envelopes, envelopes);
        close(fd);
    }
    still_serves();
}

static void deep_json_is_dropped_and_the_link_lives(void)
{
    char text[1200], *bytes = malloc(2000);
    memset(text, '[', 400);
    memset(text + 400, ']', 400);
    text[800] = 0;
    int fd = attack(), dropped = victim.dropped, envelopes = victim.envelopes;
    put(fd, bytes, hello(bytes));
    put(fd, bytes, frame(bytes, CL_CALL, "x.1", "s.1", "1", "m", text));
    put(fd, bytes, frame(bytes, CL_CALL, "x.1", "s.1", "1", "m", "[]"));
    UNTIL(&victim, victim.envelopes == envelopes + 2); /* it is told of, to be refused */
    CHECK_INT(victim.dropped, dropped + 1);
    CHECK_INT(victim.dropped_code, CLOUDS_ETOOBIG);
    close(fd);
    free(bytes);
}

static void for_somebody_else(void)
{
    char bytes[512];
    int fd = attack(), dropped = victim.dropped, envelopes = victim.envelopes;
    put(fd, bytes, hello(bytes));
    put(fd, bytes, frame(bytes, CL_CALL, "x.1", "s.2", "1", "m", "[]"));
    put(fd, bytes, frame(bytes, 'Z', "x.1", "s.1", "1", "m", "")); /* of a later version */
    put(fd, bytes, frame(bytes, CL_CALL, "x.1", "s.1", "1", "m", "[]"));
    UNTIL(&victim, victim.envelopes == envelopes + 1);
    CHECK_INT(victim.dropped, dropped + 1);
    close(fd);
}

/* Names that the hello told may be absent, and a later version is welcome. */
static void names_of_the_hello(void)
{
    char bytes[512];
    int fd = attack(), envelopes = victim.envelopes;
    victim.answer = 0;
    put(fd, bytes, frame(bytes, CL_FRAME_HELLO, "x.1", "s.1", "", "12", ""));
    put(fd, bytes, frame(bytes, CL_CALL, "", "", "1", "m", "[1]"));
    UNTIL(&victim, victim.envelopes == envelopes + 1);
    CHECK_STR(victim.last_from, strlen(victim.last_from), "x.1");
    put(fd, bytes, frame(bytes, CL_CALL, "x.2", "", "1", "m", "[1]"));
    UNTIL(&victim, victim.envelopes == envelopes + 2);
    CHECK_STR(victim.last_from, strlen(victim.last_from), "x.2");
    victim.answer = 1;
    close(fd);
}

/* Who was asked over a link answers in its own name only. */
static void in_the_name_of_another(void)
{
    still_serves();
    int dropped = friend_.dropped, envelopes = friend_.envelopes;
    cl_envelope e = {.type = CL_RESULT, .to = CL_STR("c.1"), .id = CL_STR("1"), .link = victim.last_link};
    int other_node;
    e.from = CL_STR("s.9");
    CHECK_INT(victim.bus->ops->send(victim.bus, &other_node, &e, 0), 0);
    e.from = CL_STR("s.1");
    CHECK_INT(victim.bus->ops->send(victim.bus, &victim_node, &e, 0), 0);
    UNTIL2(&victim, &friend_, friend_.envelopes == envelopes + 1);
    CHECK_INT(friend_.dropped, dropped + 1);
}

/* A conversation cut off at every byte, and one that comes byte by byte. */
static void truncated_at_every_byte(void)
{
    char bytes[1024];
    size_t n = hello(bytes);
    n += frame(bytes + n, CL_CALL, "x.1", "s.1", "1", "m", "[1,{\"a\":null}]");
    n += frame(bytes + n, CL_FRAME_PING, "x.1", "s.1", "", "", "");
    for (size_t cut = 0; cut < n; cut++) {
        int fd = attack();
        put(fd, bytes, cut);
        for (int i = 0; i < 3; i++) cl_loop_run(victim.loop, 0);
        close(fd);
    }
    int fd = attack(), before = victim.envelopes;
    for (size_t i = 0; i < n; i++) {
        put(fd, bytes + i, 1);
        cl_loop_run(victim.loop, 0);
    }
    UNTIL(&victim, victim.envelopes == before + 1);
    close(fd);
    still_serves();
}

static void random_bytes(void)
{
    uint64_t state = 20;
    char bytes[4096];
    for (int round = 0; round < 300; round++) {
        int fd = attack();
        size_t n = round % 2 ? hello(bytes) : 0, size = (size_t)(cl_rand_next(&state) % 3000);
        for (size_t i = 0; i < size; i++) bytes[n + i] = (char)cl_rand_next(&state);
        if (round % 3 == 0)
            bytes[n] = (char)(24 + cl_rand_next(&state) % 200), bytes[n + 1] = bytes[n + 2] = bytes[n + 3] = 0;
        put(fd, bytes, n + size);
        cl_loop_run(victim.loop, 0);
        close(fd);
    }
    still_serves();
}

/* A sound conversation with a bit turned, thousands of times. */
static void turned_bits(void)
{
    uint64_t state = 21;
    char whole[1024], bytes[1024];
    size_t n = hello(whole);
    n += frame(whole + n, CL_CALL, "x.1", "s.1", "1", "m", "[1,{\"a\":null}]");
    n += frame(whole + n, CL_MESSAGE, "x.1", "s.1", "", "", "{\"t\":[1.5e3,\"x\"]}");
    n += frame(whole + n, CL_RESULT, "x.1", "s.1", "1", "", "[false]");
    for (int round = 0; round < 2000; round++) {
        memcpy(bytes, whole, n);
        for (int turns = 1 + round % 3; turns; turns--)
            bytes[cl_rand_next(&state) % n] ^= (char)(1 << cl_rand_next(&state) % 8);
        int fd = attack();
        put(fd, bytes, n);
        cl_loop_run(victim.loop, 0);
        close(fd);
        if (round % 100 == 0) still_serves();
    }
    still_serves();
}

/* A peer that floods and takes no answers is read from no more, and cut after ping_timeout; what waits for it is bounded
 * by write_hard. */
static void a_peer_that_never_reads(void)
{
    char bytes[3000], args[2000] = "[\"";
    memset(args + 2, 'x', 1900);
    strcpy(args + 1902, "\"]");
    int fd = attack(), closed = 0;
    put(fd, bytes, hello(bytes));
    size_t n = frame(bytes, CL_CALL, "x.1", "s.1", "1", "m", args), most = 0;
    cl_link_transport *t = links_of(victim.bus);
    for (int64_t until = cl_loop_now() + 60000; !closed && cl_loop_now() < until;) {
        put(fd, bytes, n);
        if (t->out_bytes > most) most = t->out_bytes;
        closed = send(fd, bytes, 0, MSG_NOSIGNAL) < 0 && errno == EPIPE;
    }
    CHECK(most > 1 << 20 && most <= t->limits.write_hard + 4096);
    CHECK(closed);
    close(fd);
    still_serves();
}

/* Messages that begin and never end: those silent for the longest go, what all of them hold is bounded and given back.
 */
static void beginnings_without_ends(void)
{
    enum { LINKS = 24, LENGTH = 4 << 20, SENT = 3 << 20 };
    static char bytes[SENT];
    cl_link_transport *t = links_of(victim.bus);
    int fds[LINKS], closed = 0, before = victim.dropped;
    size_t most = 0;
    for (int i = 0; i < LINKS; i++) {
        fds[i] = attack();
        put(fds[i], bytes, hello(bytes));
        memcpy(bytes, "\0\0\x40\0", 4); /* LENGTH */
        put(fds[i], bytes, SENT);
        if (t->tail_bytes > most) most = t->tail_bytes;
        memset(bytes, 0, 512);
    }
    CHECK(most <= 9 * (size_t)LENGTH);
    for (int i = 0; i < LINKS; i++) closed += is_closed(fds[i], 0) || is_closed(fds[i], 0); /* behind its hello */
    CHECK(closed > 0 && closed < LINKS);
    CHECK_INT(victim.dropped - before, closed);
    CHECK_INT(victim.dropped_code, CLOUDS_ELIMIT);
    for (int i = 0; i < LINKS; i++) close(fds[i]);
    still_serves();
    UNTIL(&victim, t->tail_bytes == 0);
}

/* Connections beyond max_links are closed at once. */
static void too_many_links(void)
{
    side s;
    int node, fds[20], closed = 0;
    cl_limits limits = side_limits();
    limits.links = 5;
    setenv("CLOUDS_RUNTIME_DIR", folder, 1);
    CHECK_INT(side_start(&s, CL_URL_LOCAL, "many", &limits), 0);
    side_node(&s, &node, "s.1");
    char path[256], keep[256];
    snprintf(path, sizeof path, "%s/many", folder);
    DIR *dir = opendir(path);
    strcpy(keep, victim_path);
    for (struct dirent *d; dir && (d = readdir(dir));)
        if (strstr(d->d_name, ".sock")) snprintf(victim_path, sizeof victim_path, "%.100s/%.40s", path, d->d_name);
    if (dir) closedir(dir);
    for (int i = 0; i < 20; i++) fds[i] = attack();
    for (int i = 0; i < 10; i++) cl_loop_run(s.loop, 1);
    for (int i = 0; i < 20; i++) {
        char byte;
        closed += recv(fds[i], &byte, 1, 0) == 0;
        close(fds[i]);
    }
    CHECK_INT(closed, 15);
    strcpy(victim_path, keep);
    side_end(&s);
}

/* Files that are no entries, or not what they seem. */
static void rubbish_in_the_folder(void)
{
    char path[256];
    const char *const names[] = {"x",
                                 ".hidden",
                                 "0123456789abcdef.lock",
                                 "0123456789abcdef.sock",
                                 "0123456789abcdef-0123456789abcdef.m",
                                 "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz.m",
                                 "0123456789abcdee-0123456789abcdef.m"};
    for (int i = 0; i < 7; i++) {
        snprintf(path, sizeof path, "%s/t/%s", folder, names[i]);
        if (i == 4) CHECK_INT(symlink("s.1/%zz", path), 0);
        else if (i == 6) CHECK_INT(symlink("/etc/passwd", path), 0);
        else close(open(path, O_CREAT | O_WRONLY, 0600));
    }
    snprintf(path, sizeof path, "%s/t/0123456789abcdea.lock", folder);
    CHECK_INT(mkdir(path, 0700), 0);
    for (int i = 0; i < 10; i++) cl_loop_run(victim.loop, 1);
    side s;
    CHECK_INT(side_start(&s, CL_URL_LOCAL, "t", NULL), 0);
    s.bus->ops->status(s.bus, 1);
    UNTIL(&s, s.status_ends == 1);
    CHECK_STR(s.rows, strlen(s.rows), "m@s.1 ");
    side_end(&s);
    still_serves();
}

int main(void)
{
    cl_limits limits = side_limits();
    limits.hello_timeout = 1;
    victim_begin(&limits);
    RUN(wrong_hello);
    RUN(no_hello);
    RUN(a_huge_hello);
    RUN(lengths);
    RUN(names_that_overlap_the_end);
    RUN(broken_json);
    RUN(deep_json_is_dropped_and_the_link_lives);
    RUN(for_somebody_else);
    RUN(names_of_the_hello);
    RUN(in_the_name_of_another);
    RUN(truncated_at_every_byte);
    RUN(random_bytes);
    RUN(turned_bits);
    RUN(a_peer_that_never_reads);
    RUN(beginnings_without_ends);
    RUN(too_many_links);
    RUN(rubbish_in_the_folder);
    return victim_end();
}
