/* Requests whose caller gives up: what their handlers see of it. */
#include "internal.h"

/* request.canceled() -> whether its caller has given up */
int lc_request_canceled(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_handle handle = *(lc_handle *)luaL_checkudata(L, lua_upvalueindex(2), "clouds.request");
    const lc_request *request = lc_request_find(s, handle);
    lua_pushboolean(L, request && request->canceled);
    return 1;
}

static lua_Integer place_of(lc_handle handle)
{
    return (lua_Integer)(handle % LC_HANDLE_SPAN) + 1;
}

/* Pushes the list of this request, an empty one if there is none. One that was in this place before is forgotten. */
static void push_list(lua_State *L, lc_state *s, lc_handle handle)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->on_cancel_ref);
    lua_rawgeti(L, -1, (int)place_of(handle));
    if (lua_istable(L, -1)) {
        lua_rawgeti(L, -1, 1);
        bool is_its = (lc_handle)lua_tonumber(L, -1) == handle;
        lua_pop(L, 1);
        if (is_its) {
            lua_remove(L, -2);
            return;
        }
    }
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushnumber(L, (lua_Number)handle);
    lua_rawseti(L, -2, 1);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, (int)place_of(handle));
    lua_remove(L, -2);
}

/* request.on_cancel(fn): it is called, in a coroutine of its own, when the caller gives up; at once when it has. Gives
 * the request back. */
int lc_request_on_cancel(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    const lc_request *request = lc_request_strip_self(L, s);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    if (request && request->canceled) {
        lc_task_start(L, s, lc_task_begin(L, s), LC_TASK_PLAIN, lc_request_handle(s, request), 1);
    } else if (request) {
        push_list(L, s, lc_request_handle(s, request));
        lua_pushvalue(L, 1);
        lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
    }
    lua_pushvalue(L, lua_upvalueindex(2));
    return 1;
}

static void call_on_cancel(lua_State *L, lc_state *s, lc_handle handle)
{
    int top = lua_gettop(L);
    luaL_checkstack(L, 16, NULL);
    push_list(L, s, handle);
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->on_cancel_ref);
    lua_pushnil(L);
    lua_rawseti(L, -2, (int)place_of(handle));
    for (int i = 2, n = (int)lua_objlen(L, top + 1); i <= n; i++) {
        lua_rawgeti(L, top + 1, i);
        lc_task_start(L, s, lc_task_begin(L, s), LC_TASK_PLAIN, handle, 1);
    }
    lua_settop(L, top);
}

void lc_request_cancel(lua_State *L, lc_state *s, const lc_context *ctx, uint64_t id)
{
    for (uint32_t i = 0; i < s->request_count; i++) {
        lc_request *request = &s->requests[i];
        if (!request->used || request->id != id || request->ctx != ctx) continue;
        lc_handle handle = lc_request_handle(s, request);
        request->canceled = true;
        call_on_cancel(L, s, handle);
        lc_slot_fail_scope(L, s, ctx, handle, CLOUDS_ECANCELED, "the caller has given up");
        return;
    }
}

void lc_request_cancel_open(lua_State *L, lc_state *s)
{
    lua_newtable(L);
    s->on_cancel_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}
