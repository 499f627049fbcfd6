/* Design notes
 *
 * A conn is a descriptor with a uv_poll; it reads and writes itself, because uv's streams write without MSG_NOSIGNAL
 * and a library must not ask its program to ignore SIGPIPE.
 *
 * Output gathers in `out`. It is written at 64 kB, at 256 commits, and at the end of the turn (the loop's dirty list).
 * What the kernel does not take stays there, `blocked` is set, and the poll asks for room. `drained` is called from the
 * turn or from the poll, never from inside commit or flush. When a write fails, what the peer said before is read by
 * the turn, and then the conn ends.
 *
 * Every end goes through cl_conn_fail: handles are closed, and the callback of the last one tells `closed` and frees.
 * So `closed` is never called from inside a call of the owner. */
#include "net/internal.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"

enum {
    FLUSH_BYTES = 64 * 1024,
    FLUSH_COMMITS = 256,
    READS_PER_EVENT = 8,
    READS_AT_END = 128,
    KEEP_BYTES = 256 * 1024,
    IDLE_MS = 100 /* after so long without traffic the peer may have closed, which was not read yet */
};

static void on_io(uv_poll_t *poll, int status, int events);

static void close_handle(cl_anchor *anchor)
{
    cl_conn_fail(CL_OWNER(anchor, cl_conn, anchor), 0, "closed");
}

cl_conn *cl_conn_new(cl_loop *loop, const cl_conn_hooks *hooks)
{
    cl_conn *conn = cl_calloc(1, sizeof *conn);
    if (!conn) return NULL;
    conn->anchor.close_handle = close_handle;
    conn->loop = loop;
    if (hooks) conn->hooks = *hooks;
    conn->fd = -1;
    cl_list_init(&conn->dirty);
    return conn;
}

void cl_conn_set_hooks(cl_conn *conn, const cl_conn_hooks *hooks)
{
    conn->hooks = *hooks;
}

int cl_conn_adopt(cl_conn *conn, int fd, int events, uv_poll_cb fn)
{
    int code = uv_poll_init(&conn->loop->uv, &conn->poll, fd);
    if (code != 0) return code;
    conn->poll.data = &conn->anchor;
    conn->handles++;
    conn->has_poll = 1;
    conn->fd = fd;
    cl_loop_poll(conn->loop, &conn->poll, events, fn);
    return 0;
}

void cl_conn_start(cl_conn *conn)
{
    conn->state = CL_CONN_OPEN;
    cl_loop_poll(conn->loop, &conn->poll, UV_READABLE, on_io);
}

/* ---- the end */

void cl_conn_handle_closed(cl_conn *conn)
{
    if (--conn->handles != 0) return;
    if (conn->hooks.closed) conn->hooks.closed(conn->hooks.self, conn->code, conn->words);
    cl_tls_free(conn);
    cl_buf_free(&conn->out);
    cl_free(conn);
}

static void on_poll_closed(uv_handle_t *handle)
{
    cl_conn_handle_closed(CL_OWNER(handle, cl_conn, poll));
}

void cl_conn_fail(cl_conn *conn, int code, const char *format, ...)
{
    if (conn->state == CL_CONN_CLOSING) return;
    conn->state = CL_CONN_CLOSING;
    conn->code = code;
    va_list args;
    va_start(args, format);
    vsnprintf(conn->words, sizeof conn->words, format, args);
    va_end(args);
    cl_list_remove(&conn->dirty);
    if (conn->has_poll) uv_close((uv_handle_t *)&conn->poll, on_poll_closed);
    if (conn->fd >= 0) close(conn->fd);
    conn->has_poll = 0;
    conn->fd = -1;
    if (conn->dial) cl_dial_stop(conn);
    if (!conn->loop->running) cl_loop_set_readable(conn->loop);
}

static int is_live(const cl_conn *conn)
{
    return conn->state == CL_CONN_OPEN || conn->state == CL_CONN_FINISHING;
}

void cl_conn_close(cl_conn *conn, int finish)
{
    if (finish && is_live(conn)) {
        cl_conn_flush(conn);
        if (is_live(conn) && conn->blocked) {
            conn->state = CL_CONN_FINISHING;
            cl_loop_poll(conn->loop, &conn->poll, UV_WRITABLE, on_io);
            return;
        }
    }
    cl_conn_fail(conn, 0, "closed");
}

/* ---- output */

cl_buf *cl_conn_out(cl_conn *conn)
{
    return &conn->out;
}

size_t cl_conn_pending(const cl_conn *conn)
{
    return conn->out.len - conn->at;
}

uint64_t cl_conn_handed(const cl_conn *conn)
{
    return conn->handed;
}

static void mark_dirty(cl_conn *conn)
{
    if (conn->state == CL_CONN_CLOSING || !cl_list_empty(&conn->dirty)) return;
    cl_list_append(&conn->loop->dirty, &conn->dirty);
    if (!conn->loop->running) cl_loop_set_readable(conn->loop);
}

static void flush(cl_conn *conn, int all);

void cl_conn_commit(cl_conn *conn)
{
    mark_dirty(conn);
    if (++conn->commits >= FLUSH_COMMITS || cl_conn_pending(conn) >= FLUSH_BYTES) flush(conn, 0);
}

static void watch(cl_conn *conn)
{
    int reads = conn->state == CL_CONN_OPEN && !conn->reading_off;
    cl_loop_poll(conn->loop, &conn->poll, (reads ? UV_READABLE : 0) | (conn->blocked ? UV_WRITABLE : 0), on_io);
}

void cl_conn_set_reading(cl_conn *conn, int on)
{
    if (conn->state != CL_CONN_OPEN || conn->reading_off == !on) return;
    conn->reading_off = !on;
    watch(conn);
}

void cl_conn_blocked(cl_conn *conn)
{
    conn->blocked = 1;
    if (conn->at >= KEEP_BYTES && conn->at >= conn->out.len / 2) {
        cl_buf_consume(&conn->out, conn->at);
        conn->at = 0;
    }
    watch(conn);
}

void cl_conn_written(cl_conn *conn)
{
    conn->at = 0;
    conn->wrote = 1;
    if (conn->out.cap > KEEP_BYTES) cl_buf_free(&conn->out);
    else cl_buf_clear(&conn->out);
    if (conn->hooks.drained) mark_dirty(conn);
}

static void drop_output(cl_conn *conn)
{
    conn->at = 0;
    cl_buf_clear(&conn->out);
}

void cl_conn_broken(cl_conn *conn, int error)
{
    if (conn->state != CL_CONN_OPEN) {
        cl_conn_fail(conn, CLOUDS_ELOST, "write: %s", uv_strerror(-error));
        return;
    }
    conn->broken = error;
    drop_output(conn);
    mark_dirty(conn);
}

/* TCP takes bytes for a peer that has closed, and they are lost. So who writes after a silence (a Redis with an idle
 * timeout, a peer that ended while this process was busy) asks first: what was not written is known not to be done. */
static int has_peer_gone(cl_conn *conn)
{
    int64_t now = cl_loop_now();
    int idle = now - conn->active >= IDLE_MS;
    conn->active = now;
    if (!idle) return 0;
    struct pollfd end = {.fd = conn->fd, .events = POLLRDHUP};
    return poll(&end, 1, 0) == 1 && (end.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

static int has_output(const cl_conn *conn)
{
    if (conn->tls) return !conn->broken && cl_tls_has_output(conn);
    return conn->at != conn->out.len;
}

/* all 0: within a turn, at whose end the rest goes. */
static void flush(cl_conn *conn, int all)
{
    conn->commits = 0;
    if (conn->broken) drop_output(conn);
    if (!is_live(conn) || conn->blocked || !has_output(conn)) return;
    if (has_peer_gone(conn)) {
        cl_conn_broken(conn, EPIPE);
        return;
    }
    if (conn->tls) {
        cl_tls_flush(conn, all);
        return;
    }
    while (conn->at < conn->out.len) {
        ssize_t n = send(conn->fd, conn->out.data + conn->at, conn->out.len - conn->at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            conn->at += (size_t)n;
            conn->handed += (uint64_t)n;
        } else if (errno == EAGAIN) {
            cl_conn_blocked(conn);
            return;
        } else if (errno != EINTR) {
            cl_conn_broken(conn, errno);
            return;
        }
    }
    cl_conn_written(conn);
}

void cl_conn_flush(cl_conn *conn)
{
    flush(conn, 1);
}

static void tell_drained(cl_conn *conn)
{
    if (!conn->wrote || !is_live(conn) || cl_conn_pending(conn)) return;
    conn->wrote = 0;
    if (conn->state == CL_CONN_FINISHING) cl_conn_fail(conn, 0, "closed");
    else if (conn->hooks.drained) conn->hooks.drained(conn->hooks.self);
}

static size_t read_once(cl_conn *conn);

/* Bounded: a peer that takes nothing may go on talking. */
static void read_last_words(cl_conn *conn)
{
    for (int i = 0; i < READS_AT_END && conn->state == CL_CONN_OPEN && read_once(conn); i++) continue;
    cl_conn_fail(conn, CLOUDS_ELOST, "write: %s", uv_strerror(-conn->broken));
}

void cl_conn_turn(cl_loop *loop)
{
    cl_list_node now; /* what is added meanwhile waits for the next turn */
    cl_list_move(&loop->dirty, &now);
    while (!cl_list_empty(&now)) {
        cl_conn *conn = CL_OWNER(now.next, cl_conn, dirty);
        cl_conn_flush(conn); /* still in the list, so it is not added again */
        cl_list_remove(&conn->dirty);
        if (conn->broken) read_last_words(conn);
        else tell_drained(conn);
    }
}

/* ---- input */

/* The number of bytes that came; 0: no more for now, or the end. */
static size_t read_once(cl_conn *conn)
{
    ssize_t n;
    do n = recv(conn->fd, conn->loop->input, CL_INPUT_BYTES, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n > 0 && conn->tls) cl_tls_read(conn, conn->loop->input, (size_t)n);
    else if (n > 0) conn->hooks.data(conn->hooks.self, conn->loop->input, (size_t)n);
    else if (n == 0) cl_conn_fail(conn, CLOUDS_ELOST, "closed by the peer");
    else if (errno != EAGAIN) cl_conn_fail(conn, CLOUDS_ELOST, "read: %s", uv_strerror(-errno));
    return n > 0 ? (size_t)n : 0;
}

/* What a broken connection still holds is read; its last read names the error. */
static void read_to_end(cl_conn *conn)
{
    while (conn->state == CL_CONN_OPEN && read_once(conn)) continue;
    cl_conn_fail(conn, CLOUDS_ELOST, "the connection broke");
}

static void on_room(cl_conn *conn)
{
    conn->blocked = 0;
    cl_conn_flush(conn);
    if (conn->blocked || conn->broken || !is_live(conn)) return;
    if (conn->state == CL_CONN_OPEN) watch(conn);
    cl_list_remove(&conn->dirty);
    tell_drained(conn);
}

static void on_io(uv_poll_t *poll, int status, int events)
{
    cl_conn *conn = CL_OWNER(poll, cl_conn, poll);
    if (status < 0) {
        read_to_end(conn);
        return;
    }
    if (conn->blocked && (events & UV_WRITABLE)) on_room(conn);
    if (!(events & UV_READABLE)) return;
    for (int i = 0; i < READS_PER_EVENT && conn->state == CL_CONN_OPEN && !conn->reading_off; i++)
        if (read_once(conn) < CL_INPUT_BYTES) break;
}

long cl_conn_peer_uid(const cl_conn *conn)
{
    struct ucred peer;
    socklen_t n = sizeof peer;
    if (conn->fd < 0 || getsockopt(conn->fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) != 0) return -1;
    return peer.uid == (uid_t)-1 ? -1 : (long)peer.uid;
}
