/* Design note: a timer is freed when both its uv handle is closed and its owner has destroyed it; the loop may end
 * first. */
#include "net/internal.h"

#include "base/error.h"
#include "base/mem.h"

struct cl_loop_timer {
    cl_anchor anchor;
    cl_loop *loop;
    uv_timer_t uv;
    void (*fn)(void *self);
    void *self;
    int open, owned;
};

static void release(cl_loop_timer *timer)
{
    if (!timer->open && !timer->owned) cl_free(timer);
}

static void on_closed(uv_handle_t *handle)
{
    cl_loop_timer *timer = CL_OWNER(handle, cl_loop_timer, uv);
    timer->open = 0;
    release(timer);
}

static void close_handle(cl_anchor *anchor)
{
    cl_loop_timer *timer = CL_OWNER(anchor, cl_loop_timer, anchor);
    uv_close((uv_handle_t *)&timer->uv, on_closed);
}

static void on_due(uv_timer_t *uv)
{
    cl_loop_timer *timer = CL_OWNER(uv, cl_loop_timer, uv);
    cl_loop_end_wait(timer->loop);
    timer->fn(timer->self);
}

int cl_loop_timer_create(cl_loop *loop, void (*fn)(void *self), void *self, cl_loop_timer **out)
{
    if (loop->closing) return cl_error(CLOUDS_ECLOSED, NULL);
    cl_loop_timer *timer = cl_malloc(sizeof *timer);
    if (!timer) return cl_error(CLOUDS_ENOMEM, NULL);
    *timer = (cl_loop_timer){.anchor = {close_handle}, .loop = loop, .fn = fn, .self = self, .open = 1, .owned = 1};
    uv_timer_init(&loop->uv, &timer->uv);
    timer->uv.data = &timer->anchor;
    *out = timer;
    return 0;
}

void cl_loop_timer_set(cl_loop_timer *timer, int64_t when_ms)
{
    if (!timer->open || uv_is_closing((uv_handle_t *)&timer->uv)) return;
    /* uv counts from its own idea of now, so an old idea does no harm. */
    int64_t now = (int64_t)uv_now(timer->uv.loop);
    uv_timer_start(&timer->uv, on_due, when_ms > now ? (uint64_t)(when_ms - now) : 0, 0);
}

void cl_loop_timer_stop(cl_loop_timer *timer)
{
    if (timer->open) uv_timer_stop(&timer->uv);
}

void cl_loop_timer_cancel(cl_loop_timer *timer)
{
    if (timer->open) timer->loop->canceled = 1;
    cl_loop_timer_stop(timer);
}

void cl_loop_timer_destroy(cl_loop_timer *timer)
{
    if (!timer) return;
    timer->owned = 0;
    if (timer->open && !uv_is_closing((uv_handle_t *)&timer->uv)) close_handle(&timer->anchor);
    release(timer);
}
