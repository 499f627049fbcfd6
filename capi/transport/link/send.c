/* Design notes
 *
 * Over an open link a frame goes straight into the conn's output. Before, it waits in the link's queue behind a small
 * head that remembers its token and deadline; what is overdue when the link opens is not sent, and a call that has
 * waited half of its time goes elsewhere, if there is another server. Until it is written a call can be recalled: all
 * calls to a peer that is stopped are, one by one, so each is found by its token.
 *
 * A call counts as not sent until the kernel has all of its bytes: `unsent` lists the calls in the conn's output with
 * their ends, so that a link that breaks loses only what it has carried.
 *
 * What is too long to go at once, and what must not overtake it, has a queue of its own: large.c.
 *
 * A result goes back over the link its call came on; when that is gone, to the node by name. */
#include "transport/link/internal.h"

#include "base/error.h"
#include "base/rare.h"

enum { FULL_LINKS = 8 /* full queues that all links together may have */ };

void cl_link_tell(cl_link_transport *t, uint64_t token, enum cl_delivery delivery)
{
    if (token) t->sink.delivery(t->sink.receiver, token, delivery, delivery == CL_DELIVERY_WRITTEN);
}

static cl_peer_link *way_back(cl_link_transport *t, const cl_envelope *e)
{
    cl_peer_link *link = t->last && t->last->id == e->link ? t->last : cl_idmap_get(&t->link_by_id, e->link);
    return link && link->state == CL_LINK_OPEN ? link : NULL;
}

static int by_name(cl_link_transport *t, cl_str to, cl_peer_link **out)
{
    cl_peer_link *link = t->last;
    if (!link || link->accepted || !cl_str_is(link->peer_id, to)) link = cl_strmap_get(&t->link_by_peer, to);
    if (!link) return cl_link_open(t, to, out);
    if (link->state == CL_LINK_ENDING)
        return cl_error(CLOUDS_EUNREACHABLE, "the link to %.*s is ending", (int)to.n, to.p);
    *out = link;
    return 0;
}

/* A result goes nowhere else: whoever opened the link has lost its call with that. */
CL_RARE static int no_way_back(const cl_envelope *e)
{
    return cl_error(CLOUDS_EUNREACHABLE, "the link by which the call of %.*s came is gone", (int)e->to.n, e->to.p);
}

/* A directory takes who is not reached from the servers of a method, but not from the subscribers of a topic. */
static int by_way(cl_link_transport *t, const cl_envelope *e, cl_peer_link **out)
{
    if (e->type == CL_RESULT && e->link) return no_way_back(e);
    if (e->type == CL_PUBLISH && cl_way_rests(t, e->to)) return cl_error(CLOUDS_EUNREACHABLE, NULL);
    if (e->type != CL_CANCEL) return cl_way_find(t, e->to, out);
    *out = cl_way_link(t, e->to); /* it follows its call, wherever the directory has the node by now */
    return *out ? 0 : cl_error(CLOUDS_EUNREACHABLE, NULL);
}

static int find(cl_link_transport *t, const cl_envelope *e, cl_peer_link **out)
{
    cl_peer_link *link = e->type == CL_RESULT && e->link ? way_back(t, e) : NULL;
    int code = link ? 0 : t->has_contexts ? by_way(t, e, &link) : by_name(t, e->to, &link);
    if (code == 0) *out = t->last = link;
    return code;
}

/* What is only worth saying where the way is there. */
CL_RARE static int is_open(cl_link_transport *t, cl_str to)
{
    const cl_peer_link *link = t->has_contexts ? cl_way_link(t, to) : cl_strmap_get(&t->link_by_peer, to);
    return link && link->state == CL_LINK_OPEN;
}

CL_RARE static int full(const cl_envelope *e, size_t unwritten, const char *name, size_t limit)
{
    return cl_error_limit(CLOUDS_ELIMIT, unwritten, limit, "%zu bytes wait for %.*s already (%s, %zu)", unwritten,
                          (int)e->to.n, e->to.p, name, limit);
}

void cl_link_count_out(cl_peer_link *link)
{
    size_t now = link->queue.len + cl_link_unwritten(link);
    link->t->out_bytes += now - link->out_counted;
    link->out_counted = now;
}

/* The output is full of answers: who does not take them is cut off. Nothing more is read from it, until it has taken
 * what waits; but large answers that wait for each other are no reason not to hear what else it asks. */
CL_RARE static void hold_up(cl_peer_link *link, int is_held)
{
    if (!is_held) cl_conn_set_reading(link->conn, 0);
    if (link->held_up) return;
    link->held_up = cl_loop_now();
    link->held_up_at = cl_conn_handed(link->conn);
    cl_links_due_by(link->t, link->held_up + cl_link_answers_within(link));
}

/* Nothing can flow off before the link is open: as many calls as may be outstanding should find room until then. What
 * is large hinders nobody, so some of that may wait, too. */
static int room_for(cl_peer_link *link, const cl_envelope *e, size_t size, int is_held)
{
    const cl_limits *limits = &link->t->limits;
    int is_open = link->state == CL_LINK_OPEN;
    size_t unwritten = !is_open ? link->queue.len : is_held ? cl_link_unwritten(link) : cl_conn_pending(link->conn);
    size_t all = is_held ? link->t->out_bytes : link->t->out_bytes - link->t->large_bytes;
    if (unwritten && all > FULL_LINKS * limits->write_hard)
        return cl_error(CLOUDS_ELIMIT, "%zu bytes wait for all nodes together already (%d times write_hard)", all,
                        FULL_LINKS);
    if (unwritten <= limits->write_soft) return 0;
    if (e->type != CL_RESULT && is_open && !is_held) return full(e, unwritten, "write_soft", limits->write_soft);
    if (unwritten + size <= limits->write_hard) return 0;
    if (is_open && e->type == CL_RESULT) hold_up(link, is_held);
    return full(e, unwritten, "write_hard", limits->write_hard);
}

/* A peer that says no hello may do so later, or never: after half of its time a call is better off elsewhere. */
static int64_t patience_of(const cl_envelope *e)
{
    int64_t now = cl_loop_now();
    if (e->type != CL_CALL || !e->deadline) return INT64_MAX;
    return e->deadline <= now ? e->deadline : now + (e->deadline - now + 1) / 2;
}

static int can_be_recalled(const cl_waiting *w)
{
    return w->type == CL_CALL && w->token;
}

static void *place_at(size_t at)
{
    return (void *)(uintptr_t)(at + 1);
}

CL_RARE static int wait_for(cl_peer_link *link, const cl_envelope *e, uint64_t token)
{
    cl_buf *queue = &link->queue;
    size_t before = queue->len;
    cl_waiting w = {.token = token,
                    .deadline = e->deadline,
                    .patience = patience_of(e),
                    .key = e->type == CL_CALL ? cl_call_key(e->id) : 0,
                    .type = (uint32_t)e->type};
    int code = cl_buf_put(queue, &w, sizeof w);
    if (code == 0) code = cl_frame_encode(e, queue);
    if (code == 0 && can_be_recalled(&w)) code = cl_idmap_put(&link->places, token, place_at(before));
    if (code != 0) {
        queue->len = before;
        return code;
    }
    w.length = (uint32_t)(queue->len - before - sizeof w);
    memcpy(queue->data + before, &w, sizeof w);
    link->waiting++;
    link->worth += e->type != CL_CALL;
    if (w.patience < link->give_back) {
        link->give_back = w.patience;
        cl_links_due_by(link->t, w.patience);
    }
    return 0;
}

/* A link with unanswered calls is pinged when it falls silent. */
static void count_call(cl_peer_link *link)
{
    link->calls++;
    if (link->watched) return;
    link->watched = 1;
    link->pinged = 0;
    link->heard = cl_loop_now();
    cl_links_due_by(link->t, link->heard + cl_link_ping_after(link));
}

/* Of the calls that the kernel has, nothing need be known any more. */
CL_RARE static void forget_sent(cl_peer_link *link)
{
    const cl_unsent *list = (const cl_unsent *)(const void *)link->unsent.data;
    size_t n = link->unsent.len / sizeof *list, sent = 0;
    while (sent < n && list[sent].end <= cl_conn_handed(link->conn)) sent++;
    cl_buf_consume(&link->unsent, sent * sizeof *list);
}

/* That nothing waits to be written does not say so: a connection that broke has dropped its output. */
static inline int have_all_left(const cl_peer_link *link, uint64_t handed)
{
    const cl_unsent *list = (const cl_unsent *)(const void *)link->unsent.data;
    size_t n = link->unsent.len / sizeof *list;
    return n == 0 || list[n - 1].end <= handed;
}

/* Without memory the call counts as sent. */
void cl_link_remember_unsent(cl_peer_link *link, uint64_t token, size_t pending_before)
{
    cl_buf *list = &link->unsent;
    uint64_t handed = cl_conn_handed(link->conn);
    const cl_unsent call = {handed + cl_conn_pending(link->conn), token};
    if (pending_before == 0 && have_all_left(link, handed)) cl_buf_clear(list);
    if (list->cap - list->len < sizeof call) {
        forget_sent(link);
        if (cl_buf_reserve(list, sizeof call) != 0) return;
    }
    cl_buf_add(list, &call, sizeof call);
}

void cl_link_delivered(void *owner, const cl_deferred *d)
{
    cl_link_tell(owner, d->number, (enum cl_delivery)d->code);
}

/* The clock of another machine is another one, so the time that is left is said instead; 0 would be none. */
int64_t cl_link_time_left(int64_t deadline, int64_t now)
{
    int64_t left = deadline - (now ? now : cl_loop_now());
    return left > 0 ? left : 1;
}

/* What is told may send more, but not over this link. */
void cl_link_lose_carried(cl_peer_link *link)
{
    while (!cl_list_empty(&link->carried)) {
        cl_carried *call = CL_OWNER(link->carried.next, cl_carried, place);
        cl_list_remove(&call->place);
        cl_link_tell(link->t, call->token, CL_DELIVERY_LOST);
    }
}

/* Between contexts a node that its end's hello has named is not said. */
static int write_between(cl_peer_link *link, const cl_envelope *e, cl_str from, cl_buf *out)
{
    size_t before = out->len;
    int code = cl_frame_encode_between(e, link->peer_node.n ? from : CL_STR_NONE, link->peer_node, out);
    if (code == 0 && link->is_tcp && e->deadline)
        cl_frame_set_deadline(out->data + before, cl_link_time_left(e->deadline, e->at));
    return code;
}

static int write_frame(cl_peer_link *link, const void *node, const cl_envelope *e, cl_buf *out)
{
    cl_str from = link->named && link->named->node == node ? e->from : CL_STR_NONE;
    if (link->is_context) return write_between(link, e, from, out);
    cl_str to = link->accepted ? link->peer_id : e->to; /* one of ours was found by the name of its peer */
    return cl_frame_encode_between(e, from, to, out);
}

/* What is remembered of a frame that stands in the output, or will. */
static void is_under_way(cl_peer_link *link, const cl_envelope *e)
{
    if (e->type == CL_CALL && !(e->flags & CL_NOTIFY)) count_call(link);
    if (e->type == CL_CANCEL) cl_link_forget_call(link); /* it has no answer */
}

CL_RARE static int write_held(cl_peer_link *link, const void *node, const cl_envelope *e, uint64_t token)
{
    cl_large *large = cl_large_make(link, e, token);
    int code = large ? write_frame(link, node, e, &large->frame) : CLOUDS_ENOMEM;
    if (code != 0) {
        cl_large_free(large);
        return code;
    }
    large->is_counted = e->type == CL_CALL && !(e->flags & CL_NOTIFY);
    is_under_way(link, e);
    cl_large_put(link, large);
    return 0;
}

static int write_to(cl_peer_link *link, const void *node, const cl_envelope *e, uint64_t token)
{
    /* A message's sender asks how many got it. What is to be reported is reserved, so that it cannot fail afterwards.
     */
    cl_deferred *report = NULL;
    if (token && cl_envelope_is_one_way(e)) {
        report = cl_deferred_reserve(cl_link_delivered, NULL, token, CL_DELIVERY_WRITTEN, CL_STR_NONE);
        if (!report) return CLOUDS_ENOMEM;
    }
    size_t before = cl_conn_pending(link->conn);
    int code = write_frame(link, node, e, cl_conn_out(link->conn));
    if (code != 0) {
        cl_deferred_discard(report);
        return code;
    }
    if (e->type == CL_CALL) cl_link_remember_unsent(link, token, before);
    is_under_way(link, e);
    if (report) cl_deferred_put(&link->t->deferred, report);
    cl_conn_commit(link->conn);
    return 0;
}

/* Whoever sent it is told at once, and not by a peer that had to read all of it. Of an answer the other end's program
 * is told: so it goes, and is passed over there. */
static inline int exceeds(const cl_peer_link *link, int type, size_t size)
{
    return link->takes && size > link->takes && type != CL_RESULT;
}

CL_RARE static int too_much_for(const cl_peer_link *link, cl_str to, size_t size)
{
    return cl_error_limit(CLOUDS_ETOOBIG, size, (size_t)link->takes,
                          "the message has %zu bytes, and %.*s takes at most %llu (its max_message)", size,
                          to.n < 150 ? (int)to.n : 150, to.p, (unsigned long long)link->takes);
}

/* There is no such node. */
CL_RARE static int has_nobody(cl_link_transport *t, uint64_t token)
{
    return token ? cl_defer(&t->deferred, cl_link_delivered, NULL, token, CL_DELIVERY_NOBODY, CL_STR_NONE) : 0;
}

static inline int holds(const cl_peer_link *link, const cl_envelope *e, size_t size)
{
    if (size <= CL_FRAGMENT_ABOVE && cl_list_empty(&link->large)) return 0;
    return cl_large_holds(link, e->type, e->type == CL_CANCEL ? cl_call_key(e->id) : 0, size);
}

/* Also while it waits: what is not sent is told before what is lost. */
static inline void carry(cl_peer_link *link, cl_carried *call, uint64_t token)
{
    call->token = token;
    cl_list_append(&link->carried, &call->place);
}

int cl_link_send(cl_transport *base, void *node, const cl_envelope *e, uint64_t token)
{
    cl_link_transport *t = cl_links_of(base);
    cl_peer_link *link;
    size_t size = cl_envelope_size(e);
    if (size > t->limits.message) return cl_error_too_big("the message", size, t->limits.message);
    if (t->closing) return cl_error(CLOUDS_ECLOSED, NULL);
    if (e->type == CL_CANCEL && !is_open(t, e->to)) return cl_error(CLOUDS_EUNREACHABLE, NULL);
    int code = find(t, e, &link);
    if (code == CLOUDS_ENOSERVER) return has_nobody(t, token);
    if (code == 0 && link->half_closed && e->type == CL_CALL)
        return cl_defer(&t->deferred, cl_link_delivered, NULL, token, CL_DELIVERY_NOBODY, CL_STR_NONE);
    if (code != 0) return code;
    if (exceeds(link, e->type, size)) return too_much_for(link, e->to, size);
    int is_held = holds(link, e, size);
    code = room_for(link, e, size, is_held);
    if (code != 0) return code;
    code = link->state != CL_LINK_OPEN ? wait_for(link, e, token)
           : is_held                   ? write_held(link, node, e, token)
                                       : write_to(link, node, e, token);
    if (code == 0 && e->carried && link->is_context) carry(link, e->carried, token);
    cl_link_count_out(link);
    return code;
}

/* ---- what waited */

static const char *next_waiting(const cl_peer_link *link, size_t *at, cl_waiting *w)
{
    if (*at >= link->queue.len) return NULL;
    memcpy(w, link->queue.data + *at, sizeof *w);
    const char *frame = link->queue.data + *at + sizeof *w;
    *at += sizeof *w + w->length;
    return frame;
}

static void clear_queue(cl_peer_link *link)
{
    cl_buf_free(&link->queue);
    cl_idmap_free(&link->places);
    link->waiting = link->worth = 0;
    link->give_back = INT64_MAX;
}

static int put_waiting(cl_peer_link *link, const cl_waiting *w, const char *frame, cl_buf *out)
{
    if (cl_buf_put(out, frame, w->length) != 0) return CLOUDS_ENOMEM;
    if (link->is_tcp && w->deadline)
        cl_frame_set_deadline(out->data + out->len - w->length, cl_link_time_left(w->deadline, 0));
    return 0;
}

/* A frame says it itself, behind its length. */
static cl_envelope kind_of(const cl_waiting *w, const char *frame)
{
    return (cl_envelope){.type = (int)w->type,
                         .flags = (unsigned char)frame[CL_FRAME_PREFIX + 1],
                         .id = cl_str_of((const char *)&w->key, sizeof w->key),
                         .deadline = w->deadline};
}

CL_RARE static int hold_waiting(cl_peer_link *link, const cl_waiting *w, const char *frame, const cl_envelope *e)
{
    cl_large *large = cl_large_make(link, e, w->token);
    int code = large ? put_waiting(link, w, frame, &large->frame) : CLOUDS_ENOMEM;
    if (code != 0) {
        cl_large_free(large);
        return code;
    }
    large->is_counted = e->type == CL_CALL && !(e->flags & CL_NOTIFY);
    if (large->is_counted) count_call(link);
    cl_large_put(link, large);
    return 0;
}

static int send_one_waiting(cl_peer_link *link, const cl_waiting *w, const char *frame)
{
    const cl_envelope e = kind_of(w, frame);
    if (cl_large_holds(link, e.type, w->key, w->length)) return hold_waiting(link, w, frame, &e);
    size_t before = cl_conn_pending(link->conn);
    int code = put_waiting(link, w, frame, cl_conn_out(link->conn));
    if (code != 0) return code;
    if (e.type == CL_CALL) {
        cl_link_remember_unsent(link, w->token, before);
        if (!(e.flags & CL_NOTIFY)) count_call(link);
    }
    cl_conn_commit(link->conn);
    if (cl_envelope_is_one_way(&e)) cl_link_tell(link->t, w->token, CL_DELIVERY_WRITTEN);
    return 0;
}

CL_RARE static void refuse_waiting(cl_peer_link *link, const cl_waiting *w)
{
    int code = too_much_for(link, link->peer_id, w->length - CL_FRAME_PREFIX - CL_FRAME_HEAD);
    if (w->token) link->t->sink.delivery(link->t->sink.receiver, w->token, CL_DELIVERY_NOT_SENT, code);
}

void cl_link_send_waiting(cl_peer_link *link)
{
    cl_link_transport *t = link->t;
    cl_waiting w;
    const char *frame;
    int64_t now = cl_loop_now();
    for (size_t at = 0; (frame = next_waiting(link, &at, &w));) {
        if (!w.type) continue;
        int late = w.type == CL_CALL && w.deadline && w.deadline <= now;
        if (exceeds(link, (int)w.type, w.length - CL_FRAME_PREFIX - CL_FRAME_HEAD)) refuse_waiting(link, &w);
        else if (late || send_one_waiting(link, &w, frame) != 0) cl_link_tell(t, w.token, CL_DELIVERY_NOT_SENT);
    }
    clear_queue(link);
}

/* What was published to a member of a group is another's then. */
static void pass_on(cl_link_transport *t, const char *frame, size_t length)
{
    cl_envelope e;
    cl_extension x = CL_EXTENSION_NONE;
    if (cl_frame_decode(cl_str_of(frame, length), SIZE_MAX, &e) <= 0 || cl_frame_extend(&e, &x) != 0) return;
    const cl_endpoint *from = cl_strmap_get(&t->endpoint_by_id, e.from);
    if (from && x.group.n) t->sink.unreached(t->sink.self, from->node, &e);
}

void cl_link_fail_waiting(cl_peer_link *link, int nobody)
{
    cl_waiting w;
    const char *frame;
    if (link->unsent.len) forget_sent(link);
    const cl_unsent *list = (const cl_unsent *)(const void *)link->unsent.data;
    for (size_t i = 0; i < link->unsent.len / sizeof *list; i++)
        cl_link_tell(link->t, list[i].token, CL_DELIVERY_NOT_SENT);
    cl_large_fail(link);
    for (size_t at = 0; (frame = next_waiting(link, &at, &w));) {
        if (w.type == CL_PUBLISH) pass_on(link->t, frame, w.length);
        if (w.type) cl_link_tell(link->t, w.token, nobody ? CL_DELIVERY_NOBODY : CL_DELIVERY_NOT_SENT);
    }
    clear_queue(link);
}

/* Its place in the queue stays, without a type. */
static void take_out(cl_peer_link *link, size_t at, cl_waiting *w)
{
    cl_idmap_take(&link->places, w->token);
    w->type = 0;
    memcpy(link->queue.data + at, w, sizeof *w);
    link->waiting--;
}

/* What is told may put more into the queue. */
static void give_one_back(cl_peer_link *link, size_t at, cl_waiting *w)
{
    take_out(link, at, w);
    if (!link->suspended) cl_link_suspend(link, 1);
    link->suspended = 1;
    cl_link_tell(link->t, w->token, CL_DELIVERY_NOT_SENT);
}

/* Where no other server is known a call may as well wait here: it is recalled when its time is up. */
void cl_link_give_back(cl_peer_link *link, int64_t now)
{
    cl_waiting w;
    if (now < link->give_back) return;
    const cl_transport_sink *sink = &link->t->sink;
    int elsewhere = link->way ? cl_way_has_other(link) : sink->has_other(sink->self, link->peer_id);
    for (size_t at = 0, next = 0; elsewhere && next_waiting(link, &next, &w); at = next)
        if (w.type == CL_CALL && w.patience <= now) give_one_back(link, at, &w);
    link->give_back = INT64_MAX;
    for (size_t at = 0; next_waiting(link, &at, &w);)
        if (w.type == CL_CALL && w.patience > now && w.patience < link->give_back) link->give_back = w.patience;
}

int cl_link_recall(cl_transport *base, cl_str to, uint64_t token)
{
    cl_link_transport *t = cl_links_of(base);
    cl_peer_link *link = t->has_contexts ? cl_way_link(t, to) : cl_strmap_get(&t->link_by_peer, to);
    size_t place = link ? (size_t)(uintptr_t)cl_idmap_get(&link->places, token) : 0;
    if (!place) return link && cl_large_recall(link, token);
    cl_waiting w;
    memcpy(&w, link->queue.data + place - 1, sizeof w);
    take_out(link, place - 1, &w);
    return 1;
}
