/* Design note. A slot is a state word and the object. The word holds the generation, the kind (0: free), a "revoked"
 * bit and the number of threads inside; entering and leaving are one atomic step on it. Slots live in chunks that are
 * mapped when needed and never given back: a stale handle may be looked up at any later time, so their memory may never
 * become anything else - which is also why it does not come from the allocator that the user can replace. A slot whose
 * generation is used up stays out of use. Opening, revoking and retiring are rare and share a lock.
 *
 * A handle has 47 bits, generation (24) | index (20) | kind (3): it fits where a user-space pointer fits (LuaJIT's
 * light userdata, for one), is never NULL and, being small or odd, never an address that malloc returns. */
#include "api/handle.h"

#include <pthread.h>
#include <stdatomic.h>
#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

_Static_assert(sizeof(void *) == 8, "handles need 64-bit pointers");

enum { CHUNK_SLOTS = 4096, CHUNKS = 256, KIND_BITS = 3, INDEX_BITS = 20 };
#define INDEX_MASK ((UINT64_C(1) << INDEX_BITS) - 1)
#define KIND_MASK ((UINT64_C(1) << KIND_BITS) - 1)
#define GENERATIONS (UINT64_C(1) << 24)

/* The state word: generation << 36 | kind << 33 | revoked << 32 | threads inside. */
#define REVOKED (UINT64_C(1) << 32)
#define INSIDE_MASK UINT64_C(0xffffffff)
#define TAG_SHIFT 33

typedef struct slot {
    _Atomic uint64_t state;
    void *object;
} slot;

static _Atomic(slot *) chunks[CHUNKS];
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t slots_used; /* slots ever handed out */
static uint32_t free_head;  /* index + 1 of the first free slot; the next is in its `object` */

static uint64_t tag_of(uint64_t generation, uint64_t kind)
{
    return generation << KIND_BITS | kind;
}

static slot *slot_at(uint64_t index)
{
    slot *chunk = atomic_load_explicit(&chunks[index / CHUNK_SLOTS], memory_order_acquire);
    return chunk ? &chunk[index % CHUNK_SLOTS] : NULL;
}

/* The slot a handle names, and the tag its state must have; NULL when the library never gave it out. */
static slot *slot_of(const void *handle, enum cl_handle_kind kind, uint64_t *tag)
{
    uint64_t bits = (uint64_t)(uintptr_t)handle;
    if ((bits & KIND_MASK) != (uint64_t)kind || bits >> 47) return NULL;
    *tag = tag_of(bits >> (KIND_BITS + INDEX_BITS), (uint64_t)kind);
    return slot_at(bits >> KIND_BITS & INDEX_MASK);
}

static slot *named_slot(const void *handle)
{
    return slot_at((uint64_t)(uintptr_t)handle >> KIND_BITS & INDEX_MASK);
}

static int map_chunk(uint32_t number)
{
    if (number >= CHUNKS) return -1;
    void *memory = mmap(NULL, CHUNK_SLOTS * sizeof(slot), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return -1;
    atomic_store_explicit(&chunks[number], memory, memory_order_release);
    return 0;
}

/* Under the lock: a free slot's index, or -1. */
static int64_t take_slot(void)
{
    if (free_head) {
        uint32_t index = free_head - 1;
        free_head = (uint32_t)(uintptr_t)slot_at(index)->object;
        return index;
    }
    if (slots_used % CHUNK_SLOTS == 0 && !slot_at(slots_used < CHUNK_SLOTS * CHUNKS ? slots_used : 0) &&
        map_chunk(slots_used / CHUNK_SLOTS) != 0)
        return -1;
    return slots_used < CHUNK_SLOTS * CHUNKS ? (int64_t)slots_used++ : -1;
}

void *cl_handle_open(enum cl_handle_kind kind, void *object)
{
    pthread_mutex_lock(&table_lock);
    int64_t index = take_slot();
    if (index < 0) {
        pthread_mutex_unlock(&table_lock);
        return NULL;
    }
    slot *s = slot_at((uint64_t)index);
    uint64_t generation = atomic_load_explicit(&s->state, memory_order_relaxed) >> (TAG_SHIFT + KIND_BITS);
    s->object = object;
    atomic_store_explicit(&s->state, tag_of(generation, (uint64_t)kind) << TAG_SHIFT, memory_order_release);
    pthread_mutex_unlock(&table_lock);
    uint64_t bits = generation << (KIND_BITS + INDEX_BITS) | (uint64_t)index << KIND_BITS | (uint64_t)kind;
    return (void *)(uintptr_t)bits; /* NOLINT: a handle is not an address */
}

void *cl_handle_enter(const void *handle, enum cl_handle_kind kind)
{
    uint64_t tag;
    slot *s = slot_of(handle, kind, &tag);
    if (!s) return NULL;
    uint64_t state = atomic_load_explicit(&s->state, memory_order_acquire);
    do {
        if (state >> TAG_SHIFT != tag || state & REVOKED) return NULL;
    } while (!atomic_compare_exchange_weak_explicit(&s->state, &state, state + 1, memory_order_acq_rel,
                                                    memory_order_acquire));
    return s->object;
}

/* The half of the state that counts who is inside. The kernel waits on it, and not a condition, since who leaves may be
 * a signal's handler. */
static void *inside_word(slot *s)
{
    return (char *)(void *)&s->state + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0);
}

void cl_handle_leave(const void *handle)
{
    uint64_t before = atomic_fetch_sub_explicit(&named_slot(handle)->state, 1, memory_order_acq_rel);
    if (!(before & REVOKED) || (before & INSIDE_MASK) != 1) return;
    syscall(SYS_futex, inside_word(named_slot(handle)), FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

int cl_handle_revoke(const void *handle, enum cl_handle_kind kind, void **object)
{
    uint64_t tag;
    slot *s = slot_of(handle, kind, &tag);
    if (!s) return 0;
    uint64_t state = atomic_load_explicit(&s->state, memory_order_acquire);
    do {
        if (state >> TAG_SHIFT != tag || state & REVOKED) return 0;
    } while (!atomic_compare_exchange_weak_explicit(&s->state, &state, state | REVOKED, memory_order_acq_rel,
                                                    memory_order_acquire));
    *object = s->object;
    return 1;
}

void cl_handle_retire(const void *handle)
{
    slot *s = named_slot(handle);
    uint64_t index = (uint64_t)(uintptr_t)handle >> KIND_BITS & INDEX_MASK;
    uint32_t inside;
    while ((inside = (uint32_t)(atomic_load_explicit(&s->state, memory_order_acquire) & INSIDE_MASK)) != 0)
        syscall(SYS_futex, inside_word(s), FUTEX_WAIT_PRIVATE, inside, NULL, NULL, 0);
    pthread_mutex_lock(&table_lock);
    uint64_t generation = (atomic_load_explicit(&s->state, memory_order_relaxed) >> (TAG_SHIFT + KIND_BITS)) + 1;
    s->object = NULL;
    atomic_store_explicit(&s->state, (generation % GENERATIONS) << (TAG_SHIFT + KIND_BITS), memory_order_release);
    if (generation < GENERATIONS) {
        s->object = (void *)(uintptr_t)free_head; /* NOLINT: an index, not an address */
        free_head = (uint32_t)index + 1;
    }
    pthread_mutex_unlock(&table_lock);
}

void cl_handle_before_fork(void)
{
    pthread_mutex_lock(&table_lock);
}

void cl_handle_after_fork(void)
{
    pthread_mutex_unlock(&table_lock);
}

void cl_handle_in_child(void)
{
    pthread_mutex_unlock(&table_lock);
}
