/* The commands that were sent and not yet answered, in order: Redis answers in the order of asking. */
#ifndef CL_REDIS_PENDING_H
#define CL_REDIS_PENDING_H

#include <stddef.h>
#include <stdint.h>

typedef struct cl_pending {
    uint64_t ref; /* token or pointer, as the kind says */
    uint64_t end; /* where the command ends in the connection's stream of output */
    int kind;
} cl_pending;

typedef struct cl_pending_queue {
    cl_pending *items;
    size_t cap; /* a power of two, or 0 */
    size_t head, len;
} cl_pending_queue;

/* Makes room for one more. 0, CLOUDS_ENOMEM, or CLOUDS_ELIMIT when there are too many already. */
int cl_pending_reserve(cl_pending_queue *queue);
/* Expects that the room is there. */
static inline void cl_pending_push(cl_pending_queue *queue, cl_pending pending)
{
    queue->items[(queue->head + queue->len++) & (queue->cap - 1)] = pending;
}
/* Expects that it is not empty. */
static inline cl_pending cl_pending_pop(cl_pending_queue *queue)
{
    cl_pending pending = queue->items[queue->head];
    queue->head = (queue->head + 1) & (queue->cap - 1);
    queue->len--;
    return pending;
}
void cl_pending_free(cl_pending_queue *queue);

#endif
