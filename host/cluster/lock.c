/* A file that one process holds: who finds it held does not start. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "host/cluster/cluster.h"

enum { LOOKS = 200, LOOK_NS = 1000 * 1000 }; /* at what the holder of the lock says of itself */

/* Who ends may remove it between our open and our lock: then what we hold is no longer the file of that name. */
static bool is_still(const char *path, int fd)
{
    struct stat ours, there;
    return fstat(fd, &ours) == 0 && lstat(path, &there) == 0 && ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

static long read_pid(int fd)
{
    char text[24] = "";
    return pread(fd, text, sizeof text - 1, 0) > 0 ? strtol(text, NULL, 10) : 0;
}

static int hold(int fd)
{
    char text[24];
    struct stat found;
    if (fstat(fd, &found) != 0) return -1;
    if (!S_ISREG(found.st_mode)) return errno = EINVAL, -1;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) return -1;
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    errno = EIO; /* of a write of less */
    return ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)n, 0) == n ? 0 : -1;
}

/* Who has just got the lock has not written yet who it is: what is there is nothing, or a process that was killed. One
 * that cannot be seen from here (another namespace of pids) is believed after a while. */
static bool says_who(long pid, int looks)
{
    bool is_there = pid > 0 && (kill((pid_t)pid, 0) == 0 || errno == EPERM);
    return is_there || looks == LOOKS;
}

int host_lock_take(const char *path, int mode, long *holder)
{
    static const struct timespec pause = {.tv_nsec = LOOK_NS};
    *holder = 0;
    for (int looks = 0;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, (mode_t)mode);
        if (fd < 0) return -1;
        int problem = hold(fd) == 0 ? 0 : errno;
        if (problem == 0 && is_still(path, fd)) return fd;
        if (problem == EWOULDBLOCK) *holder = read_pid(fd);
        close(fd);
        if (problem == 0) continue;
        if (problem != EWOULDBLOCK || says_who(*holder, ++looks)) return errno = problem, -1;
        nanosleep(&pause, NULL);
    }
}

/* Each folder on the way that is missing; what is in the way is told by who opens the file. */
void host_lock_folders(const char *path)
{
    char folder[PATH_MAX];
    size_t size = strlen(path);
    if (size >= sizeof folder) return;
    memcpy(folder, path, size + 1);
    for (char *slash = folder; (slash = strchr(slash + 1, '/')); *slash = '/') {
        *slash = 0;
        mkdir(folder, 0755);
    }
}

void host_lock_free(const char *path, int fd)
{
    if (is_still(path, fd)) unlink(path);
    close(fd);
}
