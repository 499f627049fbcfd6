/* Coroutines of ours: a pool, and how each of them runs and ends.
 *
 * Design note. Each task has a place in the registry that anchors its coroutine, in the pool and while it runs. Most
 * tasks end without having waited, and then nothing is written there. Only a task that waits gives its anchor up, for
 * it must be collected when nobody can resume it any more. */
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"

/* A coroutine has room for FEW_VALUES from its beginning: that is LUA_MINSTACK, less what is pushed beside. */
enum { MAX_POOLED = 1024, FEW_VALUES = LUA_MINSTACK - 8 };

/* Runs in the coroutine. However that is resumed, finish() learns how the function ended; and gives what to run next,
 * which costs a fraction of another task. */
static const char body_source[] = "local xpcall, finish, traceback = ...\n"
                                  "local function run(fn, ...)\n"
                                  "  if fn then return run(finish(xpcall(fn, traceback, ...))) end\n"
                                  "end\n"
                                  "return run";

lc_task *lc_task_of(lua_State *L, lc_state *s)
{
    if (s->current && s->current->co == L) return s->current;
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->tasks_ref);
    lua_pushthread(L);
    lua_rawget(L, -2);
    lc_task *task = lua_touserdata(L, -1);
    lua_pop(L, 2);
    return task;
}

lc_handle lc_scope_of(lua_State *L, lc_state *s)
{
    lc_task *task = lc_task_of(L, s);
    return task ? task->scope : s->scope;
}

/* An error that was made to be sent: with a code, or with words. */
static bool is_worded(lua_State *L, int index)
{
    static const char *const members[] = {"code", "message"};
    for (int i = 0; i < 2 && lua_istable(L, index); i++) {
        lua_pushstring(L, members[i]);
        lua_rawget(L, index);
        bool has = !lua_isnil(L, -1);
        lua_pop(L, 1);
        if (has) return true;
    }
    return false;
}

/* The error handler of the body: keeps the traceback of what looks like a fault for finish; the error stays as it was
 * raised. */
static int keep_traceback(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_task *task = lc_task_of(L, s);
    lua_settop(L, 1);
    if (task && task->kind == LC_TASK_REQUEST && is_worded(L, 1)) return 1;
    luaL_traceback(L, L, NULL, 1);
    lua_rawseti(L, LUA_REGISTRYINDEX, s->traceback_ref);
    return 1;
}

void lc_report_about(lua_State *L, lc_state *s)
{
    int top = lua_gettop(L);
    lc_push_hook(L, s, "report");
    lua_pushvalue(L, top - 2);
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->traceback_ref);
    lua_pushvalue(L, top - 1);
    lua_pushvalue(L, top);
    lua_pushboolean(L, 0);
    lua_rawseti(L, LUA_REGISTRYINDEX, s->traceback_ref);
    if (lua_pcall(L, 4, 0, 0) != 0) fprintf(stderr, "clouds: error while reporting an error\n");
    lua_settop(L, top - 3);
}

void lc_report(lua_State *L, lc_state *s, const char *what)
{
    lua_pushstring(L, what);
    lua_pushnil(L);
    lc_report_about(L, s);
}

static void leave_scope(lc_state *s, lc_task *task)
{
    lc_handle scope = task->scope;
    task->scope = 0;
    if (scope) lc_request_drop(s, scope);
}

static void end(lua_State *L, lc_state *s, lc_task *task)
{
    task->finished = true;
    bool ok = lua_toboolean(L, 1);
    if (task->kind == LC_TASK_REQUEST) {
        lc_request_end(L, s, task->scope, ok);
    } else if (!ok) {
        lua_settop(L, 2);
        lc_report(L, s, "callback");
    }
    leave_scope(s, task);
}

static void begin(lc_state *s, lc_task *task, enum lc_task_kind kind, lc_handle scope)
{
    lc_request_works(s, scope);
    task->kind = kind;
    task->scope = scope;
    task->finished = task->waits = task->taken = false;
}

/* Nobody but the poll itself waits for this task to return. */
static bool can_go_on(const lc_state *s, const lc_task *task)
{
    return task->pulls && !task->taken && s->current == task && s->polled && s->depth == s->poll_depth + 1;
}

/* finish(ok, ...): the last thing a task does -> the function that it does next, and its arguments */
static int finish(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    lc_task *task = lc_task_of(L, s);
    if (!task || task->finished) return 0;
    end(L, s, task);
    if (!can_go_on(s, task)) return 0;
    if (lua_gettop(L) > LUA_MINSTACK / 2)
        lua_settop(L, 0); /* there is room for as many beside those of this function */
    lc_work next = lc_dispatch_next(L, s, s->polled);
    if (next.values == 0) return 0;
    begin(s, task, next.kind, next.scope);
    s->scope = next.scope;
    return next.values;
}

/* A coroutine that nobody can resume any more: a request it would have answered must not stay open. */
static int task_collect(lua_State *L)
{
    lc_task *task = lua_touserdata(L, 1);
    lc_state *s = task->state;
    if (s->closed) return 0;
    leave_scope(s, task);
    luaL_unref(L, LUA_REGISTRYINDEX, task->ref);
    return 0;
}

/* Room for one more, up to MAX_POOLED. */
static bool pool_has_room(lc_state *s)
{
    if (s->pooled < s->pool_room) return true;
    if (s->pool_room == MAX_POOLED) return false;
    int room = s->pool_room ? s->pool_room * 2 : 16;
    lc_task **pool = realloc(s->pool, (size_t)room * sizeof *pool);
    if (!pool) return false;
    s->pool = pool;
    s->pool_room = room;
    return true;
}

static void anchor(lua_State *L, lc_task *task)
{
    lua_pushthread(task->co);
    lua_xmove(task->co, L, 1);
    lua_rawseti(L, LUA_REGISTRYINDEX, task->ref);
    task->anchored = true;
}

static lc_task *task_new(lua_State *L, lc_state *s)
{
    luaL_checkstack(L, 16, "too much waits");
    lua_State *co = lua_newthread(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->tasks_ref);
    lua_pushvalue(L, -2);
    lc_task *task = lua_newuserdata(L, sizeof *task);
    *task = (lc_task){.state = s, .co = co, .finished = true, .ref = LUA_NOREF};
    luaL_getmetatable(L, "clouds.task");
    lua_setmetatable(L, -2);
    lua_rawset(L, -3);
    lua_pushboolean(L, 0);
    task->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    anchor(L, task);
    lua_pop(L, 2);
    return task;
}

lc_task *lc_task_begin(lua_State *L, lc_state *s)
{
    lc_task *task = s->pooled > 0 ? s->pool[--s->pooled] : task_new(L, s);
    lua_rawgeti(task->co, LUA_REGISTRYINDEX, s->body_ref);
    task->pulls = false;
    return task;
}

/* Only a task that waits is anchored by who will resume it alone: it must be collected when nobody can any more. */
static void drop_anchor(lua_State *L, lc_task *task)
{
    if (!task->anchored) return;
    lua_pushboolean(L, 0);
    lua_rawseti(L, LUA_REGISTRYINDEX, task->ref);
    task->anchored = false;
}

static void recycle(lua_State *L, lc_state *s, lc_task *task)
{
    lua_settop(task->co, 0);
    if (!pool_has_room(s)) {
        drop_anchor(L, task);
        return;
    }
    if (!task->anchored) anchor(L, task);
    s->pool[s->pooled++] = task;
}

/* The coroutine died although its function runs protected (no memory, a stack overflow in finish). */
static void failed_abnormally(lua_State *L, lc_state *s, lua_State *co, lc_task *task)
{
    if (lua_gettop(co) > 0) lua_xmove(co, L, 1);
    else lua_pushliteral(L, "a coroutine ended abnormally");
    bool answers = task && task->kind == LC_TASK_REQUEST && !task->finished;
    bool request = answers && lc_request_find(s, task->scope);
    if (request) lc_request_fail(L, s, task->scope, lua_gettop(L));
    if (task) {
        task->finished = true;
        leave_scope(s, task);
    }
    if (request) lua_pop(L, 1);
    else lc_report(L, s, "coroutine");
}

static void resume(lua_State *L, lc_state *s, lua_State *co, lc_task *task, int values, lc_handle scope)
{
    lc_task *before = s->current;
    lua_State *running_before = s->running;
    lc_handle scope_before = s->scope;
    s->current = task;
    s->running = co;
    s->scope = scope;
    s->depth++;
    int status = lua_resume(co, values);
    s->depth--;
    s->current = before;
    s->running = running_before;
    s->scope = scope_before;
    if (status == 0 && task && task->finished) {
        recycle(L, s, task);
        return;
    }
    if (task) task->pulls = false;
    if (status == 0) lua_settop(co, 0); /* with results on its stack it would not count as dead */
    if (status != 0 && status != LUA_YIELD) failed_abnormally(L, s, co, task);
    if (task) drop_anchor(L, task);
}

void lc_resume(lua_State *L, lc_state *s, lua_State *co, int values, lc_handle scope)
{
    lc_task *task = lc_task_of(co, s);
    if (task) task->waits = false;
    lc_request_works(s, scope);
    resume(L, s, co, task, values, scope);
}

void lc_task_start(lua_State *L, lc_state *s, lc_task *task, enum lc_task_kind kind, lc_handle scope, int values)
{
    lua_State *co = task->co;
    begin(s, task, kind, scope);
    if (values > FEW_VALUES) luaL_checkstack(co, values + 8, "too many values");
    lua_xmove(L, co, values);
    resume(L, s, co, task, lua_gettop(co) - 1, scope);
}

static void open_body(lua_State *L, lc_state *s)
{
    if (luaL_loadbuffer(L, body_source, sizeof body_source - 1, "=[clouds]") != 0) lua_error(L);
    lua_getglobal(L, "xpcall");
    lua_pushlightuserdata(L, s);
    lua_pushcclosure(L, finish, 1);
    lua_pushlightuserdata(L, s);
    lua_pushcclosure(L, keep_traceback, 1);
    lua_call(L, 3, 1);
    s->body_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

void lc_task_open(lua_State *L, lc_state *s)
{
    static const luaL_Reg none[] = {{NULL, NULL}};
    lc_add_type(L, s, "clouds.task", none, task_collect);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    s->tasks_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushboolean(L, 0);
    s->traceback_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    open_body(L, s);
}
