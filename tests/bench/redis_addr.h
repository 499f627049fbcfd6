/* Blocking connect to the Redis of a bench: "unix:/path" or "host:port". The socket returned does not block. */
#ifndef BENCH_REDIS_ADDR_H
#define BENCH_REDIS_ADDR_H

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "bench.h"

static inline int redis_connect_unix(const char *path)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof at) != 0) bench_die(path);
    return fd;
}

static inline int redis_connect_tcp(const char *address)
{
    char host[256];
    snprintf(host, sizeof host, "%s", address);
    char *colon = strrchr(host, ':');
    if (!colon) bench_die("the address has no port");
    *colon = 0;
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found;
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0) bench_die(address);
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0) bench_die(address);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    freeaddrinfo(found);
    return fd;
}

static inline int redis_connect(const char *address)
{
    int fd = strncmp(address, "unix:", 5) == 0 ? redis_connect_unix(address + 5) : redis_connect_tcp(address);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

#endif
