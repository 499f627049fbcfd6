/* The clock of the loop, for who asks it for every call. */
#ifndef CL_CLOCK_H
#define CL_CLOCK_H

#include <stdint.h>

/* The millisecond that was read last, and for how many cycles of the processor it surely lasts. One thread at a time.
 */
typedef struct cl_clock {
    int64_t ms;
    uint64_t from, cycles;
    int is_steady; /* the processor counts cycles at one speed, whatever it does */
} cl_clock;

void cl_clock_init(cl_clock *clock);
int64_t cl_clock_read(cl_clock *clock);

/* In microseconds, always read anew. */
int64_t cl_clock_micros(void);

/* What cl_loop_now gives. */
static inline int64_t cl_clock_now(cl_clock *clock)
{
#ifdef __x86_64__
    if (__builtin_ia32_rdtsc() - clock->from < clock->cycles) return clock->ms;
#endif
    return cl_clock_read(clock);
}

#endif
