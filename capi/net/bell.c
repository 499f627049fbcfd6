#include "net/inside.h"

#include <pthread.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"

struct cl_bell {
    cl_anchor anchor;
    pid_t owner;
    uv_async_t async;
    pthread_mutex_t lock; /* guards open against a loop that closes while somebody rings */
    void (*fn)(void *self);
    void *self;
    int open;    /* rings reach the loop */
    int closing; /* 1: its handle is closing, 2: it is closed */
    int owned;
};

static void release(cl_bell *bell)
{
    if (bell->closing != 2 || bell->owned) return;
    pthread_mutex_destroy(&bell->lock);
    cl_free(bell);
}

static void on_closed(uv_handle_t *handle)
{
    cl_bell *bell = CL_OWNER(handle, cl_bell, async);
    bell->closing = 2;
    release(bell);
}

static void shut(cl_anchor *anchor)
{
    cl_bell *bell = CL_OWNER(anchor, cl_bell, anchor);
    if (bell->closing) return;
    /* In a child after fork a thread that is not there may hold the lock. */
    int has_others = bell->owner == getpid();
    if (has_others) pthread_mutex_lock(&bell->lock);
    bell->open = 0;
    if (has_others) pthread_mutex_unlock(&bell->lock);
    bell->closing = 1;
    uv_close((uv_handle_t *)&bell->async, on_closed);
}

static void on_rung(uv_async_t *async)
{
    cl_bell *bell = CL_OWNER(async, cl_bell, async);
    bell->fn(bell->self);
}

int cl_bell_create(cl_loop *loop, void (*fn)(void *self), void *self, cl_bell **out)
{
    if (loop->closing) return cl_error(CLOUDS_ECLOSED, NULL);
    cl_bell *bell = cl_malloc(sizeof *bell);
    if (!bell) return cl_error(CLOUDS_ENOMEM, NULL);
    *bell = (cl_bell){.anchor = {shut}, .owner = getpid(), .fn = fn, .self = self, .open = 1, .owned = 1};
    int code = uv_async_init(&loop->uv, &bell->async, on_rung);
    if (code != 0) {
        cl_free(bell);
        return cl_error(CLOUDS_ESYSTEM, "cannot make a bell: %s", uv_strerror(code));
    }
    bell->async.data = &bell->anchor;
    pthread_mutex_init(&bell->lock, NULL);
    *out = bell;
    return 0;
}

void cl_bell_ring(cl_bell *bell)
{
    pthread_mutex_lock(&bell->lock);
    if (bell->open) uv_async_send(&bell->async);
    pthread_mutex_unlock(&bell->lock);
}

void cl_bell_destroy(cl_bell *bell)
{
    if (!bell) return;
    bell->owned = 0;
    shut(&bell->anchor);
    release(bell);
}
