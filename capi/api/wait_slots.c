#include "api/wait_slots.h"

#include <string.h>

#include "api/events.h"
#include "api/guard.h"
#include "api/handle.h"
#include "api/record.h"
#include "base/error.h"
#include "base/mem.h"

static void free_slot(cl_wait_slot *slot)
{
    *slot->total -= slot->bytes;
    cl_free(slot->block);
    cl_free(slot);
}

int cl_wait_slot_add(cl_idmap *set, uint64_t call, size_t *total)
{
    cl_wait_slot *slot = cl_calloc(1, sizeof *slot);
    if (!slot) return CLOUDS_ENOMEM;
    slot->event.id = call;
    slot->total = total;
    cl_list_init(&slot->watches);
    if (cl_idmap_put(set, call, slot) == 0) return 0;
    free_slot(slot);
    return CLOUDS_ENOMEM;
}

static void wake_waiters(cl_wait_slot *slot)
{
    CL_LIST_EACH(it, &slot->watches) pthread_cond_signal(CL_OWNER(it, cl_watch, link)->turn);
}

/* Out of the set: freed now, or by the last of those who wait for it. */
static void remove_slot(cl_idmap *set, cl_wait_slot *slot)
{
    cl_idmap_take(set, slot->event.id);
    slot->gone = 1;
    if (cl_list_empty(&slot->watches)) free_slot(slot);
    else wake_waiters(slot);
}

void cl_wait_slot_drop(cl_idmap *set, uint64_t call)
{
    cl_wait_slot *slot = cl_idmap_get(set, call);
    if (slot) remove_slot(set, slot);
}

int cl_wait_slot_watch(cl_idmap *set, uint64_t call, cl_watch *watch, pthread_cond_t *turn)
{
    cl_wait_slot *slot = cl_idmap_get(set, call);
    if (!slot || slot->abandoned) return 0;
    watch->slot = slot;
    watch->turn = turn;
    cl_list_append(&slot->watches, &watch->link);
    return 1;
}

void cl_wait_slot_leave(cl_watch *watch)
{
    cl_list_remove(&watch->link);
    if (cl_list_empty(&watch->slot->watches) && watch->slot->gone) free_slot(watch->slot);
}

static void count(cl_wait_slot *slot, size_t bytes)
{
    *slot->total += bytes - slot->bytes;
    slot->bytes = bytes;
}

/* 0, or CLOUDS_ENOMEM: the event is there without its texts. */
static int fill(cl_wait_slot *slot, const clouds_event *event, clouds_node *node)
{
    size_t bytes = cl_event_bytes(event);
    cl_free(slot->block);
    slot->block = bytes ? cl_malloc(bytes) : NULL;
    count(slot, slot->block ? bytes : 0);
    slot->event = *event;
    slot->event.node = node;
    if (bytes && !slot->block) {
        cl_event_drop_texts(&slot->event);
        return CLOUDS_ENOMEM;
    }
    cl_event_place(&slot->event, slot->block);
    return 0;
}

int cl_wait_slot_ask(cl_idmap *set, const clouds_event *event, clouds_node *node)
{
    cl_wait_slot *slot = cl_idmap_get(set, event->id);
    if (!slot) return 0;
    int code = fill(slot, event, node);
    slot->asks = code == 0;
    if (slot->asks) wake_waiters(slot);
    return code;
}

void cl_wait_slot_complete(cl_idmap *set, const clouds_event *event, clouds_node *node)
{
    cl_wait_slot *slot = cl_idmap_get(set, event->id);
    if (!slot || slot->done) return;
    if (slot->abandoned) {
        cl_wait_slot_drop(set, event->id);
        return;
    }
    fill(slot, event, node);
    slot->asks = 0;
    slot->done = 1;
    wake_waiters(slot);
}

/* The user has the event. */
static void taken(cl_idmap *set, cl_wait_slot *slot)
{
    slot->asks = 0;
    if (slot->done) remove_slot(set, slot);
}

/* The block becomes the user's: who releases it twice, or a copy of the record too, finds that its handle is dead. */
static int hand_over_block(cl_wait_slot *slot)
{
    slot->event.owned = cl_handle_open(CL_HANDLE_TEXTS, slot->block);
    if (!slot->event.owned) return cl_error(CLOUDS_ENOMEM, "too many events of clouds_wait are not released");
    slot->block = NULL;
    count(slot, 0);
    cl_guard_keep(1);
    return 0;
}

int cl_wait_slot_take(cl_idmap *set, cl_wait_slot *slot, clouds_event *event, size_t event_size)
{
    if (slot->block && hand_over_block(slot) != 0) return CLOUDS_ENOMEM;
    cl_record_write(event, event_size, &slot->event, sizeof slot->event);
    taken(set, slot);
    return 0;
}

int cl_wait_slot_take_into(cl_idmap *set, cl_wait_slot *slot, clouds_event *event, size_t event_size,
                           cl_text_room *room)
{
    clouds_event copy = slot->event;
    if (!cl_event_place_into(&copy, room)) return 0;
    cl_record_write(event, event_size, &copy, sizeof copy);
    taken(set, slot);
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

int cl_event_free_texts(clouds_event *event)
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

void cl_wait_slots_wake(cl_idmap *set)
{
    size_t at = 0;
    for (cl_wait_slot *slot; (slot = cl_idmap_next(set, &at));) wake_waiters(slot);
}

void cl_wait_slots_free(cl_idmap *set)
{
    size_t at = 0;
    for (cl_wait_slot *slot; (slot = cl_idmap_next(set, &at));) free_slot(slot);
    cl_idmap_free(set);
}
