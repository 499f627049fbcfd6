#include "core/internal.h"

/* The timer of a call: the next attempt, or the end of one that took too long. */

/* A server had its time and did not answer. The registration of an npm server is deleted, as npm clouds 0.1 does; a
 * native server is only avoided for a while. A call whose deadline cut the time short deletes nothing. Nothing is done
 * when the connection was lost meanwhile, since the answer may have been lost with it. */
void cl_attempt_blame(cl_call *call, int64_t now)
{
    cl_core *core = call->node->core;
    int64_t had = now - call->sent_at;
    if (call->question) return;
    if (had < call->timeout / 2 && had < 1000) return;
    if (!core->bus_sends || call->sent_at < core->up_since) return;
    cl_breaker_failed(call, now);
    cl_balance_took(call, now);
    if (call->node->config.remove_server) {
        clouds_event event = {.type = CLOUDS_EVENT_REMOVE_SERVER};
        cl_set_text(&event.peer, &event.peer_len, call->peer->id);
        cl_set_text(&event.method, &event.method_len, call->method->name);
        cl_emit(core, call->node, &event);
        return;
    }
    int whole = had >= call->timeout / 2;
    if (whole && !call->peer->native && call->node->config.auto_clean) {
        core->bus->ops->forget(core->bus, call->method->name, call->peer->id);
        cl_directory_drop(core, call->method, call->peer);
    } else {
        call->peer->silent_in = call->method;
        if (call->peer->avoid_until <= now) cl_peer_avoid(call->node->core, call->peer, now);
    }
}

/* It waited for a list until now, and the one before was empty: until another comes that is what is known, whether
 * looks are quick or slow. */
static int has_no_server(const cl_call *call)
{
    const cl_method *m = call->method;
    return call->state == CL_CALL_LOOKUP && m->n == 0 && m->learned != INT64_MIN;
}

/* It waited for its way to the server until now. */
static int recall_attempt(cl_call *call, int64_t now)
{
    cl_bus *bus = call->node->core->bus;
    if (!bus->ops->recall || !bus->ops->recall(bus, call->peer->id, cl_token_of(call->id, call->sends))) return 0;
    if (call->peer->avoid_until <= now) cl_peer_avoid(call->node->core, call->peer, now);
    return 1;
}

static void timed_out(cl_call *call, int64_t now)
{
    if (call->state == CL_CALL_SENT && !recall_attempt(call, now)) {
        call->node->core->counters[CL_COUNT_TIMEOUTS]++;
        call->maybe = 1;
        if (!call->notify) cl_attempt_blame(call, now);
        cl_cancel_attempt(call);
        cl_attempt_leave(call);
        cl_attempt_failed(call, CLOUDS_ETIMEOUT, now);
        return;
    }
    cl_attempt_leave(call);
    int over = call->retries == 0 || now >= call->deadline;
    if (over && call->maybe) cl_call_fail(call, CLOUDS_ETIMEOUT);
    else if (over && call->reason) cl_call_fail(call, call->reason);
    else if (over && has_no_server(call)) cl_call_fail(call, CLOUDS_ENOSERVER);
    else cl_attempt_failed(call, CLOUDS_EEXPIRED, now);
}

void cl_attempt_due(cl_core *core, cl_timed *timed, int64_t now)
{
    cl_call *call = CL_OWNER(timed, cl_call, timed);
    if (call->state == CL_CALL_PAUSED && now < call->until) cl_attempt_look_in_pause(call, now);
    else if (call->state == CL_CALL_PAUSED) cl_attempt_begin(call, now, now);
    else if (call->state == CL_CALL_BACKOFF && now < call->until) cl_attempt_dispatch(call, now);
    else if (call->state == CL_CALL_SENT && now < call->until) cl_hedge_due(call, now);
    else timed_out(call, now);
}
