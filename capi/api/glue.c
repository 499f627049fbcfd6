/* The core's port leads to the bus, the bus's sink to the core. Both run on the engine's thread. */
#include <stdio.h>

#include "api/context.h"
#include "base/rand.h"

enum { ROUNDS = 16 }; /* a turn comes to its end */

/* ---- the port */

static int64_t port_now(void *self)
{
    return cl_loop_now();
}

static int64_t port_now_about(void *self)
{
    return cl_loop_now_about();
}

static uint64_t port_random(void *self)
{
    return cl_rand_next(&((cl_context *)self)->random_state);
}

static void port_arm(void *self, int64_t when)
{
    cl_context *context = self;
    if (when == INT64_MAX) cl_loop_timer_stop(context->alarm);
    else cl_loop_timer_set(context->alarm, when);
}

static int port_send(void *self, void *tag, const cl_envelope *e, uint64_t token)
{
    cl_bus *bus = ((cl_context *)self)->bus;
    return bus->ops->send(bus, tag, e, token);
}

static int port_recall(void *self, cl_str to, uint64_t token)
{
    cl_bus *bus = ((cl_context *)self)->bus;
    return bus->ops->recall ? bus->ops->recall(bus, to, token) : 0;
}

static void port_look(void *self, cl_str method, int known)
{
    cl_bus *bus = ((cl_context *)self)->bus;
    bus->ops->lookup(bus, method, known);
}

static void port_forget(void *self, cl_str method, cl_str server)
{
    cl_bus *bus = ((cl_context *)self)->bus;
    bus->ops->forget(bus, method, server);
}

static int port_enroll(void *self, void *tag, cl_str method, uint64_t operation)
{
    cl_bus *bus = ((cl_context *)self)->bus;
    return bus->ops->register_method(bus, tag, method, operation);
}

static int port_withdraw(void *self, void *tag, cl_str method, uint64_t operation)
{
    cl_bus *bus = ((cl_context *)self)->bus;
    return bus->ops->unregister_method(bus, tag, method, operation);
}

static void port_abandon(void *self, uint64_t operation)
{
    cl_bus *bus = ((cl_context *)self)->bus;
    if (bus->ops->abandon) bus->ops->abandon(bus, operation);
}

static void port_drain(void *self, void *tag)
{
    cl_bus *bus = ((cl_context *)self)->bus;
    bus->ops->node_drain(bus, tag);
}

static void port_shut(void *self, void *tag)
{
    cl_bus *bus = ((cl_context *)self)->bus;
    bus->ops->node_close(bus, tag);
}

static int port_status(void *self, uint64_t operation)
{
    cl_bus *bus = ((cl_context *)self)->bus;
    bus->ops->status(bus, operation);
    return 0;
}

static int port_event(void *self, void *tag, const clouds_event *event)
{
    return cl_raise(self, tag, event);
}

/* What the user asked for was given its place when it was accepted; so this is about requests. */
static int port_reserve(void *self)
{
    cl_context *context = self;
    return context->executing ? 0 : cl_raise_reserve_request(context);
}

static int port_withdraw_request(void *self, uint64_t request)
{
    return cl_raise_withdraw(self, request);
}

static void port_forget_request(void *self, uint64_t request)
{
    cl_raise_forget(self, request);
}

static uint64_t port_next_id(void *self)
{
    return cl_context_id(self, 0);
}

void cl_glue_port(cl_context *context, cl_port *port)
{
    *port = (cl_port){.self = context,
                      .now = port_now,
                      .now_about = port_now_about,
                      .random = port_random,
                      .arm = port_arm,
                      .send = port_send,
                      .look = port_look,
                      .forget = port_forget,
                      .enroll = port_enroll,
                      .withdraw = port_withdraw,
                      .drain = port_drain,
                      .shut = port_shut,
                      .status = port_status,
                      .event = port_event,
                      .reserve = port_reserve,
                      .withdraw_request = port_withdraw_request,
                      .forget_request = port_forget_request,
                      .next_id = port_next_id,
                      .recall = port_recall,
                      .abandon = port_abandon};
}

/* ---- the sink; deaf while the context is destroyed */

static int is_deaf(const cl_context *context)
{
    return !context->core || atomic_load_explicit(&context->ending, memory_order_relaxed) == 2;
}

static cl_node *node_of(void *node)
{
    return ((cl_api_node *)node)->core;
}

static void sink_state(void *self, int up, int code, const char *words)
{
    cl_context *context = self;
    if (!is_deaf(context)) cl_core_bus(context->core, up, code, words);
}

static void sink_node_ready(void *self, void *node, int code, const char *words)
{
    if (!is_deaf(self) && node_of(node)) cl_node_ready(node_of(node), code, words);
}

static void sink_node_closed(void *self, void *tag)
{
    cl_context *context = self;
    cl_api_node *node = tag;
    if (is_deaf(context) || !node->core) return;
    cl_core_node_closed(context->core, node->core);
    node->core = NULL;
    context->core_nodes--;
    if (node->destroyed) cl_api_node_free(node);
    if (atomic_load(&context->closing) && context->core_nodes == 0) context->finish_due = 1;
}

static void sink_registered(void *self, uint64_t operation, int code, const char *words)
{
    cl_context *context = self;
    if (!is_deaf(context)) cl_core_enrolled(context->core, operation, code, words);
}

static void sink_envelope(void *self, void *node, const cl_envelope *e)
{
    cl_context *context = self;
    if (!is_deaf(context) && node_of(node)) cl_core_envelope(context->core, node_of(node), e);
}

static void sink_dropped(void *self, int code)
{
    cl_context *context = self;
    if (is_deaf(context)) return;
    int limit = code == CLOUDS_ETOOBIG || code == CLOUDS_ELIMIT;
    ++*cl_core_counter(context->core, limit ? CL_COUNT_LIMIT_HITS : CL_COUNT_BROKEN_INPUT);
}

static void sink_fate(void *self, uint64_t token, enum cl_fate fate, int64_t number)
{
    cl_context *context = self;
    if (!is_deaf(context)) cl_core_fate(context->core, token, fate, number);
}

static void sink_servers(void *self, cl_str method, const cl_server *servers, size_t n, int code)
{
    cl_context *context = self;
    if (!is_deaf(context)) cl_core_servers(context->core, method, servers, n, code);
}

static void sink_server_up(void *self, cl_str method, cl_server server)
{
    cl_context *context = self;
    if (!is_deaf(context)) cl_core_server_up(context->core, method, server);
}

static void sink_server_down(void *self, cl_str method, cl_str server)
{
    cl_context *context = self;
    if (!is_deaf(context)) cl_core_server_down(context->core, method, server);
}

static void sink_peer_down(void *self, cl_str id)
{
    cl_context *context = self;
    if (!is_deaf(context)) cl_core_peer_down(context->core, id);
}

static void sink_peer_draining(void *self, cl_str id)
{
    cl_context *context = self;
    if (!is_deaf(context)) cl_core_peer_draining(context->core, id);
}

static void sink_status(void *self, uint64_t operation, const cl_str *methods, const cl_server *servers, size_t n,
                        int end, int code)
{
    cl_context *context = self;
    if (!is_deaf(context)) cl_core_status(context->core, operation, methods, servers, n, end, code);
}

static void sink_closed(void *self)
{
    cl_context *context = self;
    if (is_deaf(context)) return;
    context->bus_closed = 1;
    cl_raise(context, NULL,
             &(clouds_event){.type = CLOUDS_EVENT_CONTEXT_CLOSED,
                             .id = context->close_id,
                             .user_data = context->close_user_data,
                             .time_left = -1,
                             .peer = "",
                             .method = "",
                             .data = "",
                             .error = ""});
}

void cl_glue_sink(cl_context *context, cl_bus_sink *sink)
{
    *sink = (cl_bus_sink){.self = context,
                          .state = sink_state,
                          .node_ready = sink_node_ready,
                          .node_closed = sink_node_closed,
                          .registered = sink_registered,
                          .envelope = sink_envelope,
                          .dropped = sink_dropped,
                          .fate = sink_fate,
                          .servers = sink_servers,
                          .server_up = sink_server_up,
                          .server_down = sink_server_down,
                          .peer_down = sink_peer_down,
                          .peer_draining = sink_peer_draining,
                          .status = sink_status,
                          .closed = sink_closed};
}

/* What waits for room in the queues of the bus, while writing makes some. */
static void use_room(cl_context *context)
{
    if (context->queue.late_count) cl_queue_run_late(context);
    for (int i = 0; i < ROUNDS && cl_core_room(context->core) > 0; i++) context->bus->ops->flush(context->bus);
}

/* The loop's turn: what became due in callbacks, then the output. */
void cl_glue_turn(void *self)
{
    cl_context *context = self;
    if (is_deaf(context) || !context->bus) return;
    cl_raise_flush(context);
    if (context->finish_due && !context->bus_closing) {
        context->bus_closing = 1;
        context->bus->ops->close(context->bus);
    }
    if (!context->bus_closed) {
        context->bus->ops->flush(context->bus);
        use_room(context);
    }
    context->unflushed = 0;
    context->poked = 0;
    /* What could not be written may have ended a call: nobody may sleep before that is told. */
    if (context->signal_due) cl_loop_defer(context->loop);
}
