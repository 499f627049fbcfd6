#include "proto/json.h"

#include "base/hex.h"
#include "clouds.h"
#include "proto/utf8.h"

/* Design note. Functions that read return where they stopped, or NULL for a failure whose code is j->failure. Nesting
 * costs one bit a level (object or array) instead of recursion, so no text can exhaust the stack. */

static inline const char *skip_space(const char *p, const char *end)
{
    while (p < end && (unsigned char)*p <= ' ' && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) p++;
    return p;
}

static inline int is_digit(char c)
{
    return (unsigned char)(c - '0') < 10;
}

/* ---- scalars */

/* p is at the backslash. */
static const char *skip_escape(const char *p, const char *end)
{
    if (end - p < 2) return NULL;
    switch (p[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return p + 2;
    case 'u':
        if (end - p < 6) return NULL;
        return cl_hex_value(p[2]) >= 0 && cl_hex_value(p[3]) >= 0 && cl_hex_value(p[4]) >= 0 && cl_hex_value(p[5]) >= 0
                   ? p + 6
                   : NULL;
    default:
        return NULL;
    }
}

/* p is at a byte beyond ASCII. */
static const char *skip_beyond_ascii(cl_json *j, const char *p, const char *end)
{
    while (p < end && (unsigned char)*p >= 0x80) {
        int n = cl_utf8_sequence(p, end);
        if (n < 0) j->bad_utf8 = 1;
        p += n < 0 ? -n : n;
    }
    return p;
}

/* What a string goes on with at p, which is neither plain text nor its end. */
static const char *skip_special(cl_json *j, const char *p, const char *end, int *escaped)
{
    if ((unsigned char)*p >= 0x80) return skip_beyond_ascii(j, p, end);
    if (*p != '\\') return NULL;
    *escaped = 1;
    return skip_escape(p, end);
}

/* A string goes on at p with something special: from there to its closing quote. */
static const char *find_quote_slowly(cl_json *j, const char *p, int *escaped)
{
    const char *end = j->end;
    while (p && p < end) {
        if (*p == '"') return p;
        p = skip_special(j, p, end, escaped);
        if (p) p = cl_text_skip_plain(p, end);
    }
    return NULL;
}

/* From behind the opening quote to the closing one. */
static inline const char *find_quote(cl_json *j, const char *p, int *escaped)
{
    p = cl_text_skip_plain(p, j->end);
    return p < j->end && *p == '"' ? p : find_quote_slowly(j, p, escaped);
}

static inline const char *skip_string(cl_json *j, const char *p)
{
    int escaped;
    p = find_quote(j, p + 1, &escaped);
    return p ? p + 1 : NULL;
}

/* At least one digit. */
static inline const char *skip_digits(const char *p, const char *end)
{
    if (p == end || !is_digit(*p)) return NULL;
    while (p < end && is_digit(*p)) p++;
    return p;
}

static const char *skip_exponent(const char *p, const char *end)
{
    if (p < end && (*p == '+' || *p == '-')) p++;
    return skip_digits(p, end);
}

static inline const char *skip_number(const char *p, const char *end)
{
    if (*p == '-') p++;
    p = p < end && *p == '0' ? p + 1 : skip_digits(p, end);
    if (p && p < end && *p == '.') p = skip_digits(p + 1, end);
    if (p && p < end && (*p | 0x20) == 'e') p = skip_exponent(p + 1, end);
    return p;
}

static inline const char *skip_word(const char *p, const char *end, const char *word, int n)
{
    return end - p >= n && memcmp(p, word, (size_t)n) == 0 ? p + n : NULL;
}

static inline const char *skip_scalar(cl_json *j, const char *p)
{
    switch (*p) {
    case '"':
        return skip_string(j, p);
    case 't':
        return skip_word(p, j->end, "true", 4);
    case 'f':
        return skip_word(p, j->end, "false", 5);
    case 'n':
        return skip_word(p, j->end, "null", 4);
    default:
        return skip_number(p, j->end);
    }
}

/* ---- values */

static inline int count_values(cl_json *j, uint32_t n)
{
    if (j->values_left < n) {
        j->failure = CLOUDS_ETOOBIG;
        return 0;
    }
    j->values_left -= n;
    return 1;
}

/* From behind '{', '[' or ',' to the value that comes next, past its name in an object. */
static inline const char *skip_to_value(cl_json *j, const char *p, int is_object)
{
    const char *end = j->end;
    p = skip_space(p, end);
    if (p == end) return NULL;
    if (!is_object) return p;
    if (*p != '"' || !(p = skip_string(j, p))) return NULL;
    p = skip_space(p, end);
    if (p == end || *p != ':') return NULL;
    p = skip_space(p + 1, end);
    return p < end ? p : NULL;
}

typedef struct nesting {
    uint32_t depth, most;
    int is_object;                               /* the innermost */
    uint64_t outer[(CL_JSON_DEEPEST + 63) / 64]; /* a bit for each level around it */
} nesting;

static inline int push(cl_json *j, nesting *in, char bracket)
{
    if (in->depth >= in->most) {
        j->failure = CLOUDS_ETOOBIG;
        return 0;
    }
    unsigned shift = in->depth % 64;
    uint64_t *word = &in->outer[in->depth / 64];
    uint64_t below = shift ? *word & (((uint64_t)1 << shift) - 1) : 0;
    *word = below | (uint64_t)in->is_object << shift;
    in->is_object = bracket == '{';
    in->depth++;
    return 1;
}

static inline void pop(nesting *in)
{
    in->depth--;
    in->is_object = in->outer[in->depth / 64] >> (in->depth % 64) & 1;
}

/* From behind a value to the next one, leaving what ends there; to behind it all when depth becomes 0. */
static inline const char *skip_to_next(cl_json *j, nesting *in, const char *p)
{
    while (in->depth) {
        p = skip_space(p, j->end);
        if (p == j->end) return NULL;
        if (*p == ',') return skip_to_value(j, p + 1, in->is_object);
        if (*p != (in->is_object ? '}' : ']')) return NULL;
        p++;
        pop(in);
    }
    return p;
}

/* p is at '[' or '{': to what comes next, which is the first value in it, or when there is none, what follows it. */
static inline const char *open_nested(cl_json *j, nesting *in, const char *p)
{
    if (!push(j, in, *p)) return NULL;
    p = skip_space(p + 1, j->end);
    if (p == j->end) return NULL;
    if (*p == (in->is_object ? '}' : ']')) return skip_to_next(j, in, p);
    return skip_to_value(j, p, in->is_object);
}

/* p is at a value within the brackets of `in`: to behind the outermost of them. */
static const char *skip_rest(cl_json *j, nesting *in, const char *p)
{
    while (p && in->depth) {
        if (!count_values(j, 1)) return NULL;
        if (*p == '[' || *p == '{') {
            p = open_nested(j, in, p);
        } else {
            p = skip_scalar(j, p);
            if (p) p = skip_to_next(j, in, p);
        }
    }
    return p;
}

static inline void start_nesting(const cl_json *j, nesting *in)
{
    in->depth = 0;
    in->most = j->depth_left < CL_JSON_DEEPEST ? j->depth_left : CL_JSON_DEEPEST;
    in->is_object = 0;
}

static const char *skip_nested(cl_json *j, const char *p)
{
    nesting in;
    start_nesting(j, &in);
    if (!count_values(j, 1)) return NULL;
    return skip_rest(j, &in, open_nested(j, &in, p));
}

/* Most arrays are rows of plain texts and small whole numbers. Skips such items, each with what follows it; *closed
 * tells that this was the bracket at the end. Else returns the place of the first item that is different. */
static inline const char *skip_row(const char *p, const char *end, uint32_t *count, int *closed)
{
    for (const char *item = p; p < end; item = p) {
        if (*p == '"') {
            p = cl_text_skip_plain(p + 1, end);
            if (p == end || *p != '"') return item;
            p++;
        } else if ((unsigned char)(*p - '1') < 9) {
            do p++;
            while (p < end && is_digit(*p));
        } else {
            return item;
        }
        if (p == end || (*p != ',' && *p != ']')) return item;
        ++*count;
        if (*p++ == ']') {
            *closed = 1;
            return p;
        }
    }
    return p;
}

/* The row before p has been skipped: goes on with what is different. */
static const char *skip_after_row(cl_json *j, const char *p)
{
    nesting in;
    start_nesting(j, &in);
    if (!push(j, &in, '[')) return NULL;
    return skip_rest(j, &in, skip_to_value(j, p, 0));
}

static inline const char *skip_array(cl_json *j, const char *p)
{
    uint32_t count = 0;
    int closed = 0;
    const char *stop = skip_row(p + 1, j->end, &count, &closed);
    if (count == 0) return skip_nested(j, p);
    if (!count_values(j, count + 1)) return NULL;
    if (!closed) return skip_after_row(j, stop);
    if (j->depth_left == 0) j->failure = CLOUDS_ETOOBIG;
    return j->depth_left ? stop : NULL;
}

static inline const char *skip_value(cl_json *j, const char *p)
{
    if (*p == '[') return skip_array(j, p);
    if (*p == '{') return skip_nested(j, p);
    return count_values(j, 1) ? skip_scalar(j, p) : NULL;
}

/* ---- the interface */

void cl_json_start(cl_json *j, cl_str text, cl_json_limits limits)
{
    if (!text.p) text = CL_STR(""); /* no offset is added to a null pointer */
    *j = (cl_json){.p = text.p,
                   .end = text.p + text.n,
                   .depth_left = limits.depth,
                   .values_left = limits.values,
                   .failure = CLOUDS_EJSON};
}

int cl_json_peek(cl_json *j)
{
    j->p = skip_space(j->p, j->end);
    return j->p < j->end ? (unsigned char)*j->p : 0;
}

int cl_json_value(cl_json *j, cl_str *span)
{
    const char *start = skip_space(j->p, j->end);
    if (start == j->end) return j->failure;
    const char *p = skip_value(j, start);
    if (!p) return j->failure;
    *span = (cl_str){start, (size_t)(p - start)};
    j->p = p;
    return 0;
}

int cl_json_string(cl_json *j, cl_str *raw, int *escaped)
{
    const char *start = skip_space(j->p, j->end);
    if (start == j->end || *start != '"') return j->failure;
    int found = 0;
    const char *p = find_quote(j, ++start, &found);
    if (!p) return j->failure;
    *raw = (cl_str){start, (size_t)(p - start)};
    *escaped = found;
    j->p = p + 1;
    return 0;
}

int cl_json_item(cl_json *j, cl_str *span, int *escaped)
{
    const char *start = skip_space(j->p, j->end);
    int found = 0;
    if (start == j->end) return j->failure;
    if (*start != '"') {
        j->p = start;
        int code = cl_json_value(j, span);
        return code == 0 ? (unsigned char)*start : code;
    }
    const char *p = count_values(j, 1) ? find_quote(j, start + 1, &found) : NULL;
    if (!p) return j->failure;
    *span = (cl_str){start + 1, (size_t)(p - start - 1)};
    *escaped = found;
    j->p = p + 1;
    return '"';
}

int cl_json_enter(cl_json *j, char bracket)
{
    if (cl_json_peek(j) != (unsigned char)bracket) return j->failure;
    if (j->depth_left == 0) return j->failure = CLOUDS_ETOOBIG;
    if (!count_values(j, 1)) return j->failure;
    j->depth_left--;
    j->fresh = 1;
    j->p++;
    return 0;
}

/* 1: something comes; 0: the bracket closed. */
static inline int next_item(cl_json *j, char closing)
{
    const char *p = skip_space(j->p, j->end);
    int fresh = j->fresh;
    if (p == j->end) return j->failure;
    if (*p == closing) {
        j->depth_left++;
    } else if (fresh) {
        j->fresh = 0;
        j->p = p;
        return 1;
    } else if (*p != ',') {
        return j->failure;
    }
    j->fresh = 0;
    j->p = p + 1;
    return *p == ',';
}

/* Does a member come whose name is one small letter, without any white space? All members of an envelope look like
 * that. */
static inline const char *short_member(const cl_json *j)
{
    const char *p = j->p;
    if (j->end - p < 5 || (!j->fresh && *p++ != ',')) return NULL;
    return p[0] == '"' && (unsigned char)(p[1] - 'a') < 26 && p[2] == '"' && p[3] == ':' ? p : NULL;
}

int cl_json_member(cl_json *j, cl_str *key, int *escaped)
{
    const char *p = short_member(j);
    if (p) {
        *key = (cl_str){p + 1, 1};
        *escaped = j->fresh = 0;
        j->p = p + 4;
        return 1;
    }
    int more = next_item(j, '}');
    if (more != 1) return more;
    int code = cl_json_string(j, key, escaped);
    if (code != 0) return code;
    if (cl_json_peek(j) != ':') return j->failure;
    j->p++;
    return 1;
}

int cl_json_element(cl_json *j)
{
    return next_item(j, ']');
}

int cl_json_end(cl_json *j)
{
    return cl_json_peek(j) == 0 && j->p == j->end ? 0 : CLOUDS_EJSON;
}

enum { SHORT = 256 };

/* The whole text is one such row, as arguments and results mostly are. A long one would be read twice if it is none. */
static inline int is_row(cl_str text, cl_json_limits limits)
{
    uint32_t count = 0;
    int closed = 0;
    if (text.n < 2 || text.n > SHORT || text.p[0] != '[' || limits.depth == 0) return 0;
    const char *end = text.p + text.n;
    return skip_row(text.p + 1, end, &count, &closed) == end && closed && count < limits.values;
}

cl_str cl_json_trim(cl_str text)
{
    const char *end = text.p + text.n, *p = skip_space(text.p, end);
    while (end > p && skip_space(end - 1, end) == end) end--;
    return cl_str_of(p, (size_t)(end - p));
}

int cl_json_check(cl_str text, char bracket, cl_json_limits limits)
{
    cl_json j;
    cl_str span;
    if (bracket != '{' && is_row(text, limits)) return 0;
    cl_json_start(&j, text, limits);
    if (bracket && cl_json_peek(&j) != (unsigned char)bracket) return CLOUDS_EJSON;
    int code = cl_json_value(&j, &span);
    if (code != 0) return code;
    return j.bad_utf8 ? CLOUDS_EJSON : cl_json_end(&j);
}

int cl_json_is_falsy(cl_str value)
{
    if (value.n == 0) return 1;
    if (value.p[0] == '{' || value.p[0] == '[' || value.p[0] == 't') return 0;
    if (value.p[0] == 'n' || value.p[0] == 'f') return 1;
    if (value.p[0] == '"') return value.n == 2;
    /* A number is zero when no digit before the exponent is other than 0. */
    for (size_t i = 0; i < value.n && value.p[i] != 'e' && value.p[i] != 'E'; i++)
        if (value.p[i] >= '1' && value.p[i] <= '9') return 0;
    return 1;
}
