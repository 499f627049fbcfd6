/* The state of clouds.core in one Lua state: made by luaopen_clouds_core, freed when Lua ends. */
#include <stdlib.h>
#include <time.h>

#include "internal.h"

static lc_state *the_state;

lc_state *lc_state_of_process(void)
{
    return the_state;
}

lc_state *lc_state_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

static double read_clock(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double lc_clock(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

double lc_coarse_clock(void)
{
    return read_clock(CLOCK_MONOTONIC_COARSE);
}

void lc_push_hook(lua_State *L, lc_state *s, const char *name)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->hooks_ref);
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
}

void lc_add_functions(lua_State *L, lc_state *s, const luaL_Reg *functions)
{
    for (; functions->name; functions++) {
        lua_pushlightuserdata(L, s);
        lua_pushcclosure(L, functions->func, 1);
        lua_setfield(L, -2, functions->name);
    }
}

void lc_add_type(lua_State *L, lc_state *s, const char *name, const luaL_Reg *methods, lua_CFunction collect)
{
    luaL_newmetatable(L, name);
    lua_newtable(L);
    lc_add_functions(L, s, methods);
    lua_setfield(L, -2, "__index");
    lua_pushlightuserdata(L, s);
    lua_pushcclosure(L, collect, 1);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}

/* Lua ends. Userdata may be finalised in any order, but their memory stays until all are: the others look at `closed`.
 */
static int state_collect(lua_State *L)
{
    lc_state *s = lua_touserdata(L, 1);
    s->closed = true;
    if (the_state == s) the_state = NULL;
    while (s->contexts) {
        lc_context *ctx = s->contexts;
        s->contexts = ctx->next;
        clouds_context_destroy(ctx->context);
        free(ctx);
    }
    for (uint32_t i = 0; i < s->request_count; i++) {
        free(s->requests[i].text);
        lc_text_free(&s->requests[i].owed);
        lc_text_free(&s->requests[i].owed_values);
        lc_text_free(&s->requests[i].owed_bytes);
    }
    free(s->requests);
    lc_span_free_all(s);
    free(s->slots);
    free(s->pool);
    s->requests = NULL;
    s->slots = NULL;
    s->pool = NULL;
    s->pooled = s->pool_room = 0;
    s->request_count = s->slot_count = 0;
    lc_text_free(&s->out);
    lc_text_free(&s->out2);
    lc_text_free(&s->bytes);
    lc_codec_close(&s->codec);
    return 0;
}

static int new_table_ref(lua_State *L)
{
    lua_newtable(L);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

lc_state *lc_state_create(lua_State *L)
{
    lc_state *s = lua_newuserdata(L, sizeof *s);
    memset(s, 0, sizeof *s);
    s->slot_free = s->request_free = s->span_free = UINT32_MAX;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, state_collect);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    luaL_ref(L, LUA_REGISTRYINDEX);
    lc_codec_open(L, &s->codec);
    s->codec.bytes_mark = clouds_bytes_mark;
    s->kept_ref = new_table_ref(L);
    s->methods_ref = new_table_ref(L);
    s->leaving_ref = new_table_ref(L);
    s->serving_ref = new_table_ref(L);
    s->hooks_ref = new_table_ref(L);
    s->error_ref = new_table_ref(L);
    for (int i = 0; i < LC_CACHED_HANDLERS; i++) {
        lua_pushboolean(L, 0);
        s->found[i].ref = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    lc_task_open(L, s);
    return the_state = s;
}
