/* Periods: seconds, as options and calls give them, in milliseconds, as clocks and timers take them. */
#ifndef CL_SECONDS_H
#define CL_SECONDS_H

#include <stdint.h>

#include "clouds.h"

/* What somebody else's period may be at most: the longest that timers can hold. */
static inline double cl_at_most(double seconds)
{
    return seconds > CLOUDS_LONGEST_SECONDS ? CLOUDS_LONGEST_SECONDS : seconds;
}

/* Rounded up, so that nothing is due early; 0 for what is not above 0. */
static inline int64_t cl_ms(double seconds)
{
    if (!(seconds > 0)) return 0;
    if (seconds > 1e9) return INT64_C(1000000000000);
    return (int64_t)(seconds * 1000.0 + 0.999);
}

#endif
