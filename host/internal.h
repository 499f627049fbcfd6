/* The host: one Lua state on one uv loop. What its files share.
 *
 * Design note. The process has one host, one thread, one uv loop (the default one) and one Lua state. Everything that
 * runs Lua is entered from the loop through host_call, which never lets an error out: it is reported and the loop
 * goes on. The command line itself is Lua (host/cli); through the module "clouds.host" it says how to end. */
#ifndef HOST_INTERNAL_H
#define HOST_INTERNAL_H

#include <stdbool.h>
#include <lua.h>
#include <uv.h>

/* A place in the registry for a Lua value that is looked up by address. */
typedef struct host_anchor {
    char unused;
} host_anchor;

typedef struct host_program {
    lua_State *L;
    uv_loop_t *loop;
    int status; /* what the process will exit with */
    bool ended; /* the command said it is over */
} host_program;

/* One text that is compiled into the program (made by embed.cmake): a Lua source, or, with a slash in its name, another
 * file. */
typedef struct host_embedded {
    const char *name;
    const unsigned char *text;
    unsigned long size;
} host_embedded;

extern const host_embedded host_embedded_modules[];
extern const unsigned host_embedded_count;

/* The host of the process. */
host_program *host_get(void);

/* state.c: the Lua state with everything in package.preload. NULL when there is no memory. */
lua_State *host_lua_open(void);

/* state.c: the embedded text of this name; NULL: there is none. */
const host_embedded *host_find_embedded(const char *name);

/* run.c: before the first call. */
void host_run_open(lua_State *L);

/* run.c: calls the function below `arguments` values; on failure reports the error, with a traceback, and leaves
 * nothing. Returns whether it worked. `what` says in the report what failed; NULL: nothing. */
bool host_call(lua_State *L, int arguments, int results, const char *what);

/* run.c: a traceback handler for lua_pcall that honours __tostring. */
int host_traceback(lua_State *L);

/* run.c: ends the loop; the process will exit with `status`. */
void host_end(int status);

/* run.c: runs the loop until the command ends or nothing is left to wait for, then closes every handle. */
void host_run(void);
void host_close_handles(void);

/* init.c: when this is process 1, goes on in a child of it. */
void host_init_fork(void);

/* signals.c: from here on SIGINT, SIGTERM and SIGHUP end the process, also where they have no default action. */
void host_signals_open(void);

/* where.c: for the handler of a signal: does the work in a child, which has a second of a processor for it, and waits for
 * that; whether it could. */
bool host_in_child(void (*work)(void));

/* output.c: flushes standard output; the status to end with when all was written, or not. Reports why, once. */
int host_output_status(int status);

/* signals.c: stops as SIGTERM would, or ends at once when nothing is set up for that. */
void host_signals_stop(void);
/* This process gets SIGTERM when its parent ends, maybe several times. */
void host_signals_follow(void);
/* It is a worker, and follows. What is meant for a master does nothing here, and programs that are started from here know nothing of that. */
void host_signals_of_worker(void);

/* stream.c: ends all sockets, at the end of the program. */
void host_stream_close_all(void);

/* loop.c: what clouds wants to do before the loop waits, or ends. */
void host_loop_before_sleep(lua_State *L);

/* stdin_lines.c: gives the terminal back; the second may be called in a signal handler. */
void host_stdin_close(void);
void host_stdin_restore_terminal(void);

/* module.c: the loop ran dry: lets the command say so, or start its last work. */
void host_at_end(lua_State *L);

/* cluster_worker.c: whether a master gives this process its connections; which server takes them, false when another
 * does already; and that it takes none any more, false when it has taken none. */
struct host_http_server;
bool host_cluster_is_worker(void);
bool host_cluster_serve(struct host_http_server *server);
bool host_cluster_unserve(const struct host_http_server *server);
/* Gives the master a connection of its listener of this number for another worker. The descriptor stays the caller's. */
bool host_cluster_give_back(int fd, unsigned listener);
/* At the end of the program: what the master was sent arrives. */
void host_cluster_finish(void);

/* A Lua value kept under the address of `slot`. host_anchor_set takes the value on the top of the stack. */
void host_anchor_set(lua_State *L, const host_anchor *slot);
void host_anchor_get(lua_State *L, const host_anchor *slot);

/* Modules, each a lua_CFunction that leaves one value; host_*_add add to the table of clouds.host at the top. */
int host_open_host(lua_State *L);    /* clouds.host */
int host_open_luv(lua_State *L);     /* luv on our loop */
int host_open_loop(lua_State *L);    /* clouds.loop.host: our loop for the module clouds */
void host_stdin_add(lua_State *L);   /* stdin_lines.c */
void host_signals_add(lua_State *L); /* signals.c */
void host_where_add(lua_State *L);   /* where.c */
void host_watchdog_add(lua_State *L); /* watchdog.c */
void host_luv_add(lua_State *L);     /* luv.c */
void host_process_add(lua_State *L); /* process.c */
void host_output_add(lua_State *L);  /* output.c; also the global print */
void host_cluster_add(lua_State *L); /* cluster_module.c */
void host_http_add(lua_State *L);    /* http_module.c */
void host_stream_add(lua_State *L);  /* stream_open.c */

#endif
