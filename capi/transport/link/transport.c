/* Design notes
 *
 * Links: a conn for each pair of processes that call each other, which carries frames. Whom a node is reached by, and
 * whether it lives, is the directory's to say; where it listens is an address that one of the endpoint files
 * understands. What an operation has to report is deferred, once a turn. */
#include "transport/link/internal.h"

#include <stdio.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"

enum { CLOSE_BUS_MS = 1000, DRAIN_MS = 500 };

static int reaches(cl_transport *base, const cl_address *address)
{
    return cl_links_of(base)->has_contexts ? strncmp(address->text, "link:", 5) == 0
                                           : cl_endpoint_unix_reaches(address);
}

/* ---- the end */

static void force_links(cl_link_transport *t)
{
    CL_LIST_EACH(it, &t->links) cl_conn_close(CL_OWNER(it, cl_peer_link, place)->conn, 0);
}

/* Others may still send to the context: they are told that it ends, and say when they have stopped. */
static void announce_end(cl_link_transport *t)
{
    CL_LIST_EACH(it, &t->links)
    {
        cl_peer_link *link = CL_OWNER(it, cl_peer_link, place);
        if (link->is_context && link->accepted && link->state == CL_LINK_OPEN)
            cl_link_send_control(link, CL_FRAME_DRAINING, CL_STR_NONE);
    }
    t->drain_by = cl_loop_now() + DRAIN_MS;
}

static int is_awaited(const cl_peer_link *link)
{
    return link->is_context && link->accepted && link->state == CL_LINK_OPEN && !link->half_closed &&
           cl_loop_now() < link->t->drain_by;
}

/* Ends the links that nothing comes over any more. */
static void finish_links(cl_link_transport *t)
{
    int left = 0;
    CL_LIST_EACH(it, &t->links)
    {
        cl_peer_link *link = CL_OWNER(it, cl_peer_link, place);
        if (is_awaited(link)) left = 1;
        else if (link->state != CL_LINK_ENDING) cl_link_finish(link);
    }
    if (left) cl_links_due_by(t, t->drain_by);
    t->links_finishing = !left;
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
    if (t->closing && cl_list_empty(&t->endpoints) && !t->links_finishing) finish_links(t);
    finish_close(t);
}

static void close_listeners(cl_link_transport *t)
{
    cl_endpoint_unix_close(t);
    cl_listener_close(t->tcp_listener);
    t->tcp_listener = NULL;
}

static void close_transport(cl_transport *base)
{
    cl_link_transport *t = cl_links_of(base);
    if (t->closing) return;
    CL_LIST_EACH(it, &t->endpoints) cl_endpoint_begin_close(CL_OWNER(it, cl_endpoint, place));
    t->closing = t->ending = base->has_work = 1;
    announce_end(t);
    close_listeners(t);
    t->close_by = cl_loop_now() + CLOSE_BUS_MS;
    cl_links_due_by(t, t->close_by);
    cl_loop_defer(t->loop);
}

/* After the end of the loop, which has ended all links. */
static void destroy(cl_transport *base)
{
    cl_link_transport *t = cl_links_of(base);
    CL_LIST_EACH(it, &t->endpoints) cl_endpoint_free(CL_OWNER(it, cl_endpoint, place));
    close_listeners(t);
    cl_ways_free(t);
    cl_tls_context_free(t->tls);
    cl_deferred_free(&t->deferred);
    cl_loop_timer_destroy(t->timer);
    cl_strmap_free(&t->endpoint_by_id);
    cl_strmap_free(&t->link_by_peer);
    cl_idmap_free(&t->endpoint_by_node);
    cl_idmap_free(&t->link_by_id);
    cl_free(t);
}

static const cl_transport_ops ops = {
    .put_links = cl_links_put,
    .open = cl_endpoint_open,
    .reaches = reaches,
    .send = cl_link_send,
    .recall = cl_link_recall,
    .is_open = cl_way_is_open,
    .forget = cl_way_forget,
    .drain = cl_endpoint_drain,
    .close_node = cl_endpoint_close,
    .flush = flush,
    .close = close_transport,
    .destroy = destroy,
};

/* A name that nobody else has. */
static int name_context(cl_link_transport *t)
{
    uint64_t id;
    int code = cl_random_bytes(&id, sizeof id);
    if (code != 0) return cl_error(CLOUDS_ESYSTEM, "no random bytes");
    t->random = id ^ 1;
    snprintf(t->context, sizeof t->context, "%016llx", (unsigned long long)id);
    return 0;
}

static int listen_in_context(cl_link_transport *t, const cl_direct *direct)
{
    t->direct = *direct;
    t->has_contexts = 1;
    int code = name_context(t);
    if (code != 0) return code;
    code = cl_endpoint_unix_open(t);
    int is_needed = !t->is_beside && !direct->tcp; /* else others come another way */
    if (code != 0 && is_needed) return code;
    if (code != 0) cl_log(CLOUDS_LOG_INFO, "no links between processes of this machine: %s", clouds_last_error());
    return cl_endpoint_tcp_open(t);
}

static int create(cl_loop *loop, const cl_limits *limits, const cl_transport_sink *sink, int is_beside,
                  cl_transport **out)
{
    cl_link_transport *t = cl_calloc(1, sizeof *t);
    if (!t) return cl_error(CLOUDS_ENOMEM, NULL);
    t->base = (cl_transport){.ops = &ops, .up = 1, .knows_losses = 1};
    t->loop = loop;
    t->limits = *limits;
    t->sink = *sink;
    t->is_beside = is_beside;
    t->due = INT64_MAX;
    cl_list_init(&t->endpoints);
    cl_list_init(&t->links);
    cl_list_init(&t->ways);
    cl_deferred_init(&t->deferred, loop, t, &t->base.has_work);
    int code = cl_loop_timer_create(loop, cl_links_due, t, &t->timer);
    if (code == 0 && limits->direct) code = listen_in_context(t, limits->direct);
    t->limits.direct = NULL; /* it was read */
    if (code == 0) *out = &t->base;
    else destroy(&t->base);
    return code;
}

int cl_link_transport_create(cl_loop *loop, const cl_limits *limits, const cl_transport_sink *sink, cl_transport **out)
{
    return create(loop, limits, sink, 0, out);
}

int cl_link_transport_create_beside(cl_loop *loop, const cl_limits *limits, const cl_transport_sink *sink,
                                    cl_transport **out)
{
    return create(loop, limits, sink, 1, out);
}
