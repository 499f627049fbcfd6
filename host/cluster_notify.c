/* host.cluster of the master: what systemd is told, the sockets that it has opened, and a master in the background. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <lua.h>
#include <lauxlib.h>

#include "cluster_module.h"
#include "internal.h"

enum { NAME = 256 };

/* cluster.notify(text): true, false when nobody wants to be told; or nil and why not. */
static int l_notify(lua_State *L)
{
    int result = host_notify(luaL_checkstring(L, 1));
    if (result < 0) return host_cluster_fail(L, strerror(errno));
    lua_pushboolean(L, result);
    return 1;
}

/* cluster.watchdog(): seconds within which WATCHDOG=1 has to be told; nil: it need not be. */
static int l_watchdog(lua_State *L)
{
    double seconds = host_notify_watchdog();
    if (seconds <= 0) return 0;
    lua_pushnumber(L, seconds);
    return 1;
}

/* cluster.monotonic(): microseconds of CLOCK_MONOTONIC, as a text of digits. */
static int l_monotonic(lua_State *L)
{
    struct timespec now = {0};
    char text[32];
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(text, sizeof text, "%lld", (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    lua_pushstring(L, text);
    return 1;
}

/* cluster.inherited(): a list of { descriptor =, name =, port =, listens = } of what this process was given. */
static int l_inherited(lua_State *L)
{
    int count = host_notify_listeners();
    char name[NAME];
    lua_createtable(L, count, 0);
    for (int i = 0; i < count; i++) {
        int fd = host_notify_listener(i, name, sizeof name);
        lua_createtable(L, 0, 4);
        host_cluster_put_number(L, "descriptor", fd);
        host_cluster_put_number(L, "port", host_listener_port(fd));
        lua_pushstring(L, name);
        lua_setfield(L, -2, "name");
        lua_pushboolean(L, host_listener_is_one(fd));
        lua_setfield(L, -2, "listens");
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

/* cluster.is_at(descriptor, address): whether the socket listens there. */
static int l_is_at(lua_State *L)
{
    lua_pushboolean(L, host_listener_is_at((int)luaL_checkinteger(L, 1), luaL_checkstring(L, 2)));
    return 1;
}

/* cluster.daemonize(arguments, environment): this program in the background, 0 when it serves, else the code that it
 * ended with; or nil and why it was not started. */
static int l_daemonize(lua_State *L)
{
    char **arguments = host_cluster_words(L, 1, "arguments"), **environment = host_cluster_words(L, 2, "environment");
    int code = host_daemon_start("/proc/self/exe", arguments, environment);
    if (code < 0) return host_cluster_fail(L, strerror(errno));
    lua_pushinteger(L, code);
    return 1;
}

/* cluster.daemon_ready(): see host_daemon_ready; false when nobody waits. */
static int l_daemon_ready(lua_State *L)
{
    lua_pushboolean(L, host_daemon_ready() == 0);
    return 1;
}

void host_cluster_add_notify(lua_State *L)
{
    static const luaL_Reg functions[] = {{"notify", l_notify},       {"watchdog", l_watchdog}, {"monotonic", l_monotonic},
                                         {"inherited", l_inherited}, {"is_at", l_is_at},       {"daemonize", l_daemonize},
                                         {"daemon_ready", l_daemon_ready}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
