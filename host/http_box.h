/* What host.http_listen and its requests share. */
#ifndef HOST_HTTP_BOX_H
#define HOST_HTTP_BOX_H

#include <lua.h>
#include <lauxlib.h>

#include "host/http/http.h"
#include "http_counts.h"

/* What Lua holds of a request. */
typedef struct host_http_box {
    host_http_connection *connection; /* NULL: there is nobody to answer */
    const host_http_request *request; /* NULL: it was upgraded */
    int self;                         /* its reference; LUA_NOREF while it is handed over */
    host_http_counted counted;
} host_http_box;

/* http_box.c */
/* counts: it is among what is told of requests. */
host_http_box *host_http_push_box(lua_State *L, host_http_connection *connection, const host_http_request *request,
                                  bool counts);
/* Requests that there were, those that are open, and those that were answered by 500 and above, or broken off. */
void host_http_count(uint64_t *begun, uint64_t *open, uint64_t *failed);
/* A request is answered by this status; 0: it is broken off. */
void host_http_count_status(int status);
/* Who was handed the request has returned: if it is still open its box, the newest there is, stays. NULL: it is over. */
host_http_box *host_http_keep_box(lua_State *L, host_http_connection *connection);
/* The request is over: whoever holds the box can do nothing with it any more. */
void host_http_release(lua_State *L, host_http_box *box);
/* That of the request that is open; NULL: there is none. */
host_http_box *host_http_box_of(host_http_connection *connection);
bool host_http_is_answered(host_http_connection *connection);
void host_http_add_boxes(lua_State *L);
/* The box that is the first argument. */
host_http_box *host_http_check_box(lua_State *L);
/* The list at `index`: name, value, name, value ...; how many. Its texts stay on the stack. */
size_t host_http_read_fields(lua_State *L, int index, host_http_field *fields);
/* The request is over, and its answer is about to be sent: what has to be told of that then, by host_http_sent. */
host_http_counted host_http_release_to_send(lua_State *L, host_http_box *box);
/* Its answer was sent by this status; 0: its client was gone. */
void host_http_sent(host_http_counted counted, int status);
/* Raises: what could not be done is as if it had not been tried. The box is at index 1. */
int host_http_refuse_to_send(lua_State *L, host_http_box *box, host_http_connection *connection,
                             host_http_counted counted, const char *why);
extern const char host_http_bad_field[];

/* http_websocket.c: adds methods to the table at the top. */
void host_http_add_websocket(lua_State *L);

/* http_files.c */
int host_http_send_file(lua_State *L); /* of requests */
void host_http_add_files(lua_State *L);

/* http_module.c */
void host_http_make_type(lua_State *L, const char *name, const luaL_Reg *methods);

#endif
