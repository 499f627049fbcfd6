/* Calls with an idempotency key: each runs once at most on a node within a window, and repeats get its answer. */
#ifndef CL_ONCE_H
#define CL_ONCE_H

#include "base/map.h"
#include "core/request.h"
#include "core/timers.h"

/* What a key stands for. */
typedef struct cl_once cl_once;

/* Those of all nodes of a core. */
typedef struct cl_once_table {
    cl_strmap keys;
    cl_list_node running;
    cl_list_node answered; /* in the order in which they end */
    size_t bytes;          /* of all */
    cl_timed sweep;
} cl_once_table;

int cl_once_open(cl_core *core);   /* 0 or CLOUDS_ENOMEM */
void cl_once_close(cl_core *core); /* all are gone already */

static inline int cl_once_has_key(const cl_envelope *e)
{
    return e->extension && e->extension->key.n;
}

/* A call with a key came. 1: it repeats another, or has its key, and is taken care of. */
int cl_once_repeats(cl_node *node, const cl_envelope *e, int64_t now);
/* It will run, or be refused. 0; -1: there is no room to remember it, and it is refused. */
int cl_once_begin(cl_node *node, const cl_envelope *e);
/* It runs as this request. */
void cl_once_admitted(cl_node *node, const cl_envelope *e, cl_request *r);
/* It is refused: so are those that repeated it, if it is the one that its key stands for. */
void cl_once_refused(cl_node *node, const cl_envelope *e, unsigned flags, cl_str error);
void cl_once_request_refused(cl_request *r, unsigned flags, cl_str error);
int cl_once_is_repeated(const cl_once *once);
/* Its caller gives up while it waits for its turn. 1: others wait for its answer; else its key is free. */
int cl_once_is_wanted(cl_node *node, const cl_envelope *e);
/* The request was answered, or ends without an answer. */
void cl_once_answered(cl_request *r, cl_str error, cl_str result, const cl_extension *x);
void cl_once_dropped(cl_request *r);
void cl_once_free_of_node(cl_node *node);

#endif
