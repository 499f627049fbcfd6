#include "redis/fake.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 16, INPUT = 1 << 16, FAR_PIECE = 7 };

typedef struct client {
    int fd;
    size_t len;
    long sent;
    int subscribes;
    char input[INPUT];
} client;

typedef struct command {
    int argc;
    const char *argv[16];
    size_t n[16];
} command;

/* ---- sockets */

static int listen_at(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 64)) {
        close(fd);
        return -1;
    }
    return fd;
}

static int place(char *folder, size_t folder_cap, char *path, size_t path_cap, char *url, size_t url_cap)
{
    snprintf(folder, folder_cap, "/tmp/clouds-fake-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(path, path_cap, "%s/s", folder);
    snprintf(url, url_cap, "redis+unix://%s", path);
    return 0;
}

/* 0 when the other side is gone. */
static int write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t did = send(fd, p, n, MSG_NOSIGNAL);
        if (did < 0 && errno == EINTR) continue;
        if (did <= 0) return 0;
        p += did;
        n -= (size_t)did;
    }
    return 1;
}

/* ---- the fake */

/* Reads one command at the head of the input; its length, or 0 if it is not complete. */
static size_t parse(const client *c, command *out)
{
    const char *p = c->input, *end = c->input + c->len;
    if (c->len < 4 || *p != '*') return 0;
    char *next;
    long argc = strtol(p + 1, &next, 10);
    out->argc = 0;
    p = next + 2;
    for (long i = 0; i < argc; i++) {
        const char *line = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;
        if (!line) return 0;
        size_t n = (size_t)strtol(p + 1, NULL, 10);
        p = line + 1;
        if ((size_t)(end - p) < n + 2) return 0;
        if (i < 16) {
            out->argv[out->argc] = p;
            out->n[out->argc++] = n;
        }
        p += n + 2;
    }
    return (size_t)(p - c->input);
}

static int is_verb(const command *cmd, const char *verb)
{
    return cmd->n[0] == strlen(verb) && strncmp(cmd->argv[0], verb, cmd->n[0]) == 0;
}

/* What a good Redis would say. */
static size_t behave(const command *cmd, char *out, size_t cap)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (is_verb(cmd, "TIME"))
        return (size_t)snprintf(out, cap, "*2\r\n$10\r\n%010ld\r\n$6\r\n%06ld\r\n", (long)t.tv_sec, t.tv_nsec / 1000);
    if (is_verb(cmd, "INFO"))
        return (size_t)snprintf(out, cap, "$50\r\ncluster_enabled:0\r\nrole:master\r\nconnected_slaves:0\r\n");
    if (is_verb(cmd, "GET")) return (size_t)snprintf(out, cap, "$-1\r\n");
    if (is_verb(cmd, "PUBSUB") && cmd->n[1] == 8) /* CHANNELS: an npm server listens */
        return (size_t)snprintf(out, cap, "*1\r\n$14\r\nclouds:L:s.npm\r\n");
    if (is_verb(cmd, "PUBSUB")) return (size_t)snprintf(out, cap, "*2\r\n$1\r\nx\r\n:1\r\n");
    if (is_verb(cmd, "SUBSCRIBE") || is_verb(cmd, "UNSUBSCRIBE"))
        return (size_t)snprintf(out, cap, "*3\r\n$%zu\r\n%s\r\n$%zu\r\n%.*s\r\n:1\r\n", cmd->n[0],
                                is_verb(cmd, "SUBSCRIBE") ? "subscribe" : "unsubscribe", cmd->n[1], (int)cmd->n[1],
                                cmd->argv[1]);
    if (is_verb(cmd, "SMEMBERS")) return (size_t)snprintf(out, cap, "*0\r\n");
    if (is_verb(cmd, "SCAN")) return (size_t)snprintf(out, cap, "*2\r\n$1\r\n0\r\n*0\r\n");
    if (is_verb(cmd, "PING")) return (size_t)snprintf(out, cap, "+PONG\r\n");
    if (is_verb(cmd, "SET") || is_verb(cmd, "CLIENT") || is_verb(cmd, "AUTH") || is_verb(cmd, "SELECT"))
        return (size_t)snprintf(out, cap, "+OK\r\n");
    return (size_t)snprintf(out, cap, ":1\r\n");
}

static int send_some(fake *f, client *c, const char *p, size_t n)
{
    long left = f->budget < 0 ? (long)n : f->budget - c->sent;
    size_t now = left < (long)n ? (size_t)(left > 0 ? left : 0) : n;
    c->sent += (long)now;
    return write_all(c->fd, p, now) && now == n;
}

/* 0: close the connection. */
static int respond(fake *f, client *c, const command *cmd)
{
    char out[1024];
    pthread_mutex_lock(&f->lock);
    f->asked++;
    c->subscribes |= is_verb(cmd, "SUBSCRIBE");
    int ok, is_chosen = strcmp(f->verb, "*") == 0 || (f->verb[0] && is_verb(cmd, f->verb));
    if (is_chosen) ok = f->bytes && send_some(f, c, f->bytes, f->len);
    else ok = send_some(f, c, out, behave(cmd, out, sizeof out));
    if (ok && f->after[0] && is_verb(cmd, f->after)) ok = send_some(f, c, f->burst, f->burst_len);
    pthread_mutex_unlock(&f->lock);
    return ok;
}

static int serve(fake *f, client *c)
{
    ssize_t n = read(c->fd, c->input + c->len, INPUT - c->len);
    command cmd;
    size_t used;
    if (n <= 0) return 0;
    c->len += (size_t)n;
    while ((used = parse(c, &cmd)) > 0) {
        if (!respond(f, c, &cmd)) return 0;
        memmove(c->input, c->input + used, c->len - used);
        c->len -= used;
    }
    return 1;
}

static void admit(fake *f, client **clients)
{
    int fd = accept(f->listener, NULL, NULL);
    for (int i = 0; i < MOST && fd >= 0; i++) {
        if (clients[i]) continue;
        clients[i] = calloc(1, sizeof **clients);
        clients[i]->fd = fd;
        pthread_mutex_lock(&f->lock);
        f->accepted++;
        pthread_mutex_unlock(&f->lock);
        return;
    }
    close(fd);
}

static void drop(client **c)
{
    close((*c)->fd);
    free(*c);
    *c = NULL;
}

static void push(fake *f, client **clients)
{
    pthread_mutex_lock(&f->lock);
    const char *bytes = f->push;
    size_t n = f->push_len;
    int to_subscriber = f->push_to_subscriber;
    pthread_mutex_unlock(&f->lock); /* the other side may need it before it reads */
    for (int i = 0; i < MOST; i++)
        if (clients[i] && clients[i]->subscribes == to_subscriber && !write_all(clients[i]->fd, bytes, n))
            drop(&clients[i]);
}

/* What was written into stop_pipe: 1 to go on. */
static int obey(fake *f, client **clients)
{
    char what = 'x';
    if (read(f->stop_pipe[0], &what, 1) != 1 || what != 'p') return 0;
    push(f, clients);
    return 1;
}

static void *run_fake(void *arg)
{
    fake *f = arg;
    client *clients[MOST] = {0};
    for (;;) {
        struct pollfd fds[MOST + 2] = {{.fd = f->stop_pipe[0], .events = POLLIN},
                                       {.fd = f->listener, .events = POLLIN}};
        for (int i = 0; i < MOST; i++)
            fds[i + 2] = (struct pollfd){.fd = clients[i] ? clients[i]->fd : -1, .events = POLLIN};
        poll(fds, MOST + 2, -1);
        if (fds[0].revents && !obey(f, clients)) break;
        for (int i = 0; i < MOST; i++)
            if (clients[i] && fds[i + 2].revents && !serve(f, clients[i])) drop(&clients[i]);
        if (fds[1].revents) admit(f, clients);
    }
    for (int i = 0; i < MOST; i++)
        if (clients[i]) drop(&clients[i]);
    return NULL;
}

int fake_start(fake *f)
{
    memset(f, 0, sizeof *f);
    f->budget = -1;
    pthread_mutex_init(&f->lock, NULL);
    if (place(f->folder, sizeof f->folder, f->socket, sizeof f->socket, f->url, sizeof f->url)) return -1;
    f->listener = listen_at(f->socket);
    if (f->listener < 0 || pipe(f->stop_pipe)) return -1;
    return pthread_create(&f->thread, NULL, run_fake, f) ? -1 : 0;
}

void fake_stop(fake *f)
{
    if (write(f->stop_pipe[1], "x", 1) == 1) pthread_join(f->thread, NULL);
    close(f->stop_pipe[0]);
    close(f->stop_pipe[1]);
    close(f->listener);
    unlink(f->socket);
    rmdir(f->folder);
    pthread_mutex_destroy(&f->lock);
}

void fake_answer(fake *f, const char *verb, const char *bytes, size_t len)
{
    pthread_mutex_lock(&f->lock);
    snprintf(f->verb, sizeof f->verb, "%s", verb);
    f->bytes = bytes;
    f->len = len;
    pthread_mutex_unlock(&f->lock);
}

void fake_burst(fake *f, const char *after, const char *bytes, size_t len)
{
    pthread_mutex_lock(&f->lock);
    snprintf(f->after, sizeof f->after, "%s", after);
    f->burst = bytes;
    f->burst_len = len;
    pthread_mutex_unlock(&f->lock);
}

void fake_push(fake *f, int subscriber, const char *bytes, size_t len)
{
    pthread_mutex_lock(&f->lock);
    f->push = bytes;
    f->push_len = len;
    f->push_to_subscriber = subscriber;
    pthread_mutex_unlock(&f->lock);
    (void)!write(f->stop_pipe[1], "p", 1);
}

void fake_budget(fake *f, long bytes)
{
    pthread_mutex_lock(&f->lock);
    f->budget = bytes;
    pthread_mutex_unlock(&f->lock);
}

int fake_accepted(fake *f)
{
    pthread_mutex_lock(&f->lock);
    int n = f->accepted;
    pthread_mutex_unlock(&f->lock);
    return n;
}

/* ---- the splitter */

typedef struct pair {
    int near, far;
} pair;

static int dial(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0) return fd;
    close(fd);
    return -1;
}

/* Each piece is a write of its own; the reader is given the chance to take it alone. */
static int trickle(int from, int to, ssize_t piece)
{
    char bytes[4096];
    ssize_t n = read(from, bytes, sizeof bytes);
    for (ssize_t i = 0; i < n; i += piece) {
        if (!write_all(to, bytes + i, (size_t)(n - i < piece ? n - i : piece))) return 0;
        if (i % 7 == 0) sched_yield();
    }
    return n > 0;
}

static void *run_splitter(void *arg)
{
    splitter *s = arg;
    pair pairs[MOST];
    int count = 0;
    for (;;) {
        struct pollfd fds[2 * MOST + 2] = {{.fd = s->stop_pipe[0], .events = POLLIN},
                                           {.fd = s->listener, .events = POLLIN}};
        for (int i = 0; i < count; i++) {
            fds[2 + 2 * i] = (struct pollfd){.fd = pairs[i].near, .events = POLLIN};
            fds[3 + 2 * i] = (struct pollfd){.fd = pairs[i].far, .events = POLLIN};
        }
        poll(fds, (nfds_t)(2 + 2 * count), -1);
        if (fds[0].revents) break;
        for (int i = 0; i < count; i++) {
            int ok = (!fds[2 + 2 * i].revents || trickle(pairs[i].near, pairs[i].far, FAR_PIECE)) &&
                     (!fds[3 + 2 * i].revents || trickle(pairs[i].far, pairs[i].near, 1));
            if (ok || pairs[i].near < 0) continue;
            close(pairs[i].near);
            close(pairs[i].far);
            pairs[i] = (pair){-1, -1};
        }
        if (fds[1].revents && count < MOST) pairs[count++] = (pair){accept(s->listener, NULL, NULL), dial(s->target)};
    }
    for (int i = 0; i < count; i++) {
        close(pairs[i].near);
        close(pairs[i].far);
    }
    return NULL;
}

int splitter_start(splitter *s, const char *target)
{
    memset(s, 0, sizeof *s);
    s->target = target;
    if (place(s->folder, sizeof s->folder, s->socket, sizeof s->socket, s->url, sizeof s->url)) return -1;
    s->listener = listen_at(s->socket);
    if (s->listener < 0 || pipe(s->stop_pipe)) return -1;
    return pthread_create(&s->thread, NULL, run_splitter, s) ? -1 : 0;
}

void splitter_stop(splitter *s)
{
    if (write(s->stop_pipe[1], "x", 1) == 1) pthread_join(s->thread, NULL);
    close(s->stop_pipe[0]);
    close(s->stop_pipe[1]);
    close(s->listener);
    unlink(s->socket);
    rmdir(s->folder);
}
