#include "api/subscriptions.h"

#include "api/record.h"
#include "base/mem.h"

enum { TURN = 16 /* messages of one subscription, then those of the next */ };

struct cl_published {
    cl_published *next;
    clouds_event event;
    size_t bytes;
    char text[];
};

void cl_subscriptions_init(cl_subscriptions *set)
{
    cl_list_init(&set->ready);
}

int cl_subscriptions_add(cl_subscriptions *set, uint64_t id, size_t most, size_t most_bytes, int keeps_oldest)
{
    cl_subscription_queue *q = cl_calloc(1, sizeof *q);
    if (!q) return CLOUDS_ENOMEM;
    cl_list_init(&q->ready);
    q->id = id;
    q->end = &q->first;
    q->most = most;
    q->most_bytes = most_bytes;
    q->keeps_oldest = keeps_oldest;
    int code = cl_idmap_put(&set->by_id, id, q);
    if (code) cl_free(q);
    return code;
}

static cl_subscription_queue *find(const cl_subscriptions *set, uint64_t id)
{
    return cl_idmap_get(&set->by_id, id);
}

static cl_published *take_first(cl_subscriptions *set, cl_subscription_queue *q)
{
    cl_published *p = q->first;
    q->first = p->next;
    if (!q->first) q->end = &q->first;
    q->n--;
    q->bytes -= p->bytes;
    set->waiting--;
    return p;
}

static void drop_all(cl_subscriptions *set, cl_subscription_queue *q)
{
    while (q->first) cl_free(take_first(set, q));
    if (set->ready.next == &q->ready) set->turn = 0;
    cl_list_remove(&q->ready);
}

void cl_subscriptions_remove(cl_subscriptions *set, uint64_t id)
{
    cl_subscription_queue *q = cl_idmap_take(&set->by_id, id);
    if (!q) return;
    drop_all(set, q);
    cl_free(q);
}

int cl_subscriptions_is_open(const cl_subscriptions *set, uint64_t id)
{
    const cl_subscription_queue *q = find(set, id);
    return q && !q->closed;
}

int cl_subscriptions_close(cl_subscriptions *set, uint64_t id)
{
    cl_subscription_queue *q = find(set, id);
    if (!q || q->closed) return CLOUDS_ESTALE;
    q->closed = 1;
    drop_all(set, q);
    return 0;
}

static void add_missed(clouds_event *event, int64_t missed)
{
    event->number += missed;
    if (missed) event->flags |= CLOUDS_FLAG_LAGGED;
}

/* The one behind what is dropped tells of it. */
static void drop_oldest(cl_subscriptions *set, cl_subscription_queue *q)
{
    cl_published *p = take_first(set, q);
    if (q->first) add_missed(&q->first->event, 1 + p->event.number);
    else q->missed += 1 + p->event.number;
    cl_free(p);
}

static int has_room(const cl_subscription_queue *q, size_t bytes)
{
    return q->n < q->most && q->bytes + bytes <= q->most_bytes;
}

size_t cl_subscriptions_put(cl_subscriptions *set, const clouds_event *event, clouds_node *node)
{
    cl_subscription_queue *q = find(set, event->id);
    size_t bytes = cl_event_bytes(event);
    size_t dropped = 0;
    if (!q || q->closed) return 0;
    int fits = bytes <= q->most_bytes && (has_room(q, bytes) || !q->keeps_oldest);
    cl_published *p = fits ? cl_malloc(sizeof *p + bytes) : NULL;
    if (!p) {
        q->missed += 1 + event->number;
        return 1;
    }
    for (; !has_room(q, bytes); dropped++) drop_oldest(set, q);
    p->next = NULL;
    p->event = *event;
    p->event.node = node;
    p->bytes = bytes;
    cl_event_place(&p->event, p->text);
    add_missed(&p->event, q->missed);
    q->missed = 0;
    if (!q->first) cl_list_append(&set->ready, &q->ready);
    *q->end = p;
    q->end = &p->next;
    q->n++;
    q->bytes += bytes;
    set->waiting++;
    return dropped;
}

/* Half of them; of one record every other time. */
size_t cl_subscriptions_share(cl_subscriptions *set, size_t capacity)
{
    if (!set->waiting) return 0;
    if (capacity > 1) return capacity / 2;
    set->other_turn = !set->other_turn;
    return set->other_turn ? capacity : 0;
}

static cl_subscription_queue *first_ready(const cl_subscriptions *set)
{
    return CL_OWNER(set->ready.next, cl_subscription_queue, ready);
}

size_t cl_subscriptions_next_bytes(const cl_subscriptions *set)
{
    return first_ready(set)->first->bytes;
}

/* The next one has its turn when this has given enough, or all it has. */
static void end_turn(cl_subscriptions *set, cl_subscription_queue *q)
{
    if (q->first && ++set->turn < TURN) return;
    set->turn = 0;
    cl_list_remove(&q->ready);
    if (q->first) cl_list_append(&set->ready, &q->ready);
}

size_t cl_subscriptions_take(cl_subscriptions *set, void *records, size_t size, size_t capacity, cl_text_room *room)
{
    size_t n = 0;
    for (; n < capacity && set->waiting; n++) {
        cl_subscription_queue *q = first_ready(set);
        clouds_event e = q->first->event;
        if (room && !cl_event_place_into(&e, room)) break;
        cl_published *p = take_first(set, q);
        cl_record_write((char *)records + n * size, size, &e, sizeof e);
        if (room) {
            cl_free(p);
        } else {
            p->next = set->handed;
            set->handed = p;
        }
        end_turn(set, q);
    }
    return n;
}

void cl_subscriptions_release(cl_subscriptions *set)
{
    while (set->handed) {
        cl_published *next = set->handed->next;
        cl_free(set->handed);
        set->handed = next;
    }
}

void cl_subscriptions_free(cl_subscriptions *set)
{
    size_t at = 0;
    for (cl_subscription_queue *q; (q = cl_idmap_next(&set->by_id, &at));) {
        drop_all(set, q);
        cl_free(q);
    }
    cl_idmap_free(&set->by_id);
    cl_subscriptions_release(set);
}
