#include "base/error.h"
#include "base/log.h"
#include "core/internal.h"
#include "proto/meta.h"

/* What became of what was sent: a call that provably was not received looks for another server at once. */

enum { NOT_SENT_MAX = 4 }; /* sends after which a server that nothing can be sent to counts as tried */

static void untry(cl_call *call)
{
    for (unsigned i = 0; i < call->tried_n; i++) {
        if (call->tried[i] != call->peer) continue;
        call->tried[i] = call->tried[--call->tried_n];
        cl_peer_release(call->node->core, call->peer);
        return;
    }
}

/* Each of them may execute it. Logged once for each peer. */
static void reached_several(const cl_call *call, int64_t number)
{
    cl_peer *peer = call->peer;
    if (peer->several) return;
    peer->several = 1;
    char room[CL_TRACE_DIGITS];
    const cl_str meta = call->along ? call->along->meta : CL_STR_NONE;
    const cl_log_facts facts = {.method = call->method->name,
                                .caller = call->node->id,
                                .node = peer->id,
                                .trace = cl_meta_trace_id(meta, room)};
    cl_log_about(CLOUDS_LOG_WARN, &facts,
                 "a call reached %lld receivers: several nodes have this id, or Redis holds a dead connection",
                 (long long)number);
}

void cl_core_delivery(cl_core *core, uint64_t token, enum cl_delivery delivery, int64_t number)
{
    uint64_t id = cl_token_call(token);
    cl_op *op = id == token ? cl_op_find(core, id) : NULL;
    if (op) {
        cl_message_delivery(core, op, delivery, number);
        return;
    }
    cl_call *call = cl_call_find(core, id);
    if (!call || call->state != CL_CALL_SENT || cl_token_of(id, call->sends) != token) return;
    if (delivery == CL_DELIVERY_WRITTEN) {
        if (number > 1) reached_several(call, number);
        if (call->notify) cl_call_complete(call, 0, CL_STR_NONE, CL_STR_NONE);
        return;
    }
    int64_t now = cl_core_now(core);
    if (delivery == CL_DELIVERY_NOBODY || delivery == CL_DELIVERY_UNPROVEN) cl_directory_drop_all(core, call->peer);
    if (delivery == CL_DELIVERY_LOST || delivery == CL_DELIVERY_UNPROVEN) {
        cl_breaker_failed(call, now);
        cl_attempt_lost(call, now);
        return;
    }
    if (delivery == CL_DELIVERY_NOT_SENT && number < 0) {
        cl_attempt_fail_with_text(call, (int)number, 1);
        return;
    }
    /* That it did not go out says nothing about the server; the bus may be about to report that it is down. */
    int again = delivery == CL_DELIVERY_NOT_SENT && call->sends < NOT_SENT_MAX;
    if (again) untry(call);
    if (again && call->pinned) cl_attempt_retry_soon(call, now);
    else cl_attempt_fail_over(call, CL_FAILING_UNRECEIVED, CLOUDS_ENOSERVER, CL_STR_NONE, now);
}
