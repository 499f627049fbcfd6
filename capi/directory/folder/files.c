/* Design notes
 *
 * A node has these kinds of files, named after its key, 16 hex digits of a hash of its id (ids may hold any byte and be
 * long):
 *
 *   <key>.lock          locked with flock by its process for as long as it lives; see names.c for what it holds
 *   <key>.sock          the unix socket it listens on
 *   <key>.tags          a symbolic link to "<weight> <tags>": what it says of itself, if it does
 *   <key>-<method>.m    a symbolic link to "<id>/<method>", both percent-escaped: made in one step, read in one step;
 *                       what it has subscribed to: .c
 *
 * They are made in this order and removed in the other one, so an entry without a held lock belongs to nobody living.
 *
 * A lock is made under another name (.<key>-<random>), locked and filled, and only then linked to its name: nobody ever
 * sees a lock of a living node that is free. So whoever can take a lock knows that its node is dead: it removes the
 * files, the lock last, and only then lets it go. A lock names the methods of its node, so that this costs no look at
 * all of the folder.
 *
 * A child of a fork without exec keeps its parent's lock held. So a held lock whose process is gone counts as free too,
 * but its files stay until the child is gone. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/error.h"
#include "base/rand.h"
#include "directory/folder/internal.h"

enum { TRIES = 8, CHUNK = 64 * (CL_KEY + 1) };

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

int cl_file_is_current(const cl_folder *folder, const char *key, int lock)
{
    char file[CL_FILE_NAME];
    struct stat ours, theirs;
    cl_file_of(key, ".lock", file);
    return fstat(lock, &ours) == 0 && fstatat(folder->fd, file, &theirs, AT_SYMLINK_NOFOLLOW) == 0 &&
           ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

static int cannot(const char *what, const cl_folder *folder, const char *file)
{
    return cl_error(CLOUDS_ESYSTEM, "cannot %s %s/%s: %s", what, folder->path, file, strerror(errno));
}

/* Locks and fills a file that has no name yet, and gives it one: 0, CLOUDS_EEXIST: the name is taken, CLOUDS_ENOSERVER:
 * a sweeper was faster, or CLOUDS_ESYSTEM. */
static int finish_lock(const cl_folder *folder, const char *unfinished, const char *file, int fd)
{
    char head[CL_LOCK_HEAD];
    int n = cl_lock_write((long)getpid(), folder->names, head);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) return CLOUDS_ENOSERVER;
    if (write(fd, head, (size_t)n) != n) return cannot("write", folder, file);
    if (linkat(folder->fd, unfinished, folder->fd, file, 0) == 0) return 0;
    return errno == EEXIST ? CLOUDS_EEXIST : errno == ENOENT ? CLOUDS_ENOSERVER : cannot("make", folder, file);
}

/* A lock where none is: its descriptor, CLOUDS_EEXIST, or CLOUDS_ESYSTEM. */
static int new_lock(const cl_folder *folder, const char *key)
{
    char file[CL_FILE_NAME], unfinished[CL_FILE_NAME];
    int code = CLOUDS_ENOSERVER;
    cl_file_of(key, ".lock", file);
    for (int i = 0; i < TRIES && code == CLOUDS_ENOSERVER; i++) {
        unsigned long long random;
        if (cl_random_bytes(&random, sizeof random) != 0) return CLOUDS_ESYSTEM;
        snprintf(unfinished, sizeof unfinished, ".%.16s-%016llx", key, random);
        int fd = openat(folder->fd, unfinished, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0 && errno == EEXIST) continue;
        if (fd < 0) return cannot("make", folder, file);
        code = finish_lock(folder, unfinished, file, fd);
        unlinkat(folder->fd, unfinished, 0);
        if (code == 0) return fd;
        close(fd);
    }
    return code == CLOUDS_ENOSERVER ? CLOUDS_EEXIST : code;
}

/* Whose lock it is: a process, 0: not known, -1: one that is gone. */
static long owner_of(const cl_folder *folder, int lock)
{
    char head[CL_LOCK_HEAD];
    long pid, names;
    ssize_t n = pread(lock, head, sizeof head, 0);
    if (n <= 0 || cl_lock_read(head, (size_t)n, &pid, &names) != 0) return 0;
    return names == folder->names && kill((pid_t)pid, 0) != 0 && errno == ESRCH ? -1 : pid;
}

/* Takes the lock of a dead node: its descriptor, CLOUDS_EEXIST: somebody holds it (`owner`), CLOUDS_ENOSERVER: there is
 * none, or CLOUDS_ESYSTEM: nothing can be said. */
static int dead_lock(const cl_folder *folder, const char *key, long *owner)
{
    char file[CL_FILE_NAME];
    cl_file_of(key, ".lock", file);
    int fd = openat(folder->fd, file, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return errno == ENOENT ? CLOUDS_ENOSERVER : cannot("open", folder, file);
    int code = CLOUDS_EEXIST;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) *owner = owner_of(folder, fd);
    else if (cl_file_is_current(folder, key, fd)) return fd;
    else code = CLOUDS_ENOSERVER;
    close(fd);
    return code;
}

int cl_file_lock(const cl_folder *folder, const char *key, cl_str id, int *out, long *owner)
{
    *owner = 0;
    for (int i = 0; i < TRIES; i++) {
        int fd = new_lock(folder, key);
        if (fd >= 0) *out = fd;
        if (fd != CLOUDS_EEXIST) return fd < 0 ? fd : 0;
        fd = dead_lock(folder, key, owner);
        if (fd >= 0) {
            cl_file_remove_node(folder, key, fd);
            close(fd);
        } else if (fd == CLOUDS_ESYSTEM) {
            return fd;
        } else if (fd == CLOUDS_EEXIST) {
            break;
        }
    }
    int n = (int)(id.n < 100 ? id.n : 100);
    if (*owner > 0) return cl_error(CLOUDS_EEXIST, "the node id %.*s is in use by process %ld", n, id.p, *owner);
    return cl_error(CLOUDS_EEXIST, "the node id %.*s is in use by %s", n, id.p,
                    *owner ? "a child of a process that has ended" : "a process that is not known");
}

/* ---- removal */

static void remove_file(const cl_folder *folder, const char *key, const char *suffix)
{
    char file[CL_FILE_NAME];
    cl_file_of(key, suffix, file);
    unlinkat(folder->fd, file, 0);
}

static void remove_entries(const cl_folder *folder, const char *key, int lock)
{
    char text[CHUNK], method[CL_KEY + 1], file[CL_FILE_NAME];
    off_t from = 0;
    for (ssize_t n; (n = pread(lock, text, sizeof text, from)) > 0;) {
        size_t at = 0;
        while (cl_lock_next(text, (size_t)n, &at, method)) {
            for (const char *kind = "mpc"; *kind; kind++) {
                snprintf(file, sizeof file, "%.16s-%s.%c", key, method, *kind);
                unlinkat(folder->fd, file, 0);
            }
        }
        const char *last = memrchr(text, '\n', (size_t)n);
        if (!last) return;
        from += last - text + 1;
    }
}

void cl_file_remove_node(const cl_folder *folder, const char *key, int lock)
{
    remove_entries(folder, key, lock);
    remove_file(folder, key, ".tags");
    remove_file(folder, key, ".sock");
    remove_file(folder, key, ".lock");
}

/* Files without a lock. Whoever removes them holds it, lest a node that opens meanwhile loses its own. */
static void remove_lost(const cl_folder *folder, const char *key, const char *met)
{
    int fd = new_lock(folder, key);
    if (fd < 0) return;
    if (met) unlinkat(folder->fd, met, 0);
    cl_file_remove_node(folder, key, fd);
    close(fd);
}

int cl_file_is_alive(const cl_folder *folder, const char *key, const char *met)
{
    long owner = 0;
    int fd = dead_lock(folder, key, &owner);
    if (fd == CLOUDS_EEXIST) return owner != -1;
    if (fd == CLOUDS_ENOSERVER) remove_lost(folder, key, met);
    if (fd < 0) return fd != CLOUDS_ENOSERVER;
    if (met) unlinkat(folder->fd, met, 0);
    cl_file_remove_node(folder, key, fd);
    close(fd);
    return 0;
}

static void remove_unfinished(const cl_folder *folder, const char *file)
{
    int fd = openat(folder->fd, file, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ELOOP) unlinkat(folder->fd, file, 0); /* it was to become what a node says of itself */
    if (fd < 0) return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) unlinkat(folder->fd, file, 0);
    close(fd);
}

static int has_lock(const cl_folder *folder, const char *key)
{
    char lock[CL_FILE_NAME];
    cl_file_of(key, ".lock", lock);
    return faccessat(folder->fd, lock, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

void cl_file_sweep(const cl_folder *folder, const char *file)
{
    char key[CL_KEY + 1];
    switch (cl_file_kind_of(file, key)) {
    case CL_FILE_LOCK:
        cl_file_is_alive(folder, key, NULL);
        break;
    case CL_FILE_SOCKET:
    case CL_FILE_TRAITS:
    case CL_FILE_ENTRY:
    case CL_FILE_PAUSED:
        if (!has_lock(folder, key)) cl_file_is_alive(folder, key, file);
        break;
    case CL_FILE_UNFINISHED:
        remove_unfinished(folder, file);
        break;
    default:
        break;
    }
}

/* ---- entries */

int cl_file_note_method(const cl_folder *folder, const char *key, int lock, cl_str method)
{
    char line[CL_KEY + 2], file[CL_FILE_NAME];
    off_t before = lseek(lock, 0, SEEK_END);
    cl_file_key(method, line);
    line[CL_KEY] = '\n';
    ssize_t n = write(lock, line, CL_KEY + 1);
    if (n == CL_KEY + 1) return 0;
    if (n >= 0) errno = ENOSPC;
    cl_file_of(key, ".lock", file);
    int code = cannot("write", folder, file);
    /* Half a line must not swallow the next one. */
    return ftruncate(lock, before) == 0 ? code : cannot("write", folder, file);
}

int cl_file_forget_methods(const cl_folder *folder, int lock)
{
    char head[CL_LOCK_HEAD];
    int n = cl_lock_write((long)getpid(), folder->names, head);
    return ftruncate(lock, n) == 0 ? 0 : CLOUDS_ESYSTEM;
}

int cl_file_put_entry(const cl_folder *folder, const char *key, cl_str id, cl_str method, int paused)
{
    char file[CL_FILE_NAME], target[CL_ENTRY_MAX + 2];
    if (cl_entry_write(id, method, target) != 0)
        return cl_error_limit(CLOUDS_ETOOBIG, id.n * 3 + method.n * 3, CL_ENTRY_MAX,
                              "the name of the method or topic is too long for the registry (%zu bytes)", method.n);
    cl_file_entry(key, method, paused, file);
    if (symlinkat(target, folder->fd, file) == 0 || errno == EEXIST) return 0;
    return cannot("register in", folder, file);
}

void cl_file_remove_entry(const cl_folder *folder, const char *key, cl_str method, int paused)
{
    char file[CL_FILE_NAME];
    cl_file_entry(key, method, paused, file);
    unlinkat(folder->fd, file, 0);
}

int cl_file_has_entry(const cl_folder *folder, const char *key, cl_str method, int paused)
{
    char file[CL_FILE_NAME];
    cl_file_entry(key, method, paused, file);
    return faccessat(folder->fd, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int cl_file_read_entry(const cl_folder *folder, const char *file, cl_buf *memory, cl_str *id, cl_str *method)
{
    memory->len = 0;
    if (cl_buf_reserve(memory, CL_ENTRY_MAX + 2) != 0) return CLOUDS_ENOMEM;
    ssize_t n = readlinkat(folder->fd, file, memory->data, CL_ENTRY_MAX + 2);
    return n < 0 ? CLOUDS_ENOSERVER : cl_entry_read(file, memory->data, (size_t)n, id, method);
}

/* ---- traits */

/* Another takes the place of the one that is there in one step: nobody sees a node without. */
static int replace_link(const cl_folder *folder, const char *key, const char *text, const char *file)
{
    char unfinished[CL_FILE_NAME];
    unsigned long long random;
    if (cl_random_bytes(&random, sizeof random) != 0) return CLOUDS_ESYSTEM;
    snprintf(unfinished, sizeof unfinished, ".%.16s-%016llx", key, random);
    if (symlinkat(text, folder->fd, unfinished) != 0) return cannot("register in", folder, file);
    if (renameat(folder->fd, unfinished, folder->fd, file) == 0) return 0;
    int code = cannot("register in", folder, file);
    unlinkat(folder->fd, unfinished, 0);
    return code;
}

int cl_file_put_traits(const cl_folder *folder, const char *key, const char *text)
{
    char file[CL_FILE_NAME];
    cl_file_of(key, ".tags", file);
    if (*text) return replace_link(folder, key, text, file);
    return unlinkat(folder->fd, file, 0) == 0 || errno == ENOENT ? 0 : cannot("remove", folder, file);
}

cl_traits cl_file_read_traits(const cl_folder *folder, const char *key, char room[CL_TRAITS_TEXT])
{
    char file[CL_FILE_NAME];
    cl_file_of(key, ".tags", file);
    ssize_t n = readlinkat(folder->fd, file, room, CL_TRAITS_TEXT);
    return n > 0 && n < CL_TRAITS_TEXT ? cl_traits_read(cl_str_of(room, (size_t)n)) : (cl_traits){0};
}
