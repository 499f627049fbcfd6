/* As much JSON as the drivers need: spans of a text, found where they stand; and the canonical text of a value
 * (table.py). */
#ifndef CONFORMANCE_JSON_H
#define CONFORMANCE_JSON_H

#include <stddef.h>
#include <stdio.h>

typedef struct span {
    const char *p; /* NULL: there is none */
    size_t n;
} span;

span span_of(const char *text);

/* The value of a member of an object. The key is plain text without escapes. */
span json_member(span object, const char *key);

/* The next element of an array; `at` begins as 0. None at the end. */
span json_next(span array, size_t *at);

/* The element with this number, from 0. */
span json_element(span array, int number);

/* The array without its first `count` elements, as JSON text. */
void json_put_rest(FILE *out, span array, int count);

/* The text that a value stands for, copied; no NUL is in it. The caller frees it. */
char *json_word(span text);

double json_number(span value);

void json_put_canonical(FILE *out, span value);

/* The canonical text of an object without the members of the list `hidden`, which ends with NULL. */
void json_put_members(FILE *out, span object, const char *const *hidden);

/* `text` as a JSON text; for what may have anything in it. */
void json_put_text(FILE *out, const char *text, size_t length);

#endif
