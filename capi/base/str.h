/* A borrowed piece of text or bytes: pointer and length, never owned, no terminating NUL. */
#ifndef CL_STR_H
#define CL_STR_H

#include <stddef.h>
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

static inline int cl_str_starts(cl_str s, cl_str head)
{
    return s.n >= head.n && memcmp(s.p, head.p, head.n) == 0;
}

/* Whether it is a decimal number, digits only and at most nine, within the bounds; then *out is set. */
int cl_str_number(cl_str s, int least, int most, int *out);

/* An owned copy, ended with a NUL that does not count; free it with cl_free. NULL when out of memory. */
char *cl_str_dup(cl_str s);

#endif
