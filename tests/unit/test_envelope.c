#include "proto/envelope.h"

#include "base/mem.h"
#include "clouds.h"
#include "support/tap.h"

static const cl_json_limits wide = {256, 100000};
static cl_buf scratch;

static int decode(const char *text, cl_envelope *out)
{
    return cl_envelope_decode(cl_str_z(text), wide, &scratch, out);
}

static void expect_code(const char *text, int want)
{
    cl_envelope e;
    int got = decode(text, &e);
    if (!CHECK(got == want)) printf("# %s gave %d, not %d\n", text, got, want);
}

#define CHECK_SPAN(span, want) CHECK_STR((span).p, (span).n, want)

/* ---- exact bytes (WIRE.md 1 and 2) */

static void expect_bytes(const cl_envelope *e, const char *want)
{
    cl_buf out = {0};
    REQUIRE(cl_buf_put_str(&out, CL_STR("before ")) == 0);
    CHECK_INT(cl_envelope_encode(e, &out), 0);
    CHECK_STR(out.data + 7, out.len - 7, want);
    CHECK_INT(cl_envelope_length(e), strlen(want));
    cl_buf_free(&out);
}

static cl_envelope some_call(void)
{
    return (cl_envelope){.type = CL_CALL,
                         .from = CL_STR("c.686c821a.12059.1"),
                         .id = CL_STR("CtXG0EjB"),
                         .method = CL_STR("test.hello"),
                         .args = CL_STR("[\"Glen\",\"hi\"]"),
                         .home = CL_STR("")};
}

static cl_envelope some_result(void)
{
    return (cl_envelope){.type = CL_RESULT,
                         .from = CL_STR("s.686c821a.12059.0"),
                         .id = CL_STR("CtXG0EjB"),
                         .result = CL_STR("[\"Hello Glen, hi\"]"),
                         .home = CL_STR("")};
}

static void bytes_of_a_call(void)
{
    cl_envelope e = some_call();
    expect_bytes(&e, "{\"t\":\"c\",\"s\":\"c.686c821a.12059.1\",\"d\":{\"i\":\"CtXG0EjB\",\"m\":\"test.hello\",\"a\":["
                     "\"Glen\",\"hi\"]}}");
    e.deadline = 1763719639123; /* not towards npm nodes */
    e.args = CL_STR_NONE;
    expect_bytes(&e,
                 "{\"t\":\"c\",\"s\":\"c.686c821a.12059.1\",\"d\":{\"i\":\"CtXG0EjB\",\"m\":\"test.hello\",\"a\":[]}}");
    e.flags = CL_NATIVE;
    expect_bytes(&e,
                 "{\"t\":\"c\",\"s\":\"c.686c821a.12059.1\",\"d\":{\"i\":\"CtXG0EjB\",\"m\":\"test.hello\",\"a\":[],"
                 "\"x\":1763719639123}}");
    e.home = CL_STR("0123456789abcdef");
    expect_bytes(&e,
                 "{\"t\":\"c\",\"s\":\"c.686c821a.12059.1\",\"d\":{\"i\":\"CtXG0EjB\",\"m\":\"test.hello\",\"a\":[],"
                 "\"x\":1763719639123,\"h\":\"0123456789abcdef\"}}");
    e.flags = 0;
    expect_bytes(&e,
                 "{\"t\":\"c\",\"s\":\"c.686c821a.12059.1\",\"d\":{\"i\":\"CtXG0EjB\",\"m\":\"test.hello\",\"a\":[]}}");
}

static void bytes_of_a_result(void)
{
    cl_envelope e = some_result();
    expect_bytes(
        &e,
        "{\"t\":\"r\",\"s\":\"s.686c821a.12059.0\",\"d\":{\"i\":\"CtXG0EjB\",\"e\":null,\"r\":[\"Hello Glen, hi\"]}}");
    e.error = CL_STR("{\"message\":\"boom\"}");
    e.result = CL_STR_NONE;
    e.flags = CL_NATIVE;
    expect_bytes(
        &e,
        "{\"t\":\"r\",\"s\":\"s.686c821a.12059.0\",\"d\":{\"i\":\"CtXG0EjB\",\"e\":{\"message\":\"boom\"},\"r\":[]}}");
    e.flags = CL_REFUSED;
    expect_bytes(&e, "{\"t\":\"r\",\"s\":\"s.686c821a.12059.0\",\"d\":{\"i\":\"CtXG0EjB\",\"e\":{\"message\":\"boom\"},"
                     "\"r\":[],\"n\":1}}");
}

static void bytes_of_a_message(void)
{
    cl_envelope e = {
        .type = CL_MESSAGE, .from = CL_STR("c.686c821a.12059.1"), .data = CL_STR("{\"a\":1,\"b\":[null]}")};
    expect_bytes(&e, "{\"t\":\"m\",\"s\":\"c.686c821a.12059.1\",\"d\":{\"a\":1,\"b\":[null]}}");
    e.data = CL_STR_NONE;
    expect_bytes(&e, "{\"t\":\"m\",\"s\":\"c.686c821a.12059.1\"}");
}

static void names_are_quoted_and_ids_are_raw(void)
{
    cl_envelope e = some_call();
    e.from = CL_STR("a\"b");
    e.method = CL_STR("x\n\xc3\xa9\xed\xa0\xbd");
    e.id = CL_STR("raw\\u0041");
    expect_bytes(&e, "{\"t\":\"c\",\"s\":\"a\\\"b\",\"d\":{\"i\":\"raw\\u0041\",\"m\":\"x\\n\xc3\xa9\\ud83d\",\"a\":["
                     "\"Glen\",\"hi\"]}}");
    cl_envelope m = {.type = CL_MESSAGE, .from = CL_STR("\x01"), .data = CL_STR("0")};
    expect_bytes(&m, "{\"t\":\"m\",\"s\":\"\\u0001\",\"d\":0}");
}

/* ---- reading */

static void reads_a_call(void)
{
    cl_envelope e;
    CHECK_INT(decode("{\"t\":\"c\",\"s\":\"c.1\",\"d\":{\"i\":\"Ab\\n9\",\"m\":\"te\\u0073t\",\"a\":[ 1 ,null]}}", &e),
              0);
    CHECK_INT(e.type, CL_CALL);
    CHECK_INT(e.flags, 0);
    CHECK_SPAN(e.from, "c.1");
    CHECK_SPAN(e.id, "Ab\\n9");
    CHECK_SPAN(e.method, "test");
    CHECK_SPAN(e.args, "[ 1 ,null]");
    CHECK(e.deadline == 0 && e.link == 0 && e.error.n == 0 && e.result.n == 0 && e.data.n == 0 && e.raw.n == 0 &&
          e.to.n == 0);
}

static void any_order_and_unknown_members(void)
{
    cl_envelope e;
    CHECK_INT(
        decode(" {\"z\":[{}],\"d\":{\"a\":[],\"q\":{\"i\":5},\"m\":\"f\",\"i\":\"\"},\"s\":\"x\",\"t\":\"c\"} ", &e),
        0);
    CHECK_INT(e.type, CL_CALL);
    CHECK_SPAN(e.method, "f");
    CHECK_SPAN(e.args, "[]");
    CHECK_INT(e.id.n, 0);
    CHECK_INT(decode("{\"\\u0074\":\"\\u0063\",\"\\u0073\":\"x\",\"\\u0064\":{\"\\u0069\":\"1\",\"\\u006d\":\"f\","
                     "\"\\u0061\":[]}}",
                     &e),
              0);
    CHECK_INT(e.type, CL_CALL);
    CHECK_SPAN(e.id, "1");
}

static void the_last_of_duplicates_counts(void)
{
    cl_envelope e;
    CHECK_INT(
        decode("{\"t\":\"m\",\"t\":\"c\",\"s\":\"1\",\"s\":\"2\",\"d\":{\"i\":\"a\",\"m\":\"b\",\"a\":[1],\"x\":5},"
               "\"d\":{\"i\":\"c\",\"i\":\"d\",\"m\":\"e\",\"a\":[2]}}",
               &e),
        0);
    CHECK_INT(e.type, CL_CALL);
    CHECK_SPAN(e.from, "2");
    CHECK_SPAN(e.id, "d");
    CHECK_SPAN(e.method, "e");
    CHECK_SPAN(e.args, "[2]");
    CHECK_INT(e.flags, 0); /* x of the first d is gone */
    expect_code("{\"t\":\"c\",\"s\":\"1\",\"d\":{\"i\":\"a\",\"m\":\"b\",\"a\":[]},\"d\":{}}", CLOUDS_EJSON);
    expect_code("{\"t\":\"c\",\"s\":\"1\",\"s\":5,\"d\":{\"i\":\"a\",\"m\":\"b\",\"a\":[]}}", CLOUDS_EJSON);
}

static void a_call_without_array_is_marked(void)
{
    static const char *const values[] = {"", ",\"a\":null", ",\"a\":{}", ",\"a\":\"x\"", ",\"a\":5"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char text[128];
        cl_envelope e;
        snprintf(text, sizeof text, "{\"t\":\"c\",\"s\":\"x\",\"d\":{\"i\":\"1\",\"m\":\"f\"%s}}", values[i]);
        CHECK_INT(decode(text, &e), 0);
        CHECK_INT(e.flags, CL_NO_ARRAY);
        CHECK_INT(e.args.n, 0);
    }
}

static void deadlines(void)
{
    static const struct {
        const char *x;
        unsigned flags;
        int64_t deadline;
    } rows[] = {{"1763719639123", CL_NATIVE, 1763719639123},
                {"0", CL_NATIVE, 0},
                {"1", CL_NATIVE, 1},
                {"999999999999999999", CL_NATIVE, 999999999999999999},
                {"1000000000000000000", 0, 0},
                {"-5", 0, 0},
                {"1.5", 0, 0},
                {"1e3", 0, 0},
                {"\"5\"", 0, 0},
                {"null", 0, 0},
                {"[1]", 0, 0},
                {"{}", 0, 0},
                {"true", 0, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[160];
        cl_envelope e;
        snprintf(text, sizeof text, "{\"t\":\"c\",\"s\":\"x\",\"d\":{\"i\":\"1\",\"m\":\"f\",\"a\":[],\"x\":%s}}",
                 rows[i].x);
        CHECK_INT(decode(text, &e), 0);
        CHECK_INT(e.flags, rows[i].flags);
        CHECK_INT(e.deadline, rows[i].deadline);
    }
}

static void errors_of_any_kind(void)
{
    static const struct {
        const char *e, *want;
    } rows[] = {{"null", ""},       {"false", ""},      {"0", ""},
                {"-0", ""},         {"0.0", ""},        {"0e5", ""},
                {"-0.00E+9", ""},   {"\"\"", ""},       {"true", "true"},
                {"5", "5"},         {"-0.1", "-0.1"},   {"10", "10"},
                {"\"x\"", "\"x\""}, {"\"0\"", "\"0\""}, {"\"\\u0000\"", "\"\\u0000\""},
                {"{}", "{}"},       {"[]", "[]"},       {"{\"message\":\"m\"}", "{\"message\":\"m\"}"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[160];
        cl_envelope e;
        snprintf(text, sizeof text, "{\"t\":\"r\",\"s\":\"x\",\"d\":{\"i\":\"1\",\"e\":%s,\"r\":[]}}", rows[i].e);
        CHECK_INT(decode(text, &e), 0);
        CHECK_INT(e.type, CL_RESULT);
        CHECK_SPAN(e.error, rows[i].want);
        CHECK_SPAN(e.result, "[]");
        CHECK_INT(e.flags, 0);
    }
}

static void results(void)
{
    cl_envelope e;
    CHECK_INT(decode("{\"t\":\"r\",\"s\":\"x\",\"d\":{\"i\":\"1\",\"e\":{}}}", &e), 0);
    CHECK_INT(e.result.n, 0);
    CHECK_INT(decode("{\"t\":\"r\",\"s\":\"x\",\"d\":{\"i\":\"1\",\"r\":null}}", &e), 0);
    CHECK(e.result.n == 0 && e.error.n == 0);
    CHECK_INT(decode("{\"t\":\"r\",\"d\":{\"i\":\"1\",\"r\":[[]],\"n\":1}}", &e), 0);
    CHECK_INT(e.flags, CL_REFUSED);
    CHECK_INT(e.from.n, 0);
    CHECK_INT(decode("{\"t\":\"r\",\"s\":\"x\",\"d\":{\"i\":\"1\",\"r\":[],\"n\":10}}", &e), 0);
    CHECK_INT(e.flags, 0);
    static const char *const broken[] = {"5", "true", "false", "\"x\"", "{}"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"t\":\"r\",\"s\":\"x\",\"d\":{\"i\":\"1\",\"r\":%s}}", broken[i]);
        expect_code(text, CLOUDS_EJSON);
    }
}

static void messages(void)
{
    static const char *const values[] = {"null", "5", "\"x\\n\"", "[1,null]", "{\"i\":1,\"a\":{}}", "false"};
    cl_envelope e;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"t\":\"m\",\"s\":\"x\",\"d\":%s}", values[i]);
        CHECK_INT(decode(text, &e), 0);
        CHECK_INT(e.type, CL_MESSAGE);
        CHECK_SPAN(e.data, values[i]);
    }
    CHECK_INT(decode("{\"t\":\"m\",\"s\":\"x\"}", &e), 0);
    CHECK(e.type == CL_MESSAGE && e.data.n == 0);
}

static void other_types(void)
{
    static const struct {
        const char *text, *method, *from, *data;
    } rows[] = {{"{\"t\":\"chat\",\"s\":\"x\",\"d\":[1]}", "chat", "x", "[1]"},
                {"{\"t\":\"\",\"s\":\"x\"}", "", "x", ""},
                {"{}", "", "", ""},
                {"{\"t\":5,\"s\":6,\"d\":7}", "", "", "7"},
                {"true", "", "", ""},
                {"5", "", "", ""},
                {"\"str\"", "", "", ""},
                {"[]", "", "", ""},
                {"{\"t\":\"a\\nb\",\"s\":\"\\u0041\"}", "a\nb", "A", ""},
                {"{\"t\":\"C\"}", "C", "", ""},
                {"{\"t\":\"cc\"}", "cc", "", ""}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cl_envelope e;
        CHECK_INT(decode(rows[i].text, &e), 0);
        CHECK_INT(e.type, CL_OTHER);
        CHECK_SPAN(e.method, rows[i].method);
        CHECK_SPAN(e.from, rows[i].from);
        CHECK_SPAN(e.data, rows[i].data);
        CHECK_SPAN(e.raw, rows[i].text);
    }
}

/* WIRE.md 5.2: what ends npm clouds 0.1 */
static void broken_envelopes(void)
{
    static const char *const texts[] = {"",
                                        " ",
                                        "hello",
                                        "null",
                                        " null ",
                                        "{",
                                        "{\"t\":\"m\",\"s\":\"x\",\"d\":\"a\nb\"}",
                                        "{\"t\":\"r\"}",
                                        "{\"t\":\"r\",\"s\":\"x\",\"d\":null}",
                                        "{\"t\":\"r\",\"s\":\"x\",\"d\":{}}",
                                        "{\"t\":\"r\",\"s\":\"x\",\"d\":{\"i\":5,\"r\":[]}}",
                                        "{\"t\":\"c\"}",
                                        "{\"t\":\"c\",\"s\":\"x\"}",
                                        "{\"t\":\"c\",\"s\":\"x\",\"d\":null}",
                                        "{\"t\":\"c\",\"s\":\"x\",\"d\":[]}",
                                        "{\"t\":\"c\",\"s\":\"x\",\"d\":{}}",
                                        "{\"t\":\"c\",\"s\":\"x\",\"d\":{\"i\":null,\"m\":\"f\",\"a\":[]}}",
                                        "{\"t\":\"c\",\"s\":\"x\",\"d\":{\"i\":1,\"m\":\"f\",\"a\":[]}}",
                                        "{\"t\":\"c\",\"d\":{\"i\":\"1\",\"m\":\"f\",\"a\":[]}}",
                                        "{\"t\":\"c\",\"s\":\"\",\"d\":{\"i\":\"1\",\"m\":\"f\",\"a\":[]}}",
                                        "{\"t\":\"c\",\"s\":null,\"d\":{\"i\":\"1\",\"m\":\"f\",\"a\":[]}}",
                                        "{\"t\":\"m\",\"s\":\"x\"}{}",
                                        "{\"t\":\"m\",\"s\":\"x\",}",
                                        "{\"t\":\"m\" \"s\":\"x\"}",
                                        "\xef\xbb\xbf{}",
                                        "[1",
                                        "tru"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) expect_code(texts[i], CLOUDS_EJSON);
    expect_code("{\"t\":\"c\",\"s\":\"x\",\"d\":{\"i\":\"1\",\"m\":5,\"a\":[]}}", 0); /* a method nobody has */
}

static void limits_are_kept(void)
{
    static char text[50000];
    cl_envelope e;
    memset(text, '[', 20000);
    memset(text + 20000, ']', 20000);
    CHECK_INT(cl_envelope_decode(cl_str_of(text, 40000), wide, &scratch, &e), CLOUDS_ETOOBIG);
    size_t n = (size_t)sprintf(text, "{\"t\":\"m\",\"s\":\"x\",\"d\":");
    memset(text + n, '[', 256);
    CHECK_INT(cl_envelope_decode(cl_str_of(text, n + 256), wide, &scratch, &e), CLOUDS_ETOOBIG);
    cl_str call = CL_STR("{\"t\":\"c\",\"s\":\"x\",\"d\":{\"i\":\"1\",\"m\":\"f\",\"a\":[[]]}}");
    CHECK_INT(cl_envelope_decode(call, (cl_json_limits){4, 100}, &scratch, &e), 0);
    CHECK_INT(cl_envelope_decode(call, (cl_json_limits){3, 100}, &scratch, &e), CLOUDS_ETOOBIG);
    CHECK_INT(cl_envelope_decode(call, (cl_json_limits){4, 3}, &scratch, &e), CLOUDS_ETOOBIG);
}

static void bad_utf8_is_mended(void)
{
    cl_envelope e;
    CHECK_INT(
        decode("{\"t\":\"c\",\"s\":\"x\\n\xff\",\"d\":{\"i\":\"1\xe2\x82\",\"m\":\"f\\u0041\xc3\",\"a\":[\"\x80\"]}}",
               &e),
        0);
    CHECK_SPAN(e.from, "x\n\xef\xbf\xbd");
    CHECK_SPAN(e.id, "1\xef\xbf\xbd");
    CHECK_SPAN(e.method, "fA\xef\xbf\xbd");
    CHECK_SPAN(e.args, "[\"\xef\xbf\xbd\"]");
    expect_code("{\"t\":\"m\",\"s\":\"x\",\"d\":\xff}", CLOUDS_EJSON);
}

static void truncated_at_every_byte(void)
{
    static const char *const texts[] = {
        "{\"t\":\"c\",\"s\":\"c.\\u0031\",\"d\":{\"i\":\"C\xff\",\"m\":\"h\\n\",\"a\":[\"Gl\xc3\xa9n\",-1.5e3],\"x\":"
        "17}}",
        "{\"t\":\"r\",\"s\":\"s.1\",\"d\":{\"i\":\"C\",\"e\":{\"message\":\"\\ud800\"},\"r\":[[],{}],\"n\":1}}",
        "{\"d\":{\"a\":{\"b\":null}},\"t\":\"other\",\"s\":\"c.1\"}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t length = strlen(texts[i]);
        for (size_t n = 0; n <= length; n++) {
            char *copy = malloc(n ? n : 1);
            cl_envelope e;
            memcpy(copy, texts[i], n);
            CHECK_INT(cl_envelope_decode((cl_str){copy, n}, wide, &scratch, &e), n == length ? 0 : CLOUDS_EJSON);
            free(copy);
        }
    }
}

/* ---- round trips */

static int same(const cl_envelope *a, const cl_envelope *b)
{
    return a->type == b->type && a->flags == b->flags && cl_str_eq(a->from, b->from) && cl_str_eq(a->id, b->id) &&
           cl_str_eq(a->method, b->method) && cl_str_eq(a->args, b->args) && cl_str_eq(a->error, b->error) &&
           cl_str_eq(a->result, b->result) && cl_str_eq(a->data, b->data) && a->deadline == b->deadline &&
           cl_str_eq(a->home, b->home);
}

static void round_trip(const cl_envelope *e)
{
    cl_buf text = {0};
    cl_envelope back;
    REQUIRE(cl_envelope_encode(e, &text) == 0);
    CHECK_INT(cl_json_check(cl_buf_str(&text), '{', wide), 0);
    CHECK_INT(cl_envelope_decode(cl_buf_str(&text), wide, &scratch, &back), 0);
    CHECK(same(e, &back));
    cl_buf_free(&text);
}

static void what_is_written_is_read(void)
{
    static const char *const names[] = {"",   "x",        "c.686c821a.12059.1",       "\"",
                                        "\\", "\n\t\x01", "\xc3\xa9\xf0\x9f\x98\x80", "\xed\xa0\xbd"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        cl_envelope call = some_call(), result = some_result();
        cl_envelope none = {.from = CL_STR("a"),
                            .id = CL_STR(""),
                            .method = CL_STR(""),
                            .args = CL_STR(""),
                            .error = CL_STR(""),
                            .result = CL_STR(""),
                            .data = CL_STR(""),
                            .home = CL_STR("")};
        call.method = cl_str_z(names[i]);
        call.from = i ? call.method : call.from;
        call.error = call.result = call.data = CL_STR_NONE;
        round_trip(&call);
        call.flags = CL_NATIVE;
        for (call.deadline = 0; call.deadline < 1000000000000000; call.deadline = call.deadline * 11 + 3)
            round_trip(&call);
        call.home = CL_STR("0123456789abcdef");
        round_trip(&call);
        result.from = cl_str_z(names[i]);
        result.method = result.args = result.data = result.error = CL_STR_NONE;
        round_trip(&result);
        result.error = CL_STR("\"text\"");
        result.flags = CL_REFUSED;
        round_trip(&result);
        none.type = CL_MESSAGE;
        none.from = cl_str_z(names[i]);
        round_trip(&none);
        none.data = CL_STR("{\"a\":[]}");
        round_trip(&none);
        none.type = CL_OTHER;
        none.method = i == 1 ? CL_STR("chat") : cl_str_z(names[i]);
        round_trip(&none);
    }
}

/* White space before the text is the one thing that keeps it from the fast way. */
static void both_ways_of_reading_agree(void)
{
    static const char *const texts[] = {
        "{\"t\":\"c\",\"s\":\"c.1\",\"d\":{\"i\":\"1\",\"m\":\"f\",\"a\":[]}}",
        "{\"t\":\"c\",\"s\":\"\",\"d\":{\"i\":\"1\",\"m\":\"f\",\"a\":[]}}",
        "{\"t\":\"c\",\"s\":\"c.1\",\"d\":{\"i\":\"1\",\"m\":\"f\",\"a\":[1,\"x\",2.5,{}],\"x\":12}}",
        "{\"t\":\"c\",\"s\":\"c.1\",\"d\":{\"i\":\"1\",\"m\":\"f\",\"a\":[],\"x\":12,\"h\":\"0123\"}}",
        "{\"t\":\"c\",\"s\":\"c.1\",\"d\":{\"i\":\"1\",\"m\":\"f\",\"a\":[],\"x\":12,\"h\":5}}",
        "{\"t\":\"c\",\"s\":\"c.1\",\"d\":{\"i\":\"1\",\"m\":\"f\",\"a\":[],\"x\":12,\"h\":\"\\u0030\"}}",
        "{\"t\":\"c\",\"s\":\"c.1\",\"d\":{\"i\":\"1\",\"m\":\"f\",\"a\":[],\"h\":\"0123\"}}",
        "{\"t\":\"c\",\"s\":\"c.1\",\"d\":{\"i\":\"1\",\"m\":\"f\",\"a\":[],\"x\":01}}",
        "{\"t\":\"c\",\"s\":\"c.1\",\"d\":{\"i\":\"1\",\"m\":\"f\",\"a\":[],\"x\":1.5}}",
        "{\"t\":\"c\",\"s\":\"c.1\",\"d\":{\"i\":\"1\",\"m\":\"f\",\"a\":[],\"x\":1234567890123456789}}",
        "{\"t\":\"c\",\"s\":\"c.1\",\"d\":{\"i\":\"1\",\"m\":\"f\",\"a\":[\"\xff\"]}}",
        "{\"t\":\"c\",\"s\":\"c.1\",\"d\":{\"i\":\"1\",\"m\":\"f\",\"a\":null}}",
        "{\"t\":\"r\",\"s\":\"c.1\",\"d\":{\"i\":\"1\",\"e\":null,\"r\":[1]}}",
        "{\"t\":\"r\",\"s\":\"c.1\",\"d\":{\"i\":\"1\",\"e\":{},\"r\":[],\"n\":1}}",
        "{\"t\":\"r\",\"s\":\"c.1\",\"d\":{\"i\":\"1\",\"e\":null,\"r\":[],\"n\":12}}",
        "{\"t\":\"r\",\"s\":\"c.1\",\"d\":{\"i\":\"1\",\"e\":null,\"r\":5}}",
        "{\"t\":\"r\",\"s\":\"c.1\",\"d\":{\"i\":\"1\",\"e\":nullx,\"r\":[]}}",
        "{\"t\":\"m\",\"s\":\"c.1\",\"d\":[{}]}",
        "{\"t\":\"m\",\"s\":\"c.1\",\"d\":1}x",
        "{\"t\":\"m\",\"s\":\"c.1\",\"d\":1,\"t\":\"q\"}",
        "{\"t\":\"q\",\"s\":\"c.1\",\"d\":1}",
        "{\"t\":\"m\",\"s\":\"c\\n1\",\"d\":1}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        for (uint32_t values = 0; values < 14; values++) {
            for (uint32_t depth = 0; depth < 6; depth++) {
                char spaced[256];
                cl_buf other = {0};
                cl_envelope fast, slow;
                cl_json_limits limits = {depth, values};
                snprintf(spaced, sizeof spaced, " %s", texts[i]);
                int code = cl_envelope_decode(cl_str_z(texts[i]), limits, &scratch, &fast);
                CHECK_INT(code, cl_envelope_decode(cl_str_z(spaced), limits, &other, &slow));
                CHECK(code != 0 || same(&fast, &slow));
                cl_buf_free(&other);
            }
        }
    }
}

static void *refuse(void *user_data, void *block, size_t size)
{
    if (size == 0) free(block);
    return NULL;
}

static void no_memory_is_an_error(void)
{
    cl_envelope e = some_call();
    cl_buf empty = {0}, room = {0};
    cl_mem_hook(refuse, NULL);
    CHECK_INT(cl_envelope_encode(&e, &empty), CLOUDS_ENOMEM);
    CHECK_INT(cl_envelope_decode(CL_STR("{\"t\":\"m\",\"s\":\"\\n\"}"), wide, &room, &e), CLOUDS_ENOMEM);
    CHECK_INT(cl_envelope_decode(CL_STR("{\"t\":\"m\",\"s\":\"\xff\"}"), wide, &room, &e), CLOUDS_ENOMEM);
    CHECK_INT(cl_envelope_decode(CL_STR("{\"t\":\"m\",\"s\":\"x\"}"), wide, &room, &e), 0); /* needs none */
    cl_mem_hook(NULL, NULL);
    CHECK(empty.data == NULL && room.data == NULL);
}

int main(void)
{
    RUN(bytes_of_a_call);
    RUN(bytes_of_a_result);
    RUN(bytes_of_a_message);
    RUN(names_are_quoted_and_ids_are_raw);
    RUN(reads_a_call);
    RUN(any_order_and_unknown_members);
    RUN(the_last_of_duplicates_counts);
    RUN(a_call_without_array_is_marked);
    RUN(deadlines);
    RUN(errors_of_any_kind);
    RUN(results);
    RUN(messages);
    RUN(other_types);
    RUN(broken_envelopes);
    RUN(limits_are_kept);
    RUN(bad_utf8_is_mended);
    RUN(truncated_at_every_byte);
    RUN(what_is_written_is_read);
    RUN(both_ways_of_reading_agree);
    RUN(no_memory_is_an_error);
    cl_buf_free(&scratch);
    return tap_end();
}
