/* The connection that listens: a SUBSCRIBE for each channel of a node, so that each has an answer of its own; the one
 * for frames comes first, so that the node listens on both when the other is answered. The directory has one for
 * announcements where something looks for servers: who only serves is not woken by who comes and goes. */
#include <stdio.h>

#include "base/log.h"
#include "clouds.h"
#include "proto/frame.h"
#include "transport/pubsub/internal.h"

enum { FARTHEST_MS = 7 * 24 * 3600 * 1000 };

static const cl_redis_handler subscribe_handler, frames_handler, unsubscribe_handler;

static void send_one(cl_pubsub *p, const cl_redis_handler *handler, pubsub_node *node, cl_str verb, cl_str channel)
{
    cl_str command[] = {verb, channel};
    if (cl_session_send(p->client->subscriber, handler, cl_redis_ref(node), 2, command)) {
        /* Without it the node would wait for ever. */
        cl_session_cut(p->client->subscriber, CLOUDS_ENOMEM, "out of memory");
        return;
    }
    node->refs++;
    if (handler != &unsubscribe_handler) p->unconfirmed++;
}

void cl_pubsub_subscribe(cl_pubsub *p, pubsub_node *node)
{
    if (!cl_session_is_ready(p->client->subscriber)) return;
    node->frames_code = 0;
    send_one(p, &frames_handler, node, CL_STR("SUBSCRIBE"), node->frames);
    send_one(p, &subscribe_handler, node, CL_STR("SUBSCRIBE"), node->channel);
}

void cl_pubsub_unsubscribe(cl_pubsub *p, pubsub_node *node)
{
    if (!cl_session_is_ready(p->client->subscriber)) return;
    send_one(p, &unsubscribe_handler, node, CL_STR("UNSUBSCRIBE"), node->frames);
    send_one(p, &unsubscribe_handler, node, CL_STR("UNSUBSCRIBE"), node->channel);
}

/* What is held came from where we were: of another Redis it would not be known which call is meant for it. */
static void come_home(cl_pubsub *p)
{
    const char *run_id = cl_session_role(p->client->subscriber)->run_id;
    if (strncmp(p->home, run_id, REDIS_HOME) == 0) return;
    memcpy(p->home, run_id, REDIS_HOME);
    CL_LIST_EACH(link, &p->nodes) cl_buf_free(&CL_OWNER(link, pubsub_node, link)->held);
}

static void on_ready(void *self)
{
    cl_pubsub *p = cl_pubsub_by(self);
    p->unconfirmed = 0;
    come_home(p);
    p->client->directory.ready(p->client->directory.self);
    CL_LIST_EACH(link, &p->nodes)
    {
        pubsub_node *node = CL_OWNER(link, pubsub_node, link);
        if (!node->leaving && !node->refused) cl_pubsub_subscribe(p, node);
    }
    cl_pubsub_channels_ready(p);
    cl_pubsub_check_up(p);
}

static void on_frames_subscribed(void *self, const cl_pending *pending, const cl_reply *reply)
{
    cl_pubsub *p = cl_pubsub_by(self);
    pubsub_node *node = cl_redis_from_ref(pending);
    int code;
    cl_redis_error_text words = {""};
    int confirmed = cl_redis_client_is_confirmed(p->client, reply, "subscribe", &code, &words);
    if (confirmed >= 0) {
        p->unconfirmed--;
        node->frames_code = code;
    }
    cl_pubsub_node_unref(p, node);
}

static void on_subscribed(void *self, const cl_pending *pending, const cl_reply *reply)
{
    cl_pubsub *p = cl_pubsub_by(self);
    pubsub_node *node = cl_redis_from_ref(pending);
    int code;
    cl_redis_error_text words = {""};
    int confirmed = cl_redis_client_is_confirmed(p->client, reply, "subscribe", &code, &words);
    if (confirmed >= 0) {
        p->unconfirmed--;
        if (confirmed && node->frames_code) {
            confirmed = 0;
            code = node->frames_code;
            snprintf(words.text, sizeof words.text, "Redis refuses the channel %.*s",
                     node->frames.n < 150 ? (int)node->frames.n : 150, node->frames.p);
        }
        node->subscribed = confirmed;
        node->refused = !confirmed;
        if (!node->leaving) p->sink.opened(p->sink.self, node->node, code, code ? words.text : "");
    }
    cl_pubsub_node_unref(p, node);
    if (confirmed >= 0) cl_pubsub_check_up(p);
}

static void on_unsubscribed(void *self, const cl_pending *pending, const cl_reply *reply)
{
    cl_pubsub *p = cl_pubsub_by(self);
    int code;
    cl_redis_error_text words;
    cl_redis_client_is_confirmed(p->client, reply, "unsubscribe", &code, &words);
    cl_pubsub_node_unref(p, cl_redis_from_ref(pending));
}

static void on_lost(void *self, const cl_pending *pending, int sent)
{
    cl_pubsub_node_unref(cl_pubsub_by(self), cl_redis_from_ref(pending));
}

static const cl_redis_handler subscribe_handler = {"SUBSCRIBE", on_subscribed, on_lost, 0};
static const cl_redis_handler frames_handler = {"SUBSCRIBE", on_frames_subscribed, on_lost, 0};
static const cl_redis_handler unsubscribe_handler = {"UNSUBSCRIBE", on_unsubscribed, on_lost, 0};

static void on_down(void *self, int was_ready, int code, const char *words)
{
    cl_pubsub *p = cl_pubsub_by(self);
    p->unconfirmed = 0;
    CL_LIST_EACH(link, &p->nodes)
    {
        pubsub_node *node = CL_OWNER(link, pubsub_node, link);
        node->subscribed = node->listening = 0;
    }
    cl_pubsub_channels_down(p);
    p->client->directory.down(p->client->directory.self);
    if (cl_session_role(p->client->subscriber)->is_replica) cl_session_cut(p->client->commands, code, words);
    p->base.up = 0;
    cl_pubsub_end_linger(p);
    /* While the other connection fails too, it speaks for both. */
    if (!p->closing && (was_ready || cl_session_is_ready(p->client->commands)))
        p->sink.state(p->sink.self, 0, code, words);
}

/* ---- what is published to us */

static void on_channel(void *self, cl_str channel)
{
    cl_pubsub *p = cl_pubsub_by(self);
    p->current_is_announcement = 0;
    p->current_channel = NULL;
    if (p->current && (cl_str_eq(p->current->frames, channel) || cl_str_eq(p->current->channel, channel))) return;
    p->current = cl_strmap_get(&p->by_channel, channel);
    if (p->current) return;
    p->current_is_announcement =
        cl_str_starts(channel, p->client->method_news) || cl_str_eq(channel, p->client->announce_channel);
    if (!p->current_is_announcement) p->current_channel = cl_strmap_get(&p->channels, channel);
    p->current_is_subscriber = cl_str_eq(channel, p->client->subscribers);
}

/* From Redis' time to the loop's; 0 when Redis does not allow TIME. What seems to have expired may come from one who
 * has learned the clock before or after it stepped, and what is far away is nonsense. */
static int64_t to_loop_time(const cl_pubsub *p, int64_t deadline)
{
    int64_t offset, result, now = p->read_at;
    if (!cl_session_clock(p->client->commands, &offset)) return 0;
    if (__builtin_sub_overflow(deadline, offset, &result)) return deadline > 0 ? now + FARTHEST_MS : 1;
    if (result <= now) cl_session_doubt_clock(p->client->commands);
    if (result > now + FARTHEST_MS) return now + FARTHEST_MS;
    return result > 0 ? result : 1;
}

/* A call that was published at another Redis, whose replica ours is by now: who made it was told that nobody got it. */
static int is_astray(const cl_pubsub *p, const cl_envelope *e)
{
    return e->type == CL_CALL && e->home.n && p->home[0] && !cl_str_eq(e->home, cl_str_z(p->home));
}

/* `e` is changed to what the core sees. */
static void hand_on(cl_pubsub *p, const pubsub_node *node, cl_envelope *e)
{
    if (is_astray(p, e)) return;
    if (e->deadline) e->deadline = to_loop_time(p, e->deadline);
    e->at = p->read_at;
    e->to = node->id;
    e->link = 0;
    if (e->flags & CL_REFUSED)
        cl_session_doubt_clock(p->client->commands); /* perhaps for an age that it does not have */
    p->sink.envelope(p->sink.receiver, node->node, e);
}

static void on_envelope(void *self, cl_str payload, cl_envelope *read)
{
    cl_pubsub *p = self;
    pubsub_node *node = p->current;
    cl_envelope e;
    if (!node || node->leaving) return;
    if (read && payload.n <= p->client->limits.message) {
        hand_on(p, node, read);
        return;
    }
    int code = payload.n > p->client->limits.message ? CLOUDS_ETOOBIG : 0;
    if (!code) code = cl_envelope_decode(payload, p->client->limits.json, &p->scratch, &e);
    if (code) p->sink.dropped(p->sink.receiver, code);
    if (code == CLOUDS_ETOOBIG) code = cl_envelope_decode_too_big(payload, &p->scratch, &e);
    if (code == 0) hand_on(p, node, &e);
}

/* ---- what comes before the id of the node is known to be its own */

static void hold(cl_pubsub *p, pubsub_node *node, cl_str payload)
{
    uint32_t n = (uint32_t)payload.n;
    int is_full = node->held.len + sizeof n + payload.n > p->client->limits.write_hard;
    int code = is_full ? CLOUDS_ELIMIT : cl_buf_reserve(&node->held, sizeof n + n);
    if (code) {
        p->sink.dropped(p->sink.receiver, code);
        return;
    }
    cl_buf_add(&node->held, (const char *)&n, sizeof n);
    cl_buf_add_str(&node->held, payload);
}

static void deliver(cl_pubsub *p, cl_str payload);

void cl_pubsub_deliver_held(cl_pubsub *p, pubsub_node *node)
{
    if (node->held.len == 0) return;
    cl_buf held = node->held;
    node->held = (cl_buf){0};
    p->current = node;
    for (size_t at = 0; at < held.len && p->current == node;) {
        uint32_t n;
        memcpy(&n, held.data + at, sizeof n);
        deliver(p, cl_str_of(held.data + at + sizeof n, n));
        at += sizeof n + n;
    }
    p->current = NULL; /* each message begins with its channel */
    cl_buf_free(&held);
}

/* The limits are those of each envelope. */
static void on_batch(cl_pubsub *p, cl_str payload)
{
    int code = payload.n > p->client->limits.message ? CLOUDS_ETOOBIG : 0;
    if (!code) code = cl_redis_batch_read(payload, CL_JSON_ANY, p->client->limits.json, on_envelope, p);
    if (code) p->sink.dropped(p->sink.receiver, code);
}

/* Other types belong to links, or to later versions. */
static int is_for_a_node(int type)
{
    return type == CL_CALL || type == CL_RESULT || type == CL_MESSAGE || type == CL_CANCEL || type == CL_PUBLISH ||
           type == CL_PART || type == CL_CREDIT || type == CL_STATE;
}

/* 0: it can be handed on; else it is dropped and counted. */
static int check_frame(cl_pubsub *p, cl_envelope *e, cl_extension *room)
{
    int code = cl_frame_is_extended(e) ? cl_frame_extend(e, room) : 0;
    if (code == CLOUDS_ENOTSUP) return 0;
    if (code == 0) code = cl_frame_check(e, p->client->limits.json);
    if (code == 0) return 0;
    p->sink.dropped(p->sink.receiver, code);
    if (code != CLOUDS_ETOOBIG || (e->type != CL_CALL && e->type != CL_RESULT)) return code;
    cl_envelope_mark_too_big(e, e->raw.n);
    return 0;
}

static void on_frame(cl_pubsub *p, cl_envelope *e, cl_str home)
{
    cl_extension room;
    pubsub_node *node = p->current;
    if (!node || node->leaving || !is_for_a_node(e->type)) return;
    if (!(e->flags & CL_TOO_BIG) && check_frame(p, e, &room) != 0) return;
    if (e->from.n == 0) return;
    e->home = home;
    e->flags = (e->flags & ~(unsigned)CL_REDIS_CLOCK) | CL_FRAMES;
    hand_on(p, node, e);
}

/* What is broken takes what is behind it along. */
static void on_frames(cl_pubsub *p, cl_str home, cl_str frames)
{
    size_t most = p->client->limits.message + CL_FRAME_HEAD;
    while (frames.n) {
        cl_envelope e;
        int64_t took = cl_frame_decode(frames, most, &e);
        if (took == CLOUDS_ETOOBIG) {
            took = cl_frame_decode_too_big(frames, &e);
            p->sink.dropped(p->sink.receiver, CLOUDS_ETOOBIG);
        }
        if (took <= 0 || (uint64_t)took > frames.n) {
            p->sink.dropped(p->sink.receiver, CLOUDS_EPROTO);
            return;
        }
        on_frame(p, &e, home);
        frames = (cl_str){frames.p + took, frames.n - (size_t)took};
    }
}

static void deliver(cl_pubsub *p, cl_str payload)
{
    cl_str home, frames;
    p->read_at = cl_loop_now();
    if (cl_redis_is_frames(payload, &home, &frames)) on_frames(p, home, frames);
    else if (cl_redis_is_batch(payload)) on_batch(p, payload);
    else on_envelope(p, payload, NULL);
}

static void on_message(void *self, cl_str payload)
{
    cl_pubsub *p = cl_pubsub_by(self);
    pubsub_node *node = p->current;
    if (p->current_channel) cl_pubsub_channel_message(p, p->current_channel, payload);
    else if (!node && p->current_is_subscriber) p->client->directory.subscriber(p->client->directory.self, payload);
    else if (p->current_is_announcement) p->client->directory.announcement(p->client->directory.self, payload);
    else if (node && !node->listening && !node->leaving) hold(p, node, payload);
    else deliver(p, payload);
}

static void on_closed(void *self)
{
    cl_pubsub_by(self)->session_closed = 1;
    cl_loop_defer(cl_pubsub_by(self)->loop);
}

int cl_pubsub_subscriber_create(cl_pubsub *p)
{
    cl_redis_client *client = p->client;
    cl_session_hooks hooks = {client, on_ready, on_down, NULL, on_channel, on_message, on_closed};
    return cl_session_create(client->loop, &client->address, &client->limits, 1, &hooks, &client->subscriber);
}
