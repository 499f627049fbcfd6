/* The handle table by itself. */
#include <pthread.h>
#include <stdatomic.h>

#include "api/handle.h"
#include "support/tap.h"

static int things[3];

static void life(void)
{
    void *object = NULL;
    void *h = cl_handle_open(CL_HANDLE_NODE, &things[0]);
    REQUIRE(h != NULL);
    CHECK(cl_handle_enter(h, CL_HANDLE_NODE) == &things[0]);
    cl_handle_leave(h);
    CHECK(cl_handle_enter(h, CL_HANDLE_CONTEXT) == NULL);
    CHECK_INT(cl_handle_revoke(h, CL_HANDLE_CONTEXT, &object), 0);
    CHECK_INT(cl_handle_revoke(h, CL_HANDLE_NODE, &object), 1);
    CHECK(object == &things[0]);
    CHECK(cl_handle_enter(h, CL_HANDLE_NODE) == NULL);
    CHECK_INT(cl_handle_revoke(h, CL_HANDLE_NODE, &object), 0);
    cl_handle_retire(h);
    CHECK(cl_handle_enter(h, CL_HANDLE_NODE) == NULL);
    void *next = cl_handle_open(CL_HANDLE_NODE, &things[1]);
    CHECK(next != h);
    CHECK(cl_handle_enter(h, CL_HANDLE_NODE) == NULL);
    CHECK_INT(cl_handle_revoke(next, CL_HANDLE_NODE, &object), 1);
    cl_handle_retire(next);
}

static void foreign(void)
{
    int local;
    uint64_t bits = 88172645463325252u;
    CHECK(cl_handle_enter(NULL, CL_HANDLE_NODE) == NULL);
    CHECK(cl_handle_enter(&local, CL_HANDLE_NODE) == NULL);
    CHECK(cl_handle_enter(things, CL_HANDLE_OPTIONS) == NULL);
    for (int i = 0; i < 100000; i++) {
        bits ^= bits << 13, bits ^= bits >> 7, bits ^= bits << 17;
        void *h = (void *)(uintptr_t)(i % 2 ? bits : bits & 0x7fffffffffffu);
        if (!CHECK(cl_handle_enter(h, (enum cl_handle_kind)(1 + i % 3)) == NULL)) break;
    }
}

static void many(void)
{
    enum { N = 10000 };
    static void *handles[N];
    void *object;
    for (int i = 0; i < N; i++) handles[i] = cl_handle_open(CL_HANDLE_OPTIONS, &things[i % 3]);
    for (int i = 0; i < N; i++) {
        if (!CHECK(cl_handle_enter(handles[i], CL_HANDLE_OPTIONS) == &things[i % 3])) return;
        CHECK((uint64_t)(uintptr_t)handles[i] >> 47 == 0);
        cl_handle_leave(handles[i]);
    }
    for (int i = 0; i < N; i++) {
        CHECK_INT(cl_handle_revoke(handles[i], CL_HANDLE_OPTIONS, &object), 1);
        cl_handle_retire(handles[i]);
    }
    for (int i = 0; i < N; i++) CHECK(cl_handle_enter(handles[i], CL_HANDLE_OPTIONS) == NULL);
}

static _Atomic(void *) shared;
static atomic_int stop, entered;

static void *visit(void *unused)
{
    while (!atomic_load(&stop)) {
        void *h = atomic_load(&shared);
        int *object = cl_handle_enter(h, CL_HANDLE_CONTEXT);
        if (!object) continue;
        atomic_fetch_add(&entered, *(volatile int *)object);
        cl_handle_leave(h);
    }
    return NULL;
}

/* Objects are freed right after retire: with visitors inside, a sanitizer would see it. */
static void retire_waits(void)
{
    pthread_t threads[3];
    void *object;
    for (int i = 0; i < 3; i++) pthread_create(&threads[i], NULL, visit, NULL);
    for (int i = 0; i < 5000 || !atomic_load(&entered); i++) {
        int *thing = malloc(sizeof *thing);
        *thing = 1;
        void *h = cl_handle_open(CL_HANDLE_CONTEXT, thing);
        atomic_store(&shared, h);
        CHECK_INT(cl_handle_revoke(h, CL_HANDLE_CONTEXT, &object), 1);
        cl_handle_retire(h);
        free(object);
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    CHECK(atomic_load(&entered) > 0);
}

static enum cl_handle_entry enter(const void *handle, enum cl_handle_kind kind, const void *expected)
{
    void *object = NULL;
    enum cl_handle_entry entry = cl_handle_enter_any(handle, kind, &object);
    CHECK(object == (entry == CL_HANDLE_CLAIMED || entry == CL_HANDLE_PINNED ? expected : NULL));
    return entry;
}

static void *enter_both(void *handles)
{
    void **h = handles;
    CHECK_INT(enter(h[0], CL_HANDLE_CONTEXT, NULL), CL_HANDLE_TAKEN);
    CHECK_INT(enter(h[1], CL_HANDLE_NODE, NULL), CL_HANDLE_TAKEN);
    return NULL;
}

static void end(const void *handle, enum cl_handle_kind kind)
{
    void *object;
    CHECK_INT(cl_handle_revoke(handle, kind, &object), 1);
    cl_handle_retire(handle);
}

/* Who claims an object keeps others out of it, and out of what belongs to it. */
static void claims(void)
{
    void *outer = cl_handle_open_exclusive(CL_HANDLE_CONTEXT, &things[0], NULL);
    void *inner = cl_handle_open_exclusive(CL_HANDLE_NODE, &things[1], outer);
    void *both[] = {outer, inner};
    pthread_t other;
    const void *by[] = {outer, inner};
    for (int i = 0; i < 2; i++) {
        enum cl_handle_kind kind = i ? CL_HANDLE_NODE : CL_HANDLE_CONTEXT;
        CHECK_INT(enter(by[i], kind, &things[i]), CL_HANDLE_CLAIMED);
        CHECK_INT(enter(outer, CL_HANDLE_CONTEXT, NULL), CL_HANDLE_MINE);
        CHECK_INT(enter(inner, CL_HANDLE_NODE, NULL), CL_HANDLE_MINE);
        CHECK(cl_handle_enter(outer, CL_HANDLE_CONTEXT) == &things[0]); /* as clouds_wakeup does */
        cl_handle_leave(outer);
        pthread_create(&other, NULL, enter_both, both);
        pthread_join(other, NULL);
        cl_handle_unclaim(outer);
    }
    end(inner, CL_HANDLE_NODE);
    CHECK_INT(enter(inner, CL_HANDLE_NODE, NULL), CL_HANDLE_NOT_LIVE);
    CHECK_INT(enter(outer, CL_HANDLE_CONTEXT, &things[0]), CL_HANDLE_CLAIMED); /* nothing was left claimed */
    cl_handle_unclaim(outer);
    end(outer, CL_HANDLE_CONTEXT);
    CHECK_INT(enter(outer, CL_HANDLE_CONTEXT, NULL), CL_HANDLE_NOT_LIVE);
    void *next = cl_handle_open(CL_HANDLE_CONTEXT, &things[2]); /* in the place of what could be claimed */
    CHECK_INT(enter(outer, CL_HANDLE_CONTEXT, NULL), CL_HANDLE_NOT_LIVE);
    CHECK_INT(enter(next, CL_HANDLE_CONTEXT, &things[2]), CL_HANDLE_PINNED);
    cl_handle_leave(next);
    end(next, CL_HANDLE_CONTEXT);
}

static _Atomic(void *) claimed[2];

typedef struct thing {
    const void *outer;
    int one;
} thing;

static void *visit_claimed(void *which)
{
    int is_node = *(int *)which;
    while (!atomic_load(&stop)) {
        enum cl_handle_kind kind = is_node ? CL_HANDLE_NODE : CL_HANDLE_CONTEXT;
        void *object;
        if (cl_handle_enter_any(atomic_load(&claimed[is_node]), kind, &object) != CL_HANDLE_CLAIMED) continue;
        const thing *t = object;
        const void *outer = t->outer;
        atomic_fetch_add(&entered, t->one);
        cl_handle_unclaim(outer);
    }
    return NULL;
}

/* The same as retire_waits, for what is claimed by its own handle, and by that of what belongs to it. */
static void retire_waits_for_claims(void)
{
    int which[] = {0, 1, 1};
    pthread_t threads[3];
    atomic_store(&stop, 0);
    atomic_store(&entered, 0);
    for (int i = 0; i < 3; i++) pthread_create(&threads[i], NULL, visit_claimed, &which[i]);
    for (int i = 0; i < 2000 || !atomic_load(&entered); i++) {
        thing *context = malloc(sizeof *context), *node = malloc(sizeof *node);
        void *outer = cl_handle_open_exclusive(CL_HANDLE_CONTEXT, context, NULL);
        *context = *node = (thing){outer, 1};
        void *inner = cl_handle_open_exclusive(CL_HANDLE_NODE, node, outer);
        atomic_store(&claimed[0], outer);
        atomic_store(&claimed[1], inner);
        end(outer, CL_HANDLE_CONTEXT);
        end(inner, CL_HANDLE_NODE);
        free(context);
        free(node);
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
}

int main(void)
{
    RUN(life);
    RUN(foreign);
    RUN(many);
    RUN(retire_waits);
    RUN(claims);
    RUN(retire_waits_for_claims);
    return tap_end();
}
