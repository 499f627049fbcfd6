/* Offers "test.echo" and "test.ticks" from inside an existing libuv loop, beside a timer and a signal of the program's
 * own. SIGTERM stops it in order: what it has accepted is answered first.
 *
 *   cc uv.c $(pkg-config --cflags --libs clouds libuv) -o uv && ./uv [URL] */
#define _POSIX_C_SOURCE 200809L
#include <clouds.h>
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <uv.h>

enum { EVENTS = 64 };

static clouds_context *context;
static clouds_node *node;
static uv_poll_t readable;
static uv_timer_t timer;
static uv_signal_t stop;
static unsigned ticks;

static void check(int code)
{
    if (code < 0) errx(1, "%s", clouds_last_error());
}

static void join(const char *url)
{
    check(clouds_open(url, "server", &context, &node));
    check(clouds_node_register(node, "test.echo", 9, NULL, NULL));
    check(clouds_node_register(node, "test.ticks", 10, NULL, NULL));
}

static void answer(const clouds_event *request)
{
    char text[32];
    if (request->method_len == 9) clouds_reply(context, request->id, request->data, request->data_len);
    else clouds_reply(context, request->id, text, (size_t)snprintf(text, sizeof text, "[%u]", ticks));
}

/* Nothing is left in the loop, and so uv_run returns. */
static void leave(void)
{
    uv_close((uv_handle_t *)&readable, NULL);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_close((uv_handle_t *)&stop, NULL);
}

static void handle(const clouds_event *event)
{
    if (event->type == CLOUDS_EVENT_REQUEST) answer(event);
    else if (event->type == CLOUDS_EVENT_CONTEXT_CLOSED) leave();
    else if (event->code != 0) warnx("%.*s", (int)event->error_len, event->error);
    else if (event->type == CLOUDS_EVENT_REGISTERED) puts(event->method_len == 9 ? "echo" : "ticks"), fflush(stdout);
}

/* All there is to do, without waiting. */
static void on_readable(uv_poll_t *handle_, int status, int what)
{
    clouds_event events[EVENTS];
    int n;
    (void)handle_, (void)status, (void)what;
    do {
        n = clouds_poll(context, events, sizeof *events, EVENTS, 0);
        for (int i = 0; i < n; i++) handle(&events[i]);
    } while (n == EVENTS);
}

static void on_tick(uv_timer_t *handle_)
{
    (void)handle_;
    ticks++;
}

static void on_stop(uv_signal_t *handle_, int number)
{
    (void)handle_, (void)number;
    clouds_context_close(context, -1, NULL, NULL);
}

int main(int argc, char **argv)
{
    uv_loop_t *loop = uv_default_loop();
    join(argc > 1 ? argv[1] : NULL);
    uv_poll_init(loop, &readable, clouds_fd(context));
    uv_poll_start(&readable, UV_READABLE, on_readable);
    uv_timer_init(loop, &timer);
    uv_timer_start(&timer, on_tick, 10, 10);
    uv_signal_init(loop, &stop);
    uv_signal_start(&stop, on_stop, SIGTERM);
    uv_run(loop, UV_RUN_DEFAULT);
    clouds_context_destroy(context);
    return uv_loop_close(loop) == 0 ? 0 : 1;
}
