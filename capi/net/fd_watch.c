/* A descriptor that another library owns: told when it can be read or written. It may be closed, and its number used
 * again, as soon as its watch is destroyed. */
#include "net/internal.h"

#include "base/error.h"
#include "base/mem.h"

struct cl_fd_watch {
    cl_anchor anchor;
    cl_loop *loop;
    uv_poll_t poll;
    int fd;
    void (*fn)(void *self, int fd, int events);
    void *self;
    int open, owned;
};

static void release(cl_fd_watch *watch)
{
    if (!watch->open && !watch->owned) cl_free(watch);
}

static void on_closed(uv_handle_t *handle)
{
    cl_fd_watch *watch = CL_OWNER(handle, cl_fd_watch, poll);
    watch->open = 0;
    release(watch);
}

static void close_handle(cl_anchor *anchor)
{
    cl_fd_watch *watch = CL_OWNER(anchor, cl_fd_watch, anchor);
    uv_close((uv_handle_t *)&watch->poll, on_closed);
}

/* What is wrong with it, its owner sees when reading or writing. */
static void on_events(uv_poll_t *poll, int status, int events)
{
    cl_fd_watch *watch = CL_OWNER(poll, cl_fd_watch, poll);
    int readable = events & UV_READABLE ? CL_FD_READABLE : 0, writable = events & UV_WRITABLE ? CL_FD_WRITABLE : 0;
    watch->fn(watch->self, watch->fd, status < 0 ? CL_FD_READABLE | CL_FD_WRITABLE : readable | writable);
}

int cl_fd_watch_create(cl_loop *loop, int fd, void (*fn)(void *self, int fd, int events), void *self,
                       cl_fd_watch **out)
{
    if (loop->closing) return cl_error(CLOUDS_ECLOSED, NULL);
    cl_fd_watch *watch = cl_malloc(sizeof *watch);
    if (!watch) return cl_error(CLOUDS_ENOMEM, NULL);
    *watch = (cl_fd_watch){
        .anchor = {close_handle}, .loop = loop, .fd = fd, .fn = fn, .self = self, .open = 1, .owned = 1};
    int code = uv_poll_init(&loop->uv, &watch->poll, fd);
    if (code != 0) {
        cl_free(watch);
        return cl_error(CLOUDS_ESYSTEM, "cannot watch a descriptor: %s", uv_strerror(code));
    }
    watch->poll.data = &watch->anchor;
    *out = watch;
    return 0;
}

void cl_fd_watch_set(cl_fd_watch *watch, int events)
{
    int readable = events & CL_FD_READABLE ? UV_READABLE : 0, writable = events & CL_FD_WRITABLE ? UV_WRITABLE : 0;
    if (!watch->open || uv_is_closing((uv_handle_t *)&watch->poll)) return;
    if (events) cl_loop_poll(watch->loop, &watch->poll, readable | writable, on_events);
    else uv_poll_stop(&watch->poll);
}

void cl_fd_watch_destroy(cl_fd_watch *watch)
{
    if (!watch) return;
    watch->owned = 0;
    if (watch->open && !uv_is_closing((uv_handle_t *)&watch->poll)) close_handle(&watch->anchor);
    release(watch);
}
