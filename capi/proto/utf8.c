#include "proto/utf8.h"

int cl_utf8_sequence(const char *p, const char *end)
{
    unsigned char c = (unsigned char)p[0], low = 0x80, high = 0xbf;
    if (c < 0x80) return 1;
    if (c < 0xc2 || c > 0xf4) return -1;
    int length = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (c == 0xe0) low = 0xa0;  /* too long a form */
    if (c == 0xed) high = 0x9f; /* surrogates */
    if (c == 0xf0) low = 0x90;
    if (c == 0xf4) high = 0x8f; /* beyond U+10FFFF */
    for (int i = 1; i < length; i++, low = 0x80, high = 0xbf)
        if (i >= end - p || (unsigned char)p[i] < low || (unsigned char)p[i] > high) return -i;
    return length;
}

int cl_utf8_write(char *out, uint32_t code)
{
    if (code < 0x80) return out[0] = (char)code, 1;
    int length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char heads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (int i = length - 1; i > 0; i--, code >>= 6) out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(heads[length] | code);
    return length;
}
