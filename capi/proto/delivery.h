/* What core, bus, directories and transports say about servers and sends. */
#ifndef CL_DELIVERY_H
#define CL_DELIVERY_H

#include "base/str.h"
#include "proto/traits.h"

enum cl_native {
    CL_NATIVE_NOT,    /* npm's */
    CL_NATIVE_OURS,   /* it has a node record */
    CL_NATIVE_LINKED, /* native, and only it can answer what is sent to it, since no other process can write to its
                       * link */
    CL_NATIVE_FRAMES  /* its record says that it reads frames over Redis */
};

/* A server of a method, as a directory knows it. */
typedef struct cl_server {
    cl_str id;
    int native; /* enum cl_native */
    int paused; /* it is registered, and does not take calls: in a list only */
    cl_traits traits;
} cl_server;

/* What became of an envelope that a bus had accepted. */
enum cl_delivery {
    CL_DELIVERY_WRITTEN,  /* handed to the kernel, or further; number: receivers */
    CL_DELIVERY_NOBODY,   /* provably reached no one: not executed */
    CL_DELIVERY_NOT_SENT, /* did not leave this process, or was refused: not executed; number < 0: why, in words too */
    CL_DELIVERY_LOST,     /* the connection broke after it was written: not known */
    CL_DELIVERY_UNPROVEN  /* nobody was counted, but somebody may listen elsewhere: not known */
};

#endif
