/* Design note. Two connections, shared by all nodes of a context: one listens, one commands. The bus is up when both
 * are ready, every SUBSCRIBE of the nodes is answered and the registrations are sent again; only then `state` reports
 * it, and only then a node that listens is reported as ready.
 *
 * What cannot be reported from inside a call of the owner is deferred to a timer that is due at once. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "bus/redis/internal.h"
#include "clouds.h"

/* ---- up and down */

void cl_redis_check_up(redis_bus *bus)
{
    if (bus->up || bus->closing || bus->unconfirmed > 0 || bus->claiming > 0) return;
    if (!cl_session_is_ready(bus->client.commands) || !cl_session_is_ready(bus->client.subscriber)) return;
    if (cl_redis_client_is_split(&bus->client)) return;
    bus->up = 1;
    bus->sink.state(bus->sink.self, 1, 0, "");
    cl_redis_nodes_announce(bus);
}

void cl_redis_down(redis_bus *bus, int code, const char *words)
{
    bus->up = 0;
    CL_LIST_EACH(link, &bus->nodes)
    {
        redis_node *node = CL_OWNER(link, redis_node, link);
        if (node->closing) cl_redis_defer(bus, node); /* no lingering where nobody is heard */
    }
    if (bus->closing) return;
    bus->sink.state(bus->sink.self, 0, code, words);
}

/* ---- deferred work */

void cl_redis_defer(redis_bus *bus, redis_node *node)
{
    if (node && cl_list_empty(&node->deferred)) cl_list_append(&bus->deferred_nodes, &node->deferred);
    cl_loop_timer_set(bus->deferred_timer, cl_loop_now());
}

static void node_deferred(redis_bus *bus, redis_node *node)
{
    cl_list_remove(&node->deferred);
    if (node->to_announce) {
        node->to_announce = 0;
        cl_redis_announce(bus, node, 'u', CL_STR_NONE);
    }
    cl_redis_node_leave(bus, node);
}

static void on_deferred(void *self)
{
    redis_bus *bus = self;
    while (!cl_list_empty(&bus->deferred_nodes))
        node_deferred(bus, CL_OWNER(bus->deferred_nodes.next, redis_node, deferred));
    cl_redis_lookups_failed(bus);
    cl_redis_statuses_failed(bus);
    if (!cl_session_is_ready(bus->client.commands)) cl_redis_statuses_fail(bus);
}

/* ---- the end */

void cl_redis_session_closed(redis_bus *bus)
{
    if (--bus->open_sessions > 0) return;
    cl_redis_backlog_drop(bus, 1);
    bus->sink.closed(bus->sink.self);
}

static void bus_flush(cl_bus *base)
{
    redis_bus *bus = (redis_bus *)base;
    cl_redis_batch_flush(bus);
    cl_session_flush(bus->client.commands);
    cl_session_flush(bus->client.subscriber);
}

static void bus_close(cl_bus *base)
{
    redis_bus *bus = (redis_bus *)base;
    if (bus->closing) return;
    bus->closing = 1;
    bus->up = 0;
    cl_loop_timer_stop(bus->scan.timer);
    cl_redis_batch_flush(bus);
    cl_session_close(bus->client.commands);
    cl_session_close(bus->client.subscriber);
}

static void bus_destroy(cl_bus *base)
{
    redis_bus *bus = (redis_bus *)base;
    while (!cl_list_empty(&bus->nodes)) cl_redis_node_free(bus, CL_OWNER(bus->nodes.next, redis_node, link));
    cl_redis_lookups_free(bus);
    cl_redis_statuses_free(bus);
    cl_redis_backlog_drop(bus, 0);
    cl_redis_scan_free(bus);
    cl_redis_batch_free(bus);
    cl_loop_timer_destroy(bus->deferred_timer);
    cl_idmap_free(&bus->by_handle);
    cl_idmap_free(&bus->ops);
    cl_strmap_free(&bus->by_channel);
    cl_buf_free(&bus->scratch);
    cl_buf_free(&bus->text);
    cl_redis_client_free(&bus->client);
    cl_free(bus);
}

/* ---- the beginning */

static const cl_bus_ops ops = {
    .node_open = cl_redis_node_open,
    .node_drain = cl_redis_node_drain,
    .node_close = cl_redis_node_close,
    .register_method = cl_redis_register,
    .unregister_method = cl_redis_unregister,
    .abandon = cl_redis_abandon,
    .send = cl_redis_send,
    .lookup = cl_redis_lookup,
    .forget = cl_redis_forget,
    .status = cl_redis_status,
    .flush = bus_flush,
    .close = bus_close,
    .destroy = bus_destroy,
};

static int start(redis_bus *bus)
{
    int code = cl_loop_timer_create(bus->loop, on_deferred, bus, &bus->deferred_timer);
    if (!code) code = cl_redis_scan_create(bus);
    if (!code) code = cl_redis_commands_create(bus);
    if (!code) code = cl_redis_subscriber_create(bus);
    return code;
}

int cl_redis_bus_create(cl_loop *loop, const cl_url *url, const cl_limits *limits, const cl_bus_sink *sink,
                        cl_bus **out)
{
    redis_bus *bus = cl_calloc(1, sizeof *bus);
    if (!bus) return cl_error(CLOUDS_ENOMEM, NULL);
    bus->base.ops = &ops;
    bus->loop = loop;
    bus->sink = *sink;
    bus->open_sessions = 2;
    cl_list_init(&bus->nodes);
    cl_list_init(&bus->deferred_nodes);
    cl_list_init(&bus->lookups);
    cl_list_init(&bus->statuses);
    cl_list_init(&bus->backlog);
    cl_list_init(&bus->open_batches);
    cl_list_init(&bus->idle_batches);
    cl_list_init(&bus->awaited);
    cl_redis_claim_prepare(bus);
    int code = cl_redis_client_init(&bus->client, loop, url, limits);
    if (!code && (code = start(bus)) != 0) code = cl_error(code, NULL);
    if (code) {
        bus_destroy(&bus->base);
        return code;
    }
    *out = &bus->base;
    return 0;
}
