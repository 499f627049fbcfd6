/* The module "clouds.host": what the command line, written in Lua, asks of the program around it. */
#include <clouds.h>
#include <lua.h>
#include <lauxlib.h>
#include <luajit.h>

#include <limits.h>
#include <string.h>

#include "internal.h"

static const host_anchor end_function;

/* host.finish(status): ends the program with `status` as soon as the loop gets its turn. */
static int l_finish(lua_State *L)
{
    host_end((int)luaL_checkinteger(L, 1));
    return 0;
}

/* host.set_status(status): the status if the program ends by itself. */
static int l_set_status(lua_State *L)
{
    host_get()->status = (int)luaL_checkinteger(L, 1);
    return 0;
}

/* host.at_end(fn): fn() is called when nothing is left to wait for; what it starts is still waited for. */
static int l_at_end(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    host_anchor_set(L, &end_function);
    return 0;
}

void host_at_end(lua_State *L)
{
    host_anchor_get(L, &end_function);
    if (lua_isfunction(L, -1)) host_call(L, 0, 0, "at the end");
    else lua_pop(L, 1);
}

/* host.versions(): { clouds =, luajit =, libuv = } */
static int l_versions(lua_State *L)
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

/* host.embedded(name): the text of a file that is part of the program; nil: there is none. */
static int l_embedded(lua_State *L)
{
    const host_embedded *found = host_find_embedded(luaL_checkstring(L, 1));
    if (!found) return 0;
    lua_pushlstring(L, (const char *)found->text, found->size);
    return 1;
}

/* host.create_key(file): true, or nil and why not */
static int l_create_key(lua_State *L)
{
    if (clouds_key_create(luaL_checkstring(L, 1)) == 0) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, clouds_last_error());
    return 2;
}

/* host.traceback(error): the text of an error with the traceback of the running coroutine. */
static int l_traceback(lua_State *L)
{
    lua_settop(L, 1);
    return host_traceback(L);
}

static int number_of_error(const char *name)
{
    for (uint32_t i = 0; clouds_error_at(i) != 0; i++)
        if (strcmp(clouds_err_name(clouds_error_at(i)), name) == 0) return clouds_error_at(i);
    return 0;
}

static int number_of_outcome(const char *name)
{
    int outcome = CLOUDS_OUTCOME_OK;
    while (outcome < CLOUDS_OUTCOME_UNKNOWN && strcmp(clouds_outcome_name(outcome), name) != 0) outcome++;
    return outcome;
}

/* host.exit_code(the code and the outcome of an error): how a command ends with it */
static int l_exit_code(lua_State *L)
{
    const char *code = lua_type(L, 1) == LUA_TSTRING ? lua_tostring(L, 1) : "";
    lua_pushinteger(L, clouds_exit_code(number_of_error(code), number_of_outcome(luaL_optstring(L, 2, ""))));
    return 1;
}

/* host.runtime_folder(name): its path; or nil and why not. */
static int l_runtime_folder(lua_State *L)
{
    char path[PATH_MAX];
    if (clouds_runtime_folder(luaL_checkstring(L, 1), path, sizeof path) == 0) {
        lua_pushstring(L, path);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, clouds_last_error());
    return 2;
}

/* exit: how a command may end, by name */
static void add_exit_codes(lua_State *L)
{
    static const struct {
        const char *name;
        int code;
    } codes[] = {{"OK", CLOUDS_EXIT_OK},
                 {"ERROR", CLOUDS_EXIT_ERROR},
                 {"USAGE", CLOUDS_EXIT_USAGE},
                 {"UNREACHABLE", CLOUDS_EXIT_UNREACHABLE},
                 {"UNKNOWN", CLOUDS_EXIT_UNKNOWN}};
    lua_newtable(L);
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        lua_pushinteger(L, codes[i].code);
        lua_setfield(L, -2, codes[i].name);
    }
    lua_setfield(L, -2, "exit");
}

int host_open_host(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"finish", l_finish},         {"exit_code", l_exit_code},   {"runtime_folder", l_runtime_folder},
        {"set_status", l_set_status}, {"at_end", l_at_end},         {"versions", l_versions},
        {"traceback", l_traceback},   {"create_key", l_create_key},
        {"embedded", l_embedded},     {NULL, NULL}};
    lua_newtable(L);
    luaL_setfuncs(L, functions, 0);
    add_exit_codes(L);
    host_luv_add(L);
    host_output_add(L);
    host_process_add(L);
    host_stdin_add(L);
    host_signals_add(L);
    host_where_add(L);
    host_watchdog_add(L);
    host_http_add(L);
    host_cluster_add(L);
    host_stream_add(L);
    return 1;
}
