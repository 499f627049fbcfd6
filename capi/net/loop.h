/* The loop: libuv behind a small face. One thread at a time, but for cl_loop_wake. */
#ifndef CL_LOOP_H
#define CL_LOOP_H

#include <stdint.h>

typedef struct cl_loop cl_loop;
typedef struct cl_alarm cl_alarm;
typedef struct cl_watch cl_watch;

typedef struct cl_loop_hooks {
    void *self;
    /* Called before the loop sleeps and after it ran callbacks: flush what was queued. */
    void (*turn)(void *self);
    /* Called on the loop's thread after cl_loop_wake (several wakes may be one call). */
    void (*woken)(void *self);
} cl_loop_hooks;

int cl_loop_create(const cl_loop_hooks *hooks, cl_loop **out);

/* One turn: waits up to timeout_ms (0: not at all, < 0: for ever) until something happened, and runs the callbacks. */
void cl_loop_run(cl_loop *loop, int64_t timeout_ms);

/* Milliseconds of CLOCK_MONOTONIC, read afresh. The same in every process of a machine. */
int64_t cl_loop_now(void);
/* The same for a fraction of the cost, up to some milliseconds behind and never ahead. */
int64_t cl_loop_now_about(void);

/* One descriptor, readable whenever cl_loop_run(loop, 0) has work: I/O, a wake, or a due alarm. < 0: an error.
 * Call cl_loop_rearm after each run and after each change outside of a run once the descriptor is in use. */
int cl_loop_fd(cl_loop *loop);
void cl_loop_rearm(cl_loop *loop);

/* Makes a run return and calls `woken`. Any thread. */
void cl_loop_wake(cl_loop *loop);

/* The same for this turn only: the loop has work to do at the next run (something was queued outside of a run). */
void cl_loop_poke(cl_loop *loop);

/* Closes every handle that is still open, runs their callbacks, and frees the loop. */
void cl_loop_close(cl_loop *loop);

/* ---- alarms: one-shot timers. They live in the caller's memory no longer than between create and destroy. */
int cl_alarm_create(cl_loop *loop, void (*fn)(void *self), void *self, cl_alarm **out);
void cl_alarm_set(cl_alarm *alarm, int64_t when_ms); /* absolute; replaces */
void cl_alarm_stop(cl_alarm *alarm);
void cl_alarm_destroy(cl_alarm *alarm); /* NULL is fine; inside its own callback too */

/* ---- bells: calls into the loop's thread from any other. Ringing is safe until the bell is destroyed, even when the
 * loop is closed already; several rings may be one call. */
typedef struct cl_bell cl_bell;
int cl_bell_create(cl_loop *loop, void (*fn)(void *self), void *self, cl_bell **out);
void cl_bell_ring(cl_bell *bell);
void cl_bell_destroy(cl_bell *bell); /* NULL is fine; nobody rings it any more */

/* ---- watch: names that change in a folder (inotify); NULL: nobody knows which. */
int cl_watch_create(cl_loop *loop, const char *folder, void (*fn)(void *self, const char *name), void *self,
                    cl_watch **out);
void cl_watch_destroy(cl_watch *watch);
/* Tells at once what has changed until now. */
void cl_watch_now(cl_watch *watch);
/* Does the kernel tell of changes, or are they looked for now and then? */
int cl_watch_is_told(const cl_watch *watch);

#endif
