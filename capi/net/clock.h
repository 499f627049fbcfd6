/* The clock of the loop, for who asks it for every call. */
#ifndef CL_CLOCK_H
#define CL_CLOCK_H

#include <stdint.h>

/* What was read last, and for how many cycles of the processor its millisecond surely lasts. One thread at a time. */
typedef struct cl_clock {
    int64_t ms, ns;
    uint64_t from, cycles;
    uint64_t looked;  /* the counter, when the clock was asked last */
    uint64_t cycle;   /* how long one is, in nanoseconds, times 2^32; 0: that is not known yet */
    int64_t measured; /* ns, when that was found out last ... */
    uint64_t counted; /* ... and the counter then */
    int is_exact;     /* and tells how much later it is than when it was read */
    int is_steady;    /* the processor counts cycles at one speed, whatever it does */
} cl_clock;

void cl_clock_init(cl_clock *clock);
int64_t cl_clock_read(cl_clock *clock);

/* In microseconds, always read anew. */
int64_t cl_clock_micros(void);

/* What cl_loop_now gives. */
static inline int64_t cl_clock_now(cl_clock *clock)
{
#ifdef __x86_64__
    clock->looked = __builtin_ia32_rdtsc();
    if (clock->looked - clock->from < clock->cycles) return clock->ms;
#endif
    return cl_clock_read(clock);
}

/* In microseconds, when cl_clock_now was called last: exact to less than one of them. */
static inline int64_t cl_clock_micros_looked(const cl_clock *clock)
{
    uint64_t since = clock->looked - clock->from;
    if (since && !clock->is_exact) return cl_clock_micros();
    return (clock->ns + (int64_t)(since * clock->cycle >> 32)) / 1000;
}

#endif
