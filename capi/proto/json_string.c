/* Text into JSON strings and out of them. */
#include "clouds.h"
#include "base/hex.h"
#include "proto/json.h"
#include "proto/utf8.h"

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

/* ---- out of JSON */

static uint32_t hex4(const char *p)
{
    return (uint32_t)(cl_hex_value(p[0]) << 12 | cl_hex_value(p[1]) << 8 | cl_hex_value(p[2]) << 4 |
                      cl_hex_value(p[3]));
}

/* p is behind "\u"; returns where it stopped. A high surrogate takes the low one that follows along. */
static const char *add_code(cl_buf *out, const char *p, const char *end)
{
    uint32_t code = hex4(p);
    p += 4;
    if (code >= 0xd800 && code < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
        uint32_t low = hex4(p + 2);
        if (low >= 0xdc00 && low < 0xe000) {
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            p += 6;
        }
    }
    out->len += (size_t)cl_utf8_write(out->data + out->len, code);
    return p;
}

/* p is at a backslash. */
static const char *add_escape(cl_buf *out, const char *p, const char *end)
{
    static const char names[] = "bfnrt", meant[] = "\b\f\n\r\t";
    if (end - p < 2) {
        cl_buf_add_char(out, *p);
        return end;
    }
    char c = p[1];
    if (c == 'u' && end - p >= 6) return add_code(out, p + 2, end);
    const char *at = strchr(names, c);
    cl_buf_add_char(out, at && c ? meant[at - names] : c);
    return p + 2;
}

int cl_json_unescape(cl_str raw, cl_buf *out)
{
    if (raw.n == 0) return 0;
    if (cl_buf_reserve(out, raw.n) != 0) return CLOUDS_ENOMEM; /* nothing grows: six bytes become at most three */
    const char *p = raw.p, *end = raw.p + raw.n;
    while (p < end) {
        const char *escape = memchr(p, '\\', (size_t)(end - p));
        size_t n = (size_t)((escape ? escape : end) - p);
        cl_buf_add(out, p, n);
        p += n;
        if (escape) p = add_escape(out, p, end);
    }
    return 0;
}

int cl_json_unquote(cl_str value, cl_buf *out)
{
    return cl_json_unescape(cl_str_of(value.p + 1, value.n - 2), out);
}

/* ---- into JSON */

/* How the character at p (special, see cl_text_is_special) is written: the text goes to out (at least 6 bytes), its
 * length is returned; *used is how many bytes it stands for. */
static size_t quote_special(const char *p, const char *end, char *out, size_t *used)
{
    static const char names[] = "btn\0fr";
    unsigned char c = (unsigned char)*p;
    *used = 1;
    if (c == '"' || c == '\\') return out[0] = '\\', out[1] = (char)c, 2;
    if (c >= '\b' && c <= '\r' && c != '\v') return out[0] = '\\', out[1] = names[c - '\b'], 2;
    if (c < 0x80) return memcpy(out, "\\u00", 4), out[4] = cl_hex_digit(c >> 4), out[5] = cl_hex_digit(c), 6;
    int n = cl_utf8_sequence(p, end);
    if (n > 0) return *used = (size_t)n, memcpy(out, p, (size_t)n), (size_t)n;
    if (!cl_utf8_is_surrogate(p, end)) return *used = (size_t)-n, memcpy(out, replacement, 3), 3;
    unsigned code = 0xd000u | ((unsigned char)p[1] & 0x3fu) << 6 | ((unsigned char)p[2] & 0x3fu);
    memcpy(out, "\\ud", 3);
    for (int i = 0; i < 3; i++) out[3 + i] = cl_hex_digit(code >> (8 - 4 * i));
    return *used = 3, 6;
}

size_t cl_json_quoted_length(cl_str text)
{
    const char *p = text.p, *end = p + text.n;
    size_t length = 2, used;
    char piece[8];
    for (;;) {
        const char *special = cl_text_skip_plain(p, end);
        length += (size_t)(special - p);
        if (special == end) return length;
        length += quote_special(special, end, piece, &used);
        p = special + used;
    }
}

int cl_json_quote(cl_str text, cl_buf *out)
{
    if (cl_buf_reserve(out, cl_json_quoted_length(text)) != 0) return CLOUDS_ENOMEM;
    const char *p = text.p, *end = p + text.n;
    cl_buf_add_char(out, '"');
    for (;;) {
        const char *special = cl_text_skip_plain(p, end);
        cl_buf_add(out, p, (size_t)(special - p));
        if (special == end) break;
        char piece[8];
        size_t used, n = quote_special(special, end, piece, &used);
        cl_buf_add(out, piece, n);
        p = special + used;
    }
    cl_buf_add_char(out, '"');
    return 0;
}

int cl_json_is_plain(cl_str text)
{
    const char *p = text.p, *end = p + text.n;
    while ((p = cl_text_skip_plain(p, end)) < end) {
        int n = (unsigned char)*p >= 0x80 ? cl_utf8_sequence(p, end) : -1;
        if (n < 0) return 0;
        p += n;
    }
    return 1;
}

/* ---- mending */

static inline const char *skip_well_formed(const char *p, const char *end, int *bad)
{
    for (*bad = 0; p < end;) {
        int n = (unsigned char)*p < 0x80 ? 1 : cl_utf8_sequence(p, end);
        if (n < 0) {
            *bad = -n;
            break;
        }
        p += n;
    }
    return p;
}

int cl_utf8_mend(cl_str text, cl_buf *out)
{
    const char *p = text.p, *end = p + text.n;
    while (p < end) {
        int bad;
        const char *stop = skip_well_formed(p, end, &bad);
        if (cl_buf_put(out, p, (size_t)(stop - p)) != 0) return CLOUDS_ENOMEM;
        if (bad && cl_buf_put(out, replacement, 3) != 0) return CLOUDS_ENOMEM;
        p = stop + bad;
    }
    return 0;
}
