/* A growing text that is reused. It never raises: a failure to grow is remembered by the caller. */
#ifndef CL_LUA_TEXT_H
#define CL_LUA_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef struct cl_text {
    char *data;
    size_t len, cap;
} cl_text;

/* Makes room for `more` bytes behind the end. false: no memory; the text is as it was. */
bool cl_text_reserve_slow(cl_text *t, size_t more);
void cl_text_free(cl_text *t);
/* Gives the memory back when one huge value had swollen it. */
void cl_text_trim(cl_text *t);

static inline bool cl_text_reserve(cl_text *t, size_t more)
{
    return t->cap - t->len >= more || cl_text_reserve_slow(t, more);
}

static inline bool cl_text_add(cl_text *t, const void *bytes, size_t len)
{
    if (!cl_text_reserve(t, len)) return false;
    if (len) memcpy(t->data + t->len, bytes, len);
    t->len += len;
    return true;
}

static inline bool cl_text_add_char(cl_text *t, char c)
{
    if (!cl_text_reserve(t, 1)) return false;
    t->data[t->len++] = c;
    return true;
}

#endif
