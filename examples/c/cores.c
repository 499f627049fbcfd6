/* Offers "test.work" on every core: a thread for each, with a context of its own. Nothing is shared, so nothing is
 * locked. SIGTERM stops it in order: what was accepted is answered first.
 *
 *   cc cores.c -pthread $(pkg-config --cflags --libs clouds) -o cores && ./cores [URL [THREADS]] */
#define _POSIX_C_SOURCE 200809L
#include <clouds.h>
#include <err.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { EVENTS = 64, MOST = 256 };

typedef struct worker {
    pthread_t thread;
    clouds_context *context;
    clouds_node *node;
    unsigned long served;
} worker;

static void check(int code)
{
    if (code < 0) errx(1, "%s", clouds_last_error());
}

static void join(worker *self, const clouds_options *options)
{
    check(clouds_context_create(options, &self->context));
    check(clouds_node_create(self->context, NULL, &self->node));
    check(clouds_node_register(self->node, "test.work", 9, NULL, NULL));
}

/* [n] of the first n numbers' sum, slowly: something for a core to do. The answer says who did it. */
static void work(worker *self, const clouds_event *request)
{
    char text[128];
    volatile double sum = 0;
    snprintf(text, sizeof text, "%.*s", (int)request->data_len, request->data);
    for (long i = strtol(text + 1, NULL, 10); i > 0; i--) sum += (double)i;
    int len = snprintf(text, sizeof text, "[%.0f,\"%s\"]", sum, clouds_node_id(self->node));
    if (clouds_reply(self->context, request->id, text, (size_t)len) == 0) self->served++;
}

/* A poll that waits for ever gives 0 only when it was woken, and that is how this program says stop. Once the context
 * is closed there is nothing left to poll for. */
static void *run(void *argument)
{
    worker *self = argument;
    clouds_event events[EVENTS];
    for (int n; (n = clouds_poll(self->context, events, sizeof *events, EVENTS, -1)) >= 0;) {
        for (int i = 0; i < n; i++)
            if (events[i].type == CLOUDS_EVENT_REQUEST) work(self, &events[i]);
        if (n == 0) clouds_context_close(self->context, -1, NULL, NULL);
    }
    clouds_context_destroy(self->context);
    return NULL;
}

static int cores(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > MOST ? MOST : (int)n;
}

int main(int argc, char **argv)
{
    static worker workers[MOST];
    int count = argc > 2 ? atoi(argv[2]) : cores(), number;
    clouds_options *options;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* in all threads: main alone takes them, by sigwait */
    check(clouds_options_create(&options));
    check(clouds_options_set_string(options, "url", argc > 1 ? argv[1] : "local:"));
    for (int i = 0; i < count; i++) {
        join(&workers[i], options);
        if (pthread_create(&workers[i].thread, NULL, run, &workers[i]) != 0) errx(1, "no thread");
    }
    clouds_options_destroy(options);
    sigwait(&signals, &number);
    for (int i = 0; i < count; i++) clouds_wakeup(workers[i].context);
    for (int i = 0; i < count; i++) {
        pthread_join(workers[i].thread, NULL);
        printf("%lu served by thread %d\n", workers[i].served, i + 1);
    }
    return 0;
}
