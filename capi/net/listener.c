/* Design note: when there are no descriptors or no memory for a new conn, listening pauses for a moment instead of
 * spinning. */
#include "net/internal.h"

#include <errno.h>
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
        if (fd >= 0 && hand_over(listener, fd) == 0) continue;
        take_pause(listener);
        return;
    }
}

static int open_socket(const char *path, int *out)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return cl_error(CLOUDS_EINVAL, "%s: a socket's path has at most %zu bytes", path, sizeof address.sun_path - 1);
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return cl_error(CLOUDS_ESYSTEM, "socket: %s", strerror(errno));
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, BACKLOG) != 0) {
        int code =
            cl_error(errno == EADDRINUSE ? CLOUDS_EEXIST : CLOUDS_ESYSTEM, "listen on %s: %s", path, strerror(errno));
        close(fd);
        return code;
    }
    *out = fd;
    return 0;
}

int cl_listener_unix(cl_loop *loop, const char *path, void (*accepted)(void *self, cl_conn *conn), void *self,
                     cl_listener **out)
{
    if (loop->closing) return cl_error(CLOUDS_ECLOSED, NULL);
    cl_listener *listener = cl_malloc(sizeof *listener);
    if (!listener) return cl_error(CLOUDS_ENOMEM, NULL);
    *listener = (cl_listener){
        .anchor = {close_handle}, .loop = loop, .accepted = accepted, .self = self, .handles = 2, .owned = 1};
    int code = open_socket(path, &listener->fd);
    if (code == 0 && (code = uv_poll_init(&loop->uv, &listener->poll, listener->fd)) != 0) {
        cl_error(CLOUDS_ESYSTEM, "listen on %s: %s", path, uv_strerror(code));
        code = CLOUDS_ESYSTEM;
        close(listener->fd);
    }
    if (code != 0) {
        cl_free(listener);
        return code;
    }
    uv_timer_init(&loop->uv, &listener->pause);
    listener->poll.data = listener->pause.data = &listener->anchor;
    cl_loop_poll(loop, &listener->poll, UV_READABLE, on_pending);
    *out = listener;
    return 0;
}

void cl_listener_close(cl_listener *listener)
{
    if (!listener) return;
    listener->owned = 0;
    close_handle(&listener->anchor);
    release(listener);
}
