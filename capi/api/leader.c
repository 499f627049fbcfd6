/* Design note. A call that one thread makes and waits for would pass through two threads twice: the command to the I/O
 * thread, the completion back. So the I/O thread steps back when the last call outstanding was one that is waited for,
 * and whoever waits next runs the engine itself, as in inline mode. It leads until its call has completed. Then nobody
 * does: the next waiter takes over without waking anybody, and when none comes within a tick, or when anything else is
 * asked of the engine, the I/O thread does. What arrives for the context meanwhile is read a tick later at most; a
 * context that serves, or whose descriptor is watched, keeps its I/O thread at work always.
 *
 * Nothing is lost between the two: who gives the engine up says so (`who`) before it looks into the queue, and who
 * takes it says so before it empties the queue; a command is queued and `who` is read under the queue's lock. So
 * either the command is seen, or its author sees that nobody leads. */
#include "api/leader.h"

#include <errno.h>
#include <time.h>

#include "api/internal.h"
#include "api/deadline.h"

#define TICK 0.001

void cl_leader_init(cl_leader *l)
{
    pthread_mutex_init(&l->lock, NULL);
    cl_cond_init(&l->turn);
}

void cl_leader_free(cl_leader *l)
{
    pthread_cond_destroy(&l->turn);
    pthread_mutex_destroy(&l->lock);
}

static int is_ending(cl_context *context)
{
    return atomic_load_explicit(&context->ending, memory_order_acquire);
}

/* Is the I/O thread dispensable until the next one waits? Under the context's lock. */
static int only_waiters(cl_context *context)
{
    return context->inbox.calls_open == 0 && context->descriptor.event_fd < 0 && !atomic_load(&context->thread.serves);
}

static int wait_a_tick(cl_leader *l)
{
    struct timespec until;
    cl_deadline_timespec(TICK, &until);
    return pthread_cond_timedwait(&l->turn, &l->lock, &until) == ETIMEDOUT;
}

/* Until it is needed: at once, or because nobody took over for a tick. */
static void wait_until_needed(cl_context *context)
{
    cl_leader *l = &context->thread.leader;
    for (;;) {
        int free = atomic_load(&l->who) == CL_LEADER_NONE;
        if (free && (l->wanted || is_ending(context))) return;
        unsigned takes = l->takes;
        if (!wait_a_tick(l) || l->takes != takes) continue;
        if (atomic_load(&l->who) == CL_LEADER_NONE) return;
        l->asleep = 1;
        while (atomic_load(&l->who) == CL_LEADER_WAITER) pthread_cond_wait(&l->turn, &l->lock);
        l->asleep = 0;
    }
}

void cl_leader_step_back(cl_context *context)
{
    cl_leader *l = &context->thread.leader;
    pthread_mutex_lock(&context->inbox.lock);
    int back = only_waiters(context);
    context->engine.wait_done = 0;
    pthread_mutex_unlock(&context->inbox.lock);
    if (!back) return;
    pthread_mutex_lock(&l->lock);
    atomic_store(&l->who, CL_LEADER_NONE);
    l->wanted = cl_queue_is_urgent(&context->thread.queue);
    wait_until_needed(context);
    l->wanted = 0;
    atomic_store(&l->who, CL_LEADER_THREAD);
    pthread_mutex_unlock(&l->lock);
    if (!is_ending(context)) cl_queue_run(context);
}

int cl_leader_take(cl_context *context)
{
    cl_leader *l = &context->thread.leader;
    if (atomic_load(&l->who) != CL_LEADER_NONE) return 0;
    pthread_mutex_lock(&l->lock);
    int mine = atomic_load(&l->who) == CL_LEADER_NONE && !is_ending(context);
    if (mine) {
        atomic_store(&l->who, CL_LEADER_WAITER);
        l->takes++;
    }
    pthread_mutex_unlock(&l->lock);
    return mine;
}

void cl_leader_leave(cl_context *context)
{
    cl_leader *l = &context->thread.leader;
    context->engine.wait_done = 0;
    int others = !only_waiters(context);
    pthread_mutex_lock(&l->lock);
    atomic_store(&l->who, CL_LEADER_NONE);
    if (others || cl_queue_is_urgent(&context->thread.queue)) l->wanted = 1;
    if (l->wanted || l->asleep) pthread_cond_signal(&l->turn);
    pthread_mutex_unlock(&l->lock);
}

void cl_leader_wake_thread(cl_context *context)
{
    cl_leader *l = &context->thread.leader;
    pthread_mutex_lock(&l->lock);
    if (atomic_load(&l->who) == CL_LEADER_NONE) {
        l->wanted = 1;
        pthread_cond_signal(&l->turn);
    }
    pthread_mutex_unlock(&l->lock);
}
