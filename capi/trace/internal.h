/* What the files of trace share. */
#ifndef CL_TRACE_INTERNAL_H
#define CL_TRACE_INTERNAL_H

#include "base/list.h"
#include "trace/trace.h"

/* ---- environment.c: variables of OpenTelemetry */

/* NULL: it is not there, or empty, which is the same. */
const char *cl_environment(const char *name);
/* A variable says what cannot be. is_strict: CLOUDS_EOPTION, else it is logged, and 0. `got` NULL: it is not shown. */
int cl_environment_refuse(int is_strict, const char *name, const char *got, const char *expected);
/* Calls `take` for each NAME=VALUE between commas, with escapes of the form %41 resolved. 0, -1: it is no such list, or
 * what `take` returned. */
int cl_environment_pairs(const char *text, int (*take)(void *self, cl_str name, cl_str value), void *self);

/* ---- outlet.c: the way out of a batch */

/* What became of one. */
enum cl_sent {
    CL_SENT,
    CL_SENT_AGAIN, /* not now: it is to be sent again */
    CL_SENT_NEVER  /* it is refused */
};

typedef struct cl_outlet cl_outlet;

typedef struct cl_outlet_end {
    enum cl_sent sent;
    size_t refused;    /* spans of it that were not taken */
    const char *words; /* why */
} cl_outlet_end;

int cl_outlet_create(cl_loop *loop, cl_trace_settings *settings, void (*done)(void *self, const cl_outlet_end *end),
                     void *self, cl_outlet **out);
/* One at a time: a whole body. `done` follows, perhaps from inside. */
void cl_outlet_send(cl_outlet *outlet, cl_str body);
/* `done` is not called any more for what is under way. */
void cl_outlet_cancel(cl_outlet *outlet);
/* Where it goes, for people. */
const char *cl_outlet_where(const cl_outlet *outlet);
void cl_outlet_destroy(cl_outlet *outlet); /* NULL is fine */

#endif
