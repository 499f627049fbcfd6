#include "proto/json.h"

#include "clouds.h"
#include "support/tap.h"

static const cl_json_limits wide = {CL_JSON_DEEPEST, 1000000};

/* The text in memory of exactly its size, so that a sanitizer sees any byte read beyond it. */
static int check_exact(cl_str text, char bracket, cl_json_limits limits)
{
    char *copy = malloc(text.n ? text.n : 1);
    memcpy(copy, text.p, text.n);
    int code = cl_json_check((cl_str){copy, text.n}, bracket, limits);
    free(copy);
    return code;
}

static void expect(cl_str text, int want)
{
    int got = check_exact(text, 0, wide);
    if (!CHECK(got == want)) printf("# %.*s gave %d, not %d\n", (int)text.n, text.p, got, want);
}

/* clang-format off */
static const char *const valid[] = {
    "0", "-0", "1", "-1", "10", "123456789012345678901234567890", "0.0", "0.5", "-0.5", "1.25", "1e1", "1E1", "1e+1",
    "1e-1", "0e0", "-0e-0", "1.5e300", "1e999999", "0.00000000000000000000000000001", "9007199254740993", "true",
    "false", "null", "\"\"", "\"a\"", "[]", "{}", "[1]", "[1,2]", "[[]]", "[{}]", "{\"a\":1}", "{\"\":0}",
    "{\"a\":{\"b\":[1,{\"c\":null}]},\"d\":[]}", "{\"a\":1,\"a\":2}", " 1 ", "\t\r\n [ 1 , 2 ] \n",
    "{ \"a\" : 1 , \"b\" : 2 }", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\u0000\"", "\"\\uD83D\\uDE00\"", "\"\\ud800\"",
    "\"\\udc00\\ud800\"", "\"\\uABCd\"", "\"\xc3\xa9\"", "\"\xe2\x82\xac\"", "\"\xf0\x9f\x98\x80\"",
    "\"\xef\xbf\xbf\"", "\"\xf4\x8f\xbf\xbf\"", "\"\xed\x9f\xbf\"", "\"\xee\x80\x80\"", "\"\xc2\x80\"",
    "\"\xe0\xa0\x80\"", "\"\xf0\x90\x80\x80\"", "\"\x7f\"", "\"/\"", "[null,null]",
    "\"0123456789abcdef0123456789abcdef\"", "\"0123456\\n89\xc3\xa9 bcdef\"", "[\"a\",1,true,null,{},[],-2.5e-3]"
};

static const char *const broken[] = {
    "", " ", "-", "+1", "01", "-01", "00", "1.", ".5", "-.5", "1.e1", "1e", "1e+", "1e-", "1e1.5", "0x10", "1_000",
    "1 2", "Infinity", "-Infinity", "NaN", "--1", "1-", "2.", "0e", "tru", "True", "truex", "fals", "nul", "nulll",
    "undefined", "\"", "\"a", "\"\\\"", "\"\\", "\"\\x41\"", "\"\\u\"", "\"\\u12\"", "\"\\u123\"", "\"\\u123g\"",
    "\"\\u 123\"", "\"\\a\"", "\"\\'\"", "'a'", "\"\n\"", "\"\t\"", "\"a\x01\"", "\"0123456\x1f\"", "[", "]", "[1",
    "[1,", "[1,]", "[,1]", "[,]", "[1 2]", "[1}", "{", "}", "{]", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,",
    "{\"a\":1,}", "{,}", "{a:1}", "{'a':1}", "{1:1}", "{\"a\" 1}", "{\"a\"::1}", "{\"a\":1 \"b\":2}", "{\"a\":1]",
    "{\"a\":}", "{\"a\",1}", "[]]", "[][]", "{}{}", "1,", ",1", "[1]x", "[\"a\":1]", "/**/1", "1//x",
    "\xef\xbb\xbf[]", "[\x0b]", "[\xc2\xa0]", "[1\f]", "\xe2\x80\xa8[]"
};
/* clang-format on */

static void valid_texts(void)
{
    for (size_t i = 0; i < sizeof valid / sizeof *valid; i++) expect(cl_str_z(valid[i]), 0);
}

static void broken_texts(void)
{
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) expect(cl_str_z(broken[i]), CLOUDS_EJSON);
    expect(CL_STR("\"a\0b\""), CLOUDS_EJSON);
    expect(CL_STR("1\0"), CLOUDS_EJSON);
    expect(CL_STR("\0"), CLOUDS_EJSON);
    expect(CL_STR("[\0]"), CLOUDS_EJSON);
}

static void bad_utf8_is_broken(void)
{
    static const char *const texts[] = {"\"\x80\"",
                                        "\"\xbf\"",
                                        "\"\xc0\x80\"",
                                        "\"\xc1\xbf\"",
                                        "\"\xc3\"",
                                        "\"\xc3(\"",
                                        "\"\xe0\x80\x80\"",
                                        "\"\xe0\x9f\xbf\"",
                                        "\"\xe2\x82\"",
                                        "\"\xed\xa0\x80\"",
                                        "\"\xed\xbf\xbf\"",
                                        "\"\xf0\x80\x80\x80\"",
                                        "\"\xf0\x8f\xbf\xbf\"",
                                        "\"\xf0\x9f\x98\"",
                                        "\"\xf4\x90\x80\x80\"",
                                        "\"\xf5\x80\x80\x80\"",
                                        "\"\xff\"",
                                        "\"\xfe\"",
                                        "{\"\xff\":1}",
                                        "\"01234567\xe2\x82\""};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        expect(cl_str_z(texts[i]), CLOUDS_EJSON);
        cl_json j;
        cl_str span;
        cl_json_start(&j, cl_str_z(texts[i]), wide);
        CHECK_INT(cl_json_value(&j, &span), 0); /* the caller decides */
        CHECK(j.bad_utf8);
        CHECK_STR(span.p, span.n, texts[i]);
    }
    expect(CL_STR("[\xff]"), CLOUDS_EJSON);
}

/* A special byte at every place of a string, so that the eight-byte steps meet it everywhere. */
static void strings_of_every_length(void)
{
    for (size_t n = 0; n < 40; n++) {
        for (size_t at = 0; at < n; at++) {
            char text[64];
            text[0] = '"';
            memset(text + 1, 'x', n);
            text[n + 1] = '"';
            static const struct {
                char c;
                int want;
            } rows[] = {{'y', 0},
                        {' ', 0},
                        {'\x7f', 0},
                        {'!', 0},
                        {'#', 0},
                        {'[', 0},
                        {']', 0},
                        {'\x1f', CLOUDS_EJSON},
                        {'\0', CLOUDS_EJSON},
                        {'"', CLOUDS_EJSON},
                        {'\x80', CLOUDS_EJSON},
                        {'\xff', CLOUDS_EJSON}};
            for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                text[at + 1] = rows[i].c;
                expect(cl_str_of(text, n + 2), rows[i].want);
            }
        }
    }
}

static void truncated_at_every_byte(void)
{
    cl_str text = CL_STR("{\"a\\u00e9\":[1,-2.5e+3,\"x\\n\xe2\x82\xac\",true,false,null,{}],\"b\":{\"c\":[[]]}}");
    expect(text, 0);
    for (size_t n = 0; n < text.n; n++) expect(cl_str_of(text.p, n), CLOUDS_EJSON);
}

/* Rows of simple items have a way of their own: broken off and made complicated at every place. */
static void rows_turn_into_anything(void)
{
    static const struct {
        const char *item;
        int want;
    } rows[] = {{"1", 0},
                {"0", 0},
                {"-1", 0},
                {"1.5", 0},
                {"1e3", 0},
                {"\"x\"", 0},
                {"\"\\n\"", 0},
                {"\"\xc3\xa9\"", 0},
                {"[]", 0},
                {"[1]", 0},
                {"{}", 0},
                {" 7 ", 0},
                {"null", 0},
                {"01", CLOUDS_EJSON},
                {"1.", CLOUDS_EJSON},
                {"", CLOUDS_EJSON},
                {"\"", CLOUDS_EJSON},
                {"\"\n\"", CLOUDS_EJSON},
                {"\"\\x\"", CLOUDS_EJSON},
                {"1 2", CLOUDS_EJSON},
                {"1:2", CLOUDS_EJSON},
                {"]", CLOUDS_EJSON},
                {"}", CLOUDS_EJSON},
                {"[", CLOUDS_EJSON},
                {"1}", CLOUDS_EJSON},
                {"\"a\"b", CLOUDS_EJSON}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (int at = 0; at < 4; at++) {
            char text[64] = "[";
            for (int k = 0; k < 4; k++)
                snprintf(text + strlen(text), 20, "%s%s", k ? "," : "", k == at ? rows[i].item : "12");
            strcat(text, "]");
            expect(cl_str_z(text), rows[i].want);
        }
    }
}

static void brackets_asked_for(void)
{
    CHECK_INT(cl_json_check(CL_STR(" [1]"), '[', wide), 0);
    CHECK_INT(cl_json_check(CL_STR("{}"), '{', wide), 0);
    CHECK_INT(cl_json_check(CL_STR("{}"), '[', wide), CLOUDS_EJSON);
    CHECK_INT(cl_json_check(CL_STR("[]"), '{', wide), CLOUDS_EJSON);
    CHECK_INT(cl_json_check(CL_STR("null"), '{', wide), CLOUDS_EJSON);
    CHECK_INT(cl_json_check(CL_STR(""), '[', wide), CLOUDS_EJSON);
}

/* n times `open`, then n times `close` */
static cl_str nested(char *room, size_t n, const char *open, const char *close)
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++) at += (size_t)sprintf(room + at, "%s", open);
    if (close[0] == '}') room[at++] = '1';
    for (size_t i = 0; i < n; i++) at += (size_t)sprintf(room + at, "%s", close);
    return cl_str_of(room, at);
}

static void depth_is_limited(void)
{
    static char room[1 << 20];
    static const uint32_t depths[] = {1, 2, 63, 64, 65, 128, 256, 1000, CL_JSON_DEEPEST - 1, CL_JSON_DEEPEST};
    for (size_t i = 0; i < sizeof depths / sizeof *depths; i++) {
        cl_json_limits limits = {depths[i], 1000000};
        CHECK_INT(check_exact(nested(room, depths[i], "[", "]"), 0, limits), 0);
        CHECK_INT(check_exact(nested(room, depths[i] + 1, "[", "]"), 0, limits), CLOUDS_ETOOBIG);
        CHECK_INT(check_exact(nested(room, depths[i], "{\"a\":", "}"), 0, limits), 0);
        CHECK_INT(check_exact(nested(room, depths[i] + 1, "{\"a\":", "}"), 0, limits), CLOUDS_ETOOBIG);
    }
    cl_json_limits none = {0, 100};
    CHECK_INT(cl_json_check(CL_STR("[]"), 0, none), CLOUDS_ETOOBIG);
    CHECK_INT(cl_json_check(CL_STR("1"), 0, none), 0);
    cl_json_limits endless = {UINT32_MAX, 1000000};
    CHECK_INT(check_exact(nested(room, 100000, "[", "]"), 0, endless), CLOUDS_ETOOBIG);
    memset(room, '[', sizeof room);
    CHECK_INT(cl_json_check(cl_str_of(room, sizeof room), 0, endless), CLOUDS_ETOOBIG);
}

/* Kinds of brackets must be remembered over the borders of the words that hold them. */
static void mixed_nesting_closes_in_order(void)
{
    enum { LEVELS = 200 };
    char text[LEVELS * 6 + LEVELS + 2];
    for (int wrong = -1; wrong < LEVELS; wrong++) {
        size_t n = 0;
        for (int i = 0; i < LEVELS; i++) n += (size_t)sprintf(text + n, "%s", i % 3 ? "[" : "{\"k\":");
        n += (size_t)sprintf(text + n, "1");
        for (int i = LEVELS - 1; i >= 0; i--) text[n++] = (i % 3 != 0) != (i == wrong) ? ']' : '}';
        CHECK_INT(cl_json_check(cl_str_of(text, n), 0, wide), wrong < 0 ? 0 : CLOUDS_EJSON);
    }
}

static void values_are_limited(void)
{
    cl_json_limits limits = {10, 4};
    CHECK_INT(cl_json_check(CL_STR("[1,2,3]"), 0, limits), 0);
    CHECK_INT(cl_json_check(CL_STR("[1,2,3,4]"), 0, limits), CLOUDS_ETOOBIG);
    CHECK_INT(cl_json_check(CL_STR("{\"a\":{\"b\":[1]}}"), 0, limits), 0);
    CHECK_INT(cl_json_check(CL_STR("{\"a\":{\"b\":[1,2]}}"), 0, limits), CLOUDS_ETOOBIG);
    CHECK_INT(cl_json_check(CL_STR("[[],[],[],[]]"), 0, limits), CLOUDS_ETOOBIG);
    cl_json_limits none = {10, 0};
    CHECK_INT(cl_json_check(CL_STR("1"), 0, none), CLOUDS_ETOOBIG);
}

static void walks_an_object(void)
{
    cl_json j;
    cl_str key, value;
    int escaped = -1;
    cl_json_start(&j, CL_STR(" { \"a\" : 1 , \"b\\n\":[ 2, {\"x\":3} ] ,\"c\":{}, \"d\":\"t\\u0041\"} "), wide);
    CHECK_INT(cl_json_peek(&j), '{');
    REQUIRE(cl_json_enter(&j, '{') == 0);
    REQUIRE(cl_json_member(&j, &key, &escaped) == 1);
    CHECK_STR(key.p, key.n, "a");
    CHECK_INT(escaped, 0);
    CHECK_INT(cl_json_value(&j, &value), 0);
    CHECK_STR(value.p, value.n, "1");
    REQUIRE(cl_json_member(&j, &key, &escaped) == 1);
    CHECK_STR(key.p, key.n, "b\\n");
    CHECK_INT(escaped, 1);
    REQUIRE(cl_json_enter(&j, '[') == 0);
    CHECK_INT(cl_json_element(&j), 1);
    CHECK_INT(cl_json_value(&j, &value), 0);
    CHECK_INT(cl_json_element(&j), 1);
    CHECK_INT(cl_json_value(&j, &value), 0);
    CHECK_STR(value.p, value.n, "{\"x\":3}");
    CHECK_INT(cl_json_element(&j), 0);
    REQUIRE(cl_json_member(&j, &key, &escaped) == 1);
    REQUIRE(cl_json_enter(&j, '{') == 0);
    CHECK_INT(cl_json_member(&j, &key, &escaped), 0);
    REQUIRE(cl_json_member(&j, &key, &escaped) == 1);
    CHECK_INT(cl_json_string(&j, &value, &escaped), 0);
    CHECK_STR(value.p, value.n, "t\\u0041");
    CHECK_INT(escaped, 1);
    CHECK_INT(cl_json_member(&j, &key, &escaped), 0);
    CHECK_INT(cl_json_end(&j), 0);
}

/* Walks the text as an object or array of scalars and tells whether that went well. */
static int walk(const char *text, cl_json_limits limits)
{
    cl_json j;
    cl_str key, value;
    int more, escaped, code;
    cl_json_start(&j, cl_str_z(text), limits);
    char bracket = (char)cl_json_peek(&j);
    if ((code = cl_json_enter(&j, bracket == '[' ? '[' : '{')) != 0) return code;
    while ((more = bracket == '[' ? cl_json_element(&j) : cl_json_member(&j, &key, &escaped)) == 1)
        if ((code = cl_json_value(&j, &value)) != 0) return code;
    return more < 0 ? more : cl_json_end(&j);
}

static void walking_is_as_strict(void)
{
    static const char *const good[] = {"[]", "[1]", "[1,[2]]", "{}", "{\"a\":1}", "{\"a\":[],\"b\":{}}", "[ ]", "{ }"};
    static const char *const bad[] = {
        "",      "[",    "[,",      "[,1]",     "[1,]",       "[1 2]",     "[1}",
        "{",     "{,}",  "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{\"a\" 1}", "{\"a\":1 \"b\":1}",
        "{1:1}", "[1]]", "{}}",     "[1",       "{\"a\":1",   "{,\"a\":1}"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) CHECK_INT(walk(good[i], wide), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK_INT(walk(bad[i], wide), CLOUDS_EJSON);
    CHECK_INT(walk("[1,2]", (cl_json_limits){1, 3}), 0);
    CHECK_INT(walk("[1,2]", (cl_json_limits){1, 2}), CLOUDS_ETOOBIG);
    CHECK_INT(walk("[[]]", (cl_json_limits){1, 9}), CLOUDS_ETOOBIG);
    CHECK_INT(walk("[[],[],[]]", (cl_json_limits){2, 9}), 0);
    CHECK_INT(walk("[]", (cl_json_limits){0, 9}), CLOUDS_ETOOBIG);
}

static void spans_have_no_space_around_them(void)
{
    cl_json j;
    cl_str span;
    cl_json_start(&j, CL_STR(" \n -12.5 \t\"x\"  [ 1 ] "), wide);
    CHECK_INT(cl_json_value(&j, &span), 0);
    CHECK_STR(span.p, span.n, "-12.5");
    CHECK_INT(cl_json_value(&j, &span), 0);
    CHECK_STR(span.p, span.n, "\"x\"");
    CHECK_INT(cl_json_value(&j, &span), 0);
    CHECK_STR(span.p, span.n, "[ 1 ]");
    CHECK_INT(cl_json_end(&j), 0);
    CHECK_INT(cl_json_value(&j, &span), CLOUDS_EJSON);
}

/* Equal values have one text, and others have another. */
static void one_text_for_each_value(void)
{
    static const char *const alike[][2] = {{"[7.0, 70e-1]", "[7,7]"},
                                           {"\"a\\u0022b\"", "\"a\\\"b\""},
                                           {"[\"\\u00e4\"]", "[\"\xc3\xa4\"]"},
                                           {"{ \"a\\/\" : 1 }", "{\"a/\":1}"}};
    static const char *const unlike[][2] = {
        {"[\"a\",\"b\"]", "[\"a\\\",\\\"b\"]"}, {"[\"a\\\\\"]", "[\"a\"]"}, {"[1,2]", "[12]"}};
    for (size_t i = 0; i < sizeof alike / sizeof *alike + sizeof unlike / sizeof *unlike; i++) {
        int is_alike = i < sizeof alike / sizeof *alike;
        const char *const *two = is_alike ? alike[i] : unlike[i - sizeof alike / sizeof *alike];
        cl_buf a = {0}, b = {0};
        CHECK_INT(cl_json_canonical(cl_str_z(two[0]), &a), 0);
        CHECK_INT(cl_json_canonical(cl_str_z(two[1]), &b), 0);
        if (!CHECK(cl_str_eq(cl_buf_str(&a), cl_buf_str(&b)) == is_alike)) printf("# %s %s\n", two[0], two[1]);
        cl_buf_free(&a);
        cl_buf_free(&b);
    }
}

int main(void)
{
    RUN(valid_texts);
    RUN(broken_texts);
    RUN(bad_utf8_is_broken);
    RUN(strings_of_every_length);
    RUN(truncated_at_every_byte);
    RUN(rows_turn_into_anything);
    RUN(brackets_asked_for);
    RUN(depth_is_limited);
    RUN(mixed_nesting_closes_in_order);
    RUN(values_are_limited);
    RUN(walks_an_object);
    RUN(walking_is_as_strict);
    RUN(spans_have_no_space_around_them);
    RUN(one_text_for_each_value);
    return tap_end();
}
