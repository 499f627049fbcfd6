/* host.cluster of a worker: the end of the channel that its master holds the other of, and the connections that come by
 * it. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <lua.h>
#include <lauxlib.h>

#include "host/http/http.h"
#include "cluster_module.h"
#include "http_box.h"
#include "internal.h"
#include "stream.h"

/* Of lua/core. */
void lc_requests_count(uint64_t *begun, uint64_t *open, uint64_t *failed);
void lc_requests_watch(void (*hook)(const char *method, size_t size));

static struct {
    host_channel *channel;
    /* who takes connections: a server, or a function for sockets, or nobody who keeps them; else none are taken */
    host_http_server *server;
    bool takes_sockets;
    int on_socket, socket_events; /* LUA_NOREF: they are closed */
    uv_prepare_t before_waiting;
    int on_message, on_end;
    uint32_t taken; /* connections that the master has not been told of */
    bool told_most, told_none;
} self;

size_t host_cluster_open(void)
{
    return host_http_connections() + host_stream_accepted();
}

static void tell_open(void)
{
    host_board_write(&host_board_mine()->open, host_cluster_open());
}

/* What came together is acknowledged together, before what is said of a later one. */
static void acknowledge(void *unused)
{
    (void)unused;
    if (self.taken) host_channel_send(self.channel, CLOUDS_CHANNEL_TAKEN, &self.taken, sizeof self.taken, NULL, 0);
    self.taken = 0;
}

/* Before the loop waits. That it has begun as many requests as it may is said once. */
static void tell_counts(uv_prepare_t *handle)
{
    host_board *board = host_board_mine();
    lua_State *L = host_get()->L;
    uint64_t http, http_open, http_failed, calls, calls_open, calls_failed;
    uint64_t most = host_board_read(&board->most_requests);
    (void)handle;
    host_http_count(&http, &http_open, &http_failed);
    lc_requests_count(&calls, &calls_open, &calls_failed);
    tell_open();
    host_shared_update();
    host_board_write(&board->requests, http + calls);
    host_board_write(&board->in_flight, http_open + calls_open);
    host_board_write(&board->errors, http_failed + calls_failed);
    host_board_write(&board->lua_bytes,
                     (uint64_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024 + (uint64_t)lua_gc(L, LUA_GCCOUNTB, 0));
    if (most && http + calls >= most && !self.told_most)
        self.told_most = host_channel_send(self.channel, CLOUDS_CHANNEL_ENOUGH, NULL, 0, NULL, 0) == 0;
}

static bool adopt(int fd, unsigned listener, bool is_idle)
{
    if (self.takes_sockets) host_stream_adopt(fd, listener, self.socket_events, self.on_socket);
    else if (!self.server || !host_http_adopt(self.server, fd, listener, is_idle)) return false;
    host_board_add(&host_board_mine()->accepted, 1);
    tell_open();
    return true;
}

static bool adopt_new(int fd, unsigned listener)
{
    return adopt(fd, listener, false);
}

/* It counts as open before the master hears that it is here. Who takes none any more gives it back, and says so when it
 * came without its descriptor, for which there was none left. */
static void take_connection(host_channel_message *m)
{
    if (m->fd_count != 1) {
        acknowledge(NULL);
        host_channel_send(self.channel, CLOUDS_CHANNEL_WITHOUT, NULL, 0, NULL, 0);
        return;
    }
    clouds_channel_connection about = {0};
    if (m->size == sizeof about) memcpy(&about, m->body, sizeof about);
    if (!adopt(m->fds[0], about.listener, about.flags & CLOUDS_CONNECTION_BACK)) {
        acknowledge(NULL);
        host_channel_send(self.channel, CLOUDS_CHANNEL_BACK, m->body, m->size, m->fds, 1);
        return;
    }
    m->fds[0] = -1;
    self.taken++;
}

/* 'O': accept of this listener; 'K': of this one no more. */
static void take_listener(host_channel_message *m)
{
    clouds_channel_listener about;
    if (m->size != sizeof about) return;
    memcpy(&about, m->body, sizeof about);
    if (m->type == CLOUDS_CHANNEL_UNLISTEN) host_shared_drop(about.listener);
    else if (m->fd_count == 1 && host_shared_take(&about, m->fds[0])) m->fds[0] = -1;
}

/* For an admin endpoint: the descriptor of what a worker counts. */
static int push_counts(lua_State *L, host_channel_message *m)
{
    if (m->type != 'w' || m->fd_count != 1) return 0;
    lua_pushinteger(L, m->fds[0]);
    m->fds[0] = -1;
    return 1;
}

static void on_master(void *unused, host_channel_message *m)
{
    lua_State *L = host_get()->L;
    (void)unused;
    if (m->type == CLOUDS_CHANNEL_CONNECTION) {
        take_connection(m);
        return;
    }
    if (m->type == CLOUDS_CHANNEL_LISTENER || m->type == CLOUDS_CHANNEL_UNLISTEN) {
        take_listener(m);
        return;
    }
    if (m->type == CLOUDS_CHANNEL_ASK) {
        host_channel_send(self.channel, CLOUDS_CHANNEL_ALIVE, NULL, 0, NULL, 0);
        return;
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, self.on_message);
    lua_pushlstring(L, &m->type, 1);
    lua_pushlstring(L, m->body, m->size);
    host_call(L, 2 + push_counts(L, m), 0, "error in a worker");
}

static void on_master_gone(void *unused)
{
    lua_State *L = host_get()->L;
    (void)unused;
    lua_rawgeti(L, LUA_REGISTRYINDEX, self.on_end);
    host_call(L, 0, 0, "error in a worker");
}

/* cluster.follow(on_message, on_end): takes the place of a worker that the descriptors 3 and 4, and 5, were made for; false
 * when they are nothing of the kind. */
static int l_follow(lua_State *L)
{
    static const host_channel_hooks hooks = {.message = on_master, .ended = on_master_gone, .paused = acknowledge};
    enum { CHANNEL = 3, BOARD = 4, COUNTS = 5 };
    luaL_checktype(L, 1, LUA_TFUNCTION);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    bool is_ours = !self.channel && host_board_take(BOARD) == 0;
    if (is_ours) close(BOARD);
    if (is_ours) self.channel = host_channel_open(host_get()->loop, CHANNEL, true, &hooks);
    lua_pushboolean(L, self.channel != NULL && is_ours);
    if (!lua_toboolean(L, -1)) return 1;
    host_cluster_take_counts(COUNTS);
    fcntl(CHANNEL, F_SETFD, FD_CLOEXEC);
    host_signals_of_worker();
    lua_pushvalue(L, 2);
    self.on_end = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, 1);
    self.on_message = luaL_ref(L, LUA_REGISTRYINDEX);
    host_board_watch(host_get()->loop);
    uv_prepare_init(host_get()->loop, &self.before_waiting);
    uv_prepare_start(&self.before_waiting, tell_counts);
    uv_unref((uv_handle_t *)&self.before_waiting);
    lc_requests_watch(host_board_doing);
    return 1;
}

/* cluster.tell(type, text) */
static int l_tell(lua_State *L)
{
    size_t size;
    const char *type = luaL_checkstring(L, 1), *text = luaL_optlstring(L, 2, "", &size);
    lua_pushboolean(L, self.channel && host_channel_send(self.channel, *type, text, size, NULL, 0) == 0);
    return 1;
}

/* cluster.keep_connections(): none is given back any more, as nobody goes on with it. */
static int l_keep_connections(lua_State *L)
{
    (void)L;
    host_http_stay_all();
    return 0;
}

bool host_cluster_is_worker(void)
{
    return self.channel != NULL;
}

static void begin_to_take(void)
{
    host_shared_open(adopt_new);
    if (self.told_none) host_channel_send(self.channel, CLOUDS_CHANNEL_TAKES, NULL, 0, NULL, 0);
    self.told_none = false;
}

/* Who takes connections does so no longer. */
static void free_taker(void)
{
    self.server = NULL;
    if (!self.takes_sockets) return;
    luaL_unref(host_get()->L, LUA_REGISTRYINDEX, self.on_socket);
    self.takes_sockets = false;
}

static void take_none(void)
{
    free_taker();
    host_shared_close();
    self.told_none = host_channel_send(self.channel, CLOUDS_CHANNEL_TAKES_NONE, NULL, 0, NULL, 0) == 0;
}

bool host_cluster_serve(host_http_server *server)
{
    if (self.server || self.takes_sockets) return false;
    self.server = server;
    begin_to_take();
    return true;
}

bool host_cluster_unserve(const host_http_server *server)
{
    if (!server || self.server != server) return false;
    take_none();
    return true;
}

/* cluster.take_sockets(events, fn or nil): connections are sockets for fn(stream, number of the listener) from now on;
 * or are closed. */
static int l_take_sockets(lua_State *L)
{
    int events = (int)luaL_checkinteger(L, 1);
    if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    if (!self.channel) return 0;
    free_taker();
    self.socket_events = events;
    self.on_socket = lua_isnil(L, 2) ? LUA_NOREF : luaL_ref(L, LUA_REGISTRYINDEX);
    self.takes_sockets = true;
    begin_to_take();
    return 0;
}

/* cluster.free_connections(): somebody else is about to take them. */
static int l_free_connections(lua_State *L)
{
    (void)L;
    free_taker();
    return 0;
}

/* cluster.take_no_sockets(): it takes none any more, if it took sockets. */
static int l_take_no_sockets(lua_State *L)
{
    (void)L;
    if (self.takes_sockets) take_none();
    return 0;
}

/* cluster.remain(count): what the script counts as under way, in the place of open connections. */
static int l_remain(lua_State *L)
{
    host_board *board = host_board_mine();
    host_board_write(&board->remain, (uint64_t)luaL_checknumber(L, 1));
    __atomic_store_n(&board->uses_remain, 1, __ATOMIC_RELEASE);
    return 0;
}

bool host_cluster_give_back(int fd, unsigned listener)
{
    const clouds_channel_connection about = {(uint16_t)listener, CLOUDS_CONNECTION_BACK | CLOUDS_CONNECTION_KEPT};
    return host_channel_send(self.channel, CLOUDS_CHANNEL_BACK, &about, sizeof about, &fd, 1) == 0;
}

void host_cluster_finish(void)
{
    static const double seconds = 1; /* the master reads at once, unless it does not read at all */
    if (self.channel) host_channel_finish(self.channel, seconds);
}

void host_cluster_add_worker(lua_State *L)
{
    static const luaL_Reg functions[] = {{"follow", l_follow},
                                         {"tell", l_tell},
                                         {"keep_connections", l_keep_connections},
                                         {"take_sockets", l_take_sockets},
                                         {"take_no_sockets", l_take_no_sockets},
                                         {"free_connections", l_free_connections},
                                         {"remain", l_remain},
                                         {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
