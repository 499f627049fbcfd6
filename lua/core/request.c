/* Inbound requests: kept until answered, and what a handler sees of them (clouds.request()). */
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"

lc_handle lc_request_handle(const lc_state *s, const lc_request *request)
{
    return (lc_handle)request->generation * LC_HANDLE_SPAN + (lc_handle)(request - s->requests);
}

lc_request *lc_request_find(lc_state *s, lc_handle handle)
{
    if (s->span_count) handle = lc_span_root(s, handle);
    uint32_t index = (uint32_t)(handle % LC_HANDLE_SPAN);
    if (handle == 0 || index >= s->request_count) return NULL;
    lc_request *request = &s->requests[index];
    return request->used && request->generation == handle / LC_HANDLE_SPAN ? request : NULL;
}

static lc_request *new_place(lua_State *L, lc_state *s)
{
    if (s->request_free != UINT32_MAX) {
        lc_request *request = &s->requests[s->request_free];
        s->request_free = request->next_free;
        return request;
    }
    if (s->request_count == s->request_room) {
        uint32_t room = s->request_room ? s->request_room * 2 : 64;
        lc_request *grown = room <= LC_HANDLE_SPAN / 2 ? realloc(s->requests, room * sizeof *grown) : NULL;
        if (!grown) luaL_error(L, "too many requests at a time");
        s->requests = grown;
        s->request_room = room;
    }
    lc_request *request = &s->requests[s->request_count++];
    memset(request, 0, sizeof *request);
    return request;
}

lc_request *lc_request_new(lua_State *L, lc_state *s, lc_context *ctx, const clouds_event *event)
{
    lc_request *request = new_place(L, s);
    if (++request->generation == 0) request->generation = 1;
    request->used = true;
    s->requests_begun++;
    s->requests_open++;
    request->detached = request->canceled = request->owes = false;
    request->holders = 0;
    request->ctx = ctx;
    request->id = event->id;
    request->node = (int)event->user_data;
    request->due = (double)event->number / 1000;
    lc_request_keep_text(request, event);
    return request;
}

void lc_request_release(lc_state *s, lc_request *request)
{
    if (request->owes) {
        lc_text_free(&request->owed);
        lc_text_free(&request->owed_values);
        lc_text_free(&request->owed_bytes);
        request->owes = false;
        s->owing--;
    }
    if (request->room > 4096) {
        free(request->text);
        request->text = NULL;
        request->room = request->method_len = request->peer_len = request->meta_len = 0;
    }
    request->used = false;
    s->requests_open--;
    request->next_free = s->request_free;
    s->request_free = (uint32_t)(request - s->requests);
}

/* There was no room for the answer: it can be tried again. All else that an answer is refused for is final. */
static bool is_open_after(int code)
{
    return code == CLOUDS_ELIMIT || code == CLOUDS_ENOMEM;
}

static int send_values(const lc_request *request, const lc_text *text, const lc_text *bytes)
{
    const clouds_payload values = {.size = sizeof values,
                                   .json = text->data,
                                   .json_len = text->len,
                                   .bytes = bytes->data,
                                   .bytes_len = bytes->len};
    if (!bytes->len) return clouds_reply(request->ctx->context, request->id, text->data, text->len);
    return clouds_reply_payload(request->ctx->context, request->id, &values);
}

/* Sends an answer, or what is said where there is none. `more`: the values of an error, the bytes of a result. */
static int send_answer(lc_state *s, const lc_request *request, bool is_error, const lc_text *text, const lc_text *more)
{
    static const char stopped[] = "{\"message\":\"the handler stopped without an answer\"}";
    static const char forgotten[] = "{\"message\":\"the request was forgotten\"}";
    clouds_context *context = request->ctx->context;
    int code;
    request->ctx->dirty = true;
    if (text->len == 0) {
        const char *words = request->detached ? forgotten : stopped;
        code = clouds_fail(context, request->id, words, strlen(words), NULL, 0);
    } else if (is_error) {
        code = clouds_fail(context, request->id, text->data, text->len, more->len ? more->data : NULL, more->len);
    } else {
        return send_values(request, text, more);
    }
    if (code == 0) s->requests_failed++;
    return code;
}

/* Not through s->out: whoever allocates while encoding may run the finaliser that comes here. */
static void fail_unanswered(lc_state *s, lc_request *request)
{
    static const lc_text nothing;
    if (!is_open_after(send_answer(s, request, true, &nothing, &nothing))) {
        lc_request_release(s, request);
        return;
    }
    request->owes = true;
    s->owing++;
}

void lc_request_hold(lc_state *s, lc_handle handle)
{
    lc_request *request = lc_span_hold(s, handle) ? NULL : lc_request_find(s, handle);
    if (request) request->holders++;
}

void lc_request_drop(lc_state *s, lc_handle handle)
{
    lc_request *request = lc_span_drop(s, handle) ? NULL : lc_request_find(s, handle);
    if (request && --request->holders == 0 && !request->owes) fail_unanswered(s, request);
}

void lc_request_drop_all(lc_state *s, const lc_context *ctx)
{
    for (uint32_t i = 0; i < s->request_count; i++)
        if (s->requests[i].used && s->requests[i].ctx == ctx) lc_request_release(s, &s->requests[i]);
}

/* Pushes what an error of its handler is reported as, and what more there is to say about it, also of one that was just
 * answered. What allocates may run finalisers, which may do anything with requests: its texts are copied first. */
static void push_about(lua_State *L, lc_state *s, lc_handle handle)
{
    handle = lc_span_root(s, handle);
    uint32_t index = (uint32_t)(handle % LC_HANDLE_SPAN);
    size_t room = s->requests[index].method_len + s->requests[index].peer_len, method = 0, peer = 0;
    char id[24] = "", trace[33] = "", *text = lua_newuserdata(L, room + 1);
    const lc_request *request = &s->requests[index];
    if (request->generation == handle / LC_HANDLE_SPAN && request->method_len + request->peer_len == room) {
        method = request->method_len;
        peer = request->peer_len;
        if (room) memcpy(text, request->text, room);
        snprintf(id, sizeof id, "%llu", (unsigned long long)request->id);
        clouds_trace_id(lc_request_meta(request), request->meta_len, trace);
    }
    lua_pushliteral(L, "handler of '");
    lua_pushlstring(L, text, method);
    lua_pushliteral(L, "'");
    lua_concat(L, 3);
    lua_createtable(L, 0, 4);
    if (*trace) {
        lua_pushstring(L, trace);
        lua_setfield(L, -2, "trace");
    }
    lua_pushlstring(L, text, method);
    lua_setfield(L, -2, "method");
    lua_pushlstring(L, text + method, peer);
    lua_setfield(L, -2, "caller");
    lua_pushstring(L, id);
    lua_setfield(L, -2, "request");
    lua_remove(L, -3);
}

/* What became of an answer, which is s->out (and s->out2, of an error; s->bytes, of a result). Nothing allocates
 * between that and this, so that no finaliser comes between. keep: it is sent again once there is room, see
 * lc_request_send_owed. */
static int sent(lc_state *s, lc_request *request, int code, bool is_error, bool keep)
{
    if (!is_open_after(code)) {
        lc_request_release(s, request);
    } else if (keep) {
        request->owes = true;
        request->owes_error = is_error;
        request->owed = s->out;
        request->owed_values = s->out2;
        request->owed_bytes = s->bytes;
        s->out = s->out2 = s->bytes = (lc_text){0};
        s->owing++;
    }
    return code;
}

/* Sends s->out (error) and s->out2 (values, may be empty). Released unless it can be tried again. */
static int fail_encoded(lc_state *s, lc_request *request, bool keep)
{
    static char no_memory[] = "{\"message\":\"out of memory\"}",
                plain[] = "{\"message\":\"the error could not be sent\"}";
    const lc_text none = {0}, short_of_memory = {no_memory, sizeof no_memory - 1, 0},
                  words = {plain, sizeof plain - 1, 0};
    int code = send_answer(s, request, true, s->out.len ? &s->out : &short_of_memory, &s->out2);
    if (code == CLOUDS_EJSON || code == CLOUDS_EINVAL) {
        s->out.len = s->out2.len = 0;
        lc_text_add(&s->out, plain, sizeof plain - 1);
        code = send_answer(s, request, true, &words, &none);
    }
    return sent(s, request, code, true, keep);
}

/* The words of the error may be a function of the program's, which may do anything with the request: CLOUDS_ESTALE when
 * it is answered by then. */
static int fail_with(lua_State *L, lc_state *s, lc_handle handle, int index, bool keep)
{
    lc_encode_error(L, s, index);
    lc_request *request = lc_request_find(s, handle);
    return request ? fail_encoded(s, request, keep) : CLOUDS_ESTALE;
}

/* What cannot be sent as it is must still be an answer: its caller waits. Pushes the error that says why. */
static int fail_unsendable(lua_State *L, lc_state *s, lc_handle handle, const char *why, bool keep)
{
    lua_pushfstring(L, "the result cannot be sent: %s", why);
    lc_push_error(L, s, CLOUDS_EJSON, lua_tostring(L, -1));
    lua_insert(L, -2);
    int code = fail_with(L, s, handle, lua_gettop(L), keep);
    lua_pop(L, 1);
    return is_open_after(code) ? code : CLOUDS_EJSON;
}

/* Answers with the values first .. last of the stack; a failed call (nil and one of our errors) is handed on. 0; or the
 * library's error, and pushes it. Released unless it can be tried again, which `keep` leaves to this file. */
static int reply(lua_State *L, lc_state *s, lc_handle handle, int first, int last, bool keep)
{
    int code;
    s->out.len = s->out2.len = 0;
    if (lc_is_failure(L, s, first, last - first + 1)) {
        code = fail_with(L, s, handle, last, keep);
    } else if (!lc_encode_values(L, &s->codec, first, last, &s->out, &s->bytes)) {
        return fail_unsendable(L, s, handle, s->codec.error, keep);
    } else {
        lc_request *request = lc_request_find(s, handle);
        code = request ? send_answer(s, request, false, &s->out, &s->bytes) : CLOUDS_ESTALE;
        if (code == CLOUDS_EJSON) return fail_unsendable(L, s, handle, clouds_last_error(), keep);
        if (request) sent(s, request, code, false, keep);
    }
    if (code != 0) lc_push_last_error(L, s, code);
    return code;
}

/* ---- answers that found no room ---- */

/* resend() -> whether nothing is left to be sent again. Nothing here runs Lua. */
static int core_resend(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    for (uint32_t i = 0; i < s->request_count && s->owing; i++) {
        lc_request *request = &s->requests[i];
        if (!request->used || !request->owes) continue;
        const lc_text *more = request->owes_error ? &request->owed_values : &request->owed_bytes;
        int code = send_answer(s, request, request->owes_error, &request->owed, more);
        if (!is_open_after(code)) lc_request_release(s, request);
    }
    s->resending = s->owing > 0;
    lua_pushboolean(L, !s->resending);
    return 1;
}

void lc_request_send_owed(lua_State *L, lc_state *s)
{
    if (s->owing == 0 || s->resending) return;
    lc_push_hook(L, s, "resend");
    lua_call(L, 0, 0);
    s->resending = true;
}

/* ---- the end of a handler ---- */

/* Reports the error at `index`, of the request whose place and details are at `place`. */
static void report_at(lua_State *L, lc_state *s, int index, int place)
{
    lua_pushvalue(L, index);
    lua_pushvalue(L, place);
    lua_pushvalue(L, place + 1);
    lc_report_about(L, s);
}

void lc_request_fail(lua_State *L, lc_state *s, lc_handle handle, int index)
{
    int place = lua_gettop(L) + 1;
    luaL_checkstack(L, 16, NULL);
    push_about(L, s, handle);
    fail_with(L, s, handle, index, true);
    lc_trim(s);
    report_at(L, s, index, place);
    lua_settop(L, place - 1);
}

static void end_with_values(lua_State *L, lc_state *s, lc_handle handle)
{
    int last = lua_gettop(L);
    if (lc_is_failure(L, s, 2, last - 1)) {
        lc_request_fail(L, s, handle, last);
        return;
    }
    luaL_checkstack(L, 16, NULL);
    int code = reply(L, s, handle, 2, last, true);
    if (code == 0) {
        lc_trim_large(s);
        return;
    }
    if (!is_open_after(code) && code != CLOUDS_ESTALE) {
        int problem = lua_gettop(L);
        push_about(L, s, handle);
        report_at(L, s, problem, problem + 1);
    }
    lc_trim(s);
}

static bool is_pending(lua_State *L, lc_state *s)
{
    return lua_gettop(L) == 2 && lua_touserdata(L, 2) == s->pending && s->pending;
}

void lc_request_end(lua_State *L, lc_state *s, lc_handle scope, bool ok)
{
    lc_request *request = lc_request_find(s, scope);
    if (!ok) {
        lua_settop(L, 2);
        if (request) lc_request_fail(L, s, scope, 2);
        else lc_report(L, s, "handler");
        return;
    }
    if (!request) return;
    if (is_pending(L, s)) request->detached = true;
    if (!request->detached) end_with_values(L, s, scope);
}

/* ---- clouds.request(): a userdata that holds the handle ---- */

static lc_request *check_request(lua_State *L, lc_state *s, int index)
{
    return lc_request_find(s, *(lc_handle *)luaL_checkudata(L, index, "clouds.request"));
}

/* Called as request:f(...) and as request.f(...): the arguments behind the request; their number. */
lc_request *lc_request_strip_self(lua_State *L, lc_state *s)
{
    if (lua_gettop(L) > 0 && lua_rawequal(L, 1, lua_upvalueindex(2))) lua_remove(L, 1);
    return check_request(L, s, lua_upvalueindex(2));
}

static int answered(lua_State *L, lc_state *s)
{
    lua_pushnil(L);
    lc_push_error(L, s, CLOUDS_ESTALE, "the request is answered, or its time is over");
    return 2;
}

/* true; or nil and the error at the top. */
static int outcome(lua_State *L, int code)
{
    if (code == 0) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

/* request.reply(...) -> true, or nil and the error: it was answered before, or nobody waits for it any more */
static int request_reply(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_request *request = lc_request_strip_self(L, s);
    if (!request) return answered(L, s);
    int code = reply(L, s, lc_request_handle(s, request), 1, lua_gettop(L), false);
    lc_trim(s);
    return outcome(L, code);
}

/* request.fail(error, ...) -> as reply */
static int request_fail(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_request *request = lc_request_strip_self(L, s);
    luaL_checkany(L, 1);
    if (!request) return answered(L, s);
    lc_handle handle = lc_request_handle(s, request);
    lc_encode_error(L, s, 1);
    if (lua_gettop(L) > 1) {
        s->out2.len = 0;
        if (!lc_encode_values(L, &s->codec, 2, lua_gettop(L), &s->out2, NULL)) return lc_refuse(L, s, "values");
    }
    request = lc_request_find(s, handle);
    if (!request) return answered(L, s);
    int code = fail_encoded(s, request, false);
    if (code != 0) lc_push_last_error(L, s, code);
    lc_trim(s);
    return outcome(L, code);
}

/* request.detach(): the handler's return is no answer; reply or fail will be. Gives the request back. */
static int request_detach(lua_State *L)
{
    lc_request *request = lc_request_strip_self(L, lc_state_of(L));
    if (request) request->detached = true;
    lua_pushvalue(L, lua_upvalueindex(2));
    return 1;
}

/* request.time_left() -> seconds, or nil when the caller did not say */
static int request_time_left(lua_State *L)
{
    lc_request *request = lc_request_strip_self(L, lc_state_of(L));
    if (!request || !request->due) return 0;
    double left = request->due - lc_clock();
    lua_pushnumber(L, left > 0 ? left : 0);
    return 1;
}

/* request.open() -> whether it still can be answered: it was not, and its time is not over */
static int request_open(lua_State *L)
{
    lc_request *request = lc_request_strip_self(L, lc_state_of(L));
    lua_pushboolean(L, request && clouds_request_open(request->ctx->context, request->id) > 0);
    return 1;
}

/* The functions are bound to their request, so that request.reply can be handed on as it is. Caller and method are kept
 * in the request's environment, since they outlive the answer. */
static int request_index(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"reply", request_reply},           {"fail", request_fail}, {"detach", request_detach},
        {"time_left", request_time_left},   {"open", request_open}, {"canceled", lc_request_canceled},
        {"on_cancel", lc_request_on_cancel}};
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
    lc_state *s = lc_state_of(L);
    if (!s->closed) lc_request_drop(s, *(lc_handle *)lua_touserdata(L, 1));
    return 0;
}

/* request() -> the request on whose behalf this code runs, or nil */
static int core_request(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_handle scope = lc_span_root(s, lc_scope_of(L, s));
    lc_request *request = lc_request_find(s, scope);
    if (!request) return 0;
    *(lc_handle *)lua_newuserdata(L, sizeof(lc_handle)) = scope;
    luaL_getmetatable(L, "clouds.request");
    lua_setmetatable(L, -2);
    request->holders++;
    lc_request_push_facts(L, s, request);
    lua_setfenv(L, -2);
    return 1;
}

/* serving(number) -> whether this code runs on behalf of an unanswered request of the node of that number */
static int core_serving(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_request *request = lc_request_find(s, lc_scope_of(L, s));
    lua_pushboolean(L, request && !request->detached && request->node == (int)luaL_checknumber(L, 1));
    return 1;
}

void lc_request_add(lua_State *L, lc_state *s)
{
    static const luaL_Reg functions[] = {
        {"request", core_request}, {"resend", core_resend}, {"serving", core_serving}, {NULL, NULL}};
    static const luaL_Reg none[] = {{NULL, NULL}};
    lc_add_type(L, s, "clouds.request", none, request_collect);
    luaL_getmetatable(L, "clouds.request");
    lua_pushlightuserdata(L, s);
    lua_pushcclosure(L, request_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    lc_add_functions(L, s, functions);
    lc_request_cancel_open(L, s);
}
