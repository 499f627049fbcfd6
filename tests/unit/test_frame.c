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

static int same_extension(const cl_extension *a, const cl_extension *b)
{
    return cl_str_eq(a->meta, b->meta) && cl_str_eq(a->bytes, b->bytes) && cl_str_eq(a->key, b->key) &&
           cl_str_eq(a->reply_to, b->reply_to) && cl_str_eq(a->correlation, b->correlation) &&
           cl_str_eq(a->group, b->group) && cl_str_eq(a->abilities, b->abilities) && cl_str_eq(a->node, b->node) &&
           a->epoch == b->epoch && a->sequence == b->sequence;
}

static cl_extension some_extension(void)
{
    return (cl_extension){.meta = CL_STR("{\"a\":1}"),
                          .bytes = CL_STR("\0\1\xff"),
                          .key = CL_STR("once"),
                          .reply_to = CL_STR("answers.here"),
                          .correlation = CL_STR("c7"),
                          .group = CL_STR("g"),
                          .abilities = CL_STR("frames,cancel"),
                          .node = CL_STR("s.2"),
                          .epoch = 0x8070605040302010,
                          .sequence = 7};
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
    } fields[] = {{6, 2}, {8, 2}, {10, 2}, {12, 2}, {14, 2}, {16, 4}};
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
    memset(b.data + 20, 0xff, 8); /* a deadline before all time */
    CHECK_INT(cl_frame_decode(cl_buf_str(&b), MAX, &got), (long long)b.len);
    CHECK_INT(got.type, 'Z');
    CHECK_INT(got.flags, CL_NOTIFY | CL_LOST | CL_LAST | CL_REDIS_CLOCK);
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

/* ---- the extension */

static void what_is_besides_comes_back(void)
{
    cl_envelope kinds[] = {some_call(), some_result(), some_message()};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        cl_envelope *e = &kinds[i], got;
        cl_extension x = some_extension(), room;
        cl_buf b = {0};
        size_t plain = cl_envelope_size(e);
        e->extension = &x;
        CHECK_INT(cl_frame_encode(e, &b), 0);
        CHECK_INT(b.len, CL_FRAME_PREFIX + CL_FRAME_HEAD + cl_envelope_size(e));
        CHECK_INT(cl_envelope_size(e), plain + cl_extension_block_length(&x) + 3);
        CHECK_INT(cl_frame_decode(cl_buf_str(&b), MAX, &got), (long long)b.len);
        CHECK(cl_frame_is_extended(&got));
        CHECK_INT(cl_frame_extend(&got, &room), 0);
        CHECK(got.extension == &room && same_extension(&x, &room));
        CHECK(same(e, &got));
        CHECK_INT(cl_frame_check(&got, wide), 0);
        cl_buf_free(&b);
    }
}

static void who_has_none_is_not_extended(void)
{
    cl_envelope e = some_call(), got;
    cl_extension none = CL_EXTENSION_NONE;
    cl_buf plain = {0}, empty = {0};
    REQUIRE(cl_frame_encode(&e, &plain) == 0);
    e.extension = &none;
    REQUIRE(cl_frame_encode(&e, &empty) == 0);
    CHECK(cl_str_eq(cl_buf_str(&plain), cl_buf_str(&empty)));
    REQUIRE(cl_frame_decode(cl_buf_str(&plain), MAX, &got) > 0);
    CHECK(!cl_frame_is_extended(&got) && !got.extension);
    cl_buf_free(&plain);
    cl_buf_free(&empty);
}

/* A call with a block of these bytes, and `bytes` behind the payload. */
static int extend(cl_str block, cl_str bytes, cl_envelope *got, cl_extension *room, cl_buf *b)
{
    cl_envelope e = some_call();
    cl_buf_clear(b);
    int code = cl_frame_encode(&e, b);
    size_t at = CL_FRAME_PREFIX + CL_FRAME_HEAD + 3 + 3 + 2 + 3, payload = b->len - at;
    if (code == 0) code = cl_buf_reserve(b, block.n + bytes.n);
    if (code) return code;
    memmove(b->data + at + block.n, b->data + at, payload);
    memcpy(b->data + at, block.p, block.n);
    memcpy(b->data + b->len + block.n, bytes.p, bytes.n);
    b->len += block.n + bytes.n;
    b->data[0] = (char)(b->len - CL_FRAME_PREFIX);
    b->data[14] = (char)block.n;
    CHECK_INT(cl_frame_decode(cl_buf_str(b), MAX, got), (long long)b->len);
    return cl_frame_extend(got, room);
}

static void unknown_items(void)
{
    cl_envelope got;
    cl_extension room;
    cl_buf b = {0};
    CHECK_INT(extend(CL_STR("z\0\2\0abk\0\1\0x"), CL_STR(""), &got, &room, &b), 0);
    CHECK(cl_str_eq(room.key, CL_STR("x")) && cl_str_eq(got.args, CL_STR("[1,2]")));
    CHECK_INT(extend(CL_STR("k\0\1\0xZ\0\2\0ab"), CL_STR(""), &got, &room, &b), CLOUDS_ENOTSUP);
    CHECK(!got.extension && got.args.n == 0);
    CHECK_INT(got.flags, CL_NATIVE | CL_UNSUPPORTED);
    CHECK(cl_str_eq(got.id, CL_STR("i9")));
    CHECK_INT(extend(CL_STR("\xff\0\0\0"), CL_STR(""), &got, &room, &b), CLOUDS_ENOTSUP);
    cl_buf_free(&b);
}

static void blocks_that_are_none(void)
{
    static const cl_str bad[] = {
        {"z", 1},
        {"z\0\0", 3},
        {"z\0\1\0", 4},
        {"z\0\0\0z\0\1\0", 8},
        {"Z\0\0\0z\0\1\0", 8},  /* refused in any case, but broken comes first */
        {"b\0\3\0\1\0\0", 7},   /* no u32 */
        {"b\0\4\0\4\0\0\0", 8}, /* more bytes than there are */
        {"b\0\4\0\xff\xff\xff\xff", 8},
        {"q\0\1\0x", 5},     /* no two u64 */
        {"y\0\1\0x", 5},     /* no length */
        {"y\0\3\0\2\0x", 7}, /* a topic that is longer */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cl_envelope got;
        cl_extension room;
        cl_buf b = {0};
        CHECK_INT(extend(bad[i], CL_STR("xyz"), &got, &room, &b), CLOUDS_EPROTO);
        cl_buf_free(&b);
    }
}

static void extensions_are_checked(void)
{
    static char big[CL_META_MAX + 1];
    cl_envelope e = some_call();
    cl_extension x = some_extension();
    e.extension = &x;
    CHECK_INT(cl_frame_check(&e, wide), 0);
    x.meta = CL_STR("[]");
    CHECK_INT(cl_frame_check(&e, wide), CLOUDS_EJSON);
    memset(big, ' ', sizeof big);
    memcpy(big, "{}", 2);
    x.meta = cl_str_of(big, sizeof big - 1);
    CHECK_INT(cl_frame_check(&e, wide), 0);
    x.meta.n++;
    CHECK_INT(cl_frame_check(&e, wide), CLOUDS_ETOOBIG);
    x = some_extension();
    x.group = CL_STR("\xff");
    CHECK_INT(cl_frame_check(&e, wide), CLOUDS_EPROTO);
    x = some_extension();
    x.key = CL_STR("\xff"); /* any bytes */
    CHECK_INT(cl_frame_check(&e, wide), 0);
}

static void what_does_not_fit_a_block(void)
{
    static char text[65536];
    cl_envelope e = some_call();
    cl_extension x = CL_EXTENSION_NONE;
    cl_buf b = {0};
    e.extension = &x;
    memset(text, 'x', sizeof text);
    x.key = cl_str_of(text, 65536 - 4);
    CHECK_INT(cl_frame_encode(&e, &b), CLOUDS_ETOOBIG);
    x.key.n--;
    CHECK_INT(cl_frame_encode(&e, &b), 0);
    x.group = CL_STR("g");
    CHECK_INT(cl_frame_encode(&e, &b), CLOUDS_ETOOBIG);
    x.key = cl_str_of(text, SIZE_MAX);
    CHECK_INT(cl_frame_encode(&e, &b), CLOUDS_ETOOBIG);
    x = CL_EXTENSION_NONE;
    x.bytes = cl_str_of(text, (size_t)INT32_MAX + 1);
    CHECK_INT(cl_frame_encode(&e, &b), CLOUDS_ETOOBIG);
    cl_buf_free(&b);
}

static void types_are_checked(void)
{
    static const struct {
        int type;
        const char *id, *method, *data;
        int code;
    } rows[] = {
        {CL_CANCEL, "i", "", "", 0},
        {CL_CANCEL, "", "", "", CLOUDS_EPROTO},
        {CL_PUBLISH, "", "a.b", "[1]", 0},
        {CL_PUBLISH, "", "", "[1]", CLOUDS_EPROTO},
        {CL_PUBLISH, "", "a.b", "", CLOUDS_EJSON},
        {CL_PART, "i", "", "", 0},
        {CL_PART, "i", "", "{}", 0},
        {CL_PART, "i", "", "{", CLOUDS_EJSON},
        {CL_PART, "", "", "{}", CLOUDS_EPROTO},
        {CL_CREDIT, "i", "", "4444", 0},
        {CL_CREDIT, "i", "", "333", CLOUDS_EPROTO},
        {CL_CREDIT, "", "", "4444", CLOUDS_EPROTO},
        {CL_STATE, "", "", "\"paused\"", 0},
        {CL_STATE, "", "m", "paused", CLOUDS_EJSON},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cl_envelope e = cl_envelope_of(rows[i].type, CL_STR("s.1"), CL_STR("c.2"), cl_str_z(rows[i].id)), got;
        cl_buf b = {0};
        e.method = cl_str_z(rows[i].method);
        e.data = cl_str_z(rows[i].data);
        REQUIRE(cl_frame_encode(&e, &b) == 0);
        REQUIRE(cl_frame_decode(cl_buf_str(&b), MAX, &got) == (int64_t)b.len);
        CHECK(same(&e, &got));
        CHECK_INT(cl_frame_check(&got, wide), rows[i].code);
        cl_buf_free(&b);
    }
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
    RUN(what_is_besides_comes_back);
    RUN(who_has_none_is_not_extended);
    RUN(unknown_items);
    RUN(blocks_that_are_none);
    RUN(extensions_are_checked);
    RUN(what_does_not_fit_a_block);
    RUN(types_are_checked);
    return tap_end();
}
