#include <math.h>
#include <stdlib.h>

#include "base/rand.h"
#include "core/internal.h"

/* Which server is asked. First who may be, then which of those.
 *
 * Preference: servers this call has not tried before those it has, healthy before those that are out: avoided, failing
 * by their breaker, or busy. At most half of the servers (at least one) are out, the first of them in the order of the
 * list; when all are, none is. A node that shuns silent servers does not ask one that is avoided for the method it was
 * silent in, even when no other is left. A node that prefers servers near to it asks a healthy one of those before all
 * others. */

enum { LEAST_MOST = 1000 /* calls under way that are counted at most */, MEDIAN_OF = 101, DRAWS = 8 };

#define LEAST_LATENCY 0.001f /* what is shorter than the clock can tell */

/* Whom a pass over the servers takes; each takes more than the one before. */
enum pass { NEAR, WELL, ANY, TRIED, TRIED_ANY, PASSES };

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

static inline int may_pick(const cl_method *m, const cl_call *call, uint32_t at, enum pass pass, int64_t now)
{
    if (pass < TRIED && cl_call_has_tried(call, m->servers[at])) return 0;
    return !is_shunned(m, call, at, now) && (pass == ANY || pass == TRIED_ANY || !is_ejected(m, call, at, now));
}

int cl_balance_is_near(const cl_node *node, const cl_peer *peer)
{
    return peer->tags && node->near.n &&
           cl_str_eq(cl_tags_value(cl_str_z(peer->tags), cl_str_z(node->config.prefer)), node->near);
}

/* One that is near is left for others only when it is not well. */
static int may_pick_in(const cl_method *m, const cl_call *call, uint32_t at, enum pass pass, int64_t now)
{
    if (pass == NEAR && (!cl_balance_is_near(call->node, m->servers[at]) || is_out(m, call, m->servers[at], now)))
        return 0;
    return may_pick(m, call, at, pass, now);
}

/* The call notes where it stands (attempt.c). */
static inline cl_peer *take(cl_method *m, uint32_t at)
{
    m->picked = at;
    return m->servers[at];
}

/* ---- by turns */

static inline cl_peer *scan(cl_method *m, const cl_call *call, enum pass pass, int64_t now)
{
    if (m->turn >= m->n) m->turn = 0;
    for (uint32_t step = 0, at = m->turn; step < m->n; step++, at = at + 1 < m->n ? at + 1 : 0) {
        if (!may_pick(m, call, at, pass, now)) continue;
        m->turn = at + 1;
        return take(m, at);
    }
    return NULL;
}

/* Those that may be asked, in order from where the turn is. */
#define EACH_CANDIDATE(m, call, pass, now, first, at)                                                                  \
    for (uint32_t step_ = 0, at = (first); step_ < (m)->n; step_++, at = at + 1 < (m)->n ? at + 1 : 0)                 \
        if (may_pick_in(m, call, at, pass, now))

static uint32_t first_from(const cl_method *m, const cl_call *call, enum pass pass, int64_t now, uint32_t first)
{
    EACH_CANDIDATE(m, call, pass, now, first, at) return at;
    return UINT32_MAX;
}

static cl_peer *pick_in_turn(cl_method *m, const cl_call *call, enum pass pass, int64_t now)
{
    EACH_CANDIDATE(m, call, pass, now, m->turn < m->n ? m->turn : 0, at)
    {
        m->turn = at + 1;
        return take(m, at);
    }
    return NULL;
}

/* By weight, whose turn it is of those that may be asked; the turn is then to be taken or left. */
static uint32_t find_turn(cl_method *m, const cl_call *call, enum pass pass, int64_t now)
{
    uint32_t at = cl_turns_first(m);
    while (at != UINT32_MAX && !may_pick_in(m, call, at, pass, now)) at = cl_turns_next(m);
    return at;
}

static cl_peer *pick_by_weight(cl_method *m, const cl_call *call, enum pass pass, int64_t now)
{
    uint32_t at = find_turn(m, call, pass, now);
    if (at == UINT32_MAX) {
        cl_turns_leave(m);
        return NULL;
    }
    cl_turns_take(m);
    return take(m, at);
}

/* ---- by chance */

static uint64_t draw(const cl_call *call)
{
    const cl_port *port = &call->node->core->port;
    return port->random(port->self);
}

/* While most may be asked one of them is drawn soon; else they are counted. */
static uint32_t pick_any_by_weight(cl_method *m, const cl_call *call, enum pass pass, int64_t now)
{
    uint64_t sum = 0;
    for (int i = 0; i < DRAWS && m->n; i++) {
        uint32_t at = cl_turns_draw(m, draw(call));
        if (may_pick_in(m, call, at, pass, now)) return at;
    }
    EACH_CANDIDATE(m, call, pass, now, 0, at) sum += m->servers[at]->weight;
    if (!sum) return UINT32_MAX;
    uint64_t wanted = draw(call) % sum;
    EACH_CANDIDATE(m, call, pass, now, 0, at)
    {
        if (wanted < m->servers[at]->weight) return at;
        wanted -= m->servers[at]->weight;
    }
    return UINT32_MAX;
}

static uint32_t pick_any(cl_method *m, const cl_call *call, enum pass pass, int64_t now)
{
    if (m->is_uneven) return pick_any_by_weight(m, call, pass, now);
    return first_from(m, call, pass, now, m->n ? (uint32_t)(draw(call) % m->n) : 0);
}

/* ---- by load: of two that are drawn the one with the lower (calls under way + 1) x latency */

static int compare_latencies(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Of those that are known; of many, of some all over the list. */
static float median_latency(const cl_method *m)
{
    float known[MEDIAN_OF];
    uint32_t n = 0, step = m->n / MEDIAN_OF + 1;
    for (uint32_t i = 0; i < m->n; i += step)
        if (m->shares[i].latency > 0) known[n++] = m->shares[i].latency;
    if (n == 0) return 0;
    qsort(known, n, sizeof *known, compare_latencies);
    return known[n / 2];
}

static double under_way(const cl_peer *peer)
{
    return (double)cl_peer_in_flight(peer, LEAST_MOST) / peer->weight;
}

/* A server that is new begins as one in the middle. Differences below a millisecond are none. */
static double load(cl_method *m, uint32_t at)
{
    float *latency = &m->shares[at].latency;
    if (!(*latency > 0)) *latency = median_latency(m);
    return (under_way(m->servers[at]) + 1) * (*latency > 1 ? *latency : 1);
}

static cl_peer *pick_least(cl_method *m, const cl_call *call, enum pass pass, int64_t now)
{
    uint32_t one = pick_any(m, call, pass, now);
    if (one == UINT32_MAX) return NULL;
    uint32_t other = pick_any(m, call, pass, now);
    return take(m, other != one && load(m, other) < load(m, one) ? other : one);
}

/* The list has changed since, or the server was not chosen here: from where it seemed to stand in both directions, since
 * others that left moved it by a few, and programs that name one server after the other do so in order. */
CL_RARE static uint32_t look_around(cl_method *m, const cl_peer *peer, uint32_t at)
{
    uint32_t up = at < m->n ? at : 0, down = up;
    for (uint32_t step = 0; step <= m->n / 2 && m->n; step++) {
        if (m->servers[up] == peer) return m->picked = up;
        if (m->servers[down] == peer) return m->picked = down;
        up = up + 1 < m->n ? up + 1 : 0;
        down = down ? down - 1 : m->n - 1;
    }
    return UINT32_MAX;
}

/* A tenth of each further one counts. */
void cl_balance_took(const cl_call *call, int64_t now)
{
    cl_method *m = call->method;
    uint32_t at = call->pinned ? m->picked : call->at;
    if (at >= m->n || m->servers[at] != call->peer) at = look_around(m, call->peer, at);
    if (at == UINT32_MAX) return;
    float ms = now > call->sent_at ? (float)(now - call->sent_at) : LEAST_LATENCY, known = m->shares[at].latency;
    m->shares[at].latency = known > 0 ? known + (ms - known) * 0.1f : ms;
}

/* ---- by key: each server has a score with each key, and the highest wins: who comes or goes moves its own keys only
 */

uint64_t cl_balance_key(cl_str text)
{
    static const uint64_t secret[2] = {0x636c6f7564732062u, 0x616c616e63652031u};
    return cl_siphash(secret, text.p, text.n);
}

static uint64_t score(uint64_t key, uint64_t server)
{
    uint64_t x = key ^ (server * 0x9e3779b97f4a7c15u);
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* As a number that is larger the lower its score, by a logarithm, so that each has its part of the keys by its weight.
 * Servers of one weight are in the order of their scores. */
static double distance(uint64_t key, const cl_peer *peer)
{
    return -log(((double)score(key, peer->hash) + 0.5) * 0x1p-64) / peer->weight;
}

static int wins(const cl_method *m, uint64_t key, const cl_peer *a, const cl_peer *b)
{
    if (m->is_uneven) return distance(key, a) < distance(key, b);
    return score(key, a->hash) > score(key, b->hash);
}

static cl_peer *pick_by_key(cl_method *m, const cl_call *call, enum pass pass, int64_t now)
{
    uint32_t best = UINT32_MAX;
    for (uint32_t at = 0; at < m->n; at++) {
        if (best != UINT32_MAX && !wins(m, call->key, m->servers[at], m->servers[best])) continue;
        if (may_pick_in(m, call, at, pass, now)) best = at;
    }
    return best == UINT32_MAX ? NULL : take(m, best);
}

/* ---- whichever way the call asks for */

static cl_peer *pick_in(cl_method *m, const cl_call *call, enum pass pass, int64_t now)
{
    uint32_t at;
    switch (call->balance) {
    case CL_BALANCE_HASH:
        return pick_by_key(m, call, pass, now);
    case CL_BALANCE_LEAST:
        return pick_least(m, call, pass, now);
    case CL_BALANCE_RANDOM:
        at = pick_any(m, call, pass, now);
        return at == UINT32_MAX ? NULL : take(m, at);
    default:
        return m->is_uneven ? pick_by_weight(m, call, pass, now) : pick_in_turn(m, call, pass, now);
    }
}

CL_RARE static cl_peer *pick_otherwise(cl_method *m, const cl_call *call, int tried_too, int64_t now)
{
    cl_peer *peer = NULL;
    enum pass first = call->node->near.n ? NEAR : WELL, end = tried_too ? PASSES : TRIED;
    for (enum pass pass = first; !peer && pass < end; pass++) peer = pick_in(m, call, pass, now);
    return peer;
}

cl_peer *cl_balance_pick(cl_method *m, const cl_call *call, int tried_too, int64_t now)
{
    if (call->balance != CL_BALANCE_TURNS || m->is_uneven || call->node->near.n)
        return pick_otherwise(m, call, tried_too, now);
    cl_peer *peer = scan(m, call, WELL, now);
    if (!peer) peer = scan(m, call, ANY, now);
    if (!peer && tried_too) peer = scan(m, call, TRIED, now);
    if (!peer && tried_too) peer = scan(m, call, TRIED_ANY, now);
    return peer;
}

/* ---- without choosing */

static uint32_t least_loaded(cl_method *m, const cl_call *call, enum pass pass, int64_t now)
{
    uint32_t best = UINT32_MAX;
    EACH_CANDIDATE(m, call, pass, now, 0, at)
    if (best == UINT32_MAX || load(m, at) < load(m, best)) best = at;
    return best;
}

static uint32_t next_by_weight(cl_method *m, const cl_call *call, enum pass pass, int64_t now)
{
    uint32_t at = find_turn(m, call, pass, now);
    cl_turns_leave(m);
    return at;
}

/* By load it is the one that wins whenever it is drawn; by chance and by key there is no telling. */
static uint32_t likeliest(cl_method *m, const cl_call *call, enum pass pass, int64_t now)
{
    if (call->balance == CL_BALANCE_LEAST) return least_loaded(m, call, pass, now);
    if (call->balance != CL_BALANCE_TURNS) return UINT32_MAX;
    if (m->is_uneven) return next_by_weight(m, call, pass, now);
    return first_from(m, call, pass, now, m->turn < m->n ? m->turn : 0);
}

void cl_balance_explain(cl_method *m, const cl_call *call, int64_t now, cl_choice *out)
{
    static const char *const rules[] = {[NEAR] = "near", [WELL] = "well", [ANY] = "any"};
    *out = (cl_choice){.rule = "none"};
    for (enum pass pass = call->node->near.n ? NEAR : WELL; pass <= ANY && !out->among; pass++) {
        uint32_t well = 0;
        EACH_CANDIDATE(m, call, pass, now, 0, at)
        {
            out->among++;
            well += !is_out(m, call, m->servers[at], now);
        }
        if (!out->among) continue;
        uint32_t next = out->among == 1 ? first_from(m, call, pass, now, 0) : likeliest(m, call, pass, now);
        out->rule = rules[well == out->among ? pass : ANY];
        if (next != UINT32_MAX) out->peer = m->servers[next];
    }
}

/* While the bus is down. */
CL_RARE cl_peer *cl_balance_pick_reached(cl_method *m, const cl_call *call)
{
    cl_bus *bus = call->node->core->bus;
    if (m->turn >= m->n) m->turn = 0;
    for (uint32_t step = 0, at = m->turn; step < m->n; step++, at = at + 1 < m->n ? at + 1 : 0) {
        if (cl_call_has_tried(call, m->servers[at]) || !bus->ops->is_reached(bus, m->servers[at]->id)) continue;
        m->turn = at + 1;
        return take(m, at);
    }
    return NULL;
}
