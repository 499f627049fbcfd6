#include "proto/json.h"

#include "clouds.h"

/* Design notes
 *
 * One pass, a cursor, no recursion: nesting is a bit stack of "in an object?" for cl_json_value, which walks a whole value and
 * keeps only its span. Strings go eight bytes at a time while there is nothing special in them. */

enum { MAX_DEPTH = 1024 };

static const uint64_t ONES = 0x0101010101010101u, HIGHS = 0x8080808080808080u;

void cl_json_start(cl_json *j, cl_str text, cl_json_limits limits)
{
    j->p = text.p;
    j->end = text.p + text.n;
    j->depth_left = limits.depth < MAX_DEPTH ? limits.depth : MAX_DEPTH;
    j->values_left = limits.values;
    j->bad_utf8 = 0;
}

static inline int is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline void skip_space(cl_json *j)
{
    while (j->p < j->end && is_space(*j->p)) j->p++;
}

int cl_json_peek(cl_json *j)
{
    skip_space(j);
    return j->p < j->end ? (unsigned char)*j->p : 0;
}

static inline int is_digit(const cl_json *j)
{
    return j->p < j->end && (unsigned char)(*j->p - '0') < 10;
}

static int digits(cl_json *j)
{
    if (!is_digit(j)) return CLOUDS_EJSON;
    do j->p++;
    while (is_digit(j));
    return 0;
}

static inline int eat(cl_json *j, char c)
{
    if (j->p >= j->end || *j->p != c) return 0;
    j->p++;
    return 1;
}

static int number(cl_json *j)
{
    eat(j, '-');
    if (!eat(j, '0') && digits(j) != 0) return CLOUDS_EJSON;
    if (eat(j, '.') && digits(j) != 0) return CLOUDS_EJSON;
    if (eat(j, 'e') || eat(j, 'E')) {
        if (!eat(j, '-')) eat(j, '+');
        return digits(j);
    }
    return 0;
}

static int word(cl_json *j, cl_str w)
{
    if ((size_t)(j->end - j->p) < w.n || memcmp(j->p, w.p, w.n) != 0) return CLOUDS_EJSON;
    j->p += w.n;
    return 0;
}

/* The length of the UTF-8 sequence at p, or 0 when it is none. */
static size_t utf8_length(const unsigned char *p, size_t left)
{
    unsigned char c = p[0];
    if (c < 0x80) return 1;
    size_t n = c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
    if (n == 0 || left < n) return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] >= 0xa0)) return 0;
    if ((c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] >= 0x90)) return 0;
    return n;
}

static inline int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static int escape(cl_json *j)
{
    j->p++; /* the backslash */
    if (j->p >= j->end) return CLOUDS_EJSON;
    char c = *j->p++;
    if (c != 'u') return memchr("\"\\/bfnrt", c, 8) ? 0 : CLOUDS_EJSON;
    if (j->end - j->p < 4) return CLOUDS_EJSON;
    for (int i = 0; i < 4; i++)
        if (hex_value(*j->p++) < 0) return CLOUDS_EJSON;
    return 0;
}

/* Moves over eight bytes at a time while none of them is a quote, a backslash, a control character or beyond ASCII. */
static inline void skip_plain(cl_json *j)
{
    while (j->end - j->p >= 8) {
        uint64_t w;
        memcpy(&w, j->p, 8);
        uint64_t quote = w ^ (ONES * '"'), slash = w ^ (ONES * '\\');
        uint64_t special = w | ((w - ONES * 0x20) & ~w) | ((quote - ONES) & ~quote) | ((slash - ONES) & ~slash);
        if (special & HIGHS) break;
        j->p += 8;
    }
}

int cl_json_string(cl_json *j, cl_str *raw, int *escaped)
{
    if (cl_json_peek(j) != '"') return CLOUDS_EJSON;
    const char *start = ++j->p;
    *escaped = 0;
    for (;;) {
        skip_plain(j);
        if (j->p >= j->end) return CLOUDS_EJSON;
        unsigned char c = (unsigned char)*j->p;
        if (c == '"') break;
        if (c < 0x20) return CLOUDS_EJSON;
        if (c == '\\') {
            *escaped = 1;
            if (escape(j) != 0) return CLOUDS_EJSON;
        } else if (c < 0x80) {
            j->p++;
        } else {
            size_t n = utf8_length((const unsigned char *)j->p, (size_t)(j->end - j->p));
            if (n == 0) j->bad_utf8 = 1;
            j->p += n ? n : 1;
        }
    }
    *raw = cl_str_of(start, (size_t)(j->p - start));
    j->p++;
    return 0;
}

static inline int count_value(cl_json *j)
{
    if (j->values_left == 0) return CLOUDS_ETOOBIG;
    j->values_left--;
    return 0;
}

static int scalar(cl_json *j, int c)
{
    cl_str raw;
    int escaped;
    switch (c) {
    case '"': return cl_json_string(j, &raw, &escaped);
    case 't': return word(j, CL_STR("true"));
    case 'f': return word(j, CL_STR("false"));
    case 'n': return word(j, CL_STR("null"));
    default: return number(j);
    }
}

/* Which brackets are open: one bit each, 1 for an object. */
typedef struct nest {
    uint64_t bits[MAX_DEPTH / 64];
    uint32_t depth;
} nest;

static inline int in_object(const nest *n)
{
    uint32_t i = n->depth - 1;
    return (int)(n->bits[i / 64] >> (i % 64) & 1);
}

static int push(cl_json *j, nest *n, int object)
{
    if (n->depth >= j->depth_left) return CLOUDS_ETOOBIG;
    uint64_t bit = (uint64_t)1 << (n->depth % 64);
    if (object) n->bits[n->depth / 64] |= bit;
    else n->bits[n->depth / 64] &= ~bit;
    n->depth++;
    j->p++;
    return 0;
}

static int key(cl_json *j)
{
    cl_str raw;
    int escaped;
    if (cl_json_string(j, &raw, &escaped) != 0 || cl_json_peek(j) != ':') return CLOUDS_EJSON;
    j->p++;
    return 0;
}

/* One value was read: closes what ends here, or moves to the next value. 1: everything is closed. */
static int after_value(cl_json *j, nest *n)
{
    while (n->depth) {
        int object = in_object(n), c = cl_json_peek(j);
        if (c == ',') {
            j->p++;
            return object ? key(j) : 0;
        }
        if (c != (object ? '}' : ']')) return CLOUDS_EJSON;
        j->p++;
        n->depth--;
    }
    return 1;
}

/* Opens a bracket; 1: it was empty, so that it is a value already read. */
static int open_bracket(cl_json *j, nest *n, int object)
{
    int code = push(j, n, object);
    if (code != 0) return code;
    if (cl_json_peek(j) == (object ? '}' : ']')) {
        j->p++;
        n->depth--;
        return 1;
    }
    return object ? key(j) : 0;
}

static int walk(cl_json *j)
{
    nest n;
    n.depth = 0;
    for (;;) {
        int code = count_value(j), c = cl_json_peek(j);
        if (code != 0) return code;
        int bracket = c == '{' || c == '[';
        code = bracket ? open_bracket(j, &n, c == '{') : scalar(j, c);
        if (code < 0) return code;
        if (bracket && code == 0) continue; /* its first value comes */
        code = after_value(j, &n);
        if (code != 0) return code < 0 ? code : 0;
    }
}

int cl_json_value(cl_json *j, cl_str *span)
{
    skip_space(j);
    const char *start = j->p;
    int code = walk(j);
    if (code == 0) *span = cl_str_of(start, (size_t)(j->p - start));
    return code;
}

int cl_json_enter(cl_json *j, char bracket)
{
    if (cl_json_peek(j) != bracket) return CLOUDS_EJSON;
    if (j->depth_left == 0) return CLOUDS_ETOOBIG;
    j->depth_left--;
    j->p++;
    return count_value(j);
}

/* Is the bracket closed, or does a member come? The first has no comma, and the byte before the cursor tells which is the
 * first: the opening bracket was just entered, and no value ends with one. */
static int next_in(cl_json *j, char open, char close)
{
    char before = j->p[-1];
    int c = cl_json_peek(j);
    if (c == close) {
        j->p++;
        j->depth_left++;
        return 0;
    }
    if (before == open) return 1;
    if (c != ',') return CLOUDS_EJSON;
    j->p++;
    return 1;
}

int cl_json_member(cl_json *j, cl_str *key_out, int *escaped)
{
    int more = next_in(j, '{', '}');
    if (more != 1) return more;
    if (cl_json_string(j, key_out, escaped) != 0 || cl_json_peek(j) != ':') return CLOUDS_EJSON;
    j->p++;
    return 1;
}

int cl_json_element(cl_json *j)
{
    return next_in(j, '[', ']');
}

int cl_json_end(cl_json *j)
{
    skip_space(j);
    return j->p == j->end ? 0 : CLOUDS_EJSON;
}

int cl_json_check(cl_str text, char bracket, cl_json_limits limits)
{
    cl_json j;
    cl_str span;
    cl_json_start(&j, text, limits);
    if (bracket && cl_json_peek(&j) != bracket) return CLOUDS_EJSON;
    int code = cl_json_value(&j, &span);
    if (code != 0) return code;
    return j.bad_utf8 ? CLOUDS_EJSON : cl_json_end(&j);
}

/* ---- text */

static size_t put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) return out[0] = (char)c, 1;
    if (c < 0x800) return out[0] = (char)(0xc0 | c >> 6), out[1] = (char)(0x80 | (c & 0x3f)), 2;
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12), out[1] = (char)(0x80 | (c >> 6 & 0x3f)), out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18), out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f)), out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

static uint32_t hex4(const char *p)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) v = v << 4 | (uint32_t)hex_value(p[i]);
    return v;
}

/* Resolves the \uXXXX at *p (and a low surrogate behind a high one); moves *p behind it. */
static uint32_t unicode_escape(const char **p, const char *end)
{
    uint32_t c = hex4(*p + 2);
    *p += 6;
    if (c < 0xd800 || c > 0xdbff || end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u') return c;
    uint32_t low = hex4(*p + 2);
    if (low < 0xdc00 || low > 0xdfff) return c;
    *p += 6;
    return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
}

int cl_json_unescape(cl_str raw, cl_buf *out)
{
    if (cl_buf_reserve(out, raw.n) != 0) return CLOUDS_ENOMEM; /* it never grows */
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *p = raw.p, *end = raw.p + raw.n;
    while (p < end) {
        if (*p != '\\') {
            cl_buf_add_char(out, *p++);
        } else if (p[1] == 'u') {
            out->len += put_utf8(out->data + out->len, unicode_escape(&p, end));
        } else {
            cl_buf_add_char(out, to[strchr(from, p[1]) - from]);
            p += 2;
        }
    }
    return 0;
}

static inline int needs_escape(unsigned char c)
{
    return c < 0x20 || c == '"' || c == '\\';
}

int cl_json_is_plain(cl_str text)
{
    const unsigned char *p = (const unsigned char *)text.p;
    for (size_t i = 0; i < text.n;) {
        size_t n = needs_escape(p[i]) ? 0 : utf8_length(p + i, text.n - i);
        if (n == 0) return 0;
        i += n;
    }
    return 1;
}

static int is_surrogate(const unsigned char *p, size_t left)
{
    return left >= 3 && p[0] == 0xed && p[1] >= 0xa0 && p[1] < 0xc0 && (p[2] & 0xc0) == 0x80;
}

static size_t put_escaped(char *out, uint32_t c)
{
    static const char hex[] = "0123456789abcdef", from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *at = c && c < 0x80 ? strchr(from, (int)c) : NULL;
    out[0] = '\\';
    if (at) return out[1] = to[at - from], 2;
    out[1] = 'u';
    for (int i = 0; i < 4; i++) out[2 + i] = hex[c >> (12 - 4 * i) & 15];
    return 6;
}

/* Writes what stands for the bytes at p (at most 6) and returns how many bytes of p that were. */
static size_t put_quoted(cl_buf *out, const unsigned char *p, size_t left)
{
    if (needs_escape(p[0])) {
        out->len += put_escaped(out->data + out->len, p[0]);
        return 1;
    }
    size_t n = utf8_length(p, left);
    if (n) {
        cl_buf_add(out, p, n);
        return n;
    }
    if (is_surrogate(p, left)) {
        out->len += put_escaped(out->data + out->len, 0xd000u | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f));
        return 3;
    }
    cl_buf_add(out, "\xef\xbf\xbd", 3);
    return 1;
}

int cl_json_quote(cl_str text, cl_buf *out)
{
    if (text.n > SIZE_MAX / 8 || cl_buf_reserve(out, text.n * 6 + 2) != 0) return CLOUDS_ENOMEM;
    cl_buf_add_char(out, '"');
    for (size_t i = 0; i < text.n;) i += put_quoted(out, (const unsigned char *)text.p + i, text.n - i);
    cl_buf_add_char(out, '"');
    return 0;
}

/* How many bytes of a broken sequence one U+FFFD stands for: the longest start of a good one. */
static size_t broken_length(const unsigned char *p, size_t left)
{
    unsigned char c = p[0];
    size_t want = c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 1, n = 1;
    for (; n < want && n < left && (p[n] & 0xc0) == 0x80; n++) {
        if (n != 1) continue;
        if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] >= 0xa0)) break;
        if ((c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] >= 0x90)) break;
    }
    return n;
}

int cl_utf8_mend(cl_str text, cl_buf *out)
{
    if (text.n > SIZE_MAX / 4 || cl_buf_reserve(out, text.n * 3) != 0) return CLOUDS_ENOMEM;
    const unsigned char *p = (const unsigned char *)text.p;
    for (size_t i = 0; i < text.n;) {
        size_t n = utf8_length(p + i, text.n - i);
        if (n) cl_buf_add(out, p + i, n);
        else cl_buf_add(out, "\xef\xbf\xbd", 3);
        i += n ? n : broken_length(p + i, text.n - i);
    }
    return 0;
}
