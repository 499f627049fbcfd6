/* host.cluster of a worker: listeners that it shares with the others and the master, of which it accepts by itself. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/http/http.h"
#include "cluster_module.h"
#include "internal.h"

enum { PAUSE = 100 }; /* milliseconds until it is tried again to accept without a descriptor */

typedef struct shared {
    uv_poll_t poll;
    struct shared *next;
    int fd;
    unsigned number, most;
    bool reads;
} shared;

static struct {
    shared *first;
    bool (*adopt)(int fd, unsigned listener);
    bool is_open, is_short, has_timer;
    uv_timer_t timer;
} all;

static void on_pause_over(uv_timer_t *timer)
{
    (void)timer;
    all.is_short = false;
    host_shared_update();
}

static void pause_all(void)
{
    if (!all.has_timer) {
        uv_timer_init(host_get()->loop, &all.timer);
        uv_unref((uv_handle_t *)&all.timer);
        all.has_timer = true;
    }
    all.is_short = true;
    uv_timer_start(&all.timer, on_pause_over, PAUSE, 0);
}

/* One a turn: what is left is for the others as well. */
static void on_waiting(uv_poll_t *poll, int status, int events)
{
    shared *s = (shared *)poll;
    (void)events;
    int fd = status == 0 ? accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC) : -1;
    if (fd < 0) {
        if (status != 0 || errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) pause_all();
    } else if (!all.adopt(fd, s->number)) {
        close(fd);
    }
    host_shared_update();
}

/* Each is read while somebody here takes its connections, and not too many are open. */
void host_shared_update(void)
{
    size_t open = host_cluster_open();
    for (shared *s = all.first; s; s = s->next) {
        bool reads = all.is_open && !all.is_short && open < s->most;
        if (reads == s->reads) continue;
        s->reads = reads;
        if (reads) uv_poll_start(&s->poll, UV_READABLE, on_waiting);
        else uv_poll_stop(&s->poll);
    }
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void drop(shared **at)
{
    shared *s = *at;
    *at = s->next;
    uv_close((uv_handle_t *)&s->poll, on_closed);
    close(s->fd);
}

void host_shared_drop(unsigned number)
{
    for (shared **at = &all.first; *at;)
        if ((*at)->number == number) drop(at);
        else at = &(*at)->next;
}

void host_shared_close(void)
{
    all.is_open = false;
    while (all.first) drop(&all.first);
}

bool host_shared_take(const clouds_channel_listener *about, int fd)
{
    shared *s = calloc(1, sizeof *s);
    if (!s || uv_poll_init(host_get()->loop, &s->poll, fd) != 0) return free(s), false;
    host_shared_drop(about->listener);
    uv_unref((uv_handle_t *)&s->poll); /* the channel keeps the program running */
    s->fd = fd;
    s->number = about->listener;
    s->most = about->connections;
    s->next = all.first;
    all.first = s;
    host_shared_update();
    return true;
}

void host_shared_open(bool (*adopt)(int fd, unsigned listener))
{
    all.adopt = adopt;
    all.is_open = true;
    host_shared_update();
}
