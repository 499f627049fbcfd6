/* clouds: the host program. All of the command line is Lua (host/cli); this starts it and runs the loop. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include <lua.h>
#include <lauxlib.h>

#include "host.h"

static void push_arguments(lua_State *L, int argc, char **argv)
{
    lua_createtable(L, argc, 1);
    for (int i = 0; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i);
    }
}

/* Started without standard descriptors, the next thing opened would become one of them, and be written to as such. */
static void open_standard_descriptors(void)
{
    int fd;
    do fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) close(fd);
}

typedef struct start {
    int argc;
    char **argv;
} start;

/* In protected mode: loads the command line and starts the command. */
static int start_command(lua_State *L)
{
    start *from = lua_touserdata(L, 1);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "clouds.cli.main");
    lua_call(L, 1, 1);
    push_arguments(L, from->argc, from->argv);
    lua_call(L, 1, 0);
    return 0;
}

static bool run_command(cl_host *host, int argc, char **argv)
{
    start from = {argc, argv};
    lua_pushcfunction(host->L, start_command);
    lua_pushlightuserdata(host->L, &from);
    return cl_host_call(host->L, 1, 0, "internal error");
}

static int flush_output(int status)
{
    return fflush(stdout) != 0 && status == CL_EXIT_OK ? CL_EXIT_ERROR : status;
}

int main(int argc, char **argv)
{
    cl_host *host = cl_host_get();
    open_standard_descriptors();
    signal(SIGPIPE, SIG_IGN);
    host->loop = uv_default_loop();
    host->L = host->loop ? cl_state_open() : NULL;
    if (!host->L) {
        fprintf(stderr, "clouds: out of memory\n");
        return CL_EXIT_ERROR;
    }
    if (run_command(host, argc, argv)) cl_host_run();
    else host->status = CL_EXIT_ERROR;
    int status = flush_output(host->status);
    cl_repl_close();
    cl_host_close_handles();
    lua_close(host->L);
    uv_loop_close(host->loop);
    return status;
}
