/* The module "clouds.loop.host": the interface of lua/clouds/loop.lua over uv.
 *
 * Design note. Timers and watches are taken from pools that only grow: what Lua holds is a pointer and a generation, so
 * that a stale object does nothing, and a timer costs no uv_close. A timer of 0 seconds is not uv's: uv runs such a
 * timer in the same pass it was started in, so that a coroutine which sleeps 0 again and again would keep the loop from
 * its input. They wait in a queue of their own that an idle handle empties, once a turn. */
#include <math.h>
#include <stdlib.h>
#include <lua.h>
#include <lauxlib.h>

#include "host/cluster/cluster.h"
#include "internal.h"

#define TIMER_TYPE "clouds.loop.timer"
#define WATCH_TYPE "clouds.loop.watch"

static const double longest_timer = 1e9; /* seconds */

typedef struct timer {
    uv_timer_t uv;
    struct timer *next_free, *next_all, *next_queued;
    unsigned generation;
    int function; /* reference, LUA_NOREF when not pending */
    bool queued;  /* in the queue of the next turn, even when stopped */
} timer;

typedef struct watch {
    uv_poll_t uv;
    struct watch *next_free, *next_all;
    unsigned generation;
    int function;
} watch;

/* What Lua holds. */
typedef struct timer_box {
    timer *timer;
    unsigned generation;
} timer_box;

typedef struct watch_box {
    watch *watch;
    unsigned generation;
} watch_box;

static const host_anchor sleep_function;

static struct {
    timer *all_timers, *free_timers;
    timer *first_queued, **last_queued;
    watch *all_watches, *free_watches;
    uv_idle_t next_turn;
    uv_prepare_t before_sleep;
} pool;

/* ---- Timers ---- */

static timer *take_timer(lua_State *L)
{
    timer *t = pool.free_timers;
    if (t) {
        pool.free_timers = t->next_free;
        return t;
    }
    t = calloc(1, sizeof *t);
    if (!t || uv_timer_init(host_get()->loop, &t->uv) != 0) {
        free(t);
        luaL_error(L, "not enough memory");
        return NULL;
    }
    t->next_all = pool.all_timers;
    pool.all_timers = t;
    return t;
}

/* The timer is over: its boxes are stale. It is free again unless the queue still has it. */
static void retire_timer(lua_State *L, timer *t)
{
    luaL_unref(L, LUA_REGISTRYINDEX, t->function);
    t->function = LUA_NOREF;
    t->generation++;
    if (t->queued) return;
    t->next_free = pool.free_timers;
    pool.free_timers = t;
}

static void fire(timer *t)
{
    lua_State *L = host_get()->L;
    lua_rawgeti(L, LUA_REGISTRYINDEX, t->function);
    retire_timer(L, t);
    host_call(L, 0, 0, "error in a timer");
}

static void on_timer(uv_timer_t *handle)
{
    fire((timer *)handle);
}

static void on_next_turn(uv_idle_t *handle)
{
    timer *t = pool.first_queued;
    pool.first_queued = NULL;
    pool.last_queued = &pool.first_queued;
    uv_idle_stop(handle); /* what is queued from here on starts it again */
    while (t) {
        timer *next = t->next_queued;
        t->queued = false;
        if (t->function != LUA_NOREF) {
            fire(t);
        } else {
            t->next_free = pool.free_timers;
            pool.free_timers = t;
        }
        t = next;
    }
}

static void queue_timer(timer *t)
{
    t->queued = true;
    t->next_queued = NULL;
    *pool.last_queued = t;
    pool.last_queued = &t->next_queued;
    uv_idle_start(&pool.next_turn, on_next_turn);
}

/* Milliseconds from the loop's cached time until `seconds` from the real now have passed, never less. */
static uint64_t delay_from_loop_time(double seconds)
{
    double due = ceil((double)uv_hrtime() / 1e6 + seconds * 1e3);
    double start = (double)uv_now(host_get()->loop);
    return due > start ? (uint64_t)(due - start) : 0;
}

static int loop_timer(lua_State *L)
{
    double seconds = luaL_checknumber(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    if (!(seconds <= longest_timer)) seconds = longest_timer;
    timer_box *box = lua_newuserdata(L, sizeof *box);
    luaL_getmetatable(L, TIMER_TYPE);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, 2);
    int function = luaL_ref(L, LUA_REGISTRYINDEX);
    timer *t = take_timer(L);
    t->function = function;
    box->timer = t;
    box->generation = t->generation;
    if (seconds <= 0) queue_timer(t);
    else uv_timer_start(&t->uv, on_timer, delay_from_loop_time(seconds), 0);
    return 1;
}

static int timer_stop(lua_State *L)
{
    timer_box *box = luaL_checkudata(L, 1, TIMER_TYPE);
    if (box->generation != box->timer->generation) return 0;
    uv_timer_stop(&box->timer->uv);
    retire_timer(L, box->timer);
    return 0;
}

/* ---- Watches ---- */

static watch *take_watch(lua_State *L)
{
    watch *w = pool.free_watches;
    if (w) {
        pool.free_watches = w->next_free;
        return w;
    }
    w = calloc(1, sizeof *w);
    if (!w) luaL_error(L, "not enough memory");
    w->next_all = pool.all_watches;
    pool.all_watches = w;
    return w;
}

static void free_watch(watch *w)
{
    w->next_free = pool.free_watches;
    pool.free_watches = w;
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
    watch *w = (watch *)handle;
    lua_State *L = host_get()->L;
    (void)status;
    (void)events;
    lua_rawgeti(L, LUA_REGISTRYINDEX, w->function);
    host_call(L, 0, 0, "error in a watch");
}

static void on_watch_closed(uv_handle_t *handle)
{
    free_watch((watch *)handle);
}

static int loop_watch(lua_State *L)
{
    int fd = (int)luaL_checkinteger(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    watch_box *box = lua_newuserdata(L, sizeof *box);
    luaL_getmetatable(L, WATCH_TYPE);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, 2);
    int function = luaL_ref(L, LUA_REGISTRYINDEX);
    watch *w = take_watch(L);
    int code = uv_poll_init(host_get()->loop, &w->uv, fd);
    if (code != 0) {
        free_watch(w);
        luaL_unref(L, LUA_REGISTRYINDEX, function);
        return luaL_error(L, "cannot watch descriptor %d: %s", fd, uv_strerror(code));
    }
    w->function = function;
    box->watch = w;
    box->generation = w->generation;
    uv_unref((uv_handle_t *)&w->uv);
    uv_poll_start(&w->uv, UV_READABLE, on_readable);
    return 1;
}

static watch *check_watch(lua_State *L)
{
    watch_box *box = luaL_checkudata(L, 1, WATCH_TYPE);
    return box->generation == box->watch->generation ? box->watch : NULL;
}

static int watch_hold(lua_State *L)
{
    watch *w = check_watch(L);
    if (!w) return 0;
    if (lua_toboolean(L, 2)) uv_ref((uv_handle_t *)&w->uv);
    else uv_unref((uv_handle_t *)&w->uv);
    return 0;
}

static int watch_stop(lua_State *L)
{
    watch *w = check_watch(L);
    if (!w) return 0;
    w->generation++;
    luaL_unref(L, LUA_REGISTRYINDEX, w->function);
    w->function = LUA_NOREF;
    if (!uv_is_closing((uv_handle_t *)&w->uv)) uv_close((uv_handle_t *)&w->uv, on_watch_closed);
    return 0;
}

/* ---- The rest ---- */

void host_loop_before_sleep(lua_State *L)
{
    host_anchor_get(L, &sleep_function);
    if (lua_isfunction(L, -1)) host_call(L, 0, 0, "error before sleep");
    else lua_pop(L, 1);
}

static void on_prepare(uv_prepare_t *handle)
{
    (void)handle;
    host_loop_before_sleep(host_get()->L);
    host_board_idle();
}

static int loop_before_sleep(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    host_anchor_set(L, &sleep_function);
    uv_prepare_start(&pool.before_sleep, on_prepare);
    uv_unref((uv_handle_t *)&pool.before_sleep);
    return 0;
}

static int loop_now(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)uv_hrtime() / 1e9);
    return 1;
}

static void make_type(lua_State *L, const char *name, const luaL_Reg *methods)
{
    luaL_newmetatable(L, name);
    luaL_setfuncs(L, methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

int host_open_loop(lua_State *L)
{
    static const luaL_Reg timer_methods[] = {{"stop", timer_stop}, {NULL, NULL}};
    static const luaL_Reg watch_methods[] = {{"hold", watch_hold}, {"stop", watch_stop}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"now", loop_now},
                                         {"watch", loop_watch},
                                         {"timer", loop_timer},
                                         {"before_sleep", loop_before_sleep},
                                         {NULL, NULL}};
    uv_loop_t *loop = host_get()->loop;
    uv_idle_init(loop, &pool.next_turn);
    uv_prepare_init(loop, &pool.before_sleep);
    pool.last_queued = &pool.first_queued;
    make_type(L, TIMER_TYPE, timer_methods);
    make_type(L, WATCH_TYPE, watch_methods);
    lua_newtable(L);
    luaL_setfuncs(L, functions, 0);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "can_block");
    return 1;
}
