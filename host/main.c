/* clouds: the host program. All of the command line is Lua (host/cli); this starts it and runs the loop. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <lua.h>
#include <lauxlib.h>

#include "host/http/http.h"
#include <clouds.h>

#include "internal.h"

enum { NEEDED_DESCRIPTORS = 8 }; /* the loop's own, and a few to work with */

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

/* libuv ends the process where it gets no descriptors for itself: looked for before it starts. */
static bool has_descriptors(void)
{
    int count = 0, taken[NEEDED_DESCRIPTORS];
    while (count < NEEDED_DESCRIPTORS && (taken[count] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)) >= 0) count++;
    int problem = errno;
    for (int i = 0; i < count; i++) close(taken[i]);
    if (count == NEEDED_DESCRIPTORS) return true;
    struct rlimit limit = {0};
    getrlimit(RLIMIT_NOFILE, &limit);
    fprintf(stderr, "clouds: cannot open files: %s (the limit, ulimit -n, is %llu)\n", strerror(problem),
            (unsigned long long)limit.rlim_cur);
    return false;
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

static bool run_command(host_program *host, int argc, char **argv)
{
    start from = {argc, argv};
    lua_pushcfunction(host->L, start_command);
    lua_pushlightuserdata(host->L, &from);
    return host_call(host->L, 1, 0, "internal error");
}

int main(int argc, char **argv)
{
    host_program *host = host_get();
    open_standard_descriptors();
    host_init_fork();
    host_signals_open();
    signal(SIGPIPE, SIG_IGN);
    if (!has_descriptors()) return CLOUDS_EXIT_ERROR;
    host->loop = uv_default_loop();
    host->L = host->loop ? host_lua_open() : NULL;
    if (!host->L) {
        fprintf(stderr, "clouds: out of memory\n");
        return CLOUDS_EXIT_ERROR;
    }
    if (run_command(host, argc, argv)) host_run();
    else host->status = CLOUDS_EXIT_ERROR;
    int status = host_output_status(host->status);
    host_stdin_close();
    host_cluster_finish();
    host_http_close_all();
    host_stream_close_all();
    host_close_handles();
    lua_close(host->L);
    uv_loop_close(host->loop);
    return status;
}
