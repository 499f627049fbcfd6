/* A call that takes long is sent to a second server, too; the first answer counts. */
#ifndef CL_HEDGE_H
#define CL_HEDGE_H

#include "base/list.h"
#include "core/core.h"

struct cl_call;
struct cl_method;

/* Of a call that may be hedged, and of its twin: the call at the second server. */
typedef struct cl_hedge cl_hedge;

int cl_hedge_create(struct cl_call *call, double seconds); /* 0 or CLOUDS_ENOMEM; < 0: by what the method takes */
/* When the second server is to be asked, if the answer has not come. */
int64_t cl_hedge_when(const struct cl_call *call);
void cl_hedge_due(struct cl_call *call, int64_t now);
int cl_hedge_is_twin(const struct cl_call *call);
/* The call, or its twin, is about to end. 1: it is not the end: the other goes on, or was ended instead. */
int cl_hedge_goes_on(struct cl_call *call, int code, cl_str error, cl_str data, const cl_extension *x);
/* The record goes. */
void cl_hedge_release(struct cl_call *call);

/* How long the answers of a method took; kept for methods that are hedged by it. */
typedef struct cl_latencies cl_latencies;
void cl_latencies_note(cl_latencies *l, int64_t ms);

#endif
