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
