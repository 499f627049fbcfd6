/* How many calls and requests of each method there were, how they ended, and how long they took; where that is asked for
 * (cl_core_config.stats). */
#ifndef CL_CORE_STATS_H
#define CL_CORE_STATS_H

#include "base/buf.h"
#include "base/map.h"
#include "clouds_worker.h"

enum {
    CL_STATS_METHODS = 500 /* that have an entry of their own */
};

struct cl_core;
struct cl_call;
struct cl_node;
struct cl_request;

/* Why a request was not begun. */
enum cl_refusal {
    CL_REFUSAL_RATE,
    CL_REFUSAL_QUEUE,       /* it is full */
    CL_REFUSAL_AGE,         /* it waited there too long */
    CL_REFUSAL_CONCURRENCY, /* and there is no queue */
    CL_REFUSAL_LIMIT,       /* of all requests together */
    CL_REFUSAL_PAUSED,
    CL_REFUSAL_DRAINING,
    CL_REFUSAL_EXPIRED,
    CL_REFUSAL_INVALID, /* what cannot be read, or is too large */
    CL_REFUSALS /* CLOUDS_REFUSALS */
};

/* Their values may be where others read them, too (cl_core_config.add_counts); then they stay when the core ends. */
typedef struct cl_stats {
    clouds_method_counts *n;
    int is_own; /* or added by add_counts */
    cl_str name; /* in `text`, or static */
    char text[];
} cl_stats;

int cl_stats_open(struct cl_core *core);
void cl_stats_close(struct cl_core *core);
/* The entry of a method; past CL_STATS_METHODS, and without memory, the one of all others, whose name is "other". NULL:
 * nothing is counted. */
cl_stats *cl_stats_of(struct cl_core *core, cl_str method);
/* The same for a method that is offered, which is told of before a request came. */
cl_stats *cl_stats_of_service(struct cl_core *core, cl_str method);
/* A call was accepted, and its core has just asked what time it is; it ended. */
void cl_stats_call(struct cl_core *core, struct cl_call *call);
void cl_stats_called(struct cl_core *core, const struct cl_call *call, uint32_t outcome);
/* A request was handed to the program; it ended (its outcome is in it); one was refused without having begun. */
void cl_stats_request(struct cl_core *core, struct cl_request *r, cl_stats *stats);
void cl_stats_served(struct cl_core *core, const struct cl_request *r);
void cl_stats_refused(struct cl_node *node, cl_str method, enum cl_refusal why);
/* The same for one that was handed to the program, which had not looked at it; it ends by cl_stats_served. */
void cl_stats_taken_back(cl_stats *stats, enum cl_refusal why);
/* One of a method with limits began, `ms` milliseconds after it came. `stats` NULL: nothing is counted. */
void cl_stats_waited(cl_stats *stats, int64_t ms);

/* All of it, as members of an object; where it is counted. */
int cl_stats_put(struct cl_core *core, cl_buf *out);
/* CLOUDS_ENOTSUP, for another node: it is not. */
int cl_stats_missing(void);

#endif
