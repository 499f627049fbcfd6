/* What happened, on its way into JavaScript. */
#include "addon.h"

#include <string.h>

enum { ROUNDS = 8 };

/* Texts of so many bytes are told at once, what is more later: JavaScript's texts have an end. */
enum { MUCH = 16 << 20 };

static bool add_json(cl_text *out, const char *p, size_t n)
{
    return n ? cl_text_add(out, p, n) : cl_text_add(out, "null", 4);
}

static bool comma(cl_text *out)
{
    return cl_text_add(out, ",", 1);
}

static bool add_failure(cl_text *out, const clouds_event *e)
{
    return add_json(out, e->error, e->error_len) && comma(out) && cl_text_quote(out, e->method, e->method_len) &&
           comma(out) && cl_text_quote(out, e->peer, e->peer_len);
}

/* A text, or 0 where it is that of the event before: requests often have the same method and caller. */
static bool add_name(cl_text *out, const char *p, size_t n, const char *before, size_t before_n)
{
    if (before && n == before_n && memcmp(p, before, n) == 0) return cl_text_add(out, "0", 1);
    return cl_text_quote(out, p, n);
}

static bool add_request(cl_text *out, const clouds_event *e, const clouds_event *before)
{
    static const clouds_event none;
    if (!before || before->type != CLOUDS_EVENT_REQUEST) before = &none;
    return add_name(out, e->method, e->method_len, before->method, before->method_len) && comma(out) &&
           add_name(out, e->peer, e->peer_len, before->peer, before->peer_len) && comma(out) &&
           add_json(out, e->data, e->data_len);
}

/* The texts of an event: of a result its values, and when it failed its error, method and peer; of a request method,
 * peer and arguments; of all others peer, method, value and error. `before` is the event before it that JavaScript is
 * told at once, or NULL. */
static bool add_texts(cl_text *out, const clouds_event *e, const clouds_event *before)
{
    if (e->type == CLOUDS_EVENT_RESULT)
        return add_json(out, e->data, e->data_len) && (e->code == 0 || (comma(out) && add_failure(out, e)));
    if (e->type == CLOUDS_EVENT_REQUEST) return add_request(out, e, before);
    return cl_text_quote(out, e->peer, e->peer_len) && comma(out) && cl_text_quote(out, e->method, e->method_len) &&
           comma(out) && add_json(out, e->data, e->data_len) && comma(out) &&
           (e->code == 0 ? cl_text_quote(out, e->error, e->error_len) : add_json(out, e->error, e->error_len));
}

static void add_numbers(double *to, const clouds_event *e)
{
    to[0] = e->type;
    to[1] = e->code;
    to[2] = e->outcome;
    to[3] = (double)e->id;
    to[4] = (double)e->user_data;
    to[5] = (double)e->number;
    to[6] = e->time_left;
    to[7] = e->data_len > 0;
}

/* The numbers and the texts of up to n events, the latter as one JSON array; how many they are, or 0 without memory. */
static int describe(cl_state *state, const clouds_event *events, int n)
{
    cl_text *out = &state->out;
    bool ok = cl_text_add(out, "[", 1);
    int i = 0;
    for (; ok && i < n && out->len < MUCH; i++) {
        add_numbers(state->numbers + i * CL_EVENT_NUMBERS, &events[i]);
        ok = (i == 0 || comma(out)) && add_texts(out, &events[i], i ? &events[i - 1] : NULL);
    }
    return ok && cl_text_add(out, "]", 1) ? i : 0;
}

/* What JavaScript itself let out is nobody's: as if a callback of a timer had thrown. */
static void rethrow(napi_env env)
{
    napi_value error;
    bool pending = false;
    napi_is_exception_pending(env, &pending);
    if (pending && napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
}

/* Calls the receiver's dispatch. An environment that is ending, as a worker that was terminated, cannot be called. */
static void call_dispatch(cl_port *port, int count)
{
    cl_state *state = port->state;
    napi_env env = state->env;
    napi_value receiver, dispatch, arguments[2];
    bool ok = napi_create_int32(env, count, &arguments[0]) == napi_ok &&
              napi_create_string_utf8(env, state->out.p, state->out.len, &arguments[1]) == napi_ok &&
              napi_get_reference_value(env, port->receiver, &receiver) == napi_ok &&
              napi_get_named_property(env, receiver, "dispatch", &dispatch) == napi_ok;
    cl_text_trim(&state->out);
    if (!ok || napi_make_callback(env, NULL, receiver, dispatch, 2, arguments, NULL) != napi_ok) rethrow(env);
}

/* Tells the first of the events, as many as are good for one call into JavaScript; how many. */
static int tell(cl_port *port, const clouds_event *events, int n)
{
    napi_env env = port->state->env;
    napi_handle_scope scope;
    int told = describe(port->state, events, n);
    if (told == 0) napi_fatal_error("clouds", NAPI_AUTO_LENGTH, "out of memory", NAPI_AUTO_LENGTH);
    if (napi_open_handle_scope(env, &scope) != napi_ok) return n;
    call_dispatch(port, told);
    napi_close_handle_scope(env, scope);
    return told;
}

/* The events of one poll, with the end of the context for a poll that cannot be. */
static int next_events(cl_port *port)
{
    clouds_event *events = port->state->events;
    int n = clouds_poll(port->context, events, sizeof *events, CL_BATCH, 0);
    if (n < 0) {
        events[0] =
            (clouds_event){.type = CLOUDS_EVENT_CONTEXT_CLOSED, .peer = "", .method = "", .data = "", .error = ""};
        n = 1;
    }
    port->over = n > 0 && events[n - 1].type == CLOUDS_EVENT_CONTEXT_CLOSED;
    return n;
}

void cl_port_poll(cl_port *port)
{
    for (int round = 0, n = 1; round < ROUNDS && n > 0 && !port->shut && !port->silent && !port->over; round++) {
        n = next_events(port);
        for (int told = 0; told < n && !port->shut && !port->silent;)
            told += tell(port, port->state->events + told, n - told);
    }
    if (port->over) cl_port_shut(port);
}
