/* One connection to Redis that is kept alive: connect, handshake, ping, reconnect with backoff. It pairs replies with
 * commands. */
#ifndef CL_REDIS_SESSION_H
#define CL_REDIS_SESSION_H

#include "base/buf.h"
#include "net/loop.h"
#include "proto/limits.h"
#include "redis/pending.h"
#include "redis/sentinel.h"
#include "redis/tls.h"

typedef struct cl_session cl_session;

/* Where Redis is. The texts live as long as the session. */
typedef struct cl_redis_address {
    cl_sentinel *sentinel; /* says where; NULL: it is known */
    const char *path;      /* of a unix socket; NULL: host and port */
    const char *host;
    int port, db;
    cl_redis_tls tls;
    cl_str user, password;
    cl_str probe;            /* a key of ours that is never there */
    const char *display_url; /* for messages, without the password */
} cl_redis_address;

/* What INFO said of the server at the other end of this connection. */
typedef struct cl_redis_role {
    int known; /* 0: INFO is not allowed, or says nothing of it */
    int is_replica;
    int was_promoted; /* it was a replica once */
    int64_t replicas; /* connected to it */
    int64_t learned;  /* when */
    char run_id[48];  /* of this server process; "": not known */
} cl_redis_role;

typedef struct cl_session_hooks {
    void *self;
    /* The handshake is over: commands may be sent. */
    void (*ready)(void *self);
    /* An attempt failed (was_ready 0), or the connection is lost (1). Called after `on_lost` of all pending commands.
     */
    void (*down)(void *self, int was_ready, int code, const char *words);
    /* While cl_session_report_accepted is on: before on_reply of a command that was not answered by an error. */
    void (*accepted)(void *self, const cl_pending *pending);
    void (*channel)(void *self, cl_str channel); /* see resp.h */
    void (*message)(void *self, cl_str payload);
    /* After cl_session_close: nothing is open any more. */
    void (*closed)(void *self);
} cl_session_hooks;

/* Starts to connect. A subscriber (pushes 1) does not select a database nor learn the clock. `limits` is borrowed. */
int cl_session_create(cl_loop *loop, const cl_redis_address *address, const cl_limits *limits, int pushes,
                      const cl_session_hooks *hooks, cl_session **out);
/* Hands out what can still be handed out, then ends with `closed`. */
void cl_session_close(cl_session *session);
/* NULL is fine. After `closed`, or after the end of the loop. */
void cl_session_destroy(cl_session *session);

int cl_session_is_ready(const cl_session *session);
/* 1 when the handshake found a server in cluster mode. */
int cl_session_is_cluster(const cl_session *session);
/* Redis' clock minus the loop's, in ms; 0 when it was never learned. */
int cl_session_clock(const cl_session *session, int64_t *offset);
/* Something does not fit the clock: it is learned anew, at most once a second. */
void cl_session_doubt_clock(cl_session *session);
const cl_redis_role *cl_session_role(const cl_session *session);
/* The address of this machine, by which this connection goes. 0, or -1: there is none. */
int cl_session_own_address(const cl_session *session, char *out, size_t cap);
/* When this connection became ready. */
int64_t cl_session_since(const cl_session *session);
/* The owner writes something: the answer may tell whether this is a replica, so that is not asked at the same time. */
void cl_session_writes(cl_session *session);
/* The owner's write was taken, so this is no replica. */
void cl_session_wrote(cl_session *session);

/* The way to send, for whoever formats by itself: begin gives the buffer and makes room for a pending command, then
 * `end` is called with the length that the buffer had. begin fails with CLOUDS_EUNREACHABLE, CLOUDS_ELIMIT or
 * CLOUDS_ENOMEM. */
int cl_session_begin(cl_session *session, cl_buf **out);
void cl_session_end(cl_session *session, size_t length_before, const cl_redis_handler *handler, uint64_t ref);

/* Sends a command. Errors as begin. */
int cl_session_send(cl_session *session, const cl_redis_handler *handler, uint64_t ref, size_t argc,
                    const cl_str *argv);

/* Bytes that wait for the kernel. */
size_t cl_session_unwritten(const cl_session *session);
void cl_session_flush(cl_session *session);

void cl_session_report_accepted(cl_session *session, int on);

/* Where Redis is has changed: the next attempt is soon. */
void cl_session_hurry(cl_session *session);
/* Drops the connection for this reason; it is tried again. */
void cl_session_cut(cl_session *session, int code, const char *words);

#endif
