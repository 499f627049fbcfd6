/* Contexts: from birth to death. */
#include "api/internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/eventfd.h>

#include "api/check.h"
#include "api/config.h"
#include "api/context_counts.h"
#include "api/deadline.h"
#include "api/handle.h"
#include "api/last_error.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"

/* ---- birth */

static void on_timer(void *self)
{
    cl_core_tick(((cl_context *)self)->engine.core);
}

static void on_woken(void *self)
{
    cl_context *context = self;
    if (!context->threaded || atomic_load_explicit(&context->ending, memory_order_relaxed)) return;
    if (atomic_load(&context->woken)) cl_deliver_wakeup(context);
    cl_queue_run(context);
}

static int make_bus(cl_context *context)
{
    cl_bus_sink sink;
    cl_core_sink(context->engine.core, &sink);
    return cl_bus_create(context->engine.loop, &context->config.url, &context->config.limits, &sink,
                         &context->engine.bus);
}

static int make_core(cl_context *context, const cl_options *options)
{
    cl_core_config config;
    cl_port port;
    cl_config_core(context, options, &config);
    if (cl_random_bytes(config.secret, sizeof config.secret) != 0) return CLOUDS_ESYSTEM;
    cl_engine_port(context, &port);
    return cl_core_create(&config, &port, &context->engine.core);
}

static void on_lost_spans(void *self, size_t n)
{
    cl_context *context = self;
    cl_context_lock(context);
    context->inbox.counters[CL_COUNT_LOST_SPANS] += n;
    cl_context_unlock(context);
}

static int make_exporter(cl_context *context, const cl_options *options)
{
    cl_trace_settings settings;
    int code = cl_config_trace(context, options, &settings), is_on = code == 0 && settings.is_on;
    if (!is_on) {
        cl_trace_settings_free(&settings);
        return code;
    }
    code = cl_exporter_create(context->engine.loop, &settings, on_lost_spans, context, &context->engine.exporter);
    if (code == 0 || strcmp(cl_options_text(options, CL_OPTION_trace), "env") != 0) return code;
    cl_log(CLOUDS_LOG_WARN, "tracing: %s", clouds_last_error()); /* nobody but the environment asked for it */
    return 0;
}

static int make_engine(cl_context *context, const cl_options *options)
{
    const cl_loop_hooks hooks = {.self = context, .turn = cl_engine_turn, .woken = on_woken};
    int code = cl_events_reserve(&context->inbox.events, 1); /* for CONTEXT_CLOSED */
    cl_clock_init(&context->engine.clock);
    if (code == 0) code = cl_loop_create(&hooks, &context->engine.loop);
    if (code == 0) code = cl_loop_timer_create(context->engine.loop, on_timer, context, &context->engine.timer);
    if (code == 0) code = make_exporter(context, options);
    if (code == 0) code = make_core(context, options);
    if (code == 0) code = make_bus(context);
    if (code == 0) cl_core_set_bus(context->engine.core, context->engine.bus);
    if (code == 0) cl_context_counts_open(context);
    return code;
}

static void make_locks(cl_context *context)
{
    pthread_mutex_init(&context->inbox.lock, NULL);
    cl_cond_init(&context->inbox.arrived);
    cl_queue_init(&context->thread.queue);
    cl_leader_init(&context->thread.leader);
}

static void free_context(cl_context *context);

static int create(const cl_options *options, cl_context **out)
{
    cl_context *context = cl_calloc(1, sizeof *context);
    if (!context) return cl_error(CLOUDS_ENOMEM, NULL);
    cl_guard_keep(1);
    context->fork_generation = cl_guard_generation();
    context->descriptor.event_fd = -1;
    atomic_init(&context->next_id, 2);
    cl_list_init(&context->inbox.nodes);
    cl_subscriptions_init(&context->inbox.subscriptions);
    make_locks(context);
    int code = cl_config_context(context, options);
    cl_log_events_begin(context);
    if (code == 0) code = make_engine(context, options);
    cl_log_events_end(context);
    if (code == 0) {
        context->handle = context->threaded ? cl_handle_open(CL_HANDLE_CONTEXT, context)
                                            : cl_handle_open_exclusive(CL_HANDLE_CONTEXT, context, NULL);
        if (!context->handle) code = cl_error(CLOUDS_ENOMEM, NULL);
    }
    if (code == 0) *out = context;
    else free_context(context);
    return code;
}

static void retire_handle(cl_context *context)
{
    void *object;
    cl_handle_revoke(context->handle, CL_HANDLE_CONTEXT, &object);
    cl_handle_retire(context->handle);
}

int clouds_context_create(const clouds_options *handle, clouds_context **out)
{
    const cl_options *options;
    cl_context *context = NULL;
    int code = cl_guard_hooks();
    if (code != 0) return code;
    if (!out) return cl_error(CLOUDS_EINVAL, "clouds_context_create: out is NULL");
    cl_guard_install();
    code = cl_options_enter(handle, &options);
    if (code != 0) return code;
    code = create(options, &context);
    cl_options_leave(handle);
    if (code != 0) return code == CLOUDS_ENOMEM ? cl_error(code, NULL) : code;
    if (context->threaded) code = cl_thread_start(context);
    if (code != 0) {
        retire_handle(context);
        free_context(context);
        return code;
    }
    *out = context->handle;
    return 0;
}

/* ---- close */

static int close_context(clouds_context *handle, double drain, const clouds_operation_options *options,
                         uint64_t *operation)
{
    clouds_operation_options own;
    cl_context *context;
    int code = cl_guard_context(handle, &context);
    if (code != 0) return code;
    code = cl_operation_read(options, operation, 1, &own);
    if (code == 0 && isnan(drain)) code = cl_error(CLOUDS_EINVAL, "drain is not a number");
    if (code == 0 && atomic_exchange(&context->closing, 1))
        code = cl_error(CLOUDS_ECLOSED, "the context is closed already");
    if (code == 0) {
        context->close_command = (cl_command){.kind = CL_DO_CLOSE, .close.drain = drain};
        code = cl_operation_start_close(context, &own, &context->close_command, operation);
        if (code == CLOUDS_ENOMEM) atomic_store(&context->closing, 0);
    }
    cl_guard_leave(context);
    return code;
}

int clouds_context_close(clouds_context *context, double drain, const clouds_operation_options *options,
                         uint64_t *operation)
{
    return cl_report_operation_error(options, close_context(context, drain, options, operation));
}

/* ---- death */

/* The engine's end: from here on nobody else is inside, and what the bus says is not heard. */
static void free_context(cl_context *context)
{
    atomic_store(&context->ending, 2);
    cl_worker_publish(&context->engine.share, context->engine.share.requests, 0);
    cl_context_counts_close(context);
    if (context->engine.core) cl_core_mute(context->engine.core);
    cl_loop_timer_destroy(context->engine.timer);
    if (context->engine.exporter) cl_exporter_flush(context->engine.exporter, CL_FLUSH_MS);
    cl_exporter_destroy(context->engine.exporter);
    context->engine.exporter = NULL;
    cl_loop_close(context->engine.loop);
    context->engine.loop = NULL;
    if (context->engine.bus) context->engine.bus->ops->destroy(context->engine.bus);
    if (context->engine.core) cl_core_destroy(context->engine.core);
    cl_queue_free(&context->thread.queue); /* before the nodes, in which some of its records lie */
    CL_LIST_EACH(it, &context->inbox.nodes) cl_api_node_free(CL_OWNER(it, cl_api_node, link));
    cl_events_free(&context->inbox.events);
    cl_subscriptions_free(&context->inbox.subscriptions);
    cl_wait_slots_free(&context->inbox.wait_slots);
    cl_idmap_free(&context->inbox.open);
    if (context->descriptor.event_fd >= 0) close(context->descriptor.event_fd);
    pthread_cond_destroy(&context->inbox.arrived);
    pthread_mutex_destroy(&context->inbox.lock);
    cl_leader_free(&context->thread.leader);
    cl_config_free(context);
    cl_free(context);
    cl_guard_keep(-1);
}

/* Whoever waits inside returns CLOUDS_ECLOSED. */
static void wake_waiters(cl_context *context)
{
    cl_context_lock(context);
    atomic_store_explicit(&context->ending, 1, memory_order_release);
    pthread_cond_broadcast(&context->inbox.arrived);
    if (context->threaded) cl_wait_slots_wake(&context->inbox.wait_slots);
    cl_context_unlock(context);
    cl_loop_wake(context->engine.loop);
}

static void revoke_nodes(cl_context *context)
{
    void *object;
    CL_LIST_EACH(it, &context->inbox.nodes)
    {
        cl_api_node *node = CL_OWNER(it, cl_api_node, link);
        if (cl_handle_revoke(node->handle, CL_HANDLE_NODE, &object)) cl_handle_retire(node->handle);
    }
}

void clouds_context_destroy(clouds_context *handle)
{
    void *object;
    if (!handle) return;
    if (cl_guard_hooks() != 0) {
        cl_log(CLOUDS_LOG_ERROR, "clouds_context_destroy was called from inside a hook: ignored");
        return;
    }
    if (!cl_handle_revoke(handle, CL_HANDLE_CONTEXT, &object)) return;
    cl_context *context = object;
    /* In a forked child the loop's descriptors are the parent's too, and the I/O thread does not exist: what was
     * inherited is left as it is. */
    if (context->fork_generation != cl_guard_generation()) return;
    wake_waiters(context);
    cl_handle_retire(handle);
    if (context->threaded) cl_thread_stop(context);
    revoke_nodes(context);
    free_context(context);
}
