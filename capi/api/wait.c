/* clouds_wait, clouds_wait_into and clouds_event_release. */
#include <errno.h>

#include "api/check.h"
#include "api/internal.h"
#include "api/deadline.h"
#include "base/error.h"

typedef struct waiting {
    cl_context *context;
    cl_wait_slot *slot;
    clouds_event *event;
    size_t size;
    cl_text_room *room; /* where the texts go; NULL: to a block of their own */
} waiting;

static int no_such_call(void)
{
    return cl_error(CLOUDS_ESTALE, "no call with this id waits for clouds_wait");
}

static int hand_out(const waiting *w)
{
    cl_idmap *set = &w->context->inbox.wait_slots;
    if (!w->room) {
        int code = cl_wait_slot_take(set, w->slot, w->event, w->size);
        return code == 0 ? 1 : code;
    }
    if (cl_wait_slot_take_into(set, w->slot, w->event, w->size, w->room)) return 1;
    return cl_text_room_lacks(w->room, cl_event_bytes(&w->slot->event), "the event");
}

/* 1 when it was taken, 0 when it is still to come, or an error. */
static int take_if_ready(const waiting *w)
{
    if (w->slot->gone) return no_such_call();
    if (w->slot->done || w->slot->asks) return hand_out(w);
    int ending = atomic_load_explicit(&w->context->ending, memory_order_acquire);
    return ending ? cl_error(CLOUDS_ECLOSED, "the context is closed") : 0;
}

static int wait_inline(const waiting *w, double timeout)
{
    int64_t until = cl_deadline_ms(timeout);
    int code;
    while ((code = take_if_ready(w)) == 0) {
        int64_t left = cl_deadline_left(until);
        cl_loop_run(w->context->engine.loop, left);
        if (left != 0) continue;
        code = take_if_ready(w);
        break;
    }
    if (w->context->descriptor.used && (w->context->inbox.events.len || w->context->inbox.over))
        cl_loop_defer(w->context->engine.loop);
    return code;
}

/* Runs the engine meanwhile, which is this thread's. What was asked of it may fail at once, so it looks again before it
 * sleeps. Under the lock. */
static int run_engine(const waiting *w, int64_t until)
{
    cl_context *context = w->context;
    int64_t left = 1;
    int code;
    pthread_mutex_unlock(&context->inbox.lock);
    cl_log_events_begin(context);
    cl_queue_run(context);
    pthread_mutex_lock(&context->inbox.lock);
    while ((code = take_if_ready(w)) == 0 && left != 0) {
        pthread_mutex_unlock(&context->inbox.lock);
        left = cl_deadline_left(until);
        cl_loop_run(context->engine.loop, left);
        pthread_mutex_lock(&context->inbox.lock);
    }
    cl_log_events_end(context);
    cl_leader_leave(context);
    return code;
}

/* Under the lock. */
static int wait_threaded(const waiting *w, double timeout)
{
    int64_t until = cl_deadline_ms(timeout);
    struct timespec moment;
    cl_deadline_timespec(timeout, &moment);
    int code, expired = timeout == 0;
    while ((code = take_if_ready(w)) == 0 && !expired) {
        if (cl_leader_take(w->context)) return run_engine(w, until);
        if (timeout < 0) pthread_cond_wait(&w->slot->changed, &w->context->inbox.lock);
        else expired = pthread_cond_timedwait(&w->slot->changed, &w->context->inbox.lock, &moment) == ETIMEDOUT;
    }
    return code;
}

static int wait_for(waiting *w, uint64_t call, double timeout)
{
    cl_context_lock(w->context);
    w->slot = cl_wait_slot_enter(&w->context->inbox.wait_slots, call);
    int code = !w->slot ? no_such_call() : w->context->threaded ? wait_threaded(w, timeout) : wait_inline(w, timeout);
    if (w->slot) cl_wait_slot_leave(w->slot);
    cl_context_unlock(w->context);
    return code;
}

static int wait_call(clouds_context *handle, uint64_t call, double timeout, waiting *w)
{
    int code = cl_guard_context(handle, CL_USE, &w->context);
    if (code != 0) return code;
    code = cl_check_target(w->event, w->size, w->room, timeout);
    if (code == 0) code = wait_for(w, call, timeout);
    cl_guard_leave(w->context, CL_USE);
    return code;
}

int clouds_wait(clouds_context *context, uint64_t call, double timeout, clouds_event *event, size_t event_size)
{
    return wait_call(context, call, timeout, &(waiting){.event = event, .size = event_size});
}

int clouds_wait_into(clouds_context *context, uint64_t call, double timeout, clouds_event *event, size_t event_size,
                     char *text, size_t text_size, size_t *text_needed)
{
    cl_text_room room = {text, text_size, 0};
    int code = wait_call(context, call, timeout, &(waiting){.event = event, .size = event_size, .room = &room});
    if (text_needed && (code == 1 || code == CLOUDS_ETOOBIG)) *text_needed = room.used;
    return code;
}

int clouds_event_release(clouds_event *event)
{
    int code = event ? cl_guard_hooks() : 0;
    return event && code == 0 ? cl_event_free_texts(event) : code;
}
