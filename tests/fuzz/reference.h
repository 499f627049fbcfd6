/* A second JSON validator to compare with: recursive, a character at a time, written for plainness and not for speed.
 */
#ifndef REFERENCE_H
#define REFERENCE_H

#include <stddef.h>
#include <stdint.h>

/* 1 when the text is one valid JSON value within the limits and its UTF-8 is right. */
int reference_is_json(const uint8_t *text, size_t n, uint32_t depth, uint32_t values);

/* 1 when all of it is UTF-8. */
int reference_is_utf8(const uint8_t *text, size_t n);

#endif
