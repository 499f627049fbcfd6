/* The limits of a context, which the core, the client of Redis and the transports keep. */
#ifndef CL_LIMITS_H
#define CL_LIMITS_H

#include <stddef.h>

#include "proto/json.h"

/* Each is an option of the same name (docs/CONFIGURATION.md). */
typedef struct cl_limits {
    size_t message; /* one envelope, bytes */
    size_t method;  /* the name of a method that is registered here, bytes */
    cl_json_limits json;
    size_t links;         /* direct links, both directions */
    size_t write_soft;    /* a connection's unwritten bytes: further sends are refused (CLOUDS_ELIMIT) */
    size_t write_hard;    /* the same: the connection is cut */
    size_t resp_line;     /* redis: longest line that is no payload */
    size_t resp_buffered; /* redis: bytes read and not yet understood */
    double connect_timeout, hello_timeout, ping_interval, ping_timeout; /* seconds */
    double reconnect_min, reconnect_max;                                /* seconds */
    const struct cl_direct *direct; /* links to other contexts; NULL: none. Read when the bus is made */
    double linger; /* seconds, redis: how long a stopped server still answers callers that do not know yet */
} cl_limits;

#endif
