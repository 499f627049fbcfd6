/* The transport within a process: a mailbox for each context, into which every thread puts frames.
 *
 * Design note. One lock guards the mailboxes of a name and is held for the time of a copy. Nothing is called under it
 * but cl_waker_wake and, on the transport's own thread, cl_loop_defer. That a node is gone is a frame too, so it keeps
 * its order with what the node has sent: what was asked of it and not answered until then is lost. Who never sent it
 * anything has nothing to lose, and is not woken.
 *
 * When the process was forked, the locks may be held by threads that the child does not have: it touches none. */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "net/deferred.h"
#include "net/loop.h"
#include "proto/frame.h"
#include "proto/limits.h"
#include "transport/transport.h"

enum { FRAME_GONE = 'X' }; /* between mailboxes only; its deadline: how many nodes have gone, it included */

typedef struct exchange {
    cl_list_node place;
    pthread_mutex_t lock;
    int members_n;
    cl_list_node members;
    cl_strmap nodes; /* by id, to endpoint */
    int64_t ends;    /* how many nodes have gone; under the lock */
    char name[];
} exchange;

typedef struct mailbox mailbox;

/* A node that is reached through its context's mailbox. */
typedef struct endpoint {
    cl_list_node mine; /* in its mailbox */
    void *node;
    mailbox *box;
    cl_str id;
    int64_t ends_before; /* how many nodes had gone when it began to listen; under the lock */
    /* Who has sent it something; under the lock. Once it has stopped to listen one of them may be gone. */
    const mailbox *last_sender;
    cl_idmap senders;
    int may_be_known; /* there was no memory for one of them */
    int listens;
    int closing;
    char text[];
} endpoint;

struct mailbox {
    cl_transport base;
    cl_list_node place; /* in the exchange */
    cl_loop *loop;
    cl_limits limits;
    cl_transport_sink sink;
    pid_t owner;
    exchange *exchange;
    cl_waker *waker;
    cl_buf box;   /* under the lock */
    int gone_n;   /* unread frames that say that a node is gone; under the lock */
    int64_t ends; /* the last such frame that was read: which end of a node it told of; under the lock */
    int woken;    /* it was woken for what lies in the box; under the lock */
    int detached; /* its loop is gone; under the lock */
    cl_list_node endpoints;
    size_t closing_n;
    cl_strmap by_id;
    cl_buf reading; /* the buffer that the box is exchanged for */
    int is_reading, closing, told_closed;
    cl_deferred_queue deferred;
};

static pthread_mutex_t exchanges_lock = PTHREAD_MUTEX_INITIALIZER;
static cl_list_node exchanges = {&exchanges, &exchanges};

static mailbox *of(cl_transport *base)
{
    return CL_OWNER(base, mailbox, base);
}

/* ---- who has sent something to a node, under the lock */

static void remember_sender(endpoint *there, const mailbox *m)
{
    uint64_t key = (uint64_t)(uintptr_t)m;
    if (there->last_sender == m) return;
    there->last_sender = m;
    if (!cl_idmap_get(&there->senders, key) && cl_idmap_put(&there->senders, key, there) != 0) there->may_be_known = 1;
}

static void forget_sender(endpoint *there, const mailbox *m)
{
    if (there->last_sender == m) there->last_sender = NULL;
    cl_idmap_take(&there->senders, (uint64_t)(uintptr_t)m);
}

static int has_sent(const endpoint *there, const mailbox *m)
{
    return there->may_be_known || cl_idmap_get(&there->senders, (uint64_t)(uintptr_t)m);
}

/* ---- exchanges */

static exchange *find(const char *name)
{
    CL_LIST_EACH(it, &exchanges)
    if (strcmp(CL_OWNER(it, exchange, place)->name, name) == 0) return CL_OWNER(it, exchange, place);
    return NULL;
}

static exchange *make(const char *name)
{
    exchange *x = cl_calloc(1, sizeof *x + strlen(name) + 1);
    if (!x) return NULL;
    memcpy(x->name, name, strlen(name) + 1);
    pthread_mutex_init(&x->lock, NULL);
    cl_list_init(&x->members);
    cl_list_append(&exchanges, &x->place);
    return x;
}

static int join(mailbox *m, const char *name)
{
    pthread_mutex_lock(&exchanges_lock);
    exchange *x = find(name);
    if (!x) x = make(name);
    if (x) {
        x->members_n++;
        pthread_mutex_lock(&x->lock);
        cl_list_append(&x->members, &m->place);
        m->ends = x->ends;
        pthread_mutex_unlock(&x->lock);
    }
    pthread_mutex_unlock(&exchanges_lock);
    m->exchange = x;
    return x ? 0 : cl_error(CLOUDS_ENOMEM, NULL);
}

static void part(mailbox *m)
{
    exchange *x = m->exchange;
    size_t at = 0;
    pthread_mutex_lock(&exchanges_lock);
    pthread_mutex_lock(&x->lock);
    cl_list_remove(&m->place);
    for (endpoint *e; (e = cl_strmap_next(&x->nodes, &at));) forget_sender(e, m);
    pthread_mutex_unlock(&x->lock);
    if (--x->members_n == 0) {
        cl_list_remove(&x->place);
        pthread_mutex_destroy(&x->lock);
        cl_strmap_free(&x->nodes);
        cl_free(x);
    }
    pthread_mutex_unlock(&exchanges_lock);
}

/* ---- posting, under the lock */

static int put(mailbox *to, const mailbox *from, const cl_envelope *e)
{
    if (to->detached) return CLOUDS_ENOSERVER;
    int code = cl_frame_encode(e, &to->box);
    if (code != 0 || to->woken) return code;
    to->woken = 1;
    if (to == from) cl_loop_defer(to->loop);
    else cl_waker_wake(to->waker);
    return 0;
}

/* What fits the sender's limits mostly fits those of others, since these are mostly the same. */
static int is_too_big(const cl_limits *from, const cl_limits *to, const cl_envelope *e)
{
    if (from->message > to->message && cl_envelope_size(e) > to->message) return 1;
    int stricter = from->json.depth > to->json.depth || from->json.values > to->json.values;
    return stricter && cl_frame_check(e, to->json) == CLOUDS_ETOOBIG;
}

/* The node may be the next one of an id whose end is still unread: what it is asked now would be lost by that end. */
static int may_follow_another(const mailbox *m, const endpoint *there)
{
    return m->gone_n && there->ends_before > m->ends;
}

/* CLOUDS_ENOSERVER: nobody there. Too big: over the limits of who reads the mailbox; *most is what that takes. */
static int post(mailbox *m, const cl_envelope *e, size_t *most)
{
    exchange *x = m->exchange;
    pthread_mutex_lock(&x->lock);
    endpoint *there = cl_strmap_get(&x->nodes, e->to);
    int code = CLOUDS_ENOSERVER;
    if (there) remember_sender(there, m);
    if (there && e->type == CL_CALL && may_follow_another(m, there)) {
        code = CLOUDS_EUNREACHABLE;
    } else if (there) {
        mailbox *to = there->box;
        size_t room = e->type == CL_RESULT ? to->limits.write_hard : to->limits.write_soft;
        *most = to->limits.message;
        code = is_too_big(&m->limits, &to->limits, e) ? CLOUDS_ETOOBIG
               : to->box.len > room                   ? CLOUDS_ELIMIT
                                                      : put(to, m, e);
    }
    pthread_mutex_unlock(&x->lock);
    return code;
}

/* Behind a full mailbox that nobody reads, a context learns it late: by its calls' timeouts. */
static void post_gone(mailbox *m, const endpoint *gone)
{
    cl_envelope e = {.type = FRAME_GONE, .from = gone->id};
    pthread_mutex_lock(&m->exchange->lock);
    e.deadline = ++m->exchange->ends;
    CL_LIST_EACH(it, &m->exchange->members)
    {
        mailbox *to = CL_OWNER(it, mailbox, place);
        if (!has_sent(gone, to) || to->box.len > to->limits.write_hard || put(to, m, &e) != 0) continue;
        if (to->gone_n++ == 0) to->ends = e.deadline - 1; /* it is told of none of those before */
    }
    pthread_mutex_unlock(&m->exchange->lock);
}

/* ---- nodes */

static int listen_for(mailbox *m, endpoint *e)
{
    pthread_mutex_lock(&m->exchange->lock);
    int code = cl_strmap_get(&m->exchange->nodes, e->id) ? CLOUDS_EEXIST : cl_strmap_put(&m->exchange->nodes, e->id, e);
    e->ends_before = m->exchange->ends;
    pthread_mutex_unlock(&m->exchange->lock);
    e->listens = code == 0;
    return code;
}

/* What was posted to it until now is in the mailbox, and nothing more comes. */
static void stop_listening(mailbox *m, endpoint *e)
{
    if (!e->listens) return;
    pthread_mutex_lock(&m->exchange->lock);
    cl_strmap_take(&m->exchange->nodes, e->id);
    pthread_mutex_unlock(&m->exchange->lock);
    e->listens = 0;
}

static void free_endpoint(mailbox *m, endpoint *e)
{
    m->closing_n -= (size_t)e->closing;
    if (cl_strmap_get(&m->by_id, e->id) == e) cl_strmap_take(&m->by_id, e->id);
    cl_list_remove(&e->mine);
    cl_idmap_free(&e->senders);
    cl_free(e);
}

static endpoint *endpoint_of(mailbox *m, const void *node)
{
    CL_LIST_EACH(it, &m->endpoints)
    if (CL_OWNER(it, endpoint, mine)->node == node) return CL_OWNER(it, endpoint, mine);
    return NULL;
}

static int open_node(cl_transport *base, void *node, cl_str id, const cl_address *at, cl_address *addresses, size_t *n)
{
    mailbox *m = of(base);
    *n = 0;
    if (endpoint_of(m, node)) return 0;
    endpoint *e = cl_calloc(1, sizeof *e + id.n);
    if (!e) return cl_error(CLOUDS_ENOMEM, NULL);
    memcpy(e->text, id.p, id.n);
    e->id = cl_str_of(e->text, id.n);
    e->node = node;
    e->box = m;
    cl_list_append(&m->endpoints, &e->mine);
    int code = cl_strmap_put(&m->by_id, e->id, e);
    if (code == 0) code = listen_for(m, e);
    if (code == 0) return 0;
    free_endpoint(m, e);
    return code == CLOUDS_EEXIST ? cl_error(code, "somebody listens for %.*s already", (int)id.n, id.p)
                                 : cl_error(CLOUDS_ENOMEM, NULL);
}

static void drain(cl_transport *base, void *node)
{
}

static void close_endpoint(mailbox *m, endpoint *e)
{
    if (e->closing) return;
    stop_listening(m, e);
    e->closing = 1;
    m->closing_n++;
    cl_loop_defer(m->loop);
}

static void close_node(cl_transport *base, void *node, int served)
{
    endpoint *e = endpoint_of(of(base), node);
    if (e) close_endpoint(of(base), e);
}

/* ---- sending */

static void delivered(void *owner, const cl_deferred *d)
{
    mailbox *m = owner;
    m->sink.delivery(m->sink.receiver, d->number, (enum cl_delivery)d->code, d->code == CL_DELIVERY_WRITTEN);
}

static int refused(const cl_envelope *e, int code, size_t size, size_t most)
{
    if (code == CLOUDS_ETOOBIG && size > most) return cl_error_too_big("the message", size, most);
    if (code == CLOUDS_ETOOBIG)
        return cl_error(code, "the message is nested too deep or has too many values for its receiver");
    return code == CLOUDS_ELIMIT ? cl_error(code, "the mailbox of %.*s is full", (int)e->to.n, e->to.p)
                                 : cl_error(code, NULL);
}

/* What is to be reported is reserved first, so that it cannot fail afterwards. */
static int send(cl_transport *base, void *node, const cl_envelope *e, uint64_t token)
{
    mailbox *m = of(base);
    size_t size = cl_envelope_size(e), most = 0;
    if (m->closing) return cl_error(CLOUDS_ECLOSED, NULL);
    if (size > m->limits.message) return cl_error_too_big("the message", size, m->limits.message);
    cl_deferred *report = NULL;
    if (token && cl_envelope_is_one_way(e)) {
        report = cl_deferred_reserve(delivered, NULL, token, CL_DELIVERY_WRITTEN, CL_STR_NONE);
        if (!report) return CLOUDS_ENOMEM;
    }
    int code = post(m, e, &most);
    if (code == 0) {
        if (report) cl_deferred_put(&m->deferred, report);
        return 0;
    }
    cl_deferred_discard(report);
    if (code == CLOUDS_ENOSERVER)
        return token ? cl_defer(&m->deferred, delivered, NULL, token, CL_DELIVERY_NOBODY, CL_STR_NONE) : 0;
    return refused(e, code, size, most);
}

/* ---- reading */

static void on_frame(mailbox *m, cl_envelope *e)
{
    const cl_transport_sink *sink = &m->sink;
    if (e->type == FRAME_GONE) {
        pthread_mutex_lock(&m->exchange->lock);
        m->gone_n--;
        m->ends = e->deadline;
        pthread_mutex_unlock(&m->exchange->lock);
        cl_deferred_run(&m->deferred); /* what reached nobody is said first: else it would be lost with what was sent */
        sink->peer_lost(sink->self, e->from, 1);
        return;
    }
    const endpoint *to = cl_strmap_get(&m->by_id, e->to);
    if (!to) return; /* it has closed meanwhile; that it is gone reaches the sender */
    if (e->type == CL_CALL) e->flags |= CL_NATIVE | CL_FRAMES;
    cl_extension room;
    if (cl_frame_is_extended(e) && cl_frame_extend(e, &room) == CLOUDS_EPROTO) return;
    sink->envelope(sink->receiver, to->node, e);
}

static void read_box(void *self)
{
    mailbox *m = self;
    cl_envelope e;
    int64_t took;
    if (m->is_reading) return;
    m->is_reading = 1;
    cl_buf_clear(&m->reading);
    pthread_mutex_lock(&m->exchange->lock);
    cl_buf full = m->box;
    m->box = m->reading;
    m->woken = 0;
    pthread_mutex_unlock(&m->exchange->lock);
    m->reading = full;
    cl_buf *in = &m->reading;
    for (size_t at = 0; (took = cl_frame_decode(cl_str_of(in->data + at, in->len - at), SIZE_MAX, &e)) > 0;
         at += (size_t)took)
        on_frame(m, &e);
    if (in->cap > m->limits.write_soft) cl_buf_free(in);
    m->is_reading = 0;
}

/* What still came for a node that closes is read, and refused, before it is announced that it is gone. */
static void end_closing(mailbox *m)
{
    CL_LIST_EACH(it, &m->endpoints)
    {
        endpoint *e = CL_OWNER(it, endpoint, mine);
        if (!e->closing) continue;
        read_box(m);
        post_gone(m, e);
        void *node = e->node;
        free_endpoint(m, e);
        m->sink.node_closed(m->sink.self, node);
    }
}

static void flush(cl_transport *base)
{
    mailbox *m = of(base);
    read_box(m);
    cl_deferred_run(&m->deferred);
    if (m->closing_n) end_closing(m);
    if (m->closing && !m->told_closed && cl_list_empty(&m->endpoints)) {
        m->told_closed = 1;
        m->sink.closed(m->sink.self);
    }
}

/* ---- life */

static void close_transport(cl_transport *base)
{
    mailbox *m = of(base);
    m->closing = 1;
    CL_LIST_EACH(it, &m->endpoints) close_endpoint(m, CL_OWNER(it, endpoint, mine));
    cl_loop_defer(m->loop);
}

/* A child of a fork just lets go. */
static void destroy(cl_transport *base)
{
    mailbox *m = of(base);
    int is_child = m->owner != getpid();
    if (m->exchange && !is_child) {
        pthread_mutex_lock(&m->exchange->lock);
        m->detached = 1;
        pthread_mutex_unlock(&m->exchange->lock);
    }
    CL_LIST_EACH(it, &m->endpoints)
    {
        endpoint *e = CL_OWNER(it, endpoint, mine);
        if (!is_child) {
            stop_listening(m, e);
            post_gone(m, e);
        }
        free_endpoint(m, e);
    }
    cl_deferred_free(&m->deferred);
    if (m->exchange && !is_child) part(m);
    cl_waker_destroy(m->waker);
    cl_strmap_free(&m->by_id);
    cl_buf_free(&m->box);
    cl_buf_free(&m->reading);
    cl_free(m);
}

static const cl_transport_ops ops = {
    .open = open_node,
    .send = send,
    .drain = drain,
    .close_node = close_node,
    .flush = flush,
    .close = close_transport,
    .destroy = destroy,
};

int cl_mailbox_transport_create(cl_loop *loop, const char *name, const cl_limits *limits, const cl_transport_sink *sink,
                                cl_transport **out)
{
    mailbox *m = cl_calloc(1, sizeof *m);
    if (!m) return cl_error(CLOUDS_ENOMEM, NULL);
    m->base = (cl_transport){.ops = &ops, .up = 1, .knows_losses = 1, .has_work = 1};
    m->loop = loop;
    m->limits = *limits;
    m->sink = *sink;
    m->owner = getpid();
    cl_list_init(&m->place);
    cl_list_init(&m->endpoints);
    cl_deferred_init(&m->deferred, loop, m, NULL);
    int code = cl_waker_create(loop, read_box, m, &m->waker);
    if (code == 0) code = join(m, name);
    if (code == 0) *out = &m->base;
    else destroy(&m->base);
    return code;
}
