#include "core/internal.h"

/* Round robin per method. Preference: servers this call has not tried before those it has, healthy before those that
 * are out: avoided, failing by their breaker, or busy. At most half of the servers (at least one) are out, the first of
 * them in the order of the list; when all are, none is. A node that shuns silent servers does not ask one that is
 * avoided for the method it was silent in, even when no other is left. */

int cl_call_has_tried(const cl_call *call, const cl_peer *peer)
{
    for (unsigned i = 0; i < call->tried_n; i++)
        if (call->tried[i] == peer) return 1;
    return 0;
}

static int is_shunned(const cl_method *m, const cl_call *call, uint32_t at, int64_t now)
{
    const cl_peer *peer = m->servers[at];
    return call->node->config.shun_silent && peer->silent_in == m && !cl_peer_is_well(peer, now);
}

/* Another is asked rather than this one. */
static inline int is_out(const cl_method *m, const cl_call *call, const cl_peer *peer, int64_t now)
{
    return !cl_peer_is_well(peer, now) ||
           (!cl_list_empty(&peer->breakers) && cl_breaker_is_out(peer, m, call->node->config.breaker, now));
}

static int is_ejected(const cl_method *m, const cl_call *call, uint32_t at, int64_t now)
{
    if (!is_out(m, call, m->servers[at], now)) return 0;
    uint32_t limit = m->n / 2 ? m->n / 2 : 1, rank = 0, out = 0;
    for (uint32_t i = 0; i < m->n; i++) {
        if (i == at) rank = out;
        out += (uint32_t)is_out(m, call, m->servers[i], now);
    }
    return rank < limit && out < m->n;
}

static cl_peer *scan(cl_method *m, const cl_call *call, int tried_too, int ejected_too, int64_t now)
{
    if (m->turn >= m->n) m->turn = 0;
    for (uint32_t step = 0, at = m->turn; step < m->n; step++, at = at + 1 < m->n ? at + 1 : 0) {
        if (!tried_too && cl_call_has_tried(call, m->servers[at])) continue;
        if (is_shunned(m, call, at, now) || (!ejected_too && is_ejected(m, call, at, now))) continue;
        m->turn = at + 1;
        return m->servers[at];
    }
    return NULL;
}

cl_peer *cl_balance_pick(cl_method *m, const cl_call *call, int tried_too, int64_t now)
{
    cl_peer *peer = scan(m, call, 0, 0, now);
    if (!peer) peer = scan(m, call, 0, 1, now);
    if (!peer && tried_too) peer = scan(m, call, 1, 0, now);
    if (!peer && tried_too) peer = scan(m, call, 1, 1, now);
    return peer;
}

/* While the bus is down: only who is linked can be reached. */
CL_RARE cl_peer *cl_balance_pick_linked(cl_method *m, const cl_call *call)
{
    cl_bus *bus = call->node->core->bus;
    if (m->turn >= m->n) m->turn = 0;
    for (uint32_t step = 0, at = m->turn; step < m->n; step++, at = at + 1 < m->n ? at + 1 : 0) {
        if (cl_call_has_tried(call, m->servers[at]) || !bus->ops->is_linked(bus, m->servers[at]->id)) continue;
        m->turn = at + 1;
        return m->servers[at];
    }
    return NULL;
}
