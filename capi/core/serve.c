#include "base/log.h"
#include "core/internal.h"
#include "core/offer.h"
#include "proto/meta.h"

/* Calls from others: taken in, handed to the user, answered through their id. Each ends: by its answer, at its
 * deadline, or with its node. */

static void request_due(cl_core *core, cl_timed *timed, int64_t now);

cl_request *cl_request_find(const cl_core *core, uint64_t id)
{
    return cl_idmap_get(&core->requests, id);
}

static int is_over(const cl_core *core, const cl_request *r)
{
    return r->deadline && !r->once && core->port.now_about(core->port.self) >= r->deadline;
}

int cl_core_request(const cl_core *core, uint64_t request, int64_t *deadline)
{
    const cl_request *r = cl_request_find(core, request);
    if (r) *deadline = r->once ? 0 : r->deadline; /* that of a key is looked after here */
    return r != NULL;
}

/* One whose deadline has passed is closed, though its timer may be late. */
static cl_request *open_request(cl_core *core, uint64_t id)
{
    cl_request *r = cl_request_find(core, id);
    if (!r || !is_over(core, r)) return r;
    request_due(core, &r->timed, r->deadline);
    return NULL;
}

static int keep_texts(cl_request *r, const cl_envelope *e)
{
    r->big = NULL;
    char *at = r->small;
    if (e->from.n + e->id.n > CL_REQUEST_INLINE && !(at = r->big = cl_malloc(e->from.n + e->id.n)))
        return CLOUDS_ENOMEM;
    cl_str_copy(cl_str_copy(at, e->from), e->id);
    r->caller = cl_str_of(at, e->from.n);
    r->wire_id = cl_str_of(at + e->from.n, e->id.n);
    return 0;
}

/* They go on without it. */
CL_RARE static void leave_calls(cl_request *r)
{
    while (!cl_list_empty(&r->calls)) {
        cl_call *call = CL_OWNER(r->calls.next, cl_call, of_parent);
        cl_list_remove(&call->of_parent);
        call->parent = NULL;
    }
}

static inline void drop(cl_core *core, cl_request *r)
{
    if (r->stats) cl_stats_served(core, r);
    if (r->span) cl_trace_served(core, r);
    if (r->is_cancelable) cl_cancel_forget(r);
    if (r->once) cl_once_dropped(r);
    if (!cl_list_empty(&r->calls)) leave_calls(r);
    cl_timers_abandon(core, &r->timed);
    core->request_bytes -= r->bytes;
    cl_idmap_take(&core->requests, r->id);
    cl_list_remove(&r->of_node);
    if (r->big) cl_free(r->big);
    if (r->meta) cl_free(r->meta);
    if (r->reply_to) cl_free(r->reply_to);
    cl_offer *offer = r->offer;
    cl_offer_key *key = r->key;
    cl_pool_give(&core->spare_requests, r);
    if (offer) cl_offer_ended(offer, key);
}

void cl_request_drop(cl_core *core, cl_request *r)
{
    r->outcome = CLOUDS_OUTCOME_NOT_DONE;
    drop(core, r);
}

int cl_request_has_room(const cl_core *core, size_t bytes)
{
    return core->requests.len + core->queued < core->config.max_in_flight &&
           (core->request_bytes + bytes <= core->config.max_in_flight_bytes || core->request_bytes == 0);
}

/* Of what goes along the meta is kept, for what is called on behalf of the request, and where the answer is to go. */
CL_RARE static int keep_along(cl_request *r, const cl_extension *x)
{
    if (x->reply_to.n && cl_reply_to_keep(r, x) != 0) return CLOUDS_ENOMEM;
    if (!x->meta.n) return 0;
    r->meta = cl_str_dup(x->meta);
    r->meta_len = x->meta.n;
    return r->meta ? 0 : CLOUDS_ENOMEM;
}

static inline size_t bytes_of(const cl_envelope *e)
{
    return e->extension ? e->args.n + cl_extension_size(e->extension) : e->args.n;
}

static cl_request *admit(cl_core *core, cl_node *node, const cl_envelope *e)
{
    size_t bytes = bytes_of(e);
    if (!cl_request_has_room(core, bytes)) return NULL;
    cl_request *r = cl_pool_take(&core->spare_requests, sizeof *r);
    if (!r) return NULL;
    r->id = core->port.next_id(core->port.self);
    cl_idmap_expect(&core->requests, r->id);
    if (cl_timers_adopt(core, &r->timed, request_due) != 0) return cl_pool_give(&core->spare_requests, r), NULL;
    r->bytes = bytes;
    core->request_bytes += r->bytes;
    r->node = node;
    r->meta = NULL;
    r->meta_len = 0;
    r->offer = NULL;
    r->once = NULL;
    r->stats = NULL;
    r->span = NULL;
    r->outcome = CLOUDS_OUTCOME_UNKNOWN;
    r->reply_to = NULL;
    r->link = e->link;
    r->deadline = e->deadline;
    r->native = e->flags & (CL_NATIVE | CL_FRAMES | CL_NOTIFY);
    r->is_cancelable = r->is_canceled = r->is_unwanted = 0;
    cl_list_init(&r->calls);
    cl_list_init(&r->of_node);
    if (keep_texts(r, e) != 0 || (e->extension && keep_along(r, e->extension) != 0) ||
        cl_idmap_put(&core->requests, r->id, r) != 0 || core->port.reserve_request(core->port.self) != 0)
        return drop(core, r), NULL;
    cl_list_append(&node->requests, &r->of_node);
    if (r->deadline) cl_timers_start_next(core, &r->timed, r->deadline);
    if (cl_once_has_key(e)) cl_once_admitted(node, e, r);
    return r;
}

CL_RARE void cl_request_answer(cl_node *node, const cl_envelope *e, unsigned flags, cl_str error, cl_str result)
{
    cl_core *core = node->core;
    cl_caller to = cl_caller_of(e);
    if (!cl_caller_wants_answer(&to)) return;
    to.flags |= flags;
    if (cl_caller_answer(node, &to, error, result, NULL) != 0) core->counters[CL_COUNT_LOST_ANSWERS]++;
}

CL_RARE void cl_request_refuse_with(cl_node *node, const cl_envelope *e, unsigned flags, enum cl_refusal why,
                                    cl_str error)
{
    cl_request_answer(node, e, flags, error, CL_STR_NONE);
    if (node->core->stats) cl_stats_refused(node, e->method, why);
    if (cl_once_has_key(e)) cl_once_refused(node, e, flags, error);
}

static enum cl_refusal refusal_of(int code)
{
    return code == CLOUDS_EEXPIRED    ? CL_REFUSAL_EXPIRED
           : code == CLOUDS_EDRAINING ? CL_REFUSAL_DRAINING
           : code == CLOUDS_EOVERLOAD ? CL_REFUSAL_LIMIT
                                      : CL_REFUSAL_INVALID;
}

CL_RARE static void refuse(cl_core *core, cl_node *node, const cl_envelope *e, int code)
{
    int native = (e->flags & CL_NATIVE) != 0;
    core->counters[code == CLOUDS_EEXPIRED ? CL_COUNT_EXPIRED_REQUESTS : CL_COUNT_REFUSED_REQUESTS]++;
    if (code == CLOUDS_ENOMETHOD && !native) {
        cl_request_refuse_with(node, e, 0, refusal_of(code), CL_STR("{\"message\":\"service handler not found\"}"));
        return;
    }
    cl_str late = CL_STR("{\"message\":\"the deadline passed before the server began\",\"code\":\"CLOUDS_EXPIRED\"}");
    cl_request_refuse_with(node, e, native ? CL_REFUSED : 0, refusal_of(code),
                           code == CLOUDS_EEXPIRED ? late : cl_error_text_of_code(core, code));
}

/* A call that exceeds the limits was not begun. */
CL_RARE static void refuse_too_big(cl_core *core, cl_node *node, const cl_envelope *e)
{
    const cl_limits *limits = &core->config.limits;
    if (e->size > limits->message) cl_error_too_big("the call", e->size, limits->message);
    else
        cl_error(CLOUDS_ETOOBIG,
                 "the call is nested deeper than max_depth (%u) or has more values than max_values (%u)",
                 limits->json.depth, limits->json.values);
    core->counters[CL_COUNT_REFUSED_REQUESTS]++;
    cl_request_refuse_with(node, e, e->flags & CL_NATIVE ? CL_REFUSED : 0, CL_REFUSAL_INVALID,
                           cl_error_text_last(core, CLOUDS_ETOOBIG));
}

CL_RARE static void refuse_unreadable(cl_core *core, cl_node *node, const cl_envelope *e)
{
    if (e->flags & CL_TOO_BIG) {
        refuse_too_big(core, node, e);
    } else if (e->flags & CL_UNSUPPORTED) {
        refuse(core, node, e, CLOUDS_ENOTSUP);
    } else {
        core->counters[CL_COUNT_REFUSED_REQUESTS]++;
        cl_request_refuse_with(
            node, e, 0, CL_REFUSAL_INVALID,
            CL_STR("{\"message\":\"the arguments of a call must be an array\",\"code\":\"CLOUDS_INVALID_ARGUMENT\"}"));
    }
}

static void emit_request(cl_core *core, cl_node *node, const cl_request *r, const cl_envelope *e, int64_t now)
{
    clouds_event event = {.type = CLOUDS_EVENT_REQUEST,
                          .id = r->id,
                          .user_data = node->config.user_data,
                          .number = r->deadline,
                          .time_left = r->deadline ? (double)(r->deadline - now) / 1000.0 : -1};
    cl_set_text(&event.peer, &event.peer_len, r->caller);
    cl_set_text(&event.method, &event.method_len, e->method);
    cl_set_text(&event.data, &event.data_len, e->args);
    if (e->extension) cl_along_show(e->extension, &event);
    if (r->meta) event.meta = r->meta, event.meta_len = r->meta_len;
    const cl_caller to = cl_caller_of(e);
    if (!cl_caller_wants_answer(&to)) event.flags |= CLOUDS_FLAG_NOTIFY;
    cl_emit(core, node, &event);
}

/* npm clouds 0.1 answers nothing; a native caller need not wait for its timeout. */
static void reject_call(cl_core *core, cl_node *node, const cl_envelope *e)
{
    cl_emit_unknown(core, node, e, CL_STR("c"), e->args);
    if (e->flags & CL_NATIVE) refuse(core, node, e, CLOUDS_ENOMETHOD);
}

void cl_request_refuse(cl_node *node, const cl_envelope *e, int code)
{
    refuse(node->core, node, e, code);
}

CL_RARE void cl_request_refuse_busy(cl_node *node, const cl_envelope *e, enum cl_refusal why)
{
    cl_core *core = node->core;
    core->counters[CL_COUNT_REFUSED_REQUESTS]++;
    cl_request_refuse_with(node, e, e->flags & CL_NATIVE ? CL_REFUSED : 0, why,
                           cl_error_text_last(core, CLOUDS_EOVERLOAD));
}

int cl_request_begin(cl_node *node, const cl_envelope *e, cl_offer *offer, cl_offer_key *key, int64_t now)
{
    cl_core *core = node->core;
    cl_request *r = admit(core, node, e);
    if (!r) {
        core->counters[CL_COUNT_LIMIT_HITS]++;
        refuse(core, node, e, CLOUDS_EOVERLOAD);
        return -1;
    }
    r->offer = offer;
    r->key = key;
    if (core->stats) cl_stats_request(core, r, offer ? offer->stats : node->last_service->stats);
    core->counters[CL_COUNT_REQUESTS]++;
    if (core->config.traces || (r->meta && cl_trace_is_asked(core, cl_str_of(r->meta, r->meta_len))))
        cl_trace_request(core, r, e->method);
    emit_request(core, node, r, e, now);
    return 0;
}

/* It is offered, and takes no calls for now. */
CL_RARE static void refuse_paused(cl_core *core, cl_node *node, const cl_envelope *e)
{
    cl_error(CLOUDS_EOVERLOAD, "the method is paused there");
    cl_error_busy(CL_STR("paused"), 0);
    cl_request_refuse_busy(node, e, CL_REFUSAL_PAUSED);
}

static int serves(cl_node *node, cl_str method)
{
    const cl_service *service = node->last_service;
    if (service && cl_str_is(service->name, method)) return 1;
    return (node->last_service = cl_strmap_get(&node->services, method)) != NULL;
}

static int serves_nothing(const cl_node *node)
{
    return node->services.len == 0 && strcmp(node->config.type, "server") != 0;
}

CL_RARE static void refuse_or_begin(cl_core *core, cl_node *node, const cl_envelope *e, int64_t now, int known)
{
    if (e->deadline && now >= e->deadline) {
        refuse(core, node, e, CLOUDS_EEXPIRED);
    } else if ((e->flags & CL_FRAMES) && cl_ask_is_method(e->method)) {
        cl_question_arrived(core, node, e);
    } else if (cl_once_has_key(e) && cl_once_repeats(node, e, now)) {
        /* It has its answer, or waits for it. */
    } else if (node->draining && (e->flags & CL_NATIVE)) {
        refuse(core, node, e, CLOUDS_EDRAINING);
    } else if (serves_nothing(node)) {
        reject_call(core, node, e);
    } else if (!known) {
        refuse(core, node, e, CLOUDS_ENOMETHOD);
    } else if (cl_service_is_paused(node, node->last_service)) {
        refuse_paused(core, node, e);
    } else if (e->flags & (CL_TOO_BIG | CL_UNSUPPORTED | CL_NO_ARRAY)) {
        refuse_unreadable(core, node, e);
    } else if (cl_arguments_refused(node, e)) {
        /* They are not what the method takes. */
    } else if (cl_once_has_key(e) && cl_once_begin(node, e) != 0) {
        /* It was refused. */
    } else if (node->last_service->offer) {
        cl_offer_call(node->last_service->offer, e, now);
    } else {
        cl_request_begin(node, e, NULL, NULL, now);
    }
}

void cl_serve_call(cl_core *core, cl_node *node, const cl_envelope *e)
{
    int64_t now = e->at ? e->at : cl_core_now(core); /* the user's poll looks at the deadline once more */
    int known = serves(node, e->method);
    int in_time = !e->deadline || now < e->deadline;
    int readable = !(e->flags & (CL_TOO_BIG | CL_UNSUPPORTED | CL_NO_ARRAY));
    if (known && in_time && readable && !node->draining && node->last_service->is_plain && !cl_once_has_key(e))
        cl_request_begin(node, e, NULL, NULL, now);
    else refuse_or_begin(core, node, e, now, known);
}

static int send_answer(const cl_request *r, cl_str error, cl_str result, const cl_extension *x)
{
    const cl_caller to = cl_request_caller(r);
    return cl_caller_answer(r->node, &to, error, result, x);
}

/* There may be room for it later. */
static int may_wait(int code)
{
    return code == CLOUDS_ELIMIT || code == CLOUDS_ENOMEM;
}

CL_RARE static int not_sent(cl_core *core, const cl_request *r, int code)
{
    /* The caller need not wait for what cannot be sent. */
    int tell = code == CLOUDS_ETOOBIG || code == CLOUDS_ENOTSUP;
    int sent = tell ? send_answer(r, cl_error_text_last(core, code), CL_STR_NONE, NULL) : 0;
    if (code == CLOUDS_ETOOBIG || code == CLOUDS_ELIMIT) core->counters[CL_COUNT_LIMIT_HITS]++;
    return may_wait(sent) ? sent : code;
}

CL_RARE static int cannot_take(const cl_request *r)
{
    return cl_error(CLOUDS_ENOTSUP,
                    "meta and bytes cannot be sent to %.*s, a node of npm clouds 0.1 or of an older version",
                    r->caller.n < 150 ? (int)r->caller.n : 150, r->caller.p);
}

/* For those that repeat the call: what its caller was told. */
CL_RARE static void keep_answer(cl_core *core, cl_request *r, int code, cl_str error, cl_str result,
                                const cl_extension *x)
{
    if (code == CLOUDS_ETOOBIG) cl_once_answered(r, cl_error_text_last(core, code), CL_STR_NONE, NULL);
    else cl_once_answered(r, error, result, x);
}

static int answer(cl_core *core, uint64_t request, cl_str error, cl_str result, const cl_extension *x)
{
    cl_request *r = open_request(core, request);
    if (!r) return CLOUDS_ESTALE;
    int code = 0;
    if (!r->is_canceled && !r->is_unwanted && (!(r->native & CL_NOTIFY) || r->reply_to)) {
        code = x && !(r->native & CL_FRAMES) ? cannot_take(r) : send_answer(r, error, result, x);
        if (code != 0) code = not_sent(core, r, code);
        if (may_wait(code)) return code;
        core->counters[code == 0 ? CL_COUNT_REPLIES : CL_COUNT_LOST_ANSWERS]++;
    }
    if (r->once) keep_answer(core, r, code, error, result, x);
    cl_node *node = r->node;
    r->outcome = error.n ? CLOUDS_OUTCOME_APP_ERROR : CLOUDS_OUTCOME_OK;
    if (error.n) cl_trace_failed(r->span, CLOUDS_EAPP, error);
    drop(core, r);
    cl_node_check_drained(node);
    return code;
}

int cl_core_answer(cl_core *core, uint64_t request, cl_str error, cl_str result)
{
    return answer(core, request, error, result, NULL);
}

int cl_core_answer_along(cl_core *core, uint64_t request, cl_str error, const cl_payload *result)
{
    cl_extension x = CL_EXTENSION_NONE;
    x.meta = result->meta;
    x.bytes = result->bytes;
    return answer(core, request, error, result->json, x.meta.n | x.bytes.n ? &x : NULL);
}

/* ---- requests that end without an answer of the user's */

/* Its extension is in `room`. */
static cl_envelope call_of(const cl_request *r, cl_extension *room)
{
    const cl_caller to = cl_request_caller(r);
    *room = CL_EXTENSION_NONE;
    room->reply_to = to.reply_to;
    room->correlation = to.correlation;
    return (cl_envelope){
        .flags = to.flags, .from = to.id, .id = to.wire_id, .link = to.link, .extension = to.reply_to.n ? room : NULL};
}

/* It was admitted, and not handed out. */
static void refuse_begun(cl_request *r, int code)
{
    cl_extension room;
    const cl_envelope e = call_of(r, &room);
    cl_core *core = r->node->core;
    r->outcome = CLOUDS_OUTCOME_NOT_DONE;
    cl_trace_failed(r->span, code, CL_STR_NONE);
    if (r->stats) cl_stats_taken_back(r->stats, refusal_of(code));
    refuse(core, r->node, &e, code);
    if (r->once) cl_once_request_refused(r, CL_REFUSED, cl_error_text_of_code(core, code));
}

int cl_core_refuse(cl_core *core, uint64_t request, int code)
{
    cl_request *r = cl_request_find(core, request);
    if (!r) return CLOUDS_ESTALE;
    if (code == CLOUDS_EEXPIRED && r->once && cl_core_now(core) < r->deadline)
        return cl_error(CLOUDS_EINVAL, "it has not expired: who repeats it waits for longer");
    cl_node *node = r->node;
    refuse_begun(r, code);
    drop(core, r);
    cl_node_check_drained(node);
    return 0;
}

/* Its caller has given up. A handler that has begun cannot be stopped, but its answer is not waited for. */
CL_RARE static void request_due(cl_core *core, cl_timed *timed, int64_t now)
{
    cl_request *r = CL_OWNER(timed, cl_request, timed);
    cl_node *node = r->node;
    if (now < r->deadline) { /* a repeat waits for its answer, too, and for longer */
        cl_timers_set(core, timed, r->deadline);
        return;
    }
    if (core->port.withdraw_request(core->port.self, r->id)) {
        cl_core_refuse(core, r->id, CLOUDS_EEXPIRED);
        return;
    }
    if (r->once && now < r->deadline + core->config.once_window) {
        r->is_unwanted = 1;
        cl_timers_set(core, timed, r->deadline + core->config.once_window);
        return;
    }
    char room[CL_TRACE_DIGITS];
    const cl_str trace = cl_meta_trace_id(cl_str_of(r->meta, r->meta_len), room);
    const cl_log_facts facts = {.caller = r->caller, .node = node->id, .request = r->id, .trace = trace};
    cl_log_about(CLOUDS_LOG_DEBUG, &facts, "a request was not answered before its deadline");
    core->counters[CL_COUNT_OVERDUE_REQUESTS]++;
    cl_trace_failed(r->span, CLOUDS_ETIMEOUT, CL_STR_NONE);
    core->overdue[core->overdue_at++ % CL_OVERDUE] = r->id;
    cl_cancel_request(core, r);
    core->port.forget_request(core->port.self, r->id);
    drop(core, r);
    cl_node_check_drained(node);
}

void cl_request_refuse_waiting(cl_node *node)
{
    cl_core *core = node->core;
    cl_offer_refuse_waiting(node);
    CL_LIST_EACH(it, &node->requests)
    {
        cl_request *r = CL_OWNER(it, cl_request, of_node);
        if (!core->port.withdraw_request(core->port.self, r->id)) continue;
        refuse_begun(r, CLOUDS_EDRAINING);
        drop(core, r);
        node->unanswered++;
    }
}

void cl_request_end_all(cl_node *node)
{
    cl_core *core = node->core;
    cl_request_refuse_waiting(node);
    while (!cl_list_empty(&node->requests)) {
        cl_request *r = CL_OWNER(node->requests.next, cl_request, of_node);
        cl_extension room;
        const cl_envelope e = call_of(r, &room);
        core->port.forget_request(core->port.self, r->id);
        cl_trace_failed(r->span, CLOUDS_ELOST, CL_STR_NONE);
        cl_request_answer(node, &e, r->native ? CL_LOST : 0, cl_error_text_of_code(core, CLOUDS_ELOST), CL_STR_NONE);
        if (r->once) cl_once_request_refused(r, CL_LOST, cl_error_text_of_code(core, CLOUDS_ELOST));
        drop(core, r);
        node->unanswered++;
    }
}

void cl_request_discard_all(cl_node *node)
{
    cl_offer_discard_all(node);
    while (!cl_list_empty(&node->requests)) drop(node->core, CL_OWNER(node->requests.next, cl_request, of_node));
}
