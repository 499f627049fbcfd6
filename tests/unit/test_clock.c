/* The clock that is asked for every call is the clock. */
#include "net/clock.h"
#include "net/loop.h"
#include "support/tap.h"

static void is_exact(void)
{
    enum { FOR_MS = 200 };
    cl_clock clock;
    cl_clock_init(&clock);
    int64_t end = cl_loop_now() + FOR_MS, before, after;
    do {
        before = cl_loop_now();
        int64_t now = cl_clock_now(&clock);
        after = cl_loop_now();
        if (!CHECK(before <= now && now <= after)) return;
    } while (after < end);
}

/* What was read last is kept while its millisecond lasts, and not for longer, whoever asks. */
static void goes_on(void)
{
    cl_clock clock;
    cl_clock_init(&clock);
    int64_t first = cl_clock_now(&clock);
    while (cl_loop_now() < first + 3) cl_clock_now(&clock);
    CHECK(cl_clock_now(&clock) >= first + 3);
}

/* Also between two readings, where the counter tells. */
static void is_exact_in_microseconds(void)
{
    enum { FOR_US = 50000, ABOUT = 2 };
    cl_clock clock;
    cl_clock_init(&clock);
    int64_t end = cl_clock_micros() + FOR_US, before, after;
    int between = 0;
    do {
        before = cl_clock_micros();
        cl_clock_now(&clock);
        int64_t looked = cl_clock_micros_looked(&clock);
        after = cl_clock_micros();
        if (!CHECK(before - ABOUT <= looked && looked <= after + ABOUT)) return;
        between += clock.looked != clock.from;
    } while (after < end);
    CHECK(between > 0 || !clock.cycle); /* where reading takes long, that is never known */
}

/* The millisecond is kept where reading takes so long that the counter tells no microseconds; these are read. */
static void of_a_clock_that_is_slow_to_read(void)
{
    enum { FOR_US = 20000 };
    cl_clock clock;
    cl_clock_init(&clock);
    int64_t end = cl_clock_micros() + FOR_US, after;
    int kept = 0;
    do {
        int64_t before = cl_clock_micros();
        cl_clock_now(&clock);
        kept += clock.looked != clock.from;
        clock.is_exact = 0;
        int64_t looked = cl_clock_micros_looked(&clock);
        after = cl_clock_micros();
        if (!CHECK(before <= looked && looked <= after)) return;
    } while (after < end);
    CHECK(kept > 0 || !clock.is_steady);
}

static void of_a_processor_that_changes_its_speed(void)
{
    cl_clock clock;
    cl_clock_init(&clock);
    clock.is_steady = 0;
    for (int i = 0; i < 1000; i++) {
        int64_t before = cl_loop_now(), now = cl_clock_now(&clock);
        if (!CHECK(before <= now && now <= cl_loop_now()) || !CHECK(clock.cycles == 0)) return;
    }
}

int main(void)
{
    RUN(is_exact);
    RUN(goes_on);
    RUN(is_exact_in_microseconds);
    RUN(of_a_clock_that_is_slow_to_read);
    RUN(of_a_processor_that_changes_its_speed);
    return tap_end();
}
