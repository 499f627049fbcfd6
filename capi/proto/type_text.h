/* Types as people write them, "string", "integer?", "{name: string, tags: string[]}", as JSON Schema. */
#ifndef CL_TYPE_TEXT_H
#define CL_TYPE_TEXT_H

#include "base/buf.h"
#include "base/str.h"

/*   type   = part { "|" part }
 *   part   = basic { "[]" | "?" }              T[]: an array of T; T?: T or null
 *   basic  = "string" | "number" | "integer" | "boolean" | "null" | "array" | "object" | "bytes" | "any"
 *          | a text in double quotes           this text and no other
 *          | "{" name ["?"] ":" type { "," ... } "}"   an object; `?`, and a type with `?`: may be left out
 *          | "{" "[" "string" "]" ":" type "}" an object of any names
 *          | "(" type ")"
 *
 * Appends the JSON Schema of `text` to `out`. `*optional`: it is a type with `?`. 0, CLOUDS_ENOMEM, or CLOUDS_EINVAL with
 * words. */
int cl_type_text_schema(cl_str text, cl_buf *out, int *optional);

#endif
