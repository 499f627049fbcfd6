/* The host: one Lua state on one uv loop. What its files share.
 *
 * Design note. The process has one host, one thread, one uv loop (the default one) and one Lua state. Everything that
 * runs Lua is entered from the loop through cl_host_call, which never lets an error out: it is reported and the loop
 * goes on. The command line itself is Lua (host/cli); it tells the host through the module "clouds.host" how to end. */
#ifndef CL_HOST_H
#define CL_HOST_H

#include <stdbool.h>
#include <lua.h>
#include <uv.h>

/* How a command ends. */
enum cl_exit { CL_EXIT_OK = 0, CL_EXIT_ERROR = 1, CL_EXIT_USAGE = 2, CL_EXIT_UNREACHABLE = 3, CL_EXIT_UNKNOWN = 4 };

/* A place in the registry for a Lua value that is looked up by address. */
typedef struct cl_slot {
    char unused;
} cl_slot;

typedef struct cl_host {
    lua_State *L;
    uv_loop_t *loop;
    int status; /* what the process will exit with */
    bool ended; /* the command said it is over */
} cl_host;

/* One Lua source that is compiled into the program (made by embed.cmake). */
typedef struct cl_embedded {
    const char *name;
    const unsigned char *text;
    unsigned long size;
} cl_embedded;

extern const cl_embedded cl_embedded_modules[];
extern const unsigned cl_embedded_count;

/* The host of the process. */
cl_host *cl_host_get(void);

/* state.c: the Lua state with everything in package.preload. NULL when there is no memory. */
lua_State *cl_state_open(void);

/* run.c: calls the function below `arguments` values; on failure reports the error, with a traceback, and leaves
 * nothing. Returns whether it worked. `what` says in the report what failed; NULL: nothing. */
bool cl_host_call(lua_State *L, int arguments, int results, const char *what);

/* run.c: a traceback handler for lua_pcall that honours __tostring. */
int cl_traceback(lua_State *L);

/* run.c: ends the loop; the process will exit with `status`. */
void cl_host_end(int status);

/* run.c: runs the loop until the command ends or nothing is left to wait for, then closes every handle. */
void cl_host_run(void);
void cl_host_close_handles(void);

/* init.c: when this is process 1, goes on in a child of it. */
void cl_init_split(void);

/* signals.c: from here on SIGINT, SIGTERM and SIGHUP end the process, also where they have no default action. */
void cl_signals_open(void);

/* output.c: flushes standard output; the status to end with when all was written, or not. Tells why, once. */
int cl_output_status(int status);

/* signals.c: stops as SIGTERM would (number 0), or ends at once when nothing is set up for that. */
void cl_signals_stop(lua_State *L);

/* loop.c: what clouds wants to do before the loop waits, or ends. */
void cl_loop_before_sleep(lua_State *L);

/* repl.c: gives the terminal back; the second may be called in a signal handler. */
void cl_repl_close(void);
void cl_repl_restore_terminal(void);

/* module.c: the loop ran dry: lets the command say so, or start its last work. */
void cl_host_at_end(lua_State *L);

/* A Lua value kept under the address of `slot`. cl_slot_set takes the value on the top of the stack. */
void cl_slot_set(lua_State *L, const cl_slot *slot);
void cl_slot_get(lua_State *L, const cl_slot *slot);

/* Modules, each a lua_CFunction that leaves one value; cl_*_add add to the table of clouds.host at the top. */
int cl_open_host(lua_State *L);    /* clouds.host */
int cl_open_luv(lua_State *L);     /* luv on our loop */
int cl_open_loop(lua_State *L);    /* clouds.loop.host: our loop for the module clouds */
void cl_repl_add(lua_State *L);    /* repl.c */
void cl_signals_add(lua_State *L); /* signals.c */
void cl_luv_add(lua_State *L);     /* luv.c */
void cl_process_add(lua_State *L); /* process.c */
void cl_output_add(lua_State *L);  /* output.c; also the global print */

#endif
