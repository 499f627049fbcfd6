/* The folder of one name of local:, in the runtime folder of the user. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/runtime_folder.h"
#include "directory/folder/internal.h"

enum { SWEEP_SECONDS = 10 };

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
    int code = cl_runtime_folder(base);
    if (code != 0) return code;
    if (!*name) name = "default";
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strchr(name, '/'))
        return cl_error(CLOUDS_EURL, "local:%s: not a name", name);
    int n = snprintf(folder->path, sizeof folder->path, "%s/%s", base, name);
    if (n < 0 || (size_t)n >= sizeof folder->path)
        return cl_error(CLOUDS_ESYSTEM, "the folder's path is too long: %s/%s", base, name);
    code = cl_folder_make_private(folder->path);
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
