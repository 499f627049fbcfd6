/* Design note. Rows are added seldom, under a lock of this process, and announced when they are whole; values are added
 * to without one, each by a single thread. What is read here is what this process has written, or what the master has:
 * it is believed. */
#include "worker/counts.h"

#include <pthread.h>
#include <stdalign.h>
#include <string.h>

#include "base/error.h"

enum { NAME_BYTES = 1024, VALUES = 65536 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(clouds_counts *) mine;

int cl_counts_use(void *memory, size_t size)
{
    clouds_counts *none = NULL, *counts = memory;
    if (!memory || (uintptr_t)memory % alignof(clouds_counts) || size < sizeof *counts)
        return cl_error(CLOUDS_EINVAL, "clouds_counts_use: expected memory for a clouds_counts and its rows");
    counts->version = CLOUDS_COUNTS_VERSION;
    counts->size = size;
    if (counts->used < sizeof *counts) counts->used = sizeof *counts;
    if (atomic_compare_exchange_strong(&mine, &none, counts)) return 0;
    return cl_error(CLOUDS_EEXIST, "this process counts in other memory already");
}

clouds_counts *cl_counts_mine(void)
{
    return atomic_load_explicit(&mine, memory_order_acquire);
}

static uint64_t *values_of(clouds_counts_row *row)
{
    return (uint64_t *)(void *)(row + 1);
}

static int is_free(const clouds_counts_row *row, uint32_t kind, cl_str name, uint32_t value_count)
{
    return !row->held && row->kind == kind && row->value_count == value_count && row->name_len == name.n &&
           memcmp((const uint64_t *)(const void *)(row + 1) + value_count, name.p, name.n) == 0;
}

static clouds_counts_row *find(clouds_counts *counts, uint32_t kind, cl_str name, uint32_t value_count)
{
    for (uint64_t at = sizeof *counts; at < counts->used;) {
        clouds_counts_row *row = (clouds_counts_row *)(void *)((char *)counts + at);
        if (is_free(row, kind, name, value_count)) return row;
        at += row->size;
    }
    return NULL;
}

static clouds_counts_row *append(clouds_counts *counts, uint32_t kind, cl_str name, uint32_t value_count)
{
    size_t size = sizeof(clouds_counts_row) + value_count * sizeof(uint64_t) + ((name.n + 7) & ~(size_t)7);
    if (size > counts->size - counts->used) return NULL;
    clouds_counts_row *row = (clouds_counts_row *)(void *)((char *)counts + counts->used);
    *row = (clouds_counts_row){
        .size = (uint32_t)size, .kind = (uint16_t)kind, .name_len = (uint16_t)name.n, .value_count = value_count};
    memcpy(values_of(row) + value_count, name.p, name.n);
    __atomic_store_n(&counts->used, counts->used + size, __ATOMIC_RELEASE);
    return row;
}

uint64_t *cl_counts_add(clouds_counts *counts, uint32_t kind, cl_str name, uint32_t value_count)
{
    if (!counts || name.n > NAME_BYTES || value_count > VALUES || kind > UINT16_MAX) return NULL;
    pthread_mutex_lock(&lock);
    clouds_counts_row *row = find(counts, kind, name, value_count);
    if (!row) row = append(counts, kind, name, value_count);
    if (row) row->held = 1;
    pthread_mutex_unlock(&lock);
    return row ? values_of(row) : NULL;
}

uint64_t *cl_counts_add_mine(uint32_t kind, cl_str name, uint32_t value_count)
{
    return cl_counts_add(cl_counts_mine(), kind, name, value_count);
}

void cl_counts_free(uint64_t *values)
{
    clouds_counts_row *row = (clouds_counts_row *)(void *)values - 1;
    pthread_mutex_lock(&lock);
    row->held = 0;
    pthread_mutex_unlock(&lock);
}
