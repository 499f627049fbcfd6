/* Design notes
 *
 * Links: a conn for each pair of processes that call each other, which carries frames. Whom a node is reached by, and
 * whether it lives, is the directory's to say; where it listens is an address that one of the endpoint files
 * understands. What an operation has to report is deferred, once a turn. */
#include "transport/link/internal.h"

#include "base/error.h"
#include "base/mem.h"

enum { CLOSE_BUS_MS = 1000 };

static int reaches(cl_transport *base, const cl_address *address)
{
    return cl_endpoint_unix_reaches(address);
}

/* ---- the end */

static void force_links(cl_link_transport *t)
{
    CL_LIST_EACH(it, &t->links) cl_conn_close(CL_OWNER(it, cl_peer_link, place)->conn, 0);
}

static void finish_close(cl_link_transport *t)
{
    if (!t->closing || t->told_closed || !cl_list_empty(&t->endpoints)) return;
    if (cl_loop_now() >= t->close_by) force_links(t);
    else cl_links_due_by(t, t->close_by);
    if (!cl_list_empty(&t->links) || !cl_deferred_is_empty(&t->deferred)) return;
    t->told_closed = 1;
    t->ending = 0;
    t->sink.closed(t->sink.self);
}

static void flush(cl_transport *base)
{
    cl_link_transport *t = cl_links_of(base);
    base->has_work = t->ending;
    cl_deferred_run(&t->deferred);
    if (!t->ending) return;
    cl_endpoints_finish(t);
    if (t->closing && cl_list_empty(&t->endpoints) && !t->links_finishing) {
        t->links_finishing = 1;
        CL_LIST_EACH(it, &t->links) cl_link_finish(CL_OWNER(it, cl_peer_link, place));
    }
    finish_close(t);
}

static void close_transport(cl_transport *base)
{
    cl_link_transport *t = cl_links_of(base);
    if (t->closing) return;
    CL_LIST_EACH(it, &t->endpoints) cl_endpoint_begin_close(CL_OWNER(it, cl_endpoint, place));
    t->closing = t->ending = base->has_work = 1;
    t->close_by = cl_loop_now() + CLOSE_BUS_MS;
    cl_links_due_by(t, t->close_by);
    cl_loop_defer(t->loop);
}

/* After the end of the loop, which has ended all links. */
static void destroy(cl_transport *base)
{
    cl_link_transport *t = cl_links_of(base);
    CL_LIST_EACH(it, &t->endpoints) cl_endpoint_free(CL_OWNER(it, cl_endpoint, place));
    cl_deferred_free(&t->deferred);
    cl_loop_timer_destroy(t->timer);
    cl_strmap_free(&t->endpoint_by_id);
    cl_strmap_free(&t->link_by_peer);
    cl_idmap_free(&t->endpoint_by_node);
    cl_idmap_free(&t->link_by_id);
    cl_free(t);
}

static const cl_transport_ops ops = {
    .open = cl_endpoint_open,
    .reaches = reaches,
    .send = cl_link_send,
    .recall = cl_link_recall,
    .drain = cl_endpoint_drain,
    .close_node = cl_endpoint_close,
    .flush = flush,
    .close = close_transport,
    .destroy = destroy,
};

int cl_link_transport_create(cl_loop *loop, const cl_limits *limits, const cl_transport_sink *sink, cl_transport **out)
{
    cl_link_transport *t = cl_calloc(1, sizeof *t);
    if (!t) return cl_error(CLOUDS_ENOMEM, NULL);
    t->base = (cl_transport){.ops = &ops, .up = 1};
    t->loop = loop;
    t->limits = *limits;
    t->sink = *sink;
    t->due = INT64_MAX;
    cl_list_init(&t->endpoints);
    cl_list_init(&t->links);
    cl_deferred_init(&t->deferred, loop, t, &t->base.has_work);
    int code = cl_loop_timer_create(loop, cl_links_due, t, &t->timer);
    if (code == 0) *out = &t->base;
    else destroy(&t->base);
    return code;
}
