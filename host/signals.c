/* SIGINT and SIGTERM: the first asks for an orderly stop, the second ends the process.
 *
 * Design note. uv's own signal handles are no use here: their handler stays installed until the loop gets a turn, so a
 * script caught in an endless loop would swallow the second signal too. Our handler restores the default action of both
 * signals itself, before anything else, and then wakes the loop (uv_async_send is async-signal-safe). */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <lua.h>
#include <lauxlib.h>

#include "host.h"

static const cl_slot stop_function;
static uv_async_t wake;
static bool installed;
static volatile sig_atomic_t caught;

static void restore_defaults(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_DFL;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static void on_signal(int number)
{
    int before = errno; /* of what was interrupted */
    restore_defaults();
    caught = number;
    uv_async_send(&wake);
    errno = before;
}

static void stop_by(lua_State *L, int number)
{
    cl_slot_get(L, &stop_function);
    lua_pushinteger(L, number);
    if (!cl_host_call(L, 1, 0, "stopping")) cl_host_end(CL_EXIT_ERROR);
}

void cl_signals_stop(lua_State *L)
{
    if (installed) stop_by(L, 0);
    else cl_host_end(CL_EXIT_OK);
}

static void on_wake(uv_async_t *handle)
{
    cl_host *host = handle->data;
    int number = caught;
    caught = 0;
    if (number != 0) stop_by(host->L, number);
}

static void install(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGINT);
    sigaddset(&action.sa_mask, SIGTERM);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* host.on_stop(fn): fn(signal number) is called in the loop after the first SIGINT or SIGTERM. */
static int host_on_stop(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    cl_slot_set(L, &stop_function);
    if (installed) return 0;
    cl_host *host = cl_host_get();
    if (uv_async_init(host->loop, &wake, on_wake) != 0) return luaL_error(L, "cannot watch for signals");
    wake.data = host;
    uv_unref((uv_handle_t *)&wake);
    installed = true;
    install();
    return 0;
}

void cl_signals_add(lua_State *L)
{
    lua_pushcfunction(L, host_on_stop);
    lua_setfield(L, -2, "on_stop");
}
