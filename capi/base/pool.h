/* Blocks of one size that come and go all the time: some that were given back are kept for the next. All zero is a
 * valid empty pool. */
#ifndef CL_POOL_H
#define CL_POOL_H

#include "mem.h"

enum { CL_POOL_MAX = 1024 }; /* blocks kept */

typedef struct cl_pool {
    struct cl_pool_block {
        struct cl_pool_block *next;
    } * first;
    unsigned n;
} cl_pool;

/* A block of `size` bytes, always the same for one pool; what is in it is not known. NULL: no memory. */
static inline void *cl_pool_take(cl_pool *pool, size_t size)
{
    struct cl_pool_block *block = pool->first;
    if (!block) return cl_malloc(size);
    pool->first = block->next;
    pool->n--;
    return block;
}

static inline void cl_pool_give(cl_pool *pool, void *memory)
{
    struct cl_pool_block *block = memory;
    if (pool->n >= CL_POOL_MAX) {
        cl_free(memory);
        return;
    }
    block->next = pool->first;
    pool->first = block;
    pool->n++;
}

static inline void cl_pool_free(cl_pool *pool)
{
    while (pool->first) cl_free(cl_pool_take(pool, 0));
}

#endif
