#include "reference.h"

#include <string.h>

typedef struct parser {
    const uint8_t *text;
    size_t at, n;
    uint32_t depth, values;
} parser;

static int value(parser *p);

static int next(const parser *p)
{
    return p->at < p->n ? p->text[p->at] : -1;
}

static int accept(parser *p, int c)
{
    if (next(p) != c) return 0;
    p->at++;
    return 1;
}

static void space(parser *p)
{
    while (accept(p, ' ') || accept(p, '\t') || accept(p, '\n') || accept(p, '\r')) continue;
}

static int digit(const parser *p)
{
    return next(p) >= '0' && next(p) <= '9';
}

static int digits(parser *p)
{
    if (!digit(p)) return 0;
    while (digit(p)) p->at++;
    return 1;
}

static int number(parser *p)
{
    accept(p, '-');
    if (!accept(p, '0') && !digits(p)) return 0;
    if (accept(p, '.') && !digits(p)) return 0;
    if (!accept(p, 'e') && !accept(p, 'E')) return 1;
    if (!accept(p, '+')) accept(p, '-');
    return digits(p);
}

static int hex(parser *p)
{
    int c = next(p);
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))) return 0;
    p->at++;
    return 1;
}

static int string(parser *p)
{
    if (!accept(p, '"')) return 0;
    for (;;) {
        int c = next(p);
        if (c < 0x20) return 0; /* the end, too */
        p->at++;
        if (c == '"') return 1;
        if (c != '\\') continue;
        c = next(p);
        p->at++;
        if (c == 'u') {
            if (!hex(p) || !hex(p) || !hex(p) || !hex(p)) return 0;
        } else if (c <= 0 || !strchr("\"\\/bfnrt", c)) {
            return 0;
        }
    }
}

static int word(parser *p, const char *w)
{
    for (; *w; w++)
        if (!accept(p, *w)) return 0;
    return 1;
}

static int members(parser *p)
{
    do {
        space(p);
        if (!string(p)) return 0;
        space(p);
        if (!accept(p, ':') || !value(p)) return 0;
    } while (accept(p, ','));
    return accept(p, '}');
}

static int elements(parser *p)
{
    do {
        if (!value(p)) return 0;
    } while (accept(p, ','));
    return accept(p, ']');
}

static int nested(parser *p, int is_object)
{
    if (p->depth == 0) return 0;
    p->depth--;
    space(p);
    int good = accept(p, is_object ? '}' : ']') || (is_object ? members(p) : elements(p));
    p->depth++;
    return good;
}

static int any(parser *p)
{
    if (accept(p, '{')) return nested(p, 1);
    if (accept(p, '[')) return nested(p, 0);
    switch (next(p)) {
    case '"':
        return string(p);
    case 't':
        return word(p, "true");
    case 'f':
        return word(p, "false");
    case 'n':
        return word(p, "null");
    default:
        return number(p);
    }
}

static int value(parser *p)
{
    space(p);
    if (p->values == 0) return 0;
    p->values--;
    int good = any(p);
    space(p);
    return good;
}

/* By decoding: the code point must be one that needs just this many bytes, and be no surrogate. */
int reference_is_utf8(const uint8_t *text, size_t n)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    for (size_t i = 0; i < n;) {
        uint32_t c = text[i];
        size_t length = c < 0x80 ? 1 : c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 : c >> 3 == 30 ? 4 : 0;
        if (length == 0 || length > n - i) return 0;
        if (length > 1) c &= 0x7fu >> length;
        for (size_t k = 1; k < length; k++) {
            if (text[i + k] >> 6 != 2) return 0;
            c = c << 6 | (text[i + k] & 0x3f);
        }
        if (c < least[length] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) return 0;
        i += length;
    }
    return 1;
}

int reference_is_json(const uint8_t *text, size_t n, uint32_t depth, uint32_t values)
{
    parser p = {text, 0, n, depth, values};
    return value(&p) && p.at == n && reference_is_utf8(text, n);
}
