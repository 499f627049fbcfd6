/* Again and again, by the public ABI alone: calls, cancelled calls, calls nobody waits for, contexts that are closed
 * and contexts that are dropped. Then memory is flat and the descriptors are back. leaks URL [ROUNDS] */
#define _POSIX_C_SOURCE 200809L
#include <clouds.h>
#include <dirent.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BURST = 500, EVENTS = 128 };
#ifdef __SANITIZE_ADDRESS__
enum { ALLOWED_KB = 400000 }; /* the sanitizer keeps what was freed, and finds leaks better */
#else
enum { ALLOWED_KB = 6000 };
#endif

typedef struct cluster {
    clouds_context *context;
    clouds_node *server, *client;
    uint64_t last; /* the call made last */
    unsigned long results, canceled;
} cluster;

static const char *url;

static void check(int code)
{
    if (code < 0) errx(1, "%s", clouds_last_error());
}

static cluster join(const char *mode)
{
    cluster c = {0};
    clouds_options *options;
    check(clouds_options_create(&options));
    check(clouds_options_set_string(options, "url", url));
    check(clouds_options_set_string(options, "mode", mode));
    check(clouds_context_create(options, &c.context));
    check(clouds_node_create(c.context, NULL, &c.server));
    check(clouds_node_create(c.context, NULL, &c.client));
    check(clouds_node_register(c.server, "echo", 4, NULL, NULL));
    clouds_options_destroy(options);
    return c;
}

/* One batch of events; requests are echoed. The texts lie in memory of ours or of the library's, by turns. */
static void turn(cluster *c)
{
    static char text[1 << 20];
    static unsigned turns;
    clouds_event events[EVENTS];
    int n = turns++ % 2 ? clouds_poll(c->context, events, sizeof *events, EVENTS, 20)
                        : clouds_poll_into(c->context, events, sizeof *events, EVENTS, text, sizeof text, NULL, 20);
    check(n);
    if (n == 0) errx(1, "nothing happens any more");
    for (int i = 0; i < n; i++) {
        const clouds_event *e = &events[i];
        if (e->type == CLOUDS_EVENT_REQUEST) clouds_reply(c->context, e->id, e->data, e->data_len);
        c->results += e->type == CLOUDS_EVENT_RESULT;
        c->canceled += e->type == CLOUDS_EVENT_RESULT && e->code == CLOUDS_ECANCELED;
        if (e->type == CLOUDS_EVENT_RESULT && e->code != 0 && e->code != CLOUDS_ECANCELED)
            errx(1, "%.*s", (int)e->error_len, e->error);
    }
}

static void call(cluster *c, uint32_t flags)
{
    static const char arguments[] = "[\"some text that is not quite short\",{\"n\":1}]";
    clouds_call_options how = {.size = sizeof how, .flags = flags, .timeout = 20, .retries = 5};
    check(clouds_node_call(c->client, "echo", 4, arguments, sizeof arguments - 1, &how, &c->last));
}

/* Calls, of which every tenth is cancelled. Each completes exactly once. */
static void burst(cluster *c)
{
    unsigned long before = c->results;
    for (int i = 0; i < BURST; i++) {
        call(c, 0);
        if (i % 10 == 0) check(clouds_cancel(c->context, c->last));
    }
    while (c->results < before + BURST) turn(c);
    if (c->results != before + BURST) errx(1, "more results than calls");
}

/* Calls for clouds_wait that nobody takes, some given up: their completions end with the context. */
static void forget(cluster *c)
{
    for (int i = 0; i < 20; i++) {
        call(c, CLOUDS_CALL_WAIT);
        if (i % 2) check(clouds_cancel(c->context, c->last));
    }
}

static void leave(cluster *c, int in_order)
{
    clouds_event event;
    if (in_order) {
        check(clouds_context_close(c->context, 0, NULL, NULL));
        while (clouds_poll(c->context, &event, sizeof event, 1, 20) >= 0) continue;
    }
    clouds_context_destroy(c->context);
}

static long resident_kb(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%*d %ld", &pages) != 1) err(1, "statm");
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static int descriptors(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (readdir(folder)) count++;
    closedir(folder);
    return count;
}

static void contexts(int count)
{
    for (int i = 0; i < count; i++) {
        cluster c = join(i % 2 ? "inline" : "thread");
        forget(&c);
        leave(&c, i % 4 < 2);
    }
}

static void measure(const char *what, void (*run)(int), int rounds)
{
    run(rounds / 4 + 4); /* what is kept for reuse is there now */
    long before = resident_kb();
    int open = descriptors();
    run(rounds);
    printf("%s: %d rounds, %ld kB, then %ld; %d descriptors, then %d\n", what, rounds, before, resident_kb(), open,
           descriptors());
    if (resident_kb() > before + ALLOWED_KB) errx(1, "%s: memory grows", what);
    if (descriptors() != open) errx(1, "%s: descriptors are lost", what);
}

static void calls_in(const char *mode, int bursts)
{
    cluster c = join(mode);
    for (int i = 0; i < bursts; i++) burst(&c);
    printf("%lu results, %lu of them cancelled\n", c.results, c.canceled);
    leave(&c, 1);
}

static void calls_inline(int bursts)
{
    calls_in("inline", bursts);
}

static void calls_thread(int bursts)
{
    calls_in("thread", bursts);
}

int main(int argc, char **argv)
{
    int rounds = argc > 2 ? atoi(argv[2]) : 20;
    url = argc > 1 ? argv[1] : "local:";
    measure("calls, inline", calls_inline, rounds);
    measure("calls, thread", calls_thread, rounds);
    measure("contexts", contexts, rounds * 2);
    return 0;
}
