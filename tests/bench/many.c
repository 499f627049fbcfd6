/* Many contexts in one process, each with a server of two methods, on one directory: many URL COUNT CALLERS ROUNDS SECONDS
 * [PID]. Some of them call once what all serve, and hear from then on who comes and goes; as many call once what one of them
 * serves, whom that does not concern; an observer that does nothing else takes the time. PID is that of the directory's own
 * process. many.py runs it and makes a table. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "clouds.h"
#include "local/side.h"

enum { MOST = 4096, EVENTS = 256, OBSERVER = MOST, BOUND_MS = 120000, SETTLE_MS = 1500, AFTER_MS = 30 };

enum kind { CALLS_IT, CALLS_ANOTHER, CALLS_NOTHING, KINDS };

typedef struct member {
    clouds_context *context;
    clouds_node *node;
    int registered, closed, was_woken;
} member;

static member members[MOST];
static side observer;
static int epoll_fd, count, callers, members_n, registered, answered, failed;
static int woken[KINDS]; /* members that were woken, at least once each */
static long polls;

static void die(const char *what)
{
    fprintf(stderr, "many: %s: %s\n", what, clouds_last_error());
    exit(1);
}

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double own_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double seconds_of(const char *pid)
{
    char path[64];
    unsigned long user = 0, kernel = 0;
    if (!pid) return 0;
    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    FILE *f = fopen(path, "r");
    if (f && fscanf(f, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel) != 2) user = 0;
    if (f) fclose(f);
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

static double own_memory(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%*d %ld", &pages) != 1) pages = 0;
    if (f) fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static int descriptors(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d)) n++;
    if (d) closedir(d);
    return n - 3;
}

/* ---- the loop of all */

static void watch(int fd, uint32_t which)
{
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = which};
    if (fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) != 0) die("epoll");
}

static void on_event(member *m, const clouds_event *e)
{
    if (e->type == CLOUDS_EVENT_REQUEST) clouds_reply(m->context, e->id, "[]", 2);
    failed += e->code != 0 && e->type != CLOUDS_EVENT_CONTEXT_CLOSED;
    if (e->type == CLOUDS_EVENT_REGISTERED) registered++, m->registered++;
    if (e->type == CLOUDS_EVENT_RESULT) answered++;
    if (e->type == CLOUDS_EVENT_CONTEXT_CLOSED) m->closed = 1;
}

static enum kind kind_of(const member *m)
{
    return m < members + callers ? CALLS_IT : m < members + 2 * callers ? CALLS_ANOTHER : CALLS_NOTHING;
}

static void poll_member(member *m)
{
    clouds_event events[16];
    if (!m->context) return;
    woken[kind_of(m)] += !m->was_woken;
    m->was_woken = 1;
    polls++;
    int n = clouds_poll(m->context, events, sizeof *events, 16, 0);
    for (int i = 0; i < n; i++) on_event(m, &events[i]);
    if (!m->closed) return;
    clouds_context_destroy(m->context);
    m->context = NULL;
}

static void run(int ms)
{
    struct epoll_event ready[EVENTS];
    int n = epoll_wait(epoll_fd, ready, EVENTS, ms);
    for (int i = 0; i < n; i++) {
        if (ready[i].data.u32 != OBSERVER) {
            poll_member(&members[ready[i].data.u32]);
            continue;
        }
        cl_loop_run(observer.loop, 0);
        cl_loop_rearm(observer.loop);
    }
}

static void run_for(double ms)
{
    for (double end = now_ms() + ms, left; (left = end - now_ms()) > 0;) run((int)left + 1);
}

#define UNTIL_ALL(condition)                                                                                           \
    do {                                                                                                               \
        double until_end = now_ms() + BOUND_MS;                                                                        \
        while (!(condition)) {                                                                                         \
            if (now_ms() > until_end) die("never came: " #condition);                                                  \
            run(10);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* ---- what is measured */

static void join(const char *url)
{
    member *m = &members[members_n];
    char own[32];
    snprintf(own, sizeof own, "own.%d", members_n);
    if (clouds_open(url, "server", &m->context, &m->node) ||
        clouds_node_register(m->node, "all", 3, NULL, NULL) ||
        clouds_node_register(m->node, own, strlen(own), NULL, NULL))
        die("a member");
    watch(clouds_fd(m->context), (uint32_t)members_n++);
}

static void leave(member *m)
{
    uint64_t operation;
    if (clouds_context_close(m->context, 0, NULL, &operation)) die("close");
}

static void observe(const char *text)
{
    cl_url url;
    cl_limits limits = side_limits();
    limits.resp_line = 64 << 10;
    limits.resp_buffered = 64 << 20;
    limits.connect_timeout = 60;
    if (cl_url_parse(cl_str_z(text), &url) || side_start_at(&observer, &url, &limits)) die("the observer");
    watch(cl_loop_fd(observer.loop), OBSERVER);
    cl_loop_rearm(observer.loop);
    UNTIL_ALL(observer.ups > 0);
    observer.bus->ops->lookup(observer.bus, CL_STR("all"), 0);
    cl_loop_run(observer.loop, 0);
    cl_loop_rearm(observer.loop);
    UNTIL_ALL(observer.lists > 0);
    if (observer.list_n != (size_t)count) printf("# the observer found %zu of %d\n", observer.list_n, count);
}

static void call_once(void)
{
    uint64_t id;
    for (int i = 0; i < callers; i++)
        if (clouds_node_call(members[i].node, "all", 3, "[]", 2, NULL, &id)) die("a call");
    for (int i = callers; i < 2 * callers; i++)
        if (clouds_node_call(members[i].node, "own.0", 5, "[]", 2, NULL, &id)) die("a call");
    UNTIL_ALL(answered == 2 * callers);
}

static void forget_woken(void)
{
    memset(woken, 0, sizeof woken);
    for (int i = 0; i < members_n; i++) members[i].was_woken = 0;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* What was seen of one kind of change, in all rounds. */
typedef struct seen {
    double ms[64];
    int n, woken[KINDS];
} seen;

static void take(seen *s, double from_ms)
{
    s->ms[s->n++] = now_ms() - from_ms;
}

/* The one that came or went is no other. */
static void take_woken(seen *s)
{
    for (int i = 0; i < KINDS; i++) s->woken[i] += woken[i] - (i == CALLS_NOTHING);
}

static void say(const char *what, seen *s)
{
    qsort(s->ms, (size_t)s->n, sizeof *s->ms, by_size);
    printf("\"%s\": {\"median_ms\": %.2f, \"worst_ms\": %.2f, ", what, s->ms[s->n / 2], s->ms[s->n - 1]);
    printf("\"woken_callers\": %.1f, \"woken_callers_of_another\": %.1f, \"woken_others\": %.1f}, ",
           (double)s->woken[CALLS_IT] / s->n, (double)s->woken[CALLS_ANOTHER] / s->n, (double)s->woken[CALLS_NOTHING] / s->n);
}

/* One comes, and its like goes; who else is woken is counted a little longer. */
static void come_and_go(const char *url, int rounds)
{
    static seen up, down;
    if (rounds > 64) rounds = 64;
    for (int i = 0; i < rounds; i++) {
        int before = observer.server_ups, was = members_n;
        forget_woken();
        double from = now_ms();
        join(url);
        UNTIL_ALL(observer.server_ups > before);
        take(&up, from);
        run_for(AFTER_MS);
        UNTIL_ALL(members[was].registered == 2);
        take_woken(&up);
        forget_woken();
        before = observer.server_downs;
        from = now_ms();
        leave(&members[was]);
        UNTIL_ALL(observer.server_downs > before);
        take(&down, from);
        run_for(AFTER_MS);
        take_woken(&down);
        UNTIL_ALL(!members[was].context);
    }
    say("join", &up);
    say("leave", &down);
}

static void idle(double seconds, const char *pid)
{
    run_for(SETTLE_MS);
    double own = own_seconds(), theirs = seconds_of(pid), from = now_ms();
    polls = 0;
    run_for(seconds * 1000);
    double took = (now_ms() - from) / 1000;
    printf("\"idle_wakes_each_second\": %.1f, ", (double)polls / took);
    printf("\"idle_percent\": %.2f, \"server_idle_percent\": %.2f, ", 100 * (own_seconds() - own) / took,
           100 * (seconds_of(pid) - theirs) / took);
}

static void start(const char *url)
{
    double from = now_ms(), cpu = own_seconds(), memory = own_memory();
    int fds = descriptors();
    for (int i = 0; i < count; i++) {
        join(url);
        if (i % 64 == 63) run(0);
    }
    UNTIL_ALL(registered == 2 * count);
    printf("\"start_ms\": %.0f, \"start_cpu_ms_each\": %.2f, ", now_ms() - from, 1000 * (own_seconds() - cpu) / count);
    run_for(100);
    printf("\"kilobytes_each\": %.0f, \"descriptors_each\": %.2f, ", (own_memory() - memory) / 1024 / count,
           (double)(descriptors() - fds) / count);
}

static void end(void)
{
    double from = now_ms();
    for (int i = 0; i < members_n; i++)
        if (members[i].context) leave(&members[i]);
    for (int i = 0; i < members_n; i++) UNTIL_ALL(!members[i].context);
    printf("\"end_ms\": %.0f", now_ms() - from);
    side_end(&observer);
}

int main(int argc, char **argv)
{
    struct rlimit files;
    if (argc < 6) return fprintf(stderr, "usage: many URL COUNT CALLERS ROUNDS SECONDS [PID]\n"), 2;
    count = atoi(argv[2]), callers = atoi(argv[3]);
    int rounds = atoi(argv[4]);
    if (count < 1 || count + rounds > MOST || 2 * callers > count) return 2;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    printf("{\"count\": %d, ", count);
    start(argv[1]);
    observe(argv[1]);
    int fds = descriptors();
    call_once();
    printf("\"descriptors_of_calls\": %d, ", descriptors() - fds);
    idle(atof(argv[5]), argc > 6 ? argv[6] : NULL);
    come_and_go(argv[1], rounds);
    end();
    printf(", \"failed\": %d}\n", failed);
    return failed != 0;
}
