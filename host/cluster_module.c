/* host.cluster of the master: the children.
 *
 * Design note. A process lies in the registry from its start until it has ended, has been collected, and all that it
 * had said has been read; on_exit is the last that is called for it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <lua.h>
#include <lauxlib.h>

#include "cluster_module.h"
#include "http_box.h"
#include "internal.h"

enum { WORDS = 256, MAX_WORDS = 1024, STREAMS = HOST_PROCESS_STREAMS };

/* ---- a process */

typedef host_process process;

static process *check_process(lua_State *L)
{
    return luaL_checkudata(L, 1, HOST_PROCESS_TYPE);
}

static void on_acknowledged(process *p, const host_channel_message *m)
{
    uint32_t count;
    if (m->size != sizeof count || !p->target) return;
    memcpy(&count, m->body, sizeof count);
    host_target_acknowledge(p->target, count);
}

/* Something else would be the end of the worker that is given it. */
static bool is_connection(int fd)
{
    int type = 0, listens = 0;
    socklen_t size = sizeof type;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && !listens;
}

static void on_given_back(process *p, host_channel_message *m)
{
    clouds_channel_connection about;
    if (m->size != sizeof about || m->fd_count != 1 || !p->dispatch || !is_connection(m->fds[0])) return;
    memcpy(&about, m->body, sizeof about);
    if (p->target) host_target_ready(p->target, false);
    if (!(about.flags & CLOUDS_CONNECTION_KEPT) && p->target) host_target_acknowledge(p->target, 1);
    about.flags &= CLOUDS_CONNECTION_BACK;
    host_dispatch_give(p->dispatch, m->fds[0], about);
    m->fds[0] = -1;
}

/* on_message(type, text) */
static void tell(const process *p, const char *type, size_t type_size, const char *text, size_t size)
{
    lua_State *L = host_get()->L;
    lua_rawgeti(L, LUA_REGISTRYINDEX, p->on_message);
    lua_pushlstring(L, type, type_size);
    lua_pushlstring(L, text, size);
    host_call(L, 2, 0, "error in the master");
}

/* What concerns connections stays here; the rest is for Lua. */
static void on_message(void *self, host_channel_message *m)
{
    process *p = self;
    if (m->type == CLOUDS_CHANNEL_TAKEN || m->type == CLOUDS_CHANNEL_BACK || m->type == CLOUDS_CHANNEL_WITHOUT) {
        if (m->type == CLOUDS_CHANNEL_TAKEN) on_acknowledged(p, m);
        else if (m->type == CLOUDS_CHANNEL_BACK) on_given_back(p, m);
        else if (p->target) host_target_refuse(p->target);
        return;
    }
    tell(p, &m->type, 1, m->body, m->size);
}

/* A message without a type: there will be no more. */
static void on_ended(void *self)
{
    tell(self, "", 0, "", 0);
}

static void on_line(void *self, const char *text, size_t size, bool is_cut)
{
    struct host_stream_of *stream = self;
    lua_State *L = host_get()->L;
    lua_rawgeti(L, LUA_REGISTRYINDEX, stream->process->on_line);
    lua_pushinteger(L, 1 + (stream - stream->process->streams));
    lua_pushlstring(L, text, size);
    lua_pushboolean(L, is_cut);
    host_call(L, 3, 0, "error in the master");
}

/* on_exit(code or nil, signal or nil); neither: nobody knows. */
static void on_exit_of(void *self, pid_t pid, int status)
{
    process *p = self;
    lua_State *L = host_get()->L;
    (void)pid;
    p->pid = 0;
    host_channel_read_now(p->channel);
    for (int i = 0; i < STREAMS && p->streams[i].lines; i++) {
        host_lines_read_now(p->streams[i].lines);
        host_lines_close(p->streams[i].lines);
    }
    if (p->target) host_target_remove(p->target);
    p->target = NULL;
    host_channel_close(p->channel);
    close(p->board_fd);
    lua_rawgeti(L, LUA_REGISTRYINDEX, p->on_exit);
    bool is_known = status != HOST_REAP_UNKNOWN;
    if (is_known && WIFEXITED(status)) lua_pushinteger(L, WEXITSTATUS(status));
    else lua_pushnil(L);
    if (is_known && WIFSIGNALED(status)) lua_pushinteger(L, WTERMSIG(status));
    else lua_pushnil(L);
    host_call(L, 2, 0, "error in the master");
    luaL_unref(L, LUA_REGISTRYINDEX, p->on_message);
    luaL_unref(L, LUA_REGISTRYINDEX, p->on_line);
    luaL_unref(L, LUA_REGISTRYINDEX, p->on_exit);
    luaL_unref(L, LUA_REGISTRYINDEX, p->self);
}

static int function_of(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name);
    if (!lua_isfunction(L, -1)) luaL_error(L, "expected a function '%s'", name);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

int host_cluster_fail(lua_State *L, const char *why)
{
    lua_pushnil(L);
    lua_pushstring(L, why);
    return 2;
}

char **host_cluster_words(lua_State *L, int index, const char *name)
{
    luaL_checktype(L, index, LUA_TTABLE);
    lua_pushvalue(L, index);
    int count = (int)lua_objlen(L, -1);
    if (count > MAX_WORDS) luaL_error(L, "%s: at most %d", name, MAX_WORDS);
    char **words = lua_newuserdata(L, sizeof *words * ((size_t)count + 1));
    for (int i = 0; i < count; i++) {
        lua_rawgeti(L, -2, i + 1);
        words[i] = (char *)luaL_checkstring(L, -1);
        lua_pop(L, 1);
    }
    words[count] = NULL;
    return words;
}

static char **words_of(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name);
    return host_cluster_words(L, lua_gettop(L), name);
}

/* Everything that a child is given; the ends of the master are in `ours`. captures: what it writes comes to the master,
 * instead of to where that writes. False: errno. */
static bool open_ends(host_spawn *spawn, process *p, bool captures, int ours[1 + STREAMS], int theirs[2 + STREAMS])
{
    int pair[2];
    for (int i = 0; i < 1 + STREAMS; i++) ours[i] = -1;
    for (int i = 0; i < 2 + STREAMS; i++) theirs[i] = -1;
    if (host_channel_pair(pair) != 0) return false;
    ours[0] = pair[0], theirs[0] = pair[1];
    if ((theirs[1] = host_board_create(&p->board)) < 0) return false;
    for (int i = 0; captures && i < STREAMS; i++) {
        if (pipe2(pair, O_CLOEXEC) != 0) return false;
        ours[1 + i] = pair[0], theirs[2 + i] = pair[1];
    }
    spawn->fds[spawn->fd_count++] = theirs[0];
    spawn->fds[spawn->fd_count++] = theirs[1];
    spawn->output = theirs[2];
    spawn->errors = theirs[3];
    return true;
}

static void close_ends(const int *ends, int count)
{
    for (int i = 0; i < count; i++)
        if (ends[i] >= 0) close(ends[i]);
}

bool host_process_watch(lua_State *L, process *p, const int ends[1 + STREAMS])
{
    const host_channel_hooks hooks = {.self = p, .message = on_message, .ended = on_ended};
    p->channel = host_channel_open(host_get()->loop, ends[0], true, &hooks);
    bool is_watched = p->channel != NULL;
    for (int i = 0; i < STREAMS && ends[1 + i] >= 0; i++) {
        p->streams[i].process = p;
        p->streams[i].lines = host_lines_open(host_get()->loop, ends[1 + i], on_line, &p->streams[i]);
        is_watched = is_watched && p->streams[i].lines;
    }
    is_watched = is_watched && host_reap(host_get()->loop, p->pid, on_exit_of, p) == 0;
    lua_pushvalue(L, -1);
    p->self = luaL_ref(L, LUA_REGISTRYINDEX);
    return is_watched;
}

host_process *host_process_push(lua_State *L)
{
    process *p = lua_newuserdata(L, sizeof *p);
    *p = (process){.board_fd = -1};
    luaL_getmetatable(L, HOST_PROCESS_TYPE);
    lua_setmetatable(L, -2);
    p->on_message = function_of(L, "on_message");
    p->on_line = function_of(L, "on_line");
    p->on_exit = function_of(L, "on_exit");
    return p;
}

/* cluster.start{ program =, arguments =, environment =, captures =, counts =, on_message =, on_line =, on_exit =, and what
 * cluster_spawn.c reads }: a process of the program, by default this one, with a channel as descriptor 3, a board as 4, and counts,
 * if there are some, as 5; or nil and why not. */
static int l_start(lua_State *L)
{
    host_spawn spawn;
    char why[WORDS];
    int ours[1 + STREAMS], theirs[2 + STREAMS];
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    host_cluster_read_spawn(L, &spawn);
    lua_getfield(L, 1, "program");
    spawn.program = luaL_optstring(L, -1, "/proc/self/exe");
    spawn.arguments = words_of(L, "arguments");
    spawn.environment = words_of(L, "environment");
    process *p = host_process_push(L);
    lua_getfield(L, 1, "captures");
    bool captures = lua_isnil(L, -1) || lua_toboolean(L, -1);
    lua_getfield(L, 1, "counts");
    int counts = host_cluster_counts_fd(L, -1);
    lua_pop(L, 2);
    bool opened = open_ends(&spawn, p, captures, ours, theirs);
    if (counts >= 0) spawn.fds[spawn.fd_count++] = counts;
    if (!opened) snprintf(why, sizeof why, "%s", strerror(errno));
    else p->pid = host_spawn_process(&spawn, why, sizeof why);
    p->board_fd = theirs[1];
    theirs[1] = -1;
    close_ends(theirs, 2 + STREAMS);
    if (!opened || p->pid < 0) {
        close_ends(ours, 1 + STREAMS);
        close_ends(&p->board_fd, 1);
        p->pid = 0;
        return host_cluster_fail(L, why);
    }
    if (host_process_watch(L, p, ours)) return 1;
    kill(p->pid, SIGKILL);
    return luaL_error(L, "not enough memory");
}

static int process_gc(lua_State *L)
{
    process *p = check_process(L);
    if (p->board) host_board_free(p->board);
    p->board = NULL;
    return 0;
}

static int process_pid(lua_State *L)
{
    lua_pushinteger(L, check_process(L)->pid);
    return 1;
}

/* process:send(type, text, counts): false when it cannot be told any more. counts: it gets them, too. */
static int process_send(lua_State *L)
{
    process *p = check_process(L);
    size_t size;
    const char *type = luaL_checkstring(L, 2), *text = luaL_optlstring(L, 3, "", &size);
    int counts = host_cluster_counts_fd(L, 4);
    lua_pushboolean(L, p->pid && host_channel_send(p->channel, *type, text, size, &counts, counts >= 0) == 0);
    return 1;
}

/* process:kill(signal): it, and what it has started. */
static int process_kill(lua_State *L)
{
    process *p = check_process(L);
    if (p->pid) kill(-p->pid, (int)luaL_checkinteger(L, 2));
    return 0;
}

/* process:take(dispatch, yes): whether it is given connections of it. */
static int process_take(lua_State *L)
{
    process *p = check_process(L);
    host_dispatch *dispatch = host_cluster_check_dispatch(L, 2);
    if (!p->pid) return 0;
    p->dispatch = dispatch;
    if (!p->target) p->target = host_target_create(dispatch, p->channel, p->board);
    if (!p->target) return luaL_error(L, "not enough memory");
    host_target_ready(p->target, lua_toboolean(L, 3));
    return 0;
}

/* process:tell_where(): it writes where its script is, and goes on. */
static int process_tell_where(lua_State *L)
{
    process *p = check_process(L);
    if (p->pid) kill(p->pid, SIGUSR2);
    return 0;
}

/* process:tells_where(): whether it has not done that yet, and can. */
static int process_tells_where(lua_State *L)
{
    process *p = check_process(L);
    lua_pushboolean(L, p->pid && host_cluster_handles(p->pid, SIGUSR2));
    return 1;
}

/* process:interrupt(): what runs in it gets an error, when its script runs for too long. */
static int process_interrupt(lua_State *L)
{
    process *p = check_process(L);
    if (p->pid) kill(p->pid, SIGPROF);
    return 0;
}

/* process:most_requests(count): it says so when it has begun so many. */
static int process_most_requests(lua_State *L)
{
    host_board_write(&check_process(L)->board->most_requests, (uint64_t)luaL_checknumber(L, 2));
    return 0;
}

/* process:board(): what it says of itself, and `silent`: seconds since it took a connection while it has some to take.
 */
static int process_board(lua_State *L)
{
    const process *p = check_process(L);
    host_cluster_push_board(L, p->board);
    host_cluster_put_number(L, "silent", p->target ? host_target_silent(p->target) : 0);
    return 1;
}

/* process:memory(): its resident memory in bytes; nil when it has ended. */
static int process_memory(lua_State *L)
{
    const process *p = check_process(L);
    double bytes = p->pid ? host_cluster_memory(p->pid) : -1;
    if (bytes < 0) return 0;
    lua_pushnumber(L, bytes);
    return 1;
}

/* ---- the machine */

/* cluster.descriptors(): how many a process may have, after raising that as far as it may be. */
static int l_descriptors(lua_State *L)
{
    struct rlimit limit = {1024, 1024};
    getrlimit(RLIMIT_NOFILE, &limit);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = before;
    lua_pushnumber(L, (lua_Number)limit.rlim_cur);
    return 1;
}

extern char **environ;

/* cluster.environment(): a list of NAME=value. */
static int l_environment(lua_State *L)
{
    lua_newtable(L);
    for (int i = 0; environ && environ[i]; i++) {
        lua_pushstring(L, environ[i]);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

void host_cluster_add(lua_State *L)
{
    static const luaL_Reg of_process[] = {{"pid", process_pid},
                                          {"send", process_send},
                                          {"kill", process_kill},
                                          {"tell_where", process_tell_where},
                                          {"tells_where", process_tells_where},
                                          {"interrupt", process_interrupt},
                                          {"take", process_take},
                                          {"board", process_board},
                                          {"memory", process_memory},
                                          {"most_requests", process_most_requests},
                                          {"__gc", process_gc},
                                          {NULL, NULL}};
    static const luaL_Reg functions[] = {
        {"start", l_start}, {"descriptors", l_descriptors}, {"environment", l_environment}, {NULL, NULL}};
    host_http_make_type(L, HOST_PROCESS_TYPE, of_process);
    lua_newtable(L);
    luaL_setfuncs(L, functions, 0);
    host_cluster_add_counts(L);
    host_cluster_add_dispatch(L);
    host_cluster_add_notify(L);
    host_cluster_add_lock(L);
    host_cluster_add_signals(L);
    host_cluster_add_sink(L);
    host_cluster_add_spawn(L);
    host_cluster_add_upgrade(L);
    host_cluster_add_worker(L);
    lua_setfield(L, -2, "cluster");
}
