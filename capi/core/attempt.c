#include "base/error.h"
#include "core/internal.h"

/* The state machine of a call. An attempt is what `timeout` limits: it begins (with a retry that the caller allowed, or
 * the first), may be sent to one server after another as long as each provably did not execute it, and ends with an
 * answer or a failure. A failure begins the next attempt, or ends the call. The timer always stands at the next moment
 * that matters. */

enum {
    BACKOFF_MS = 50,
    LOOK_FIRST_MS = 1000, /* how soon, and how seldom, a call in a pause asks for the list again */
    LOOK_LONGEST_MS = 10000,
    FULL_MAX = 3,      /* further servers that are tried when the queue towards one is full */
    UNRECEIVED_MAX = 8 /* servers that an attempt may find gone for nothing: where all are, Redis would pay for each */
};

int cl_node_may_send(const cl_node *node)
{
    return node->core->bus_sends && node->state == CL_NODE_READY;
}

void cl_attempt_leave(cl_call *call)
{
    cl_list_remove(&call->place);
}

cl_call *cl_attempt_next(cl_list_node *places)
{
    if (cl_list_empty(places)) return NULL;
    cl_call *call = CL_OWNER(places->next, cl_call, place);
    cl_attempt_leave(call);
    return call;
}

void cl_attempt_enter(cl_call *call, enum cl_call_state state, cl_list_node *list)
{
    call->state = (uint8_t)state;
    if (state != CL_CALL_SENT) cl_list_remove(&call->carried.place);
    cl_attempt_leave(call);
    if (list) cl_list_append(list, &call->place);
}

void cl_attempt_wait_until(cl_call *call, int64_t when)
{
    cl_timers_set_next(call->node->core, &call->timed, when);
}

static void forget_reason(cl_call *call)
{
    cl_free(call->reason_error);
    call->reason_error = NULL;
    call->reason = 0;
}

void cl_attempt_keep_reason(cl_call *call, int code, cl_str error)
{
    forget_reason(call);
    call->reason = code;
    if (!error.n) return;
    call->reason_error = cl_str_dup(error);
    call->reason_error_len = error.n; /* without memory the text of the code is used */
}

/* Ends the call; `has_text`: with the last words of this thread. */
void cl_attempt_fail_with_text(cl_call *call, int code, int has_text)
{
    if (has_text) cl_attempt_keep_reason(call, code, cl_error_text_of_call(call, code, 1));
    cl_call_fail(call, code);
}

/* Its time runs from `start` on. */
static void start_attempt(cl_call *call, int64_t start)
{
    forget_reason(call);
    call->attempts++;
    call->failing = CL_FAILING_NOT;
    call->looked_up = 0;
    call->until = start + call->timeout < call->deadline ? start + call->timeout : call->deadline;
}

/* The attempt's own time begins with the answer; until then the reason of the one before is that of the call. */
CL_RARE static void ask_before(cl_call *call, int64_t now)
{
    cl_attempt_enter(call, CL_CALL_ASKED, NULL);
    call->sent_at = now;
    cl_attempt_wait_until(call, call->deadline);
    clouds_event event = {.type = CLOUDS_EVENT_ATTEMPT,
                          .code = call->ended,
                          .outcome = (uint32_t)clouds_err_outcome(call->ended),
                          .id = call->id,
                          .user_data = call->user_data,
                          .number = call->attempts};
    cl_set_text(&event.method, &event.method_len, call->method->name);
    cl_set_text(&event.data, &event.data_len, call->args);
    if (cl_emit(call->node->core, call->node, &event) != 0) cl_call_fail(call, CLOUDS_ENOMEM);
}

void cl_attempt_begin(cl_call *call, int64_t start, int64_t now)
{
    if (call->ask) {
        ask_before(call, now);
        return;
    }
    start_attempt(call, start);
    if (call->node->config.throttle && cl_throttle_refuses(call, now)) cl_attempt_failed(call, CLOUDS_EOVERLOAD, now);
    else cl_attempt_dispatch(call, now);
}

int cl_core_attempt(cl_core *core, uint64_t id, cl_str args, const cl_str *bytes)
{
    cl_call *call = cl_call_find(core, id);
    if (!call || call->state != CL_CALL_ASKED) return CLOUDS_ESTALE;
    int64_t now = cl_core_now(core);
    unsigned serial = cl_error_serial();
    int code = args.n ? cl_call_set_args(call, args, bytes) : 0;
    if (code) {
        cl_attempt_fail_with_text(call, code, serial != cl_error_serial());
        return 0;
    }
    /* A deadline that only counts the attempts does not count the question. */
    call->deadline += now - call->sent_at;
    if (call->deadline > call->latest) call->deadline = call->latest;
    start_attempt(call, now);
    cl_attempt_dispatch(call, now);
    return 0;
}

static void park(cl_call *call)
{
    cl_attempt_enter(call, CL_CALL_PARKED, &call->node->core->parked);
    cl_attempt_wait_until(call, call->until);
}

/* The wait for the bus is no failure of a server: what was tried before may be tried again, and the budget is not
 * asked. */
CL_RARE static void await_bus(cl_call *call)
{
    forget_reason(call);
    call->failing = CL_FAILING_NOT;
    park(call);
}

/* The bus is down, and some are reached all the same. */
CL_RARE static void go_without_bus(cl_call *call, int64_t now)
{
    cl_bus *bus = call->node->core->bus;
    int may = call->node->state == CL_NODE_READY && bus->ops->is_reached && now < call->until;
    cl_peer *peer = NULL;
    if (may && call->pinned) peer = bus->ops->is_reached(bus, call->peer->id) ? call->peer : NULL;
    else if (may && !call->node->config.find_server) peer = cl_balance_pick_reached(call->method, call);
    if (peer) {
        cl_attempt_send(call, peer, now);
        return;
    }
    await_bus(call);
    if (may) cl_core_retry_links(call->node->core, now);
}

/* The bus refused it although it seems to be up. */
CL_RARE void cl_attempt_retry_soon(cl_call *call, int64_t now)
{
    await_bus(call);
    cl_core_retry_soon(call->node->core, now);
}

CL_RARE static void lookup_method(cl_call *call, int64_t now)
{
    call->looked_up = 1;
    cl_attempt_enter(call, CL_CALL_LOOKUP, &call->method->waiting);
    cl_attempt_wait_until(call, call->until);
    cl_directory_lookup(call->node->core, call->method, 0, now);
}

/* No server is left that this attempt could still ask. */
CL_RARE static void no_server(cl_call *call, int64_t now)
{
    int lookup_helps = !call->pinned && !call->looked_up && call->reason != CLOUDS_EOVERLOAD;
    if (lookup_helps) lookup_method(call, now);
    else cl_attempt_failed(call, call->reason ? call->reason : CLOUDS_ENOSERVER, now);
}

/* Another server is there, but the budget is spent. A busy cluster gets no more load; for all other reasons it is worth
 * to wait. */
CL_RARE static void back_off(cl_call *call, int64_t now)
{
    if (call->reason == CLOUDS_EOVERLOAD) {
        cl_attempt_failed(call, call->reason, now);
        return;
    }
    cl_attempt_enter(call, CL_CALL_BACKOFF, NULL);
    cl_attempt_wait_until(call, now + BACKOFF_MS < call->until ? now + BACKOFF_MS : call->until);
}

/* So many servers of the list were gone that a new list costs less than going on. */
static int servers_seem_gone(const cl_call *call)
{
    int many = call->tried_n >= UNRECEIVED_MAX && call->tried_n % UNRECEIVED_MAX == 0;
    return many && call->failing == CL_FAILING_UNRECEIVED && !call->looked_up && !call->pinned;
}

static int has_once(const cl_call *call)
{
    return call->along && call->along->key.n;
}

static int is_listed(const cl_method *m, const cl_peer *peer)
{
    for (uint32_t i = 0; i < m->n; i++)
        if (m->servers[i] == peer) return 1;
    return 0;
}

/* With a key the server that may have run it is asked again, since it knows the answer. */
static int wants_same_server(const cl_call *call)
{
    return call->ended && has_once(call) && !call->failing && !call->pinned &&
           clouds_err_outcome(call->ended) == CLOUDS_OUTCOME_UNKNOWN;
}

void cl_attempt_dispatch(cl_call *call, int64_t now)
{
    cl_core *core = call->node->core;
    if (!cl_node_may_send(call->node)) {
        go_without_bus(call, now);
        return;
    }
    if (now >= call->until) {
        park(call); /* the timer is due */
        return;
    }
    if (!call->pinned && call->node->config.find_server) {
        if (call->method->n == 0 && !call->looked_up) lookup_method(call, now);
        else cl_choose_ask(call, now);
        return;
    }
    int misses_server = !call->looked_up && wants_same_server(call) && !is_listed(call->method, call->peer);
    if (misses_server || servers_seem_gone(call)) {
        lookup_method(call, now);
        return;
    }
    int same = call->pinned || (wants_same_server(call) && is_listed(call->method, call->peer));
    cl_peer *peer = same ? call->peer : cl_balance_pick(call->method, call, !call->failing, now);
    if (!peer) {
        no_server(call, now);
        return;
    }
    if (!call->pinned) cl_directory_refresh(core, call->method, now);
    cl_attempt_send(call, peer, now);
}

CL_RARE static int make_room_for_tried(cl_call *call)
{
    if (call->tried_cap >= 32768) return CLOUDS_ELIMIT;
    uint16_t cap = (uint16_t)(call->tried_cap * 2);
    cl_peer **tried = cl_malloc(cap * sizeof(*tried));
    if (!tried) return CLOUDS_ENOMEM;
    memcpy(tried, call->tried, call->tried_n * sizeof(*tried));
    if (call->tried != call->tried_few) cl_free(call->tried);
    call->tried = tried;
    call->tried_cap = cap;
    return 0;
}

static int send_attempt_by(cl_call *call, int by_link, int64_t now)
{
    cl_core *core = call->node->core;
    uint64_t token = cl_token_of(call->id, ++call->sends);
    call->as_native = call->peer->native != CL_NATIVE_NOT;
    call->by_link = (uint8_t)by_link;
    call->as_linked = by_link || call->peer->native == CL_NATIVE_LINKED;
    /* Where it is not known what the peer is, nobody who reads no frames gets them. */
    call->as_frames = call->peer->native >= CL_NATIVE_LINKED || (call->pinned && ((call->along && !call->is_traced) || call->question));
    call->wire_id = cl_str_of(call->id_room, cl_attempt_id(core, token, call->as_linked, call->id_room));
    cl_envelope e = cl_envelope_of(CL_CALL, call->node->id, call->peer->id, call->wire_id);
    e.flags = call->as_frames ? CL_NATIVE | CL_FRAMES : call->as_native ? CL_NATIVE : 0;
    e.method = call->method->name;
    e.args = call->args;
    e.deadline = has_once(call) ? call->deadline : call->until; /* the next attempt may get the answer to this one */
    e.extension = call->is_traced && !call->as_frames ? NULL : call->along;
    if (call->notify) e.flags |= CL_NOTIFY;
    if (by_link) e.flags |= CL_BY_LINK;
    e.carried = &call->carried;
    e.at = now;
    cl_list_remove(&call->carried.place);
    int code = core->bus->ops->send(core->bus, call->node, &e, token);
    if (code) call->sends--; /* the token was not used */
    call->way = (uint8_t)core->bus->way;
    return code;
}

/* Where a link stands open beside another way, the answer has to come over it: then the id need not be a secret. */
static int send_attempt(cl_call *call, int64_t now)
{
    cl_bus *bus = call->node->core->bus;
    int may = call->peer->native == CL_NATIVE_FRAMES && bus->ops->is_linked;
    int by_link = may && bus->ops->is_linked(bus, call->peer->id);
    int code = send_attempt_by(call, by_link, now);
    return by_link && code == CLOUDS_EUNREACHABLE ? send_attempt_by(call, 0, now) : code;
}

void cl_attempt_set_peer(cl_call *call, cl_peer *peer)
{
    if (call->peer == peer) return;
    cl_peer_hold(peer);
    cl_peer_release(call->node->core, call->peer);
    call->peer = peer;
}

/* Does nobody wait for room whom it must not overtake? */
static inline int is_next(const cl_call *call, cl_peer *peer)
{
    if (!cl_peer_is_blocked(peer)) return 1; /* as most often */
    return (call->state == CL_CALL_BLOCKED && call->peer == peer) || cl_attempt_may_overtake(call, peer);
}

/* 0: it left. CLOUDS_ELIMIT: the queue towards this server is full, or others wait for room in it already; it counts
 * as tried then. */
static int try_to_send(cl_call *call, cl_peer *peer, int64_t now)
{
    int code = call->tried_n < call->tried_cap ? 0 : make_room_for_tried(call);
    if (code) return code;
    int may = is_next(call, peer);
    if (call->peer != peer) call->at = call->method->picked;
    cl_attempt_set_peer(call, peer);
    code = may ? send_attempt(call, now) : CLOUDS_ELIMIT;
    if ((code == 0 || code == CLOUDS_ELIMIT || code == CLOUDS_ENOTSUP) && !cl_call_has_tried(call, peer)) {
        cl_peer_hold(peer);
        call->tried[call->tried_n++] = peer;
    }
    return code;
}

/* While one queue is full there may be room in another's. Nothing has left, so this costs no server anything. */
CL_RARE static int send_where_room_is(cl_call *call, int64_t now)
{
    int code = CLOUDS_ELIMIT;
    if (call->pinned || call->node->config.find_server) return code;
    for (int left = FULL_MAX; code == CLOUDS_ELIMIT && left > 0; left--) {
        cl_peer *peer = cl_balance_pick(call->method, call, 0, now);
        if (!peer) break;
        code = try_to_send(call, peer, now);
    }
    return code;
}

/* The text of the bus says which limit it was. */
CL_RARE static void fail_at_limit(cl_call *call, int code, int has_text)
{
    call->node->core->counters[CL_COUNT_LIMIT_HITS]++;
    cl_attempt_fail_with_text(call, code, has_text);
}

/* What no server has received is load on none. */
static int costs_budget(const cl_call *call)
{
    return call->failing == CL_FAILING_REFUSED ||
           (call->failing == CL_FAILING_UNRECEIVED && call->tried_n > UNRECEIVED_MAX);
}

static void was_sent(cl_call *call, int64_t now)
{
    call->sent_at = now;
    call->looked_up = 0;
    if (!cl_list_empty(&call->peer->breakers)) cl_breaker_sent(call, now);
    cl_attempt_enter(call, CL_CALL_SENT, &call->peer->calls);
    cl_attempt_wait_until(call, call->hedge ? cl_hedge_when(call) : call->until);
}

void cl_attempt_send(cl_call *call, cl_peer *peer, int64_t now)
{
    cl_core *core = call->node->core;
    int paid = costs_budget(call);
    unsigned serial = cl_error_serial(), tried = call->tried_n;
    if (paid && !cl_budget_take(&core->budget, now)) {
        back_off(call, now);
        return;
    }
    int code = try_to_send(call, peer, now);
    if (code == CLOUDS_ELIMIT) code = send_where_room_is(call, now);
    if (code && paid) cl_budget_give_back(&core->budget);
    if (code == CLOUDS_EUNREACHABLE) {
        cl_attempt_retry_soon(call, now);
        return;
    }
    if (code == CLOUDS_ELIMIT) {
        cl_attempt_block(call, peer, tried, serial != cl_error_serial());
        return;
    }
    if (code == CLOUDS_ETOOBIG) {
        fail_at_limit(call, code, serial != cl_error_serial());
        return;
    }
    if (code == CLOUDS_ENOTSUP) { /* perhaps another can take it */
        cl_attempt_fail_over(call, CL_FAILING_UNRECEIVED, code, cl_error_text_of_call(call, code, 1), now);
        return;
    }
    if (code) {
        cl_attempt_fail_with_text(call, code, serial != cl_error_serial());
        return;
    }
    core->counters[CL_COUNT_FAILOVERS] += call->failing != CL_FAILING_NOT;
    was_sent(call, now);
}

CL_RARE int cl_attempt_send_once(cl_call *call, cl_peer *peer, int64_t now)
{
    int code = try_to_send(call, peer, now);
    if (code == 0) was_sent(call, now);
    return code;
}

/* A native server that comes is announced, an npm server is not. So in a long pause the list is asked for again, after
 * a second and then ever more seldom. */
static void pause_on(cl_call *call, int64_t now)
{
    int64_t so_far = now - (call->until - call->timeout), next = LOOK_LONGEST_MS;
    if (so_far < next) next = so_far > LOOK_FIRST_MS ? so_far : LOOK_FIRST_MS;
    cl_attempt_wait_until(call, !call->pinned && now + next < call->until ? now + next : call->until);
}

void cl_attempt_failed(cl_call *call, int code, int64_t now)
{
    if (cl_hedge_is_twin(call)) {
        cl_call_fail(call, code);
        return;
    }
    int rule = clouds_retry_rule(code);
    /* A notification is executed once at most. */
    if (call->notify && clouds_err_outcome(code) == CLOUDS_OUTCOME_UNKNOWN) rule = CLOUDS_RETRY_NO;
    /* An attempt has its time, whether it fails early or late in it, so each that the caller allows finds a place. */
    int64_t start = rule == CLOUDS_RETRY_NOW || call->until < now ? now : call->until;
    if (rule == CLOUDS_RETRY_NO || call->retries == 0 || start >= call->deadline) {
        cl_call_fail(call, code);
        return;
    }
    call->retries--;
    call->ended = code;
    cl_trace_note(call->node->core, call->span, CL_SPAN_RETRY, code, call->peer ? call->peer->id : CL_STR_NONE);
    call->node->core->counters[CL_COUNT_RETRIES]++;
    if (rule == CLOUDS_RETRY_NOW) {
        cl_attempt_begin(call, now, now);
        return;
    }
    call->reason = code;
    call->until = start;
    cl_attempt_enter(call, CL_CALL_PAUSED, call->pinned ? NULL : &call->method->paused);
    pause_on(call, now);
}

void cl_attempt_look_in_pause(cl_call *call, int64_t now)
{
    cl_directory_lookup(call->node->core, call->method, 0, now);
    pause_on(call, now);
}

void cl_attempt_fail_over(cl_call *call, enum cl_failing how, int code, cl_str error, int64_t now)
{
    if (cl_hedge_is_twin(call)) {
        cl_call_fail(call, code);
        return;
    }
    cl_attempt_keep_reason(call, code, error);
    cl_trace_note(call->node->core, call->span, CL_SPAN_FAILOVER, code, call->peer ? call->peer->id : CL_STR_NONE);
    call->failing = (uint8_t)how;
    cl_attempt_enter(call, CL_CALL_BACKOFF, NULL);
    if (call->pinned && cl_node_may_send(call->node)) cl_attempt_failed(call, code, now);
    else cl_attempt_dispatch(call, now);
}

void cl_attempt_lost(cl_call *call, int64_t now)
{
    call->maybe = 1;
    cl_attempt_enter(call, CL_CALL_BACKOFF, NULL);
    cl_attempt_failed(call, CLOUDS_ELOST, now);
}

/* Would its next attempt find a server now? Those that are avoided for not answering do not count. */
static int finds_a_server(const cl_call *call, int64_t now)
{
    return call->node->config.find_server || cl_balance_pick(call->method, call, 1, now) != NULL;
}

/* A call that would find no server goes on waiting, since an attempt for each list that comes would use up the retries.
 */
void cl_attempt_resume(cl_method *m, int64_t now)
{
    cl_list_node woken;
    cl_list_move(&m->paused, &woken);
    for (cl_call *call; (call = cl_attempt_next(&woken));) {
        if (finds_a_server(call, now)) cl_attempt_begin(call, now, now);
        else cl_list_append(&m->paused, &call->place);
    }
}

void cl_attempt_unpark(cl_core *core, int64_t now)
{
    cl_list_node woken;
    cl_list_move(&core->parked, &woken);
    for (cl_call *call; (call = cl_attempt_next(&woken));) cl_attempt_dispatch(call, now);
}
