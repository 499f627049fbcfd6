/* clouds_poll, clouds_poll_into, clouds_fd, clouds_wakeup. */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "api/check.h"
#include "api/deadline.h"
#include "api/internal.h"
#include "api/handle.h"
#include "base/error.h"

typedef struct poll_target {
    void *records;
    size_t size, capacity;
    cl_text_room *room; /* where the texts go; NULL: they stay where they are */
} poll_target;

static clouds_event *record(const poll_target *to, size_t i)
{
    return (void *)((char *)to->records + i * to->size);
}

/* 1 when nobody waits for the answer any more, and so it is not handed out. Its time in the queue counts: this process
 * may have been stopped, or busy. */
static int is_expired(cl_context *context, clouds_event *e, int64_t *now)
{
    if (!*now) *now = cl_loop_now();
    int64_t left = e->number - *now;
    e->time_left = left > 0 ? (double)left / 1000 : 0;
    if (left > 0 || (context->threaded && cl_open_has_key(context, e->id))) return 0;
    const cl_command command = {.kind = CL_DO_REFUSE, .refusal = {.id = e->id, .code = CLOUDS_EEXPIRED}};
    int code = cl_submit(context, &command);
    if (code != 0 && code != CLOUDS_ESTALE) return 0;
    if (context->threaded) cl_open_leave_out(context, e->id);
    return 1;
}

/* The core has closed it meanwhile, and its caller got that it was not done. */
static int is_withdrawn(cl_context *context, uint64_t request)
{
    int64_t deadline;
    int is_open = context->threaded ? cl_idmap_get(&context->inbox.open, cl_open_key(CL_OPEN_REQUEST, request)) != NULL
                                    : cl_core_request(context->engine.core, request, &deadline);
    context->inbox.withdrawn -= !is_open;
    return !is_open;
}

/* 1: this request is not handed out. */
static int is_dead(cl_context *context, clouds_event *e, int64_t *now)
{
    int dead = (context->inbox.withdrawn && is_withdrawn(context, e->id)) || (e->number && is_expired(context, e, now));
    context->inbox.begun = e->id;
    return dead;
}

static size_t without_expired(cl_context *context, const poll_target *to, size_t n)
{
    int64_t now = 0;
    size_t kept = 0, logged = 0;
    for (size_t i = 0; i < n; i++) {
        clouds_event *e = record(to, i);
        logged += e->type == CLOUDS_EVENT_LOG;
        if (e->type == CLOUDS_EVENT_REQUEST && is_dead(context, e, &now)) continue;
        if (kept < i) memcpy(record(to, kept), e, to->size);
        kept++;
    }
    if (logged) cl_log_events_taken(context, logged);
    return kept;
}

/* The number of events that were handed out, or CLOUDS_ETOOBIG. */
static int take_events(cl_context *context, const poll_target *to, size_t capacity)
{
    cl_events *q = &context->inbox.events;
    size_t n = 0;
    while (n == 0 && q->len && capacity) {
        n = to->room ? cl_events_take_into(q, to->records, to->size, capacity, to->room)
                     : cl_events_take(q, to->records, to->size, capacity);
        if (n == 0) return cl_text_room_lacks(to->room, cl_events_next_bytes(q), "the next event");
        n = without_expired(context, to, n);
    }
    if (n && record(to, n - 1)->type == CLOUDS_EVENT_CONTEXT_CLOSED) context->inbox.over = 1;
    return (int)n;
}

/* The events, and what was published: both go on when both keep coming. */
CL_RARE static int take_both(cl_context *context, const poll_target *to)
{
    cl_subscriptions *set = &context->inbox.subscriptions;
    if (to->room) to->room->used = 0;
    size_t share = context->inbox.events.len ? cl_subscriptions_share(set, to->capacity) : to->capacity;
    int n = take_events(context, to, to->capacity - share);
    if (n < 0) return n;
    size_t more = cl_subscriptions_take(set, record(to, (size_t)n), to->size, to->capacity - (size_t)n, to->room);
    if (n == 0 && more == 0 && to->room && set->waiting && share)
        return cl_text_room_lacks(to->room, cl_subscriptions_next_bytes(set), "the next event");
    return n + (int)more;
}

static int take(cl_context *context, const poll_target *to)
{
    return context->inbox.subscriptions.waiting ? take_both(context, to) : take_events(context, to, to->capacity);
}

/* Why there is nothing to wait for. */
static int is_finished(const cl_context *context)
{
    return context->inbox.over || atomic_load_explicit(&context->ending, memory_order_acquire);
}

/* ---- inline mode */

enum { TURN_MS = 2 };

/* While events wait poll need not run the loop to have something to say. But whoever answers each event by new work
 * would never run it: no byte would go or come, and no heartbeat. */
static void turn_now_and_then(cl_context *context)
{
    if (cl_loop_now_about() - context->engine.turned >= TURN_MS) {
        cl_engine_turn_once(context);
    } else if (context->engine.unflushed && !context->engine.bus_closed) {
        context->engine.bus->ops->flush(context->engine.bus);
        context->engine.unflushed = 0;
    }
}

/* Events that come while this runs are put into the records of who polls, if those are of this version: nothing that
 * was published is to be handed out beside them. */
static void begin_target(cl_context *context, const poll_target *to)
{
    const cl_subscriptions *set = &context->inbox.subscriptions;
    if (to->room || to->size != sizeof(clouds_event) || set->by_id.len || set->waiting) return;
    cl_events_begin_target(&context->inbox.events, to->records, to->capacity);
}

/* What travels within this process comes by the turn alone, without asking the kernel whether anything has happened;
 * that is asked all the same now and then. A descriptor in use is kept right by whole runs only. */
static int take_without_run(cl_context *context, const poll_target *to)
{
    if (context->descriptor.used || cl_loop_now_about() - context->engine.turned >= TURN_MS) return 0;
    begin_target(context, to);
    cl_loop_turn(context->engine.loop);
    cl_events_end_target(&context->inbox.events);
    return take(context, to);
}

/* Runs the loop until events are there. */
static int run_until(cl_context *context, const poll_target *to, double timeout)
{
    int64_t until = cl_deadline_ms(timeout);
    for (;;) {
        int last = atomic_load_explicit(&context->woken, memory_order_relaxed) && atomic_exchange(&context->woken, 0);
        int64_t wait = last ? 0 : cl_deadline_left(until);
        begin_target(context, to);
        cl_loop_run(context->engine.loop, wait);
        cl_events_end_target(&context->inbox.events);
        context->engine.turned = cl_loop_now_about();
        int n = take(context, to);
        if (n) return n;
        if (is_finished(context)) return cl_error(CLOUDS_ECLOSED, "the context is closed");
        if (last || wait == 0) return 0;
    }
}

static int poll_inline(cl_context *context, const poll_target *to, double timeout)
{
    cl_events_release(&context->inbox.events);
    cl_subscriptions_release(&context->inbox.subscriptions);
    /* Before the events are taken, so that nothing lies between the look at their deadlines and the return. */
    if (context->inbox.events.len || context->inbox.subscriptions.waiting) turn_now_and_then(context);
    int n = take(context, to);
    if (n == 0 && !is_finished(context)) n = take_without_run(context, to);
    if (n == 0)
        n = is_finished(context) ? cl_error(CLOUDS_ECLOSED, "the context is closed") : run_until(context, to, timeout);
    cl_context_tell_news(context);
    return n;
}

/* ---- thread mode; under the lock */

static void clear_event_fd(cl_context *context)
{
    if (!context->descriptor.event_fd_set || cl_context_has_news(context)) return;
    context->descriptor.event_fd_set = 0;
    cl_event_fd_clear(context->descriptor.event_fd);
}

static int sleep_until(cl_context *context, const poll_target *to, double timeout)
{
    struct timespec until;
    cl_deadline_timespec(timeout, &until);
    for (int expired = timeout == 0;;) {
        int n = take(context, to);
        if (n) return n;
        if (is_finished(context)) return cl_error(CLOUDS_ECLOSED, "the context is closed");
        if (atomic_exchange(&context->woken, 0) || expired) return 0;
        context->inbox.poll_sleeps = 1;
        if (timeout < 0) pthread_cond_wait(&context->inbox.arrived, &context->inbox.lock);
        else expired = pthread_cond_timedwait(&context->inbox.arrived, &context->inbox.lock, &until) == ETIMEDOUT;
        context->inbox.poll_sleeps = 0;
    }
}

static int poll_threaded(cl_context *context, const poll_target *to, double timeout)
{
    pthread_mutex_lock(&context->inbox.lock);
    int n = context->inbox.polling ? cl_error(CLOUDS_ETHREAD, "another thread is in clouds_poll") : 0;
    if (n == 0) {
        context->inbox.polling = 1;
        cl_events_release(&context->inbox.events);
        cl_subscriptions_release(&context->inbox.subscriptions);
        n = sleep_until(context, to, timeout);
        clear_event_fd(context);
        context->inbox.polling = 0;
    }
    pthread_mutex_unlock(&context->inbox.lock);
    return n;
}

/* ---- the exported functions */

static int poll_events(clouds_context *handle, poll_target *to, double timeout)
{
    cl_context *context;
    int code = cl_guard_context(handle, &context);
    if (code != 0) return code;
    if (to->capacity > 1 << 30) to->capacity = 1 << 30;
    code = cl_check_target(to->capacity ? to->records : NULL, to->size, to->room, timeout);
    if (code == 0) code = context->threaded ? poll_threaded(context, to, timeout) : poll_inline(context, to, timeout);
    cl_guard_leave(context);
    return code;
}

int clouds_poll(clouds_context *context, clouds_event *events, size_t event_size, size_t capacity, double timeout)
{
    return poll_events(context, &(poll_target){events, event_size, capacity, NULL}, timeout);
}

int clouds_poll_into(clouds_context *context, clouds_event *events, size_t event_size, size_t capacity, char *text,
                     size_t text_size, size_t *text_needed, double timeout)
{
    cl_text_room room = {text, text_size, 0};
    int code = poll_events(context, &(poll_target){events, event_size, capacity, &room}, timeout);
    if (text_needed && (code >= 0 || code == CLOUDS_ETOOBIG)) *text_needed = room.used;
    return code;
}

/* Thread mode: made when first asked for. */
static int event_fd(cl_context *context)
{
    pthread_mutex_lock(&context->inbox.lock);
    if (context->descriptor.event_fd < 0) {
        context->descriptor.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        context->descriptor.event_fd_set = context->descriptor.event_fd >= 0 && cl_context_has_news(context);
        if (context->descriptor.event_fd_set) cl_event_fd_write(context->descriptor.event_fd);
        cl_leader_wake_thread(context); /* who sleeps outside hears of nothing that it has not read */
    }
    int fd = context->descriptor.event_fd >= 0 ? context->descriptor.event_fd
                                               : cl_error(CLOUDS_ESYSTEM, "eventfd: %s", strerror(errno));
    pthread_mutex_unlock(&context->inbox.lock);
    return fd;
}

static int loop_fd(cl_context *context)
{
    int fd = cl_loop_fd(context->engine.loop);
    if (fd < 0 || context->descriptor.used) return fd;
    context->descriptor.used = 1;
    if (context->engine.unflushed || cl_context_has_news(context)) cl_loop_defer(context->engine.loop);
    return fd;
}

int clouds_fd(clouds_context *handle)
{
    cl_context *context;
    int code = cl_guard_context(handle, &context);
    if (code != 0) return code;
    code = context->threaded ? event_fd(context) : loop_fd(context);
    cl_guard_leave(context);
    return code;
}

/* From a signal's handler too, which may have interrupted anything: no lock, no words, nothing of the thread's own. In
 * thread mode the engine tells who polls (on_woken). */
int clouds_wakeup(clouds_context *handle)
{
    int before = errno;
    cl_context *context = cl_handle_enter(handle, CL_HANDLE_CONTEXT);
    if (!context) return CLOUDS_EHANDLE;
    int code = context->fork_generation == cl_guard_generation() ? 0 : CLOUDS_EFORK;
    if (code == 0 && atomic_exchange(&context->woken, 1) == 0) cl_loop_wake(context->engine.loop);
    cl_handle_leave(handle);
    errno = before;
    return code;
}
