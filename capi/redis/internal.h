/* The inside of a session, for session.c and handshake.c. */
#ifndef CL_REDIS_INTERNAL_H
#define CL_REDIS_INTERNAL_H

#include "net/conn.h"
#include "redis/clear.h"
#include "redis/redis_error.h"
#include "redis/session.h"

enum session_phase {
    SESSION_WAITING,
    SESSION_CONNECTING,
    SESSION_HANDSHAKE,
    SESSION_READY,
    SESSION_CUT,
    SESSION_CLOSED
};

struct cl_session {
    cl_loop *loop;
    const cl_redis_address *address;
    const cl_limits *limits;
    int pushes;
    cl_session_hooks hooks;
    enum session_phase phase;
    int was_ready, closing;
    int is_silent; /* it is open, and nothing has come */
    int asked_in_clear;
    cl_redis_clear *clear; /* the question whether it has TLS at all; NULL: none is under way */
    int reports_accepted;
    cl_conn *conn;
    cl_sentinel_question question; /* where to? */
    cl_loop_timer *timer;          /* the next attempt, or the next check of the peer */
    cl_resp *resp;
    cl_pending_queue pending;
    uint64_t queued;       /* bytes ever put into the output of this connection */
    int64_t heard;         /* when bytes last came */
    int64_t complete;      /* when an answer or a message was last complete: bytes that only drip are no sign of life */
    int64_t waiting_since; /* since when an answer is due, or when the last one came */
    int64_t ready_at;
    int probe;         /* it seems dead: one more turn, since it may be us who slept */
    unsigned attempts; /* failed in a row */
    uint64_t random;   /* for jitter */
    int clock_known;   /* the offset is kept from one connection to the next: an old one is better than none */
    int clock_refused, cluster;
    int64_t clock_offset, clock_slack, clock_asked; /* by the slack the offset may be more or less */
    unsigned clock_again;                           /* questions in a row whose answers came too late to be exact */
    cl_redis_role role;
    int64_t role_asked, wrote_at;
    int writing; /* an answer to a write of the owner is to come, or did not tell the role */
    int asked;   /* answers are to come, and then nothing is due until the next question */
    int code;    /* why we cut it, 0: we did not */
    cl_redis_error_text words;
};

/* Sends the handshake. 0 or an error. */
int cl_session_handshake(cl_session *session);
/* Asks whether Redis is alive, and what time it is. */
void cl_session_ping(cl_session *session);
/* Asks whether it is still the primary. */
void cl_session_ask_role(cl_session *session);
/* All of the handshake is answered. */
void cl_session_became_ready(cl_session *session);

#endif
