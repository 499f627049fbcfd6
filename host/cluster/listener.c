/* A socket that listens, from the text of its address. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/cluster/cluster.h"
#include "host/http/http.h"

/* Of a process that ended without removing it. Another that listens there keeps it. */
static int remove_left_over(const struct sockaddr_un *address)
{
    struct stat found;
    if (lstat(address->sun_path, &found) != 0) return 0;
    if (!S_ISSOCK(found.st_mode)) return errno = EEXIST, -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    int result = connect(fd, (const struct sockaddr *)address, sizeof *address);
    int problem = errno;
    close(fd);
    if (result == 0 || problem != ECONNREFUSED) return errno = EADDRINUSE, -1;
    return unlink(address->sun_path);
}

/* The mode is that of the socket from its first moment on: one that is bound wider, and narrowed then, was open. */
static int bind_unix(int fd, const char *path, int mode)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (remove_left_over(&address) != 0) return -1;
    mode_t before = umask((mode_t)(0777 & ~mode));
    int result = bind(fd, (struct sockaddr *)&address, sizeof address);
    umask(before);
    return result;
}

static int bind_tcp(int fd, const struct sockaddr_storage *address, bool is_for_all)
{
    int on = 1, off = 0;
    bool is_six = address->ss_family == AF_INET6;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (is_six) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, is_for_all ? &off : &on, sizeof on);
    return bind(fd, (const struct sockaddr *)address,
                is_six ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
}

static int listen_at(const host_http_address *address, int backlog)
{
    int family = address->is_unix ? AF_UNIX : address->socket.ss_family;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    int result = address->is_unix ? bind_unix(fd, address->path, address->mode)
                                  : bind_tcp(fd, &address->socket, address->is_any);
    if (result == 0 && listen(fd, backlog) == 0) return fd;
    int problem = errno;
    close(fd);
    return errno = problem, -1;
}

/* All addresses of a machine without IPv6 are those of IPv4. */
static int listen_at_any(host_http_address *address, int backlog)
{
    int fd = listen_at(address, backlog), port = ntohs(((struct sockaddr_in6 *)&address->socket)->sin6_port);
    if (fd >= 0 || errno == EADDRINUSE || errno == EACCES) return fd;
    uv_ip4_addr("0.0.0.0", port, (struct sockaddr_in *)&address->socket);
    return listen_at(address, backlog);
}

int host_listener_open(const char *text, int backlog, char *why, size_t why_size)
{
    host_http_address address;
    if (host_http_address_read(text, &address, why, why_size) != 0) return errno = EINVAL, -1;
    int fd = address.is_any ? listen_at_any(&address, backlog) : listen_at(&address, backlog);
    if (fd >= 0) return fd;
    int problem = errno;
    snprintf(why, why_size, "%s", strerror(problem));
    return errno = problem, -1;
}

int host_listener_port(int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0) return 0;
    if (address.ss_family == AF_INET) return ntohs(((struct sockaddr_in *)&address)->sin_port);
    return address.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&address)->sin6_port) : 0;
}
