/* What a node says of itself: the texts of options, records and files. */
#include "proto/traits.h"

#include <string.h>

#include "clouds.h"
#include "support/tap.h"

static char *repeat(char c, size_t n)
{
    static char text[600];
    memset(text, c, n);
    text[n] = '\0';
    return text;
}

static void tags_are_checked(void)
{
    static const char *const good[] = {"", "zone=a", "zone=a,host=b", "Z_o.n-e1=A:b/c@d+e_f.g-1", "a=1,b=1,c=1"};
    static const char *const bad[] = {"zone",       "zone=",     "=a",          ",",      "zone=a,",     ",zone=a",
                                      "zone=a,,b=c", "zone=a b", "zo ne=a",     "zone=\"", "zone=a\\",   "zone=a=b",
                                      "zone=\xc3\xa4", "a=1,a=2", "zone=a\nb=c", "z/one=a"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) CHECK_INT(cl_tags_check(cl_str_z(good[i])), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK_INT(cl_tags_check(cl_str_z(bad[i])), CLOUDS_EINVAL);
    CHECK_INT(cl_tags_check(CL_STR("a=\0")), CLOUDS_EINVAL);
}

static void tags_have_bounds(void)
{
    char text[600];
    for (size_t n = 31; n < 35; n++) {
        snprintf(text, sizeof text, "%s=a", repeat('n', n));
        CHECK_INT(cl_tags_check(cl_str_z(text)), n <= 32 ? 0 : CLOUDS_EINVAL);
    }
    for (size_t n = 63; n < 67; n++) {
        snprintf(text, sizeof text, "n=%s", repeat('v', n));
        CHECK_INT(cl_tags_check(cl_str_z(text)), n <= 64 ? 0 : CLOUDS_EINVAL);
    }
    for (int last = CL_TAGS_MOST - 224 - 2; last < CL_TAGS_MOST - 224 + 3; last++) { /* 224 bytes, and the rest in the last */
        char all[600] = "";
        for (int i = 0; i < 4; i++) snprintf(all + strlen(all), sizeof all - strlen(all), "n%d=%s,", i, repeat('v', 52));
        snprintf(all + strlen(all), sizeof all - strlen(all), "n4=%s", repeat('v', (size_t)last - 2));
        CHECK_INT(cl_tags_check(cl_str_z(all)), strlen(all) <= CL_TAGS_MOST ? 0 : CLOUDS_EINVAL);
    }
}

static void what_is_news(void)
{
    CHECK(!cl_tags_are_news(CL_STR_NONE));
    CHECK(!cl_tags_are_news(CL_STR("host=a")));
    CHECK(cl_tags_are_news(CL_STR("host=a,zone=b")));
    CHECK(cl_tags_are_news(CL_STR("zone=b,host=a")));
    CHECK(cl_tags_are_news(CL_STR("hosts=a")));
}

static void a_tag_is_found(void)
{
    cl_str tags = CL_STR("zone=a,host=bb,rack=ccc"), value, name;
    CHECK(cl_str_eq(cl_tags_value(tags, CL_STR("zone")), CL_STR("a")));
    CHECK(cl_str_eq(cl_tags_value(tags, CL_STR("host")), CL_STR("bb")));
    CHECK(cl_str_eq(cl_tags_value(tags, CL_STR("rack")), CL_STR("ccc")));
    CHECK_INT(cl_tags_value(tags, CL_STR("zon")).n, 0);
    CHECK_INT(cl_tags_value(tags, CL_STR("a")).n, 0);
    CHECK_INT(cl_tags_value(CL_STR_NONE, CL_STR("zone")).n, 0);
    int n = 0;
    for (size_t at = 0; cl_tags_next(tags, &at, &name, &value); n++) CHECK_INT(name.n, 4);
    CHECK_INT(n, 3);
}

static void check_text(uint32_t weight, const char *tags, const char *expected)
{
    char text[CL_TRAITS_TEXT];
    const cl_traits traits = {weight, cl_str_z(tags)};
    size_t n = cl_traits_write(&traits, text);
    CHECK_STR(text, n, expected);
    cl_traits back = cl_traits_read(cl_str_of(text, n));
    CHECK_INT(cl_traits_weight(&back), cl_traits_weight(&traits));
    CHECK(cl_str_eq(cl_traits_tags(&back), cl_traits_tags(&traits)));
}

static void as_a_text(void)
{
    check_text(0, "", "");
    check_text(1, "", "");
    check_text(3, "", "3 ");
    check_text(1, "zone=a", "1 zone=a");
    check_text(1000, "zone=a,host=b", "1000 zone=a,host=b");
    static const char *const bad[] = {"3", "0 zone=a", "1001 ", "10000 ", "-1 ", " zone=a", "x zone=a", "3 zone", "3  "};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cl_traits traits = cl_traits_read(cl_str_z(bad[i]));
        CHECK(traits.weight == 0 && traits.tags.n == 0);
    }
}

static void as_json(void)
{
    static const struct {
        uint32_t weight;
        const char *tags, *json;
    } rows[] = {{0, "", "{}"},
                {1, "", "{}"},
                {7, "", "{\"weight\":7}"},
                {1, "zone=a", "{\"tags\":\"zone=a\"}"},
                {1000, "zone=a,host=b", "{\"weight\":1000,\"tags\":\"zone=a,host=b\"}"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cl_buf out = {0};
        const cl_traits traits = {rows[i].weight, cl_str_z(rows[i].tags)};
        CHECK_INT(cl_traits_put(&traits, &out), 0);
        CHECK_INT(cl_buf_put_char(&out, '}'), 0);
        out.data[0] = out.len == 1 ? out.data[0] : '{';
        CHECK_STR(out.data, out.len, out.len == 1 ? "}" : rows[i].json);
        cl_traits back = cl_traits_of_object(cl_str_z(rows[i].json));
        CHECK_INT(cl_traits_weight(&back), rows[i].weight ? rows[i].weight : 1);
        CHECK(cl_str_eq(cl_traits_tags(&back), cl_traits_tags(&traits)));
        cl_buf_free(&out);
    }
}

static void tags_as_json(void)
{
    static const char *const rows[][2] = {
        {"", "{}"}, {"zone=a", "{\"zone\":\"a\"}"}, {"zone=a,host=b:1", "{\"zone\":\"a\",\"host\":\"b:1\"}"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cl_buf out = {0};
        CHECK_INT(cl_tags_put(cl_str_z(rows[i][0]), &out), 0);
        CHECK_STR(out.data, out.len, rows[i][1]);
        cl_buf_free(&out);
    }
}

/* Whatever another process wrote there. */
static void bad_json_says_nothing(void)
{
    static const char *const bad[] = {"{\"weight\":0}",         "{\"weight\":-1}",         "{\"weight\":1.5}",
                                      "{\"weight\":\"3\"}",     "{\"weight\":1001}",       "{\"weight\":99999999999}",
                                      "{\"tags\":\"zone\"}",    "{\"tags\":[\"zone=a\"]}", "{\"tags\":\"zone=\\u0061\"}",
                                      "{\"tags\":3}",           "[\"weight\",3]",          "\"weight\"",
                                      "{\"x\":{\"weight\":3}}", "{\"weight\"",             ""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cl_traits traits = cl_traits_of_object(cl_str_z(bad[i]));
        CHECK(cl_traits_weight(&traits) == 1 && traits.tags.n == 0);
    }
    cl_traits half = cl_traits_of_object(CL_STR("{\"weight\":5,\"tags\":\",\",\"more\":[1,{}]}"));
    CHECK(half.weight == 5 && half.tags.n == 0);
}

int main(void)
{
    RUN(tags_are_checked);
    RUN(tags_have_bounds);
    RUN(a_tag_is_found);
    RUN(what_is_news);
    RUN(as_a_text);
    RUN(as_json);
    RUN(tags_as_json);
    RUN(bad_json_says_nothing);
    return tap_end();
}
