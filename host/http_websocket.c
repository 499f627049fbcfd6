/* WebSocket of host/http for Lua: methods of a request that is upgraded. */
#include <errno.h>
#include <lua.h>
#include <lauxlib.h>

#include "http_box.h"
#include "utf8.h"

static bool is_text(host_http_text text)
{
    return lc_utf8_valid(text.p, text.n) == text.n;
}

static host_http_text text_at(lua_State *L, int index)
{
    host_http_text text;
    text.p = luaL_optlstring(L, index, "", &text.n);
    return text;
}

/* What a step gives: true; false when it is closed already; nothing when the connection is lost. */
static int stepped(lua_State *L, host_http_box *box, int code)
{
    int problem = errno;
    if (code != 0 && problem != EPIPE && problem != EINVAL) {
        host_http_release(L, box);
        return 0;
    }
    lua_pushboolean(L, code == 0);
    return 1;
}

/* request:upgrade(protocol or nil, longest message, seconds between pings): true; false when the key is none. */
static int request_upgrade(lua_State *L)
{
    host_http_box *box = host_http_check_box(L);
    host_http_text protocol = text_at(L, 2);
    size_t longest = (size_t)luaL_checknumber(L, 3);
    double ping = luaL_checknumber(L, 4);
    if (!box->connection) return 0;
    int code = host_http_upgrade(box->connection, protocol, longest, ping);
    if (code == 0) {
        box->request = NULL;
        host_http_counted_upgrade(&box->counted);
    }
    return stepped(L, box, code);
}

/* request:ws_send(text, is_binary): as above; raises when a text is no UTF-8. */
static int request_send(lua_State *L)
{
    host_http_box *box = host_http_check_box(L);
    host_http_text text = text_at(L, 2);
    bool is_binary = lua_toboolean(L, 3);
    if (!is_binary && !is_text(text)) return luaL_error(L, "a message that is no UTF-8 has to be sent as binary");
    if (!box->connection) return 0;
    return stepped(L, box, host_http_websocket_send(box->connection, is_binary, text));
}

/* request:ws_close(code, reason): as above. */
static int request_close(lua_State *L)
{
    host_http_box *box = host_http_check_box(L);
    int code = (int)luaL_checkinteger(L, 2);
    host_http_text reason = text_at(L, 3);
    if (!is_text(reason)) return luaL_error(L, "the reason is no UTF-8");
    if (!box->connection) return 0;
    return stepped(L, box, host_http_websocket_close(box->connection, code, reason));
}

/* request:ws_status(): code and reason of the end. */
static int request_status(lua_State *L)
{
    host_http_box *box = host_http_check_box(L);
    host_http_text reason = {"", 0};
    int code = 1006;
    if (box->connection) host_http_websocket_status(box->connection, &code, &reason);
    lua_pushinteger(L, code);
    lua_pushlstring(L, reason.p, reason.n);
    return 2;
}

/* request:pause(yes): nothing is read meanwhile; request:unsent(): bytes that the kernel has not taken. */
static int request_pause(lua_State *L)
{
    host_http_box *box = host_http_check_box(L);
    if (box->connection) host_http_pause(box->connection, lua_toboolean(L, 2));
    return 0;
}

static int request_unsent(lua_State *L)
{
    host_http_box *box = host_http_check_box(L);
    lua_pushnumber(L, box->connection ? (lua_Number)host_http_unsent(box->connection) : 0);
    return 1;
}

void host_http_add_websocket(lua_State *L)
{
    static const luaL_Reg methods[] = {{"upgrade", request_upgrade},
                                       {"ws_send", request_send},
                                       {"ws_close", request_close},
                                       {"ws_status", request_status},
                                       {"pause", request_pause},
                                       {"unsent", request_unsent},
                                       {NULL, NULL}};
    luaL_setfuncs(L, methods, 0);
}
