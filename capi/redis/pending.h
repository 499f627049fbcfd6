/* The commands that were sent and not yet answered, in order: Redis answers in the order of asking. */
#ifndef CL_REDIS_PENDING_H
#define CL_REDIS_PENDING_H

#include <stddef.h>
#include <stdint.h>

#include "redis/resp.h"

struct cl_pending;

/* What becomes of a command: exactly one of the two is called. `self` is that of the session's hooks; for the
 * session's own commands it is the session. */
typedef struct cl_redis_handler {
    const char *verb; /* for messages; NULL: `ref` points to it */
    void (*on_reply)(void *self, const struct cl_pending *pending, const cl_reply *reply);
    /* No reply will come; sent: all bytes of the command went to the kernel. May be NULL. */
    void (*on_lost)(void *self, const struct cl_pending *pending, int sent);
    int is_internal; /* a command of the session itself */
} cl_redis_handler;

typedef struct cl_pending {
    const cl_redis_handler *handler;
    uint64_t ref; /* for the handler */
    uint64_t end; /* where the command ends in the connection's stream of output */
} cl_pending;

static inline uint64_t cl_redis_ref(const void *p)
{
    return (uint64_t)(uintptr_t)p;
}

static inline void *cl_redis_from_ref(const cl_pending *pending)
{
    return (void *)(uintptr_t)pending->ref;
}

static inline const char *cl_redis_verb(const cl_pending *pending)
{
    return pending->handler->verb ? pending->handler->verb : cl_redis_from_ref(pending);
}

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
