/* A bus is made of a directory, which has who serves what, and of transports, which carry envelopes. This file hands on
 * what they report; compose.c puts them together by address, node.c has the life of a node, route.c the choice of a
 * way.
 *
 * A call is lost only by the word of the transport that carried it (peer_lost). Whether the node itself is dead is the
 * directory's to find out: suspect, and peer_gone, which ends only what went over a transport that cannot know. The bus
 * is up when the directory and all transports are, but for one of the program's beside Redis. */
#include "bus/internal.h"

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"

/* ---- up and down */

/* One of the program's beside another may come and go: without it all goes by the other. */
static int are_all_up(const cl_composed *bus)
{
    for (size_t i = bus->beside == CL_BESIDE_OWN; i < bus->transports_n; i++)
        if (!bus->transports[i]->up) return 0;
    return 1;
}

static void check_up(cl_composed *bus)
{
    if (bus->up || bus->closing || !bus->directory->up || !are_all_up(bus)) return;
    bus->up = bus->was_up = 1;
    bus->sink.state(bus->sink.self, CL_BUS_UP, 0, "");
    cl_bus_nodes_up(bus);
}

/* A directory that is away takes no way away: what is known is reached, where every transport says so itself. */
static int is_blind(const cl_composed *bus)
{
    return bus->was_up && !bus->directory->up && are_all_up(bus);
}

static void on_state(void *self, int up, int code, const char *words)
{
    cl_composed *bus = self;
    cl_bus_route_forget(bus);
    if (bus->closing) return;
    if (up) {
        check_up(bus);
        return;
    }
    bus->up = 0;
    cl_bus_held_send(bus);
    bus->sink.state(bus->sink.self, is_blind(bus) ? CL_BUS_BLIND : CL_BUS_DOWN, code, words);
}

static void first_state(void *owner, const cl_deferred *d)
{
    check_up(owner);
}

/* ---- what the directory reports */

static void on_registered(void *self, uint64_t operation, int code, const char *words)
{
    const cl_bus_sink *sink = &((cl_composed *)self)->sink;
    sink->registered(sink->self, operation, code, words);
}

static void on_servers(void *self, cl_str method, const cl_server *servers, size_t n, int code)
{
    cl_bus_route_forget(self); /* as one that is up: a list may be the first to name who came back */
    const cl_bus_sink *sink = &((cl_composed *)self)->sink;
    sink->servers(sink->self, method, servers, n, code);
}

static void on_server_up(void *self, cl_str method, cl_server server)
{
    cl_bus_route_forget(self); /* it may be somewhere else than before */
    const cl_bus_sink *sink = &((cl_composed *)self)->sink;
    sink->server_up(sink->self, method, server);
}

static void on_server_down(void *self, cl_str method, cl_str server)
{
    const cl_bus_sink *sink = &((cl_composed *)self)->sink;
    sink->server_down(sink->self, method, server);
}

static void on_peer_draining(void *self, cl_str id)
{
    const cl_bus_sink *sink = &((cl_composed *)self)->sink;
    sink->peer_draining(sink->self, id);
}

/* A transport that knows what became of its ways has yet to say so: an answer may be about to arrive. */
static void on_peer_gone(void *self, cl_str id)
{
    const cl_composed *bus = self;
    const cl_bus_sink *sink = &bus->sink;
    cl_bus_route_forget(self);
    cl_bus_subscription(self, id, CL_STR_NONE, CL_STR_NONE, 0);
    if (sink->peer_gone) sink->peer_gone(sink->self, id);
    else sink->peer_draining(sink->self, id);
    for (unsigned i = 0; i < bus->transports_n; i++)
        if (!bus->transports[i]->knows_losses) sink->way_lost(sink->self, id, i);
}

/* Who sent meanwhile was refused, and tries again. */
static void on_located(void *self, cl_str id, int code, const cl_address *address)
{
    cl_composed *bus = self;
    cl_bus_route_forget(bus);
    for (size_t i = 0; i < bus->transports_n; i++) {
        cl_transport *t = bus->transports[i];
        if (t->ops->forget) t->ops->forget(t, id);
    }
    cl_bus_held_send(bus);
}

static void on_dropped(void *self, int code)
{
    const cl_bus_sink *sink = &((cl_composed *)self)->sink;
    sink->dropped(sink->self, code);
}

static void on_status(void *self, uint64_t operation, const cl_str *methods, const cl_server *servers, size_t n,
                      int end, int code)
{
    const cl_bus_sink *sink = &((cl_composed *)self)->sink;
    sink->status(sink->self, operation, methods, servers, n, end, code);
}

static void on_directory_closed(void *self)
{
    const cl_bus_sink *sink = &((cl_composed *)self)->sink;
    sink->closed(sink->self);
}

cl_directory_sink cl_bus_directory_sink(cl_composed *bus)
{
    return (cl_directory_sink){.self = bus,
                               .state = on_state,
                               .claimed = cl_bus_node_claimed,
                               .announced = cl_bus_node_announced,
                               .relisten = cl_bus_node_relisten,
                               .left = cl_bus_node_left,
                               .registered = on_registered,
                               .subscribed = cl_bus_directory_subscribed,
                               .subscription = cl_bus_subscription,
                               .subscriptions = cl_bus_subscriptions,
                               .servers = on_servers,
                               .server_up = on_server_up,
                               .server_down = on_server_down,
                               .peer_draining = on_peer_draining,
                               .peer_gone = on_peer_gone,
                               .located = on_located,
                               .dropped = on_dropped,
                               .status = on_status,
                               .closed = on_directory_closed};
}

/* ---- what a transport reports */

static cl_composed *bus_of(void *way)
{
    return ((const cl_way *)way)->bus;
}

static void on_linked(void *self)
{
    cl_composed *bus = bus_of(self);
    if (!bus->closing && bus->sink.linked) bus->sink.linked(bus->sink.self);
}

static void on_transport_state(void *self, int up, int code, const char *words)
{
    const cl_way *way = self;
    if (way->bus->beside != CL_BESIDE_OWN || way->number != 0) {
        on_state(way->bus, up, code, words);
        return;
    }
    cl_bus_route_forget(way->bus);
    if (up) on_linked(self);
    else cl_log(CLOUDS_LOG_WARN, "the transport beside Redis: %s", words);
}

static int on_locate(void *self, cl_str id, cl_address *address)
{
    cl_directory *d = bus_of(self)->directory;
    return d->ops->locate(d, id, address);
}

static int on_has_other(void *self, cl_str id)
{
    cl_directory *d = bus_of(self)->directory;
    return d->ops->has_other && d->ops->has_other(d, id);
}

static void on_suspended(void *self, cl_str id, int on)
{
    cl_composed *bus = bus_of(self);
    cl_directory *d = bus->directory;
    cl_bus_route_forget(bus);
    if (d->ops->suspend) d->ops->suspend(d, id, on);
}

static void on_peer_lost(void *self, cl_str id, int was_open)
{
    const cl_way *way = self;
    cl_composed *bus = way->bus;
    cl_directory *d = bus->directory;
    cl_bus_route_forget(bus);
    if (bus->transports_n == 1) bus->sink.peer_down(bus->sink.self, id);
    else bus->sink.way_lost(bus->sink.self, id, way->number);
    if (d->ops->suspect && !bus->closing) d->ops->suspect(d, id, was_open);
}

static void on_transport_draining(void *self, cl_str id)
{
    cl_composed *bus = bus_of(self);
    cl_directory *d = bus->directory;
    on_peer_draining(bus, id);
    if (d->ops->drains && !bus->closing) d->ops->drains(d, id);
}

static void on_count(void *self, enum cl_link_count what)
{
    static const enum cl_bus_count counts[] = {[CL_LINK_OPENED] = CL_BUS_LINK_OPENS,
                                               [CL_LINK_LOST] = CL_BUS_LINK_LOSSES,
                                               [CL_LINK_REFUSED] = CL_BUS_LINK_REFUSED,
                                               [CL_LINK_UNTRUSTED] = CL_BUS_AUTH_FAILURES};
    bus_of(self)->base.counts[counts[what]]++;
}

static void on_transport_closed(void *self)
{
    cl_composed *bus = bus_of(self);
    bus->transports_open--;
    cl_loop_defer(bus->loop);
}

cl_transport_sink cl_bus_transport_sink(cl_composed *bus, unsigned number)
{
    bus->ways[number] = (cl_way){bus, number};
    return (cl_transport_sink){.self = &bus->ways[number],
                               .state = on_transport_state,
                               .opened = cl_bus_node_opened,
                               .node_closed = cl_bus_node_closed,
                               .receiver = bus->sink.self,
                               .envelope = bus->sink.envelope,
                               .dropped = bus->sink.dropped,
                               .delivery = bus->sink.delivery,
                               .locate = on_locate,
                               .has_other = on_has_other,
                               .suspended = on_suspended,
                               .peer_lost = on_peer_lost,
                               .peer_draining = on_transport_draining,
                               .subscribed = cl_bus_transport_subscribed,
                               .unreached = cl_bus_unreached,
                               .linked = on_linked,
                               .count = on_count,
                               .closed = on_transport_closed};
}

/* ---- operations */

/* Out of line, so that one transport costs a send no saved registers. */
__attribute__((noinline)) static int send_routed(cl_composed *bus, void *node, const cl_envelope *e, uint64_t token)
{
    if (bus->beside == CL_BESIDE_LINKS) return cl_bus_send_beside_links(bus, node, e, token);
    if (bus->beside == CL_BESIDE_OWN) return cl_bus_send_beside_own(bus, node, e, token);
    cl_transport *t = cl_bus_route(bus, e->to);
    return t ? t->ops->send(t, node, e, token) : cl_error_code();
}

static int send(cl_bus *base, void *node, const cl_envelope *e, uint64_t token)
{
    cl_composed *bus = CL_OWNER(base, cl_composed, base);
    cl_transport *t = bus->direct;
    if (!t) return send_routed(bus, node, e, token);
    int code = t->ops->send(t, node, e, token);
    return code == CLOUDS_EUNREACHABLE && bus->held_most ? cl_bus_hold(bus, node, e, token) : code;
}

static int recall(cl_bus *base, cl_str to, uint64_t token)
{
    cl_composed *bus = CL_OWNER(base, cl_composed, base);
    for (size_t i = 0; i < bus->transports_n; i++) {
        cl_transport *t = bus->transports[i];
        if (t->ops->recall && t->ops->recall(t, to, token)) return 1;
    }
    return 0;
}

static void abandon(cl_bus *base, uint64_t operation)
{
    cl_directory *d = CL_OWNER(base, cl_composed, base)->directory;
    if (d->ops->abandon) d->ops->abandon(d, operation);
}

static void lookup(cl_bus *base, cl_str method, int known)
{
    cl_directory *d = CL_OWNER(base, cl_composed, base)->directory;
    d->ops->lookup(d, method, known);
}

static void unwatch(cl_bus *base, cl_str method)
{
    cl_directory *d = CL_OWNER(base, cl_composed, base)->directory;
    if (d->ops->unwatch) d->ops->unwatch(d, method);
}

static void forget(cl_bus *base, cl_str method, cl_str server)
{
    cl_directory *d = CL_OWNER(base, cl_composed, base)->directory;
    if (d->ops->forget) d->ops->forget(d, method, server);
}

static void status(cl_bus *base, uint64_t operation)
{
    cl_directory *d = CL_OWNER(base, cl_composed, base)->directory;
    d->ops->status(d, operation);
}

/* When no transport holds anything any more, the directory is the last to go. */
static void finish_close(cl_composed *bus)
{
    if (bus->directory_closing || bus->transports_open || !cl_list_empty(&bus->nodes)) return;
    bus->directory_closing = 1;
    bus->directory->ops->close(bus->directory);
}

static void flush_all(cl_composed *bus)
{
    cl_directory *d = bus->directory;
    if (!cl_deferred_is_empty(&bus->deferred)) cl_deferred_run(&bus->deferred); /* that a node is ready comes first */
    if (d->has_work) d->ops->flush(d);
    for (size_t i = 0; i < bus->transports_n; i++) {
        cl_transport *t = bus->transports[i];
        if (t->has_work) t->ops->flush(t);
    }
    if (bus->closing_n) cl_bus_nodes_flush(bus);
    if (bus->closing) finish_close(bus);
}

/* Twice a turn, and mostly there is nothing to do. */
static void flush(cl_bus *base)
{
    cl_composed *bus = CL_OWNER(base, cl_composed, base);
    int is_idle = bus->direct && !bus->direct->has_work && !bus->directory->has_work && !bus->closing_n;
    if (!is_idle || !cl_deferred_is_empty(&bus->deferred)) flush_all(bus);
}

static void close_bus(cl_bus *base)
{
    cl_composed *bus = CL_OWNER(base, cl_composed, base);
    if (bus->closing) return;
    cl_bus_nodes_close(bus);
    bus->closing = 1;
    cl_bus_nodes_unheld(bus);
    bus->direct = NULL;
    cl_bus_route_forget(bus);
    for (size_t i = 0; i < bus->transports_n; i++) bus->transports[i]->ops->close(bus->transports[i]);
    cl_loop_defer(bus->loop);
}

static void destroy(cl_bus *base)
{
    if (!base) return;
    cl_composed *bus = CL_OWNER(base, cl_composed, base);
    for (size_t i = 0; i < CL_TRANSPORTS; i++)
        if (bus->transports[i]) bus->transports[i]->ops->destroy(bus->transports[i]);
    if (bus->directory) bus->directory->ops->destroy(bus->directory);
    if (bus->redis) cl_redis_client_free(bus->redis);
    cl_free(bus->redis);
    cl_bus_nodes_free(bus);
    cl_bus_channels_free(bus);
    cl_bus_held_free(bus);
    cl_deferred_free(&bus->deferred);
    cl_idmap_free(&bus->by_handle);
    cl_free(bus);
}

static const cl_bus_ops ops = {
    .node_open = cl_bus_node_open,
    .describe = cl_bus_node_describe,
    .node_drain = cl_bus_node_drain,
    .node_close = cl_bus_node_close,
    .register_method = cl_bus_node_register,
    .unregister_method = cl_bus_node_unregister,
    .pause = cl_bus_node_pause,
    .abandon = abandon,
    .subscribe = cl_bus_subscribe,
    .unsubscribe = cl_bus_unsubscribe,
    .publish = cl_bus_publish,
    .send = send,
    .recall = recall,
    .is_linked = cl_bus_is_linked,
    .is_reached = cl_bus_is_reached,
    .find_way = cl_bus_find_way,
    .lookup = lookup,
    .unwatch = unwatch,
    .forget = forget,
    .status = status,
    .put_links = cl_bus_put_links,
    .flush = flush,
    .close = close_bus,
    .destroy = destroy,
};

/* ---- the beginning */

cl_composed *cl_bus_allocate(cl_loop *loop, const cl_bus_sink *sink)
{
    cl_composed *bus = cl_calloc(1, sizeof *bus);
    if (!bus) return NULL;
    bus->base.ops = &ops;
    bus->loop = loop;
    bus->sink = *sink;
    cl_list_init(&bus->nodes);
    cl_list_init(&bus->channels.asked);
    cl_list_init(&bus->held);
    cl_deferred_init(&bus->deferred, loop, bus, NULL);
    return bus;
}

int cl_bus_start(cl_composed *bus)
{
    for (size_t i = 0; i < CL_TRANSPORTS; i++) bus->transports_n += bus->transports[i] != NULL;
    bus->transports_open = bus->transports_n;
    if (bus->transports_n == 1) bus->direct = bus->transports[0];
    cl_bus_channels_start(bus);
    return cl_defer(&bus->deferred, first_state, NULL, 0, 0, CL_STR_NONE);
}
