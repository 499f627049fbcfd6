/* A client that calls at a rate, however the service answers, and says what came of it.
 *
 * Usage: overload URL METHOD TIMEOUT [server=PID] [OPTION=VALUE ...] PHASE ...
 * A phase is w8:2 (8 outstanding, for 2 seconds; the first of these tells the peak), x3:2 (3 times the peak) or r1000:2
 * (1000 calls a second). A call is timed from when it was due. For each phase a line of JSON:
 *   calls, done, refused (not done), failed (the rest), seconds, rate (done, a second), done_p50, done_p99, refused_p99
 * (ms), stall (the longest time by which a call was begun too late: this machine did something else), kept (seconds for
 * which the process server=PID could have run, and others had the processors), busy (of those refused:
 * CLOUDS_OVERLOADED with retry_after), settled (seconds from its begin until for a tenth of a second all calls were
 * done), late_done (the share of done among those that were begun more than 2 seconds after its begin) */
#include <clouds.h>

#include "bench.h"

enum { EVENTS = 512, PHASES = 16, WINDOW = 100000000 };

typedef struct record {
    int64_t due, asked, took;
    uint8_t outcome, busy, ended;
} record;

typedef struct phase {
    char kind;
    double value, seconds;
    int64_t begin, end;
    size_t first, last; /* of its records */
    double kept;
    uint64_t done_in_time;
} phase;

typedef struct load {
    clouds_context *context;
    clouds_node *node;
    const char *method;
    clouds_call_options how;
    record *records;
    size_t n, room, outstanding;
    double peak;
    phase *now;
    int server; /* 0: nothing is told of it */
} load;

static void must(int code, const char *what)
{
    if (code >= 0) return;
    fprintf(stderr, "%s: %s\n", what, clouds_last_error());
    exit(1);
}

/* Seconds since its start for which it waited for a processor. */
static double kept_from_running(int pid)
{
    char path[40];
    unsigned long long ran = 0, waited = 0;
    snprintf(path, sizeof path, "/proc/%d/schedstat", pid);
    FILE *file = pid ? fopen(path, "re") : NULL;
    if (!file) return 0;
    int n = fscanf(file, "%llu %llu", &ran, &waited);
    fclose(file);
    return n == 2 ? (double)waited / 1e9 : 0;
}

/* `more`: options NAME=VALUE, until the first that is none. */
static void connect_to(load *l, const char *url, char **more)
{
    clouds_options *options;
    must(clouds_options_create(&options), "options");
    must(clouds_options_set_string(options, "url", url), "url");
    must(clouds_options_set_number(options, "max_in_flight", BENCH_MAX_W), "max_in_flight");
    for (char *value; *more && (value = strchr(*more, '=')); more++) {
        char name[32];
        snprintf(name, sizeof name, "%.*s", (int)(value - *more), *more);
        if (strcmp(name, "server") == 0) {
            l->server = atoi(value + 1);
            continue;
        }
        must(clouds_options_set_string(options, name, value + 1), *more);
    }
    must(clouds_context_create(options, &l->context), "context");
    clouds_options_destroy(options);
    must(clouds_options_create(&options), "options");
    must(clouds_options_set_string(options, "type", "client"), "type");
    must(clouds_node_create(l->context, options, &l->node), "node");
    clouds_options_destroy(options);
}

static void end(load *l, record *r, uint32_t outcome, int busy)
{
    int64_t now = bench_now();
    r->took = now - r->due;
    r->outcome = (uint8_t)outcome;
    r->busy = (uint8_t)busy;
    r->ended = 1;
    if (outcome == CLOUDS_OUTCOME_OK && now < l->now->end) l->now->done_in_time++;
}

static void ask(load *l, int64_t due)
{
    uint64_t call;
    if (l->n == l->room) {
        l->room = l->room ? l->room * 2 : 65536;
        if (!(l->records = realloc(l->records, l->room * sizeof *l->records))) bench_die("memory");
    }
    l->records[l->n] = (record){.due = due, .asked = bench_now()};
    l->how.user_data = l->n++;
    int code = clouds_node_call(l->node, l->method, strlen(l->method), "[]", 2, &l->how, &call);
    if (code == 0) l->outstanding++;
    else if (code == CLOUDS_ELIMIT) end(l, &l->records[l->n - 1], CLOUDS_OUTCOME_NOT_DONE, 0);
    else must(code, "call");
}

static void poll_until(load *l, int64_t when)
{
    static clouds_event events[EVENTS];
    int64_t wait = when - bench_now();
    int n = clouds_poll(l->context, events, sizeof *events, EVENTS, wait > 0 ? (double)wait / 1e9 : 0);
    must(n, "poll");
    for (int i = 0; i < n; i++) {
        const clouds_event *e = &events[i];
        if (e->type != CLOUDS_EVENT_RESULT) continue;
        int busy =
            e->code == CLOUDS_EOVERLOAD && e->error_len && memmem(e->error, e->error_len, "\"retry_after\":", 14);
        end(l, &l->records[e->user_data], e->outcome, busy);
        l->outstanding--;
    }
}

static void run_closed(load *l, const phase *p)
{
    for (int64_t now; (now = bench_now()) < p->end; poll_until(l, p->end))
        while (l->outstanding < (size_t)p->value) ask(l, now);
}

static void run_open(load *l, const phase *p)
{
    double each = 1e9 / (p->kind == 'x' ? p->value * l->peak : p->value), due = (double)p->begin;
    while (due < (double)p->end) {
        int64_t now = bench_now();
        for (; due <= (double)now && due < (double)p->end; due += each) ask(l, (int64_t)due);
        poll_until(l, (int64_t)due);
    }
}

static void run(load *l, phase *p)
{
    l->now = p;
    p->first = l->n;
    p->kept = -kept_from_running(l->server);
    p->begin = bench_now();
    p->end = p->begin + (int64_t)(p->seconds * 1e9);
    if (p->kind == 'w') run_closed(l, p);
    else run_open(l, p);
    p->last = l->n;
    p->kept += kept_from_running(l->server);
    if (p->kind == 'w' && l->peak == 0) l->peak = (double)p->done_in_time / p->seconds;
}

static int by_length(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Of those with an outcome, in ms. */
static double quantile(const load *l, const phase *p, uint32_t outcome, double q)
{
    size_t n = 0;
    int64_t *took = malloc((p->last - p->first + 1) * sizeof *took);
    if (!took) bench_die("memory");
    for (size_t i = p->first; i < p->last; i++)
        if (l->records[i].ended && l->records[i].outcome == outcome) took[n++] = l->records[i].took;
    qsort(took, n, sizeof *took, by_length);
    double found = n ? (double)took[(size_t)((double)(n - 1) * q)] / 1e6 : 0;
    free(took);
    return found;
}

static double stall(const load *l, const phase *p)
{
    int64_t longest = 0;
    for (size_t i = p->first; i < p->last; i++)
        if (l->records[i].asked - l->records[i].due > longest) longest = l->records[i].asked - l->records[i].due;
    return (double)longest / 1e6;
}

static int is_done(const record *r)
{
    return r->ended && r->outcome == CLOUDS_OUTCOME_OK;
}

static double settled(const load *l, const phase *p)
{
    int64_t since = p->begin;
    for (size_t i = p->first; i < p->last; i++) {
        if (!is_done(&l->records[i])) since = l->records[i].due + 1;
        else if (l->records[i].due - since >= WINDOW) break;
    }
    return (double)(since - p->begin) / 1e9;
}

static double late_done(const load *l, const phase *p)
{
    uint64_t all = 0, done = 0;
    for (size_t i = p->first; i < p->last; i++) {
        if (l->records[i].due - p->begin < 2000000000) continue;
        all++;
        done += (uint64_t)is_done(&l->records[i]);
    }
    return all ? (double)done / (double)all : 1;
}

static void print(const load *l, const phase *p)
{
    uint64_t done = 0, refused = 0, busy = 0, calls = p->last - p->first;
    for (size_t i = p->first; i < p->last; i++) {
        done += (uint64_t)is_done(&l->records[i]);
        refused += l->records[i].ended && l->records[i].outcome == CLOUDS_OUTCOME_NOT_DONE;
        busy += l->records[i].busy;
    }
    printf("{\"phase\":\"%c%g\",\"calls\":%llu,\"done\":%llu,\"refused\":%llu,\"busy\":%llu,\"failed\":%llu,", p->kind,
           p->value, (unsigned long long)calls, (unsigned long long)done, (unsigned long long)refused,
           (unsigned long long)busy, (unsigned long long)(calls - done - refused));
    printf("\"stall\":%.2f,\"kept\":%.3f,", stall(l, p), p->kept);
    printf("\"seconds\":%g,\"rate\":%.1f,\"done_p50\":%.2f,\"done_p99\":%.2f,\"refused_p99\":%.2f,\"settled\":%.2f,"
           "\"late_done\":%.4f}\n",
           p->seconds, (double)p->done_in_time / p->seconds, quantile(l, p, CLOUDS_OUTCOME_OK, 0.5),
           quantile(l, p, CLOUDS_OUTCOME_OK, 0.99), quantile(l, p, CLOUDS_OUTCOME_NOT_DONE, 0.99), settled(l, p),
           late_done(l, p));
}

/* Connected, and the server known; and rested, in case its rate is limited. */
static void get_ready(load *l)
{
    phase start = {.end = INT64_MAX};
    l->now = &start;
    while (!start.done_in_time) {
        if (!l->outstanding) ask(l, bench_now());
        poll_until(l, bench_now() + 10000000);
    }
    for (int64_t rested = bench_now() + 300000000; bench_now() < rested;) poll_until(l, rested);
}

int main(int argc, char **argv)
{
    static load l;
    static phase phases[PHASES];
    int first = 4;
    while (first < argc && strchr(argv[first], '=')) first++;
    int n = argc - first;
    if (n < 1 || n > PHASES)
        return fprintf(stderr, "usage: overload URL METHOD TIMEOUT [server=PID] [OPTION=VALUE ...] PHASE ...\n"), 2;
    for (int i = 0; i < n; i++) {
        phase *p = &phases[i];
        if (sscanf(argv[first + i], "%c%lf:%lf", &p->kind, &p->value, &p->seconds) != 3 || !strchr("wxr", p->kind) ||
            p->value <= 0 || (p->kind == 'x' && i == 0))
            return fprintf(stderr, "no phase: %s\n", argv[first + i]), 2;
    }
    l.method = argv[2];
    l.how = (clouds_call_options){.size = sizeof l.how, .timeout = atof(argv[3]), .retries = -1};
    connect_to(&l, argv[1], argv + 4);
    get_ready(&l);
    for (int i = 0; i < n; i++) run(&l, &phases[i]);
    for (int64_t patience = bench_now() + (int64_t)((l.how.timeout + 5) * 1e9);
         l.outstanding && bench_now() < patience;)
        poll_until(&l, bench_now() + 10000000);
    for (int i = 0; i < n; i++) print(&l, &phases[i]);
    clouds_context_destroy(l.context);
    return 0;
}
