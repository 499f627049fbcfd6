#include "net/internal.h"

#include <pthread.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"

struct cl_waker {
    cl_anchor anchor;
    pid_t owner;
    uv_async_t async;
    pthread_mutex_t lock; /* guards open against a loop that closes while somebody wakes */
    void (*fn)(void *self);
    void *self;
    int open;    /* wakes reach the loop */
    int closing; /* 1: its handle is closing, 2: it is closed */
    int owned;
};

static void release(cl_waker *waker)
{
    if (waker->closing != 2 || waker->owned) return;
    pthread_mutex_destroy(&waker->lock);
    cl_free(waker);
}

static void on_closed(uv_handle_t *handle)
{
    cl_waker *waker = CL_OWNER(handle, cl_waker, async);
    waker->closing = 2;
    release(waker);
}

static void close_handle(cl_anchor *anchor)
{
    cl_waker *waker = CL_OWNER(anchor, cl_waker, anchor);
    if (waker->closing) return;
    /* In a child after fork a thread that is not there may hold the lock. */
    int has_others = waker->owner == getpid();
    if (has_others) pthread_mutex_lock(&waker->lock);
    waker->open = 0;
    if (has_others) pthread_mutex_unlock(&waker->lock);
    waker->closing = 1;
    uv_close((uv_handle_t *)&waker->async, on_closed);
}

static void on_woken(uv_async_t *async)
{
    cl_waker *waker = CL_OWNER(async, cl_waker, async);
    waker->fn(waker->self);
}

int cl_waker_create(cl_loop *loop, void (*fn)(void *self), void *self, cl_waker **out)
{
    if (loop->closing) return cl_error(CLOUDS_ECLOSED, NULL);
    cl_waker *waker = cl_malloc(sizeof *waker);
    if (!waker) return cl_error(CLOUDS_ENOMEM, NULL);
    *waker = (cl_waker){.anchor = {close_handle}, .owner = getpid(), .fn = fn, .self = self, .open = 1, .owned = 1};
    int code = uv_async_init(&loop->uv, &waker->async, on_woken);
    if (code != 0) {
        cl_free(waker);
        return cl_error(CLOUDS_ESYSTEM, "cannot make a waker: %s", uv_strerror(code));
    }
    waker->async.data = &waker->anchor;
    pthread_mutex_init(&waker->lock, NULL);
    *out = waker;
    return 0;
}

void cl_waker_wake(cl_waker *waker)
{
    pthread_mutex_lock(&waker->lock);
    if (waker->open) uv_async_send(&waker->async);
    pthread_mutex_unlock(&waker->lock);
}

void cl_waker_destroy(cl_waker *waker)
{
    if (!waker) return;
    waker->owned = 0;
    close_handle(&waker->anchor);
    release(waker);
}
