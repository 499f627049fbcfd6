/* clouds_counter: those of the core, then those of this layer. */
#include <string.h>

#include "api/internal.h"
#include "api/counters.h"
#include "base/error.h"

const char *const cl_api_counter_names[CL_API_COUNTERS] = {
    [CL_COUNT_EVENTS] = "events",
    [CL_COUNT_DROPPED_EVENTS] = "dropped_events",
    [CL_COUNT_QUEUE_REFUSALS] = "queue_refusals",
    [CL_COUNT_LOST_RESULTS] = "lost_results",
    [CL_COUNT_SPANS] = "spans",
    [CL_COUNT_LOST_SPANS] = "lost_spans",
};

static const char *name_of(uint32_t index)
{
    return index < CL_COUNTERS ? cl_counter_names[index] : cl_api_counter_names[index - CL_COUNTERS];
}

static int find(const char *name, uint32_t *index)
{
    for (uint32_t i = 0; i < CL_COUNTERS + CL_API_COUNTERS; i++)
        if (strcmp(name_of(i), name) == 0) {
            *index = i;
            return 0;
        }
    return cl_error(CLOUDS_EINVAL, "there is no counter '%.80s'", name);
}

/* In thread mode the core's are those of the last turn of the loop. */
static uint64_t read_counter(cl_context *context, uint32_t index)
{
    cl_context_lock(context);
    uint64_t value = index >= CL_COUNTERS ? context->inbox.counters[index - CL_COUNTERS]
                     : context->threaded  ? context->inbox.core_counters[index]
                                          : cl_core_counters(context->engine.core)[index];
    cl_context_unlock(context);
    return value;
}

int clouds_counter(clouds_context *handle, const char *name, uint32_t index, const char **name_out, uint64_t *value)
{
    cl_context *context;
    int code = cl_guard_context(handle, &context);
    if (code != 0) return code;
    if (!value) code = cl_error(CLOUDS_EINVAL, "clouds_counter: value is NULL");
    else if (name) code = find(name, &index);
    else if (index >= CL_COUNTERS + CL_API_COUNTERS)
        code = cl_error(CLOUDS_EINVAL, "there are %d counters", CL_COUNTERS + CL_API_COUNTERS);
    if (code == 0) {
        if (name_out) *name_out = name_of(index);
        *value = read_counter(context, index);
    }
    cl_guard_leave(context);
    return code;
}
