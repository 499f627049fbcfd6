/* Between the table of the bus and that of the program. An envelope is a frame on the way, so that what the program
 * moves is bytes, whatever an envelope may have one day. Its deadline is the milliseconds that are left, since the
 * other end may be on another machine. What arrives is checked as on every other way. */
#include "transport/own/own.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/list.h"
#include "base/mem.h"
#include "net/plugin.h"
#include "proto/frame.h"
#include "proto/limits.h"

typedef struct own_transport {
    cl_transport base;
    cl_plugin plugin;
    const cl_own_transport_kind *kind;
    cl_str scheme; /* what its addresses begin with; empty: there are no others */
    cl_transport_sink sink;
    cl_limits limits;
    clouds_transport_sink theirs;
    cl_idmap by_handle; /* own_node */
    cl_strmap by_id;    /* the newest of an id */
    cl_buf frame, name;
    int is_creating;
} own_transport;

/* A node that is open. */
typedef struct own_node {
    void *handle;
    cl_str id;
} own_node;

#define OWN(t) CL_OWNER(t, own_transport, base)
#define THEIRS(o) (&(o)->kind->theirs)
#define IT(o) ((o)->plugin.theirs)

#define ASK CL_PLUGIN_ASK

/* ---- to the program */

static int ended(int code, int most)
{
    return cl_plugin_ended(code, most, "the transport");
}

static own_node *node_of(const own_transport *o, const void *handle)
{
    return cl_idmap_get(&o->by_handle, (uint64_t)(uintptr_t)handle);
}

static void forget_node(own_transport *o, own_node *node)
{
    if (!node) return;
    if (node_of(o, node->handle) == node) cl_idmap_take(&o->by_handle, (uint64_t)(uintptr_t)node->handle);
    if (cl_strmap_get(&o->by_id, node->id) == node) cl_strmap_take(&o->by_id, node->id);
    cl_free(node);
}

static own_node *node_make(own_transport *o, void *handle, cl_str id)
{
    own_node *node = cl_calloc(1, sizeof *node);
    if (!node) return NULL;
    node->handle = handle;
    node->id = id;
    if (cl_idmap_put(&o->by_handle, (uint64_t)(uintptr_t)handle, node) == 0 && cl_strmap_put(&o->by_id, id, node) == 0)
        return node;
    forget_node(o, node);
    return NULL;
}

/* Beside others an address is a word in a record. */
static int check_address(const own_transport *o, const char *text)
{
    size_t most = sizeof((cl_address *)0)->text - o->scheme.n - 2;
    const char *p = text;
    if (!o->scheme.n) return 0;
    while (*p > ' ' && *p < 127 && *p != '"' && *p != '\\') p++;
    if (!*p && (size_t)(p - text) <= most) return 0;
    return cl_error(CLOUDS_EINVAL,
                    "the transport's address is \"%.80s\": expected at most %zu characters of ASCII, no blanks, quotes "
                    "and backslashes",
                    text, most);
}

static void put_address(const own_transport *o, const char *text, cl_address *out)
{
    int is_plain = o->scheme.n == 0;
    snprintf(out->text, sizeof out->text, "%.*s%s%s", (int)o->scheme.n, o->scheme.n ? o->scheme.p : "",
             is_plain ? "" : ":", text);
}

static int open_node(cl_transport *t, void *handle, cl_str id, const cl_address *at, cl_address *addresses, size_t *n)
{
    own_transport *o = OWN(t);
    clouds_address list[CLOUDS_ADDRESSES] = {{""}};
    size_t count = 0;
    own_node *known = node_of(o, handle), *node = known ? known : node_make(o, handle, id);
    *n = 0;
    if (!node) return cl_error(CLOUDS_ENOMEM, NULL);
    int code;
    ASK(o, 0, code = THEIRS(o)->open(IT(o), handle, id.p, id.n, at->text, list, &count));
    code = ended(code, CL_PENDING);
    if (code < 0 && !known) forget_node(o, node);
    if (count > CLOUDS_ADDRESSES) count = CLOUDS_ADDRESSES;
    if (count == 0 && o->scheme.n) count = 1; /* by its id */
    for (size_t i = 0; i < count && code >= 0; i++) {
        list[i].text[sizeof list[i].text - 1] = '\0';
        int bad = check_address(o, list[i].text);
        if (bad) code = bad;
        else put_address(o, list[i].text, &addresses[(*n)++]);
    }
    return code;
}

/* The next address of ours among those of a node, without what it begins with; 0: there is none. */
static int next_address(const own_transport *o, cl_str *rest, cl_str *out)
{
    while (rest->n) {
        const char *end = memchr(rest->p, ' ', rest->n);
        cl_str one = cl_str_of(rest->p, end ? (size_t)(end - rest->p) : rest->n);
        size_t used = one.n + (end != NULL), head = o->scheme.n;
        *rest = cl_str_of(rest->p + used, rest->n - used);
        if (one.n <= head || one.p[head] != ':' || !cl_str_starts(one, o->scheme)) continue;
        *out = cl_str_of(one.p + head + 1, one.n - head - 1);
        return 1;
    }
    return 0;
}

static int reaches(cl_transport *t, const cl_address *address)
{
    cl_str rest = cl_str_z(address->text), one;
    return OWN(t)->base.up && (!OWN(t)->scheme.n || next_address(OWN(t), &rest, &one));
}

static int encode(own_transport *o, const cl_envelope *e)
{
    cl_envelope copy = *e;
    cl_buf_clear(&o->frame);
    cl_buf_clear(&o->name);
    if (copy.deadline) {
        copy.deadline -= cl_loop_now();
        if (copy.deadline < 1) copy.deadline = 1;
    }
    int code = cl_frame_encode(&copy, &o->frame);
    if (code == 0) code = cl_buf_put_str(&o->name, e->to);
    return code ? code : cl_buf_put_char(&o->name, '\0');
}

static int send(cl_transport *t, void *node, const cl_envelope *e, uint64_t token)
{
    own_transport *o = OWN(t);
    size_t size = cl_envelope_size(e);
    if (size > o->limits.message) return cl_error_too_big("the message", size, o->limits.message);
    int code = encode(o, e);
    if (code != 0) return cl_error(code, NULL);
    const clouds_frame frame = {.size = sizeof frame,
                                .flags = token && cl_envelope_is_one_way(e) ? CLOUDS_FRAME_CONFIRM : 0,
                                .to = o->name.data,
                                .to_len = e->to.n,
                                .data = o->frame.data,
                                .data_len = o->frame.len,
                                .token = token};
    ASK(o, 0, code = THEIRS(o)->send(IT(o), node, &frame));
    if (o->frame.cap > o->limits.write_soft) cl_buf_free(&o->frame);
    return ended(code, 0);
}

static void forget(cl_transport *t, cl_str id)
{
    ASK(OWN(t), 0, THEIRS(OWN(t))->forget(IT(OWN(t)), id.p, id.n));
}

static void drain(cl_transport *t, void *node)
{
    own_transport *o = OWN(t);
    if (THEIRS(o)->drain) ASK(o, 0, THEIRS(o)->drain(IT(o), node));
}

static void close_node(cl_transport *t, void *node, int served)
{
    if (node_of(OWN(t), node)) ASK(OWN(t), 0, THEIRS(OWN(t))->close_node(IT(OWN(t)), node, served));
}

static void flush(cl_transport *t)
{
    cl_plugin_flush(&OWN(t)->plugin);
}

static void close_transport(cl_transport *t)
{
    ASK(OWN(t), 0, THEIRS(OWN(t))->close(IT(OWN(t))));
}

static void destroy(cl_transport *t)
{
    own_transport *o = OWN(t);
    o->plugin.ended = 1;
    if (IT(o)) ASK(o, 0, THEIRS(o)->destroy(IT(o)));
    size_t at = 0;
    for (own_node *node; (node = cl_idmap_next(&o->by_handle, &at));) cl_free(node);
    cl_idmap_free(&o->by_handle);
    cl_strmap_free(&o->by_id);
    cl_plugin_free(&o->plugin);
    cl_buf_free(&o->frame);
    cl_buf_free(&o->name);
    cl_free(o);
}

/* ---- what arrives */

/* Other types belong to the library's links, or to later versions. */
static int is_for_a_node(int type)
{
    return type == CL_CALL || type == CL_RESULT || type == CL_MESSAGE || type == CL_CANCEL || type == CL_PUBLISH ||
           type == CL_PART || type == CL_CREDIT || type == CL_STATE;
}

static void drop(own_transport *o, int code)
{
    o->sink.dropped(o->sink.receiver, code);
}

/* 0: it can be handed on, marked where it says or is too much; 1: it is dropped. */
static int check_frame(own_transport *o, cl_envelope *e, cl_extension *room)
{
    int code = cl_frame_is_extended(e) ? cl_frame_extend(e, room) : 0;
    if (code == 0) code = cl_frame_check(e, o->limits.json);
    if (code == 0 || code == CLOUDS_ENOTSUP) return 0;
    drop(o, code);
    if (code != CLOUDS_ETOOBIG || (e->type != CL_CALL && e->type != CL_RESULT)) return 1;
    cl_envelope_mark_too_big(e, e->raw.n);
    return 0;
}

static int hand_on(own_transport *o, cl_envelope *e)
{
    cl_extension room;
    const own_node *node = cl_strmap_get(&o->by_id, e->to);
    if (!is_for_a_node(e->type)) return 0;
    if (!node) return cl_error(CLOUDS_ENOSERVER, "no such node is open here");
    if (!(e->flags & CL_TOO_BIG) && check_frame(o, e, &room)) return 0;
    e->flags = (e->flags & ~(unsigned)CL_REDIS_CLOCK) | CL_FRAMES | (e->type == CL_CALL ? CL_NATIVE : 0);
    e->at = cl_loop_now();
    if (e->deadline) e->deadline += e->at;
    e->link = 0;
    o->sink.envelope(o->sink.receiver, node->handle, e);
    return 0;
}

static int broken(own_transport *o)
{
    drop(o, CLOUDS_EPROTO);
    return cl_error(CLOUDS_EPROTO, "what arrived is no frame");
}

enum { FARTHEST_MS = 7 * 24 * 3600 * 1000 };

static int on_received(void *self, const void *data, size_t data_len)
{
    own_transport *o = self;
    cl_envelope e;
    cl_str bytes = cl_str_of(data, data_len);
    int code = cl_plugin_check(&o->plugin);
    if (code != 0) return code;
    if (!data) return broken(o);
    int64_t took = cl_frame_decode(bytes, o->limits.message + CL_FRAME_HEAD, &e);
    if (took == CLOUDS_ETOOBIG) {
        took = cl_frame_decode_too_big(bytes, &e);
        drop(o, CLOUDS_ETOOBIG);
    }
    if (took <= 0 || (uint64_t)took != data_len || !e.from.n || e.deadline < 0) return broken(o);
    if (e.deadline > FARTHEST_MS) e.deadline = FARTHEST_MS;
    return hand_on(o, &e);
}

/* ---- what else the program reports */

static const char *words_of(int code, const char *words)
{
    return words ? words : code ? clouds_strerror(code) : "";
}

static int check_id(const own_transport *o, const char *id, size_t id_len)
{
    int code = cl_plugin_check(&o->plugin);
    if (code == 0 && (!id || !id_len)) code = cl_error(CLOUDS_EINVAL, "the transport reports a node without an id");
    return code;
}

static int on_state(void *self, int up, int code, const char *words)
{
    own_transport *o = self;
    int refused = o->is_creating ? 0 : cl_plugin_check(&o->plugin);
    if (refused) return refused;
    o->base.up = up != 0;
    if (!up && code >= 0) code = CLOUDS_EUNREACHABLE;
    if (!o->is_creating) o->sink.state(o->sink.self, up != 0, up ? 0 : code, words_of(up ? 0 : code, words));
    return 0;
}

static int on_opened(void *self, void *node, int code, const char *words)
{
    own_transport *o = self;
    int refused = cl_plugin_check(&o->plugin);
    if (refused == 0) o->sink.opened(o->sink.self, node, code, words_of(code, words));
    return refused;
}

static int on_node_closed(void *self, void *node)
{
    own_transport *o = self;
    int refused = cl_plugin_check(&o->plugin);
    if (refused != 0) return refused;
    forget_node(o, node_of(o, node));
    o->sink.node_closed(o->sink.self, node);
    return 0;
}

static int on_delivery(void *self, uint64_t token, int delivery, int64_t number)
{
    own_transport *o = self;
    int refused = cl_plugin_check(&o->plugin);
    if (refused == 0 && (delivery < CLOUDS_DELIVERY_WRITTEN || delivery > CLOUDS_DELIVERY_LOST))
        refused = cl_error(CLOUDS_EINVAL, "the transport reports a delivery %d", delivery);
    if (refused == 0 && token) o->sink.delivery(o->sink.receiver, token, (enum cl_delivery)delivery, number);
    return refused;
}

/* Those that are of ours, with a space between them. */
static int pick_addresses(const own_transport *o, const cl_address *all, clouds_address *out)
{
    cl_str rest = cl_str_z(all->text), one;
    size_t at = 0, n = 0;
    for (out->text[0] = '\0'; next_address(o, &rest, &one); n++)
        at += (size_t)snprintf(out->text + at, sizeof out->text - at, "%s%.*s", n ? " " : "", (int)one.n, one.p);
    return n ? 0 : cl_error(CLOUDS_ENOSERVER, "the transport has no way to this node");
}

/* These two are asked for from inside of send, too. */
static int on_locate(void *self, const char *id, size_t id_len, clouds_address *out)
{
    own_transport *o = self;
    cl_address address = {""};
    if (!cl_plugin_is_inside()) return cl_plugin_check(&o->plugin);
    if (!id || !id_len || !out) return cl_error(CLOUDS_EINVAL, "locate: a node without an id");
    int code = o->sink.locate(o->sink.self, cl_str_of(id, id_len), &address);
    if (code == 0 && o->scheme.n) return pick_addresses(o, &address, out);
    if (code == 0) snprintf(out->text, sizeof out->text, "%s", address.text);
    return code;
}

static int on_has_other(void *self, const char *id, size_t id_len)
{
    own_transport *o = self;
    if (!cl_plugin_is_inside() || !id || !id_len) return 0;
    return o->sink.has_other(o->sink.self, cl_str_of(id, id_len));
}

static int on_suspended(void *self, const char *id, size_t id_len, int on)
{
    own_transport *o = self;
    int refused = check_id(o, id, id_len);
    if (refused == 0) o->sink.suspended(o->sink.self, cl_str_of(id, id_len), on != 0);
    return refused;
}

static int on_peer_lost(void *self, const char *id, size_t id_len, int was_open)
{
    own_transport *o = self;
    int refused = check_id(o, id, id_len);
    if (refused == 0) o->sink.peer_lost(o->sink.self, cl_str_of(id, id_len), was_open != 0);
    return refused;
}

static int on_peer_draining(void *self, const char *id, size_t id_len)
{
    own_transport *o = self;
    int refused = check_id(o, id, id_len);
    if (refused == 0) o->sink.peer_draining(o->sink.self, cl_str_of(id, id_len));
    return refused;
}

static int on_closed(void *self)
{
    own_transport *o = self;
    int refused = cl_plugin_check(&o->plugin);
    if (refused == 0) o->sink.closed(o->sink.self);
    return refused;
}

static const clouds_transport_sink sink_of_all = {.size = sizeof(clouds_transport_sink),
                                                  .state = on_state,
                                                  .opened = on_opened,
                                                  .node_closed = on_node_closed,
                                                  .received = on_received,
                                                  .delivery = on_delivery,
                                                  .locate = on_locate,
                                                  .has_other = on_has_other,
                                                  .suspended = on_suspended,
                                                  .peer_lost = on_peer_lost,
                                                  .peer_draining = on_peer_draining,
                                                  .closed = on_closed};

/* ---- making one */

int cl_own_transport_prepare(cl_own_transport_kind *kind)
{
    const clouds_transport_ops *t = &kind->theirs;
    const struct {
        const char *name;
        int is_there;
    } needed[] = {{"create", t->create != NULL}, {"close", t->close != NULL}, {"destroy", t->destroy != NULL},
                  {"open", t->open != NULL},     {"send", t->send != NULL},   {"close_node", t->close_node != NULL}};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!needed[i].is_there) return cl_error(CLOUDS_EINVAL, "clouds_transport_ops: %s is NULL", needed[i].name);
    if (t->flags & ~(uint32_t)CLOUDS_TRANSPORT_KNOWS_LOSSES)
        return cl_error(CLOUDS_ENOTSUP, "clouds_transport_ops: flags are %u", t->flags);
    kind->ops = (cl_transport_ops){.open = open_node,
                                   .reaches = reaches,
                                   .send = send,
                                   .forget = t->forget ? forget : NULL,
                                   .drain = drain,
                                   .close_node = close_node,
                                   .flush = flush,
                                   .close = close_transport,
                                   .destroy = destroy};
    return 0;
}

int cl_own_transport_create(struct cl_loop *loop, const cl_own_transport_kind *kind, cl_str name, cl_str address,
                            const cl_limits *limits, const cl_transport_sink *sink, cl_transport **out)
{
    const clouds_transport_ops *t = &kind->theirs;
    const cl_plugin_ops ops = {t->ready, t->due, t->woken, t->flush};
    own_transport *o = cl_calloc(1, sizeof *o);
    if (!o) return cl_error(CLOUDS_ENOMEM, NULL);
    o->base.ops = &kind->ops;
    o->base.knows_losses = (t->flags & CLOUDS_TRANSPORT_KNOWS_LOSSES) != 0;
    o->base.takes_ids = 1;
    o->kind = kind;
    o->scheme = name;
    o->sink = *sink;
    o->limits = *limits;
    o->theirs = sink_of_all;
    o->theirs.self = o;
    int code = cl_plugin_init(&o->plugin, loop, &ops, limits->message, &o->base.has_work);
    o->is_creating = 1;
    if (code == 0) ASK(o, 0, code = t->create(t->user_data, &o->plugin.host, &o->theirs, address.p, address.n, &IT(o)));
    o->is_creating = 0;
    if (code != 0) IT(o) = NULL;
    else if (!IT(o)) code = cl_error(CLOUDS_EINVAL, "create of the transport made nothing");
    code = ended(code, 0);
    if (code == 0) *out = &o->base;
    else destroy(&o->base);
    return code;
}
