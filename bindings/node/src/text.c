/* A text that grows. */
#include "addon.h"

#include <stdlib.h>
#include <string.h>

enum { KEPT = 1 << 20 };

bool cl_text_room(cl_text *text, size_t more)
{
    if (text->cap - text->len >= more) return true;
    size_t cap = text->cap ? text->cap : 4096;
    while (cap - text->len < more) cap *= 2;
    char *p = realloc(text->p, cap);
    if (!p) return false;
    text->p = p;
    text->cap = cap;
    return true;
}

bool cl_text_add(cl_text *text, const char *p, size_t n)
{
    if (!cl_text_room(text, n)) return false;
    if (n) memcpy(text->p + text->len, p, n);
    text->len += n;
    return true;
}

bool cl_text_quote(cl_text *text, const char *p, size_t n)
{
    static const char hex[] = "0123456789abcdef";
    if (!cl_text_room(text, 6 * n + 2)) return false;
    char *to = text->p + text->len;
    *to++ = '"';
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c >= 0x20 && c != '"' && c != '\\') {
            *to++ = (char)c;
            continue;
        }
        memcpy(to, "\\u00", 4);
        to[4] = hex[c >> 4];
        to[5] = hex[c & 15];
        to += 6;
    }
    *to++ = '"';
    text->len = (size_t)(to - text->p);
    return true;
}

void cl_text_trim(cl_text *text)
{
    text->len = 0;
    if (text->cap <= KEPT) return;
    free(text->p);
    *text = (cl_text){0};
}
