/* Design notes
 *
 * A dial is what a conn needs until it is open: the addresses left to try, and one timer that limits all of it. The
 * timer counts among the conn's handles, so that a conn that never had a descriptor ends like any other.
 *
 * A unix listener whose queue is full says EAGAIN at once; the same address is tried again until the time is up. */
#include "net/internal.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/seconds.h"

enum { RETRY_MS = 5 };

struct cl_dial {
    uv_timer_t timer;
    cl_conn *conn;
    cl_resolve_request request;
    int64_t until;
    double seconds;
    int waiting;                  /* the timer ends a pause, not the whole */
    struct addrinfo *list, *next; /* list: to be freed */
    struct addrinfo one;          /* a unix socket */
    struct sockaddr_un path;
    char what[128]; /* where to, for the words */
};

static void attempt(cl_conn *conn);

static void on_timer_closed(uv_handle_t *handle)
{
    struct cl_dial *dial = CL_OWNER(handle, struct cl_dial, timer);
    cl_conn *conn = dial->conn;
    if (dial->list) freeaddrinfo(dial->list);
    cl_resolve_forget(&dial->request);
    cl_free(dial);
    cl_conn_handle_closed(conn);
}

void cl_dial_stop(cl_conn *conn)
{
    struct cl_dial *dial = conn->dial;
    conn->dial = NULL;
    cl_resolve_forget(&dial->request);
    uv_close((uv_handle_t *)&dial->timer, on_timer_closed);
}

static void on_timer(uv_timer_t *timer)
{
    struct cl_dial *dial = CL_OWNER(timer, struct cl_dial, timer);
    int64_t now = (int64_t)uv_now(timer->loop);
    cl_loop_end_wait(dial->conn->loop);
    if (dial->waiting && now < dial->until) {
        dial->waiting = 0;
        uv_timer_start(timer, on_timer, (uint64_t)(dial->until - now), 0);
        attempt(dial->conn);
        return;
    }
    char seconds[CL_NUMBER_TEXT];
    cl_conn_fail(dial->conn, CLOUDS_EUNREACHABLE, "connect %s: no answer within %s s", dial->what,
                 cl_number_text(seconds, dial->seconds, 6));
}

static void wait_a_little(struct cl_dial *dial)
{
    int64_t left = dial->until - (int64_t)uv_now(dial->timer.loop);
    dial->waiting = 1;
    uv_timer_start(&dial->timer, on_timer, (uint64_t)(left < 0 ? 0 : left < RETRY_MS ? left : RETRY_MS), 0);
}

static void on_attempt_closed(uv_handle_t *handle)
{
    cl_conn *conn = CL_OWNER(handle, cl_conn, poll);
    if (conn->state == CL_CONN_CLOSING) {
        cl_conn_handle_closed(conn);
        return;
    }
    conn->handles--;
    attempt(conn);
}

static void fail(cl_conn *conn, int error)
{
    int here = error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
    cl_conn_fail(conn, here ? CLOUDS_ESYSTEM : CLOUDS_EUNREACHABLE, "connect %s: %s", conn->dial->what,
                 uv_strerror(-error));
}

static void on_connected(uv_poll_t *poll, int status, int events)
{
    cl_conn *conn = CL_OWNER(poll, cl_conn, poll);
    int error = 0;
    socklen_t n = sizeof error;
    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0) error = errno;
    if (status < 0 && error == 0) error = ECONNREFUSED;
    if (error == 0) {
        cl_dial_stop(conn);
        cl_conn_start(conn);
        conn->hooks.opened(conn->hooks.self);
        cl_conn_flush(conn);
        return;
    }
    conn->dial->next = conn->dial->next->ai_next;
    if (!conn->dial->next) {
        fail(conn, error);
        return;
    }
    conn->has_poll = 0;
    uv_close((uv_handle_t *)poll, on_attempt_closed);
    close(conn->fd);
    conn->fd = -1;
}

/* 0: under way; else an errno. */
static int connect_to(cl_conn *conn, const struct addrinfo *to)
{
    int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return errno;
    if (to->ai_family != AF_UNIX) cl_conn_set_tcp_options(fd);
    int error = connect(fd, to->ai_addr, to->ai_addrlen) == 0 ? 0 : errno;
    if (error == EINPROGRESS || error == EINTR) error = 0;
    if (error == 0) error = -cl_conn_adopt(conn, fd, UV_WRITABLE, on_connected);
    if (error) close(fd);
    return error;
}

static void attempt(cl_conn *conn)
{
    struct cl_dial *dial = conn->dial;
    int error = EADDRNOTAVAIL;
    for (; dial->next; dial->next = dial->next->ai_next) {
        error = connect_to(conn, dial->next);
        if (error == 0) return;
        if (error == EAGAIN && dial->next->ai_family == AF_UNIX) {
            wait_a_little(dial);
            return;
        }
    }
    fail(conn, error);
}

static int start(cl_loop *loop, double seconds, const cl_conn_hooks *hooks, cl_conn **out)
{
    if (loop->closing) return cl_error(CLOUDS_ECLOSED, NULL);
    cl_conn *conn = cl_conn_new(loop, hooks);
    struct cl_dial *dial = conn ? cl_calloc(1, sizeof *dial) : NULL;
    if (!dial) {
        cl_free(conn);
        return cl_error(CLOUDS_ENOMEM, NULL);
    }
    uv_timer_init(&loop->uv, &dial->timer);
    dial->timer.data = &conn->anchor;
    dial->conn = conn;
    dial->seconds = seconds;
    uv_update_time(&loop->uv);
    dial->until = (int64_t)uv_now(&loop->uv) + cl_ms(seconds);
    uv_timer_start(&dial->timer, on_timer, (uint64_t)cl_ms(seconds), 0);
    conn->dial = dial;
    conn->handles = 1;
    *out = conn;
    return 0;
}

static void on_looked_up(cl_resolve_request *request, int status, struct addrinfo *list)
{
    struct cl_dial *dial = CL_OWNER(request, struct cl_dial, request);
    dial->next = list;
    if (status == 0) attempt(dial->conn);
    else cl_conn_fail(dial->conn, CLOUDS_EUNREACHABLE, "resolve %s: %s", dial->what, gai_strerror(status));
}

int cl_conn_tcp(cl_loop *loop, const char *host, int port, double connect_timeout, const cl_conn_hooks *hooks,
                cl_conn **out)
{
    cl_conn *conn;
    int code = start(loop, connect_timeout, hooks, &conn);
    if (code != 0) return code;
    struct cl_dial *dial = conn->dial;
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    snprintf(dial->what, sizeof dial->what, strchr(host, ':') ? "[%.100s]:%d" : "%.100s:%d", host, port);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    if (getaddrinfo(host, service, &hints, &dial->list) == 0) {
        dial->next = dial->list;
        attempt(conn);
    } else {
        dial->request.done = on_looked_up;
        code = cl_resolve(loop, host, service, &dial->request);
        if (code != 0) cl_conn_fail(conn, code, "resolve %s: %s", dial->what, clouds_strerror(code));
    }
    *out = conn;
    return 0;
}

int cl_conn_unix(cl_loop *loop, const char *path, double connect_timeout, const cl_conn_hooks *hooks, cl_conn **out)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return cl_error(CLOUDS_EINVAL, "%s: a socket's path has at most %zu bytes", path, sizeof address.sun_path - 1);
    cl_conn *conn;
    int code = start(loop, connect_timeout, hooks, &conn);
    if (code != 0) return code;
    struct cl_dial *dial = conn->dial;
    strcpy(address.sun_path, path);
    dial->path = address;
    dial->one = (struct addrinfo){
        .ai_family = AF_UNIX, .ai_addr = (struct sockaddr *)&dial->path, .ai_addrlen = sizeof address};
    dial->next = &dial->one;
    snprintf(dial->what, sizeof dial->what, "%s", path);
    attempt(conn);
    *out = conn;
    return 0;
}
