/* Nodes as userdata. The objects that users see are made over them in Lua (clouds.node). */
#include "internal.h"

/* In a function of ours. luaL_checkudata would look the type up by its name each time. */
lc_node *lc_check_node(lua_State *L, int index)
{
    lc_state *s = lc_state_of(L);
    lc_node *node = lua_touserdata(L, index);
    if (node && node == s->known) return node;
    bool ours = node && lua_getmetatable(L, index);
    if (!ours || lua_topointer(L, -1) != s->node_type) return luaL_checkudata(L, index, "clouds.node");
    lua_pop(L, 1);
    s->known = node;
    return node;
}

void lc_node_update_anchor(lua_State *L, lc_state *s, lc_node *node, int index)
{
    bool serving = node->node && (node->methods > node->failed || node->listening);
    if (serving != node->serving) {
        node->serving = serving;
        node->ctx->serving += serving ? 1 : -1;
    }
    bool anchored = serving || node->calls > 0;
    if (anchored == node->anchored) return;
    node->anchored = anchored;
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->serving_ref);
    if (anchored) lua_pushvalue(L, index);
    else lua_pushnil(L);
    lua_rawseti(L, -2, node->number);
    lua_pop(L, 1);
}

/* node(context, options) -> node, its number; or nil and an error */
static int core_node(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_context *ctx = lc_check_context(L, 1);
    lc_node *node = lua_newuserdata(L, sizeof *node);
    *node = (lc_node){.state = s, .ctx = ctx, .number = ++s->last_node};
    clouds_options *options = lc_options_from(L, 2);
    int code = clouds_options_set_number(options, "user_data", node->number);
    if (code == 0) code = clouds_node_create(ctx->context, options, &node->node);
    clouds_options_destroy(options);
    if (code != 0) return lc_fail(L, s, code);
    ctx->dirty = true;
    ctx->refs++;
    ctx->nodes++;
    luaL_getmetatable(L, "clouds.node");
    lua_setmetatable(L, -2);
    lc_methods_set(L, s, node, true);
    lua_pushinteger(L, node->number);
    return 2;
}

static int closed(lua_State *L, lc_state *s)
{
    lua_pushnil(L);
    lc_push_error(L, s, CLOUDS_ECLOSED, clouds_strerror(CLOUDS_ECLOSED));
    return 2;
}

/* The slot of an operation that is about to begin, which its event names; 0 where nothing may wait, nor must. */
static lc_handle slot_for(lua_State *L, lc_state *s, bool must, clouds_operation_options *options)
{
    if (must || lc_slot_may_wait(L, s)) options->user_data = lc_slot_handle(s, lc_slot_new(L, s));
    return options->user_data;
}

/* Ends with the outcome of an operation of the node at index 1, or at once where nothing waits for it. */
static int wait_operation(lua_State *L, lc_node *node, lc_handle handle, uint64_t operation)
{
    lc_state *s = node->state;
    lc_slot *slot = lc_slot_find(s, handle);
    if (!slot) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lc_slot_bind(L, slot, node, 1, operation, true);
    return lc_slot_wait(L, s, slot);
}

/* It was refused. */
static void drop_slot(lua_State *L, lc_state *s, lc_handle handle)
{
    lc_slot *slot = lc_slot_find(s, handle);
    if (slot) lc_slot_release(L, s, slot);
}

/* The library refused what would wait for its outcome in the slot. */
static int refused(lua_State *L, lc_state *s, lc_handle handle, int code)
{
    drop_slot(L, s, handle);
    lc_fail(L, s, code);
    return lc_slot_wait_refused(L, s);
}

static int node_id(lua_State *L)
{
    lc_node *node = lc_check_node(L, 1);
    const char *id = node->node ? clouds_node_id(node->node) : NULL;
    if (!id) return 0;
    lua_pushstring(L, id);
    return 1;
}

clouds_operation_options lc_limit_at(lua_State *L, int index)
{
    clouds_operation_options options = {.size = sizeof options, .timeout = luaL_optnumber(L, index, 0)};
    if (!lua_isnoneornil(L, index) && options.timeout < 0.001) options.timeout = 0.001; /* 0 is no limit of its own */
    return options;
}

/* A registration has no limit, and its failure is reported whenever it comes; the wait for it has a limit in Lua. */
static const clouds_operation_options without_limit = {.size = sizeof without_limit, .timeout = CLOUDS_LONGEST_SECONDS};

/* A member of the table at index 4. */
static double limit_of(lua_State *L, const char *name)
{
    lua_getfield(L, 4, name);
    double value = luaL_optnumber(L, -1, 0);
    lua_pop(L, 1);
    return value;
}

static bool has_limit(lua_State *L, const char *name)
{
    lua_getfield(L, 4, name);
    bool has = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return has;
}

/* The limits of a method, and its schema, in the table at index 4, which Lua has checked and which keeps the text. */
static clouds_offer_options limits_of(lua_State *L)
{
    size_t len = 0;
    lua_getfield(L, 4, "schema");
    const char *schema = lua_tolstring(L, -1, &len);
    lua_pop(L, 1);
    return (clouds_offer_options){.size = sizeof(clouds_offer_options),
                                  .flags = has_limit(L, "serial") ? CLOUDS_OFFER_SERIAL : 0,
                                  .concurrency = (int32_t)limit_of(L, "concurrency"),
                                  .key_arg = (uint32_t)limit_of(L, "key"),
                                  .queue = (int32_t)limit_of(L, "queue"),
                                  .queue_age = limit_of(L, "queue_age"),
                                  .queue_target = limit_of(L, "queue_target"),
                                  .rate = limit_of(L, "rate"),
                                  .burst = limit_of(L, "burst"),
                                  .caller_rate = limit_of(L, "caller_rate"),
                                  .caller_burst = limit_of(L, "caller_burst"),
                                  .schema = schema,
                                  .schema_len = len};
}

/* node:register(method, handler, limits or nil) -> true, or nil, an error, and whether it goes on by itself */
static int node_register(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_node *node = lc_check_node(L, 1);
    size_t len;
    const char *method = luaL_checklstring(L, 2, &len);
    luaL_checktype(L, 3, LUA_TFUNCTION);
    if (!node->node) return refused(L, s, 0, CLOUDS_ECLOSED);
    uint64_t operation;
    node->ctx->dirty = true;
    bool limited = !lua_isnoneornil(L, 4);
    clouds_offer_options limits = limited ? limits_of(L) : (clouds_offer_options){0};
    clouds_operation_options options = without_limit;
    lc_handle slot = slot_for(L, s, false, &options);
    int code = clouds_node_offer(node->node, method, len, limited ? &limits : NULL, &options, &operation);
    if (code != 0) return refused(L, s, slot, code);
    lc_methods_add(L, s, node);
    return wait_operation(L, node, slot, operation);
}

/* node:pause(method or nil, paused, timeout) -> true, or nil and an error */
static int node_pause(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_node *node = lc_check_node(L, 1);
    size_t len = 0;
    const char *method = luaL_optlstring(L, 2, NULL, &len);
    if (!node->node) return refused(L, s, 0, CLOUDS_ECLOSED);
    uint64_t operation;
    node->ctx->dirty = true;
    clouds_operation_options options = lc_limit_at(L, 4);
    lc_handle slot = slot_for(L, s, false, &options);
    int code = clouds_node_pause(node->node, method, len, lua_toboolean(L, 3), &options, &operation);
    if (code != 0) return refused(L, s, slot, code);
    return wait_operation(L, node, slot, operation);
}

/* node:ask(peer, what, JSON or nil, timeout) -> what it answers, or nil and an error */
static int node_ask(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_node *node = lc_check_node(L, 1);
    size_t peer_len, len = 0;
    const char *peer = luaL_checklstring(L, 2, &peer_len), *what = luaL_checkstring(L, 3);
    const char *args = luaL_optlstring(L, 4, NULL, &len);
    if (!node->node) return refused(L, s, 0, CLOUDS_ECLOSED);
    uint64_t operation;
    node->ctx->dirty = true;
    clouds_operation_options options = lc_limit_at(L, 5);
    lc_handle slot = slot_for(L, s, false, &options);
    int code = clouds_node_ask(node->node, peer, peer_len, what, args, len, &options, &operation);
    if (code != 0) return refused(L, s, slot, code);
    return wait_operation(L, node, slot, operation);
}

/* node:unregister(method, timeout) -> true, or nil and an error */
static int node_unregister(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_node *node = lc_check_node(L, 1);
    size_t len;
    const char *method = luaL_checklstring(L, 2, &len);
    if (!node->node) return refused(L, s, 0, CLOUDS_ECLOSED);
    uint64_t operation;
    node->ctx->dirty = true;
    clouds_operation_options options = lc_limit_at(L, 3);
    lc_handle slot = slot_for(L, s, false, &options);
    int code = clouds_node_unregister(node->node, method, len, &options, &operation);
    if (code == 0) lc_methods_leave(L, s, operation);
    if (code == CLOUDS_EINVAL) lc_methods_refused(L, s);
    if (code != 0) return refused(L, s, slot, code);
    return wait_operation(L, node, slot, operation);
}

/* node:send(receiver, value, confirm, timeout) -> true, or the number of receivers (true: not known); or nil and an
 * error. A message that is not confirmed has a slot too: the loop keeps running until it has left. */
static int node_send(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_node *node = lc_check_node(L, 1);
    size_t len;
    const char *receiver = luaL_checklstring(L, 2, &len);
    bool confirm = lua_toboolean(L, 4);
    if (!node->node) return closed(L, s);
    if (confirm) lc_slot_check_wait(L, s);
    clouds_operation_options options = lc_limit_at(L, 5);
    lc_handle handle = slot_for(L, s, true, &options);
    s->out.len = 0;
    if (!lc_encode_value(L, &s->codec, 3, &s->out, &s->bytes)) {
        drop_slot(L, s, handle);
        return lc_refuse(L, s, "value");
    }
    uint64_t operation = 0;
    node->ctx->dirty = true;
    const clouds_payload payload = {.size = sizeof payload,
                                    .json = s->out.data,
                                    .json_len = s->out.len,
                                    .bytes = lc_encoded_bytes(s).p,
                                    .bytes_len = lc_encoded_bytes(s).len};
    int code = clouds_node_send_payload(node->node, receiver, len, &payload, CLOUDS_SEND_CONFIRM, &options, &operation);
    lc_trim_large(s);
    if (code != 0) {
        drop_slot(L, s, handle);
        return lc_fail(L, s, code);
    }
    if (confirm) return wait_operation(L, node, handle, operation);
    lc_slot *slot = lc_slot_find(s, handle);
    lc_slot_bind(L, slot, node, 1, operation, true);
    slot->state = LC_SLOT_IGNORED;
    lua_pushboolean(L, 1);
    return 1;
}

/* What `begin` asks for, with the limit at place 2. */
static int ask(lua_State *L, int (*begin)(clouds_node *, const clouds_operation_options *, uint64_t *))
{
    lc_state *s = lc_state_of(L);
    lc_node *node = lc_check_node(L, 1);
    lc_slot_check_wait(L, s);
    if (!node->node) return refused(L, s, 0, CLOUDS_ECLOSED);
    clouds_operation_options options = lc_limit_at(L, 2);
    uint64_t operation;
    node->ctx->dirty = true;
    lc_handle slot = slot_for(L, s, true, &options);
    int code = begin(node->node, &options, &operation);
    if (code != 0) return refused(L, s, slot, code);
    return wait_operation(L, node, slot, operation);
}

/* node:explain(method, timeout) -> a table, or nil and an error */
static int node_explain(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_node *node = lc_check_node(L, 1);
    size_t len;
    const char *method = luaL_checklstring(L, 2, &len);
    lc_slot_check_wait(L, s);
    if (!node->node) return refused(L, s, 0, CLOUDS_ECLOSED);
    clouds_operation_options options = lc_limit_at(L, 3);
    uint64_t operation;
    node->ctx->dirty = true;
    lc_handle slot = slot_for(L, s, true, &options);
    int code = clouds_node_explain(node->node, method, len, &options, &operation);
    if (code != 0) return refused(L, s, slot, code);
    return wait_operation(L, node, slot, operation);
}

/* node:status(timeout) -> { servers =, methods = }, or nil and an error */
static int node_status(lua_State *L)
{
    return ask(L, clouds_node_status);
}

/* node:links(timeout) -> a list of tables, or nil and an error */
static int node_links(lua_State *L)
{
    return ask(L, clouds_node_links);
}

/* node:stats(timeout) -> { bounds =, methods = }, or nil and an error */
static int node_stats(lua_State *L)
{
    return ask(L, clouds_node_stats);
}

/* node:listen(yes): keeps the loop running for its messages, or not */
static int node_listen(lua_State *L)
{
    lc_node *node = lc_check_node(L, 1);
    node->listening = lua_toboolean(L, 2);
    lc_node_update_anchor(L, lc_state_of(L), node, 1);
    return 0;
}

/* node:close(drain) -> true, or nil and an error; the hook `event` is called with "exit" when it is done */
static int node_close(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_node *node = lc_check_node(L, 1);
    if (!node->node) return closed(L, s);
    node->ctx->dirty = true;
    int code = clouds_node_close(node->node, luaL_optnumber(L, 2, -1), NULL, NULL);
    return lc_true_or_fail(L, s, code);
}

/* node:configure(options) -> true, or nil and an error */
static int node_configure(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_node *node = lc_check_node(L, 1);
    if (!node->node) return closed(L, s);
    clouds_options *options = lc_options_from(L, 2);
    node->ctx->dirty = true;
    int code = clouds_node_configure(node->node, options);
    clouds_options_destroy(options);
    return lc_true_or_fail(L, s, code);
}

/* node:attach(object): the object lives as long as the node */
static int node_attach(lua_State *L)
{
    lc_check_node(L, 1);
    lua_createtable(L, 1, 0);
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, 1);
    lua_setfenv(L, 1);
    return 0;
}

static void destroy(lua_State *L, lc_state *s, lc_node *node, int index)
{
    if (!node->node) return;
    clouds_node *handle = node->node;
    node->node = NULL;
    node->methods = 0;
    node->listening = false;
    lc_node_update_anchor(L, s, node, index);
    lc_methods_set(L, s, node, false);
    clouds_node_destroy(handle);
    node->ctx->dirty = true;
    node->ctx->nodes--;
    lc_context_unref(node->ctx);
}

static int node_destroy(lua_State *L)
{
    destroy(L, lc_state_of(L), lc_check_node(L, 1), 1);
    return 0;
}

static int node_collect(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_node *node = lua_touserdata(L, 1);
    if (s->known == node) s->known = NULL;
    if (!s->closed) destroy(L, s, node, 1);
    return 0;
}

void lc_node_add(lua_State *L, lc_state *s)
{
    static const luaL_Reg functions[] = {{"node", core_node}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{"id", node_id},
                                       {"register", node_register},
                                       {"unregister", node_unregister},
                                       {"pause", node_pause},
                                       {"ask", node_ask},
                                       {"send", node_send},
                                       {"publish", lc_node_publish},
                                       {"subscribe", lc_node_subscribe},
                                       {"subscribed", lc_node_subscribed},
                                       {"unsubscribe", lc_node_unsubscribe},
                                       {"status", node_status},
                                       {"explain", node_explain},
                                       {"links", node_links},
                                       {"stats", node_stats},
                                       {"listen", node_listen},
                                       {"failed", lc_methods_failed},
                                       {"configure", node_configure},
                                       {"close", node_close},
                                       {"destroy", node_destroy},
                                       {"attach", node_attach},
                                       {"call", lc_node_call},
                                       {"call_with", lc_node_call_with},
                                       {"call_json", lc_node_call_json},
                                       {"bind", lc_node_bind},
                                       {NULL, NULL}};
    lc_add_type(L, s, "clouds.node", methods, node_collect);
    luaL_getmetatable(L, "clouds.node");
    s->node_type = lua_topointer(L, -1);
    lua_pop(L, 1);
    lc_add_functions(L, s, functions);
}
