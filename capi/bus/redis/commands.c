/* The connection for commands: what happens when it comes and goes. */
#include "bus/redis/internal.h"
#include "clouds.h"

static void on_ready(void *self)
{
    redis_bus *bus = redis_bus_of(self);
    CL_LIST_EACH(link, &bus->nodes)
    {
        redis_node *node = CL_OWNER(link, redis_node, link);
        node->tries = 0;
        if (node->subscribed) cl_redis_claim(bus, node);
        else cl_redis_restore(bus, node);
    }
    cl_redis_backlog_send(bus);
    cl_redis_check_up(bus);
}

static void on_down(void *self, int was_ready, int code, const char *words)
{
    redis_bus *bus = redis_bus_of(self);
    if (cl_session_role(bus->client.commands)->is_replica) cl_session_cut(bus->client.subscriber, code, words);
    cl_redis_lookups_fail(bus);
    cl_redis_statuses_fail(bus);
    cl_redis_down(bus, code, words);
}

static void on_accepted(void *self, const cl_pending *pending)
{
    cl_redis_client_accepted(self, cl_redis_verb(pending));
}

static void on_nothing(void *self, cl_str text)
{
    /* This connection subscribes to nothing, and its reader takes no pushes. */
}

static void on_closed(void *self)
{
    cl_redis_session_closed(redis_bus_of(self));
}

int cl_redis_commands_create(redis_bus *bus)
{
    cl_session_hooks hooks = {&bus->client, on_ready, on_down, on_accepted, on_nothing, on_nothing, on_closed};
    return cl_session_create(bus->loop, &bus->client.address, &bus->client.limits, 0, &hooks, &bus->client.commands);
}
