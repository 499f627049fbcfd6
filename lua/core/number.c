#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "number.h"

#define EXACT 9007199254740992.0 /* 2^53: up to here each integer has a double of its own */
static const uint64_t exact_integer = (uint64_t)1 << 53;

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

/* The digits of a number without zeros at their end, and where its point stands: 0.DIGITS * 10^point. */
typedef struct decimal {
    char digits[20];
    int count, point;
} decimal;

static void set_decimal(decimal *to, uint64_t digits, int point)
{
    while (digits % 10 == 0) digits /= 10;
    to->count = (int)lc_integer_write(digits, to->digits);
    to->point = point;
}

#ifdef __SIZEOF_INT128__

__extension__ typedef unsigned __int128 wide;

/* A number times a power of ten, mantissa * five * 2^-shift, which has 17 digits before the point; all of it exact:
 * the largest power, 5^27, has 63 bits. */
typedef struct scaled {
    wide value; /* mantissa * five */
    uint64_t five;
    int shift;
    bool even, power; /* of its mantissa: even; a power of two, so that the number below is only half as far */
} scaled;

/* Would it read back as the same, from `distance` below or above it? */
static bool reads_back(const scaled *s, wide distance, bool below)
{
    wide twice = distance * (s->power && below ? 4 : 2);
    return twice < s->five || (twice == s->five && s->even);
}

/* The decimal nearest to it of those that are `step` apart, when that reads back as the same; 0 when none does. */
static uint64_t nearest(const scaled *s, uint64_t step)
{
    uint64_t whole = (uint64_t)(s->value >> s->shift), low = whole - whole % step;
    wide below = s->value - ((wide)low << s->shift), above = ((wide)step << s->shift) - below;
    bool down = below < above || (below == above && low / step % 2 == 0);
    for (int i = 0; i < 2; i++, down = !down) {
        if (down && reads_back(s, below, true)) return low;
        if (!down && reads_back(s, above, false)) return low + step;
    }
    return 0;
}

static void scale(scaled *s, uint64_t mantissa, int exponent, int fives)
{
    s->five = 1;
    for (int i = 0; i < fives; i++) s->five *= 5;
    s->value = (wide)mantissa * s->five;
    s->shift = -exponent - fives;
}

/* For numbers with a fraction, from 1e-10 on; false for others. */
static bool find_digits(double d, decimal *to)
{
    if (d < 1e-10 || d >= EXACT / 2) return false;
    scaled s;
    int exponent, point = -10;
    uint64_t mantissa = (uint64_t)ldexp(frexp(d, &exponent), 53);
    exponent -= 53;
    s.even = mantissa % 2 == 0;
    s.power = mantissa == (uint64_t)1 << 52;
    while (point < 16 && (point < 0 ? d * powers[-point] >= 1 : d >= powers[point])) point++;
    scale(&s, mantissa, exponent, 17 - point);
    if (s.value >> s.shift < 10000000000000000u) { /* the product was rounded up to 1 */
        point--;
        scale(&s, mantissa, exponent, 17 - point);
    }
    uint64_t digits = nearest(&s, 100);
    if (!digits) digits = nearest(&s, 10);
    if (!digits) digits = nearest(&s, 1);
    set_decimal(to, digits, point + (digits >= 100000000000000000u));
    return true;
}

#else

static bool find_digits(double d, decimal *to)
{
    (void)d;
    (void)to;
    return false;
}

#endif

/* "D.DDDe+XX", as printf writes it. */
static void read_printed(const char *text, decimal *to)
{
    uint64_t digits = 0;
    for (; *text != 'e'; text++)
        if (*text != '.') digits = digits * 10 + (uint64_t)(*text - '0');
    set_decimal(to, digits, 1 + (int)strtol(text + 1, NULL, 10));
}

/* Any number, by trial: the first precision that reads back as the same. Of a power of two the nearest decimal may be
 * on its narrow side, where it does not, and the one above does. Numbers below the normal ones have fewer digits. */
static void try_digits(double d, decimal *to)
{
    char text[LC_NUMBER_ROOM];
    int exponent;
    bool power = frexp(d, &exponent) == 0.5;
    locale_t plain = plain_locale(), before = plain ? uselocale(plain) : (locale_t)0;
    for (int precision = d < DBL_MIN ? 0 : 14;; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, d);
        if (precision == 16 || strtod(text, NULL) == d) break;
        if (!power || precision == 0) continue;
        text[precision + 1]++; /* the last digit; a nine would make it no number, and then it is not the one */
        if (text[precision + 1] <= '9' && strtod(text, NULL) == d) break;
    }
    if (plain) uselocale(before);
    read_printed(text, to);
}

static size_t put_zeros(char *out, int count)
{
    if (count <= 0) return 0;
    memset(out, '0', (size_t)count);
    return (size_t)count;
}

static size_t put_exponent(const decimal *n, char *out)
{
    size_t len = 0;
    int e = n->point - 1;
    out[len++] = n->digits[0];
    if (n->count > 1) {
        out[len++] = '.';
        memcpy(out + len, n->digits + 1, (size_t)n->count - 1);
        len += (size_t)n->count - 1;
    }
    out[len++] = 'e';
    out[len++] = e < 0 ? '-' : '+';
    return len + lc_integer_write((uint64_t)(e < 0 ? -e : e), out + len);
}

/* As JavaScript writes it: an exponent only from 1e21 on and below 1e-6. */
static size_t write_decimal(const decimal *n, char *out)
{
    if (n->point > 21 || n->point <= -6) return put_exponent(n, out);
    size_t len = 0;
    int whole = n->point < 0 ? 0 : n->point > n->count ? n->count : n->point;
    if (whole) memcpy(out, n->digits, len = (size_t)whole);
    else out[len++] = '0';
    len += put_zeros(out + len, n->point - n->count);
    if (whole == n->count) return len;
    out[len++] = '.';
    len += put_zeros(out + len, -n->point);
    memcpy(out + len, n->digits + whole, (size_t)(n->count - whole));
    return len + (size_t)(n->count - whole);
}

size_t lc_number_write_any(double d, char *out)
{
    size_t sign = 0;
    if (isnan(d) || isinf(d)) {
        memcpy(out, "null", 4);
        return 4;
    }
    if (d < 0) {
        out[sign++] = '-';
        d = -d;
    }
    if (d <= EXACT) {
        uint64_t n = (uint64_t)d;
        if ((double)n == d) return sign + lc_integer_write(n, out + sign);
    }
    decimal found;
    if (!find_digits(d, &found)) try_digits(d, &found);
    return sign + write_decimal(&found, out + sign);
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

/* Walks over one number of JSON's grammar; NULL when it is none. */
static const char *scan_number(const char *p, const char *end, scan *s)
{
    if (!lc_is_digit(p, end)) return NULL;
    if (*p == '0') {
        p++;
    } else {
        while (lc_is_digit(p, end)) take_digit(s, *p++, false);
    }
    if (p < end && *p == '.') {
        if (!lc_is_digit(++p, end)) return NULL;
        while (lc_is_digit(p, end)) take_digit(s, *p++, true);
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        bool negative = ++p < end && *p == '-';
        if (p < end && (*p == '+' || *p == '-')) p++;
        if (!lc_is_digit(p, end)) return NULL;
        int e = 0;
        for (; lc_is_digit(p, end); p++)
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

const char *lc_number_read_any(const char *p, const char *end, double *out)
{
    scan s = {0};
    bool negative = p < end && *p == '-';
    const char *start = p + negative, *behind = scan_number(start, end, &s);
    if (!behind) return NULL;
    double d = (double)s.mantissa;
    /* Exact only as long as neither the mantissa nor the power is rounded: the integer decides, for its double may have
     * been rounded down to 2^53. */
    if (s.inexact || s.mantissa > exact_integer || s.exponent > LAST_POWER || s.exponent < -LAST_POWER) {
        if (!read_slow(start, (size_t)(behind - start), &d)) return NULL;
    } else if (s.exponent < 0) {
        d /= powers[-s.exponent];
    } else if (s.exponent) {
        d *= powers[s.exponent];
    }
    *out = negative ? -d : d;
    return behind;
}
