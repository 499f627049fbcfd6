/* Hands the events of the library to what they concern. Everything is decoded before a slot or a request is looked up,
 * since allocating may run finalisers. */
#include "internal.h"

static void push_text(lua_State *L, const char *text, size_t len)
{
    lua_pushlstring(L, text ? text : "", len);
}

/* A value that may have been left out. */
static void push_data(lua_State *L, lc_state *s, const clouds_event *event)
{
    if (event->data_len == 0 || !lc_decode_value(L, &s->codec, event->data, event->data_len, lc_bytes_of(event)))
        lua_pushnil(L);
}

static int push_broken(lua_State *L, lc_state *s)
{
    lua_pushnil(L);
    lc_push_error(L, s, CLOUDS_EPROTO, s->codec.error);
    return 2;
}

static int push_failure(lua_State *L, lc_state *s, const clouds_event *event)
{
    lua_pushnil(L);
    lc_push_event_error(L, s, event);
    return 2;
}

static void start(lua_State *L, lc_state *s, const lc_work *work)
{
    lc_task *task = lc_task_begin(L, s);
    task->pulls = true;
    lc_task_start(L, s, task, work->kind, work->scope, work->values);
}

/* Says in the table that is kept for the call which server that was. */
static void name_server(lua_State *L, lc_state *s, const lc_slot *slot, const clouds_event *event)
{
    luaL_checkstack(L, 8, NULL);
    lc_slot_push_kept(L, s, slot);
    lua_pushliteral(L, "server");
    push_text(L, event->peer, event->peer_len);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

/* callback(nil, values ...), for a call that did not fail; else nothing. */
static lc_work work_of_result(lua_State *L, lc_state *s, const clouds_event *event)
{
    lc_work work = {LC_TASK_PLAIN, 0, 0};
    lc_slot *slot = lc_slot_find(s, event->user_data);
    if (!slot || slot->id != event->id) return work;
    bool has_callback = slot->state == LC_SLOT_CALLBACK;
    if (slot->kept == LC_KEPT_ABOUT && event->peer_len) name_server(L, s, slot, event);
    slot = lc_slot_find(s, event->user_data);
    if (event->code != 0 || !slot || !has_callback) return work;
    int top = lua_gettop(L);
    lc_slot_push_callback(L, slot);
    lua_pushnil(L);
    int count = lc_decode_values(L, &s->codec, event->data, event->data_len, lc_bytes_of(event));
    slot = lc_slot_find(s, event->user_data);
    if (count < 0 || !slot) {
        lua_settop(L, top);
        return work;
    }
    work.values = count + 2;
    work.scope = lc_slot_end_callback(L, s, slot);
    return work;
}

/* -1: they are no JSON. */
static int push_results(lua_State *L, lc_state *s, const clouds_event *event)
{
    const lc_slot *slot = lc_slot_find(s, event->user_data);
    if (!slot || slot->id != event->id || !slot->as_json)
        return lc_decode_values(L, &s->codec, event->data, event->data_len, lc_bytes_of(event));
    if (event->bytes_len)
        return lc_decode_value(L, &s->codec, event->data, event->data_len, lc_bytes_of(event)) ? 1 : -1;
    push_text(L, event->data, event->data_len);
    return 1;
}

static void on_result(lua_State *L, lc_state *s, const clouds_event *event)
{
    lc_work work = work_of_result(L, s, event);
    if (work.values) {
        start(L, s, &work);
        return;
    }
    int count;
    if (event->code != 0) {
        count = push_failure(L, s, event);
    } else {
        count = push_results(L, s, event);
        if (count < 0) count = push_broken(L, s);
    }
    lc_slot *slot = lc_slot_find(s, event->user_data);
    if (slot && slot->id == event->id) lc_slot_complete(L, s, slot, count);
}

static void push_operation_value(lua_State *L, lc_state *s, const clouds_event *event)
{
    if (event->type == CLOUDS_EVENT_STATUS) push_data(L, s, event);
    else if (event->type == CLOUDS_EVENT_SENT && event->number >= 0) lua_pushnumber(L, (lua_Number)event->number);
    else lua_pushboolean(L, 1);
}

static void on_operation(lua_State *L, lc_state *s, lc_context *ctx, const clouds_event *event)
{
    int count = 1;
    if (event->code != 0) count = push_failure(L, s, event);
    else push_operation_value(L, s, event);
    lc_slot *slot = lc_slot_of_event(s, ctx, event);
    if (slot) {
        if (event->type == CLOUDS_EVENT_REGISTERED && event->code != 0) {
            lua_pushboolean(L, event->number == 1);
            count++;
        }
        lc_slot_complete(L, s, slot, count);
    } else if (event->type != CLOUDS_EVENT_SENT && event->type != CLOUDS_EVENT_STATUS &&
               event->type != CLOUDS_EVENT_UNREGISTERED && event->code != 0) {
        lua_remove(L, -2); /* where it could not be waited for */
        lc_report(L, s, event->type == CLOUDS_EVENT_REGISTERED ? "registration" : "subscription");
    } else {
        lua_pop(L, count);
    }
}

/* Nothing is done for it, and its caller may ask another server. */
static int refuse(lc_context *ctx, uint64_t id, int code)
{
    ctx->dirty = true;
    return clouds_refuse(ctx->context, id, code);
}

static void fail(lc_context *ctx, uint64_t id, const char *error, size_t len)
{
    ctx->dirty = true;
    clouds_fail(ctx->context, id, error, len, NULL, 0);
}

void lc_clear_handler_cache(lua_State *L, lc_state *s)
{
    for (int i = 0; i < LC_CACHED_HANDLERS; i++) {
        if (s->found[i].node == 0) continue;
        s->found[i].node = 0;
        lua_pushboolean(L, 0);
        lua_rawseti(L, LUA_REGISTRYINDEX, s->found[i].ref);
    }
}

/* Where the handler of this request would be kept; NULL: its name is too long for that. */
static lc_cached_handler *place_of(lc_state *s, const clouds_event *event)
{
    uint32_t hash = (uint32_t)event->user_data;
    if (event->method_len > LC_CACHED_NAME) return NULL;
    for (size_t i = 0; i < event->method_len; i++) hash = hash * 31 + (unsigned char)event->method[i];
    return &s->found[hash % LC_CACHED_HANDLERS];
}

static bool is_of(const lc_cached_handler *found, const clouds_event *event)
{
    return found->node == (int)event->user_data && found->method_len == event->method_len &&
           memcmp(found->method, event->method, event->method_len) == 0;
}

/* Keeps the handler at the top. */
static void remember(lua_State *L, lc_cached_handler *place, const clouds_event *event)
{
    if (!place) return;
    lua_pushvalue(L, -1);
    lua_rawseti(L, LUA_REGISTRYINDEX, place->ref);
    place->node = (int)event->user_data;
    place->method_len = event->method_len;
    memcpy(place->method, event->method, event->method_len);
}

/* Pushes the handler. */
static bool push_handler(lua_State *L, lc_state *s, const clouds_event *event)
{
    int top = lua_gettop(L);
    lc_cached_handler *place = place_of(s, event);
    if (place && is_of(place, event)) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, place->ref);
        return true;
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->methods_ref);
    lua_rawgeti(L, top + 1, (int)event->user_data);
    if (lua_istable(L, -1)) {
        lua_pushlstring(L, event->method, event->method_len);
        lua_rawget(L, -2);
        if (lua_isfunction(L, -1)) {
            lua_replace(L, top + 1);
            lua_settop(L, top + 1);
            remember(L, place, event);
            return true;
        }
    }
    lua_settop(L, top);
    return false;
}

/* Those before it in this batch may have taken long, or the process was stopped. Nearly always the coarse clock, a
 * third of the price, already says that much is left: it is a tick behind, which is milliseconds. */
static bool is_late(const clouds_event *event)
{
    static const double behind = 0.1;
    double due = (double)event->number / 1000;
    if (!event->number || lc_coarse_clock() + behind < due) return false;
    return lc_clock() >= due;
}

/* handler(arguments ...); nothing when it is refused. */
static lc_work work_of_request(lua_State *L, lc_state *s, lc_context *ctx, const clouds_event *event)
{
    static const char broken[] = "{\"message\":\"the arguments cannot be taken\",\"code\":\"CLOUDS_INVALID_ARGUMENT\"}";
    lc_work work = {LC_TASK_REQUEST, 0, 0};
    /* It is for a repeat that waits for longer, where it is refused that it has expired. */
    if (is_late(event) && refuse(ctx, event->id, CLOUDS_EEXPIRED) != CLOUDS_EINVAL) return work;
    if (!push_handler(L, s, event)) {
        refuse(ctx, event->id, CLOUDS_ENOMETHOD);
        return work;
    }
    int count = lc_decode_values(L, &s->codec, event->data, event->data_len, lc_bytes_of(event));
    if (count < 0) {
        lua_pop(L, 1);
        fail(ctx, event->id, broken, sizeof broken - 1);
        return work;
    }
    lc_request *request = lc_request_new(L, s, ctx, event);
    request->holders = 1;
    work.scope = lc_request_handle(s, request);
    work.values = count + 1;
    return work;
}

static void on_request(lua_State *L, lc_state *s, lc_context *ctx, const clouds_event *event)
{
    lc_work work = work_of_request(L, s, ctx, event);
    if (work.values) start(L, s, &work);
}

/* The arguments of the hook `event`: the name of the event, the number of the node (or context), and more. */
static const char *event_name(uint32_t type)
{
    switch (type) {
    case CLOUDS_EVENT_READY:
        return "ready";
    case CLOUDS_EVENT_MESSAGE:
        return "message";
    case CLOUDS_EVENT_UNKNOWN:
        return "unknown message";
    case CLOUDS_EVENT_NODE_CLOSED:
        return "exit";
    case CLOUDS_EVENT_CONTEXT_CLOSED:
        return "context closed";
    case CLOUDS_EVENT_BUS_UP:
        return "up";
    case CLOUDS_EVENT_BUS_DOWN:
        return "down";
    case CLOUDS_EVENT_FIND_SERVER:
        return "find_server";
    case CLOUDS_EVENT_SAVE_SERVERS:
        return "save_servers";
    case CLOUDS_EVENT_REMOVE_SERVER:
        return "remove_server";
    case CLOUDS_EVENT_CLEAR_SERVERS:
        return "clear_servers";
    case CLOUDS_EVENT_LOG:
        return "log";
    case CLOUDS_EVENT_PEER:
        return "peer";
    case CLOUDS_EVENT_PUBLISHED:
        return "published";
    case CLOUDS_EVENT_UNSUBSCRIBED:
        return "unsubscribed";
    case CLOUDS_EVENT_PAUSED:
        return "paused";
    case CLOUDS_EVENT_STOP:
        return "stop";
    default:
        return NULL;
    }
}

static void push_published(lua_State *L, lc_state *s, const clouds_event *event)
{
    lua_pushnumber(L, (lua_Number)event->id);
    push_data(L, s, event);
    push_text(L, event->method, event->method_len);
    push_text(L, event->peer, event->peer_len);
    lua_pushnumber(L, (lua_Number)event->number);
    lua_pushboolean(L, (event->flags & CLOUDS_FLAG_LAGGED) != 0);
    lua_pushnumber(L, (lua_Number)event->sequence);
    if (event->meta_len == 0 || !lc_decode_value(L, &s->codec, event->meta, event->meta_len, (lc_area){0}))
        lua_pushnil(L);
    lua_pushnumber(
        L, (lua_Number)(event->data_len + event->bytes_len + event->meta_len + event->method_len + event->peer_len));
}

/* What another node wants of this one. */
static void push_asked(lua_State *L, const clouds_event *event)
{
    bool is_stop = event->type == CLOUDS_EVENT_STOP;
    push_text(L, event->peer, event->peer_len);
    if (is_stop && event->time_left >= 0) lua_pushnumber(L, event->time_left);
    else if (event->method_len) push_text(L, event->method, event->method_len);
    else lua_pushnil(L);
    if (!is_stop) lua_pushboolean(L, event->number != 0);
}

static void push_event_values(lua_State *L, lc_state *s, const clouds_event *event)
{
    switch (event->type) {
    case CLOUDS_EVENT_MESSAGE:
        lua_pushnumber(L, (lua_Number)(event->data_len + event->bytes_len));
        push_text(L, event->peer, event->peer_len);
        push_data(L, s, event);
        break;
    case CLOUDS_EVENT_UNKNOWN:
        lua_pushnumber(L, (lua_Number)(event->data_len + event->error_len));
        push_text(L, event->method, event->method_len);
        push_text(L, event->peer, event->peer_len);
        push_data(L, s, event);
        push_text(L, event->error, event->error_len);
        break;
    case CLOUDS_EVENT_FIND_SERVER:
        lua_pushnumber(L, (lua_Number)event->id);
        /* fall through */
    case CLOUDS_EVENT_SAVE_SERVERS:
        push_text(L, event->method, event->method_len);
        push_data(L, s, event);
        break;
    case CLOUDS_EVENT_REMOVE_SERVER:
        push_text(L, event->peer, event->peer_len);
        push_text(L, event->method, event->method_len);
        break;
    case CLOUDS_EVENT_PEER:
        push_text(L, event->peer, event->peer_len);
        lua_pushnumber(L, (lua_Number)event->number);
        push_text(L, event->method, event->method_len);
        break;
    case CLOUDS_EVENT_NODE_CLOSED:
        lua_pushnumber(L, (lua_Number)event->number);
        break;
    case CLOUDS_EVENT_PAUSED:
    case CLOUDS_EVENT_STOP:
        push_asked(L, event);
        break;
    case CLOUDS_EVENT_PUBLISHED:
        push_published(L, s, event);
        break;
    case CLOUDS_EVENT_UNSUBSCRIBED:
        lua_pushnumber(L, (lua_Number)event->id);
        if (event->code != 0) lc_push_event_error(L, s, event);
        else lua_pushboolean(L, 1);
        break;
    case CLOUDS_EVENT_LOG:
        lua_pushnumber(L, (lua_Number)event->number);
        push_data(L, s, event);
        break;
    default:
        if (event->code != 0) lc_push_event_error(L, s, event);
        else lua_pushboolean(L, 1);
    }
}

/* The number in Lua of the node, or the context. That of FIND_SERVER is found by the call. */
static lua_Number subject(lc_state *s, const lc_context *ctx, const clouds_event *event)
{
    if (!event->node || event->type == CLOUDS_EVENT_LOG) return ctx->number;
    if (event->type != CLOUDS_EVENT_FIND_SERVER) return (lua_Number)event->user_data;
    lc_slot *slot = lc_slot_find(s, event->user_data);
    return slot && slot->node ? slot->node->number : 0;
}

static void on_other(lua_State *L, lc_state *s, lc_context *ctx, const clouds_event *event)
{
    const char *name = event_name(event->type);
    if (!name) return;
    luaL_checkstack(L, 16, NULL);
    lc_push_hook(L, s, "event");
    int function = lua_gettop(L);
    lua_pushstring(L, name);
    lua_pushnumber(L, subject(s, ctx, event));
    push_event_values(L, s, event);
    lc_task_start(L, s, lc_task_begin(L, s), LC_TASK_PLAIN, 0, lua_gettop(L) - function + 1);
}

/* attempt(hooked, context, call, number, code): on behalf of the request that the call was made for. */
static void on_attempt(lua_State *L, lc_state *s, lc_context *ctx, const clouds_event *event)
{
    lc_slot *slot = lc_slot_find(s, event->user_data);
    if (!slot || slot->id != event->id || slot->kept != LC_KEPT_HOOKED) return;
    lc_handle scope = slot->scope;
    luaL_checkstack(L, 16, NULL);
    lc_slot_push_kept(L, s, slot);
    lc_push_hook(L, s, "attempt");
    lua_insert(L, -2);
    lua_pushnumber(L, ctx->number);
    lua_pushnumber(L, (lua_Number)event->id);
    lua_pushnumber(L, (lua_Number)event->number);
    if (event->code != 0) lua_pushstring(L, clouds_err_name(event->code));
    else lua_pushnil(L);
    lc_task *task = lc_task_begin(L, s);
    lc_request_hold(s, scope);
    lc_task_start(L, s, task, LC_TASK_PLAIN, scope, 6);
}

void lc_dispatch(lua_State *L, lc_state *s, lc_context *ctx, const clouds_event *event)
{
    int top = lua_gettop(L);
    switch (event->type) {
    case CLOUDS_EVENT_RESULT:
        on_result(L, s, event);
        break;
    case CLOUDS_EVENT_REQUEST:
        on_request(L, s, ctx, event);
        break;
    case CLOUDS_EVENT_ATTEMPT:
        on_attempt(L, s, ctx, event);
        break;
    case CLOUDS_EVENT_CANCELED:
        lc_request_cancel(L, s, ctx, event->id);
        break;
    case CLOUDS_EVENT_PAUSED:
        if (event->id == 0) on_other(L, s, ctx, event);
        else on_operation(L, s, ctx, event);
        break;
    case CLOUDS_EVENT_UNREGISTERED:
        lc_methods_left(L, s, ctx, event->id);
        on_operation(L, s, ctx, event);
        break;
    case CLOUDS_EVENT_REGISTERED:
    case CLOUDS_EVENT_SENT:
    case CLOUDS_EVENT_STATUS:
    case CLOUDS_EVENT_SUBSCRIBED:
        on_operation(L, s, ctx, event);
        break;
    default:
        on_other(L, s, ctx, event);
        break;
    }
    lua_settop(L, top);
}

lc_work lc_dispatch_next(lua_State *L, lc_state *s, lc_context *ctx)
{
    lc_work work = {LC_TASK_PLAIN, 0, 0};
    while (ctx->cursor < ctx->count && work.values == 0) {
        const clouds_event *event = &ctx->events[ctx->cursor];
        if (event->type == CLOUDS_EVENT_RESULT) {
            work = work_of_result(L, s, event);
            if (work.values == 0) break;
        } else if (event->type == CLOUDS_EVENT_REQUEST) {
            work = work_of_request(L, s, ctx, event);
        } else {
            break;
        }
        ctx->cursor++;
    }
    return work;
}
