/* Hash maps: from ids and from text to pointers. Open addressing; all zero is a valid empty map. Values are never NULL.
 */
#ifndef CL_MAP_H
#define CL_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "str.h"

/* Keys are non-zero 64-bit ids. */
typedef struct cl_idmap {
    struct cl_idmap_slot {
        uint64_t key; /* 0: free */
        void *value;
    } * slots;
    size_t cap, len;
} cl_idmap;

/* Ids that follow each other, two apart, share a line of the cache; where each line of them is, is as good as random:
 * a long row of them in one place would be in the way of all that come later. The first of a line stands last in it:
 * most ids go in the order in which they came, and so nothing behind one that goes has to be looked at. */
static inline uint64_t cl_idmap_hash(uint64_t key)
{
    uint64_t line = (key >> 3) * 0x9E3779B97F4A7C15u;
    return (line ^ line >> 32) << 2 | (~key >> 1 & 3);
}

/* Where a key is, or would be; the map must have slots. */
static inline size_t cl_idmap_find(const cl_idmap *m, uint64_t key)
{
    size_t i = cl_idmap_hash(key) & (m->cap - 1);
    while (m->slots[i].key && m->slots[i].key != key) i = (i + 1) & (m->cap - 1);
    return i;
}

/* A place that will be looked at soon; in a large table it is seldom in the cache. */
static inline void cl_idmap_expect(const cl_idmap *m, uint64_t key)
{
    if (m->cap) __builtin_prefetch(&m->slots[cl_idmap_hash(key) & (m->cap - 1)], 1);
}

static inline void *cl_idmap_get(const cl_idmap *m, uint64_t key)
{
    return m->len && key ? m->slots[cl_idmap_find(m, key)].value : NULL;
}

int cl_idmap_put(cl_idmap *m, uint64_t key, void *value); /* 0 or CLOUDS_ENOMEM; replaces */
void *cl_idmap_take(cl_idmap *m, uint64_t key);           /* removes and returns, or NULL */
void cl_idmap_free(cl_idmap *m);
/* Walks: start with *at = 0; NULL at the end. Nothing may be added or taken meanwhile. */
void *cl_idmap_next(const cl_idmap *m, size_t *at);

/* Keys are text, borrowed: they must live as long as the entry, best inside the value. Hashed with a secret of the
 * process. */
typedef struct cl_strmap {
    struct cl_strmap_slot {
        cl_str key;
        uint64_t hash;
        void *value; /* NULL: free */
    } * slots;
    size_t cap, len;
} cl_strmap;

void *cl_strmap_get(const cl_strmap *m, cl_str key);
int cl_strmap_put(cl_strmap *m, cl_str key, void *value); /* 0 or CLOUDS_ENOMEM; replaces value and key */
void *cl_strmap_take(cl_strmap *m, cl_str key);
void cl_strmap_free(cl_strmap *m);
void *cl_strmap_next(const cl_strmap *m, size_t *at);

#endif
