/* The functions of lua-luv that the host uses, found in the module when it is loaded. */
#ifndef HOST_LUV_API_H
#define HOST_LUV_API_H

#include <lua.h>
#include <uv.h>

typedef int (*host_luv_pcall)(lua_State *L, int arguments, int results, int flags);
typedef int (*host_luv_cpcall)(lua_State *L, lua_CFunction function, void *data, int flags);
typedef lua_State *(*host_luv_acquire)(void);
typedef void (*host_luv_release)(lua_State *L);

typedef struct host_luv {
    void (*set_loop)(lua_State *L, uv_loop_t *loop);
    void (*set_callback)(lua_State *L, host_luv_pcall call);
    void (*set_thread)(lua_State *L, host_luv_pcall call);
    void (*set_cthread)(lua_State *L, host_luv_cpcall call);
    void (*set_thread_cb)(host_luv_acquire acquire, host_luv_release release);
    host_luv_pcall cfpcall;
    host_luv_cpcall cfcpcall;
    lua_CFunction open;
} host_luv;

/* luv_threads.c: gives luv's threads states whose errors do not end the process. `functions` is kept. */
void host_luv_set_threads(const host_luv *functions);

#endif
