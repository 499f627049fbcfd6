/* The codec's Lua face: clouds.json, clouds.null and clouds.array. The codec is upvalue 1 of each function. */
#include <lauxlib.h>

#include "json.h"

lc_codec *lc_codec_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

void lc_push_null(lua_State *L, const lc_codec *codec)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, codec->null_ref);
}

static int null_to_string(lua_State *L)
{
    lua_pushliteral(L, "null");
    return 1;
}

void lc_codec_open(lua_State *L, lc_codec *codec)
{
    codec->null = lua_newuserdata(L, 1);
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, null_to_string);
    lua_setfield(L, -2, "__tostring");
    lua_pushliteral(L, "null");
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    codec->null_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_newtable(L);
    codec->array = lua_topointer(L, -1);
    codec->array_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushliteral(L, "n");
    codec->n_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lc_bytes_open(L, codec);
}

void lc_codec_close(lc_codec *codec)
{
    lc_text_free(&codec->scratch);
}

static int push_error(lua_State *L, lc_codec *codec)
{
    lua_pushnil(L);
    lua_pushstring(L, codec->error);
    return 2;
}

/* encode(value) -> text, or nil and why not */
static int json_encode(lua_State *L)
{
    lc_codec *codec = lc_codec_of(L);
    lc_text *out = lua_touserdata(L, lua_upvalueindex(2));
    luaL_checkany(L, 1);
    out->len = 0;
    bool ok = lc_encode_value(L, codec, 1, out, NULL);
    if (ok) lua_pushlstring(L, out->data, out->len);
    lc_text_trim(out);
    return ok ? 1 : push_error(L, codec);
}

/* decode(text) -> value, or nil and why not */
static int json_decode(lua_State *L)
{
    lc_codec *codec = lc_codec_of(L);
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    return lc_decode_value(L, codec, text, len, (lc_area){0}) ? 1 : push_error(L, codec);
}

/* array([table [, n]]) -> the same table, marked as an array (of n elements) */
static int json_array(lua_State *L)
{
    lc_codec *codec = lc_codec_of(L);
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    if (!lua_isnoneornil(L, 2)) {
        lua_Number n = luaL_checknumber(L, 2);
        luaL_argcheck(L, n >= 0 && n <= LC_JSON_MAX_LENGTH && n == (lua_Number)(lua_Integer)n, 2, "expected a count");
        lua_pushnumber(L, n);
        lua_setfield(L, 1, "n");
    }
    lua_settop(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, codec->array_ref);
    lua_setmetatable(L, 1);
    return 1;
}

/* is_array(value) -> whether it is a table that clouds.array or the decoder marked */
static int json_is_array(lua_State *L)
{
    bool marked = lua_istable(L, 1) && lua_getmetatable(L, 1) && lua_topointer(L, -1) == lc_codec_of(L)->array;
    lua_pushboolean(L, marked);
    return 1;
}

static int free_text(lua_State *L)
{
    lc_text_free(lua_touserdata(L, 1));
    return 0;
}

/* Pushes a text that the collector frees. */
static void push_text(lua_State *L)
{
    *(lc_text *)lua_newuserdata(L, sizeof(lc_text)) = (lc_text){0};
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, free_text);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
}

void lc_json_add(lua_State *L, lc_codec *codec)
{
    int table = lua_gettop(L);
    lua_pushlightuserdata(L, codec);
    push_text(L);
    lua_pushcclosure(L, json_encode, 2);
    lua_setfield(L, table, "encode");
    static const luaL_Reg functions[] = {{"decode", json_decode},
                                         {"array", json_array},
                                         {"is_array", json_is_array},
                                         {"bytes", lc_json_bytes},
                                         {"is_bytes", lc_json_is_bytes}};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        lua_pushlightuserdata(L, codec);
        lua_pushcclosure(L, functions[i].func, 1);
        lua_setfield(L, table, functions[i].name);
    }
    lc_push_null(L, codec);
    lua_setfield(L, table, "null");
}
