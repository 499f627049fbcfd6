#include "core/internal.h"

/* Who serves what, as far as calls of this process asked. The last good list serves until a newer one is there: age
 * only causes a refresh in the background. The cache of methods is bounded; what calls use is never dropped, and what
 * nobody has called for FORGET_MS to twice as long is, with what the bus watches for it. */

enum { LOOKUP_PATIENCE_MS = 5000, GRACE_MS = 10000, FIRST_REFRESH_MS = 1000, FORGET_MS = 30 * 60 * 1000 };

static cl_method *create(cl_core *core, cl_str name)
{
    cl_method *m = cl_calloc(1, sizeof *m + name.n + 1);
    if (!m) return NULL;
    memcpy(m->text, name.p, name.n);
    m->name = cl_str_of(m->text, name.n);
    m->learned = INT64_MIN;
    cl_list_init(&m->recent);
    cl_list_init(&m->waiting);
    cl_list_init(&m->paused);
    cl_list_init(&m->breakers);
    if (cl_strmap_put(&core->methods, m->name, m) != 0) return cl_free(m), NULL;
    if (!cl_timers_is_set(&core->forget)) cl_timers_set(core, &core->forget, cl_core_now(core) + FORGET_MS);
    return m;
}

void cl_directory_free(cl_core *core, cl_method *m)
{
    if (core->last_method == m) core->last_method = NULL;
    cl_breaker_free_of_method(&m->breakers);
    cl_strmap_take(&core->methods, m->name);
    cl_list_remove(&m->recent);
    for (uint32_t i = 0; i < m->n; i++) cl_peer_release(core, m->servers[i]);
    cl_free(m->servers);
    cl_free(m->shares);
    cl_free(m->turns);
    cl_buf_free(&m->departed);
    cl_free(m->latencies);
    cl_free(m);
}

static void forget(cl_core *core, cl_method *m)
{
    if (core->bus->ops->unwatch) core->bus->ops->unwatch(core->bus, m->name);
    cl_directory_free(core, m);
}

static int make_room(cl_core *core)
{
    CL_LIST_EACH(it, &core->recent)
    {
        cl_method *m = CL_OWNER(it, cl_method, recent);
        if (m->refs) continue;
        forget(core, m);
        return 0;
    }
    return CLOUDS_ELIMIT;
}

/* While the bus is away nothing is forgotten, since it could not be asked for again. */
void cl_directory_forget_due(cl_core *core, cl_timed *timed, int64_t now)
{
    CL_LIST_EACH(it, &core->recent)
    {
        cl_method *m = CL_OWNER(it, cl_method, recent);
        if (m->is_unused && !m->refs && core->bus_up) forget(core, m);
        else m->is_unused = 1;
    }
    if (core->methods.len) cl_timers_set(core, timed, now + FORGET_MS);
    else cl_timers_stop(core, timed);
}

int cl_directory_method(cl_core *core, cl_str name, cl_method **out)
{
    cl_method *m = core->last_method;
    if (!m || !cl_str_is(m->name, name)) m = cl_strmap_get(&core->methods, name);
    if (!m && core->methods.len >= CL_METHODS_MAX && make_room(core) != 0)
        return cl_error_limit(CLOUDS_ELIMIT, core->methods.len, CL_METHODS_MAX, "calls to %zu methods are outstanding",
                              (size_t)core->methods.len);
    if (!m) m = create(core, name);
    if (!m) return CLOUDS_ENOMEM;
    if (core->recent.prev != &m->recent) {
        cl_list_remove(&m->recent);
        cl_list_append(&core->recent, &m->recent);
    }
    m->refs++;
    m->is_unused = 0;
    core->last_method = m;
    *out = m;
    return 0;
}

void cl_directory_release(cl_core *core, cl_method *m)
{
    m->refs--;
}

void cl_directory_lookup(cl_core *core, cl_method *m, int known, int64_t now)
{
    int level = known ? 1 : 2;
    if (m->lookup >= level && now - m->asked < LOOKUP_PATIENCE_MS) return;
    m->lookup = level;
    m->asked = now;
    core->counters[CL_COUNT_LOOKUPS]++;
    core->bus->ops->lookup(core->bus, m->name, known);
}

void cl_directory_refresh(cl_core *core, cl_method *m, int64_t now)
{
    if (m->learned != INT64_MIN && (core->max_age == INT64_MAX || now - m->learned < core->max_age)) return;
    cl_directory_lookup(core, m, 1, now);
}

static void drop_at(cl_core *core, cl_method *m, uint32_t at)
{
    cl_peer *peer = m->servers[at];
    m->n--;
    memmove(m->servers + at, m->servers + at + 1, (m->n - at) * sizeof *m->servers);
    memmove(m->shares + at, m->shares + at + 1, (m->n - at) * sizeof *m->shares);
    if (m->turn > at) m->turn--;
    m->is_ordered = 0;
    cl_peer_release(core, peer);
}

void cl_directory_drop(cl_core *core, cl_method *m, cl_peer *peer)
{
    for (uint32_t i = 0; i < m->n; i++) {
        if (m->servers[i] != peer) continue;
        drop_at(core, m, i);
        return;
    }
}

void cl_directory_drop_all(cl_core *core, cl_peer *peer)
{
    cl_peer_hold(peer);
    CL_LIST_EACH(it, &core->recent) cl_directory_drop(core, CL_OWNER(it, cl_method, recent), peer);
    cl_peer_release(core, peer);
}

static void weigh(cl_method *m)
{
    m->is_uneven = m->is_ordered = 0;
    for (uint32_t i = 0; i < m->n; i++) m->is_uneven |= m->servers[i]->weight != 1;
}

void cl_directory_weigh(cl_core *core)
{
    CL_LIST_EACH(it, &core->recent) weigh(CL_OWNER(it, cl_method, recent));
}

static int make_room_for_servers(cl_method *m)
{
    uint32_t cap = m->cap ? m->cap * 2 : 4;
    cl_peer **servers = cl_realloc(m->servers, cap * sizeof(*servers));
    if (!servers) return CLOUDS_ENOMEM;
    m->servers = servers;
    cl_share *shares = cl_realloc(m->shares, cap * sizeof *shares);
    if (!shares) return CLOUDS_ENOMEM;
    m->shares = shares;
    uint32_t *turns = cl_realloc(m->turns, cap * sizeof *turns);
    if (!turns) return CLOUDS_ENOMEM;
    m->turns = turns;
    m->cap = cap;
    return 0;
}

/* What is beyond the limit is left out: there are enough. */
static int add(cl_core *core, cl_method *m, cl_server server)
{
    cl_peer *peer = cl_peer_get(core, server.id);
    if (!peer) return CLOUDS_ENOMEM;
    peer->native = server.native;
    cl_peer_describe(core, peer, &server.traits);
    for (uint32_t i = 0; i < m->n; i++)
        if (m->servers[i] == peer) return cl_peer_release(core, peer), 0;
    if (m->n >= CL_SERVERS_MAX) return core->counters[CL_COUNT_LIMIT_HITS]++, cl_peer_release(core, peer), 0;
    if (m->n == m->cap && make_room_for_servers(m) != 0) return cl_peer_release(core, peer), CLOUDS_ENOMEM;
    m->shares[m->n] = (cl_share){0};
    m->is_ordered = 0;
    m->servers[m->n++] = peer;
    m->is_uneven |= peer->weight != 1;
    if (m->is_known) cl_peer_tell(core, peer->id, m, CLOUDS_PEER_WELL);
    return 0;
}

/* Servers that the new list does not name are removed. A mark on the peer shows which, so that long lists cost little.
 */
static void drop_unlisted(cl_core *core, cl_method *m, const cl_server *servers, size_t n)
{
    uint64_t round = ++core->lists;
    for (size_t i = 0; i < n; i++) {
        cl_peer *peer = servers[i].paused ? NULL : cl_peer_find(core, servers[i].id);
        if (peer) peer->listed = round;
    }
    uint32_t kept = 0, before_turn = 0;
    for (uint32_t i = 0; i < m->n; i++) {
        cl_peer *peer = m->servers[i];
        int stays = peer->listed == round;
        before_turn += stays && i < m->turn;
        if (stays) m->shares[kept] = m->shares[i], m->servers[kept++] = peer;
        else cl_peer_left(core, m, peer->id, servers, n), cl_peer_release(core, peer);
    }
    m->n = kept;
    weigh(m);
    m->turn = before_turn;
}

/* What a call waited for comes from whoever answers first; servers that only a scan finds come with the first refresh,
 * so that is due soon. */
static int64_t head_start(const cl_core *core, const cl_method *m, int urgent)
{
    if (!urgent || m->n == 0 || core->max_age == INT64_MAX || core->max_age <= FIRST_REFRESH_MS) return 0;
    return core->max_age - FIRST_REFRESH_MS;
}

/* Takes the new list over; the order of those that stay is kept, so that the round robin goes on. */
static int learn(cl_core *core, cl_method *m, const cl_server *servers, size_t n, int urgent, int64_t now)
{
    /* A registry that came back empty fills up within a heartbeat; until then the servers known before are tried. */
    if (n == 0 && m->n && core->up_since + GRACE_MS > now && core->counters[CL_COUNT_RECONNECTS]) return 0;
    drop_unlisted(core, m, servers, n);
    cl_peers_departed(core, m, servers, n);
    m->paused_n = 0;
    for (size_t i = 0; i < n; i++) {
        m->paused_n += servers[i].paused != 0;
        if (!servers[i].paused && add(core, m, servers[i]) != 0) return CLOUDS_ENOMEM;
    }
    m->learned = now - head_start(core, m, urgent);
    m->is_known = 1;
    return 0;
}

int cl_directory_ids(const cl_method *m, cl_buf *out)
{
    int code = cl_buf_put_char(out, '[');
    for (uint32_t i = 0; i < m->n && code == 0; i++) {
        if (i) code = cl_buf_put_char(out, ',');
        if (code == 0) code = cl_json_quote(m->servers[i]->id, out);
    }
    return code ? code : cl_buf_put_char(out, ']');
}

static void emit_saved(cl_core *core, cl_method *m)
{
    CL_LIST_EACH(it, &core->nodes)
    {
        cl_node *node = CL_OWNER(it, cl_node, of_core);
        if (!node->config.save_servers) continue;
        cl_buf_clear(&core->scratch);
        if (cl_directory_ids(m, &core->scratch) != 0) return;
        clouds_event event = {.type = CLOUDS_EVENT_SAVE_SERVERS};
        cl_set_text(&event.method, &event.method_len, m->name);
        cl_set_text(&event.data, &event.data_len, cl_buf_str(&core->scratch));
        cl_emit(core, node, &event);
    }
}

/* The calls that wait go on, or end with `code`, whose words the bus has left when it is one of Redis. Each may come
 * back to this list, so it is emptied first. */
static void resume_waiting(cl_method *m, int code, int64_t now)
{
    cl_list_node woken;
    m->refs++;
    cl_list_move(&m->waiting, &woken);
    for (cl_call *call; (call = cl_attempt_next(&woken));) {
        if (code) cl_attempt_fail_with_text(call, code, code == CLOUDS_EAUTH || code == CLOUDS_EREDIS);
        else cl_attempt_dispatch(call, now);
    }
    m->refs--;
}

void cl_core_servers(cl_core *core, cl_str method, const cl_server *servers, size_t n, int code)
{
    cl_method *m = cl_strmap_get(&core->methods, method);
    if (!m) return;
    int64_t now = cl_core_now(core);
    int urgent = m->lookup == 2;
    m->lookup = 0;
    if (code == CLOUDS_EUNREACHABLE) {
        if (!cl_list_empty(&m->waiting)) cl_core_retry_soon(core, now);
        cl_explain_listed(core, m, NULL, 0, code);
        return;
    }
    if (code == 0) code = learn(core, m, servers, n, urgent, now);
    cl_explain_listed(core, m, servers, n, code);
    if (code == 0 && n) emit_saved(core, m);
    m->refs++;
    resume_waiting(m, code, now);
    if (code == 0 && n) cl_attempt_resume(m, now);
    m->refs--;
}

void cl_core_server_up(cl_core *core, cl_str method, cl_server server)
{
    cl_peer *known = cl_peer_find(core, server.id);
    if (known && known->strikes) cl_peer_well_again(core, known);
    cl_method *m = cl_strmap_get(&core->methods, method);
    if (!m || add(core, m, server) != 0) return;
    int64_t now = cl_core_now(core);
    if (known) cl_breaker_announced(known, m, now);
    m->refs++;
    resume_waiting(m, 0, now);
    cl_attempt_resume(m, now);
    m->refs--;
}

void cl_core_server_down(cl_core *core, cl_str method, cl_str server)
{
    cl_method *m = cl_strmap_get(&core->methods, method);
    cl_peer *peer = cl_peer_find(core, server);
    if (!m || !peer) return;
    uint32_t before = m->n;
    cl_peer_hold(peer);
    cl_directory_drop(core, m, peer);
    if (m->n < before) cl_peer_departed(core, m, peer, cl_core_now(core));
    cl_peer_release(core, peer);
}

void cl_directory_lookup_waiting(cl_core *core, int64_t now)
{
    CL_LIST_EACH(it, &core->recent)
    {
        cl_method *m = CL_OWNER(it, cl_method, recent);
        if (!cl_list_empty(&m->waiting)) cl_directory_lookup(core, m, 0, now);
    }
}

/* Lists from before the loss serve, but are refreshed when next used. */
void cl_directory_bus_up(cl_core *core, int64_t now)
{
    CL_LIST_EACH(it, &core->recent)
    {
        cl_method *m = CL_OWNER(it, cl_method, recent);
        m->learned = INT64_MIN;
        m->lookup = 0;
        /* a server may have come up while the connection was lost */
        if (!cl_list_empty(&m->paused)) cl_directory_lookup(core, m, 0, now);
    }
    cl_directory_lookup_waiting(core, now);
}
