/* Design note. To read the clock exactly is the most expensive step of a call, because the kernel's code lets all that
 * was begun before come to its end first. But within one millisecond the answer is the same, and how long that lasts at
 * least, the counter of cycles tells: no such counter runs slower than one cycle in CYCLE_NS. It runs several times
 * faster, so a millisecond is read some thirty times before it is over, however often it is asked for. A counter that
 * went back, or belongs to another processor that is behind, gives a huge difference, and the clock is read. */
#include "net/clock.h"

#include <time.h>
#ifdef __x86_64__
#include <cpuid.h>
#endif

enum { CYCLE_NS = 2, MS_NS = 1000000 };

#ifdef __x86_64__
#define POWER_LEAF 0x80000007u
enum { INVARIANT = 1 << 8 };

static int is_steady(void)
{
    unsigned a, b, c, d = 0;
    return __get_cpuid(POWER_LEAF, &a, &b, &c, &d) && (d & INVARIANT);
}

static uint64_t count(void)
{
    return __builtin_ia32_rdtsc();
}
#else
static int is_steady(void)
{
    return 0;
}

static uint64_t count(void)
{
    return 0;
}
#endif

void cl_clock_init(cl_clock *clock)
{
    *clock = (cl_clock){.is_steady = is_steady()};
}

int64_t cl_clock_micros(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t cl_clock_read(cl_clock *clock)
{
    struct timespec t;
    clock->from = count();
    clock_gettime(CLOCK_MONOTONIC, &t);
    clock->ms = (int64_t)t.tv_sec * 1000 + t.tv_nsec / MS_NS;
    clock->cycles = clock->is_steady ? (uint64_t)(MS_NS - t.tv_nsec % MS_NS) / CYCLE_NS : 0;
    return clock->ms;
}
