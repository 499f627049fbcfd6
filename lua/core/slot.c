/* Slots: what is waited for, and how the waiter gets its values. */
#include <stdlib.h>

#include "internal.h"

lc_handle lc_slot_handle(const lc_state *s, const lc_slot *slot)
{
    return (lc_handle)slot->generation * LC_HANDLE_SPAN + (lc_handle)(slot - s->slots);
}

lc_slot *lc_slot_find(lc_state *s, lc_handle handle)
{
    uint32_t index = (uint32_t)(handle % LC_HANDLE_SPAN);
    if (index >= s->slot_count) return NULL;
    lc_slot *slot = &s->slots[index];
    return slot->state != LC_SLOT_FREE && slot->generation == handle / LC_HANDLE_SPAN ? slot : NULL;
}

lc_slot *lc_slot_of_event(lc_state *s, const lc_context *ctx, const clouds_event *event)
{
    lc_slot *slot = lc_slot_find(s, event->user_data);
    return slot && slot->id == event->id && slot->ctx == ctx ? slot : NULL;
}

static void grow(lua_State *L, lc_state *s)
{
    if (s->slot_count < s->slot_room) return;
    uint32_t room = s->slot_room ? s->slot_room * 2 : 64;
    lc_slot *slots = room <= LC_HANDLE_SPAN ? realloc(s->slots, room * sizeof *slots) : NULL;
    if (!slots) luaL_error(L, "too much is waited for");
    s->slots = slots;
    s->slot_room = room;
}

/* One more that is free. What allocates may run finalisers, which may take the room. */
static void add_slot(lua_State *L, lc_state *s)
{
    grow(L, s);
    lua_pushboolean(L, 0);
    int ref = luaL_ref(L, LUA_REGISTRYINDEX);
    grow(L, s);
    s->slots[s->slot_count] = (lc_slot){.state = LC_SLOT_FREE, .ref = ref, .next_free = s->slot_free};
    s->slot_free = s->slot_count++;
}

/* One that was given back has all its members as in a new one, but for these. */
lc_slot *lc_slot_new(lua_State *L, lc_state *s)
{
    if (s->slot_free == UINT32_MAX) add_slot(L, s);
    lc_slot *slot = &s->slots[s->slot_free];
    s->slot_free = slot->next_free;
    if (slot->anchored) s->left_over--;
    if (++slot->generation == 0) slot->generation = 1;
    slot->state = LC_SLOT_OPEN;
    slot->co = NULL;
    slot->id = 0;
    return slot;
}

/* Anchors the value at the top of L for as long as the slot needs it, and pops it. */
static void anchor(lua_State *L, lc_slot *slot)
{
    slot->anchored = true;
    lua_rawseti(L, LUA_REGISTRYINDEX, slot->ref);
}

static void drop_anchored(lua_State *L, lc_slot *slot)
{
    lua_pushboolean(L, 0);
    lua_rawseti(L, LUA_REGISTRYINDEX, slot->ref);
    slot->anchored = false;
}

/* Pushes what is anchored, which is anchored no longer. */
static void take_anchored(lua_State *L, lc_slot *slot)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, slot->ref);
    drop_anchored(L, slot);
}

void lc_slot_call_back(lua_State *L, lc_slot *slot, int index)
{
    slot->state = LC_SLOT_CALLBACK;
    if (index != lua_gettop(L)) lua_pushvalue(L, index);
    anchor(L, slot);
}

void lc_slot_bind(lua_State *L, lc_slot *slot, lc_node *node, int index, uint64_t id, bool operation)
{
    slot->node = node;
    slot->ctx = node->ctx;
    slot->id = id;
    slot->operation = operation;
    slot->ctx->waiting++;
    slot->ctx->refs++;
    if (node->calls++ == 0) lc_node_update_anchor(L, node->state, node, index);
}

static void unbind(lua_State *L, lc_state *s, lc_slot *slot)
{
    lc_context *ctx = slot->ctx;
    lc_node *node = slot->node;
    slot->ctx = NULL;
    slot->node = NULL;
    slot->operation = slot->as_json = false;
    if (!ctx) return;
    if (--node->calls == 0) lc_node_update_anchor(L, s, node, 0);
    ctx->waiting--;
    lc_context_unref(ctx);
}

void lc_slot_set_scope(lc_state *s, lc_slot *slot, lc_handle scope)
{
    lc_handle before = slot->scope;
    if (scope == before) return;
    lc_request_hold(s, scope);
    slot->scope = scope;
    lc_request_drop(s, before);
}

void lc_slot_keep(lua_State *L, lc_state *s, lc_slot *slot, enum lc_kept kept, int index)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->kept_ref);
    lua_pushvalue(L, index);
    lua_rawseti(L, -2, (int)(slot - s->slots) + 1);
    lua_pop(L, 1);
    slot->kept = (uint8_t)kept;
}

void lc_slot_push_kept(lua_State *L, const lc_state *s, const lc_slot *slot)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->kept_ref);
    lua_rawgeti(L, -1, (int)(slot - s->slots) + 1);
    lua_remove(L, -2);
}

/* All but what it anchors. */
static void give_back(lua_State *L, lc_state *s, lc_slot *slot)
{
    unbind(L, s, slot);
    if (slot->kept) {
        lua_pushboolean(L, 0);
        lc_slot_keep(L, s, slot, LC_KEPT_NOTHING, lua_gettop(L));
        lua_pop(L, 1);
    }
    slot->state = LC_SLOT_FREE;
    slot->next_free = s->slot_free;
    s->slot_free = (uint32_t)(slot - s->slots);
}

void lc_slot_release(lua_State *L, lc_state *s, lc_slot *slot)
{
    lc_slot_set_scope(s, slot, 0);
    if (slot->anchored) drop_anchored(L, slot);
    give_back(L, s, slot);
}

/* The values at the top of L go to a coroutine that yielded in lc_slot_wait. */
static void wake(lua_State *L, lc_state *s, lc_slot *slot, int values)
{
    lua_State *co = slot->co;
    lc_handle scope = slot->scope;
    take_anchored(L, slot);
    lua_insert(L, -values - 1);
    lc_request_hold(s, scope);
    lc_slot_release(L, s, slot);
    if (lua_status(co) == LUA_YIELD) {
        luaL_checkstack(co, values + 8, "too many values");
        lua_settop(co, 0); /* the mark and the handle that it yielded */
        lua_xmove(L, co, values);
        lc_resume(L, s, co, values, scope);
    } else {
        lua_pop(L, values); /* somebody else resumed it, and it has ended */
    }
    lc_request_drop(s, scope);
    lua_pop(L, 1);
}

void lc_slot_push_callback(lua_State *L, const lc_slot *slot)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, slot->ref);
}

lc_handle lc_slot_end_callback(lua_State *L, lc_state *s, lc_slot *slot)
{
    lc_handle scope = slot->scope;
    slot->scope = 0;
    if (slot->anchored) s->left_over++;
    give_back(L, s, slot);
    return scope;
}

void lc_slot_tidy(lua_State *L, lc_state *s)
{
    for (uint32_t i = s->slot_free; s->left_over > 0 && i != UINT32_MAX; i = s->slots[i].next_free) {
        if (!s->slots[i].anchored) continue;
        drop_anchored(L, &s->slots[i]);
        s->left_over--;
    }
}

/* callback(error, values ...): a failure is nil and the error at the top. The slot is given back before the task is
 * made: what allocates may run finalisers, which may move the slots. */
static void call_back(lua_State *L, lc_state *s, lc_slot *slot, int values)
{
    int first = lua_gettop(L) - values + 1;
    bool failed = lc_is_failure(L, s, first, values);
    take_anchored(L, slot);
    lc_handle scope = lc_slot_end_callback(L, s, slot);
    lua_insert(L, first);
    lc_task *task = lc_task_begin(L, s);
    if (failed) {
        lua_remove(L, first + 1);
    } else {
        lua_pushnil(L);
        lua_insert(L, first + 1);
    }
    lc_task_start(L, s, task, LC_TASK_PLAIN, scope, failed ? 2 : values + 2);
}

/* No coroutine waits yet, or a main chunk does: the values are kept. Finalisers as above. */
static void keep(lua_State *L, lc_state *s, lc_slot *slot, int values)
{
    lc_handle handle = lc_slot_handle(s, slot);
    lua_State *box = lua_newthread(L);
    slot = lc_slot_find(s, handle);
    if (!slot || slot->state != LC_SLOT_OPEN) {
        lua_pop(L, values + 1);
        return;
    }
    unbind(L, s, slot);
    slot->state = LC_SLOT_DONE;
    slot->co = box;
    anchor(L, slot);
    luaL_checkstack(box, values + 1, "too many values");
    lua_xmove(L, box, values);
}

void lc_slot_complete(lua_State *L, lc_state *s, lc_slot *slot, int values)
{
    switch (slot->state) {
    case LC_SLOT_WAITING:
        wake(L, s, slot, values);
        break;
    case LC_SLOT_CALLBACK:
        call_back(L, s, slot, values);
        break;
    case LC_SLOT_IGNORED:
        lua_pop(L, values);
        lc_slot_release(L, s, slot);
        break;
    case LC_SLOT_OPEN:
        keep(L, s, slot, values);
        break;
    default:
        lua_pop(L, values);
        break;
    }
}

void lc_slot_fail_all(lua_State *L, lc_state *s, lc_context *ctx, int code)
{
    for (uint32_t i = 0; i < s->slot_count; i++) {
        if (s->slots[i].state == LC_SLOT_FREE || s->slots[i].ctx != ctx) continue;
        lua_pushnil(L);
        lc_push_error(L, s, code, clouds_strerror(code));
        lc_slot_complete(L, s, &s->slots[i], 2);
    }
}

static bool is_main(lua_State *L)
{
    bool yes = lua_pushthread(L) != 0;
    lua_pop(L, 1);
    return yes;
}

bool lc_slot_may_wait(lua_State *L, lc_state *s)
{
    return lua_isyieldable(L) || (is_main(L) && s->can_block && !s->polling);
}

static const char *why_not(lua_State *L)
{
    return is_main(L) ? "cannot wait outside of a coroutine: use clouds.spawn, or a callback"
                      : "cannot wait here, inside of a function called from C: use clouds.spawn, or a callback";
}

void lc_slot_check_wait(lua_State *L, lc_state *s)
{
    if (!lc_slot_may_wait(L, s)) luaL_error(L, "%s", why_not(L));
}

static int take(lua_State *L, lc_state *s, lc_slot *slot)
{
    lua_State *box = slot->co;
    int values = lua_gettop(box);
    luaL_checkstack(L, values + 8, "too many values");
    lua_xmove(box, L, values);
    lc_slot_release(L, s, slot);
    return values;
}

int lc_slot_wait(lua_State *L, lc_state *s, lc_slot *slot)
{
    if (slot->state == LC_SLOT_DONE) return take(L, s, slot);
    if (lua_isyieldable(L)) {
        slot->state = LC_SLOT_WAITING;
        slot->co = L;
        lc_task *task = lc_task_of(L, s);
        if (task) task->waits = true;
        lc_slot_set_scope(s, slot, task ? task->scope : s->scope);
        lua_pushthread(L);
        anchor(L, slot);
        lua_pushlightuserdata(L, s);
        lua_pushnumber(L, (lua_Number)lc_slot_handle(s, slot));
        return lua_yield(L, 2);
    }
    lc_handle handle = lc_slot_handle(s, slot);
    int top = lua_gettop(L);
    lc_push_hook(L, s, "block");
    lua_pushnumber(L, (lua_Number)handle);
    lua_call(L, 1, LUA_MULTRET);
    return lua_gettop(L) - top;
}

/* The library ends the calls that were made through the context of the request itself. */
static void cancel_elsewhere(lc_slot *slot, const lc_context *ctx)
{
    if (slot->ctx == ctx || slot->operation) return;
    slot->ctx->dirty = true;
    clouds_cancel(slot->ctx->context, slot->id);
}

void lc_slot_fail_scope(lua_State *L, lc_state *s, const lc_context *ctx, lc_handle scope, int code, const char *words)
{
    for (uint32_t i = 0; i < s->slot_count; i++) {
        lc_slot *slot = &s->slots[i];
        if (slot->state != LC_SLOT_WAITING || lc_span_root(s, slot->scope) != scope) continue;
        if (slot->ctx) {
            cancel_elsewhere(slot, ctx);
            continue;
        }
        if (!slot->cancelable) continue;
        luaL_checkstack(L, 8, NULL);
        lua_pushnil(L);
        lc_push_error(L, s, code, words);
        lc_slot_complete(L, s, &s->slots[i], 2);
    }
}

/* ---- what Lua sees: slots for its own use ---- */

static lc_slot *check_slot(lua_State *L, lc_state *s, int index)
{
    return lc_slot_find(s, (lc_handle)luaL_checknumber(L, index));
}

/* slot(whether it can be canceled) -> handle */
static int core_slot(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_slot *slot = lc_slot_new(L, s);
    slot->cancelable = lua_toboolean(L, 1);
    lua_pushnumber(L, (lua_Number)lc_slot_handle(s, slot));
    return 1;
}

/* wake(handle, ...) -> whether there was such a slot, not woken before */
static int core_wake(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_slot *slot = check_slot(L, s, 1);
    bool fresh = slot && slot->state != LC_SLOT_DONE;
    if (fresh) lc_slot_complete(L, s, slot, lua_gettop(L) - 1);
    lua_pushboolean(L, fresh);
    return 1;
}

/* wait(handle) -> what it was woken with. Once. */
static int core_wait(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_slot *slot = check_slot(L, s, 1);
    if (!slot || slot->state == LC_SLOT_WAITING) return luaL_error(L, "no such slot to wait for");
    if (slot->state != LC_SLOT_DONE) lc_slot_check_wait(L, s);
    return lc_slot_wait(L, s, slot);
}

/* What waits when all is well may be tried again at once when it was refused: that would keep the loop from what makes
 * room, and from its end. */
int lc_slot_wait_refused(lua_State *L, lc_state *s)
{
    if (!lc_slot_may_wait(L, s)) return 2;
    int first = lua_gettop(L) - 1;
    lc_handle handle = lc_slot_handle(s, lc_slot_new(L, s));
    lc_push_hook(L, s, "defer");
    lua_insert(L, first);
    lua_pushlightuserdata(L, s);
    lua_pushcclosure(L, core_wake, 1);
    lua_insert(L, first + 1);
    lua_pushnumber(L, (lua_Number)handle);
    lua_insert(L, first + 2);
    lua_call(L, 4, 0);
    return lc_slot_wait(L, s, lc_slot_find(s, handle));
}

/* interrupt(coroutine) -> whether it waited: its wait ends, with nothing */
static int core_interrupt(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    luaL_checktype(L, 1, LUA_TTHREAD);
    lua_State *co = lua_tothread(L, 1);
    for (uint32_t i = 0; i < s->slot_count; i++) {
        if (s->slots[i].state != LC_SLOT_WAITING || s->slots[i].co != co) continue;
        lc_slot_complete(L, s, &s->slots[i], 0);
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushboolean(L, 0);
    return 1;
}

/* done(handle) -> whether waiting would not wait */
static int core_done(lua_State *L)
{
    lc_slot *slot = check_slot(L, lc_state_of(L), 1);
    lua_pushboolean(L, !slot || slot->state == LC_SLOT_DONE);
    return 1;
}

/* adopt(handle): waits, in the place of a coroutine that has yielded the mark and this handle, for what it waits for */
static int core_adopt(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_slot *slot = check_slot(L, s, 1);
    if (!slot || slot->state != LC_SLOT_WAITING) return luaL_error(L, "no such slot to wait for");
    drop_anchored(L, slot);
    slot->state = LC_SLOT_OPEN;
    if (!lc_slot_may_wait(L, s)) lc_slot_release(L, s, slot);
    lc_slot_check_wait(L, s);
    return lc_slot_wait(L, s, slot);
}

/* waits(coroutine) -> whether it is one of ours that waits */
static int core_waits(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);
    lc_task *task = co ? lc_task_of(co, lc_state_of(L)) : NULL;
    lua_pushboolean(L, task && task->waits);
    return 1;
}

/* drop(handle): it is not waited for after all */
static int core_drop(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_slot *slot = check_slot(L, s, 1);
    if (slot && slot->state != LC_SLOT_WAITING) lc_slot_release(L, s, slot);
    return 0;
}

/* check_wait(): raises where nothing may wait, as an error of who called the caller */
static int core_check_wait(lua_State *L)
{
    if (lc_slot_may_wait(L, lc_state_of(L))) return 0;
    luaL_where(L, 2);
    lua_pushstring(L, why_not(L));
    lua_concat(L, 2);
    return lua_error(L);
}

/* may_wait() -> whether waiting is possible here */
static int core_may_wait(lua_State *L)
{
    lua_pushboolean(L, lc_slot_may_wait(L, lc_state_of(L)));
    return 1;
}

void lc_slot_add(lua_State *L, lc_state *s)
{
    static const luaL_Reg functions[] = {{"slot", core_slot},
                                         {"wake", core_wake},
                                         {"wait", core_wait},
                                         {"interrupt", core_interrupt},
                                         {"done", core_done},
                                         {"drop", core_drop},
                                         {"check_wait", core_check_wait},
                                         {"may_wait", core_may_wait},
                                         {"adopt", core_adopt},
                                         {"waits", core_waits},
                                         {NULL, NULL}};
    lc_add_functions(L, s, functions);
    lua_pushlightuserdata(L, s);
    lua_setfield(L, -2, "wait_mark");
}
