/* The timers of a core, each in a record that can wait. */
#ifndef CL_CORE_TIMERS_H
#define CL_CORE_TIMERS_H

#include "base/heap.h"
#include "base/list.h"
#include "core/core.h"

typedef struct cl_timed {
    cl_timer timer;
    cl_list_node row;                                                /* in core->row, when it is not in the heap */
    void (*due)(cl_core *core, struct cl_timed *timed, int64_t now); /* must move or remove the timer */
} cl_timed;

int cl_timers_adopt(cl_core *core, cl_timed *timed, void (*due)(cl_core *, cl_timed *, int64_t));
void cl_timers_abandon(cl_core *core, cl_timed *timed);
void cl_timers_set(cl_core *core, cl_timed *timed, int64_t when);
void cl_timers_set_next(cl_core *core, cl_timed *timed,
                        int64_t when); /* the same, cheap when it is due after all others */
void cl_timers_start_next(cl_core *core, cl_timed *timed, int64_t when); /* the same for one that is not set */
void cl_timers_stop(cl_core *core, cl_timed *timed);
int cl_timers_is_set(const cl_timed *timed);

#endif
