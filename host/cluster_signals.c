/* host.cluster of the master: signals that mean something else to it than to other programs. */
#include <signal.h>
#include <string.h>
#include <lua.h>
#include <lauxlib.h>

#include "cluster_module.h"
#include "internal.h"

static const struct {
    const char *name;
    int number;
} known[] = {{"HUP", SIGHUP},   {"QUIT", SIGQUIT}, {"USR1", SIGUSR1}, {"USR2", SIGUSR2},
             {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU}, {"TSTP", SIGTSTP}, {"CONT", SIGCONT}};

enum { KNOWN = sizeof known / sizeof *known };

static const host_anchor function;
static uv_signal_t watches[KNOWN];

static void on_signal(uv_signal_t *watch, int number)
{
    lua_State *L = host_get()->L;
    (void)number;
    host_anchor_get(L, &function);
    lua_pushstring(L, known[watch - watches].name);
    host_call(L, 1, 0, "error in the master");
}

static int find(lua_State *L, const char *name)
{
    for (int i = 0; i < KNOWN; i++)
        if (strcmp(known[i].name, name) == 0) return i;
    return luaL_error(L, "unknown signal %s", name);
}

/* cluster.on_signals(names, fn): fn(name) in the loop, from now on, once. */
static int l_on_signals(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    host_anchor_set(L, &function);
    for (int i = 1; i <= (int)lua_objlen(L, 1); i++) {
        lua_rawgeti(L, 1, i);
        int at = find(L, luaL_checkstring(L, -1));
        lua_pop(L, 1);
        if (uv_signal_init(host_get()->loop, &watches[at]) != 0 ||
            uv_signal_start(&watches[at], on_signal, known[at].number) != 0)
            return luaL_error(L, "cannot watch for signals");
        uv_unref((uv_handle_t *)&watches[at]);
    }
    return 0;
}

void host_cluster_add_signals(lua_State *L)
{
    static const luaL_Reg functions[] = {{"on_signals", l_on_signals}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
