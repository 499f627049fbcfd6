/* JSON as spans: one validating pass over the bytes, no tree. RFC 8259, and strict: no BOM, no raw control characters,
 * numbers as written there, UTF-8 checked. Lone surrogates as \udXXX escapes pass (JSON.stringify writes them). */
#ifndef CL_JSON_H
#define CL_JSON_H

#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

enum { CL_JSON_DEEPEST = 10048 };

typedef struct cl_json_limits {
    uint32_t depth;  /* nesting of arrays and objects; beyond CL_JSON_DEEPEST it has no effect */
    uint32_t values; /* number of values in all */
} cl_json_limits;

/* As much as there may be. */
#define CL_JSON_ANY ((cl_json_limits){CL_JSON_DEEPEST, UINT32_MAX})

typedef struct cl_json {
    const char *p, *end; /* what is still to be read */
    uint32_t depth_left, values_left;
    int bad_utf8; /* set when the text is fine but for its UTF-8 (the caller decides) */
    int fresh;    /* own: an object or array was entered and nothing of it read yet */
    int failure;  /* own: the error that the next failure is */
} cl_json;

void cl_json_start(cl_json *j, cl_str text, cl_json_limits limits);

/* Skips white space; the character that comes next, or 0 at the end. */
int cl_json_peek(cl_json *j);

/* Reads one value of any kind; *span becomes its text without white space around it. 0, CLOUDS_EJSON, or CLOUDS_ETOOBIG
 * (a limit). */
int cl_json_value(cl_json *j, cl_str *span);

/* Reads a string (a value, or a name: it does not count against the limit); *raw becomes what stands between the
 * quotes, escapes still in it; *escaped tells if there are any. */
int cl_json_string(cl_json *j, cl_str *raw, int *escaped);

/* Reads one value: a string as cl_json_string does, any other as cl_json_value. Its first character, or a negative
 * error. */
int cl_json_item(cl_json *j, cl_str *span, int *escaped);

/* Walks an object: cl_json_enter(j, '{'), then cl_json_member until it returns 0; 1: *key (raw, see above) is set and a
 * value is to be read next; negative: error. An array likewise with '[' and cl_json_element. */
int cl_json_enter(cl_json *j, char bracket);
int cl_json_member(cl_json *j, cl_str *key, int *escaped);
int cl_json_element(cl_json *j);

/* 0 when nothing but white space is left. */
int cl_json_end(cl_json *j);

/* A text without the white space around it. */
cl_str cl_json_trim(cl_str text);

/* Is the whole text one valid value (`bracket` '[' or '{': of that kind; 0: any)? Bad UTF-8 is CLOUDS_EJSON here. */
int cl_json_check(cl_str text, char bracket, cl_json_limits limits);

/* Is a valid value what JavaScript calls falsy: null, false, zero, "", or no text at all? */
int cl_json_is_falsy(cl_str value);

/* Appends the text behind a raw string: escapes resolved, lone surrogates as their three bytes (WTF-8). 0 or
 * CLOUDS_ENOMEM. */
int cl_json_unescape(cl_str raw, cl_buf *out);
/* The same of a valid value that is a string, with its quotes. */
int cl_json_unquote(cl_str value, cl_buf *out);

/* Appends a text that all texts of a valid value have in common, which is for comparing alone: no white space, no
 * escapes but those that must be, 7.0 and 70e-1 as 7. Members of objects stay in their order. 0 or CLOUDS_ENOMEM. */
int cl_json_canonical(cl_str value, cl_buf *out);

/* Appends a JSON string with its quotes; bytes that are no UTF-8 become U+FFFD, WTF-8 surrogates \udXXX. 0 or
 * CLOUDS_ENOMEM. */
int cl_json_quote(cl_str text, cl_buf *out);

/* 1 when the text may stand between quotes as it is. */
int cl_json_is_plain(cl_str text);

/* The number of bytes that cl_json_quote appends. */
size_t cl_json_quoted_length(cl_str text);

/* Appends text with every byte that is no UTF-8 replaced by U+FFFD, as a WHATWG decoder does. 0 or CLOUDS_ENOMEM. */
int cl_utf8_mend(cl_str text, cl_buf *out);

#endif
