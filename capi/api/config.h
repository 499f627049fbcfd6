/* What the options of a context and a node say, read into their structs. */
#ifndef CL_CONFIG_H
#define CL_CONFIG_H

#include "api/context.h"
#include "api/options.h"

int cl_config_context(cl_context *context, const cl_options *options);
void cl_config_core(const cl_context *context, const cl_options *options, cl_core_config *out);
/* Frees what cl_config_context made. */
void cl_config_free(cl_context *context);

/* Fills config, heartbeat and id. */
int cl_config_node(cl_api_node *node, const cl_options *options);

#endif
