/* The module "clouds.host": what the command line, written in Lua, asks of the program around it. */
#include <clouds.h>
#include <lua.h>
#include <lauxlib.h>
#include <luajit.h>

#include "host.h"

static const cl_slot end_function;

/* host.finish(status): ends the program with `status` as soon as the loop gets its turn. */
static int host_finish(lua_State *L)
{
    cl_host_end((int)luaL_checkinteger(L, 1));
    return 0;
}

/* host.set_status(status): the status if the program ends by itself. */
static int host_set_status(lua_State *L)
{
    cl_host_get()->status = (int)luaL_checkinteger(L, 1);
    return 0;
}

/* host.at_end(fn): fn() is called when nothing is left to wait for; what it starts is still waited for. */
static int host_at_end(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    cl_slot_set(L, &end_function);
    return 0;
}

void cl_host_at_end(lua_State *L)
{
    cl_slot_get(L, &end_function);
    if (lua_isfunction(L, -1)) cl_host_call(L, 0, 0, "at the end");
    else lua_pop(L, 1);
}

/* host.versions(): { clouds =, luajit =, libuv = } */
static int host_versions(lua_State *L)
{
    lua_createtable(L, 0, 3);
    lua_pushstring(L, clouds_version());
    lua_setfield(L, -2, "clouds");
    lua_pushliteral(L, LUAJIT_VERSION);
    lua_setfield(L, -2, "luajit");
    lua_pushstring(L, uv_version_string());
    lua_setfield(L, -2, "libuv");
    return 1;
}

/* host.traceback(error): the text of an error with the traceback of the running coroutine. */
static int host_traceback(lua_State *L)
{
    lua_settop(L, 1);
    return cl_traceback(L);
}

int cl_open_host(lua_State *L)
{
    static const luaL_Reg functions[] = {{"finish", host_finish},       {"set_status", host_set_status},
                                         {"at_end", host_at_end},       {"versions", host_versions},
                                         {"traceback", host_traceback}, {NULL, NULL}};
    lua_newtable(L);
    luaL_setfuncs(L, functions, 0);
    cl_luv_add(L);
    cl_output_add(L);
    cl_process_add(L);
    cl_repl_add(L);
    cl_signals_add(L);
    return 1;
}
