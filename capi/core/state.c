#include "core/internal.h"
#include "core/offer.h"

/* What a status says beyond who serves what: of servers that were called from here and are not well, and of the nodes of
 * this context that are paused, drain, or have limits. Where there is nothing to say there is no member. */

/* ---- servers: ,"seen":{"method":{"id":"open"}} */

const char *cl_state_of_server(const cl_peer *peer, const cl_method *m, int counts, int64_t now, int64_t *until)
{
    const cl_breaker *b = cl_breaker_find(peer, m);
    *until = INT64_MIN;
    if (!cl_peer_is_well(peer, now)) return *until = peer->avoid_until, "avoided";
    if (b && b->busy_until > now) return *until = b->busy_until, "busy";
    if (!counts || !b || b->state == CL_BREAKER_CLOSED) return "well";
    *until = b->until;
    return b->state == CL_BREAKER_OPEN ? "open" : "probing";
}

static int put_member(cl_buf *out, const char *before, cl_str name)
{
    int code = cl_buf_put_str(out, cl_str_z(before));
    if (code == 0) code = cl_json_quote(name, out);
    return code ? code : cl_buf_put_char(out, ':');
}

static int put_seen_of(const cl_method *m, int *methods, int64_t now, cl_buf *out)
{
    int servers = 0, code = 0;
    int64_t until;
    for (uint32_t i = 0; code == 0 && i < m->n; i++) {
        const char *state = cl_state_of_server(m->servers[i], m, 1, now, &until);
        if (*state == 'w') continue;
        if (!servers) code = put_member(out, (*methods)++ ? "," : ",\"seen\":{", m->name);
        if (code == 0) code = put_member(out, servers++ ? "," : "{", m->servers[i]->id);
        if (code == 0) code = cl_buf_printf(out, "\"%s\"", state);
    }
    return code || !servers ? code : cl_buf_put_char(out, '}');
}

static int put_seen(cl_core *core, int64_t now, cl_buf *out)
{
    int methods = 0, code = 0;
    CL_LIST_EACH(it, &core->recent)
    if (code == 0) code = put_seen_of(CL_OWNER(it, cl_method, recent), &methods, now, out);
    return code || !methods ? code : cl_buf_put_char(out, '}');
}

/* ---- nodes of this context: ,"own":{"id":{"state":"draining","methods":{..}}} */

static int put_number(cl_buf *out, const char *name, double value)
{
    int code = cl_buf_printf(out, ",\"%s\":", name);
    return code ? code : cl_buf_put_real(out, value, 6);
}

/* Seconds that a request takes now, and without others that it waits for; left out until they are known. */
static int put_adaptive(const cl_adaptive *a, cl_buf *out)
{
    int code = cl_buf_put_str(out, CL_STR(",\"adaptive\":true"));
    if (code || !(a->unqueued > 0)) return code;
    code = put_number(out, "latency", a->latest / 1000);
    return code ? code : put_number(out, "unqueued", a->unqueued / 1000);
}

int cl_state_put_limits(const cl_offer *offer, int64_t now, cl_buf *out)
{
    const cl_offer_spec *s = &offer->spec;
    cl_bucket bucket = offer->bucket;
    int code = cl_buf_printf(out, "\"running\":%u,\"waiting\":%u,\"concurrency\":%u,\"queue\":%u", offer->running,
                             offer->queued, cl_offer_limit(offer), s->queue);
    if (code == 0 && offer->adaptive) code = put_adaptive(offer->adaptive, out);
    if (code || !(s->rate > 0)) return code;
    cl_bucket_wait(&bucket, s->rate, s->burst, now);
    code = put_number(out, "rate", s->rate);
    if (code == 0) code = put_number(out, "burst", s->burst);
    return code ? code : put_number(out, "tokens", bucket.tokens);
}

static int put_service(const cl_node *node, const cl_service *service, int *count, int64_t now, cl_buf *out)
{
    int paused = cl_service_is_paused(node, service);
    if (!paused && !service->offer) return 0;
    int code = put_member(out, (*count)++ ? "," : "", service->name);
    if (code == 0) code = cl_buf_printf(out, "{\"paused\":%s", paused ? "true" : "false");
    if (code == 0 && service->offer) code = cl_buf_put_char(out, ',');
    if (code == 0 && service->offer) code = cl_state_put_limits(service->offer, now, out);
    return code ? code : cl_buf_put_char(out, '}');
}

static int is_remarkable(const cl_node *node)
{
    size_t at = 0;
    if (node->paused || node->draining) return 1;
    for (const cl_service *service; (service = cl_strmap_next(&node->services, &at));)
        if (service->offer || cl_service_is_paused(node, service)) return 1;
    return 0;
}

static int put_own_node(const cl_node *node, int *count, int64_t now, cl_buf *out)
{
    int services = 0;
    size_t at = 0;
    if (!is_remarkable(node)) return 0;
    int code = put_member(out, (*count)++ ? "," : ",\"own\":{", node->id);
    const char *state = node->draining ? "draining" : node->paused ? "paused" : "ready";
    if (code == 0) code = cl_buf_printf(out, "{\"state\":\"%s\",\"methods\":{", state);
    for (const cl_service *service; code == 0 && (service = cl_strmap_next(&node->services, &at));)
        code = put_service(node, service, &services, now, out);
    return code ? code : cl_buf_put_str(out, CL_STR("}}"));
}

static int put_own(cl_core *core, int64_t now, cl_buf *out)
{
    int nodes = 0, code = 0;
    CL_LIST_EACH(it, &core->nodes)
    if (code == 0) code = put_own_node(CL_OWNER(it, cl_node, of_core), &nodes, now, out);
    return code || !nodes ? code : cl_buf_put_char(out, '}');
}

int cl_state_put(cl_core *core, cl_buf *out)
{
    int64_t now = cl_core_now(core);
    int code = put_seen(core, now, out);
    return code ? code : put_own(core, now, out);
}
