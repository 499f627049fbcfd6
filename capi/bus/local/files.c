/* Design notes
 *
 * A node has three kinds of files, named after its key, 16 hex digits of a hash of its id (ids may hold any byte and be
 * long):
 *
 *   <key>.lock          locked with flock by its process for as long as it lives; holds the pid and the pid namespace
 *   <key>.sock          the unix socket it listens on
 *   <key>-<method>.m    a symbolic link to "<id>/<method>", both percent-escaped: made in one step, read in one step
 *
 * They are made in this order and removed in the other one, so an entry without a held lock belongs to nobody living.
 * Whoever meets such a node takes the lock itself, removes the files, the lock last, and only then lets it go. Who
 * takes a lock makes sure afterwards that the file is still there under its name: it may have waited for a sweeper.
 *
 * A child of a fork without exec keeps its parent's lock held. So a held lock whose process is gone counts as free too,
 * but its files stay until the child is gone. */
#include "bus/local/local.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/rand.h"

enum { TARGET_MAX = 4000, LOCK_TRIES = 50, LOCK_PAUSE_US = 1000 };

void cl_file_key(cl_str name, char out[CL_KEY + 1])
{
    static const uint64_t secret[2] = {0x636c6f756473206cu, 0x6f63616c20766572u}; /* the same in every process */
    snprintf(out, CL_KEY + 1, "%016llx", (unsigned long long)cl_siphash(secret, name.p, name.n));
}

void cl_file_of(const char *key, const char *suffix, char out[CL_FILE_NAME])
{
    snprintf(out, CL_FILE_NAME, "%.16s%.8s", key, suffix);
}

void cl_file_entry(const char *key, cl_str method, char out[CL_FILE_NAME])
{
    char of_method[CL_KEY + 1];
    cl_file_key(method, of_method);
    snprintf(out, CL_FILE_NAME, "%.16s-%s.m", key, of_method);
}

int cl_file_path(const cl_folder *folder, const char *file, char *out, size_t cap)
{
    int n = snprintf(out, cap, "%s/%s", folder->path, file);
    /* What is too long for a socket's address is reached through our descriptor of the folder. */
    if (n < 0 || (size_t)n >= cap) n = snprintf(out, cap, "/proc/self/fd/%d/%s", folder->fd, file);
    if (n >= 0 && (size_t)n < cap) return 0;
    return cl_error(CLOUDS_ETOOBIG,
                    "%s is too long for a socket's path (%zu bytes); set CLOUDS_RUNTIME_DIR to a shorter one",
                    folder->path, cap - 1);
}

/* ---- locks */

static long pid_namespace(void)
{
    struct stat s;
    return stat("/proc/self/ns/pid", &s) == 0 ? (long)s.st_ino : 0;
}

static int open_lock(const cl_folder *folder, const char *key)
{
    char file[CL_FILE_NAME];
    cl_file_of(key, ".lock", file);
    int fd = openat(folder->fd, file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    return fd < 0 ? cl_error(CLOUDS_ESYSTEM, "cannot open %s/%s: %s", folder->path, file, strerror(errno)) : fd;
}

int cl_file_is_current(const cl_folder *folder, const char *key, int lock)
{
    char file[CL_FILE_NAME];
    struct stat ours, theirs;
    cl_file_of(key, ".lock", file);
    return fstat(lock, &ours) == 0 && fstatat(folder->fd, file, &theirs, AT_SYMLINK_NOFOLLOW) == 0 &&
           ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

static long owner_of(int lock, long *names)
{
    char text[64] = "";
    long pid = 0;
    if (pread(lock, text, sizeof text - 1, 0) <= 0 || sscanf(text, "%ld %ld", &pid, names) != 2) return 0;
    return pid;
}

/* The descriptor of the lock, held by us; CLOUDS_EEXIST: another process has it; or an error. */
static int take_lock(const cl_folder *folder, const char *key, int tries, long *owner)
{
    while (tries-- > 0) {
        int fd = open_lock(folder, key);
        if (fd < 0) return fd;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
            if (cl_file_is_current(folder, key, fd)) return fd;
        } else {
            long names = 0;
            *owner = owner_of(fd, &names);
            if (*owner > 0 && names == pid_namespace() && kill((pid_t)*owner, 0) != 0 && errno == ESRCH) *owner = -1;
        }
        close(fd);
        if (tries) usleep(LOCK_PAUSE_US);
    }
    return CLOUDS_EEXIST;
}

int cl_file_lock(const cl_folder *folder, const char *key, cl_str id, int *out)
{
    long owner = 0;
    int fd = take_lock(folder, key, LOCK_TRIES, &owner);
    if (fd == CLOUDS_EEXIST)
        return cl_error(fd, "the node id %.*s is in use (process %ld)", (int)(id.n < 100 ? id.n : 100), id.p, owner);
    if (fd < 0) return fd;
    char text[64];
    int n = snprintf(text, sizeof text, "%ld %ld\n", (long)getpid(), pid_namespace());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n) {
        close(fd);
        return cl_error(CLOUDS_ESYSTEM, "cannot write into %s: %s", folder->path, strerror(errno));
    }
    *out = fd;
    return 0;
}

/* ---- removal */

static DIR *list(const cl_folder *folder)
{
    int fd = openat(folder->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir && fd >= 0) close(fd);
    return dir;
}

static void remove_all(const cl_folder *folder, const char *key)
{
    char file[CL_FILE_NAME];
    DIR *dir = list(folder);
    for (struct dirent *d; dir && (d = readdir(dir));)
        if (strncmp(d->d_name, key, CL_KEY) == 0 && d->d_name[CL_KEY] == '-') unlinkat(folder->fd, d->d_name, 0);
    if (dir) closedir(dir);
    cl_file_of(key, ".sock", file);
    unlinkat(folder->fd, file, 0);
    cl_file_of(key, ".lock", file);
    unlinkat(folder->fd, file, 0);
}

void cl_file_remove_node(const cl_folder *folder, const char *key)
{
    remove_all(folder, key);
}

int cl_file_is_alive(const cl_folder *folder, const char *key)
{
    long owner = 0;
    int fd = take_lock(folder, key, 1, &owner);
    if (fd == CLOUDS_EEXIST) return owner != -1;
    if (fd < 0) return 1; /* nothing can be said */
    remove_all(folder, key);
    close(fd);
    return 0;
}

/* ---- entries */

static size_t escape(cl_str s, char *out)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("._-:", c))) {
            out[n++] = (char)c;
        } else {
            out[n++] = '%';
            out[n++] = hex[c >> 4];
            out[n++] = hex[c & 15];
        }
    }
    return n;
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place; the new length, or -1. */
static long unescape(char *p, size_t n)
{
    size_t to = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] != '%') {
            p[to++] = p[i];
            continue;
        }
        if (i + 2 >= n || digit(p[i + 1]) < 0 || digit(p[i + 2]) < 0) return -1;
        p[to++] = (char)(digit(p[i + 1]) << 4 | digit(p[i + 2]));
        i += 2;
    }
    return (long)to;
}

int cl_file_put_entry(const cl_folder *folder, const char *key, cl_str id, cl_str method)
{
    char file[CL_FILE_NAME], target[TARGET_MAX + 2];
    if (id.n * 3 + method.n * 3 > TARGET_MAX)
        return cl_error(CLOUDS_ETOOBIG, "the method's name is too long for the registry");
    size_t n = escape(id, target);
    target[n++] = '/';
    n += escape(method, target + n);
    target[n] = '\0';
    cl_file_entry(key, method, file);
    if (symlinkat(target, folder->fd, file) == 0 || errno == EEXIST) return 0;
    return cl_error(CLOUDS_ESYSTEM, "cannot register in %s: %s", folder->path, strerror(errno));
}

void cl_file_remove_entry(const cl_folder *folder, const char *key, cl_str method)
{
    char file[CL_FILE_NAME];
    cl_file_entry(key, method, file);
    unlinkat(folder->fd, file, 0);
}

static int belongs(const char *file, cl_str id, cl_str method)
{
    char key[CL_KEY + 1], expected[CL_FILE_NAME];
    cl_file_key(id, key);
    cl_file_entry(key, method, expected);
    return strcmp(file, expected) == 0;
}

int cl_file_read_entry(const cl_folder *folder, const char *file, cl_buf *memory, cl_str *id, cl_str *method)
{
    memory->len = 0;
    if (cl_buf_reserve(memory, TARGET_MAX + 2) != 0) return CLOUDS_ENOMEM;
    ssize_t n = readlinkat(folder->fd, file, memory->data, TARGET_MAX + 2);
    if (n < 0) return CLOUDS_ENOSERVER;
    char *cut = memchr(memory->data, '/', (size_t)n);
    if (!cut) return CLOUDS_EPROTO;
    long id_n = unescape(memory->data, (size_t)(cut - memory->data));
    long method_n = unescape(cut + 1, (size_t)(memory->data + n - cut - 1));
    if (id_n <= 0 || method_n < 0) return CLOUDS_EPROTO;
    *id = cl_str_of(memory->data, (size_t)id_n);
    *method = cl_str_of(cut + 1, (size_t)method_n);
    return belongs(file, *id, *method) ? 0 : CLOUDS_EPROTO;
}
