#include "base/heap.h"

#include "base/mem.h"
#include "base/rand.h"
#include "clouds.h"
#include "support/tap.h"

enum { TIMERS = 300, STEPS = 60000 };

static cl_timer timers[TIMERS];
static int inside[TIMERS];

static int64_t least(void)
{
    int64_t best = INT64_MAX;
    for (int i = 0; i < TIMERS; i++)
        if (inside[i] && timers[i].when < best) best = timers[i].when;
    return best;
}

static size_t count(void)
{
    size_t n = 0;
    for (int i = 0; i < TIMERS; i++) n += (size_t)inside[i];
    return n;
}

/* Every parent is not later than its children, and each timer knows its place. */
static int is_sound(const cl_heap *h)
{
    for (size_t i = 0; i < h->len; i++) {
        if (h->items[i]->index != i + 1) return 0;
        if (i > 0 && h->items[(i - 1) / 4]->when > h->items[i]->when) return 0;
    }
    return 1;
}

static void step(cl_heap *h, uint64_t *seed)
{
    int i = (int)(cl_rand_next(seed) % TIMERS);
    if (cl_rand_next(seed) % 3 == 0) {
        cl_heap_remove(h, &timers[i]);
        inside[i] = 0;
    } else {
        CHECK(cl_heap_set(h, &timers[i], (int64_t)(cl_rand_next(seed) % 1000) - 500) == 0);
        inside[i] = 1;
    }
}

static void random_orders_agree_with_a_list(void)
{
    cl_heap h = {0};
    uint64_t seed = 42;
    for (int n = 0; n < STEPS; n++) {
        step(&h, &seed);
        REQUIRE(h.len == count());
        cl_timer *first = cl_heap_first(&h);
        REQUIRE(h.len == 0 ? first == NULL : first->when == least());
        if (n % 100 == 0) REQUIRE(is_sound(&h));
    }
    cl_heap_free(&h);
}

static void drains_in_order(void)
{
    static cl_timer many[5000];
    cl_heap h = {0};
    uint64_t seed = 7;
    for (int i = 0; i < 5000; i++) REQUIRE(cl_heap_set(&h, &many[i], (int64_t)(cl_rand_next(&seed) % 100000)) == 0);
    int64_t last = INT64_MIN;
    int n = 0;
    for (cl_timer *t; (t = cl_heap_first(&h)) != NULL; n++) {
        CHECK(t->when >= last);
        last = t->when;
        cl_heap_remove(&h, t);
        CHECK_INT(t->index, 0);
    }
    CHECK_INT(n, 5000);
    cl_heap_free(&h);
}

static void removing_what_is_not_in_does_nothing(void)
{
    cl_heap h = {0};
    cl_timer a = {0}, b = {0};
    cl_heap_remove(&h, &a);
    REQUIRE(cl_heap_set(&h, &a, 1) == 0);
    cl_heap_remove(&h, &b);
    CHECK(cl_heap_first(&h) == &a);
    cl_heap_remove(&h, &a);
    cl_heap_remove(&h, &a);
    CHECK(cl_heap_first(&h) == NULL);
    cl_heap_free(&h);
}

static void *refuse(void *user_data, void *block, size_t size)
{
    if (size == 0) free(block);
    return NULL;
}

static void reserved_room_needs_no_memory(void)
{
    static cl_timer some[200];
    cl_heap h = {0};
    REQUIRE(cl_heap_reserve(&h, 200) == 0);
    cl_mem_hook(refuse, NULL);
    int failed = 0;
    for (int i = 0; i < 200; i++) failed += cl_heap_set(&h, &some[i], 200 - i) != 0;
    while (h.len < h.cap) h.items[h.len++] = &some[0]; /* full, whatever the reserve rounded up to */
    cl_timer more = {0};
    CHECK_INT(cl_heap_set(&h, &more, 1), CLOUDS_ENOMEM);
    cl_mem_hook(NULL, NULL);
    CHECK_INT(failed, 0);
    CHECK_INT(more.index, 0);
    cl_heap_free(&h);
}

int main(void)
{
    RUN(random_orders_agree_with_a_list);
    RUN(drains_in_order);
    RUN(removing_what_is_not_in_does_nothing);
    RUN(reserved_room_needs_no_memory);
    return tap_end();
}
