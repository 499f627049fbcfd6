/* A directory: each node has a file with what it serves, which all read, and a lock, which tells that it lives. inotify
 * says when a file has changed, and a timer looks for locks that are free. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <clouds_extend.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "entries.h"
#include "extend.h"

static const double LOOK = 1; /* seconds from one look at the locks to the next */

/* Something to be answered by flush. Without a method: the status. */
struct question {
    struct question *next;
    uint64_t operation;
    char *method;
};

struct board {
    const clouds_host *host;
    const clouds_directory_sink *sink;
    int inotify, closing, follows;
    struct entry *mine, *known; /* all others that were there when it was read last */
    struct line *watched;       /* methods that were looked up */
    struct question *questions;
    char folder[];
};

static struct entry *entry_of(const struct board *b, const void *node)
{
    struct entry *e = b->mine;
    while (e && e->node != node) e = e->next;
    return e;
}

/* The line of a method that the node serves, or has paused. */
static struct line *service(struct entry *e, const char *method, const char *kinds)
{
    if (!e || *find_line(&e->lines, "d", NULL, 0)) return NULL;
    return *find_line(&e->lines, kinds, method, strlen(method));
}

static int publish(struct board *b, struct entry *e)
{
    if (!e->announced || entry_write(b->folder, e) == 0) return 0;
    return b->host->fail(b->host->self, CLOUDS_ESYSTEM, strerror(errno));
}

/* ---- what has changed is reported */

static clouds_server server_of(struct entry *e, int paused)
{
    const struct line *w = *find_line(&e->lines, "w", NULL, 0);
    clouds_server s = {.size = sizeof s, .flags = paused ? CLOUDS_SERVER_PAUSED : 0, .id = e->id, .id_len = strlen(e->id)};
    if (w) {
        s.weight = (uint32_t)atoi(w->text);
        s.tags = w->more;
        s.tags_len = strlen(w->more);
    }
    return s;
}

static int is_same_server(struct entry *a, struct entry *b)
{
    const struct line *x = *find_line(&a->lines, "w", NULL, 0), *y = *find_line(&b->lines, "w", NULL, 0);
    if (!x || !y) return !x && !y;
    return strcmp(x->text, y->text) == 0 && strcmp(x->more, y->more) == 0;
}

static void report_method(struct board *b, const char *method, struct entry *then, struct entry *now)
{
    int was = service(then, method, "m") != NULL, is = service(now, method, "m") != NULL;
    if (is && !(was && is_same_server(then, now))) {
        const clouds_server s = server_of(now, 0);
        b->sink->server_up(b->sink->self, method, strlen(method), &s);
    }
    if (was && !is) b->sink->server_down(b->sink->self, method, strlen(method), then->id, strlen(then->id));
}

static void report_subscriptions(struct board *b, const char *id, struct entry *now)
{
    size_t n = strlen(id);
    b->sink->subscription(b->sink->self, id, n, NULL, 0, NULL, 0, 0);
    for (struct line *l = now ? now->lines : NULL; l; l = l->next)
        if (l->kind == 's')
            b->sink->subscription(b->sink->self, id, n, l->text, strlen(l->text), l->more, strlen(l->more), 1);
}

static void report(struct board *b, struct entry *then, struct entry *now)
{
    const char *id = now ? now->id : then->id;
    int drained = then && *find_line(&then->lines, "d", NULL, 0);
    int drains = now && *find_line(&now->lines, "d", NULL, 0);
    if (drains && !drained) b->sink->peer_draining(b->sink->self, id, strlen(id));
    for (struct line *l = b->watched; l; l = l->next) report_method(b, l->text, then, now);
    if (b->follows) report_subscriptions(b, id, now);
    if (!now && !drained) b->sink->peer_gone(b->sink->self, id, strlen(id));
}

static void look(struct board *b)
{
    struct entry *then = b->known, *now = entry_read_all(b->folder);
    b->known = now;
    for (struct entry *e = now; e; e = e->next) report(b, find_entry(then, e->id, strlen(e->id)), e);
    for (struct entry *next; then; then = next) {
        next = then->next;
        if (!find_entry(now, then->id, strlen(then->id))) report(b, then, NULL);
        free_entry(then);
    }
}

static void ready(void *directory, int fd, int events)
{
    union {
        struct inotify_event first;
        char bytes[4096];
    } room;
    while (read(fd, &room, sizeof room) > 0) continue;
    look(directory);
}

/* A lock that is free belonged to a process that died: its file is removed, which is seen by all. */
static int bury(struct board *b, const char *id)
{
    char path[PATH_MAX];
    entry_path(b->folder, id, ".lock", path);
    int fd = open(path, O_RDWR | O_CLOEXEC), dead = fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (dead) {
        if (fd >= 0) unlink(path);
        entry_path(b->folder, id, ".node", path);
        unlink(path);
    }
    if (fd >= 0) close(fd);
    return dead;
}

static void due(void *directory)
{
    struct board *b = directory;
    for (struct entry *e = b->known; e; e = e->next)
        if (!find_entry(b->mine, e->id, strlen(e->id))) bury(b, e->id);
    b->host->timer(b->host->self, LOOK);
}

static void suspect(void *directory, const char *id, size_t id_len, int was_open)
{
    struct board *b = directory;
    struct entry *e = find_entry(b->known, id, id_len);
    if (e && !find_entry(b->mine, id, id_len)) bury(b, e->id);
}

/* ---- nodes of ours */

/* Opens a lock and tries to take it. One that was removed meanwhile is nobody's any more, and so is no lock. */
static int lock(const char *path)
{
    for (struct stat s;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0 || fstat(fd, &s) != 0 || s.st_nlink > 0) return fd;
        close(fd);
    }
}

static int claim(void *directory, void *node, const char *id, size_t id_len, double heartbeat, clouds_address *at)
{
    struct board *b = directory;
    char path[PATH_MAX], *name;
    if (memchr(id, '/', id_len)) return b->host->fail(b->host->self, CLOUDS_EINVAL, "board: an id with a slash");
    name = copy(id, id_len);
    entry_path(b->folder, name, ".lock", path);
    int fd = lock(path);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (fd >= 0) close(fd);
        free(name);
        return fd < 0 ? b->host->fail(b->host->self, CLOUDS_ESYSTEM, "board: the folder cannot be written")
                      : b->host->fail(b->host->self, CLOUDS_EEXIST, "board: the node id is in use");
    }
    struct entry *e = calloc(1, sizeof *e);
    if (!e) abort();
    e->id = name;
    e->node = node;
    e->lock = fd;
    e->next = b->mine;
    b->mine = e;
    at->text[0] = '\0';
    return 0;
}

static int announce(void *directory, void *node, const clouds_address *addresses, size_t n)
{
    struct entry *e = entry_of(directory, node);
    if (!e) return CLOUDS_ECLOSED;
    drop_lines(&e->lines, "a");
    for (size_t i = 0; i < n; i++) add_line(&e->lines, 'a', addresses[i].text, strlen(addresses[i].text), "", 0);
    e->announced = 1;
    return publish(directory, e);
}

static int add(void *directory, void *node, const char *method, size_t n, uint64_t operation)
{
    struct entry *e = entry_of(directory, node);
    if (!e) return CLOUDS_ECLOSED;
    if (!*find_line(&e->lines, "mp", method, n)) add_line(&e->lines, 'm', method, n, "", 0);
    return publish(directory, e);
}

static int remove_method(void *directory, void *node, const char *method, size_t n, uint64_t operation)
{
    struct entry *e = entry_of(directory, node);
    if (!e) return CLOUDS_ECLOSED;
    drop_line(find_line(&e->lines, "mp", method, n));
    return publish(directory, e);
}

static void pause_method(void *directory, void *node, const char *method, size_t n, int paused)
{
    struct entry *e = entry_of(directory, node);
    struct line *l = e ? *find_line(&e->lines, "mp", method, n) : NULL;
    if (!l) return;
    l->kind = paused ? 'p' : 'm';
    publish(directory, e);
}

static void describe(void *directory, void *node, uint32_t weight, const char *tags, size_t tags_len)
{
    char number[16];
    struct entry *e = entry_of(directory, node);
    if (!e) return;
    drop_lines(&e->lines, "w");
    add_line(&e->lines, 'w', number, (size_t)snprintf(number, sizeof number, "%u", weight), tags, tags_len);
    publish(directory, e);
}

static int subscribe(void *directory, void *node, const char *topic, size_t n, const char *group, size_t group_n)
{
    struct entry *e = entry_of(directory, node);
    if (!e) return CLOUDS_ECLOSED;
    add_line(&e->lines, 's', topic, n, group, group_n);
    return publish(directory, e);
}

static void unsubscribe(void *directory, void *node, const char *topic, size_t n, const char *group, size_t group_n)
{
    struct entry *e = entry_of(directory, node);
    struct line **l = e ? &e->lines : NULL;
    while (l && *(l = find_line(l, "s", topic, n)) &&
           !(strlen((*l)->more) == group_n && memcmp((*l)->more, group, group_n) == 0))
        l = &(*l)->next;
    if (!l || !*l) return;
    drop_line(l);
    publish(directory, e);
}

static int follow(void *directory)
{
    struct board *b = directory;
    if (b->follows) return 0;
    b->follows = 1;
    b->sink->subscriptions(b->sink->self, 1);
    for (struct entry *e = b->known; e; e = e->next) report_subscriptions(b, e->id, e);
    b->sink->subscriptions(b->sink->self, 0);
    return 0;
}

static void drain(void *directory, void *node)
{
    struct entry *e = entry_of(directory, node);
    if (!e || *find_line(&e->lines, "d", NULL, 0)) return;
    drop_lines(&e->lines, "mps");
    add_line(&e->lines, 'd', "", 0, "", 0);
    publish(directory, e);
}

static int leave(void *directory, void *node)
{
    struct board *b = directory;
    struct entry **at = &b->mine, *e = entry_of(b, node);
    char path[PATH_MAX];
    if (!e) return 0;
    while (*at != e) at = &(*at)->next;
    *at = e->next;
    entry_path(b->folder, e->id, ".node", path);
    unlink(path);
    entry_path(b->folder, e->id, ".lock", path);
    unlink(path);
    close(e->lock);
    free_entry(e);
    return 0;
}

/* ---- questions */

static void ask(struct board *b, char *method, uint64_t operation)
{
    struct question **last = &b->questions, *q = calloc(1, sizeof *q);
    if (!q) abort();
    q->method = method;
    q->operation = operation;
    while (*last) last = &(*last)->next;
    *last = q;
    b->host->defer(b->host->self);
}

static void lookup(void *directory, const char *method, size_t n, int known)
{
    struct board *b = directory;
    if (!*find_line(&b->watched, "m", method, n)) add_line(&b->watched, 'm', method, n, "", 0);
    ask(b, copy(method, n), 0);
}

static void unwatch(void *directory, const char *method, size_t n)
{
    struct board *b = directory;
    drop_line(find_line(&b->watched, "m", method, n));
}

static void status(void *directory, uint64_t operation)
{
    ask(directory, NULL, operation);
}

static void answer_lookup(struct board *b, const char *method)
{
    enum { MOST = 1000 };
    clouds_server *list = calloc(MOST, sizeof *list);
    size_t n = 0;
    for (struct entry *e = b->known; list && e && n < MOST; e = e->next)
        if (service(e, method, "mp")) list[n++] = server_of(e, service(e, method, "p") != NULL);
    b->sink->servers(b->sink->self, method, strlen(method), list, n, list ? 0 : CLOUDS_ENOMEM);
    free(list);
}

static void answer_status(struct board *b, uint64_t operation)
{
    for (struct entry *e = b->known; e; e = e->next)
        for (struct line *l = e->lines; l; l = l->next) {
            if (!strchr("mp", l->kind)) continue;
            const clouds_server_row row = {.size = sizeof row,
                                           .method = l->text,
                                           .method_len = strlen(l->text),
                                           .server = server_of(e, l->kind == 'p')};
            b->sink->status(b->sink->self, operation, &row, 1, 0, 0);
        }
    b->sink->status(b->sink->self, operation, NULL, 0, 1, 0);
}

static int locate(void *directory, const char *id, size_t id_len, clouds_address *address)
{
    struct board *b = directory;
    struct entry *e = find_entry(b->mine, id, id_len);
    if (!e) e = find_entry(b->known, id, id_len);
    if (!e) return CLOUDS_ENOSERVER;
    address->text[0] = '\0'; /* what locate gives is all of them, with a space between */
    for (struct line *l = e->lines; l; l = l->next) {
        size_t n = strlen(address->text);
        if (l->kind == 'a' && n + strlen(l->text) + 2 <= sizeof address->text)
            snprintf(address->text + n, sizeof address->text - n, "%s%s", n ? " " : "", l->text);
    }
    return 0;
}

static void flush(void *directory)
{
    struct board *b = directory;
    if (b->questions) look(b);
    while (b->questions) {
        struct question *q = b->questions;
        b->questions = q->next;
        if (q->method) answer_lookup(b, q->method);
        else answer_status(b, q->operation);
        free(q->method);
        free(q);
    }
    if (!b->closing) return;
    b->closing = 0;
    b->sink->closed(b->sink->self);
}

/* ---- life */

static int create(void *user_data, const clouds_host *host, const clouds_directory_sink *sink, const char *address,
                  size_t address_len, void **directory)
{
    struct board *b = calloc(1, sizeof *b + address_len + 1);
    if (!b) return CLOUDS_ENOMEM;
    b->host = host;
    b->sink = sink;
    memcpy(b->folder, address, address_len);
    b->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (b->inotify < 0 || inotify_add_watch(b->inotify, b->folder, IN_MOVED_TO | IN_DELETE | IN_ONLYDIR) < 0 ||
        host->watch(host->self, b->inotify, CLOUDS_WATCH_READ) != 0) {
        if (b->inotify >= 0) close(b->inotify);
        free(b);
        return host->fail(host->self, CLOUDS_ESYSTEM, "board: the folder cannot be watched");
    }
    host->timer(host->self, LOOK);
    sink->state(sink->self, 1, 0, NULL);
    *directory = b;
    return 0;
}

static void close_board(void *directory)
{
    struct board *b = directory;
    b->closing = 1;
    b->host->defer(b->host->self);
}

static void destroy(void *directory)
{
    struct board *b = directory;
    while (b->mine) leave(b, b->mine->node);
    for (struct entry *next; b->known; b->known = next) {
        next = b->known->next;
        free_entry(b->known);
    }
    while (b->watched) drop_line(&b->watched);
    for (struct question *next; b->questions; b->questions = next) {
        next = b->questions->next;
        free(b->questions->method);
        free(b->questions);
    }
    close(b->inotify);
    free(b);
}

int board_register(void)
{
    static const clouds_directory_ops ops = {.size = sizeof ops,
                                             .create = create,
                                             .close = close_board,
                                             .destroy = destroy,
                                             .ready = ready,
                                             .due = due,
                                             .flush = flush,
                                             .claim = claim,
                                             .announce = announce,
                                             .add = add,
                                             .remove = remove_method,
                                             .pause = pause_method,
                                             .describe = describe,
                                             .subscribe = subscribe,
                                             .unsubscribe = unsubscribe,
                                             .follow = follow,
                                             .drain = drain,
                                             .leave = leave,
                                             .lookup = lookup,
                                             .unwatch = unwatch,
                                             .locate = locate,
                                             .suspect = suspect,
                                             .status = status};
    return clouds_directory_register("board", &ops);
}
