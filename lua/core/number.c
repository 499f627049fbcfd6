#include <locale.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "number.h"

#define EXACT 9007199254740992.0 /* 2^53: up to here each integer has a double of its own */

static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
enum { LAST_POWER = 22 };

/* The locale "C", made once and kept; (locale_t)0 when there was no memory for it. */
static locale_t plain_locale(void)
{
    static locale_t plain;
    locale_t known = __atomic_load_n(&plain, __ATOMIC_ACQUIRE);
    if (known) return known;
    locale_t made = newlocale(LC_ALL_MASK, "C", (locale_t)0), none = (locale_t)0;
    if (!made || __atomic_compare_exchange_n(&plain, &none, made, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return made;
    freelocale(made);
    return none;
}

static size_t write_integer(uint64_t n, char *out)
{
    char digits[24];
    char *p = digits + sizeof digits;
    do {
        *--p = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    size_t len = (size_t)(digits + sizeof digits - p);
    memcpy(out, p, len);
    return len;
}

/* The shortest decimal of a plain fraction: d is m / 10^k, correctly rounded, with the smallest k for which that is so.
 * Both m and 10^k are exact, so the division decides it. 0 when there is none with few digits. */
static size_t write_fraction(double d, char *out)
{
    for (int k = 1; k <= 17; k++) {
        double m = rint(d * powers[k]);
        if (m >= EXACT) return 0;
        if (m / powers[k] != d) continue;
        char digits[24];
        size_t len = write_integer((uint64_t)m, digits), at = 0;
        size_t whole = len > (size_t)k ? len - (size_t)k : 0;
        if (whole) memcpy(out, digits, at = whole);
        else out[at++] = '0';
        out[at++] = '.';
        for (size_t zeros = (size_t)k > len ? (size_t)k - len : 0; zeros; zeros--) out[at++] = '0';
        memcpy(out + at, digits + whole, len - whole);
        return at + len - whole;
    }
    return 0;
}

/* With the first precision, from `precision` on, that reads back as the same. */
static size_t write_general(double d, char *out, int precision)
{
    locale_t plain = plain_locale(), before = plain ? uselocale(plain) : (locale_t)0;
    int len = 0;
    for (; precision <= 17; precision++) {
        len = snprintf(out, CL_NUMBER_ROOM, "%.*g", precision, d);
        if (precision == 17 || strtod(out, NULL) == d) break;
    }
    if (plain) uselocale(before);
    return (size_t)len;
}

size_t cl_number_write(double d, char *out)
{
    size_t sign = 0;
    if (d < 0) {
        out[sign++] = '-';
        d = -d;
    }
    if (d <= EXACT) {
        uint64_t n = (uint64_t)d;
        if ((double)n == d) return sign + write_integer(n, out + sign);
        bool plain = d >= 1e-4; /* then write_fraction finds all that 15 digits can say */
        size_t len = plain ? write_fraction(d, out + sign) : 0;
        return sign + (len ? len : write_general(d, out + sign, plain ? 16 : 15));
    }
    if (isnan(d) || isinf(d)) {
        memcpy(out, "null", 4);
        return 4;
    }
    return sign + write_general(d, out + sign, 15);
}

typedef struct scan {
    uint64_t mantissa;
    int digits;   /* significant ones in the mantissa */
    int exponent; /* of ten */
    bool inexact; /* more digits than the mantissa takes */
} scan;

static void take_digit(scan *s, char c, bool fraction)
{
    if (s->digits < 18) {
        s->mantissa = s->mantissa * 10 + (uint64_t)(c - '0');
        if (s->mantissa) s->digits++;
        if (fraction) s->exponent--;
    } else {
        s->inexact = true;
        if (!fraction) s->exponent++;
    }
}

static inline bool is_digit(const char *p, const char *end)
{
    return p < end && (unsigned char)(*p - '0') <= 9;
}

/* Walks over one number of JSON's grammar; NULL when it is none. */
static const char *scan_number(const char *p, const char *end, scan *s)
{
    if (!is_digit(p, end)) return NULL;
    if (*p == '0') {
        p++;
    } else {
        while (is_digit(p, end)) take_digit(s, *p++, false);
    }
    if (p < end && *p == '.') {
        if (!is_digit(++p, end)) return NULL;
        while (is_digit(p, end)) take_digit(s, *p++, true);
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        bool negative = ++p < end && *p == '-';
        if (p < end && (*p == '+' || *p == '-')) p++;
        if (!is_digit(p, end)) return NULL;
        int e = 0;
        for (; is_digit(p, end); p++)
            if (e < 100000) e = e * 10 + (*p - '0');
        s->exponent += negative ? -e : e;
    }
    return p;
}

/* The correct rounding of any text, at the price of a copy that ends with NUL. */
static bool read_slow(const char *p, size_t len, double *out)
{
    char small[128], *copy = len < sizeof small ? small : malloc(len + 1);
    if (!copy) return false;
    memcpy(copy, p, len);
    copy[len] = 0;
    locale_t plain = plain_locale();
    *out = plain ? strtod_l(copy, NULL, plain) : strtod(copy, NULL);
    if (copy != small) free(copy);
    return true;
}

const char *cl_number_read(const char *p, const char *end, double *out)
{
    scan s = {0};
    bool negative = p < end && *p == '-';
    const char *start = p + negative, *behind = scan_number(start, end, &s);
    if (!behind) return NULL;
    double d = (double)s.mantissa;
    if (s.inexact || d > EXACT || s.exponent > LAST_POWER || s.exponent < -LAST_POWER) {
        if (!read_slow(start, (size_t)(behind - start), &d)) return NULL;
    } else if (s.exponent < 0) {
        d /= powers[-s.exponent];
    } else if (s.exponent) {
        d *= powers[s.exponent];
    }
    *out = negative ? -d : d;
    return behind;
}
