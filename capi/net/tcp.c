/* What TCP sockets are set to, and what they say about where they are. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "net/internal.h"

enum { KEEPALIVE_S = 15, UNANSWERED_MS = 20000, PROBE_S = 5, PROBES = 3 };

static void set(int fd, int level, int name, int value)
{
    setsockopt(fd, level, name, &value, sizeof value);
}

void cl_conn_set_tcp_options(int fd)
{
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_S);
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_S);
    set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, UNANSWERED_MS);
}

/* A unix socket refuses them all, which is right. */
void cl_conn_expect_peer(cl_conn *conn, double seconds)
{
    if (conn->fd < 0) return;
    set(conn->fd, IPPROTO_TCP, TCP_KEEPIDLE, PROBE_S);
    set(conn->fd, IPPROTO_TCP, TCP_KEEPINTVL, PROBE_S);
    set(conn->fd, IPPROTO_TCP, TCP_KEEPCNT, PROBES);
    set(conn->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)(seconds * 1000));
}

int cl_conn_is_tcp(const cl_conn *conn)
{
    int family = AF_UNSPEC;
    socklen_t n = sizeof family;
    if (conn->fd >= 0) getsockopt(conn->fd, SOL_SOCKET, SO_DOMAIN, &family, &n);
    return family == AF_INET || family == AF_INET6;
}

static int put_host(const struct sockaddr_storage *at, char *out, size_t cap)
{
    if (at->ss_family == AF_INET)
        return inet_ntop(AF_INET, &((const struct sockaddr_in *)at)->sin_addr, out, (socklen_t)cap) ? 0 : -1;
    if (at->ss_family != AF_INET6) return -1;
    const struct in6_addr *address = &((const struct sockaddr_in6 *)at)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(address)) return inet_ntop(AF_INET, &address->s6_addr[12], out, (socklen_t)cap) ? 0 : -1;
    return inet_ntop(AF_INET6, address, out, (socklen_t)cap) ? 0 : -1;
}

int cl_conn_own_address(const cl_conn *conn, char *out, size_t cap)
{
    struct sockaddr_storage own;
    socklen_t n = sizeof own;
    if (conn->fd < 0 || getsockname(conn->fd, (struct sockaddr *)&own, &n) != 0) return -1;
    return put_host(&own, out, cap);
}

int cl_conn_peer_address(const cl_conn *conn, char *out, size_t cap)
{
    struct sockaddr_storage peer;
    socklen_t n = sizeof peer;
    char host[INET6_ADDRSTRLEN];
    if (conn->fd < 0 || getpeername(conn->fd, (struct sockaddr *)&peer, &n) != 0) return -1;
    if (put_host(&peer, host, sizeof host) != 0) return -1;
    in_port_t port =
        peer.ss_family == AF_INET ? ((struct sockaddr_in *)&peer)->sin_port : ((struct sockaddr_in6 *)&peer)->sin6_port;
    snprintf(out, cap, strchr(host, ':') ? "tcp:[%s]:%d" : "tcp:%s:%d", host, ntohs(port));
    return 0;
}
