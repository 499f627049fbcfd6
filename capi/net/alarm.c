/* Design note: an alarm is freed when both are over, its uv handle and its owner's interest - the loop may end first.
 */
#include "net/inside.h"

#include "base/error.h"
#include "base/mem.h"

struct cl_alarm {
    cl_anchor anchor;
    cl_loop *loop;
    uv_timer_t timer;
    void (*fn)(void *self);
    void *self;
    int open, owned;
};

static void release(cl_alarm *alarm)
{
    if (!alarm->open && !alarm->owned) cl_free(alarm);
}

static void on_closed(uv_handle_t *handle)
{
    cl_alarm *alarm = CL_OWNER(handle, cl_alarm, timer);
    alarm->open = 0;
    release(alarm);
}

static void shut(cl_anchor *anchor)
{
    cl_alarm *alarm = CL_OWNER(anchor, cl_alarm, anchor);
    uv_close((uv_handle_t *)&alarm->timer, on_closed);
}

static void on_due(uv_timer_t *timer)
{
    cl_alarm *alarm = CL_OWNER(timer, cl_alarm, timer);
    cl_loop_hurry(alarm->loop);
    alarm->fn(alarm->self);
}

int cl_alarm_create(cl_loop *loop, void (*fn)(void *self), void *self, cl_alarm **out)
{
    if (loop->closing) return cl_error(CLOUDS_ECLOSED, NULL);
    cl_alarm *alarm = cl_malloc(sizeof *alarm);
    if (!alarm) return cl_error(CLOUDS_ENOMEM, NULL);
    *alarm = (cl_alarm){.anchor = {shut}, .loop = loop, .fn = fn, .self = self, .open = 1, .owned = 1};
    uv_timer_init(&loop->uv, &alarm->timer);
    alarm->timer.data = &alarm->anchor;
    *out = alarm;
    return 0;
}

void cl_alarm_set(cl_alarm *alarm, int64_t when_ms)
{
    if (!alarm->open || uv_is_closing((uv_handle_t *)&alarm->timer)) return;
    /* uv counts from its own idea of now, so an old idea does no harm. */
    int64_t now = (int64_t)uv_now(alarm->timer.loop);
    uv_timer_start(&alarm->timer, on_due, when_ms > now ? (uint64_t)(when_ms - now) : 0, 0);
}

void cl_alarm_stop(cl_alarm *alarm)
{
    if (alarm->open) uv_timer_stop(&alarm->timer);
}

void cl_alarm_destroy(cl_alarm *alarm)
{
    if (!alarm) return;
    alarm->owned = 0;
    if (alarm->open && !uv_is_closing((uv_handle_t *)&alarm->timer)) shut(&alarm->anchor);
    release(alarm);
}
