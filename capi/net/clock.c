/* Design note. To read the clock exactly is the most expensive step of a call, because the kernel's code lets all that
 * was begun before come to its end first. But within one millisecond the answer is the same, and how long that lasts at
 * least, the counter of cycles tells: no such counter runs slower than one cycle in CYCLE_NS. It runs several times
 * faster, so a millisecond is read some thirty times before it is over, however often it is asked for. A counter that
 * went back, or belongs to another processor that is behind, gives a huge difference, and the clock is read.
 * For microseconds the same look at the counter is enough once two readings have shown how long a cycle is. That is
 * measured again and again, since a virtual machine may go on elsewhere. Until it is known, and where reading the clock
 * takes long, who wants microseconds reads it. */
#include "net/clock.h"

#include <time.h>
#ifdef __x86_64__
#include <cpuid.h>
#endif

enum {
    CYCLE_NS = 2,
    MS_NS = 1000000,
    MEASURE_NS = 4 * MS_NS, /* between two readings that show how long a cycle is */
    ASIDE = 4000            /* cycles: a reading that takes longer was interrupted, and nothing is reckoned from it */
};

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

/* By this reading, at `from`, and an earlier one. */
static void measure(cl_clock *clock)
{
    uint64_t cycles = clock->from - clock->counted;
    int64_t ns = clock->ns - clock->measured;
    int is_first = !clock->counted;
    clock->measured = clock->ns;
    clock->counted = clock->from;
    double cycle = is_first || !cycles ? 0 : (double)ns / (double)cycles;
    clock->cycle = cycle > 0 && cycle <= CYCLE_NS ? (uint64_t)(cycle * 4294967296.0) : 0;
}

int64_t cl_clock_read(cl_clock *clock)
{
    struct timespec t;
    clock->looked = clock->from = count();
    clock_gettime(CLOCK_MONOTONIC, &t);
    int is_at_once = clock->is_steady && count() - clock->from < ASIDE;
    clock->ms = (int64_t)t.tv_sec * 1000 + t.tv_nsec / MS_NS;
    clock->ns = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
    if (is_at_once && clock->ns - clock->measured >= MEASURE_NS) measure(clock);
    clock->is_exact = is_at_once && clock->cycle;
    clock->cycles = clock->is_steady ? (uint64_t)(MS_NS - t.tv_nsec % MS_NS) / CYCLE_NS : 0;
    return clock->ms;
}
