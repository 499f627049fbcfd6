#include "proto/schema.h"

#include "base/error.h"
#include "base/mem.h"
#include "base/rare.h"
#include "clouds.h"
#include "proto/type_text.h"

/* A list of arguments, or of results, as it is read. */
typedef struct list {
    cl_buf first, rest; /* schemas: of those that have a place, and of all further ones */
    size_t n, least;    /* those with a place, and how many of them must be there */
} list;

CL_RARE static int wrong(const char *member, const char *expected, cl_str got)
{
    return cl_error(CLOUDS_EINVAL, "schema: '%s': expected %s, got %.*s", member, expected,
                    got.n < 80 ? (int)got.n : 80, got.p);
}

/* ---- one type */

/* The members of a schema behind "{": "title" and "description", where they are given, go before the others. */
static int put_titled(cl_str schema, cl_str title, cl_str doc, cl_buf *out)
{
    int code = cl_buf_put_char(out, '{');
    if (code == 0 && title.n) code = cl_buf_put_str(out, CL_STR("\"title\":"));
    if (code == 0 && title.n) code = cl_json_quote(title, out);
    if (code == 0 && title.n && (doc.n || schema.n > 2)) code = cl_buf_put_char(out, ',');
    if (code == 0 && doc.n) code = cl_buf_put_str(out, CL_STR("\"description\":"));
    if (code == 0 && doc.n) code = cl_buf_put_str(out, doc);
    if (code == 0 && doc.n && schema.n > 2) code = cl_buf_put_char(out, ',');
    return code ? code : cl_buf_put(out, schema.p + 1, schema.n - 1);
}

/* A type: a text, or JSON Schema, which is left as it is. */
static int put_type(const char *member, cl_str value, cl_buf *out, int *optional)
{
    cl_buf plain = {0};
    *optional = 0;
    if (value.p[0] == '{') return cl_buf_put_str(out, value);
    if (value.p[0] != '"') return wrong(member, "a type, as a text or as JSON Schema", value);
    int code = cl_json_unquote(value, &plain);
    if (code == 0) code = cl_type_text_schema(cl_buf_str(&plain), out, optional);
    cl_buf_free(&plain);
    return code;
}

/* ---- an argument: "name: type", ["name", type] or ["name", type, "doc"]; "...name" is all further ones */

static int add(list *l, cl_str title, cl_str doc, cl_str schema, int optional)
{
    int is_rest = cl_str_starts(title, CL_STR("..."));
    if (l->rest.len) return cl_error(CLOUDS_EINVAL, "schema: 'args': nothing can follow the argument '...'");
    if (is_rest) title = cl_str_of(title.p + 3, title.n - 3);
    cl_buf *out = is_rest ? &l->rest : &l->first;
    int code = out->len ? cl_buf_put_char(out, ',') : 0;
    if (code == 0) code = put_titled(schema, title, doc, out);
    if (code || is_rest) return code;
    l->n++;
    if (!optional) l->least = l->n;
    return 0;
}

static cl_str trimmed(cl_str text)
{
    while (text.n && text.p[0] == ' ') text.p++, text.n--;
    while (text.n && text.p[text.n - 1] == ' ') text.n--;
    return text;
}

static int add_text(list *l, cl_str value)
{
    cl_buf plain = {0}, schema = {0};
    int optional = 0, code = cl_json_unquote(value, &plain);
    cl_str text = cl_buf_str(&plain);
    const char *colon = text.n ? memchr(text.p, ':', text.n) : NULL;
    cl_str title = trimmed(cl_str_of(text.p, colon ? (size_t)(colon - text.p) : text.n));
    if (code == 0 && (!colon || !title.n)) code = wrong("args", "\"name: type\", or [\"name\",\"type\"]", value);
    cl_str type = colon ? trimmed(cl_str_of(colon + 1, (size_t)(text.p + text.n - colon - 1))) : CL_STR_NONE;
    if (code == 0) code = cl_type_text_schema(type, &schema, &optional);
    if (code == 0) code = add(l, title, CL_STR_NONE, cl_buf_str(&schema), optional);
    cl_buf_free(&plain);
    cl_buf_free(&schema);
    return code;
}

static int add_triple(list *l, cl_str value)
{
    cl_json j;
    cl_str parts[3] = {CL_STR_NONE, CL_STR_NONE, CL_STR_NONE};
    size_t n = 0;
    cl_json_start(&j, value, CL_JSON_ANY);
    cl_json_enter(&j, '[');
    while (cl_json_element(&j) == 1 && n < 4) {
        cl_str part;
        cl_json_value(&j, &part);
        if (n < 3) parts[n] = part;
        n++;
    }
    if (n < 2 || n > 3 || parts[0].p[0] != '"' || (n == 3 && parts[2].p[0] != '"'))
        return wrong("args", "[\"name\",type] or [\"name\",type,\"what it is\"]", value);
    cl_buf title = {0}, schema = {0};
    int optional, code = cl_json_unquote(parts[0], &title);
    if (code == 0) code = put_type("args", parts[1], &schema, &optional);
    if (code == 0) code = add(l, cl_buf_str(&title), parts[2], cl_buf_str(&schema), optional);
    cl_buf_free(&title);
    cl_buf_free(&schema);
    return code;
}

static int add_argument(list *l, cl_str value)
{
    if (value.p[0] == '"') return add_text(l, value);
    if (value.p[0] == '[') return add_triple(l, value);
    return wrong("args", "\"name: type\" or [\"name\",type] for each argument", value);
}

static int add_result(list *l, cl_str value)
{
    cl_buf schema = {0};
    int optional, code = put_type("returns", value, &schema, &optional);
    if (code == 0) code = add(l, CL_STR_NONE, CL_STR_NONE, cl_buf_str(&schema), optional);
    cl_buf_free(&schema);
    return code;
}

/* ---- lists */

static int put_list(const list *l, cl_buf *out)
{
    int code = cl_buf_put_str(out, CL_STR("{\"type\":\"array\""));
    if (code == 0 && l->n) code = cl_buf_put_str(out, CL_STR(",\"prefixItems\":["));
    if (code == 0 && l->n) code = cl_buf_put_str(out, cl_buf_str(&l->first));
    if (code == 0 && l->n) code = cl_buf_put_char(out, ']');
    if (code == 0 && l->least) code = cl_buf_printf(out, ",\"minItems\":%zu", l->least);
    if (code == 0) code = cl_buf_put_str(out, CL_STR(",\"items\":"));
    if (code == 0) code = cl_buf_put_str(out, l->rest.len ? cl_buf_str(&l->rest) : CL_STR("false"));
    return code ? code : cl_buf_put_char(out, '}');
}

/* An array of which each is added, or the JSON Schema of all of it. */
static int read_list(cl_str value, int (*add_one)(list *l, cl_str value), cl_buf *out)
{
    cl_json j;
    cl_str inner;
    list l = {.n = 0};
    int code = 0;
    if (value.p[0] == '{') return cl_buf_put_str(out, value);
    cl_json_start(&j, value, CL_JSON_ANY);
    cl_json_enter(&j, '[');
    while (code == 0 && cl_json_element(&j) == 1) {
        code = cl_json_value(&j, &inner);
        if (code == 0) code = add_one(&l, inner);
    }
    if (code == 0) code = put_list(&l, out);
    cl_buf_free(&l.first);
    cl_buf_free(&l.rest);
    return code;
}

static int put_args(cl_str value, cl_buf *out)
{
    if (value.p[0] != '[' && value.p[0] != '{') return wrong("args", "an array, or JSON Schema", value);
    return read_list(value, add_argument, out);
}

/* One type is one value. */
static int put_returns(cl_str value, cl_buf *out)
{
    list l = {.n = 0};
    if (value.p[0] == '[' || value.p[0] == '{') return read_list(value, add_result, out);
    int code = add_result(&l, value);
    if (code == 0) code = put_list(&l, out);
    cl_buf_free(&l.first);
    return code;
}

/* ---- all of it */

static int put_doc(cl_str value, cl_buf *out)
{
    return value.p[0] == '"' ? cl_buf_put_str(out, value) : wrong("doc", "a text", value);
}

static int put_member(cl_str name, cl_str value, cl_buf *out)
{
    if (cl_str_eq(name, CL_STR("doc"))) return put_doc(value, out);
    if (cl_str_eq(name, CL_STR("args"))) return put_args(value, out);
    if (cl_str_eq(name, CL_STR("returns"))) return put_returns(value, out);
    return cl_error(CLOUDS_EINVAL, "schema: '%.*s' is not known; expected doc, args or returns",
                    name.n < 60 ? (int)name.n : 60, name.p);
}

static int read_member(cl_schema *schema, cl_str name, cl_str value)
{
    cl_buf *out = &schema->text;
    int code = out->len > 1 ? cl_buf_put_char(out, ',') : 0;
    if (code == 0) code = cl_buf_printf(out, "\"%.*s\":", name.n < 60 ? (int)name.n : 60, name.p);
    size_t from = out->len;
    if (code == 0) code = put_member(name, value, out);
    if (code) return code;
    cl_shape *shape = NULL; /* that of the results is read, too, so that it is right */
    const cl_str text = cl_str_of(out->data + from, out->len - from);
    if (cl_str_eq(name, CL_STR("doc"))) return 0;
    code = cl_shape_create(text, &shape);
    if (code == 0 && cl_str_eq(name, CL_STR("args")) && !schema->args) return schema->args = shape, 0;
    cl_shape_destroy(shape);
    return code;
}

static int read_all(cl_schema *schema, cl_str declaration)
{
    cl_json j;
    cl_str name, value;
    int escaped, code = cl_buf_put_char(&schema->text, '{');
    cl_json_start(&j, declaration, CL_JSON_ANY);
    if (cl_json_enter(&j, '{') != 0) return cl_error(CLOUDS_EINVAL, "schema: expected an object");
    while (code == 0 && cl_json_member(&j, &name, &escaped) == 1) {
        code = cl_json_value(&j, &value);
        if (code == 0) code = read_member(schema, name, value);
    }
    return code ? code : cl_buf_put_char(&schema->text, '}');
}

int cl_schema_create(cl_str declaration, cl_schema **out)
{
    cl_schema *schema = cl_calloc(1, sizeof *schema);
    if (!schema) return CLOUDS_ENOMEM;
    int code = read_all(schema, declaration);
    if (code == 0) *out = schema;
    else cl_schema_destroy(schema);
    return code;
}

void cl_schema_destroy(cl_schema *schema)
{
    if (!schema) return;
    cl_shape_destroy(schema->args);
    cl_buf_free(&schema->text);
    cl_free(schema);
}
