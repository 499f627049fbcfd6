/* Design note. Envelopes over Redis: one PUBLISH to the channel of a node each, or several in one. A node lives so:
 *
 *   open      SUBSCRIBE is under way, again after each loss; `opened` each time it is confirmed
 *   confirm   the directory has the id as its own: what arrived meanwhile is delivered. Or it is another's: the
 *             node no longer listens until it is opened again
 *   close     lingers, if it has served: callers that still send to it are answered
 *   leaving   UNSUBSCRIBE and a barrier behind all it sent; when both are answered: node_closed. When that takes long
 *             and no other node stays, the connections are given up
 *
 * Every pending command that points to a node holds a reference. A connection that is lost ends its pending commands,
 * and so ends the references: nothing waits for Redis to come back. The transport is up when both connections are ready
 * and every SUBSCRIBE is answered. The connection for commands is the directory's too, so what it sends first is
 * executed first. */
#include "transport/pubsub/internal.h"

#include "base/error.h"
#include "base/mem.h"
#include "clouds.h"

enum { LEAVE_MS = 500 }; /* so long a node that leaves waits for the answers of Redis */

pubsub_node *cl_pubsub_node_of(cl_pubsub *p, const void *node)
{
    return cl_idmap_get(&p->by_node, cl_redis_ref(node));
}

void cl_pubsub_check_up(cl_pubsub *p)
{
    if (p->base.up || p->closing || p->unconfirmed > 0 || !cl_redis_client_is_ready(p->client)) return;
    p->base.up = 1;
    p->sink.state(p->sink.self, 1, 0, "");
}

static void commands_ready(void *self)
{
    cl_redis_backlog_send(self);
    cl_pubsub_check_up(self);
}

static void leave_soon(cl_pubsub *p, pubsub_node *node)
{
    if (!node->is_leave_due) p->leaves_due++;
    node->is_leave_due = 1;
    cl_loop_defer(p->loop);
}

/* No lingering without a connection. */
void cl_pubsub_end_linger(cl_pubsub *p)
{
    CL_LIST_EACH(link, &p->nodes)
    {
        pubsub_node *node = CL_OWNER(link, pubsub_node, link);
        if (node->closing && !node->leaving) leave_soon(p, node);
    }
}

static void commands_down(void *self)
{
    cl_pubsub *p = self;
    p->base.up = 0;
    cl_pubsub_end_linger(p);
}

/* ---- opening */

static cl_str name_channel(char *room, cl_str prefix, const char *kind, cl_str id)
{
    memcpy(room, prefix.p, prefix.n);
    memcpy(room + prefix.n, kind, 3);
    memcpy(room + prefix.n + 3, id.p, id.n);
    return cl_str_of(room, prefix.n + 3 + id.n);
}

static int name_node(cl_pubsub *p, pubsub_node *node, cl_str id)
{
    cl_str prefix = p->client->prefix;
    size_t n = prefix.n + 3 + id.n;
    node->memory = cl_malloc(2 * n);
    if (!node->memory) return CLOUDS_ENOMEM;
    node->channel = name_channel(node->memory, prefix, ":L:", id);
    node->frames = name_channel(node->memory + n, prefix, ":F:", id);
    node->id = cl_str_of(node->memory + prefix.n + 3, id.n);
    return 0;
}

static int list_node(cl_pubsub *p, pubsub_node *node)
{
    pubsub_node *old = cl_strmap_get(&p->by_channel, node->channel);
    if (old && !old->closing)
        return cl_error(CLOUDS_EEXIST, "the node id %.*s is in use: by another node of this context",
                        node->id.n < 150 ? (int)node->id.n : 150, node->id.p);
    int code = cl_idmap_put(&p->by_node, cl_redis_ref(node->node), node);
    if (!code) code = cl_strmap_put(&p->by_channel, node->channel, node);
    if (!code) code = cl_strmap_put(&p->by_channel, node->frames, node);
    if (code) return cl_error(code, NULL);
    if (p->current == old) p->current = NULL;
    return 0;
}

static void node_free(cl_pubsub *p, pubsub_node *node)
{
    if (p->current == node) p->current = NULL;
    p->leaves_due -= (size_t)node->is_leave_due;
    if (cl_pubsub_node_of(p, node->node) == node) cl_idmap_take(&p->by_node, cl_redis_ref(node->node));
    if (cl_strmap_get(&p->by_channel, node->channel) == node) cl_strmap_take(&p->by_channel, node->channel);
    if (cl_strmap_get(&p->by_channel, node->frames) == node) cl_strmap_take(&p->by_channel, node->frames);
    cl_list_remove(&node->link);
    cl_buf_free(&node->held);
    cl_loop_timer_destroy(node->timer);
    cl_free(node->memory);
    cl_free(node);
}

static int open_anew(cl_pubsub *p, void *handle, cl_str id, pubsub_node **out)
{
    pubsub_node *node = cl_calloc(1, sizeof *node);
    if (!node) return cl_error(CLOUDS_ENOMEM, NULL);
    node->p = p;
    node->node = handle;
    cl_list_init(&node->link);
    cl_list_append(&p->nodes, &node->link);
    int code = name_node(p, node, id);
    if (code) code = cl_error(code, NULL);
    else code = list_node(p, node);
    if (code) node_free(p, node);
    else *out = node;
    return code;
}

static int open_node(cl_transport *base, void *handle, cl_str id, const cl_address *at, cl_address *addresses,
                     size_t *n)
{
    cl_pubsub *p = cl_pubsub_of(base);
    pubsub_node *node = cl_pubsub_node_of(p, handle);
    int code = node ? 0 : open_anew(p, handle, id, &node);
    if (code) return code;
    addresses[0] = *at;
    *n = 1;
    node->refused = 0;
    if (!node->subscribed) cl_pubsub_subscribe(p, node);
    return CL_PENDING;
}

static void confirm(cl_transport *base, void *handle, int code)
{
    cl_pubsub *p = cl_pubsub_of(base);
    pubsub_node *node = cl_pubsub_node_of(p, handle);
    if (!node || node->leaving) return;
    node->listening = code == 0 && node->subscribed;
    if (code == 0) {
        cl_pubsub_deliver_held(p, node);
        return;
    }
    cl_buf_free(&node->held);
    node->refused = 1;
    if (node->subscribed) cl_pubsub_unsubscribe(p, node);
    node->subscribed = 0;
}

/* ---- closing */

static void settle(cl_pubsub *p, pubsub_node *node)
{
    if (!node->leaving || node->refs > 0) return;
    void *handle = node->node;
    node_free(p, node);
    p->sink.node_closed(p->sink.self, handle);
}

void cl_pubsub_node_unref(cl_pubsub *p, pubsub_node *node)
{
    node->refs--;
    settle(p, node);
}

static int others_stay(const cl_pubsub *p)
{
    CL_LIST_EACH(link, &p->nodes)
    if (!CL_OWNER(link, pubsub_node, link)->closing) return 1;
    return 0;
}

static void leave(cl_pubsub *p, pubsub_node *node);
static void on_due(void *self);

static int set_timer(pubsub_node *node, int64_t delay)
{
    int code = node->timer ? 0 : cl_loop_timer_create(node->p->loop, on_due, node, &node->timer);
    if (!code) cl_loop_timer_set(node->timer, cl_loop_now() + delay);
    return code;
}

/* A close waits for no peer: when everybody here leaves, so do the connections. For those that stay the pings decide
 * whether Redis is there, as ever. */
static void unanswered(cl_pubsub *p, pubsub_node *node)
{
    if (others_stay(p)) set_timer(node, LEAVE_MS);
    else cl_redis_client_reconnect(p->client, CLOUDS_EUNREACHABLE, "Redis did not confirm the end of the nodes");
}

static void on_due(void *self)
{
    pubsub_node *node = self;
    if (node->leaving) unanswered(node->p, node);
    else leave(node->p, node);
}

static void on_barrier(void *self, const cl_pending *pending, const cl_reply *reply)
{
    cl_pubsub_node_unref(cl_pubsub_by(self), cl_redis_from_ref(pending));
}

static void on_barrier_lost(void *self, const cl_pending *pending, int sent)
{
    cl_pubsub_node_unref(cl_pubsub_by(self), cl_redis_from_ref(pending));
}

/* All that the node, and the directory for it, sent before is executed. */
static const cl_redis_handler barrier_handler = {"PING", on_barrier, on_barrier_lost, 0};

static void leave(cl_pubsub *p, pubsub_node *node)
{
    if (node->leaving) return;
    node->leaving = 1;
    if (node->timer) cl_loop_timer_stop(node->timer);
    cl_buf_free(&node->held);
    if (cl_strmap_get(&p->by_channel, node->channel) == node) cl_pubsub_unsubscribe(p, node);
    cl_redis_batch_flush(p);
    cl_str barrier[] = {CL_STR("PING")};
    if (!cl_redis_client_send(p->client, &barrier_handler, node, 1, barrier)) node->refs++;
    set_timer(node, LEAVE_MS);
    settle(p, node);
}

static void close_node(cl_transport *base, void *handle, int served)
{
    cl_pubsub *p = cl_pubsub_of(base);
    pubsub_node *node = cl_pubsub_node_of(p, handle);
    if (!node || node->closing) return;
    node->closing = 1;
    double linger = p->client->limits.linger;
    int lingers = served && p->base.up && cl_session_is_ready(p->client->commands) && linger > 0 && !p->closing;
    if (!lingers || set_timer(node, (int64_t)((linger < 3600 ? linger : 3600) * 1000))) leave_soon(p, node);
}

static void leave_due(cl_pubsub *p)
{
    CL_LIST_EACH(link, &p->nodes)
    {
        pubsub_node *node = CL_OWNER(link, pubsub_node, link);
        if (!node->is_leave_due) continue;
        node->is_leave_due = 0;
        p->leaves_due--;
        leave(p, node);
    }
}

static void drain(cl_transport *base, void *handle)
{
}

/* ---- life */

static void flush(cl_transport *base)
{
    cl_pubsub *p = cl_pubsub_of(base);
    if (p->leaves_due) leave_due(p);
    cl_redis_batch_flush(p);
    cl_session_flush(p->client->commands);
    cl_session_flush(p->client->subscriber);
    if (!p->closing || p->told_closed || !cl_list_empty(&p->nodes)) return;
    if (!p->session_closed) {
        cl_session_close(p->client->subscriber);
        return;
    }
    p->told_closed = 1;
    cl_redis_backlog_drop(p, 1);
    p->sink.closed(p->sink.self);
}

static void close_transport(cl_transport *base)
{
    cl_pubsub *p = cl_pubsub_of(base);
    if (p->closing) return;
    p->closing = 1;
    p->base.up = 0;
    CL_LIST_EACH(link, &p->nodes)
    {
        pubsub_node *node = CL_OWNER(link, pubsub_node, link);
        node->closing = 1;
        if (!node->leaving) leave_soon(p, node);
    }
    cl_loop_defer(p->loop);
}

static void destroy(cl_transport *base)
{
    cl_pubsub *p = cl_pubsub_of(base);
    while (!cl_list_empty(&p->nodes)) node_free(p, CL_OWNER(p->nodes.next, pubsub_node, link));
    cl_redis_backlog_drop(p, 0);
    cl_redis_batch_free(p);
    cl_idmap_free(&p->by_node);
    cl_strmap_free(&p->by_channel);
    cl_pubsub_channels_free(p);
    cl_buf_free(&p->scratch);
    cl_free(p);
}

static const cl_transport_ops ops = {
    .open = open_node,
    .confirm = confirm,
    .send = cl_redis_send,
    .subscribe = cl_pubsub_topic_subscribe,
    .unsubscribe = cl_pubsub_topic_unsubscribe,
    .publish = cl_pubsub_topic_publish,
    .drain = drain,
    .close_node = close_node,
    .flush = flush,
    .close = close_transport,
    .destroy = destroy,
};

int cl_pubsub_transport_create(cl_redis_client *client, const cl_transport_sink *sink, cl_transport **out)
{
    cl_pubsub *p = cl_calloc(1, sizeof *p);
    if (!p) return cl_error(CLOUDS_ENOMEM, NULL);
    p->base = (cl_transport){.ops = &ops, .has_work = 1};
    p->loop = client->loop;
    p->sink = *sink;
    p->client = client;
    cl_list_init(&p->nodes);
    cl_list_init(&p->backlog);
    cl_list_init(&p->open_batches);
    cl_list_init(&p->idle_batches);
    cl_list_init(&p->awaited);
    cl_list_init(&p->members_sent);
    client->pubsub = (cl_redis_user){p, commands_ready, commands_down, NULL, NULL};
    int code = cl_pubsub_subscriber_create(p);
    if (code == 0) *out = &p->base;
    else destroy(&p->base);
    return code ? cl_error(code, NULL) : 0;
}
