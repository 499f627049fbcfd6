#include "proto/json.h"

#include "base/mem.h"
#include "clouds.h"
#include "proto/utf8.h"
#include "support/tap.h"

static const cl_json_limits wide = {64, 1000};

typedef int convert(cl_str text, cl_buf *out);

static void expect(convert *fn, cl_str in, cl_str want)
{
    cl_buf out = {0};
    CHECK_INT(fn(in, &out), 0);
    if (!CHECK(cl_str_eq(cl_buf_str(&out), want))) printf("# got %.*s\n", (int)out.len, out.data ? out.data : "");
    cl_buf_free(&out);
}

static void escapes_are_resolved(void)
{
    expect(cl_json_unescape, CL_STR(""), CL_STR(""));
    expect(cl_json_unescape, CL_STR("plain \xc3\xa9"), CL_STR("plain \xc3\xa9"));
    expect(cl_json_unescape, CL_STR("\\\"\\\\\\/\\b\\f\\n\\r\\t"), CL_STR("\"\\/\b\f\n\r\t"));
    expect(cl_json_unescape, CL_STR("a\\u0000b"), CL_STR("a\0b"));
    expect(cl_json_unescape, CL_STR("\\u0041\\u00e9\\u20AC"), CL_STR("A\xc3\xa9\xe2\x82\xac"));
    expect(cl_json_unescape, CL_STR("\\ud83d\\ude00"), CL_STR("\xf0\x9f\x98\x80"));
    expect(cl_json_unescape, CL_STR("\\uDBFF\\uDFFF"), CL_STR("\xf4\x8f\xbf\xbf"));
    expect(cl_json_unescape, CL_STR("\\ud83d"), CL_STR("\xed\xa0\xbd"));
    expect(cl_json_unescape, CL_STR("\\ude00"), CL_STR("\xed\xb8\x80"));
    expect(cl_json_unescape, CL_STR("\\ud83d\\u0041"),
           CL_STR("\xed\xa0\xbd"
                  "A"));
    expect(cl_json_unescape, CL_STR("\\ud83dx\\ude00"), CL_STR("\xed\xa0\xbdx\xed\xb8\x80"));
    expect(cl_json_unescape, CL_STR("\\ud83d\\ud83d\\ude00"), CL_STR("\xed\xa0\xbd\xf0\x9f\x98\x80"));
    expect(cl_json_unescape, CL_STR("\\ude00\\ud83d"), CL_STR("\xed\xb8\x80\xed\xa0\xbd"));
}

static void text_is_quoted(void)
{
    expect(cl_json_quote, CL_STR(""), CL_STR("\"\""));
    expect(cl_json_quote, CL_STR("a/b"), CL_STR("\"a/b\""));
    expect(cl_json_quote, CL_STR("\"\\\b\f\n\r\t"), CL_STR("\"\\\"\\\\\\b\\f\\n\\r\\t\""));
    expect(cl_json_quote, CL_STR("\0\x01\v\x1f\x7f"), CL_STR("\"\\u0000\\u0001\\u000b\\u001f\x7f\""));
    expect(cl_json_quote, CL_STR("\xc3\xa9\xf0\x9f\x98\x80"), CL_STR("\"\xc3\xa9\xf0\x9f\x98\x80\""));
    expect(cl_json_quote,
           CL_STR("\xed\xa0\xbd"
                  "A\xed\xb8\x80"),
           CL_STR("\"\\ud83dA\\ude00\""));
    expect(cl_json_quote,
           CL_STR("a\xff"
                  "b"),
           CL_STR("\"a\xef\xbf\xbd"
                  "b\""));
    expect(cl_json_quote, CL_STR("\xe2\x82"), CL_STR("\"\xef\xbf\xbd\""));
    expect(cl_json_quote, CL_STR("\xed\xa0"), CL_STR("\"\xef\xbf\xbd\xef\xbf\xbd\""));
}

/* Every code point, surrogates included, through quote and back. */
static void every_code_point_survives(void)
{
    cl_buf quoted = {0}, back = {0};
    int bad = 0;
    for (uint32_t code = 0; code < 0x110000; code++) {
        char text[4];
        cl_str in = cl_str_of(text, (size_t)cl_utf8_write(text, code));
        cl_buf_clear(&quoted);
        cl_buf_clear(&back);
        int failed = cl_json_quote(in, &quoted) != 0 || quoted.len != cl_json_quoted_length(in);
        failed |= cl_json_check(cl_buf_str(&quoted), 0, wide) != 0;
        failed |= cl_json_unescape(cl_str_of(quoted.data + 1, quoted.len - 2), &back) != 0;
        failed |= !cl_str_eq(cl_buf_str(&back), in);
        int surrogate = code >= 0xd800 && code < 0xe000;
        failed |= cl_utf8_sequence(text, text + in.n) != (surrogate ? -1 : (int)in.n);
        failed |= cl_json_is_plain(in) != (code >= 0x20 && code != '"' && code != '\\' && !surrogate);
        bad += failed;
    }
    CHECK_INT(bad, 0);
    cl_buf_free(&quoted);
    cl_buf_free(&back);
}

/* The table of the Encoding Standard's decoder: one U+FFFD for each longest start of a sequence that went wrong. */
static void broken_utf8_is_mended(void)
{
#define R "\xef\xbf\xbd"
    expect(cl_utf8_mend, CL_STR(""), CL_STR(""));
    expect(cl_utf8_mend, CL_STR("fine \xc3\xa9"), CL_STR("fine \xc3\xa9"));
    expect(cl_utf8_mend, CL_STR("\xff"), CL_STR(R));
    expect(cl_utf8_mend, CL_STR("a\x80z"), CL_STR("a" R "z"));
    expect(cl_utf8_mend, CL_STR("\xc3(\xc3"), CL_STR(R "(" R));
    expect(cl_utf8_mend, CL_STR("\xc0\x80"), CL_STR(R R));
    expect(cl_utf8_mend, CL_STR("\xe2\x82"), CL_STR(R));
    expect(cl_utf8_mend, CL_STR("\xe2\x82z"), CL_STR(R "z"));
    expect(cl_utf8_mend, CL_STR("\xe0\x80\x80"), CL_STR(R R R));
    expect(cl_utf8_mend, CL_STR("\xed\xa0\x80"), CL_STR(R R R));
    expect(cl_utf8_mend, CL_STR("\xf0\x9f\x98"), CL_STR(R));
    expect(cl_utf8_mend, CL_STR("\xf0\x9f\xc3\xa9"), CL_STR(R "\xc3\xa9"));
    expect(cl_utf8_mend, CL_STR("\xf0\x80\x80\x80"), CL_STR(R R R R));
    expect(cl_utf8_mend, CL_STR("\xf4\x90\x80\x80"), CL_STR(R R R R));
    expect(cl_utf8_mend, CL_STR("\xf5\x80"), CL_STR(R R));
    expect(cl_utf8_mend, CL_STR("\xe2\xe2\x82\xac"), CL_STR(R "\xe2\x82\xac"));
#undef R
}

static void plain_or_not(void)
{
    CHECK(cl_json_is_plain(CL_STR("")));
    CHECK(cl_json_is_plain(CL_STR("c.686c821a.12059.1 \xc3\xa9\xe2\x82\xac")));
    CHECK(!cl_json_is_plain(CL_STR("0123456789\"")));
    CHECK(!cl_json_is_plain(CL_STR("0123456789\\")));
    CHECK(!cl_json_is_plain(CL_STR("0123456789\n")));
    CHECK(!cl_json_is_plain(CL_STR("0123456789\xff")));
    CHECK(!cl_json_is_plain(CL_STR("0123456789\xe2\x82")));
    CHECK(!cl_json_is_plain(CL_STR("0123456789\xed\xa0\xbd")));
}

static void *refuse(void *user_data, void *block, size_t size)
{
    if (size == 0) free(block);
    return NULL;
}

static void no_memory_is_an_error(void)
{
    cl_buf out = {0};
    cl_mem_hook(refuse, NULL);
    CHECK_INT(cl_json_quote(CL_STR("x"), &out), CLOUDS_ENOMEM);
    CHECK_INT(cl_json_unescape(CL_STR("x"), &out), CLOUDS_ENOMEM);
    CHECK_INT(cl_utf8_mend(CL_STR("x\xff"), &out), CLOUDS_ENOMEM);
    CHECK_INT(cl_utf8_mend(CL_STR("\xff"), &out), CLOUDS_ENOMEM);
    cl_mem_hook(NULL, NULL);
    CHECK_INT(out.len, 0);
}

/* Whatever the length and wherever it stands: the steps of many bytes find what one after the other would. */
static void what_is_special_is_found(void)
{
    enum { MOST = 80 };
    static const char plain[] = " !#/[]0Az~\x7f"; /* next to what is special, and the bits that differ from it */
    char text[MOST];
    unsigned wrong = 0;
    for (size_t n = 1; n <= MOST; n++)
        for (size_t at = 0; at < n; at++)
            for (int c = 0; c < 256; c++) {
                for (size_t i = 0; i < n; i++) text[i] = plain[i % (sizeof plain - 1)];
                text[at] = (char)c;
                int is_special = c < 0x20 || c >= 0x80 || c == '"' || c == '\\';
                wrong += cl_text_skip_plain(text, text + n) != text + (is_special ? at : n);
            }
    CHECK_INT(wrong, 0);
}

int main(void)
{
    RUN(what_is_special_is_found);
    RUN(escapes_are_resolved);
    RUN(text_is_quoted);
    RUN(every_code_point_survives);
    RUN(broken_utf8_is_mended);
    RUN(plain_or_not);
    RUN(no_memory_is_an_error);
    return tap_end();
}
