/* A transport that the program has registered (clouds_extend.h). It carries envelopes as frames, in whole. */
#ifndef CL_OWN_TRANSPORT_H
#define CL_OWN_TRANSPORT_H

#include "clouds_extend.h"
#include "transport/transport.h"

/* As it is registered: read to the library's size, and complete. */
typedef struct cl_own_transport_kind {
    clouds_transport_ops theirs;
    cl_transport_ops ops; /* what the bus calls; NULL where theirs has none */
} cl_own_transport_kind;

/* 0, or CLOUDS_EINVAL with the name of what is missing. */
int cl_own_transport_prepare(cl_own_transport_kind *kind);

/* `kind` lives longer, and so does `name`: beside another transport, where nodes may have addresses of other kinds, its
 * addresses begin with that and a colon; empty: there is no other. */
int cl_own_transport_create(struct cl_loop *loop, const cl_own_transport_kind *kind, cl_str name, cl_str address,
                            const struct cl_limits *limits, const cl_transport_sink *sink, cl_transport **out);

#endif
