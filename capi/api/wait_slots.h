/* Completions of calls made with CLOUDS_CALL_WAIT and of operations begun with CLOUDS_OPERATION_WAIT, and their
 * questions before: kept by call id until clouds_wait takes them. The place is made with the call, so that its
 * completion cannot fail. */
#ifndef CL_WAIT_SLOTS_H
#define CL_WAIT_SLOTS_H

#include <pthread.h>

#include "api/events.h"
#include "base/list.h"
#include "base/map.h"
#include "clouds.h"

typedef struct cl_wait_slot {
    clouds_event event;
    char *block;          /* the texts, or NULL */
    size_t bytes;         /* of them */
    size_t *total;        /* of all */
    int asks;             /* the event is a question */
    int done;             /* it is the completion */
    int gone;             /* out of the set */
    int canceled;         /* once */
    int abandoned;        /* twice: nobody waits, and it is dropped when it completes */
    int closing;          /* of a close, which cannot be canceled */
    cl_list_node watches; /* of who waits; the last one that leaves frees it when it is out of the set */
} cl_wait_slot;

/* One thread waits for one of them. */
typedef struct cl_watch {
    cl_list_node link;
    cl_wait_slot *slot;
    pthread_cond_t *turn; /* of the thread, for all that it waits for */
} cl_watch;

/* 0 or CLOUDS_ENOMEM. *total counts the bytes of the texts that are kept. */
int cl_wait_slot_add(cl_idmap *set, uint64_t call, size_t *total);
/* Takes it out of the set; CLOUDS_ESTALE for those who wait. */
void cl_wait_slot_drop(cl_idmap *set, uint64_t call);
/* Fills in a question, and wakes who waits. 0 or CLOUDS_ENOMEM. */
int cl_wait_slot_ask(cl_idmap *set, const clouds_event *event, clouds_node *node);
/* Fills in the completion, and wakes who waits; drops one that is abandoned. */
void cl_wait_slot_complete(cl_idmap *set, const clouds_event *event, clouds_node *node);
/* Gives its event to the user, who frees the texts by cl_event_free_texts; one that is done is taken out of the set. 0,
 * or CLOUDS_ENOMEM: too many of them are not released, and it stays. */
int cl_wait_slot_take(cl_idmap *set, cl_wait_slot *slot, clouds_event *event, size_t event_size);
/* The same with the texts copied to the room; 1, or 0 when they do not fit: then it stays. */
int cl_wait_slot_take_into(cl_idmap *set, cl_wait_slot *slot, clouds_event *event, size_t event_size,
                           cl_text_room *room);
/* 0, or CLOUDS_ESTALE: they are released already. */
int cl_event_free_texts(clouds_event *event);
/* To look at one over some time: watch, and leave. 1, or 0: there is no such call. What changes signals `turn`. */
int cl_wait_slot_watch(cl_idmap *set, uint64_t call, cl_watch *watch, pthread_cond_t *turn);
void cl_wait_slot_leave(cl_watch *watch);
/* Wakes all who wait. */
void cl_wait_slots_wake(cl_idmap *set);
void cl_wait_slots_free(cl_idmap *set);

#endif
