/* Looking things up in a request, and what a word of HTTP is. */
#include <strings.h>
#include <string.h>

#include "host/http/internal.h"

bool host_http_is(host_http_text text, const char *word)
{
    return text.n == strlen(word) && strncasecmp(text.p, word, text.n) == 0;
}

host_http_text host_http_find(const host_http_request *request, const char *name)
{
    for (size_t i = 0; i < request->field_count; i++)
        if (host_http_is(request->fields[i].name, name)) return request->fields[i].value;
    return (host_http_text){NULL, 0};
}

bool host_http_is_token(host_http_text text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c <= ' ' || c >= 127 || strchr("\"(),/:;<=>?@[\\]{}", c)) return false;
    }
    return text.n > 0;
}
