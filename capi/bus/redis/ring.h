/* The commands that were sent and not yet answered, in order: Redis answers in the order of asking. */
#ifndef CL_REDIS_RING_H
#define CL_REDIS_RING_H

#include <stddef.h>
#include <stdint.h>

typedef struct cl_pending {
    uint64_t ref; /* token or pointer, as the kind says */
    uint64_t end; /* where the command ends in the connection's stream of output */
    int kind;
} cl_pending;

typedef struct cl_ring {
    cl_pending *items;
    size_t cap; /* a power of two, or 0 */
    size_t head, len;
} cl_ring;

/* Makes room for one more. 0, CLOUDS_ENOMEM, or CLOUDS_ELIMIT when there are too many already. */
int cl_ring_reserve(cl_ring *ring);
/* Expects that the room is there. */
static inline void cl_ring_push(cl_ring *ring, cl_pending pending)
{
    ring->items[(ring->head + ring->len++) & (ring->cap - 1)] = pending;
}
/* Expects that it is not empty. */
static inline cl_pending cl_ring_pop(cl_ring *ring)
{
    cl_pending pending = ring->items[ring->head];
    ring->head = (ring->head + 1) & (ring->cap - 1);
    ring->len--;
    return pending;
}
void cl_ring_free(cl_ring *ring);

#endif
