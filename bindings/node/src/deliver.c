/* Events, on their way into JavaScript. */
#include "internal.h"

#include <string.h>

enum { ROUNDS = 8 };

/* The most bytes of text of one call into JavaScript, whose texts have a limit. */
enum { MAX_TEXT = 16 << 20 };

static bool add_json(addon_text *out, const char *p, size_t n)
{
    return n ? addon_text_add(out, p, n) : addon_text_add(out, "null", 4);
}

static bool comma(addon_text *out)
{
    return addon_text_add(out, ",", 1);
}

static bool add_failure(addon_text *out, const clouds_event *e)
{
    return add_json(out, e->error, e->error_len) && comma(out) && addon_text_quote(out, e->method, e->method_len) &&
           comma(out) && addon_text_quote(out, e->peer, e->peer_len);
}

/* A text, or 0 where it is that of the event before: requests often have the same method and caller. */
static bool add_name(addon_text *out, const char *p, size_t n, const char *before, size_t before_n)
{
    if (before && n == before_n && memcmp(p, before, n) == 0) return addon_text_add(out, "0", 1);
    return addon_text_quote(out, p, n);
}

static bool add_request(addon_text *out, const clouds_event *e, const clouds_event *before)
{
    static const clouds_event none;
    if (!before || before->type != CLOUDS_EVENT_REQUEST) before = &none;
    return add_name(out, e->method, e->method_len, before->method, before->method_len) && comma(out) &&
           add_name(out, e->peer, e->peer_len, before->peer, before->peer_len) && comma(out) &&
           add_json(out, e->data, e->data_len) && comma(out) && add_json(out, e->meta, e->meta_len);
}

static bool tells_server(const clouds_event *e)
{
    return e->type == CLOUDS_EVENT_RESULT && e->user_data & ADDON_TELLS;
}

static bool add_result(addon_text *out, const clouds_event *e)
{
    if (!add_json(out, e->data, e->data_len)) return false;
    if (e->code != 0) return comma(out) && add_failure(out, e);
    return !tells_server(e) || (comma(out) && addon_text_quote(out, e->peer, e->peer_len));
}

/* The texts of an event: of a result its values, and when it failed its error, method and peer, or the peer alone where
 * that is asked for; of a request method, peer, arguments and meta; of all others peer, method, value and error, or what
 * goes with a message. `before` is the event before it in the same call into JavaScript, or NULL. */
static bool add_texts(addon_text *out, const clouds_event *e, const clouds_event *before)
{
    if (e->type == CLOUDS_EVENT_RESULT) return add_result(out, e);
    if (e->type == CLOUDS_EVENT_REQUEST) return add_request(out, e, before);
    bool is_named = addon_text_quote(out, e->peer, e->peer_len) && comma(out) &&
                    addon_text_quote(out, e->method, e->method_len) && comma(out) &&
                    add_json(out, e->data, e->data_len) && comma(out);
    if (!is_named) return false;
    if (e->type == CLOUDS_EVENT_PUBLISHED) return add_json(out, e->meta, e->meta_len);
    return e->code == 0 ? addon_text_quote(out, e->error, e->error_len) : add_json(out, e->error, e->error_len);
}

/* So much of queueBytes a message takes, as in the queue of the library: its texts. */
static size_t size_of(const clouds_event *e)
{
    return e->data_len + e->bytes_len + e->meta_len + e->method_len + e->peer_len;
}

/* `areas`: how many have bytes, before it and then with it. */
static void add_numbers(double *to, const clouds_event *e, uint32_t *areas)
{
    bool is_message = e->type == CLOUDS_EVENT_PUBLISHED;
    to[0] = e->type;
    to[1] = e->code;
    to[2] = is_message ? e->flags : e->outcome;
    to[3] = (double)e->id;
    to[4] = (double)(is_message ? e->sequence : e->user_data & ~ADDON_TELLS);
    to[5] = tells_server(e) ? 1 : (double)e->number;
    to[6] = is_message ? (double)size_of(e) : e->data_len > 0;
    to[7] = e->bytes_len > 0 ? ++*areas : 0;
}

/* The numbers and the texts of up to n events, the latter as one JSON array; how many they are, or 0 without memory. */
static int describe(addon_state *state, const clouds_event *events, int n)
{
    addon_text *out = &state->out;
    bool ok = addon_text_add(out, "[", 1);
    size_t bytes = 0;
    uint32_t areas = 0;
    int i = 0;
    for (; ok && i < n && out->len + bytes < MAX_TEXT; i++) {
        add_numbers(state->numbers + i * ADDON_EVENT_NUMBERS, &events[i], &areas);
        bytes += events[i].bytes_len;
        ok = (i == 0 || comma(out)) && add_texts(out, &events[i], i ? &events[i - 1] : NULL);
    }
    return ok && addon_text_add(out, "]", 1) ? i : 0;
}

/* An exception that dispatch let out ends the process, as one of a timer's callback would. */
static void rethrow(napi_env env)
{
    napi_value error;
    bool pending = false;
    napi_is_exception_pending(env, &pending);
    if (pending && napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
}

/* The list of the bytes of the events; undefined where there are none, as nearly always. */
static bool list_areas(napi_env env, const clouds_event *events, int count, napi_value *areas)
{
    uint32_t number = 0;
    napi_value area;
    bool ok = napi_get_undefined(env, areas) == napi_ok;
    for (int i = 0; ok && i < count; i++) {
        if (events[i].bytes_len == 0) continue;
        ok = (number || napi_create_array(env, areas) == napi_ok) &&
             napi_create_buffer_copy(env, events[i].bytes_len, events[i].bytes, NULL, &area) == napi_ok &&
             napi_set_element(env, *areas, number++, area) == napi_ok;
    }
    return ok;
}

/* Calls the receiver's dispatch. An environment that is ending, as a worker that was terminated, cannot be called. */
static void call_dispatch(addon_bridge *bridge, const clouds_event *events, int count)
{
    addon_state *state = bridge->state;
    napi_env env = state->env;
    napi_value receiver, dispatch, arguments[3];
    bool ok = napi_create_int32(env, count, &arguments[0]) == napi_ok &&
              napi_create_string_utf8(env, state->out.p, state->out.len, &arguments[1]) == napi_ok &&
              list_areas(env, events, count, &arguments[2]) && napi_get_reference_value(env, bridge->receiver, &receiver) == napi_ok &&
              napi_get_named_property(env, receiver, "dispatch", &dispatch) == napi_ok;
    addon_text_trim(&state->out);
    if (!ok || napi_make_callback(env, NULL, receiver, dispatch, 3, arguments, NULL) != napi_ok) rethrow(env);
}

/* Calls JavaScript with the first of the events, as many as one call may have; how many. */
static int deliver(addon_bridge *bridge, const clouds_event *events, int n)
{
    napi_env env = bridge->state->env;
    napi_handle_scope scope;
    int count = describe(bridge->state, events, n);
    if (count == 0) napi_fatal_error("clouds", NAPI_AUTO_LENGTH, "out of memory", NAPI_AUTO_LENGTH);
    if (napi_open_handle_scope(env, &scope) != napi_ok) return n;
    call_dispatch(bridge, events, count);
    napi_close_handle_scope(env, scope);
    return count;
}

/* The events of one poll, with the end of the context for a poll that cannot be. */
static int next_events(addon_bridge *bridge)
{
    clouds_event *events = bridge->state->events;
    int n = clouds_poll(bridge->context, events, sizeof *events, ADDON_BATCH, 0);
    if (n < 0) {
        events[0] =
            (clouds_event){.type = CLOUDS_EVENT_CONTEXT_CLOSED, .peer = "", .method = "", .data = "", .error = ""};
        n = 1;
    }
    bridge->ended = n > 0 && events[n - 1].type == CLOUDS_EVENT_CONTEXT_CLOSED;
    return n;
}

void addon_deliver(addon_bridge *bridge)
{
    for (int round = 0, n = 1; round < ROUNDS && n > 0 && !bridge->shut && !bridge->silenced && !bridge->ended;
         round++) {
        n = next_events(bridge);
        for (int count = 0; count < n && !bridge->shut && !bridge->silenced;)
            count += deliver(bridge, bridge->state->events + count, n - count);
    }
}
