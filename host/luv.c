/* require "luv": Debian's lua-luv on the host's own loop.
 *
 * Design note. luv makes a loop of its own and, when a callback raises, ends the process - unless both are set before
 * its luaopen_luv runs. So the module is found as Lua would find it, but opened here, after luv_set_loop and
 * luv_set_callback. Both get the main Lua thread: luv calls back on the thread it was given, which must not be a
 * coroutine that has ended long ago. A luv that brings its own libuv would read our loop with other eyes: refused.
 *
 * A callback that returns nothing to luv (all but a few) runs in a coroutine when the clouds module is there, so that
 * it may call services and sleep. */
#include <dlfcn.h>
#include <string.h>
#include <lua.h>
#include <lauxlib.h>

#include "internal.h"
#include "luv_api.h"

enum { FLAG_NO_MESSAGE = 4 }; /* luv: the caller looks at the error itself */

static const host_anchor spawn_function;
static host_luv luv;

/* host.luv_spawn(fn): callbacks of luv are started with fn(callback, ...), which never raises. */
static int l_luv_spawn(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    host_anchor_set(L, &spawn_function);
    return 0;
}

/* Calls a callback of luv; keeps luv's rules: what is called and its arguments are gone afterwards, results are left.
 */
static int call_back(lua_State *L, int arguments, int results, int flags)
{
    int base = lua_gettop(L) - arguments - 1;
    if (results == 0) {
        host_anchor_get(L, &spawn_function);
        if (lua_isfunction(L, -1)) {
            lua_insert(L, base + 1);
            arguments++;
        } else {
            lua_pop(L, 1);
        }
    }
    bool quiet = (flags & FLAG_NO_MESSAGE) != 0;
    if (!host_call(L, arguments, results, quiet ? NULL : "error in a luv callback")) return -LUA_ERRRUN;
    return lua_gettop(L) - base;
}

/* uv.run() of a script written for plain luv: the loop runs already, and goes on after the script. */
static int luv_run(lua_State *L)
{
    lua_pushboolean(L, 0);
    return 1;
}

static int luv_stop(lua_State *L)
{
    host_signals_stop();
    return 0;
}

/* Pushes the path of luv.so, or raises what to do about it. */
static const char *find_luv(lua_State *L)
{
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "searchpath");
    lua_pushliteral(L, "luv");
    lua_getfield(L, -3, "cpath");
    lua_call(L, 2, 2);
    if (!lua_isstring(L, -2))
        luaL_error(L, "module 'luv' is not installed (on Debian: apt install lua-luv); looked for it at:%s",
                   lua_tostring(L, -1));
    return lua_tostring(L, -2);
}

/* Stores the address of a function of luv's in `function`, whose type the caller knows. */
static void find_symbol(lua_State *L, void *library, const char *path, const char *name, void *function)
{
    void *symbol = dlsym(library, name);
    if (!symbol) luaL_error(L, "module 'luv': %s has no %s; lua-luv 1.41 or later is needed", path, name);
    memcpy(function, &symbol, sizeof symbol);
}

static void replace_loop_functions(lua_State *L)
{
    lua_pushcfunction(L, luv_run);
    lua_setfield(L, -2, "run");
    lua_pushcfunction(L, luv_stop);
    lua_setfield(L, -2, "stop");
}

static void find_functions(lua_State *L, void *library, const char *path)
{
    find_symbol(L, library, path, "luv_set_loop", &luv.set_loop);
    find_symbol(L, library, path, "luv_set_callback", &luv.set_callback);
    find_symbol(L, library, path, "luv_set_thread", &luv.set_thread);
    find_symbol(L, library, path, "luv_set_cthread", &luv.set_cthread);
    find_symbol(L, library, path, "luv_set_thread_cb", &luv.set_thread_cb);
    find_symbol(L, library, path, "luv_cfpcall", &luv.cfpcall);
    find_symbol(L, library, path, "luv_cfcpcall", &luv.cfcpcall);
    find_symbol(L, library, path, "luaopen_luv", &luv.open);
}

int host_open_luv(lua_State *L)
{
    const char *path = find_luv(L);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL); /* stays open: Lua holds functions of it until the end */
    if (!library) return luaL_error(L, "module 'luv': %s", dlerror());
    if (dlsym(library, "uv_run") != dlsym(RTLD_DEFAULT, "uv_run"))
        return luaL_error(L, "module 'luv': %s carries a libuv of its own, so it cannot share the loop", path);
    find_functions(L, library, path);
    host_program *host = host_get();
    luv.set_loop(host->L, host->loop);
    luv.set_callback(host->L, call_back);
    host_luv_set_threads(&luv);
    lua_pushcfunction(L, luv.open);
    lua_call(L, 0, 1);
    replace_loop_functions(L);
    return 1;
}

void host_luv_add(lua_State *L)
{
    lua_pushcfunction(L, l_luv_spawn);
    lua_setfield(L, -2, "luv_spawn");
}
