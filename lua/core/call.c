/* Calls: arguments from the Lua stack to JSON, and the wait for the result. */
#include "state.h"

typedef struct spec {
    double timeout, deadline;
    int32_t retries;
} spec;

/* What a bound function keeps: its method follows. */
typedef struct bound {
    cl_lua_node *node;
    spec options;
    size_t method_len;
} bound;

typedef struct target {
    cl_lua_node *node;
    const spec *options;
    const char *method, *server;
    size_t method_len, server_len;
    int asked; /* stack index of what the hook `attempt` is told, or 0 */
} target;

/* nil and an error are at the top. They are returned; with a callback (its stack index) the error goes to that, later,
 * as every other. */
static int failed(lua_State *L, cl_state *s, int callback)
{
    if (!callback) return cl_slot_wait_refused(L, s);
    int err = lua_gettop(L);
    cl_push_hook(L, s, "defer");
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

static int refused(lua_State *L, cl_state *s, const target *to, int callback)
{
    cl_refuse(L, s, "arguments");
    name_method(L, to);
    return failed(L, s, callback);
}

/* The library knows what time a call has that is made for a request of the same context; for one of another, this. */
static double deadline_of(const cl_request *parent, const cl_ctx *ctx, double deadline)
{
    static const double hardly_any = 1e-3;
    if (!parent || parent->ctx == ctx || parent->time_left < 0) return deadline;
    double left = parent->time_left - (cl_clock() - parent->arrived);
    if (left < hardly_any) left = hardly_any;
    return deadline > 0 && deadline < left ? deadline : left;
}

static int send_call(cl_state *s, const target *to, cl_slot *slot, uint64_t *id)
{
    cl_lua_node *node = to->node;
    if (!node->node) return CLOUDS_ECLOSED;
    cl_request *parent = cl_request_find(s, slot->scope);
    clouds_call_options options = {.size = sizeof options,
                                   .flags = to->asked ? CLOUDS_CALL_ASK : 0,
                                   .timeout = to->options->timeout,
                                   .deadline = deadline_of(parent, node->ctx, to->options->deadline),
                                   .retries = to->options->retries,
                                   .parent = parent && parent->ctx == node->ctx ? parent->id : 0,
                                   .user_data = cl_slot_handle(s, slot),
                                   .server = to->server,
                                   .server_len = to->server_len};
    node->ctx->dirty = true;
    return clouds_node_call(node->node, to->method, to->method_len, s->out.data, s->out.len, &options, id);
}

/* s->out has the arguments. `callback`: its stack index, or 0 to wait; `node_index`: where the node is. */
static int start_call(lua_State *L, cl_state *s, const target *to, int callback, int node_index)
{
    cl_slot *slot = cl_slot_new(L, s);
    uint64_t id = 0;
    cl_slot_set_scope(s, slot, cl_scope_of(L, s));
    int code = send_call(s, to, slot, &id);
    if (s->out.cap > 1 << 20) cl_text_trim(&s->out);
    if (code != 0) {
        cl_slot_release(L, s, slot);
        cl_fail(L, s, code);
        name_method(L, to);
        return failed(L, s, callback);
    }
    cl_slot_bind(L, slot, to->node, node_index, id, false);
    if (to->asked) {
        lua_pushvalue(L, to->asked);
        cl_slot_ask(L, s, slot);
    }
    if (!callback) return cl_slot_wait(L, s, slot);
    cl_slot_call_back(L, slot, callback);
    return 0;
}

/* Upvalues: node, what is bound. bound(...) waits; bound(..., function) calls back. */
static int call_bound(lua_State *L)
{
    const bound *b = lua_touserdata(L, lua_upvalueindex(2));
    cl_state *s = b->node->state;
    int last = lua_gettop(L), callback = 0;
    if (last > 0 && lua_isfunction(L, last)) callback = last--;
    else cl_slot_check_wait(L, s);
    target to = {.node = b->node, .options = &b->options, .method = (const char *)(b + 1), .method_len = b->method_len};
    s->out.len = 0;
    if (!cl_encode_values(L, &s->codec, 1, last, &s->out)) return refused(L, s, &to, callback);
    return start_call(L, s, &to, callback, lua_upvalueindex(1));
}

static void read_options(lua_State *L, int index, spec *options)
{
    options->timeout = luaL_optnumber(L, index, 0);
    options->deadline = luaL_optnumber(L, index + 1, 0);
    options->retries = (int32_t)luaL_optinteger(L, index + 2, 0);
}

/* node:bind(method, timeout, deadline, retries) -> a function */
int cl_node_bind(lua_State *L)
{
    bound read = {.node = cl_check_node(L, 1)};
    const char *method = luaL_checklstring(L, 2, &read.method_len);
    read_options(L, 3, &read.options);
    lua_pushvalue(L, 1);
    bound *b = lua_newuserdata(L, sizeof *b + read.method_len);
    *b = read;
    memcpy(b + 1, method, read.method_len);
    lua_pushcclosure(L, call_bound, 2);
    return 1;
}

/* node:call(method, list, count, callback or nil, timeout, deadline, retries, server, asked) -> results. The count is
 * that of a list which is known to have no other keys, or -1. Before each attempt the hook `attempt` is told `asked`,
 * unless that is nil. */
int cl_node_call(lua_State *L)
{
    spec options = {0};
    target to = {.node = cl_check_node(L, 1), .options = &options};
    cl_state *s = to.node->state;
    to.method = luaL_checklstring(L, 2, &to.method_len);
    lua_Number count = lua_tonumber(L, 4);
    int callback = lua_isfunction(L, 5) ? 5 : 0;
    if (lua_gettop(L) > 5) {
        read_options(L, 6, &options);
        to.server = luaL_optlstring(L, 9, NULL, &to.server_len);
        if (!to.server) to.server_len = 0;
        if (!lua_isnoneornil(L, 10)) to.asked = 10;
    }
    if (!callback) cl_slot_check_wait(L, s);
    s->out.len = 0;
    if (count != 0) luaL_checktype(L, 3, LUA_TTABLE);
    bool ok = count < 0 ? cl_encode_list(L, &s->codec, 3, &s->out)
                        : cl_encode_counted(L, &s->codec, 3, (size_t)count, &s->out);
    if (!ok) return refused(L, s, &to, callback);
    return start_call(L, s, &to, callback, 1);
}
