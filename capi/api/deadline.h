/* Timeouts in seconds, as the user gives them, on the monotonic clock; and conditions that wait by it. */
#ifndef CL_DEADLINE_H
#define CL_DEADLINE_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

#include "base/seconds.h"
#include "net/loop.h"

/* The moment in milliseconds; INT64_MAX: never (timeout < 0); 0: at once. Rounded up. */
static inline int64_t cl_deadline_ms(double timeout)
{
    if (timeout < 0 || timeout > 1e9) return INT64_MAX;
    if (timeout == 0) return 0;
    return cl_loop_now() + cl_ms(timeout);
}

/* What is left of it, as cl_loop_run takes it. */
static inline int64_t cl_deadline_left(int64_t until)
{
    if (until == INT64_MAX) return -1;
    if (until == 0) return 0;
    int64_t left = until - cl_loop_now();
    return left > 0 ? left : 0;
}

/* The same for pthread_cond_timedwait; not for timeouts below 0. */
static inline void cl_deadline_timespec(double timeout, struct timespec *out)
{
    clock_gettime(CLOCK_MONOTONIC, out);
    if (!(timeout > 0)) return;
    if (timeout > 1e9) timeout = 1e9;
    double whole = (double)(int64_t)timeout;
    out->tv_sec += (time_t)whole;
    out->tv_nsec += (long)((timeout - whole) * 1e9);
    if (out->tv_nsec >= 1000000000) {
        out->tv_nsec -= 1000000000;
        out->tv_sec++;
    }
}

static inline void cl_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

#endif
