/* What a child writes, line by line. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/cluster/cluster.h"

enum { READS_AT_THE_END = 16 }; /* more than a pipe holds would be another's that has it too, and goes on writing */

struct host_lines {
    uv_poll_t poll;
    int fd;
    bool closing, ended, skips; /* skips: the rest of a line that was too long */
    host_lines_hook hook;
    void *self;
    size_t len;
    char text[HOST_LINES_LONGEST];
};

static void tell(host_lines *l, const char *text, size_t size, bool is_cut)
{
    if (!l->skips) l->hook(l->self, text, size, is_cut);
    l->skips = is_cut;
}

static void split(host_lines *l)
{
    size_t at = 0;
    for (char *end; !l->closing && (end = memchr(l->text + at, '\n', l->len - at)); at = (size_t)(end - l->text) + 1)
        tell(l, l->text + at, (size_t)(end - l->text) - at, false);
    if (l->closing) return;
    memmove(l->text, l->text + at, l->len - at);
    l->len -= at;
    if (l->len < sizeof l->text) return;
    tell(l, l->text, l->len, true);
    l->len = 0;
}

/* Whether there may be more. */
static bool read_some(host_lines *l)
{
    ssize_t n;
    do n = read(l->fd, l->text + l->len, sizeof l->text - l->len);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        l->len += (size_t)n;
        split(l);
        return true;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
    l->ended = true;
    uv_poll_stop(&l->poll);
    if (l->len) tell(l, l->text, l->len, false); /* the last, without an end */
    l->len = 0;
    return false;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    host_lines *l = (host_lines *)poll;
    (void)status;
    (void)events;
    read_some(l); /* once a turn: who writes without end keeps nothing else waiting */
}

host_lines *host_lines_open(uv_loop_t *loop, int fd, host_lines_hook hook, void *self)
{
    host_lines *l = calloc(1, sizeof *l);
    if (!l) return NULL;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    if (uv_poll_init(loop, &l->poll, fd) != 0) return free(l), NULL;
    l->fd = fd;
    l->hook = hook;
    l->self = self;
    uv_poll_start(&l->poll, UV_READABLE, on_readable);
    uv_unref((uv_handle_t *)&l->poll);
    return l;
}

void host_lines_read_now(host_lines *l)
{
    for (int i = 0; i < READS_AT_THE_END && !l->closing && !l->ended; i++)
        if (!read_some(l)) return;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

void host_lines_close(host_lines *l)
{
    if (l->closing) return;
    l->closing = true;
    uv_close((uv_handle_t *)&l->poll, on_closed);
    close(l->fd);
}

host_lines_state host_lines_look(const host_lines *l)
{
    return (host_lines_state){l->fd, l->text, l->len, l->skips};
}

void host_lines_resume(host_lines *l, const char *text, size_t size, bool skips)
{
    l->len = size < sizeof l->text ? size : sizeof l->text - 1;
    memcpy(l->text, text, l->len);
    l->skips = skips;
}
