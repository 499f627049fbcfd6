#include "bus/local/local.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

static int is_ours(const struct stat *s)
{
    return S_ISDIR(s->st_mode) && s->st_uid == geteuid();
}

/* Makes it if it is missing; what is there must be a folder of ours, no link, and becomes private. */
static int make_private(const char *path)
{
    struct stat s;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return cl_error(CLOUDS_ESYSTEM, "cannot make the folder %s: %s", path, strerror(errno));
    if (lstat(path, &s) != 0) return cl_error(CLOUDS_ESYSTEM, "cannot use the folder %s: %s", path, strerror(errno));
    if (!is_ours(&s))
        return cl_error(CLOUDS_ESYSTEM, "%s is not a folder of user %ld; remove it, or set CLOUDS_RUNTIME_DIR", path,
                        (long)geteuid());
    if ((s.st_mode & 077) != 0 && chmod(path, 0700) != 0)
        return cl_error(CLOUDS_ESYSTEM, "cannot make the folder %s private: %s", path, strerror(errno));
    return 0;
}

static int is_usable(const char *path)
{
    struct stat s;
    return path && path[0] == '/' && strlen(path) < PATH_MAX / 2 && stat(path, &s) == 0 && is_ours(&s) &&
           access(path, W_OK) == 0;
}

/* The folder of all names: CLOUDS_RUNTIME_DIR itself, else "clouds" in the user's runtime folder, else one under /tmp.
 */
static int base_folder(char out[PATH_MAX])
{
    const char *forced = getenv("CLOUDS_RUNTIME_DIR"), *runtime = getenv("XDG_RUNTIME_DIR");
    if (forced && *forced) {
        if (forced[0] != '/' || strlen(forced) >= PATH_MAX / 2)
            return cl_error(CLOUDS_ESYSTEM, "CLOUDS_RUNTIME_DIR is no absolute path: %s", forced);
        snprintf(out, PATH_MAX, "%s", forced);
    } else if (is_usable(runtime)) {
        snprintf(out, PATH_MAX, "%s/clouds", runtime);
    } else {
        snprintf(out, PATH_MAX, "/tmp/clouds-%ld", (long)geteuid());
    }
    return make_private(out);
}

int cl_folder_open(cl_folder *folder, const char *name)
{
    char base[PATH_MAX];
    folder->fd = -1;
    int code = base_folder(base);
    if (code != 0) return code;
    if (!*name) name = "default";
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strchr(name, '/'))
        return cl_error(CLOUDS_EURL, "local:%s: not a name", name);
    int n = snprintf(folder->path, sizeof folder->path, "%s/%s", base, name);
    if (n < 0 || (size_t)n >= sizeof folder->path)
        return cl_error(CLOUDS_ESYSTEM, "the folder's path is too long: %s/%s", base, name);
    code = make_private(folder->path);
    if (code != 0) return code;
    folder->fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder->fd < 0) return cl_error(CLOUDS_ESYSTEM, "cannot open the folder %s: %s", folder->path, strerror(errno));
    return 0;
}

void cl_folder_close(cl_folder *folder)
{
    if (folder->fd >= 0) close(folder->fd);
    folder->fd = -1;
}
