/* The Node addon: libclouds for JavaScript, over the public ABI alone.
 *
 * Design notes
 *
 * A port is one context with one node in it. Its descriptor is watched by the loop of the environment that opened it
 * (the main thread's or a worker's), and all of it happens on that thread. Nothing is shared between environments.
 *
 * Towards JavaScript there is one call a batch in each direction. What happened: the numbers of the events lie in one
 * Float64Array that both sides keep, their texts are the elements of one JSON array, read by one JSON.parse. What is
 * wanted: submit() gets numbers in a Float64Array and all texts in one string, each ended by NUL.
 *
 * A port has two owners: the external that JavaScript holds, and the watcher of its descriptor. Who leaves last frees
 * it. While it is open it holds its receiver (the JavaScript object that is told); that one decides when to close. */
#ifndef CL_NODE_ADDON_H
#define CL_NODE_ADDON_H

#include <clouds.h>
#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

/* Of one record in the array of events: type, code, outcome, id, user data, number, time left, whether it has data. */
enum { CL_BATCH = 1024, CL_EVENT_NUMBERS = 8 };

/* Of one order: kind, id (of a call its parent's at first), timeout (then the code), deadline, retries, user data,
 * flags. */
enum { CL_ORDER_NUMBERS = 7 };

/* The orders, and how many texts each has. Their numbers, from 1, are told to JavaScript by shape.c. */
#define CL_ORDERS(X) \
    X(CALL, 3) X(REPLY, 1) X(FAIL, 2) X(SEND, 2) X(REGISTER, 1) X(UNREGISTER, 1) X(STATUS, 0) X(CANCEL, 0) X(CHOOSE, 1) X(ATTEMPT, 1)

typedef struct cl_text {
    char *p;
    size_t len, cap;
} cl_text;

/* What an environment keeps. */
typedef struct cl_state {
    napi_env env;
    napi_ref array; /* what holds the numbers */
    double *numbers;
    clouds_event events[CL_BATCH];
    cl_text in, out; /* texts on their way out of JavaScript, and into it */
} cl_state;

typedef struct cl_port {
    cl_state *state;
    clouds_context *context;
    clouds_node *node;
    uv_poll_t poll;
    napi_ref receiver;
    napi_async_cleanup_hook_handle hook;
    int owners;
    bool shut; /* the watcher is closing or closed */
    bool over; /* the last event of the context was told */
    bool silent; /* the process ends: nothing is told any more */
} cl_port;

/* text.c */
bool cl_text_room(cl_text *text, size_t more);
bool cl_text_add(cl_text *text, const char *p, size_t n);
bool cl_text_quote(cl_text *text, const char *p, size_t n); /* as a JSON string */
void cl_text_trim(cl_text *text);                           /* empties it, and gives much memory back */

/* options.c */
bool cl_read_options(napi_env env, napi_value list, clouds_options **out); /* false: an exception is pending */
napi_value cl_list_options(napi_env env, napi_callback_info info);

/* port.c */
napi_value cl_open(napi_env env, napi_callback_info info);
napi_value cl_finish(napi_env env, napi_callback_info info);
napi_value cl_close(napi_env env, napi_callback_info info);
napi_value cl_node_name(napi_env env, napi_callback_info info);
napi_value cl_hold(napi_env env, napi_callback_info info);
napi_value cl_configure(napi_env env, napi_callback_info info);
napi_value cl_request_is_open(napi_env env, napi_callback_info info);
napi_value cl_counters(napi_env env, napi_callback_info info);
cl_port *cl_port_of(napi_env env, napi_value handle); /* NULL: an exception is pending */
void cl_port_shut(cl_port *port);

/* deliver.c */
void cl_port_poll(cl_port *port);

/* submit.c */
napi_value cl_submit(napi_env env, napi_callback_info info);

/* shape.c */
napi_value cl_shape(napi_env env);

/* addon.c */
void cl_put_text(napi_env env, napi_value list, uint32_t index, const char *text);
napi_value cl_throw(napi_env env, int code);  /* an Error with the code and words of the library; NULL */
napi_value cl_refuse(napi_env env, int code); /* the same for what we find ourselves */

#endif
