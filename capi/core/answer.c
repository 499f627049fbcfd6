#include "base/error.h"
#include "core/internal.h"

/* A result arrived: whose is it, and what does it say? */

static int is_empty_array(cl_str text)
{
    if (text.n == 0 || cl_str_eq(text, CL_STR("null"))) return 1;
    if (text.p[0] != '[') return 0;
    for (size_t i = 1; i < text.n; i++)
        if (!memchr(" \t\r\n]", text.p[i], 5)) return 0;
    return 1;
}

/* Why the server did not run it; 0 when it did. */
static int refusal(const cl_call *call, const cl_envelope *e, const cl_remote_error *remote)
{
    static const int codes[] = {CLOUDS_EDRAINING, CLOUDS_EOVERLOAD, CLOUDS_ENOMETHOD,
                                CLOUDS_EEXPIRED,  CLOUDS_ETOOBIG,   CLOUDS_ENOTSUP,   CLOUDS_EKEY, CLOUDS_EBADARG};
    if (e->flags & CL_REFUSED) {
        for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
            if (cl_str_eq(remote->code, cl_str_z(clouds_err_name(codes[i])))) return codes[i];
        return CLOUDS_EOVERLOAD;
    }
    int not_found = !call->as_native && remote->has_message && !remote->has_code && is_empty_array(e->result) &&
                    cl_str_eq(remote->message, CL_STR("service handler not found"));
    return not_found ? CLOUDS_ENOMETHOD : 0;
}

/* What the server has_text beyond the text of the code is has_text on; 1 when it did. */
CL_RARE static int keep_message(int code, const cl_remote_error *remote)
{
    cl_str usual = cl_str_z(clouds_strerror(code));
    if (!remote->message.n || cl_str_eq(remote->message, usual)) return 0;
    cl_buf plain = {0};
    if (cl_json_unescape(remote->message, &plain) == 0) cl_error(code, "%.*s", (int)plain.len, plain.data);
    else cl_error(code, NULL);
    cl_buf_free(&plain);
    cl_error_busy(remote->reason, remote->retry_after);
    return 1;
}

/* It is registered, and takes no calls: as if it were not there. */
static void is_paused(cl_core *core, cl_call *call, const cl_remote_error *remote)
{
    cl_str error = CL_STR_NONE; /* that of no server says how many are paused */
    if (call->pinned) error = cl_error_text_of_call(call, CLOUDS_ENOSERVER, keep_message(CLOUDS_ENOSERVER, remote));
    call->paused_n++;
    cl_peer_tell(core, call->peer->id, call->method, CLOUDS_PEER_PAUSED);
    cl_directory_drop(core, call->method, call->peer);
    cl_attempt_fail_over(call, CL_FAILING_REFUSED, CLOUDS_ENOSERVER, error, cl_core_now(core));
}

CL_RARE static void refused(cl_core *core, cl_call *call, int code, const cl_remote_error *remote)
{
    if (code == CLOUDS_EOVERLOAD && cl_str_eq(remote->reason, CL_STR("paused"))) {
        is_paused(core, call, remote);
        return;
    }
    if (code == CLOUDS_ETOOBIG || code == CLOUDS_EKEY || code == CLOUDS_EBADARG) {
        cl_call_complete(call, code, cl_error_text_of_call(call, code, keep_message(code, remote)), CL_STR_NONE);
        return;
    }
    if (code == CLOUDS_EOVERLOAD) {
        cl_breaker_busy(call, remote->retry_after, cl_core_now(core));
        cl_throttle_ended(call, 0, cl_core_now(core));
    }
    if (code == CLOUDS_EDRAINING) cl_core_peer_draining(core, call->peer->id);
    if (code == CLOUDS_ENOMETHOD) cl_directory_drop(core, call->method, call->peer);
    cl_attempt_fail_over(call, CL_FAILING_REFUSED, code, cl_error_text_of_call(call, code, keep_message(code, remote)),
                         cl_core_now(core));
}

/* The server did what it was asked for. */
static inline void is_well(const cl_call *call, const cl_envelope *e)
{
    if (call->peer->strikes) cl_peer_well_again(call->node->core, call->peer);
    int64_t now = e->at > call->sent_at ? e->at : cl_core_now(call->node->core);
    cl_balance_took(call, now);
    cl_throttle_ended(call, 1, now);
    if (call->method->latencies) cl_latencies_note(call->method->latencies, now - call->sent_at);
    if (!cl_list_empty(&call->peer->breakers)) cl_breaker_good(call);
}

/* It was executed, but its answer exceeds the limits. */
CL_RARE static void answer_too_big(cl_call *call, const cl_envelope *e)
{
    const cl_limits *limits = &call->node->core->config.limits;
    if (e->size > limits->message) cl_error_too_big("the answer", e->size, limits->message);
    else
        cl_error(CLOUDS_ETOOBIG,
                 "the answer is nested deeper than max_depth (%u) or has more values than max_values (%u)",
                 limits->json.depth, limits->json.values);
    call->maybe = 1;
    is_well(call, e);
    cl_call_complete(call, CLOUDS_ETOOBIG, cl_error_text_of_call(call, CLOUDS_ETOOBIG, 1), CL_STR_NONE);
}

/* It was executed, and its answer says what this library does not know. */
CL_RARE static void answer_unsupported(cl_call *call, const cl_envelope *e)
{
    call->maybe = 1;
    is_well(call, e);
    cl_call_fail(call, CLOUDS_EPROTO);
}

static void answered(cl_core *core, cl_call *call, const cl_envelope *e)
{
    if (e->flags & CL_TOO_BIG) {
        answer_too_big(call, e);
        return;
    }
    if (e->flags & CL_UNSUPPORTED) {
        answer_unsupported(call, e);
        return;
    }
    if (!e->error.n || cl_json_is_falsy(e->error)) {
        is_well(call, e);
        cl_call_complete_along(call, 0, CL_STR_NONE, e->result, e->extension);
        return;
    }
    if (e->flags & CL_LOST) {
        cl_attempt_lost(call, cl_core_now(core));
        return;
    }
    cl_remote_error remote;
    cl_remote_error_read(core, e->error, &remote);
    int code = refusal(call, e, &remote);
    if (code && call->question && code != cl_ask_code(code)) {
        cl_attempt_fail_with_text(call, CLOUDS_ENOTSUP, 1);
        return;
    }
    if (code) {
        refused(core, call, code, &remote);
        return;
    }
    is_well(call, e);
    cl_call_complete_along(call, CLOUDS_EAPP, cl_remote_error_normal(core, e->error, &remote), e->result, e->extension);
}

/* The answer to the attempt that runs. A short id is no proof, so it counts from the peer alone; and where others could
 * write in its name, over a link alone. */
static int is_expected(const cl_call *call, const cl_node *node, const cl_envelope *e)
{
    if (call->state != CL_CALL_SENT || call->node != node || !cl_str_is(e->id, call->wire_id)) return 0;
    return !call->as_linked || (cl_str_is(e->from, call->peer->id) && (e->link || !call->by_link));
}

void cl_answer_arrived(cl_core *core, cl_node *node, const cl_envelope *e)
{
    uint64_t token;
    if (cl_attempt_token(core, e->id, &token) != 0) {
        core->counters[CL_COUNT_FOREIGN_ANSWERS]++;
        return;
    }
    cl_call *call = cl_call_find(core, cl_token_call(token));
    if (call && is_expected(call, node, e)) answered(core, call, e);
    else if (cl_attempt_is_ours(core, e->id, token)) core->counters[CL_COUNT_LATE_ANSWERS]++;
    else core->counters[CL_COUNT_FOREIGN_ANSWERS]++;
}
