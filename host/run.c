/* Running Lua from the loop: protected calls, their reports, the loop, and its end. */
#include <stdio.h>
#include <lua.h>
#include <lauxlib.h>

#include "host/cluster/cluster.h"
#include "internal.h"

static host_program the_host;

host_program *host_get(void)
{
    return &the_host;
}

/* Leaves the words of the error at index 1, which is no text, on the top. */
static void push_words(lua_State *L)
{
    if (luaL_callmeta(L, 1, "__tostring") && lua_isstring(L, -1)) return;
    if (lua_istable(L, 1)) {
        lua_pushliteral(L, "message");
        lua_rawget(L, 1);
        if (lua_isstring(L, -1)) return;
    }
    lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
}

int host_traceback(lua_State *L)
{
    lua_settop(L, 1);
    if (!lua_isstring(L, 1)) push_words(L);
    luaL_traceback(L, L, lua_tostring(L, -1), 1);
    return 1;
}

static int traceback_reference; /* to host_traceback as a value of Lua: it is not made anew for each call */

void host_run_open(lua_State *L)
{
    lua_pushcfunction(L, host_traceback);
    traceback_reference = luaL_ref(L, LUA_REGISTRYINDEX);
}

bool host_call(lua_State *L, int arguments, int results, const char *what)
{
    int function = lua_gettop(L) - arguments;
    host_board_busy();
    lua_rawgeti(L, LUA_REGISTRYINDEX, traceback_reference);
    lua_insert(L, function);
    int code = lua_pcall(L, arguments, results, function);
    lua_remove(L, function);
    if (code == 0) return true;
    if (what) {
        const char *text = lua_tostring(L, -1);
        fprintf(stderr, "clouds: %s: %s\n", what, text ? text : "unknown error");
    }
    lua_pop(L, 1);
    return false;
}

void host_end(int status)
{
    the_host.status = status;
    the_host.ended = true;
    uv_stop(the_host.loop);
}

/* Before the end clouds gets to say once more whether it waits for something. */
static void run_until_dry(void)
{
    while (!the_host.ended) {
        if (uv_run(the_host.loop, UV_RUN_DEFAULT) != 0) continue;
        host_loop_before_sleep(the_host.L);
        if (!uv_loop_alive(the_host.loop)) return;
    }
}

void host_run(void)
{
    run_until_dry();
    if (the_host.ended) return;
    host_at_end(the_host.L);
    run_until_dry();
}

static void close_handle(uv_handle_t *handle, void *unused)
{
    (void)unused;
    if (!uv_is_closing(handle)) uv_close(handle, NULL);
}

void host_close_handles(void)
{
    /* A close callback or a request that ends now may open something new: a few rounds, then it is left to the exit. */
    for (int round = 0; round < 4; round++) {
        uv_walk(the_host.loop, close_handle, NULL);
        int turns = 0;
        while (uv_run(the_host.loop, UV_RUN_NOWAIT) != 0 && turns < 100) turns++;
        if (turns < 100) return;
    }
}
