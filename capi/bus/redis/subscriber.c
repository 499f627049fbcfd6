/* The connection that listens: one SUBSCRIBE for each node, so that each has an answer of its own, and one for
 * announcements where something looks for servers: who only serves is not woken by who comes and goes. */
#include "base/log.h"
#include "bus/redis/internal.h"
#include "clouds.h"

enum { FARTHEST_MS = 7 * 24 * 3600 * 1000 };

static const cl_redis_handler subscribe_handler, unsubscribe_handler;

static void send_one(redis_bus *bus, const cl_redis_handler *handler, redis_node *node, cl_str verb, cl_str channel)
{
    cl_str command[] = {verb, channel};
    if (cl_session_send(bus->client.subscriber, handler, cl_redis_ref(node), 2, command)) {
        /* Without it the node would wait for ever. */
        cl_session_cut(bus->client.subscriber, CLOUDS_ENOMEM, "out of memory");
        return;
    }
    if (node) node->refs++;
    if (handler != &unsubscribe_handler) bus->unconfirmed++;
}

void cl_redis_subscribe(redis_bus *bus, redis_node *node)
{
    if (cl_session_is_ready(bus->client.subscriber))
        send_one(bus, &subscribe_handler, node, CL_STR("SUBSCRIBE"), node->channel);
}

void cl_redis_unsubscribe(redis_bus *bus, redis_node *node)
{
    if (!cl_session_is_ready(bus->client.subscriber)) return;
    send_one(bus, &unsubscribe_handler, node, CL_STR("UNSUBSCRIBE"), node->channel);
}

int cl_redis_hear_announcements(redis_bus *bus)
{
    if (!bus->wants_announcements && cl_session_is_ready(bus->client.subscriber))
        send_one(bus, &subscribe_handler, NULL, CL_STR("SUBSCRIBE"), bus->client.announce_channel);
    bus->wants_announcements = 1;
    return bus->hears_announcements || !cl_session_is_ready(bus->client.subscriber);
}

/* What is held came from where we were: of another Redis it would not be known which call is meant for it. */
static void come_home(redis_bus *bus)
{
    const char *run_id = cl_session_role(bus->client.subscriber)->run_id;
    if (strncmp(bus->home, run_id, REDIS_HOME) == 0) return;
    memcpy(bus->home, run_id, REDIS_HOME);
    CL_LIST_EACH(link, &bus->nodes) cl_buf_free(&CL_OWNER(link, redis_node, link)->held);
}

static void on_ready(void *self)
{
    redis_bus *bus = redis_bus_of(self);
    bus->unconfirmed = 0;
    come_home(bus);
    if (bus->wants_announcements)
        send_one(bus, &subscribe_handler, NULL, CL_STR("SUBSCRIBE"), bus->client.announce_channel);
    CL_LIST_EACH(link, &bus->nodes)
    {
        redis_node *node = CL_OWNER(link, redis_node, link);
        if (!node->leaving) cl_redis_subscribe(bus, node);
    }
    cl_redis_check_up(bus);
}

/* 1: it is an answer of this kind; 0: an error of Redis, in words; else the connection is cut. A right that is missing
 * is the node's end; every other error passes, so that the connection is tried again. */
static int is_confirmed(redis_bus *bus, const cl_reply *reply, const char *verb, int *code, cl_redis_error_text *words)
{
    if (reply->items[0].type == CL_REPLY_ERROR) {
        *code = cl_redis_explain_command(cl_reply_text(reply, 0), "SUBSCRIBE", bus->client.prefix, words);
        return 0;
    }
    *code = 0;
    if (reply->len == 4 && reply->items[0].number == 3 && cl_reply_is_text(reply, 1) &&
        cl_str_eq(cl_reply_text(reply, 1), cl_str_z(verb)))
        return 1;
    cl_session_cut(bus->client.subscriber, CLOUDS_EPROTO, "Redis answered SUBSCRIBE with something else");
    return -1;
}

static void subscribed(redis_bus *bus, redis_node *node, const cl_reply *reply)
{
    int code;
    cl_redis_error_text words;
    int confirmed = is_confirmed(bus, reply, "subscribe", &code, &words);
    if (confirmed == 0 && code != CLOUDS_EAUTH) {
        cl_session_cut(bus->client.subscriber, code, words.text);
        confirmed = -1;
    }
    if (confirmed < 0) {
        if (node) cl_redis_node_unref(bus, node);
        return;
    }
    bus->unconfirmed--;
    if (!node) {
        bus->hears_announcements = 1;
        cl_redis_lookups_begin(bus);
    }
    if (!node && !confirmed) cl_log(CLOUDS_LOG_WARN, "no announcements of servers from Redis: %s", words.text);
    if (node) {
        node->again = node->owned;
        if (!node->leaving) cl_redis_node_confirmed(bus, node, code, code ? words.text : "");
        cl_redis_node_unref(bus, node);
    }
    cl_redis_check_up(bus);
}

/* The ref is the node, or NULL: the channel of announcements. */
static void on_subscribed(void *self, const cl_pending *pending, const cl_reply *reply)
{
    subscribed(redis_bus_of(self), cl_redis_from_ref(pending), reply);
}

static void on_unsubscribed(void *self, const cl_pending *pending, const cl_reply *reply)
{
    redis_bus *bus = redis_bus_of(self);
    int code;
    cl_redis_error_text words;
    is_confirmed(bus, reply, "unsubscribe", &code, &words);
    cl_redis_node_unref(bus, cl_redis_from_ref(pending));
}

static void on_lost(void *self, const cl_pending *pending, int sent)
{
    if (pending->ref) cl_redis_node_unref(redis_bus_of(self), cl_redis_from_ref(pending));
}

static const cl_redis_handler subscribe_handler = {"SUBSCRIBE", on_subscribed, on_lost, 0};
static const cl_redis_handler unsubscribe_handler = {"UNSUBSCRIBE", on_unsubscribed, on_lost, 0};

static void on_down(void *self, int was_ready, int code, const char *words)
{
    redis_bus *bus = redis_bus_of(self);
    bus->unconfirmed = 0;
    bus->hears_announcements = 0;
    cl_redis_lookups_begin(bus); /* the connection that asks may be well */
    CL_LIST_EACH(link, &bus->nodes)
    {
        redis_node *node = CL_OWNER(link, redis_node, link);
        node->subscribed = node->listening = 0;
        node->tries = 0;
    }
    if (cl_session_role(bus->client.subscriber)->is_replica) cl_session_cut(bus->client.commands, code, words);
    /* While the other connection fails too, it speaks for both. */
    if (was_ready || cl_session_is_ready(bus->client.commands)) cl_redis_down(bus, code, words);
}

/* ---- what is published to us */

static void on_channel(void *self, cl_str channel)
{
    redis_bus *bus = redis_bus_of(self);
    bus->current_is_announcement = 0;
    if (bus->current && cl_str_eq(bus->current->channel, channel)) return;
    bus->current = cl_strmap_get(&bus->by_channel, channel);
    if (!bus->current) bus->current_is_announcement = cl_str_eq(channel, bus->client.announce_channel);
}

/* From Redis' time to the loop's; 0 when Redis does not allow TIME. What seems to have expired may come from one who
 * has learned the clock before or after it stepped, and what is far away is nonsense. */
static int64_t to_loop_time(const redis_bus *bus, int64_t deadline)
{
    int64_t offset, result, now = bus->read_at;
    if (!cl_session_clock(bus->client.commands, &offset)) return 0;
    if (__builtin_sub_overflow(deadline, offset, &result)) return deadline > 0 ? now + FARTHEST_MS : 1;
    if (result <= now) cl_session_doubt_clock(bus->client.commands);
    if (result > now + FARTHEST_MS) return now + FARTHEST_MS;
    return result > 0 ? result : 1;
}

/* A call that was published at another Redis, whose replica ours is by now: who made it was told that nobody got it. */
static int is_astray(const redis_bus *bus, const cl_envelope *e)
{
    return e->type == CL_CALL && e->home.n && bus->home[0] && !cl_str_eq(e->home, cl_str_z(bus->home));
}

/* `e` is changed to what the core sees. */
static void hand_on(redis_bus *bus, const redis_node *node, cl_envelope *e)
{
    if (is_astray(bus, e)) return;
    if (e->deadline) e->deadline = to_loop_time(bus, e->deadline);
    e->arrived = bus->read_at;
    e->to = node->id;
    e->link = 0;
    if (e->flags & CL_REFUSED)
        cl_session_doubt_clock(bus->client.commands); /* perhaps for an age that it does not have */
    bus->sink.envelope(bus->sink.self, node->handle, e);
}

static void on_envelope(void *self, cl_str payload, cl_envelope *read)
{
    redis_bus *bus = self;
    redis_node *node = bus->current;
    cl_envelope e;
    if (!node || node->leaving) return;
    if (read && payload.n <= bus->client.limits.message) {
        hand_on(bus, node, read);
        return;
    }
    int code = payload.n > bus->client.limits.message ? CLOUDS_ETOOBIG : 0;
    if (!code) code = cl_envelope_decode(payload, bus->client.limits.json, &bus->scratch, &e);
    if (code) bus->sink.dropped(bus->sink.self, code);
    if (code == CLOUDS_ETOOBIG) code = cl_envelope_decode_too_big(payload, &bus->scratch, &e);
    if (code == 0) hand_on(bus, node, &e);
}

/* ---- what comes before the id of the node is known to be its own */

static void hold(redis_bus *bus, redis_node *node, cl_str payload)
{
    uint32_t n = (uint32_t)payload.n;
    int code = payload.n > bus->client.limits.message ? CLOUDS_ETOOBIG
               : node->held.len + sizeof n + payload.n > bus->client.limits.write_hard
                   ? CLOUDS_ELIMIT
                   : cl_buf_reserve(&node->held, sizeof n + n);
    if (code) {
        bus->sink.dropped(bus->sink.self, code);
        return;
    }
    cl_buf_add(&node->held, (const char *)&n, sizeof n);
    cl_buf_add_str(&node->held, payload);
}

static void deliver(redis_bus *bus, cl_str payload);

void cl_redis_held_deliver(redis_bus *bus, redis_node *node)
{
    if (node->held.len == 0) return;
    cl_buf held = node->held;
    node->held = (cl_buf){0};
    bus->current = node;
    for (size_t at = 0; at < held.len && bus->current == node;) {
        uint32_t n;
        memcpy(&n, held.data + at, sizeof n);
        deliver(bus, cl_str_of(held.data + at + sizeof n, n));
        at += sizeof n + n;
    }
    bus->current = NULL; /* each message begins with its channel */
    cl_buf_free(&held);
}

/* The limits are those of each envelope. */
static void on_batch(redis_bus *bus, cl_str payload)
{
    const cl_json_limits widest = {CL_JSON_DEEPEST, UINT32_MAX};
    int code = payload.n > bus->client.limits.message ? CLOUDS_ETOOBIG : 0;
    if (!code) code = cl_redis_batch_read(payload, widest, bus->client.limits.json, on_envelope, bus);
    if (code) bus->sink.dropped(bus->sink.self, code);
}

static void deliver(redis_bus *bus, cl_str payload)
{
    bus->read_at = cl_loop_now();
    if (cl_redis_is_batch(payload)) on_batch(bus, payload);
    else on_envelope(bus, payload, NULL);
}

static void on_message(void *self, cl_str payload)
{
    redis_bus *bus = redis_bus_of(self);
    redis_node *node = bus->current;
    if (bus->current_is_announcement) cl_redis_announced(bus, payload);
    else if (node && !node->listening && !node->leaving) hold(bus, node, payload);
    else deliver(bus, payload);
}

static void on_closed(void *self)
{
    cl_redis_session_closed(redis_bus_of(self));
}

int cl_redis_subscriber_create(redis_bus *bus)
{
    cl_session_hooks hooks = {&bus->client, on_ready, on_down, NULL, on_channel, on_message, on_closed};
    return cl_session_create(bus->loop, &bus->client.address, &bus->client.limits, 1, &hooks, &bus->client.subscriber);
}
