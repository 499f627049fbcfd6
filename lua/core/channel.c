/* Publishing and subscribing. What is published comes as the event "published" (dispatch.c). */
#include "internal.h"

static int refused(lua_State *L, lc_state *s, int code)
{
    lc_fail(L, s, code);
    return lc_slot_wait_refused(L, s);
}

static int closed(lua_State *L, lc_state *s)
{
    lua_pushnil(L);
    lc_push_error(L, s, CLOUDS_ECLOSED, clouds_strerror(CLOUDS_ECLOSED));
    return 2;
}

/* The value at `index`, and the meta behind it (nil: none). Both lie in s->out, bytes of the value in s->bytes. */
static bool encode(lua_State *L, lc_state *s, int index, clouds_payload *payload)
{
    s->out.len = 0;
    if (!lc_encode_value(L, &s->codec, index, &s->out, &s->bytes)) return false;
    payload->json_len = s->out.len;
    payload->bytes = lc_encoded_bytes(s).p;
    payload->bytes_len = lc_encoded_bytes(s).len;
    if (!lua_isnoneornil(L, index + 1) && !lc_encode_value(L, &s->codec, index + 1, &s->out, NULL)) return false;
    payload->json = s->out.data;
    payload->meta = s->out.data + payload->json_len;
    payload->meta_len = s->out.len - payload->json_len;
    return true;
}

/* node:publish(topic, value, meta, confirm, timeout) -> true, or how many got it (true: not known); or nil and an
 * error. One that is not confirmed has a slot too: the loop keeps running until it has left. */
int lc_node_publish(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_node *node = lc_check_node(L, 1);
    size_t len;
    const char *topic = luaL_checklstring(L, 2, &len);
    bool confirm = lua_toboolean(L, 5);
    lua_settop(L, 6);
    if (confirm) lc_slot_check_wait(L, s);
    if (!node->node) return closed(L, s);
    clouds_payload payload = {.size = sizeof payload};
    clouds_operation_options options = lc_limit_at(L, 6);
    options.user_data = lc_slot_handle(s, lc_slot_new(L, s));
    if (!encode(L, s, 3, &payload)) {
        lc_slot_release(L, s, lc_slot_find(s, options.user_data));
        return lc_refuse(L, s, "value");
    }
    uint64_t operation = 0;
    payload.trace = lc_span_meta(s, lc_scope_of(L, s), &payload.trace_len);
    node->ctx->dirty = true;
    int code = clouds_node_publish(node->node, topic, len, &payload, CLOUDS_SEND_CONFIRM, &options, &operation);
    lc_trim_large(s);
    lc_slot *slot = lc_slot_find(s, options.user_data);
    if (code != 0) {
        lc_slot_release(L, s, slot);
        return confirm ? refused(L, s, code) : lc_fail(L, s, code);
    }
    lc_slot_bind(L, slot, node, 1, operation, true);
    if (confirm) return lc_slot_wait(L, s, slot);
    slot->state = LC_SLOT_IGNORED;
    lua_pushboolean(L, 1);
    return 1;
}

static double number_of(lua_State *L, const char *name)
{
    lua_getfield(L, 3, name);
    double value = luaL_optnumber(L, -1, 0);
    lua_pop(L, 1);
    return value;
}

static uint32_t flag_of(lua_State *L, const char *name, uint32_t flag)
{
    lua_getfield(L, 3, name);
    bool set = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return set ? flag : 0;
}

/* A slot that SUBSCRIBED will complete, for node:subscribed; 0 where nothing may wait. */
static lc_handle slot_for(lua_State *L, lc_state *s)
{
    return lc_slot_may_wait(L, s) ? lc_slot_handle(s, lc_slot_new(L, s)) : 0;
}

/* Ends node:subscribe. */
static int subscribed(lua_State *L, lc_state *s, lc_node *node, lc_handle handle, int code, uint64_t id)
{
    lc_slot *slot = lc_slot_find(s, handle);
    if (code != 0) {
        if (slot) lc_slot_release(L, s, slot);
        return lc_fail(L, s, code);
    }
    if (slot) lc_slot_bind(L, slot, node, 1, id, true);
    lua_pushnumber(L, (lua_Number)id);
    lua_pushnumber(L, (lua_Number)handle);
    return 2;
}

/* node:subscribe(topics, options) -> the number of the subscription and the slot for node:subscribed, or nil and an
 * error. The options are checked in Lua; the group stays at index 4. */
int lc_node_subscribe(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_node *node = lc_check_node(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 3);
    if (!node->node) return closed(L, s);
    lc_handle slot = slot_for(L, s);
    s->out.len = 0;
    if (!lc_encode_value(L, &s->codec, 2, &s->out, NULL)) {
        if (slot) lc_slot_release(L, s, lc_slot_find(s, slot));
        return lc_refuse(L, s, "topics");
    }
    clouds_subscribe_options options = {.size = sizeof options};
    options.flags = flag_of(L, "all", CLOUDS_SUBSCRIBE_ALL) | flag_of(L, "keep_oldest", CLOUDS_SUBSCRIBE_DROP_NEWEST);
    options.queue = (uint32_t)number_of(L, "queue");
    options.queue_bytes = number_of(L, "queue_bytes");
    lua_getfield(L, 3, "group");
    options.group = lua_tolstring(L, 4, &options.group_len);
    double timeout = number_of(L, "timeout");
    const clouds_operation_options limit = {
        .size = sizeof limit, .timeout = timeout > 0 ? timeout : CLOUDS_LONGEST_SECONDS, .user_data = slot};
    uint64_t id = 0;
    node->ctx->dirty = true;
    int code = clouds_node_subscribe(node->node, s->out.data, s->out.len, &options, &limit, &id);
    return subscribed(L, s, node, slot, code, id);
}

/* node:subscribed(slot) -> true, or nil and an error; at once where nothing may wait */
int lc_node_subscribed(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_check_node(L, 1);
    lc_slot *slot = lc_slot_find(s, (lc_handle)luaL_checknumber(L, 2));
    if (slot) return lc_slot_wait(L, s, slot);
    lua_pushboolean(L, 1);
    return 1;
}

/* node:unsubscribe(id) -> true, or nil and an error */
int lc_node_unsubscribe(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_node *node = lc_check_node(L, 1);
    uint64_t id = (uint64_t)luaL_checknumber(L, 2);
    if (!node->node) return closed(L, s);
    node->ctx->dirty = true;
    return lc_true_or_fail(L, s, clouds_unsubscribe(node->ctx->context, id));
}
