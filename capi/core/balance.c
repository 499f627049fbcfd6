#include "base/rand.h"
#include "core/internal.h"

enum { LEAST_MOST = 1000 }; /* calls under way that are counted at most */

/* Round robin per method, or as the node or the call wants it. Preference: servers this call has not tried before those
 * it has, healthy before those that are out: avoided, failing by their breaker, or busy. At most half of the servers
 * (at least one) are out, the first of them in the order of the list; when all are, none is. A node that shuns silent
 * servers does not ask one that is avoided for the method it was silent in, even when no other is left. */

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

/* One that is out is not asked, unless too many are. */
CL_RARE static int counts_as_out(const cl_method *m, const cl_call *call, uint32_t at, int64_t now)
{
    uint32_t limit = m->n / 2 ? m->n / 2 : 1, rank = 0, out = 0;
    for (uint32_t i = 0; i < m->n; i++) {
        if (i == at) rank = out;
        out += (uint32_t)is_out(m, call, m->servers[i], now);
    }
    return rank < limit && out < m->n;
}

static inline int is_ejected(const cl_method *m, const cl_call *call, uint32_t at, int64_t now)
{
    return is_out(m, call, m->servers[at], now) && counts_as_out(m, call, at, now);
}

static inline int may_pick(const cl_method *m, const cl_call *call, uint32_t at, int tried_too, int ejected_too,
                           int64_t now)
{
    if (!tried_too && cl_call_has_tried(call, m->servers[at])) return 0;
    return !is_shunned(m, call, at, now) && (ejected_too || !is_ejected(m, call, at, now));
}

static cl_peer *scan(cl_method *m, const cl_call *call, int tried_too, int ejected_too, int64_t now)
{
    if (m->turn >= m->n) m->turn = 0;
    for (uint32_t step = 0, at = m->turn; step < m->n; step++, at = at + 1 < m->n ? at + 1 : 0) {
        if (!may_pick(m, call, at, tried_too, ejected_too, now)) continue;
        m->turn = at + 1;
        return m->servers[at];
    }
    return NULL;
}

/* ---- other ways than by turns */

uint64_t cl_balance_key(cl_str text)
{
    static const uint64_t secret[2] = {0x636c6f7564732062u, 0x616c616e63652031u};
    return cl_siphash(secret, text.p, text.n);
}

static cl_peer *pick_any(const cl_method *m, const cl_call *call, int tried_too, int ejected_too, int64_t now)
{
    const cl_port *port = &call->node->core->port;
    uint32_t at = m->n ? (uint32_t)(port->random(port->self) % m->n) : 0;
    for (uint32_t step = 0; step < m->n; step++, at = at + 1 < m->n ? at + 1 : 0)
        if (may_pick(m, call, at, tried_too, ejected_too, now)) return m->servers[at];
    return NULL;
}

/* Both lists are walked until one of them ends. */
static int has_fewer_calls(const cl_peer *a, const cl_peer *b)
{
    const cl_list_node *x = a->calls.next, *y = b->calls.next;
    for (int left = LEAST_MOST; left > 0 && x != &a->calls && y != &b->calls; left--) x = x->next, y = y->next;
    return x == &a->calls && y != &b->calls;
}

static cl_peer *pick_least(const cl_method *m, const cl_call *call, int tried_too, int ejected_too, int64_t now)
{
    cl_peer *one = pick_any(m, call, tried_too, ejected_too, now);
    cl_peer *other = one ? pick_any(m, call, tried_too, ejected_too, now) : NULL;
    return one && has_fewer_calls(other, one) ? other : one;
}

/* Each server has a score with each key, and the highest wins: who comes or goes moves its own keys only. */
static uint64_t score(uint64_t key, uint64_t server)
{
    uint64_t x = key ^ (server * 0x9e3779b97f4a7c15u);
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static cl_peer *pick_by_key(const cl_method *m, const cl_call *call, int tried_too, int ejected_too, int64_t now)
{
    cl_peer *best = NULL;
    for (uint32_t at = 0; at < m->n; at++) {
        cl_peer *peer = m->servers[at];
        if (best && score(call->key, peer->hash) <= score(call->key, best->hash)) continue;
        if (may_pick(m, call, at, tried_too, ejected_too, now)) best = peer;
    }
    return best;
}

CL_RARE static cl_peer *pick_otherwise(const cl_method *m, const cl_call *call, int tried_too, int64_t now)
{
    cl_peer *peer = NULL;
    for (int pass = 0; !peer && pass < (tried_too ? 4 : 2); pass++) {
        int again = pass / 2, ejected = pass % 2;
        peer = call->balance == CL_BALANCE_HASH    ? pick_by_key(m, call, again, ejected, now)
               : call->balance == CL_BALANCE_LEAST ? pick_least(m, call, again, ejected, now)
                                                   : pick_any(m, call, again, ejected, now);
    }
    return peer;
}

cl_peer *cl_balance_pick(cl_method *m, const cl_call *call, int tried_too, int64_t now)
{
    if (call->balance != CL_BALANCE_TURNS) return pick_otherwise(m, call, tried_too, now);
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
