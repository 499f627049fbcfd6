/* host.cluster: files that the master holds as long as it runs, and those of others. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <lua.h>
#include <lauxlib.h>

#include "cluster_module.h"
#include "internal.h"

/* cluster.lock(path, mode): a descriptor; or nil, why not, and the pid of who holds it. */
static int l_lock(lua_State *L)
{
    long holder = 0;
    int fd = host_lock_take(luaL_checkstring(L, 1), (int)luaL_checkinteger(L, 2), &holder);
    if (fd >= 0) {
        lua_pushinteger(L, fd);
        return 1;
    }
    int problem = errno;
    lua_pushnil(L);
    lua_pushstring(L, problem == EINVAL ? "it is no file" : strerror(problem));
    if (problem == EWOULDBLOCK) lua_pushinteger(L, (lua_Integer)holder);
    else lua_pushnil(L);
    return 3;
}

/* cluster.unlock(path, descriptor): removes the file, unless it is another's by now. */
static int l_unlock(lua_State *L)
{
    host_lock_free(luaL_checkstring(L, 1), (int)luaL_checkinteger(L, 2));
    return 0;
}

/* cluster.make_folders_of(path): those that the file is to be in. */
static int l_make_folders_of(lua_State *L)
{
    host_lock_folders(luaL_checkstring(L, 1));
    return 0;
}

/* cluster.files(folder): the names of what is in it; none when it cannot be read. */
static int l_files(lua_State *L)
{
    DIR *folder = opendir(luaL_checkstring(L, 1));
    int count = 0;
    lua_newtable(L);
    if (!folder) return 1;
    for (struct dirent *entry; (entry = readdir(folder));) {
        lua_pushstring(L, entry->d_name);
        lua_rawseti(L, -2, ++count);
    }
    closedir(folder);
    return 1;
}

void host_cluster_add_lock(lua_State *L)
{
    static const luaL_Reg functions[] = {{"lock", l_lock},
                                         {"unlock", l_unlock},
                                         {"make_folders_of", l_make_folders_of},
                                         {"files", l_files},
                                         {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
