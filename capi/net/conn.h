/* Connections and listeners over TCP and unix sockets, with an output buffer that is written once per turn. */
#ifndef CL_CONN_H
#define CL_CONN_H

#include "base/buf.h"
#include "net/loop.h"

typedef struct cl_conn cl_conn;
typedef struct cl_listener cl_listener;

typedef struct cl_conn_hooks {
    void *self;
    void (*opened)(void *self);                        /* connected */
    void (*data)(void *self, const char *p, size_t n); /* bytes, at most 64 kB at a time, valid during the call */
    /* Everything in the output buffer was handed to the kernel. Told by the turn or by the loop, never from inside
     * commit or flush; may be NULL. */
    void (*drained)(void *self);
    /* The end, exactly once, however it came: code 0 (closed by us) or CLOUDS_E*, and words. The conn is freed after
     * it. */
    void (*closed)(void *self, int code, const char *words);
} cl_conn_hooks;

/* Starts to connect; `opened` or `closed` follows, never from inside. Names are resolved without blocking. CLOEXEC,
 * TCP_NODELAY, keepalive and TCP_USER_TIMEOUT are set. connect_timeout in seconds, for resolving and connecting
 * together. */
int cl_conn_tcp(cl_loop *loop, const char *host, int port, double connect_timeout, const cl_conn_hooks *hooks,
                cl_conn **out);
int cl_conn_unix(cl_loop *loop, const char *path, double connect_timeout, const cl_conn_hooks *hooks, cl_conn **out);

void cl_conn_set_hooks(cl_conn *conn, const cl_conn_hooks *hooks);

/* A TCP peer that vanished without a word ends the conn: when what was written is not acknowledged for so long, and when
 * it is silent and answers no probe. Nothing for a unix socket. */
void cl_conn_expect_peer(cl_conn *conn, double seconds);

/* The output buffer: append to it, then call cl_conn_commit. It is flushed when it holds 64 kB or 256 commits, and else
 * by cl_conn_flush, which the loop calls for every conn with output once per turn (before `turn` returns to sleep). */
cl_buf *cl_conn_out(cl_conn *conn);
void cl_conn_commit(cl_conn *conn);
void cl_conn_flush(cl_conn *conn);
/* Bytes not yet handed to the kernel. */
size_t cl_conn_pending(const cl_conn *conn);
/* Bytes that the kernel has taken since the conn was opened. What stands behind them in the stream of output when the
 * conn ends has provably not left this process; what broken connections were given afterwards has neither. */
uint64_t cl_conn_handed(const cl_conn *conn);

/* 0: nothing is read until 1, nor the end of the peer seen but by writing. It is read from the beginning on. */
void cl_conn_set_reading(cl_conn *conn, int on);

int cl_conn_is_tcp(const cl_conn *conn);

/* The uid of the process at the other end of a unix socket, or -1. */
long cl_conn_peer_uid(const cl_conn *conn);

/* Stops reading and begins to close; `closed` follows later with code 0. Unwritten output is dropped (`finish` 0) or
 * written first (1). May be called from its own hooks, again and again. */
void cl_conn_close(cl_conn *conn, int finish);

/* Listens; `accepted` hands over a new conn, whose hooks must be set by cl_conn_set_hooks before it returns. */
int cl_listener_unix(cl_loop *loop, const char *path, void (*accepted)(void *self, cl_conn *conn), void *self,
                     cl_listener **out);
/* The same at a numeric address of IPv4 or IPv6, on the first port of first..last that is free; the search begins at
 * `start` and goes round. Port 0: the kernel's choice. "::" takes IPv4 too. */
int cl_listener_tcp(cl_loop *loop, const char *host, int first, int last, int start,
                    void (*accepted)(void *self, cl_conn *conn), void *self, cl_listener **out);
int cl_listener_port(const cl_listener *listener);
void cl_listener_close(cl_listener *listener); /* NULL is fine; does not unlink the path */
/* The address of this end of a TCP connection, without the port: where others that came the same way reach this machine.
 * 0, or -1 when it is none. */
int cl_conn_own_address(const cl_conn *conn, char *out, size_t cap);
/* "tcp:<host>:<port>" of the other end. */
int cl_conn_peer_address(const cl_conn *conn, char *out, size_t cap);

#endif
