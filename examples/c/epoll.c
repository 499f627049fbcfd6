/* Calls "test.echo" with each line of standard input (a JSON array), from an epoll loop of the program's own: lines, a
 * timer and the library in one wait. No call waits for another.
 *
 *   cc epoll.c $(pkg-config --cflags --libs clouds) -o epoll && printf '[1]\n[2]\n' | ./epoll [URL] */
#define _POSIX_C_SOURCE 200809L
#include <clouds.h>
#include <err.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 64 };

static clouds_context *context;
static clouds_node *node;
static int loop, timer, outstanding, failed;

static void check(int code)
{
    if (code < 0) errx(1, "%s", clouds_last_error());
}

static void watch(int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
    if (epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) != 0) err(1, "epoll_ctl");
}

static int every(time_t seconds)
{
    struct itimerspec period = {{seconds, 0}, {seconds, 0}};
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (fd < 0 || timerfd_settime(fd, 0, &period, NULL) != 0) err(1, "timer");
    return fd;
}

static void call(const char *arguments, size_t len)
{
    clouds_call_options how = {.size = sizeof how, .timeout = 1, .retries = 30};
    uint64_t id;
    int code = clouds_node_call(node, "test.echo", 9, arguments, len, &how, &id);
    if (code == 0) outstanding++;
    else failed = 1, warnx("not called: %s", clouds_last_error());
}

/* Some more of standard input; 0 at its end. Half a line waits for the rest. */
static int lines(void)
{
    static char text[65536];
    static size_t len;
    ssize_t n = read(STDIN_FILENO, text + len, sizeof text - len);
    if (n <= 0) return 0;
    len += (size_t)n;
    size_t start = 0;
    for (char *end; (end = memchr(text + start, '\n', len - start)); start = (size_t)(end - text) + 1)
        call(text + start, (size_t)(end - text) - start);
    memmove(text, text + start, len -= start);
    return 1;
}

static void completed(const clouds_event *event)
{
    outstanding--;
    failed |= event->code != 0;
    if (event->code == 0) printf("%.*s\n", (int)event->data_len, event->data);
    else printf("%s: %.*s\n", clouds_err_name(event->code), (int)event->error_len, event->error);
}

/* The descriptor was readable: a batch, without waiting. While more is left it stays readable. */
static void turn(void)
{
    clouds_event events[EVENTS];
    int n = clouds_poll(context, events, sizeof *events, EVENTS, 0);
    check(n);
    for (int i = 0; i < n; i++)
        if (events[i].type == CLOUDS_EVENT_RESULT) completed(&events[i]);
}

static void tick(void)
{
    uint64_t expirations;
    if (read(timer, &expirations, sizeof expirations) > 0) fprintf(stderr, "%d calls outstanding\n", outstanding);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0); /* an answer is seen when it comes */
    check(clouds_open(argc > 1 ? argv[1] : NULL, "client", &context, &node));
    loop = epoll_create1(EPOLL_CLOEXEC);
    watch(clouds_fd(context));
    watch(timer = every(1));
    watch(STDIN_FILENO);
    for (int open = 1; open || outstanding > 0;) {
        struct epoll_event ready;
        if (epoll_wait(loop, &ready, 1, -1) <= 0) continue;
        if (ready.data.fd == timer) tick();
        else if (ready.data.fd == clouds_fd(context)) turn();
        else if (!lines()) open = 0, epoll_ctl(loop, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
    }
    clouds_context_destroy(context);
    return failed;
}
