/* Steps through UTF-8 text. */
#ifndef LC_UTF8_H
#define LC_UTF8_H

#include <stddef.h>
#include <stdint.h>

enum { LC_UTF8_BAD = 0, LC_UTF8_SURROGATE = -3 };

/* The length (2 to 4) of the valid sequence of more than one byte at `s`; LC_UTF8_SURROGATE for the three bytes of a
 * surrogate (WTF-8); LC_UTF8_BAD for anything else. */
static inline int lc_utf8_step(const unsigned char *s, size_t left)
{
    unsigned char c = s[0];
    if (c < 0xC2 || c > 0xF4 || left < 2 || (s[1] & 0xC0) != 0x80) return LC_UTF8_BAD;
    if (c < 0xE0) return 2;
    if (left < 3 || (s[2] & 0xC0) != 0x80) return LC_UTF8_BAD;
    if (c < 0xF0) {
        if (c == 0xE0 && s[1] < 0xA0) return LC_UTF8_BAD;
        return c == 0xED && s[1] >= 0xA0 ? LC_UTF8_SURROGATE : 3;
    }
    if (left < 4 || (s[3] & 0xC0) != 0x80) return LC_UTF8_BAD;
    if ((c == 0xF0 && s[1] < 0x90) || (c == 0xF4 && s[1] >= 0x90)) return LC_UTF8_BAD;
    return 4;
}

/* How many bytes are valid UTF-8, from the first on. */
static inline size_t lc_utf8_valid(const char *text, size_t n)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t at = 0;
    while (at < n) {
        int step = s[at] < 0x80 ? 1 : lc_utf8_step(s + at, n - at);
        if (step <= 0) break;
        at += (size_t)step;
    }
    return at;
}

/* Writes `code` (surrogates too) as UTF-8 into `out`, which has room for 4; returns the length. */
static inline int lc_utf8_put(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}

#endif
