/* The texts of a request: its method, its caller, and what came along with the call. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void lc_request_keep_text(lc_request *request, const clouds_event *event)
{
    size_t need = event->method_len + event->peer_len + event->meta_len;
    request->method_len = request->peer_len = request->meta_len = 0;
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
    if (event->meta_len) memcpy(request->text + event->method_len + event->peer_len, event->meta, event->meta_len);
    request->meta_len = event->meta_len;
}

const char *lc_request_meta(const lc_request *request)
{
    return request->meta_len ? request->text + request->method_len + request->peer_len : NULL;
}

/* The text is copied first, as a finaliser may end the request while the table is made. */
void lc_request_push_meta(lua_State *L, lc_state *s, const lc_request *request)
{
    int top = lua_gettop(L);
    if (request->meta_len) {
        size_t n;
        lua_pushlstring(L, lc_request_meta(request), request->meta_len);
        const char *meta = lua_tolstring(L, -1, &n);
        if (lc_decode_value(L, &s->codec, meta, n, (lc_area){0})) {
            lua_remove(L, top + 1);
            return;
        }
    }
    lua_settop(L, top);
    lua_newtable(L);
}

void lc_request_push_facts(lua_State *L, lc_state *s, const lc_request *request)
{
    char id[24], trace[33];
    snprintf(id, sizeof id, "%llu", (unsigned long long)request->id);
    clouds_trace_id(lc_request_meta(request), request->meta_len, trace);
    lua_createtable(L, 0, 5);
    lua_pushstring(L, id);
    lua_setfield(L, -2, "id");
    lua_pushstring(L, trace);
    lua_setfield(L, -2, "trace");
    lua_pushlstring(L, request->text ? request->text : "", request->method_len);
    lua_setfield(L, -2, "method");
    lua_pushlstring(L, request->text ? request->text + request->method_len : "", request->peer_len);
    lua_setfield(L, -2, "caller");
    lc_request_push_meta(L, s, request);
    lua_setfield(L, -2, "meta");
}
