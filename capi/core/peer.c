#include "core/internal.h"

enum { AVOID_MIN_MS = 1000, AVOID_MAX_MS = 10000 };

cl_peer *cl_peer_find(const cl_core *core, cl_str id)
{
    return cl_strmap_get(&core->peers, id);
}

static cl_peer *create(cl_core *core, cl_str id)
{
    cl_peer *peer = cl_calloc(1, sizeof *peer + id.n + 1);
    if (!peer) return NULL;
    memcpy(peer->text, id.p, id.n);
    peer->id = cl_str_of(peer->text, id.n);
    peer->avoid_until = peer->failed_at = INT64_MIN;
    peer->weight = 1;
    peer->hash = cl_balance_key(id);
    cl_list_init(&peer->breakers);
    cl_list_init(&peer->calls);
    cl_list_init(&peer->blocked);
    cl_list_init(&peer->blocked_large);
    cl_list_init(&peer->blocked_place);
    if (cl_strmap_put(&core->peers, peer->id, peer) == 0) return peer;
    cl_free(peer);
    return NULL;
}

cl_peer *cl_peer_get(cl_core *core, cl_str id)
{
    cl_peer *peer = cl_peer_find(core, id);
    if (!peer) peer = create(core, id);
    if (peer) peer->refs++;
    return peer;
}

void cl_peer_hold(cl_peer *peer)
{
    peer->refs++;
}

void cl_peer_release(cl_core *core, cl_peer *peer)
{
    if (!peer || --peer->refs) return;
    cl_breaker_free_of_peer(&peer->breakers);
    cl_strmap_take(&core->peers, peer->id);
    cl_list_remove(&peer->blocked_place);
    cl_free(peer->tags);
    cl_free(peer);
}

/* Without memory its tags stay as they were, until it is named again. */
void cl_peer_describe(cl_core *core, cl_peer *peer, const cl_traits *traits)
{
    uint32_t weight = cl_traits_weight(traits);
    if (weight != peer->weight) {
        peer->weight = weight;
        cl_directory_weigh(core);
    }
    if (cl_str_eq(cl_traits_tags(traits), cl_str_z(peer->tags ? peer->tags : ""))) return;
    char *tags = traits->tags.n ? cl_str_dup(traits->tags) : NULL;
    if (traits->tags.n && !tags) return;
    cl_free(peer->tags);
    peer->tags = tags;
}

int cl_peer_in_flight(const cl_peer *peer, int most)
{
    int n = 0;
    for (const cl_list_node *x = peer->calls.next; n < most && x != &peer->calls; x = x->next) n++;
    return n;
}

void cl_peer_well_again(cl_core *core, cl_peer *peer)
{
    cl_peer_forgive(peer);
    cl_peer_tell(core, peer->id, NULL, CLOUDS_PEER_WELL);
}

void cl_peer_avoid(cl_core *core, cl_peer *peer, int64_t now)
{
    int64_t pause = (int64_t)AVOID_MIN_MS << (peer->strikes < 4 ? peer->strikes : 4);
    peer->avoid_until = now + (pause < AVOID_MAX_MS ? pause : AVOID_MAX_MS);
    peer->strikes++;
    cl_peer_tell(core, peer->id, NULL, CLOUDS_PEER_AVOIDED);
}

/* A pinned call may be sent to it again at once: only those that wait now are visited. */
static void lose_calls(cl_core *core, cl_peer *peer, int is_way, unsigned way)
{
    int64_t now = cl_core_now(core);
    cl_list_node sent;
    cl_list_move(&peer->calls, &sent);
    for (cl_call *call; (call = cl_attempt_next(&sent));) {
        if (is_way && call->way != way) cl_list_append(&peer->calls, &call->place);
        else cl_breaker_failed(call, now), cl_attempt_lost(call, now);
    }
    cl_attempt_redirect_blocked(peer, now);
}

static void tell_leaving(cl_core *core, const cl_peer *peer, int state)
{
    if (cl_peer_events_wanted(core) && cl_peer_is_listed(core, peer)) cl_peer_tell(core, peer->id, NULL, state);
}

/* A node that is closed, drained or dead, and what it served. */
static void leave_all(cl_core *core, cl_str id, int state)
{
    cl_peer *peer = cl_peer_find(core, id);
    if (!peer) return;
    tell_leaving(core, peer, state);
    cl_directory_drop_all(core, peer);
}

void cl_core_peer_down(cl_core *core, cl_str id)
{
    cl_peer *peer = cl_peer_find(core, id);
    if (!peer) return;
    cl_peer_hold(peer);
    tell_leaving(core, peer, CLOUDS_PEER_GONE);
    cl_directory_drop_all(core, peer);
    cl_peer_forgive(peer);
    lose_calls(core, peer, 0, 0);
    cl_peer_release(core, peer);
}

void cl_core_way_lost(cl_core *core, cl_str id, unsigned way)
{
    cl_peer *peer = cl_peer_find(core, id);
    if (!peer) return;
    cl_peer_hold(peer);
    lose_calls(core, peer, 1, way);
    cl_peer_release(core, peer);
}

void cl_core_peer_draining(cl_core *core, cl_str id)
{
    leave_all(core, id, CLOUDS_PEER_DRAINING);
}

void cl_core_peer_gone(cl_core *core, cl_str id)
{
    leave_all(core, id, CLOUDS_PEER_GONE);
}
