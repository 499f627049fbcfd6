/* Periods: seconds, as options and calls give them, in milliseconds, as clocks and timers take them. */
#ifndef CL_SECONDS_H
#define CL_SECONDS_H

#include <stdint.h>

/* Rounded up, so that nothing is due early; 0 for what is not above 0. */
static inline int64_t cl_ms(double seconds)
{
    if (!(seconds > 0)) return 0;
    if (seconds > 1e9) return INT64_C(1000000000000);
    return (int64_t)(seconds * 1000.0 + 0.999);
}

#endif
