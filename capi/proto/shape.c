#include "proto/shape.h"

#include "base/error.h"
#include "base/mem.h"
#include "base/rare.h"
#include "clouds.h"

static int read_shape(cl_str text, int depth, cl_shape **out);

/* ---- numbers */

double cl_shape_number(cl_str text)
{
    double value = 0, sign = 1;
    long exponent = 0, given = 0, given_sign = 1;
    size_t i = 0;
    int behind_point = 0;
    if (text.n && text.p[0] == '-') sign = -1, i = 1;
    for (; i < text.n && text.p[i] != 'e' && text.p[i] != 'E'; i++) {
        if (text.p[i] == '.') {
            behind_point = 1;
            continue;
        }
        value = value * 10 + (text.p[i] - '0');
        exponent -= behind_point;
    }
    for (i++; i < text.n; i++) {
        if (text.p[i] == '-') given_sign = -1;
        else if (text.p[i] != '+' && given < 10000) given = given * 10 + (text.p[i] - '0');
    }
    exponent += given * given_sign;
    double scale = 1;
    for (long n = exponent < 0 ? -exponent : exponent; n > 0 && scale < 1e308; n--) scale *= 10;
    return sign * (exponent < 0 ? value / scale : value * scale);
}

int cl_shape_is_integer(cl_str number)
{
    double value = cl_shape_number(number);
    if (value >= 9007199254740992.0 || value <= -9007199254740992.0) return 1; /* no double there has a fraction */
    return value == (double)(int64_t)value;
}

/* ---- what keywords have as values */

CL_RARE static int wrong(cl_str keyword, const char *expected)
{
    return cl_error(CLOUDS_EINVAL, "schema: '%.*s': expected %s", keyword.n < 60 ? (int)keyword.n : 60, keyword.p,
                    expected);
}

static int read_title(cl_shape *shape, cl_str value)
{
    cl_buf text = {0};
    if (value.p[0] != '"') return wrong(CL_STR("title"), "a text");
    int code = cl_json_unquote(value, &text);
    cl_free(shape->title);
    shape->title = code == 0 ? cl_str_dup(cl_buf_str(&text)) : NULL;
    cl_buf_free(&text);
    return shape->title ? 0 : CLOUDS_ENOMEM;
}

static int read_bound(cl_str keyword, cl_str value, double *out, int *has, int *is_open, int open)
{
    if (value.p[0] != '-' && (value.p[0] < '0' || value.p[0] > '9')) return wrong(keyword, "a number");
    *out = cl_shape_number(value);
    *has = 1;
    *is_open = open;
    return 0;
}

static int read_count(cl_str keyword, cl_str value, uint64_t *out)
{
    double number = value.p[0] >= '0' && value.p[0] <= '9' ? cl_shape_number(value) : -1;
    if (number < 0 || number > 1e15 || !cl_shape_is_integer(value)) return wrong(keyword, "a whole number, 0 or more");
    *out = (uint64_t)number;
    return 0;
}

unsigned cl_shape_type(cl_str name)
{
    static const char *const names[] = {"null", "boolean", "integer", "number", "string", "array", "object"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (cl_str_eq(name, cl_str_z(names[i]))) return 1u << i;
    return 0;
}

static int read_type(cl_shape *shape, cl_str value)
{
    unsigned type = value.p[0] == '"' ? cl_shape_type(cl_str_of(value.p + 1, value.n - 2)) : 0;
    shape->types |= type;
    if (type) return 0;
    return wrong(CL_STR("type"), "null, boolean, integer, number, string, array, object, or an array of these");
}

/* Makes room for one more. */
static int grow(void **list, size_t n, size_t size)
{
    if (n & (n - 1)) return 0; /* there is room up to the next power of two */
    void *more = cl_realloc(*list, (n ? n * 2 : 1) * size);
    if (!more) return CLOUDS_ENOMEM;
    *list = more;
    return 0;
}

/* A text is kept with the escapes that it must have, so that equal texts have equal bytes. */
int cl_shape_put_choice(cl_str value, cl_buf *out)
{
    cl_buf plain = {0};
    if (value.p[0] != '"') return cl_buf_put_str(out, value);
    int code = cl_json_unquote(value, &plain);
    if (code == 0) code = cl_json_quote(cl_buf_str(&plain), out);
    cl_buf_free(&plain);
    return code;
}

static int read_choice(cl_shape *shape, cl_str value)
{
    cl_buf text = {0};
    if (value.p[0] == '{' || value.p[0] == '[') return wrong(CL_STR("enum"), "texts, numbers, true, false or null");
    int code = cl_shape_put_choice(value, &text);
    if (code == 0) code = grow((void **)&shape->choices, shape->choices_n, sizeof *shape->choices);
    char *kept = code == 0 ? cl_str_dup(cl_buf_str(&text)) : NULL;
    if (kept) shape->choices[shape->choices_n++] = cl_str_of(kept, text.len);
    cl_buf_free(&text);
    return kept ? 0 : code ? code : CLOUDS_ENOMEM;
}

static int read_inner(cl_shape **place, cl_str value, int depth)
{
    cl_shape_destroy(*place);
    *place = NULL;
    return read_shape(value, depth + 1, place);
}

static int add_shape(cl_shape_list *list, cl_str value, int depth)
{
    int code = grow((void **)&list->at, list->n, sizeof(cl_shape *));
    if (code == 0) list->at[list->n] = NULL;
    if (code == 0) code = read_shape(value, depth + 1, &list->at[list->n]);
    if (code == 0) list->n++;
    return code;
}

cl_shape_member *cl_shape_find_member(const cl_shape *shape, cl_str name)
{
    for (size_t i = 0; i < shape->members_n; i++)
        if (cl_str_eq(shape->members[i].name, name)) return &shape->members[i];
    return NULL;
}

static cl_shape_member *member_of(cl_shape *shape, cl_str name)
{
    cl_shape_member *known = cl_shape_find_member(shape, name);
    if (known) return known;
    if (shape->members_n == CL_SHAPE_MEMBERS ||
        grow((void **)&shape->members, shape->members_n, sizeof *shape->members))
        return NULL;
    char *kept = cl_str_dup(name);
    if (!kept) return NULL;
    shape->members[shape->members_n] = (cl_shape_member){.name = cl_str_of(kept, name.n)};
    return &shape->members[shape->members_n++];
}

/* `raw`: what stands between the quotes. NULL: too many, or no memory. */
static cl_shape_member *member_named(cl_shape *shape, cl_str raw)
{
    cl_buf name = {0};
    cl_shape_member *member = cl_json_unescape(raw, &name) == 0 ? member_of(shape, cl_buf_str(&name)) : NULL;
    cl_buf_free(&name);
    if (!member) cl_error(CLOUDS_EINVAL, "schema: more than %d members of an object, or no memory", CL_SHAPE_MEMBERS);
    return member;
}

static int read_properties(cl_shape *shape, cl_str value, int depth)
{
    cl_json j;
    cl_str name, inner;
    int escaped, code = 0;
    if (value.p[0] != '{') return wrong(CL_STR("properties"), "an object");
    cl_json_start(&j, value, CL_JSON_ANY);
    cl_json_enter(&j, '{');
    while (code == 0 && cl_json_member(&j, &name, &escaped) == 1) {
        code = cl_json_value(&j, &inner);
        cl_shape_member *member = code == 0 ? member_named(shape, name) : NULL;
        code = member ? read_inner(&member->shape, inner, depth) : CLOUDS_EINVAL;
    }
    return code;
}

static int add_required(cl_shape *shape, cl_str value)
{
    if (value.p[0] != '"') return wrong(CL_STR("required"), "an array of names");
    cl_shape_member *member = member_named(shape, cl_str_of(value.p + 1, value.n - 2));
    if (!member) return CLOUDS_EINVAL;
    member->required = 1;
    return 0;
}

/* Each value of an array; `fn` is one of those above. */
static int read_each(cl_shape *shape, cl_str keyword, cl_str value, int (*fn)(cl_shape *shape, cl_str value))
{
    cl_json j;
    cl_str inner;
    int code = 0;
    if (value.p[0] != '[') return wrong(keyword, "an array");
    cl_json_start(&j, value, CL_JSON_ANY);
    cl_json_enter(&j, '[');
    while (code == 0 && cl_json_element(&j) == 1) {
        code = cl_json_value(&j, &inner);
        if (code == 0) code = fn(shape, inner);
    }
    return code;
}

static int read_shapes(cl_shape_list *list, cl_str keyword, cl_str value, int depth)
{
    cl_json j;
    cl_str inner;
    int code = 0;
    if (value.p[0] != '[') return wrong(keyword, "an array of schemas");
    cl_json_start(&j, value, CL_JSON_ANY);
    cl_json_enter(&j, '[');
    while (code == 0 && cl_json_element(&j) == 1) {
        code = cl_json_value(&j, &inner);
        if (code == 0) code = add_shape(list, inner, depth);
    }
    return code;
}

/* ---- schemas */

static int is_for_people(cl_str keyword)
{
    static const char *const names[] = {"description", "default", "examples", "deprecated",
                                        "format",      "$schema", "$id",      "$comment"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (cl_str_eq(keyword, cl_str_z(names[i]))) return 1;
    return 0;
}

static int read_value_keyword(cl_shape *s, cl_str key, cl_str value)
{
    if (cl_str_eq(key, CL_STR("title"))) return read_title(s, value);
    if (cl_str_eq(key, CL_STR("type")))
        return value.p[0] == '[' ? read_each(s, key, value, read_type) : read_type(s, value);
    if (cl_str_eq(key, CL_STR("enum"))) return read_each(s, key, value, read_choice);
    if (cl_str_eq(key, CL_STR("const"))) return read_choice(s, value);
    if (cl_str_eq(key, CL_STR("minimum"))) return read_bound(key, value, &s->least, &s->has_least, &s->above_least, 0);
    if (cl_str_eq(key, CL_STR("maximum"))) return read_bound(key, value, &s->most, &s->has_most, &s->below_most, 0);
    if (cl_str_eq(key, CL_STR("exclusiveMinimum")))
        return read_bound(key, value, &s->least, &s->has_least, &s->above_least, 1);
    if (cl_str_eq(key, CL_STR("exclusiveMaximum")))
        return read_bound(key, value, &s->most, &s->has_most, &s->below_most, 1);
    if (cl_str_eq(key, CL_STR("minItems"))) return read_count(key, value, &s->least_items);
    if (cl_str_eq(key, CL_STR("maxItems"))) return read_count(key, value, &s->most_items);
    if (cl_str_eq(key, CL_STR("minLength"))) return read_count(key, value, &s->least_length);
    if (cl_str_eq(key, CL_STR("maxLength"))) return read_count(key, value, &s->most_length);
    if (is_for_people(key)) return 0;
    return cl_error(CLOUDS_EINVAL, "schema: '%.*s' is not one of the keywords that are checked (docs/SCHEMAS.md)",
                    key.n < 60 ? (int)key.n : 60, key.p);
}

static int read_keyword(cl_shape *s, cl_str key, cl_str value, int depth)
{
    if (cl_str_eq(key, CL_STR("properties"))) return read_properties(s, value, depth);
    if (cl_str_eq(key, CL_STR("required"))) return read_each(s, key, value, add_required);
    if (cl_str_eq(key, CL_STR("additionalProperties"))) return read_inner(&s->others, value, depth);
    if (cl_str_eq(key, CL_STR("items"))) return read_inner(&s->rest, value, depth);
    if (cl_str_eq(key, CL_STR("prefixItems"))) return read_shapes(&s->first, key, value, depth);
    if (cl_str_eq(key, CL_STR("anyOf"))) return read_shapes(&s->any_of, key, value, depth);
    return read_value_keyword(s, key, value);
}

static int read_keywords(cl_shape *shape, cl_str text, int depth)
{
    cl_json j;
    cl_str key, value;
    int escaped, code = 0;
    cl_json_start(&j, text, CL_JSON_ANY);
    cl_json_enter(&j, '{');
    while (code == 0 && cl_json_member(&j, &key, &escaped) == 1) {
        code = cl_json_value(&j, &value);
        if (code == 0) code = read_keyword(shape, key, value, depth);
    }
    return code;
}

static int read_shape(cl_str text, int depth, cl_shape **out)
{
    int is_bool = cl_str_eq(text, CL_STR("true")) || cl_str_eq(text, CL_STR("false"));
    if (depth > CL_SHAPE_DEEPEST) return cl_error(CLOUDS_EINVAL, "schema: nested more than %d deep", CL_SHAPE_DEEPEST);
    if (!is_bool && (!text.n || text.p[0] != '{'))
        return cl_error(CLOUDS_EINVAL, "schema: expected an object, true or false, got %.*s",
                        text.n < 60 ? (int)text.n : 60, text.p);
    cl_shape *shape = cl_calloc(1, sizeof *shape);
    if (!shape) return CLOUDS_ENOMEM;
    shape->most_items = shape->most_length = UINT64_MAX;
    shape->is_never = cl_str_eq(text, CL_STR("false"));
    int code = is_bool ? 0 : read_keywords(shape, text, depth);
    if (code == 0) *out = shape;
    else cl_shape_destroy(shape);
    return code;
}

int cl_shape_create(cl_str schema, cl_shape **out)
{
    return read_shape(schema, 0, out);
}

static void free_list(cl_shape_list *list)
{
    for (size_t i = 0; i < list->n; i++) cl_shape_destroy(list->at[i]);
    cl_free(list->at);
}

void cl_shape_destroy(cl_shape *shape)
{
    if (!shape) return;
    free_list(&shape->first);
    free_list(&shape->any_of);
    cl_shape_destroy(shape->rest);
    cl_shape_destroy(shape->others);
    for (size_t i = 0; i < shape->choices_n; i++) cl_free((char *)shape->choices[i].p);
    for (size_t i = 0; i < shape->members_n; i++) {
        cl_free((char *)shape->members[i].name.p);
        cl_shape_destroy(shape->members[i].shape);
    }
    cl_free(shape->choices);
    cl_free(shape->members);
    cl_free(shape->title);
    cl_free(shape);
}
