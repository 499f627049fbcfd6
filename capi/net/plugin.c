/* Design note. What a plugin reports is handed on at once, to code that may call it again. That is safe where the loop has
 * called it, and not from inside of one of its other functions, nor from a thread of its own: `caller` is set for the time
 * of a call that may report, to a mark of the thread. */
#include "net/plugin.h"

#include <stdatomic.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"

enum { MOST_SECONDS = 1000000000 };

static _Thread_local unsigned depth; /* functions of plugins that this thread is in; its address marks the thread */

int cl_plugin_is_inside(void)
{
    return depth > 0;
}

const void *cl_plugin_enter(cl_plugin *plugin, int takes)
{
    const void *before = atomic_load_explicit(&plugin->caller, memory_order_relaxed);
    depth++;
    atomic_store_explicit(&plugin->caller, takes ? (const void *)&depth : NULL, memory_order_relaxed);
    return before;
}

void cl_plugin_leave(cl_plugin *plugin, const void *before)
{
    atomic_store_explicit(&plugin->caller, before, memory_order_relaxed);
    depth--;
}

int cl_plugin_ended(int code, int most, const char *whose)
{
    if (code > most) return cl_error(CLOUDS_EINVAL, "a function of %s returned %d", whose, code);
    return code < 0 && cl_error_code() != code ? cl_error(code, NULL) : code;
}

int cl_plugin_check(const cl_plugin *plugin)
{
    if (atomic_load_explicit(&plugin->caller, memory_order_relaxed) == &depth && !plugin->ended) return 0;
    return cl_error(CLOUDS_EBUSY, "a directory and a transport report from inside of ready, due, woken and flush only");
}

/* ---- what the loop calls */

static void on_due(void *self)
{
    cl_plugin *plugin = self;
    if (!plugin->ops.due || plugin->ended) return;
    const void *before = cl_plugin_enter(plugin, 1);
    plugin->ops.due(plugin->theirs);
    cl_plugin_leave(plugin, before);
}

static void on_woken(void *self)
{
    cl_plugin *plugin = self;
    if (!plugin->ops.woken || plugin->ended || !plugin->theirs) return;
    const void *before = cl_plugin_enter(plugin, 1);
    plugin->ops.woken(plugin->theirs);
    cl_plugin_leave(plugin, before);
}

static void on_ready(void *self, int fd, int events)
{
    cl_plugin *plugin = self;
    if (!plugin->ops.ready || plugin->ended) return;
    const void *before = cl_plugin_enter(plugin, 1);
    plugin->ops.ready(plugin->theirs, fd, events);
    cl_plugin_leave(plugin, before);
}

void cl_plugin_flush(cl_plugin *plugin)
{
    *plugin->has_work = 0;
    if (!plugin->ops.flush || plugin->ended) return;
    const void *before = cl_plugin_enter(plugin, 1);
    plugin->ops.flush(plugin->theirs);
    cl_plugin_leave(plugin, before);
}

/* ---- the host */

static double now(void *self)
{
    return (double)cl_loop_now() / 1000;
}

static void defer(void *self)
{
    cl_plugin *plugin = self;
    if (plugin->ended) return;
    *plugin->has_work = 1;
    cl_loop_defer(plugin->loop);
}

static void wake(void *self)
{
    cl_waker_wake(((cl_plugin *)self)->waker);
}

/* Never before its time: what is due in a part of a millisecond is due at its end. */
static int set_timer(void *self, double seconds)
{
    cl_plugin *plugin = self;
    if (plugin->ended) return cl_error(CLOUDS_EBUSY, NULL);
    char text[CL_NUMBER_TEXT];
    if (!(seconds <= MOST_SECONDS))
        return cl_error(CLOUDS_EINVAL, "timer: %s seconds", cl_number_text(text, seconds, 6));
    if (seconds < 0) {
        cl_loop_timer_stop(plugin->timer);
        return 0;
    }
    int64_t ms = (int64_t)(seconds * 1000);
    cl_loop_timer_set(plugin->timer, cl_loop_now() + ms + ((double)ms < seconds * 1000));
    return 0;
}

static int watch(void *self, int fd, int events)
{
    cl_plugin *plugin = self;
    if (plugin->ended) return cl_error(CLOUDS_EBUSY, NULL);
    if (fd < 0 || events & ~(CLOUDS_WATCH_READ | CLOUDS_WATCH_WRITE))
        return cl_error(CLOUDS_EINVAL, "watch: descriptor %d, events %d", fd, events);
    uint64_t key = (uint64_t)fd + 1;
    cl_fd_watch *known = cl_idmap_get(&plugin->watches, key);
    if (!events) {
        cl_idmap_take(&plugin->watches, key);
        cl_fd_watch_destroy(known);
        return 0;
    }
    if (!known) {
        int code = cl_fd_watch_create(plugin->loop, fd, on_ready, plugin, &known);
        if (code == 0 && cl_idmap_put(&plugin->watches, key, known)) {
            cl_fd_watch_destroy(known);
            code = cl_error(CLOUDS_ENOMEM, NULL);
        }
        if (code != 0) return code;
    }
    cl_fd_watch_set(known, events);
    return 0;
}

/* A code that is no error would be taken for success. */
static int fail(void *self, int code, const char *words)
{
    return cl_error(code < 0 ? code : CLOUDS_EINVAL, words ? "%s" : NULL, words);
}

static void write_log(void *self, int level, const char *words)
{
    if (words) cl_log(level < CLOUDS_LOG_DEBUG ? CLOUDS_LOG_DEBUG : level > CLOUDS_LOG_ERROR ? CLOUDS_LOG_ERROR : level,
                      "%s", words);
}

/* ---- life */

int cl_plugin_init(cl_plugin *plugin, cl_loop *loop, const cl_plugin_ops *ops, uint64_t max_message, int *has_work)
{
    plugin->loop = loop;
    plugin->ops = *ops;
    plugin->has_work = has_work;
    plugin->host = (clouds_host){.size = sizeof(clouds_host),
                                 .version = CLOUDS_VERSION_NUMBER,
                                 .self = plugin,
                                 .max_message = max_message,
                                 .now = now,
                                 .defer = defer,
                                 .wake = wake,
                                 .timer = set_timer,
                                 .watch = watch,
                                 .fail = fail,
                                 .log = write_log};
    int code = cl_waker_create(loop, on_woken, plugin, &plugin->waker);
    return code ? code : cl_loop_timer_create(loop, on_due, plugin, &plugin->timer);
}

void cl_plugin_free(cl_plugin *plugin)
{
    size_t at = 0;
    for (cl_fd_watch *one; (one = cl_idmap_next(&plugin->watches, &at));) cl_fd_watch_destroy(one);
    cl_idmap_free(&plugin->watches);
    cl_loop_timer_destroy(plugin->timer);
    cl_waker_destroy(plugin->waker);
}
