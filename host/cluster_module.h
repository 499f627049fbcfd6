/* What the files of host.cluster share. */
#ifndef HOST_CLUSTER_MODULE_H
#define HOST_CLUSTER_MODULE_H

#include <lua.h>

#include "host/cluster/cluster.h"

/* ---- a process below the master */

#define HOST_PROCESS_TYPE "clouds.cluster.process"
#define HOST_DISPATCH_TYPE "clouds.cluster.dispatch"

enum { HOST_PROCESS_STREAMS = 2 };

typedef struct host_process {
    pid_t pid; /* 0: it has ended */
    host_channel *channel;
    host_dispatch *dispatch; /* NULL: it was never given a connection */
    host_target *target;
    host_board *board;
    int board_fd;
    struct host_stream_of {
        struct host_process *process;
        host_lines *lines;
    } streams[HOST_PROCESS_STREAMS];
    int self, on_message, on_line, on_exit; /* references */
} host_process;

/* Pushes one whose functions are those of the table at index 1. */
host_process *host_process_push(lua_State *L);
/* The ends of the master: the channel, and what the process writes, -1 where that does not come here. The process at
 * the top lies in the registry from now on. False: no memory; what was opened is closed with the process. */
bool host_process_watch(lua_State *L, host_process *p, const int ends[1 + HOST_PROCESS_STREAMS]);

/* ---- the parts of host.cluster */

/* Each adds to the table of host.cluster at the top. */
void host_cluster_add_counts(lua_State *L);
void host_cluster_add_dispatch(lua_State *L);
void host_cluster_add_notify(lua_State *L);
void host_cluster_add_lock(lua_State *L);
void host_cluster_add_signals(lua_State *L);
void host_cluster_add_sink(lua_State *L);
void host_cluster_add_spawn(lua_State *L);
void host_cluster_add_upgrade(lua_State *L);
void host_cluster_add_worker(lua_State *L);

/* cluster_worker.c: connections that this worker has. */
size_t host_cluster_open(void);

/* cluster_shared.c, of a worker. Connections of all listeners go to `adopt`, which takes the descriptor over or gives
 * false; without it, and after host_shared_close, none is accepted. */
void host_shared_open(bool (*adopt)(int fd, unsigned listener));
void host_shared_close(void);
/* Takes `fd` over, in the place of an earlier one of the same number; false: no memory, and it is still the caller's.
 */
bool host_shared_take(const clouds_channel_listener *about, int fd);
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
/* cluster_counts.c: the descriptor of the counts at `index`, nil: -1. */
int host_cluster_counts_fd(lua_State *L, int index);
/* In a worker: counts there, if the descriptor is what a master has made for that. */
void host_cluster_take_counts(int fd);
/* cluster_board.c: pushes a table of what the board says. */
void host_cluster_push_board(lua_State *L, const host_board *board);
/* Whether a process that was sent this signal has not come to the end of its handler, and can. */
bool host_cluster_handles(pid_t pid, int number);
/* Resident memory of a process, in bytes; -1: there is no such process. */
double host_cluster_memory(pid_t pid);
/* Into the table at the top. */
void host_cluster_put_number(lua_State *L, const char *name, double value);

#endif
