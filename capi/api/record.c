/* Sizes and layouts of the public records; clouds_layout. */
#include "api/record.h"

#include <stddef.h>

#include "api/guard.h"
#include "base/error.h"

#define MEMBER_OF(record, member) (((record *)0)->member)
#define END_OF(record, member) (offsetof(record, member) + sizeof MEMBER_OF(record, member))

typedef struct record_row {
    const char *name;
    uint32_t size, least, step;
} record_row;

static const record_row records[] = {
#define RECORD(name, last) {#name, sizeof(name), END_OF(name, last), _Alignof(name)},
#define MEMBER(record, member, kind)
#include "api/records.def"
#undef RECORD
#undef MEMBER
};

typedef struct member_row {
    const char *record, *name, *kind;
    uint32_t record_size, offset, length;
} member_row;

static const member_row members[] = {
#define RECORD(name, last)
#define MEMBER(record, member, kind)                                                                                   \
    {#record, #member, #kind, sizeof(record), offsetof(record, member), sizeof MEMBER_OF(record, member)},
#include "api/records.def"
#undef RECORD
#undef MEMBER
};

/* The kind in the list is the type in clouds.h. */
#define TYPE_uint32 uint32_t
#define TYPE_int32 int32_t
#define TYPE_uint64 uint64_t
#define TYPE_int64 int64_t
#define TYPE_double double
#define TYPE_size size_t
#define TYPE_text const char *
#define TYPE_bytes const void *
#define TYPE_room char *
#define TYPE_pointer void *
#define TYPE_handle clouds_node *
#define RECORD(name, last)
#define MEMBER(record, member, kind)                                                                                   \
    _Static_assert(_Generic(MEMBER_OF(record, member), TYPE_##kind : 1, default : 0),                                  \
                   #record "." #member " is no " #kind);
#include "api/records.def"
#undef RECORD
#undef MEMBER

static int refuse(const record_row *row, size_t size)
{
    return cl_error(CLOUDS_EINVAL, "the size of %s is %zu bytes: this library takes %u (the first version) to %d%s",
                    row->name, size, row->least, CL_LARGEST_RECORD,
                    size % row->step ? ", and an array of them only aligned ones" : "");
}

size_t cl_record_least(enum cl_record which)
{
    return records[which].least;
}

int cl_record_fits(enum cl_record which, size_t size)
{
    return size >= records[which].least && size <= CL_LARGEST_RECORD;
}

int cl_record_check(enum cl_record which, size_t size)
{
    return cl_record_fits(which, size) ? 0 : refuse(&records[which], size);
}

int cl_record_check_array(enum cl_record which, size_t size)
{
    const record_row *row = &records[which];
    return size % row->step == 0 ? cl_record_check(which, size) : refuse(row, size);
}

static int is_unknown(const record_row *row, const char *theirs, size_t size)
{
    for (size_t i = row->size; i < size; i++)
        if (theirs[i])
            return cl_error(CLOUDS_ENOTSUP,
                            "%s has something at byte %zu, which version %s of the library does not know", row->name, i,
                            clouds_version());
    return 0;
}

int cl_record_read(enum cl_record which, const void *theirs, void *own)
{
    const record_row *row = &records[which];
    uint32_t size;
    memcpy(&size, theirs, sizeof size);
    int code = size == row->size ? 0 : cl_record_check(which, size);
    if (code == 0 && size > row->size) code = is_unknown(row, theirs, size);
    if (code == 0) cl_record_write(own, row->size, theirs, size);
    return code;
}

int cl_record_view(enum cl_record which, const void *theirs, void *room, const void **out)
{
    uint32_t size;
    memcpy(&size, theirs, sizeof size);
    *out = size == records[which].size ? theirs : room;
    return *out == theirs ? 0 : cl_record_read(which, theirs, room);
}

int clouds_layout(uint32_t index, clouds_layout_info *out)
{
    enum { MEMBERS = sizeof members / sizeof *members };
    if (!out) return cl_error(CLOUDS_EINVAL, "clouds_layout: out is NULL");
    int code = cl_record_check(CL_RECORD_clouds_layout_info, out->size);
    if (code != 0) return code;
    if (index >= MEMBERS) return cl_error(CLOUDS_EINVAL, "the public records have %d members", MEMBERS);
    const member_row *row = &members[index];
    const clouds_layout_info info = {out->size,   row->record_size, row->offset, row->length,
                                     row->record, row->name,        row->kind};
    cl_record_write(out, out->size, &info, sizeof info);
    return 0;
}
