/* What the stop of a server means for its connections.
 *
 * Design note. A client may send its next request at any moment, also in the one in which its connection is closed, and
 * then it does not know what became of it. So where another process serves on, a connection that waits for a request is
 * given to that one: its descriptor travels, what the client sends meanwhile waits in the kernel, and nothing of a
 * request may have been read here, for that would be lost. */
#include "host/http/internal.h"

/* Nothing of its next request has come here. */
static bool is_idle(const host_http_connection *c)
{
    return c->state == HOST_HTTP_READING && !c->later && host_http_parser_is_fresh(&c->parser);
}

bool host_http_may_follow(const host_http_server *server)
{
    if (!server->is_stopping) return true;
    return server->end.leave && uv_now(server->loop) < server->patient_until;
}

double host_http_idle_time(const host_http_server *server)
{
    return server->is_stopping ? server->end.idle : server->limits.idle_time;
}

bool host_http_leave(host_http_connection *c)
{
    const host_http_server *server = c->server;
    uv_os_fd_t fd;
    if (!server->is_stopping || !server->end.leave || !is_idle(c)) return false;
    if (uv_fileno(&c->uv.handle, &fd) != 0 || !server->end.leave(fd, c->listener)) return false;
    host_http_connection_close(c);
    return true;
}

void host_http_end_idle(host_http_server *server)
{
    const host_http_end *end = &server->end;
    server->patient_until = uv_now(server->loop) + (uint64_t)(end->patience * 1000);
    for (host_http_connection *c = server->connections; c; c = c->next)
        if (c->state == HOST_HTTP_WEBSOCKET) host_http_websocket_stop(c, end->patience);
        else if (is_idle(c) && !host_http_leave(c)) host_http_limit(c, end->idle);
}
