/* What a JSON value must be like: a subset of JSON Schema 2020-12, read once and then checked without the text.
 *
 * Checked are type, enum, const, properties, required, additionalProperties, items, prefixItems, minItems, maxItems,
 * minLength, maxLength, minimum, maximum, exclusiveMinimum, exclusiveMaximum and anyOf; title, description, default,
 * examples, deprecated, format, $schema, $id and $comment say something to people. All else is refused, so nothing that
 * is written down is silently left unchecked. */
#ifndef CL_SHAPE_H
#define CL_SHAPE_H

#include "base/str.h"
#include "proto/json.h"

enum { CL_SHAPE_MEMBERS = 256 /* that are named of an object */, CL_SHAPE_DEEPEST = 64 };

enum cl_shape_type {
    CL_SHAPE_NULL = 1,
    CL_SHAPE_BOOLEAN = 2,
    CL_SHAPE_INTEGER = 4,
    CL_SHAPE_NUMBER = 8,
    CL_SHAPE_STRING = 16,
    CL_SHAPE_ARRAY = 32,
    CL_SHAPE_OBJECT = 64
};

typedef struct cl_shape cl_shape;

typedef struct cl_shape_list {
    cl_shape **at;
    size_t n;
} cl_shape_list;

typedef struct cl_shape_member {
    cl_str name;
    cl_shape *shape; /* NULL: anything */
    int required;
} cl_shape_member;

struct cl_shape {
    int is_never;   /* the schema false */
    unsigned types; /* enum cl_shape_type; 0: any */
    char *title;    /* NULL: none */
    double least, most;
    int has_least, has_most, above_least, below_most; /* above, below: the bound itself is not in it */
    uint64_t least_items, most_items, least_length, most_length;
    cl_str *choices; /* of enum and const, as JSON; texts without escapes that need not be */
    size_t choices_n;
    cl_shape_list first; /* prefixItems */
    cl_shape *rest;      /* items behind these; NULL: anything */
    cl_shape_member *members;
    size_t members_n;
    cl_shape *others; /* members that are not named; NULL: anything */
    cl_shape_list any_of;
};

/* 0, CLOUDS_ENOMEM, or CLOUDS_EINVAL with words. `schema` is valid JSON. */
int cl_shape_create(cl_str schema, cl_shape **out);
void cl_shape_destroy(cl_shape *shape); /* NULL is fine */

/* A double of the text of a JSON number, whatever the locale says: near enough to compare it. */
double cl_shape_number(cl_str text);
int cl_shape_is_integer(cl_str number);
/* The type of this name; 0: there is none. */
unsigned cl_shape_type(cl_str name);
/* NULL: the shape names no such member. */
cl_shape_member *cl_shape_find_member(const cl_shape *shape, cl_str name);
/* What may be a choice, as `choices` has it. 0 or CLOUDS_ENOMEM. */
int cl_shape_put_choice(cl_str value, cl_buf *out);

/* shape_check.c: arguments, a valid JSON array, of a call. 0, CLOUDS_ENOMEM, or CLOUDS_EBADARG with words that begin with
 * the path of what is wrong. */
int cl_shape_check(const cl_shape *shape, cl_str args);

#endif
