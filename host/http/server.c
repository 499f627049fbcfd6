/* A listener, and the connections that came by it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/http/internal.h"

enum { BACKLOG = 1024 };

const host_http_limits host_http_default_limits = {.head = 16384,
                                                   .target = 8192,
                                                   .body = 1000000,
                                                   .connections = 10000,
                                                   .head_time = 10,
                                                   .body_time = 10,
                                                   .body_rate = 500,
                                                   .idle_time = 75,
                                                   .write_time = 30};

static host_http_server *servers;

static void on_connection(uv_stream_t *stream, int status)
{
    host_http_server *server = stream->data;
    if (status != 0) return;
    if (server->handlers.connection) server->handlers.connection(server->handlers.self, stream);
    else host_http_accept(server);
}

/* A socket that a process left behind. A file of another kind is not ours to remove. */
static void remove_left_over(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat found;
    if (lstat(path, &found) != 0 || !S_ISSOCK(found.st_mode)) return;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return;
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    bool is_dead = connect(fd, (struct sockaddr *)&address, sizeof address) != 0 && errno == ECONNREFUSED;
    close(fd);
    if (is_dead) unlink(path);
}

/* libuv says of a folder that is not there that access to it is denied. */
static bool is_folder_missing(const char *path)
{
    char folder[sizeof ((struct sockaddr_un *)0)->sun_path];
    struct stat found;
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (!slash) return false;
    slash[slash == folder] = '\0';
    return stat(folder, &found) != 0 && errno == ENOENT;
}

/* Nobody but who may connect can, from the first moment on. */
static int bind_unix(host_http_server *server, const host_http_address *address)
{
    remove_left_over(address->path);
    mode_t before = umask(0177);
    int code = uv_pipe_bind(&server->listener.pipe, address->path);
    umask(before);
    if (code == UV_EACCES && is_folder_missing(address->path)) code = UV_ENOENT;
    if (code == 0 && address->mode != 0600 && chmod(address->path, (mode_t)address->mode) != 0)
        code = uv_translate_sys_error(errno);
    return code;
}

static bool has_ipv6(void)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool has = fd >= 0 && bind(fd, (struct sockaddr *)&any, sizeof any) == 0;
    if (fd >= 0) close(fd);
    return has;
}

/* A machine without IPv6 has all addresses of IPv4. */
static int bind_tcp(host_http_server *server, const host_http_address *address)
{
    struct sockaddr_in four;
    if (!address->is_any || has_ipv6())
        return uv_tcp_bind(&server->listener.tcp, (const struct sockaddr *)&address->socket, 0);
    uv_ip4_addr("0.0.0.0", ntohs(((const struct sockaddr_in6 *)&address->socket)->sin6_port), &four);
    return uv_tcp_bind(&server->listener.tcp, (const struct sockaddr *)&four, 0);
}

/* Without an address the handle only stands for the listener that there is not. */
static int open_listener(host_http_server *server, const host_http_address *address)
{
    int code = server->is_unix ? uv_pipe_init(server->loop, &server->listener.pipe, 0)
                               : uv_tcp_init(server->loop, &server->listener.tcp);
    if (code != 0) return free(server), code;
    server->listener.handle.data = server;
    server->next = servers;
    servers = server;
    if (!address) return 0;
    code = server->is_unix ? bind_unix(server, address) : bind_tcp(server, address);
    if (code == 0) code = uv_listen(&server->listener.stream, BACKLOG, on_connection);
    if (code != 0) host_http_close(server);
    else if (!server->holds) uv_unref(&server->listener.handle);
    return code;
}

static host_http_server *open_server(uv_loop_t *loop, const host_http_address *address, const host_http_limits *limits,
                                     const host_http_handlers *handlers, bool holds, int *code)
{
    host_http_server *server = calloc(1, sizeof *server);
    *code = UV_ENOMEM;
    if (!server) return NULL;
    server->loop = loop;
    server->limits = *limits;
    server->handlers = *handlers;
    server->is_unix = address && address->is_unix;
    server->holds = holds;
    *code = open_listener(server, address);
    return *code == 0 ? server : NULL;
}

host_http_server *host_http_listen(uv_loop_t *loop, const host_http_address *address, const host_http_limits *limits,
                                   const host_http_handlers *handlers, bool holds, char *why, size_t why_size)
{
    int code;
    host_http_server *server = open_server(loop, address, limits, handlers, holds, &code);
    if (!server) snprintf(why, why_size, "%s", uv_strerror(code));
    return server;
}

host_http_server *host_http_open(uv_loop_t *loop, const host_http_limits *limits, const host_http_handlers *handlers,
                                 bool holds)
{
    int code;
    return open_server(loop, NULL, limits, handlers, holds, &code);
}

bool host_http_always(host_http_server *server, host_http_text lines)
{
    char *copy = malloc(lines.n + 1);
    if (!copy) return false;
    memcpy(copy, lines.p, lines.n);
    free((char *)server->always.p);
    server->always = (host_http_text){copy, lines.n};
    return true;
}

size_t host_http_connections(void)
{
    size_t count = 0;
    for (const host_http_server *server = servers; server; server = server->next) count += server->count;
    return count;
}

int host_http_port(const host_http_server *server)
{
    struct sockaddr_storage address;
    int size = sizeof address;
    if (server->is_unix || uv_tcp_getsockname(&server->listener.tcp, (struct sockaddr *)&address, &size) != 0) return 0;
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

void host_http_server_check(host_http_server *server)
{
    if (!(server->is_closing || server->is_stopping) || server->count || server->listener.handle.data) return;
    for (host_http_server **at = &servers; *at; at = &(*at)->next) {
        if (*at != server) continue;
        *at = server->next;
        break;
    }
    if (!server->is_closing) server->handlers.drained(server->handlers.self);
    free(server->spare);
    free((char *)server->always.p);
    free(server);
}

static void on_listener_closed(uv_handle_t *handle)
{
    host_http_server *server = handle->data;
    handle->data = NULL;
    host_http_server_check(server);
}

void host_http_stop(host_http_server *server, const host_http_end *end)
{
    if (server->is_stopping || server->is_closing) return;
    server->is_stopping = true;
    server->end = *end;
    uv_close(&server->listener.handle, on_listener_closed);
    host_http_end_idle(server);
}

void host_http_stay_all(void)
{
    for (host_http_server *server = servers; server; server = server->next) server->end.leave = NULL;
}

void host_http_close(host_http_server *server)
{
    if (server->is_closing) return;
    server->is_closing = true;
    if (!server->is_stopping) uv_close(&server->listener.handle, on_listener_closed);
    host_http_close_connections(server);
}

void host_http_close_all(void)
{
    for (host_http_server *server = servers; server; server = server->next) host_http_close(server);
}
