/* Spans of calls and requests: begun, noted in, ended; and what goes along with a call so that the spans of others join
 * its trace.
 *
 * There is one where traces are recorded (cl_core_config.traces) and this one is to be, or where the meta names a node
 * that wants the spans ("trace-to"), which then gets each as a message, {"$span":{...}}. */
#ifndef CL_CORE_TRACE_H
#define CL_CORE_TRACE_H

#include "base/buf.h"
#include "core/core.h"
#include "proto/span.h"

struct cl_call;
struct cl_request;

/* One that has not ended. */
typedef struct cl_open_span cl_open_span;

/* Where traces are not recorded: does the meta ask for spans? */
int cl_trace_is_asked(const cl_core *core, cl_str meta);

/* A call is made: its span begins, if there is to be one, and *meta becomes what goes along; where there is no room for
 * that, it is left as it was. rest: bytes that the message has for it. kept: where the text lies, or will. */
void cl_trace_call(cl_core *core, struct cl_call *call, size_t rest, cl_str *meta, cl_buf *kept);
/* Something is published: a span begins as for a call, unless NULL is returned, and the meta of the payload becomes what
 * goes along: in the trace of `trace`, if it is in none by itself. rest, kept: as there. */
cl_open_span *cl_trace_publish(cl_core *core, cl_str topic, cl_str trace, size_t rest, cl_payload *payload,
                               cl_buf *kept);
/* A request begins; its meta becomes what is called on its behalf with. */
void cl_trace_request(cl_core *core, struct cl_request *r, cl_str method);

/* Something happened in a call: to `peer`, or NULL. The span may be NULL. */
void cl_trace_note(const cl_core *core, cl_open_span *span, enum cl_span_event_kind kind, int code, cl_str peer);
/* A request is answered with this error, or ends with this code of the library. */
void cl_trace_failed(cl_open_span *span, int code, cl_str error);

/* The end of both; no span is left. */
void cl_trace_called(cl_core *core, struct cl_call *call, uint32_t outcome, int code, cl_str error);
void cl_trace_served(cl_core *core, struct cl_request *r);
/* 0, or why it was not published. */
void cl_trace_published(cl_node *node, cl_open_span *span, int code);
/* Nobody hears of it. NULL is fine. */
void cl_trace_discard(cl_open_span *span);

#endif
