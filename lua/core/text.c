#include <stdint.h>
#include <stdlib.h>

#include "text.h"

enum { FIRST_SIZE = 512, KEEP_SIZE = 1 << 20 };

bool lc_text_reserve_slow(lc_text *t, size_t more)
{
    if (more > SIZE_MAX / 4 || t->len > SIZE_MAX / 4) return false;
    size_t cap = t->cap ? t->cap : FIRST_SIZE;
    while (cap - t->len < more) cap *= 2;
    char *data = realloc(t->data, cap);
    if (!data) return false;
    t->data = data;
    t->cap = cap;
    return true;
}

void lc_text_free(lc_text *t)
{
    free(t->data);
    *t = (lc_text){0};
}

void lc_text_trim(lc_text *t)
{
    if (t->cap > KEEP_SIZE) lc_text_free(t);
    t->len = 0;
}
