/* Inbound requests: kept until answered, and what a handler sees of them (clouds.request()). */
#include <stdlib.h>

#include "state.h"

cl_handle cl_request_handle(const cl_state *s, const cl_request *request)
{
    return (cl_handle)request->generation * CL_HANDLE_SPAN + (cl_handle)(request - s->requests);
}

cl_request *cl_request_find(cl_state *s, cl_handle handle)
{
    uint32_t index = (uint32_t)(handle % CL_HANDLE_SPAN);
    if (handle == 0 || index >= s->request_count) return NULL;
    cl_request *request = &s->requests[index];
    return request->used && request->generation == handle / CL_HANDLE_SPAN ? request : NULL;
}

static cl_request *new_place(lua_State *L, cl_state *s)
{
    if (s->request_free != UINT32_MAX) {
        cl_request *request = &s->requests[s->request_free];
        s->request_free = request->next_free;
        return request;
    }
    if (s->request_count == s->request_room) {
        uint32_t room = s->request_room ? s->request_room * 2 : 64;
        cl_request *grown = room <= CL_HANDLE_SPAN ? realloc(s->requests, room * sizeof *grown) : NULL;
        if (!grown) luaL_error(L, "too many requests at a time");
        s->requests = grown;
        s->request_room = room;
    }
    cl_request *request = &s->requests[s->request_count++];
    memset(request, 0, sizeof *request);
    return request;
}

static void keep_text(cl_request *request, const clouds_event *event)
{
    size_t need = event->method_len + event->peer_len;
    request->method_len = request->peer_len = 0;
    if (need > request->room) {
        char *text = realloc(request->text, need + 32);
        if (!text) return;
        request->text = text;
        request->room = need + 32;
    }
    memcpy(request->text, event->method, event->method_len);
    memcpy(request->text + event->method_len, event->peer, event->peer_len);
    request->method_len = event->method_len;
    request->peer_len = event->peer_len;
}

cl_request *cl_request_new(lua_State *L, cl_state *s, cl_ctx *ctx, const clouds_event *event)
{
    cl_request *request = new_place(L, s);
    if (++request->generation == 0) request->generation = 1;
    request->used = true;
    request->detached = false;
    request->holders = 0;
    request->ctx = ctx;
    request->id = event->id;
    request->arrived = s->now;
    request->time_left = event->time_left;
    keep_text(request, event);
    return request;
}

void cl_request_release(cl_state *s, cl_request *request)
{
    if (request->room > 4096) {
        free(request->text);
        request->text = NULL;
        request->room = 0;
    }
    request->used = false;
    request->next_free = s->request_free;
    s->request_free = (uint32_t)(request - s->requests);
}

/* Not through s->out: whoever allocates while encoding may run the finaliser that comes here. */
static void forget(cl_state *s, cl_request *request)
{
    static const char stopped[] = "{\"message\":\"the handler stopped without an answer\"}";
    static const char forgotten[] = "{\"message\":\"the request was forgotten\"}";
    const char *text = request->detached ? forgotten : stopped;
    request->ctx->dirty = true;
    clouds_fail(request->ctx->context, request->id, text, strlen(text), NULL, 0);
    cl_request_release(s, request);
}

void cl_request_hold(cl_state *s, cl_handle handle)
{
    cl_request *request = cl_request_find(s, handle);
    if (request) request->holders++;
}

void cl_request_let(cl_state *s, cl_handle handle)
{
    cl_request *request = cl_request_find(s, handle);
    if (request && --request->holders == 0) forget(s, request);
}

void cl_request_drop_all(cl_state *s, const cl_ctx *ctx)
{
    for (uint32_t i = 0; i < s->request_count; i++)
        if (s->requests[i].used && s->requests[i].ctx == ctx) cl_request_release(s, &s->requests[i]);
}

/* Sends s->out (error) and s->out2 (values, may be empty). */
static int send_failure(cl_state *s, cl_request *request)
{
    static const char plain[] = "{\"message\":\"out of memory\"}";
    bool worded = s->out.len > 0;
    request->ctx->dirty = true;
    return clouds_fail(request->ctx->context, request->id, worded ? s->out.data : plain,
                       worded ? s->out.len : sizeof plain - 1, s->out2.len ? s->out2.data : NULL, s->out2.len);
}

/* Pushes what an error is reported as. */
static const char *push_place(lua_State *L, const cl_request *request)
{
    lua_pushliteral(L, "handler of '");
    lua_pushlstring(L, request->text ? request->text : "", request->method_len);
    lua_pushliteral(L, "'");
    lua_concat(L, 3);
    return lua_tostring(L, -1);
}

/* What cannot be sent as it is must still be an answer: its caller waits. */
static void fail_with(lua_State *L, cl_state *s, cl_request *request, const char *format, const char *what)
{
    const char *place = push_place(L, request);
    lua_pushfstring(L, format, what);
    cl_request_fail(L, s, request, lua_gettop(L));
    cl_report(L, s, place);
    lua_pop(L, 1);
}

void cl_request_fail(lua_State *L, cl_state *s, cl_request *request, int index)
{
    cl_encode_error(L, s, index);
    int code = send_failure(s, request);
    if (code == CLOUDS_EJSON || code == CLOUDS_EINVAL) {
        s->out.len = s->out2.len = 0;
        cl_text_add(&s->out, "{\"message\":\"the error could not be sent\"}", 40);
        send_failure(s, request);
    }
    cl_text_trim(&s->out);
    cl_text_trim(&s->out2);
    cl_request_release(s, request);
}

void cl_request_reply(lua_State *L, cl_state *s, cl_request *request, int first, int last)
{
    s->out.len = 0;
    if (!cl_encode_values(L, &s->codec, first, last, &s->out)) {
        fail_with(L, s, request, "the result cannot be sent: %s", s->codec.error);
        return;
    }
    request->ctx->dirty = true;
    int code = clouds_reply(request->ctx->context, request->id, s->out.data, s->out.len);
    if (s->out.cap > 1 << 20) cl_text_trim(&s->out);
    if (code == CLOUDS_EJSON) {
        fail_with(L, s, request, "the result cannot be sent: %s", clouds_last_error());
        return;
    }
    cl_request_release(s, request);
}

static bool is_pending(lua_State *L, cl_state *s)
{
    return lua_gettop(L) == 2 && lua_touserdata(L, 2) == s->pending && s->pending;
}

void cl_request_end(lua_State *L, cl_state *s, cl_handle scope, bool ok)
{
    cl_request *request = cl_request_find(s, scope);
    if (!ok) {
        lua_settop(L, 2);
        const char *place = request ? push_place(L, request) : "handler";
        if (request) cl_request_fail(L, s, request, 2);
        if (lua_isstring(L, 2)) {
            lua_pushvalue(L, 2);
            cl_report(L, s, place);
        }
        return;
    }
    if (!request) return;
    if (is_pending(L, s)) request->detached = true;
    if (!request->detached) cl_request_reply(L, s, request, 2, lua_gettop(L));
}

/* ---- clouds.request(): a userdata that holds the handle ---- */

static cl_request *check_request(lua_State *L, cl_state *s, int index)
{
    return cl_request_find(s, *(cl_handle *)luaL_checkudata(L, index, "clouds.request"));
}

/* Called as request:f(...) and as request.f(...): the arguments behind the request; their number. */
static cl_request *strip_self(lua_State *L, cl_state *s)
{
    if (lua_gettop(L) > 0 && lua_rawequal(L, 1, lua_upvalueindex(2))) lua_remove(L, 1);
    return check_request(L, s, lua_upvalueindex(2));
}

/* request.reply(...) -> true, or nil and the error: it was answered before, or nobody waits for it any more */
static int request_reply(lua_State *L)
{
    cl_state *s = cl_state_of(L);
    cl_request *request = strip_self(L, s);
    if (!request) return lua_pushnil(L), cl_push_error(L, s, CLOUDS_ESTALE, "the request is answered"), 2;
    cl_request_reply(L, s, request, 1, lua_gettop(L));
    lua_pushboolean(L, 1);
    return 1;
}

/* request.fail(error, ...) -> as reply */
static int request_fail(lua_State *L)
{
    cl_state *s = cl_state_of(L);
    cl_request *request = strip_self(L, s);
    luaL_checkany(L, 1);
    if (!request) return lua_pushnil(L), cl_push_error(L, s, CLOUDS_ESTALE, "the request is answered"), 2;
    cl_encode_error(L, s, 1);
    if (lua_gettop(L) > 1) {
        s->out2.len = 0;
        if (!cl_encode_values(L, &s->codec, 2, lua_gettop(L), &s->out2)) return luaL_error(L, "%s", s->codec.error);
    }
    send_failure(s, request);
    cl_request_release(s, request);
    lua_pushboolean(L, 1);
    return 1;
}

/* request.detach(): the handler's return is no answer; reply or fail will be. Gives the request back. */
static int request_detach(lua_State *L)
{
    cl_request *request = strip_self(L, cl_state_of(L));
    if (request) request->detached = true;
    lua_pushvalue(L, lua_upvalueindex(2));
    return 1;
}

/* request.time_left() -> seconds, or nil when the caller did not say */
static int request_time_left(lua_State *L)
{
    cl_request *request = strip_self(L, cl_state_of(L));
    if (!request || request->time_left < 0) return 0;
    double left = request->time_left - (cl_clock() - request->arrived);
    lua_pushnumber(L, left > 0 ? left : 0);
    return 1;
}

/* request.open() -> whether it still can be answered */
static int request_open(lua_State *L)
{
    lua_pushboolean(L, strip_self(L, cl_state_of(L)) != NULL);
    return 1;
}

/* The functions are bound to their request, so that request.reply can be handed on as it is. Caller and method are kept
 * in the request's environment, since they outlive the answer. */
static int request_index(lua_State *L)
{
    static const luaL_Reg functions[] = {{"reply", request_reply},
                                         {"fail", request_fail},
                                         {"detach", request_detach},
                                         {"time_left", request_time_left},
                                         {"open", request_open}};
    const char *key = luaL_checkstring(L, 2);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (strcmp(key, functions[i].name) != 0) continue;
        lua_pushvalue(L, lua_upvalueindex(1));
        lua_pushvalue(L, 1);
        lua_pushcclosure(L, functions[i].func, 2);
        return 1;
    }
    lua_getfenv(L, 1);
    lua_pushvalue(L, 2);
    lua_rawget(L, -2);
    return 1;
}

static int request_collect(lua_State *L)
{
    cl_state *s = cl_state_of(L);
    if (!s->closed) cl_request_let(s, *(cl_handle *)lua_touserdata(L, 1));
    return 0;
}

/* request() -> the request on whose behalf this code runs, or nil */
static int core_request(lua_State *L)
{
    cl_state *s = cl_state_of(L);
    cl_handle scope = cl_scope_of(L, s);
    cl_request *request = cl_request_find(s, scope);
    if (!request) return 0;
    *(cl_handle *)lua_newuserdata(L, sizeof(cl_handle)) = scope;
    luaL_getmetatable(L, "clouds.request");
    lua_setmetatable(L, -2);
    request->holders++;
    lua_createtable(L, 0, 2);
    lua_pushlstring(L, request->text ? request->text : "", request->method_len);
    lua_setfield(L, -2, "method");
    lua_pushlstring(L, request->text ? request->text + request->method_len : "", request->peer_len);
    lua_setfield(L, -2, "caller");
    lua_setfenv(L, -2);
    return 1;
}

void cl_request_add(lua_State *L, cl_state *s)
{
    static const luaL_Reg functions[] = {{"request", core_request}, {NULL, NULL}};
    static const luaL_Reg none[] = {{NULL, NULL}};
    cl_add_type(L, s, "clouds.request", none, request_collect);
    luaL_getmetatable(L, "clouds.request");
    lua_pushlightuserdata(L, s);
    lua_pushcclosure(L, request_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    cl_add_functions(L, s, functions);
}
