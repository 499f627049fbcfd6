/* clouds.bytes: bytes that are no text. Their userdata holds them. */
#include <lauxlib.h>

#include "json.h"

void lc_push_bytes(lua_State *L, const lc_codec *codec, const void *p, size_t len)
{
    void *own = lua_newuserdata(L, len);
    if (len) memcpy(own, p, len);
    lua_rawgeti(L, LUA_REGISTRYINDEX, codec->bytes_ref);
    lua_setmetatable(L, -2);
}

bool lc_is_bytes(lua_State *L, const lc_codec *codec, int index)
{
    if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index)) return false;
    bool is = lua_topointer(L, -1) == codec->bytes;
    lua_pop(L, 1);
    return is;
}

/* bytes(text) -> the bytes of that text. Bytes give themselves. */
int lc_json_bytes(lua_State *L)
{
    lc_codec *codec = lc_codec_of(L);
    size_t len;
    if (lc_is_bytes(L, codec, 1)) {
        lua_settop(L, 1);
        return 1;
    }
    luaL_checktype(L, 1, LUA_TSTRING);
    const char *text = lua_tolstring(L, 1, &len);
    lc_push_bytes(L, codec, text, len);
    return 1;
}

/* is_bytes(value) -> whether clouds.bytes made it, or it came as bytes */
int lc_json_is_bytes(lua_State *L)
{
    lua_pushboolean(L, lc_is_bytes(L, lc_codec_of(L), 1));
    return 1;
}

/* tostring(bytes) -> the text */
static int to_string(lua_State *L)
{
    if (!lc_is_bytes(L, lc_codec_of(L), 1)) return luaL_error(L, "expected bytes");
    lua_pushlstring(L, lua_touserdata(L, 1), lua_objlen(L, 1));
    return 1;
}

/* #bytes */
static int length(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)lua_objlen(L, 1));
    return 1;
}

/* The same bytes? Lua asks only where both have this metatable. */
static int equals(lua_State *L)
{
    size_t len = lua_objlen(L, 1);
    lua_pushboolean(L, len == lua_objlen(L, 2) && memcmp(lua_touserdata(L, 1), lua_touserdata(L, 2), len) == 0);
    return 1;
}

void lc_bytes_open(lua_State *L, lc_codec *codec)
{
    static const luaL_Reg functions[] = {{"__tostring", to_string}, {"__len", length}, {"__eq", equals}};
    lua_newtable(L);
    codec->bytes = lua_topointer(L, -1);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        lua_pushlightuserdata(L, codec);
        lua_pushcclosure(L, functions[i].func, 1);
        lua_setfield(L, -2, functions[i].name);
    }
    lua_pushliteral(L, "bytes");
    lua_setfield(L, -2, "__metatable");
    codec->bytes_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}
