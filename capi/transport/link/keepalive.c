/* Design note: one alarm serves all that takes time here. It is set for the earliest thing and looks at everything when
 * it is due, so a thing that got earlier or vanished costs nothing. */
#include "transport/link/internal.h"

void cl_links_due_by(cl_link_transport *t, int64_t when)
{
    if (when >= t->due) return;
    t->due = when;
    cl_loop_timer_set(t->timer, when);
}

/* ---- links */

int64_t cl_link_ping_after(const cl_peer_link *link)
{
    return cl_ms(link->is_context ? link->t->direct.ping : link->t->limits.ping_interval);
}

int64_t cl_link_answers_within(const cl_peer_link *link)
{
    return cl_ms(link->is_context ? link->t->direct.timeout : link->t->limits.ping_timeout);
}

static void keepalive(cl_peer_link *link, int64_t now)
{
    if (link->pinged > link->heard) {
        int64_t answered_by = link->pinged + cl_link_answers_within(link);
        if (now < answered_by) cl_links_due_by(link->t, answered_by);
        else cl_link_cut(link, "a ping was not answered in time");
        return;
    }
    int64_t due = link->heard + cl_link_ping_after(link);
    if (now < due) {
        cl_links_due_by(link->t, due);
        return;
    }
    link->pinged = now > link->heard ? now : link->heard + 1;
    if (cl_link_send_control(link, CL_FRAME_PING, CL_STR_NONE) != 0) cl_link_cut(link, "out of memory");
    cl_links_due_by(link->t, link->pinged + cl_link_answers_within(link));
}

/* A process on the same machine that ends closes its sockets; one that is only busy is not dead. */
static int is_pinged(const cl_peer_link *link)
{
    return !link->is_context || link->is_tcp;
}

/* Whoever opened a link closes it when nobody has called over it for long, never the other end: so no call meets a link
 * that is just being closed. */
static void check_idle(cl_peer_link *link, int64_t now)
{
    int64_t due = link->heard + cl_ms(link->t->direct.idle);
    if (link->calls > 0 || cl_link_unwritten(link)) due = now + cl_ms(link->t->direct.idle);
    if (now >= due) cl_link_finish(link);
    else cl_links_due_by(link->t, due);
}

/* Nothing is read from it, so it need not say anything; but it has to take what waits for it. */
static void check_held_up(cl_peer_link *link, int64_t now)
{
    uint64_t handed = cl_conn_handed(link->conn);
    if (handed != link->held_up_at) {
        link->held_up_at = handed;
        link->held_up = now;
    }
    int64_t due = link->held_up + cl_link_answers_within(link);
    if (now >= due) cl_link_cut(link, "it takes nothing of what waits for it");
    else cl_links_due_by(link->t, due);
}

static void tick_link(cl_peer_link *link, int64_t now)
{
    if (link->waiting && (link->state == CL_LINK_DIALING || link->state == CL_LINK_HELLO)) {
        cl_link_give_back(link, now);
        if (link->give_back != INT64_MAX) cl_links_due_by(link->t, link->give_back);
    }
    if (link->state == CL_LINK_HELLO) {
        if (now < link->hello_by) cl_links_due_by(link->t, link->hello_by);
        else cl_link_cut(link, "no hello came in time");
    } else if (link->state == CL_LINK_OPEN && link->watched) {
        if (link->calls > 0 && is_pinged(link)) keepalive(link, now);
        else link->watched = 0;
    }
    if (link->held_up && link->state == CL_LINK_OPEN) check_held_up(link, now);
    if (link->way && link->state == CL_LINK_OPEN) check_idle(link, now);
}

void cl_links_due(void *self)
{
    cl_link_transport *t = self;
    int64_t now = cl_loop_now();
    t->due = INT64_MAX;
    CL_LIST_EACH(it, &t->links) tick_link(CL_OWNER(it, cl_peer_link, place), now);
    if (t->ending) cl_loop_defer(t->loop);
}
