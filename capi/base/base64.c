#include "base/base64.h"

#include "clouds.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int cl_base64_put(cl_buf *out, cl_str data)
{
    const unsigned char *p = (const unsigned char *)data.p;
    int code = cl_buf_reserve(out, (data.n + 2) / 3 * 4);
    if (code != 0) return code;
    for (size_t at = 0; at < data.n; at += 3) {
        size_t left = data.n - at;
        unsigned bits = (unsigned)p[at] << 16 | (left > 1 ? (unsigned)p[at + 1] << 8 : 0) | (left > 2 ? p[at + 2] : 0);
        cl_buf_add_char(out, digits[bits >> 18]);
        cl_buf_add_char(out, digits[bits >> 12 & 63]);
        cl_buf_add_char(out, left > 1 ? digits[bits >> 6 & 63] : '=');
        cl_buf_add_char(out, left > 2 ? digits[bits & 63] : '=');
    }
    return 0;
}

static int value_of(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

/* Four digits: the number of bytes they stand for, or -1. */
static int read_four(const char *p, int is_last, unsigned char bytes[3])
{
    int n = !is_last || p[3] != '=' ? 3 : p[2] != '=' ? 2 : 1;
    unsigned bits = 0;
    for (int i = 0; i <= n; i++) {
        int value = value_of(p[i]);
        if (value < 0) return -1;
        bits |= (unsigned)value << (18 - 6 * i);
    }
    for (int i = 0; i < 3; i++) bytes[i] = (unsigned char)(bits >> (16 - 8 * i));
    return n == 3 || bytes[n] == 0 ? n : -1; /* bits that stand for nothing are zero */
}

int cl_base64_read(cl_buf *out, cl_str text)
{
    size_t before = out->len;
    if (text.n % 4) return CLOUDS_EPROTO;
    int code = cl_buf_reserve(out, text.n / 4 * 3 + 1);
    for (size_t at = 0; code == 0 && at < text.n; at += 4) {
        unsigned char bytes[3];
        int n = read_four(text.p + at, at + 4 == text.n, bytes);
        if (n > 0) cl_buf_add(out, bytes, (size_t)n);
        else code = CLOUDS_EPROTO;
    }
    if (code != 0) out->len = before;
    return code;
}
