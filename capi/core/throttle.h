/* How the attempts of a method ended within the last seconds, for callers that hold back by themselves. */
#ifndef CL_THROTTLE_H
#define CL_THROTTLE_H

#include <stdint.h>

enum { CL_THROTTLE_SECONDS = 10 };

typedef struct cl_throttle {
    uint32_t ended[CL_THROTTLE_SECONDS], accepted[CL_THROTTLE_SECONDS];
    int64_t second; /* the latest of the window */
} cl_throttle;

struct cl_call;

/* An attempt ended: its server did it (1), or was busy, silent or lost (0). What says nothing of the load does not count. */
void cl_throttle_ended(const struct cl_call *call, int accepted, int64_t now);
/* Of a node that holds back. 1: the call is not to be sent now, the first time or to a second server. It counts like one that a busy server
 * refused. */
int cl_throttle_holds_back(const struct cl_call *call, int64_t now);
/* The same for an attempt of its own, which ends by that: keeps the reason. */
int cl_throttle_refuses(struct cl_call *call, int64_t now);

#endif
