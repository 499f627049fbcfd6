/* A request of host/http for Lua: what it says, its body, and its answer.
 *
 * Design note. What Lua holds of a request is a box with the connection; it is emptied when the request is over, so
 * that a late answer does nothing. The box lies in the registry until then. */
#include <errno.h>
#include <string.h>
#include <lua.h>
#include <lauxlib.h>

#include "http_box.h"

#define REQUEST_TYPE "clouds.http.request"

/* In the place of a box that is not needed any more. */
static char answered;

/* The metatable of boxes, and the newest box: most requests are answered before they would need a reference of their
 * own. */
static int type_reference, newest_reference;
static const void *type;

static uint64_t begun_count, open_count, failed_count;

void host_http_count(uint64_t *begun, uint64_t *open, uint64_t *failed)
{
    *begun = begun_count;
    *open = open_count;
    *failed = failed_count;
}

void host_http_count_status(int status)
{
    static const int first_of_faults = 500;
    failed_count += status == 0 || status >= first_of_faults;
}

void host_http_release(lua_State *L, host_http_box *box)
{
    *host_http_slot(box->connection) = &answered;
    box->connection = NULL;
    open_count--;
    host_http_counted_end(&box->counted);
    luaL_unref(L, LUA_REGISTRYINDEX, box->self);
    box->self = LUA_NOREF;
}

host_http_counted host_http_release_to_send(lua_State *L, host_http_box *box)
{
    host_http_counted counted = box->counted;
    box->counted.route = NULL;
    host_http_release(L, box);
    return counted;
}

void host_http_sent(host_http_counted counted, int status)
{
    counted.status = status;
    host_http_counted_end(&counted);
    if (status) host_http_count_status(status);
}

static void push_text(lua_State *L, host_http_text text)
{
    lua_pushlstring(L, text.p, text.n);
}

static void push_lowered(lua_State *L, host_http_text text)
{
    char few[64];
    luaL_Buffer many;
    if (text.n <= sizeof few) {
        for (size_t i = 0; i < text.n; i++) few[i] = text.p[i] >= 'A' && text.p[i] <= 'Z' ? text.p[i] + 32 : text.p[i];
        lua_pushlstring(L, few, text.n);
        return;
    }
    luaL_buffinit(L, &many);
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        luaL_addchar(&many, (char)(c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c));
    }
    luaL_pushresult(&many);
}

/* Names are in small letters; of several fields of one name the values stand with a comma between them. */
static void push_fields(lua_State *L, const host_http_request *r)
{
    lua_createtable(L, 0, (int)r->field_count);
    for (size_t i = 0; i < r->field_count; i++) {
        push_lowered(L, r->fields[i].name);
        lua_pushvalue(L, -1);
        lua_rawget(L, -3);
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
            push_text(L, r->fields[i].value);
        } else {
            lua_pushstring(L, host_http_is(r->fields[i].name, "cookie") ? "; " : ", ");
            push_text(L, r->fields[i].value);
            lua_concat(L, 3);
        }
        lua_rawset(L, -3);
    }
}

host_http_box *host_http_push_box(lua_State *L, host_http_connection *connection, const host_http_request *request,
                                  bool counts)
{
    host_http_box *box = lua_newuserdata(L, sizeof *box);
    *box = (host_http_box){.connection = connection, .request = request, .self = LUA_NOREF};
    lua_rawgeti(L, LUA_REGISTRYINDEX, type_reference);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawseti(L, LUA_REGISTRYINDEX, newest_reference);
    *host_http_slot(connection) = box;
    begun_count++;
    open_count++;
    host_http_counted_begin(&box->counted, counts);
    return box;
}

host_http_box *host_http_box_of(host_http_connection *connection)
{
    void *box = *host_http_slot(connection);
    return box == &answered ? NULL : box;
}

host_http_box *host_http_keep_box(lua_State *L, host_http_connection *connection)
{
    host_http_box *box = host_http_box_of(connection);
    if (!box || box->self != LUA_NOREF) return box;
    lua_rawgeti(L, LUA_REGISTRYINDEX, newest_reference);
    box->self = luaL_ref(L, LUA_REGISTRYINDEX);
    return box;
}

bool host_http_is_answered(host_http_connection *connection)
{
    return *host_http_slot(connection) == &answered;
}

static host_http_text check_text(lua_State *L, int index)
{
    host_http_text text;
    text.p = luaL_checklstring(L, index, &text.n);
    return text;
}

/* As luaL_checkudata, which would look the type up by its name each time. */
host_http_box *host_http_check_box(lua_State *L)
{
    if (lua_getmetatable(L, 1)) {
        bool is_box = lua_topointer(L, -1) == type;
        lua_pop(L, 1);
        if (is_box) return lua_touserdata(L, 1);
    }
    return luaL_checkudata(L, 1, REQUEST_TYPE);
}

/* The list at `index`: name, value, name, value ... Its texts stay on the stack. */
size_t host_http_read_fields(lua_State *L, int index, host_http_field *fields)
{
    if (lua_isnoneornil(L, index)) return 0;
    luaL_checktype(L, index, LUA_TTABLE);
    int count = (int)lua_objlen(L, index), first = lua_gettop(L) + 1;
    if (count % 2 || count / 2 > HOST_HTTP_FIELDS) luaL_error(L, "expected up to %d header fields", HOST_HTTP_FIELDS);
    luaL_checkstack(L, count, "fields");
    for (int i = 1; i <= count; i++) lua_rawgeti(L, index, i);
    for (int i = 0; i < count; i += 2)
        fields[i / 2] = (host_http_field){check_text(L, first + i), check_text(L, first + i + 1)};
    return (size_t)count / 2;
}

/* What could not be done is as if it had not been tried. The box is at index 1. */
int host_http_refuse_to_send(lua_State *L, host_http_box *box, host_http_connection *connection,
                             host_http_counted counted, const char *why)
{
    box->connection = connection;
    box->counted = counted;
    lua_pushvalue(L, 1);
    box->self = luaL_ref(L, LUA_REGISTRYINDEX);
    *host_http_slot(connection) = box;
    open_count++;
    return luaL_error(L, "%s", why);
}

/* What a part of an answer gives: true; or false when there is nobody to answer any more. */
static int said(lua_State *L, host_http_box *box, int code, const char *why)
{
    if (code != 0 && errno == EINVAL) return luaL_error(L, "%s", why);
    if (code != 0) host_http_release(L, box);
    lua_pushboolean(L, code == 0);
    return 1;
}

const char host_http_bad_field[] = "a header field cannot be sent: its name or value has characters that may not be "
                                   "there, or it is Date, Connection, Content-Length or Transfer-Encoding";

/* request:answer(status, body, lines or nil, fields or nil): all of an answer. lines: those of host.http_lines. */
static int request_answer(lua_State *L)
{
    host_http_box *box = host_http_check_box(L);
    host_http_field fields[HOST_HTTP_FIELDS];
    host_http_response response = {.status = (int)luaL_checkinteger(L, 2), .body = check_text(L, 3), .fields = fields};
    if (!lua_isnoneornil(L, 4)) response.lines = check_text(L, 4);
    response.field_count = host_http_read_fields(L, 5, fields);
    if (!box->connection) return lua_pushboolean(L, 0), 1;
    host_http_connection *connection = box->connection;
    /* What is answered may be followed by the next request at once. */
    host_http_counted counted = host_http_release_to_send(L, box);
    int code = host_http_answer(connection, &response);
    if (code != 0 && errno == EINVAL) return host_http_refuse_to_send(L, box, connection, counted, host_http_bad_field);
    host_http_sent(counted, code == 0 ? response.status : 0);
    lua_pushboolean(L, code == 0);
    return 1;
}

/* request:start(status, fields, length or nil): its beginning. */
static int request_start(lua_State *L)
{
    host_http_box *box = host_http_check_box(L);
    host_http_field fields[HOST_HTTP_FIELDS];
    host_http_response response = {.status = (int)luaL_checkinteger(L, 2), .fields = fields};
    double length = luaL_optnumber(L, 4, -1);
    response.field_count = host_http_read_fields(L, 3, fields);
    if (!box->connection) return lua_pushboolean(L, 0), 1;
    int code = host_http_start(box->connection, &response, (int64_t)length);
    if (code == 0) host_http_count_status(box->counted.status = response.status);
    return said(L, box, code, host_http_bad_field);
}

/* request:write(text): true, or false; and the bytes that the kernel has not taken. */
static int request_write(lua_State *L)
{
    host_http_box *box = host_http_check_box(L);
    host_http_text text = check_text(L, 2);
    if (!box->connection) return lua_pushboolean(L, 0), 1;
    int code = host_http_write(box->connection, text);
    said(L, box, code, "more was written than Content-Length says");
    lua_pushnumber(L, code == 0 ? (lua_Number)host_http_unsent(box->connection) : 0);
    return 2;
}

/* request:finish(): its end. */
static int request_finish(lua_State *L)
{
    host_http_box *box = host_http_check_box(L);
    host_http_connection *connection = box->connection;
    if (!connection) return lua_pushboolean(L, 0), 1;
    host_http_release(L, box);
    int code = host_http_finish(connection);
    if (code != 0 && errno == EINVAL) return luaL_error(L, "less was written than Content-Length says");
    lua_pushboolean(L, code == 0);
    return 1;
}

/* request:abort(): the connection ends. */
static int request_abort(lua_State *L)
{
    host_http_box *box = host_http_check_box(L);
    host_http_connection *connection = box->connection;
    if (!connection) return 0;
    host_http_count_status(0);
    if (!box->counted.status) box->counted.status = HOST_HTTP_BROKEN_OFF;
    host_http_release(L, box);
    host_http_abort(connection);
    return 0;
}

/* request:want_room(): the function `room` is called when the kernel has taken everything. */
static int request_want_room(lua_State *L)
{
    host_http_box *box = host_http_check_box(L);
    if (box->connection) host_http_want_room(box->connection);
    return 0;
}

/* request:read(): a piece of the body; nil at its end; false: the function `body` will be called; or nil and why it is
 * refused, which the client has been told: the request is over. */
static int request_read(lua_State *L)
{
    host_http_box *box = host_http_check_box(L);
    host_http_text piece;
    const char *why = "the client is gone";
    enum host_http_piece got = HOST_HTTP_FAILED;
    if (box->connection) got = host_http_read(box->connection, &piece, &why);
    switch (got) {
    case HOST_HTTP_PIECE:
        push_text(L, piece);
        return 1;
    case HOST_HTTP_WAIT:
        lua_pushboolean(L, 0);
        return 1;
    case HOST_HTTP_BODY_END:
        lua_pushnil(L);
        return 1;
    default:
        if (box->connection) host_http_release(L, box);
        lua_pushnil(L);
        lua_pushstring(L, why);
        return 2;
    }
}

/* request:limit(bytes): the longest body that this request may have. */
static int request_limit(lua_State *L)
{
    host_http_box *box = host_http_check_box(L);
    if (box->connection) host_http_limit_body(box->connection, (size_t)luaL_checknumber(L, 2));
    return 0;
}

/* request:fields(): the header fields, request:version(): "1.0" or "1.1", request:peer(): the address of the client,
 * request:listener(): the number of the listener that it came by; nil when the request is over. */
static int request_fields(lua_State *L)
{
    host_http_box *box = host_http_check_box(L);
    if (!box->connection || !box->request) return 0;
    push_fields(L, box->request);
    return 1;
}

/* request:is_conditional(): whether a part of what there is might be asked for, or nothing if it is known: by If-* or
 * Range. */
static int request_is_conditional(lua_State *L)
{
    host_http_box *box = host_http_check_box(L);
    const host_http_request *r = box->connection ? box->request : NULL;
    bool is_conditional = false;
    for (size_t i = 0; r && i < r->field_count; i++) {
        host_http_text name = r->fields[i].name;
        is_conditional |= host_http_is(name, "range") || (name.n > 3 && strncasecmp(name.p, "if-", 3) == 0);
    }
    lua_pushboolean(L, is_conditional);
    return 1;
}

static int request_version(lua_State *L)
{
    host_http_box *box = host_http_check_box(L);
    if (!box->connection || !box->request) return 0;
    lua_pushstring(L, box->request->minor ? "1.1" : "1.0");
    return 1;
}

static int request_peer(lua_State *L)
{
    host_http_box *box = host_http_check_box(L);
    if (!box->connection) return 0;
    lua_pushstring(L, host_http_peer(box->connection));
    return 1;
}

static int request_listener(lua_State *L)
{
    host_http_box *box = host_http_check_box(L);
    if (!box->connection) return 0;
    lua_pushinteger(L, (lua_Integer)host_http_listener(box->connection));
    return 1;
}

void host_http_add_boxes(lua_State *L)
{
    static const luaL_Reg of_request[] = {{"answer", request_answer},
                                          {"start", request_start},
                                          {"write", request_write},
                                          {"finish", request_finish},
                                          {"abort", request_abort},
                                          {"want_room", request_want_room},
                                          {"read", request_read},
                                          {"limit", request_limit},
                                          {"fields", request_fields},
                                          {"is_conditional", request_is_conditional},
                                          {"version", request_version},
                                          {"peer", request_peer},
                                          {"listener", request_listener},
                                          {"send_file", host_http_send_file},
                                          {"route", host_http_request_route},
                                          {NULL, NULL}};
    host_http_make_type(L, REQUEST_TYPE, of_request);
    luaL_getmetatable(L, REQUEST_TYPE);
    host_http_add_websocket(L);
    type = lua_topointer(L, -1);
    type_reference = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushboolean(L, 0);
    newest_reference = luaL_ref(L, LUA_REGISTRYINDEX);
}
