/* The text of an address to listen at. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>

#include "host/http/http.h"

static int refuse(char *why, size_t size, const char *text)
{
    snprintf(why, size, "%s", text);
    return -1;
}

/* The octal digits of ?mode=; -1: these are none. */
static int read_mode(const char *text)
{
    char *end;
    if (*text < '0' || *text > '7') return -1;
    long mode = strtol(text, &end, 8);
    return *end || mode > 0777 ? -1 : (int)mode;
}

static int read_path(const char *path, host_http_address *out, char *why, size_t why_size)
{
    const char *mode = strstr(path, "?mode=");
    size_t n = mode ? (size_t)(mode - path) : strlen(path);
    out->mode = mode ? read_mode(mode + strlen("?mode=")) : 0600;
    if (n == 0) return refuse(why, why_size, "expected a path behind unix:");
    if (n >= sizeof out->path) return refuse(why, why_size, "the path of a socket has at most 107 bytes");
    if (out->mode < 0) return refuse(why, why_size, "expected octal digits behind ?mode=, as 0660");
    out->is_unix = out->is_loopback = true;
    memcpy(out->path, path, n);
    return 0;
}

/* -1, or the port of decimal digits. */
static int read_port(const char *text)
{
    char *end;
    if (*text < '0' || *text > '9') return -1;
    long port = strtol(text, &end, 10);
    return *end || port > 65535 ? -1 : (int)port;
}

static int read_numbers(const char *host, int port, host_http_address *out)
{
    struct sockaddr_in *four = (struct sockaddr_in *)&out->socket;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&out->socket;
    if (strcmp(host, "localhost") == 0) host = "127.0.0.1";
    if (uv_ip4_addr(host, port, four) == 0) {
        out->is_loopback = (ntohl(four->sin_addr.s_addr) >> 24) == 127;
        return 0;
    }
    size_t n = strlen(host);
    char inner[INET6_ADDRSTRLEN];
    if (n < 4 || n - 2 >= sizeof inner || host[0] != '[' || host[n - 1] != ']') return -1;
    snprintf(inner, sizeof inner, "%.*s", (int)(n - 2), host + 1);
    if (uv_ip6_addr(inner, port, six) != 0) return -1;
    out->is_loopback = IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
    return 0;
}

int host_http_address_read(const char *text, host_http_address *out, char *why, size_t why_size)
{
    static const char expected[] =
        "expected PORT, a numeric ADDRESS:PORT, as 127.0.0.1:7000 or [::1]:7000, or unix:PATH";
    char host[64];
    memset(out, 0, sizeof *out);
    if (strncmp(text, "unix:", 5) == 0) return read_path(text + 5, out, why, why_size);
    if (read_port(text) >= 0) {
        out->is_any = true;
        return uv_ip6_addr("::", read_port(text), (struct sockaddr_in6 *)&out->socket);
    }
    const char *colon = strrchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof host) return refuse(why, why_size, expected);
    snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
    int port = read_port(colon + 1);
    if (port < 0 || read_numbers(host, port, out) != 0) return refuse(why, why_size, expected);
    return 0;
}
