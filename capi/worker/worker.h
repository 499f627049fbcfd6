/* The place of this process below a master, which it has once at most: its end of the channel, and its board
 * (clouds_worker.h). */
#ifndef CL_WORKER_H
#define CL_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The type of what is no message of the master: a connection that was accepted here. */
enum { CL_WORKER_ACCEPTED = 1 };

typedef struct cl_worker_message {
    char type;
    const char *body; /* ends with NUL; until the next */
    size_t size;
    int fd; /* came along, and is the receiver's; -1: none */
} cl_worker_message;

/* Takes the place that the environment tells of, and takes that out of the environment: the descriptor that is readable
 * when there is something to receive, or CLOUDS_ENOTSUP, CLOUDS_EEXIST, CLOUDS_ESYSTEM. */
int cl_worker_open(void);

/* 1 and the next message; 0: none came within so many milliseconds (< 0: for ever); or CLOUDS_ECLOSED (the master is
 * gone), CLOUDS_ETHREAD, CLOUDS_ENOTSUP, CLOUDS_EFORK. */
int cl_worker_receive(cl_worker_message *out, int milliseconds);

/* Never waits: 0, CLOUDS_ECLOSED, CLOUDS_ELIMIT (the master does not read), CLOUDS_ETOOBIG, CLOUDS_ENOTSUP,
 * CLOUDS_EFORK. Any thread. */
int cl_worker_send(char type, const void *body, size_t size);

/* ---- connections.c: what the master gives, or lets this process accept */

/* Says which of clouds.h's CLOUDS_WORKER_TAKE_ is for the program, once: 0, or CLOUDS_EINVAL, CLOUDS_EEXIST,
 * CLOUDS_ENOTSUP, CLOUDS_ESYSTEM, CLOUDS_EFORK. */
int cl_worker_take(uint32_t what);
/* 0; or CLOUDS_EINVAL: connections will come, and nobody takes them. */
int cl_worker_check_taker(void);
/* What comes from now on is for other workers. */
void cl_worker_take_no_more(void);

/* A connection, or a listener, for the program, whose number is `listener`. */
typedef struct cl_worker_arrival {
    bool is_listener, is_back;
    unsigned listener;
    int fd;    /* of a listener -1: it is one no more */
    int watch; /* of one that is accepted from by cl_worker_accept_for_program; else -1 */
} cl_worker_arrival;

/* Sees to a message about connections, and takes its descriptor: whether there is something for the program. */
bool cl_worker_arrive(const cl_worker_message *message, cl_worker_arrival *out);

/* Whether there was one, of the listener with this number: 1, 0; or CLOUDS_ENOTSUP, CLOUDS_EFORK. Any thread. */
int cl_worker_accept_for_program(unsigned number, int *fd);

/* A connection that was taken, of the listener with this number, is for another worker; fd stays the caller's: 0, or as
 * cl_worker_send. */
int cl_worker_give_back(unsigned number, int fd);

/* Changes a number of the board, one of clouds.h's CLOUDS_COUNT_: 0, or CLOUDS_EINVAL, CLOUDS_ENOTSUP, CLOUDS_EFORK. */
int cl_worker_count(uint32_t what, int64_t change);

/* ---- requests that are calls */

/* What one part of the process has on the board. */
typedef struct cl_worker_share {
    uint64_t requests, in_flight;
} cl_worker_share;

extern atomic_bool cl_worker_opened;

static inline bool cl_worker_is_open(void)
{
    return atomic_load_explicit(&cl_worker_opened, memory_order_relaxed);
}

/* So many requests were begun in all, and are open now; `told` is what was said of them before. Where there is no
 * master nothing happens. */
void cl_worker_publish(cl_worker_share *told, uint64_t requests, uint64_t in_flight);

#endif
