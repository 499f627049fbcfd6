#include "str.h"

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
