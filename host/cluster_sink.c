/* host.cluster of the master: what it writes. */
#include <lua.h>
#include <lauxlib.h>

#include "cluster_module.h"
#include "http_box.h"

#define SINK_TYPE "clouds.cluster.sink"

static host_sink *check_sink(lua_State *L)
{
    host_sink **box = luaL_checkudata(L, 1, SINK_TYPE);
    if (!*box) luaL_error(L, "the sink is closed");
    return *box;
}

/* cluster.sink(): see host_sink_open */
static int l_sink(lua_State *L)
{
    host_sink **box = lua_newuserdata(L, sizeof *box);
    *box = NULL;
    luaL_getmetatable(L, SINK_TYPE);
    lua_setmetatable(L, -2);
    *box = host_sink_open();
    return *box ? 1 : luaL_error(L, "not enough memory");
}

/* sink:put(descriptor, text, is_own): false when it was lost. */
static int sink_put(lua_State *L)
{
    size_t size;
    host_sink *sink = check_sink(L);
    int fd = (int)luaL_checkinteger(L, 2);
    const char *text = luaL_checklstring(L, 3, &size);
    lua_pushboolean(L, host_sink_put(sink, fd, text, size, lua_toboolean(L, 4)));
    return 1;
}

/* sink:lost(): how many texts, since it was asked last. */
static int sink_lost(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)host_sink_lost(check_sink(L)));
    return 1;
}

/* sink:close(seconds): what waits is given so long to be written. */
static int sink_close(lua_State *L)
{
    host_sink **box = luaL_checkudata(L, 1, SINK_TYPE);
    if (*box) host_sink_close(*box, luaL_optnumber(L, 2, 0));
    *box = NULL;
    return 0;
}

void host_cluster_add_sink(lua_State *L)
{
    static const luaL_Reg of_sink[] = {
        {"put", sink_put}, {"lost", sink_lost}, {"close", sink_close}, {"__gc", sink_close}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"sink", l_sink}, {NULL, NULL}};
    host_http_make_type(L, SINK_TYPE, of_sink);
    luaL_setfuncs(L, functions, 0);
}
