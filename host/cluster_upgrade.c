/* host.cluster of the master: another program in its place, and what that has from the one before.
 *
 * Design note. The process stays, and so does what the kernel knows it by: its number, its children, its descriptors.
 * What the master itself knows of them is a text, which the next program reads from a file in memory; CLOUDS_UPGRADE
 * says where. Signals wait from before exec until the next program takes them, or they would end it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <lua.h>
#include <lauxlib.h>

#include "cluster_module.h"
#include "internal.h"

#define VARIABLE "CLOUDS_UPGRADE"

enum { STREAMS = HOST_PROCESS_STREAMS, VARIABLE_SIZE = sizeof VARIABLE "=2147483647" };

/* ---- exec */

/* Whether exec closes the descriptors of the list at `index`; -1: errno, and `which` is none. */
static int close_by_exec(lua_State *L, int index, bool yes, int *which)
{
    for (int i = 1; i <= (int)lua_objlen(L, index); i++) {
        lua_rawgeti(L, index, i);
        *which = (int)lua_tointeger(L, -1);
        lua_pop(L, 1);
        if (fcntl(*which, F_SETFD, yes ? FD_CLOEXEC : 0) != 0) return -1;
    }
    return 0;
}

static int write_all(int fd, const char *text, size_t size)
{
    while (size) {
        ssize_t n = write(fd, text, size);
        if (n < 0) return -1;
        text += n;
        size -= (size_t)n;
    }
    return 0;
}

static int file_of(const char *text, size_t size)
{
    int fd = memfd_create("clouds-upgrade", 0);
    if (fd < 0 || (write_all(fd, text, size) == 0 && lseek(fd, 0, SEEK_SET) == 0)) return fd;
    int problem = errno;
    close(fd);
    return errno = problem, -1;
}

/* Gives back only when it fails: errno. */
static void exec(lua_State *L, const char *program, char **arguments, char **environment)
{
    sigset_t all, before;
    int which;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    if (close_by_exec(L, 5, false, &which) == 0) execve(program, arguments, environment);
    int problem = errno;
    close_by_exec(L, 5, true, &which);
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = problem;
}

/* cluster.exec(program, arguments, environment, text, descriptors): that program in the place of this one, with these
 * descriptors and, from cluster.inheritance, this text. Gives nil and why not; then nothing has changed. */
static int l_exec(lua_State *L)
{
    char variable[VARIABLE_SIZE];
    size_t size;
    const char *program = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 4, &size);
    luaL_checktype(L, 5, LUA_TTABLE);
    lua_settop(L, 5);
    int fd = file_of(text, size);
    if (fd < 0) return host_cluster_fail(L, strerror(errno));
    snprintf(variable, sizeof variable, VARIABLE "=%d", fd);
    lua_pushstring(L, variable);
    lua_rawseti(L, 3, (int)lua_objlen(L, 3) + 1);
    char **arguments = host_cluster_words(L, 2, "arguments"), **environment = host_cluster_words(L, 3, "environment");
    exec(L, program, arguments, environment);
    int problem = errno;
    close(fd);
    return host_cluster_fail(L, strerror(problem));
}

/* ---- in the next program */

/* The descriptor that the environment says; -1: none, and this is no upgrade. The variable is for nobody else. */
static int take_variable(void)
{
    const char *text = getenv(VARIABLE);
    char *end;
    long fd = text && *text ? strtol(text, &end, 10) : -1;
    if (!text || !*text || *end || fd < 0 || fd > INT_MAX) fd = -1;
    unsetenv(VARIABLE);
    return (int)fd;
}

/* cluster.inheritance(): the text of the program before; nil: there was none; or nil and why it cannot be read. */
static int l_inheritance(lua_State *L)
{
    struct stat found;
    bool is_named = getenv(VARIABLE) != NULL;
    int fd = take_variable();
    if (!is_named) return 0;
    if (fd < 0 || fstat(fd, &found) != 0 || !S_ISREG(found.st_mode)) return host_cluster_fail(L, "it is no file");
    size_t size = (size_t)found.st_size, len = 0;
    char *text = lua_newuserdata(L, size + 1);
    for (ssize_t n; len < size && (n = read(fd, text + len, size - len)) > 0;) len += (size_t)n;
    close(fd);
    if (len < size) return host_cluster_fail(L, "it ends too early");
    lua_pushlstring(L, text, size);
    return 1;
}

/* cluster.inherit(descriptors): exec closes them from now on. true; or nil and which is not there. */
static int l_inherit(lua_State *L)
{
    int which;
    luaL_checktype(L, 1, LUA_TTABLE);
    if (close_by_exec(L, 1, true, &which) == 0) return lua_pushboolean(L, 1), 1;
    lua_pushnil(L);
    lua_pushfstring(L, "descriptor %d: %s", which, strerror(errno));
    return 2;
}

/* cluster.take_signals(): those that came meanwhile. */
static int l_take_signals(lua_State *L)
{
    sigset_t none;
    (void)L;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    return 0;
}

/* ---- what is known of a process */

static host_process *check_process(lua_State *L)
{
    return luaL_checkudata(L, 1, HOST_PROCESS_TYPE);
}

/* Adds to the list at the top: { descriptor =, listener =, flags = }. */
static void add_connection(void *self, int fd, clouds_channel_connection about)
{
    lua_State *L = self;
    lua_createtable(L, 0, 3);
    host_cluster_put_number(L, "descriptor", fd);
    host_cluster_put_number(L, "listener", about.listener);
    host_cluster_put_number(L, "flags", about.flags);
    lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
}

/* Adds to the list at the top: { type =, body =, descriptors = }. */
static void add_message(void *self, const host_channel_message *m)
{
    lua_State *L = self;
    lua_createtable(L, 0, 3);
    lua_pushlstring(L, &m->type, 1);
    lua_setfield(L, -2, "type");
    lua_pushlstring(L, m->body, m->size);
    lua_setfield(L, -2, "body");
    lua_createtable(L, m->fd_count, 0);
    for (int i = 0; i < m->fd_count; i++) {
        lua_pushinteger(L, m->fds[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "descriptors");
    lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
}

static void put_streams(lua_State *L, const host_process *p)
{
    lua_createtable(L, STREAMS, 0);
    for (int i = 0; i < STREAMS && p->streams[i].lines; i++) {
        host_lines_state state = host_lines_look(p->streams[i].lines);
        lua_createtable(L, 0, 3);
        host_cluster_put_number(L, "descriptor", state.fd);
        lua_pushlstring(L, state.text, state.size);
        lua_setfield(L, -2, "text");
        lua_pushboolean(L, state.skips);
        lua_setfield(L, -2, "skips");
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "streams");
}

/* process:state(): what cluster.adopt takes; nil when it has ended. `target`: nil, or whether it is ready and what it
 * has not acknowledged. */
static int process_state(lua_State *L)
{
    const host_process *p = check_process(L);
    if (!p->pid) return 0;
    lua_createtable(L, 0, 8);
    host_cluster_put_number(L, "pid", p->pid);
    host_cluster_put_number(L, "channel", host_channel_fd(p->channel));
    host_cluster_put_number(L, "board", p->board_fd);
    put_streams(L, p);
    lua_newtable(L);
    host_channel_waiting(p->channel, add_message, L);
    lua_setfield(L, -2, "waiting");
    if (!p->target) return 1;
    lua_createtable(L, 0, 2);
    lua_pushboolean(L, host_target_is_ready(p->target));
    lua_setfield(L, -2, "is_ready");
    lua_newtable(L);
    host_target_each_copy(p->target, add_connection, L);
    lua_setfield(L, -2, "copies");
    lua_setfield(L, -2, "target");
    return 1;
}

/* ---- a process of the program before */

/* Of the table at `index`. */
static int number_at(lua_State *L, int index, const char *name)
{
    lua_getfield(L, index, name);
    if (!lua_isnumber(L, -1)) luaL_error(L, "expected a number '%s'", name);
    int value = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    return value;
}

static const char *text_at(lua_State *L, int index, const char *name, size_t *size)
{
    lua_getfield(L, index, name);
    const char *text = lua_tolstring(L, -1, size);
    if (!text) luaL_error(L, "expected a text '%s'", name);
    lua_pop(L, 1); /* the table has it */
    return text;
}

static void read_ends(lua_State *L, int ends[1 + STREAMS])
{
    ends[0] = number_at(L, 1, "channel");
    lua_getfield(L, 1, "streams");
    for (int i = 0; i < STREAMS; i++) {
        lua_rawgeti(L, -1, i + 1);
        ends[1 + i] = lua_istable(L, -1) ? number_at(L, lua_gettop(L), "descriptor") : -1;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void resume_streams(lua_State *L, host_process *p)
{
    lua_getfield(L, 1, "streams");
    for (int i = 0; i < STREAMS && p->streams[i].lines; i++) {
        size_t size;
        lua_rawgeti(L, -1, i + 1);
        const char *text = text_at(L, lua_gettop(L), "text", &size);
        lua_getfield(L, -1, "skips");
        host_lines_resume(p->streams[i].lines, text, size, lua_toboolean(L, -1));
        lua_pop(L, 2);
    }
    lua_pop(L, 1);
}

/* Those that waited to be sent, at the top of L as process_state has them. The channel makes copies of descriptors. */
static void send_message(lua_State *L, host_process *p)
{
    int fds[CLOUDS_CHANNEL_FDS], count = 0, table = lua_gettop(L);
    size_t size, type_size;
    const char *type = text_at(L, table, "type", &type_size), *body = text_at(L, table, "body", &size);
    lua_getfield(L, table, "descriptors");
    for (; count < CLOUDS_CHANNEL_FDS && count < (int)lua_objlen(L, -1); count++) {
        lua_rawgeti(L, -1, count + 1);
        fds[count] = (int)lua_tointeger(L, -1);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    host_channel_send(p->channel, *type, body, size, fds, count);
    for (int i = 0; i < count; i++) close(fds[i]);
}

static void send_waiting(lua_State *L, host_process *p)
{
    lua_getfield(L, 1, "waiting");
    for (int i = 1; i <= (int)lua_objlen(L, -1); i++) {
        lua_rawgeti(L, -1, i);
        send_message(L, p);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* cluster.adopt{ what process:state gave, on_message =, on_line =, on_exit = }: a process that the program before this
 * one has started. Raises where that is not so. */
static int l_adopt(lua_State *L)
{
    int ends[1 + STREAMS];
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    host_process *p = host_process_push(L);
    p->board_fd = number_at(L, 1, "board");
    p->board = host_board_map(p->board_fd);
    if (!p->board) return luaL_error(L, "descriptor %d is no board of a worker: %s", p->board_fd, strerror(errno));
    read_ends(L, ends);
    p->pid = number_at(L, 1, "pid");
    if (!host_process_watch(L, p, ends)) return luaL_error(L, "the process %d cannot be watched", (int)p->pid);
    resume_streams(L, p);
    send_waiting(L, p);
    return 1;
}

/* process:restore(copies): it was given these connections by the dispatch that it takes. */
static int process_restore(lua_State *L)
{
    host_process *p = check_process(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    for (int i = 1; p->target && i <= (int)lua_objlen(L, 2); i++) {
        lua_rawgeti(L, 2, i);
        int table = lua_gettop(L);
        const clouds_channel_connection about = {(uint16_t)number_at(L, table, "listener"),
                                               (uint16_t)number_at(L, table, "flags")};
        if (!host_target_restore(p->target, number_at(L, table, "descriptor"), about))
            return luaL_error(L, "a worker cannot have so many connections that it has not acknowledged");
        lua_pop(L, 1);
    }
    return 0;
}

/* ---- what is known of a dispatch */

/* dispatch:held(): the connections that wait for a worker: a list of { descriptor =, listener =, flags = }. */
static int dispatch_held(lua_State *L)
{
    lua_newtable(L);
    host_dispatch_each_held(host_cluster_check_dispatch(L, 1), add_connection, L);
    return 1;
}

/* dispatch:hold(descriptor, listener, flags): one of these. */
static int dispatch_hold(lua_State *L)
{
    const clouds_channel_connection about = {(uint16_t)luaL_checkinteger(L, 3), (uint16_t)luaL_checkinteger(L, 4)};
    host_dispatch_give(host_cluster_check_dispatch(L, 1), (int)luaL_checkinteger(L, 2), about);
    return 0;
}

static uint64_t count_at(lua_State *L, const char *name)
{
    lua_getfield(L, 2, name);
    double value = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return value > 0 ? (uint64_t)value : 0;
}

/* dispatch:restore(counts): goes on counting from there. */
static int dispatch_restore(lua_State *L)
{
    luaL_checktype(L, 2, LUA_TTABLE);
    const host_dispatch_counts counts = {.given = count_at(L, "given"),
                                         .given_again = count_at(L, "given_again"),
                                         .gone = count_at(L, "gone"),
                                         .without_descriptor = count_at(L, "without_descriptor")};
    host_dispatch_restore(host_cluster_check_dispatch(L, 1), &counts);
    return 0;
}

/* The types are made by then. */
static void add_methods(lua_State *L, const char *type, const luaL_Reg *methods)
{
    luaL_getmetatable(L, type);
    luaL_setfuncs(L, methods, 0);
    lua_pop(L, 1);
}

void host_cluster_add_upgrade(lua_State *L)
{
    static const luaL_Reg of_process[] = {{"state", process_state}, {"restore", process_restore}, {NULL, NULL}};
    static const luaL_Reg of_dispatch[] = {
        {"held", dispatch_held}, {"hold", dispatch_hold}, {"restore", dispatch_restore}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"exec", l_exec},       {"inheritance", l_inheritance},
                                         {"inherit", l_inherit}, {"take_signals", l_take_signals},
                                         {"adopt", l_adopt},     {NULL, NULL}};
    add_methods(L, HOST_PROCESS_TYPE, of_process);
    add_methods(L, HOST_DISPATCH_TYPE, of_dispatch);
    luaL_setfuncs(L, functions, 0);
}
