/* Which directory and which transports an address stands for: those of the library. With one of the program's: own.c.
 */
#include "bus/internal.h"

#include "base/error.h"
#include "base/mem.h"
#include "proto/direct.h"

static int compose_inproc(cl_composed *bus, const cl_url *url, const cl_limits *limits)
{
    const cl_directory_sink of_directory = cl_bus_directory_sink(bus);
    const cl_transport_sink of_transport = cl_bus_transport_sink(bus, 0);
    int code = cl_memory_directory_create(bus->loop, url->name, limits, &of_directory, &bus->directory);
    return code ? code : cl_mailbox_transport_create(bus->loop, url->name, limits, &of_transport, &bus->transports[0]);
}

static int compose_local(cl_composed *bus, const cl_url *url, const cl_limits *limits)
{
    const cl_directory_sink of_directory = cl_bus_directory_sink(bus);
    const cl_transport_sink of_transport = cl_bus_transport_sink(bus, 0);
    int code = cl_folder_directory_create(bus->loop, url->name, &of_directory, &bus->directory);
    return code ? code : cl_link_transport_create(bus->loop, limits, &of_transport, &bus->transports[0]);
}

int cl_bus_add_redis(cl_composed *bus, const cl_url *url, const cl_limits *limits, int has_addresses)
{
    const cl_directory_sink of_directory = cl_bus_directory_sink(bus);
    bus->redis = cl_calloc(1, sizeof *bus->redis);
    if (!bus->redis) return cl_error(CLOUDS_ENOMEM, NULL);
    int code = cl_redis_client_init(bus->redis, bus->loop, url, limits);
    return code ? code : cl_redis_directory_create(bus->redis, has_addresses, &of_directory, &bus->directory);
}

int cl_bus_add_pubsub(cl_composed *bus, unsigned place)
{
    const cl_transport_sink of_transport = cl_bus_transport_sink(bus, place);
    return cl_pubsub_transport_create(bus->redis, &of_transport, &bus->transports[place]);
}

static int add_links_beside(cl_composed *bus, const cl_limits *limits)
{
    const cl_transport_sink of_links = cl_bus_transport_sink(bus, 0);
    bus->beside = CL_BESIDE_LINKS;
    return cl_link_transport_create_beside(bus->loop, limits, &of_links, &bus->transports[0]);
}

static int compose_redis(cl_composed *bus, const cl_url *url, const cl_limits *limits)
{
    int has_links = limits->direct != NULL;
    int code = cl_bus_add_redis(bus, url, limits, has_links);
    if (code == 0 && has_links) code = add_links_beside(bus, limits);
    return code ? code : cl_bus_add_pubsub(bus, has_links ? 1 : 0);
}

/* Whoever says nothing of links has those between the processes of a user on a machine. */
int cl_bus_add_links(cl_composed *bus, const cl_limits *limits)
{
    static const cl_direct standard = {.unix_socket = 1, .ping = 1, .timeout = 2, .idle = 300};
    const cl_transport_sink of_transport = cl_bus_transport_sink(bus, 0);
    cl_limits of_links = *limits;
    if (!of_links.direct) of_links.direct = &standard;
    return cl_link_transport_create(bus->loop, &of_links, &of_transport, &bus->transports[0]);
}

static int compose_etcd(cl_composed *bus, const cl_url *url, const cl_limits *limits)
{
    const cl_directory_sink of_directory = cl_bus_directory_sink(bus);
    bus->held_most = limits->write_soft;
    int code = cl_etcd_directory_create(bus->loop, url, limits, &of_directory, &bus->directory);
    return code ? code : cl_bus_add_links(bus, limits);
}

static int compose(cl_composed *bus, const cl_url *url, const cl_limits *limits)
{
    switch (url->kind) {
    case CL_URL_INPROC:
        return compose_inproc(bus, url, limits);
    case CL_URL_LOCAL:
        return compose_local(bus, url, limits);
    case CL_URL_OWN:
        return cl_bus_compose_own(bus, url, limits);
    case CL_URL_ETCD:
        return compose_etcd(bus, url, limits);
    default:
        return compose_redis(bus, url, limits);
    }
}

int cl_bus_create(cl_loop *loop, const cl_url *url, const cl_limits *limits, const cl_bus_sink *sink, cl_bus **out)
{
    cl_composed *bus = cl_bus_allocate(loop, sink);
    if (!bus) return cl_error(CLOUDS_ENOMEM, NULL);
    int code = compose(bus, url, limits);
    if (code == 0) code = cl_bus_start(bus);
    if (code != 0) {
        bus->base.ops->destroy(&bus->base);
        return code == CLOUDS_ENOMEM ? cl_error(code, NULL) : code;
    }
    *out = &bus->base;
    return 0;
}
