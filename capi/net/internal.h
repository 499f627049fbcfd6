/* What the files of net share: the loop's inside, and how the handles of this folder are closed with it. */
#ifndef CL_NET_INTERNAL_H
#define CL_NET_INTERNAL_H

#include <netdb.h>
#include <sys/types.h>
#include <uv.h>

#include "base/list.h"
#include "net/conn.h"
#include "net/loop.h"

enum { CL_INPUT_BYTES = 64 * 1024 };

/* The data of every uv handle points to one of these: how the loop's end closes what belongs to the handle. */
typedef struct cl_anchor {
    void (*close_handle)(struct cl_anchor *anchor);
} cl_anchor;

struct cl_loop {
    uv_loop_t uv;
    uv_async_t wake;
    uv_timer_t limit; /* ends a run that waits no longer than its timeout */
    cl_loop_hooks hooks;
    cl_list_node dirty;    /* conns with output of this turn */
    cl_list_node resolved; /* cl_resolve_requests whose answer is there; under the lock of resolve.c */
    pid_t owner;           /* the process that made it */
    int running, closing;
    uint64_t turns; /* what cl_loop_turn_now numbers */
    int64_t began; /* what cl_loop_together counts from; 0: it was not asked yet */
    int deferred; /* the next run must not wait */
    int changed;  /* a watcher was started that uv has not installed yet: its descriptor tells nothing so far */
    /* The one descriptor, see cl_loop_fd. */
    int fd, event_fd, timer_fd;
    int readable;     /* event_fd is readable */
    int canceled;     /* a timer was: timer_fd is set to the next one */
    int64_t timer_at; /* what timer_fd is set to, 0: nothing */
    char input[CL_INPUT_BYTES];
};

/* uv_poll_start, and remembers that the loop has to run once before the descriptor tells of it. */
int cl_loop_poll(cl_loop *loop, uv_poll_t *poll, int events, uv_poll_cb fn);

/* For the callbacks of timers: the run that is under way does not wait any more. */
void cl_loop_end_wait(cl_loop *loop);

/* Something waits that the next run does at its beginning: makes the descriptor readable, does not shorten the run. */
void cl_loop_set_readable(cl_loop *loop);

/* conn.c, for the loop and for those who make conns. */
enum cl_conn_state { CL_CONN_DIALING, CL_CONN_OPEN, CL_CONN_FINISHING, CL_CONN_CLOSING };

struct cl_dial;

struct cl_conn {
    cl_anchor anchor;
    cl_loop *loop;
    cl_conn_hooks hooks;
    enum cl_conn_state state;
    int fd;
    int handles; /* uv handles that are not closed yet */
    int has_poll;
    int blocked; /* the kernel takes no more for now */
    int reading_off; /* cl_conn_set_reading: what comes stays in the kernel */
    int broken;  /* the errno of a write: the kernel takes nothing any more */
    uv_poll_t poll;
    struct cl_dial *dial; /* while it connects */
    struct cl_tls *tls;   /* NULL: it is as it is */
    cl_buf out;
    size_t at;        /* bytes at the head of `out` that the kernel has */
    uint64_t handed;  /* bytes that the kernel has taken in all */
    int64_t active;   /* when bytes were last written */
    unsigned commits; /* since the last flush */
    int wrote;        /* `drained` is owed */
    cl_list_node dirty;
    int code;
    char words[192];
};

cl_conn *cl_conn_new(cl_loop *loop, const cl_conn_hooks *hooks);
/* Takes over a connected, non-blocking descriptor: 0, or a uv error with the descriptor still the caller's. */
int cl_conn_adopt(cl_conn *conn, int fd, int events, uv_poll_cb fn);
/* The conn is connected: reads from now on. */
void cl_conn_start(cl_conn *conn);
/* Begins the end; does nothing when that has begun. */
void cl_conn_fail(cl_conn *conn, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* TCP_NODELAY and keepalive. */
void cl_conn_set_tcp_options(int fd);
/* One handle of the conn is closed; the last one ends it. */
void cl_conn_handle_closed(cl_conn *conn);
void cl_conn_turn(cl_loop *loop);
/* What became of a write: the kernel takes no more for now, nothing any more (an errno), or has everything. */
void cl_conn_blocked(cl_conn *conn);
void cl_conn_broken(cl_conn *conn, int error);
void cl_conn_written(cl_conn *conn);

/* tls.c, for conn.c: a conn with `tls`. all 0: only full records, the rest goes at the end of the turn. */
void cl_tls_flush(cl_conn *conn, int all);
int cl_tls_has_output(const cl_conn *conn);
void cl_tls_read(cl_conn *conn, const char *p, size_t n);
void cl_tls_free(cl_conn *conn); /* without is fine */

/* resolve.c: names become addresses, without the loop waiting. */
typedef struct cl_lookup cl_lookup;

typedef struct cl_resolve_request {
    cl_list_node place; /* all zero at first */
    cl_loop *loop;
    cl_lookup *lookup; /* NULL: it waits for nothing */
    /* The answer, on the loop's thread: the status of getaddrinfo, and a list that lives until cl_resolve_forget. */
    void (*done)(struct cl_resolve_request *request, int status, struct addrinfo *list);
} cl_resolve_request;

/* 0, CLOUDS_ENOMEM, or CLOUDS_ESYSTEM: no thread can be started. */
int cl_resolve(cl_loop *loop, const char *host, const char *service, cl_resolve_request *request);
/* Whether it is done already or not; again is harmless. */
void cl_resolve_forget(cl_resolve_request *request);
/* Tells what was found out; the loop calls it when it is woken. */
void cl_resolve_turn(cl_loop *loop);

/* dial.c: gives up connecting; what is still under way ends by itself. */
void cl_dial_stop(cl_conn *conn);

#endif
