/* What the choice of a server costs: calls of a core over a bus that only remembers, each answered at once, to a method
 * of few and of many servers. By turns all of them weigh 1, by weight and by chance 1 to 7.
 *
 * Usage: bench_choose turns|weight|chance SERVERS SECONDS. Prints calls a second, and microseconds a call. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../core/fake.h"

enum { MOST = 10000 };

static char ids[MOST][16];
static cl_server servers[MOST];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void one_call(fake *f)
{
    f->n_sent = f->n_events = 0;
    fake_call(f, "m");
    fake_answer(f, 0, "", "[]");
}

static void start(fake *f, int balance, int heaviest, int n)
{
    f->config = fake_node_config("client");
    f->config.balance = balance;
    f->seed = 4711;
    fake_start(f);
    fake_call(f, "m");
    for (int i = 0; i < n; i++) {
        snprintf(ids[i], sizeof ids[i], "s.%d", i);
        servers[i] = (cl_server){cl_str_z(ids[i]), CL_NATIVE_OURS, 0, {(uint32_t)(1 + i % heaviest), CL_STR_NONE}};
    }
    cl_core_servers(f->core, CL_STR("m"), servers, (size_t)n, 0);
    fake_answer(f, 0, "", "[]");
}

int main(int argc, char **argv)
{
    const char *way = argc == 4 ? argv[1] : "";
    int n = argc == 4 ? atoi(argv[2]) : 0, is_turns = strcmp(way, "turns") == 0, is_chance = strcmp(way, "chance") == 0;
    if ((!is_turns && !is_chance && strcmp(way, "weight") != 0) || n < 1 || n > MOST) {
        fprintf(stderr, "usage: bench_choose turns|weight|chance SERVERS SECONDS\n");
        return 2;
    }
    fake f = {0};
    start(&f, is_chance ? CL_BALANCE_RANDOM : CL_BALANCE_TURNS, is_turns ? 1 : 7, n);
    double begin = now(), took = 0, seconds = atof(argv[3]);
    long calls = 0;
    for (; took < seconds; took = now() - begin)
        for (int i = 0; i < 1000; i++, calls++) one_call(&f);
    fake_end(&f);
    printf("{\"rate\":%.0f,\"p50\":%.3f,\"bad\":%d}\n", (double)calls / took, took * 1e6 / (double)calls, tap_bad);
    return 0;
}
