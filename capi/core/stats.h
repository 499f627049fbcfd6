/* How many calls and requests of each method there were, how they ended, and how long they took; where that is asked for
 * (cl_core_config.stats). */
#ifndef CL_CORE_STATS_H
#define CL_CORE_STATS_H

#include "base/buf.h"
#include "base/map.h"

enum {
    CL_STATS_METHODS = 500, /* that have an entry of their own */
    CL_STATS_BOUNDS = 14
};

struct cl_core;
struct cl_call;
struct cl_node;
struct cl_request;

/* Of calls, or of requests. */
typedef struct cl_tally {
    uint64_t ended[4];                  /* by enum clouds_outcome */
    uint64_t took[CL_STATS_BOUNDS + 1]; /* those that began, by the least bound that was not exceeded */
    uint64_t micros;                    /* all of these together */
    uint32_t open;
    int is_used;
} cl_tally;

typedef struct cl_stats {
    cl_tally calls, requests;
    uint32_t waiting; /* requests that wait for their turn, and how many may run (0: no limit); while it is written */
    uint32_t limit;
    cl_str name;      /* in `text`, or static */
    char text[];
} cl_stats;

int cl_stats_open(struct cl_core *core);
void cl_stats_close(struct cl_core *core);
/* The entry of a method; past CL_STATS_METHODS, and without memory, the one of all others, whose name is "other". NULL:
 * nothing is counted. */
cl_stats *cl_stats_of(struct cl_core *core, cl_str method);
/* The same for a method that is offered, which is told of before a request came. */
cl_stats *cl_stats_of_service(struct cl_core *core, cl_str method);
/* A call was accepted; it ended. */
void cl_stats_call(struct cl_core *core, struct cl_call *call);
void cl_stats_called(struct cl_core *core, const struct cl_call *call, uint32_t outcome);
/* A request was handed to the program; it ended (its outcome is in it); one was refused without having begun. */
void cl_stats_request(struct cl_core *core, struct cl_request *r, cl_stats *stats);
void cl_stats_served(struct cl_core *core, const struct cl_request *r);
void cl_stats_refused(struct cl_node *node, cl_str method);

#endif
