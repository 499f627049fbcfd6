/* The folder of this user's processes, for programs that put sockets of their own beside ours. */
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/runtime_folder.h"
#include "clouds.h"

enum { NAME_MAX_BYTES = 64 };

static bool is_name(const char *name)
{
    size_t len = name ? strlen(name) : 0;
    return len > 0 && len <= NAME_MAX_BYTES && name[0] != '.' && !strchr(name, '/');
}

int clouds_runtime_folder(const char *name, char *out, size_t size)
{
    char path[PATH_MAX];
    if (!is_name(name) || !out)
        return cl_error(CLOUDS_EINVAL,
                        "clouds_runtime_folder: expected a name of 1 to %d bytes without a slash, and `out`",
                        NAME_MAX_BYTES);
    int code = cl_runtime_folder(path);
    if (code != 0) return code;
    size_t len = strlen(path);
    if (len + 1 + strlen(name) >= sizeof path || len + 1 + strlen(name) >= size)
        return cl_error(CLOUDS_ELIMIT, "the path of the folder is longer than %zu bytes", size);
    snprintf(path + len, sizeof path - len, "/%s", name);
    code = cl_folder_make_private(path);
    if (code == 0) snprintf(out, size, "%s", path);
    return code;
}
