/* What a method says of itself: what it is for, what it takes and what it gives. */
#ifndef CL_SCHEMA_H
#define CL_SCHEMA_H

#include "base/buf.h"
#include "proto/shape.h"

typedef struct cl_schema {
    cl_shape *args; /* of the array of arguments; NULL: nothing is checked */
    cl_buf text;    /* {"doc":text,"args":JSON Schema,"returns":JSON Schema}, as far as they were given */
} cl_schema;

/* Reads it as clouds_offer_options.schema has it: a valid JSON object. 0, CLOUDS_ENOMEM, or CLOUDS_EINVAL with words. */
int cl_schema_create(cl_str declaration, cl_schema **out);
void cl_schema_destroy(cl_schema *schema); /* NULL is fine */

#endif
