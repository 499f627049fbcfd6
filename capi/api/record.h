/* Records that cross the ABI. A caller may have been built with an older or a newer clouds.h, so that its records are
 * shorter or longer than the library's: the library reads them through copies of its own, and writes no further than
 * they go. */
#ifndef CL_RECORD_H
#define CL_RECORD_H

#include <string.h>

#include "clouds.h"

enum cl_record {
#define RECORD(name, last) CL_RECORD_##name,
#define MEMBER(record, member, kind)
#include "api/records.def"
#undef RECORD
#undef MEMBER
    CL_RECORDS
};

/* The size in the first version, which every record of a caller's has. */
size_t cl_record_least(enum cl_record which);

/* Can a record of the caller's have this size? 1 or 0. */
int cl_record_fits(enum cl_record which, size_t size);

/* The same: 0 or an error with its words. For an array each must be aligned, too. */
int cl_record_check(enum cl_record which, size_t size);
int cl_record_check_array(enum cl_record which, size_t size);

/* Reads a record that begins with its size: what the caller's has, the rest zero. CLOUDS_ENOTSUP when it has something
 * in members that this library does not know. */
int cl_record_read(enum cl_record which, const void *theirs, void *own);

/* The same for a record that is only looked at: the caller's own when it has the library's size, or what was read to
 * `room`. */
int cl_record_view(enum cl_record which, const void *theirs, void *room, const void **out);

/* Writes `known` bytes of a record of the library to one of the caller's; what the caller's has more is zero. */
static inline void cl_record_write(void *theirs, size_t size, const void *own, size_t known)
{
    if (size < known) {
        memcpy(theirs, own, size);
        return;
    }
    memcpy(theirs, own, known);
    if (size > known) memset((char *)theirs + known, 0, size - known);
}

#endif
