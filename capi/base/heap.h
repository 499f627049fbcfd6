/* Timers: an intrusive 4-ary min-heap of points in time. Adding in rising order and removing from anywhere are cheap.
 */
#ifndef CL_HEAP_H
#define CL_HEAP_H

#include <stddef.h>
#include <stdint.h>

typedef struct cl_timer {
    int64_t when; /* milliseconds of the clock of whoever owns the heap */
    size_t index; /* place in the heap + 1; 0: not in it */
} cl_timer;

typedef struct cl_heap {
    cl_timer **items;
    size_t len, cap;
} cl_heap;

/* Adds, or moves if it is in already. 0 or CLOUDS_ENOMEM (only when adding). */
int cl_heap_set(cl_heap *h, cl_timer *t, int64_t when);
/* Makes room for `more` timers, so that the next cl_heap_set cannot fail. */
int cl_heap_reserve(cl_heap *h, size_t more);
/* Takes it out; does nothing when it is not in. */
void cl_heap_remove(cl_heap *h, cl_timer *t);
/* The earliest, or NULL. */
static inline cl_timer *cl_heap_first(const cl_heap *h)
{
    return h->len ? h->items[0] : NULL;
}
void cl_heap_free(cl_heap *h);

#endif
