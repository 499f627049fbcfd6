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

/* The characters that may stand in one, a bit each. */
static const uint64_t token_bits[2] = {0x03ff6cfa00000000u, 0x57ffffffc7fffffeu};

bool host_http_is_token(host_http_text text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c >= 128 || !(token_bits[c >> 6] >> (c & 63) & 1)) return false;
    }
    return text.n > 0;
}
