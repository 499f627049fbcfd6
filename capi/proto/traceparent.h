/* A place in a trace, as W3C Trace Context writes it: 00-<trace>-<span>-<flags>, in small hexadecimal digits. */
#ifndef CL_TRACEPARENT_H
#define CL_TRACEPARENT_H

#include <stdint.h>

#include "base/str.h"

enum {
    CL_TRACE_ID = 16, /* bytes */
    CL_SPAN_ID = 8,
    CL_TRACEPARENT = 55, /* characters */
    CL_TRACE_SAMPLED = 1 /* of the flags: it is recorded */
};

typedef struct cl_trace_place {
    uint8_t trace[CL_TRACE_ID], span[CL_SPAN_ID]; /* neither is all zero */
    uint8_t flags;
} cl_trace_place;

/* 0, or -1: it is none. One of a later version is read as far as this version goes. */
int cl_traceparent_read(cl_str text, cl_trace_place *out);
/* Without a NUL. */
void cl_traceparent_write(const cl_trace_place *place, char out[CL_TRACEPARENT]);

#endif
