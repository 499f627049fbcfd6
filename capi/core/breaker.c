#include "core/breaker.h"

#include "core/internal.h"

/* A breaker for each server and method. It counts what a server is to blame for: timeouts, and connections that were
 * lost. Errors of a service, what was given up, and refusals are none of that.
 *
 * Closed, it opens after some failures in a row, or when half of enough attempts failed. Open, the server is left alone
 * for a while; then one call at a time tries it, and three good ones in a row close it: a server that hangs may well
 * answer once. One that fails opens it for twice as long.
 *
 * That a server is out means that another is asked. Where too many are (balance.c), they are asked all the same, so
 * that no call fails by this. */

enum {
    IN_A_ROW = 5,
    ENOUGH = 20,
    GOOD_IN_A_ROW = 3,
    OPEN_MS = 1000,
    LONGEST_MS = 30000,
    STEPS = 5,           /* 32 s, and so the longest */
    STEP_DOWN_MS = 60000 /* without a failure */
};

cl_breaker *cl_breaker_find(const cl_peer *peer, const cl_method *m)
{
    CL_LIST_EACH(it, &peer->breakers)
    {
        cl_breaker *b = CL_OWNER(it, cl_breaker, of_peer);
        if (b->method == m) return b;
    }
    return NULL;
}

static cl_breaker *get(cl_peer *peer, cl_method *m)
{
    cl_breaker *b = cl_breaker_find(peer, m);
    if (b || !(b = cl_calloc(1, sizeof *b))) return b;
    b->method = m;
    b->busy_until = b->failed_at = INT64_MIN;
    cl_list_init(&b->of_peer);
    cl_list_init(&b->of_method);
    cl_list_append(&peer->breakers, &b->of_peer);
    cl_list_append(&m->breakers, &b->of_method);
    return b;
}

static void destroy(cl_breaker *b)
{
    cl_list_remove(&b->of_peer);
    cl_list_remove(&b->of_method);
    cl_free(b);
}

void cl_breaker_free_of_peer(cl_list_node *breakers)
{
    CL_LIST_EACH(it, breakers) destroy(CL_OWNER(it, cl_breaker, of_peer));
}

void cl_breaker_free_of_method(cl_list_node *breakers)
{
    CL_LIST_EACH(it, breakers) destroy(CL_OWNER(it, cl_breaker, of_method));
}

/* ---- the window */

static unsigned slot_of(int64_t second)
{
    return (unsigned)((uint64_t)second % CL_BREAKER_SECONDS);
}

static void advance(cl_breaker *b, int64_t now)
{
    int64_t second = now / 1000;
    if (second - b->second >= CL_BREAKER_SECONDS) b->second = second - CL_BREAKER_SECONDS;
    while (b->second < second) {
        b->second++;
        b->attempts[slot_of(b->second)] = b->failures[slot_of(b->second)] = 0;
    }
}

static void count(cl_breaker *b, int failed, int64_t now)
{
    advance(b, now);
    unsigned slot = slot_of(b->second);
    if (b->attempts[slot] == UINT16_MAX) return; /* enough to know */
    b->attempts[slot]++;
    b->failures[slot] = (uint16_t)(b->failures[slot] + failed);
}

static int half_failed(const cl_breaker *b)
{
    uint32_t attempts = 0, failures = 0;
    for (int i = 0; i < CL_BREAKER_SECONDS; i++) attempts += b->attempts[i], failures += b->failures[i];
    return attempts >= ENOUGH && failures * 2 >= attempts;
}

/* ---- states */

static void enter(cl_breaker *b, enum cl_breaker_state state, int64_t now)
{
    b->state = (uint8_t)state;
    b->since = now;
    b->row = 0;
    if (state != CL_BREAKER_CLOSED) return;
    memset(b->attempts, 0, sizeof b->attempts);
    memset(b->failures, 0, sizeof b->failures);
}

/* A fifth more or less, so that callers do not come back together. */
static int64_t pause_of(cl_core *core, const cl_breaker *b)
{
    int64_t ms = (int64_t)OPEN_MS << b->step;
    if (ms > LONGEST_MS) ms = LONGEST_MS;
    return ms * 4 / 5 + (int64_t)(core->port.random(core->port.self) % (uint64_t)(ms * 2 / 5 + 1));
}

static void open(const cl_call *call, cl_breaker *b, int64_t now)
{
    cl_core *core = call->node->core;
    enter(b, CL_BREAKER_OPEN, now);
    b->until = now + pause_of(core, b);
    core->counters[CL_COUNT_BREAKER_OPENS]++;
    cl_peer_tell(core, call->peer->id, call->method, CLOUDS_PEER_OPEN);
}

static void step_down(cl_breaker *b, int64_t now)
{
    if (b->failed_at == INT64_MIN) return;
    int64_t steps = (now - b->failed_at) / STEP_DOWN_MS;
    b->step = (uint8_t)(steps >= b->step ? 0 : b->step - steps);
}

/* Nothing is left to remember. */
static int is_over(const cl_breaker *b, int64_t now)
{
    return b->state == CL_BREAKER_CLOSED && b->busy_until <= now &&
           (b->failed_at == INT64_MIN || now - b->failed_at > (int64_t)STEP_DOWN_MS * (b->step + 1));
}

void cl_breaker_good(const cl_call *call)
{
    cl_breaker *b = cl_breaker_find(call->peer, call->method);
    if (!b || call->sent_at < b->since) return;
    int64_t now = cl_core_now(call->node->core);
    if (b->state == CL_BREAKER_CLOSED) {
        b->row = 0;
        count(b, 0, now);
        if (is_over(b, now)) destroy(b);
        return;
    }
    b->until = now; /* for the next probe */
    if (++b->row < GOOD_IN_A_ROW) return;
    enter(b, CL_BREAKER_CLOSED, now);
    cl_peer_tell(call->node->core, call->peer->id, call->method, CLOUDS_PEER_WELL);
}

void cl_breaker_failed(const cl_call *call, int64_t now)
{
    call->peer->failed_at = now;
    cl_throttle_ended(call, 0, now);
    if (!call->node->config.breaker) return;
    cl_breaker *b = get(call->peer, call->method);
    if (!b || call->sent_at < b->since) return;
    step_down(b, now);
    b->failed_at = now;
    if (b->state == CL_BREAKER_CLOSED) {
        count(b, 1, now);
        if (++b->row < IN_A_ROW && !half_failed(b)) return;
        open(call, b, now);
    } else if (b->state == CL_BREAKER_PROBING) {
        if (b->step < STEPS) b->step++;
        open(call, b, now);
    } else {
        b->row = 0;
    }
}

void cl_breaker_busy(const cl_call *call, uint64_t ms, int64_t now)
{
    cl_breaker *b = ms ? get(call->peer, call->method) : NULL;
    if (b) b->busy_until = now + (int64_t)(ms < LONGEST_MS ? ms : LONGEST_MS);
}

void cl_breaker_sent(const cl_call *call, int64_t now)
{
    cl_breaker *b = cl_breaker_find(call->peer, call->method);
    if (!b || b->state == CL_BREAKER_CLOSED || b->until > now || call->pinned) return;
    if (b->state == CL_BREAKER_OPEN) {
        enter(b, CL_BREAKER_PROBING, now);
        cl_peer_tell(call->node->core, call->peer->id, call->method, CLOUDS_PEER_PROBING);
    }
    b->until = now + pause_of(call->node->core, b);
    call->node->core->counters[CL_COUNT_PROBES]++;
}

int cl_breaker_is_out(const cl_peer *peer, const cl_method *m, int counts, int64_t now)
{
    const cl_breaker *b = cl_breaker_find(peer, m);
    if (!b) return 0;
    return b->busy_until > now || (counts && b->state != CL_BREAKER_CLOSED && b->until > now);
}

void cl_breaker_announced(const cl_peer *peer, const cl_method *m, int64_t now)
{
    cl_breaker *b = cl_breaker_find(peer, m);
    if (!b) return;
    b->busy_until = INT64_MIN;
    if (b->state == CL_BREAKER_OPEN) b->until = now;
}
