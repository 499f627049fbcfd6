/* The loop: libuv behind a small interface. One thread at a time, but for cl_loop_wake. */
#ifndef CL_LOOP_H
#define CL_LOOP_H

#include <stdint.h>

typedef struct cl_loop cl_loop;
typedef struct cl_loop_timer cl_loop_timer;
typedef struct cl_fs_watch cl_fs_watch;
typedef struct cl_fd_watch cl_fd_watch;

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

/* The same as far as it needs nothing of the kernel but writing: what waits in memory is done, no callback runs. */
void cl_loop_turn(cl_loop *loop);

/* In a run: the number of its turn, in which nothing is waited for once anything has happened (so every timer that is
 * due ends with cl_loop_end_wait). 0: none runs, or there is no loop any more (NULL). */
uint64_t cl_loop_turn_now(const cl_loop *loop);

/* Milliseconds of CLOCK_MONOTONIC, read afresh. The same in every process of a machine. */
int64_t cl_loop_now(void);
/* The same for a fraction of the cost, up to some milliseconds behind and never ahead. */
int64_t cl_loop_now_about(void);

/* One descriptor, readable whenever cl_loop_run(loop, 0) has work: I/O, a wake, or a due timer. < 0: an error.
 * Call cl_loop_rearm after each run and after each change outside of a run once the descriptor is in use. */
int cl_loop_fd(cl_loop *loop);
void cl_loop_rearm(cl_loop *loop);

/* Makes a run return and calls `woken`. Any thread. */
void cl_loop_wake(cl_loop *loop);

/* Work was deferred: the next run does not wait before it does it. On the loop's thread only. */
void cl_loop_defer(cl_loop *loop);

/* Closes every handle that is still open, runs their callbacks, and frees the loop. */
void cl_loop_close(cl_loop *loop);

/* ---- timers, one-shot. They live in the caller's memory no longer than between create and destroy. */
/* The last moment up to when_ms that is a multiple of every_ms behind one that all of the loop count from: what is done
 * every so often is done together with what else is, so a context that idles wakes once for all of it. */
int64_t cl_loop_together(cl_loop *loop, int64_t when_ms, int64_t every_ms);
int cl_loop_timer_create(cl_loop *loop, void (*fn)(void *self), void *self, cl_loop_timer **out);
void cl_loop_timer_set(cl_loop_timer *timer, int64_t when_ms); /* absolute; replaces */
void cl_loop_timer_stop(cl_loop_timer *timer);
/* The same for one that is seldom set: nothing wakes for it any more. After a stop the loop wakes for it once if
 * it was the next to come, since that is cheaper where timers are stopped all the time. */
void cl_loop_timer_cancel(cl_loop_timer *timer);
void cl_loop_timer_destroy(cl_loop_timer *timer); /* NULL is fine; inside its own callback too */

/* ---- wakers: a call into the loop's thread from any other. Waking is safe until the waker is destroyed, even when the
 * loop is closed already; several wakes may be one call. */
typedef struct cl_waker cl_waker;
int cl_waker_create(cl_loop *loop, void (*fn)(void *self), void *self, cl_waker **out);
void cl_waker_wake(cl_waker *waker);
void cl_waker_destroy(cl_waker *waker); /* NULL is fine; nobody wakes it any more */

/* ---- fd_watch: when a descriptor that another library owns can be read or written. Told from loop callbacks only. */
enum { CL_FD_READABLE = 1, CL_FD_WRITABLE = 2 };
int cl_fd_watch_create(cl_loop *loop, int fd, void (*fn)(void *self, int fd, int events), void *self,
                       cl_fd_watch **out);
void cl_fd_watch_set(cl_fd_watch *watch, int events);
void cl_fd_watch_destroy(cl_fd_watch *watch); /* NULL is fine; then the descriptor may be closed */

/* ---- fs_watch: names that change in a folder (inotify); NULL: nobody knows which. */
int cl_fs_watch_create(cl_loop *loop, const char *folder, void (*fn)(void *self, const char *name), void *self,
                       cl_fs_watch **out);
void cl_fs_watch_destroy(cl_fs_watch *watch);
/* Reports at once what has changed until now. */
void cl_fs_watch_read(cl_fs_watch *watch);
/* 1: the kernel notifies of changes; 0: they are polled for. */
int cl_fs_watch_is_notified(const cl_fs_watch *watch);

#endif
