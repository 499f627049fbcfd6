#ifndef CL_COUNTERS_H
#define CL_COUNTERS_H

#include "api/internal.h"

extern const char *const cl_api_counter_names[CL_API_COUNTERS];

#endif
