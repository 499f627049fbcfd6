/* UTF-8, byte by byte, and the fast walk over text that needs no look at all. */
#ifndef CL_UTF8_H
#define CL_UTF8_H

#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* The length of the well-formed sequence at p (p < end), or minus the number of bytes that a WHATWG decoder replaces by
 * one U+FFFD. */
int cl_utf8_sequence(const char *p, const char *end);

/* Writes the code point (surrogates too) to out, at least 4 bytes; returns how many were used. */
int cl_utf8_write(char *out, uint32_t code);

/* 1 when p begins a surrogate in its three bytes (WTF-8), as no UTF-8 has it. */
static inline int cl_utf8_is_surrogate(const char *p, const char *end)
{
    return end - p >= 3 && (unsigned char)p[0] == 0xed && ((unsigned char)p[1] & 0xe0) == 0xa0 &&
           ((unsigned char)p[2] & 0xc0) == 0x80;
}

#define CL_ONES 0x0101010101010101u
#define CL_HIGHS 0x8080808080808080u

/* With this bit turned a quote is less than '!', as control characters are, and nothing else changes sides: so one
 * comparison finds both. */
#define CL_QUOTE_BIT 2

/* Marks each byte of w that a JSON string cannot hold as it is or that must be looked at: quote, backslash, control
 * characters, everything beyond ASCII. The lowest mark is exact, those above it may be too many. */
static inline uint64_t cl_text_marks(uint64_t w)
{
    uint64_t turned = w ^ (CL_ONES * CL_QUOTE_BIT), backslash = w ^ (CL_ONES * '\\');
    return ((turned - CL_ONES * '!') | (backslash - CL_ONES) | w) & CL_HIGHS;
}

static inline int cl_text_is_special(unsigned char c)
{
    return c < 0x20 || c >= 0x80 || c == '"' || c == '\\';
}

#ifdef __SSE2__
/* The same for sixteen bytes, exactly: all bits of those that need no look. As a signed number what is beyond ASCII is
 * less than '!', too. */
static inline __m128i cl_text_plain16(const char *p)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i above = _mm_cmpgt_epi8(_mm_xor_si128(v, _mm_set1_epi8(CL_QUOTE_BIT)), _mm_set1_epi8(' '));
    return _mm_andnot_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('\\')), above);
}

/* A bit for each byte; all that are plain have theirs. */
enum { CL_ALL_PLAIN = 0xffff };
static inline unsigned cl_text_bits16(__m128i plain)
{
    return (unsigned)_mm_movemask_epi8(plain);
}
#endif

/* The first byte at or after p that is not printable ASCII free of quote and backslash; or end. */
static inline const char *cl_text_skip_plain(const char *p, const char *end)
{
#ifdef __SSE2__
    while (end - p >= 32) {
        if (cl_text_bits16(_mm_and_si128(cl_text_plain16(p), cl_text_plain16(p + 16))) != CL_ALL_PLAIN) break;
        p += 32;
    }
    for (; end - p >= 16; p += 16) {
        unsigned marks = cl_text_bits16(cl_text_plain16(p)) ^ CL_ALL_PLAIN;
        if (marks) return p + __builtin_ctz(marks);
    }
#endif
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    for (; end - p >= 8; p += 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        uint64_t marks = cl_text_marks(w);
        if (marks) return p + (__builtin_ctzll(marks) >> 3);
    }
#endif
    while (p < end && !cl_text_is_special((unsigned char)*p)) p++;
    return p;
}

#endif
