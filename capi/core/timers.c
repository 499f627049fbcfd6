#include "core/internal.h"

/* The port is told only when the earliest moment comes nearer. When it goes away, the port still ticks at the old
 * moment, finds nothing due, and is armed anew: one idle tick instead of two calls of the port for every call made. */

enum { NUDGE = 50 };

int64_t cl_ms(double seconds)
{
    if (!(seconds > 0)) return 0;
    if (seconds > 1e9) return (int64_t)1000000000000;
    return (int64_t)(seconds * 1000.0 + 0.999); /* never early */
}

int64_t cl_core_now(const cl_core *core)
{
    return core->port.now(core->port.self);
}

int cl_timers_adopt(cl_core *core, cl_timed *timed, void (*due)(cl_core *, cl_timed *, int64_t))
{
    size_t room = core->timed + 1 - core->timers.len;
    if (cl_heap_reserve(&core->timers, room) != 0) return CLOUDS_ENOMEM;
    *timed = (cl_timed){.due = due};
    core->timed++;
    return 0;
}

void cl_timers_abandon(cl_core *core, cl_timed *timed)
{
    cl_heap_remove(&core->timers, &timed->timer);
    core->timed--;
}

void cl_timers_set(cl_core *core, cl_timed *timed, int64_t when)
{
    cl_heap_set(&core->timers, &timed->timer, when);
    if (when >= core->armed) return;
    core->armed = when;
    core->port.arm(core->port.self, when);
}

void cl_timers_stop(cl_core *core, cl_timed *timed)
{
    cl_heap_remove(&core->timers, &timed->timer);
}

void cl_core_tick(cl_core *core)
{
    int64_t now = cl_core_now(core);
    core->armed = INT64_MIN;
    for (cl_timer *t; (t = cl_heap_first(&core->timers)) && t->when <= now;) {
        cl_timed *timed = CL_OWNER(t, cl_timed, timer);
        timed->due(core, timed, now);
    }
    cl_timer *first = cl_heap_first(&core->timers);
    core->armed = first ? first->when : INT64_MAX;
    core->port.arm(core->port.self, core->armed);
}

void cl_core_nudge(cl_core *core, int64_t now)
{
    if (core->nudge.timer.index == 0) cl_timers_set(core, &core->nudge, now + NUDGE);
}
