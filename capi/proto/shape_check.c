#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "clouds.h"
#include "proto/shape.h"

/* Where a value stands: a member of what is above it, or an element. */
typedef struct place {
    const struct place *above; /* NULL: these are the arguments */
    cl_str name;               /* of a member; empty: an element */
    size_t index;
    const char *title; /* of an argument; NULL: it has no name */
} place;

static int check(const cl_shape *shape, cl_str value, const place *at);

/* ---- words */

static int put_place(const place *at, cl_buf *out)
{
    if (!at->above) return 0;
    int is_argument = !at->above->above, code = put_place(at->above, out);
    if (code) return code;
    if (is_argument && at->title) return cl_buf_printf(out, "argument %zu (%s)", at->index + 1, at->title);
    if (is_argument) return cl_buf_printf(out, "argument %zu", at->index + 1);
    if (!at->name.n) return cl_buf_printf(out, "[%zu]", at->index);
    return cl_buf_printf(out, ".%.*s", at->name.n < 60 ? (int)at->name.n : 60, at->name.p);
}

static const char *kind_of(char c)
{
    switch (c) {
    case '"':
        return "a text";
    case '{':
        return "an object";
    case '[':
        return "an array";
    default:
        return NULL; /* it is short enough to be shown */
    }
}

static int wrong(const place *at, cl_str value, const char *expected)
{
    cl_buf where = {0};
    const char *kind = kind_of(value.p[0]);
    int code = put_place(at, &where);
    if (code == 0 && kind)
        code = cl_error(CLOUDS_EBADARG, "%.*s: expected %s, got %s", (int)where.len, where.data, expected, kind);
    else if (code == 0)
        code = cl_error(CLOUDS_EBADARG, "%.*s: expected %s, got %.*s", (int)where.len, where.data, expected,
                        value.n < 40 ? (int)value.n : 40, value.p);
    cl_buf_free(&where);
    return code;
}

static int wrong_count(const place *at, cl_str value, const char *format, uint64_t n)
{
    char expected[100];
    snprintf(expected, sizeof expected, format, (unsigned long long)n);
    return wrong(at, value, expected);
}

static int put_word(cl_buf *out, int *n, const char *word)
{
    int code = (*n)++ ? cl_buf_put_str(out, CL_STR(" or ")) : 0;
    return code ? code : cl_buf_put_str(out, cl_str_z(word));
}

/* What a shape takes, in a few words. */
static int put_expected(const cl_shape *shape, cl_buf *out, int *n)
{
    static const char *const names[] = {"null",   "true or false", "an integer", "a number",
                                        "a text", "an array",      "an object"};
    int code = 0;
    for (size_t i = 1; i < sizeof names / sizeof *names && code == 0; i++)
        if (shape->types >> i & 1) code = put_word(out, n, names[i]);
    for (size_t i = 0; i < shape->choices_n && i < 10 && code == 0; i++) code = put_word(out, n, shape->choices[i].p);
    for (size_t i = 0; i < shape->any_of.n && code == 0; i++) code = put_expected(shape->any_of.at[i], out, n);
    if (code == 0 && shape->types & CL_SHAPE_NULL) code = put_word(out, n, names[0]);
    return code;
}

static int wrong_kind(const cl_shape *shape, cl_str value, const place *at)
{
    cl_buf expected = {0};
    int n = 0, code = put_expected(shape, &expected, &n);
    if (code == 0 && !n) code = cl_buf_put_str(&expected, CL_STR("nothing"));
    if (code == 0) code = cl_buf_put_char(&expected, '\0');
    if (code == 0) code = wrong(at, value, expected.data);
    cl_buf_free(&expected);
    return code;
}

/* ---- values */

/* Of a number what it may be: to know whether it is an integer is to read it. */
static unsigned types_of(cl_str value)
{
    switch (value.p[0]) {
    case 'n':
        return CL_SHAPE_NULL;
    case 't':
    case 'f':
        return CL_SHAPE_BOOLEAN;
    case '"':
        return CL_SHAPE_STRING;
    case '[':
        return CL_SHAPE_ARRAY;
    case '{':
        return CL_SHAPE_OBJECT;
    default:
        return CL_SHAPE_NUMBER | CL_SHAPE_INTEGER;
    }
}

/* Whether its type is one of those that the shape takes. */
static int is_of_type(const cl_shape *s, cl_str value)
{
    unsigned common = s->types & types_of(value);
    if (s->is_never || !s->types) return !s->is_never;
    return common == CL_SHAPE_INTEGER ? cl_shape_is_integer(value) : common != 0;
}

static int is_choice(const cl_shape *shape, cl_str value)
{
    int is_number = (types_of(value) & CL_SHAPE_NUMBER) != 0;
    double number = is_number ? cl_shape_number(value) : 0;
    for (size_t i = 0; i < shape->choices_n; i++) {
        cl_str choice = shape->choices[i];
        if (cl_str_eq(choice, value)) return 1;
        if (is_number && types_of(choice) & CL_SHAPE_NUMBER && cl_shape_number(choice) == number) return 1;
    }
    return 0;
}

static int check_choice(const cl_shape *shape, cl_str value, const place *at)
{
    cl_buf text = {0};
    int has_escapes = value.p[0] == '"' && memchr(value.p, '\\', value.n);
    int code = has_escapes ? cl_shape_put_choice(value, &text) : 0;
    if (code == 0 && !is_choice(shape, has_escapes ? cl_buf_str(&text) : value)) code = wrong_kind(shape, value, at);
    cl_buf_free(&text);
    return code;
}

static int check_number(const cl_shape *s, cl_str value, const place *at)
{
    double number = s->has_least || s->has_most ? cl_shape_number(value) : 0;
    char expected[80], bound[CL_NUMBER_TEXT];
    if (s->has_least && (s->above_least ? number <= s->least : number < s->least)) {
        snprintf(expected, sizeof expected, "a number %s %s", s->above_least ? "above" : "of at least",
                 cl_number_text(bound, s->least, 6));
        return wrong(at, value, expected);
    }
    if (s->has_most && (s->below_most ? number >= s->most : number > s->most)) {
        snprintf(expected, sizeof expected, "a number %s %s", s->below_most ? "below" : "of at most",
                 cl_number_text(bound, s->most, 6));
        return wrong(at, value, expected);
    }
    return 0;
}

static int check_text(const cl_shape *s, cl_str value, const place *at)
{
    cl_buf plain = {0};
    if (!s->least_length && s->most_length == UINT64_MAX) return 0;
    int code = cl_json_unquote(value, &plain);
    uint64_t n = 0;
    for (size_t i = 0; i < plain.len; i++) n += ((unsigned char)plain.data[i] & 0xc0) != 0x80;
    cl_buf_free(&plain);
    if (code) return code;
    if (n < s->least_length) return wrong_count(at, value, "at least %llu characters", s->least_length);
    return n > s->most_length ? wrong_count(at, value, "at most %llu characters", s->most_length) : 0;
}

static int check_size(const cl_shape *s, cl_str value, const place *at, size_t n)
{
    if (n >= s->least_items && n <= s->most_items) return 0;
    int is_least = n < s->least_items;
    uint64_t bound = is_least ? s->least_items : s->most_items;
    if (!at->above)
        return cl_error(CLOUDS_EBADARG, "expected at %s %llu argument%s, got %zu", is_least ? "least" : "most",
                        (unsigned long long)bound, bound == 1 ? "" : "s", n);
    return wrong_count(at, value, is_least ? "at least %llu elements" : "at most %llu elements", bound);
}

static int check_array(const cl_shape *s, cl_str value, const place *at)
{
    cl_json j;
    cl_str inner;
    size_t n = 0;
    int code = 0;
    cl_json_start(&j, value, CL_JSON_ANY);
    cl_json_enter(&j, '[');
    for (; code == 0 && cl_json_element(&j) == 1; n++) {
        code = cl_json_value(&j, &inner);
        const cl_shape *shape = n < s->first.n ? s->first.at[n] : s->rest;
        if (code == 0 && shape && shape->is_never && !at->above)
            return cl_error(CLOUDS_EBADARG, "expected at most %zu argument%s", s->first.n, s->first.n == 1 ? "" : "s");
        const place here = {at, CL_STR_NONE, n, shape ? shape->title : NULL};
        if (code == 0 && shape) code = check(shape, inner, &here);
    }
    return code ? code : check_size(s, value, at, n);
}

/* One member whose name has no escapes any more. */
static int check_member(const cl_shape *s, cl_str name, cl_str value, const place *at, uint8_t *seen)
{
    const cl_shape_member *member = cl_shape_find_member(s, name);
    const cl_shape *shape = member ? member->shape : s->others;
    const place here = {at, name, 0, NULL};
    if (member) seen[(member - s->members) / 8] |= (uint8_t)(1u << (member - s->members) % 8);
    if (shape && shape->is_never) return wrong(&here, value, "no such member");
    return shape ? check(shape, value, &here) : 0;
}

static int check_required(const cl_shape *s, cl_str value, const place *at, const uint8_t *seen)
{
    for (size_t i = 0; i < s->members_n; i++) {
        char expected[100];
        if (!s->members[i].required || seen[i / 8] >> i % 8 & 1) continue;
        snprintf(expected, sizeof expected, "an object with the member '%.60s'", s->members[i].name.p);
        return wrong(at, value, expected);
    }
    return 0;
}

static int check_object(const cl_shape *s, cl_str value, const place *at)
{
    uint8_t seen[CL_SHAPE_MEMBERS / 8] = {0};
    cl_json j;
    cl_str name, inner;
    cl_buf plain = {0};
    int escaped, code = 0;
    if (!s->members_n && !s->others) return 0;
    cl_json_start(&j, value, CL_JSON_ANY);
    cl_json_enter(&j, '{');
    while (code == 0 && cl_json_member(&j, &name, &escaped) == 1) {
        cl_buf_clear(&plain);
        if (escaped) code = cl_json_unescape(name, &plain);
        if (code == 0) code = cl_json_value(&j, &inner);
        if (code == 0) code = check_member(s, escaped ? cl_buf_str(&plain) : name, inner, at, seen);
    }
    cl_buf_free(&plain);
    return code ? code : check_required(s, value, at, seen);
}

static int check_any_of(const cl_shape *s, cl_str value, const place *at)
{
    for (size_t i = 0; i < s->any_of.n; i++) {
        if (!is_of_type(s->any_of.at[i], value)) continue;
        int code = check(s->any_of.at[i], value, at);
        if (code != CLOUDS_EBADARG) return code;
    }
    /* Where one of them takes its type, its words are what is wrong; else what is expected at all. */
    for (size_t i = 0; i < s->any_of.n; i++)
        if (s->any_of.at[i]->types && is_of_type(s->any_of.at[i], value)) return check(s->any_of.at[i], value, at);
    return wrong_kind(s, value, at);
}

static int check(const cl_shape *s, cl_str value, const place *at)
{
    unsigned types = types_of(value);
    int code = 0;
    if (!is_of_type(s, value)) return wrong_kind(s, value, at);
    if (s->choices_n) code = check_choice(s, value, at);
    if (code == 0 && types & CL_SHAPE_NUMBER) code = check_number(s, value, at);
    if (code == 0 && types & CL_SHAPE_STRING) code = check_text(s, value, at);
    if (code == 0 && types & CL_SHAPE_ARRAY) code = check_array(s, value, at);
    if (code == 0 && types & CL_SHAPE_OBJECT) code = check_object(s, value, at);
    if (code == 0 && s->any_of.n) code = check_any_of(s, value, at);
    return code;
}

int cl_shape_check(const cl_shape *shape, cl_str args)
{
    const place here = {0};
    return check(shape, args, &here);
}
