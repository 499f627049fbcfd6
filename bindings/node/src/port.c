/* The life of a port. */
#include "addon.h"

#include <stdlib.h>

static void leave(cl_port *port)
{
    if (--port->owners == 0) free(port);
}

static void on_closed(uv_handle_t *handle)
{
    cl_port *port = handle->data;
    if (port->hook) napi_remove_async_cleanup_hook(port->hook);
    leave(port);
}

/* Frees what the library holds and stops watching. Not from within clouds_poll. */
void cl_port_shut(cl_port *port)
{
    if (port->shut) return;
    port->shut = true;
    uv_poll_stop(&port->poll);
    clouds_context_destroy(port->context);
    port->context = NULL;
    port->node = NULL;
    if (port->receiver) napi_delete_reference(port->state->env, port->receiver);
    port->receiver = NULL;
    uv_close((uv_handle_t *)&port->poll, on_closed);
}

/* The environment ends with the port open: connections are cut. */
static void on_cleanup(napi_async_cleanup_hook_handle hook, void *data)
{
    cl_port_shut(data); /* if it was shut already, its watcher is on its way out, and takes the hook along */
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
    cl_port_poll(handle->data);
}

static void on_collected(napi_env env, void *data, void *hint)
{
    leave(data);
}

static int watch(cl_port *port)
{
    uv_loop_t *loop;
    int fd = clouds_fd(port->context);
    if (fd < 0) return fd;
    if (napi_get_uv_event_loop(port->state->env, &loop) != napi_ok) return CLOUDS_ESYSTEM;
    if (uv_poll_init(loop, &port->poll, fd) != 0) return CLOUDS_ESYSTEM;
    port->poll.data = port;
    port->owners++;
    uv_poll_start(&port->poll, UV_READABLE, on_readable);
    return 0;
}

static int start(cl_port *port, const clouds_options *of_context, const clouds_options *of_node)
{
    int code = clouds_context_create(of_context, &port->context);
    if (code == 0) code = clouds_node_create(port->context, of_node, &port->node);
    return code == 0 ? watch(port) : code;
}

/* The external that JavaScript will hold, or NULL with an exception. */
static napi_value open_port(napi_env env, napi_value receiver, clouds_options *of_context, clouds_options *of_node)
{
    napi_value handle;
    cl_state *state = NULL;
    cl_port *port = calloc(1, sizeof *port);
    if (!port) return cl_refuse(env, CLOUDS_ENOMEM);
    napi_get_instance_data(env, (void **)&state);
    port->state = state;
    port->owners = 1;
    int code = start(port, of_context, of_node);
    if (code != 0) {
        cl_throw(env, code);
        clouds_context_destroy(port->context);
        free(port);
        return NULL;
    }
    bool held = napi_create_external(env, port, on_collected, NULL, &handle) == napi_ok;
    if (held && napi_create_reference(env, receiver, 1, &port->receiver) == napi_ok &&
        napi_add_async_cleanup_hook(env, on_cleanup, port, &port->hook) == napi_ok)
        return handle;
    cl_port_shut(port);
    if (!held) leave(port);
    return cl_refuse(env, CLOUDS_ENOMEM);
}

/* open(receiver, options of the context, options of the node): the port. receiver.dispatch(count, texts) is called with
 * what happened. */
napi_value cl_open(napi_env env, napi_callback_info info)
{
    size_t argc = 3;
    napi_value a[3], handle = NULL;
    clouds_options *of_context = NULL, *of_node = NULL;
    napi_get_cb_info(env, info, &argc, a, NULL, NULL);
    if (cl_read_options(env, a[1], &of_context) && cl_read_options(env, a[2], &of_node))
        handle = open_port(env, a[0], of_context, of_node);
    clouds_options_destroy(of_context);
    clouds_options_destroy(of_node);
    return handle;
}

cl_port *cl_port_of(napi_env env, napi_value handle)
{
    void *port = NULL;
    if (napi_get_value_external(env, handle, &port) == napi_ok && !((cl_port *)port)->shut) return port;
    cl_refuse(env, CLOUDS_ECLOSED);
    return NULL;
}

/* close(port, drain): in order; told by the event of the context's end. drain < 0 is the option's. */
napi_value cl_close(napi_env env, napi_callback_info info)
{
    size_t argc = 2;
    napi_value a[2];
    double drain = 0;
    napi_get_cb_info(env, info, &argc, a, NULL, NULL);
    cl_port *port = cl_port_of(env, a[0]);
    if (!port) return NULL;
    napi_get_value_double(env, a[1], &drain);
    int code = clouds_context_close(port->context, drain, NULL, NULL);
    return code == 0 || code == CLOUDS_ECLOSED ? NULL : cl_throw(env, code);
}

/* finish(port, seconds): the process ends. What waits is sent and the node leaves, as far as that takes no longer.
 * Nothing is told any more. */
napi_value cl_finish(napi_env env, napi_callback_info info)
{
    size_t argc = 2;
    napi_value a[2];
    double seconds = 0;
    napi_get_cb_info(env, info, &argc, a, NULL, NULL);
    cl_port *port = cl_port_of(env, a[0]);
    if (!port) return NULL;
    napi_get_value_double(env, a[1], &seconds);
    clouds_event *events = port->state->events;
    uint64_t end = uv_hrtime() + (uint64_t)(seconds * 1e9);
    port->silent = true;
    clouds_context_close(port->context, 0, NULL, NULL);
    for (uint64_t now = uv_hrtime(); now < end && !port->over; now = uv_hrtime()) {
        int n = clouds_poll(port->context, events, sizeof *events, CL_BATCH, (double)(end - now) / 1e9);
        port->over = n < 0 || (n > 0 && events[n - 1].type == CLOUDS_EVENT_CONTEXT_CLOSED);
    }
    return NULL;
}

/* requestOpen(port, request): may it still be answered? */
napi_value cl_request_is_open(napi_env env, napi_callback_info info)
{
    size_t argc = 2;
    napi_value a[2], yes = NULL;
    double request = 0;
    napi_get_cb_info(env, info, &argc, a, NULL, NULL);
    cl_port *port = cl_port_of(env, a[0]);
    if (!port) return NULL;
    napi_get_value_double(env, a[1], &request);
    napi_get_boolean(env, clouds_request_open(port->context, (uint64_t)request) == 1, &yes);
    return yes;
}

/* id(port): text */
napi_value cl_node_name(napi_env env, napi_callback_info info)
{
    size_t argc = 1;
    napi_value handle, id = NULL;
    napi_get_cb_info(env, info, &argc, &handle, NULL, NULL);
    cl_port *port = cl_port_of(env, handle);
    if (port) napi_create_string_utf8(env, clouds_node_id(port->node), NAPI_AUTO_LENGTH, &id);
    return id;
}

/* hold(port, yes): does an open port keep the process alive? */
napi_value cl_hold(napi_env env, napi_callback_info info)
{
    size_t argc = 2;
    napi_value a[2];
    bool yes = true;
    napi_get_cb_info(env, info, &argc, a, NULL, NULL);
    cl_port *port = cl_port_of(env, a[0]);
    if (!port) return NULL;
    napi_get_value_bool(env, a[1], &yes);
    if (yes) uv_ref((uv_handle_t *)&port->poll);
    else uv_unref((uv_handle_t *)&port->poll);
    return NULL;
}

/* configure(port, options of the node) */
napi_value cl_configure(napi_env env, napi_callback_info info)
{
    size_t argc = 2;
    napi_value a[2];
    clouds_options *options;
    napi_get_cb_info(env, info, &argc, a, NULL, NULL);
    cl_port *port = cl_port_of(env, a[0]);
    if (!port || !cl_read_options(env, a[1], &options)) return NULL;
    int code = clouds_node_configure(port->node, options);
    clouds_options_destroy(options);
    return code == 0 ? NULL : cl_throw(env, code);
}

/* counters(port): {name: number} */
napi_value cl_counters(napi_env env, napi_callback_info info)
{
    size_t argc = 1;
    napi_value handle, counters = NULL, number;
    napi_get_cb_info(env, info, &argc, &handle, NULL, NULL);
    cl_port *port = cl_port_of(env, handle);
    if (!port) return NULL;
    napi_create_object(env, &counters);
    const char *name;
    uint64_t value;
    for (uint32_t i = 0; clouds_counter(port->context, NULL, i, &name, &value) == 0; i++) {
        napi_create_double(env, (double)value, &number);
        napi_set_named_property(env, counters, name, number);
    }
    return counters;
}
