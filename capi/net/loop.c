/* Design notes
 *
 * A run is: turn, uv_run once, turn. A wait with a limit uses one uv timer, so that there is one epoll_wait a run. uv
 * runs the timers that are due before it waits and then waits all the same: so every timer ends with
 * cl_loop_end_wait.
 *
 * The descriptor of cl_loop_fd is an epoll over three: uv's own (I/O and wakes), an eventfd (work that waits in memory)
 * and a timerfd (the earliest uv timer). uv installs its watchers only while it polls: whoever starts one leaves
 * `changed`, and rearm makes the descriptor readable so that one more run installs it. Nobody but us reads the eventfd,
 * once a run.
 *
 * In a child after fork the epoll set is shared with the parent: closing handles there would take them from the parent,
 * so the loop is given an epoll of its own first. */
#include "net/internal.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"

int64_t cl_loop_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t cl_loop_now_about(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void on_wake(uv_async_t *handle)
{
    cl_loop *loop = CL_OWNER(handle, cl_loop, wake);
    if (!loop->closing) cl_resolve_turn(loop);
    if (loop->hooks.woken && !loop->closing) loop->hooks.woken(loop->hooks.self);
}

static void on_limit(uv_timer_t *handle)
{
    cl_loop_end_wait(CL_OWNER(handle, cl_loop, limit));
}

void cl_loop_end_wait(cl_loop *loop)
{
    uv_stop(&loop->uv);
}

/* libuv 1.44 leaves its epoll open when it fails half-way. */
static int init_uv(uv_loop_t *uv)
{
    uv->backend_fd = -1;
    int code = uv_loop_init(uv);
    if (code != 0 && uv_backend_fd(uv) >= 0) close(uv_backend_fd(uv));
    return code;
}

int cl_loop_create(const cl_loop_hooks *hooks, cl_loop **out)
{
    cl_loop *loop = cl_calloc(1, sizeof *loop);
    if (!loop) return cl_error(CLOUDS_ENOMEM, NULL);
    int code = init_uv(&loop->uv);
    if (code == 0) {
        code = uv_async_init(&loop->uv, &loop->wake, on_wake);
        if (code == 0) code = uv_timer_init(&loop->uv, &loop->limit);
        if (code != 0) uv_loop_close(&loop->uv);
    }
    if (code != 0) {
        cl_free(loop);
        return cl_error(code == UV_ENOMEM ? CLOUDS_ENOMEM : CLOUDS_ESYSTEM, "cannot start a loop: %s",
                        uv_strerror(code));
    }
    loop->wake.data = loop->limit.data = NULL;
    loop->hooks = *hooks;
    loop->owner = getpid();
    loop->fd = loop->event_fd = loop->timer_fd = -1;
    loop->changed = 1;
    cl_list_init(&loop->dirty);
    cl_list_init(&loop->resolved);
    *out = loop;
    return 0;
}

static void turn(cl_loop *loop)
{
    if (loop->hooks.turn) loop->hooks.turn(loop->hooks.self);
    if (!cl_list_empty(&loop->dirty)) cl_conn_turn(loop);
}

void cl_loop_turn(cl_loop *loop)
{
    loop->running = 1;
    loop->turns++;
    turn(loop);
    loop->running = 0;
}

uint64_t cl_loop_turn_now(const cl_loop *loop)
{
    return loop && loop->running ? loop->turns : 0;
}

static void clear_readable(cl_loop *loop)
{
    uint64_t count;
    if (loop->readable && read(loop->event_fd, &count, sizeof count) < 0 && errno == EINTR) return;
    loop->readable = 0;
}

void cl_loop_run(cl_loop *loop, int64_t timeout_ms)
{
    loop->running = 1;
    loop->turns++;
    turn(loop);
    if (loop->deferred || !cl_list_empty(&loop->dirty)) timeout_ms = 0;
    loop->deferred = loop->changed = 0;
    clear_readable(loop);
    if (timeout_ms > 0) {
        uv_update_time(&loop->uv);
        uv_timer_start(&loop->limit, on_limit, (uint64_t)timeout_ms, 0);
    }
    loop->turns++; /* it may wait now, before anything happens */
    uv_run(&loop->uv, timeout_ms == 0 ? UV_RUN_NOWAIT : UV_RUN_ONCE);
    if (timeout_ms > 0) uv_timer_stop(&loop->limit);
    turn(loop);
    loop->running = 0;
    cl_loop_rearm(loop);
}

void cl_loop_set_readable(cl_loop *loop)
{
    uint64_t one = 1;
    if (loop->fd < 0 || loop->readable) return;
    while (write(loop->event_fd, &one, sizeof one) < 0 && errno == EINTR) continue;
    loop->readable = 1;
}

static void set_timer(cl_loop *loop, int64_t when)
{
    int canceled = loop->canceled;
    loop->canceled = 0;
    if (when == loop->timer_at) return;
    /* One that is set for earlier and still to come only wakes once too often. */
    int64_t now = (int64_t)uv_now(&loop->uv);
    if (!canceled && loop->timer_at > now && (when == 0 || when > loop->timer_at)) return;
    struct itimerspec spec = {.it_value = {.tv_sec = when / 1000, .tv_nsec = when % 1000 * 1000000}};
    if (timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL) == 0) loop->timer_at = when;
}

void cl_loop_rearm(cl_loop *loop)
{
    if (loop->fd < 0 || loop->closing) return;
    int wait = uv_backend_timeout(&loop->uv);
    if (wait == 0 || loop->deferred || loop->changed || !cl_list_empty(&loop->dirty)) cl_loop_set_readable(loop);
    set_timer(loop, wait > 0 ? (int64_t)uv_now(&loop->uv) + wait : 0);
}

static void close_fd(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

static int add_to(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    return fd < 0 ? -1 : epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

int cl_loop_fd(cl_loop *loop)
{
    if (loop->fd >= 0) return loop->fd;
    int fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0) return cl_error(CLOUDS_ESYSTEM, "epoll: %s", strerror(errno));
    loop->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (add_to(fd, loop->event_fd) || add_to(fd, loop->timer_fd) || add_to(fd, uv_backend_fd(&loop->uv))) {
        int code = cl_error(CLOUDS_ESYSTEM, "epoll: %s", strerror(errno));
        close(fd);
        close_fd(&loop->event_fd);
        close_fd(&loop->timer_fd);
        return code;
    }
    loop->fd = fd;
    loop->readable = 0;
    loop->timer_at = 0;
    cl_loop_set_readable(loop);
    cl_loop_rearm(loop);
    return fd;
}

void cl_loop_wake(cl_loop *loop)
{
    uv_async_send(&loop->wake);
}

int64_t cl_loop_together(cl_loop *loop, int64_t when, int64_t every)
{
    if (!loop->began) loop->began = cl_loop_now();
    int64_t since = when - loop->began;
    return since < 0 || every < 1 ? when : when - since % every;
}

void cl_loop_defer(cl_loop *loop)
{
    loop->deferred = 1;
    cl_loop_set_readable(loop);
}

int cl_loop_poll(cl_loop *loop, uv_poll_t *poll, int events, uv_poll_cb fn)
{
    int code = uv_poll_start(poll, events, fn);
    loop->changed = 1;
    if (!loop->running) cl_loop_set_readable(loop);
    return code;
}

static void close_handle(uv_handle_t *handle, void *unused)
{
    if (uv_is_closing(handle)) return;
    cl_anchor *anchor = handle->data;
    if (anchor) anchor->close_handle(anchor);
    else uv_close(handle, NULL);
}

void cl_loop_close(cl_loop *loop)
{
    if (!loop) return;
    loop->closing = 1;
    if (loop->owner != getpid()) uv_loop_fork(&loop->uv);
    while (uv_loop_close(&loop->uv) == UV_EBUSY) {
        uv_walk(&loop->uv, close_handle, NULL);
        uv_run(&loop->uv, UV_RUN_ONCE);
    }
    close_fd(&loop->fd);
    close_fd(&loop->event_fd);
    close_fd(&loop->timer_fd);
    cl_free(loop);
}
