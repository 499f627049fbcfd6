/* clouds_wait and clouds_event_release. */
#include <errno.h>
#include <math.h>

#include "api/check.h"
#include "api/context.h"
#include "api/deadline.h"
#include "base/error.h"

typedef struct waiting {
    cl_context *context;
    cl_held *held;
    clouds_event *event;
    size_t size;
} waiting;

static int no_such_call(void)
{
    return cl_error(CLOUDS_ESTALE, "no call with this id waits for clouds_wait");
}

/* 1 when it was taken, 0 when it is still to come, or an error. */
static int look(const waiting *w)
{
    if (w->held->gone) return no_such_call();
    if (w->held->done) {
        cl_held_take(&w->context->held, w->held, w->event, w->size);
        return 1;
    }
    int ending = atomic_load_explicit(&w->context->ending, memory_order_acquire);
    return ending ? cl_error(CLOUDS_ECLOSED, "the context is closed") : 0;
}

static int wait_inline(const waiting *w, double timeout)
{
    int64_t until = cl_deadline_ms(timeout);
    int code;
    while ((code = look(w)) == 0) {
        int64_t left = cl_deadline_left(until);
        cl_loop_run(w->context->loop, left);
        if (left != 0) continue;
        code = look(w);
        break;
    }
    if (w->context->fd_used && w->context->events.len) cl_loop_poke(w->context->loop);
    return code;
}

/* Under the lock. */
static int wait_threaded(const waiting *w, double timeout)
{
    struct timespec until;
    cl_deadline_timespec(timeout, &until);
    int code, expired = timeout == 0;
    while ((code = look(w)) == 0 && !expired) {
        if (timeout < 0) pthread_cond_wait(&w->held->changed, &w->context->lock);
        else expired = pthread_cond_timedwait(&w->held->changed, &w->context->lock, &until) == ETIMEDOUT;
    }
    return code;
}

static int wait_for(cl_context *context, uint64_t call, double timeout, clouds_event *event, size_t size)
{
    cl_context_lock(context);
    const waiting w = {context, cl_held_enter(&context->held, call), event, size};
    int code = !w.held ? no_such_call() : context->threaded ? wait_threaded(&w, timeout) : wait_inline(&w, timeout);
    if (w.held) cl_held_leave(w.held);
    cl_context_unlock(context);
    return code;
}

int clouds_wait(clouds_context *handle, uint64_t call, double timeout, clouds_event *event, size_t event_size)
{
    cl_context *context;
    int code = cl_guard_context(handle, CL_USE, &context);
    if (code != 0) return code;
    code = cl_check_record(event_size, sizeof *event, "clouds_event");
    if (code == 0 && !event) code = cl_error(CLOUDS_EINVAL, "there is no room for an event");
    if (code == 0 && isnan(timeout)) code = cl_error(CLOUDS_EINVAL, "the timeout is not a number");
    if (code == 0) code = wait_for(context, call, timeout, event, event_size);
    cl_guard_leave(context, CL_USE);
    return code;
}

void clouds_event_release(clouds_event *event)
{
    if (event && cl_guard_hooks() == 0) cl_held_release(event);
}
