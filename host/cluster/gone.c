/* Connections that nobody takes: the client is told, and read until it has seen the end. Closed at once, the bytes that it
 * sent would make the kernel reset the connection, and what it was told be lost with it. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/cluster/internal.h"

enum { LEAVING_MOST = 256, LEAVING_TIME = 2000 /* milliseconds */ };

struct leaving {
    uv_poll_t poll;
    uv_timer_t timer;
    leaving *next;
    host_dispatch *dispatch; /* NULL: it is being closed with the dispatch */
    int fd, open_handles;
};

static void on_handle_closed(uv_handle_t *handle)
{
    leaving *l = handle->data;
    if (--l->open_handles == 0) free(l);
}

static void leave(leaving *l)
{
    uv_close((uv_handle_t *)&l->poll, on_handle_closed);
    uv_close((uv_handle_t *)&l->timer, on_handle_closed);
    close(l->fd);
}

static void end(leaving *l)
{
    for (leaving **at = &l->dispatch->leavings; *at; at = &(*at)->next)
        if (*at == l) {
            *at = l->next;
            break;
        }
    l->dispatch->leaving_count--;
    leave(l);
}

static void on_time(uv_timer_t *timer)
{
    end(timer->data);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    leaving *l = (leaving *)poll;
    char scrap[4096];
    (void)events;
    ssize_t n = status == 0 ? recv(l->fd, scrap, sizeof scrap, MSG_DONTWAIT) : 0;
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) end(l);
}

static void wait_for_client(host_dispatch *d, int fd)
{
    leaving *l = d->leaving_count < LEAVING_MOST ? calloc(1, sizeof *l) : NULL;
    if (!l || uv_poll_init(d->loop, &l->poll, fd) != 0) {
        free(l);
        close(fd);
        return;
    }
    uv_timer_init(d->loop, &l->timer);
    l->poll.data = l->timer.data = l;
    l->dispatch = d;
    l->fd = fd;
    l->open_handles = 2;
    l->next = d->leavings;
    d->leavings = l;
    d->leaving_count++;
    uv_poll_start(&l->poll, UV_READABLE, on_readable);
    uv_timer_start(&l->timer, on_time, LEAVING_TIME, 0);
}

/* What does not go into the buffer of a new connection at once is not waited for. */
void host_dispatch_say_gone(host_dispatch *d, int fd)
{
    ssize_t ignored = send(fd, d->options.gone, d->options.gone_size, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)ignored;
    d->counts.gone++;
    shutdown(fd, SHUT_WR);
    wait_for_client(d, fd);
}

void host_dispatch_close_gone(host_dispatch *d)
{
    while (d->leavings) {
        leaving *next = d->leavings->next;
        leave(d->leavings);
        d->leavings = next;
    }
}
