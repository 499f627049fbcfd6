/* Spans: what is recorded of a call, a request, a message or a piece of a program that has ended, and how OpenTelemetry writes it as JSON (OTLP 1). */
#ifndef CL_SPAN_H
#define CL_SPAN_H

#include "base/buf.h"
#include "proto/traceparent.h"

/* The numbers are those of OTLP. */
enum cl_span_kind {
    CL_SPAN_INTERNAL = 1, /* a piece of a program */
    CL_SPAN_SERVER = 2,   /* a request */
    CL_SPAN_CLIENT = 3,   /* a call */
    CL_SPAN_PRODUCER = 4, /* a call that wants no answer; a message, sent or published */
    CL_SPAN_CONSUMER = 5  /* its request; what is done with a message */
};

enum cl_span_subject { CL_SPAN_OF_CALL, CL_SPAN_OF_MESSAGE, CL_SPAN_OF_PROGRAM };

/* What happened meanwhile. */
enum cl_span_event_kind {
    CL_SPAN_RETRY,    /* an attempt failed, and the caller allows another */
    CL_SPAN_FAILOVER, /* a server did not run it, and another is looked for */
    CL_SPAN_HEDGE     /* a second server was asked, too */
};

typedef struct cl_span_event {
    enum cl_span_event_kind kind;
    int64_t at;   /* nanoseconds since 1970 */
    int32_t code; /* why; 0: for no error */
    cl_str peer;  /* the server; empty: none */
} cl_span_event;

typedef struct cl_span {
    enum cl_span_kind kind;
    enum cl_span_subject subject;
    cl_trace_place place;
    uint8_t parent[CL_SPAN_ID]; /* all zero: the trace begins with it */
    int64_t began, ended;       /* nanoseconds since 1970 */
    cl_str state;               /* tracestate, as it stands between its quotes */
    cl_str method, node, peer;  /* method: or what it is called, or the topic; node: whose it is; peer: the server, or
                                   the caller */
    uint64_t request;           /* its number; 0: it is a call */
    uint32_t attempts, sends;   /* of a call */
    uint32_t outcome;           /* enum clouds_outcome */
    int32_t code;
    cl_str error; /* a JSON object, or words; empty: there is none */
    const cl_span_event *events;
    size_t event_count, dropped_events;
} cl_span;

/* Appends it. 0 or CLOUDS_ENOMEM, with the buffer as it was. */
int cl_span_put(const cl_span *span, cl_buf *out);
/* Appends {"key":...,"value":{"stringValue":...}}. */
int cl_span_put_attribute(cl_buf *out, const char *key, cl_str text);

#endif
