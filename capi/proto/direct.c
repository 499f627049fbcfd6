#include "proto/direct.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "clouds.h"

int cl_is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
    if (inet_pton(AF_INET6, host, &v6) != 1) return strcmp(host, "localhost") == 0;
    return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
}

static int is_numeric(const char *host)
{
    unsigned char room[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, room) == 1 || inet_pton(AF_INET6, host, room) == 1;
}

/* The host, without the brackets of IPv6; *rest is what stands behind it. */
static int take_host(cl_str text, char *host, size_t cap, cl_str *rest)
{
    int in_brackets = text.n && text.p[0] == '[';
    const char *begin = text.p + in_brackets;
    size_t left = text.n - (size_t)in_brackets;
    const char *end = left ? memchr(begin, in_brackets ? ']' : ':', left) : NULL;
    if (!end && in_brackets) return -1;
    size_t n = end ? (size_t)(end - begin) : left;
    if (n == 0 || n >= cap) return -1;
    memcpy(host, begin, n);
    host[n] = '\0';
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)host[i] <= ' ' || host[i] == 0x7f) return -1;
    *rest = cl_str_of(begin + n + in_brackets, left - n - (size_t)in_brackets);
    return 0;
}

int cl_host_port(cl_str text, int default_port, char *host, size_t cap, int *port)
{
    cl_str rest;
    *port = default_port;
    if (default_port && text.n < cap) { /* an address of IPv6 may stand there bare */
        memcpy(host, text.p, text.n);
        host[text.n] = '\0';
        if (is_numeric(host)) return 0;
    }
    if (take_host(text, host, cap, &rest) != 0) return -1;
    if (!rest.n) return default_port ? 0 : -1;
    return rest.p[0] == ':' && cl_str_number(cl_str_of(rest.p + 1, rest.n - 1), 1, 65535, port) ? 0 : -1;
}

static int refuse(cl_str address, const char *why)
{
    return cl_error(CLOUDS_EOPTION, "option 'listen': %.*s: %s", address.n < 100 ? (int)address.n : 100, address.p,
                    why);
}

static int read_ports(cl_str text, cl_direct *out)
{
    const char *dash = text.n ? memchr(text.p, '-', text.n) : NULL;
    cl_str first = {text.p, dash ? (size_t)(dash - text.p) : text.n};
    if (!cl_str_number(first, 0, 65535, &out->first)) return -1;
    out->last = out->first;
    if (!dash) return 0;
    cl_str last = {dash + 1, text.n - first.n - 1};
    return out->first > 0 && cl_str_number(last, out->first, 65535, &out->last) ? 0 : -1;
}

static int read_tcp(cl_str address, cl_direct *out)
{
    cl_str rest, text = {address.p + 6, address.n - 6};
    if (out->tcp) return refuse(address, "there is one TCP address already");
    if (take_host(text, out->host, sizeof out->host, &rest) != 0) return refuse(address, "expected tcp://HOST:PORT");
    if (strcmp(out->host, "localhost") == 0) strcpy(out->host, "127.0.0.1");
    if (!is_numeric(out->host))
        return refuse(address, "expected an address of IPv4 or, in brackets, of IPv6: names are no place to listen at");
    if (!rest.n || rest.p[0] != ':' || read_ports(cl_str_of(rest.p + 1, rest.n - 1), out) != 0)
        return refuse(address, "expected a port from 0 to 65535, or a range of them as 7000-7099");
    out->tcp = 1;
    return 0;
}

static int read_one(cl_str address, cl_direct *out)
{
    if (cl_str_eq(address, CL_STR("unix"))) return out->unix_socket = 1, 0;
    if (cl_str_starts(address, CL_STR("tcp://"))) return read_tcp(address, out);
    return refuse(address, "expected \"unix\", \"tcp://HOST:PORT\", both with a comma between them, or \"none\"");
}

int cl_direct_parse(const char *listen, cl_direct *out)
{
    int code = 0;
    if (strcmp(listen, "none") == 0) return 0;
    for (const char *p = listen; code == 0;) {
        const char *comma = strchr(p, ',');
        size_t n = comma ? (size_t)(comma - p) : strlen(p);
        code = read_one(cl_str_of(p, n), out);
        if (!comma) break;
        p = comma + 1;
        while (*p == ' ') p++;
    }
    return code;
}
