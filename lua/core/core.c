/* clouds.core: the C half of the module "clouds". What is here is for lua/clouds, not for users. */
#include <poll.h>
#include <signal.h>
#include <errno.h>

#include "internal.h"

enum { MAX_NESTED_RUNS = 60, MAX_DESCRIPTORS = 64 };

/* run(fn, ...) -> true; false when too much runs inside of each other (then it is to be run later) */
static int core_run(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    int count = lua_gettop(L);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    if (s->depth >= MAX_NESTED_RUNS) {
        lua_pushboolean(L, 0);
        return 1;
    }
    lc_handle scope = lc_scope_of(L, s);
    lc_task *task = lc_task_begin(L, s);
    lc_request_hold(s, scope);
    lc_task_start(L, s, task, LC_TASK_PLAIN, scope, count);
    lua_pushboolean(L, 1);
    return 1;
}

static lc_handle run_apart(lua_State *L, lc_state *s, int values)
{
    if (s->depth >= MAX_NESTED_RUNS) return 0;
    lc_handle scope = ++s->last_scope * LC_HANDLE_SPAN + LC_HANDLE_SPAN - 1; /* no request has this index */
    lc_task_start(L, s, lc_task_begin(L, s), LC_TASK_PLAIN, scope, values);
    return scope;
}

/* run_apart(fn, ...) -> the scope that it ran in, which is no request of the cluster: what waits there can be canceled
 * together; false as run */
static int core_run_apart(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lc_handle scope = run_apart(L, lc_state_of(L), lua_gettop(L));
    if (scope) lua_pushnumber(L, (lua_Number)scope);
    else lua_pushboolean(L, 0);
    return 1;
}

uint64_t lc_run_apart(lua_State *L, int values)
{
    return run_apart(L, lc_state_of_process(), values);
}

/* cancel(scope, words): what waits there ends with an error */
static int core_cancel(lua_State *L)
{
    lc_handle scope = (lc_handle)luaL_checknumber(L, 1);
    lc_slot_fail_scope(L, lc_state_of(L), NULL, scope, CLOUDS_ECANCELED, luaL_checkstring(L, 2));
    return 0;
}

/* take(): the program has the running coroutine, and may resume it itself */
static int core_take(lua_State *L)
{
    lc_task *task = lc_task_of(L, lc_state_of(L));
    if (task) task->taken = true;
    return 0;
}

/* is_unknown() -> whether this runs in a coroutine of ours that the program has no hold of */
static int core_is_unknown(lua_State *L)
{
    lc_task *task = lc_task_of(L, lc_state_of(L));
    lua_pushboolean(L, task && !task->taken);
    return 1;
}

/* setup(hooks): a table of functions: event, report, pack, block, attempt, defer, resend; and can_block, a boolean
 */
static int core_setup(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_getfield(L, 1, "can_block");
    s->can_block = lua_toboolean(L, -1);
    lua_settop(L, 1);
    lua_rawseti(L, LUA_REGISTRYINDEX, s->hooks_ref);
    return 0;
}

/* clock() -> seconds of a monotonic clock */
static int core_clock(lua_State *L)
{
    lua_pushnumber(L, lc_clock());
    return 1;
}

/* wait_readable(list of descriptors, timeout) -> those that are readable; false when a signal came. No timeout: for
 * ever */
static int core_wait_readable(lua_State *L)
{
    struct pollfd polled[MAX_DESCRIPTORS];
    luaL_checktype(L, 1, LUA_TTABLE);
    int count = (int)lua_objlen(L, 1);
    luaL_argcheck(L, count <= MAX_DESCRIPTORS, 1, "too many descriptors");
    double timeout = luaL_optnumber(L, 2, -1);
    for (int i = 0; i < count; i++) {
        lua_rawgeti(L, 1, i + 1);
        polled[i] = (struct pollfd){.fd = (int)lua_tointeger(L, -1), .events = POLLIN};
        lua_pop(L, 1);
    }
    int wait = timeout < 0 ? -1 : timeout > 86400 ? 86400000 : (int)(timeout * 1000 + 0.999);
    if (poll(polled, (nfds_t)count, wait) < 0) {
        lua_pushboolean(L, 0);
        return 1;
    }
    lua_newtable(L);
    for (int i = 0, n = 0; i < count; i++) {
        if (!polled[i].revents) continue;
        lua_pushinteger(L, polled[i].fd);
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

/* new_error(code, text) -> an error of the library's kind */
static int core_new_error(lua_State *L)
{
    lc_push_error(L, lc_state_of(L), (int)luaL_checkinteger(L, 1), luaL_optstring(L, 2, NULL));
    return 1;
}

/* options() -> name -> its scope, "context" or "node"; name -> its default, as text; and name -> the most it can be */
static int core_options(lua_State *L)
{
    clouds_option_info info = {.size = sizeof info};
    lua_newtable(L);
    lua_newtable(L);
    lua_newtable(L);
    for (uint32_t i = 0; clouds_option_describe(i, &info) == 0; i++) {
        lua_pushstring(L, info.scope);
        lua_setfield(L, -4, info.name);
        lua_pushstring(L, info.default_value);
        lua_setfield(L, -3, info.name);
        lua_pushnumber(L, info.maximum);
        lua_setfield(L, -2, info.name);
        info.size = sizeof info;
    }
    return 3;
}

static void add_codes(lua_State *L)
{
    static const struct {
        const char *name;
        int code;
    } codes[] = {{"ECLOSED", CLOUDS_ECLOSED},   {"ETIMEOUT", CLOUDS_ETIMEOUT},   {"EINVAL", CLOUDS_EINVAL},
                 {"EEXPIRED", CLOUDS_EEXPIRED}, {"ECANCELED", CLOUDS_ECANCELED}, {"ENOTSUP", CLOUDS_ENOTSUP},
                 {"ELIMIT", CLOUDS_ELIMIT}};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        lua_pushinteger(L, codes[i].code);
        lua_setfield(L, -2, codes[i].name);
    }
}

static void add_values(lua_State *L, lc_state *s)
{
    lua_pushstring(L, clouds_version());
    lua_setfield(L, -2, "version");
    lua_pushinteger(L, CLOUDS_SUBSCRIBE_BYTES);
    lua_setfield(L, -2, "QUEUE_BYTES");
    lua_pushinteger(L, CLOUDS_SUBSCRIBE_QUEUE);
    lua_setfield(L, -2, "QUEUE");
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->error_ref);
    lua_setfield(L, -2, "error_type");
    lua_newuserdata(L, 1);
    s->pending = lua_touserdata(L, -1);
    lua_pushvalue(L, -1);
    s->pending_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_setfield(L, -2, "pending");
}

__attribute__((visibility("default"))) int luaopen_clouds_core(lua_State *L)
{
    static const luaL_Reg functions[] = {{"run", core_run},
                                         {"run_apart", core_run_apart},
                                         {"cancel", core_cancel},
                                         {"setup", core_setup},
                                         {"take", core_take},
                                         {"is_unknown", core_is_unknown},
                                         {"clock", core_clock},
                                         {"wait_readable", core_wait_readable},
                                         {"new_error", core_new_error},
                                         {"options", core_options},
                                         {NULL, NULL}};
    if (clouds_version_number() < CLOUDS_VERSION_NUMBER) /* a later library has all that this module was built with */
        return luaL_error(L, "clouds.core needs libclouds " CLOUDS_VERSION " or later, this one is %s",
                          clouds_version());
    lc_state *s = lc_state_create(L);
    lua_newtable(L);
    lc_add_functions(L, s, functions);
    lc_slot_add(L, s);
    lc_request_add(L, s);
    lc_span_add(L, s);
    lc_request_open_add(L, s);
    lc_context_add(L, s);
    lc_node_add(L, s);
    lc_json_add(L, &s->codec);
    add_codes(L);
    add_values(L, s);
    return 1;
}
