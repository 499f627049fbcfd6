/* The functions of lua-luv that the host uses, found in the module when it is loaded. */
#ifndef CL_LUV_API_H
#define CL_LUV_API_H

#include <lua.h>
#include <uv.h>

typedef int (*cl_luv_pcall)(lua_State *L, int arguments, int results, int flags);
typedef int (*cl_luv_cpcall)(lua_State *L, lua_CFunction function, void *data, int flags);
typedef lua_State *(*cl_luv_acquire)(void);
typedef void (*cl_luv_release)(lua_State *L);

typedef struct cl_luv {
    void (*set_loop)(lua_State *L, uv_loop_t *loop);
    void (*set_callback)(lua_State *L, cl_luv_pcall call);
    void (*set_thread)(lua_State *L, cl_luv_pcall call);
    void (*set_cthread)(lua_State *L, cl_luv_cpcall call);
    void (*set_thread_cb)(cl_luv_acquire acquire, cl_luv_release release);
    cl_luv_pcall cfpcall;
    cl_luv_cpcall cfcpcall;
    lua_CFunction open;
} cl_luv;

/* luv_threads.c: gives luv's threads states whose errors do not end the process. `functions` is kept. */
void cl_luv_set_threads(const cl_luv *functions);

#endif
