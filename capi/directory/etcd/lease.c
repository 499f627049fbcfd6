/* Design note. All keys of a context live under one lease, so that one request keeps them all, and one ends them. etcd
 * says of a lease that is gone only that it has no time left; then there is a new one, and all keys are put again. A
 * lease that nobody has confirmed in this session is not relied on.
 *
 * A context without nodes asks for something as often as connections are pinged elsewhere: what is silent is found. */
#include "base/error.h"
#include "base/log.h"
#include "base/rand.h"
#include "base/seconds.h"
#include "directory/etcd/internal.h"

enum { LEAST_TTL = 2, TICKS_UNTIL_COUNT = 6, LEAST_PATIENCE_MS = 1000, SOONEST_MS = 100 };

static int64_t a_third(const etcd *d)
{
    return d->ttl * 1000 / 3;
}

/* How long an answer may take. */
int64_t cl_etcd_patience(const etcd *d)
{
    int64_t most = cl_ms(d->limits.ping_timeout);
    int64_t ms = d->lease && a_third(d) > LEAST_PATIENCE_MS ? a_third(d) : d->lease ? LEAST_PATIENCE_MS : most;
    return ms < most ? ms : most;
}

/* The shortest heartbeat of a node that has or wants a key; 0: there is none. */
static int64_t shortest_heartbeat(const etcd *d)
{
    int64_t shortest = 0;
    CL_LIST_EACH(it, &d->nodes)
    {
        const etcd_node *node = CL_OWNER(it, etcd_node, place);
        if (!node->announced || node->leaving || node->failed) continue;
        if (!shortest || node->heartbeat < shortest) shortest = node->heartbeat;
    }
    return shortest;
}

/* Each heartbeat, which is half of the time it lives; sooner, where one more try would not fit behind an answer that is
 * missing. */
static int64_t renewal(const etcd *d)
{
    int64_t half = d->ttl * 1000 / 2, most = d->ttl * 1000 * 5 / 6 - cl_etcd_patience(d);
    int64_t period = half < most ? half : most;
    return period > SOONEST_MS ? period : SOONEST_MS; /* whatever the server grants */
}

static void tick_later(etcd *d)
{
    int64_t period = d->lease ? renewal(d) : cl_ms(d->limits.ping_interval), spread = period / 10 + 1;
    d->tick_at = cl_loop_now() + period - (int64_t)(cl_rand_next(&d->random) % (uint64_t)spread);
    cl_etcd_due_by(d, d->tick_at);
}

void cl_etcd_lease_reset(etcd *d)
{
    d->granting = d->keeping = d->confirmed = d->revoking = 0;
}

void cl_etcd_lease_lost(etcd *d)
{
    d->lease = 0;
    d->confirmed = 0;
    CL_LIST_EACH(it, &d->nodes)
    {
        etcd_node *node = CL_OWNER(it, etcd_node, place);
        node->put = 0;
        if (node->hold == ETCD_OURS) node->hold = ETCD_FORMER;
    }
}

/* ---- a new lease */

static void failed(etcd *d, const etcd_answer *answer)
{
    cl_etcd_session_fail(d, answer->code, answer->words);
}

static void on_granted(etcd *d, void *of, const etcd_answer *answer)
{
    int64_t lease, ttl;
    d->granting = 0;
    if (answer->code != 0) {
        failed(d, answer);
        return;
    }
    int code = cl_etcd_number(answer->body, "ID", &lease);
    if (code == 0) code = cl_etcd_number(answer->body, "TTL", &ttl);
    if (code != 0 || lease == 0 || ttl <= 0 || ttl > 1000000000) {
        cl_etcd_session_broken(d, "/v3/lease/grant");
        return;
    }
    d->lease = lease;
    d->ttl = ttl;
    d->confirmed = 1;
    tick_later(d);
    cl_etcd_work(d);
}

static void grant(etcd *d, int64_t heartbeat)
{
    int64_t ttl = (2 * heartbeat + 999) / 1000;
    cl_buf_clear(&d->body);
    int code = cl_etcd_ask_grant(&d->body, ttl < LEAST_TTL ? LEAST_TTL : ttl);
    if (code != 0 || !cl_etcd_post(d, "/v3/lease/grant", on_granted, NULL)) {
        cl_etcd_session_fail(d, CLOUDS_ENOMEM, "out of memory");
        return;
    }
    d->granting = 1;
    d->shortest = heartbeat;
}

/* ---- keeping it */

static void on_counted(etcd *d, void *of, const etcd_answer *answer)
{
    cl_str keys = answer->code == 0 ? cl_etcd_member(answer->body, "keys") : CL_STR_NONE, one;
    cl_json j;
    size_t n = 0, ours = 0;
    d->keeping = 0;
    if (answer->code != 0) return; /* it is not worth more */
    cl_json_start(&j, keys, (cl_json_limits){4, 1000000});
    if (keys.n && cl_json_enter(&j, '[') == 0)
        while (cl_json_element(&j) == 1 && cl_json_value(&j, &one) == 0) n++;
    CL_LIST_EACH(it, &d->nodes) ours += CL_OWNER(it, etcd_node, place)->hold == ETCD_OURS;
    if (n >= ours) return;
    CL_LIST_EACH(it, &d->nodes)
    {
        etcd_node *node = CL_OWNER(it, etcd_node, place);
        if (node->hold == ETCD_OURS) node->put = 0;
    }
    cl_etcd_work(d);
}

/* Somebody may have deleted keys of ours; who watches is told so at once. */
static void count(etcd *d)
{
    cl_buf_clear(&d->body);
    if (cl_etcd_ask_lease(&d->body, d->lease, 1) == 0)
        d->keeping = cl_etcd_post(d, "/v3/lease/timetolive", on_counted, NULL) != NULL;
}

/* It was given back, or there is another, since this was asked. */
static int is_former(const etcd *d, int64_t lease)
{
    return d->revoking || !d->lease || (d->confirmed && lease != d->lease);
}

static void on_kept(etcd *d, void *of, const etcd_answer *answer)
{
    int64_t lease, ttl;
    d->keeping = 0;
    if (answer->code != 0) {
        failed(d, answer);
        return;
    }
    cl_str result = cl_etcd_member(answer->body, "result");
    int code = result.n ? cl_etcd_number(result, "ID", &lease) : CLOUDS_EPROTO;
    if (code == 0) code = cl_etcd_number(result, "TTL", &ttl);
    if (code != 0) {
        cl_etcd_session_broken(d, "/v3/lease/keepalive");
        return;
    }
    if (is_former(d, lease)) return;
    if (ttl > 0 && lease == d->lease) {
        d->confirmed = 1;
        if (++d->ticks % TICKS_UNTIL_COUNT == 0 && !d->watching) count(d);
    } else {
        cl_log(CLOUDS_LOG_WARN, "etcd: the lease is gone, and is made anew");
        cl_etcd_lease_lost(d);
    }
    cl_etcd_work(d);
}

static void on_answered(etcd *d, void *of, const etcd_answer *answer)
{
    d->keeping = 0;
    if (answer->code != 0) failed(d, answer);
}

static void keep(etcd *d)
{
    cl_buf_clear(&d->body);
    int code = d->lease ? cl_etcd_ask_lease(&d->body, d->lease, 0)
                        : cl_etcd_ask_range(&d->body, d->prefix, d->end, 1, 0, 1);
    const etcd_request *r = code ? NULL
                            : d->lease ? cl_etcd_post(d, "/v3/lease/keepalive", on_kept, NULL)
                                       : cl_etcd_post(d, "/v3/kv/range", on_answered, NULL);
    if (!r) {
        cl_etcd_session_fail(d, CLOUDS_ENOMEM, "out of memory");
        return;
    }
    d->keeping = 1;
    tick_later(d);
}

void cl_etcd_lease_work(etcd *d)
{
    int64_t heartbeat = shortest_heartbeat(d);
    if (heartbeat && d->lease && heartbeat < d->shortest) cl_etcd_lease_lost(d);
    if (heartbeat && !d->lease && !d->granting) grant(d, heartbeat);
    else if (d->lease && !d->confirmed && !d->keeping) keep(d);
    else if (!d->tick_at) tick_later(d);
}

void cl_etcd_lease_due(etcd *d, int64_t now)
{
    if (d->state != ETCD_READY || !d->tick_at || d->closing) return;
    if (now < d->tick_at) cl_etcd_due_by(d, d->tick_at);
    else if (d->keeping || d->granting) tick_later(d);
    else keep(d);
}
