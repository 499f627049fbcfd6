/* SIGPROF to a worker that does not come back to its loop: an error in what runs, also in a compiled loop.
 *
 * Design note. No hook is called by compiled code; the check points of LuaJIT's profiler are compiled in, when it runs. So
 * it runs with its timer off, and the signal, which its own handler takes for the timer's, leads to the next check point.
 * In the mode for lines loops have such points; in the others they have none. After an error from there LuaJIT compiles
 * nothing more, so whoever was interrupted is replaced. */
#include <sys/time.h>
#include <lua.h>
#include <lauxlib.h>
#include <luajit.h>

#include "host/cluster/cluster.h"
#include "internal.h"

static double limit; /* seconds */

/* The signal may come when the loop has had its turn after all. */
static bool is_over(void)
{
    uint64_t since = host_board_read(&host_board_mine()->busy_since);
    return since && (double)(uv_hrtime() - since) / 1e9 >= limit;
}

static void on_check_point(void *unused, lua_State *L, int samples, int state)
{
    (void)unused;
    (void)samples;
    (void)state;
    if (is_over()) luaL_error(L, "the worker ran longer than %f s", limit);
}

/* host.interrupt_after(seconds): from now on SIGPROF raises an error in what has run for so long. */
static int l_interrupt_after(lua_State *L)
{
    static const struct itimerval off;
    limit = luaL_checknumber(L, 1);
    luaJIT_profile_start(L, "li1000000", on_check_point, NULL);
    setitimer(ITIMER_PROF, &off, NULL);
    return 0;
}

void host_watchdog_add(lua_State *L)
{
    lua_pushcfunction(L, l_interrupt_after);
    lua_setfield(L, -2, "interrupt_after");
}
