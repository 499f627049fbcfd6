/* Design note. A slot is a state word and the object. The word holds the generation, the kind (0: free), a "revoked"
 * bit and the number of threads inside; entering and leaving are one atomic step on it. Slots live in chunks that are
 * mapped when needed and never given back: a stale handle may be looked up at any later time, so their memory may never
 * become anything else - which is also why it does not come from the allocator that the user can replace. A slot whose
 * generation is used up stays out of use. Opening, revoking and retiring are rare and share a lock.
 *
 * What one thread at a time enters has a claim word besides, the generation and kind with the thread that is inside,
 * and the objects that belong to it name its handle: so one locked step, on that word, both enters and keeps others
 * out. Leaving is a plain store. A claim is looked at after the revoked bit was set, and that bit after the claim was
 * made: one of the two sees the other. Who leaves may miss the bit, so who waits for it looks again now and then.
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
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(void *) == 8, "handles need 64-bit pointers");

enum { CHUNK_SLOTS = 4096, CHUNKS = 256, KIND_BITS = 3, INDEX_BITS = 20 };
enum { LOOK_AGAIN_NS = 5000000 };
#define INDEX_MASK ((UINT64_C(1) << INDEX_BITS) - 1)
#define KIND_MASK ((UINT64_C(1) << KIND_BITS) - 1)
#define GENERATIONS (UINT64_C(1) << 24)

/* The state word: generation << 36 | kind << 33 | revoked << 32 | threads inside. */
#define REVOKED (UINT64_C(1) << 32)
#define INSIDE_MASK UINT64_C(0xffffffff)
#define TAG_SHIFT 33
/* The claim word: generation and kind << 32 | the thread inside, 0: none. All zero: the slot is pinned. */
#define CLAIM_SHIFT 32

typedef struct slot {
    _Atomic uint64_t state;
    _Atomic uint64_t claim;
    _Atomic(uintptr_t) within; /* the handle of what is claimed instead; 0: the slot itself */
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

static void *open_slot(enum cl_handle_kind kind, void *object, int exclusive, const void *within)
{
    pthread_mutex_lock(&table_lock);
    int64_t index = take_slot();
    if (index < 0) {
        pthread_mutex_unlock(&table_lock);
        return NULL;
    }
    slot *s = slot_at((uint64_t)index);
    uint64_t generation = atomic_load_explicit(&s->state, memory_order_relaxed) >> (TAG_SHIFT + KIND_BITS);
    uint64_t tag = tag_of(generation, (uint64_t)kind);
    s->object = object;
    atomic_store_explicit(&s->within, (uintptr_t)within, memory_order_relaxed);
    atomic_store_explicit(&s->claim, exclusive && !within ? tag << CLAIM_SHIFT : 0, memory_order_relaxed);
    atomic_store_explicit(&s->state, tag << TAG_SHIFT, memory_order_release);
    pthread_mutex_unlock(&table_lock);
    uint64_t bits = generation << (KIND_BITS + INDEX_BITS) | (uint64_t)index << KIND_BITS | (uint64_t)kind;
    return (void *)(uintptr_t)bits; /* NOLINT: a handle is not an address */
}

void *cl_handle_open(enum cl_handle_kind kind, void *object)
{
    return open_slot(kind, object, 0, NULL);
}

void *cl_handle_open_exclusive(enum cl_handle_kind kind, void *object, const void *within)
{
    return open_slot(kind, object, 1, within);
}

static int is_live(uint64_t state, uint64_t tag)
{
    return state >> TAG_SHIFT == tag && !(state & REVOKED);
}

static inline void *pin(slot *s, uint64_t tag)
{
    uint64_t state = atomic_load_explicit(&s->state, memory_order_acquire);
    do {
        if (!is_live(state, tag)) return NULL;
    } while (!atomic_compare_exchange_weak_explicit(&s->state, &state, state + 1, memory_order_acq_rel,
                                                    memory_order_acquire));
    return s->object;
}

void *cl_handle_enter(const void *handle, enum cl_handle_kind kind)
{
    uint64_t tag;
    slot *s = slot_of(handle, kind, &tag);
    return s ? pin(s, tag) : NULL;
}

/* The half of a word that says who is inside. The kernel waits on it, and not a condition, since who leaves may be a
 * signal's handler. */
static void *inside_half(_Atomic uint64_t *word)
{
    return (char *)(void *)word + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0);
}

static void wake_all(_Atomic uint64_t *word)
{
    syscall(SYS_futex, inside_half(word), FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* Until nobody is inside by this word. */
static void wait_until_left(_Atomic uint64_t *word, const struct timespec *at_most)
{
    uint32_t inside;
    while ((inside = (uint32_t)(atomic_load(word) & INSIDE_MASK)) != 0)
        syscall(SYS_futex, inside_half(word), FUTEX_WAIT_PRIVATE, inside, at_most, NULL, 0);
}

void cl_handle_leave(const void *handle)
{
    uint64_t before = atomic_fetch_sub_explicit(&named_slot(handle)->state, 1, memory_order_acq_rel);
    if ((before & REVOKED) && (before & INSIDE_MASK) == 1) wake_all(&named_slot(handle)->state);
}

/* ---- claims */

/* A number for each thread, by where something of its own lies; not 0. */
static uint32_t this_thread(void)
{
    static _Thread_local char own;
    return (uint32_t)((uintptr_t)&own >> 3) | 1;
}

static void unclaim(slot *s, uint64_t tag)
{
    atomic_store_explicit(&s->claim, tag << CLAIM_SHIFT, memory_order_release);
    if (atomic_load_explicit(&s->state, memory_order_relaxed) & REVOKED) wake_all(&s->claim);
}

static inline enum cl_handle_entry claim(slot *s, uint64_t tag)
{
    uint64_t found = tag << CLAIM_SHIFT, mine = found | this_thread();
    if (!atomic_compare_exchange_strong(&s->claim, &found, mine))
        return found == mine ? CL_HANDLE_MINE : found >> CLAIM_SHIFT == tag ? CL_HANDLE_TAKEN : CL_HANDLE_NOT_LIVE;
    if (is_live(atomic_load(&s->state), tag)) return CL_HANDLE_CLAIMED;
    unclaim(s, tag);
    return CL_HANDLE_NOT_LIVE;
}

/* What belongs to something is looked at once more when that is claimed: from then on it stays. */
static inline enum cl_handle_entry claim_outer(slot *s, uint64_t tag, const void *within)
{
    uint64_t outer_tag;
    slot *outer = slot_of(within, CL_HANDLE_CONTEXT, &outer_tag);
    enum cl_handle_entry entry = outer ? claim(outer, outer_tag) : CL_HANDLE_NOT_LIVE;
    if (entry != CL_HANDLE_CLAIMED || is_live(atomic_load_explicit(&s->state, memory_order_acquire), tag)) return entry;
    unclaim(outer, outer_tag);
    return CL_HANDLE_NOT_LIVE;
}

enum cl_handle_entry cl_handle_enter_any(const void *handle, enum cl_handle_kind kind, void **object)
{
    uint64_t tag;
    slot *s = slot_of(handle, kind, &tag);
    if (!s || !is_live(atomic_load_explicit(&s->state, memory_order_acquire), tag)) return CL_HANDLE_NOT_LIVE;
    uintptr_t within = atomic_load_explicit(&s->within, memory_order_relaxed);
    enum cl_handle_entry entry;
    if (within) entry = claim_outer(s, tag, (const void *)within); /* NOLINT: a handle is not an address */
    else if (atomic_load_explicit(&s->claim, memory_order_relaxed)) entry = claim(s, tag);
    else return (*object = pin(s, tag)) ? CL_HANDLE_PINNED : CL_HANDLE_NOT_LIVE;
    if (entry == CL_HANDLE_CLAIMED) *object = s->object;
    return entry;
}

void cl_handle_unclaim(const void *handle)
{
    slot *s = named_slot(handle);
    unclaim(s, atomic_load_explicit(&s->claim, memory_order_relaxed) >> CLAIM_SHIFT);
}

/* ---- the end */

int cl_handle_revoke(const void *handle, enum cl_handle_kind kind, void **object)
{
    uint64_t tag;
    slot *s = slot_of(handle, kind, &tag);
    if (!s) return 0;
    uint64_t state = atomic_load_explicit(&s->state, memory_order_acquire);
    do {
        if (!is_live(state, tag)) return 0;
    } while (!atomic_compare_exchange_weak(&s->state, &state, state | REVOKED));
    *object = s->object;
    return 1;
}

void cl_handle_retire(const void *handle)
{
    const struct timespec now_and_then = {.tv_nsec = LOOK_AGAIN_NS};
    slot *s = named_slot(handle);
    uint64_t index = (uint64_t)(uintptr_t)handle >> KIND_BITS & INDEX_MASK;
    wait_until_left(&s->state, NULL);
    wait_until_left(&s->claim, &now_and_then);
    pthread_mutex_lock(&table_lock);
    uint64_t generation = (atomic_load_explicit(&s->state, memory_order_relaxed) >> (TAG_SHIFT + KIND_BITS)) + 1;
    s->object = NULL;
    atomic_store_explicit(&s->claim, 0, memory_order_relaxed);
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
