/* A socket that listens, from the text of its address. */
#include <errno.h>
#include <stddef.h>
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

/* ---- those that are there already */

static bool has_flag(int fd, int option, int wanted)
{
    int value = -1;
    socklen_t size = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 && value == wanted;
}

bool host_listener_is_one(int fd)
{
    return has_flag(fd, SO_ACCEPTCONN, 1) && has_flag(fd, SO_TYPE, SOCK_STREAM);
}

static bool is_at_unix(const struct sockaddr_un *address, socklen_t size, const host_http_address *wanted)
{
    return size > offsetof(struct sockaddr_un, sun_path) && strcmp(address->sun_path, wanted->path) == 0;
}

static bool is_at_four(const struct sockaddr_in *address, const host_http_address *wanted)
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)&wanted->socket;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&wanted->socket;
    if (wanted->is_any) return address->sin_addr.s_addr == htonl(INADDR_ANY) && address->sin_port == six->sin6_port;
    return wanted->socket.ss_family == AF_INET && address->sin_port == four->sin_port &&
           address->sin_addr.s_addr == four->sin_addr.s_addr;
}

static bool is_at_six(const struct sockaddr_in6 *address, const host_http_address *wanted)
{
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&wanted->socket;
    return wanted->socket.ss_family == AF_INET6 && address->sin6_port == six->sin6_port &&
           memcmp(&address->sin6_addr, &six->sin6_addr, sizeof six->sin6_addr) == 0;
}

bool host_listener_is_at(int fd, const char *text)
{
    union {
        struct sockaddr any;
        struct sockaddr_un path;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
        struct sockaddr_storage room;
    } there;
    host_http_address wanted;
    char why[128];
    socklen_t size = sizeof there.room - 1; /* the path of a unix socket may come without its end */
    memset(&there, 0, sizeof there);
    if (host_http_address_read(text, &wanted, why, sizeof why) != 0) return false;
    if (getsockname(fd, &there.any, &size) != 0) return false;
    if (there.any.sa_family == AF_UNIX) return wanted.is_unix && is_at_unix(&there.path, size, &wanted);
    if (wanted.is_unix) return false;
    if (there.any.sa_family == AF_INET) return is_at_four(&there.four, &wanted);
    return there.any.sa_family == AF_INET6 && is_at_six(&there.six, &wanted);
}
