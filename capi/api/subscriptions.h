/* What was published and waits for the user: a queue for each subscription, so that one that is not kept up with keeps
 * nothing of the others. Not locked: in thread mode its owner does that. */
#ifndef CL_SUBSCRIPTIONS_H
#define CL_SUBSCRIPTIONS_H

#include "api/events.h"
#include "base/list.h"
#include "base/map.h"

typedef struct cl_published cl_published;

typedef struct cl_subscription_queue {
    cl_list_node ready; /* in the set's, while something waits */
    uint64_t id;
    cl_published *first, **end;
    size_t n, bytes;
    size_t most, most_bytes;
    int keeps_oldest; /* else the newest */
    int64_t missed;   /* dropped since the last that was put in */
    int closed;       /* nothing is put in any more */
} cl_subscription_queue;

typedef struct cl_subscriptions {
    cl_idmap by_id;
    cl_list_node ready;   /* in the order of their turns */
    size_t turn;          /* messages that the first has given in its turn */
    size_t waiting;       /* in all queues */
    cl_published *handed; /* whose texts the user has */
    int other_turn;       /* a poll for one event gave one of these last */
} cl_subscriptions;

void cl_subscriptions_init(cl_subscriptions *set);
/* 0 or CLOUDS_ENOMEM. */
int cl_subscriptions_add(cl_subscriptions *set, uint64_t id, size_t most, size_t most_bytes, int keeps_oldest);
void cl_subscriptions_remove(cl_subscriptions *set, uint64_t id);
/* Drops what waits; nothing more comes. 0, or CLOUDS_ESTALE: there is no such, or it was done. */
int cl_subscriptions_close(cl_subscriptions *set, uint64_t id);
int cl_subscriptions_is_open(const cl_subscriptions *set, uint64_t id);
/* What is dropped for it, or itself, is told with the next one of the subscription: how many. */
size_t cl_subscriptions_put(cl_subscriptions *set, const clouds_event *event, clouds_node *node);
/* How many of so many records are for what waits here, if others have events too. */
size_t cl_subscriptions_share(cl_subscriptions *set, size_t capacity);
/* As cl_events_take, or (room) cl_events_take_into, from room->used on. */
size_t cl_subscriptions_take(cl_subscriptions *set, void *records, size_t size, size_t capacity, cl_text_room *room);
/* The bytes of the texts of the next one; there must be one. */
size_t cl_subscriptions_next_bytes(const cl_subscriptions *set);
/* The texts that were handed out. */
void cl_subscriptions_release(cl_subscriptions *set);
void cl_subscriptions_free(cl_subscriptions *set);

#endif
