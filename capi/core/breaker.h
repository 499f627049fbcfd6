/* What is known of a server and one method beyond that it is there: that it fails, or said that it is busy. */
#ifndef CL_BREAKER_H
#define CL_BREAKER_H

#include "base/list.h"
#include "core/core.h"

enum { CL_BREAKER_SECONDS = 10 };

enum cl_breaker_state {
    CL_BREAKER_CLOSED,
    CL_BREAKER_OPEN,   /* it is not asked until `until` */
    CL_BREAKER_PROBING /* one call at a time is sent to it; `until`: longest wait for the one that is under way */
};

/* A server and a method, once an attempt failed or was refused as busy. */
typedef struct cl_breaker {
    cl_list_node of_peer, of_method;
    const struct cl_method *method;
    int64_t busy_until;
    int64_t until;
    int64_t since; /* the state: what was sent before says nothing of it */
    int64_t failed_at;
    int64_t second; /* the latest of the window */
    uint16_t attempts[CL_BREAKER_SECONDS], failures[CL_BREAKER_SECONDS];
    uint8_t state; /* enum cl_breaker_state */
    uint8_t step;  /* each opening is twice as long as the one before */
    uint8_t row;   /* failures in a row; not closed: good ones in a row */
} cl_breaker;

struct cl_call;
struct cl_method;
struct cl_peer;

/* How an attempt at call->peer ended, as far as it says something of the server: good; it failed; it is busy for so
 * many milliseconds. cl_breaker_sent: one was sent there, which may be the probe. The first and the last for peers that
 * have a breaker. */
void cl_breaker_good(const struct cl_call *call);
void cl_breaker_failed(const struct cl_call *call, int64_t now);
void cl_breaker_busy(const struct cl_call *call, uint64_t ms, int64_t now);
void cl_breaker_sent(const struct cl_call *call, int64_t now);

/* Is another server to be asked, if there is one? `counts` 0: that it fails is left out of account. */
int cl_breaker_is_out(const struct cl_peer *peer, const struct cl_method *m, int counts, int64_t now);
/* The one of a server and a method, or NULL. */
cl_breaker *cl_breaker_find(const struct cl_peer *peer, const struct cl_method *m);
/* The server was announced: it is tried at once. */
void cl_breaker_announced(const struct cl_peer *peer, const struct cl_method *m, int64_t now);
/* Frees all in a list of a peer (`of_peer`) or of a method. */
void cl_breaker_free_of_peer(cl_list_node *breakers);
void cl_breaker_free_of_method(cl_list_node *breakers);

#endif
