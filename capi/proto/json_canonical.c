/* One text for all texts of a value that are alike: without white space, each number and each string in one form. By
 * digits alone: through a double numbers that differ would meet, and what strtod reads depends on the locale. */
#include <string.h>

#include "proto/json.h"

enum { FARTHEST = 1000000, MOST_DIGITS = 20 };

static int is_of_number(char c)
{
    return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/* The digits without those that say nothing, and the power of ten that they are to be multiplied by. */
static int put_digits(cl_str mantissa, cl_buf *out, long *exponent)
{
    size_t begin = out->len;
    int is_behind = 0, code = 0;
    for (size_t i = 0; i < mantissa.n && code == 0; i++) {
        char c = mantissa.p[i];
        if (c == '.') {
            is_behind = 1;
            continue;
        }
        *exponent -= is_behind;
        if (c != '0' || out->len > begin) code = cl_buf_put_char(out, c);
    }
    for (; out->len > begin && out->data[out->len - 1] == '0'; out->len--) ++*exponent;
    return code;
}

static long power_of(cl_str text)
{
    long power = 0;
    int is_negative = text.n && text.p[0] == '-';
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] >= '0' && text.p[i] <= '9' && power < FARTHEST) power = power * 10 + (text.p[i] - '0');
    return is_negative ? -power : power;
}

static int put_number(cl_str text, cl_buf *out)
{
    size_t begin = out->len, sign = text.n && text.p[0] == '-', mantissa = sign;
    while (mantissa < text.n && text.p[mantissa] != 'e' && text.p[mantissa] != 'E') mantissa++;
    size_t rest = mantissa < text.n ? mantissa + 1 : mantissa;
    long exponent = power_of(cl_str_of(text.p + rest, text.n - rest));
    int code = sign ? cl_buf_put_char(out, '-') : 0;
    if (code == 0) code = put_digits(cl_str_of(text.p + sign, mantissa - sign), out, &exponent);
    if (code != 0) return code;
    size_t digits = out->len - begin - sign;
    if (digits == 0) {
        out->len = begin;
        return cl_buf_put_char(out, '0');
    }
    if (exponent > 0 && (long)digits + exponent <= MOST_DIGITS)
        for (; exponent > 0 && code == 0; exponent--) code = cl_buf_put_char(out, '0');
    return code || !exponent ? code : cl_buf_printf(out, "e%ld", exponent);
}

/* The string that a text begins with; *n is how much of the text it is. */
static int put_string(cl_str text, cl_buf *out, size_t *n)
{
    cl_json j;
    cl_str raw = CL_STR_NONE;
    int is_escaped = 0;
    cl_json_start(&j, text, CL_JSON_ANY);
    int code = cl_json_string(&j, &raw, &is_escaped);
    *n = (size_t)(j.p - text.p);
    if (code || !is_escaped) return code ? code : cl_buf_put_str(out, cl_str_of(text.p, *n));
    cl_buf plain = {0};
    code = cl_json_unescape(raw, &plain);
    if (code == 0) code = cl_json_quote(cl_buf_str(&plain), out);
    cl_buf_free(&plain);
    return code;
}

int cl_json_canonical(cl_str value, cl_buf *out)
{
    int code = 0;
    for (size_t i = 0, n; i < value.n && code == 0; i += n) {
        cl_str rest = cl_str_of(value.p + i, value.n - i);
        n = 1;
        if (rest.p[0] == '"') {
            code = put_string(rest, out, &n);
        } else if (rest.p[0] == '-' || (rest.p[0] >= '0' && rest.p[0] <= '9')) {
            while (n < rest.n && is_of_number(rest.p[n])) n++;
            code = put_number(cl_str_of(rest.p, n), out);
        } else if (!memchr(" \t\r\n", rest.p[0], 4)) {
            code = cl_buf_put_char(out, rest.p[0]);
        }
    }
    return code;
}
