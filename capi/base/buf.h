/* A growable byte buffer that owns its memory. All zero is a valid empty buffer. */
#ifndef CL_BUF_H
#define CL_BUF_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "str.h"

typedef struct cl_buf {
    char *data;
    size_t len;
    size_t cap;
} cl_buf;

/* Makes room for `more` bytes behind the content. 0, or CLOUDS_ENOMEM with the buffer unchanged. */
int cl_buf_grow(cl_buf *b, size_t more);

static inline int cl_buf_reserve(cl_buf *b, size_t more)
{
    return b->cap - b->len >= more ? 0 : cl_buf_grow(b, more);
}

/* These append, and expect that cl_buf_reserve made the room. */
static inline void cl_buf_add(cl_buf *b, const void *p, size_t n)
{
    memcpy(b->data + b->len, p, n);
    b->len += n;
}

static inline void cl_buf_add_str(cl_buf *b, cl_str s)
{
    cl_buf_add(b, s.p, s.n);
}

static inline void cl_buf_add_char(cl_buf *b, char c)
{
    b->data[b->len++] = c;
}

/* These append and make the room themselves: 0 or CLOUDS_ENOMEM. */
int cl_buf_put(cl_buf *b, const void *p, size_t n);
int cl_buf_put_str(cl_buf *b, cl_str s);
int cl_buf_put_char(cl_buf *b, char c);
int cl_buf_put_int(cl_buf *b, int64_t value);
/* A finite number as JSON has it, whatever the locale of the process says. */
int cl_buf_put_real(cl_buf *b, double value, int digits);
/* Text only and whole numbers: printf would write another number as the locale says. */
int cl_buf_printf(cl_buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Drops the first n bytes. */
void cl_buf_consume(cl_buf *b, size_t n);

static inline cl_str cl_buf_str(const cl_buf *b)
{
    return cl_str_of(b->data, b->len);
}

static inline void cl_buf_clear(cl_buf *b)
{
    b->len = 0;
}

/* Frees the memory; the buffer is empty and usable again. */
void cl_buf_free(cl_buf *b);

/* A number as printf writes it gets a point for whatever the locale has between its digits. */
void cl_number_plain(char *text);
/* A number as %.*g writes it, for words: with a point, whatever the locale of the process says. Returns `out`. */
enum { CL_NUMBER_TEXT = 64 };
const char *cl_number_text(char out[CL_NUMBER_TEXT], double value, int digits);

/* Writes the decimal digits of v to out (at least 20 bytes) and returns their number. */
size_t cl_digits(char *out, uint64_t v);

#endif
