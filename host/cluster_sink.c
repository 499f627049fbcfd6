/* host.cluster of the master: what it writes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <lua.h>
#include <lauxlib.h>

#include "cluster_module.h"
#include "http_box.h"
#include "utf8.h"

#define SINK_TYPE "clouds.cluster.sink"

static host_sink *check_sink(lua_State *L)
{
    host_sink **box = luaL_checkudata(L, 1, SINK_TYPE);
    if (!*box) luaL_error(L, "the sink is closed");
    return *box;
}

/* cluster.sink([path, most, keep]): see host_sink_open and host_log_file_open; or nil and why not. */
static int l_sink(lua_State *L)
{
    const char *path = luaL_optstring(L, 1, NULL);
    double most = luaL_optnumber(L, 2, 0);
    int keep = (int)luaL_optinteger(L, 3, 0);
    host_sink **box = lua_newuserdata(L, sizeof *box);
    *box = NULL;
    luaL_getmetatable(L, SINK_TYPE);
    lua_setmetatable(L, -2);
    host_log_file *file = path ? host_log_file_open(path, (uint64_t)most, (unsigned)keep) : NULL;
    if (path && !file) return host_cluster_fail(L, strerror(errno));
    *box = host_sink_open(file);
    if (*box) return 1;
    if (file) host_log_file_close(file);
    return host_cluster_fail(L, strerror(ENOMEM));
}

/* sink:put(descriptor, text, is_own): false when it was lost. A sink with a file needs no descriptor. */
static int sink_put(lua_State *L)
{
    size_t size;
    host_sink *sink = check_sink(L);
    int fd = (int)luaL_optinteger(L, 2, -1);
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

/* sink:problem(): what went wrong last, since it was asked last; nil: nothing. */
static int sink_problem(lua_State *L)
{
    host_log_problem problem = host_sink_problem(check_sink(L));
    if (!problem.what) return 0;
    lua_pushfstring(L, "%s: %s", problem.what, strerror(problem.number));
    return 1;
}

static int sink_reopen(lua_State *L)
{
    host_sink_reopen(check_sink(L));
    return 0;
}

/* sink:close([patience, most]): see host_sink_close; without them nothing is waited for. */
static int sink_close(lua_State *L)
{
    host_sink **box = luaL_checkudata(L, 1, SINK_TYPE);
    uint64_t unwritten = *box ? host_sink_close(*box, luaL_optnumber(L, 2, 0), luaL_optnumber(L, 3, 0)) : 0;
    *box = NULL;
    lua_pushnumber(L, (lua_Number)unwritten);
    return 1;
}

/* cluster.is_journal(descriptor): whether systemd reads there, and takes a level before each line. */
static int l_is_journal(lua_State *L)
{
    struct stat found;
    unsigned long long device, inode;
    const char *said = getenv("JOURNAL_STREAM");
    bool is_one = said && sscanf(said, "%llu:%llu", &device, &inode) == 2 &&
                  fstat((int)luaL_checkinteger(L, 1), &found) == 0 && found.st_dev == device && found.st_ino == inode;
    lua_pushboolean(L, is_one);
    return 1;
}

/* cluster.time(): seconds since 1970, to the millisecond. */
static int l_time(lua_State *L)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    lua_pushnumber(L, (lua_Number)now.tv_sec + (lua_Number)(now.tv_nsec / 1000000) / 1000);
    return 1;
}

/* cluster.mended(text): bytes that are no UTF-8 as \xNN. */
static int l_mended(lua_State *L)
{
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);
    const char *end = text + size;
    luaL_Buffer out;
    luaL_buffinit(L, &out);
    for (;;) {
        char escaped[sizeof "\\xNN"];
        size_t valid = lc_utf8_valid(text, (size_t)(end - text));
        luaL_addlstring(&out, text, valid);
        text += valid;
        if (text == end) break;
        snprintf(escaped, sizeof escaped, "\\x%02x", (unsigned char)*text++);
        luaL_addstring(&out, escaped);
    }
    luaL_pushresult(&out);
    return 1;
}

void host_cluster_add_sink(lua_State *L)
{
    static const luaL_Reg of_sink[] = {{"put", sink_put},         {"lost", sink_lost},   {"problem", sink_problem},
                                       {"reopen", sink_reopen},   {"close", sink_close}, {"__gc", sink_close},
                                       {NULL, NULL}};
    static const luaL_Reg functions[] = {
        {"sink", l_sink}, {"is_journal", l_is_journal}, {"time", l_time}, {"mended", l_mended}, {NULL, NULL}};
    host_http_make_type(L, SINK_TYPE, of_sink);
    luaL_setfuncs(L, functions, 0);
}
