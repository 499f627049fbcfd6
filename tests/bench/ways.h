/* What the benchmarks of messages that go one way, and of bursts, share: who counts what arrives is another process than who
 * sends, so the counter is memory of both; no more than a window is under way. */
#ifndef WAYS_H
#define WAYS_H

#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "bench.h"

enum { WAYS_SUBSCRIBERS = 100, WAYS_CLIENTS = 20, WAYS_BURST = 1000, WAYS_WINDOW = 20000 };
enum { WAYS_PUBLISH, WAYS_NOTIFY, WAYS_BURSTS };

static _Atomic uint64_t *ways_arrived;
static uint64_t ways_sent;
static double ways_seconds;
static int64_t ways_begun;
static void (*ways_wait)(void); /* what the sender does while too much is under way */

static inline void ways_count(uint64_t n)
{
    atomic_fetch_add_explicit(ways_arrived, n, memory_order_relaxed);
}

static inline int ways_arguments(int argc, char **argv)
{
    static const char *const names[] = {"publish", "notify", "burst"};
    if (argc == 4)
        for (int i = 0; i < 3; i++) {
            if (strcmp(argv[1], names[i]) != 0) continue;
            ways_seconds = atof(argv[3]);
            ways_arrived = mmap(NULL, sizeof *ways_arrived, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
            if (ways_arrived == MAP_FAILED) bench_die("mmap");
            return i;
        }
    fprintf(stderr, "usage: %s publish|notify|burst URL SECONDS\n", argv[0]);
    exit(2);
}

static inline void ways_begin(void)
{
    atomic_store(ways_arrived, 0);
    ways_begun = bench_now();
}

/* So many more will arrive; waits until there is room for them. 0: the time is over. */
static inline int ways_goes_on(uint64_t more)
{
    while (ways_sent + more > atomic_load_explicit(ways_arrived, memory_order_relaxed) + WAYS_WINDOW) {
        if (ways_wait) ways_wait();
        else usleep(50);
        if ((double)(bench_now() - ways_begun) > (ways_seconds + 10) * 1e9) bench_die("what was sent does not arrive");
    }
    ways_sent += more;
    return (double)(bench_now() - ways_begun) < ways_seconds * 1e9;
}

/* Arrivals a second. */
static inline void ways_print(void)
{
    double seconds = (double)(bench_now() - ways_begun) / 1e9;
    printf("{\"rate\":%.0f,\"p50\":0}\n", (double)atomic_load(ways_arrived) / seconds);
    fflush(stdout);
}

#endif
