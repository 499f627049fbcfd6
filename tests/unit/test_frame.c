#include "proto/frame.h"

#include "clouds.h"
#include "support/tap.h"

static const cl_json_limits wide = {64, 1000};
enum { MAX = 1 << 20 };

static cl_envelope some_call(void)
{
    return (cl_envelope){.type = CL_CALL,
                         .flags = CL_NATIVE,
                         .from = CL_STR("c.1"),
                         .to = CL_STR("s.2"),
                         .id = CL_STR("i9"),
                         .method = CL_STR("add"),
                         .args = CL_STR("[1,2]"),
                         .error = CL_STR(""),
                         .result = CL_STR(""),
                         .data = CL_STR(""),
                         .deadline = 0x0102030405060708};
}

static cl_envelope some_result(void)
{
    cl_envelope e = some_call();
    e.type = CL_RESULT;
    e.flags = CL_REFUSED;
    e.method = e.args = CL_STR_NONE;
    e.error = CL_STR("{\"message\":\"no\"}");
    e.result = CL_STR("[3]");
    e.deadline = 0;
    return e;
}

static cl_envelope some_message(void)
{
    cl_envelope e = some_call();
    e.type = CL_MESSAGE;
    e.flags = 0;
    e.method = e.args = e.id = CL_STR_NONE;
    e.data = CL_STR("{\"a\":1}");
    e.deadline = 0;
    return e;
}

static cl_envelope hello(void)
{
    cl_envelope e = some_message();
    e.type = CL_FRAME_HELLO;
    e.method = CL_STR("2");
    e.data = CL_STR_NONE;
    return e;
}

static int same(const cl_envelope *a, const cl_envelope *b)
{
    return a->type == b->type && a->flags == b->flags && cl_str_eq(a->from, b->from) && cl_str_eq(a->to, b->to) &&
           cl_str_eq(a->id, b->id) && cl_str_eq(a->method, b->method) && cl_str_eq(a->args, b->args) &&
           cl_str_eq(a->error, b->error) && cl_str_eq(a->result, b->result) && cl_str_eq(a->data, b->data) &&
           a->deadline == b->deadline;
}

static void the_bytes_are_as_described(void)
{
    static const unsigned char want[] = {40,  0,   0,   0,   'c', 1,   3,   0,   3,   0,   2,   0,   3,   0,   0,
                                         0,   5,   0,   0,   0,   8,   7,   6,   5,   4,   3,   2,   1,   'c', '.',
                                         '1', 's', '.', '2', 'i', '9', 'a', 'd', 'd', '[', '1', ',', '2', ']'};
    cl_envelope e = some_call();
    cl_buf out = {0};
    CHECK_INT(cl_frame_encode(&e, &out), 0);
    CHECK(out.len == sizeof want && memcmp(out.data, want, sizeof want) == 0);
    cl_buf_free(&out);
}

/* What the link knows is left out, and nothing else. */
static void names_that_are_known(void)
{
    cl_envelope e = some_call(), got;
    static const char *const known[][2] = {{"c.1", "s.2"}, {"c.1", "s.3"}, {"c", "s.2"}, {"", ""}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        cl_str from = cl_str_z(known[i][0]), to = cl_str_z(known[i][1]);
        cl_buf out = {0};
        CHECK_INT(cl_frame_encode_between(&e, from, to, &out), 0);
        CHECK_INT(cl_frame_decode(cl_buf_str(&out), MAX, &got), (long long)out.len);
        if (got.from.n == 0) got.from = from;
        if (got.to.n == 0) got.to = to;
        CHECK(same(&e, &got));
        CHECK_INT(out.len, 44 - (cl_str_eq(from, e.from) + cl_str_eq(to, e.to)) * 3);
        cl_buf_free(&out);
    }
}

/* Gives n bytes of the stream in memory of just that size. */
static int64_t decode_exact(cl_str stream, size_t n, cl_envelope *out)
{
    char *copy = malloc(n ? n : 1);
    memcpy(copy, stream.p, n);
    int64_t length = cl_frame_decode((cl_str){copy, n}, MAX, out);
    free(copy);
    return length;
}

/* A stream of frames, cut in two at every byte: the same frames come out, none too early. */
static void a_stream_split_at_every_byte(void)
{
    cl_envelope sent[] = {hello(), some_call(), some_result(), some_message(), {.type = CL_FRAME_PING}};
    enum { FRAMES = sizeof sent / sizeof *sent };
    size_t ends[FRAMES];
    cl_buf stream = {0};
    for (int i = 0; i < FRAMES; i++) {
        REQUIRE(cl_frame_encode(&sent[i], &stream) == 0);
        ends[i] = stream.len;
    }
    for (size_t cut = 0; cut <= stream.len; cut++) {
        size_t at = 0, avail = cut;
        for (int i = 0; i < FRAMES;) {
            cl_envelope got;
            int64_t n = decode_exact(cl_str_of(stream.data + at, avail - at), avail - at, &got);
            if (n == 0) {
                REQUIRE(avail == cut && ends[i] > cut);
                avail = stream.len;
                continue;
            }
            REQUIRE(n > 0 && at + (size_t)n == ends[i]);
            cl_frame_decode(cl_str_of(stream.data + at, avail - at), MAX, &got);
            if (i < 4) CHECK(same(&got, &sent[i]));
            CHECK(cl_str_eq(got.raw, cl_str_of(stream.data + at, (size_t)n)));
            CHECK_INT(got.type, sent[i].type);
            at = ends[i++];
        }
    }
    cl_buf_free(&stream);
}

static void frames_that_never_become_one(void)
{
    cl_envelope e = some_call(), got;
    cl_buf b = {0};
    REQUIRE(cl_frame_encode(&e, &b) == 0);
    CHECK_INT(cl_frame_decode(cl_buf_str(&b), 40, &got), 44);
    CHECK_INT(cl_frame_decode(cl_buf_str(&b), 39, &got), CLOUDS_ETOOBIG);
    CHECK_INT(cl_frame_decode(cl_str_of(b.data, 4), 39, &got),
              CLOUDS_ETOOBIG); /* told as soon as the length is known */
    b.data[0] = 23;
    CHECK_INT(cl_frame_decode(cl_buf_str(&b), MAX, &got), CLOUDS_EPROTO);
    b.data[0] = 0;
    CHECK_INT(cl_frame_decode(cl_str_of(b.data, 4), MAX, &got), CLOUDS_EPROTO);
    memset(b.data, 0xff, 4);
    CHECK_INT(cl_frame_decode(cl_str_of(b.data, 4), MAX, &got), CLOUDS_ETOOBIG);
    cl_buf_free(&b);
}

/* Each length of the head too large by one, and as large as can be. */
static void lengths_that_do_not_fit(void)
{
    static const struct {
        int at, bytes;
    } fields[] = {{6, 2}, {8, 2}, {10, 2}, {12, 2}, {16, 4}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        cl_envelope e = some_call(), got;
        cl_buf b = {0};
        REQUIRE(cl_frame_encode(&e, &b) == 0);
        b.data[fields[i].at]++;
        CHECK_INT(cl_frame_decode(cl_buf_str(&b), MAX, &got), CLOUDS_EPROTO);
        memset(b.data + fields[i].at, 0xff, (size_t)fields[i].bytes);
        CHECK_INT(cl_frame_decode(cl_buf_str(&b), MAX, &got), CLOUDS_EPROTO);
        CHECK_INT(cl_frame_decode(cl_str_of(b.data, 28), MAX, &got), CLOUDS_EPROTO); /* with the head alone */
        cl_buf_free(&b);
    }
}

static void what_is_unknown_passes(void)
{
    cl_envelope e = some_message(), got;
    cl_buf b = {0};
    e.type = 'Z';
    REQUIRE(cl_frame_encode(&e, &b) == 0);
    b.data[5] = (char)0xfc;       /* flags */
    b.data[14] = 1;               /* the reserved field */
    memset(b.data + 20, 0xff, 8); /* a deadline before all time */
    CHECK_INT(cl_frame_decode(cl_buf_str(&b), MAX, &got), (long long)b.len);
    CHECK_INT(got.type, 'Z');
    CHECK_INT(got.flags, CL_LOST);
    CHECK_INT(got.deadline, 0);
    CHECK_INT(cl_frame_check(&got, wide), 0);
    cl_buf_free(&b);
}

static void names_of_64_kb_do_not_fit(void)
{
    static char name[65536];
    memset(name, 'x', sizeof name);
    cl_str *fields[4];
    for (int i = 0; i < 4; i++) {
        cl_envelope e = some_call(), got;
        cl_buf b = {0};
        fields[0] = &e.from, fields[1] = &e.to, fields[2] = &e.id, fields[3] = &e.method;
        *fields[i] = cl_str_of(name, 65536);
        CHECK_INT(cl_frame_encode(&e, &b), CLOUDS_ETOOBIG);
        CHECK_INT(b.len, 0);
        *fields[i] = cl_str_of(name, 65535);
        CHECK_INT(cl_frame_encode(&e, &b), 0);
        CHECK_INT(cl_frame_decode(cl_buf_str(&b), MAX, &got), (long long)b.len);
        CHECK(same(&e, &got));
        cl_buf_free(&b);
    }
}

static void payloads_are_checked(void)
{
    cl_envelope e = some_call();
    CHECK_INT(cl_frame_check(&e, wide), 0);
    e.args = CL_STR("{}");
    CHECK_INT(cl_frame_check(&e, wide), CLOUDS_EJSON);
    e.args = CL_STR_NONE;
    CHECK_INT(cl_frame_check(&e, wide), CLOUDS_EJSON);
    e.args = CL_STR("[[]]");
    CHECK_INT(cl_frame_check(&e, (cl_json_limits){1, 10}), CLOUDS_ETOOBIG);
    e.id = CL_STR_NONE;
    CHECK_INT(cl_frame_check(&e, wide), CLOUDS_EPROTO);
    e = some_result();
    CHECK_INT(cl_frame_check(&e, wide), 0);
    static const char *const good[] = {"", "null", "{}"}, *const bad[] = {"5", "\"x\"", "[]", "{", "nul"};
    for (size_t i = 0; i < 3; i++) CHECK_INT((e.error = cl_str_z(good[i]), cl_frame_check(&e, wide)), 0);
    for (size_t i = 0; i < 5; i++) CHECK_INT((e.error = cl_str_z(bad[i]), cl_frame_check(&e, wide)), CLOUDS_EJSON);
    e.error = CL_STR_NONE;
    e.result = CL_STR("5");
    CHECK_INT(cl_frame_check(&e, wide), CLOUDS_EJSON);
    e.result = CL_STR_NONE;
    CHECK_INT(cl_frame_check(&e, wide), 0);
    e = some_message();
    e.data = CL_STR("[\"\xff\"]");
    CHECK_INT(cl_frame_check(&e, wide), CLOUDS_EJSON);
    e.data = CL_STR_NONE;
    CHECK_INT(cl_frame_check(&e, wide), 0);
}

static void names_are_text(void)
{
    cl_envelope e = some_call();
    e.method = CL_STR("\xc3\xa9 \xed\xa0\xbd \x01\"");
    CHECK_INT(cl_frame_check(&e, wide), 0);
    e.method = CL_STR("a\xff");
    CHECK_INT(cl_frame_check(&e, wide), CLOUDS_EPROTO);
    e = some_call();
    e.from = CL_STR("\xc3");
    CHECK_INT(cl_frame_check(&e, wide), CLOUDS_EPROTO);
}

int main(void)
{
    RUN(the_bytes_are_as_described);
    RUN(names_that_are_known);
    RUN(a_stream_split_at_every_byte);
    RUN(frames_that_never_become_one);
    RUN(lengths_that_do_not_fit);
    RUN(what_is_unknown_passes);
    RUN(names_of_64_kb_do_not_fit);
    RUN(payloads_are_checked);
    RUN(names_are_text);
    return tap_end();
}
