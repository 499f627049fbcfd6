/* Many nodes in one folder, that start at once. As a test: all of them serve, nothing is left, and a join costs those
 * who are there already the same however many they are. With a number of processes or more as arguments: what idling
 * and a join cost there. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "local/inside.h"
#include "local/folder.h"
#include "local/side.h"

enum { MOST = 2000 };

static pid_t children[MOST];
static int32_t handles[MOST];

/* ---- processes that serve */

static side mine;
static volatile sig_atomic_t ending;

static void on_term(int number)
{
    ending = 1;
    cl_loop_wake(mine.loop);
}

static void must(int ok)
{
    if (!ok) _exit(3);
}

/* Opens and registers all at once, as soon as the pipe `start` is closed. */
static void serve(int index, int nodes, int callers, int start, int ready)
{
    char id[32], x;
    while (read(start, &x, 1) > 0) continue;
    const cl_bus_ops *ops;
    must(side_start(&mine, CL_URL_LOCAL, "t", NULL) == 0);
    signal(SIGTERM, on_term);
    mine.answer = 1;
    ops = mine.bus->ops;
    static char ids[64][32];
    for (int i = 0; i < nodes; i++) {
        snprintf(id, sizeof id, "s.%d.%d", index, i);
        memcpy(ids[i], id, sizeof id);
        must(ops->node_open(mine.bus, &handles[i], cl_str_z(ids[i]), 1) == 0);
        must(ops->register_method(mine.bus, &handles[i], CL_STR("m"), 1) == 0);
    }
    if (callers) ops->lookup(mine.bus, CL_STR("m"), 0);
    while ((mine.registered < nodes || mine.lists < callers) && !ending) cl_loop_run(mine.loop, -1);
    must(ending || (mine.ready_code == 0 && mine.registered_code == 0));
    must(write(ready, "x", 1) == 1);
    while (!ending) cl_loop_run(mine.loop, -1);
    ops->close(mine.bus);
    while (!mine.closed) cl_loop_run(mine.loop, -1);
    side_end(&mine);
    _exit(0);
}

static void start_all(int processes, int nodes, int callers)
{
    int start[2], ready[2];
    if (pipe(start) != 0 || pipe(ready) != 0) exit(97);
    for (int i = 0; i < processes; i++) {
        children[i] = fork();
        if (children[i] < 0) exit(96);
        if (children[i] == 0) {
            close(start[1]);
            serve(i, nodes, callers, start[0], ready[1]);
        }
    }
    close(start[0]);
    close(ready[1]);
    close(start[1]);
    int said = 0;
    char x[64];
    for (ssize_t n; said < processes && (n = read(ready[0], x, sizeof x)) > 0;) said += (int)n;
    CHECK_INT(said, processes);
    close(ready[0]);
}

static void stop_all(int processes)
{
    for (int i = 0; i < processes; i++) kill(children[i], SIGTERM);
    for (int i = 0; i < processes; i++) {
        int status = -1;
        waitpid(children[i], &status, 0);
        CHECK_INT(status, 0);
    }
}

/* Somebody who sweeps all the time: it must take nothing from those who start. */
static pid_t start_sweeper(void)
{
    pid_t pid = fork();
    if (pid != 0) return pid;
    for (;;) {
        cl_folder f;
        must(cl_folder_open(&f, "t") == 0);
        DIR *dir = cl_folder_list(&f);
        for (struct dirent *d; dir && (d = readdir(dir));) cl_file_sweep(&f, d->d_name);
        if (dir) closedir(dir);
        cl_folder_close(&f);
        if (getppid() == 1) _exit(0);
    }
}

static void all_start_at_once(void)
{
    int is_long = getenv("CLOUDS_LONG") != NULL;
    int processes = is_long ? 1000 : 15, nodes = is_long ? 1 : 10, n = processes * nodes;
    cl_limits limits = side_limits();
    limits.links = MOST;
    pid_t sweeper = start_sweeper();
    start_all(processes, nodes, 0);
    kill(sweeper, SIGKILL);
    waitpid(sweeper, NULL, 0);
    side b;
    int node;
    CHECK_INT(side_start(&b, CL_URL_LOCAL, "t", &limits), 0);
    side_node(&b, &node, "c.1");
    b.bus->ops->lookup(b.bus, CL_STR("m"), 0);
    UNTIL(&b, b.lists == 1);
    CHECK_INT(b.list_n, n);
    static char ids[MOST][32];
    for (int i = 0; i < n; i++) {
        snprintf(ids[i], sizeof ids[i], "s.%d.%d", i / nodes, i % nodes);
        CHECK_INT(side_call(&b, &node, "c.1", ids[i], "[1]", 0), 0);
    }
    UNTIL(&b, b.envelopes == n);
    stop_all(processes);
    side_end(&b);
    CHECK_INT(files_left(), 0);
}

/* What those who are there already do for one more, counted. */
static void a_join_costs_the_same_among_many(void)
{
    static int one, more[400];
    static char ids[400][16];
    side server, caller, joining;
    CHECK_INT(side_start(&server, CL_URL_LOCAL, "t", NULL), 0);
    CHECK_INT(side_start(&caller, CL_URL_LOCAL, "t", NULL), 0);
    CHECK_INT(side_start(&joining, CL_URL_LOCAL, "t", NULL), 0);
    side_node(&server, &one, "s.first");
    side_register(&server, &one, "m");
    caller.bus->ops->lookup(caller.bus, CL_STR("m"), 0);
    UNTIL(&caller, caller.lists == 1);
    cl_folder_directory *serving = folder_of(server.bus), *calling = folder_of(caller.bus);
    uint64_t scans = calling->entries.scans;
    if (!calling->watch || !cl_fs_watch_is_notified(calling->watch))
        scans = UINT64_MAX; /* no inotify is left for this user */
    for (int i = 0; i < 400; i++) {
        uint64_t reads = calling->entries.reads;
        snprintf(ids[i], sizeof ids[i], "s.%d", i);
        side_node(&joining, &more[i], ids[i]);
        int ups = caller.server_ups;
        side_register(&joining, &more[i], i % 2 ? "m" : "other");
        if (i % 2) UNTIL(&caller, caller.server_ups > ups);
        else cl_loop_run(caller.loop, 0);
        CHECK_INT(calling->entries.reads - reads, i % 2);
    }
    if (scans != UINT64_MAX) CHECK_INT(calling->entries.scans, scans);
    CHECK_INT(serving->entries.scans + serving->entries.reads, 0);
    CHECK(serving->watch == NULL);
    side_end(&joining);
    side_end(&caller);
    side_end(&server);
    CHECK_INT(files_left(), 0);
}

/* ---- measuring */

/* On the processor, in nanoseconds; the ticks of /proc/PID/stat are too coarse for those that idle. */
static double seconds_of(pid_t pid)
{
    char path[64];
    unsigned long long ns = 0;
    snprintf(path, sizeof path, "/proc/%d/schedstat", (int)pid);
    FILE *f = fopen(path, "r");
    if (f && fscanf(f, "%llu", &ns) != 1) ns = 0;
    if (f) fclose(f);
    return (double)ns / 1e9;
}

static double seconds_of_all(int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += seconds_of(children[i]);
    return sum;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double in_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1000 + (double)t.tv_nsec / 1e6;
}

/* The median time until a caller hears of a node that opens and registers, in another bus of this process. */
static double join(void)
{
    enum { ROUNDS = 21 };
    static int node[ROUNDS];
    static char ids[ROUNDS][16];
    double took[ROUNDS];
    side caller, server;
    CHECK_INT(side_start(&caller, CL_URL_LOCAL, "t", NULL), 0);
    CHECK_INT(side_start(&server, CL_URL_LOCAL, "t", NULL), 0);
    caller.bus->ops->lookup(caller.bus, CL_STR("m"), 0);
    UNTIL(&caller, caller.lists == 1);
    for (int i = 0; i < ROUNDS; i++) {
        int ups = caller.server_ups;
        double from = in_ms();
        snprintf(ids[i], sizeof ids[i], "s.join.%d", i);
        side_node(&server, &node[i], ids[i]);
        server.bus->ops->register_method(server.bus, &node[i], CL_STR("m"), 1);
        while (caller.server_ups == ups) {
            cl_loop_run(server.loop, 0);
            cl_loop_run(caller.loop, 1);
        }
        took[i] = in_ms() - from;
    }
    side_end(&server);
    side_end(&caller);
    qsort(took, ROUNDS, sizeof took[0], by_size);
    return took[ROUNDS / 2];
}

static void measure(int n, int callers)
{
    double from = in_ms();
    start_all(n, 1, callers);
    double started = in_ms() - from, work = seconds_of_all(n);
    usleep(500000);
    double before = seconds_of_all(n);
    usleep(10000000);
    double idle = (seconds_of_all(n) - before) / 10 * 100;
    double joined = join();
    from = in_ms();
    stop_all(n);
    printf("%5d %-8s %9.0f ms %9.2f ms %9.2f %% %9.2f ms %9.0f ms\n", n, callers ? "callers" : "servers", started,
           work * 1000 / n, idle, joined, in_ms() - from);
    fflush(stdout);
}

static int measure_all(int n, char **numbers)
{
    printf("nodes          all started  CPU a start  idle, all  join heard   all ended\n");
    for (int callers = 0; callers < 2; callers++)
        for (int i = 0; i < n; i++) measure(atoi(numbers[i]) < MOST ? atoi(numbers[i]) : MOST, callers);
    return tap_bad != 0;
}

int main(int argc, char **argv)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    folder_begin();
    int code = 0;
    if (argc > 1) {
        code = measure_all(argc - 1, argv + 1);
        folder_remove();
    } else {
        RUN(all_start_at_once);
        RUN(a_join_costs_the_same_among_many);
        code = folder_end();
    }
    return code;
}
