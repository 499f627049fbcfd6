#include "core/internal.h"

/* Timers of calls come mostly in the order in which they are due, since most timeouts are the same, and are nearly all
 * stopped. So those that come in order stand in a row, and only the others in a heap.
 *
 * The port is armed anew only when the earliest moment comes nearer. When it goes away, the port still ticks at the old
 * moment, finds nothing due, and is armed anew: one idle tick instead of two calls of the port for every call made. */

enum { RETRY_MS = 50, ROOM_MS = 5, LINKS_MS = 1000 };

int64_t cl_core_now(const cl_core *core)
{
    return core->port.now(core->port.self);
}

CL_RARE static int make_room(cl_core *core)
{
    return cl_heap_reserve(&core->timers, core->timed + 1 - core->timers.len);
}

int cl_timers_adopt(cl_core *core, cl_timed *timed, void (*due)(cl_core *, cl_timed *, int64_t))
{
    if (core->timers.cap <= core->timed && make_room(core) != 0) return CLOUDS_ENOMEM;
    *timed = (cl_timed){.due = due};
    cl_list_init(&timed->row);
    core->timed++;
    return 0;
}

void cl_timers_abandon(cl_core *core, cl_timed *timed)
{
    cl_timers_stop(core, timed);
    core->timed--;
}

static cl_timed *first_in_row(const cl_core *core)
{
    return cl_list_empty(&core->row) ? NULL : CL_OWNER(core->row.next, cl_timed, row);
}

static cl_timed *first(const cl_core *core)
{
    cl_timed *in_row = first_in_row(core);
    cl_timer *in_heap = cl_heap_first(&core->timers);
    if (!in_heap || (in_row && in_row->timer.when <= in_heap->when)) return in_row;
    return CL_OWNER(in_heap, cl_timed, timer);
}

static void arm_by(cl_core *core, int64_t when)
{
    if (when >= core->armed) return;
    core->armed = when;
    core->port.arm(core->port.self, when);
}

void cl_timers_set(cl_core *core, cl_timed *timed, int64_t when)
{
    cl_list_remove(&timed->row);
    cl_heap_set(&core->timers, &timed->timer, when);
    arm_by(core, when);
}

void cl_timers_set_next(cl_core *core, cl_timed *timed, int64_t when)
{
    cl_timers_stop(core, timed);
    cl_timers_start_next(core, timed, when);
}

void cl_timers_start_next(cl_core *core, cl_timed *timed, int64_t when)
{
    if (!cl_list_empty(&core->row) && CL_OWNER(core->row.prev, cl_timed, row)->timer.when > when) {
        cl_timers_set(core, timed, when);
        return;
    }
    timed->timer.when = when;
    cl_list_append(&core->row, &timed->row);
    arm_by(core, when);
}

void cl_timers_stop(cl_core *core, cl_timed *timed)
{
    cl_list_remove(&timed->row);
    if (timed->timer.index) cl_heap_remove(&core->timers, &timed->timer);
}

int cl_timers_is_set(const cl_timed *timed)
{
    return timed->timer.index != 0 || !cl_list_empty(&timed->row);
}

void cl_core_tick(cl_core *core)
{
    int64_t now = cl_core_now(core);
    core->armed = INT64_MIN;
    cl_timed *timed;
    while ((timed = first(core)) && timed->timer.when <= now) timed->due(core, timed, now);
    core->armed = timed ? timed->timer.when : INT64_MAX;
    core->port.arm(core->port.self, core->armed);
}

void cl_core_check_room_soon(cl_core *core)
{
    if (!cl_timers_is_set(&core->room)) cl_timers_set(core, &core->room, cl_core_now(core) + ROOM_MS);
}

static void retry_by(cl_core *core, int64_t when)
{
    if (!cl_timers_is_set(&core->retry) || core->retry.timer.when > when) cl_timers_set(core, &core->retry, when);
}

void cl_core_retry_soon(cl_core *core, int64_t now)
{
    retry_by(core, now + RETRY_MS);
}

void cl_core_retry_links(cl_core *core, int64_t now)
{
    retry_by(core, now + LINKS_MS);
}
