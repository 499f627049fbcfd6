/* What the options of a context and a node say, read into their structs. */
#ifndef CL_CONFIG_H
#define CL_CONFIG_H

#include "api/internal.h"
#include "api/options.h"

int cl_config_context(cl_context *context, const cl_options *options);
/* What the options and the environment say of tracing; `out` is to be freed in any case. */
int cl_config_trace(cl_context *context, const cl_options *options, cl_trace_settings *out);
void cl_config_core(const cl_context *context, const cl_options *options, cl_core_config *out);
/* Frees what cl_config_context made. */
void cl_config_free(cl_context *context);

/* Fills config, heartbeat and id. */
int cl_config_node(cl_api_node *node, const cl_options *options);

/* Options that change while a node lives, on their way to the engine. */
typedef struct cl_config_change {
    enum cl_option_index which;
    double value;
    uint64_t word; /* of an option of 64 bits */
} cl_config_change;

/* Lists those that are set; returns how many. All must be of scope LIVE. */
size_t cl_config_changes(const cl_options *options, cl_config_change out[CL_OPTIONS]);
void cl_config_apply(cl_node_config *config, const cl_config_change *change);

#endif
