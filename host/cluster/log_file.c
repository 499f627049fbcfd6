/* A file that grows by whole lines, and is put aside when it is large: it becomes FILE.1, that FILE.2, and so on.
 *
 * Design notes
 *
 * - All of it may take as long as the disk does, so it is for the thread of a sink.
 * - It is opened to append, and its size is asked for again and again: another program may cut it to nothing.
 * - A line is written as a whole or not at all: what a full disk has taken of one is cut off again.
 * - Who cannot put the file aside goes on writing it, and tries again later. A number that is missing among the older ones
 *   is filled before any is thrown away, so that these tries lose nothing. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "host/cluster/cluster.h"

enum { MODE = 0640, AGAIN = 60 /* seconds until it is tried again to put it aside */ };

struct host_log_file {
    int fd;
    char *path, *real; /* real: what `path` leads to */
    uint64_t most;     /* bytes; 0: it is never put aside */
    unsigned keep;
    uint64_t not_before; /* nanoseconds of the steady clock: until then it is not put aside */
    host_log_problem problem;
};

/* ---- opening ---- */

/* Never waits, as for who reads a named pipe. */
static int open_at(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, MODE);
}

static int open_it(host_log_file *f)
{
    struct stat found;
    int fd = open_at(f->path);
    if (fd < 0) return -1;
    char *real = realpath(f->path, NULL);
    if (!real || fstat(fd, &found) != 0) {
        int problem = errno;
        free(real);
        close(fd);
        return errno = problem, -1;
    }
    if (f->fd >= 0) close(f->fd);
    free(f->real);
    f->fd = fd;
    f->real = real;
    return 0;
}

static void note(host_log_file *f, const char *what)
{
    f->problem = (host_log_problem){what, errno};
}

host_log_file *host_log_file_open(const char *path, uint64_t most, unsigned keep)
{
    host_log_file *f = calloc(1, sizeof *f);
    if (!f) return NULL;
    *f = (host_log_file){.fd = -1, .path = strdup(path), .most = most, .keep = keep};
    if (f->path && open_it(f) == 0) return f;
    int problem = errno;
    host_log_file_close(f);
    return errno = problem, NULL;
}

void host_log_file_close(host_log_file *f)
{
    if (f->fd >= 0) close(f->fd);
    free(f->path);
    free(f->real);
    free(f);
}

void host_log_file_reopen(host_log_file *f)
{
    f->not_before = 0;
    if (open_it(f) != 0) note(f, "cannot open it again");
}

host_log_problem host_log_file_problem(host_log_file *f)
{
    host_log_problem problem = f->problem;
    f->problem = (host_log_problem){NULL, 0};
    return problem;
}

/* ---- putting it aside ---- */

static void name_of(const host_log_file *f, unsigned number, char out[PATH_MAX])
{
    if (number) snprintf(out, PATH_MAX, "%s.%u", f->real, number);
    else snprintf(out, PATH_MAX, "%s", f->real);
}

static bool is_there(const host_log_file *f, unsigned number)
{
    char name[PATH_MAX];
    struct stat found;
    name_of(f, number, name);
    return lstat(name, &found) == 0;
}

static int move(const host_log_file *f, unsigned from, unsigned to)
{
    char a[PATH_MAX], b[PATH_MAX];
    name_of(f, from, a);
    name_of(f, to, b);
    return rename(a, b);
}

/* Somebody else may have put it aside. */
static bool is_at_its_place(const host_log_file *f)
{
    struct stat ours, there;
    return fstat(f->fd, &ours) == 0 && stat(f->real, &there) == 0 && ours.st_ino == there.st_ino &&
           ours.st_dev == there.st_dev;
}

static int move_all(const host_log_file *f)
{
    unsigned gap = 1;
    while (gap < f->keep && is_there(f, gap)) gap++;
    for (; gap > 0; gap--)
        if (move(f, gap - 1, gap) != 0) return -1;
    return 0;
}

static int put_aside(host_log_file *f)
{
    struct stat old;
    if (f->keep == 0 || fstat(f->fd, &old) != 0) return ftruncate(f->fd, 0);
    bool moves = is_at_its_place(f);
    if (moves && move_all(f) != 0) return -1;
    if (open_it(f) == 0) return fchmod(f->fd, old.st_mode & 07777), 0;
    int problem = errno;
    if (moves) move(f, 1, 0);
    return errno = problem, -1;
}

/* How many of the pieces the file may take now, at least one. It is put aside when it may take none. */
static int count_fitting(host_log_file *f, const struct iovec *pieces, int count)
{
    struct stat found;
    uint64_t now = uv_hrtime();
    if (!f->most || now < f->not_before || fstat(f->fd, &found) != 0 || !S_ISREG(found.st_mode)) return count;
    uint64_t size = (uint64_t)found.st_size;
    if (size && size + pieces->iov_len > f->most) {
        if (put_aside(f) != 0) {
            note(f, "cannot put it aside");
            f->not_before = now + AGAIN * 1000000000ull;
            return count;
        }
        size = 0;
    }
    int fitting = 0;
    do size += pieces[fitting++].iov_len;
    while (fitting < count && size + pieces[fitting].iov_len <= f->most);
    return fitting;
}

/* ---- writing ---- */

static bool wait_writable(int fd)
{
    struct pollfd p = {fd, POLLOUT, 0};
    return poll(&p, 1, -1) > 0 || errno == EINTR;
}

int host_log_write(int fd, struct iovec *pieces, int count, size_t *part)
{
    int done = 0;
    *part = 0;
    while (done < count) {
        ssize_t n = writev(fd, pieces + done, count - done);
        if (n < 0 && (errno == EINTR || (errno == EAGAIN && wait_writable(fd)))) continue;
        if (n < 0) return done;
        while (done < count && (size_t)n >= pieces[done].iov_len) {
            n -= (ssize_t)pieces[done++].iov_len;
            *part = 0;
        }
        if (done == count) return done;
        pieces[done].iov_base = (char *)pieces[done].iov_base + n;
        pieces[done].iov_len -= (size_t)n;
        *part += (size_t)n;
    }
    return done;
}

static void cut_off(host_log_file *f, size_t part)
{
    struct stat found;
    if (part && fstat(f->fd, &found) == 0 && S_ISREG(found.st_mode) && found.st_size >= (off_t)part)
        if (ftruncate(f->fd, found.st_size - (off_t)part) != 0) return; /* then a piece of a line stays */
}

int host_log_file_write(host_log_file *f, struct iovec *pieces, int count)
{
    size_t part;
    for (int done = 0; done < count;) {
        int fitting = count_fitting(f, pieces + done, count - done);
        int written = host_log_write(f->fd, pieces + done, fitting, &part);
        done += written;
        if (written == fitting) continue;
        note(f, "cannot write it");
        cut_off(f, part);
        return done;
    }
    return count;
}
