/* A directory that the program has registered (clouds_extend.h). */
#ifndef CL_OWN_DIRECTORY_H
#define CL_OWN_DIRECTORY_H

#include "clouds_extend.h"
#include "directory/directory.h"

/* As it is registered: read to the library's size, and complete. */
typedef struct cl_own_directory_kind {
    clouds_directory_ops theirs;
    cl_directory_ops ops; /* what the bus calls; NULL where theirs has none */
} cl_own_directory_kind;

/* 0, or CLOUDS_EINVAL with the name of what is missing. */
int cl_own_directory_prepare(cl_own_directory_kind *kind);

/* only_links: the way to its nodes is the library's links. `kind` lives longer. */
int cl_own_directory_create(struct cl_loop *loop, const cl_own_directory_kind *kind, cl_str address, int only_links,
                            const struct cl_limits *limits, const cl_directory_sink *sink, cl_directory **out);

#endif
