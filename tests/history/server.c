/* A server that writes down each execution before it answers.
 *
 * Usage: server URL LOG
 *
 * It serves "work", whose one argument is a number that no other call has. Each execution is one line of LOG, written
 * by one write(), so that kill -9 loses none:  x NUMBER START PID  (seconds of CLOCK_MONOTONIC). What becomes of a
 * request depends on its number alone: some are never answered, some fail, the others are answered with their number
 * after 0 to 30 ms. "ready" goes out when it serves; SIGTERM ends it in order. */
#include "common.h"

/* Few events at a time: what a process has in hand when it is frozen, it begins when it wakes. */
enum { EVENTS = 2, OPEN = 65536, NEVER = 499, FAILS = 97, LONGEST_MS = 30 };

typedef struct answer {
    uint64_t request, number;
    double due;
} answer;

static volatile sig_atomic_t stopped;
static clouds_context *context;
static answer open_answers[OPEN];
static size_t open_n;
static int log_fd;

static void on_term(int signal)
{
    (void)signal;
    stopped = 1;
}

static void write_down(uint64_t number)
{
    char line[96];
    int n = snprintf(line, sizeof line, "x %llu %.6f %d\n", (unsigned long long)number, now(), (int)getpid());
    if (write(log_fd, line, (size_t)n) != n) exit(1);
}

/* An error only says that the request is over: its deadline passed, or the node was closed. */
static void answer_now(const answer *a)
{
    char text[64];
    if (a->number % FAILS == 0) {
        const char *error = "{\"message\":\"as agreed\"}";
        clouds_fail(context, a->request, error, strlen(error), NULL, 0);
        return;
    }
    int n = snprintf(text, sizeof text, "[%llu]", (unsigned long long)a->number);
    clouds_reply(context, a->request, text, (size_t)n);
}

static void requested(const clouds_event *e)
{
    uint64_t number = strtoull(e->data + 1, NULL, 10);
    write_down(number);
    if (number % NEVER == 0 || open_n == OPEN) return;
    open_answers[open_n++] = (answer){e->id, number, now() + (double)(number * 7 % LONGEST_MS) / 1000};
}

static void answer_due(void)
{
    double time = now();
    size_t kept = 0;
    for (size_t i = 0; i < open_n; i++) {
        if (open_answers[i].due <= time) answer_now(&open_answers[i]);
        else open_answers[kept++] = open_answers[i];
    }
    open_n = kept;
}

/* 0: the context is closed. */
static int turn(void)
{
    static clouds_event events[EVENTS];
    int n = clouds_poll(context, events, sizeof *events, EVENTS, open_n ? 0.002 : 0.05);
    if (n == CLOUDS_ECLOSED) return 0;
    must(n, "poll");
    for (int i = 0; i < n; i++) {
        if (events[i].type == CLOUDS_EVENT_REQUEST) requested(&events[i]);
        if (events[i].type == CLOUDS_EVENT_REGISTERED && events[i].code == 0) {
            puts("ready");
            fflush(stdout);
        }
    }
    answer_due();
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 3) return fprintf(stderr, "usage: server URL LOG\n"), 2;
    log_fd = open(argv[2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0) return perror(argv[2]), 1;
    signal(SIGTERM, on_term);
    clouds_options *options = options_for(argv[1], "server");
    must(clouds_options_set_number(options, "heartbeat", 1), "heartbeat");
    clouds_node *node;
    must(clouds_context_create(options, &context), "context");
    must(clouds_node_create(context, options, &node), "node");
    clouds_options_destroy(options);
    must(clouds_node_register(node, "work", 4, NULL, NULL), "register");
    while (!stopped) turn();
    must(clouds_context_close(context, 2, NULL, NULL), "close");
    while (turn()) continue;
    clouds_context_destroy(context);
    return 0;
}
