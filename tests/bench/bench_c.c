/* The product itself, through its public header: a client and a server in C, two processes, every answer checked.
 * Usage: bench_c URL OUTSTANDING SECONDS [bytes=N] [OPTION=VALUE ...]: options of both contexts, such as direct=false.
 * With bytes=N the arguments are N bytes of JSON, which are the answer, too. */
#include <clouds.h>
#include <malloc.h>

#include "bench.h"

enum { EVENTS = 512, MAX_BYTES = 1 << 20 };

static clouds_event events[EVENTS];
static clouds_context *served;
static volatile sig_atomic_t told; /* to end in order, which leaves no registration to those who come next */

static char **more_options; /* ends with NULL */

static char text[MAX_BYTES]; /* of `bytes` bytes */
static size_t bytes;         /* 0: two numbers, whose sum is the answer */

static void must(int code, const char *what)
{
    if (code >= 0) return;
    fprintf(stderr, "%s: %s\n", what, clouds_last_error());
    exit(1);
}

static clouds_context *open_context(const char *url, const char *type, clouds_node **node)
{
    clouds_options *options;
    clouds_context *context;
    must(clouds_options_create(&options), "options");
    must(clouds_options_set_string(options, "url", url), "url");
    must(clouds_options_set_number(options, "max_in_flight", BENCH_MAX_W), "max_in_flight");
    must(clouds_options_set_number(options, "write_soft", 64e6), "write_soft");
    must(clouds_options_set_number(options, "write_hard", 128e6), "write_hard");
    for (char **o = more_options; *o; o++) {
        char name[32];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(*o, "="), *o);
        must(clouds_options_set_string(options, name, *o + strcspn(*o, "=") + 1), *o);
    }
    must(clouds_context_create(options, &context), "context");
    clouds_options_destroy(options);
    must(clouds_options_create(&options), "options");
    must(clouds_options_set_string(options, "type", type), "type");
    must(clouds_node_create(context, options, node), "node");
    clouds_options_destroy(options);
    return context;
}

static int read_int(const char **p)
{
    int v = 0;
    while (**p >= '0' && **p <= '9') v = v * 10 + *(*p)++ - '0';
    return v;
}

static void add(clouds_context *context, const clouds_event *e)
{
    char out[32];
    const char *p = e->data + 1;
    int a = read_int(&p), b = (p++, read_int(&p)), n = 31, sum = a + b;
    out[n] = ']';
    do out[--n] = (char)('0' + sum % 10);
    while ((sum /= 10) > 0);
    out[--n] = '[';
    clouds_reply(context, e->id, out + n, (size_t)(32 - n));
}

/* An array of one text. */
static void fill_text(const char *count)
{
    bytes = (size_t)strtoul(count, NULL, 10);
    if (bytes < 4 || bytes > MAX_BYTES) fprintf(stderr, "bytes is 4 to %d\n", MAX_BYTES), exit(2);
    memset(text, 'x', bytes);
    memcpy(text, "[\"", 2);
    memcpy(text + bytes - 2, "\"]", 2);
}

static void on_signal(int number)
{
    (void)number;
    told = 1;
    clouds_wakeup(served);
}

/* 1 when the context has closed. */
static int handle(const clouds_event *e, int ready)
{
    if (e->type == CLOUDS_EVENT_REQUEST && bytes) clouds_reply(served, e->id, e->data, e->data_len);
    else if (e->type == CLOUDS_EVENT_REQUEST) add(served, e);
    else if (e->type == CLOUDS_EVENT_REGISTERED) must(e->code, "registered"), bench_ready(ready);
    return e->type == CLOUDS_EVENT_CONTEXT_CLOSED;
}

static void serve(void *url, int ready)
{
    clouds_node *node;
    uint64_t operation;
    int closing = 0, closed = 0;
    served = open_context(url, "server", &node);
    signal(SIGTERM, on_signal);
    must(clouds_node_register(node, "bench.add", 9, NULL, &operation), "register");
    while (!closed) {
        if (told && !closing) must(clouds_context_close(served, 0, NULL, NULL), "close"), closing = 1;
        int n = clouds_poll(served, events, sizeof *events, EVENTS, -1);
        must(n, "poll");
        for (int i = 0; i < n; i++) closed |= handle(&events[i], ready);
    }
    clouds_context_destroy(served);
}

typedef struct client {
    clouds_context *context;
    clouds_node *node;
    bench b;
    int64_t now;
    uint32_t outstanding, bad;
    clouds_call_options how;
} client;

static void ask(client *c)
{
    uint64_t call;
    c->how.user_data = (uint64_t)c->now; /* comes back with the result */
    must(clouds_node_call(c->node, "bench.add", 9, bytes ? text : "[1,2]", bytes ? bytes : 5, &c->how, &call), "call");
    c->outstanding++;
}

static int is_right(const clouds_event *e)
{
    if (e->code != 0) return 0;
    if (bytes) return e->data_len == bytes && memcmp(e->data, text, bytes) == 0;
    return e->data_len == 3 && memcmp(e->data, "[3]", 3) == 0;
}

static void answered(client *c, const clouds_event *e)
{
    if (!is_right(e)) c->bad++;
    bench_count(&c->b, (int64_t)e->user_data, c->now);
    c->outstanding--;
}

static void run_until(client *c, int64_t end, uint32_t outstanding)
{
    while ((c->now = bench_now()) < end) {
        while (c->outstanding < outstanding) ask(c);
        int n = clouds_poll(c->context, events, sizeof *events, EVENTS, 1);
        must(n, "poll");
        c->now = bench_now();
        for (int i = 0; i < n; i++)
            if (events[i].type == CLOUDS_EVENT_RESULT) answered(c, &events[i]);
    }
}

/* Bytes of heap that one more outstanding call takes. */
static double heap_per_call(client *c)
{
    enum { MORE = 5000 };
    struct mallinfo2 before = mallinfo2();
    for (int i = 0; i < MORE; i++) ask(c);
    struct mallinfo2 after = mallinfo2();
    return ((double)after.uordblks + (double)after.hblkhd - (double)before.uordblks - (double)before.hblkhd) / MORE;
}

int main(int argc, char **argv)
{
    uint32_t outstanding;
    double seconds;
    char more[64];
    if (argc < 2) return fprintf(stderr, "usage: %s URL OUTSTANDING SECONDS\n", argv[0]), 2;
    more_options = argv + (argc > 4 ? 4 : argc);
    if (*more_options && strncmp(*more_options, "bytes=", 6) == 0) fill_text(*more_options++ + 6);
    bench_arguments(argc > 4 ? 4 : argc, argv, 2, &outstanding, &seconds);
    pid_t server = bench_fork(serve, argv[1]);
    client *c = calloc(1, sizeof *c);
    c->how = (clouds_call_options){.size = sizeof c->how, .timeout = 10};
    c->context = open_context(argv[1], "client", &c->node);
    bench_begin(&c->b, 1, 1);
    run_until(c, bench_now() + 200000000, 1); /* connected, and the server known */
    uint32_t bad = c->bad;
    double heap = heap_per_call(c);
    while (c->outstanding > 0) run_until(c, bench_now() + 1000000, 0);
    bench_begin(&c->b, outstanding, seconds);
    run_until(c, c->b.end, outstanding);
    snprintf(more, sizeof more, ",\"bad\":%u,\"heap_per_call\":%.0f", c->bad - bad, heap);
    bench_print(&c->b, more);
    clouds_context_destroy(c->context); /* before the server, which would wait for who does not listen any more */
    bench_end(server, SIGTERM);
    return c->bad != bad;
}
