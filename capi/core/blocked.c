#include "core/internal.h"
#include "proto/fragment.h"

/* Calls that wait for room: all queues towards servers that they may ask are full. They wait in their order, in a list
 * of the peer whose queue they chose. Large ones have a list of their own: over a link they go in fragments, which
 * leave room for others, so no small call waits for the room that a large one needs.
 *
 * Over Redis all share one queue. There the two kinds take turns: after a large call as many bytes
 * of small ones go, then it is a large one's turn, for which the small ones wait. So whichever kind always has more to
 * send, the other gets half of the bytes. */

CL_RARE static void forget_tried(cl_call *call, unsigned from)
{
    while (call->tried_n > from) cl_peer_release(call->node->core, call->tried[--call->tried_n]);
}

/* The bytes of its envelope, or a few more: what a link sends in fragments is large here, too. */
CL_RARE static size_t size_of(const cl_call *call, const cl_peer *peer)
{
    size_t n = call->node->id.n + peer->id.n + CL_WIRE_ID + call->method->name.n + call->args.n;
    return call->along ? n + cl_extension_size(call->along) : n;
}

static cl_list_node *place_of(size_t size, cl_peer *peer)
{
    return size > CL_FRAGMENT_ABOVE ? &peer->blocked_large : &peer->blocked;
}

/* Do large and small calls to it wait for the same room? */
CL_RARE static int is_shared(const cl_core *core, const cl_peer *peer)
{
    if (peer->native == CL_NATIVE_LINKED) return 0;
    return !core->bus->ops->is_linked || !core->bus->ops->is_linked(core->bus, peer->id);
}

CL_RARE int cl_attempt_may_overtake(const cl_call *call, cl_peer *peer)
{
    size_t size = size_of(call, peer);
    if (!cl_list_empty(place_of(size, peer))) return 0;
    if (size > CL_FRAGMENT_ABOVE || !is_shared(call->node->core, peer)) return 1;
    if (peer->small_left <= 0) return 0;
    peer->small_left -= (int64_t)size;
    return 1;
}

/* All queues are full: it waits for room in that of `peer`, behind those that came before. `from`: the servers that
 * were tried before this. */
CL_RARE void cl_attempt_block(cl_call *call, cl_peer *peer, unsigned from, int has_text)
{
    cl_core *core = call->node->core;
    int was_next = call->state == CL_CALL_BLOCKED;
    if (!was_next) {
        core->counters[CL_COUNT_LIMIT_HITS]++;
        cl_attempt_keep_reason(call, CLOUDS_ELIMIT,
                               has_text ? cl_error_text_of_call(call, CLOUDS_ELIMIT, 1) : CL_STR_NONE);
    }
    cl_attempt_set_peer(call, peer);
    forget_tried(call, from);
    cl_attempt_enter(call, CL_CALL_BLOCKED, NULL);
    size_t size = size_of(call, peer);
    cl_list_node *blocked = place_of(size, peer);
    if (blocked == &peer->blocked_large && cl_list_empty(blocked) && !was_next) peer->small_left = (int64_t)size;
    if (was_next) cl_list_insert_first(blocked, &call->place);
    else cl_list_append(blocked, &call->place);
    if (cl_list_empty(&peer->blocked_place)) cl_list_append(&core->blocked_peers, &peer->blocked_place);
    cl_attempt_wait_until(call, call->until);
    cl_core_check_room_soon(core);
}

static cl_call *first_of(const cl_list_node *places)
{
    return cl_list_empty(places) ? NULL : CL_OWNER(places->next, cl_call, place);
}

/* In their order, as long as there is room. */
static size_t send_blocked(cl_peer *peer, cl_list_node *blocked, int64_t now)
{
    size_t n = 0;
    for (cl_call *call; (call = first_of(blocked)); n++) {
        cl_attempt_send(call, peer, now);
        if (first_of(blocked) == call) break;
    }
    return n;
}

/* As long as there is room for whose turn it is, and both wait. */
static size_t take_turns(cl_peer *peer, int64_t now)
{
    size_t n = 0;
    for (;; n++) {
        cl_list_node *turn = peer->small_left > 0 ? &peer->blocked : &peer->blocked_large;
        if (cl_list_empty(&peer->blocked) || cl_list_empty(&peer->blocked_large)) return n;
        cl_call *call = first_of(turn);
        int64_t size = (int64_t)size_of(call, peer);
        cl_attempt_send(call, peer, now);
        if (first_of(turn) == call) return n;
        peer->small_left = turn == &peer->blocked ? peer->small_left - size : size;
    }
}

static size_t resume_peer(cl_core *core, cl_peer *peer, int64_t now)
{
    size_t n = take_turns(peer, now);
    int both = !cl_list_empty(&peer->blocked) && !cl_list_empty(&peer->blocked_large);
    if (both && is_shared(core, peer)) return n;
    n += send_blocked(peer, &peer->blocked_large, now);
    n += send_blocked(peer, &peer->blocked, now);
    return n;
}

CL_RARE static size_t resume_blocked(cl_core *core)
{
    size_t n = 0;
    int64_t now = cl_core_now(core);
    cl_list_node blocked_peers;
    cl_list_move(&core->blocked_peers, &blocked_peers);
    while (!cl_list_empty(&blocked_peers)) {
        cl_peer *peer = CL_OWNER(blocked_peers.next, cl_peer, blocked_place);
        cl_list_remove(&peer->blocked_place);
        cl_peer_hold(peer);
        n += resume_peer(core, peer, now);
        if (cl_peer_is_blocked(peer) && cl_list_empty(&peer->blocked_place))
            cl_list_append(&core->blocked_peers, &peer->blocked_place);
        cl_peer_release(core, peer);
    }
    if (!cl_list_empty(&core->blocked_peers)) cl_core_check_room_soon(core);
    return n;
}

size_t cl_core_check_room(cl_core *core)
{
    return cl_list_empty(&core->blocked_peers) ? 0 : resume_blocked(core);
}

static void redirect(cl_list_node *blocked, int64_t now)
{
    cl_list_node woken;
    cl_list_move(blocked, &woken);
    for (cl_call *call; (call = cl_attempt_next(&woken));) {
        cl_attempt_enter(call, CL_CALL_BACKOFF, NULL);
        cl_attempt_dispatch(call, now);
    }
}

void cl_attempt_redirect_blocked(cl_peer *peer, int64_t now)
{
    redirect(&peer->blocked, now);
    redirect(&peer->blocked_large, now);
}
