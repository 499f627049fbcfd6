/* What this process counts by name, in memory that others may read (clouds_worker.h). */
#ifndef CL_COUNTS_H
#define CL_COUNTS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "clouds_worker.h"

/* The memory of this process, once. 0 or CLOUDS_EINVAL, CLOUDS_EEXIST. */
int cl_counts_use(void *memory, size_t size);
/* NULL: there is none. */
clouds_counts *cl_counts_mine(void);

/* As clouds_counts_add. */
uint64_t *cl_counts_add(clouds_counts *counts, uint32_t kind, cl_str name, uint32_t value_count);
/* In the memory of this process. */
uint64_t *cl_counts_add_mine(uint32_t kind, cl_str name, uint32_t value_count);
/* Nobody counts in it any more; another may go on. */
void cl_counts_free(uint64_t *values);

#endif
