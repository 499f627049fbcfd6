/* Design notes
 *
 * A node of ours listens until it is closed. Draining tells every link, whose peer answers behind its last call.
 * Closing ends the listener, and each link when that answer has come and all is written (bounded by CLOSE_NODE_MS):
 * until then calls still come and are refused. */
#include "transport/link/internal.h"

#include <stdio.h>

#include "base/error.h"
#include "base/mem.h"

enum {
    CLOSE_NODE_MS = 500 /* a peer that takes longer than that to take what is written, or to say that it stops too, may
                           be stopped for good */
};

static cl_endpoint *endpoint_of(cl_link_transport *t, const void *node)
{
    return cl_idmap_get(&t->endpoint_by_node, (uint64_t)(uintptr_t)node);
}

/* ---- opening */

static int enlist(cl_link_transport *t, cl_endpoint *e)
{
    cl_list_append(&t->endpoints, &e->place);
    int code = cl_idmap_put(&t->endpoint_by_node, (uint64_t)(uintptr_t)e->node, e);
    return code ? code : cl_strmap_put(&t->endpoint_by_id, e->id, e);
}

static int make(cl_link_transport *t, void *node, cl_str id, cl_endpoint **out)
{
    cl_endpoint *e = cl_calloc(1, sizeof *e);
    if (!e) return cl_error(CLOUDS_ENOMEM, NULL);
    e->t = t;
    e->node = node;
    e->id = id;
    if (enlist(t, e) != 0) {
        cl_endpoint_free(e);
        return cl_error(CLOUDS_ENOMEM, NULL);
    }
    *out = e;
    return 0;
}

static int open_anew(cl_link_transport *t, void *node, cl_str id, const cl_address *at)
{
    cl_endpoint *e;
    int code = make(t, node, id, &e);
    if (code != 0) return code;
    code = cl_endpoint_unix_listen(e, at);
    if (code != 0) cl_endpoint_free(e);
    return code;
}

/* Where the context listens. */
static size_t addresses_of(const cl_link_transport *t, cl_address *out)
{
    const char *const texts[] = {t->unix_address, t->tcp_address};
    size_t n = 0;
    for (size_t i = 0; i < 2; i++)
        if (*texts[i]) snprintf(out[1 + n++].text, sizeof out->text, "%s", texts[i]);
    if (n) cl_ways_address(t, &out[0]);
    return n ? n + 1 : 0;
}

/* A node that others find by its context. */
static int open_in_context(cl_link_transport *t, void *node, cl_str id, cl_address *addresses, size_t *n)
{
    cl_endpoint *e = endpoint_of(t, node);
    int code = e ? 0 : make(t, node, id, &e);
    *n = code == 0 ? addresses_of(t, addresses) : 0;
    return code;
}

int cl_endpoint_open(cl_transport *base, void *node, cl_str id, const cl_address *at, cl_address *addresses, size_t *n)
{
    cl_link_transport *t = cl_links_of(base);
    cl_endpoint *e = endpoint_of(t, node);
    int code;
    if (t->has_contexts) return open_in_context(t, node, id, addresses, n);
    if (e) {
        cl_listener_close(e->listener);
        e->listener = NULL;
        code = e->closing ? cl_error(CLOUDS_ECLOSED, NULL) : cl_endpoint_unix_listen(e, at);
    } else {
        code = open_anew(t, node, id, at);
    }
    addresses[0] = *at;
    *n = code == 0;
    return code;
}

void cl_endpoint_free(cl_endpoint *e)
{
    cl_link_transport *t = e->t;
    if (endpoint_of(t, e->node) == e) cl_idmap_take(&t->endpoint_by_node, (uint64_t)(uintptr_t)e->node);
    if (cl_strmap_get(&t->endpoint_by_id, e->id) == e) cl_strmap_take(&t->endpoint_by_id, e->id);
    if (t->last_endpoint == e) t->last_endpoint = NULL;
    CL_LIST_EACH(it, &t->links)
    {
        cl_peer_link *link = CL_OWNER(it, cl_peer_link, place);
        if (link->named == e) link->named = NULL;
    }
    cl_list_remove(&e->place);
    cl_listener_close(e->listener);
    cl_free(e);
}

/* ---- the end */

static void drain(cl_endpoint *e)
{
    if (e->draining) return;
    e->draining = 1;
    CL_LIST_EACH(it, &e->t->links)
    {
        cl_peer_link *link = CL_OWNER(it, cl_peer_link, place);
        int is_its_own = link->endpoint == e || (link->is_context && link->accepted);
        if (is_its_own && link->state == CL_LINK_OPEN) cl_link_send_control(link, CL_FRAME_DRAINING, e->id);
    }
}

void cl_endpoint_drain(cl_transport *base, void *node)
{
    cl_endpoint *e = endpoint_of(cl_links_of(base), node);
    if (e) drain(e);
}

void cl_endpoint_begin_close(cl_endpoint *e)
{
    cl_link_transport *t = e->t;
    if (e->closing) return;
    drain(e);
    e->closing = 1;
    cl_listener_close(e->listener);
    e->listener = NULL;
    CL_LIST_EACH(it, &t->links)
    {
        cl_peer_link *link = CL_OWNER(it, cl_peer_link, place);
        if (link->endpoint == e && link->half_closed) cl_link_finish(link);
    }
    t->ending = t->base.has_work = 1;
    e->close_by = cl_loop_now() + CLOSE_NODE_MS;
    cl_links_due_by(t, e->close_by);
    cl_loop_defer(t->loop);
}

void cl_endpoint_close(cl_transport *base, void *node, int served)
{
    cl_endpoint *e = endpoint_of(cl_links_of(base), node);
    if (e) cl_endpoint_begin_close(e);
}

/* Nothing of what was accepted for sending waits any more. Calls that wait for a link end with their node. */
static int is_quiet(const cl_link_transport *t)
{
    CL_LIST_EACH(it, &t->links)
    {
        const cl_peer_link *link = CL_OWNER(it, cl_peer_link, place);
        int counts = !link->accepted || link->is_context;
        if (counts && (link->worth || (link->state == CL_LINK_OPEN && cl_link_unwritten(link)))) return 0;
    }
    return 1;
}

static void close_links(cl_endpoint *e)
{
    CL_LIST_EACH(it, &e->t->links)
    {
        cl_peer_link *link = CL_OWNER(it, cl_peer_link, place);
        if (link->endpoint == e) link->endpoint = NULL, cl_conn_close(link->conn, 0);
    }
}

void cl_endpoints_finish(cl_link_transport *t)
{
    int left = 0, quiet = is_quiet(t);
    int64_t now = cl_loop_now();
    CL_LIST_EACH(it, &t->endpoints)
    {
        cl_endpoint *e = CL_OWNER(it, cl_endpoint, place);
        if (!e->closing) continue;
        if (now < e->close_by && (e->links || !quiet)) {
            left = 1;
            cl_links_due_by(t, e->close_by);
            continue;
        }
        void *node = e->node;
        close_links(e);
        cl_endpoint_free(e);
        t->sink.node_closed(t->sink.self, node);
    }
    t->ending = left || t->closing;
    if (t->ending) t->base.has_work = 1;
}
