/* What stream.c and stream_open.c share: sockets over TCP and unix for lua/clouds/socket.lua.
 *
 * Design note. What Lua holds is a box with a stream. The stream lives until its handles are closed; while something is
 * being waited for (a connection, input, what is written), the box lies in the registry, for it will be told. Nothing
 * that Lua calls calls back before it returns. */
#ifndef HOST_STREAM_H
#define HOST_STREAM_H

#include <stdbool.h>
#include <lua.h>
#include <lauxlib.h>
#include <uv.h>

typedef struct host_stream_box host_stream_box;

typedef struct host_stream {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    host_stream_box *box; /* NULL: nobody has it any more */
    uv_connect_t connect;
    uv_getaddrinfo_t lookup;
    struct addrinfo *found, *next;        /* addresses to try */
    uv_timer_t timer;                     /* of one that is closed before all was written */
    struct host_stream *next_one, **from; /* all of them */
    int handles;                          /* what has to end before it can go */
    int writes;
    bool is_unix, reads, resolves, is_timed, closing;
    bool is_counted; /* among those of host_stream_accepted */
} host_stream;

struct host_stream_box {
    host_stream *stream; /* NULL: closed */
    int self;            /* its reference, while something is waited for */
    int holds;           /* for how many reasons */
    int events;          /* reference of the table of functions */
};

/* stream.c */

/* A new one, at the top of L; raises. `events`: what host.stream_events gave. */
host_stream_box *host_stream_push(lua_State *L, bool is_unix, int events);
/* It came from another process, and counts until it has ended. */
void host_stream_count(host_stream *s);
/* Something is waited for by the box at `index`; it is no longer. */
void host_stream_hold(lua_State *L, host_stream_box *box, int index);
void host_stream_let_go(host_stream_box *box);
/* The function `name` of its events is called with the box and a text, or nil. The box is held. */
void host_stream_tell(host_stream_box *box, const char *name, const char *text, size_t n);
/* What is written still goes out; then its handles end, and nobody hears of it. */
void host_stream_close(host_stream_box *box);
void host_stream_end(host_stream *s);
/* One of its handles, or what it asked for, is over: the last frees it. */
void host_stream_over(host_stream *s);
void host_stream_add_methods(lua_State *L);
/* Those that are counted. */
size_t host_stream_accepted(void);

/* stream_open.c: a connection that another process has accepted from its listener of this number: the function, a
 * reference, is called with its box and the number; LUA_NOREF: it is closed. Takes `fd` over. */
void host_stream_adopt(int fd, unsigned listener, int events, int function);

#endif
