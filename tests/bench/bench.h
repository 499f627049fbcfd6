/* What the bench programs share: a clock, a latency histogram, and the line of JSON they print at the end.
 *
 * A closed loop keeps W requests outstanding for some seconds; the first part of the run is warm-up and not counted. Time is
 * read once per loop turn, for everything received in it, in the baselines and in ours alike. */
#ifndef BENCH_H
#define BENCH_H

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* 64 steps for each power of two: within 1.6 %. */
enum { BENCH_STEPS = 64, BENCH_BUCKETS = 48 * BENCH_STEPS, BENCH_MAX_W = 100000 };

typedef struct bench {
    uint32_t outstanding;
    double seconds;
    int64_t begin, counted_from, end; /* nanoseconds */
    uint64_t total, counted;
    uint64_t buckets[BENCH_BUCKETS];
} bench;

static inline int64_t bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline void bench_die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, errno ? strerror(errno) : "failed");
    exit(1);
}

static inline void bench_begin(bench *b, uint32_t outstanding, double seconds)
{
    memset(b, 0, sizeof *b);
    b->outstanding = outstanding;
    b->seconds = seconds;
    b->begin = bench_now();
    b->counted_from = b->begin + (int64_t)(seconds * 0.2e9);
    b->end = b->counted_from + (int64_t)(seconds * 1e9);
}

static inline unsigned bench_bucket(uint64_t ns)
{
    if (ns < BENCH_STEPS) return (unsigned)ns;
    unsigned top = 63 - (unsigned)__builtin_clzll(ns);
    unsigned at = (top - 5) * BENCH_STEPS + (unsigned)((ns >> (top - 6)) & (BENCH_STEPS - 1));
    return at < BENCH_BUCKETS ? at : BENCH_BUCKETS - 1;
}

static inline double bench_value(unsigned bucket)
{
    if (bucket < BENCH_STEPS) return bucket;
    unsigned top = bucket / BENCH_STEPS + 5;
    return (double)(1ULL << top) * (1 + (bucket % BENCH_STEPS + 0.5) / BENCH_STEPS);
}

/* One answer came at `now` for what was sent at `sent`. */
static inline void bench_count(bench *b, int64_t sent, int64_t now)
{
    b->total++;
    if (now < b->counted_from) return;
    b->counted++;
    b->buckets[bench_bucket((uint64_t)(now - sent))]++;
}

static inline double bench_quantile(const bench *b, double q)
{
    uint64_t want = (uint64_t)((double)b->counted * q), seen = 0;
    for (unsigned i = 0; i < BENCH_BUCKETS; i++)
        if ((seen += b->buckets[i]) > want) return bench_value(i) / 1000;
    return 0;
}

/* Rates in calls per second, latencies in microseconds. `more` is further members, or "". */
static inline void bench_print(const bench *b, const char *more)
{
    double seconds = (double)(bench_now() - b->counted_from) / 1e9;
    printf("{\"outstanding\":%u,\"calls\":%llu,\"rate\":%.0f,\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f%s}\n", b->outstanding,
           (unsigned long long)b->counted, (double)b->counted / seconds, bench_quantile(b, 0.5), bench_quantile(b, 0.99),
           bench_quantile(b, 0.999), more);
    fflush(stdout);
}

/* Runs `server` in a child that dies with us. It writes one byte to `ready` when it can be asked. */
static inline pid_t bench_fork(void (*server)(void *arg, int ready), void *arg)
{
    int ends[2];
    if (pipe(ends) != 0) bench_die("pipe");
    pid_t pid = fork();
    if (pid < 0) bench_die("fork");
    if (pid == 0) {
        close(ends[0]);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        server(arg, ends[1]);
        _exit(0);
    }
    close(ends[1]);
    char byte;
    errno = 0;
    if (read(ends[0], &byte, 1) != 1) bench_die("the server did not start");
    close(ends[0]);
    return pid;
}

static inline void bench_ready(int ready)
{
    if (write(ready, "r", 1) != 1) bench_die("write");
    close(ready);
}

static inline void bench_end(pid_t server, int how)
{
    kill(server, how);
    waitpid(server, NULL, 0);
}

/* The two numbers at the end of every command line. */
static inline void bench_arguments(int argc, char **argv, int first, uint32_t *outstanding, double *seconds)
{
    long w = argc > first ? atol(argv[first]) : 100;
    double s = argc > first + 1 ? atof(argv[first + 1]) : 1;
    if (w < 1 || w > BENCH_MAX_W || s <= 0) {
        fprintf(stderr, "outstanding is 1 to %d, seconds above 0\n", BENCH_MAX_W);
        exit(2);
    }
    *outstanding = (uint32_t)w;
    *seconds = s;
}

#endif
