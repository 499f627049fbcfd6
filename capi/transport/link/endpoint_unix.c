/* Unix sockets: an address is "unix:<path>", and the process at the other end must be of our user or root. */
#include "transport/link/internal.h"

#include <unistd.h>

#include "base/error.h"

static const char scheme[] = "unix:";

int cl_endpoint_unix_reaches(const cl_address *address)
{
    return strncmp(address->text, scheme, sizeof scheme - 1) == 0;
}

static const char *path_of(const cl_address *address)
{
    return cl_endpoint_unix_reaches(address) ? address->text + sizeof scheme - 1 : NULL;
}

static int no_way(const cl_address *address)
{
    return cl_error(CLOUDS_EUNREACHABLE, "no socket of this machine: %.200s", address->text);
}

/* The directory has made sure that the address is ours, so what stands there is a leftover. */
int cl_endpoint_unix_listen(cl_endpoint *endpoint, const cl_address *at)
{
    const char *path = path_of(at);
    if (!path) return no_way(at);
    unlink(path);
    return cl_listener_unix(endpoint->t->loop, path, cl_link_accepted, endpoint, &endpoint->listener);
}

int cl_endpoint_unix_dial(cl_link_transport *t, const cl_address *address, const cl_conn_hooks *hooks, cl_conn **out)
{
    const char *path = path_of(address);
    return path ? cl_conn_unix(t->loop, path, t->limits.connect_timeout, hooks, out) : no_way(address);
}

int cl_endpoint_unix_is_trusted(const cl_conn *conn)
{
    long uid = cl_conn_peer_uid(conn);
    return uid == 0 || uid == (long)geteuid();
}
