/* Design notes
 *
 * inotify is used directly instead of uv's, because uv drops the event that the kernel's queue ran over. Then, and
 * whenever it is not known what changed, the name is NULL: look at everything.
 *
 * A user has few inotify instances (128 by default); without one the folder's time of change is looked at every 200 ms,
 * and less often while nothing changes and nobody asks. */
#include "net/internal.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

enum {
    LOOK_MS = 200, /* longer than a tick of the file system's clock */
    LOOK_MOST_MS = 1000,
    LOOK_COST = 50, /* where to look at all takes long, that is at most a fiftieth of the time */
    LOOK_MOST_COSTLY_MS = 5000,
    MASK = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR
};

struct cl_fs_watch {
    cl_anchor anchor;
    cl_loop *loop;
    void (*fn)(void *self, const char *name);
    void *self;
    char *folder;
    int fd; /* -1: by timer */
    union {
        uv_handle_t handle;
        uv_poll_t poll;
        uv_timer_t timer;
    } uv;
    struct timespec seen;
    int unsettled; /* a further change in the same tick of the clock would not show: one more look is due */
    uint64_t pause;
    int open, owned;
};

static void release(cl_fs_watch *watch)
{
    if (watch->open || watch->owned) return;
    cl_free(watch->folder);
    cl_free(watch);
}

static void on_closed(uv_handle_t *handle)
{
    cl_fs_watch *watch = CL_OWNER(handle, cl_fs_watch, uv);
    watch->open = 0;
    release(watch);
}

static void close_handle(cl_anchor *anchor)
{
    cl_fs_watch *watch = CL_OWNER(anchor, cl_fs_watch, anchor);
    uv_close(&watch->uv.handle, on_closed);
    if (watch->fd >= 0) close(watch->fd);
    watch->fd = -1;
}

static int is_wanted(const cl_fs_watch *watch)
{
    return watch->owned && !uv_is_closing(&watch->uv.handle);
}

static void read_changes(cl_fs_watch *watch)
{
    char bytes[8192] __attribute__((aligned(8)));
    for (;;) {
        ssize_t n = read(watch->fd, bytes, sizeof bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return;
        for (char *p = bytes; p < bytes + n;) {
            struct inotify_event *event = (struct inotify_event *)(void *)p;
            p += sizeof *event + event->len;
            watch->fn(watch->self, event->len && !(event->mask & IN_Q_OVERFLOW) ? event->name : NULL);
            if (!is_wanted(watch)) return;
        }
    }
}

static void on_events(uv_poll_t *poll, int status, int events)
{
    read_changes(CL_OWNER(poll, cl_fs_watch, uv));
}

static void look(cl_fs_watch *watch)
{
    struct stat s;
    if (stat(watch->folder, &s) != 0) s.st_mtim = (struct timespec){0};
    int changed = s.st_mtim.tv_sec != watch->seen.tv_sec || s.st_mtim.tv_nsec != watch->seen.tv_nsec;
    int tell = changed || watch->unsettled;
    watch->seen = s.st_mtim;
    watch->unsettled = changed;
    if (!tell) return;
    uint64_t from = uv_hrtime();
    watch->fn(watch->self, NULL);
    uint64_t most = (uv_hrtime() - from) / 1000000 * LOOK_COST;
    watch->pause = most < LOOK_MS ? LOOK_MS : most < LOOK_MOST_COSTLY_MS ? most : LOOK_MOST_COSTLY_MS;
}

static void on_look(uv_timer_t *timer)
{
    cl_fs_watch *watch = CL_OWNER(timer, cl_fs_watch, uv);
    if (watch->pause < LOOK_MOST_MS) watch->pause = watch->pause * 2 < LOOK_MOST_MS ? watch->pause * 2 : LOOK_MOST_MS;
    cl_loop_end_wait(watch->loop);
    look(watch);
    if (is_wanted(watch)) uv_timer_start(timer, on_look, watch->pause, 0);
}

void cl_fs_watch_read(cl_fs_watch *watch)
{
    if (!is_wanted(watch)) return;
    if (watch->fd >= 0) {
        read_changes(watch);
        return;
    }
    watch->pause = LOOK_MS;
    look(watch);
    if (is_wanted(watch)) uv_timer_start(&watch->uv.timer, on_look, watch->pause, 0);
}

int cl_fs_watch_is_notified(const cl_fs_watch *watch)
{
    return watch->fd >= 0;
}

static int start_inotify(cl_fs_watch *watch)
{
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd < 0) return -errno;
    int code =
        inotify_add_watch(fd, watch->folder, MASK) < 0 ? -errno : uv_poll_init(&watch->loop->uv, &watch->uv.poll, fd);
    if (code != 0) {
        close(fd);
        return code;
    }
    watch->fd = fd;
    cl_loop_poll(watch->loop, &watch->uv.poll, UV_READABLE, on_events);
    return 0;
}

static void start_timer(cl_fs_watch *watch, int why)
{
    static atomic_flag said = ATOMIC_FLAG_INIT;
    if (!atomic_flag_test_and_set(&said))
        cl_log(CLOUDS_LOG_WARN, "no inotify (%s): changes in %s are seen late; this user needs a higher %s",
               uv_strerror(why), watch->folder,
               why == -EMFILE ? "fs.inotify.max_user_instances (or limit of open files)"
                              : "fs.inotify.max_user_watches");
    uv_timer_init(&watch->loop->uv, &watch->uv.timer);
    uv_timer_start(&watch->uv.timer, on_look, watch->pause, 0);
}

int cl_fs_watch_create(cl_loop *loop, const char *folder, void (*fn)(void *self, const char *name), void *self,
                       cl_fs_watch **out)
{
    if (loop->closing) return cl_error(CLOUDS_ECLOSED, NULL);
    cl_fs_watch *watch = cl_calloc(1, sizeof *watch);
    char *copy = watch ? cl_str_dup(cl_str_z(folder)) : NULL;
    if (!copy) {
        cl_free(watch);
        return cl_error(CLOUDS_ENOMEM, NULL);
    }
    *watch = (cl_fs_watch){.anchor = {close_handle},
                           .loop = loop,
                           .fn = fn,
                           .self = self,
                           .folder = copy,
                           .fd = -1,
                           .open = 1,
                           .owned = 1,
                           .pause = LOOK_MS};
    int code = start_inotify(watch);
    if (code != 0) start_timer(watch, code);
    watch->uv.handle.data = &watch->anchor;
    *out = watch;
    return 0;
}

void cl_fs_watch_destroy(cl_fs_watch *watch)
{
    if (!watch) return;
    watch->owned = 0;
    if (watch->open && !uv_is_closing(&watch->uv.handle)) close_handle(&watch->anchor);
    release(watch);
}
