#include <inttypes.h>

#include "base/error.h"
#include "core/internal.h"

/* The life of a call: accepted here, driven by attempt.c, ended here. When its event is raised no map and no list knows
 * it any more; only then its record goes, since the texts of the event are in it. Heap per call outstanding: the
 * record, its places in three tables (about 60 bytes), and arguments longer than CL_CALL_INLINE. */

_Static_assert(sizeof(cl_call) <= 640, "a call outstanding has to stay below 1 kB with all that belongs to it");

cl_call *cl_call_find(const cl_core *core, uint64_t id)
{
    return cl_idmap_get(&core->calls, id);
}

static cl_call *take_record(cl_core *core)
{
    cl_call *call = cl_pool_take(&core->spare_calls, sizeof *call);
    if (call) memset(&call->sends, 0, offsetof(cl_call, tried) - offsetof(cl_call, sends));
    if (call) cl_list_init(&call->carried.place);
    return call;
}

static inline void drop_args(cl_core *core, cl_call *call)
{
    if (!call->big) return;
    core->call_bytes -= call->args.n;
    cl_free(call->big);
    call->big = NULL;
}

CL_RARE static int keep_big_args(cl_core *core, cl_call *call, cl_str args)
{
    if (core->call_bytes && core->call_bytes + args.n > core->config.max_in_flight_bytes)
        return cl_error_limit(CLOUDS_ELIMIT, core->call_bytes + args.n, core->config.max_in_flight_bytes,
                              "the arguments of the calls outstanding take %zu bytes already (max_in_flight_bytes)",
                              core->call_bytes);
    char *big = cl_str_dup(args);
    if (!big) return CLOUDS_ENOMEM;
    drop_args(core, call);
    call->big = big;
    core->call_bytes += args.n;
    call->args = cl_str_of(call->big, args.n);
    return 0;
}

static inline int keep_args(cl_core *core, cl_call *call, cl_str args)
{
    if (args.n > CL_CALL_INLINE) return keep_big_args(core, call, args);
    drop_args(core, call);
    cl_str_copy(call->small, args);
    call->args = cl_str_of(call->small, args.n);
    return 0;
}

static int fits(const cl_core *core, cl_str method, cl_str args)
{
    return args.n + method.n <= core->config.limits.message;
}

CL_RARE static int too_big(const cl_core *core, cl_str method, cl_str args)
{
    return cl_error_too_big("the call", method.n + args.n, core->config.limits.message);
}

static int fits_along(const cl_core *core, const cl_call_spec *spec)
{
    size_t rest = core->config.limits.message - spec->args.n - spec->method.n;
    return spec->bytes.n + spec->meta.n <= rest;
}

CL_RARE static int too_big_along(const cl_core *core, const cl_call_spec *spec)
{
    return cl_error_too_big("the call, with its bytes,", spec->method.n + spec->args.n + spec->bytes.n + spec->meta.n,
                            core->config.limits.message);
}

CL_RARE int cl_call_set_args(cl_call *call, cl_str args, const cl_str *bytes)
{
    cl_core *core = call->node->core;
    const cl_extension *x = call->along;
    cl_str kept = x ? x->bytes : CL_STR_NONE;
    const cl_call_spec spec = {
        .method = call->method->name, .args = args, .meta = x ? x->meta : CL_STR_NONE, .bytes = bytes ? *bytes : kept};
    if (!fits(core, spec.method, args)) return too_big(core, spec.method, args);
    if (spec.bytes.n && !fits_along(core, &spec)) return too_big_along(core, &spec);
    int code = bytes ? cl_along_set_bytes(core, call, *bytes) : 0;
    return code ? code : keep_args(core, call, args);
}

static void free_texts(cl_core *core, cl_call *call)
{
    drop_args(core, call);
    if (call->along) cl_along_drop(core, call);
    if (call->reason_error) cl_free(call->reason_error);
    for (unsigned i = 0; i < call->tried_n; i++) cl_peer_release(core, call->tried[i]);
    if (call->tried != call->tried_few) cl_free(call->tried);
    call->reason_error = NULL;
    call->tried = call->tried_few;
    call->tried_n = 0;
}

static uint64_t has_along(const cl_call_spec *spec)
{
    return spec->meta.n | spec->bytes.n | spec->once.n | spec->reply_to.n | spec->trace.n | spec->parent;
}

/* What needs memory or room, in the order in which it is undone. */
static int prepare(cl_core *core, cl_call *call, const cl_call_spec *spec)
{
    int code = keep_args(core, call, spec->args);
    if (code == 0 && (core->config.traces | (has_along(spec) != 0)))
        code = cl_along_keep(core, call, spec, cl_request_find(core, spec->parent));
    if (code) return code;
    if ((code = cl_directory_method(core, spec->method, &call->method)) != 0) return code;
    if (spec->server.n && !(call->peer = cl_peer_get(core, spec->server))) return CLOUDS_ENOMEM;
    if (spec->hedge != 0 && cl_hedge_create(call, spec->hedge) != 0) return CLOUDS_ENOMEM;
    if ((code = cl_timers_adopt(core, &call->timed, cl_attempt_due)) != 0) return code;
    code = cl_idmap_put(&core->calls, call->id, call);
    if (code == 0) {
        code = core->port.reserve(core->port.self);
        if (code) cl_idmap_take(&core->calls, call->id);
    }
    if (code) cl_timers_abandon(core, &call->timed);
    return code;
}

static void release_record(cl_core *core, cl_call *call)
{
    if (call->hedge) cl_hedge_release(call);
    if (call->span) cl_trace_discard(call->span);
    cl_peer_release(core, call->peer);
    if (call->method) cl_directory_release(core, call->method);
    free_texts(core, call);
    cl_pool_give(&core->spare_calls, call);
}

/* Times of a call are at least a millisecond. */
static int64_t clamp(int64_t ms, int64_t max)
{
    if (ms < 1) return 1;
    return ms < max ? ms : max;
}

static void set_parent(cl_call *call, cl_request *parent)
{
    call->parent = parent;
    cl_list_append(&parent->calls, &call->of_parent);
}

/* How long what is called on behalf of a request may take; 0: not known. */
static int64_t end_of_request(const cl_request *r)
{
    const cl_core *core = r->node->core;
    int is_late = r->once && r->deadline && cl_core_now(core) >= r->deadline;
    return is_late ? r->deadline + core->config.once_window : r->deadline;
}

/* The time of a handler that still runs is over: what it calls is, too. */
static int is_overdue(const cl_core *core, uint64_t id)
{
    for (size_t i = 0; i < CL_OVERDUE; i++)
        if (core->overdue[i] == id) return 1;
    return 0;
}

static void set_times(cl_call *call, const cl_call_spec *spec, int64_t start)
{
    const cl_node *node = call->node;
    cl_core *core = node->core;
    int64_t max = core->max_deadline;
    call->retries = spec->retries < 0 ? 0 : spec->retries ? spec->retries : node->config.retries;
    if (call->retries < 0) call->retries = 0;
    call->timeout = clamp(spec->timeout > 0 ? cl_ms(spec->timeout) : node->timeout, max);
    int64_t length = spec->deadline > 0 ? cl_ms(spec->deadline) : node->deadline;
    if (length == 0 && __builtin_mul_overflow((int64_t)call->retries + 1, call->timeout, &length)) length = max;
    call->deadline = start + clamp(length, max);
    call->latest = spec->deadline > 0 || node->deadline ? call->deadline : start + max;
    cl_request *parent = cl_request_find(core, spec->parent);
    if (!parent && spec->parent && is_overdue(core, spec->parent)) call->deadline = call->latest = start;
    if (!parent) return;
    set_parent(call, parent);
    int64_t limit = end_of_request(parent);
    if (!limit) return;
    if (limit < call->deadline) call->deadline = limit;
    if (limit < call->latest) call->latest = limit;
}

CL_RARE static int too_many(const cl_core *core)
{
    return cl_error_limit(CLOUDS_ELIMIT, core->calls.len, core->config.max_in_flight,
                          "%zu calls are outstanding already (max_in_flight)", (size_t)core->calls.len);
}

/* One whose deadline has passed is known for a while: such a call has no time left, and says so by its end. */
CL_RARE static int no_such_parent(const cl_core *core, uint64_t parent)
{
    if (is_overdue(core, parent)) return 0;
    return cl_error(CLOUDS_ESTALE,
                    "the parent %" PRIu64 " of the call is no request that is open: it is answered, expired or closed",
                    parent);
}

static int may_call(const cl_node *node, const cl_call_spec *spec)
{
    if (node->state == CL_NODE_CLOSING) return CLOUDS_ECLOSED;
    if (node->state == CL_NODE_FAILED) return cl_error(node->failure, "%s", node->failure_text);
    if (node->draining && !cl_request_find(node->core, spec->parent)) return CLOUDS_ECLOSED;
    int is_new = spec->id > node->core->newest; /* as most often */
    if (!spec->id || !spec->method.n || (!is_new && cl_call_find(node->core, spec->id))) return CLOUDS_EINVAL;
    if (!fits(node->core, spec->method, spec->args)) return too_big(node->core, spec->method, spec->args);
    if (spec->bytes.n && !fits_along(node->core, spec)) return too_big_along(node->core, spec);
    if (spec->parent && !cl_request_find(node->core, spec->parent)) return no_such_parent(node->core, spec->parent);
    return 0;
}

/* Equal arguments have one, in whatever language they were written. */
static uint64_t key_of_args(cl_str args)
{
    cl_buf alike = {0};
    uint64_t key = cl_balance_key(cl_json_canonical(args, &alike) == 0 ? cl_buf_str(&alike) : args);
    cl_buf_free(&alike);
    return key;
}

CL_RARE static void set_key(cl_call *call, const cl_call_spec *spec)
{
    call->balance = CL_BALANCE_HASH;
    call->key = spec->has_key ? spec->key : key_of_args(spec->args);
}

int cl_node_call(cl_node *node, const cl_call_spec *spec)
{
    cl_core *core = node->core;
    cl_idmap_expect(&core->calls, spec->id);
    int code = may_call(node, spec);
    if (code == 0 && core->calls.len >= core->config.max_in_flight) code = too_many(core);
    if (code) {
        core->counters[CL_COUNT_LIMIT_HITS] += code == CLOUDS_ELIMIT || code == CLOUDS_ETOOBIG;
        return code;
    }
    cl_call *call = take_record(core);
    if (!call) return CLOUDS_ENOMEM;
    call->id = spec->id;
    if (call->id > core->newest) core->newest = call->id;
    call->node = node;
    call->tried = call->tried_few;
    call->tried_cap = CL_TRIED_INLINE;
    call->pinned = spec->server.n != 0;
    call->user_data = spec->user_data;
    call->ask = spec->ask != 0;
    call->notify = spec->notify != 0;
    call->question = spec->question != 0;
    call->balance = (uint8_t)node->config.balance;
    if (spec->has_key || call->balance == CL_BALANCE_HASH) set_key(call, spec);
    cl_list_init(&call->place);
    if ((code = prepare(core, call, spec)) != 0) {
        core->counters[CL_COUNT_LIMIT_HITS] += code == CLOUDS_ELIMIT;
        release_record(core, call);
        return code;
    }
    int64_t now = cl_core_now(core), start = spec->made_at && spec->made_at < now ? spec->made_at : now;
    set_times(call, spec, start);
    cl_list_append(&node->calls, &call->of_node);
    core->counters[CL_COUNT_CALLS]++;
    cl_budget_call(&core->budget, now);
    if (core->stats && !call->question) cl_stats_call(core, call);
    if (call->parent && call->parent->is_canceled && node->config.cancel_events) cl_call_fail(call, CLOUDS_ECANCELED);
    else cl_attempt_begin(call, start, now);
    return 0;
}

/* After this nothing but the record itself is left. */
static void detach(cl_core *core, cl_call *call)
{
    cl_attempt_leave(call);
    cl_list_remove(&call->carried.place);
    if (call->parent) cl_list_remove(&call->of_parent);
    cl_list_remove(&call->of_node);
    cl_timers_abandon(core, &call->timed);
    cl_idmap_take(&core->calls, call->id);
}

CL_RARE cl_call *cl_call_copy(cl_call *call)
{
    cl_core *core = call->node->core;
    cl_call *copy = take_record(core);
    if (!copy) return NULL;
    copy->id = core->port.next_id(core->port.self);
    if (copy->id > core->newest) core->newest = copy->id;
    copy->node = call->node;
    copy->tried = copy->tried_few;
    copy->tried_cap = CL_TRIED_INLINE;
    copy->balance = call->balance;
    copy->pinned = 0;
    copy->is_traced = call->is_traced;
    copy->user_data = 0;
    copy->retries = 0;
    copy->timeout = call->timeout;
    copy->deadline = copy->latest = copy->until = call->until;
    copy->attempts = 1;
    cl_list_init(&copy->place);
    int code = keep_args(core, copy, call->args);
    if (code == 0 && call->along) code = cl_along_copy(core, copy, call->along);
    if (code == 0) code = cl_directory_method(core, call->method->name, &copy->method);
    if (code == 0) code = cl_timers_adopt(core, &copy->timed, cl_attempt_due);
    if (code == 0 && cl_idmap_put(&core->calls, copy->id, copy) != 0) {
        cl_timers_abandon(core, &copy->timed);
        code = CLOUDS_ENOMEM;
    }
    if (code) return release_record(core, copy), NULL;
    cl_list_append(&copy->node->calls, &copy->of_node);
    return copy;
}

void cl_call_discard(cl_core *core, cl_call *call)
{
    detach(core, call);
    release_record(core, call);
}

static uint32_t outcome_of(const cl_call *call, int code)
{
    if (code == 0) return CLOUDS_OUTCOME_OK;
    int outcome = clouds_err_outcome(code);
    /* The last attempt was not executed, but an earlier one may have been. */
    return (uint32_t)(outcome == CLOUDS_OUTCOME_NOT_DONE && call->maybe ? CLOUDS_OUTCOME_UNKNOWN : outcome);
}

void cl_call_complete(cl_call *call, int code, cl_str error, cl_str data)
{
    cl_call_complete_along(call, code, error, data, NULL);
}

void cl_call_complete_along(cl_call *call, int code, cl_str error, cl_str data, const cl_extension *x)
{
    cl_core *core = call->node->core;
    if (call->hedge && cl_hedge_goes_on(call, code, error, data, x)) return;
    detach(core, call);
    core->counters[CL_COUNT_RESULTS]++;
    clouds_event event = {.type = CLOUDS_EVENT_RESULT,
                          .code = code,
                          .outcome = outcome_of(call, code),
                          .id = call->id,
                          .user_data = call->user_data};
    if (code && !error.n) error = cl_error_text_of_call(call, code, 0);
    if (call->peer && call->sends) cl_set_text(&event.peer, &event.peer_len, call->peer->id);
    cl_set_text(&event.method, &event.method_len, call->method->name);
    cl_set_text(&event.data, &event.data_len, data.n && data.p[0] == '[' ? data : CL_STR("[]"));
    cl_set_text(&event.error, &event.error_len, error);
    if (x) cl_along_show(x, &event);
    if (call->question) cl_ask_complete(core, call, &event, data);
    if (call->stats) cl_stats_called(core, call, event.outcome);
    if (call->span) cl_trace_called(core, call, event.outcome, code, error);
    cl_emit(core, call->node, &event);
    release_record(core, call);
}

void cl_call_fail(cl_call *call, int code)
{
    cl_str error = CL_STR_NONE;
    if (code == call->reason && call->reason_error) error = cl_str_of(call->reason_error, call->reason_error_len);
    cl_call_complete(call, code, error, CL_STR_NONE);
}

int cl_core_cancel(cl_core *core, uint64_t id)
{
    cl_call *call = cl_call_find(core, id);
    if (!call) return cl_op_cancel(core, id);
    cl_cancel_attempt(call);
    cl_call_fail(call, CLOUDS_ECANCELED);
    return 0;
}

void cl_call_close_all(cl_node *node)
{
    while (!cl_list_empty(&node->calls)) {
        cl_call *call = CL_OWNER(node->calls.next, cl_call, of_node);
        int left = call->maybe || call->state == CL_CALL_SENT;
        cl_cancel_attempt(call);
        cl_call_fail(call, left ? CLOUDS_ECANCELED : CLOUDS_ECLOSED);
    }
}
