#include "core/internal.h"

/* What nodes with the option peer_events are told of servers of the methods that are called from here. A server that is
 * down may be paused or gone, which its directory does not say at once: then the list is asked for, and tells. */

enum { DEPARTED_MOST = 65536 /* bytes of ids, for a method */ };

int cl_peer_events_wanted(const cl_core *core)
{
    CL_LIST_EACH(it, &core->nodes)
    if (CL_OWNER(it, cl_node, of_core)->config.peer_events) return 1;
    return 0;
}

void cl_peer_tell(cl_core *core, cl_str id, const cl_method *m, int state)
{
    CL_LIST_EACH(it, &core->nodes)
    {
        const cl_node *node = CL_OWNER(it, cl_node, of_core);
        if (!node->config.peer_events) continue;
        clouds_event event = {.type = CLOUDS_EVENT_PEER, .number = state};
        cl_set_text(&event.peer, &event.peer_len, id);
        if (m) cl_set_text(&event.method, &event.method_len, m->name);
        cl_emit(core, node, &event);
    }
}

int cl_peer_is_listed(const cl_core *core, const cl_peer *peer)
{
    CL_LIST_EACH(it, &core->recent)
    {
        const cl_method *m = CL_OWNER(it, cl_method, recent);
        for (uint32_t i = 0; i < m->n; i++)
            if (m->servers[i] == peer) return 1;
    }
    return 0;
}

/* 1: a list names it as paused, 0: as one that takes calls, -1: not at all. */
static int named(cl_str id, const cl_server *servers, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (cl_str_eq(servers[i].id, id)) return servers[i].paused != 0;
    return -1;
}

void cl_peer_left(cl_core *core, const cl_method *m, cl_str id, const cl_server *servers, size_t n)
{
    int how = named(id, servers, n);
    if (how != 0) cl_peer_tell(core, id, m, how > 0 ? CLOUDS_PEER_PAUSED : CLOUDS_PEER_GONE);
}

/* Without memory for it nothing is told of it. */
void cl_peer_departed(cl_core *core, cl_method *m, const cl_peer *peer, int64_t now)
{
    if (!cl_peer_events_wanted(core) || m->departed.len > DEPARTED_MOST) return;
    size_t before = m->departed.len;
    int code = cl_buf_put(&m->departed, &peer->id.n, sizeof peer->id.n);
    if (code == 0) code = cl_buf_put_str(&m->departed, peer->id);
    if (code) m->departed.len = before;
    cl_directory_lookup(core, m, 1, now);
}

void cl_peers_departed(cl_core *core, cl_method *m, const cl_server *servers, size_t n)
{
    for (size_t at = 0, length; at < m->departed.len; at += sizeof length + length) {
        memcpy(&length, m->departed.data + at, sizeof length);
        cl_peer_left(core, m, cl_str_of(m->departed.data + at + sizeof length, length), servers, n);
    }
    cl_buf_clear(&m->departed);
}
