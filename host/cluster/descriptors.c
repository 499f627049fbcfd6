/* Many descriptors at once: also in a signal handler, and in the child of a program with threads, where neither a lock
 * nor memory may be taken, which opendir does. */
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/cluster/cluster.h"

/* What getdents64 writes. */
struct entry {
    uint64_t inode;
    int64_t next;
    unsigned short size;
    unsigned char type;
    char name[];
};

static bool read_number(const char *name, unsigned *number)
{
    *number = 0;
    for (; *name >= '0' && *name <= '9'; name++) *number = *number * 10 + (unsigned)(*name - '0');
    return *name == 0;
}

static int close_one(int fd, bool by_exec)
{
    return by_exec ? fcntl(fd, F_SETFD, FD_CLOEXEC) : close(fd);
}

static int close_each(unsigned first, unsigned last, bool by_exec)
{
    _Alignas(struct entry) char names[4096];
    long size;
    int folder = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return -1;
    while ((size = syscall(SYS_getdents64, folder, names, sizeof names)) > 0)
        for (long at = 0; at < size;) {
            const struct entry *e = (const struct entry *)(names + at);
            unsigned fd;
            bool is_meant = read_number(e->name, &fd) && fd >= first && fd <= last && (int)fd != folder;
            if (is_meant && close_one((int)fd, by_exec) != 0) return close(folder), -1;
            at += e->size;
        }
    close(folder);
    return size == 0 ? 0 : -1;
}

int host_descriptors_close(unsigned first, unsigned last, bool by_exec)
{
    if (first > last || close_range(first, last, by_exec ? CLOSE_RANGE_CLOEXEC : 0) == 0) return 0;
    return errno == ENOSYS || errno == EINVAL ? close_each(first, last, by_exec) : -1;
}
