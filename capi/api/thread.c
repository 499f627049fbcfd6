/* The I/O thread of thread mode. */
#include <signal.h>
#include <string.h>

#include "api/internal.h"
#include "base/error.h"

static void *run(void *self)
{
    cl_context *context = self;
    pthread_setname_np(pthread_self(), "clouds");
    cl_log_events_begin(context);
    while (!atomic_load_explicit(&context->ending, memory_order_acquire)) {
        cl_loop_run(context->engine.loop, -1);
        if (context->engine.wait_done) cl_leader_step_back(context);
    }
    return NULL;
}

int cl_thread_start(cl_context *context)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the program's own affair */
    int failure = pthread_create(&context->thread.id, NULL, run, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure ? cl_error(CLOUDS_ESYSTEM, "cannot start a thread: %s", strerror(failure)) : 0;
}

void cl_thread_stop(cl_context *context)
{
    cl_loop_wake(context->engine.loop);
    cl_leader_wake_thread(context);
    pthread_join(context->thread.id, NULL);
}
