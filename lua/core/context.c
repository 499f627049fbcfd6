/* Contexts: their options, their descriptor, and the poll that hands events out. */
#include <stdlib.h>

#include "internal.h"

static lc_context *context_of(lua_State *L, int index)
{
    return *(lc_context **)luaL_checkudata(L, index, "clouds.context");
}

lc_context *lc_check_context(lua_State *L, int index)
{
    lc_context *ctx = context_of(L, index);
    if (!ctx->context) luaL_error(L, "the context is closed");
    return ctx;
}

/* Sets one option from the key and the value at the top; returns what the library says. */
static int set_option(lua_State *L, clouds_options *options)
{
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
    switch (lua_type(L, -1)) {
    case LUA_TNUMBER:
        return clouds_options_set_number(options, name, lua_tonumber(L, -1));
    case LUA_TBOOLEAN:
        return clouds_options_set_bool(options, name, lua_toboolean(L, -1));
    case LUA_TSTRING:
        if (strlen(lua_tostring(L, -1)) != lua_objlen(L, -1)) return CLOUDS_EOPTION;
        return clouds_options_set_string(options, name, lua_tostring(L, -1));
    default:
        return CLOUDS_EOPTION;
    }
}

/* Raises a text without a position, which clouds.node adds. */
static int refuse(lua_State *L, const char *format, const char *first, const char *second)
{
    lua_pushfstring(L, format, first, second);
    return lua_error(L);
}

clouds_options *lc_options_from(lua_State *L, int index)
{
    clouds_options *options;
    luaL_checktype(L, index, LUA_TTABLE);
    luaL_checkstack(L, 8, NULL);
    int code = clouds_options_create(&options);
    if (code != 0) refuse(L, "%s", clouds_strerror(code), "");
    int top = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, index)) {
        code = set_option(L, options);
        if (code != 0) {
            bool cut = lua_type(L, -1) == LUA_TSTRING && strlen(lua_tostring(L, -1)) != lua_objlen(L, -1);
            bool described = lua_isnumber(L, -1) || lua_isstring(L, -1) || lua_isboolean(L, -1);
            clouds_options_destroy(options);
            if (cut) refuse(L, "option '%s' cannot have a NUL byte in its text", lua_tostring(L, top + 1), "");
            if (described) refuse(L, "%s", clouds_last_error(), "");
            lua_getglobal(L, "tostring");
            lua_pushvalue(L, top + 1);
            lua_call(L, 1, 1);
            refuse(L, "option '%s' cannot be a %s", lua_tostring(L, -1), luaL_typename(L, top + 2));
        }
        lua_pop(L, 1);
    }
    return options;
}

void lc_context_unref(lc_context *ctx)
{
    if (--ctx->refs > 0) return;
    lc_state *s = ctx->state;
    for (lc_context **at = &s->contexts; *at; at = &(*at)->next) {
        if (*at != ctx) continue;
        *at = ctx->next;
        break;
    }
    lc_request_drop_all(s, ctx);
    clouds_context_destroy(ctx->context);
    free(ctx);
}

/* Destroys the library's context. What still waits for it ends with an error. */
void lc_context_destroy(lua_State *L, lc_state *s, lc_context *ctx)
{
    if (!ctx->context) return;
    clouds_context *context = ctx->context;
    ctx->context = NULL;
    ctx->count = ctx->cursor = 0;
    clouds_context_destroy(context);
    lc_request_drop_all(s, ctx);
    lc_slot_fail_all(L, s, ctx, CLOUDS_ECLOSED);
}

/* context(options) -> context, its number; or nil and an error */
static int core_context(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_context **place = lua_newuserdata(L, sizeof *place);
    clouds_options *options = lc_options_from(L, 1);
    lc_context *ctx = calloc(1, sizeof *ctx);
    int code = ctx ? clouds_context_create(options, &ctx->context) : CLOUDS_ENOMEM;
    clouds_options_destroy(options);
    if (code != 0) {
        free(ctx);
        return lc_fail(L, s, code);
    }
    ctx->state = s;
    ctx->refs = 1;
    ctx->next = s->contexts;
    ctx->number = ++s->last_context;
    s->contexts = ctx;
    *place = ctx;
    luaL_getmetatable(L, "clouds.context");
    lua_setmetatable(L, -2);
    lua_pushnumber(L, ctx->number);
    return 2;
}

static int context_fd(lua_State *L)
{
    lc_context *ctx = lc_check_context(L, 1);
    int fd = clouds_fd(ctx->context);
    if (fd < 0) return luaL_error(L, "%s", clouds_strerror(fd));
    lua_pushinteger(L, fd);
    return 1;
}

enum { ROUNDS = 16 };

/* One batch. Returns the number of events, or the library's error. An error that Lua raises (for want of memory) leaves
 * the cursor where the next poll goes on. */
static int poll_once(lua_State *L, lc_state *s, lc_context *ctx, double timeout)
{
    if (ctx->cursor == ctx->count) {
        ctx->dirty = false;
        ctx->cursor = ctx->count = 0;
        int count = clouds_poll(ctx->context, ctx->events, sizeof ctx->events[0], LC_BATCH, timeout);
        if (count <= 0) return count;
        ctx->count = count;
    }
    int count = ctx->count;
    while (ctx->cursor < ctx->count) lc_dispatch(L, s, ctx, &ctx->events[ctx->cursor++]);
    return count;
}

static int poll_rounds(lua_State *L, lc_state *s, lc_context *ctx, double timeout)
{
    int total = 0;
    for (int round = 0; round < ROUNDS && ctx->context; round++) {
        int count = poll_once(L, s, ctx, round == 0 ? timeout : 0);
        if (count < 0) return total ? total : count;
        total += count;
        if (count < LC_BATCH && !ctx->dirty) break;
    }
    return total;
}

static int poll_protected(lua_State *L)
{
    lc_context *ctx = lua_touserdata(L, 1);
    lua_Number timeout = lua_tonumber(L, 2);
    lua_settop(L, 0);
    int total = poll_rounds(L, ctx->state, ctx, timeout);
    lc_request_send_owed(L, ctx->state);
    lua_pushinteger(L, total);
    return 1;
}

/* poll(timeout) -> the number of events dealt with; or nil and an error. Inside of an event it does nothing. */
static int context_poll(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_context *ctx = lc_check_context(L, 1);
    lua_Number timeout = luaL_optnumber(L, 2, 0);
    if (s->polling) {
        lua_pushinteger(L, 0);
        return 1;
    }
    s->polling = true;
    s->polled = ctx;
    s->poll_depth = s->depth;
    lua_pushcfunction(L, poll_protected);
    lua_pushlightuserdata(L, ctx);
    lua_pushnumber(L, timeout);
    int status = lua_pcall(L, 2, 1, 0);
    s->polling = false;
    s->polled = NULL;
    lc_slot_tidy(L, s);
    if (status != 0) return lua_error(L);
    int total = (int)lua_tointeger(L, -1);
    return total < 0 ? lc_fail(L, s, total) : 1;
}

/* state() -> whether a poll is wanted now, the number of things it is waited for, the number of open nodes */
static int context_state(lua_State *L)
{
    lc_context *ctx = context_of(L, 1);
    lua_pushboolean(L, ctx->context && (ctx->dirty || ctx->cursor < ctx->count));
    lua_pushinteger(L, ctx->waiting + ctx->serving);
    lua_pushinteger(L, ctx->nodes);
    return 3;
}

/* close(drain) -> true or nil and an error; the hook `event` is called with "context closed" */
static int context_close(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_context *ctx = lc_check_context(L, 1);
    ctx->dirty = true;
    int code = clouds_context_close(ctx->context, luaL_optnumber(L, 2, -1), NULL, NULL);
    return lc_true_or_fail(L, s, code);
}

static int context_destroy(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_context *ctx = context_of(L, 1);
    if (s->polling) return luaL_error(L, "a context cannot be destroyed inside of its events");
    lc_context_destroy(L, s, ctx);
    return 0;
}

/* choose(id of the event, server) -> true, or nil and an error; an empty server: there is none */
static int context_choose(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_context *ctx = lc_check_context(L, 1);
    size_t len;
    const char *server = luaL_checklstring(L, 3, &len);
    ctx->dirty = true;
    int code = clouds_choose(ctx->context, (uint64_t)luaL_checknumber(L, 2), server, len);
    return lc_true_or_fail(L, s, code);
}

/* attempt(call, ...): the attempt begins with these arguments -> true; or nil and an error */
static int context_attempt(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_context *ctx = lc_check_context(L, 1);
    uint64_t call = (uint64_t)luaL_checknumber(L, 2);
    s->out.len = 0;
    if (!lc_encode_values(L, &s->codec, 3, lua_gettop(L), &s->out, &s->bytes)) return lc_refuse(L, s, "arguments");
    ctx->dirty = true;
    const clouds_payload args = {.size = sizeof args,
                                 .json = s->out.data,
                                 .json_len = s->out.len,
                                 .bytes = lc_encoded_bytes(s).p,
                                 .bytes_len = lc_encoded_bytes(s).len};
    int code = clouds_attempt_payload(ctx->context, call, &args);
    lc_trim(s);
    return lc_true_or_fail(L, s, code);
}

/* cancel(call) -> true; or nil and an error: it has ended */
static int context_cancel(lua_State *L)
{
    lc_context *ctx = lc_check_context(L, 1);
    ctx->dirty = true;
    int code = clouds_cancel(ctx->context, (uint64_t)luaL_checknumber(L, 2));
    return lc_true_or_fail(L, lc_state_of(L), code);
}

/* counter(name) -> its value, or nil */
static int context_counter(lua_State *L)
{
    lc_context *ctx = lc_check_context(L, 1);
    uint64_t value;
    if (clouds_counter(ctx->context, luaL_checkstring(L, 2), 0, NULL, &value) != 0) return 0;
    lua_pushnumber(L, (lua_Number)value);
    return 1;
}

/* counters() -> a table of all */
static int context_counters(lua_State *L)
{
    lc_context *ctx = lc_check_context(L, 1);
    const char *name;
    uint64_t value;
    lua_newtable(L);
    for (uint32_t i = 0; clouds_counter(ctx->context, NULL, i, &name, &value) == 0; i++) {
        lua_pushnumber(L, (lua_Number)value);
        lua_setfield(L, -2, name);
    }
    return 1;
}

static int context_collect(lua_State *L)
{
    if (!lc_state_of(L)->closed) lc_context_unref(*(lc_context **)lua_touserdata(L, 1));
    return 0;
}

void lc_context_add(lua_State *L, lc_state *s)
{
    static const luaL_Reg functions[] = {{"context", core_context}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{"fd", context_fd},
                                       {"poll", context_poll},
                                       {"state", context_state},
                                       {"close", context_close},
                                       {"destroy", context_destroy},
                                       {"choose", context_choose},
                                       {"attempt", context_attempt},
                                       {"cancel", context_cancel},
                                       {"counter", context_counter},
                                       {"counters", context_counters},
                                       {NULL, NULL}};
    lc_add_type(L, s, "clouds.context", methods, context_collect);
    lc_add_functions(L, s, functions);
}
