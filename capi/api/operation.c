/* What ends with one event and is no call: ids, room for the completion, options. */
#include "api/check.h"
#include "api/internal.h"
#include "api/record.h"
#include "base/error.h"
#include "base/seconds.h"

int cl_operation_read(const clouds_operation_options *theirs, const uint64_t *operation, int is_close,
                      clouds_operation_options *o)
{
    *o = (clouds_operation_options){0};
    int code = theirs ? cl_record_read(CL_RECORD_clouds_operation_options, theirs, o) : 0;
    if (code != 0) return code;
    if (o->flags & ~(uint32_t)CLOUDS_OPERATION_WAIT)
        return cl_error(CLOUDS_ENOTSUP, "this version does not know the flags %u of an operation", o->flags);
    if (o->flags && !operation) return cl_error(CLOUDS_EINVAL, "the pointer for the operation's id is NULL");
    if (is_close && o->timeout != 0)
        return cl_error(CLOUDS_EINVAL, "a close is limited by its drain, not by a timeout");
    o->timeout = cl_at_most(o->timeout);
    return cl_check_period(o->timeout, "the timeout");
}

/* Under the lock. */
static int reserve(cl_context *context, uint64_t id)
{
    int is_full = cl_id_is_waited_for(id) && context->inbox.wait_slots.len >= context->config.max_in_flight;
    return is_full ? CLOUDS_ELIMIT : cl_completion_reserve(context, id);
}

static int refused(cl_context *context, int code)
{
    if (code != CLOUDS_ELIMIT) return cl_error(code, NULL);
    return cl_error_limit(code, context->config.max_in_flight, context->config.max_in_flight,
                          "%zu calls and operations wait for clouds_wait already (max_in_flight)",
                          context->config.max_in_flight);
}

int cl_operation_start(cl_context *context, const clouds_operation_options *o, cl_command *command, uint64_t *operation)
{
    uint64_t id = command->id = cl_context_id(context, (o->flags & CLOUDS_OPERATION_WAIT) != 0);
    command->operation.spec.timeout = o->timeout;
    command->user_data = o->user_data;
    cl_context_lock(context);
    int code = reserve(context, id);
    cl_context_unlock(context);
    if (code != 0) return refused(context, code);
    code = cl_submit(context, command);
    if (code == 0) {
        if (operation) *operation = id;
        return 0;
    }
    cl_context_lock(context);
    cl_completion_unreserve(context, id);
    cl_context_unlock(context);
    return code;
}

int cl_operation_start_close(cl_context *context, const clouds_operation_options *o, cl_command *command,
                             uint64_t *operation)
{
    int waited = (o->flags & CLOUDS_OPERATION_WAIT) != 0;
    uint64_t id = command->id = cl_context_id(context, waited);
    command->user_data = o->user_data;
    cl_context_lock(context);
    int code = waited ? cl_wait_slot_add(&context->inbox.wait_slots, id, &context->inbox.wait_bytes) : 0;
    if (waited && code == 0) ((cl_wait_slot *)cl_idmap_get(&context->inbox.wait_slots, id))->closing = 1;
    cl_context_unlock(context);
    if (code != 0) return cl_error(code, NULL);
    if (operation) *operation = id;
    return cl_submit_embedded(context, command);
}
