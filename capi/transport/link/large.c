/* Design notes
 *
 * A frame that is too long to go at once is cut into fragments (proto/fragment.h), where the other end understands
 * them. The next fragment is put into the conn's output when that is nearly empty, so calls and answers that come
 * meanwhile find their place between two of them. Large frames go one after the other.
 *
 * What keeps an order goes behind a large frame that it must not overtake: a message or what is published behind others
 * of these kinds, the cancel of a call behind the call. Calls among each other, and answers, have none.
 *
 * A call is not sent until its last fragment is with the kernel, as all others: the other end has nothing to execute
 * before. */
#include "transport/link/internal.h"

#include "base/error.h"
#include "base/mem.h"

enum {
    AHEAD = CL_FRAGMENT_BYTES, /* bytes of output above which no fragment is added */
    AT_ONCE = 4                /* fragments in a turn, then others are served */
};

static int keeps_order(int type)
{
    return type != CL_CALL && type != CL_RESULT && type != CL_CANCEL;
}

int cl_large_holds(const cl_peer_link *link, int type, uint64_t key, size_t size)
{
    if (!link->takes_fragments) return 0;
    if (size > CL_FRAGMENT_ABOVE) return 1;
    if (cl_list_empty(&link->large)) return 0;
    if (type != CL_CANCEL) return keeps_order(type) && link->large_in_order;
    CL_LIST_EACH(it, &link->large)
    {
        const cl_large *large = CL_OWNER(it, cl_large, place);
        if (large->type == CL_CALL && large->key == key) return 1;
    }
    return 0;
}

cl_large *cl_large_make(cl_peer_link *link, const cl_envelope *e, uint64_t token)
{
    cl_large *large = cl_calloc(1, sizeof *large);
    if (!large) return NULL;
    cl_list_init(&large->place);
    large->type = e->type;
    large->token = token;
    large->deadline = e->deadline;
    large->key = e->type == CL_CALL ? cl_call_key(e->id) : 0;
    if (!token || !cl_envelope_is_one_way(e)) return large;
    large->report = cl_deferred_reserve(cl_link_delivered, NULL, token, CL_DELIVERY_WRITTEN, CL_STR_NONE);
    if (large->report) return large;
    cl_large_free(large);
    return NULL;
}

void cl_large_free(cl_large *large)
{
    if (!large) return;
    cl_deferred_discard(large->report);
    cl_buf_free(&large->frame);
    cl_free(large);
}

static void take_out(cl_peer_link *link, cl_large *large)
{
    cl_list_remove(&large->place);
    link->large_bytes -= large->frame.len;
    link->t->large_bytes -= large->frame.len;
    link->large_in_order -= (size_t)keeps_order(large->type);
}

/* Its last byte stands in the output. */
static void is_through(cl_peer_link *link, cl_large *large, size_t pending_before)
{
    take_out(link, large);
    if (large->type == CL_CALL) cl_link_remember_unsent(link, large->token, pending_before);
    if (large->report) cl_deferred_put(&link->t->deferred, large->report);
    large->report = NULL;
    cl_large_free(large);
}

static void begin(cl_peer_link *link, cl_large *large)
{
    link->stream++;
    if (link->is_tcp && large->deadline)
        cl_frame_set_deadline(large->frame.data, cl_link_time_left(large->deadline, 0));
}

/* 0; else the link ends for want of memory. */
static int put_next(cl_peer_link *link)
{
    cl_large *large = CL_OWNER(link->large.next, cl_large, place);
    cl_buf *out = cl_conn_out(link->conn);
    size_t before = cl_conn_pending(link->conn);
    int code;
    if (large->at == 0) begin(link, large);
    if (large->frame.len > CL_FRAGMENT_ABOVE) {
        code = cl_fragment_encode(cl_buf_str(&large->frame), &large->at, link->stream, CL_FRAGMENT_BYTES, out);
    } else {
        code = cl_buf_put(out, large->frame.data, large->frame.len);
        large->at = large->frame.len;
    }
    if (code != 0) {
        cl_link_cut(link, "out of memory");
        return code;
    }
    if (large->at == large->frame.len) is_through(link, large, before);
    cl_conn_commit(link->conn);
    return 0;
}

void cl_large_go_on(cl_peer_link *link)
{
    for (int i = 0; i < AT_ONCE && link->state == CL_LINK_OPEN && !cl_list_empty(&link->large); i++)
        if (cl_conn_pending(link->conn) >= AHEAD || put_next(link) != 0) break;
    cl_link_count_out(link);
}

void cl_large_put_all(cl_peer_link *link)
{
    while (link->state == CL_LINK_OPEN && !cl_list_empty(&link->large))
        if (put_next(link) != 0) break;
}

void cl_large_put(cl_peer_link *link, cl_large *large)
{
    cl_list_append(&link->large, &large->place);
    link->large_bytes += large->frame.len;
    link->t->large_bytes += large->frame.len;
    link->large_in_order += (size_t)keeps_order(large->type);
    cl_large_go_on(link);
}

/* One that has begun must go on. */
int cl_large_recall(cl_peer_link *link, uint64_t token)
{
    CL_LIST_EACH(it, &link->large)
    {
        cl_large *large = CL_OWNER(it, cl_large, place);
        if (large->type != CL_CALL || large->token != token || large->at) continue;
        take_out(link, large);
        link->calls -= large->is_counted && link->calls > 0;
        cl_large_free(large);
        cl_link_count_out(link);
        return 1;
    }
    return 0;
}

void cl_large_fail(cl_peer_link *link)
{
    while (!cl_list_empty(&link->large)) {
        cl_large *large = CL_OWNER(link->large.next, cl_large, place);
        uint64_t token = large->type == CL_CALL || large->report ? large->token : 0;
        take_out(link, large);
        cl_large_free(large);
        cl_link_tell(link->t, token, CL_DELIVERY_NOT_SENT);
    }
}
