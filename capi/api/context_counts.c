/* A context's row of counts: 1 while it is there, 1 while it is connected, its nodes; then its counters. And
 * clouds_counts_use, _add. */
#include "api/context_counts.h"

#include <string.h>

#include "api/check.h"
#include "api/counters.h"
#include "api/guard.h"
#include "base/buf.h"
#include "worker/counts.h"

enum {
    IS_OPEN,
    IS_UP,
    NODES,
    COUNTERS,
    API_COUNTERS = COUNTERS + CL_COUNTERS,
    VALUES = API_COUNTERS + CL_API_COUNTERS
};

/* The names of the values. */
static int put_names(cl_buf *out)
{
    int code = cl_buf_put_str(out, CL_STR("open up nodes"));
    for (int i = 0; i < CL_COUNTERS && code == 0; i++) code = cl_buf_printf(out, " %s", cl_counter_names[i]);
    for (int i = 0; i < CL_API_COUNTERS && code == 0; i++) code = cl_buf_printf(out, " %s", cl_api_counter_names[i]);
    return code;
}

void cl_context_counts_open(cl_context *context)
{
    cl_buf names = {0};
    if (!cl_counts_mine()) return;
    if (put_names(&names) == 0)
        context->engine.counts = cl_counts_add_mine(CLOUDS_COUNTS_CONTEXT, cl_buf_str(&names), VALUES);
    cl_buf_free(&names);
    if (!context->engine.counts) return;
    memcpy(context->engine.before, context->engine.counts + COUNTERS, sizeof context->engine.before);
}

/* Read by others at any time. */
static void set(uint64_t *values, int index, uint64_t value)
{
    __atomic_store_n(&values[index], value, __ATOMIC_RELAXED);
}

/* Another context may have had the row: what that has counted stays. */
void cl_context_counts_tell(cl_context *context)
{
    uint64_t *values = context->engine.counts;
    const uint64_t *before = context->engine.before, *counters = cl_core_counters(context->engine.core);
    set(values, IS_OPEN, 1);
    set(values, IS_UP, (uint64_t)cl_core_is_up(context->engine.core));
    set(values, NODES, context->engine.nodes);
    for (int i = 0; i < CL_COUNTERS; i++) set(values, COUNTERS + i, before[i] + counters[i]);
    cl_context_lock(context);
    for (int i = 0; i < CL_API_COUNTERS; i++)
        set(values, API_COUNTERS + i, before[CL_COUNTERS + i] + context->inbox.counters[i]);
    cl_context_unlock(context);
    cl_stats_look(context->engine.core);
}

void cl_context_counts_close(cl_context *context)
{
    if (!context->engine.counts) return;
    if (context->engine.core) cl_context_counts_tell(context);
    for (int i = 0; i < COUNTERS; i++) set(context->engine.counts, i, 0);
    cl_counts_free(context->engine.counts);
    context->engine.counts = NULL;
}

int clouds_counts_use(void *memory, size_t size)
{
    int code = cl_guard_hooks();
    return code != 0 ? code : cl_counts_use(memory, size);
}

uint64_t *clouds_counts_add(void *memory, uint32_t kind, const char *name, size_t name_len, uint32_t value_count)
{
    if (cl_guard_hooks() != 0) return NULL;
    return cl_counts_add(memory ? memory : cl_counts_mine(), kind, cl_str_of(name, name_len), value_count);
}
