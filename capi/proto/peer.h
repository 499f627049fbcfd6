/* The words that core and bus share about peers, sends and limits. */
#ifndef CL_PEER_H
#define CL_PEER_H

#include <stddef.h>

#include "base/str.h"
#include "proto/json.h"

enum cl_native {
    CL_NATIVE_NOT,   /* npm's */
    CL_NATIVE_OURS,  /* it has a node record */
    CL_NATIVE_LINKED /* one of ours, and only it can answer what is sent to it: nobody else can write where it does */
};

/* A server of a method, as a directory knows it. */
typedef struct cl_server {
    cl_str id;
    int native; /* enum cl_native */
} cl_server;

/* What became of an envelope that a bus had accepted. */
enum cl_fate {
    CL_FATE_WRITTEN,  /* handed to the kernel, or further; number: receivers */
    CL_FATE_NOBODY,   /* provably reached no one: not executed */
    CL_FATE_NOT_SENT, /* did not leave this process, or was refused: not executed; number < 0: why, in words too */
    CL_FATE_LOST,     /* the connection broke after it was written: not known */
    CL_FATE_UNPROVEN  /* nobody was counted, but somebody may listen elsewhere: not known */
};

/* The limits of a context; each is an option of the same name (docs/CONFIGURATION.md). */
typedef struct cl_limits {
    size_t message; /* one envelope, bytes */
    size_t method;  /* a method name of ours, bytes */
    cl_json_limits json;
    size_t links;         /* direct links, both directions */
    size_t write_soft;    /* a connection's unwritten bytes: further sends are refused (CLOUDS_ELIMIT) */
    size_t write_hard;    /* the same: the connection is cut */
    size_t resp_line;     /* redis: longest line that is no payload */
    size_t resp_buffered; /* redis: bytes read and not yet understood */
    double connect_timeout, hello_timeout, ping_interval, ping_timeout; /* seconds */
    double reconnect_min, reconnect_max;                                /* seconds */
    double linger; /* seconds, redis: how long a stopped server still answers callers that do not know yet */
} cl_limits;

#endif
