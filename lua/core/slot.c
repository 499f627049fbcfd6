/* Slots: what is waited for, and how the waiter gets its values. */
#include <stdlib.h>

#include "state.h"

cl_handle cl_slot_handle(const cl_state *s, const cl_slot *slot)
{
    return (cl_handle)slot->generation * CL_HANDLE_SPAN + (cl_handle)(slot - s->slots);
}

cl_slot *cl_slot_find(cl_state *s, cl_handle handle)
{
    uint32_t index = (uint32_t)(handle % CL_HANDLE_SPAN);
    if (index >= s->slot_count) return NULL;
    cl_slot *slot = &s->slots[index];
    return slot->state != CL_SLOT_FREE && slot->generation == handle / CL_HANDLE_SPAN ? slot : NULL;
}

/* Operations are few: registering, closing, asking for the status. */
cl_slot *cl_slot_find_operation(cl_state *s, const cl_ctx *ctx, uint64_t id)
{
    for (uint32_t i = 0; i < s->slot_count; i++) {
        cl_slot *slot = &s->slots[i];
        if (slot->state != CL_SLOT_FREE && slot->operation && slot->id == id && slot->ctx == ctx) return slot;
    }
    return NULL;
}

static void grow(lua_State *L, cl_state *s)
{
    if (s->slot_count < s->slot_room) return;
    uint32_t room = s->slot_room ? s->slot_room * 2 : 64;
    cl_slot *slots = room <= CL_HANDLE_SPAN ? realloc(s->slots, room * sizeof *slots) : NULL;
    if (!slots) luaL_error(L, "too much is waited for");
    s->slots = slots;
    s->slot_room = room;
}

/* One more that is free. What allocates may run finalisers, which may take the room. */
static void add_slot(lua_State *L, cl_state *s)
{
    grow(L, s);
    lua_pushboolean(L, 0);
    int ref = luaL_ref(L, LUA_REGISTRYINDEX);
    grow(L, s);
    s->slots[s->slot_count] = (cl_slot){.state = CL_SLOT_FREE, .ref = ref, .next_free = s->slot_free};
    s->slot_free = s->slot_count++;
}

cl_slot *cl_slot_new(lua_State *L, cl_state *s)
{
    if (s->slot_free == UINT32_MAX) add_slot(L, s);
    cl_slot *slot = &s->slots[s->slot_free];
    s->slot_free = slot->next_free;
    uint32_t generation = slot->generation + 1;
    *slot = (cl_slot){.generation = generation ? generation : 1, .state = CL_SLOT_OPEN, .ref = slot->ref};
    return slot;
}

/* Anchors the value at the top of L for as long as the slot needs it, and pops it. */
static void anchor(lua_State *L, const cl_slot *slot)
{
    lua_rawseti(L, LUA_REGISTRYINDEX, slot->ref);
}

static void drop_anchored(lua_State *L, const cl_slot *slot)
{
    lua_pushboolean(L, 0);
    anchor(L, slot);
}

/* Pushes what is anchored, which is anchored no longer. */
static void take_anchored(lua_State *L, const cl_slot *slot)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, slot->ref);
    drop_anchored(L, slot);
}

void cl_slot_call_back(lua_State *L, cl_slot *slot, int index)
{
    slot->state = CL_SLOT_CALLBACK;
    lua_pushvalue(L, index);
    anchor(L, slot);
}

void cl_slot_bind(lua_State *L, cl_slot *slot, cl_lua_node *node, int index, uint64_t id, bool operation)
{
    slot->node = node;
    slot->ctx = node->ctx;
    slot->id = id;
    slot->operation = operation;
    slot->ctx->waiting++;
    slot->ctx->refs++;
    if (node->calls++ == 0) cl_node_settle(L, node->state, node, index);
}

static void unbind(lua_State *L, cl_state *s, cl_slot *slot)
{
    cl_ctx *ctx = slot->ctx;
    cl_lua_node *node = slot->node;
    slot->ctx = NULL;
    slot->node = NULL;
    slot->operation = false;
    if (!ctx) return;
    if (--node->calls == 0) cl_node_settle(L, s, node, 0);
    ctx->waiting--;
    cl_context_unref(ctx);
}

void cl_slot_set_scope(cl_state *s, cl_slot *slot, cl_handle scope)
{
    cl_handle before = slot->scope;
    cl_request_hold(s, scope);
    slot->scope = scope;
    cl_request_let(s, before);
}

static void set_asked(lua_State *L, cl_state *s, const cl_slot *slot)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->asked_ref);
    lua_insert(L, -2);
    lua_rawseti(L, -2, (int)(slot - s->slots) + 1);
    lua_pop(L, 1);
}

void cl_slot_ask(lua_State *L, cl_state *s, cl_slot *slot)
{
    slot->asks = true;
    set_asked(L, s, slot);
}

/* `anchored`: the table still holds something for it. */
static void release(lua_State *L, cl_state *s, cl_slot *slot, bool anchored)
{
    unbind(L, s, slot);
    cl_slot_set_scope(s, slot, 0);
    if (anchored) drop_anchored(L, slot);
    if (slot->asks) {
        lua_pushboolean(L, 0);
        set_asked(L, s, slot);
    }
    slot->state = CL_SLOT_FREE;
    slot->next_free = s->slot_free;
    s->slot_free = (uint32_t)(slot - s->slots);
}

void cl_slot_release(lua_State *L, cl_state *s, cl_slot *slot)
{
    release(L, s, slot, slot->state != CL_SLOT_OPEN);
}

/* The values at the top of L go to a coroutine that yielded in cl_slot_wait. */
static void wake(lua_State *L, cl_state *s, cl_slot *slot, int values)
{
    lua_State *co = slot->co;
    cl_handle scope = slot->scope;
    take_anchored(L, slot);
    lua_insert(L, -values - 1);
    cl_request_hold(s, scope);
    release(L, s, slot, false);
    if (lua_status(co) == LUA_YIELD) {
        luaL_checkstack(co, values + 8, "too many values");
        lua_settop(co, 0); /* the mark and the handle that it yielded */
        lua_xmove(L, co, values);
        cl_resume(L, s, co, values, scope);
    } else {
        lua_pop(L, values); /* somebody else resumed it, and it has ended */
    }
    cl_request_let(s, scope);
    lua_pop(L, 1);
}

/* callback(error, values ...): a failure is nil and the error at the top. */
static void call_back(lua_State *L, cl_state *s, cl_slot *slot, int values)
{
    int first = lua_gettop(L) - values + 1;
    bool failed = cl_is_failure(L, s, first, values);
    cl_handle scope = slot->scope;
    cl_task *task = cl_task_begin(L, s);
    take_anchored(task->co, slot);
    if (failed) lua_remove(L, first);
    else lua_pushnil(task->co);
    cl_request_hold(s, scope);
    release(L, s, slot, false);
    cl_task_start(L, s, task, CL_TASK_PLAIN, scope, failed ? 1 : values);
    cl_request_let(s, scope);
}

/* Nobody waits yet, or a main chunk does: the values are kept. */
static void keep(lua_State *L, cl_state *s, cl_slot *slot, int values)
{
    lua_State *box = lua_newthread(L);
    unbind(L, s, slot);
    slot->state = CL_SLOT_DONE;
    slot->co = box;
    anchor(L, slot);
    luaL_checkstack(box, values + 1, "too many values");
    lua_xmove(L, box, values);
}

void cl_slot_complete(lua_State *L, cl_state *s, cl_slot *slot, int values)
{
    switch (slot->state) {
    case CL_SLOT_WAITING:
        wake(L, s, slot, values);
        break;
    case CL_SLOT_CALLBACK:
        call_back(L, s, slot, values);
        break;
    case CL_SLOT_IGNORED:
        lua_pop(L, values);
        release(L, s, slot, false);
        break;
    case CL_SLOT_OPEN:
        keep(L, s, slot, values);
        break;
    default:
        lua_pop(L, values);
        break;
    }
}

void cl_slot_fail_all(lua_State *L, cl_state *s, cl_ctx *ctx, int code)
{
    for (uint32_t i = 0; i < s->slot_count; i++) {
        if (s->slots[i].state == CL_SLOT_FREE || s->slots[i].ctx != ctx) continue;
        lua_pushnil(L);
        cl_push_error(L, s, code, clouds_strerror(code));
        cl_slot_complete(L, s, &s->slots[i], 2);
    }
}

static bool is_main(lua_State *L)
{
    bool yes = lua_pushthread(L) != 0;
    lua_pop(L, 1);
    return yes;
}

bool cl_slot_may_wait(lua_State *L, cl_state *s)
{
    return lua_isyieldable(L) || (is_main(L) && s->can_block && !s->polling);
}

static const char *why_not(lua_State *L)
{
    return is_main(L) ? "cannot wait outside of a coroutine: use clouds.spawn, or a callback"
                      : "cannot wait here, inside of a function called from C: use clouds.spawn, or a callback";
}

void cl_slot_check_wait(lua_State *L, cl_state *s)
{
    if (!cl_slot_may_wait(L, s)) luaL_error(L, "%s", why_not(L));
}

static int take(lua_State *L, cl_state *s, cl_slot *slot)
{
    lua_State *box = slot->co;
    int values = lua_gettop(box);
    luaL_checkstack(L, values + 8, "too many values");
    lua_xmove(box, L, values);
    release(L, s, slot, true);
    return values;
}

int cl_slot_wait(lua_State *L, cl_state *s, cl_slot *slot)
{
    if (slot->state == CL_SLOT_DONE) return take(L, s, slot);
    if (lua_isyieldable(L)) {
        slot->state = CL_SLOT_WAITING;
        slot->co = L;
        cl_task *task = cl_task_of(L, s);
        if (task) task->waits = true;
        cl_slot_set_scope(s, slot, task ? task->scope : s->scope);
        lua_pushthread(L);
        anchor(L, slot);
        lua_pushlightuserdata(L, s);
        lua_pushnumber(L, (lua_Number)cl_slot_handle(s, slot));
        return lua_yield(L, 2);
    }
    cl_handle handle = cl_slot_handle(s, slot);
    int top = lua_gettop(L);
    cl_push_hook(L, s, "block");
    lua_pushnumber(L, (lua_Number)handle);
    lua_call(L, 1, LUA_MULTRET);
    return lua_gettop(L) - top;
}

/* ---- what Lua sees: slots for its own use ---- */

static cl_slot *check_slot(lua_State *L, cl_state *s, int index)
{
    return cl_slot_find(s, (cl_handle)luaL_checknumber(L, index));
}

/* slot() -> handle */
static int core_slot(lua_State *L)
{
    cl_state *s = cl_state_of(L);
    lua_pushnumber(L, (lua_Number)cl_slot_handle(s, cl_slot_new(L, s)));
    return 1;
}

/* wake(handle, ...) -> whether there was such a slot, not woken before */
static int core_wake(lua_State *L)
{
    cl_state *s = cl_state_of(L);
    cl_slot *slot = check_slot(L, s, 1);
    bool fresh = slot && slot->state != CL_SLOT_DONE;
    if (fresh) cl_slot_complete(L, s, slot, lua_gettop(L) - 1);
    lua_pushboolean(L, fresh);
    return 1;
}

/* wait(handle) -> what it was woken with. Once. */
static int core_wait(lua_State *L)
{
    cl_state *s = cl_state_of(L);
    cl_slot *slot = check_slot(L, s, 1);
    if (!slot || slot->state == CL_SLOT_WAITING) return luaL_error(L, "no such slot to wait for");
    if (slot->state != CL_SLOT_DONE) cl_slot_check_wait(L, s);
    return cl_slot_wait(L, s, slot);
}

/* What waits when all is well may be tried again at once when it was refused: that would keep the loop from what makes
 * room, and from its end. */
int cl_slot_wait_refused(lua_State *L, cl_state *s)
{
    if (!cl_slot_may_wait(L, s)) return 2;
    int first = lua_gettop(L) - 1;
    cl_handle handle = cl_slot_handle(s, cl_slot_new(L, s));
    cl_push_hook(L, s, "defer");
    lua_insert(L, first);
    lua_pushlightuserdata(L, s);
    lua_pushcclosure(L, core_wake, 1);
    lua_insert(L, first + 1);
    lua_pushnumber(L, (lua_Number)handle);
    lua_insert(L, first + 2);
    lua_call(L, 4, 0);
    return cl_slot_wait(L, s, cl_slot_find(s, handle));
}

/* interrupt(coroutine) -> whether it waited: its wait ends, with nothing */
static int core_interrupt(lua_State *L)
{
    cl_state *s = cl_state_of(L);
    luaL_checktype(L, 1, LUA_TTHREAD);
    lua_State *co = lua_tothread(L, 1);
    for (uint32_t i = 0; i < s->slot_count; i++) {
        if (s->slots[i].state != CL_SLOT_WAITING || s->slots[i].co != co) continue;
        cl_slot_complete(L, s, &s->slots[i], 0);
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushboolean(L, 0);
    return 1;
}

/* done(handle) -> whether waiting would not wait */
static int core_done(lua_State *L)
{
    cl_slot *slot = check_slot(L, cl_state_of(L), 1);
    lua_pushboolean(L, !slot || slot->state == CL_SLOT_DONE);
    return 1;
}

/* adopt(handle): waits, in the place of a coroutine that has yielded the mark and this handle, for what it waits for */
static int core_adopt(lua_State *L)
{
    cl_state *s = cl_state_of(L);
    cl_slot *slot = check_slot(L, s, 1);
    if (!slot || slot->state != CL_SLOT_WAITING) return luaL_error(L, "no such slot to wait for");
    drop_anchored(L, slot);
    slot->state = CL_SLOT_OPEN;
    if (!cl_slot_may_wait(L, s)) cl_slot_release(L, s, slot);
    cl_slot_check_wait(L, s);
    return cl_slot_wait(L, s, slot);
}

/* waits(coroutine) -> whether it is one of ours that waits */
static int core_waits(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);
    cl_task *task = co ? cl_task_of(co, cl_state_of(L)) : NULL;
    lua_pushboolean(L, task && task->waits);
    return 1;
}

/* drop(handle): it is not waited for after all */
static int core_drop(lua_State *L)
{
    cl_state *s = cl_state_of(L);
    cl_slot *slot = check_slot(L, s, 1);
    if (slot && slot->state != CL_SLOT_WAITING) cl_slot_release(L, s, slot);
    return 0;
}

/* check_wait(): raises where nothing may wait, as an error of who called the caller */
static int core_check_wait(lua_State *L)
{
    if (cl_slot_may_wait(L, cl_state_of(L))) return 0;
    luaL_where(L, 2);
    lua_pushstring(L, why_not(L));
    lua_concat(L, 2);
    return lua_error(L);
}

/* may_wait() -> whether waiting is possible here */
static int core_may_wait(lua_State *L)
{
    lua_pushboolean(L, cl_slot_may_wait(L, cl_state_of(L)));
    return 1;
}

void cl_slot_add(lua_State *L, cl_state *s)
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
    cl_add_functions(L, s, functions);
    lua_pushlightuserdata(L, s);
    lua_setfield(L, -2, "wait_mark");
}
