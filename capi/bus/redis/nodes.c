/* Design note. A node of ours on the bus lives from node_open to node_closed:
 *   open      SUBSCRIBE is under way (again after each loss); confirmed, the id its own (claim.c) and the bus up:
 *             node_ready, once. Refused: node_ready with the reason, once; after that a refusal is tried again
 *   draining  its registrations are being taken back
 *   closing   lingers, if it was registered: callers that do not know yet are still answered
 *   leaving   UNSUBSCRIBE and a barrier behind all it sent; when both are answered: node_closed. When that takes long
 * and no other node stays, the connections are given up. Every pending command that points to a node or to one of its
 * registrations holds a reference; a node is freed only without. A connection that is lost ends its pending commands,
 * and so ends the references: nothing waits for Redis to come back. */
#include <time.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "bus/redis/internal.h"
#include "clouds.h"

redis_node *cl_redis_node_of(redis_bus *bus, void *handle)
{
    return cl_idmap_get(&bus->by_handle, cl_redis_ref(handle));
}

/* ---- open */

enum { LEAVE_MS = 500 }; /* so long a node that leaves waits for the answers of Redis */

static int name_node(redis_bus *bus, redis_node *node, cl_str id)
{
    size_t n = bus->client.prefix.n + 3 + id.n;
    node->memory = cl_malloc(n * 2);
    if (!node->memory) return CLOUDS_ENOMEM;
    cl_str *names[] = {&node->channel, &node->record_key};
    for (int i = 0; i < 2; i++) {
        char *p = node->memory + n * (size_t)i;
        memcpy(p, bus->client.prefix.p, bus->client.prefix.n);
        memcpy(p + bus->client.prefix.n, i ? ":N:" : ":L:", 3);
        memcpy(p + bus->client.prefix.n + 3, id.p, id.n);
        *names[i] = cl_str_of(p, n);
    }
    node->id = cl_str_of(node->channel.p + bus->client.prefix.n + 3, id.n);
    return 0;
}

/* A TTL is whole seconds: twice the heartbeat, rounded up. Heartbeats that a timer cannot take are brought into bounds.
 */
static void set_heartbeat(redis_node *node, double heartbeat)
{
    if (!(heartbeat > 0)) heartbeat = 5;
    if (heartbeat > 2147483) heartbeat = 2147483;
    uint64_t ttl = (uint64_t)(heartbeat * 2);
    if ((double)ttl < heartbeat * 2) ttl++;
    node->ttl[cl_digits(node->ttl, ttl > 0 ? ttl : 1)] = '\0';
    node->period = heartbeat < 0.1 ? 100 : (int64_t)(heartbeat * 1000);
}

static int list_node(redis_bus *bus, redis_node *node)
{
    redis_node *old = cl_strmap_get(&bus->by_channel, node->channel);
    if (old && !old->closing)
        return cl_error(CLOUDS_EEXIST, "the node id %.*s is in use: by another node of this context",
                        node->id.n < 150 ? (int)node->id.n : 150, node->id.p);
    if (cl_idmap_put(&bus->by_handle, cl_redis_ref(node->handle), node)) return CLOUDS_ENOMEM;
    if (cl_strmap_put(&bus->by_channel, node->channel, node)) {
        cl_idmap_take(&bus->by_handle, cl_redis_ref(node->handle));
        return CLOUDS_ENOMEM;
    }
    if (bus->current == old) bus->current = NULL;
    cl_list_append(&bus->nodes, &node->link);
    return 0;
}

int cl_redis_node_open(cl_bus *base, void *handle, cl_str id, double heartbeat)
{
    redis_bus *bus = (redis_bus *)base;
    if (bus->closing) return cl_error(CLOUDS_ECLOSED, NULL);
    redis_node *node = cl_calloc(1, sizeof *node);
    if (!node) return cl_error(CLOUDS_ENOMEM, NULL);
    node->bus = bus;
    node->handle = handle;
    cl_list_init(&node->link);
    cl_list_init(&node->deferred);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    node->started = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    set_heartbeat(node, heartbeat);
    int code = name_node(bus, node, id);
    if (!code) code = list_node(bus, node);
    if (code) {
        cl_free(node->memory);
        cl_free(node);
        return code == CLOUDS_ENOMEM ? cl_error(code, NULL) : code;
    }
    cl_redis_subscribe(bus, node);
    return 0;
}

static void tell_ready(redis_bus *bus, redis_node *node, int code, const char *words)
{
    node->told = 1;
    bus->sink.node_ready(bus->sink.self, node->handle, code, words);
}

int cl_redis_node_set_timer(redis_bus *bus, redis_node *node, int64_t delay)
{
    int code = node->timer ? 0 : cl_loop_timer_create(bus->loop, cl_redis_node_due, node, &node->timer);
    if (!code) cl_loop_timer_set(node->timer, cl_loop_now() + delay);
    return code;
}

/* Its SUBSCRIBE is answered. */
void cl_redis_node_confirmed(redis_bus *bus, redis_node *node, int code, const char *words)
{
    node->subscribed = code == 0;
    if (code) cl_redis_node_refused(bus, node, code, words);
    else cl_redis_claim(bus, node);
}

void cl_redis_node_listens(redis_bus *bus, redis_node *node)
{
    if (node->refused_code)
        cl_log_about(CLOUDS_LOG_WARN, &(cl_log_facts){.node = node->id}, "%s: the node %.*s listens again",
                     bus->client.display_url, (int)node->id.n, node->id.p);
    node->listening = node->owned = 1;
    node->refused_code = 0;
    node->tries = 0;
    if (cl_redis_has_heartbeat(node)) cl_redis_node_set_timer(bus, node, node->period);
    cl_redis_restore(bus, node);
    cl_redis_held_deliver(bus, node);
    if (!node->told && bus->up) tell_ready(bus, node, 0, "");
}

/* Soon at first, then about as often as the heartbeat. */
static int64_t pause_of(redis_node *node)
{
    int64_t pause = 100;
    for (unsigned i = 0; i < node->tries && pause < node->period; i++) pause *= 2;
    if (node->tries < 30) node->tries++;
    return pause < node->period ? pause : node->period;
}

void cl_redis_node_refused(redis_bus *bus, redis_node *node, int code, const char *words)
{
    int is_new = node->refused_code != code;
    node->subscribed = node->listening = 0;
    node->refused_code = code;
    cl_buf_free(&node->held);
    if (is_new) node->tries = 0;
    if (is_new && node->told)
        cl_log_about(CLOUDS_LOG_WARN, &(cl_log_facts){.node = node->id},
                     "%s: the node %.*s cannot listen, and tries again: %s", bus->client.display_url, (int)node->id.n,
                     node->id.p, words);
    cl_redis_regs_unlist(node);
    cl_redis_registers_end(bus, node, code, words);
    int is_final = !node->told;
    if (is_final) tell_ready(bus, node, code, words);
    else cl_redis_node_set_timer(bus, node, pause_of(node));
}

/* The timer of a node that does not listen. */
void cl_redis_node_pursue(redis_bus *bus, redis_node *node)
{
    if (node->subscribed) {
        cl_redis_claim(bus, node);
        return;
    }
    if (!node->refused_code || !node->told) return; /* who waits for the connection is asked by it */
    cl_redis_subscribe(bus, node);
    cl_redis_node_set_timer(bus, node, pause_of(node));
}

void cl_redis_nodes_announce(redis_bus *bus)
{
    CL_LIST_EACH(link, &bus->nodes)
    {
        redis_node *node = CL_OWNER(link, redis_node, link);
        if (node->listening && !node->told && !node->closing) tell_ready(bus, node, 0, "");
    }
}

/* ---- drain and close */

void cl_redis_node_drain(cl_bus *base, void *handle)
{
    redis_bus *bus = (redis_bus *)base;
    redis_node *node = cl_redis_node_of(bus, handle);
    if (!node || node->draining) return;
    node->draining = 1;
    cl_redis_unregister_all(bus, node);
}

void cl_redis_node_close(cl_bus *base, void *handle)
{
    redis_bus *bus = (redis_bus *)base;
    redis_node *node = cl_redis_node_of(bus, handle);
    if (!node || node->closing) return;
    cl_redis_node_drain(base, handle);
    node->closing = 1;
    double linger = bus->client.limits.linger;
    int lingers = bus->up && node->was_registered && linger > 0;
    if (!lingers || cl_redis_node_set_timer(bus, node, (int64_t)((linger < 3600 ? linger : 3600) * 1000)))
        cl_redis_defer(bus, node);
}

static void on_barrier(void *self, const cl_pending *pending, const cl_reply *reply)
{
    cl_redis_node_unref(redis_bus_of(self), cl_redis_from_ref(pending));
}

static void on_barrier_lost(void *self, const cl_pending *pending, int sent)
{
    cl_redis_node_unref(redis_bus_of(self), cl_redis_from_ref(pending));
}

/* All that the node sent before is executed. */
static const cl_redis_handler barrier_handler = {"PING", on_barrier, on_barrier_lost, 0};

void cl_redis_node_leave(redis_bus *bus, redis_node *node)
{
    if (!node->closing || node->leaving) return;
    node->leaving = 1;
    if (node->timer) cl_loop_timer_stop(node->timer);
    cl_buf_free(&node->held);
    if (cl_strmap_get(&bus->by_channel, node->channel) == node) cl_redis_unsubscribe(bus, node);
    cl_redis_batch_flush(bus);
    cl_str barrier[] = {CL_STR("PING")};
    if (!cl_redis_client_send(&bus->client, &barrier_handler, node, 1, barrier)) node->refs++;
    cl_redis_node_set_timer(bus, node, LEAVE_MS);
    cl_redis_node_settle(bus, node);
}

static int others_stay(const redis_bus *bus)
{
    CL_LIST_EACH(link, &bus->nodes)
    if (!CL_OWNER(link, redis_node, link)->closing) return 1;
    return 0;
}

/* A close waits for no peer: when everybody here leaves, so do the connections. For those that stay the pings decide
 * whether Redis is there, as ever. */
void cl_redis_node_unanswered(redis_bus *bus, redis_node *node)
{
    if (others_stay(bus)) cl_redis_node_set_timer(bus, node, LEAVE_MS);
    else cl_redis_client_reconnect(&bus->client, CLOUDS_EUNREACHABLE, "Redis did not confirm the end of the nodes");
}

static void unlist_node(redis_bus *bus, redis_node *node)
{
    if (bus->current == node) bus->current = NULL;
    cl_idmap_take(&bus->by_handle, cl_redis_ref(node->handle));
    if (cl_strmap_get(&bus->by_channel, node->channel) == node) cl_strmap_take(&bus->by_channel, node->channel);
    cl_list_remove(&node->link);
    cl_list_remove(&node->deferred);
}

void cl_redis_node_free(redis_bus *bus, redis_node *node)
{
    unlist_node(bus, node);
    cl_redis_regs_free(node);
    cl_buf_free(&node->held);
    cl_loop_timer_destroy(node->timer);
    cl_free(node->memory);
    cl_free(node);
}

void cl_redis_node_settle(redis_bus *bus, redis_node *node)
{
    if (!node->leaving || node->refs > 0) return;
    void *handle = node->handle;
    cl_redis_regs_end(bus, node);
    cl_redis_node_free(bus, node);
    bus->sink.node_closed(bus->sink.self, handle);
}

void cl_redis_node_unref(redis_bus *bus, redis_node *node)
{
    node->refs--;
    cl_redis_node_settle(bus, node);
}
