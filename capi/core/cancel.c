#include "core/internal.h"
#include "core/offer.h"

/* A caller gives up, and the server of its call is told: so a request that was not begun is not, and a handler that
 * runs learns that nobody waits for it. It is told once and not confirmed: what is lost of it ends at its deadline.
 *
 * Requests are found by their caller and the id that it gave them. Most are never canceled, so this is a map of those
 * that were open when something was canceled last, and what came later is added to it first: each request at most once.
 * Those that wait for their turn are no requests yet, and are found in the same way by their offer. */

/* ---- the caller's side */

void cl_cancel_attempt(cl_call *call)
{
    cl_core *core = call->node->core;
    cl_bus *bus = core->bus;
    if (call->state != CL_CALL_SENT || !call->as_frames) return;
    if (bus->ops->recall && bus->ops->recall(bus, call->peer->id, cl_token_of(call->id, call->sends))) return;
    cl_envelope e = cl_envelope_of(CL_CANCEL, call->node->id, call->peer->id, call->wire_id);
    e.flags = CL_NATIVE | CL_FRAMES | (call->by_link ? CL_BY_LINK : 0);
    bus->ops->send(bus, call->node, &e, 0);
}

/* ---- the server's side */

/* Its caller and its id stand one behind the other. */
static cl_str key_of(const cl_request *r)
{
    return cl_str_of(r->caller.p, r->caller.n + r->wire_id.n);
}

void cl_cancel_forget(cl_request *r)
{
    cl_strmap *map = &r->node->cancelable;
    if (cl_strmap_get(map, key_of(r)) == r) cl_strmap_take(map, key_of(r));
}

/* From the newest on to those that the map has. One for which there is no memory cannot be canceled. */
static void note_new(cl_node *node)
{
    for (cl_list_node *it = node->requests.prev; it != &node->requests; it = it->prev) {
        cl_request *r = CL_OWNER(it, cl_request, of_node);
        if (r->id <= node->cancelable_to) break;
        r->is_cancelable = cl_strmap_put(&node->cancelable, key_of(r), r) == 0;
    }
    if (cl_list_empty(&node->requests)) return;
    node->cancelable_to = CL_OWNER(node->requests.prev, cl_request, of_node)->id;
}

int cl_cancel_is_meant(const cl_envelope *cancel, uint64_t link)
{
    return cancel->id.n != CL_LINK_ID || cancel->link == link;
}

static cl_request *find(cl_node *node, const cl_envelope *e, cl_str name)
{
    note_new(node);
    cl_request *r = cl_strmap_get(&node->cancelable, name);
    return r && r->caller.n == e->from.n && cl_cancel_is_meant(e, r->link) ? r : NULL;
}

static void cancel_calls_of(cl_request *r)
{
    while (!cl_list_empty(&r->calls)) {
        cl_call *call = CL_OWNER(r->calls.next, cl_call, of_parent);
        cl_cancel_attempt(call);
        cl_call_fail(call, CLOUDS_ECANCELED);
    }
}

void cl_cancel_request(cl_core *core, cl_request *r)
{
    if (r->once) {
        r->is_unwanted = 1;
        return;
    }
    cl_node *node = r->node;
    int told = r->is_canceled;
    r->is_canceled = 1;
    if (told || !node->config.cancel_events) return;
    clouds_event event = {.type = CLOUDS_EVENT_CANCELED, .id = r->id};
    cl_set_text(&event.peer, &event.peer_len, r->caller);
    cl_emit(core, node, &event);
    cancel_calls_of(r);
}

static void cancel_open(cl_core *core, cl_node *node, cl_request *r)
{
    if (r->is_canceled || r->is_unwanted) return;
    core->counters[CL_COUNT_CANCELED_REQUESTS]++;
    if (r->once && cl_once_is_repeated(r->once)) {
        r->is_unwanted = 1;
        return;
    }
    if (!core->port.withdraw_request(core->port.self, r->id)) {
        cl_cancel_request(core, r);
        return;
    }
    cl_request_drop(core, r);
    cl_node_check_drained(node);
}

void cl_cancel_arrived(cl_core *core, cl_node *node, const cl_envelope *e)
{
    char room[512];
    if (e->from.n + e->id.n > sizeof room) return;
    cl_str_copy(cl_str_copy(room, e->from), e->id);
    cl_str name = cl_str_of(room, e->from.n + e->id.n);
    cl_request *r = find(node, e, name);
    if (r) cancel_open(core, node, r);
    else if (cl_offer_cancel(node, e, name)) core->counters[CL_COUNT_CANCELED_REQUESTS]++;
}
