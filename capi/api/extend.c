/* clouds_extend.h: directories and transports of the program's own. */
#include <stddef.h>
#include <string.h>

#include "api/guard.h"
#include "base/error.h"
#include "bus/own.h"

#define END_OF(record, member) (offsetof(record, member) + sizeof((record *)0)->member)

/* Reads a table that begins with its size, which is at least that of its first version; of a newer one what this library
 * knows, if it has nothing else. */
static int read_table(const void *theirs, size_t least, void *own, size_t known, const char *name)
{
    uint32_t size = 0;
    if (!theirs) return cl_error(CLOUDS_EINVAL, "%s is NULL", name);
    memcpy(&size, theirs, sizeof size);
    if (size < least || size > CL_LARGEST_RECORD)
        return cl_error(CLOUDS_EINVAL, "the size of %s is %u bytes: this library takes %zu (the first version) to %d", name,
                        size, least, CL_LARGEST_RECORD);
    for (size_t i = known; i < size; i++)
        if (((const char *)theirs)[i])
            return cl_error(CLOUDS_ENOTSUP, "%s has something at byte %zu, which version %s of the library does not know",
                            name, i, clouds_version());
    memset(own, 0, known);
    memcpy(own, theirs, size < known ? size : known);
    return 0;
}

int clouds_directory_register(const char *scheme, const clouds_directory_ops *ops)
{
    cl_own_directory_kind kind;
    int code = cl_guard_hooks();
    if (code == 0)
        code = read_table(ops, END_OF(clouds_directory_ops, status), &kind.theirs, sizeof kind.theirs,
                          "clouds_directory_ops");
    if (code == 0 && kind.theirs.flags)
        code = cl_error(CLOUDS_ENOTSUP, "clouds_directory_ops: flags are %u", kind.theirs.flags);
    if (code == 0) code = cl_own_directory_prepare(&kind);
    if (code == 0) code = cl_bus_register_directory(scheme, &kind);
    if (code == 0) cl_guard_hooked();
    return code;
}

int clouds_transport_register(const char *name, const clouds_transport_ops *ops)
{
    cl_own_transport_kind kind;
    int code = cl_guard_hooks();
    if (code == 0)
        code = read_table(ops, END_OF(clouds_transport_ops, close_node), &kind.theirs, sizeof kind.theirs,
                          "clouds_transport_ops");
    if (code == 0) code = cl_own_transport_prepare(&kind);
    if (code == 0) code = cl_bus_register_transport(name, &kind);
    if (code == 0) cl_guard_hooked();
    return code;
}
