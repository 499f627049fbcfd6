/* The words of a failure, in the room that the options of what failed have for them: a language whose threads are not
 * those of the system has no other way to them. */
#ifndef CL_LAST_ERROR_H
#define CL_LAST_ERROR_H

#include "clouds.h"

/* Both return `code`. */
int cl_report_call_error(const clouds_call_options *options, int code);
int cl_report_operation_error(const clouds_operation_options *options, int code);

#endif
