#include "base/buf.h"

#include <math.h>
#include <stdint.h>

#include "base/mem.h"
#include "clouds.h"
#include "support/locale.h"
#include "support/tap.h"

static void appends_and_grows(void)
{
    cl_buf b = {0};
    char want[1001] = "";
    for (int i = 0; i < 1000; i++) {
        want[i] = (char)('a' + i % 26);
        REQUIRE(cl_buf_put_char(&b, want[i]) == 0);
        CHECK(b.cap >= b.len);
    }
    CHECK_STR(b.data, b.len, want);
    cl_buf_free(&b);
    CHECK(b.data == NULL && b.len == 0 && b.cap == 0);
    CHECK_INT(cl_buf_put_str(&b, CL_STR("again")), 0);
    CHECK_STR(b.data, b.len, "again");
    cl_buf_free(&b);
}

static void reserve_keeps_the_content(void)
{
    cl_buf b = {0};
    REQUIRE(cl_buf_put_str(&b, CL_STR("head")) == 0);
    REQUIRE(cl_buf_reserve(&b, 100000) == 0);
    CHECK(b.cap - b.len >= 100000);
    CHECK_STR(b.data, b.len, "head");
    cl_buf_clear(&b);
    CHECK_INT(b.len, 0);
    CHECK(b.cap >= 100000);
    cl_buf_free(&b);
}

static void a_size_beyond_memory_is_refused(void)
{
    cl_buf b = {0};
    REQUIRE(cl_buf_put_str(&b, CL_STR("x")) == 0);
    CHECK_INT(cl_buf_reserve(&b, SIZE_MAX), CLOUDS_ENOMEM);
    CHECK_INT(cl_buf_reserve(&b, SIZE_MAX - 1), CLOUDS_ENOMEM);
    CHECK_STR(b.data, b.len, "x");
    cl_buf_free(&b);
}

static void *refuse(void *user_data, void *block, size_t size)
{
    if (size == 0) free(block);
    return NULL;
}

static void no_memory_leaves_it_unchanged(void)
{
    cl_buf b = {0};
    REQUIRE(cl_buf_put_str(&b, CL_STR("kept")) == 0);
    size_t cap = b.cap;
    cl_mem_hook(refuse, NULL);
    CHECK_INT(cl_buf_reserve(&b, 1000), CLOUDS_ENOMEM);
    CHECK_INT(cl_buf_printf(&b, "%0500d", 1), CLOUDS_ENOMEM);
    cl_mem_hook(NULL, NULL);
    CHECK_STR(b.data, b.len, "kept");
    CHECK_INT(b.cap, cap);
    cl_buf_free(&b);
}

static void consume_drops_the_head(void)
{
    cl_buf b = {0};
    REQUIRE(cl_buf_put_str(&b, CL_STR("0123456789")) == 0);
    cl_buf_consume(&b, 0);
    CHECK_INT(b.len, 10);
    cl_buf_consume(&b, 4);
    CHECK_STR(b.data, b.len, "456789");
    cl_buf_consume(&b, 100);
    CHECK_INT(b.len, 0);
    cl_buf_free(&b);
}

static void numbers(void)
{
    static const int64_t values[] = {0,         1,        -1, 9, 10, 99, 100, 9007199254740991, -9007199254740993,
                                     INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char want[32];
        cl_buf b = {0};
        snprintf(want, sizeof want, "%lld", (long long)values[i]);
        CHECK_INT(cl_buf_put_int(&b, values[i]), 0);
        CHECK_STR(b.data, b.len, want);
        cl_buf_free(&b);
    }
    char digits[20];
    size_t n = cl_digits(digits, UINT64_MAX);
    CHECK_STR(digits, n, "18446744073709551615");
}

static void printf_appends(void)
{
    cl_buf b = {0};
    CHECK_INT(cl_buf_printf(&b, "%s-%d", "a", 5), 0);
    CHECK_INT(cl_buf_printf(&b, "|%0200d|", 7), 0);
    CHECK_INT(b.len, 3 + 202);
    CHECK(b.len > 3 && memcmp(b.data, "a-5|", 4) == 0 && b.data[204] == '|');
    cl_buf_free(&b);
}

static void real_numbers(void)
{
    char texts[][2][CL_NUMBER_TEXT] = {{"1", "1"}, {"1.5", "1.5"}, {"1,5", "1.5"}, {"-0,25", "-0.25"}, {"1,5e-07", "1.5e-07"},
                           {"1\xd9\xab" "5", "1.5"}, {"1e+20", "1e+20"}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        cl_number_plain(texts[i][0]);
        CHECK_STR(texts[i][0], strlen(texts[i][0]), texts[i][1]);
    }
    cl_buf b = {0};
    CHECK_INT(cl_buf_put_real(&b, 0.1, 6), 0);
    CHECK_INT(cl_buf_put_char(&b, ' '), 0);
    CHECK_INT(cl_buf_put_real(&b, 1234567.125, 15), 0);
    CHECK_STR(b.data, b.len, "0.1 1234567.125");
    cl_buf_free(&b);
    CHECK(strcmp(cl_number_text(texts[0][0], 0.1, 17), "0.10000000000000001") == 0);
    CHECK(strcmp(cl_number_text(texts[0][0], HUGE_VAL, 6), "inf") == 0);
}

static void numbers_are_read(void)
{
    static const struct {
        const char *text;
        double value;
    } good[] = {{"0", 0},     {"-0", 0},     {"+1.5", 1.5},    {"8.55", 8.55}, {".5", 0.5},
                {"2.", 2},    {"1e-05", 1e-5}, {"-1.25E+2", -125}, {"1e308", 1e308}, {"86400", 86400}};
    static const char *const bad[] = {"", ".", "-", "e1", "1e", "1e+", "1e401", "1,5", "1.5.", " 1", "1 ", "0x1", "inf", "nan"};
    double value = 7;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CHECK(cl_str_real(cl_str_z(good[i].text), &value) && fabs(value - good[i].value) == 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!CHECK(!cl_str_real(cl_str_z(bad[i]), &value))) printf("# '%s'\n", bad[i]);
    CHECK(value > 86399);
    CHECK(cl_str_real(cl_str_of("12.53", 4), &value) && fabs(value - 12.5) == 0);
}

/* A program may have set one. */
static void a_locale_changes_no_number(void)
{
    if (!use_comma()) return;
    real_numbers();
    numbers_are_read();
    setlocale(LC_NUMERIC, "C");
}

static void strings(void)
{
    CHECK(cl_str_eq(CL_STR("ab"), cl_str_of("abc", 2)));
    CHECK(!cl_str_eq(CL_STR("ab"), CL_STR("abc")));
    CHECK(!cl_str_eq(CL_STR("ab"), CL_STR("ac")));
    CHECK(cl_str_eq(CL_STR("a\0b"), cl_str_of("a\0b", 3)));
    CHECK(cl_str_starts(CL_STR("abc"), CL_STR("ab")) && !cl_str_starts(CL_STR("a"), CL_STR("ab")));
    CHECK(cl_str_of(NULL, 5).n == 0 && cl_str_z(NULL).n == 0);
    char *copy = cl_str_dup(cl_str_of("x\0y", 3));
    REQUIRE(copy != NULL);
    CHECK(memcmp(copy, "x\0y\0", 4) == 0);
    cl_free(copy);
}

/* Whatever the length, and wherever they differ. */
static void texts_are_compared(void)
{
    char a[48], b[48];
    for (size_t n = 0; n < sizeof a; n++) {
        for (size_t i = 0; i < n; i++) a[i] = b[i] = (char)(i * 7 + n);
        CHECK(cl_str_is(cl_str_of(a, n), cl_str_of(b, n)) && cl_str_eq(cl_str_of(a, n), cl_str_of(b, n)));
        if (n) CHECK(!cl_str_is(cl_str_of(a, n), cl_str_of(b, n - 1)));
        for (size_t i = 0; i < n; i++) {
            b[i] ^= 64;
            CHECK(!cl_str_is(cl_str_of(a, n), cl_str_of(b, n)) && !cl_str_eq(cl_str_of(a, n), cl_str_of(b, n)));
            b[i] ^= 64;
        }
    }
}

int main(void)
{
    RUN(texts_are_compared);
    RUN(appends_and_grows);
    RUN(reserve_keeps_the_content);
    RUN(a_size_beyond_memory_is_refused);
    RUN(no_memory_leaves_it_unchanged);
    RUN(consume_drops_the_head);
    RUN(numbers);
    RUN(printf_appends);
    RUN(real_numbers);
    RUN(numbers_are_read);
    RUN(a_locale_changes_no_number);
    RUN(strings);
    return tap_end();
}
