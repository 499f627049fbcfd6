/* Messages over a pair of SOCK_SEQPACKET sockets: a byte for the type, the body, and descriptors beside it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/cluster/cluster.h"

enum {
    MESSAGES_A_TURN = 32,
    MOST_WAITING = 4 << 20, /* bytes */
};

typedef struct waiting {
    struct waiting *next;
    size_t size;
    int fd_count, fds[CLOUDS_CHANNEL_FDS];
    char bytes[]; /* the type and the body */
} waiting;

struct host_channel {
    uv_poll_t poll;
    int fd;
    bool closing, ended;
    host_channel_hooks hooks;
    waiting *first, **last;
    size_t waiting_bytes;
};

/* What comes is read here before it is passed on: one loop, one thread. */
static char incoming[1 + CLOUDS_CHANNEL_BYTES];

int host_channel_pair(int ends[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends);
}

static void close_all(const int *fds, int count)
{
    for (int i = 0; i < count; i++)
        if (fds[i] >= 0) close(fds[i]);
}

/* 0 or -1, errno */
static int write_message(int fd, const char *bytes, size_t size, const int *fds, int fd_count)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(CLOUDS_CHANNEL_FDS * sizeof(int))];
    } control;
    struct iovec part = {(void *)bytes, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd_count) {
        memset(&control, 0, sizeof control);
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE((size_t)fd_count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN((size_t)fd_count * sizeof(int));
        memcpy(CMSG_DATA(header), fds, (size_t)fd_count * sizeof(int));
    }
    ssize_t written;
    do written = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (written < 0 && errno == EINTR);
    return written < 0 ? -1 : 0;
}

/* The kernel has no room now, but will have. */
static bool is_for_later(int problem)
{
    return problem == EAGAIN || problem == EWOULDBLOCK || problem == ENOBUFS || problem == ETOOMANYREFS;
}

static void on_ready(uv_poll_t *poll, int status, int events);

static void watch(host_channel *channel)
{
    uv_poll_start(&channel->poll, UV_READABLE | (channel->first ? UV_WRITABLE : 0), on_ready);
}

static int put_off(host_channel *channel, const char *bytes, size_t size, const int *fds, int fd_count)
{
    if (channel->waiting_bytes + size > MOST_WAITING) return errno = ENOBUFS, -1;
    waiting *w = malloc(sizeof *w + size);
    if (!w) return errno = ENOMEM, -1;
    *w = (waiting){.size = size};
    for (; w->fd_count < fd_count; w->fd_count++) {
        w->fds[w->fd_count] = fcntl(fds[w->fd_count], F_DUPFD_CLOEXEC, 3);
        if (w->fds[w->fd_count] >= 0) continue;
        int problem = errno;
        close_all(w->fds, w->fd_count);
        free(w);
        return errno = problem, -1;
    }
    memcpy(w->bytes, bytes, size);
    *channel->last = w;
    channel->last = &w->next;
    channel->waiting_bytes += size;
    watch(channel);
    return 0;
}

int host_channel_send(host_channel *channel, char type, const void *body, size_t size, const int *fds, int fd_count)
{
    char bytes[1 + CLOUDS_CHANNEL_BYTES];
    if (size > CLOUDS_CHANNEL_BYTES || fd_count > CLOUDS_CHANNEL_FDS) return errno = EMSGSIZE, -1;
    if (channel->closing || channel->ended) return errno = EPIPE, -1;
    bytes[0] = type;
    if (size) memcpy(bytes + 1, body, size);
    if (!channel->first) {
        if (write_message(channel->fd, bytes, size + 1, fds, fd_count) == 0) return 0;
        if (!is_for_later(errno)) return -1;
    }
    return put_off(channel, bytes, size + 1, fds, fd_count);
}

static void drop_first(host_channel *channel)
{
    waiting *w = channel->first;
    channel->first = w->next;
    if (!w->next) channel->last = &channel->first;
    channel->waiting_bytes -= w->size;
    close_all(w->fds, w->fd_count);
    free(w);
}

/* What the other end will not take, because it is gone, is dropped: reading tells of its end. */
static void send_waiting(host_channel *channel)
{
    while (channel->first) {
        waiting *w = channel->first;
        if (write_message(channel->fd, w->bytes, w->size, w->fds, w->fd_count) != 0 && is_for_later(errno)) return;
        drop_first(channel);
    }
    watch(channel);
}

void host_channel_finish(host_channel *channel, double seconds)
{
    uint64_t now = uv_hrtime(), until = now + (uint64_t)(seconds * 1e9);
    while (!channel->closing && channel->first && now < until) {
        struct pollfd one = {.fd = channel->fd, .events = POLLOUT};
        poll(&one, 1, (int)((until - now) / 1000000) + 1);
        send_waiting(channel);
        now = uv_hrtime();
    }
}

static void take_descriptors(struct msghdr *from, host_channel_message *message)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(from); c; c = CMSG_NXTHDR(from, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        message->fd_count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(message->fds, CMSG_DATA(c), (size_t)message->fd_count * sizeof(int));
    }
}

/* 1: a message; 0: nothing now; -1: the end. What was longer than agreed has the size 0 and is passed over. One whose
 * descriptors found no place here comes without them. The end of a peer that had not read everything is an error first,
 * and what it has said comes behind that. */
static int read_message(host_channel *channel, host_channel_message *message, ssize_t *size)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(CLOUDS_CHANNEL_FDS * sizeof(int))];
    } control;
    struct iovec part = {incoming, sizeof incoming};
    struct msghdr header = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    for (int resets = 0;;) {
        *size = recvmsg(channel->fd, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (*size >= 0 || !(errno == EINTR || (errno == ECONNRESET && resets++ == 0))) break;
    }
    if (*size < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
    message->fd_count = 0;
    take_descriptors(&header, message);
    if (*size == 0) return close_all(message->fds, message->fd_count), -1;
    if (header.msg_flags & MSG_CTRUNC) {
        close_all(message->fds, message->fd_count);
        message->fd_count = 0;
    }
    if (header.msg_flags & MSG_TRUNC) *size = 0;
    return 1;
}

static void end(host_channel *channel)
{
    channel->ended = true;
    uv_poll_stop(&channel->poll);
    while (channel->first) drop_first(channel);
    channel->hooks.ended(channel->hooks.self);
}

static void read_messages(host_channel *channel, int most)
{
    int i = 0;
    for (; i < most && !channel->closing; i++) {
        host_channel_message message;
        ssize_t size;
        int result = read_message(channel, &message, &size);
        if (result < 0) end(channel);
        if (result <= 0) break;
        message.type = incoming[0];
        message.body = incoming + 1;
        message.size = size ? (size_t)size - 1 : 0;
        if (size) channel->hooks.message(channel->hooks.self, &message);
        close_all(message.fds, message.fd_count);
    }
    if (i && channel->hooks.paused && !channel->closing) channel->hooks.paused(channel->hooks.self);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    host_channel *channel = (host_channel *)poll;
    if (status == 0 && events & UV_WRITABLE) send_waiting(channel);
    if (status != 0) host_channel_read_now(channel); /* the loop watches no longer */
    else if (events & UV_READABLE) read_messages(channel, MESSAGES_A_TURN);
}

void host_channel_read_now(host_channel *channel)
{
    if (!channel->closing && !channel->ended) read_messages(channel, INT_MAX);
}

host_channel *host_channel_open(uv_loop_t *loop, int fd, bool holds, const host_channel_hooks *hooks)
{
    host_channel *channel = calloc(1, sizeof *channel);
    if (!channel) return NULL;
    if (uv_poll_init(loop, &channel->poll, fd) != 0) return free(channel), NULL;
    channel->fd = fd;
    channel->hooks = *hooks;
    channel->last = &channel->first;
    watch(channel);
    if (!holds) uv_unref((uv_handle_t *)&channel->poll);
    return channel;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

void host_channel_close(host_channel *channel)
{
    if (channel->closing) return;
    channel->closing = true;
    while (channel->first) drop_first(channel);
    uv_close((uv_handle_t *)&channel->poll, on_closed);
    close(channel->fd);
}

/* ---- for another program in the place of this one */

int host_channel_fd(const host_channel *channel)
{
    return channel->fd;
}

void host_channel_waiting(const host_channel *channel, void (*hook)(void *self, const host_channel_message *message),
                          void *self)
{
    for (const waiting *w = channel->first; w; w = w->next) {
        host_channel_message m = {
            .type = w->bytes[0], .body = w->bytes + 1, .size = w->size - 1, .fd_count = w->fd_count};
        memcpy(m.fds, w->fds, sizeof m.fds);
        hook(self, &m);
    }
}
