/* Looks into the library: who is inside of a function that waits. */
#ifndef API_INSIDE_H
#define API_INSIDE_H

#include "api/internal.h"
#include "api/handle.h"
#include "api/kit.h"

/* Threads inside of clouds_wait for this call: asleep, or running the engine (they let go of the lock only there). */
static inline int waiters_of(clouds_context *handle, uint64_t call)
{
    cl_context *context = cl_handle_enter(handle, CL_HANDLE_CONTEXT);
    pthread_mutex_lock(&context->inbox.lock);
    cl_wait_slot *slot = cl_idmap_get(&context->inbox.wait_slots, call);
    int n = 0;
    if (slot) CL_LIST_EACH(it, &slot->watches) n++;
    pthread_mutex_unlock(&context->inbox.lock);
    cl_handle_leave(handle);
    return n;
}

/* Until so many wait for it. */
static inline void await_waiters(clouds_context *handle, uint64_t call, int count)
{
    double until = kit_now() + KIT_PATIENCE;
    while (waiters_of(handle, call) < count && kit_now() < until) usleep(100);
    CHECK_INT(waiters_of(handle, call), count);
}

#endif
