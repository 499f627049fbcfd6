/* Design note: when there are no descriptors or no memory for a new conn, listening pauses for a moment instead of
 * spinning. */
#include "net/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"

enum { BACKLOG = 1024, ACCEPTS_PER_EVENT = 64, PAUSE_MS = 50 };

struct cl_listener {
    cl_anchor anchor;
    cl_loop *loop;
    int fd;
    uv_poll_t poll;
    uv_timer_t pause;
    void (*accepted)(void *self, cl_conn *conn);
    void *self;
    int is_tcp;
    int handles, owned;
};

static void release(cl_listener *listener)
{
    if (listener->handles == 0 && !listener->owned) cl_free(listener);
}

static void on_poll_closed(uv_handle_t *handle)
{
    cl_listener *listener = CL_OWNER(handle, cl_listener, poll);
    listener->handles--;
    release(listener);
}

static void on_pause_closed(uv_handle_t *handle)
{
    cl_listener *listener = CL_OWNER(handle, cl_listener, pause);
    listener->handles--;
    release(listener);
}

static void close_handle(cl_anchor *anchor)
{
    cl_listener *listener = CL_OWNER(anchor, cl_listener, anchor);
    if (listener->fd < 0) return;
    uv_close((uv_handle_t *)&listener->poll, on_poll_closed);
    uv_close((uv_handle_t *)&listener->pause, on_pause_closed);
    close(listener->fd);
    listener->fd = -1;
}

static void on_pending(uv_poll_t *poll, int status, int events);

static void on_pause_over(uv_timer_t *timer)
{
    cl_listener *listener = CL_OWNER(timer, cl_listener, pause);
    cl_loop_end_wait(listener->loop);
    cl_loop_poll(listener->loop, &listener->poll, UV_READABLE, on_pending);
}

static void take_pause(cl_listener *listener)
{
    uv_poll_stop(&listener->poll);
    uv_timer_start(&listener->pause, on_pause_over, PAUSE_MS, 0);
}

/* 0, or -1 when there was no memory (the peer sees a closed connection). */
static int hand_over(cl_listener *listener, int fd)
{
    cl_conn *conn = cl_conn_new(listener->loop, NULL);
    if (!conn || uv_poll_init(&listener->loop->uv, &conn->poll, fd) != 0) {
        cl_free(conn);
        close(fd);
        return -1;
    }
    conn->poll.data = &conn->anchor;
    conn->handles = conn->has_poll = 1;
    conn->fd = fd;
    cl_conn_start(conn);
    listener->accepted(listener->self, conn);
    return 0;
}

static void on_pending(uv_poll_t *poll, int status, int events)
{
    cl_listener *listener = CL_OWNER(poll, cl_listener, poll);
    for (int i = 0; i < ACCEPTS_PER_EVENT && listener->fd >= 0; i++) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
        if (fd < 0 && errno == EAGAIN) return;
        if (fd >= 0 && listener->is_tcp) cl_conn_set_tcp_options(fd);
        if (fd >= 0 && hand_over(listener, fd) == 0) continue;
        take_pause(listener);
        return;
    }
}

/* ---- where */

/* 0 and the socket, or an errno. */
static int listen_at(const struct sockaddr *address, socklen_t n, int *out)
{
    int on = 1, off = 0;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return errno;
    if (address->sa_family != AF_UNIX) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address->sa_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, address, n) != 0 || listen(fd, BACKLOG) != 0) {
        int error = errno;
        close(fd);
        return error;
    }
    *out = fd;
    return 0;
}

static int start(cl_loop *loop, int fd, const char *what, void (*accepted)(void *self, cl_conn *conn), void *self,
                 cl_listener **out)
{
    cl_listener *listener = cl_malloc(sizeof *listener);
    int code = listener ? 0 : cl_error(CLOUDS_ENOMEM, NULL);
    if (code == 0) {
        *listener = (cl_listener){.anchor = {close_handle},
                                  .loop = loop,
                                  .fd = fd,
                                  .accepted = accepted,
                                  .self = self,
                                  .handles = 2,
                                  .owned = 1};
        int error = uv_poll_init(&loop->uv, &listener->poll, fd);
        if (error) code = cl_error(CLOUDS_ESYSTEM, "listen on %s: %s", what, uv_strerror(error));
    }
    if (code != 0) {
        close(fd);
        cl_free(listener);
        return code;
    }
    uv_timer_init(&loop->uv, &listener->pause);
    listener->poll.data = listener->pause.data = &listener->anchor;
    cl_loop_poll(loop, &listener->poll, UV_READABLE, on_pending);
    *out = listener;
    return 0;
}

static int cannot_listen(const char *what, int error)
{
    return cl_error(error == EADDRINUSE ? CLOUDS_EEXIST : CLOUDS_ESYSTEM, "listen on %s: %s", what, strerror(error));
}

int cl_listener_unix(cl_loop *loop, const char *path, void (*accepted)(void *self, cl_conn *conn), void *self,
                     cl_listener **out)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;
    if (loop->closing) return cl_error(CLOUDS_ECLOSED, NULL);
    if (strlen(path) >= sizeof address.sun_path)
        return cl_error(CLOUDS_EINVAL, "%s: a socket's path has at most %zu bytes", path, sizeof address.sun_path - 1);
    strcpy(address.sun_path, path);
    int error = listen_at((struct sockaddr *)&address, sizeof address, &fd);
    return error ? cannot_listen(path, error) : start(loop, fd, path, accepted, self, out);
}

typedef union any_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} any_address;

/* The length, or 0: it is no numeric address. */
static socklen_t read_address(const char *host, any_address *out)
{
    *out = (any_address){.v6 = {.sin6_family = AF_INET6}};
    if (inet_pton(AF_INET6, host, &out->v6.sin6_addr) == 1) return sizeof out->v6;
    *out = (any_address){.v4 = {.sin_family = AF_INET}};
    return inet_pton(AF_INET, host, &out->v4.sin_addr) == 1 ? sizeof out->v4 : 0;
}

int cl_listener_tcp(cl_loop *loop, const char *host, int first, int last, int begin,
                    void (*accepted)(void *self, cl_conn *conn), void *self, cl_listener **out)
{
    any_address address;
    char what[96];
    int fd = -1, error = EADDRINUSE, ports = last - first + 1;
    socklen_t n = read_address(host, &address);
    snprintf(what, sizeof what, strchr(host, ':') ? "tcp://[%s]:%d" : "tcp://%s:%d", host, first);
    if (ports > 1) snprintf(what + strlen(what), sizeof what - strlen(what), "-%d", last);
    if (loop->closing) return cl_error(CLOUDS_ECLOSED, NULL);
    if (!n) return cl_error(CLOUDS_EINVAL, "listen on %s: no numeric address", what);
    for (int i = 0; i < ports && error == EADDRINUSE; i++) {
        uint16_t port = htons((uint16_t)(first + (begin - first + i) % ports));
        if (address.any.sa_family == AF_INET) address.v4.sin_port = port;
        else address.v6.sin6_port = port;
        error = listen_at(&address.any, n, &fd);
    }
    if (error == EADDRINUSE && ports > 1) return cl_error(CLOUDS_EEXIST, "listen on %s: every port is in use", what);
    if (error) return cannot_listen(what, error);
    int code = start(loop, fd, what, accepted, self, out);
    if (code == 0) (*out)->is_tcp = 1;
    return code;
}

int cl_listener_port(const cl_listener *listener)
{
    any_address own;
    socklen_t n = sizeof own;
    if (getsockname(listener->fd, &own.any, &n) != 0) return 0;
    return ntohs(own.any.sa_family == AF_INET ? own.v4.sin_port : own.v6.sin6_port);
}

void cl_listener_close(cl_listener *listener)
{
    if (!listener) return;
    listener->owned = 0;
    close_handle(&listener->anchor);
    release(listener);
}
