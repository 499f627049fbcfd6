/* The numbers that go in both directions, for JavaScript, which has no copy of them. */
#include "internal.h"

/* No type of an event has a number above it for long: they are counted from 1. */
enum { MOST_EVENTS = 256 };

static void put(napi_env env, napi_value object, const char *name, uint32_t number)
{
    napi_value value;
    napi_create_uint32(env, number, &value);
    napi_set_named_property(env, object, name, value);
}

static napi_value events(napi_env env)
{
    napi_value all;
    napi_create_object(env, &all);
    for (uint32_t type = 1; type < MOST_EVENTS; type++)
        if (*clouds_event_name(type)) put(env, all, clouds_event_name(type), type);
    return all;
}

static const struct {
    const char *name;
    uint32_t texts;
} orders[] = {
#define ORDER(name, texts) {#name, texts},
    ADDON_ORDERS(ORDER)
#undef ORDER
};
enum { ORDERS = sizeof orders / sizeof *orders };

static napi_value order_kinds(napi_env env)
{
    napi_value all;
    napi_create_object(env, &all);
    for (uint32_t i = 0; i < ORDERS; i++) put(env, all, orders[i].name, i + 1);
    return all;
}

/* By kind; no order has the kind 0. */
static napi_value order_texts(napi_env env)
{
    napi_value all, number;
    napi_create_array(env, &all);
    for (uint32_t kind = 0; kind <= ORDERS; kind++) {
        napi_create_uint32(env, kind ? orders[kind - 1].texts : 0, &number);
        napi_set_element(env, all, kind, number);
    }
    return all;
}

static napi_value log_levels(napi_env env)
{
    static const char *const names[] = {[CLOUDS_LOG_DEBUG] = "debug",
                                        [CLOUDS_LOG_INFO] = "info",
                                        [CLOUDS_LOG_WARN] = "warn",
                                        [CLOUDS_LOG_ERROR] = "error"};
    napi_value all;
    napi_create_array(env, &all);
    for (uint32_t i = 0; i < sizeof names / sizeof *names; i++) addon_put_text(env, all, i, names[i]);
    return all;
}

/* By number. */
static napi_value outcomes(napi_env env)
{
    napi_value all;
    napi_create_array(env, &all);
    for (int i = CLOUDS_OUTCOME_OK; i <= CLOUDS_OUTCOME_UNKNOWN; i++)
        addon_put_text(env, all, (uint32_t)i, clouds_outcome_name(i));
    return all;
}

static napi_value exits(napi_env env)
{
    napi_value all;
    napi_create_object(env, &all);
    put(env, all, "OK", CLOUDS_EXIT_OK);
    put(env, all, "ERROR", CLOUDS_EXIT_ERROR);
    put(env, all, "USAGE", CLOUDS_EXIT_USAGE);
    put(env, all, "UNREACHABLE", CLOUDS_EXIT_UNREACHABLE);
    put(env, all, "UNKNOWN", CLOUDS_EXIT_UNKNOWN);
    return all;
}

/* What a worker of clouds start is told, what it says, and what it counts. */
static napi_value worker(napi_env env)
{
    napi_value all;
    napi_create_object(env, &all);
    put(env, all, "DRAIN", CLOUDS_WORKER_DRAIN);
    put(env, all, "QUIET", CLOUDS_WORKER_QUIET);
    put(env, all, "ASK", CLOUDS_WORKER_ASK);
    put(env, all, "MESSAGE", CLOUDS_WORKER_MESSAGE);
    put(env, all, "CONNECTION", CLOUDS_WORKER_CONNECTION);
    put(env, all, "TURN", CLOUDS_WORKER_TURN);
    put(env, all, "READY", CLOUDS_WORKER_READY);
    put(env, all, "STOPPING", CLOUDS_WORKER_STOPPING);
    put(env, all, "ALIVE", CLOUDS_WORKER_ALIVE);
    put(env, all, "RETIRE", CLOUDS_WORKER_RETIRE);
    put(env, all, "RELOAD", CLOUDS_WORKER_RELOAD);
    put(env, all, "VARIABLES", CLOUDS_WORKER_VARIABLES);
    put(env, all, "WANT_TURN", CLOUDS_WORKER_WANT_TURN);
    put(env, all, "END_TURN", CLOUDS_WORKER_END_TURN);
    put(env, all, "TAKE_CONNECTIONS", CLOUDS_WORKER_TAKE_CONNECTIONS);
    put(env, all, "CONNECTION_BACK", CLOUDS_WORKER_CONNECTION_BACK);
    put(env, all, "CONNECTIONS", CLOUDS_WORKER_COUNT_CONNECTIONS);
    put(env, all, "REQUESTS", CLOUDS_WORKER_COUNT_REQUESTS);
    put(env, all, "IN_FLIGHT", CLOUDS_WORKER_COUNT_IN_FLIGHT);
    put(env, all, "ERRORS", CLOUDS_WORKER_COUNT_ERRORS);
    put(env, all, "REMAIN", CLOUDS_WORKER_COUNT_REMAIN);
    return all;
}

/* exitCode(code, outcome): what clouds_exit_code says of these numbers */
napi_value addon_exit_code(napi_env env, napi_callback_info info)
{
    size_t argc = 2;
    napi_value a[2], exit_code;
    int code = 0, outcome = -1;
    napi_get_cb_info(env, info, &argc, a, NULL, NULL);
    napi_get_value_int32(env, a[0], &code);
    napi_get_value_int32(env, a[1], &outcome);
    napi_create_int32(env, clouds_exit_code(code, outcome), &exit_code);
    return exit_code;
}

/* {events, orders: name -> number; orderTexts: how many by kind; how many numbers an event and an order have;
 * constants; the names of the outcomes and of the log levels, by number; exit codes by name; the events, words and
 * counts of a worker by name} */
napi_value addon_shape(napi_env env)
{
    napi_value shape;
    napi_create_object(env, &shape);
    napi_set_named_property(env, shape, "events", events(env));
    napi_set_named_property(env, shape, "orders", order_kinds(env));
    napi_set_named_property(env, shape, "orderTexts", order_texts(env));
    put(env, shape, "EVENT_NUMBERS", ADDON_EVENT_NUMBERS);
    put(env, shape, "ORDER_NUMBERS", ADDON_ORDER_NUMBERS);
    put(env, shape, "TELL_SERVER", ADDON_TELL_SERVER);
    put(env, shape, "CALL_ASK", CLOUDS_CALL_ASK);
    put(env, shape, "CALL_NOTIFY", CLOUDS_CALL_NOTIFY);
    put(env, shape, "CALL_IDEMPOTENT", CLOUDS_CALL_IDEMPOTENT);
    put(env, shape, "SEND_CONFIRM", CLOUDS_SEND_CONFIRM);
    put(env, shape, "SUBSCRIBE_ALL", CLOUDS_SUBSCRIBE_ALL);
    put(env, shape, "LONGEST_SECONDS", CLOUDS_LONGEST_SECONDS);
    put(env, shape, "SUBSCRIBE_QUEUE", CLOUDS_SUBSCRIBE_QUEUE);
    put(env, shape, "SUBSCRIBE_BYTES", CLOUDS_SUBSCRIBE_BYTES);
    put(env, shape, "SUBSCRIBE_DROP_NEWEST", CLOUDS_SUBSCRIBE_DROP_NEWEST);
    put(env, shape, "FLAG_LAGGED", CLOUDS_FLAG_LAGGED);
    put(env, shape, "RETRY_NOW", CLOUDS_RETRY_NOW);
    put(env, shape, "OFFER_SERIAL", CLOUDS_OFFER_SERIAL);
    put(env, shape, "LOG_WARN", CLOUDS_LOG_WARN);
    put(env, shape, "SPAN_INTERNAL", CLOUDS_SPAN_INTERNAL);
    put(env, shape, "SPAN_CONSUMER", CLOUDS_SPAN_CONSUMER);
    napi_set_named_property(env, shape, "outcomes", outcomes(env));
    napi_set_named_property(env, shape, "exits", exits(env));
    napi_set_named_property(env, shape, "worker", worker(env));
    napi_set_named_property(env, shape, "logLevels", log_levels(env));
    return shape;
}
