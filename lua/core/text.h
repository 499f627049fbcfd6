/* A growing text that is reused. It never raises: a failure to grow is remembered by the caller. */
#ifndef LC_TEXT_H
#define LC_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef struct lc_text {
    char *data;
    size_t len, cap;
} lc_text;

/* Makes room for `more` bytes behind the end. false: no memory; the text is as it was. */
bool lc_text_reserve_slow(lc_text *t, size_t more);
void lc_text_free(lc_text *t);
/* Gives the memory back when one huge value had swollen it. */
void lc_text_trim(lc_text *t);

static inline bool lc_text_reserve(lc_text *t, size_t more)
{
    return t->cap - t->len >= more || lc_text_reserve_slow(t, more);
}

static inline bool lc_text_add(lc_text *t, const void *bytes, size_t len)
{
    if (!lc_text_reserve(t, len)) return false;
    if (len) memcpy(t->data + t->len, bytes, len);
    t->len += len;
    return true;
}

static inline bool lc_text_add_char(lc_text *t, char c)
{
    if (!lc_text_reserve(t, 1)) return false;
    t->data[t->len++] = c;
    return true;
}

#endif
