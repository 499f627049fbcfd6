/* The Lua state: the standard libraries, our modules in package.preload, and sources as text only. */
#include <lua.h>
#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

#include "internal.h"

int luaopen_clouds_core(lua_State *L);

void host_anchor_set(lua_State *L, const host_anchor *slot)
{
    lua_pushlightuserdata(L, (void *)slot);
    lua_insert(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

void host_anchor_get(lua_State *L, const host_anchor *slot)
{
    lua_pushlightuserdata(L, (void *)slot);
    lua_rawget(L, LUA_REGISTRYINDEX);
}

/* While modules are loaded garbage is collected when there is a fifth more than was needed, not when there is as much
 * again: a compiler leaves much of it, and what a process has once touched stays its memory. */
enum { LOADING_PAUSE = 120 };

/* The loader of an embedded module: upvalue 1 is its number. Compiled only when somebody requires it. */
static int load_embedded(lua_State *L)
{
    const host_embedded *module = &host_embedded_modules[lua_tointeger(L, lua_upvalueindex(1))];
    const char *chunk_name = lua_pushfstring(L, "=[%s]", module->name);
    const int pause = lua_gc(L, LUA_GCSETPAUSE, LOADING_PAUSE);
    if (luaL_loadbufferx(L, (const char *)module->text, module->size, chunk_name, "t") != 0) return lua_error(L);
    lua_pushstring(L, module->name);
    lua_call(L, 1, 1);
    lua_gc(L, LUA_GCSETPAUSE, pause);
    return 1;
}

const host_embedded *host_find_embedded(const char *name)
{
    for (unsigned i = 0; i < host_embedded_count; i++)
        if (strcmp(host_embedded_modules[i].name, name) == 0) return &host_embedded_modules[i];
    return NULL;
}

static void preload_c(lua_State *L, const char *name, lua_CFunction open)
{
    lua_pushcfunction(L, open);
    lua_setfield(L, -2, name);
}

static void fill_preload(lua_State *L)
{
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    for (unsigned i = 0; i < host_embedded_count; i++) {
        if (strchr(host_embedded_modules[i].name, '/')) continue;
        lua_pushinteger(L, (lua_Integer)i);
        lua_pushcclosure(L, load_embedded, 1);
        lua_setfield(L, -2, host_embedded_modules[i].name);
    }
    preload_c(L, "clouds.core", luaopen_clouds_core);
    preload_c(L, "clouds.host", host_open_host);
    preload_c(L, "clouds.loop.host", host_open_loop);
    preload_c(L, "luv", host_open_luv);
    lua_pop(L, 2);
}

/* In protected mode: running out of memory here is a plain failure. */
static int open_all(lua_State *L)
{
    luaL_openlibs(L);
    host_run_open(L);
    fill_preload(L);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "clouds.cli.text_only");
    lua_call(L, 1, 0);
    return 0;
}

lua_State *host_lua_open(void)
{
    lua_State *L = luaL_newstate();
    if (!L) return NULL;
    if (lua_cpcall(L, open_all, NULL) == 0) return L;
    lua_close(L);
    return NULL;
}
