/* Design note: there is one place for each user, whatever the environment says: a service that cron started and a login
 * shell have to meet. So XDG_RUNTIME_DIR, which only a login has and which ends with it, is no place for it.
 *
 * Only folders that we made are used for files, and nothing is changed that somebody else made. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "directory/folder/internal.h"

enum { SWEEP_SECONDS = 10 };

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

/* Makes it if it is missing; what is there must be a private folder of ours, no link. */
static int make_private(const char *path)
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

/* The folder of all names. */
static int base_folder(char out[PATH_MAX])
{
    const char *given = getenv("CLOUDS_RUNTIME_DIR");
    if (given && *given) return given_folder(given, out);
    snprintf(out, PATH_MAX, "/tmp/clouds-%ld", (long)geteuid());
    return make_private(out);
}

static long pid_namespace(void)
{
    struct stat s;
    return stat("/proc/self/ns/pid", &s) == 0 ? (long)s.st_ino : 0;
}

int cl_folder_open(cl_folder *folder, const char *name)
{
    char base[PATH_MAX];
    folder->fd = -1;
    folder->names = pid_namespace();
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

int cl_folder_is_current(const cl_folder *folder)
{
    struct stat ours, theirs;
    return fstat(folder->fd, &ours) == 0 && lstat(folder->path, &theirs) == 0 && ours.st_ino == theirs.st_ino &&
           ours.st_dev == theirs.st_dev;
}

/* The stamp lies beside the folder, so that nothing is left in it. */
int cl_folder_sweep_is_due(const cl_folder *folder)
{
    char stamp[NAME_MAX + 16];
    struct stat s;
    struct timespec now;
    snprintf(stamp, sizeof stamp, "../.%s.swept", strrchr(folder->path, '/') + 1);
    int fd = openat(folder->fd, stamp, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0) return 1; /* somebody has to */
    int is_new = fstat(fd, &s) != 0 || s.st_size == 0;
    clock_gettime(CLOCK_REALTIME, &now);
    /* A clock that was set back must not end all sweeping. */
    int due = is_new || now.tv_sec - s.st_mtim.tv_sec >= SWEEP_SECONDS || s.st_mtim.tv_sec > now.tv_sec + 1;
    if (is_new && write(fd, "\n", 1) != 1) due = 1;
    else if (due) futimens(fd, NULL);
    close(fd);
    return due;
}

DIR *cl_folder_list(const cl_folder *folder)
{
    int fd = openat(folder->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir && fd >= 0) close(fd);
    return dir;
}
