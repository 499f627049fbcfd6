#include "proto/bytes.h"

#include <limits.h>

#include "clouds.h"
#include "proto/json.h"

/* Design note. A text may be nested deeply and named so at each level, so it is read once, from its beginning to its
 * end: what may be such an object is noted when its name is seen, and counts when it ends behind its first member. Then
 * the places that change, which are in the order of the text, are written. */

typedef struct mark {
    size_t name;       /* behind the quote of its name */
    size_t value, end; /* from behind the name to its bracket */
    unsigned count;    /* of '$' */
    int is_alone;
} mark;

typedef struct level {
    size_t mark; /* the number of it, from 1; 0: none */
    size_t members;
    int is_object, wants_name;
} level;

typedef struct reader {
    cl_str text;
    cl_buf marks, levels, name;
} reader;

unsigned cl_bytes_mark(cl_str name)
{
    static const char bytes[] = "bytes";
    const size_t n = sizeof bytes - 1;
    if (name.n <= n || name.n - n > INT_MAX || memcmp(name.p + name.n - n, bytes, n) != 0) return 0;
    for (size_t i = 0; i < name.n - n; i++)
        if (name.p[i] != '$') return 0;
    return (unsigned)(name.n - n);
}

static size_t count_of(const cl_buf *list, size_t size)
{
    return list->len / size;
}

static mark *mark_at(const reader *r, size_t i)
{
    return (mark *)(void *)r->marks.data + i;
}

static level *innermost(const reader *r)
{
    size_t n = count_of(&r->levels, sizeof(level));
    return n ? (level *)(void *)r->levels.data + n - 1 : NULL;
}

/* The end of the string whose quote is at i: behind its other quote; 0: it has none. */
static size_t skip_string(cl_str text, size_t i)
{
    for (i++; i < text.n && text.p[i] != '"'; i++) i += text.p[i] == '\\';
    return i < text.n ? i + 1 : 0;
}

static int take_name(reader *r, level *in, size_t from, size_t to)
{
    if (in->members++) return 0;
    cl_str raw = cl_str_of(r->text.p + from + 1, to - from - 2);
    cl_buf_clear(&r->name);
    int code = memchr(raw.p, '\\', raw.n) ? cl_json_unescape(raw, &r->name) : 0;
    if (code) return code;
    const mark found = {
        .name = from + 1, .value = to, .count = cl_bytes_mark(r->name.len ? cl_buf_str(&r->name) : raw)};
    if (!found.count) return 0;
    code = cl_buf_put(&r->marks, &found, sizeof found);
    in->mark = count_of(&r->marks, sizeof found);
    return code;
}

static int open_level(reader *r, int is_object)
{
    const level in = {.is_object = is_object, .wants_name = is_object};
    return cl_buf_put(&r->levels, &in, sizeof in);
}

static void close_level(reader *r, level *in, size_t at)
{
    if (in->mark) {
        mark *m = mark_at(r, in->mark - 1);
        m->end = at;
        m->is_alone = in->members == 1;
    }
    r->levels.len -= sizeof *in;
}

static int read_all(reader *r)
{
    int code = 0;
    for (size_t i = 0; i < r->text.n && code == 0;) {
        level *in = innermost(r);
        size_t at = i++;
        char c = r->text.p[at];
        if (c == '"') {
            if (!(i = skip_string(r->text, at))) break;
            if (!in || !in->wants_name) continue;
            in->wants_name = 0;
            code = take_name(r, in, at, i);
        } else if (c == '{' || c == '[') {
            code = open_level(r, c == '{');
        } else if (in && (c == '}' || c == ']')) {
            close_level(r, in, at);
        } else if (in && c == ',') {
            in->wants_name = in->is_object;
        }
    }
    return code;
}

/* A whole number that is not negative. 0: there is none. */
static int read_offset(cl_json *j, uint64_t *out)
{
    cl_str span;
    if (cl_json_value(j, &span) != 0 || span.n > 15) return 0;
    *out = 0;
    for (size_t i = 0; i < span.n; i++) {
        if (span.p[i] < '0' || span.p[i] > '9') return 0;
        *out = *out * 10 + (uint64_t)(span.p[i] - '0');
    }
    return 1;
}

/* Does it stand for a piece of so many bytes? */
static int read_piece(const reader *r, const mark *m, size_t had, uint64_t *offset, uint64_t *length)
{
    cl_json j;
    cl_str value = cl_str_of(r->text.p + m->value, m->end - m->value);
    while (value.n && (*value.p == ' ' || *value.p == '\n' || *value.p == '\r' || *value.p == '\t'))
        value.p++, value.n--;
    if (m->count != 1 || value.n < 2) return 0;
    cl_json_start(&j, cl_str_of(value.p + 1, value.n - 1), (cl_json_limits){.depth = 2, .values = 4});
    if (cl_json_enter(&j, '[') != 0 || cl_json_element(&j) != 1 || !read_offset(&j, offset) ||
        cl_json_element(&j) != 1 || !read_offset(&j, length) || cl_json_element(&j) != 0)
        return 0;
    return *offset <= had && *length <= had - *offset;
}

/* What stands behind `from`, up to and with the mark; `from` is moved behind it. */
static int write_mark(const reader *r, const mark *m, size_t had, size_t shift, size_t *from, cl_buf *out)
{
    uint64_t offset, length;
    if (had && m->count > 1) return 0;
    int code = cl_buf_put(out, r->text.p + *from, m->name - *from);
    *from = m->name;
    if (!had || !read_piece(r, m, had, &offset, &length)) return code ? code : cl_buf_put_char(out, '$');
    *from = m->end;
    return code ? code
                : cl_buf_printf(out, "$bytes\":[%llu,%llu]", (unsigned long long)(offset + shift),
                                (unsigned long long)length);
}

static int write_all(const reader *r, size_t had, size_t shift, cl_buf *out)
{
    size_t from = 0;
    int code = 0;
    for (size_t i = 0; i < count_of(&r->marks, sizeof(mark)) && code == 0; i++)
        if (mark_at(r, i)->is_alone) code = write_mark(r, mark_at(r, i), had, shift, &from, out);
    return code ? code : cl_buf_put(out, r->text.p + from, r->text.n - from);
}

int cl_bytes_move(cl_str text, size_t had, size_t shift, cl_buf *out)
{
    reader r = {.text = text};
    int code = read_all(&r);
    if (code == 0) code = write_all(&r, had, shift, out);
    cl_buf_free(&r.marks);
    cl_buf_free(&r.levels);
    cl_buf_free(&r.name);
    return code;
}
