/* This process as a worker of `clouds start`: what the master tells it reaches a function of JavaScript. A process has
 * one place below a master, and the environment that opens it keeps it: that of the main thread. */
#include "internal.h"

#include <stdlib.h>

enum { TEXT = 65536, NAME = 256, EVENTS_A_TURN = 64 }; /* texts: more than the library takes */

typedef struct place {
    uv_poll_t poll;
    napi_env env;
    napi_ref fn;
    napi_async_cleanup_hook_handle hook;
} place;

static place *the_place;

static void on_closed(uv_handle_t *handle)
{
    place *p = handle->data;
    if (p->hook) napi_remove_async_cleanup_hook(p->hook);
    free(p);
}

static void close_place(place *p)
{
    if (the_place != p) return;
    the_place = NULL;
    uv_poll_stop(&p->poll);
    if (p->fn) napi_delete_reference(p->env, p->fn);
    uv_close((uv_handle_t *)&p->poll, on_closed);
}

static void on_cleanup(napi_async_cleanup_hook_handle hook, void *data)
{
    close_place(data);
}

/* An exception that the function let out ends the process, as one of a timer's callback would. */
static void tell(place *p, const clouds_worker_event *event)
{
    napi_value receiver, fn, arguments[7], error;
    bool pending = false;
    bool ok = napi_get_global(p->env, &receiver) == napi_ok &&
              napi_get_reference_value(p->env, p->fn, &fn) == napi_ok &&
              napi_create_uint32(p->env, event->type, &arguments[0]) == napi_ok &&
              napi_create_double(p->env, (double)event->number, &arguments[1]) == napi_ok &&
              napi_create_double(p->env, event->seconds, &arguments[2]) == napi_ok &&
              napi_create_string_utf8(p->env, event->group, event->group_len, &arguments[3]) == napi_ok &&
              napi_create_string_utf8(p->env, event->data, event->data_len, &arguments[4]) == napi_ok &&
              napi_create_int32(p->env, event->fd, &arguments[5]) == napi_ok &&
              napi_create_uint32(p->env, event->flags, &arguments[6]) == napi_ok;
    if (ok && napi_make_callback(p->env, NULL, receiver, fn, 7, arguments, NULL) == napi_ok) return;
    napi_is_exception_pending(p->env, &pending);
    if (pending && napi_get_and_clear_last_exception(p->env, &error) == napi_ok) napi_fatal_exception(p->env, error);
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
    place *p = handle->data;
    clouds_worker_event event;
    napi_handle_scope scope;
    int n = 1;
    for (int i = 0; i < EVENTS_A_TURN && p == the_place && n > 0; i++) {
        n = clouds_worker_next(&event, sizeof event, 0);
        if (n <= 0 || napi_open_handle_scope(p->env, &scope) != napi_ok) break;
        tell(p, &event);
        napi_close_handle_scope(p->env, scope);
        if (event.type == CLOUDS_WORKER_CONNECTION) break; /* the next is perhaps for another worker */
    }
    if (n < 0 && p == the_place) uv_poll_stop(handle); /* the master is gone, and that was told */
}

static napi_value truth(napi_env env, bool yes)
{
    napi_value value = NULL;
    napi_get_boolean(env, yes, &value);
    return value;
}

/* workerOpen(fn, seconds): whether this process is a worker; fn(type, number, seconds, group, data, fd, flags) is called
 * with each event. The watch of them does not keep the process alive. seconds: it ends so long after its master in any case. */
napi_value addon_worker_open(napi_env env, napi_callback_info info)
{
    size_t argc = 2;
    napi_value a[2];
    uv_loop_t *loop;
    double seconds = 0;
    napi_get_cb_info(env, info, &argc, a, NULL, NULL);
    napi_get_value_double(env, a[1], &seconds);
    const char *channel = getenv("CLOUDS_CHANNEL"); /* until it is opened */
    int number = channel ? atoi(channel) : -1, fd = clouds_worker_open();
    if (fd < 0) return truth(env, false);
    place *p = calloc(1, sizeof *p);
    if (!p || !addon_worker_follow(number, seconds)) return free(p), addon_refuse(env, CLOUDS_ENOMEM);
    p->env = env;
    p->poll.data = p;
    if (napi_get_uv_event_loop(env, &loop) != napi_ok || uv_poll_init(loop, &p->poll, fd) != 0) {
        free(p);
        return addon_refuse(env, CLOUDS_ESYSTEM);
    }
    the_place = p;
    uv_unref((uv_handle_t *)&p->poll);
    if (napi_create_reference(env, a[0], 1, &p->fn) != napi_ok ||
        napi_add_async_cleanup_hook(env, on_cleanup, p, &p->hook) != napi_ok) {
        close_place(p);
        return addon_refuse(env, CLOUDS_ENOMEM);
    }
    uv_poll_start(&p->poll, UV_READABLE, on_readable);
    return truth(env, true);
}

/* workerHold(): from now on it does keep it alive. */
napi_value addon_worker_hold(napi_env env, napi_callback_info info)
{
    if (the_place) uv_ref((uv_handle_t *)&the_place->poll);
    return NULL;
}

static napi_value result(napi_env env, int code)
{
    return code == 0 || code == CLOUDS_ECLOSED ? NULL : addon_throw(env, code);
}

/* workerTell(word, text). What is cut here is longer than can be told, and refused. */
napi_value addon_worker_tell(napi_env env, napi_callback_info info)
{
    size_t argc = 2, length = 0;
    napi_value a[2];
    uint32_t word = 0;
    char text[TEXT];
    napi_get_cb_info(env, info, &argc, a, NULL, NULL);
    napi_get_value_uint32(env, a[0], &word);
    napi_get_value_string_utf8(env, a[1], text, sizeof text, &length);
    return result(env, clouds_worker_tell(word, text, length));
}

/* workerSend(group, index, data). The same. */
napi_value addon_worker_send(napi_env env, napi_callback_info info)
{
    size_t argc = 3, group_length = 0, length = 0;
    napi_value a[3];
    uint32_t index = 0;
    char group[NAME], data[TEXT];
    napi_get_cb_info(env, info, &argc, a, NULL, NULL);
    napi_get_value_string_utf8(env, a[0], group, sizeof group, &group_length);
    napi_get_value_uint32(env, a[1], &index);
    napi_get_value_string_utf8(env, a[2], data, sizeof data, &length);
    return result(env, clouds_worker_send(group, group_length, index, data, length));
}

/* workerTake(what) */
napi_value addon_worker_take(napi_env env, napi_callback_info info)
{
    size_t argc = 1;
    napi_value a[1];
    uint32_t what = 0;
    napi_get_cb_info(env, info, &argc, a, NULL, NULL);
    napi_get_value_uint32(env, a[0], &what);
    return result(env, clouds_worker_take(what));
}

/* workerGiveBack(listener, fd): whether the master has taken it; fd stays open. */
napi_value addon_worker_give_back(napi_env env, napi_callback_info info)
{
    size_t argc = 2;
    napi_value a[2];
    uint32_t listener = 0;
    int32_t fd = -1;
    napi_get_cb_info(env, info, &argc, a, NULL, NULL);
    napi_get_value_uint32(env, a[0], &listener);
    napi_get_value_int32(env, a[1], &fd);
    return truth(env, clouds_worker_give_back(listener, fd) == 0);
}

/* workerCount(what, change) */
napi_value addon_worker_count(napi_env env, napi_callback_info info)
{
    size_t argc = 2;
    napi_value a[2];
    uint32_t what = 0;
    int64_t change = 0;
    napi_get_cb_info(env, info, &argc, a, NULL, NULL);
    napi_get_value_uint32(env, a[0], &what);
    napi_get_value_int64(env, a[1], &change);
    return result(env, clouds_worker_count(what, change));
}
