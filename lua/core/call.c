/* Calls: arguments from the Lua stack to JSON, and the wait for the result. */
#include "internal.h"

typedef struct spec {
    double timeout, deadline;
    int32_t retries;
} spec;

/* What a bound function keeps: its method follows. */
typedef struct bound {
    lc_node *node;
    spec options;
    size_t method_len;
} bound;

typedef struct target {
    lc_node *node;
    const spec *options;
    const char *method, *server;
    size_t method_len, server_len;
    bool notify, has_meta; /* the meta is in s->out2 */
    bool as_json;          /* the arguments are a text of the caller's, and the results are given as theirs */
    int more;              /* stack index of the table that has the rarer options, or 0 */
    int hooked;            /* stack index of the first argument of the hook `attempt`, or 0 */
    int about;             /* stack index of the table that gets who answered, or 0 */
} target;

/* nil and an error are at the top. They are returned; with a callback (its stack index) the error goes to that, later,
 * as every other. */
static int failed(lua_State *L, lc_state *s, int callback)
{
    if (!callback) return lc_slot_wait_refused(L, s);
    int err = lua_gettop(L);
    lc_push_hook(L, s, "defer");
    lua_pushvalue(L, callback);
    lua_pushvalue(L, err);
    lua_call(L, 2, 0);
    return 0;
}

/* The error at the top is about this method. */
static void name_method(lua_State *L, const target *to)
{
    lua_pushlstring(L, to->method, to->method_len);
    lua_setfield(L, -2, "method");
}

/* The slot of a call that is not made. */
static void drop_slot(lua_State *L, lc_state *s, lc_handle handle)
{
    lc_slot *slot = lc_slot_find(s, handle);
    if (slot) lc_slot_release(L, s, slot);
}

static int refused(lua_State *L, lc_state *s, const target *to, int callback)
{
    lc_refuse(L, s, "arguments");
    name_method(L, to);
    return failed(L, s, callback);
}

/* The library knows what time a call has that is made for a request of the same context; for one of another, this. One
 * with an idempotency key that is still to be answered behind its deadline sets none. */
static double deadline_of(const lc_request *parent, const lc_context *ctx, double deadline)
{
    static const double least = 1e-3;
    if (!parent || parent->ctx == ctx || !parent->due) return deadline;
    double left = parent->due - lc_clock();
    if (left <= 0 && clouds_request_open(parent->ctx->context, parent->id) == 1) return deadline;
    if (left < least) left = least;
    return deadline > 0 && deadline < left ? deadline : left;
}

/* The text lives as long as the table. */
static void text_option(lua_State *L, int table, const char *name, const char **p, size_t *n)
{
    *p = NULL;
    *n = 0;
    if (!table) return;
    lua_getfield(L, table, name);
    if (lua_type(L, -1) == LUA_TSTRING) *p = lua_tolstring(L, -1, n);
    lua_pop(L, 1);
}

static void rarer_options(lua_State *L, int table, clouds_call_options *options)
{
    text_option(L, table, "key", &options->key, &options->key_len);
    text_option(L, table, "once", &options->once, &options->once_len);
    text_option(L, table, "reply_to", &options->reply_to, &options->reply_to_len);
    text_option(L, table, "correlation", &options->correlation, &options->correlation_len);
    options->hedge = 0;
    if (!table) return;
    lua_getfield(L, table, "hedge");
    lua_getfield(L, table, "idempotent");
    options->hedge = lua_tonumber(L, -2);
    if (lua_toboolean(L, -1)) options->flags |= CLOUDS_CALL_IDEMPOTENT;
    lua_pop(L, 2);
}

static int send_call(lua_State *L, lc_state *s, const target *to, lc_slot *slot, uint64_t *id)
{
    lc_node *node = to->node;
    if (!node->node) return CLOUDS_ECLOSED;
    lc_request *parent = lc_request_find(s, slot->scope);
    clouds_call_options *options = &s->call_options;
    options->size = sizeof *options;
    options->flags = (to->hooked ? CLOUDS_CALL_ASK : 0) | (to->notify ? CLOUDS_CALL_NOTIFY : 0);
    bool are_there = to->more || s->had_rarer_options;
    s->had_rarer_options = to->more != 0; /* first: what reads them may raise */
    if (are_there) rarer_options(L, to->more, options);
    options->meta = to->has_meta ? s->out2.data : NULL;
    options->meta_len = to->has_meta ? s->out2.len : 0;
    options->timeout = to->options->timeout;
    options->deadline = deadline_of(parent, node->ctx, to->options->deadline);
    options->retries = to->options->retries;
    options->parent = parent && parent->ctx == node->ctx ? parent->id : 0;
    options->trace = lc_span_text(s, slot->scope, &options->trace_len);
    if (!options->trace && parent && !options->parent) {
        options->trace = lc_request_meta(parent);
        options->trace_len = parent->meta_len;
    }
    options->bytes = lc_encoded_bytes(s).p;
    options->bytes_len = lc_encoded_bytes(s).len;
    options->user_data = lc_slot_handle(s, slot);
    options->server = to->server;
    options->server_len = to->server_len;
    node->ctx->dirty = true;
    return clouds_node_call(node->node, to->method, to->method_len, s->out.data, s->out.len, options, id);
}

/* What is encoded lies in s->out until it is sent, and what allocates may run finalisers, which may encode and send,
 * too. So the slot of a call is taken before its arguments are encoded. `callback`: its stack index, or 0 to wait. */
static lc_handle slot_for(lua_State *L, lc_state *s, int callback)
{
    if (!callback) lc_slot_check_wait(L, s);
    return lc_slot_handle(s, lc_slot_new(L, s));
}

/* Ends a function that makes a call: s->out has the arguments, if `ok`. `node_index`: where the node is. */
static int start_call(lua_State *L, lc_state *s, const target *to, lc_handle handle, int callback, int node_index,
                      bool ok)
{
    lc_slot *slot = lc_slot_find(s, handle);
    uint64_t id = 0;
    if (!ok) {
        drop_slot(L, s, handle);
        return refused(L, s, to, callback);
    }
    lc_slot_set_scope(s, slot, lc_scope_of(L, s));
    int code = send_call(L, s, to, slot, &id);
    lc_trim_large(s);
    if (code != 0) {
        lc_slot_release(L, s, slot);
        if (code == CLOUDS_EJSON && to->as_json) return lua_pushboolean(L, 0), 1;
        lc_fail(L, s, code);
        name_method(L, to);
        return failed(L, s, callback);
    }
    lc_slot_bind(L, slot, to->node, node_index, id, false);
    slot->as_json = to->as_json;
    if (to->hooked) lc_slot_keep(L, s, slot, LC_KEPT_HOOKED, to->hooked);
    else if (to->about) lc_slot_keep(L, s, slot, LC_KEPT_ABOUT, to->about);
    if (!callback) return lc_slot_wait(L, s, slot);
    lc_slot_call_back(L, slot, callback);
    return 0;
}

/* Upvalues: node, what is bound. bound(...) waits; bound(..., function) calls back. */
static int call_bound(lua_State *L)
{
    const bound *b = lua_touserdata(L, lua_upvalueindex(2));
    lc_state *s = b->node->state;
    int last = lua_gettop(L), callback = 0;
    if (last > 0 && lua_isfunction(L, last)) callback = last--;
    target to = {.node = b->node, .options = &b->options, .method = (const char *)(b + 1), .method_len = b->method_len};
    lc_handle slot = slot_for(L, s, callback);
    s->out.len = 0;
    bool ok = lc_encode_values(L, &s->codec, 1, last, &s->out, &s->bytes);
    return start_call(L, s, &to, slot, callback, lua_upvalueindex(1), ok);
}

static void read_options(lua_State *L, int index, spec *options)
{
    options->timeout = luaL_optnumber(L, index, 0);
    options->deadline = luaL_optnumber(L, index + 1, 0);
    options->retries = (int32_t)luaL_optinteger(L, index + 2, 0);
}

/* node:bind(method, timeout, deadline, retries) -> a function */
int lc_node_bind(lua_State *L)
{
    bound read = {.node = lc_check_node(L, 1)};
    const char *method = luaL_checklstring(L, 2, &read.method_len);
    read_options(L, 3, &read.options);
    lua_pushvalue(L, 1);
    bound *b = lua_newuserdata(L, sizeof *b + read.method_len);
    *b = read;
    memcpy(b + 1, method, read.method_len);
    lua_pushcclosure(L, call_bound, 2);
    return 1;
}

/* Into s->out2. */
static bool encode_meta(lua_State *L, lc_state *s, const target *to, int index)
{
    s->out2.len = 0;
    return !to->has_meta || lc_encode_value(L, &s->codec, index, &s->out2, NULL);
}

static bool encode_arguments(lua_State *L, lc_state *s, int index)
{
    s->out.len = 0;
    if (lua_isnil(L, index)) return lc_encode_values(L, &s->codec, 1, 0, &s->out, &s->bytes);
    return lc_encode_list(L, &s->codec, index, &s->out, &s->bytes);
}

/* Pushes the option `about` of the table at `more`: its index, or 0. */
static int push_about(lua_State *L, int more)
{
    lua_settop(L, more);
    lua_getfield(L, more, "about");
    return lua_istable(L, -1) ? more + 1 : 0;
}

/* node:call(method, list or nil, callback or nil, timeout, deadline, retries, server, hooked, meta, notify, rarer options) -> results.
 * Before each attempt the hook `attempt` is called with `hooked`, unless that is nil. Of the rarer options `about` is a
 * table, in which `server` is the id of who answered, or was asked last. */
int lc_node_call(lua_State *L)
{
    spec options = {0};
    target to = {.node = lc_check_node(L, 1), .options = &options};
    lc_state *s = to.node->state;
    to.method = luaL_checklstring(L, 2, &to.method_len);
    int callback = lua_isfunction(L, 4) ? 4 : 0;
    if (lua_gettop(L) > 4) {
        read_options(L, 5, &options);
        to.server = luaL_optlstring(L, 8, NULL, &to.server_len);
        if (!to.server) to.server_len = 0;
        if (!lua_isnoneornil(L, 9)) to.hooked = 9;
        to.notify = lua_toboolean(L, 11);
        to.has_meta = lua_istable(L, 10);
        to.more = lua_istable(L, 12) ? 12 : 0;
        if (to.more) to.about = push_about(L, to.more);
    }
    if (!lua_isnil(L, 3)) luaL_checktype(L, 3, LUA_TTABLE);
    lc_handle slot = slot_for(L, s, callback);
    if (!encode_meta(L, s, &to, 10)) {
        drop_slot(L, s, slot);
        return lc_refuse(L, s, "meta");
    }
    bool ok = encode_arguments(L, s, 3);
    return start_call(L, s, &to, slot, callback, 1, ok);
}

/* node:call_json(method, arguments as JSON, timeout, deadline, meta, rarer options) -> the results as JSON, as they came;
 * or a list of them, when there are bytes among them; or false: the arguments are no list in JSON. Waits. */
int lc_node_call_json(lua_State *L)
{
    spec options = {luaL_checknumber(L, 4), luaL_checknumber(L, 5), 0};
    target to = {.node = lc_check_node(L, 1), .options = &options, .as_json = true};
    lc_state *s = to.node->state;
    size_t size;
    to.method = luaL_checklstring(L, 2, &to.method_len);
    const char *text = luaL_checklstring(L, 3, &size);
    to.has_meta = lua_istable(L, 6);
    to.more = lua_istable(L, 7) ? 7 : 0;
    if (to.more) to.about = push_about(L, to.more);
    lc_handle slot = slot_for(L, s, 0);
    if (!encode_meta(L, s, &to, 6)) {
        drop_slot(L, s, slot);
        return lc_refuse(L, s, "meta");
    }
    s->out.len = s->bytes.len = 0; /* behind what may run finalisers */
    if (!lc_text_add(&s->out, text, size)) {
        drop_slot(L, s, slot);
        return luaL_error(L, "not enough memory");
    }
    return start_call(L, s, &to, slot, 0, 1, true);
}

/* node:call_with(method, arguments ..., callback or nil) -> results */
int lc_node_call_with(lua_State *L)
{
    static const spec no_options;
    target to = {.node = lc_check_node(L, 1), .options = &no_options};
    lc_state *s = to.node->state;
    to.method = luaL_checklstring(L, 2, &to.method_len);
    int last = lua_gettop(L), callback = lua_isfunction(L, last) ? last : 0;
    lc_handle slot = slot_for(L, s, callback);
    s->out.len = 0;
    bool ok = lc_encode_values(L, &s->codec, 3, last - 1, &s->out, &s->bytes);
    return start_call(L, s, &to, slot, callback, 1, ok);
}
