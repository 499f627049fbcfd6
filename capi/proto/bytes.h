/* Pieces of bytes in JSON. In a message with bytes an object whose only member is named "$bytes" stands for a piece of
 * them, if its value is [offset, length] and lies within. An object of the user's whose only member is named so, with
 * any number of '$', has one '$' more. A message without bytes is JSON as it is. */
#ifndef CL_BYTES_H
#define CL_BYTES_H

#include "base/buf.h"
#include "base/str.h"

/* How many '$' a name has before "bytes", if it is nothing else; 0: it is a name like any other. */
unsigned cl_bytes_mark(cl_str name);

/* Appends the valid JSON `text` of a message that has `had` bytes, as it stands in a message whose bytes from `shift`
 * on are those. Others of them: it had none (0), and gets what others have. 0 or CLOUDS_ENOMEM. */
int cl_bytes_move(cl_str text, size_t had, size_t shift, cl_buf *out);

#endif
