/* Numbers as JSON writes and reads them: exact, and independent of the locale. Small whole ones, which most are, are
 * done here. */
#ifndef LC_NUMBER_H
#define LC_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { LC_NUMBER_ROOM = 40 };

size_t lc_number_write_any(double d, char *out);
const char *lc_number_read_any(const char *p, const char *end, double *out);

/* The digits of `n` without an end; their number. */
static inline size_t lc_integer_write(uint64_t n, char *out)
{
    char digits[24];
    char *p = digits + sizeof digits;
    if (n < 10) {
        *out = (char)('0' + n);
        return 1;
    }
    do {
        *--p = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    size_t len = (size_t)(digits + sizeof digits - p);
    memcpy(out, p, len);
    return len;
}

/* Writes `d` into `out` (LC_NUMBER_ROOM bytes) as JavaScript does: the shortest decimal that reads back as the same,
 * with an exponent from 1e21 on and below 1e-6; -0 as 0, what is no number as null. Returns the length. */
static inline size_t lc_number_write(double d, char *out)
{
    if (d >= 0 && d < INT32_MAX && (int32_t)d == d) return lc_integer_write((uint32_t)(int32_t)d, out);
    return lc_number_write_any(d, out);
}

static inline bool lc_is_digit(const char *p, const char *end)
{
    return p < end && (unsigned char)(*p - '0') <= 9;
}

/* A whole number of few digits and nothing else; NULL: it has to be looked at more closely. */
static inline const char *lc_number_read_small(const char *p, const char *end, double *out)
{
    enum { MOST = 9 };
    uint32_t n = 0;
    const char *start = p;
    while (lc_is_digit(p, end)) {
        if (p - start == MOST) return NULL;
        n = n * 10 + (uint32_t)(*p++ - '0');
    }
    if (p == start || (*start == '0' && p - start > 1)) return NULL;
    if (p < end && (*p == '.' || *p == 'e' || *p == 'E')) return NULL;
    *out = (int32_t)n;
    return p;
}

/* Reads the number that JSON's grammar allows at `p`; returns what comes behind it, or NULL when there is none there,
 * or no memory for a very long one. */
static inline const char *lc_number_read(const char *p, const char *end, double *out)
{
    const char *behind = lc_number_read_small(p, end, out);
    return behind ? behind : lc_number_read_any(p, end, out);
}

#endif
