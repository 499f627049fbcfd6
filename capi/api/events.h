/* The queue of events between the core and the user. Not locked: in thread mode its owner does that. */
#ifndef CL_EVENTS_H
#define CL_EVENTS_H

#include <stddef.h>

#include "clouds.h"

typedef struct cl_text_chunk cl_text_chunk;

/* All zero is a valid empty queue. */
typedef struct cl_events {
    clouds_event *ring;
    size_t cap, head, len; /* cap: 0 or a power of two */
    size_t reserved;       /* completions that are still to come: their records have room */
    cl_text_chunk *oldest, *newest, *reading, *spare;
    size_t spares;
    size_t bytes; /* of the texts of the events that wait */
    /* Of who polls just now, with room for so many; 0: nobody does. What comes while nothing waits in the ring is put
     * there at once. */
    clouds_event *records;
    size_t room, placed, placed_bytes;
} cl_events;

/* Promises room for n completions. 0 or CLOUDS_ENOMEM. */
int cl_events_reserve(cl_events *q, size_t n);
void cl_events_unreserve(cl_events *q, size_t n);

/* Appends; the texts are copied. cl_events_complete uses up a reservation and cannot fail; without memory for its texts
 * the event is CLOUDS_ENOMEM. cl_events_add: 0 or CLOUDS_ENOMEM. */
void cl_events_complete(cl_events *q, const clouds_event *event, clouds_node *node);
int cl_events_add(cl_events *q, const clouds_event *event, clouds_node *node);

/* What comes from now on may be put into the records of a cl_events_take that follows, which has as many; until
 * cl_events_end_target. */
void cl_events_begin_target(cl_events *q, clouds_event *records, size_t capacity);
void cl_events_end_target(cl_events *q);

/* Moves up to `capacity` events to records of `size` bytes; their texts live until the next cl_events_release. */
size_t cl_events_take(cl_events *q, void *records, size_t size, size_t capacity);

/* Memory of the caller's, for texts. */
typedef struct cl_text_room {
    char *text;
    size_t size, used;
} cl_text_room;

/* The same, with the texts copied to `room` from its beginning. Stops before the first event whose texts do not fit. */
size_t cl_events_take_into(cl_events *q, void *records, size_t size, size_t capacity, cl_text_room *room);
/* The bytes of the texts of the event that is next; there must be one. */
size_t cl_events_next_bytes(const cl_events *q);
void cl_events_release(cl_events *q);

void cl_events_free(cl_events *q);

/* The bytes of all texts of an event, and their copy: from `to` on, pointers of *event led there, absent ones to "". */
size_t cl_event_bytes(const clouds_event *event);
void cl_event_place(clouds_event *event, char *to);
/* The same into a room, where absent texts are led to its beginning. 1, or 0 when it does not fit. */
int cl_event_place_into(clouds_event *event, cl_text_room *room);
/* CLOUDS_ETOOBIG, with its words; room->used becomes what `whose` texts take. */
int cl_text_room_lacks(cl_text_room *room, size_t bytes, const char *whose);
/* All texts become absent. */
void cl_event_clear(clouds_event *event);
/* What a completion becomes when there is no memory for its texts. */
void cl_event_drop_texts(clouds_event *event);

#endif
