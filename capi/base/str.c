#include "str.h"

#include <math.h>

#include "mem.h"

char *cl_str_dup(cl_str s)
{
    char *copy = cl_malloc(s.n + 1);
    if (!copy) return NULL;
    memcpy(copy, s.p, s.n);
    copy[s.n] = '\0';
    return copy;
}

int cl_str_number(cl_str s, int least, int most, int *out)
{
    int value = 0;
    if (s.n == 0 || s.n > 9) return 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') return 0;
        value = value * 10 + (s.p[i] - '0');
    }
    if (value < least || value > most) return 0;
    *out = value;
    return 1;
}

static int take(cl_str *s, char c)
{
    if (!s->n || s->p[0] != c) return 0;
    *s = cl_str_of(s->p + 1, s->n - 1);
    return 1;
}

static int take_minus(cl_str *s)
{
    int negative = take(s, '-');
    if (!negative) take(s, '+');
    return negative;
}

/* Adds the digits that s begins with to *value. How many these are. */
static int take_digits(cl_str *s, long double *value)
{
    int n = 0;
    for (; s->n && s->p[0] >= '0' && s->p[0] <= '9'; n++, s->p++, s->n--) *value = *value * 10 + (s->p[0] - '0');
    return n;
}

int cl_str_real(cl_str s, double *out)
{
    long double value = 0, power = 0;
    int negative = take_minus(&s), digits = take_digits(&s, &value);
    int decimals = take(&s, '.') ? take_digits(&s, &value) : 0;
    if (digits + decimals == 0 || digits + decimals > 300) return 0;
    if (take(&s, 'e') || take(&s, 'E')) {
        int is_small = take_minus(&s);
        if (!take_digits(&s, &power) || power > 400) return 0;
        if (is_small) power = -power;
    }
    if (s.n) return 0;
    value *= powl(10, power - decimals);
    *out = (double)(negative ? -value : value);
    return 1;
}
