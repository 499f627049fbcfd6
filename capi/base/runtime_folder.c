/* Design note: there is one place for each user, whatever the environment says: a service that cron started and a login
 * shell have to meet. So XDG_RUNTIME_DIR, which only a login has and which ends with it, is no place for it.
 *
 * Only folders that we made are used for files, and nothing is changed that somebody else made. */
#include "base/runtime_folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

static int is_of_user(const char *path, const struct stat *s)
{
    if (S_ISDIR(s->st_mode) && s->st_uid == geteuid()) return 0;
    return cl_error(CLOUDS_ESYSTEM, "%s is not a folder of user %ld; set CLOUDS_RUNTIME_DIR to one that is", path,
                    (long)geteuid());
}

static int make(const char *path)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST) return 0;
    return cl_error(CLOUDS_ESYSTEM, "cannot make the folder %s: %s", path, strerror(errno));
}

int cl_folder_make_private(const char *path)
{
    struct stat s;
    int code = make(path);
    if (code != 0) return code;
    if (lstat(path, &s) != 0) return cl_error(CLOUDS_ESYSTEM, "cannot use the folder %s: %s", path, strerror(errno));
    code = is_of_user(path, &s);
    if (code == 0 && (s.st_mode & 077) != 0)
        return cl_error(CLOUDS_ESYSTEM,
                        "the folder %s is open to other users (mode %o): clouds made no such folder and does not use "
                        "it; set CLOUDS_RUNTIME_DIR to another place",
                        path, (unsigned)s.st_mode & 07777);
    return code;
}

/* CLOUDS_RUNTIME_DIR, which is made if it is missing and never changed: the folders in it are private. */
static int given_folder(const char *path, char out[PATH_MAX])
{
    struct stat s;
    if (path[0] != '/' || strlen(path) >= PATH_MAX / 2)
        return cl_error(CLOUDS_ESYSTEM, "CLOUDS_RUNTIME_DIR is no absolute path: %s", path);
    snprintf(out, PATH_MAX, "%s", path);
    int code = make(out);
    if (code != 0) return code;
    if (lstat(out, &s) != 0) return cl_error(CLOUDS_ESYSTEM, "cannot use the folder %s: %s", out, strerror(errno));
    return is_of_user(out, &s);
}

int cl_runtime_folder(char out[PATH_MAX])
{
    const char *given = getenv("CLOUDS_RUNTIME_DIR");
    if (given && *given) return given_folder(given, out);
    snprintf(out, PATH_MAX, "/tmp/clouds-%ld", (long)geteuid());
    return cl_folder_make_private(out);
}
