/* Standard output that does not fail in silence: print keeps the reason of its first failure for the end. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <lua.h>
#include <lauxlib.h>

#include <clouds.h>

#include "internal.h"

static int failure; /* errno of the first failed print */

static void put(const char *text, size_t size)
{
    bool failed_before = ferror(stdout) != 0; /* a flush that fails inside is seen there alone */
    if ((fwrite(text, 1, size, stdout) < size || ferror(stdout)) && !failed_before) failure = errno;
}

/* print as Lua defines it. */
static int l_print(lua_State *L)
{
    int count = lua_gettop(L);
    lua_getglobal(L, "tostring");
    for (int i = 1; i <= count; i++) {
        size_t size;
        lua_pushvalue(L, count + 1);
        lua_pushvalue(L, i);
        lua_call(L, 1, 1);
        const char *text = lua_tolstring(L, -1, &size);
        if (!text) return luaL_error(L, "'tostring' must return a string to 'print'");
        if (i > 1) put("\t", 1);
        put(text, size);
        lua_pop(L, 1);
    }
    put("\n", 1);
    return 0;
}

/* A pipe or socket without a reader. */
static bool reader_is_gone(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && (out.revents & POLLERR) != 0;
}

int host_output_status(int status)
{
    static bool reported;
    bool lost = fflush(stdout) != 0;
    if (lost && failure == 0) failure = errno;
    if (!lost && !ferror(stdout)) return status;
    if (failure == EPIPE || (failure == 0 && reader_is_gone()))
        return lost && status == CLOUDS_EXIT_OK ? CLOUDS_EXIT_ERROR : status;
    if (!reported)
        fprintf(stderr, "clouds: cannot write the output: %s\n", failure ? strerror(failure) : "a write failed");
    reported = true;
    return status == CLOUDS_EXIT_OK ? CLOUDS_EXIT_ERROR : status;
}

/* host.output_status(status): flushes; the status to end with, which is not 0 when output was lost. */
static int l_output_status(lua_State *L)
{
    lua_pushinteger(L, host_output_status((int)luaL_checkinteger(L, 1)));
    return 1;
}

/* host.output_failed(): output.lua has reported a failure already. */
static int l_output_failed(lua_State *L)
{
    (void)L;
    failure = EPIPE;
    return 0;
}

void host_output_add(lua_State *L)
{
    lua_pushcfunction(L, l_print);
    lua_setglobal(L, "print");
    lua_pushcfunction(L, l_output_status);
    lua_setfield(L, -2, "output_status");
    lua_pushcfunction(L, l_output_failed);
    lua_setfield(L, -2, "output_failed");
}
