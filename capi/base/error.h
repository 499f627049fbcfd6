/* The words of the last failure of this thread. */
#ifndef CL_ERROR_H
#define CL_ERROR_H

#include "clouds.h"

/* Keeps the words and returns the code, so that a function can end with `return cl_error(CLOUDS_E..., "...")`.
 * With a NULL format the text of the code itself is kept. */
int cl_error(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Rises with every cl_error of this thread: tells whether a failure has left words of its own. */
unsigned cl_error_serial(void);

#endif
