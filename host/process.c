/* What the command line needs of the operating system: one child process, environment, terminal, clock. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <lua.h>
#include <lauxlib.h>

#include "internal.h"

enum { MAX_ARGUMENTS = 32 };

static const host_anchor exit_function;
static uv_process_t child;
static bool child_runs, child_wanted;

static void on_child_exit(uv_process_t *process, int64_t status, int signal_number)
{
    host_program *host = host_get();
    child_runs = false;
    uv_close((uv_handle_t *)process, NULL);
    if (!child_wanted) return;
    host_anchor_get(host->L, &exit_function);
    lua_pushinteger(host->L, (lua_Integer)status);
    lua_pushinteger(host->L, signal_number);
    host_call(host->L, 2, 0, "child process");
}

static int start_child(char **arguments)
{
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_IGNORE}, {.flags = UV_INHERIT_FD, .data.fd = 1}, {.flags = UV_INHERIT_FD, .data.fd = 2}};
    uv_process_options_t options = {
        .exit_cb = on_child_exit, .file = "/proc/self/exe", .args = arguments, .stdio_count = 3, .stdio = stdio};
    return uv_spawn(host_get()->loop, &child, &options);
}

/* host.spawn_self({arguments}, on_exit): starts this program again, one at a time. */
static int l_spawn_self(lua_State *L)
{
    char *arguments[MAX_ARGUMENTS + 2] = {(char *)"clouds"};
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    int count = (int)lua_objlen(L, 1);
    if (child_runs || count > MAX_ARGUMENTS) return luaL_error(L, "spawn_self: one child, %d arguments", MAX_ARGUMENTS);
    lua_settop(L, 2);
    luaL_checkstack(L, count, "arguments");
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, 1, i);
        arguments[i] = (char *)luaL_checkstring(L, -1);
    }
    int code = start_child(arguments);
    if (code != 0) {
        uv_close((uv_handle_t *)&child, NULL);
        return luaL_error(L, "cannot start a process: %s", uv_strerror(code));
    }
    child_runs = child_wanted = true;
    lua_pushvalue(L, 2);
    host_anchor_set(L, &exit_function);
    return 0;
}

/* host.kill_child(): asks the child to stop; the loop no longer waits for it, and its end is no news. */
static int l_kill_child(lua_State *L)
{
    if (!child_runs) return 0;
    child_wanted = false;
    uv_process_kill(&child, SIGTERM);
    uv_unref((uv_handle_t *)&child);
    return 0;
}

/* host.follow(pid): this process gets SIGTERM when its parent, `pid`, ends; false if that has happened. */
static int l_follow(lua_State *L)
{
    pid_t parent = (pid_t)luaL_checkinteger(L, 1);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    host_signals_follow();
    lua_pushboolean(L, getppid() == parent);
    return 1;
}

static int l_pid(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)getpid());
    return 1;
}

/* host.setenv(name, value or nil): for this process and its children. */
static int l_setenv(lua_State *L)
{
    if (lua_isnoneornil(L, 2)) return unsetenv(luaL_checkstring(L, 1)), 0;
    if (setenv(luaL_checkstring(L, 1), luaL_checkstring(L, 2), 1) != 0) return luaL_error(L, "%s", strerror(errno));
    return 0;
}

/* host.is_terminal(fd) */
static int l_is_terminal(lua_State *L)
{
    lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
    return 1;
}

/* host.is_file(path): whether there is a file that is no folder. */
static int l_is_file(lua_State *L)
{
    struct stat found;
    lua_pushboolean(L, stat(luaL_checkstring(L, 1), &found) == 0 && !S_ISDIR(found.st_mode));
    return 1;
}

/* host.is_private(path): whether nobody but its owner may read the file. */
static int l_is_private(lua_State *L)
{
    struct stat found;
    lua_pushboolean(L, stat(luaL_checkstring(L, 1), &found) == 0 && (found.st_mode & 077) == 0);
    return 1;
}

/* host.folder_of(path): the folder of the file that `path` leads to; nil when there is none. */
static int l_folder_of(lua_State *L)
{
    char *real = realpath(luaL_checkstring(L, 1), NULL);
    if (!real) return 0;
    lua_pushlstring(L, real, (size_t)(strrchr(real, '/') - real));
    free(real);
    return 1;
}

/* host.real_path(path): without symbolic links; nil when there is nothing. */
static int l_real_path(lua_State *L)
{
    char *real = realpath(luaL_checkstring(L, 1), NULL);
    if (!real) return 0;
    lua_pushstring(L, real);
    free(real);
    return 1;
}

/* host.is_unsafe(path): whether this is root, who should not run a file that everybody may write. */
static int l_is_unsafe(lua_State *L)
{
    struct stat found;
    bool is_open = stat(luaL_checkstring(L, 1), &found) == 0 && (found.st_mode & S_IWOTH) != 0;
    lua_pushboolean(L, is_open && geteuid() == 0);
    return 1;
}

/* host.clock(): seconds of a steady clock, read now (not the loop's cached time). */
static int l_clock(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)uv_hrtime() / 1e9);
    return 1;
}

void host_process_add(lua_State *L)
{
    static const luaL_Reg functions[] = {{"spawn_self", l_spawn_self},
                                         {"kill_child", l_kill_child},
                                         {"follow", l_follow},
                                         {"pid", l_pid},
                                         {"setenv", l_setenv},
                                         {"is_terminal", l_is_terminal},
                                         {"is_file", l_is_file},
                                         {"folder_of", l_folder_of},
                                         {"real_path", l_real_path},
                                         {"is_private", l_is_private},
                                         {"is_unsafe", l_is_unsafe},
                                         {"clock", l_clock},
                                         {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
