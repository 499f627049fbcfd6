#include "bus/redis/ring.h"

#include <string.h>

#include "base/mem.h"
#include "clouds.h"

enum { FIRST = 64, MOST = 1 << 21 };

static int grow(cl_ring *ring)
{
    if (ring->cap >= MOST) return CLOUDS_ELIMIT;
    size_t cap = ring->cap ? ring->cap * 2 : FIRST;
    cl_pending *items = cl_malloc(cap * sizeof *items);
    if (!items) return CLOUDS_ENOMEM;
    for (size_t i = 0; i < ring->len; i++) items[i] = ring->items[(ring->head + i) & (ring->cap - 1)];
    cl_free(ring->items);
    ring->items = items;
    ring->cap = cap;
    ring->head = 0;
    return 0;
}

int cl_ring_reserve(cl_ring *ring)
{
    return ring->len < ring->cap ? 0 : grow(ring);
}

void cl_ring_free(cl_ring *ring)
{
    cl_free(ring->items);
    memset(ring, 0, sizeof *ring);
}
