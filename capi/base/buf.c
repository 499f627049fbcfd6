#include "buf.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "clouds.h"
#include "mem.h"

int cl_buf_grow(cl_buf *b, size_t more)
{
    if (more > SIZE_MAX / 4 - b->len) return CLOUDS_ENOMEM;
    size_t need = b->len + more;
    size_t cap = b->cap ? b->cap : 64;
    while (cap < need) cap *= 2;
    char *data = cl_realloc(b->data, cap);
    if (!data) return CLOUDS_ENOMEM;
    b->data = data;
    b->cap = cap;
    return 0;
}

int cl_buf_put(cl_buf *b, const void *p, size_t n)
{
    if (cl_buf_reserve(b, n) != 0) return CLOUDS_ENOMEM;
    if (n) cl_buf_add(b, p, n);
    return 0;
}

int cl_buf_put_str(cl_buf *b, cl_str s)
{
    return cl_buf_put(b, s.p, s.n);
}

int cl_buf_put_char(cl_buf *b, char c)
{
    return cl_buf_put(b, &c, 1);
}

int cl_buf_put_int(cl_buf *b, int64_t value)
{
    char digits[20];
    uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    size_t n = cl_digits(digits, size);
    if (cl_buf_reserve(b, n + 1) != 0) return CLOUDS_ENOMEM;
    if (value < 0) cl_buf_add_char(b, '-');
    cl_buf_add(b, digits, n);
    return 0;
}

void cl_number_plain(char *text)
{
    char *to = text;
    for (const char *from = text; *from;) {
        size_t n = strcspn(from, "0123456789+-e");
        if (n) *to++ = '.';
        from += n;
        if (*from) *to++ = *from++;
    }
    *to = '\0';
}

const char *cl_number_text(char out[CL_NUMBER_TEXT], double value, int digits)
{
    snprintf(out, CL_NUMBER_TEXT, "%.*g", digits, value);
    if (isfinite(value)) cl_number_plain(out); /* the others have letters */
    return out;
}

int cl_buf_put_real(cl_buf *b, double value, int digits)
{
    char text[CL_NUMBER_TEXT];
    return cl_buf_put_str(b, cl_str_z(cl_number_text(text, value, digits)));
}

int cl_buf_printf(cl_buf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    int code = n < 0 ? CLOUDS_EINVAL : cl_buf_reserve(b, (size_t)n + 1);
    if (code == 0) {
        vsnprintf(b->data + b->len, (size_t)n + 1, format, again);
        b->len += (size_t)n;
    }
    va_end(again);
    return code;
}

void cl_buf_consume(cl_buf *b, size_t n)
{
    if (n >= b->len) {
        b->len = 0;
        return;
    }
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
}

void cl_buf_free(cl_buf *b)
{
    cl_free(b->data);
    *b = (cl_buf){0};
}

/* Two digits a step, from the last. */
size_t cl_digits(char *out, uint64_t v)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
                                "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
                                "8081828384858687888990919293949596979899";
    char digits[20];
    size_t at = sizeof digits;
    for (; v >= 100; v /= 100) memcpy(digits + (at -= 2), pairs + v % 100 * 2, 2);
    if (v >= 10) memcpy(digits + (at -= 2), pairs + v * 2, 2);
    else digits[--at] = (char)('0' + v);
    memcpy(out, digits + at, sizeof digits - at);
    return sizeof digits - at;
}
