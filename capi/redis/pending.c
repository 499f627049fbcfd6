#include "redis/pending.h"

#include <string.h>

#include "base/mem.h"
#include "clouds.h"

enum { FIRST = 64, MOST = 1 << 21 };

static int grow(cl_pending_queue *queue)
{
    if (queue->cap >= MOST) return CLOUDS_ELIMIT;
    size_t cap = queue->cap ? queue->cap * 2 : FIRST;
    cl_pending *items = cl_malloc(cap * sizeof *items);
    if (!items) return CLOUDS_ENOMEM;
    for (size_t i = 0; i < queue->len; i++) items[i] = queue->items[(queue->head + i) & (queue->cap - 1)];
    cl_free(queue->items);
    queue->items = items;
    queue->cap = cap;
    queue->head = 0;
    return 0;
}

int cl_pending_reserve(cl_pending_queue *queue)
{
    return queue->len < queue->cap ? 0 : grow(queue);
}

void cl_pending_free(cl_pending_queue *queue)
{
    cl_free(queue->items);
    memset(queue, 0, sizeof *queue);
}
