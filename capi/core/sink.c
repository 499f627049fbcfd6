/* What the bus reports, on its way to the inputs of the core. */
#include "core/internal.h"

static void on_state(void *self, int up, int code, const char *words)
{
    cl_core *core = self;
    if (!core->muted) cl_core_bus(core, up, code, words);
}

static void on_node_ready(void *self, void *node, int code, const char *words)
{
    cl_core *core = self;
    if (!core->muted) cl_node_ready(node, code, words);
}

static void on_node_closed(void *self, void *node)
{
    cl_core *core = self;
    if (!core->muted) cl_core_node_closed(core, node);
}

static void on_registered(void *self, uint64_t operation, int code, const char *words)
{
    cl_core *core = self;
    if (!core->muted) cl_core_registered(core, operation, code, words);
}

static void on_subscribed(void *self, void *node, cl_str topic, cl_str group, int code, const char *words)
{
    cl_core *core = self;
    if (!core->muted) cl_core_subscribed(core, node, topic, group, code, words);
}

static void on_envelope(void *self, void *node, const cl_envelope *e)
{
    cl_core *core = self;
    if (!core->muted) cl_core_envelope(core, node, e);
}

static void on_dropped(void *self, int code)
{
    cl_core *core = self;
    int limit = code == CLOUDS_ETOOBIG || code == CLOUDS_ELIMIT;
    if (!core->muted) core->counters[limit ? CL_COUNT_LIMIT_HITS : CL_COUNT_BROKEN_INPUT]++;
}

static void on_delivery(void *self, uint64_t token, enum cl_delivery delivery, int64_t number)
{
    cl_core *core = self;
    if (!core->muted) cl_core_delivery(core, token, delivery, number);
}

static void on_published(void *self, uint64_t token, int deliveries)
{
    cl_core *core = self;
    cl_op *op = core->muted ? NULL : cl_op_find(core, token);
    if (op && op->kind == CL_OP_PUBLISH) cl_publish_held_sent(op, deliveries);
}

static void on_servers(void *self, cl_str method, const cl_server *servers, size_t n, int code)
{
    cl_core *core = self;
    if (!core->muted) cl_core_servers(core, method, servers, n, code);
}

static void on_server_up(void *self, cl_str method, cl_server server)
{
    cl_core *core = self;
    if (!core->muted) cl_core_server_up(core, method, server);
}

static void on_server_down(void *self, cl_str method, cl_str server)
{
    cl_core *core = self;
    if (!core->muted) cl_core_server_down(core, method, server);
}

static void on_peer_down(void *self, cl_str id)
{
    cl_core *core = self;
    if (!core->muted) cl_core_peer_down(core, id);
}

static void on_way_lost(void *self, cl_str id, unsigned way)
{
    cl_core *core = self;
    if (!core->muted) cl_core_way_lost(core, id, way);
}

static void on_linked(void *self)
{
    cl_core *core = self;
    if (!core->muted) cl_core_linked(core);
}

static void on_peer_draining(void *self, cl_str id)
{
    cl_core *core = self;
    if (!core->muted) cl_core_peer_draining(core, id);
}

static void on_peer_gone(void *self, cl_str id)
{
    cl_core *core = self;
    if (!core->muted) cl_core_peer_gone(core, id);
}

static void on_status(void *self, uint64_t operation, const cl_str *methods, const cl_server *servers, size_t n,
                      int end, int code)
{
    cl_core *core = self;
    if (!core->muted) cl_core_status(core, operation, methods, servers, n, end, code);
}

static void on_closed(void *self)
{
    cl_core *core = self;
    if (!core->muted && core->port.closed) core->port.closed(core->port.self, NULL);
}

void cl_core_sink(cl_core *core, cl_bus_sink *out)
{
    *out = (cl_bus_sink){.self = core,
                         .state = on_state,
                         .node_ready = on_node_ready,
                         .node_closed = on_node_closed,
                         .registered = on_registered,
                         .subscribed = on_subscribed,
                         .envelope = on_envelope,
                         .dropped = on_dropped,
                         .delivery = on_delivery,
                         .published = on_published,
                         .servers = on_servers,
                         .server_up = on_server_up,
                         .server_down = on_server_down,
                         .peer_down = on_peer_down,
                         .way_lost = on_way_lost,
                         .linked = on_linked,
                         .peer_draining = on_peer_draining,
                         .peer_gone = on_peer_gone,
                         .status = on_status,
                         .closed = on_closed};
}

void cl_core_set_bus(cl_core *core, cl_bus *bus)
{
    core->bus = bus;
}

void cl_core_mute(cl_core *core)
{
    core->muted = 1;
}
