/* host.http_listen: the server of host/http for Lua.
 *
 * Design note. What Lua holds of a request is a box with the connection; it is emptied when the request is answered or
 * its client is gone, so that a late answer does nothing. The box lies in the registry until then. */
#include <string.h>
#include <lua.h>
#include <lauxlib.h>

#include "host/http/http.h"
#include "internal.h"

#define REQUEST_TYPE "clouds.http.request"
#define SERVER_TYPE "clouds.http.server"

enum { MAX_FIELDS = 32 };

typedef struct request_box {
    host_http_connection *connection; /* NULL: there is nobody to answer */
    int self;                         /* its reference */
} request_box;

typedef struct server_box {
    host_http_server *server;
    int function; /* reference */
} server_box;

/* In the place of a box that is not needed any more. */
static char answered;

/* ---- requests */

static void release(lua_State *L, request_box *box)
{
    *host_http_slot(box->connection) = &answered;
    box->connection = NULL;
    luaL_unref(L, LUA_REGISTRYINDEX, box->self);
    box->self = LUA_NOREF;
}

static void push_text(lua_State *L, host_http_text text)
{
    lua_pushlstring(L, text.p, text.n);
}

/* Names are in small letters; of several fields of one name the values stand with a comma between them. */
static void push_fields(lua_State *L, const host_http_request *r)
{
    lua_createtable(L, 0, (int)r->field_count);
    for (size_t i = 0; i < r->field_count; i++) {
        luaL_Buffer name;
        luaL_buffinit(L, &name);
        for (size_t k = 0; k < r->fields[i].name.n; k++) {
            char c = r->fields[i].name.p[k];
            luaL_addchar(&name, (char)(c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c));
        }
        luaL_pushresult(&name);
        lua_pushvalue(L, -1);
        lua_rawget(L, -3);
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
            push_text(L, r->fields[i].value);
        } else {
            lua_pushliteral(L, ", ");
            push_text(L, r->fields[i].value);
            lua_concat(L, 3);
        }
        lua_rawset(L, -3);
    }
}

static request_box *push_request(lua_State *L, host_http_connection *connection)
{
    request_box *box = lua_newuserdata(L, sizeof *box);
    box->connection = connection;
    luaL_getmetatable(L, REQUEST_TYPE);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    box->self = luaL_ref(L, LUA_REGISTRYINDEX);
    *host_http_slot(connection) = box;
    return box;
}

/* In protected mode, for there may be no memory: fn, box of the server, connection, request. */
static int begin_request(lua_State *L)
{
    server_box *server = lua_touserdata(L, 1);
    host_http_connection *connection = lua_touserdata(L, 2);
    const host_http_request *r = lua_touserdata(L, 3);
    lua_rawgeti(L, LUA_REGISTRYINDEX, server->function);
    push_request(L, connection);
    push_text(L, r->method);
    push_text(L, r->target);
    push_fields(L, r);
    push_text(L, r->body);
    lua_call(L, 5, 0);
    return 0;
}

static void fail(lua_State *L, host_http_connection *connection, request_box *box)
{
    static const host_http_response response = {500, NULL, 0, {"", 0}};
    if (box) release(L, box);
    host_http_answer(connection, &response);
}

static void on_request(void *self, host_http_connection *connection, const host_http_request *request)
{
    lua_State *L = host_get()->L;
    lua_pushcfunction(L, begin_request);
    lua_pushlightuserdata(L, self);
    lua_pushlightuserdata(L, connection);
    lua_pushlightuserdata(L, (void *)request);
    if (host_call(L, 3, 0, "error in a server of HTTP")) return;
    void *box = *host_http_slot(connection);
    if (box != &answered) fail(L, connection, box);
}

static void on_gone(void *self, host_http_connection *connection)
{
    void *box = *host_http_slot(connection);
    if (box && box != &answered) release(host_get()->L, box);
}

static host_http_text check_text(lua_State *L, int index)
{
    host_http_text text;
    text.p = luaL_checklstring(L, index, &text.n);
    return text;
}

/* request:answer(status, body, fields): true, or false when there is nobody to answer any more. `fields` is a list:
 * name, value, name, value ... */
static int request_answer(lua_State *L)
{
    request_box *box = luaL_checkudata(L, 1, REQUEST_TYPE);
    host_http_field fields[MAX_FIELDS];
    host_http_response response = {.status = (int)luaL_checkinteger(L, 2), .body = check_text(L, 3), .fields = fields};
    luaL_checktype(L, 4, LUA_TTABLE);
    int count = (int)lua_objlen(L, 4);
    if (count % 2 || count / 2 > MAX_FIELDS) return luaL_error(L, "expected up to %d names and values", MAX_FIELDS);
    luaL_checkstack(L, count, "fields");
    for (int i = 1; i <= count; i++) lua_rawgeti(L, 4, i);
    for (int i = 0; i < count; i += 2)
        fields[response.field_count++] = (host_http_field){check_text(L, 5 + i), check_text(L, 6 + i)};
    host_http_connection *connection = box->connection;
    lua_pushboolean(L, connection != NULL);
    if (!connection) return 1;
    release(L, box);
    if (host_http_answer(connection, &response) != 0) return luaL_error(L, "a header field cannot be sent");
    return 1;
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
    return limits;
}

static int refuse(lua_State *L, const char *address, const char *why, bool is_wrong)
{
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", address, why);
    lua_pushboolean(L, is_wrong);
    return 3;
}

/* host.http_listen(address, options, fn): a server; or nil, why not, and whether the address is wrong. fn(request,
 * method, target, fields, body) for each request. Options: the limits, `loopback` (no other address is taken) and
 * `holds` (the loop goes on because of it). */
static int l_listen(lua_State *L)
{
    const char *text = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    luaL_checktype(L, 3, LUA_TFUNCTION);
    lua_settop(L, 3);
    host_http_limits limits = read_limits(L);
    host_http_address address;
    char why[200];
    if (host_http_address_read(text, &address, why, sizeof why) != 0) return refuse(L, text, why, true);
    if (is_set(L, "loopback") && !address.is_loopback)
        return refuse(L, text, "expected a socket (unix:PATH) or an address of this machine alone, as 127.0.0.1:7000",
                      true);
    bool holds = is_set(L, "holds");
    server_box *box = lua_newuserdata(L, sizeof *box);
    box->server = NULL;
    luaL_getmetatable(L, SERVER_TYPE);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, 3);
    box->function = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, -1);
    luaL_ref(L, LUA_REGISTRYINDEX); /* for good: requests that are open lead to it */
    const host_http_handlers handlers = {box, on_request, on_gone};
    box->server = host_http_listen(host_get()->loop, &address, &limits, &handlers, holds, why, sizeof why);
    return box->server ? 1 : refuse(L, text, why, false);
}

static int server_port(lua_State *L)
{
    server_box *box = luaL_checkudata(L, 1, SERVER_TYPE);
    lua_pushinteger(L, box->server ? host_http_port(box->server) : 0);
    return 1;
}

/* host.equal(a, b): in a time that depends on the length of `b` alone. */
static int l_equal(lua_State *L)
{
    host_http_text a = check_text(L, 1), b = check_text(L, 2);
    volatile unsigned char differs = a.n != b.n;
    for (size_t i = 0; i < b.n; i++) differs |= (unsigned char)(b.p[i] ^ (a.n ? a.p[i % a.n] : 0));
    lua_pushboolean(L, !differs);
    return 1;
}

static void make_type(lua_State *L, const char *name, const luaL_Reg *methods)
{
    luaL_newmetatable(L, name);
    luaL_setfuncs(L, methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

void host_http_add(lua_State *L)
{
    static const luaL_Reg of_request[] = {{"answer", request_answer}, {NULL, NULL}};
    static const luaL_Reg of_server[] = {{"port", server_port}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"http_listen", l_listen}, {"equal", l_equal}, {NULL, NULL}};
    make_type(L, REQUEST_TYPE, of_request);
    make_type(L, SERVER_TYPE, of_server);
    luaL_setfuncs(L, functions, 0);
}
