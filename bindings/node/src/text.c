/* Texts: one that grows, and one of JavaScript in memory of its own. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_KEPT = 1 << 20 };

bool addon_text_room(addon_text *text, size_t more)
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

bool addon_text_add(addon_text *text, const char *p, size_t n)
{
    if (!addon_text_room(text, n)) return false;
    if (n) memcpy(text->p + text->len, p, n);
    text->len += n;
    return true;
}

bool addon_text_quote(addon_text *text, const char *p, size_t n)
{
    static const char hex[] = "0123456789abcdef";
    if (!addon_text_room(text, 6 * n + 2)) return false;
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

void addon_text_trim(addon_text *text)
{
    text->len = 0;
    if (text->cap <= MAX_KEPT) return;
    free(text->p);
    *text = (addon_text){0};
}

char *addon_text_of(napi_env env, napi_value value, size_t *n)
{
    if (napi_get_value_string_utf8(env, value, NULL, 0, n) != napi_ok) return NULL;
    char *text = malloc(*n + 1);
    if (text) napi_get_value_string_utf8(env, value, text, *n + 1, n);
    return text;
}
