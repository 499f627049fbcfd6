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

int main(void)
{
    RUN(life);
    RUN(foreign);
    RUN(many);
    RUN(retire_waits);
    return tap_end();
}
