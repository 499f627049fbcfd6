/* Strings as JSON text. */
#include <stdint.h>

#include "json.h"
#include "utf8.h"

/* For the characters below 128. 0: stands for itself; 'u': \u00xx; else the letter behind the backslash. */
static const char escapes[128] = {'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'b',         't',          'n', 'u',
                                  'f', 'r', 'u', 'u', 'u', 'u', 'u', 'u', 'u',         'u',          'u', 'u',
                                  'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', ['"'] = '"', ['\\'] = '\\'};

static char *put_escape(char *to, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    *to++ = '\\';
    *to++ = escapes[c];
    if (escapes[c] != 'u') return to;
    *to++ = '0';
    *to++ = '0';
    *to++ = hex[c >> 4];
    *to++ = hex[c & 15];
    return to;
}

static char *put_surrogate(char *to, const unsigned char *s)
{
    static const char hex[] = "0123456789abcdef";
    unsigned code = (unsigned)(s[0] & 15) << 12 | (unsigned)(s[1] & 63) << 6 | (unsigned)(s[2] & 63);
    *to++ = '\\';
    *to++ = 'u';
    for (int shift = 12; shift >= 0; shift -= 4) *to++ = hex[code >> shift & 15];
    return to;
}

/* What a string can take: six times itself, which for a long one is worth to be counted. */
static size_t room_for(const unsigned char *s, size_t len)
{
    if (len <= 1024) return len * 6 + 2;
    size_t room = len + 2;
    for (size_t i = 0; i < len; i++) {
        if (s[i] < 0x20) room += 5;
        else if (s[i] == '"' || s[i] == '\\') room += 1;
        else if (s[i] == 0xED) room += 3; /* perhaps a surrogate: three bytes become six */
    }
    return room;
}

void lc_encode_string(lc_text *out, const char *s, size_t len, bool *ok, size_t *bad_at)
{
    const unsigned char *p = (const unsigned char *)s, *end = p + len;
    *ok = false;
    *bad_at = SIZE_MAX;
    if (len > LC_JSON_MAX_LENGTH || !lc_text_reserve(out, room_for(p, len))) return;
    char *to = out->data + out->len;
    *to++ = '"';
    while (p < end) {
        unsigned char c = *p;
        if (c < 128) {
            if (!escapes[c]) *to++ = (char)c;
            else to = put_escape(to, c);
            p++;
        } else {
            int step = lc_utf8_step(p, (size_t)(end - p));
            if (step == LC_UTF8_BAD) {
                *bad_at = (size_t)(p - (const unsigned char *)s);
                return;
            }
            if (step == LC_UTF8_SURROGATE) {
                to = put_surrogate(to, p);
                p += 3;
            } else {
                memcpy(to, p, (size_t)step);
                to += step;
                p += step;
            }
        }
    }
    *to++ = '"';
    out->len = (size_t)(to - out->data);
    *ok = true;
}
