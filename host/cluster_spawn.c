/* host.cluster of the master: who a child is, where it runs and what it may use. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <lua.h>
#include <lauxlib.h>

#include "cluster_module.h"
#include "internal.h"

enum { WORDS = 256, MAX_GROUPS = 1024, FIRST_GROUPS = 64 };

/* ---- for cluster.start */

/* Of the field, or `otherwise` when there is none. */
static int64_t number_in(lua_State *L, int table, const char *name, int64_t otherwise)
{
    lua_getfield(L, table, name);
    if (!lua_isnil(L, -1) && !lua_isnumber(L, -1)) luaL_error(L, "%s: expected a number", name);
    int64_t value = lua_isnil(L, -1) ? otherwise : (int64_t)lua_tonumber(L, -1);
    lua_pop(L, 1);
    return value;
}

/* The supplementary groups, in memory of Lua's that stays on the stack. */
static void read_groups(lua_State *L, host_spawn *spawn)
{
    lua_getfield(L, 1, "groups");
    if (lua_isnil(L, -1)) return;
    luaL_checktype(L, -1, LUA_TTABLE);
    int count = (int)lua_objlen(L, -1);
    if (count > MAX_GROUPS) luaL_error(L, "groups: at most %d", MAX_GROUPS);
    gid_t *groups = lua_newuserdata(L, sizeof *groups * (size_t)(count ? count : 1));
    for (int i = 0; i < count; i++) {
        lua_rawgeti(L, -2, i + 1);
        groups[i] = (gid_t)luaL_checknumber(L, -1);
        lua_pop(L, 1);
    }
    spawn->groups = groups;
    spawn->group_count = count;
}

static void read_limits(lua_State *L, host_spawn *spawn)
{
    lua_getfield(L, 1, "limits");
    if (lua_istable(L, -1)) {
        int table = lua_gettop(L);
        spawn->files = number_in(L, table, "nofile", -1);
        spawn->core = number_in(L, table, "core", -1);
        spawn->memory = number_in(L, table, "as", -1);
    }
    lua_pop(L, 1);
}

/* { user =, group =, groups = list, umask =, nice =, cpu =, folder =, limits = { nofile =, core =, as = } }, all of
 * them numbers except the folder, and each as that of the master when it is not there. */
void host_cluster_read_spawn(lua_State *L, host_spawn *spawn)
{
    host_spawn_plain(spawn);
    int64_t user = number_in(L, 1, "user", -1), group = number_in(L, 1, "group", -1);
    spawn->has_user = user >= 0;
    spawn->has_group = group >= 0;
    spawn->user = (uid_t)user;
    spawn->group = (gid_t)group;
    spawn->mask = (int)number_in(L, 1, "umask", -1);
    spawn->nice = (int)number_in(L, 1, "nice", 0);
    spawn->cpu = (int)number_in(L, 1, "cpu", -1);
    read_limits(L, spawn);
    lua_getfield(L, 1, "folder");
    spawn->folder = lua_tostring(L, -1);
    read_groups(L, spawn);
}

/* ---- names */

/* Whether the text is a number, which is an id by itself. */
static bool read_id(const char *text, unsigned long *id)
{
    char *end;
    errno = 0;
    *id = strtoul(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == 0 && errno == 0 && *id < UINT32_MAX;
}

/* The supplementary groups that the system has for a user, as a list. */
static void push_groups(lua_State *L, const struct passwd *user)
{
    int count = FIRST_GROUPS;
    gid_t *groups = lua_newuserdata(L, sizeof *groups * FIRST_GROUPS);
    if (getgrouplist(user->pw_name, user->pw_gid, groups, &count) < 0) {
        lua_pop(L, 1);
        groups = lua_newuserdata(L, sizeof *groups * (size_t)count);
        getgrouplist(user->pw_name, user->pw_gid, groups, &count);
    }
    lua_createtable(L, count, 0);
    for (int i = 0; i < count; i++) {
        lua_pushnumber(L, groups[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_remove(L, -2);
}

/* cluster.user(name or digits): { id =, group =, groups =, name =, home = } as the system has it; of digits that it
 * does not know only the id; nil: there is no such user. */
static int l_user(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    unsigned long id = 0;
    bool is_id = read_id(name, &id);
    const struct passwd *found = is_id ? getpwuid((uid_t)id) : getpwnam(name);
    if (!found && !is_id) return 0;
    lua_createtable(L, 0, 5);
    host_cluster_put_number(L, "id", found ? found->pw_uid : (double)id);
    if (!found) return 1;
    host_cluster_put_number(L, "group", found->pw_gid);
    lua_pushstring(L, found->pw_name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, found->pw_dir);
    lua_setfield(L, -2, "home");
    push_groups(L, found);
    lua_setfield(L, -2, "groups");
    return 1;
}

/* cluster.group(name or digits): its id; nil: there is no such group. */
static int l_group(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    unsigned long id;
    if (!read_id(name, &id)) {
        const struct group *found = getgrnam(name);
        if (!found) return 0;
        id = found->gr_gid;
    }
    lua_pushnumber(L, (lua_Number)id);
    return 1;
}

/* cluster.is_root(): whether this process may become another user. */
static int l_is_root(lua_State *L)
{
    lua_pushboolean(L, geteuid() == 0);
    return 1;
}

/* cluster.become{ user =, group =, groups = }: what this process, which root has started, is from now on. true; or nil
 * and why not: then it has to end. */
static int l_become(lua_State *L)
{
    host_spawn spawn;
    char why[WORDS];
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    host_cluster_read_spawn(L, &spawn);
    if (host_spawn_become(&spawn, why, sizeof why) == 0) return lua_pushboolean(L, 1), 1;
    return host_cluster_fail(L, why);
}

/* ---- processors */

/* cluster.processors(): how many this process may use. */
static int l_processors(lua_State *L)
{
    lua_pushinteger(L, host_processors());
    return 1;
}

/* cluster.processor(index): the number of the index-th of them, from 1, round and round; nil: unknown. */
static int l_processor(lua_State *L)
{
    int cpu = host_processor((int)luaL_checkinteger(L, 1) - 1);
    if (cpu < 0) return 0;
    lua_pushinteger(L, cpu);
    return 1;
}

/* cluster.signal_name(number): as "SIGKILL"; nil: it has none. */
static int l_signal_name(lua_State *L)
{
    const char *name = sigabbrev_np((int)luaL_checkinteger(L, 1));
    if (!name) return 0;
    lua_pushfstring(L, "SIG%s", name);
    return 1;
}

void host_cluster_add_spawn(lua_State *L)
{
    static const luaL_Reg functions[] = {{"user", l_user},
                                         {"group", l_group},
                                         {"is_root", l_is_root},
                                         {"become", l_become},
                                         {"processors", l_processors},
                                         {"processor", l_processor},
                                         {"signal_name", l_signal_name},
                                         {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
