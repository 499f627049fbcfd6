/* What the files of host.cluster share. */
#ifndef HOST_CLUSTER_MODULE_H
#define HOST_CLUSTER_MODULE_H

#include <lua.h>

#include "host/cluster/cluster.h"

/* Each adds to the table of host.cluster at the top. */
void host_cluster_add_dispatch(lua_State *L);
void host_cluster_add_notify(lua_State *L);
void host_cluster_add_lock(lua_State *L);
void host_cluster_add_signals(lua_State *L);
void host_cluster_add_sink(lua_State *L);
void host_cluster_add_spawn(lua_State *L);
void host_cluster_add_worker(lua_State *L);

/* cluster_worker.c: connections that this worker has. */
size_t host_cluster_open(void);

/* cluster_shared.c, of a worker. Connections of all listeners go to `adopt`, which takes the descriptor over or gives
 * false; without it, and after host_shared_close, none is accepted. */
void host_shared_open(bool (*adopt)(int fd, unsigned listener));
void host_shared_close(void);
/* Takes `fd` over, in the place of an earlier one of the same number; false: no memory, and it is still the caller's. */
bool host_shared_take(const host_shared_message *about, int fd);
void host_shared_drop(unsigned number);
/* After a change of how many connections are open. */
void host_shared_update(void);

/* Pushes nil, and why not: what the function returns. */
int host_cluster_fail(lua_State *L, const char *why);

/* The texts of the list at `index`, and NULL; in memory of Lua's that stays on the stack, as the list does. */
char **host_cluster_words(lua_State *L, int index, const char *name);

/* What the table at index 1 says of who a child is, where it runs, and what it may use. Its texts and lists stay on the
 * stack, and have to as long as *spawn is used. */
void host_cluster_read_spawn(lua_State *L, host_spawn *spawn);

host_dispatch *host_cluster_check_dispatch(lua_State *L, int index);
/* cluster_board.c: pushes a table of what the board says. */
void host_cluster_push_board(lua_State *L, const host_board *board);
/* Resident memory of a process, in bytes; -1: there is no such process. */
double host_cluster_memory(pid_t pid);
/* Into the table at the top. */
void host_cluster_put_number(lua_State *L, const char *name, double value);

#endif
