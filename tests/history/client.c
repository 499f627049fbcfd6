/* A client that writes down when each call began and how it ended.
 *
 * Usage: client URL LOG FIRST OUTSTANDING TIMEOUT DEADLINE RETRIES MODE
 *
 * It calls "work" with numbers from FIRST on, OUTSTANDING at a time, until standard input ends; then it closes its node
 * while calls are still out. LOG has a line for each: c NUMBER BEGAN DEADLINE RETRIES          accepted; DEADLINE is
 * the moment (CLOCK_MONOTONIC, as all times) d NUMBER ENDED OUTCOME CODE ANSWER       completed; ANSWER is the number
 * that came back, 0: none z                                        the context said that it is closed: nothing may come
 * after it l SECONDS                                the longest that this process was not run when it should have been
 * About fifty times a second the number of completed calls goes out as a line. */
#include "common.h"

#include <poll.h>
#include <pthread.h>

enum { EVENTS = 256 };

static clouds_context *context;
static clouds_node *node;
static clouds_call_options how;
static FILE *book;
static uint64_t next_number, ended;
static long open_calls, outstanding;
static double deadline, told;
static volatile double lag; /* by one thread only; read after its end */
static volatile int over;

static void *measure_lag(void *unused)
{
    (void)unused;
    const struct timespec nap = {0, 5000000};
    for (double last = now(); !over;) {
        nanosleep(&nap, NULL);
        double time = now();
        if (time - last > lag) lag = time - last;
        last = time;
    }
    return NULL;
}

/* A refusal is no call: nothing of it is written down. */
static int ask(void)
{
    char text[32];
    uint64_t call;
    double time = now();
    int n = snprintf(text, sizeof text, "[%llu]", (unsigned long long)next_number);
    how.user_data = next_number;
    int code = clouds_node_call(node, "work", 4, text, (size_t)n, &how, &call);
    if (code == CLOUDS_ELIMIT) return 0;
    must(code, "call");
    fprintf(book, "c %llu %.6f %.6f %d\n", (unsigned long long)next_number, time, time + deadline, how.retries);
    next_number++;
    open_calls++;
    return 1;
}

static void completed(const clouds_event *e)
{
    unsigned long long answer = e->data_len > 2 ? strtoull(e->data + 1, NULL, 10) : 0;
    fprintf(book, "d %llu %.6f %u %s %llu\n", (unsigned long long)e->user_data, now(), e->outcome,
            clouds_err_name(e->code), answer);
    open_calls--;
    ended++;
}

/* 0: the context is closed and has nothing more to say. */
static int turn(double timeout)
{
    static clouds_event events[EVENTS];
    int n = clouds_poll(context, events, sizeof *events, EVENTS, timeout);
    if (n == CLOUDS_ECLOSED) return 0;
    must(n, "poll");
    for (int i = 0; i < n; i++) {
        if (events[i].type == CLOUDS_EVENT_RESULT) completed(&events[i]);
        if (events[i].type == CLOUDS_EVENT_CONTEXT_CLOSED) fputs("z\n", book);
    }
    if (now() - told > 0.02) {
        told = now();
        printf("%llu\n", (unsigned long long)ended);
        fflush(stdout);
    }
    return 1;
}

static int told_to_stop(void)
{
    struct pollfd in = {.fd = 0, .events = POLLIN};
    return poll(&in, 1, 0) > 0;
}

int main(int argc, char **argv)
{
    if (argc != 9) return fprintf(stderr, "usage: client URL LOG FIRST OUTSTANDING TIMEOUT DEADLINE RETRIES MODE\n"), 2;
    book = fopen(argv[2], "w");
    if (!book) return perror(argv[2]), 1;
    next_number = strtoull(argv[3], NULL, 10);
    outstanding = atol(argv[4]);
    deadline = atof(argv[6]);
    how = (clouds_call_options){
        .size = sizeof how, .timeout = atof(argv[5]), .deadline = deadline, .retries = atoi(argv[7])};
    clouds_options *options = options_for(argv[1], "client");
    must(clouds_options_set_string(options, "mode", argv[8]), "mode");
    must(clouds_context_create(options, &context), "context");
    must(clouds_node_create(context, options, &node), "node");
    clouds_options_destroy(options);
    pthread_t thread;
    if (pthread_create(&thread, NULL, measure_lag, NULL) != 0) return 1;
    while (!told_to_stop()) {
        while (open_calls < outstanding && ask()) continue;
        turn(0.05);
    }
    must(clouds_context_close(context, 0, NULL, NULL), "close");
    while (turn(0.05)) continue;
    over = 1;
    pthread_join(thread, NULL);
    fprintf(book, "l %.6f\n", lag);
    clouds_context_destroy(context);
    return fclose(book) != 0;
}
