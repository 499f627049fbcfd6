/* What a context counts, where others read it. */
#ifndef CL_CONTEXT_COUNTS_H
#define CL_CONTEXT_COUNTS_H

#include "api/internal.h"

/* From now on, where this process counts for others, and there is room. */
void cl_context_counts_open(cl_context *context);
/* At the end of a turn. */
void cl_context_counts_tell(cl_context *context);
void cl_context_counts_close(cl_context *context);

#endif
