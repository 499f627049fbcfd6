/* Channels of Redis for what is published at topics: <prefix>:C:<topic or pattern>, and in another database than 0
 * <prefix>:C<database>:<...>. A context subscribes to each once,
 * whatever number of its nodes wants it; after every loss again. One PUBLISH reaches all, and its payload is frames. */
#include "base/error.h"
#include "base/mem.h"
#include "clouds.h"
#include "proto/frame.h"
#include "proto/topic.h"
#include "transport/pubsub/internal.h"

enum { HEAD_MAX = 512 };

/* A node that wants a channel. */
typedef struct member {
    cl_list_node link;
    void *handle;
    int told; /* that it is subscribed */
} member;

struct pubsub_channel {
    cl_list_node members;
    unsigned refs; /* pending commands that point here */
    unsigned asks; /* those of them that subscribe */
    int asked, confirmed;
    cl_str name, topic; /* in `text` */
    char text[];
};

static const cl_redis_handler subscribe_handler, unsubscribe_handler;

/* ---- what is subscribed to */

static pubsub_channel *channel_new(cl_pubsub *p, cl_str topic)
{
    cl_str head = p->client->topics;
    pubsub_channel *c = cl_calloc(1, sizeof *c + head.n + topic.n);
    if (!c) return NULL;
    cl_list_init(&c->members);
    memcpy(c->text, head.p, head.n);
    memcpy(c->text + head.n, topic.p, topic.n);
    c->name = cl_str_of(c->text, head.n + topic.n);
    c->topic = cl_str_of(c->text + head.n, topic.n);
    if (cl_strmap_put(&p->channels, c->name, c) == 0) return c;
    cl_free(c);
    return NULL;
}

static pubsub_channel *channel_of(const cl_pubsub *p, cl_str topic)
{
    char room[CL_TOPIC_MAX + HEAD_MAX];
    cl_str head = p->client->topics;
    if (head.n > HEAD_MAX || topic.n > CL_TOPIC_MAX) return NULL;
    memcpy(room, head.p, head.n);
    memcpy(room + head.n, topic.p, topic.n);
    return cl_strmap_get(&p->channels, cl_str_of(room, head.n + topic.n));
}

static void free_if_unused(cl_pubsub *p, pubsub_channel *c)
{
    if (!cl_list_empty(&c->members) || c->refs) return;
    if (p->current_channel == c) p->current_channel = NULL;
    cl_strmap_take(&p->channels, c->name);
    cl_free(c);
}

static void send_one(cl_pubsub *p, pubsub_channel *c, const cl_redis_handler *handler, cl_str verb)
{
    cl_str command[] = {verb, c->name};
    if (cl_session_send(p->client->subscriber, handler, cl_redis_ref(c), 2, command)) {
        cl_session_cut(p->client->subscriber, CLOUDS_ENOMEM, "out of memory");
        return;
    }
    c->refs++;
}

static void ask(cl_pubsub *p, pubsub_channel *c)
{
    if (c->asked || !cl_session_is_ready(p->client->subscriber)) return;
    c->asked = 1;
    unsigned before = c->refs;
    send_one(p, c, &subscribe_handler, CL_STR("SUBSCRIBE"));
    if (c->refs == before) return;
    c->asks++;
    p->unconfirmed++;
}

static member *member_of(const pubsub_channel *c, const void *handle)
{
    CL_LIST_EACH(it, &c->members)
    if (CL_OWNER(it, member, link)->handle == handle) return CL_OWNER(it, member, link);
    return NULL;
}

int cl_pubsub_topic_subscribe(cl_transport *base, void *handle, cl_str topic)
{
    cl_pubsub *p = cl_pubsub_of(base);
    pubsub_channel *c = channel_of(p, topic);
    if (p->closing) return cl_error(CLOUDS_ECLOSED, NULL);
    if (p->client->topics.n > HEAD_MAX) return cl_error(CLOUDS_EINVAL, "the prefix is too long for channels");
    if (!c) c = channel_new(p, topic);
    member *m = c ? cl_calloc(1, sizeof *m) : NULL;
    if (!m) {
        if (c) free_if_unused(p, c);
        return cl_error(CLOUDS_ENOMEM, NULL);
    }
    m->handle = handle;
    m->told = c->confirmed;
    cl_list_append(&c->members, &m->link);
    ask(p, c);
    return m->told ? 0 : CL_PENDING;
}

static void member_end(cl_pubsub *p, pubsub_channel *c, member *m)
{
    cl_list_remove(&m->link);
    cl_free(m);
    if (!cl_list_empty(&c->members)) return;
    if (c->asked && cl_session_is_ready(p->client->subscriber))
        send_one(p, c, &unsubscribe_handler, CL_STR("UNSUBSCRIBE"));
    c->asked = c->confirmed = 0;
    free_if_unused(p, c);
}

void cl_pubsub_topic_unsubscribe(cl_transport *base, void *handle, cl_str topic)
{
    cl_pubsub *p = cl_pubsub_of(base);
    pubsub_channel *c = channel_of(p, topic);
    member *m = c ? member_of(c, handle) : NULL;
    if (m) member_end(p, c, m);
}

static void tell_confirmed(cl_pubsub *p, pubsub_channel *c)
{
    c->confirmed = 1;
    CL_LIST_EACH(it, &c->members)
    {
        member *m = CL_OWNER(it, member, link);
        if (m->told) continue;
        m->told = 1;
        p->sink.subscribed(p->sink.self, m->handle, c->topic, 0, "");
    }
}

/* Each that is told ends its subscription, and with the last one the channel goes. */
static void tell_refused(cl_pubsub *p, pubsub_channel *c, int code, const char *words)
{
    c->refs++;
    c->asked = 0;
    while (!cl_list_empty(&c->members)) {
        member *m = CL_OWNER(c->members.next, member, link);
        void *handle = m->handle;
        cl_list_remove(&m->link);
        cl_free(m);
        p->sink.subscribed(p->sink.self, handle, c->topic, code, words);
    }
    c->refs--;
}

static void on_subscribed(void *self, const cl_pending *pending, const cl_reply *reply)
{
    cl_pubsub *p = cl_pubsub_by(self);
    pubsub_channel *c = cl_redis_from_ref(pending);
    int code;
    cl_redis_error_text words = {""};
    int confirmed = cl_redis_client_is_confirmed(p->client, reply, "subscribe", &code, &words);
    c->refs--;
    c->asks--;
    if (confirmed >= 0) p->unconfirmed--;
    if (confirmed > 0 && c->asked && !c->asks) tell_confirmed(p, c);
    else if (confirmed == 0) tell_refused(p, c, code, words.text);
    free_if_unused(p, c);
    if (confirmed >= 0) cl_pubsub_check_up(p);
}

static void on_unsubscribed(void *self, const cl_pending *pending, const cl_reply *reply)
{
    cl_pubsub *p = cl_pubsub_by(self);
    pubsub_channel *c = cl_redis_from_ref(pending);
    int code;
    cl_redis_error_text words;
    cl_redis_client_is_confirmed(p->client, reply, "unsubscribe", &code, &words);
    c->refs--;
    free_if_unused(p, c);
}

static void on_subscribe_lost(void *self, const cl_pending *pending, int sent)
{
    pubsub_channel *c = cl_redis_from_ref(pending);
    c->refs--;
    c->asks--;
    free_if_unused(cl_pubsub_by(self), c);
}

static void on_unsubscribe_lost(void *self, const cl_pending *pending, int sent)
{
    pubsub_channel *c = cl_redis_from_ref(pending);
    c->refs--;
    free_if_unused(cl_pubsub_by(self), c);
}

static const cl_redis_handler subscribe_handler = {"SUBSCRIBE", on_subscribed, on_subscribe_lost, 0};
static const cl_redis_handler unsubscribe_handler = {"UNSUBSCRIBE", on_unsubscribed, on_unsubscribe_lost, 0};

void cl_pubsub_channels_ready(cl_pubsub *p)
{
    size_t at = 0;
    for (pubsub_channel *c; (c = cl_strmap_next(&p->channels, &at));)
        if (!cl_list_empty(&c->members)) ask(p, c);
}

void cl_pubsub_channels_down(cl_pubsub *p)
{
    size_t at = 0;
    for (pubsub_channel *c; (c = cl_strmap_next(&p->channels, &at));) c->asked = c->confirmed = 0;
}

void cl_pubsub_channels_free(cl_pubsub *p)
{
    size_t at = 0;
    for (pubsub_channel *c; (c = cl_strmap_next(&p->channels, &at));) {
        CL_LIST_EACH(it, &c->members) cl_free(CL_OWNER(it, member, link));
        cl_free(c);
    }
    cl_strmap_free(&p->channels);
    CL_LIST_EACH(it, &p->members_sent) cl_free(CL_OWNER(it, pubsub_sent, link));
}

/* ---- what comes */

static void hand_on(cl_pubsub *p, const pubsub_channel *c, cl_envelope *e)
{
    CL_LIST_EACH(it, &c->members)
    {
        const member *m = CL_OWNER(it, member, link);
        const pubsub_node *node = cl_pubsub_node_of(p, m->handle);
        if (!node || node->leaving) continue;
        e->to = node->id;
        p->sink.envelope(p->sink.receiver, node->node, e);
    }
}

static int check(const cl_pubsub *p, const pubsub_channel *c, cl_envelope *e, cl_extension *room)
{
    if (e->type != CL_PUBLISH || !e->from.n) return CLOUDS_EPROTO;
    int code = cl_frame_is_extended(e) ? cl_frame_extend(e, room) : 0;
    if (code == 0) code = cl_frame_check(e, p->client->limits.json);
    if (code == 0) code = cl_topic_check(e->method);
    if (code == 0 && !cl_topic_matches(c->topic, e->method)) code = CLOUDS_EPROTO;
    return code == CLOUDS_EINVAL ? CLOUDS_EPROTO : code;
}

void cl_pubsub_channel_message(cl_pubsub *p, const pubsub_channel *c, cl_str payload)
{
    cl_str home, frames;
    int64_t took = 0;
    int code = cl_redis_is_frames(payload, &home, &frames) ? 0 : CLOUDS_EPROTO;
    while (code == 0 && frames.n) {
        cl_envelope e;
        cl_extension room;
        took = cl_frame_decode(frames, p->client->limits.message + CL_FRAME_HEAD, &e);
        code = took < 0 ? (int)took : took == 0 ? CLOUDS_EPROTO : check(p, c, &e, &room);
        if (code) break;
        e.home = home;
        e.at = cl_loop_now();
        hand_on(p, c, &e);
        frames = (cl_str){frames.p + took, frames.n - (size_t)took};
    }
    if (code) p->sink.dropped(p->sink.receiver, code);
}

/* ---- what goes out to a member of a group */

static pubsub_sent *sent_new(cl_pubsub *p, void *handle, const cl_envelope *e, uint64_t token)
{
    cl_buf frame = {0};
    pubsub_sent *s = cl_frame_encode(e, &frame) == 0 ? cl_malloc(sizeof *s + frame.len) : NULL;
    if (s) {
        s->handle = handle;
        s->token = token;
        s->n = frame.len;
        memcpy(s->frame, frame.data, frame.len);
        cl_list_append(&p->members_sent, &s->link);
    }
    cl_buf_free(&frame);
    return s;
}

static void sent_free(pubsub_sent *s)
{
    cl_list_remove(&s->link);
    cl_free(s);
}

static void report(cl_pubsub *p, const pubsub_sent *s, enum cl_delivery delivery, int64_t number)
{
    if (s->token) p->sink.delivery(p->sink.receiver, s->token, delivery, number);
}

static void on_published(void *self, const cl_pending *pending, const cl_reply *reply)
{
    cl_pubsub *p = cl_pubsub_by(self);
    pubsub_sent *s = cl_redis_from_ref(pending);
    int64_t receivers;
    cl_envelope e;
    cl_extension room = CL_EXTENSION_NONE;
    enum cl_delivery delivery = cl_redis_publish_delivery(p, reply, 1, &receivers);
    int is_nobody = delivery == CL_DELIVERY_NOBODY || delivery == CL_DELIVERY_UNPROVEN;
    report(p, s, delivery, receivers);
    if (is_nobody && cl_frame_decode(cl_str_of(s->frame, s->n), SIZE_MAX, &e) > 0 && cl_frame_extend(&e, &room) == 0)
        p->sink.unreached(p->sink.self, s->handle, &e);
    sent_free(s);
}

static void on_publish_lost(void *self, const cl_pending *pending, int sent)
{
    pubsub_sent *s = cl_redis_from_ref(pending);
    report(cl_pubsub_by(self), s, sent ? CL_DELIVERY_LOST : CL_DELIVERY_NOT_SENT, 0);
    sent_free(s);
}

static const cl_redis_handler member_handler = {"PUBLISH", on_published, on_publish_lost, 0};

int cl_pubsub_to_member(cl_pubsub *p, void *handle, const cl_envelope *e, uint64_t token)
{
    cl_buf *out;
    if (!cl_session_is_ready(p->client->commands)) return cl_error(CLOUDS_EUNREACHABLE, NULL);
    int code = cl_redis_may_publish(p, e);
    pubsub_sent *s = code ? NULL : sent_new(p, handle, e, token);
    if (!code && !s) code = cl_error(CLOUDS_ENOMEM, NULL);
    if (!code) code = cl_session_begin(p->client->commands, &out);
    if (!code) {
        size_t before = out->len;
        code = cl_redis_put_frame(p, 'F', e->to, e, out);
        if (code) out->len = before;
        else cl_session_end(p->client->commands, before, &member_handler, cl_redis_ref(s));
    }
    if (code && s) sent_free(s);
    return code;
}

int cl_pubsub_topic_publish(cl_transport *base, void *handle, cl_str topic, const cl_envelope *e, uint64_t token)
{
    cl_pubsub *p = cl_pubsub_of(base);
    cl_buf *out;
    if (p->closing) return cl_error(CLOUDS_ECLOSED, NULL);
    int code = cl_redis_may_publish(p, e);
    if (code) return code;
    if (!cl_session_is_ready(p->client->commands)) {
        cl_buf command = {0};
        code = cl_redis_put_frame(p, 'C', topic, e, &command);
        return code ? (cl_buf_free(&command), code) : cl_redis_backlog_put(p, &command, 0, 0, token);
    }
    code = cl_session_begin(p->client->commands, &out);
    if (code) return code;
    size_t before = out->len;
    code = cl_redis_put_frame(p, 'C', topic, e, out);
    if (code) out->len = before;
    else cl_session_end(p->client->commands, before, &cl_redis_publish_handler, token);
    return code;
}
