#include "api/held.h"

#include <string.h>
#include <time.h>

#include "api/deadline.h"
#include "api/events.h"
#include "api/guard.h"
#include "api/handle.h"
#include "api/record.h"
#include "base/error.h"
#include "base/mem.h"

static void free_held(cl_held *held)
{
    pthread_cond_destroy(&held->changed);
    *held->total -= held->bytes;
    cl_free(held->block);
    cl_free(held);
}

int cl_held_add(cl_idmap *set, uint64_t call, size_t *total)
{
    cl_held *held = cl_calloc(1, sizeof *held);
    if (!held) return CLOUDS_ENOMEM;
    held->event.id = call;
    held->total = total;
    cl_cond_init(&held->changed);
    if (cl_idmap_put(set, call, held) == 0) return 0;
    free_held(held);
    return CLOUDS_ENOMEM;
}

/* Out of the set: freed now, or by the last of those who look at it. */
static void let_go(cl_idmap *set, cl_held *held)
{
    cl_idmap_take(set, held->event.id);
    held->gone = 1;
    if (held->waiters) pthread_cond_broadcast(&held->changed);
    else free_held(held);
}

void cl_held_drop(cl_idmap *set, uint64_t call)
{
    cl_held *held = cl_idmap_get(set, call);
    if (held) let_go(set, held);
}

cl_held *cl_held_enter(cl_idmap *set, uint64_t call)
{
    cl_held *held = cl_idmap_get(set, call);
    if (!held || held->abandoned) return NULL;
    held->waiters++;
    return held;
}

void cl_held_leave(cl_held *held)
{
    if (--held->waiters == 0 && held->gone) free_held(held);
}

static void count(cl_held *held, size_t bytes)
{
    *held->total += bytes - held->bytes;
    held->bytes = bytes;
}

/* 0, or CLOUDS_ENOMEM: the event is there without its texts. */
static int fill(cl_held *held, const clouds_event *event, clouds_node *node)
{
    size_t bytes = cl_event_bytes(event);
    cl_free(held->block);
    held->block = bytes ? cl_malloc(bytes) : NULL;
    count(held, held->block ? bytes : 0);
    held->event = *event;
    held->event.node = node;
    if (bytes && !held->block) {
        cl_event_strip(&held->event);
        return CLOUDS_ENOMEM;
    }
    cl_event_place(&held->event, held->block);
    return 0;
}

int cl_held_ask(cl_idmap *set, const clouds_event *event, clouds_node *node)
{
    cl_held *held = cl_idmap_get(set, event->id);
    if (!held) return 0;
    int code = fill(held, event, node);
    held->asks = code == 0;
    if (held->asks) pthread_cond_broadcast(&held->changed);
    return code;
}

void cl_held_complete(cl_idmap *set, const clouds_event *event, clouds_node *node)
{
    cl_held *held = cl_idmap_get(set, event->id);
    if (!held || held->done) return;
    if (held->abandoned) {
        cl_held_drop(set, event->id);
        return;
    }
    fill(held, event, node);
    held->asks = 0;
    held->done = 1;
    pthread_cond_broadcast(&held->changed);
}

/* The user has the event. */
static void taken(cl_idmap *set, cl_held *held)
{
    held->asks = 0;
    if (held->done) let_go(set, held);
}

/* The block becomes the user's: who releases it twice, or a copy of the record too, finds that its handle is dead. */
static int hand_over_block(cl_held *held)
{
    held->event.owned = cl_handle_open(CL_HANDLE_TEXTS, held->block);
    if (!held->event.owned) return cl_error(CLOUDS_ENOMEM, "too many events of clouds_wait are not released");
    held->block = NULL;
    count(held, 0);
    cl_guard_keep(1);
    return 0;
}

int cl_held_take(cl_idmap *set, cl_held *held, clouds_event *event, size_t event_size)
{
    if (held->block && hand_over_block(held) != 0) return CLOUDS_ENOMEM;
    cl_record_write(event, event_size, &held->event, sizeof held->event);
    taken(set, held);
    return 0;
}

int cl_held_take_into(cl_idmap *set, cl_held *held, clouds_event *event, size_t event_size, cl_text_room *room)
{
    clouds_event told = held->event;
    if (!cl_event_place_into(&told, room)) return 0;
    cl_record_write(event, event_size, &told, sizeof told);
    taken(set, held);
    return 1;
}

/* Nobody has said how long this record is. */
static void clear(clouds_event *event)
{
    size_t least = cl_record_least(CL_RECORD_clouds_event);
    clouds_event cleared = {0};
    cl_record_write(&cleared, sizeof cleared, event, least);
    cl_event_clear(&cleared);
    cl_record_write(event, least, &cleared, sizeof cleared);
}

int cl_held_release(clouds_event *event)
{
    void *block;
    if (!event->owned) return 0;
    if (!cl_handle_revoke(event->owned, CL_HANDLE_TEXTS, &block))
        return cl_error(CLOUDS_ESTALE, "the event, or a copy of it, is released already");
    cl_handle_retire(event->owned);
    cl_free(block);
    cl_guard_keep(-1);
    clear(event);
    return 0;
}

void cl_held_stir(cl_idmap *set)
{
    size_t at = 0;
    for (cl_held *held; (held = cl_idmap_next(set, &at));) pthread_cond_broadcast(&held->changed);
}

void cl_held_free(cl_idmap *set)
{
    size_t at = 0;
    for (cl_held *held; (held = cl_idmap_next(set, &at));) free_held(held);
    cl_idmap_free(set);
}
