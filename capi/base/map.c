#include "map.h"

#include "clouds.h"
#include "mem.h"
#include "rand.h"

/* Linear probing at a load of at most 3/4; removal closes the gap by moving entries back, so there are no tombstones.
 */

static size_t grown(size_t cap)
{
    return cap ? cap * 2 : 16;
}

static int is_full(size_t len, size_t cap)
{
    return (len + 1) * 4 > cap * 3;
}

static int id_grow(cl_idmap *m)
{
    cl_idmap bigger = {.cap = grown(m->cap), .len = m->len};
    bigger.slots = cl_calloc(bigger.cap, sizeof *bigger.slots);
    if (!bigger.slots) return CLOUDS_ENOMEM;
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].key) bigger.slots[cl_idmap_find(&bigger, m->slots[i].key)] = m->slots[i];
    cl_free(m->slots);
    *m = bigger;
    return 0;
}

int cl_idmap_put(cl_idmap *m, uint64_t key, void *value)
{
    if (is_full(m->len, m->cap) && id_grow(m) != 0) return CLOUDS_ENOMEM;
    size_t i = cl_idmap_find(m, key);
    if (!m->slots[i].key) m->len++;
    m->slots[i].key = key;
    m->slots[i].value = value;
    return 0;
}

void *cl_idmap_take(cl_idmap *m, uint64_t key)
{
    if (!m->len || !key) return NULL;
    size_t mask = m->cap - 1, gap = cl_idmap_find(m, key);
    if (!m->slots[gap].key) return NULL;
    void *value = m->slots[gap].value;
    for (size_t i = (gap + 1) & mask; m->slots[i].key; i = (i + 1) & mask) {
        size_t home = cl_idmap_hash(m->slots[i].key) & mask;
        if (((i - home) & mask) < ((i - gap) & mask)) continue; /* its home lies behind the gap */
        m->slots[gap] = m->slots[i];
        gap = i;
    }
    m->slots[gap].key = 0;
    m->slots[gap].value = NULL;
    m->len--;
    return value;
}

void cl_idmap_free(cl_idmap *m)
{
    cl_free(m->slots);
    *m = (cl_idmap){0};
}

void *cl_idmap_next(const cl_idmap *m, size_t *at)
{
    while (*at < m->cap) {
        struct cl_idmap_slot *slot = &m->slots[(*at)++];
        if (slot->key) return slot->value;
    }
    return NULL;
}

static size_t str_find(const cl_strmap *m, cl_str key, uint64_t hash)
{
    size_t i = hash & (m->cap - 1);
    while (m->slots[i].value && !(m->slots[i].hash == hash && cl_str_eq(m->slots[i].key, key)))
        i = (i + 1) & (m->cap - 1);
    return i;
}

static int str_grow(cl_strmap *m)
{
    cl_strmap bigger = {.cap = grown(m->cap), .len = m->len};
    bigger.slots = cl_calloc(bigger.cap, sizeof *bigger.slots);
    if (!bigger.slots) return CLOUDS_ENOMEM;
    for (size_t i = 0; i < m->cap; i++) {
        struct cl_strmap_slot *slot = &m->slots[i];
        if (slot->value) bigger.slots[str_find(&bigger, slot->key, slot->hash)] = *slot;
    }
    cl_free(m->slots);
    *m = bigger;
    return 0;
}

void *cl_strmap_get(const cl_strmap *m, cl_str key)
{
    return m->len ? m->slots[str_find(m, key, cl_hash(key))].value : NULL;
}

int cl_strmap_put(cl_strmap *m, cl_str key, void *value)
{
    if (is_full(m->len, m->cap) && str_grow(m) != 0) return CLOUDS_ENOMEM;
    uint64_t hash = cl_hash(key);
    struct cl_strmap_slot *slot = &m->slots[str_find(m, key, hash)];
    if (!slot->value) m->len++;
    *slot = (struct cl_strmap_slot){key, hash, value};
    return 0;
}

void *cl_strmap_take(cl_strmap *m, cl_str key)
{
    if (!m->len) return NULL;
    size_t mask = m->cap - 1, gap = str_find(m, key, cl_hash(key));
    void *value = m->slots[gap].value;
    if (!value) return NULL;
    for (size_t i = (gap + 1) & mask; m->slots[i].value; i = (i + 1) & mask) {
        size_t home = m->slots[i].hash & mask;
        if (((i - home) & mask) < ((i - gap) & mask)) continue;
        m->slots[gap] = m->slots[i];
        gap = i;
    }
    m->slots[gap] = (struct cl_strmap_slot){0};
    m->len--;
    return value;
}

void cl_strmap_free(cl_strmap *m)
{
    cl_free(m->slots);
    *m = (cl_strmap){0};
}

void *cl_strmap_next(const cl_strmap *m, size_t *at)
{
    while (*at < m->cap) {
        struct cl_strmap_slot *slot = &m->slots[(*at)++];
        if (slot->value) return slot->value;
    }
    return NULL;
}
