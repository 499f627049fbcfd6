/* host.http_listen: the server of host/http for Lua. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <lua.h>
#include <lauxlib.h>

#include "host/cluster/cluster.h"
#include "http_box.h"
#include "internal.h"

#define SERVER_TYPE "clouds.http.server"

typedef struct server_box {
    host_http_server *server; /* NULL: it has ended */
    bool is_from_master;      /* its connections are from listeners of the master */
    bool counts;              /* what it answers is among what is told of requests */
    int self;
    int request, open, body, room, gone, message, drained; /* references to functions */
} server_box;

/* ---- what happens */

/* Of the target only the path: what is behind it may be nobody's business. */
static void note(const host_http_request *r)
{
    const char *query = memchr(r->target.p, '?', r->target.n);
    host_board_doing(r->target.p, query ? (size_t)(query - r->target.p) : r->target.n);
}

static int begin_reference; /* begin_request as a value of Lua: it is not made anew for each request */

uint64_t lc_run_apart(lua_State *L, int values); /* of lua/core */

typedef struct arrival {
    const server_box *server;
    host_http_connection *connection;
    const host_http_request *request;
} arrival;

/* In protected mode, for there may be no memory: an arrival. The function runs in a coroutine of its own, and deals
 * with its errors itself. */
static int begin_request(lua_State *L)
{
    const arrival *arrived = lua_touserdata(L, 1);
    const server_box *server = arrived->server;
    const host_http_request *r = arrived->request;
    lua_rawgeti(L, LUA_REGISTRYINDEX, server->request);
    const host_http_box *box = host_http_push_box(L, arrived->connection, r, server->counts);
    lua_pushlstring(L, r->method.p, r->method.n);
    lua_pushlstring(L, r->target.p, r->target.n);
    lua_pushboolean(L, box->counted.route != NULL);
    uint64_t scope = lc_run_apart(L, 5);
    if (!scope) return luaL_error(L, "too much runs inside of each other");
    box = host_http_keep_box(L, arrived->connection);
    if (!box) return 0;
    lua_rawgeti(L, LUA_REGISTRYINDEX, server->open);
    lua_rawgeti(L, LUA_REGISTRYINDEX, box->self);
    lua_pushnumber(L, (lua_Number)scope);
    lua_call(L, 2, 0);
    return 0;
}

/* It failed before it had the request in hand. */
static void fail(lua_State *L, host_http_connection *connection)
{
    static const host_http_response response = {.status = 500};
    host_http_box *box = host_http_box_of(connection);
    if (box) box->counted.status = response.status;
    if (box) host_http_release(L, box);
    host_http_count_status(response.status);
    host_http_answer(connection, &response);
}

static void on_request(void *self, host_http_connection *connection, const host_http_request *request)
{
    lua_State *L = host_get()->L;
    arrival arrived = {self, connection, request};
    note(request);
    lua_rawgeti(L, LUA_REGISTRYINDEX, begin_reference);
    lua_pushlightuserdata(L, &arrived);
    if (host_call(L, 1, 0, "error in a server of HTTP")) return;
    if (!host_http_is_answered(connection)) fail(L, connection);
}

static void tell(int function, host_http_connection *connection)
{
    lua_State *L = host_get()->L;
    const host_http_box *box = host_http_box_of(connection);
    if (!box) return;
    lua_rawgeti(L, LUA_REGISTRYINDEX, function);
    lua_rawgeti(L, LUA_REGISTRYINDEX, box->self);
    host_call(L, 1, 0, "error in a server of HTTP");
}

static void on_body(void *self, host_http_connection *connection)
{
    tell(((server_box *)self)->body, connection);
}

static void on_room(void *self, host_http_connection *connection)
{
    tell(((server_box *)self)->room, connection);
}

static void on_gone(void *self, host_http_connection *connection)
{
    tell(((server_box *)self)->gone, connection);
    host_http_box *box = host_http_box_of(connection);
    if (box) host_http_release(host_get()->L, box);
}

static void on_refused(void *self, host_http_connection *connection, int status)
{
    host_http_box *box = host_http_box_of(connection);
    if (box) box->counted.status = status;
    else if (((server_box *)self)->counts) host_http_counted_refused(status);
}

/* fn(box, text, whether it is binary) */
static void on_message(void *self, host_http_connection *connection, bool is_binary, host_http_text text)
{
    lua_State *L = host_get()->L;
    const host_http_box *box = host_http_box_of(connection);
    if (!box) return;
    lua_rawgeti(L, LUA_REGISTRYINDEX, ((server_box *)self)->message);
    lua_rawgeti(L, LUA_REGISTRYINDEX, box->self);
    lua_pushlstring(L, text.p, text.n);
    lua_pushboolean(L, is_binary);
    host_call(L, 3, 0, "error in a server of HTTP");
}

static void on_drained(void *self)
{
    lua_State *L = host_get()->L;
    server_box *box = self;
    host_cluster_unserve(box->server);
    box->server = NULL;
    lua_rawgeti(L, LUA_REGISTRYINDEX, box->drained);
    host_call(L, 0, 0, "error in a server of HTTP");
}

/* ---- the server */

static size_t size_of(lua_State *L, const char *name, size_t usual)
{
    lua_getfield(L, 2, name);
    size_t value = lua_isnil(L, -1) ? usual : (size_t)luaL_checknumber(L, -1);
    lua_pop(L, 1);
    return value;
}

static double seconds_of(lua_State *L, const char *name, double usual)
{
    lua_getfield(L, 2, name);
    double value = lua_isnil(L, -1) ? usual : luaL_checknumber(L, -1);
    lua_pop(L, 1);
    return value;
}

static bool is_set(lua_State *L, const char *name)
{
    lua_getfield(L, 2, name);
    bool value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

static host_http_limits read_limits(lua_State *L)
{
    host_http_limits limits = host_http_default_limits;
    limits.head = size_of(L, "head", limits.head);
    limits.target = size_of(L, "target", limits.target);
    limits.body = size_of(L, "body", limits.body);
    limits.connections = size_of(L, "connections", limits.connections);
    limits.head_time = seconds_of(L, "head_time", limits.head_time);
    limits.body_time = seconds_of(L, "body_time", limits.body_time);
    limits.body_rate = seconds_of(L, "body_rate", limits.body_rate);
    limits.idle_time = seconds_of(L, "idle_time", limits.idle_time);
    limits.write_time = seconds_of(L, "write_time", limits.write_time);
    limits.half_close = is_set(L, "half_close");
    return limits;
}

static int refuse(lua_State *L, const char *address, const char *why, bool is_wrong)
{
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", address, why);
    lua_pushboolean(L, is_wrong);
    return 3;
}

static int function_of(lua_State *L, const char *name)
{
    lua_getfield(L, 3, name);
    if (!lua_isfunction(L, -1)) luaL_error(L, "expected a function '%s'", name);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

static server_box *push_server(lua_State *L)
{
    server_box *box = lua_newuserdata(L, sizeof *box);
    *box = (server_box){.self = LUA_NOREF, .counts = !is_set(L, "uncounted")};
    luaL_getmetatable(L, SERVER_TYPE);
    lua_setmetatable(L, -2);
    box->request = function_of(L, "request");
    box->open = function_of(L, "open");
    box->body = function_of(L, "body");
    box->room = function_of(L, "room");
    box->gone = function_of(L, "gone");
    box->message = function_of(L, "message");
    box->drained = function_of(L, "drained");
    lua_pushvalue(L, -1);
    box->self = luaL_ref(L, LUA_REGISTRYINDEX); /* for good: connections that are open lead to it */
    return box;
}

static host_http_handlers handlers_of(server_box *box)
{
    return (host_http_handlers){.self = box,
                                .request = on_request,
                                .body = on_body,
                                .room = on_room,
                                .gone = on_gone,
                                .message = on_message,
                                .refused = on_refused,
                                .drained = on_drained};
}

/* What all of its answers have: `lines` of the options. */
static void set_always(lua_State *L, host_http_server *server)
{
    host_http_text lines;
    lua_getfield(L, 2, "lines");
    lines.p = lua_tolstring(L, -1, &lines.n);
    if (lines.p && !host_http_always(server, lines)) luaL_error(L, "not enough memory");
    lua_pop(L, 1);
}

/* Pushes a server that listens nowhere. */
static server_box *push_open_server(lua_State *L, const host_http_limits *limits)
{
    server_box *box = push_server(L);
    const host_http_handlers handlers = handlers_of(box);
    box->server = host_http_open(host_get()->loop, limits, &handlers, is_set(L, "holds"));
    if (!box->server) luaL_error(L, "not enough memory");
    set_always(L, box->server);
    return box;
}

/* In a worker connections come from the master. */
static int open_for_worker(lua_State *L, const host_http_limits *limits)
{
    server_box *box = push_open_server(L, limits);
    if (host_cluster_serve(box->server)) return 1;
    host_http_close(box->server);
    box->server = NULL;
    return refuse(L, "--listen", "another server has its connections", false);
}

/* host.http_listen(address, options, functions): a server; or nil, why not, and whether the address is wrong. The
 * functions: request(box, method, target, whether its route is counted) when a head is there, in a coroutine of its
 * own; open(box, scope) when that waits, or has ended, and has not answered, with the scope that it runs in
 * (core.run_apart); body(box), room(box), gone(box), message(box, text, is_binary), drained(). Options: the limits,
 * `lines` (of all answers, by host.http_lines), `loopback` (no other address is taken), `holds` (the loop goes on
 * because of it) and `uncounted` (nothing is told of its requests). */
static int l_listen(lua_State *L)
{
    const char *text = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 3);
    host_http_limits limits = read_limits(L);
    host_http_address address;
    char why[200];
    if (strcmp(text, "worker:") == 0 && host_cluster_is_worker()) return open_for_worker(L, &limits);
    if (host_http_address_read(text, &address, why, sizeof why) != 0) return refuse(L, text, why, true);
    if (is_set(L, "loopback") && !address.is_loopback)
        return refuse(L, text, "expected a socket (unix:PATH) or an address of this machine alone, as 127.0.0.1:7000",
                      true);
    server_box *box = push_server(L);
    const host_http_handlers handlers = handlers_of(box);
    box->server = host_http_listen(host_get()->loop, &address, &limits, &handlers, is_set(L, "holds"), why, sizeof why);
    if (!box->server) return refuse(L, text, why, false);
    set_always(L, box->server);
    return 1;
}

/* host.http_open(limits, functions, is_from_master): a server that connections are brought to, by server:adopt.
 * is_from_master: all of them are from listeners of the master, and other workers can go on with them. */
static int l_open(lua_State *L)
{
    bool is_from_master = lua_toboolean(L, 3);
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    lua_pushnil(L);
    lua_insert(L, 1);
    const host_http_limits limits = read_limits(L);
    push_open_server(L, &limits)->is_from_master = is_from_master;
    return 1;
}

/* host.http_address(text): true, and whether only this machine reaches it; or nil and why it is none to listen at. */
static int l_address(lua_State *L)
{
    host_http_address address;
    char why[200];
    if (host_http_address_read(luaL_checkstring(L, 1), &address, why, sizeof why) != 0) {
        lua_pushnil(L);
        lua_pushstring(L, why);
        return 2;
    }
    lua_pushboolean(L, 1);
    lua_pushboolean(L, address.is_loopback);
    return 2;
}

static server_box *check_server(lua_State *L)
{
    return luaL_checkudata(L, 1, SERVER_TYPE);
}

static int server_port(lua_State *L)
{
    server_box *box = check_server(L);
    lua_pushinteger(L, box->server ? host_http_port(box->server) : 0);
    return 1;
}

/* server:stop(idle, patience, hands_over): no new connections; idle ones end within `idle` seconds, others with their
 * answer, WebSockets within `patience`. hands_over: in a worker other workers go on with those that are idle. */
static int server_stop(lua_State *L)
{
    server_box *box = check_server(L);
    host_http_end end = {.idle = luaL_checknumber(L, 2), .patience = luaL_checknumber(L, 3)};
    bool is_from_master = host_cluster_unserve(box->server) || box->is_from_master;
    if (is_from_master && lua_toboolean(L, 4)) end.leave = host_cluster_give_back;
    if (box->server) host_http_stop(box->server, &end);
    return 0;
}

/* server:adopt(descriptor, number): a copy of it, from the listener of this number, which request:listener says. false:
 * the server stops; or there is no descriptor. */
static int server_adopt(lua_State *L)
{
    server_box *box = check_server(L);
    int fd = fcntl((int)luaL_checkinteger(L, 2), F_DUPFD_CLOEXEC, 3);
    bool is_taken =
        box->server && fd >= 0 && host_http_adopt(box->server, fd, (unsigned)luaL_checkinteger(L, 3), false);
    if (!is_taken && fd >= 0) close(fd);
    lua_pushboolean(L, is_taken);
    return 1;
}

/* server:close(): who holds requests has ended them. */
static int server_close(lua_State *L)
{
    server_box *box = check_server(L);
    host_http_server *server = box->server;
    host_cluster_unserve(server);
    box->server = NULL;
    if (server) host_http_close(server);
    return 0;
}

/* host.equal(a, b): in a time that depends on the length of `b` alone. */
static int l_equal(lua_State *L)
{
    host_http_text a, b;
    a.p = luaL_checklstring(L, 1, &a.n);
    b.p = luaL_checklstring(L, 2, &b.n);
    volatile unsigned char differs = a.n != b.n;
    for (size_t i = 0; i < b.n; i++) differs |= (unsigned char)(b.p[i] ^ (a.n ? a.p[i % a.n] : 0));
    lua_pushboolean(L, !differs);
    return 1;
}

void host_http_make_type(lua_State *L, const char *name, const luaL_Reg *methods)
{
    luaL_newmetatable(L, name);
    luaL_setfuncs(L, methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

void host_http_add(lua_State *L)
{
    static const luaL_Reg of_server[] = {
        {"port", server_port}, {"stop", server_stop}, {"adopt", server_adopt}, {"close", server_close}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"http_listen", l_listen},
                                         {"http_open", l_open},
                                         {"http_address", l_address},
                                         {"equal", l_equal},
                                         {NULL, NULL}};
    host_http_add_boxes(L);
    lua_pushcfunction(L, begin_request);
    begin_reference = luaL_ref(L, LUA_REGISTRYINDEX);
    host_http_make_type(L, SERVER_TYPE, of_server);
    luaL_setfuncs(L, functions, 0);
    host_http_add_files(L);
}
