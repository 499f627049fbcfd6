/* What the two files of a directory of the program's share: ask.c, what the bus asks of it; report.c, what it reports. */
#ifndef CL_OWN_DIRECTORY_INTERNAL_H
#define CL_OWN_DIRECTORY_INTERNAL_H

#include "base/list.h"
#include "directory/own/own.h"
#include "net/plugin.h"

typedef struct own_directory {
    cl_directory base;
    cl_plugin plugin;
    const cl_own_directory_kind *kind;
    cl_directory_sink sink;
    clouds_directory_sink theirs;
    int native; /* of all servers */
    int is_creating;
} own_directory;

#define OWN(d) CL_OWNER(d, own_directory, base)

#define ASK CL_PLUGIN_ASK

#define THEIRS(o) (&(o)->kind->theirs)
#define IT(o) ((o)->plugin.theirs)

/* ---- report.c */
extern const clouds_directory_sink cl_own_directory_sink;

#endif
