/* Lua states for luv's threads (uv.new_thread, uv.new_work): an error in one is reported and ends that thread's
 * function only, where luv by itself would end the process. */
#include <stdio.h>
#include <stdlib.h>
#include <lua.h>
#include <lauxlib.h>
#include <lualib.h>

#include "luv_api.h"

enum { FLAG_NO_EXIT = 1 };

static const host_luv *luv; /* the functions of the loaded module; set once, before any thread */

static int call_without_exit(lua_State *L, int arguments, int results, int flags)
{
    return luv->cfpcall(L, arguments, results, flags | FLAG_NO_EXIT);
}

static int call_c_without_exit(lua_State *L, lua_CFunction function, void *data, int flags)
{
    return luv->cfcpcall(L, function, data, flags | FLAG_NO_EXIT);
}

static int set_up(lua_State *L)
{
    luaL_openlibs(L);
    luv->set_callback(L, call_without_exit);
    luv->set_thread(L, call_without_exit);
    luv->set_cthread(L, call_c_without_exit);
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "loaded");
    lua_pushcfunction(L, luv->open);
    lua_call(L, 0, 1);
    lua_setfield(L, -2, "luv");
    return 0;
}

static lua_State *acquire_state(void)
{
    lua_State *L = luaL_newstate();
    if (L && lua_cpcall(L, set_up, NULL) == 0) return L;
    fprintf(stderr, "clouds: no memory for a thread\n"); /* luv takes no failure: it would use the state */
    exit(EXIT_FAILURE);
}

void host_luv_set_threads(const host_luv *functions)
{
    luv = functions;
    luv->set_thread_cb(acquire_state, lua_close);
}
