/* TCP: an address is "tcp:<host>:<port>". What may be dialled and by whom is decided here: beyond this machine only
 * with a key, or when the option `insecure` says that it is to go without. */
#include "transport/link/internal.h"

#include <stdio.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"

static const char scheme[] = "tcp:";

enum { HOST = 256, COMPLAIN_MS = 1000 };

static void accepted(void *self, cl_conn *conn)
{
    cl_link_accepted_by_context(self, conn);
}

static int is_wildcard(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

static void put_address(char *out, size_t cap, const char *host, int port)
{
    snprintf(out, cap, strchr(host, ':') ? "%s[%s]:%d" : "%s%s:%d", scheme, host, port);
}

static int advertise(cl_link_transport *t, int port)
{
    char host[HOST];
    const char *given = t->direct.advertise;
    int other = port;
    if (strcmp(given, "none") == 0) return 0;
    if (*given && cl_host_port(cl_str_z(given), port, host, sizeof host, &other) != 0)
        return cl_error(CLOUDS_EOPTION, "option 'advertise': %.80s: expected HOST, HOST:PORT or \"none\"", given);
    if (!*given) snprintf(host, sizeof host, "%s", is_wildcard(t->direct.host) ? "*" : t->direct.host);
    put_address(t->tcp_address, sizeof t->tcp_address, host, other);
    return 0;
}

/* Processes that start at the same time begin at different ports. */
static int begin_at(const cl_direct *d)
{
    uint32_t hash = (uint32_t)getpid() * 2654435761u;
    return d->first + (int)(hash % (uint32_t)(d->last - d->first + 1));
}

int cl_endpoint_tcp_open(cl_link_transport *t)
{
    const cl_direct *d = &t->direct;
    int code = d->keys ? cl_tls_context_create(d->keys, &t->tls) : 0;
    if (code != 0 || !d->tcp) return code;
    code = cl_listener_tcp(t->loop, d->host, d->first, d->last, begin_at(d), accepted, t, &t->tcp_listener);
    return code ? code : advertise(t, cl_listener_port(t->tcp_listener));
}

int cl_endpoint_tcp_dial(cl_link_transport *t, cl_str address, int is_secured, const cl_conn_hooks *hooks,
                         cl_conn **out)
{
    char host[HOST];
    int port;
    cl_str where = {address.p + sizeof scheme - 1, address.n - sizeof scheme + 1};
    if (cl_host_port(where, 0, host, sizeof host, &port) != 0)
        return cl_error(CLOUDS_EUNREACHABLE, "no address: %.*s", (int)address.n, address.p);
    if (is_secured != (t->tls != NULL))
        return cl_error(CLOUDS_EUNREACHABLE, "%.*s: one end has a key, the other none", (int)address.n, address.p);
    if (!t->tls && !cl_is_loopback(host) && !t->direct.insecure)
        return cl_error(CLOUDS_EUNREACHABLE, "%.*s: beyond this machine a key is needed", (int)address.n, address.p);
    return cl_conn_tcp(t->loop, host, port, t->limits.connect_timeout, hooks, out);
}

/* The key that the other end named in its record, or the one that we dial with. */
static const cl_key *key_for(const cl_peer_link *link)
{
    const cl_key_ring *ring = link->t->direct.keys;
    const cl_key *key = link->left ? cl_key_find(ring, link->left, CL_KEY_NAME) : NULL;
    return key ? key : &ring->keys[0];
}

int cl_endpoint_tcp_secure(cl_peer_link *link)
{
    cl_tls_context *tls = link->t->tls;
    if (!tls) return 0;
    return cl_conn_secure(link->conn, tls, link->accepted ? NULL : key_for(link));
}

void cl_endpoint_tcp_untrusted(cl_link_transport *t, const char *words)
{
    int64_t now = cl_loop_now();
    if (t->sink.count) t->sink.count(t->sink.self, CL_LINK_UNTRUSTED);
    if (t->complained && now - t->complained < COMPLAIN_MS) return;
    t->complained = now;
    cl_log(CLOUDS_LOG_WARN, "a link over TCP was refused: %s", words);
}
