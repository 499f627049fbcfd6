#include "proto/type_text.h"

#include <stdio.h>

#include "base/error.h"
#include "base/rare.h"
#include "clouds.h"
#include "proto/shape.h"

enum { DEEPEST = 32 };

typedef struct reader {
    cl_str text; /* all of it, for words */
    const char *p, *end;
    int depth;
} reader;

/* What a type can be: names of types, texts, and schemas of their own. */
typedef struct choices {
    cl_buf types, texts, others; /* with commas between */
    int types_n, texts_n, others_n;
    int is_any, optional;
} choices;

static int read_type(reader *r, cl_buf *out, int *optional);

static void choices_free(choices *c)
{
    cl_buf_free(&c->types);
    cl_buf_free(&c->texts);
    cl_buf_free(&c->others);
}

static int add(cl_buf *list, int *n, cl_str text)
{
    int code = (*n)++ ? cl_buf_put_char(list, ',') : 0;
    return code ? code : cl_buf_put_str(list, text);
}

static int add_type(choices *c, cl_str name)
{
    char text[16];
    snprintf(text, sizeof text, "\"%.*s\"", (int)name.n, name.p);
    return add(&c->types, &c->types_n, cl_str_z(text));
}

/* ---- what is read */

static void skip(reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n')) r->p++;
}

static int next_is(reader *r, char c)
{
    skip(r);
    return r->p < r->end && *r->p == c;
}

static int take(reader *r, char c)
{
    if (!next_is(r, c)) return 0;
    r->p++;
    return 1;
}

CL_RARE static int wrong(const reader *r, const char *expected)
{
    size_t at = (size_t)(r->p - r->text.p), left = (size_t)(r->end - r->p);
    return cl_error(CLOUDS_EINVAL, "type '%.*s': expected %s %s%.*s", r->text.n < 100 ? (int)r->text.n : 100, r->text.p,
                    expected,
                    left ? "at "
                    : at ? "at its end"
                         : "and not nothing",
                    left < 20 ? (int)left : 20, r->p);
}

static int is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '$';
}

static cl_str read_name(reader *r)
{
    skip(r);
    const char *from = r->p;
    while (r->p < r->end && is_letter(*r->p)) r->p++;
    return cl_str_of(from, (size_t)(r->p - from));
}

/* A text in quotes, as JSON has it; empty: it is none. */
static cl_str read_quoted(reader *r)
{
    cl_json j;
    cl_str raw;
    int escaped;
    cl_json_start(&j, cl_str_of(r->p, (size_t)(r->end - r->p)), CL_JSON_ANY);
    if (cl_json_string(&j, &raw, &escaped) != 0 || j.bad_utf8) return CL_STR_NONE;
    r->p = j.p;
    return cl_str_of(raw.p - 1, raw.n + 2);
}

/* ---- objects */

/* One member; its name, as JSON, goes to `required`, unless it may be left out. */
static int read_member(reader *r, int n, cl_buf *out, cl_buf *required)
{
    int optional = 0, type_optional = 0, code;
    cl_buf name = {0};
    if (next_is(r, '"')) {
        code = cl_buf_put_str(&name, read_quoted(r));
    } else {
        cl_str word = read_name(r);
        code = word.n ? cl_json_quote(word, &name) : 0;
    }
    if (code == 0 && !name.len) code = wrong(r, "the name of a member");
    if (code == 0) optional = take(r, '?');
    if (code == 0 && !take(r, ':')) code = wrong(r, "':' and a type");
    if (code == 0 && n) code = cl_buf_put_char(out, ',');
    if (code == 0) code = cl_buf_put_str(out, cl_buf_str(&name));
    if (code == 0) code = cl_buf_put_char(out, ':');
    if (code == 0) code = read_type(r, out, &type_optional);
    if (code == 0 && !optional && !type_optional) {
        if (required->len) code = cl_buf_put_char(required, ',');
        if (code == 0) code = cl_buf_put_str(required, cl_buf_str(&name));
    }
    cl_buf_free(&name);
    return code;
}

static int read_members(reader *r, cl_buf *out)
{
    cl_buf required = {0};
    int code = cl_buf_put_str(out, CL_STR("{\"type\":\"object\",\"properties\":{")), n = 0;
    while (code == 0 && !next_is(r, '}')) {
        code = read_member(r, n++, out, &required);
        if (code == 0 && !take(r, ',') && !next_is(r, '}')) code = wrong(r, "',' or '}'");
    }
    if (code == 0) code = cl_buf_put_char(out, '}');
    if (code == 0 && required.len) {
        code = cl_buf_put_str(out, CL_STR(",\"required\":["));
        if (code == 0) code = cl_buf_put_str(out, cl_buf_str(&required));
        if (code == 0) code = cl_buf_put_char(out, ']');
    }
    cl_buf_free(&required);
    return code ? code : cl_buf_put_char(out, '}');
}

/* Behind "{[". */
static int read_map(reader *r, cl_buf *out)
{
    int optional;
    if (!cl_str_eq(read_name(r), CL_STR("string")) || !take(r, ']') || !take(r, ':'))
        return wrong(r, "'[string]: ' and a type");
    int code = cl_buf_put_str(out, CL_STR("{\"type\":\"object\",\"additionalProperties\":"));
    if (code == 0) code = read_type(r, out, &optional);
    return code ? code : cl_buf_put_char(out, '}');
}

static int read_object(reader *r, choices *c)
{
    cl_buf schema = {0};
    int code = take(r, '[') ? read_map(r, &schema) : read_members(r, &schema);
    if (code == 0 && !take(r, '}')) code = wrong(r, "'}'");
    if (code == 0) code = add(&c->others, &c->others_n, cl_buf_str(&schema));
    cl_buf_free(&schema);
    return code;
}

/* ---- parts */

static int read_group(reader *r, choices *c)
{
    cl_buf schema = {0};
    int optional, code = read_type(r, &schema, &optional);
    if (code == 0 && !take(r, ')')) code = wrong(r, "')'");
    if (code == 0) code = add(&c->others, &c->others_n, cl_buf_str(&schema));
    cl_buf_free(&schema);
    return code;
}

/* Bytes are an object in JSON, see clouds_bytes_mark. */
static int read_word(reader *r, choices *c)
{
    const char *before = r->p;
    cl_str name = read_name(r);
    if (cl_shape_type(name)) return add_type(c, name);
    if (cl_str_eq(name, CL_STR("bytes")))
        return add(&c->others, &c->others_n, CL_STR("{\"type\":\"object\",\"required\":[\"$bytes\"]}"));
    if (cl_str_eq(name, CL_STR("any"))) return c->is_any = 1, 0;
    r->p = before;
    return wrong(r, "string, number, integer, boolean, null, array, object, bytes, any, a text in quotes, '{' or '('");
}

static int read_basic(reader *r, choices *c)
{
    if (take(r, '{')) return read_object(r, c);
    if (take(r, '(')) return read_group(r, c);
    if (!next_is(r, '"')) return read_word(r, c);
    cl_str text = read_quoted(r);
    return text.n ? add(&c->texts, &c->texts_n, text) : wrong(r, "a text in quotes");
}

static int put_list(cl_buf *out, const char *before, const cl_buf *list, const char *behind)
{
    int code = cl_buf_put_str(out, cl_str_z(before));
    if (code == 0) code = cl_buf_put_str(out, cl_buf_str(list));
    return code ? code : cl_buf_put_str(out, cl_str_z(behind));
}

static int put_types(const choices *c, cl_buf *out)
{
    if (c->types_n == 1) return put_list(out, "{\"type\":", &c->types, "}");
    return put_list(out, "{\"type\":[", &c->types, "]}");
}

static int put_texts(const choices *c, cl_buf *out)
{
    return put_list(out, "{\"enum\":[", &c->texts, "]}");
}

static int put(const choices *c, cl_buf *out)
{
    int kinds = (c->types_n > 0) + (c->texts_n > 0) + c->others_n, n = 0, code = 0;
    if (c->is_any) return cl_buf_put_str(out, CL_STR("{}"));
    if (kinds > 1) code = cl_buf_put_str(out, CL_STR("{\"anyOf\":["));
    if (code == 0 && c->texts_n) code = n++, put_texts(c, out);
    if (code == 0 && c->others_n) {
        if (n++) code = cl_buf_put_char(out, ',');
        if (code == 0) code = cl_buf_put_str(out, cl_buf_str(&c->others));
    }
    if (code == 0 && c->types_n) {
        if (n++) code = cl_buf_put_char(out, ',');
        if (code == 0) code = put_types(c, out);
    }
    return code || kinds < 2 ? code : cl_buf_put_str(out, CL_STR("]}"));
}

static int make_array(choices *c)
{
    cl_buf schema = {0};
    int code = cl_buf_put_str(&schema, CL_STR("{\"type\":\"array\",\"items\":"));
    if (code == 0) code = put(c, &schema);
    if (code == 0) code = cl_buf_put_char(&schema, '}');
    choices_free(c);
    *c = (choices){0};
    if (code == 0) code = add(&c->others, &c->others_n, cl_buf_str(&schema));
    cl_buf_free(&schema);
    return code;
}

static int read_part(reader *r, choices *c)
{
    int code = read_basic(r, c);
    while (code == 0) {
        if (take(r, '?')) {
            c->optional = 1;
            code = add_type(c, CL_STR("null"));
        } else if (take(r, '[')) {
            code = take(r, ']') ? make_array(c) : wrong(r, "']'");
        } else {
            break;
        }
    }
    return code;
}

static int merge_list(cl_buf *list, int *n, const cl_buf *more, int more_n)
{
    int code = more_n ? add(list, n, cl_buf_str(more)) : 0;
    if (more_n) *n += more_n - 1;
    return code;
}

static int merge(choices *all, const choices *c)
{
    all->is_any |= c->is_any;
    all->optional |= c->optional;
    int code = merge_list(&all->types, &all->types_n, &c->types, c->types_n);
    if (code == 0) code = merge_list(&all->texts, &all->texts_n, &c->texts, c->texts_n);
    return code ? code : merge_list(&all->others, &all->others_n, &c->others, c->others_n);
}

static int read_type(reader *r, cl_buf *out, int *optional)
{
    choices all = {0};
    int code = 0;
    if (++r->depth > DEEPEST) return cl_error(CLOUDS_EINVAL, "a type is nested more than %d deep", DEEPEST);
    do {
        choices part = {0};
        code = read_part(r, &part);
        if (code == 0) code = merge(&all, &part);
        choices_free(&part);
    } while (code == 0 && take(r, '|'));
    if (code == 0) code = put(&all, out);
    *optional = all.optional;
    choices_free(&all);
    r->depth--;
    return code;
}

int cl_type_text_schema(cl_str text, cl_buf *out, int *optional)
{
    reader r = {text, text.p, text.p + text.n, 0};
    int code = read_type(&r, out, optional);
    skip(&r);
    return code == 0 && r.p < r.end ? wrong(&r, "the end, '|', '?' or '[]'") : code;
}
