/* The engine: what the core asks of this layer, and the turn of its loop. All of it runs on the engine's thread. */
#include <stdio.h>
#include <time.h>

#include "api/internal.h"
#include "api/context_counts.h"
#include "base/rand.h"

enum { ROUNDS = 16 }; /* a turn comes to its end */

/* ---- the port */

static int64_t port_now(void *self)
{
    return cl_clock_now(&((cl_context *)self)->engine.clock);
}

static int64_t port_now_about(void *self)
{
    return cl_loop_now_about();
}

static int64_t port_micros(void *self)
{
    return cl_clock_micros();
}

static int64_t port_micros_looked(void *self)
{
    return cl_clock_micros_looked(&((cl_context *)self)->engine.clock);
}

static int64_t port_micros_of_turn(void *self)
{
    cl_engine *engine = &((cl_context *)self)->engine;
    uint64_t turn = cl_loop_turn_now(engine->loop);
    if (turn && turn == engine->measured_turn) return engine->measured;
    engine->measured_turn = turn; /* 0: code of the program ran since the one before */
    cl_clock_now(&engine->clock);
    engine->measured = cl_clock_micros_looked(&engine->clock);
    return engine->measured;
}

static int64_t port_wall(void *self)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* While the context is destroyed, nobody takes any more. */
static void port_span(void *self, const cl_span *span)
{
    cl_context *context = self;
    if (!context->engine.exporter) return;
    cl_context_lock(context);
    context->inbox.counters[CL_COUNT_SPANS]++;
    cl_context_unlock(context);
    cl_exporter_add(context->engine.exporter, span);
}

static uint64_t port_random(void *self)
{
    return cl_rand_next(&((cl_context *)self)->engine.random_state);
}

static void port_arm(void *self, int64_t when)
{
    cl_context *context = self;
    if (when == INT64_MAX) cl_loop_timer_stop(context->engine.timer);
    else cl_loop_timer_set(context->engine.timer, when);
}

static int port_event(void *self, void *tag, const clouds_event *event)
{
    return cl_deliver(self, tag, event);
}

/* What the user asked for was given its place when it was accepted. */
static int port_reserve(void *self)
{
    return 0;
}

static int port_reserve_request(void *self)
{
    return cl_deliver_reserve_request(self);
}

static int port_withdraw_request(void *self, uint64_t request)
{
    return cl_deliver_withdraw(self, request);
}

static void port_forget_request(void *self, uint64_t request)
{
    cl_deliver_forget(self, request);
}

static uint64_t port_next_id(void *self)
{
    return cl_context_id(self, 0);
}

static void end_context(void *self)
{
    cl_context *context = self;
    context->engine.is_over = 1;
    cl_deliver_end(context, NULL);
}

/* Spans that wait still go out. */
static void bus_is_closed(cl_context *context)
{
    context->engine.bus_closed = 1;
    if (context->engine.exporter) cl_exporter_finish(context->engine.exporter, CL_FLUSH_MS, end_context, context);
    else end_context(context);
}

static void port_closed(void *self, void *tag)
{
    cl_context *context = self;
    cl_api_node *node = tag;
    if (!node) {
        bus_is_closed(context);
        return;
    }
    node->core = NULL;
    context->engine.nodes--;
    if (node->destroyed) cl_api_node_free(node);
    if (context->engine.close_begun && context->engine.nodes == 0) context->engine.finish_due = 1;
}

void cl_engine_port(cl_context *context, cl_port *port)
{
    *port = (cl_port){.self = context,
                      .now = port_now,
                      .now_about = port_now_about,
                      .random = port_random,
                      .arm = port_arm,
                      .event = port_event,
                      .reserve = port_reserve,
                      .reserve_request = port_reserve_request,
                      .withdraw_request = port_withdraw_request,
                      .forget_request = port_forget_request,
                      .next_id = port_next_id,
                      .closed = port_closed,
                      .micros = port_micros,
                      .micros_of_turn = port_micros_of_turn,
                      .micros_looked = port_micros_looked,
                      .wall = port_wall,
                      .span = port_span};
}

/* ---- the turn */

/* What waits for room in the queues of the bus, while writing makes some. */
static void use_room(cl_context *context)
{
    if (context->thread.queue.late_count) cl_queue_run_late(context);
    for (int i = 0; i < ROUNDS && cl_core_check_room(context->engine.core) > 0; i++)
        context->engine.bus->ops->flush(context->engine.bus);
}

static int is_ended(const cl_context *context)
{
    return !context->engine.core || atomic_load_explicit(&context->ending, memory_order_relaxed) == 2;
}

/* In a worker. */
CL_RARE static void publish(cl_context *context)
{
    cl_core *core = context->engine.core;
    cl_worker_publish(&context->engine.share, *cl_core_counter(core, CL_COUNT_REQUESTS), cl_core_open_requests(core));
    if (context->engine.counts) cl_context_counts_tell(context);
}

/* The loop's turn: what became due in callbacks, then the output. */
void cl_engine_turn(void *self)
{
    cl_context *context = self;
    if (is_ended(context) || !context->engine.bus) return;
    cl_deliver_flush(context);
    if (context->engine.finish_due && !context->engine.bus_closing) {
        context->engine.bus_closing = 1;
        context->engine.bus->ops->close(context->engine.bus);
    }
    if (!context->engine.bus_closed) {
        context->engine.bus->ops->flush(context->engine.bus);
        use_room(context);
    }
    context->engine.unflushed = 0;
    context->descriptor.readable = 0;
    if (cl_worker_is_open() || context->engine.counts) publish(context);
    /* What could not be written may have ended a call: no thread may sleep before its event is delivered. */
    if (context->engine.signal_due) cl_loop_defer(context->engine.loop);
}

void cl_engine_turn_once(cl_context *context)
{
    context->engine.turned = cl_loop_now_about();
    cl_loop_run(context->engine.loop, 0);
}
