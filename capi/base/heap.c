#include "heap.h"

#include "clouds.h"
#include "mem.h"

enum { ARITY = 4 };

static void place(cl_heap *h, cl_timer *t, size_t at)
{
    h->items[at] = t;
    t->index = at + 1;
}

static void sift_up(cl_heap *h, cl_timer *t, size_t at)
{
    while (at > 0) {
        size_t parent = (at - 1) / ARITY;
        if (h->items[parent]->when <= t->when) break;
        place(h, h->items[parent], at);
        at = parent;
    }
    place(h, t, at);
}

static size_t least_child(const cl_heap *h, size_t at)
{
    size_t first = at * ARITY + 1, best = first;
    for (size_t i = first + 1; i < first + ARITY && i < h->len; i++)
        if (h->items[i]->when < h->items[best]->when) best = i;
    return best;
}

static void sift_down(cl_heap *h, cl_timer *t, size_t at)
{
    for (;;) {
        size_t child = least_child(h, at);
        if (child >= h->len || h->items[child]->when >= t->when) break;
        place(h, h->items[child], at);
        at = child;
    }
    place(h, t, at);
}

int cl_heap_reserve(cl_heap *h, size_t more)
{
    if (h->cap - h->len >= more) return 0;
    size_t cap = h->cap ? h->cap : 32;
    while (cap - h->len < more) cap *= 2;
    cl_timer **items = cl_realloc(h->items, cap * sizeof *items);
    if (!items) return CLOUDS_ENOMEM;
    h->items = items;
    h->cap = cap;
    return 0;
}

int cl_heap_set(cl_heap *h, cl_timer *t, int64_t when)
{
    if (t->index == 0) {
        if (cl_heap_reserve(h, 1) != 0) return CLOUDS_ENOMEM;
        t->when = when;
        sift_up(h, t, h->len++);
        return 0;
    }
    int later = when > t->when;
    t->when = when;
    if (later) sift_down(h, t, t->index - 1);
    else sift_up(h, t, t->index - 1);
    return 0;
}

void cl_heap_remove(cl_heap *h, cl_timer *t)
{
    if (t->index == 0) return;
    size_t at = t->index - 1;
    t->index = 0;
    cl_timer *last = h->items[--h->len];
    if (last == t) return;
    if (last->when < t->when) sift_up(h, last, at);
    else sift_down(h, last, at);
}

void cl_heap_free(cl_heap *h)
{
    cl_free(h->items);
    *h = (cl_heap){0};
}
