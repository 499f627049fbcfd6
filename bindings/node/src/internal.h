/* The Node addon: libclouds for JavaScript, over the public ABI alone.
 *
 * Design notes
 *
 * A bridge is one context with one node in it. Its descriptor is watched by the loop of the environment that opened it
 * (the main thread's or a worker's), and all of it happens on that thread. Nothing is shared between environments.
 *
 * There is one call a batch in each direction. Events: their numbers lie in one Float64Array that both
 * sides keep, their texts are the elements of one JSON array, read by one JSON.parse. Orders:
 * submit() gets numbers in a Float64Array and all texts in one string, each ended by NUL. Bytes, which few have, are
 * Buffers in a list beside that, in both directions.
 *
 * A bridge has two owners: the external that JavaScript holds, and the watcher of its descriptor. The last to release
 * it frees it. While it is open it references its receiver (the JavaScript object whose dispatch is called); that
 * object decides when to close. */
#ifndef ADDON_INTERNAL_H
#define ADDON_INTERNAL_H

#include <clouds.h>
#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

/* Of one record in the array of events: type, code, outcome (of a PUBLISHED its flags), id, user data (of a PUBLISHED
 * its sequence), number (of a RESULT whether it names its server), whether it has data, the number of its bytes in the list of those, from 1 (0: none). */
enum { ADDON_BATCH = 1024, ADDON_EVENT_NUMBERS = 8 };

/* Of one order: kind, id (of a call its parent's at first), timeout (then the code), deadline, retries, user data,
 * flags, the number of its bytes in the list of those, from 1 (0: none). Of SUBSCRIBE messages and bytes that may wait
 * are in the places of deadline and retries. */
enum { ADDON_ORDER_NUMBERS = 8 };

/* Of a CALL, beside the flags of the library: its result says which server that was; and the mark of that in its user data, which
 * JavaScript does not see. */
#define ADDON_TELL_SERVER (UINT32_C(1) << 30)
#define ADDON_TELLS (UINT64_C(1) << 40)

/* The orders, and how many texts each has. shape.c gives their numbers, from 1, to JavaScript. */
#define ADDON_ORDERS(X)                                                                                                \
    X(CALL, 4)                                                                                                         \
    X(REPLY, 1)                                                                                                        \
    X(FAIL, 2) X(SEND, 2) X(PUBLISH, 3) X(SUBSCRIBE, 2) X(REGISTER, 2) X(UNREGISTER, 1) X(PAUSE, 1) X(RESUME, 1)           \
    X(EXPLAIN, 1) X(LINKS, 0) X(STATS, 0) X(ASK, 3) X(STATUS, 0) X(CANCEL, 0) X(CHOOSE, 1) X(ATTEMPT, 1)               \
    X(UNSUBSCRIBE, 0) X(REFUSE, 1)                                                                                     \
    X(CALL_WITH, 10)

typedef struct addon_text {
    char *p;
    size_t len, cap;
} addon_text;

/* What an environment keeps. */
typedef struct addon_state {
    napi_env env;
    napi_ref array; /* what holds the numbers */
    double *numbers;
    clouds_event events[ADDON_BATCH];
    addon_text in, out; /* texts on their way out of JavaScript, and into it */
} addon_state;

typedef struct addon_bridge {
    addon_state *state;
    clouds_context *context;
    clouds_node *node;
    uv_poll_t poll;
    napi_ref receiver;
    napi_async_cleanup_hook_handle hook;
    int owners;
    bool shut;     /* the watcher is closing or closed */
    bool ended;    /* the context is closed: no event follows */
    bool silenced; /* the process ends: JavaScript is not called any more */
} addon_bridge;

/* text.c */
bool addon_text_room(addon_text *text, size_t more);
bool addon_text_add(addon_text *text, const char *p, size_t n);
bool addon_text_quote(addon_text *text, const char *p, size_t n); /* as a JSON string */
void addon_text_trim(addon_text *text);                           /* empties it, and gives much memory back */
/* A text of JavaScript, of *n bytes and a NUL, to be freed; NULL: it is none, or there is no memory. */
char *addon_text_of(napi_env env, napi_value value, size_t *n);

/* options.c */
bool addon_read_options(napi_env env, napi_value list, clouds_options **out); /* false: an exception is pending */
napi_value addon_list_options(napi_env env, napi_callback_info info);

/* bridge.c */
napi_value addon_open(napi_env env, napi_callback_info info);
napi_value addon_finish(napi_env env, napi_callback_info info);
napi_value addon_close(napi_env env, napi_callback_info info);
napi_value addon_node_id(napi_env env, napi_callback_info info);
napi_value addon_hold(napi_env env, napi_callback_info info);
napi_value addon_configure(napi_env env, napi_callback_info info);
napi_value addon_request_is_open(napi_env env, napi_callback_info info);
napi_value addon_request_expire(napi_env env, napi_callback_info info);
napi_value addon_trace_id(napi_env env, napi_callback_info info);
napi_value addon_counters(napi_env env, napi_callback_info info);
addon_bridge *addon_bridge_of(napi_env env, napi_value handle); /* NULL: an exception is pending */
void addon_bridge_close(addon_bridge *bridge);                  /* stops watching; not from within clouds_poll */

/* deliver.c: polls, and calls JavaScript with the events. Afterwards bridge->ended says whether that was the last. */
void addon_deliver(addon_bridge *bridge);

/* bytes.c */
typedef struct addon_area {
    const void *p;
    size_t n;
} addon_area;

addon_area addon_area_at(napi_env env, napi_value areas, double number); /* of a list, from 1; 0: none */
napi_value addon_bytes_mark(napi_env env, napi_callback_info info);

/* span.c */
napi_value addon_span_begin(napi_env env, napi_callback_info info);
napi_value addon_span_end(napi_env env, napi_callback_info info);
napi_value addon_span_id(napi_env env, napi_callback_info info);

/* submit.c */
napi_value addon_submit(napi_env env, napi_callback_info info);

/* shape.c */
napi_value addon_shape(napi_env env);
napi_value addon_exit_code(napi_env env, napi_callback_info info);

/* worker.c */
napi_value addon_worker_open(napi_env env, napi_callback_info info);
napi_value addon_worker_hold(napi_env env, napi_callback_info info);
napi_value addon_worker_tell(napi_env env, napi_callback_info info);
napi_value addon_worker_send(napi_env env, napi_callback_info info);
napi_value addon_worker_take(napi_env env, napi_callback_info info);
napi_value addon_worker_count(napi_env env, napi_callback_info info);
napi_value addon_worker_give_back(napi_env env, napi_callback_info info);
/* worker_end.c: when the other end of the channel is gone, this process ends after so many seconds, whatever it does. */
bool addon_worker_follow(int channel, double seconds);

/* values.c */
void addon_put_text(napi_env env, napi_value list, uint32_t index, const char *text);
napi_value addon_throw(napi_env env, int code);  /* an Error with the code and the message of the last error; NULL */
napi_value addon_refuse(napi_env env, int code); /* the same with the text of the code */

#endif
