/* Errors: from the library to Lua (a table with the metatable of clouds.error), and from Lua to the wire. */
#include "internal.h"

static void set_string(lua_State *L, const char *key, const char *value)
{
    lua_pushstring(L, value);
    lua_setfield(L, -2, key);
}

/* A null is as if the member were absent. */
static bool has_field(lua_State *L, const lc_state *s, const char *key)
{
    lua_getfield(L, -1, key);
    bool has = !lua_isnil(L, -1) && lua_touserdata(L, -1) != s->codec.null;
    lua_pop(L, 1);
    return has;
}

/* The members that every error has, on the table at the top that has the others already. */
static void complete(lua_State *L, lc_state *s, int code, int outcome)
{
    set_string(L, "outcome", clouds_outcome_name(outcome));
    lua_pushboolean(L, outcome == CLOUDS_OUTCOME_NOT_DONE);
    lua_setfield(L, -2, "retryable");
    if (code != CLOUDS_EAPP || !has_field(L, s, "code")) set_string(L, "code", clouds_err_name(code));
    lua_getfield(L, -1, "message");
    bool worded = lua_type(L, -1) == LUA_TSTRING;
    lua_pop(L, 1);
    if (!worded) set_string(L, "message", clouds_strerror(code));
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->error_ref);
    lua_setmetatable(L, -2);
}

void lc_push_error(lua_State *L, lc_state *s, int code, const char *text)
{
    luaL_checkstack(L, 8, NULL);
    lua_createtable(L, 0, 4);
    if (text && *text) set_string(L, "message", text);
    complete(L, s, code, clouds_err_outcome(code));
}

static void add_values(lua_State *L, lc_state *s, const clouds_event *event)
{
    if (event->data_len == 0 || !lc_decode_value(L, &s->codec, event->data, event->data_len, lc_bytes_of(event)))
        return;
    if (lua_istable(L, -1) && lua_objlen(L, -1) > 0) lua_setfield(L, -2, "values");
    else lua_pop(L, 1);
}

void lc_push_event_error(lua_State *L, lc_state *s, const clouds_event *event)
{
    luaL_checkstack(L, 8, NULL);
    lua_createtable(L, 0, 4);
    int table = lua_gettop(L);
    if (event->error_len > 0 &&
        (event->error[0] != '{' || !lc_decode_into(L, &s->codec, event->error, event->error_len, table))) {
        lua_pushlstring(L, event->error, event->error_len);
        lua_setfield(L, table, "message");
    }
    complete(L, s, event->code, (int)event->outcome);
    if (event->type == CLOUDS_EVENT_RESULT) add_values(L, s, event);
}

bool lc_is_error(lua_State *L, lc_state *s, int index)
{
    if (!lua_istable(L, index) || !lua_getmetatable(L, index)) return false;
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->error_ref);
    bool ours = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return ours;
}

bool lc_is_failure(lua_State *L, lc_state *s, int first, int count)
{
    return count == 2 && lua_isnil(L, first) && lc_is_error(L, s, first + 1);
}

int lc_refuse(lua_State *L, lc_state *s, const char *what)
{
    static const int codes[] = {[LC_JSON_BAD_TEXT] = CLOUDS_EJSON,
                                [LC_JSON_TOO_DEEP] = CLOUDS_ETOOBIG,
                                [LC_JSON_TOO_LONG] = CLOUDS_ETOOBIG,
                                [LC_JSON_NO_MEMORY] = CLOUDS_ENOMEM};
    if (s->codec.fault == LC_JSON_MISUSE) return luaL_error(L, "bad %s: %s", what, s->codec.error);
    lua_pushnil(L);
    lc_push_error(L, s, codes[s->codec.fault], s->codec.error);
    return 2;
}

void lc_push_last_error(lua_State *L, lc_state *s, int code)
{
    luaL_checkstack(L, 8, NULL);
    lua_createtable(L, 0, 8);
    /* A node of ours that is gone is no failure that the library heard of. */
    const char *json = code == CLOUDS_ECLOSED ? "" : clouds_last_error_json();
    if (*json) lc_decode_into(L, &s->codec, json, strlen(json), lua_gettop(L));
    complete(L, s, code, clouds_err_outcome(code));
}

int lc_fail(lua_State *L, lc_state *s, int code)
{
    lua_pushnil(L);
    lc_push_last_error(L, s, code);
    return 2;
}

int lc_true_or_fail(lua_State *L, lc_state *s, int code)
{
    if (code != 0) return lc_fail(L, s, code);
    lua_pushboolean(L, 1);
    return 1;
}

/* The last resort: a message that is certain to be encoded. */
static void encode_plain(lc_state *s, const char *message, size_t len)
{
    bool ok = false;
    size_t bad_at = 0;
    s->out.len = s->out2.len = 0;
    if (lc_text_add(&s->out, "{\"message\":", 11)) lc_encode_string(&s->out, message, len, &ok, &bad_at);
    if (ok && lc_text_add(&s->out, "}", 1)) return;
    s->out.len = 0;
}

/* hooks.pack(error) gives a table of members and, perhaps, a list of values. */
void lc_encode_error(lua_State *L, lc_state *s, int index)
{
    int top = lua_gettop(L);
    luaL_checkstack(L, 8, NULL);
    lc_push_hook(L, s, "pack");
    lua_pushvalue(L, index);
    bool ok = lua_pcall(L, 1, 2, 0) == 0;
    s->out.len = s->out2.len = 0;
    if (ok && !lua_isnil(L, top + 2)) ok = lc_encode_list(L, &s->codec, top + 2, &s->out2, NULL);
    if (ok) ok = lc_encode_value(L, &s->codec, top + 1, &s->out, NULL);
    if (!ok) {
        const char *why = lua_gettop(L) == top + 1 ? "the error could not be described" : s->codec.error;
        encode_plain(s, why, strlen(why));
    }
    lua_settop(L, top);
}
