/* Design note. The directory on Redis: keys with a TTL, announcements on a channel, and a record for each native node.
 * It is up when its connection is ready, the ids of all nodes are claimed and their registrations are sent again.
 *
 *   claim      nothing: whose an id is can be asked only when the node listens
 *   announce   it listens, so the id is asked for (claim.c): its own, it is found from now on; another's, it is refused
 *              - for good when it never was its own, else it listens anew after a while, and asks again
 *   drain      its registrations are taken back
 *   leave      when every command that points to it is answered. A connection that is lost ends its pending commands,
 * so nothing waits for Redis to come back
 *
 * What cannot be reported from inside a call of the owner is deferred to flush. */
#include "directory/redis/internal.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/seconds.h"
#include "clouds.h"

redis_node *cl_redis_node_of(redis_directory *d, void *handle)
{
    return cl_idmap_get(&d->by_handle, cl_redis_ref(handle));
}

/* ---- up and down */

void cl_redis_check_up(redis_directory *d)
{
    if (d->base.up || d->closing || d->subscribing || d->claiming > 0) return;
    if (!cl_redis_client_is_ready(d->client)) return;
    d->base.up = 1;
    d->sink.state(d->sink.self, 1, 0, "");
}

static void on_ready(void *self)
{
    redis_directory *d = redis_directory_of(self);
    CL_LIST_EACH(link, &d->nodes)
    {
        redis_node *node = CL_OWNER(link, redis_node, link);
        node->tries = 0;
        if (node->subscribed) cl_redis_claim(d, node);
        else cl_redis_restore(d, node);
    }
    cl_redis_subscribers_ask(d);
    d->client->pubsub.ready(d->client->pubsub.self);
    cl_redis_check_up(d);
}

static void on_down(void *self, int was_ready, int code, const char *words)
{
    redis_directory *d = redis_directory_of(self);
    if (cl_session_role(d->client->commands)->is_replica) cl_session_cut(d->client->subscriber, code, words);
    cl_redis_lookups_fail(d);
    cl_redis_statuses_fail(d);
    d->base.up = 0;
    d->client->pubsub.down(d->client->pubsub.self);
    if (!d->closing) d->sink.state(d->sink.self, 0, code, words);
}

static void on_accepted(void *self, const cl_pending *pending)
{
    cl_redis_client_accepted(self, cl_redis_verb(pending));
}

static void on_nothing(void *self, cl_str text)
{
    /* This connection subscribes to nothing, and its reader takes no pushes. */
}

static void on_closed(void *self)
{
    redis_directory *d = redis_directory_of(self);
    d->told_closed = 1;
    if (d->closing) d->sink.closed(d->sink.self);
}

/* ---- the connection that subscribes */

static void subscriber_ready(void *self)
{
    redis_directory *d = self;
    cl_redis_news_ready(d);
    cl_redis_subscribers_ready(d);
    cl_redis_check_up(d);
}

static void subscriber_down(void *self)
{
    redis_directory *d = self;
    d->base.up = 0;
    cl_redis_news_down(d);
    cl_redis_lookups_begin(d, CL_STR_NONE); /* the connection that asks may be well */
    cl_redis_subscribers_down(d);
    CL_LIST_EACH(link, &d->nodes)
    {
        redis_node *node = CL_OWNER(link, redis_node, link);
        node->subscribed = node->listening = 0;
        node->tries = 0;
    }
}

static void announcement(void *self, cl_str payload)
{
    cl_redis_announced(self, payload);
}

static void subscriber(void *self, cl_str payload)
{
    cl_redis_subscriber_changed(self, payload);
}

/* ---- deferred work */

void cl_redis_defer(redis_directory *d, redis_node *node)
{
    if (node && cl_list_empty(&node->deferred)) cl_list_append(&d->deferred_nodes, &node->deferred);
    d->base.has_work = 1;
    cl_loop_defer(d->loop);
}

static void node_deferred(redis_directory *d, redis_node *node)
{
    cl_list_remove(&node->deferred);
    if (!node->to_announce) return;
    node->to_announce = 0;
    cl_redis_announce(d, node, 'u', CL_STR_NONE);
}

static void flush(cl_directory *base)
{
    redis_directory *d = redis_of(base);
    base->has_work = 0;
    while (!cl_list_empty(&d->deferred_nodes)) node_deferred(d, CL_OWNER(d->deferred_nodes.next, redis_node, deferred));
    cl_redis_lookups_failed(d);
    cl_redis_statuses_failed(d);
    if (!cl_session_is_ready(d->client->commands)) cl_redis_statuses_fail(d);
}

/* ---- nodes */

static int name_node(redis_directory *d, redis_node *node, cl_str id)
{
    size_t n = d->client->prefix.n + 3 + id.n;
    node->memory = cl_malloc(n * 2);
    if (!node->memory) return CLOUDS_ENOMEM;
    cl_str *names[] = {&node->channel, &node->record_key};
    for (int i = 0; i < 2; i++) {
        char *p = node->memory + n * (size_t)i;
        memcpy(p, d->client->prefix.p, d->client->prefix.n);
        memcpy(p + d->client->prefix.n, i ? ":N:" : ":L:", 3);
        memcpy(p + d->client->prefix.n + 3, id.p, id.n);
        *names[i] = cl_str_of(p, n);
    }
    node->id = cl_str_of(node->channel.p + d->client->prefix.n + 3, id.n);
    return 0;
}

/* A TTL is whole seconds: twice the heartbeat, rounded up. Heartbeats that a timer cannot take are brought into bounds.
 */
static void set_heartbeat(redis_node *node, double heartbeat)
{
    if (!(heartbeat > 0)) heartbeat = 5;
    heartbeat = cl_at_most(heartbeat);
    uint64_t ttl = (uint64_t)(heartbeat * 2);
    if ((double)ttl < heartbeat * 2) ttl++;
    node->ttl[cl_digits(node->ttl, ttl > 0 ? ttl : 1)] = '\0';
    node->period = heartbeat < 0.1 ? 100 : (int64_t)(heartbeat * 1000);
}

/* One that drains may have been closed already; whether it still listens is known to its transport. */
static int list_node(redis_directory *d, redis_node *node)
{
    redis_node *old = cl_strmap_get(&d->by_channel, node->channel);
    if (old && !old->draining)
        return cl_error(CLOUDS_EEXIST, "the node id %.*s is in use: by another node of this context",
                        node->id.n < 150 ? (int)node->id.n : 150, node->id.p);
    int code = cl_idmap_put(&d->by_handle, cl_redis_ref(node->handle), node);
    if (!code) code = cl_strmap_put(&d->by_channel, node->channel, node);
    cl_list_append(&d->nodes, &node->link);
    return code ? cl_error(code, NULL) : 0;
}

static void node_free(redis_directory *d, redis_node *node)
{
    if (cl_redis_node_of(d, node->handle) == node) cl_idmap_take(&d->by_handle, cl_redis_ref(node->handle));
    if (cl_strmap_get(&d->by_channel, node->channel) == node) cl_strmap_take(&d->by_channel, node->channel);
    cl_list_remove(&node->link);
    cl_list_remove(&node->deferred);
    cl_redis_regs_free(node);
    cl_redis_subscriptions_free(node);
    cl_loop_timer_destroy(node->timer);
    cl_free(node->addresses);
    cl_free(node->memory);
    cl_free(node);
}

static int claim(cl_directory *base, void *handle, cl_str id, double heartbeat, cl_address *at)
{
    redis_directory *d = redis_of(base);
    redis_node *node = cl_calloc(1, sizeof *node);
    if (!node) return cl_error(CLOUDS_ENOMEM, NULL);
    node->d = d;
    node->handle = handle;
    cl_list_init(&node->link);
    cl_list_init(&node->deferred);
    cl_list_init(&node->subscriptions);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    node->started = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    set_heartbeat(node, heartbeat);
    int code = name_node(d, node, id);
    if (code) code = cl_error(code, NULL);
    else code = list_node(d, node);
    if (code) node_free(d, node);
    snprintf(at->text, sizeof at->text, "channel:");
    return code;
}

/* Those of links go into the record; that of the channel is known by the id. */
static int keep_addresses(redis_node *node, const cl_address *addresses, size_t n)
{
    node->addresses_n = 0;
    if (n && !node->addresses) node->addresses = cl_malloc(REDIS_ADDRESSES * sizeof *addresses);
    if (n && !node->addresses) return cl_error(CLOUDS_ENOMEM, NULL);
    for (size_t i = 0; i < n && node->addresses_n < REDIS_ADDRESSES; i++)
        if (strncmp(addresses[i].text, "channel:", 8) != 0) node->addresses[node->addresses_n++] = addresses[i];
    return 0;
}

static int announce(cl_directory *base, void *handle, const cl_address *addresses, size_t n)
{
    redis_directory *d = redis_of(base);
    redis_node *node = cl_redis_node_of(d, handle);
    if (!node) return cl_error(CLOUDS_ECLOSED, NULL);
    int code = d->wants_places ? keep_addresses(node, addresses, n) : 0;
    if (code != 0) return code;
    node->subscribed = 1;
    node->again = node->owned;
    cl_redis_claim(d, node);
    return CL_PENDING;
}

static void pursue(redis_directory *d, redis_node *node);

/* The timer of a node. */
static void on_due(void *self)
{
    redis_node *node = self;
    redis_directory *d = node->d;
    if (node->leaving) return;
    if (!node->listening) {
        pursue(d, node);
        return;
    }
    cl_redis_renew(d, node);
    if (cl_redis_has_heartbeat(node)) cl_redis_node_beat_later(d, node);
}

static int set_timer(redis_directory *d, redis_node *node, int64_t when)
{
    int code = node->timer ? 0 : cl_loop_timer_create(d->loop, on_due, node, &node->timer);
    if (!code) cl_loop_timer_set(node->timer, when);
    return code;
}

int cl_redis_node_set_timer(redis_directory *d, redis_node *node, int64_t delay)
{
    return set_timer(d, node, cl_loop_now() + delay);
}

int cl_redis_node_beat_later(redis_directory *d, redis_node *node)
{
    return set_timer(d, node, cl_loop_together(d->loop, cl_loop_now() + node->period, node->period));
}

void cl_redis_node_listens(redis_directory *d, redis_node *node)
{
    if (node->refused_code)
        cl_log_about(CLOUDS_LOG_WARN, &(cl_log_facts){.node = node->id}, "%s: the node %.*s listens again",
                     d->client->display_url, (int)node->id.n, node->id.p);
    node->listening = node->owned = node->announced = 1;
    node->refused_code = 0;
    node->tries = 0;
    if (cl_redis_has_heartbeat(node)) cl_redis_node_beat_later(d, node);
    cl_redis_restore(d, node);
    d->sink.announced(d->sink.self, node->handle, 0, "");
}

/* Soon at first, then about as often as the heartbeat. */
static int64_t pause_of(redis_node *node)
{
    int64_t pause = 100;
    for (unsigned i = 0; i < node->tries && pause < node->period; i++) pause *= 2;
    if (node->tries < 30) node->tries++;
    return pause < node->period ? pause : node->period;
}

void cl_redis_node_refused(redis_directory *d, redis_node *node, int code, const char *words)
{
    int is_new = node->refused_code != code;
    node->subscribed = node->listening = 0;
    node->refused_code = code;
    if (is_new) node->tries = 0;
    if (is_new && node->announced)
        cl_log_about(CLOUDS_LOG_WARN, &(cl_log_facts){.node = node->id},
                     "%s: the node %.*s cannot listen, and tries again: %s", d->client->display_url, (int)node->id.n,
                     node->id.p, words);
    cl_redis_regs_unlist(node);
    cl_redis_registers_end(d, node, code, words);
    if (node->announced) cl_redis_node_set_timer(d, node, pause_of(node));
    d->sink.announced(d->sink.self, node->handle, code, words);
}

static void unlistened(cl_directory *base, void *handle, int code, const char *words)
{
    redis_directory *d = redis_of(base);
    redis_node *node = cl_redis_node_of(d, handle);
    if (node && !node->leaving) cl_redis_node_refused(d, node, code, words);
}

/* The timer of a node that does not listen. Who waits for the connection is announced when that is back. */
static void pursue(redis_directory *d, redis_node *node)
{
    const cl_address at = {"channel:"};
    if (node->subscribed) {
        cl_redis_claim(d, node);
        return;
    }
    if (!node->refused_code || !node->announced) return;
    d->sink.relisten(d->sink.self, node->handle, &at);
    cl_redis_node_set_timer(d, node, pause_of(node));
}

static void drain(cl_directory *base, void *handle)
{
    redis_directory *d = redis_of(base);
    redis_node *node = cl_redis_node_of(d, handle);
    if (!node || node->draining) return;
    node->draining = 1;
    cl_redis_claim_end(d, node);
    cl_redis_subscriptions_end(d, node);
    cl_redis_unregister_all(d, node);
}

/* Nothing points to it any more. */
static void gone(redis_directory *d, redis_node *node)
{
    cl_redis_regs_end(d, node);
    node_free(d, node);
}

static int leave(cl_directory *base, void *handle)
{
    redis_directory *d = redis_of(base);
    redis_node *node = cl_redis_node_of(d, handle);
    if (!node) return 0;
    node->leaving = 1;
    node->subscribed = node->listening = 0;
    if (node->timer) cl_loop_timer_stop(node->timer);
    if (node->refs > 0) return CL_PENDING;
    gone(d, node);
    return 0;
}

void cl_redis_node_unref(redis_directory *d, redis_node *node)
{
    node->refs--;
    if (!node->leaving || node->refs > 0) return;
    void *handle = node->handle;
    gone(d, node);
    d->sink.left(d->sink.self, handle);
}

/* ---- life */

static void close_directory(cl_directory *base)
{
    redis_directory *d = redis_of(base);
    if (d->closing) return;
    d->closing = 1;
    d->base.up = 0;
    cl_loop_timer_stop(d->scan.timer);
    if (d->told_closed) d->sink.closed(d->sink.self);
    else cl_session_close(d->client->commands);
}

static void destroy(cl_directory *base)
{
    redis_directory *d = redis_of(base);
    while (!cl_list_empty(&d->nodes)) node_free(d, CL_OWNER(d->nodes.next, redis_node, link));
    cl_redis_lookups_free(d);
    cl_redis_statuses_free(d);
    cl_redis_scan_free(d);
    cl_redis_places_free(d);
    cl_redis_questions_free(d);
    cl_redis_news_free(d);
    cl_idmap_free(&d->by_handle);
    cl_idmap_free(&d->ops);
    cl_strmap_free(&d->by_channel);
    cl_buf_free(&d->scratch);
    cl_buf_free(&d->text);
    cl_free(d);
}

static const cl_directory_ops ops = {
    .claim = claim,
    .announce = announce,
    .unlistened = unlistened,
    .add = cl_redis_register,
    .remove = cl_redis_unregister,
    .pause = cl_redis_pause,
    .describe = cl_redis_describe,
    .abandon = cl_redis_abandon,
    .subscribe = cl_redis_subscribe,
    .unsubscribe = cl_redis_unsubscribe,
    .follow = cl_redis_follow,
    .drain = drain,
    .leave = leave,
    .lookup = cl_redis_lookup,
    .unwatch = cl_redis_unwatch,
    .locate = cl_redis_locate,
    .forget = cl_redis_forget,
    .status = cl_redis_status,
    .flush = flush,
    .close = close_directory,
    .destroy = destroy,
};

int cl_redis_directory_create(cl_redis_client *client, int has_addresses, const cl_directory_sink *sink,
                              cl_directory **out)
{
    redis_directory *d = cl_calloc(1, sizeof *d);
    if (!d) return cl_error(CLOUDS_ENOMEM, NULL);
    d->base = (cl_directory){.ops = &ops, .refuses_at_once = 1};
    d->loop = client->loop;
    d->sink = *sink;
    d->client = client;
    cl_list_init(&d->nodes);
    cl_list_init(&d->deferred_nodes);
    cl_list_init(&d->lookups);
    cl_list_init(&d->statuses);
    d->wants_places = has_addresses;
    cl_list_init(&d->questions);
    cl_redis_claim_prepare(d);
    client->directory = (cl_redis_user){d, subscriber_ready, subscriber_down, announcement, subscriber};
    const cl_session_hooks hooks = {client, on_ready, on_down, on_accepted, on_nothing, on_nothing, on_closed};
    int code = cl_redis_scan_create(d);
    if (!code) code = cl_session_create(client->loop, &client->address, &client->limits, 0, &hooks, &client->commands);
    if (!code) {
        *out = &d->base;
        return 0;
    }
    destroy(&d->base);
    return cl_error(code, NULL);
}
