/* How many requests of a method may run at a time, found by how long they take. */
#ifndef CL_ADAPTIVE_H
#define CL_ADAPTIVE_H

#include <stdint.h>

enum { CL_ADAPTIVE_LEAST = 4, CL_ADAPTIVE_MOST = 1000 };

typedef struct cl_adaptive {
    double limit;
    double peak;        /* the highest limit since `unqueued` was measured */
    double unqueued;    /* ms that a request takes where none waits for another in the service; 0: not known */
    double latest;      /* ms that requests took in the last window; 0: there was none */
    double area;        /* requests that ran, times ms, in this window */
    uint32_t ended;     /* in this window */
    uint32_t spread;    /* of the pauses between measurements: servers that began together do not measure together */
    int64_t since;      /* when the window began; one in the future waits for what ran under another limit */
    int64_t at;         /* to here `area` goes */
    int64_t measured;   /* when `unqueued` was measured last, */
    int64_t measure_at; /* and will be next */
    uint8_t is_reached;   /* in this window a request found no place */
    uint8_t is_starting;  /* it has not been too high yet */
    uint8_t is_measuring; /* and half of it counts */
} cl_adaptive;

void cl_adaptive_start(cl_adaptive *a, int64_t now, uint64_t random);
uint32_t cl_adaptive_limit(const cl_adaptive *a);
/* One more begins than the `running`, or one of them ends; then 1: the limit is another. */
void cl_adaptive_began(cl_adaptive *a, uint32_t running, int64_t now);
int cl_adaptive_ended(cl_adaptive *a, uint32_t running, int64_t now);

#endif
