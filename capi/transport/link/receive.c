/* Design note: frames are read where they lie, in the loop's input. Only a frame whose end has not come is
 * registration, in `tail`; of the next bytes just what it lacks is copied. */
#include "transport/link/internal.h"

#include "base/error.h"
#include "base/log.h"
#include "base/rare.h"

enum {
    HELLO_BYTES = 4096,
    KEEP_BYTES = CL_FRAGMENT_BYTES,
    TAILS = 8 /* beginnings of messages of the longest kind that all links together may hold */
};

static size_t longest(const cl_peer_link *link)
{
    size_t most = link->t->limits.message + CL_FRAME_HEAD;
    return link->state == CL_LINK_OPEN || most < HELLO_BYTES ? most : HELLO_BYTES;
}

CL_RARE static void break_up(cl_peer_link *link, int code)
{
    link->t->sink.dropped(link->t->sink.receiver, code);
    cl_link_cut(link, clouds_strerror(code));
}

/* The node of ours that an envelope is for. An accepted link serves the node that its hello named, and no other. */
static const cl_endpoint *receiver(cl_peer_link *link, cl_str to)
{
    cl_link_transport *t = link->t;
    if (!to.n) return link->named;
    if (link->accepted && !link->is_context) return link->named && cl_str_eq(to, link->named->id) ? link->named : NULL;
    if (!t->last_endpoint || !cl_str_is(to, t->last_endpoint->id))
        t->last_endpoint = cl_strmap_get(&t->endpoint_by_id, to);
    return t->last_endpoint;
}

/* 1: it is whole, only too much for us, which is told in its place. */
CL_RARE static int is_tolerable(cl_peer_link *link, cl_envelope *e, int code)
{
    if (code != CLOUDS_ETOOBIG) {
        break_up(link, code);
        return 0;
    }
    link->t->sink.dropped(link->t->sink.receiver, code);
    if (e->type != CL_CALL && e->type != CL_RESULT) return 0;
    if (!(e->flags & CL_TOO_BIG)) cl_envelope_mark_too_big(e, e->raw.n);
    return 1;
}

/* Who was called does not live here, or no longer: it goes elsewhere. */
CL_RARE static void refuse(cl_peer_link *link, const cl_envelope *call)
{
    cl_link_transport *t = link->t;
    const cl_envelope answer = {.type = CL_RESULT,
                                .flags = CL_REFUSED,
                                .from = call->to,
                                .to = call->from,
                                .id = call->id,
                                .error = CL_STR("{\"message\":\"no such node\",\"code\":\"CLOUDS_DRAINING\"}"),
                                .link = link->id};
    if (cl_link_send(&t->base, NULL, &answer, 0) != 0) t->sink.dropped(t->sink.receiver, CLOUDS_EPROTO);
}

/* Does what we opened a link to speak for itself only? And who opened one to us has nothing to answer: what we ask goes
 * over links of ours, and so do the answers. */
static inline int may_say(cl_peer_link *link, const cl_envelope *e)
{
    if (link->accepted) return !link->is_context || e->type != CL_RESULT;
    cl_str from = e->from;
    return link->way ? cl_way_has(link->t, link, from) : cl_str_is(from, link->peer_id);
}

static inline void on_envelope(cl_peer_link *link, cl_envelope *e)
{
    cl_link_transport *t = link->t;
    int code = e->flags & CL_TOO_BIG       ? CLOUDS_ETOOBIG
               : e->flags & CL_UNSUPPORTED ? 0
                                           : cl_frame_check(e, t->limits.json);
    if (code != 0 && !is_tolerable(link, e, code)) return;
    if (!e->from.n) e->from = link->peer_node.n ? link->peer_node : link->peer_id;
    if (!e->to.n && link->is_context) e->to = link->own_node;
    const cl_endpoint *node = receiver(link, e->to);
    if (e->type == CL_RESULT && !link->accepted) cl_link_forget_call(link);
    if (!node && link->is_context && link->accepted && e->type == CL_CALL) {
        refuse(link, e);
        return;
    }
    if (!node || !may_say(link, e)) {
        t->sink.dropped(t->sink.receiver, CLOUDS_EPROTO);
        return;
    }
    if (link->is_tcp && e->deadline) e->deadline = e->deadline < INT64_MAX / 2 ? e->deadline + link->heard : 0;
    e->link = link->id;
    e->at = link->heard;
    if (e->type == CL_CALL) e->flags |= CL_NATIVE | CL_FRAMES;
    t->sink.envelope(t->sink.receiver, node->node, e);
}

/* One with more than the usual members. */
CL_RARE static void on_extended(cl_peer_link *link, cl_envelope *e)
{
    cl_extension room;
    int code = cl_frame_extend(e, &room);
    if (code == CLOUDS_EPROTO) break_up(link, code);
    else on_envelope(link, e);
}

/* The node at the other end of a link of ours says so; we answer in kind, behind the last call that we sent it. So it
 * knows when everything has come, and no call is cut off on its way. */
CL_RARE static void on_draining(cl_peer_link *link, const cl_envelope *e)
{
    cl_link_transport *t = link->t;
    if (link->is_context && e->from.n) { /* one node of several */
        if (link->way && cl_way_has(t, link, e->from)) t->sink.peer_draining(t->sink.self, e->from);
        return;
    }
    int first = !link->half_closed;
    link->half_closed = 1;
    if (link->accepted) {
        int is_awaited = link->is_context ? t->closing : link->endpoint && link->endpoint->closing;
        if (is_awaited) cl_link_finish(link);
        return;
    }
    if (!link->is_context) t->sink.peer_draining(t->sink.self, link->peer_id);
    if (first) cl_large_put_all(link);
    if (first && cl_link_send_control(link, CL_FRAME_DRAINING, CL_STR_NONE) != 0) cl_link_cut(link, "out of memory");
}

void cl_link_count_tail(cl_peer_link *link)
{
    size_t now = link->tail.cap + link->incoming.frame.cap;
    link->t->tail_bytes += now - link->tail_counted;
    link->tail_counted = now;
}

/* What is kept for the next frame is given back. */
static void free_spare(cl_link_transport *t)
{
    CL_LIST_EACH(it, &t->links)
    {
        cl_peer_link *link = CL_OWNER(it, cl_peer_link, place);
        if (!link->tail.len) cl_buf_free(&link->tail);
        cl_link_count_tail(link);
    }
}

/* Of the links that owe the end of a frame, the one that has been silent for the longest goes. */
CL_RARE static void make_room(cl_link_transport *t, size_t most)
{
    cl_peer_link *oldest = NULL;
    free_spare(t);
    if (t->tail_bytes <= most) return;
    CL_LIST_EACH(it, &t->links)
    {
        cl_peer_link *link = CL_OWNER(it, cl_peer_link, place);
        if (link->tail_counted && (!oldest || link->heard < oldest->heard)) oldest = link;
    }
    if (!oldest) return;
    cl_log(CLOUDS_LOG_WARN, "local: the unfinished messages of all links take %zu bytes; the link to %s is cut",
           t->tail_bytes, oldest->peer ? oldest->peer : "an unknown node");
    cl_buf_free(&oldest->tail);
    cl_fragments_free(&oldest->incoming);
    cl_link_count_tail(oldest);
    break_up(oldest, CLOUDS_ELIMIT);
}

static void limit_tails(cl_peer_link *link)
{
    cl_link_transport *t = link->t;
    size_t most = TAILS * (t->limits.message + CL_FRAME_HEAD);
    cl_link_count_tail(link);
    if (t->tail_bytes > most) make_room(t, most);
}

static void on_frame(cl_peer_link *link, cl_envelope *e);

/* Its time began when the first of it came. */
CL_RARE static void on_whole(cl_peer_link *link, cl_envelope *e)
{
    int64_t took = link->heard - link->incoming_since;
    if (link->is_tcp && e->deadline) e->deadline = e->deadline > took ? e->deadline - took : 1;
    on_frame(link, e);
}

CL_RARE static void on_fragment(cl_peer_link *link, const cl_envelope *fragment)
{
    cl_envelope e;
    if (!link->incoming.length) link->incoming_since = link->heard;
    int took = cl_fragments_take(&link->incoming, fragment, longest(link), &e);
    if (took < 0) {
        break_up(link, took);
        return;
    }
    if (took && e.flags & CL_TOO_BIG) on_envelope(link, &e);
    else if (took) on_whole(link, &e);
    if (!link->incoming.length) cl_fragments_free(&link->incoming);
    limit_tails(link);
}

static void on_frame(cl_peer_link *link, cl_envelope *e)
{
    if (link->state == CL_LINK_HELLO) {
        if (e->type == CL_FRAME_HELLO) cl_link_hello_came(link, e);
        else break_up(link, CLOUDS_EPROTO);
        return;
    }
    switch (e->type) {
    case CL_CALL:
    case CL_RESULT:
    case CL_MESSAGE:
    case CL_CANCEL:
    case CL_PUBLISH:
    case CL_PART:
    case CL_CREDIT:
    case CL_STATE:
        if (cl_frame_is_extended(e)) on_extended(link, e);
        else on_envelope(link, e);
        break;
    case CL_FRAME_FRAGMENT:
        on_fragment(link, e);
        break;
    case CL_FRAME_PING:
        if (cl_link_send_control(link, CL_FRAME_PONG, CL_STR_NONE) != 0 ||
            cl_conn_pending(link->conn) > link->t->limits.write_hard)
            cl_link_cut(link, "it takes none of the answers to its pings");
        break;
    case CL_FRAME_DRAINING:
        on_draining(link, e);
        break;
    default:
        break; /* a pong says enough by having come; what we don't know is for later versions */
    }
}

static int is_reading(const cl_peer_link *link)
{
    return link->state == CL_LINK_HELLO || link->state == CL_LINK_OPEN;
}

/* A frame that is longer than what we take: who it is for hears of it, and the rest of it is passed over. */
CL_RARE static int64_t read_too_big(cl_peer_link *link, cl_str bytes)
{
    cl_envelope e;
    int64_t all = cl_frame_decode_too_big(bytes, &e);
    if (all <= 0) return all;
    if (e.type != CL_CALL && e.type != CL_RESULT && e.type != CL_MESSAGE && e.type != CL_PUBLISH) return CLOUDS_ETOOBIG;
    on_envelope(link, &e);
    if ((uint64_t)all <= bytes.n) return all;
    link->skip = (uint64_t)all - bytes.n;
    return (int64_t)bytes.n;
}

/* Reads whole frames; the number of bytes they took. */
static size_t read_frames(cl_peer_link *link, const char *p, size_t n)
{
    size_t at = 0;
    while (at < n && is_reading(link)) {
        cl_envelope e;
        int64_t took = cl_frame_decode(cl_str_of(p + at, n - at), longest(link), &e);
        if (took == CLOUDS_ETOOBIG && link->state == CL_LINK_OPEN) {
            took = read_too_big(link, cl_str_of(p + at, n - at));
            if (took > 0) at += (size_t)took;
            if (took > 0) continue;
        }
        if (took == 0) break;
        if (took < 0) {
            break_up(link, (int)took);
            break;
        }
        on_frame(link, &e);
        at += (size_t)took;
    }
    return at;
}

static int put_tail(cl_peer_link *link, const char *p, size_t n)
{
    int code = cl_buf_put(&link->tail, p, n);
    if (code != 0) break_up(link, CLOUDS_ENOMEM);
    limit_tails(link);
    return code == 0 && is_reading(link) ? 0 : -1;
}

static size_t length_of(const cl_buf *tail)
{
    const unsigned char *p = (const unsigned char *)tail->data;
    return CL_FRAME_PREFIX + ((size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24);
}

/* Gives the tail what it lacks; the number of bytes taken, or -1. A hostile length is found by cl_frame_decode as soon
 * as its four bytes are there, before anything is collected for it. */
static int64_t complete_tail(cl_peer_link *link, const char *p, size_t n)
{
    cl_buf *tail = &link->tail;
    size_t lacks = tail->len < CL_FRAME_PREFIX ? CL_FRAME_PREFIX - tail->len : length_of(tail) - tail->len;
    if (lacks > n) lacks = n;
    if (put_tail(link, p, lacks) != 0) return -1;
    if (read_frames(link, tail->data, tail->len) == 0) return (int64_t)lacks;
    if (tail->cap > KEEP_BYTES) cl_buf_free(tail);
    else cl_buf_clear(tail);
    cl_link_count_tail(link);
    return (int64_t)lacks;
}

void cl_link_read(void *self, const char *p, size_t n)
{
    cl_peer_link *link = self;
    link->heard = cl_loop_now();
    size_t skipped = link->skip < n ? (size_t)link->skip : n;
    link->skip -= skipped;
    p += skipped;
    n -= skipped;
    while (link->tail.len && n && is_reading(link)) {
        int64_t took = complete_tail(link, p, n);
        if (took < 0) return;
        p += took;
        n -= (size_t)took;
    }
    if (!n || !is_reading(link)) return;
    size_t took = read_frames(link, p, n);
    if (is_reading(link) && took < n) put_tail(link, p + took, n - took);
}
