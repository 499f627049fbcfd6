/* How a connection begins: it is taken from the listener, or brought by another process that has accepted it. */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/http/internal.h"

static int open_handles(host_http_connection *c)
{
    uv_loop_t *loop = c->server->loop;
    int code = c->is_unix ? uv_pipe_init(loop, &c->uv.pipe, 0) : uv_tcp_init(loop, &c->uv.tcp);
    if (code != 0) return code;
    uv_timer_init(loop, &c->timer);
    uv_timer_init(loop, &c->write_timer);
    c->open_handles = 3;
    c->uv.handle.data = c->timer.data = c->write_timer.data = c;
    if (!c->server->holds) uv_unref(&c->uv.handle);
    return 0;
}

static void link_to(host_http_connection *c, host_http_server *server)
{
    c->server = server;
    c->next = server->connections;
    c->from = &server->connections;
    if (c->next) c->next->from = &c->next;
    server->connections = c;
    server->count++;
}

static host_http_connection *make(host_http_server *server, bool is_unix)
{
    host_http_connection *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->is_unix = is_unix;
    link_to(c, server);
    if (open_handles(c) == 0) {
        host_http_begin(c);
        return c;
    }
    server->connections = c->next;
    if (c->next) c->next->from = &server->connections;
    server->count--;
    free(c);
    return NULL;
}

/* `code`: of what gave it its socket. `seconds`: until it has to have a request. */
static void start(host_http_connection *c, int code, double seconds)
{
    host_http_server *server = c->server;
    if (code != 0 || server->count > server->limits.connections) {
        host_http_connection_close(c);
        return;
    }
    if (!c->is_unix) uv_tcp_nodelay(&c->uv.tcp, 1);
    host_http_limit(c, seconds);
    host_http_read_on(c);
}

void host_http_accept(host_http_server *server)
{
    host_http_connection *c = make(server, server->is_unix);
    if (c) start(c, uv_accept(&server->listener.stream, &c->uv.stream), server->limits.head_time);
}

bool host_http_is_unix(int fd)
{
    struct sockaddr_storage own;
    socklen_t size = sizeof own;
    return getsockname(fd, (struct sockaddr *)&own, &size) == 0 && own.ss_family == AF_UNIX;
}

bool host_http_adopt(host_http_server *server, int fd, unsigned listener, bool is_idle)
{
    if (server->is_stopping || server->is_closing) return false;
    bool is_unix = host_http_is_unix(fd);
    host_http_connection *c = make(server, is_unix);
    int code = !c ? -1 : is_unix ? uv_pipe_open(&c->uv.pipe, fd) : uv_tcp_open(&c->uv.tcp, fd);
    if (code != 0) close(fd);
    if (!c) return true;
    c->listener = listener;
    start(c, code, is_idle ? server->limits.idle_time : server->limits.head_time);
    return true;
}
