#include "core/internal.h"

/* The choice of a server, taken over by the user. The question has the id of its call: there is one at a time. */

void cl_choose_ask(cl_call *call, int64_t now)
{
    cl_core *core = call->node->core;
    if (call->method->n) cl_directory_refresh(core, call->method, now);
    cl_buf_clear(&core->scratch);
    if (cl_directory_ids(call->method, &core->scratch) != 0) {
        cl_call_fail(call, CLOUDS_ENOMEM);
        return;
    }
    cl_attempt_leave(call);
    call->state = CL_CALL_CHOOSING;
    cl_timers_set(core, &call->timed, call->until);
    clouds_event event = {.type = CLOUDS_EVENT_FIND_SERVER, .id = call->id, .user_data = call->user_data};
    cl_set_text(&event.method, &event.method_len, call->method->name);
    cl_set_text(&event.data, &event.data_len, cl_buf_str(&core->scratch));
    if (cl_emit(core, call->node, &event) != 0) cl_call_fail(call, CLOUDS_ENOMEM);
}

int cl_core_choose(cl_core *core, uint64_t question, cl_str server)
{
    cl_call *call = cl_call_find(core, question);
    if (!call || call->state != CL_CALL_CHOOSING) return CLOUDS_ESTALE;
    int64_t now = cl_core_now(core);
    if (server.n == 0) {
        cl_attempt_failed(call, call->reason ? call->reason : CLOUDS_ENOSERVER, now);
        return 0;
    }
    cl_peer *peer = cl_peer_get(core, server);
    if (!peer) return CLOUDS_ENOMEM;
    /* Asked again because the server did not do it: the same answer leads nowhere. */
    if (call->failing && cl_call_has_tried(call, peer)) cl_attempt_failed(call, call->reason, now);
    else if (!cl_node_may_send(call->node) || now >= call->until) cl_attempt_dispatch(call, now); /* parks it */
    else cl_attempt_send(call, peer, now);
    cl_peer_release(core, peer);
    return 0;
}
