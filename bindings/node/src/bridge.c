/* Opens and closes bridges, and what is called on one. */
#include "internal.h"

#include <stdlib.h>

static void release(addon_bridge *bridge)
{
    if (--bridge->owners == 0) free(bridge);
}

static void on_closed(uv_handle_t *handle)
{
    addon_bridge *bridge = handle->data;
    if (bridge->hook) napi_remove_async_cleanup_hook(bridge->hook);
    release(bridge);
}

/* Frees what the library holds and stops watching. Not from within clouds_poll. */
void addon_bridge_close(addon_bridge *bridge)
{
    if (bridge->shut) return;
    bridge->shut = true;
    uv_poll_stop(&bridge->poll);
    clouds_context_destroy(bridge->context);
    bridge->context = NULL;
    bridge->node = NULL;
    if (bridge->receiver) napi_delete_reference(bridge->state->env, bridge->receiver);
    bridge->receiver = NULL;
    uv_close((uv_handle_t *)&bridge->poll, on_closed);
}

/* The environment ends with the bridge open: connections are cut. */
static void on_cleanup(napi_async_cleanup_hook_handle hook, void *data)
{
    addon_bridge_close(data); /* if it was shut already, its watcher is on its way out, and takes the hook along */
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
    addon_bridge *bridge = handle->data;
    addon_deliver(bridge);
    if (bridge->ended) addon_bridge_close(bridge);
}

static void on_collected(napi_env env, void *data, void *hint)
{
    release(data);
}

static int watch(addon_bridge *bridge)
{
    uv_loop_t *loop;
    int fd = clouds_fd(bridge->context);
    if (fd < 0) return fd;
    if (napi_get_uv_event_loop(bridge->state->env, &loop) != napi_ok) return CLOUDS_ESYSTEM;
    if (uv_poll_init(loop, &bridge->poll, fd) != 0) return CLOUDS_ESYSTEM;
    bridge->poll.data = bridge;
    bridge->owners++;
    uv_poll_start(&bridge->poll, UV_READABLE, on_readable);
    return 0;
}

static int start(addon_bridge *bridge, const clouds_options *of_context, const clouds_options *of_node)
{
    int code = clouds_context_create(of_context, &bridge->context);
    if (code == 0) code = clouds_node_create(bridge->context, of_node, &bridge->node);
    return code == 0 ? watch(bridge) : code;
}

/* The external that JavaScript will hold, or NULL with an exception. */
static napi_value open_bridge(napi_env env, napi_value receiver, clouds_options *of_context, clouds_options *of_node)
{
    napi_value handle;
    addon_state *state = NULL;
    addon_bridge *bridge = calloc(1, sizeof *bridge);
    if (!bridge) return addon_refuse(env, CLOUDS_ENOMEM);
    napi_get_instance_data(env, (void **)&state);
    bridge->state = state;
    bridge->owners = 1;
    int code = start(bridge, of_context, of_node);
    if (code != 0) {
        addon_throw(env, code);
        clouds_context_destroy(bridge->context);
        free(bridge);
        return NULL;
    }
    bool held = napi_create_external(env, bridge, on_collected, NULL, &handle) == napi_ok;
    if (held && napi_create_reference(env, receiver, 1, &bridge->receiver) == napi_ok &&
        napi_add_async_cleanup_hook(env, on_cleanup, bridge, &bridge->hook) == napi_ok)
        return handle;
    addon_bridge_close(bridge);
    if (!held) release(bridge);
    return addon_refuse(env, CLOUDS_ENOMEM);
}

/* open(receiver, options of the context, options of the node): the bridge. receiver.dispatch(count, texts) is called
 * with what happened. */
napi_value addon_open(napi_env env, napi_callback_info info)
{
    size_t argc = 3;
    napi_value a[3], handle = NULL;
    clouds_options *of_context = NULL, *of_node = NULL;
    napi_get_cb_info(env, info, &argc, a, NULL, NULL);
    if (addon_read_options(env, a[1], &of_context) && addon_read_options(env, a[2], &of_node))
        handle = open_bridge(env, a[0], of_context, of_node);
    clouds_options_destroy(of_context);
    clouds_options_destroy(of_node);
    return handle;
}

addon_bridge *addon_bridge_of(napi_env env, napi_value handle)
{
    void *bridge = NULL;
    if (napi_get_value_external(env, handle, &bridge) == napi_ok && !((addon_bridge *)bridge)->shut) return bridge;
    addon_refuse(env, CLOUDS_ECLOSED);
    return NULL;
}

/* close(bridge, drain): in order; its end is the event CONTEXT_CLOSED. drain < 0 is the option's. */
napi_value addon_close(napi_env env, napi_callback_info info)
{
    size_t argc = 2;
    napi_value a[2];
    double drain = 0;
    napi_get_cb_info(env, info, &argc, a, NULL, NULL);
    addon_bridge *bridge = addon_bridge_of(env, a[0]);
    if (!bridge) return NULL;
    napi_get_value_double(env, a[1], &drain);
    int code = clouds_context_close(bridge->context, drain, NULL, NULL);
    return code == 0 || code == CLOUDS_ECLOSED ? NULL : addon_throw(env, code);
}

/* Appends { level, line } for what the library logs. */
static void take_lines(napi_env env, napi_value lines, const clouds_event *events, int n, uint32_t *count)
{
    for (int i = 0; i < n; i++) {
        napi_value entry, level, line;
        if (events[i].type != CLOUDS_EVENT_LOG || napi_create_object(env, &entry) != napi_ok ||
            napi_create_int32(env, (int32_t)events[i].number, &level) != napi_ok ||
            napi_create_string_utf8(env, events[i].data, events[i].data_len, &line) != napi_ok)
            continue;
        napi_set_named_property(env, entry, "level", level);
        napi_set_named_property(env, entry, "line", line);
        napi_set_element(env, lines, (*count)++, entry);
    }
}

/* finish(bridge, seconds): the process ends. What waits is sent and the node leaves, as far as that takes no longer.
 * JavaScript is not called any more; what the library logs meanwhile is returned. */
napi_value addon_finish(napi_env env, napi_callback_info info)
{
    size_t argc = 2;
    napi_value a[2], lines;
    double seconds = 0;
    uint32_t line_count = 0;
    napi_get_cb_info(env, info, &argc, a, NULL, NULL);
    addon_bridge *bridge = addon_bridge_of(env, a[0]);
    if (!bridge || napi_create_array(env, &lines) != napi_ok) return NULL;
    napi_get_value_double(env, a[1], &seconds);
    clouds_event *events = bridge->state->events;
    uint64_t end = uv_hrtime() + (uint64_t)(seconds * 1e9);
    bridge->silenced = true;
    clouds_context_close(bridge->context, 0, NULL, NULL);
    for (uint64_t now = uv_hrtime(); now < end && !bridge->ended; now = uv_hrtime()) {
        int n = clouds_poll(bridge->context, events, sizeof *events, ADDON_BATCH, (double)(end - now) / 1e9);
        bridge->ended = n < 0 || (n > 0 && events[n - 1].type == CLOUDS_EVENT_CONTEXT_CLOSED);
        take_lines(env, lines, events, n, &line_count);
    }
    return lines;
}

/* requestOpen(bridge, request): may it still be answered? */
napi_value addon_request_is_open(napi_env env, napi_callback_info info)
{
    size_t argc = 2;
    napi_value a[2], yes = NULL;
    double request = 0;
    napi_get_cb_info(env, info, &argc, a, NULL, NULL);
    addon_bridge *bridge = addon_bridge_of(env, a[0]);
    if (!bridge) return NULL;
    napi_get_value_double(env, a[1], &request);
    napi_get_boolean(env, clouds_request_open(bridge->context, (uint64_t)request) == 1, &yes);
    return yes;
}

/* requestExpire(bridge, request): what clouds_refuse gives for it. */
napi_value addon_request_expire(napi_env env, napi_callback_info info)
{
    size_t argc = 2;
    napi_value a[2], code = NULL;
    double request = 0;
    napi_get_cb_info(env, info, &argc, a, NULL, NULL);
    addon_bridge *bridge = addon_bridge_of(env, a[0]);
    if (!bridge) return NULL;
    napi_get_value_double(env, a[1], &request);
    napi_create_int32(env, clouds_refuse(bridge->context, (uint64_t)request, CLOUDS_EEXPIRED), &code);
    return code;
}

/* id(bridge): text */
napi_value addon_node_id(napi_env env, napi_callback_info info)
{
    size_t argc = 1;
    napi_value handle, id = NULL;
    napi_get_cb_info(env, info, &argc, &handle, NULL, NULL);
    addon_bridge *bridge = addon_bridge_of(env, handle);
    if (bridge) napi_create_string_utf8(env, clouds_node_id(bridge->node), NAPI_AUTO_LENGTH, &id);
    return id;
}

/* hold(bridge, yes): does an open bridge keep the process alive? */
napi_value addon_hold(napi_env env, napi_callback_info info)
{
    size_t argc = 2;
    napi_value a[2];
    bool yes = true;
    napi_get_cb_info(env, info, &argc, a, NULL, NULL);
    addon_bridge *bridge = addon_bridge_of(env, a[0]);
    if (!bridge) return NULL;
    napi_get_value_bool(env, a[1], &yes);
    if (yes) uv_ref((uv_handle_t *)&bridge->poll);
    else uv_unref((uv_handle_t *)&bridge->poll);
    return NULL;
}

/* configure(bridge, options of the node) */
napi_value addon_configure(napi_env env, napi_callback_info info)
{
    size_t argc = 2;
    napi_value a[2];
    clouds_options *options;
    napi_get_cb_info(env, info, &argc, a, NULL, NULL);
    addon_bridge *bridge = addon_bridge_of(env, a[0]);
    if (!bridge || !addon_read_options(env, a[1], &options)) return NULL;
    int code = clouds_node_configure(bridge->node, options);
    clouds_options_destroy(options);
    return code == 0 ? NULL : addon_throw(env, code);
}

/* counters(bridge): {name: number} */
napi_value addon_counters(napi_env env, napi_callback_info info)
{
    size_t argc = 1;
    napi_value handle, counters = NULL, number;
    napi_get_cb_info(env, info, &argc, &handle, NULL, NULL);
    addon_bridge *bridge = addon_bridge_of(env, handle);
    if (!bridge) return NULL;
    napi_create_object(env, &counters);
    const char *name;
    uint64_t value;
    for (uint32_t i = 0; clouds_counter(bridge->context, NULL, i, &name, &value) == 0; i++) {
        napi_create_double(env, (double)value, &number);
        napi_set_named_property(env, counters, name, number);
    }
    return counters;
}
