/* Design note. Records wait in a ring whose capacity always covers what is in it and what is reserved, so that a
 * completion never lacks a place. Their texts lie in a chain of chunks, in the order of the records: `waiting` counts
 * the records of a chunk that were not handed out yet. cl_events_release, at the next poll, gives back the chunks at
 * the front that have none. A chunk never moves, so the user may read one end while the other is being filled.
 *
 * An empty ring begins at its beginning again: however large it once had to be, only as much of it is touched as is in
 * use at a time, and that stays in the cache. What comes during a poll that found nothing need not pass through it: the
 * first `placed` of the events stand in the records of who polls, and the ring goes on behind them. */
#include "api/events.h"

#include <string.h>

#include "api/record.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

enum { CHUNK_BYTES = 16 * 1024, SPARES = 32, FIRST_RING = 64 };

struct cl_text_chunk {
    cl_text_chunk *next;
    size_t used, cap, waiting;
    char bytes[];
};

size_t cl_event_bytes(const clouds_event *e)
{
    return e->peer_len + e->method_len + e->data_len + e->error_len + e->meta_len + e->bytes_len;
}

static inline char *place_one(const char **text, size_t len, char *to, const char *none)
{
    char *end = cl_str_copy(to, (cl_str){*text, len});
    *text = len ? to : none;
    return end;
}

static void place(clouds_event *e, char *to, const char *none)
{
    to = place_one(&e->peer, e->peer_len, to, none);
    to = place_one(&e->method, e->method_len, to, none);
    to = place_one(&e->data, e->data_len, to, none);
    if (!(e->error_len | e->meta_len | e->bytes_len)) { /* as most */
        e->error = e->meta = none;
        e->bytes = none;
        return;
    }
    to = place_one(&e->error, e->error_len, to, none);
    to = place_one(&e->meta, e->meta_len, to, none);
    if (e->bytes_len) memcpy(to, e->bytes, e->bytes_len);
    e->bytes = e->bytes_len ? to : none;
}

void cl_event_place(clouds_event *e, char *to)
{
    place(e, to, "");
}

int cl_event_place_into(clouds_event *e, cl_text_room *room)
{
    size_t bytes = cl_event_bytes(e);
    if (bytes > room->size - room->used) return 0;
    place(e, room->text + room->used, room->size ? room->text : "");
    room->used += bytes;
    return 1;
}

int cl_text_room_lacks(cl_text_room *room, size_t bytes, const char *whose)
{
    room->used = bytes;
    return cl_error(CLOUDS_ETOOBIG, "the texts of %s take %zu bytes, there is room for %zu", whose, bytes, room->size);
}

void cl_event_clear(clouds_event *e)
{
    e->peer = e->method = e->data = e->error = e->meta = e->bytes = "";
    e->peer_len = e->method_len = e->data_len = e->error_len = e->meta_len = e->bytes_len = 0;
}

void cl_event_drop_texts(clouds_event *e)
{
    if (e->outcome != CLOUDS_OUTCOME_NOT_DONE) e->outcome = CLOUDS_OUTCOME_UNKNOWN;
    e->code = CLOUDS_ENOMEM;
    cl_event_clear(e);
}

/* ---- the ring */

static int grow_ring(cl_events *q, size_t need)
{
    size_t cap = q->cap ? q->cap : FIRST_RING;
    while (cap < need) cap *= 2;
    clouds_event *ring = cl_malloc(cap * sizeof *ring);
    if (!ring) return CLOUDS_ENOMEM;
    for (size_t i = 0; i < q->len - q->placed; i++) ring[i] = q->ring[(q->head + i) & (q->cap - 1)];
    cl_free(q->ring);
    q->ring = ring;
    q->cap = cap;
    q->head = 0;
    return 0;
}

int cl_events_reserve(cl_events *q, size_t n)
{
    size_t need = q->len + q->reserved + n;
    if (need > q->cap && grow_ring(q, need) != 0) return CLOUDS_ENOMEM;
    q->reserved += n;
    return 0;
}

void cl_events_unreserve(cl_events *q, size_t n)
{
    q->reserved -= n < q->reserved ? n : q->reserved;
}

void cl_events_begin_target(cl_events *q, clouds_event *records, size_t capacity)
{
    q->records = records;
    q->room = capacity;
}

void cl_events_end_target(cl_events *q)
{
    q->room = 0;
}

/* Is there still a place in the records of who polls? */
static inline int has_target(const cl_events *q)
{
    return q->placed < q->room && q->placed == q->len;
}

static inline clouds_event *append(cl_events *q)
{
    if (has_target(q)) return q->len++, &q->records[q->placed++];
    return &q->ring[(q->head + q->len++ - q->placed) & (q->cap - 1)];
}

/* ---- the texts */

static cl_text_chunk *new_chunk(cl_events *q, size_t bytes)
{
    cl_text_chunk *chunk = bytes <= CHUNK_BYTES ? q->spare : NULL;
    if (chunk) {
        q->spare = chunk->next;
        q->spares--;
    } else {
        size_t cap = bytes < CHUNK_BYTES ? CHUNK_BYTES : bytes;
        chunk = cl_malloc(sizeof *chunk + cap);
        if (!chunk) return NULL;
        chunk->cap = cap;
    }
    chunk->next = NULL;
    chunk->used = chunk->waiting = 0;
    return chunk;
}

static char *text_room(cl_events *q, size_t bytes)
{
    cl_text_chunk *chunk = q->newest;
    if (!chunk || chunk->cap - chunk->used < bytes) {
        chunk = new_chunk(q, bytes);
        if (!chunk) return NULL;
        if (q->newest) q->newest->next = chunk;
        else q->oldest = q->reading = chunk;
        q->newest = chunk;
    }
    char *to = chunk->bytes + chunk->used;
    chunk->used += bytes;
    q->bytes += bytes;
    if (has_target(q)) q->placed_bytes += bytes;
    else chunk->waiting++;
    return to;
}

static void free_chunk(cl_events *q, cl_text_chunk *chunk)
{
    if (chunk->cap != CHUNK_BYTES || q->spares >= SPARES) {
        cl_free(chunk);
        return;
    }
    chunk->next = q->spare;
    q->spare = chunk;
    q->spares++;
}

/* A record with these texts was handed out: the chunk it reads from is the first with records waiting. */
static void text_read(cl_events *q, size_t bytes)
{
    while (q->reading->waiting == 0) q->reading = q->reading->next;
    q->reading->waiting--;
    q->bytes -= bytes;
}

void cl_events_release(cl_events *q)
{
    while (q->oldest && q->oldest->waiting == 0) {
        cl_text_chunk *chunk = q->oldest;
        if (chunk == q->newest && chunk->cap == CHUNK_BYTES) {
            chunk->used = 0;
            break;
        }
        q->oldest = chunk->next;
        if (!q->oldest) q->newest = NULL;
        free_chunk(q, chunk);
    }
    q->reading = q->oldest;
}

/* ---- the queue */

void cl_events_complete(cl_events *q, const clouds_event *event, clouds_node *node)
{
    cl_events_unreserve(q, 1);
    /* Only a completion that nobody had reserved could find the ring full; then there is no place to say so. */
    if (q->len == q->cap && grow_ring(q, q->len + 1) != 0) return;
    size_t bytes = cl_event_bytes(event);
    char *to = bytes ? text_room(q, bytes) : NULL;
    clouds_event *e = append(q);
    *e = *event;
    e->node = node;
    if (bytes && !to) cl_event_drop_texts(e);
    else cl_event_place(e, to);
}

int cl_events_add(cl_events *q, const clouds_event *event, clouds_node *node)
{
    size_t need = q->len + q->reserved + 1, bytes = cl_event_bytes(event);
    if (need > q->cap && grow_ring(q, need) != 0) return CLOUDS_ENOMEM;
    char *to = bytes ? text_room(q, bytes) : NULL;
    if (bytes && !to) return CLOUDS_ENOMEM;
    clouds_event *e = append(q);
    *e = *event;
    e->node = node;
    cl_event_place(e, to);
    return 0;
}

/* Those that are in the records already; how many. */
static size_t take_placed(cl_events *q)
{
    size_t n = q->placed;
    q->len -= n;
    q->bytes -= q->placed_bytes;
    q->placed = q->placed_bytes = 0;
    return n;
}

/* Takes the event that is next out of the ring. */
static void take_one(cl_events *q, const clouds_event *event, char *record, size_t size)
{
    size_t bytes = cl_event_bytes(event);
    cl_record_write(record, size, event, sizeof *event);
    if (bytes) text_read(q, bytes);
    q->len--;
    q->head = q->len ? (q->head + 1) & (q->cap - 1) : 0;
}

size_t cl_events_take(cl_events *q, void *records, size_t size, size_t capacity)
{
    size_t n = q->len < capacity ? q->len : capacity;
    for (size_t i = take_placed(q); i < n; i++) take_one(q, &q->ring[q->head], (char *)records + i * size, size);
    return n;
}

size_t cl_events_take_into(cl_events *q, void *records, size_t size, size_t capacity, cl_text_room *room)
{
    size_t n = 0;
    room->used = 0;
    for (; n < capacity && q->len; n++) {
        clouds_event e = q->ring[q->head];
        if (!cl_event_place_into(&e, room)) break;
        take_one(q, &e, (char *)records + n * size, size);
    }
    return n;
}

size_t cl_events_next_bytes(const cl_events *q)
{
    return cl_event_bytes(&q->ring[q->head]);
}

static void free_chain(cl_text_chunk *chunk)
{
    while (chunk) {
        cl_text_chunk *next = chunk->next;
        cl_free(chunk);
        chunk = next;
    }
}

void cl_events_free(cl_events *q)
{
    cl_free(q->ring);
    free_chain(q->oldest);
    free_chain(q->spare);
    *q = (cl_events){0};
}
