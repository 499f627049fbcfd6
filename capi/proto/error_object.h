/* An error of the library as the JSON object that events and answers carry. */
#ifndef CL_ERROR_OBJECT_H
#define CL_ERROR_OBJECT_H

#include "base/buf.h"
#include "base/error.h"

/* Appends {"message","code","method","server","node","cluster","size","limit","reason","retry_after"}, without what is
 * not known. 0 or
 * CLOUDS_ENOMEM; then there may be a part of it. */
int cl_error_object(cl_buf *out, int code, cl_str message, const cl_facts *facts);

#endif
