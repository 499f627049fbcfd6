/* Numbers as JSON writes and reads them: exact, and independent of the locale. */
#ifndef LC_NUMBER_H
#define LC_NUMBER_H

#include <stdbool.h>
#include <stddef.h>

enum { LC_NUMBER_ROOM = 40 };

/* Writes `d` into `out` (LC_NUMBER_ROOM bytes) as JavaScript does: the shortest decimal that reads back as the same,
 * with an exponent from 1e21 on and below 1e-6; -0 as 0, what is no number as null. Returns the length. */
size_t lc_number_write(double d, char *out);

/* Reads the number that JSON's grammar allows at `p`; returns what comes behind it, or NULL when there is none there,
 * or no memory for a very long one. */
const char *lc_number_read(const char *p, const char *end, double *out);

#endif
