/* Events on their way from the engine to the user. */
#include "api/internal.h"
#include "base/log.h"
#include "proto/error_object.h"

/* Completions: their place was reserved when what they complete was accepted. */
static int is_reserved(uint32_t type)
{
    switch (type) {
    case CLOUDS_EVENT_READY:
    case CLOUDS_EVENT_RESULT:
    case CLOUDS_EVENT_REQUEST:
    case CLOUDS_EVENT_REGISTERED:
    case CLOUDS_EVENT_UNREGISTERED:
    case CLOUDS_EVENT_SENT:
    case CLOUDS_EVENT_STATUS:
    case CLOUDS_EVENT_PAUSED:
    case CLOUDS_EVENT_STOP:
    case CLOUDS_EVENT_NODE_CLOSED:
    case CLOUDS_EVENT_CONTEXT_CLOSED:
    case CLOUDS_EVENT_SUBSCRIBED:
    case CLOUDS_EVENT_UNSUBSCRIBED:
        return 1;
    default:
        return 0;
    }
}

/* Only what a peer chooses to send may be dropped because the user does not keep up. */
static int may_drop(uint32_t type)
{
    return type == CLOUDS_EVENT_MESSAGE || type == CLOUDS_EVENT_UNKNOWN || type == CLOUDS_EVENT_BUS_DOWN ||
           type == CLOUDS_EVENT_BUS_UP || type == CLOUDS_EVENT_SAVE_SERVERS || type == CLOUDS_EVENT_REMOVE_SERVER ||
           type == CLOUDS_EVENT_CLEAR_SERVERS || type == CLOUDS_EVENT_PEER;
}

static int is_full(const cl_context *context)
{
    return context->inbox.events.len >= context->config.max_events ||
           context->inbox.events.bytes >= context->config.max_event_bytes;
}

/* Room for a request. One that comes while the user does not keep up is refused by the core. */
int cl_deliver_reserve_request(cl_context *context)
{
    cl_context_lock(context);
    int code = is_full(context) ? CLOUDS_ELIMIT : cl_events_reserve(&context->inbox.events, 1);
    if (code != 0) context->inbox.counters[CL_COUNT_QUEUE_REFUSALS]++;
    cl_context_unlock(context);
    return code;
}

/* Without memory for its texts a request cannot be served: it is refused at the end of the turn. */
CL_RARE static int refuse_request(cl_context *context, const clouds_event *event)
{
    if (context->engine.refusal_count == CL_REFUSALS) return 0;
    context->engine.refusals[context->engine.refusal_count++] = event->id;
    if (context->threaded) cl_idmap_take(&context->inbox.open, cl_open_key(CL_OPEN_REQUEST, event->id));
    context->inbox.counters[CL_COUNT_QUEUE_REFUSALS]++;
    return 1;
}

/* Thread mode: can be answered from now on, until a deadline (0: none). */
static int remember(cl_context *context, enum cl_open_kind kind, uint64_t id, int64_t deadline)
{
    if (!context->threaded) return 0;
    return cl_idmap_put(&context->inbox.open, cl_open_key(kind, id), cl_open_until(deadline));
}

void cl_deliver_forget(cl_context *context, uint64_t request)
{
    if (!context->threaded) return;
    pthread_mutex_lock(&context->inbox.lock);
    cl_idmap_take(&context->inbox.open, cl_open_key(CL_OPEN_REQUEST, request));
    pthread_mutex_unlock(&context->inbox.lock);
}

static int is_refused(const cl_context *context, uint64_t request)
{
    for (size_t i = 0; i < context->engine.refusal_count; i++)
        if (context->engine.refusals[i] == request) return 1;
    return 0;
}

static int is_left_out(const cl_context *context, uint64_t request)
{
    return context->threaded &&
           cl_idmap_get(&context->inbox.open, cl_open_key(CL_OPEN_REQUEST, request)) == CL_OPEN_LEFT_OUT;
}

/* Ids of requests rise, and their events are handed out in this order. One that is to be refused has no event, and one
 * that was left out has none any more. */
int cl_deliver_withdraw(cl_context *context, uint64_t request)
{
    cl_context_lock(context);
    int waits = request > context->inbox.begun, unbegun = waits || is_left_out(context, request);
    context->inbox.withdrawn += waits && !is_refused(context, request);
    if (unbegun && context->threaded) cl_idmap_take(&context->inbox.open, cl_open_key(CL_OPEN_REQUEST, request));
    cl_context_unlock(context);
    return unbegun;
}

static void forget_call(cl_context *context, uint64_t id)
{
    if (!context->threaded) return;
    cl_idmap_take(&context->inbox.open, cl_open_key(CL_OPEN_CALL, id));
    cl_idmap_take(&context->inbox.open, cl_open_key(CL_OPEN_QUESTION, id));
    cl_idmap_take(&context->inbox.open, cl_open_key(CL_OPEN_ATTEMPT, id));
    context->inbox.calls_open--;
}

/* One with an idempotency key can be answered beyond its deadline. */
static int remember_request(cl_context *context, const clouds_event *event)
{
    int64_t until = event->number;
    if (!context->threaded) return 0;
    cl_core_request(context->engine.core, event->id, &until);
    return remember(context, CL_OPEN_REQUEST, event->id, until);
}

static void deliver_request(cl_context *context, const clouds_event *event, clouds_node *node)
{
    if (remember_request(context, event) != 0 ||
        cl_events_add(&context->inbox.events, event, node) != 0) {
        if (refuse_request(context, event)) return;
        cl_events_complete(&context->inbox.events, event, node);
    }
}

int cl_deliver_is_full(const cl_context *context, size_t bytes)
{
    return context->inbox.events.bytes + context->inbox.wait_bytes + bytes > context->config.max_result_bytes;
}

static void complete_call(cl_context *context, const clouds_event *event, clouds_node *node)
{
    if (cl_id_is_waited_for(event->id))
        context->engine.wait_done = 1, cl_wait_slot_complete(&context->inbox.wait_slots, event, node);
    else cl_events_complete(&context->inbox.events, event, node);
}

/* The user takes results more slowly than they come: the call completes, with the fact that what it gave is lost. */
CL_RARE static void complete_without_result(cl_context *context, const clouds_event *event, clouds_node *node)
{
    cl_buf error = {0};
    cl_facts facts = {.method = cl_str_of(event->method, event->method_len),
                      .server = cl_str_of(event->peer, event->peer_len),
                      .cluster = cl_str_z(context->config.url_text),
                      .size = cl_event_bytes(event),
                      .limit = context->config.max_result_bytes};
    cl_str words = CL_STR("the result is lost: too many bytes of results wait to be taken already (max_event_bytes and "
                          "max_in_flight_bytes together)");
    if (cl_error_object(&error, CLOUDS_ELIMIT, words, &facts) != 0) cl_buf_clear(&error);
    clouds_event said = *event;
    said.code = CLOUDS_ELIMIT;
    said.outcome = CLOUDS_OUTCOME_UNKNOWN;
    said.data = "";
    said.data_len = 0;
    said.error = error.len ? error.data : "";
    said.error_len = error.len;
    context->inbox.counters[CL_COUNT_LOST_RESULTS]++;
    complete_call(context, &said, node);
    cl_buf_free(&error);
}

/* Only what a server sent is large. */
static void deliver_result(cl_context *context, const clouds_event *event, clouds_node *node)
{
    forget_call(context, event->id);
    int is_answer = event->outcome == CLOUDS_OUTCOME_OK || event->outcome == CLOUDS_OUTCOME_APP_ERROR;
    if (is_answer && cl_deliver_is_full(context, cl_event_bytes(event))) complete_without_result(context, event, node);
    else complete_call(context, event, node);
}

static int is_close(uint32_t type)
{
    return type == CLOUDS_EVENT_NODE_CLOSED || type == CLOUDS_EVENT_CONTEXT_CLOSED;
}

/* The room of a close was made in the queue, before anybody said that its event would go elsewhere. */
CL_RARE static void deliver_operation(cl_context *context, const clouds_event *event, clouds_node *node)
{
    int waited = event->id && cl_id_is_waited_for(event->id);
    if (context->threaded && event->id) cl_idmap_take(&context->inbox.open, cl_open_key(CL_OPEN_CALL, event->id));
    if (!waited) {
        cl_events_complete(&context->inbox.events, event, node);
        return;
    }
    if (is_close(event->type)) cl_events_unreserve(&context->inbox.events, 1);
    if (event->type == CLOUDS_EVENT_CONTEXT_CLOSED) context->inbox.over = 1;
    context->engine.wait_done = 1;
    cl_wait_slot_complete(&context->inbox.wait_slots, event, node);
}

/* A subscription that failed has no other end. */
CL_RARE static void deliver_subscribed(cl_context *context, const clouds_event *event, clouds_node *node)
{
    deliver_operation(context, event, node);
    if (event->code == 0 || event->number == 1) return;
    cl_subscriptions_remove(&context->inbox.subscriptions, event->id);
    cl_events_unreserve(&context->inbox.events, 1);
}

/* It comes by poll, however the other event of this id came. */
CL_RARE static void deliver_unsubscribed(cl_context *context, const clouds_event *event, clouds_node *node)
{
    cl_subscriptions_remove(&context->inbox.subscriptions, event->id);
    cl_events_complete(&context->inbox.events, event, node);
}

static void deliver_published(cl_context *context, const cl_api_node *node, const clouds_event *event)
{
    clouds_event said = *event;
    if (!said.user_data) said.user_data = node->config.user_data;
    size_t dropped = cl_subscriptions_put(&context->inbox.subscriptions, &said, node->handle);
    *cl_core_counter(context->engine.core, CL_COUNT_LAGGED) += dropped;
    context->inbox.counters[CL_COUNT_EVENTS]++;
}

/* Those before an attempt go to who waits for the call. */
CL_RARE static int deliver_question(cl_context *context, const clouds_event *event, clouds_node *node)
{
    int attempt = event->type == CLOUDS_EVENT_ATTEMPT;
    enum cl_open_kind kind = attempt ? CL_OPEN_ATTEMPT : CL_OPEN_QUESTION;
    if (remember(context, kind, event->id, 0) != 0) return CLOUDS_ENOMEM;
    int waited = attempt && cl_id_is_waited_for(event->id);
    return waited ? cl_wait_slot_ask(&context->inbox.wait_slots, event, node)
                  : cl_events_add(&context->inbox.events, event, node);
}

CL_RARE static void deliver_other(cl_context *context, const clouds_event *event, clouds_node *node)
{
    if ((may_drop(event->type) && is_full(context)) || cl_events_add(&context->inbox.events, event, node) != 0)
        context->inbox.counters[CL_COUNT_DROPPED_EVENTS]++;
}

static int is_operation(uint32_t type)
{
    return type == CLOUDS_EVENT_REGISTERED || type == CLOUDS_EVENT_UNREGISTERED || type == CLOUDS_EVENT_SENT ||
           type == CLOUDS_EVENT_STATUS || type == CLOUDS_EVENT_PAUSED || type == CLOUDS_EVENT_SUBSCRIBED ||
           is_close(type);
}

static int is_question(uint32_t type)
{
    return type == CLOUDS_EVENT_FIND_SERVER || type == CLOUDS_EVENT_ATTEMPT;
}

static int add(cl_context *context, const clouds_event *event, clouds_node *node)
{
    if (is_question(event->type)) return deliver_question(context, event, node);
    if (event->type == CLOUDS_EVENT_SUBSCRIBED) deliver_subscribed(context, event, node);
    else if (event->type == CLOUDS_EVENT_UNSUBSCRIBED) deliver_unsubscribed(context, event, node);
    else if (is_reserved(event->type)) deliver_operation(context, event, node);
    else deliver_other(context, event, node);
    return 0;
}

/* READY and NODE_CLOSED use up what was reserved for them; 0 when this event is not to be raised. */
static int note(cl_api_node *node, uint32_t type)
{
    if (type != CLOUDS_EVENT_READY && type != CLOUDS_EVENT_NODE_CLOSED) return 1;
    if (node->open_failed || (node->no_close_event && type == CLOUDS_EVENT_NODE_CLOSED)) return 0;
    if (node->promised > 0) node->promised--;
    return 1;
}

/* With what the node, and its end, are known by. */
CL_RARE static int deliver_of_node(cl_context *context, cl_api_node *node, const clouds_event *event)
{
    if (node && !note(node, event->type)) return 0;
    clouds_event said = *event;
    if (node && event->type == CLOUDS_EVENT_NODE_CLOSED)
        said.id = node->close_id, said.user_data = node->close_user_data;
    int keeps = is_operation(event->type) || event->type == CLOUDS_EVENT_UNSUBSCRIBED;
    if (node && !is_question(event->type) && (!said.user_data || !keeps)) said.user_data = node->config.user_data;
    context->inbox.counters[CL_COUNT_EVENTS]++;
    return add(context, &said, node ? node->handle : NULL);
}

/* The events of calls and requests, by far the most, are delivered as the core made them. */
int cl_deliver(cl_context *context, cl_api_node *node, const clouds_event *event)
{
    int code = 0;
    cl_context_lock(context);
    if (event->type == CLOUDS_EVENT_RESULT) {
        deliver_result(context, event, node->handle);
        context->inbox.counters[CL_COUNT_EVENTS]++;
    } else if (event->type == CLOUDS_EVENT_REQUEST) {
        cl_events_unreserve(&context->inbox.events, 1);
        deliver_request(context, event, node->handle);
        context->inbox.counters[CL_COUNT_EVENTS]++;
    } else if (event->type == CLOUDS_EVENT_PUBLISHED) {
        deliver_published(context, node, event);
    } else {
        code = deliver_of_node(context, node, event);
    }
    context->engine.signal_due = 1;
    cl_context_unlock(context);
    return code;
}

void cl_deliver_end(cl_context *context, cl_api_node *node)
{
    clouds_event event = {.type = node ? CLOUDS_EVENT_NODE_CLOSED : CLOUDS_EVENT_CONTEXT_CLOSED, .time_left = -1};
    if (!node) event.id = context->engine.close_id, event.user_data = context->engine.close_user_data;
    cl_event_clear(&event);
    cl_deliver(context, node, &event);
}

static void answer_refusals(cl_context *context)
{
    size_t n = context->engine.refusal_count;
    context->engine.refusal_count = 0;
    for (size_t i = 0; i < n; i++) cl_core_refuse(context->engine.core, context->engine.refusals[i], CLOUDS_EOVERLOAD);
}

static void set_event_fd(cl_context *context)
{
    if (context->descriptor.event_fd < 0 || context->descriptor.event_fd_set) return;
    context->descriptor.event_fd_set = 1;
    cl_event_fd_write(context->descriptor.event_fd);
}

void cl_deliver_wakeup(cl_context *context)
{
    pthread_mutex_lock(&context->inbox.lock);
    if (atomic_load(&context->woken)) {
        if (context->inbox.poll_sleeps) pthread_cond_signal(&context->inbox.arrived);
        set_event_fd(context);
    }
    pthread_mutex_unlock(&context->inbox.lock);
}

void cl_deliver_flush(cl_context *context)
{
    if (context->engine.refusal_count) answer_refusals(context);
    if (!context->threaded) {
        context->engine.signal_due = 0;
        return;
    }
    pthread_mutex_lock(&context->inbox.lock);
    const uint64_t *counters = cl_core_counters(context->engine.core);
    for (int i = 0; i < CL_COUNTERS; i++) context->inbox.core_counters[i] = counters[i];
    if (context->engine.signal_due &&
        (context->inbox.events.len || context->inbox.subscriptions.waiting || context->inbox.over)) {
        if (context->inbox.poll_sleeps) pthread_cond_signal(&context->inbox.arrived);
        set_event_fd(context);
    }
    context->engine.signal_due = 0;
    pthread_mutex_unlock(&context->inbox.lock);
}
