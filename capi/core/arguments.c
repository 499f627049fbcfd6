#include "core/internal.h"
#include "proto/schema.h"

/* What a method takes, where it says so (cl_service.schema), and the end of a call that brings something else. */

/* Callers of an older version would take the refusal for one of a busy server, and call others. */
CL_RARE static void refuse(cl_node *node, const cl_envelope *e)
{
    cl_core *core = node->core;
    core->counters[CL_COUNT_REFUSED_REQUESTS]++;
    cl_request_refuse_with(node, e, e->flags & CL_FRAMES ? CL_REFUSED : 0, CL_REFUSAL_INVALID,
                           cl_error_text_last(core, CLOUDS_EBADARG));
}

int cl_arguments_refused(cl_node *node, const cl_envelope *e)
{
    const cl_schema *schema = node->last_service->schema;
    int code = schema && schema->args ? cl_shape_check(schema->args, e->args) : 0;
    if (code == CLOUDS_EBADARG) refuse(node, e);
    else if (code != 0) cl_request_refuse(node, e, CLOUDS_EOVERLOAD);
    return code != 0;
}
