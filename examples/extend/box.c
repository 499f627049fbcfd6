/* A transport: each node has a file to which whoever sends appends, and which the node empties. inotify says when. Its
 * folder is BOX_FOLDER, or the address: with a directory of the library, that is where the directory is. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <clouds_extend.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "extend.h"

enum { MOST_WAITING = 16 << 20 }; /* bytes in a box */

struct open_node {
    struct open_node *next;
    void *node;
    int fd, watch, closing;
    char path[PATH_MAX];
};

struct delivery {
    struct delivery *next;
    uint64_t token;
    int what;
};

struct box {
    const clouds_host *host;
    const clouds_transport_sink *sink;
    int inotify, closing;
    struct open_node *nodes;
    struct delivery *first, **last; /* reported by flush: `send` may not */
    char folder[];
};

static int create(void *user_data, const clouds_host *host, const clouds_transport_sink *sink, const char *address,
                  size_t address_len, void **transport)
{
    const char *named = getenv("BOX_FOLDER"), *folder = named ? named : address;
    size_t folder_len = named ? strlen(named) : address_len;
    struct box *b = calloc(1, sizeof *b + folder_len + 1);
    if (!b) return CLOUDS_ENOMEM;
    b->host = host;
    b->sink = sink;
    b->last = &b->first;
    memcpy(b->folder, folder, folder_len);
    b->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (b->inotify < 0 || host->watch(host->self, b->inotify, CLOUDS_WATCH_READ) != 0) {
        if (b->inotify >= 0) close(b->inotify);
        free(b);
        return host->fail(host->self, CLOUDS_ESYSTEM, "box: no inotify");
    }
    sink->state(sink->self, 1, 0, NULL);
    *transport = b;
    return 0;
}

/* ---- nodes */

/* The box is ours until we close it. Another node of the same id may ask for it before a directory refuses that one. */
static int own(int fd)
{
    struct flock all = {.l_type = F_WRLCK};
    return fd >= 0 && fcntl(fd, F_OFD_SETLK, &all) == 0 && ftruncate(fd, 0) == 0;
}

static int open_node(void *transport, void *node, const char *id, size_t id_len, const char *at,
                     clouds_address *addresses, size_t *n)
{
    struct box *b = transport;
    if (memchr(id, '/', id_len)) return b->host->fail(b->host->self, CLOUDS_EINVAL, "box: an id with a slash");
    struct open_node *o = calloc(1, sizeof *o);
    if (!o) return CLOUDS_ENOMEM;
    snprintf(o->path, sizeof o->path, "%s/%.*s.box", b->folder, (int)id_len, id);
    o->node = node;
    o->fd = open(o->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    o->watch = own(o->fd) ? inotify_add_watch(b->inotify, o->path, IN_MODIFY) : -1;
    if (o->watch < 0) {
        int is_taken = o->fd >= 0 && (errno == EAGAIN || errno == EACCES);
        if (o->fd >= 0) close(o->fd);
        free(o);
        return is_taken ? b->host->fail(b->host->self, CLOUDS_EEXIST, "box: a node of this id has it")
                        : b->host->fail(b->host->self, CLOUDS_ESYSTEM, strerror(errno));
    }
    o->next = b->nodes;
    b->nodes = o;
    snprintf(addresses->text, sizeof addresses->text, "box:%.500s", o->path);
    *n = 1;
    return 0;
}

/* Takes all that is in a box, under the lock. NULL: nothing. */
static char *take(struct open_node *o, size_t *len)
{
    struct stat s;
    char *all = NULL;
    flock(o->fd, LOCK_EX); /* those who hold it write at once, so this hardly waits */
    *len = 0;
    if (fstat(o->fd, &s) == 0 && s.st_size > 0 && (all = malloc((size_t)s.st_size))) {
        ssize_t got = pread(o->fd, all, (size_t)s.st_size, 0);
        *len = got > 0 ? (size_t)got : 0;
        if (ftruncate(o->fd, 0) != 0) *len = 0;
    }
    flock(o->fd, LOCK_UN);
    return all;
}

static void read_node(struct box *b, struct open_node *o)
{
    size_t len, at = 0;
    char *all = take(o, &len);
    for (uint32_t n; len - at >= sizeof n; at += sizeof n + n) {
        memcpy(&n, all + at, sizeof n);
        if (n > len - at - sizeof n) break;
        b->sink->received(b->sink->self, all + at + sizeof n, n);
    }
    free(all);
}

/* The file may have been changed again meanwhile: then another event is there. */
static void ready(void *transport, int fd, int events)
{
    struct box *b = transport;
    union {
        struct inotify_event first;
        char bytes[4096];
    } room;
    while (read(fd, &room, sizeof room) > 0) continue;
    for (struct open_node *o = b->nodes; o; o = o->next) read_node(b, o);
}

static void close_node(void *transport, void *node, int served)
{
    struct box *b = transport;
    for (struct open_node *o = b->nodes; o; o = o->next)
        if (o->node == node) o->closing = 1;
    b->host->defer(b->host->self);
}

/* Under the lock, so that who writes sees that the box is gone, or is read. */
static void end_node(struct box *b, struct open_node *o)
{
    flock(o->fd, LOCK_EX);
    unlink(o->path);
    flock(o->fd, LOCK_UN);
    read_node(b, o);
    inotify_rm_watch(b->inotify, o->watch);
    close(o->fd);
}

/* ---- sending */

static int report(struct box *b, uint64_t token, int what)
{
    struct delivery *d = token ? malloc(sizeof *d) : NULL;
    if (!d) return token ? CLOUDS_ENOMEM : 0;
    *d = (struct delivery){NULL, token, what};
    *b->last = d;
    b->last = &d->next;
    b->host->defer(b->host->self);
    return 0;
}

/* Where the directory says that it is; one that has no addresses keeps nodes in our folder. */
static int find(struct box *b, const clouds_frame *frame, char *path, size_t size)
{
    clouds_address at;
    int code = b->sink->locate(b->sink->self, frame->to, frame->to_len, &at);
    if (code != 0) return code;
    if (strncmp(at.text, "box:", 4) == 0) snprintf(path, size, "%s", at.text + 4);
    else snprintf(path, size, "%s/%s.box", b->folder, frame->to);
    return 0;
}

static int append(int fd, const clouds_frame *frame)
{
    struct stat s;
    uint32_t n = (uint32_t)frame->data_len;
    if (fstat(fd, &s) != 0 || s.st_nlink == 0) return CLOUDS_ENOSERVER;
    if (s.st_size + (off_t)(sizeof n + n) > MOST_WAITING) return CLOUDS_ELIMIT;
    char *all = malloc(sizeof n + n);
    if (!all) return CLOUDS_ENOMEM;
    memcpy(all, &n, sizeof n);
    memcpy(all + sizeof n, frame->data, n);
    int whole = write(fd, all, sizeof n + n) == (ssize_t)(sizeof n + n);
    if (!whole && ftruncate(fd, s.st_size) != 0) whole = 0;
    free(all);
    return whole ? 0 : CLOUDS_ELIMIT;
}

static int send_frame(void *transport, void *node, const clouds_frame *frame)
{
    struct box *b = transport;
    char path[PATH_MAX];
    int code = find(b, frame, path, sizeof path);
    if (code == CLOUDS_PENDING) return CLOUDS_EUNREACHABLE;
    int fd = code == 0 ? open(path, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;
    if (fd < 0) return report(b, frame->token, CLOUDS_DELIVERY_NOBODY);
    flock(fd, LOCK_EX);
    code = append(fd, frame);
    close(fd);
    if (code == CLOUDS_ENOSERVER) return report(b, frame->token, CLOUDS_DELIVERY_NOBODY);
    if (code != 0) return code;
    return frame->flags & CLOUDS_FRAME_CONFIRM ? report(b, frame->token, CLOUDS_DELIVERY_WRITTEN) : 0;
}

/* ---- what was deferred, and the end */

static void flush(void *transport)
{
    struct box *b = transport;
    while (b->first) {
        struct delivery *d = b->first;
        b->first = d->next;
        if (!b->first) b->last = &b->first;
        b->sink->delivery(b->sink->self, d->token, d->what, d->what == CLOUDS_DELIVERY_WRITTEN);
        free(d);
    }
    for (struct open_node **o = &b->nodes; *o;) {
        struct open_node *one = *o;
        if (!one->closing) {
            o = &one->next;
            continue;
        }
        end_node(b, one);
        *o = one->next;
        b->sink->node_closed(b->sink->self, one->node);
        free(one);
    }
    if (b->closing && !b->nodes) {
        b->closing = 0;
        b->sink->closed(b->sink->self);
    }
}

static void close_box(void *transport)
{
    struct box *b = transport;
    b->closing = 1;
    for (struct open_node *o = b->nodes; o; o = o->next) o->closing = 1;
    b->host->defer(b->host->self);
}

static void destroy(void *transport)
{
    struct box *b = transport;
    for (struct open_node *o = b->nodes, *next; o; o = next) {
        next = o->next;
        unlink(o->path);
        close(o->fd);
        free(o);
    }
    for (struct delivery *d = b->first, *next; d; d = next) {
        next = d->next;
        free(d);
    }
    close(b->inotify);
    free(b);
}

int box_register(void)
{
    static const clouds_transport_ops ops = {.size = sizeof ops,
                                             .create = create,
                                             .close = close_box,
                                             .destroy = destroy,
                                             .ready = ready,
                                             .flush = flush,
                                             .open = open_node,
                                             .send = send_frame,
                                             .close_node = close_node};
    return clouds_transport_register("box", &ops);
}
