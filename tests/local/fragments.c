/* Large frames on a link: they go in fragments, between which others find their place, towards whoever understands
 * that; and fragments that nobody should send. */
#include "local/inside.h"
#include "local/raw.h"
#include "proto/fragment.h"
#include "proto/little_endian.h"

enum { MEGA = 1 << 20, LARGE = 20 * MEGA, MOST = 32 * MEGA };

/* JSON of so many bytes that begins like `text`. */
static char *padded(const char *text, size_t n)
{
    char *out = malloc(n + 1);
    if (!out) exit(92);
    memset(out, ' ', n);
    memcpy(out, text, strlen(text));
    out[n] = '\0';
    return out;
}

static void end_at(char **text)
{
    free(*text);
    *text = NULL;
}

static int is_large(const cl_envelope *e)
{
    return e->type == CL_RESULT && e->result.n > MEGA;
}

/* ---- between two of ours */

/* By the number of turns: each small call is answered within a few, while the large one is on its way for many. */
static void A10_small_calls_beside_a_large_one(void)
{
    char *args = padded("[1]", LARGE);
    still_serves(); /* the link is open then */
    friend_.last.result.n = 0;
    call(args, 2);
    int small = 0, longest = 0, first = friend_.envelopes, sent = 1;
    while (!is_large(&friend_.last) && small < 10000) {
        int before = friend_.envelopes, turns = 0;
        call("[2]", 3);
        sent++;
        for (; friend_.envelopes == before && turns < 1000; turns++) {
            cl_loop_run(victim.loop, 0);
            cl_loop_run(friend_.loop, 0);
        }
        if (turns > longest) longest = turns;
        if (!is_large(&friend_.last)) small++;
    }
    CHECK(is_large(&friend_.last) && friend_.last.result.n == LARGE);
    CHECK(small >= 20);
    CHECK(longest <= 20);
    printf("# %d small calls were answered meanwhile, each within %d turns\n", small, longest);
    UNTIL2(&victim, &friend_, friend_.envelopes == first + sent && links_of(friend_.bus)->out_bytes == 0);
    UNTIL2(&victim, &friend_, links_of(friend_.bus)->tail_bytes <= 2 * CL_FRAGMENT_BYTES);
    end_at(&args);
}

/* One after the other, whatever their number. */
static void several_large_calls(void)
{
    char *args = padded("[1]", 3 * MEGA);
    int before = friend_.envelopes;
    for (uint64_t i = 0; i < 8; i++) call(args, 10 + i);
    for (uint64_t i = 0; i < 8; i++) call("[2]", 20 + i);
    UNTIL2(&victim, &friend_, friend_.envelopes >= before + 8);
    CHECK(!is_large(&friend_.last)); /* the small ones came before */
    UNTIL2(&victim, &friend_, friend_.envelopes == before + 16);
    end_at(&args);
}

/* More than write_hard: calls wait for room elsewhere, and the link lives. */
static void not_more_than_may_wait(void)
{
    char *args = padded("[1]", 20 * MEGA);
    int before = friend_.envelopes;
    for (uint64_t i = 0; i < 3; i++) call(args, 10 + i);
    CHECK_INT(side_call(&friend_, &friend_node, "c.1", "s.1", args, 14), CLOUDS_ELIMIT);
    call("[1]", 15);
    UNTIL2(&victim, &friend_, friend_.envelopes == before + 4);
    CHECK_INT(friend_.peer_downs, 0);
    end_at(&args);
}

/* Far more than write_hard in one: calls of that kind wait for room, and small ones do not. */
static void small_calls_beside_more_than_may_wait(void)
{
    char *args = padded("[1]", LARGE);
    side poor;
    int node;
    cl_limits limits = side_limits();
    limits.message = MOST;
    limits.write_soft = limits.write_hard = MEGA;
    CHECK_INT(side_start(&poor, CL_URL_LOCAL, "t", &limits), 0);
    side_node(&poor, &node, "c.3");
    CHECK_INT(side_call(&poor, &node, "c.3", "s.1", "[0]", 1), 0);
    UNTIL2(&victim, &poor, poor.envelopes == 1);
    CHECK_INT(side_call(&poor, &node, "c.3", "s.1", args, 2), 0);
    CHECK_INT(side_call(&poor, &node, "c.3", "s.1", args, 3), CLOUDS_ELIMIT);
    for (uint64_t i = 0; i < 8; i++) CHECK_INT(side_call(&poor, &node, "c.3", "s.1", "[2]", 4 + i), 0);
    UNTIL2(&victim, &poor, poor.envelopes == 9);
    CHECK(!is_large(&poor.last)); /* the small ones came before */
    UNTIL2(&victim, &poor, poor.envelopes == 10);
    CHECK(is_large(&poor.last));
    CHECK_INT(links_of(poor.bus)->large_bytes, 0);
    side_end(&poor);
    end_at(&args);
}

static int answer_with(side *s, void *node, const char *to, const char *result)
{
    const cl_envelope e = {.type = CL_RESULT,
                           .from = CL_STR("s.3"),
                           .to = cl_str_z(to),
                           .id = CL_STR("1"),
                           .result = cl_str_z(result),
                           .link = s->last_link};
    return s->bus->ops->send(s->bus, node, &e, 0);
}

/* A server whose large answers wait for each other, and are tried again all the time, reads what else it is asked. */
static void questions_beside_answers_that_may_not_wait(void)
{
    char *args = padded("[1]", LARGE);
    side rich;
    int node, turns = 0;
    cl_limits limits = side_limits();
    limits.message = MOST;
    limits.write_soft = limits.write_hard = MEGA;
    CHECK_INT(side_start(&rich, CL_URL_LOCAL, "t", &limits), 0);
    side_node(&rich, &node, "s.3");
    CHECK_INT(side_call(&friend_, &friend_node, "c.1", "s.3", "[0]", 1), 0);
    UNTIL2(&rich, &friend_, rich.envelopes == 1);
    int before = friend_.envelopes;
    CHECK_INT(answer_with(&rich, &node, "c.1", args), 0);
    CHECK_INT(side_call(&friend_, &friend_node, "c.1", "s.3", "[2]", 2), 0);
    for (; rich.envelopes == 1 && turns < 1000; turns++) {
        CHECK_INT(answer_with(&rich, &node, "c.1", args), CLOUDS_ELIMIT);
        cl_loop_run(rich.loop, 0);
        cl_loop_run(friend_.loop, 0);
    }
    CHECK(turns <= 20);
    CHECK_INT(friend_.envelopes, before);
    UNTIL2(&rich, &friend_, friend_.envelopes == before + 1);
    CHECK(is_large(&friend_.last));
    side_end(&rich);
    UNTIL(&friend_, friend_.peer_downs == 1);
    friend_.peer_downs = 0;
    end_at(&args);
}

/* A call that has not begun can be taken back; one that has is canceled behind its end. */
static void taken_back(void)
{
    char *args = padded("[1]", LARGE);
    int before = friend_.envelopes, seen = victim.envelopes;
    call(args, 30);
    call(args, 31);
    CHECK_INT(friend_.bus->ops->recall(friend_.bus, CL_STR("s.1"), 30), 0);
    CHECK_INT(friend_.bus->ops->recall(friend_.bus, CL_STR("s.1"), 31), 1);
    CHECK_INT(friend_.bus->ops->recall(friend_.bus, CL_STR("s.1"), 31), 0);
    cl_envelope cancel = cl_envelope_of(CL_CANCEL, CL_STR("c.1"), CL_STR("s.1"), CL_STR("1"));
    CHECK_INT(friend_.bus->ops->send(friend_.bus, &friend_node, &cancel, 0), 0);
    victim.answer = 0;
    UNTIL2(&victim, &friend_, victim.envelopes >= seen + 2);
    CHECK_INT(victim.envelopes, seen + 2);
    CHECK_INT(victim.last.type, CL_CANCEL);
    CHECK_INT(friend_.envelopes, before);
    victim.answer = 1;
    end_at(&args);
}

/* Whoever says what it takes is not sent more; its own caller hears of it at once. */
static void what_is_too_long_for_the_other_end(void)
{
    char *args = padded("[1]", MOST + 100);
    side wide;
    int node, before = victim.dropped;
    cl_limits limits = side_limits();
    limits.message = 2 * MOST;
    CHECK_INT(side_start(&wide, CL_URL_LOCAL, "t", &limits), 0);
    side_node(&wide, &node, "c.2");
    CHECK_INT(side_call(&wide, &node, "c.2", "s.1", args, 40), 0); /* it waits for the link */
    UNTIL2(&victim, &wide, wide.deliveries[CL_DELIVERY_NOT_SENT] == 1);
    CHECK_INT(wide.delivery_number, CLOUDS_ETOOBIG);
    CHECK_INT(side_call(&wide, &node, "c.2", "s.1", args, 41), CLOUDS_ETOOBIG);
    CHECK(strstr(clouds_last_error(), "s.1 takes at most 33554432 (its max_message)") != NULL);
    CHECK_INT(side_call(&wide, &node, "c.2", "s.1", "[7]", 42), 0);
    UNTIL2(&victim, &wide, wide.envelopes == 1);
    CHECK_INT(victim.dropped, before);
    side_end(&wide);
    end_at(&args);
}

/* The other end vanishes: a call that was not written whole is not sent, and goes elsewhere. */
static void the_end_of_a_link(void)
{
    char *args = padded("[1]", LARGE);
    side other;
    int node, before = friend_.deliveries[CL_DELIVERY_NOT_SENT];
    cl_limits limits = side_limits();
    limits.message = MOST;
    CHECK_INT(side_start(&other, CL_URL_LOCAL, "t", &limits), 0);
    side_node(&other, &node, "s.2");
    other.answer = 1;
    int answers = friend_.envelopes;
    CHECK_INT(side_call(&friend_, &friend_node, "c.1", "s.2", "[1]", 50), 0);
    UNTIL2(&other, &friend_, friend_.envelopes == answers + 1);
    for (uint64_t i = 0; i < 3; i++) CHECK_INT(side_call(&friend_, &friend_node, "c.1", "s.2", args, 51 + i), 0);
    for (int i = 0; i < 4; i++) {
        cl_loop_run(friend_.loop, 0);
        cl_loop_run(other.loop, 0);
    }
    side_end(&other);
    UNTIL(&friend_, friend_.deliveries[CL_DELIVERY_NOT_SENT] == before + 3);
    CHECK_INT(friend_.peer_downs, 1);
    UNTIL(&friend_, links_of(friend_.bus)->out_bytes == 0);
    end_at(&args);
}

/* ---- by hand */

static size_t put_hello(char *out, const char *abilities)
{
    cl_buf b = {0};
    cl_extension x = CL_EXTENSION_NONE;
    cl_envelope e = cl_envelope_of(CL_FRAME_HELLO, CL_STR("x.1"), CL_STR("s.1"), CL_STR_NONE);
    e.method = CL_STR("3");
    x.abilities = cl_str_z(abilities);
    e.extension = &x;
    if (cl_frame_encode(&e, &b) != 0) exit(91);
    memcpy(out, b.data, b.len);
    size_t n = b.len;
    cl_buf_free(&b);
    return n;
}

static int greet(const char *abilities)
{
    char bytes[512];
    int fd = attack();
    put(fd, bytes, put_hello(bytes, abilities));
    return fd;
}

/* The frames that come until a result is whole: how many of the type 'f' were among them. */
static int fragments_of_an_answer(int fd, size_t *length)
{
    cl_buf in = {0};
    cl_fragments parts = {0};
    cl_envelope e, whole;
    int fragments = 0, done = 0;
    for (int64_t until = cl_loop_now() + 20000; !done && cl_loop_now() < until;) {
        cl_loop_run(victim.loop, 1);
        if (cl_buf_reserve(&in, 1 << 16) != 0) exit(90);
        ssize_t n = recv(fd, in.data + in.len, 1 << 16, 0);
        if (n > 0) in.len += (size_t)n;
        for (int64_t took; !done && (took = cl_frame_decode(cl_buf_str(&in), MOST, &e)) > 0;) {
            if (e.type == CL_RESULT) done = 1, *length = e.result.n;
            fragments += e.type == CL_FRAME_FRAGMENT;
            if (e.type == CL_FRAME_FRAGMENT && cl_fragments_take(&parts, &e, MOST, &whole) == 1)
                done = 1, *length = whole.result.n;
            cl_buf_consume(&in, (size_t)took);
        }
    }
    CHECK(done);
    cl_fragments_free(&parts);
    cl_buf_free(&in);
    return fragments;
}

static void put_call(int fd, const char *args)
{
    char *bytes = malloc(strlen(args) + 100);
    if (!bytes) exit(89);
    put(fd, bytes, frame(bytes, CL_CALL, "x.1", "s.1", "1", "m", args));
    free(bytes);
}

/* A frame of half a megabyte by itself is still taken from anybody, and given to who knows no fragments. */
static void towards_whoever_understands(void)
{
    static const struct {
        const char *abilities;
        int fragments;
    } hellos[] = {{"", 0}, {"frag", 0}, {"fragments2,x", 0}, {"fragments", 9}, {"x,fragments,y", 9}};
    char *args = padded("[1]", MEGA / 2);
    for (size_t i = 0; i < sizeof hellos / sizeof *hellos; i++) {
        size_t length = 0;
        int fd = greet(hellos[i].abilities);
        put_call(fd, args);
        CHECK_INT(fragments_of_an_answer(fd, &length), hellos[i].fragments);
        CHECK_INT(length, MEGA / 2);
        close(fd);
    }
    end_at(&args);
}

static void put_fragment(int fd, uint32_t stream, unsigned flags, cl_str piece)
{
    cl_buf b = {0};
    unsigned char number[4];
    cl_put32(number, stream);
    cl_envelope e = cl_envelope_of(CL_FRAME_FRAGMENT, CL_STR_NONE, CL_STR_NONE, cl_str_of((char *)number, 4));
    e.flags = flags;
    e.data = piece;
    if (cl_frame_encode(&e, &b) != 0) exit(88);
    put(fd, b.data, b.len);
    cl_buf_free(&b);
}

/* The sum of them is known at the first: it is told, and the rest is passed over. */
static void more_than_is_taken(void)
{
    static char head[200], rest[60000];
    int fd = greet("fragments"), before = victim.dropped, seen = victim.envelopes;
    size_t n = frame(head, CL_CALL, "x.1", "s.1", "1", "m", "[]");
    cl_put32((unsigned char *)head, MOST + 5000);
    put_fragment(fd, 1, CL_MORE, cl_str_of(head, n));
    UNTIL(&victim, victim.dropped == before + 1);
    CHECK_INT(victim.dropped_code, CLOUDS_ETOOBIG);
    CHECK_INT(victim.envelopes, seen + 1);
    size_t left = MOST + 5000 + CL_FRAME_PREFIX - n;
    for (; left > sizeof rest; left -= sizeof rest) put_fragment(fd, 1, CL_MORE, cl_str_of(rest, sizeof rest));
    CHECK(links_of(victim.bus)->tail_bytes <= 2 * CL_FRAGMENT_BYTES);
    put_fragment(fd, 1, 0, cl_str_of(rest, left));
    put_call(fd, "[1]");
    UNTIL(&victim, victim.envelopes == seen + 2);
    CHECK_INT(victim.dropped, before + 1);
    close(fd);
}

static void fragments_that_do_not_fit(void)
{
    char bytes[512];
    size_t n = frame(bytes, CL_CALL, "x.1", "s.1", "1", "m", "[1,2,3,4,5,6,7,8,9]");
    cl_str first = {bytes, n - 10}, second = {bytes + n - 10, 10}, half = {bytes, 20};
    const struct {
        cl_str first;
        unsigned flags, stream;
        cl_str second;
    } bad[] = {{first, 0, 1, {bytes, 0}},          /* too short to be the last */
               {first, CL_MORE, 1, {second.p, 9}}, /* the last, and one byte is missing */
               {first, CL_MORE, 2, second},        /* of another frame */
               {half, CL_MORE, 1, second},         /* half a head */
               {{bytes, 0}, CL_MORE, 1, second}};  /* nothing */
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int fd = greet("fragments"), before = victim.dropped, seen = victim.envelopes;
        put_fragment(fd, 1, bad[i].flags, bad[i].first);
        put_fragment(fd, bad[i].stream, 0, bad[i].second);
        CHECK(is_closed(fd, 5000) || is_closed(fd, 5000)); /* behind its hello */
        CHECK_INT(victim.dropped, before + 1);
        CHECK_INT(victim.envelopes, seen);
        close(fd);
    }
    /* and what fits is taken: in two, and byte by byte after the head */
    int fd = greet("fragments"), seen = victim.envelopes;
    put_fragment(fd, 1, CL_MORE, first);
    put_call(fd, "[1]"); /* between them */
    put_fragment(fd, 1, 0, second);
    put_fragment(fd, 2, CL_MORE, first);
    for (size_t i = 0; i < 10; i++) put_fragment(fd, 2, i < 9 ? CL_MORE : 0, cl_str_of(second.p + i, 1));
    UNTIL(&victim, victim.envelopes == seen + 3);
    close(fd);
    still_serves();
}

/* What frames of other kinds would be, if they were let in this way. */
static void no_frames_about_the_link(void)
{
    static const char types[] = "hpqdfxZ";
    char bytes[512];
    for (const char *type = types; *type; type++) {
        int fd = greet("fragments"), before = victim.dropped;
        size_t n = frame(bytes, *type, "x.1", "s.1", "1", "3", "");
        put_fragment(fd, 1, 0, cl_str_of(bytes, n));
        CHECK(is_closed(fd, 5000) || is_closed(fd, 5000));
        CHECK_INT(victim.dropped, before + 1);
        close(fd);
    }
    int fd = attack(); /* before the hello */
    put_fragment(fd, 1, CL_MORE, cl_str_of(bytes, 30));
    CHECK(is_closed(fd, 5000));
    close(fd);
    still_serves();
}

/* As of tails: what all links hold of what never ends is bounded, and given back. */
static void beginnings_without_ends(void)
{
    enum { LINKS = 12, SENT = 30 };
    static char piece[MEGA], head[200];
    cl_link_transport *t = links_of(victim.bus);
    size_t most = 0, n = frame(head, CL_CALL, "x.1", "s.1", "1", "m", "[]");
    int fds[LINKS], closed = 0;
    cl_put32((unsigned char *)head, MOST);
    for (int i = 0; i < LINKS; i++) {
        fds[i] = greet("fragments");
        put_fragment(fds[i], 1, CL_MORE, cl_str_of(head, n));
        for (int k = 0; k < SENT; k++) put_fragment(fds[i], 1, CL_MORE, cl_str_of(piece, sizeof piece));
        if (t->tail_bytes > most) most = t->tail_bytes;
    }
    CHECK(most <= 10 * (size_t)MOST);
    for (int i = 0; i < LINKS; i++) closed += is_closed(fds[i], 0) || is_closed(fds[i], 0);
    CHECK(closed > 0 && closed < LINKS);
    for (int i = 0; i < LINKS; i++) close(fds[i]);
    still_serves();
    UNTIL(&victim, t->tail_bytes == 0);
}

int main(void)
{
    cl_limits limits = side_limits();
    limits.message = MOST;
    limits.write_hard = 64 * MEGA;
    victim_begin(&limits);
    RUN(A10_small_calls_beside_a_large_one);
    RUN(several_large_calls);
    RUN(not_more_than_may_wait);
    RUN(small_calls_beside_more_than_may_wait);
    RUN(questions_beside_answers_that_may_not_wait);
    RUN(taken_back);
    RUN(what_is_too_long_for_the_other_end);
    RUN(the_end_of_a_link);
    RUN(towards_whoever_understands);
    RUN(more_than_is_taken);
    RUN(fragments_that_do_not_fit);
    RUN(no_frames_about_the_link);
    RUN(beginnings_without_ends);
    return victim_end();
}
