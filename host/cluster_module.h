/* What the files of host.cluster share. */
#ifndef HOST_CLUSTER_MODULE_H
#define HOST_CLUSTER_MODULE_H

#include <lua.h>

#include "host/cluster/cluster.h"

/* Each adds to the table of host.cluster at the top. */
void host_cluster_add_dispatch(lua_State *L);
void host_cluster_add_sink(lua_State *L);
void host_cluster_add_worker(lua_State *L);

host_dispatch *host_cluster_check_dispatch(lua_State *L, int index);
/* Into the table at the top. */
void host_cluster_put_number(lua_State *L, const char *name, double value);

#endif
