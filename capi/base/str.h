/* A borrowed piece of text or bytes: pointer and length, never owned, no terminating NUL. */
#ifndef CL_STR_H
#define CL_STR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct cl_str {
    const char *p;
    size_t n;
} cl_str;

#define CL_STR(literal) ((cl_str){"" literal, sizeof(literal) - 1})
#define CL_STR_NONE ((cl_str){"", 0})

static inline cl_str cl_str_of(const char *p, size_t n)
{
    return (cl_str){p ? p : "", p ? n : 0};
}

static inline cl_str cl_str_z(const char *z)
{
    return cl_str_of(z, z ? strlen(z) : 0);
}

static inline int cl_str_eq(cl_str a, cl_str b)
{
    return a.n == b.n && (a.p == b.p || memcmp(a.p, b.p, a.n) == 0);
}

static inline uint64_t cl_str_word(const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* The same where it is asked for each envelope, of names and ids: memcmp reads them by masked vectors, which wait for
 * what was written just before. */
static inline int cl_str_is(cl_str a, cl_str b)
{
    if (a.n != b.n) return 0;
    if (a.n < sizeof(uint64_t)) return memcmp(a.p, b.p, a.n) == 0;
    size_t last = a.n - sizeof(uint64_t);
    for (size_t i = 0; i < last; i += sizeof(uint64_t))
        if (cl_str_word(a.p + i) != cl_str_word(b.p + i)) return 0;
    return cl_str_word(a.p + last) == cl_str_word(b.p + last);
}

/* Copies to `to` and returns what comes behind it. Most of what an envelope has is short, where a call of memcpy takes
 * longer than the copy: two moves that may overlap do it. An absent text may have no address at all. */
static inline char *cl_str_copy(char *to, cl_str s)
{
    char *end = to + s.n;
    if (s.n < 4) {
        if (s.n == 0) return end;
        to[0] = s.p[0];
        to[s.n / 2] = s.p[s.n / 2];
        end[-1] = s.p[s.n - 1];
    } else if (s.n < 8) {
        uint32_t head, tail;
        memcpy(&head, s.p, 4);
        memcpy(&tail, s.p + s.n - 4, 4);
        memcpy(to, &head, 4);
        memcpy(end - 4, &tail, 4);
    } else if (s.n < 16) {
        uint64_t head, tail;
        memcpy(&head, s.p, 8);
        memcpy(&tail, s.p + s.n - 8, 8);
        memcpy(to, &head, 8);
        memcpy(end - 8, &tail, 8);
    } else if (s.n <= 32) {
        uint64_t head[2], tail[2];
        memcpy(head, s.p, 16);
        memcpy(tail, s.p + s.n - 16, 16);
        memcpy(to, head, 16);
        memcpy(end - 16, tail, 16);
    } else {
        memcpy(to, s.p, s.n);
    }
    return end;
}

static inline int cl_str_starts(cl_str s, cl_str head)
{
    return s.n >= head.n && memcmp(s.p, head.p, head.n) == 0;
}

/* Whether it is a decimal number, digits only and at most nine, within the bounds; then *out is set. */
int cl_str_number(cl_str s, int least, int most, int *out);
/* Whether it is a decimal number, with a point or none and with an exponent or none, whatever the locale of the process
 * says; then *out is set. */
int cl_str_real(cl_str s, double *out);

/* An owned copy, ended with a NUL that does not count; free it with cl_free. NULL when out of memory. */
char *cl_str_dup(cl_str s);

#endif
