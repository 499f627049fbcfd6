/* Base64 with padding (RFC 4648). */
#ifndef CL_BASE64_H
#define CL_BASE64_H

#include "base/buf.h"

/* Appends the text for `data`. 0 or CLOUDS_ENOMEM. */
int cl_base64_put(cl_buf *out, cl_str data);
/* Appends what a text stands for. 0, CLOUDS_ENOMEM, or CLOUDS_EPROTO with `out` unchanged: it is no base64. */
int cl_base64_read(cl_buf *out, cl_str text);

#endif
