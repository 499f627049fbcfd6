/* host.stream_connect, host.stream_listen: sockets for lua/clouds/socket.lua, from their beginning. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/http/http.h"
#include "internal.h"
#include "stream.h"

#define LISTENER_TYPE "clouds.stream.listener"

/* ---- connecting */

static void try_next(host_stream *s);

static void connected(host_stream *s, int code)
{
    host_stream_box *box = s->box;
    if (!box) return;
    if (code == 0 && !s->is_unix) uv_tcp_nodelay(&s->uv.tcp, 1);
    host_stream_tell(box, "connected", code == 0 ? NULL : uv_strerror(code), code == 0 ? 0 : strlen(uv_strerror(code)));
    if (s->box) host_stream_let_go(s->box);
}

/* A handle that could not connect cannot do so again: another takes its place. */
static void on_closed_for_next(uv_handle_t *handle)
{
    host_stream *s = handle->data;
    int code = s->closing ? 0 : uv_tcp_init(host_get()->loop, &s->uv.tcp);
    if (s->closing) {
        host_stream_over(s);
        return;
    }
    s->uv.handle.data = s;
    if (code == 0) try_next(s);
    else connected(s, code);
}

static void on_connected(uv_connect_t *request, int code)
{
    host_stream *s = request->data;
    if (s->closing) return;
    if (code != 0 && s->next && s->next->ai_next) {
        s->next = s->next->ai_next;
        uv_close(&s->uv.handle, on_closed_for_next);
    } else {
        connected(s, code);
    }
}

static void on_found(uv_getaddrinfo_t *request, int code, struct addrinfo *found)
{
    host_stream *s = request->data;
    s->resolves = false;
    s->found = s->next = found;
    if (s->closing) host_stream_end(s);
    else if (code != 0) connected(s, code);
    else try_next(s);
    host_stream_over(s);
}

/* In the order of the resolver. */
static void try_next(host_stream *s)
{
    int code = s->next ? uv_tcp_connect(&s->connect, &s->uv.tcp, s->next->ai_addr, on_connected) : UV_EAI_NONAME;
    if (code != 0) connected(s, code);
}

static int look_up(host_stream *s, const char *text)
{
    static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    char name[256];
    const char *colon = strrchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : 0;
    if (n == 0 || n >= sizeof name || !colon[1] || strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return UV_EINVAL;
    memcpy(name, text, n);
    name[n] = '\0';
    s->lookup.data = s;
    int code = uv_getaddrinfo(host_get()->loop, &s->lookup, on_found, name, colon + 1, &hints);
    s->resolves = code == 0;
    s->handles += s->resolves;
    return code;
}

static int begin_connect(host_stream *s, const char *text, const host_http_address *address, bool is_name)
{
    s->connect.data = s;
    if (is_name) return look_up(s, text);
    if (!s->is_unix)
        return uv_tcp_connect(&s->connect, &s->uv.tcp, (const struct sockaddr *)&address->socket, on_connected);
    uv_pipe_connect(&s->connect, &s->uv.pipe, address->path, on_connected);
    return 0;
}

static int events_at(lua_State *L, int index)
{
    luaL_checktype(L, index, LUA_TTABLE);
    lua_pushvalue(L, index);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

/* host.stream_connect(address, events): a stream; or nil and why not. events: connected(box, why not or nil), data(box,
 * text or nil at the end), failed(box, why), room(box). The table is kept for good. */
static int l_connect(lua_State *L)
{
    const char *text = luaL_checkstring(L, 1);
    host_http_address address;
    char why[200];
    bool is_name = host_http_address_read(text, &address, why, sizeof why) != 0;
    host_stream_box *box = host_stream_push(L, !is_name && address.is_unix, (int)luaL_checkinteger(L, 2));
    host_stream_hold(L, box, lua_gettop(L));
    int code = begin_connect(box->stream, text, &address, is_name);
    if (code == 0) return 1;
    host_stream_close(box);
    lua_pushnil(L);
    lua_pushstring(L, code == UV_EINVAL ? "expected HOST:PORT, [ADDRESS]:PORT or unix:PATH" : uv_strerror(code));
    return 2;
}

/* host.stream_events(functions): what stream_connect and stream_listen take. */
static int l_events(lua_State *L)
{
    lua_pushinteger(L, events_at(L, 1));
    return 1;
}

/* ---- listening: by the listener of host/http, which knows about addresses and what processes left behind */

typedef struct listener_box {
    host_http_server *server; /* NULL: it has ended */
    bool is_unix;
    int events, function;
} listener_box;

/* fn(stream), in protected mode: there may be no memory. */
static int accept_one(lua_State *L)
{
    const listener_box *listener = lua_touserdata(L, 1);
    uv_stream_t *from = lua_touserdata(L, 2);
    lua_rawgeti(L, LUA_REGISTRYINDEX, listener->function);
    host_stream_box *box = host_stream_push(L, listener->is_unix, listener->events);
    int code = uv_accept(from, &box->stream->uv.stream);
    if (code != 0) {
        host_stream_close(box);
        return 0;
    }
    if (!listener->is_unix) uv_tcp_nodelay(&box->stream->uv.tcp, 1);
    lua_call(L, 1, 0);
    return 0;
}

static void on_connection(void *self, uv_stream_t *from)
{
    lua_State *L = host_get()->L;
    lua_pushcfunction(L, accept_one);
    lua_pushlightuserdata(L, self);
    lua_pushlightuserdata(L, from);
    host_call(L, 2, 0, "error in a listener");
}

static void on_drained(void *self)
{
    ((listener_box *)self)->server = NULL;
}

/* host.stream_listen(address, events, fn): fn(stream) for each that connects. A listener and its port; or nil, why not,
 * and whether the address is wrong. */
static int l_listen(lua_State *L)
{
    const char *text = luaL_checkstring(L, 1);
    host_http_address address;
    char why[200];
    luaL_checktype(L, 3, LUA_TFUNCTION);
    bool is_wrong = host_http_address_read(text, &address, why, sizeof why) != 0;
    listener_box *box = lua_newuserdata(L, sizeof *box);
    *box = (listener_box){.is_unix = !is_wrong && address.is_unix, .events = (int)luaL_checkinteger(L, 2)};
    luaL_getmetatable(L, LISTENER_TYPE);
    lua_setmetatable(L, -2);
    const host_http_handlers handlers = {.self = box, .connection = on_connection, .drained = on_drained};
    if (!is_wrong)
        box->server =
            host_http_listen(host_get()->loop, &address, &host_http_default_limits, &handlers, true, why, sizeof why);
    if (!box->server) {
        lua_pushnil(L);
        lua_pushfstring(L, "%s: %s", text, why);
        lua_pushboolean(L, is_wrong);
        return 3;
    }
    lua_pushvalue(L, 3);
    box->function = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, -1);
    luaL_ref(L, LUA_REGISTRYINDEX); /* for good: the listener leads to it */
    lua_pushinteger(L, host_http_port(box->server));
    return 2;
}

/* listener:close() */
static int listener_close(lua_State *L)
{
    listener_box *box = luaL_checkudata(L, 1, LISTENER_TYPE);
    if (box->server) host_http_stop(box->server, &(host_http_end){0});
    return 0;
}

/* ---- connections that another process has accepted */

typedef struct arrival {
    int fd, events, function; /* fd: -1 when it has been taken over */
    unsigned listener;
} arrival;

/* Pushes one of this descriptor, which it takes over. NULL: errno, and it is still the caller's. */
static host_stream_box *push_opened(lua_State *L, int fd, int events)
{
    bool is_unix = host_http_is_unix(fd);
    host_stream_box *box = host_stream_push(L, is_unix, events);
    host_stream *s = box->stream;
    if ((is_unix ? uv_pipe_open(&s->uv.pipe, fd) : uv_tcp_open(&s->uv.tcp, fd)) != 0)
        return host_stream_close(box), NULL;
    if (!is_unix) uv_tcp_nodelay(&s->uv.tcp, 1);
    return box;
}

/* host.stream_adopt(descriptor, events): a stream of a connection that is open. */
static int l_adopt(lua_State *L)
{
    int fd = (int)luaL_checkinteger(L, 1), events = (int)luaL_checkinteger(L, 2);
    return push_opened(L, fd, events) ? 1 : luaL_error(L, "descriptor %d is no connection", fd);
}

/* In protected mode: there may be no memory. */
static int adopt_one(lua_State *L)
{
    arrival *a = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, a->function);
    host_stream_box *box = push_opened(L, a->fd, a->events);
    if (!box) return 0;
    a->fd = -1;
    host_stream_count(box->stream);
    lua_pushinteger(L, (lua_Integer)a->listener);
    lua_call(L, 2, 0);
    return 0;
}

void host_stream_adopt(int fd, unsigned listener, int events, int function)
{
    lua_State *L = host_get()->L;
    arrival a = {fd, events, function, listener};
    if (function != LUA_NOREF) {
        lua_pushcfunction(L, adopt_one);
        lua_pushlightuserdata(L, &a);
        host_call(L, 1, 0, "error in a listener");
    }
    if (a.fd >= 0) close(a.fd);
}

void host_stream_add(lua_State *L)
{
    static const luaL_Reg of_listener[] = {{"close", listener_close}, {NULL, NULL}};
    static const luaL_Reg functions[] = {
        {"stream_connect", l_connect}, {"stream_listen", l_listen}, {"stream_events", l_events}, {"stream_adopt", l_adopt}, {NULL, NULL}};
    host_stream_add_methods(L);
    luaL_newmetatable(L, LISTENER_TYPE);
    luaL_setfuncs(L, of_listener, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_setfuncs(L, functions, 0);
}
