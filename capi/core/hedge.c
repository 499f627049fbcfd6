/* Hedging.
 *
 * Design note. The call at the second server is a call of its own, the twin: it has one attempt, with the time that is
 * left to that of the call, and no event. Its answer ends the call; if it has none, it goes, and nobody notices. A call
 * whose own attempts are over while its twin waits for an answer waits with it. There is one twin a call, and it is paid
 * from the budget. Servers see two calls, so for a caller that holds back (throttle.c) the twin is one more in all that
 * counts: before it is sent, and when it ends. */
#include "core/hedge.h"

#include <stdlib.h>

#include "core/internal.h"

enum { LATENCIES = 1000, ENOUGH = 20, ANEW = 50 };

struct cl_latencies {
    uint32_t n, at, unseen; /* of the ring: used, next; since p95 was worked out */
    int32_t p95;
    int32_t ms[LATENCIES];
};

struct cl_hedge {
    cl_call *call, *twin; /* twin NULL: there is none yet, or any more */
    int64_t after;        /* ms; < 0: by what the method takes */
    int is_spent;
    int32_t code; /* why the call's own attempts are over; 0: they are not */
};

/* ---- how long it takes */

static int compare(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

void cl_latencies_note(cl_latencies *l, int64_t ms)
{
    int32_t sorted[LATENCIES];
    l->ms[l->at] = (int32_t)(ms < INT32_MAX ? ms : INT32_MAX);
    l->at = (l->at + 1) % LATENCIES;
    if (l->n < LATENCIES) l->n++;
    if (++l->unseen < ANEW && l->n != ENOUGH) return;
    l->unseen = 0;
    memcpy(sorted, l->ms, l->n * sizeof *sorted);
    qsort(sorted, l->n, sizeof *sorted, compare);
    l->p95 = sorted[l->n - 1 - l->n / 20];
}

int cl_hedge_create(cl_call *call, double seconds)
{
    cl_method *m = call->method;
    if (seconds < 0 && !m->latencies && !(m->latencies = cl_calloc(1, sizeof *m->latencies))) return CLOUDS_ENOMEM;
    cl_hedge *h = cl_calloc(1, sizeof *h);
    if (!h) return CLOUDS_ENOMEM;
    h->call = call;
    h->after = seconds < 0 ? -1 : cl_ms(seconds);
    call->hedge = h;
    return 0;
}

int64_t cl_hedge_when(const cl_call *call)
{
    const cl_hedge *h = call->hedge;
    const cl_latencies *l = call->method->latencies;
    int64_t after = h->after;
    if (h->is_spent || cl_hedge_is_twin(call)) return call->until;
    if (after < 0) after = l && l->n >= ENOUGH ? l->p95 + 1 : call->timeout;
    int64_t when = call->sent_at + (after > 1 ? after : 1);
    return when < call->until ? when : call->until;
}

/* ---- the twin */

int cl_hedge_is_twin(const cl_call *call)
{
    return call->hedge && call->hedge->call != call;
}

static void drop_twin(cl_hedge *h)
{
    cl_call *twin = h->twin;
    h->twin = NULL;
    twin->hedge = NULL;
    cl_call_discard(twin->node->core, twin);
}

/* The answer of the other counts, or there is none: then its server was silent as well, unless it had time yet. */
static void cancel_twin(cl_hedge *h, int code)
{
    int64_t now = cl_core_now(h->twin->node->core);
    int is_silent = code == CLOUDS_ETIMEOUT && h->twin->state == CL_CALL_SENT && now >= h->twin->until;
    if (is_silent) cl_attempt_blame(h->twin, now);
    cl_cancel_attempt(h->twin);
    drop_twin(h);
}

void cl_hedge_due(cl_call *call, int64_t now)
{
    cl_hedge *h = call->hedge;
    cl_core *core = call->node->core;
    h->is_spent = 1;
    cl_attempt_wait_until(call, call->until);
    if (call->pinned || call->notify || call->node->config.find_server) return;
    if (core->calls.len >= core->config.max_in_flight) return;
    cl_peer *peer = cl_balance_pick(call->method, call, 0, now);
    if (!peer || (call->node->config.throttle && cl_throttle_holds_back(call, now))) return;
    if (!cl_budget_take(&core->budget, now)) return;
    h->twin = cl_call_copy(call);
    if (h->twin) h->twin->hedge = h;
    if (h->twin && cl_attempt_send_once(h->twin, peer, now) == 0) {
        core->counters[CL_COUNT_HEDGES]++;
        cl_trace_note(core, call->span, CL_SPAN_HEDGE, 0, peer->id);
        return;
    }
    cl_budget_give_back(&core->budget);
    if (h->twin) drop_twin(h);
}

/* ---- ends */

static int is_answer(int code)
{
    return code == 0 || code == CLOUDS_EAPP;
}

static void twin_answered(cl_hedge *h, int code, cl_str error, cl_str data, const cl_extension *x)
{
    cl_call *call = h->call;
    cl_core *core = call->node->core;
    cl_latencies *l = call->method->latencies;
    core->counters[CL_COUNT_HEDGE_WINS]++;
    if (l && call->state == CL_CALL_SENT) cl_latencies_note(l, cl_core_now(core) - call->sent_at);
    cl_cancel_attempt(call);
    cl_attempt_leave(call);
    cl_attempt_set_peer(call, h->twin->peer);
    drop_twin(h);
    cl_call_complete_along(call, code, error, data, x);
}

static void twin_failed(cl_hedge *h, int code)
{
    cl_call *call = h->call;
    if (h->twin->maybe || clouds_err_outcome(code) == CLOUDS_OUTCOME_UNKNOWN) call->maybe = 1;
    drop_twin(h);
    if (h->code) cl_call_fail(call, h->code);
}

/* The call's own attempts are over, and there is a twin. */
static int waits_for_twin(cl_hedge *h, int code, cl_str error)
{
    cl_call *call = h->call;
    if (h->code || code == CLOUDS_ECANCELED || code == CLOUDS_ECLOSED) return 0;
    if (cl_core_now(call->node->core) >= h->twin->until) return 0;
    if (call->reason != code || !call->reason_error) cl_attempt_keep_reason(call, code, error);
    h->code = code;
    cl_attempt_enter(call, CL_CALL_HEDGED, NULL);
    cl_attempt_wait_until(call, call->deadline);
    return 1;
}

int cl_hedge_goes_on(cl_call *call, int code, cl_str error, cl_str data, const cl_extension *x)
{
    cl_hedge *h = call->hedge;
    if (!h->twin) return 0;
    if (h->call != call) {
        if (is_answer(code)) twin_answered(h, code, error, data, x);
        else twin_failed(h, code);
        return 1;
    }
    if (!is_answer(code)) {
        if (waits_for_twin(h, code, error)) return 1;
        call->maybe = 1;
    }
    cancel_twin(h, code);
    return 0;
}

void cl_hedge_release(cl_call *call)
{
    cl_hedge *h = call->hedge;
    call->hedge = NULL;
    if (h->call != call) {
        h->twin = NULL;
        return;
    }
    if (h->twin) h->twin->hedge = NULL;
    cl_free(h);
}
