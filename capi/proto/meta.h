/* Meta: a JSON object that goes along with a call. Its members whose names begin with '-' are for one hop, the others
 * are handed on to what is called on behalf of it. */
#ifndef CL_META_H
#define CL_META_H

#include "base/buf.h"
#include "base/str.h"

/* Appends what a call has that is made on behalf of one with `inherited`: its own members, and those of the other that
 * are not for one hop. Both are valid objects, or empty; nothing is appended when nothing is left. 0 or CLOUDS_ENOMEM.
 */
int cl_meta_merge(cl_str inherited, cl_str own, cl_buf *out);

#endif
