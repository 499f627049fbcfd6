/* Who has subscribed to what, and the way of what is published. Where a transport publishes by itself (Redis), a topic
 * is a channel, and one sending reaches all; the directory says which patterns are in use, each of which is a channel
 * of its own, and who is in a group. Else the directory says who has subscribed to what, and each node is sent to. */
#include "bus/internal.h"

#include "base/error.h"
#include "base/mem.h"

/* A topic or pattern, alone or in a group. */
typedef struct channel {
    cl_topic_leaf leaf;
    cl_list_node members;     /* in a group: the next one first */
    cl_str topic, group, key; /* in `text`: "topic\ngroup" */
    char text[];
} channel;

typedef struct peer {
    cl_list_node members;
    uint64_t sent; /* the last that was sent to it */
    cl_str id;
    char text[];
} peer;

typedef struct member {
    cl_list_node of_channel, of_peer, gone;
    channel *channel;
    peer *peer;
    uint64_t round;
} member;

/* A subscribe whose end is to come. */
typedef struct asked {
    cl_list_node place;
    void *handle;
    cl_str topic, group;
    int of_directory, of_transport; /* what is still to come */
    char text[];
} asked;

static cl_composed *of(cl_bus *base)
{
    return CL_OWNER(base, cl_composed, base);
}

static cl_str key_of(char room[2 * CL_TOPIC_MAX + 1], cl_str topic, cl_str group)
{
    memcpy(room, topic.p, topic.n);
    room[topic.n] = '\n';
    memcpy(room + topic.n + 1, group.p, group.n);
    return cl_str_of(room, topic.n + 1 + group.n);
}

void cl_bus_channels_start(cl_composed *bus)
{
    for (size_t i = 0; i < bus->transports_n && !bus->channels.broadcaster; i++)
        if (bus->transports[i]->ops->publish) bus->channels.broadcaster = bus->transports[i];
}

/* ---- what nodes of ours subscribe to */

static asked *asked_new(cl_composed *bus, void *handle, cl_str topic, cl_str group)
{
    asked *a = cl_calloc(1, sizeof *a + topic.n + group.n);
    if (!a) return NULL;
    memcpy(a->text, topic.p, topic.n);
    memcpy(a->text + topic.n, group.p, group.n);
    a->topic = cl_str_of(a->text, topic.n);
    a->group = cl_str_of(a->text + topic.n, group.n);
    a->handle = handle;
    cl_list_append(&bus->channels.asked, &a->place);
    return a;
}

static asked *asked_of(const cl_composed *bus, const void *handle, cl_str topic, cl_str group)
{
    CL_LIST_EACH(it, &bus->channels.asked)
    {
        asked *a = CL_OWNER(it, asked, place);
        if (a->handle == handle && cl_str_eq(a->topic, topic) && cl_str_eq(a->group, group)) return a;
    }
    return NULL;
}

static void asked_free(asked *a)
{
    cl_list_remove(&a->place);
    cl_free(a);
}

/* By a transport that publishes everybody hears a topic at once; who is told of the rest is the directory. */
static int directory_needs(const cl_composed *bus, cl_str topic, cl_str group)
{
    if (!bus->directory->ops->subscribe) return 0;
    return !bus->channels.broadcaster || group.n || cl_topic_is_pattern(topic);
}

static int transport_needs(const cl_composed *bus, cl_str group)
{
    return bus->channels.broadcaster && !group.n;
}

static void take_back(cl_composed *bus, void *handle, cl_str topic, cl_str group)
{
    cl_transport *t = bus->channels.broadcaster;
    if (directory_needs(bus, topic, group)) bus->directory->ops->unsubscribe(bus->directory, handle, topic, group);
    if (transport_needs(bus, group)) t->ops->unsubscribe(t, handle, topic);
}

/* Both are done: reported by then, and deferred when nothing was to be waited for. */
static void tell_subscribed(void *owner, const cl_deferred *d)
{
    cl_composed *bus = owner;
    asked *a = d->node;
    CL_LIST_EACH(it, &bus->channels.asked)
    {
        if (CL_OWNER(it, asked, place) != a || a->of_directory || a->of_transport) continue;
        cl_list_remove(&a->place);
        bus->sink.subscribed(bus->sink.self, a->handle, a->topic, a->group, 0, "");
        cl_free(a);
        return;
    }
}

/* 0 or CL_PENDING becomes what is to come. */
static int note(int code, int *pending)
{
    *pending = code == CL_PENDING;
    return code < 0 ? code : 0;
}

int cl_bus_subscribe(cl_bus *base, void *handle, cl_str topic, cl_str group)
{
    cl_composed *bus = of(base);
    cl_transport *t = bus->channels.broadcaster;
    cl_directory *d = bus->directory;
    if (bus->closing) return cl_error(CLOUDS_ECLOSED, NULL);
    if (!t && !d->ops->subscribe) return cl_error(CLOUDS_ENOTSUP, "there are no channels on this bus yet");
    asked *a = asked_new(bus, handle, topic, group);
    if (!a) return cl_error(CLOUDS_ENOMEM, NULL);
    int in_directory = directory_needs(bus, topic, group), code = 0;
    if (in_directory) code = note(d->ops->subscribe(d, handle, topic, group), &a->of_directory);
    if (code == 0 && transport_needs(bus, group)) {
        code = note(t->ops->subscribe(t, handle, topic), &a->of_transport);
        if (code && in_directory) d->ops->unsubscribe(d, handle, topic, group);
    }
    if (code == 0 && !a->of_directory && !a->of_transport) {
        code = cl_defer(&bus->deferred, tell_subscribed, a, 0, 0, CL_STR_NONE);
        if (code) take_back(bus, handle, topic, group);
    }
    if (code) asked_free(a);
    return code;
}

void cl_bus_unsubscribe(cl_bus *base, void *handle, cl_str topic, cl_str group)
{
    cl_composed *bus = of(base);
    asked *a = asked_of(bus, handle, topic, group);
    if (a) asked_free(a);
    take_back(bus, handle, topic, group);
}

/* `pending` is the one of its members that this is the end of. The names may go with what is taken back. */
static void subscribed(cl_composed *bus, asked *a, int *pending, void *handle, cl_str topic, cl_str group, int code,
                       const char *words)
{
    char room[2 * CL_TOPIC_MAX + 1];
    cl_str key = key_of(room, topic, group);
    topic.p = key.p;
    group.p = key.p + topic.n + 1;
    if (code == 0 && !a) return;
    if (code) take_back(bus, handle, topic, group);
    else *pending = 0;
    if (a && (code || (!a->of_directory && !a->of_transport))) asked_free(a);
    else if (a) return;
    bus->sink.subscribed(bus->sink.self, handle, topic, group, code, words);
}

void cl_bus_directory_subscribed(void *self, void *handle, cl_str topic, cl_str group, int code, const char *words)
{
    asked *a = asked_of(self, handle, topic, group);
    subscribed(self, a, a ? &a->of_directory : NULL, handle, topic, group, code, words);
}

void cl_bus_transport_subscribed(void *way, void *handle, cl_str topic, int code, const char *words)
{
    cl_composed *bus = ((const cl_way *)way)->bus;
    asked *a = asked_of(bus, handle, topic, CL_STR_NONE);
    subscribed(bus, a, a ? &a->of_transport : NULL, handle, topic, CL_STR_NONE, code, words);
}

void cl_bus_channels_forget(cl_composed *bus, const void *handle)
{
    CL_LIST_EACH(it, &bus->channels.asked)
    if (CL_OWNER(it, asked, place)->handle == handle) asked_free(CL_OWNER(it, asked, place));
}

/* ---- what others have subscribed to */

static channel *channel_of(cl_composed *bus, cl_str key, size_t topic_n)
{
    channel *c = cl_strmap_get(&bus->channels.channels, key);
    if (c) return c;
    c = cl_calloc(1, sizeof *c + key.n);
    if (!c) return NULL;
    cl_list_init(&c->members);
    memcpy(c->text, key.p, key.n);
    c->key = cl_str_of(c->text, key.n);
    c->topic = cl_str_of(c->text, topic_n);
    c->group = cl_str_of(c->text + topic_n + 1, key.n - topic_n - 1);
    if (cl_strmap_put(&bus->channels.channels, c->key, c) == 0) {
        if (cl_topic_tree_add(&bus->channels.tree, c->topic, &c->leaf) == 0) return c;
        cl_strmap_take(&bus->channels.channels, c->key);
    }
    cl_free(c);
    return NULL;
}

static void channel_end(cl_composed *bus, channel *c)
{
    if (!cl_list_empty(&c->members)) return;
    cl_topic_tree_remove(&bus->channels.tree, &c->leaf);
    cl_strmap_take(&bus->channels.channels, c->key);
    cl_free(c);
}

static peer *peer_of(cl_composed *bus, cl_str id)
{
    peer *p = cl_strmap_get(&bus->channels.peers, id);
    if (p) return p;
    p = cl_calloc(1, sizeof *p + id.n);
    if (!p) return NULL;
    cl_list_init(&p->members);
    memcpy(p->text, id.p, id.n);
    p->id = cl_str_of(p->text, id.n);
    if (cl_strmap_put(&bus->channels.peers, p->id, p) == 0) return p;
    cl_free(p);
    return NULL;
}

static void peer_end(cl_composed *bus, peer *p)
{
    if (!cl_list_empty(&p->members)) return;
    cl_strmap_take(&bus->channels.peers, p->id);
    cl_free(p);
}

static void member_end(cl_composed *bus, member *m)
{
    channel *c = m->channel;
    peer *p = m->peer;
    cl_list_remove(&m->of_channel);
    cl_list_remove(&m->of_peer);
    cl_free(m);
    channel_end(bus, c);
    peer_end(bus, p);
}

static member *find_member(const channel *c, const peer *p)
{
    CL_LIST_EACH(it, &p->members)
    if (CL_OWNER(it, member, of_peer)->channel == c) return CL_OWNER(it, member, of_peer);
    return NULL;
}

/* Without memory for it a subscriber gets nothing from here until the next complete list. */
static void member_begin(cl_composed *bus, cl_str id, cl_str key, size_t topic_n)
{
    channel *c = channel_of(bus, key, topic_n);
    peer *p = c ? peer_of(bus, id) : NULL;
    member *m = p ? find_member(c, p) : NULL;
    int is_new = !m;
    if (p && is_new) m = cl_calloc(1, sizeof *m);
    if (m) m->round = bus->channels.round;
    if (m && is_new) {
        m->channel = c;
        m->peer = p;
        cl_list_append(&c->members, &m->of_channel);
        cl_list_append(&p->members, &m->of_peer);
    }
    if (!m && p) peer_end(bus, p);
    if (!m && c) channel_end(bus, c);
}

static void forget_peer(cl_composed *bus, cl_str id)
{
    const peer *p;
    while ((p = cl_strmap_get(&bus->channels.peers, id)) != NULL)
        member_end(bus, CL_OWNER(p->members.next, member, of_peer));
}

void cl_bus_subscription(void *self, cl_str id, cl_str topic, cl_str group, int on)
{
    cl_composed *bus = self;
    char room[2 * CL_TOPIC_MAX + 1];
    if (!topic.n) {
        forget_peer(bus, id);
        return;
    }
    cl_str key = key_of(room, topic, group);
    if (on) {
        member_begin(bus, id, key, topic.n);
        return;
    }
    const channel *c = cl_strmap_get(&bus->channels.channels, key);
    const peer *p = cl_strmap_get(&bus->channels.peers, id);
    member *m = c && p ? find_member(c, p) : NULL;
    if (m) member_end(bus, m);
}

/* They are collected first, since nothing may leave the map while it is walked. */
static void drop_outdated(cl_composed *bus)
{
    cl_list_node gone;
    size_t at = 0;
    cl_list_init(&gone);
    for (const channel *c; (c = cl_strmap_next(&bus->channels.channels, &at));) CL_LIST_EACH(it, &c->members)
        {
            member *m = CL_OWNER(it, member, of_channel);
            if (m->round != bus->channels.round) cl_list_append(&gone, &m->gone);
        }
    CL_LIST_EACH(it, &gone) member_end(bus, CL_OWNER(it, member, gone));
}

void cl_bus_subscriptions(void *self, int begins)
{
    cl_composed *bus = self;
    if (begins) {
        bus->channels.round++;
        return;
    }
    drop_outdated(bus);
    bus->channels.is_following = 1;
    cl_bus_publish_held(bus);
}

void cl_bus_channels_free(cl_composed *bus)
{
    bus->channels.round++;
    drop_outdated(bus);
    CL_LIST_EACH(it, &bus->channels.asked) asked_free(CL_OWNER(it, asked, place));
    cl_strmap_free(&bus->channels.channels);
    cl_strmap_free(&bus->channels.peers);
    cl_buf_free(&bus->channels.held);
}

/* ---- publishing */

typedef struct publication {
    cl_composed *bus;
    void *handle;
    const cl_envelope *e;
    uint64_t token, number;
    int parts;
    size_t drops;
} publication;

static int send_to(const publication *pub, const peer *p, cl_str group)
{
    cl_envelope e = *pub->e;
    cl_extension x = e.extension ? *e.extension : CL_EXTENSION_NONE;
    e.to = p->id;
    x.group = group;
    e.extension = &x;
    cl_transport *t = pub->bus->channels.broadcaster;
    return t ? t->ops->send(t, pub->handle, &e, pub->token)
             : pub->bus->base.ops->send(&pub->bus->base, pub->handle, &e, pub->token);
}

static void count(publication *pub, int code)
{
    if (code == 0) pub->parts++;
    else pub->drops++;
}

/* A member that cannot be sent to now is passed over. */
static void to_group(publication *pub, channel *c)
{
    int code = CLOUDS_EUNREACHABLE;
    for (cl_list_node *first = c->members.next, *it = first; code;) {
        cl_list_remove(it);
        cl_list_append(&c->members, it);
        code = send_to(pub, CL_OWNER(it, member, of_channel)->peer, c->group);
        it = c->members.next;
        if (it == first) break;
    }
    count(pub, code);
}

static void to_each(publication *pub, const channel *c)
{
    CL_LIST_EACH(it, &c->members)
    {
        peer *p = CL_OWNER(it, member, of_channel)->peer;
        if (p->sent == pub->number) continue;
        p->sent = pub->number;
        count(pub, send_to(pub, p, CL_STR_NONE));
    }
}

static void to_channel(void *self, cl_topic_leaf *leaf)
{
    publication *pub = self;
    channel *c = CL_OWNER(leaf, channel, leaf);
    cl_transport *t = pub->bus->channels.broadcaster;
    if (c->group.n) to_group(pub, c);
    else if (!t) to_each(pub, c);
    else if (cl_topic_is_pattern(c->topic)) count(pub, t->ops->publish(t, pub->handle, c->topic, pub->e, pub->token));
}

int cl_bus_publish_listed(cl_composed *bus, void *handle, const cl_envelope *e, uint64_t token, size_t *drops)
{
    publication pub = {.bus = bus, .handle = handle, .e = e, .token = token, .number = ++bus->channels.sent};
    cl_topic_tree_match(&bus->channels.tree, e->method, to_channel, &pub);
    *drops += pub.drops;
    return pub.parts;
}

int cl_bus_publish(cl_bus *base, void *handle, const cl_envelope *e, uint64_t token, size_t *drops)
{
    cl_composed *bus = of(base);
    cl_transport *t = bus->channels.broadcaster;
    cl_directory *d = bus->directory;
    if (bus->closing) return cl_error(CLOUDS_ECLOSED, NULL);
    if (!t && !d->ops->follow) return cl_error(CLOUDS_ENOTSUP, "there are no channels on this bus yet");
    int code = t ? t->ops->publish(t, handle, e->method, e, token) : 0;
    if (code < 0) return code;
    if (d->ops->follow && d->ops->follow(d) == 0) bus->channels.is_following = 1;
    if (bus->channels.is_following && bus->channels.held.len == 0)
        return (t != NULL) + cl_bus_publish_listed(bus, handle, e, token, drops);
    code = cl_bus_hold_publish(bus, handle, e, token);
    *drops += code != 0;
    return (t != NULL) + (code == 0);
}

/* Another one gets it. A transport that publishes by itself has nobody who would say that the member is gone. */
void cl_bus_unreached(void *way, void *handle, const cl_envelope *e)
{
    cl_composed *bus = ((const cl_way *)way)->bus;
    char room[2 * CL_TOPIC_MAX + 1];
    cl_str group = e->extension ? e->extension->group : CL_STR_NONE;
    if (!group.n || e->method.n > CL_TOPIC_MAX || group.n > CL_TOPIC_MAX) return;
    cl_str key = key_of(room, e->method, group);
    if (bus->channels.broadcaster) cl_bus_subscription(bus, e->to, e->method, group, 0);
    channel *c = cl_strmap_get(&bus->channels.channels, key);
    publication pub = {.bus = bus, .handle = handle, .e = e};
    if (c && !bus->closing) to_group(&pub, c);
}
