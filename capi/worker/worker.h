/* The place of this process below a master, which it has once at most: its end of the channel, and its board
 * (clouds_worker.h). */
#ifndef CL_WORKER_H
#define CL_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct cl_worker_message {
    char type;
    const char *body; /* ends with NUL; until the next */
    size_t size;
} cl_worker_message;

/* Takes the place that the environment tells of, and takes that out of the environment: the descriptor of the channel,
 * or CLOUDS_ENOTSUP, CLOUDS_EEXIST. */
int cl_worker_open(void);

/* 1 and the next message; 0: none came within so many milliseconds (< 0: for ever); or CLOUDS_ECLOSED (the master is
 * gone), CLOUDS_ETHREAD, CLOUDS_ENOTSUP, CLOUDS_EFORK. Descriptors that come along are closed. */
int cl_worker_receive(cl_worker_message *out, int milliseconds);

/* Never waits: 0, CLOUDS_ECLOSED, CLOUDS_ELIMIT (the master does not read), CLOUDS_ETOOBIG, CLOUDS_ENOTSUP,
 * CLOUDS_EFORK. Any thread. */
int cl_worker_send(char type, const void *body, size_t size);

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
