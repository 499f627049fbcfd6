/* Which function serves which method of a node. One that is unregistered is served until the library says that it is
 * gone, since requests that were accepted before are still to be answered. */
#include <stdio.h>

#include "internal.h"

static void push_methods(lua_State *L, lc_state *s, const lc_node *node)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->methods_ref);
    lua_rawgeti(L, -1, node->number);
    lua_remove(L, -2);
}

void lc_methods_set(lua_State *L, lc_state *s, const lc_node *node, bool fresh)
{
    lc_clear_handler_cache(L, s);
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->methods_ref);
    if (fresh) lua_newtable(L);
    else lua_pushnil(L);
    lua_rawseti(L, -2, node->number);
    lua_pop(L, 1);
}

/* Is the method at index 2 on its way out? `forget`: it is registered anew, and what is on its way out is not it. */
static bool is_leaving(lua_State *L, lc_state *s, lc_node *node, bool forget)
{
    int top = lua_gettop(L), before = node->leaving;
    bool found = false;
    if (before == 0) return false;
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->leaving_ref);
    lua_pushnil(L);
    while (lua_next(L, top + 1)) {
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -2, 2);
        bool is_it = lua_touserdata(L, -2) == node && lua_rawequal(L, -1, 2);
        lua_settop(L, top + 2);
        found |= is_it;
        if (!is_it || !forget) continue;
        lua_pushvalue(L, top + 2);
        lua_pushnil(L);
        lua_rawset(L, top + 1);
        node->leaving--;
    }
    lua_settop(L, top);
    return found;
}

void lc_methods_add(lua_State *L, lc_state *s, lc_node *node)
{
    lc_clear_handler_cache(L, s);
    is_leaving(L, s, node, true);
    push_methods(L, s, node);
    lua_pushvalue(L, 2);
    lua_rawget(L, -2);
    if (lua_isnil(L, -1)) node->methods++;
    lua_pop(L, 1);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    lc_node_update_anchor(L, s, node, 1);
}

/* The node and the method are at these places, which count from the bottom. */
static void drop(lua_State *L, lc_state *s, int node_at, int method_at)
{
    lc_node *node = lua_touserdata(L, node_at);
    lc_clear_handler_cache(L, s);
    push_methods(L, s, node);
    if (lua_istable(L, -1)) { /* else the node is gone */
        lua_pushvalue(L, method_at);
        lua_rawget(L, -2);
        if (!lua_isnil(L, -1)) node->methods--;
        lua_pop(L, 1);
        lua_pushvalue(L, method_at);
        lua_pushnil(L);
        lua_rawset(L, -3);
    }
    lua_pop(L, 1);
    lc_node_update_anchor(L, s, node, node_at);
}

void lc_methods_refused(lua_State *L, lc_state *s)
{
    if (!is_leaving(L, s, lc_check_node(L, 1), false)) drop(L, s, 1, 2);
}

/* Numbers of operations are those of a context. */
static void push_key(lua_State *L, const lc_context *ctx, uint64_t operation)
{
    char key[48];
    snprintf(key, sizeof key, "%.0f %llu", ctx->number, (unsigned long long)operation);
    lua_pushstring(L, key);
}

void lc_methods_leave(lua_State *L, lc_state *s, uint64_t operation)
{
    lc_node *node = lc_check_node(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->leaving_ref);
    push_key(L, node->ctx, operation);
    lua_createtable(L, 2, 0);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 1);
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, 2);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    node->leaving++;
}

void lc_methods_left(lua_State *L, lc_state *s, const lc_context *ctx, uint64_t operation)
{
    int top = lua_gettop(L);
    luaL_checkstack(L, 8, NULL);
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->leaving_ref);
    push_key(L, ctx, operation);
    lua_rawget(L, top + 1);
    if (lua_istable(L, -1)) {
        push_key(L, ctx, operation);
        lua_pushnil(L);
        lua_rawset(L, top + 1);
        lua_rawgeti(L, top + 2, 1);
        lua_rawgeti(L, top + 2, 2);
        ((lc_node *)lua_touserdata(L, top + 3))->leaving--;
        drop(L, s, top + 3, top + 4);
    }
    lua_settop(L, top);
}

/* node:failed(names): the keys are methods whose registration failed for good */
int lc_methods_failed(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_node *node = lc_check_node(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    if (!node->node) return 0;
    push_methods(L, s, node);
    node->failed = 0;
    lua_pushnil(L);
    while (lua_next(L, 2)) {
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        lua_rawget(L, 3);
        if (!lua_isnil(L, -1)) node->failed++;
        lua_pop(L, 1);
    }
    lc_node_update_anchor(L, s, node, 1);
    return 0;
}
