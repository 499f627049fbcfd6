/* Error objects: those of the library, and those that the other side sent. */
#ifndef CL_CORE_ERROR_TEXT_H
#define CL_CORE_ERROR_TEXT_H

#include "core/call.h"
#include "core/node.h"
#include "core/operation.h"

typedef struct cl_remote_error {
    int is_object, empty, numbered; /* an object; without members; with members "0", "1", ... only */
    int has_message, has_code;
    cl_str message, code, reason; /* raw, when they are text */
    uint64_t retry_after;         /* ms; 0: not said */
} cl_remote_error;
/* Error objects of the library; all are in the scratch, or static. Only with the text of the code: */
cl_str cl_error_text_of_code(cl_core *core, int code);
/* With the last words of this thread, and what they are about. */
cl_str cl_error_text_last(cl_core *core, int code);
/* Of a call: what it called, whom it asked. `said`: with the last words of this thread. */
cl_str cl_error_text_of_call(const cl_call *call, int code, int said);
/* Of an operation or a node; `why` empty or NULL: what is known of the bus, or the text of the code. */
cl_str cl_error_text_of_op(const cl_op *op, int code, const char *why);
cl_str cl_error_text_of_node(const cl_node *node, int code, const char *why);
cl_str cl_error_text_of_bus(cl_core *core, int code, const char *why);
void cl_remote_error_read(const cl_core *core, cl_str error, cl_remote_error *out);
cl_str cl_remote_error_normal(cl_core *core, cl_str error, const cl_remote_error *words);

#endif
