/* host.cluster of the master: listeners, and who gets their connections. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <lua.h>
#include <lauxlib.h>

#include "cluster_module.h"
#include "http_box.h"
#include "internal.h"

enum { WORDS = 256 };

/* ---- listeners */

/* cluster.listen(address, backlog): a descriptor; or nil, why not, and whether the address is wrong. */
static int l_listen(lua_State *L)
{
    char why[WORDS];
    const char *address = luaL_checkstring(L, 1);
    int fd = host_listener_open(address, (int)luaL_checkinteger(L, 2), why, sizeof why);
    if (fd >= 0) {
        lua_pushinteger(L, fd);
        lua_pushinteger(L, host_listener_port(fd));
        return 2;
    }
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", address, why);
    lua_pushboolean(L, errno == EINVAL);
    return 3;
}

/* cluster.close_listener(descriptor): of one that no dispatch has. */
static int l_close_listener(lua_State *L)
{
    close((int)luaL_checkinteger(L, 1));
    return 0;
}

/* cluster.accept(descriptor): a connection of a listener that no dispatch has; or nil, and whether there was no descriptor
 * for it. */
static int l_accept(lua_State *L)
{
    int fd = accept4((int)luaL_checkinteger(L, 1), NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) return lua_pushinteger(L, fd), 1;
    lua_pushnil(L);
    lua_pushboolean(L, errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM);
    return 2;
}

/* cluster.copy_listener(descriptor): another descriptor of the same socket. */
static int l_copy_listener(lua_State *L)
{
    int fd = fcntl((int)luaL_checkinteger(L, 1), F_DUPFD_CLOEXEC, 0);
    if (fd < 0) return luaL_error(L, "cannot copy a listener: %s", strerror(errno));
    lua_pushinteger(L, fd);
    return 1;
}

/* ---- the dispatch */

typedef struct dispatch_box {
    host_dispatch *dispatch;
} dispatch_box;

host_dispatch *host_cluster_check_dispatch(lua_State *L, int index)
{
    dispatch_box *box = luaL_checkudata(L, index, HOST_DISPATCH_TYPE);
    if (!box->dispatch) luaL_error(L, "the dispatch is closed");
    return box->dispatch;
}

static host_dispatch_options options_at(lua_State *L, int index)
{
    host_dispatch_options options = {.hold = luaL_checknumber(L, index),
                                     .connections = (uint64_t)luaL_checknumber(L, index + 2),
                                     .is_shared = lua_toboolean(L, index + 3)};
    options.gone = luaL_checklstring(L, index + 1, &options.gone_size);
    return options;
}

/* cluster.dispatch(hold, gone, connections, is_shared) */
static int l_dispatch(lua_State *L)
{
    host_dispatch_options options = options_at(L, 1);
    dispatch_box *box = lua_newuserdata(L, sizeof *box);
    luaL_getmetatable(L, HOST_DISPATCH_TYPE);
    lua_setmetatable(L, -2);
    box->dispatch = host_dispatch_create(host_get()->loop, &options);
    return box->dispatch ? 1 : luaL_error(L, "not enough memory");
}

/* dispatch:listen(descriptor, number) */
static int dispatch_listen(lua_State *L)
{
    if (host_dispatch_listen(host_cluster_check_dispatch(L, 1), (int)luaL_checkinteger(L, 2),
                             (unsigned)luaL_checkinteger(L, 3)) != 0)
        return luaL_error(L, "not enough memory");
    return 0;
}

/* dispatch:change(hold, gone, connections) */
static int dispatch_change(lua_State *L)
{
    host_dispatch_options options = options_at(L, 2);
    if (host_dispatch_change(host_cluster_check_dispatch(L, 1), &options) != 0) return luaL_error(L, "not enough memory");
    return 0;
}

static int dispatch_unlisten(lua_State *L)
{
    host_dispatch_unlisten(host_cluster_check_dispatch(L, 1), (unsigned)luaL_checkinteger(L, 2));
    return 0;
}

static int dispatch_pause(lua_State *L)
{
    host_dispatch_pause(host_cluster_check_dispatch(L, 1), lua_toboolean(L, 2));
    return 0;
}

static int dispatch_counts(lua_State *L)
{
    host_dispatch_counts counts = host_dispatch_count(host_cluster_check_dispatch(L, 1));
    lua_createtable(L, 0, 5);
    host_cluster_put_number(L, "given", (double)counts.given);
    host_cluster_put_number(L, "given_again", (double)counts.given_again);
    host_cluster_put_number(L, "gone", (double)counts.gone);
    host_cluster_put_number(L, "without_descriptor", (double)counts.without_descriptor);
    host_cluster_put_number(L, "held", (double)counts.held);
    return 1;
}

static int dispatch_close(lua_State *L)
{
    dispatch_box *box = luaL_checkudata(L, 1, HOST_DISPATCH_TYPE);
    if (box->dispatch) host_dispatch_close(box->dispatch);
    box->dispatch = NULL;
    return 0;
}

void host_cluster_put_number(lua_State *L, const char *name, double value)
{
    lua_pushnumber(L, value);
    lua_setfield(L, -2, name);
}

void host_cluster_add_dispatch(lua_State *L)
{
    static const luaL_Reg of_dispatch[] = {
        {"listen", dispatch_listen}, {"change", dispatch_change}, {"unlisten", dispatch_unlisten}, {"pause", dispatch_pause},
        {"counts", dispatch_counts}, {"close", dispatch_close},       {NULL, NULL}};
    static const luaL_Reg functions[] = {{"listen", l_listen}, {"close_listener", l_close_listener}, {"accept", l_accept},
                                         {"copy_listener", l_copy_listener}, {"dispatch", l_dispatch}, {NULL, NULL}};
    host_http_make_type(L, HOST_DISPATCH_TYPE, of_dispatch);
    luaL_setfuncs(L, functions, 0);
}
