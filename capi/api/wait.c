/* clouds_wait, clouds_wait_any, both with texts in a room of the caller's, and clouds_event_release. */
#include <errno.h>
#include <inttypes.h>

#include "api/check.h"
#include "api/internal.h"
#include "api/deadline.h"
#include "base/error.h"
#include "base/mem.h"

/* So many are waited for without an allocation. */
enum { FEW = 8 };

typedef struct waiting {
    cl_context *context;
    const uint64_t *calls;
    size_t count;
    cl_watch *watches; /* of the first `watched` of them */
    size_t watched;
    pthread_cond_t turn; /* thread mode */
    clouds_event *event;
    size_t size;
    cl_text_room *room; /* where the texts go; NULL: to a block of their own */
} waiting;

static int no_such_call(uint64_t call)
{
    return cl_error(CLOUDS_ESTALE, "no call with the id %" PRIu64 " waits for clouds_wait", call);
}

static int hand_out(const waiting *w, cl_wait_slot *slot)
{
    cl_idmap *set = &w->context->inbox.wait_slots;
    if (!w->room) {
        int code = cl_wait_slot_take(set, slot, w->event, w->size);
        return code == 0 ? 1 : code;
    }
    if (cl_wait_slot_take_into(set, slot, w->event, w->size, w->room)) return 1;
    return cl_text_room_lacks(w->room, cl_event_bytes(&slot->event), "the event");
}

/* 1 when one was taken, 0 when all are still to come, or an error. */
static int take_if_ready(const waiting *w)
{
    for (size_t i = 0; i < w->count; i++) {
        cl_wait_slot *slot = w->watches[i].slot;
        if (slot->gone) return no_such_call(w->calls[i]);
        if (slot->done || slot->asks) return hand_out(w, slot);
    }
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
    cl_context_tell_news(w->context);
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
static int wait_threaded(waiting *w, double timeout)
{
    int64_t until = cl_deadline_ms(timeout);
    struct timespec moment;
    cl_deadline_timespec(timeout, &moment);
    int code, expired = timeout == 0;
    while ((code = take_if_ready(w)) == 0 && !expired) {
        if (cl_leader_take(w->context)) return run_engine(w, until);
        if (timeout < 0) pthread_cond_wait(&w->turn, &w->context->inbox.lock);
        else expired = pthread_cond_timedwait(&w->turn, &w->context->inbox.lock, &moment) == ETIMEDOUT;
    }
    return code;
}

static int watch_all(waiting *w)
{
    for (; w->watched < w->count; w->watched++) {
        uint64_t call = w->calls[w->watched];
        if (!cl_wait_slot_watch(&w->context->inbox.wait_slots, call, &w->watches[w->watched], &w->turn)) return no_such_call(call);
    }
    return 0;
}

static int wait_for(waiting *w, double timeout)
{
    int threaded = w->context->threaded;
    if (threaded) cl_cond_init(&w->turn);
    cl_context_lock(w->context);
    int code = watch_all(w);
    if (code == 0) code = threaded ? wait_threaded(w, timeout) : wait_inline(w, timeout);
    while (w->watched > 0) cl_wait_slot_leave(&w->watches[--w->watched]);
    cl_context_unlock(w->context);
    if (threaded) pthread_cond_destroy(&w->turn);
    return code;
}

/* With a place for each of them. */
static int wait_for_any(waiting *w, double timeout)
{
    cl_watch few[FEW];
    if (w->count == 0) return cl_error(CLOUDS_EINVAL, "there is no call to wait for");
    if (!w->calls) return cl_error(CLOUDS_EINVAL, "the list of calls is NULL with %zu of them", w->count);
    if (w->count > SIZE_MAX / sizeof *few) return cl_error(CLOUDS_EINVAL, "%zu calls to wait for", w->count);
    w->watches = w->count > FEW ? cl_malloc(w->count * sizeof *few) : few;
    if (!w->watches) return cl_error(CLOUDS_ENOMEM, NULL);
    int code = wait_for(w, timeout);
    if (w->watches != few) cl_free(w->watches);
    return code;
}

static int wait_any(clouds_context *handle, double timeout, waiting *w)
{
    int code = cl_guard_context(handle, &w->context);
    if (code != 0) return code;
    code = cl_check_target(w->event, w->size, w->room, timeout);
    if (code == 0) code = wait_for_any(w, timeout);
    cl_guard_leave(w->context);
    return code;
}

int clouds_wait(clouds_context *context, uint64_t call, double timeout, clouds_event *event, size_t event_size)
{
    return wait_any(context, timeout, &(waiting){.calls = &call, .count = 1, .event = event, .size = event_size});
}

int clouds_wait_into(clouds_context *context, uint64_t call, double timeout, clouds_event *event, size_t event_size,
                     char *text, size_t text_size, size_t *text_needed)
{
    return clouds_wait_any_into(context, &call, 1, timeout, event, event_size, text, text_size, text_needed);
}

int clouds_wait_any(clouds_context *context, const uint64_t *calls, size_t count, double timeout, clouds_event *event,
                    size_t event_size)
{
    return wait_any(context, timeout,
                    &(waiting){.calls = calls, .count = count, .event = event, .size = event_size});
}

int clouds_wait_any_into(clouds_context *context, const uint64_t *calls, size_t count, double timeout,
                         clouds_event *event, size_t event_size, char *text, size_t text_size, size_t *text_needed)
{
    cl_text_room room = {text, text_size, 0};
    waiting w = {.calls = calls, .count = count, .event = event, .size = event_size, .room = &room};
    int code = wait_any(context, timeout, &w);
    if (text_needed && (code == 1 || code == CLOUDS_ETOOBIG)) *text_needed = room.used;
    return code;
}

int clouds_event_release(clouds_event *event)
{
    int code = event ? cl_guard_hooks() : 0;
    return event && code == 0 ? cl_event_free_texts(event) : code;
}
