/* Meta: a JSON object that goes along with a call. Its members whose names begin with '-' are for one hop, the others
 * are handed on to what is called on behalf of it. */
#ifndef CL_META_H
#define CL_META_H

#include "base/buf.h"
#include "base/str.h"

/* Appends what a call has that is made on behalf of one with `inherited`: its own members, and those of the other that
 * are not for one hop. Both are valid objects, or empty; nothing is appended when nothing is left. 0 or CLOUDS_ENOMEM.
 */
int cl_meta_merge(cl_str inherited, cl_str own, cl_buf *out);

/* What a meta says of a trace, as texts between their quotes; empty: it does not say it, or not as text. */
typedef struct cl_meta_trace {
    cl_str parent, state; /* traceparent and tracestate of W3C Trace Context */
    cl_str to;            /* trace-to: the node that wants the spans */
    int has_other;        /* it has members that are not of a trace */
} cl_meta_trace;

cl_meta_trace cl_meta_trace_of(cl_str meta);
/* The id of the trace that it is in, in `room`; empty: it is in none. */
enum { CL_TRACE_DIGITS = 32 };
cl_str cl_meta_trace_id(cl_str meta, char room[CL_TRACE_DIGITS]);
/* Appends the meta with this of a trace in the place of what it has; nothing when nothing is left. 0 or CLOUDS_ENOMEM.
 */
int cl_meta_with_trace(cl_str meta, const cl_meta_trace *trace, cl_buf *out);

#endif
