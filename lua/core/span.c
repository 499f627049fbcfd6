/* Spans of the program's own, and the trace that the running code is in.
 *
 * Design note. A span is a scope inside of another: what runs in it acts on behalf of the same request, its calls are in
 * the span, and whatever inherits a scope (coroutines, callbacks, waits) inherits the span. Their handles are told from
 * those of requests by their indices. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum { FIRST = LC_HANDLE_SPAN / 2, MOST = LC_HANDLE_SPAN - 1 - FIRST };

struct lc_span {
    uint32_t generation, next_free;
    int holders; /* code that runs or waits in it, and the span that the module in Lua has; 0: free */
    lc_handle outer;
    bool is_handed_on; /* the text is a meta that came, where nothing is recorded: no span ends */
    char *text;        /* else of clouds_span_begin */
    size_t text_len;
};

static lc_span *find(const lc_state *s, lc_handle handle)
{
    uint32_t index = (uint32_t)(handle % LC_HANDLE_SPAN);
    if (index < FIRST || index - FIRST >= s->span_count) return NULL;
    lc_span *span = &s->spans[index - FIRST];
    return span->holders && span->generation == handle / LC_HANDLE_SPAN ? span : NULL;
}

static lc_handle handle_of(const lc_state *s, const lc_span *span)
{
    return (lc_handle)span->generation * LC_HANDLE_SPAN + FIRST + (lc_handle)(span - s->spans);
}

lc_handle lc_span_root(const lc_state *s, lc_handle scope)
{
    for (const lc_span *span; (span = find(s, scope));) scope = span->outer;
    return scope;
}

bool lc_span_hold(lc_state *s, lc_handle scope)
{
    lc_span *span = find(s, scope);
    if (span) span->holders++;
    return span != NULL;
}

bool lc_span_drop(lc_state *s, lc_handle scope)
{
    lc_span *span = find(s, scope);
    if (!span || --span->holders) return span != NULL;
    lc_handle outer = span->outer;
    free(span->text);
    span->text = NULL;
    span->next_free = s->span_free;
    s->span_free = (uint32_t)(span - s->spans);
    lc_request_drop(s, outer);
    return true;
}

const char *lc_span_text(const lc_state *s, lc_handle scope, size_t *len)
{
    const lc_span *span = find(s, scope);
    *len = span ? span->text_len : 0;
    return span ? span->text : NULL;
}

const char *lc_span_meta(lc_state *s, lc_handle scope, size_t *len)
{
    const char *text = lc_span_text(s, scope, len);
    const lc_request *request = text ? NULL : lc_request_find(s, scope);
    if (!request) return text;
    *len = request->meta_len;
    return lc_request_meta(request);
}

/* A place for one more; NULL: there is none. */
static lc_span *new_place(lc_state *s)
{
    if (s->span_free != UINT32_MAX) {
        lc_span *span = &s->spans[s->span_free];
        s->span_free = span->next_free;
        return span;
    }
    if (s->span_count == s->span_room) {
        uint32_t room = s->span_room ? s->span_room * 2 : 16;
        lc_span *grown = room <= MOST ? realloc(s->spans, room * sizeof *grown) : NULL;
        if (!grown) return NULL;
        s->spans = grown;
        s->span_room = room;
    }
    lc_span *span = &s->spans[s->span_count++];
    *span = (lc_span){0};
    return span;
}

/* Takes the text. */
static lc_span *span_new(lc_state *s, lc_handle outer, char *text, size_t text_len)
{
    lc_span *span = new_place(s);
    if (!span) return NULL;
    if (++span->generation == 0) span->generation = 1;
    span->holders = 1;
    span->outer = outer;
    span->text = text;
    span->text_len = text_len;
    lc_request_hold(s, outer);
    return span;
}

/* The running code is in this scope from now on. */
static void enter(lua_State *L, lc_state *s, lc_handle scope)
{
    lc_task *task = lc_task_of(L, s);
    if (task) {
        lc_handle before = task->scope;
        lc_request_hold(s, scope);
        task->scope = scope;
        if (before) lc_request_drop(s, before);
    }
    s->scope = scope;
}

/* The text of a span in the trace of a meta, to be freed; NULL: none is recorded there. */
static char *begin_in(lc_node *node, const char *meta, size_t meta_len, size_t *len)
{
    char *text = node->node ? malloc(meta_len + CLOUDS_SPAN_MORE) : NULL;
    int n = text ? clouds_span_begin(node->node, meta, meta_len, text, meta_len + CLOUDS_SPAN_MORE) : 0;
    *len = n > 0 ? (size_t)n : 0;
    if (n > 0) return text;
    free(text);
    return NULL;
}

static char *copy(const char *meta, size_t meta_len)
{
    char *text = malloc(meta_len);
    return text ? memcpy(text, meta, meta_len) : NULL;
}

/* span_begin(node, meta) -> a span, which the running code is in; nil: nothing is recorded there. In the trace of the
 * meta, a JSON text, of what came, or without one (nil) of the running code. */
static int span_begin(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_node *node = lc_check_node(L, 1);
    lua_settop(L, 2);
    lc_handle *kept = lua_newuserdata(L, sizeof *kept), outer = lc_scope_of(L, s);
    size_t meta_len, len;
    const char *given = lua_tolstring(L, 2, &meta_len), *meta = given ? given : lc_span_meta(s, outer, &meta_len);
    char *text = begin_in(node, meta, meta_len, &len);
    bool is_handed_on = given && !text && (text = copy(meta, len = meta_len)) != NULL;
    lc_span *span = text ? span_new(s, outer, text, len) : NULL;
    if (!span) {
        free(text);
        return 0;
    }
    span->is_handed_on = is_handed_on;
    *kept = handle_of(s, span);
    luaL_getmetatable(L, "clouds.span");
    lua_setmetatable(L, -2);
    enter(L, s, *kept);
    return 1;
}

/* span_end(span, node, name, error, kind): the code that began it is where it was before; error: words or nil */
static int span_end(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_handle handle = *(lc_handle *)luaL_checkudata(L, 1, "clouds.span");
    lc_node *node = lc_check_node(L, 2);
    size_t name_len, error_len = 0, text_len;
    const char *name = luaL_checklstring(L, 3, &name_len), *error = luaL_optlstring(L, 4, NULL, &error_len);
    const char *text = lc_span_text(s, handle, &text_len);
    if (!text) return 0;
    if (node->node && !find(s, handle)->is_handed_on) {
        node->ctx->dirty = true;
        clouds_span_end(node->node, text, text_len, (uint32_t)luaL_checkinteger(L, 5), name, name_len, error, error_len);
    }
    if (lc_scope_of(L, s) == handle) enter(L, s, find(s, handle)->outer);
    return 0;
}

static int span_collect(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    if (!s->closed) lc_span_drop(s, *(lc_handle *)lua_touserdata(L, 1));
    return 0;
}

/* trace() -> the ids of the trace and of the span that the running code is in, and whether that is recorded; or nothing */
static int trace(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    char trace[33], span[17];
    size_t len;
    const char *meta = lc_span_meta(s, lc_scope_of(L, s), &len);
    if (!clouds_trace_id(meta, len, trace)) return 0;
    int is_recorded = clouds_span_id(meta, len, span);
    lua_pushstring(L, trace);
    lua_pushstring(L, span);
    lua_pushboolean(L, is_recorded);
    return 3;
}

void lc_span_add(lua_State *L, lc_state *s)
{
    static const luaL_Reg functions[] = {
        {"span_begin", span_begin}, {"span_end", span_end}, {"trace", trace}, {NULL, NULL}};
    static const luaL_Reg none[] = {{NULL, NULL}};
    lc_add_type(L, s, "clouds.span", none, span_collect);
    lc_add_functions(L, s, functions);
}

void lc_span_free_all(lc_state *s)
{
    for (uint32_t i = 0; i < s->span_count; i++) free(s->spans[i].text);
    free(s->spans);
    s->spans = NULL;
    s->span_count = 0;
}
