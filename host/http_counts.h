/* How often each route of HTTP was asked for, what was answered, and how long that took (clouds_worker.h). */
#ifndef HOST_HTTP_COUNTS_H
#define HOST_HTTP_COUNTS_H

#include <stdbool.h>
#include <stdint.h>
#include <lua.h>

/* Of one request. */
typedef struct host_http_counted {
    struct host_http_route *route; /* NULL: nothing is counted */
    uint64_t began;                /* nanoseconds */
    int status;                    /* 0: none was sent */
    bool is_websocket;
} host_http_counted;

/* In the place of a status that nobody is sent: the client had left; the handler failed within its answer. */
enum { HOST_HTTP_GONE = 499, HOST_HTTP_BROKEN_OFF = 500 };

/* This process counts from now on. */
void host_http_counts_begin(void);
/* It was handed over, and belongs to no route yet. counts: false, nothing is told of it. */
void host_http_counted_begin(host_http_counted *request, bool counts);
/* It became a WebSocket. */
void host_http_counted_upgrade(host_http_counted *request);
void host_http_counted_end(host_http_counted *request);
/* A request that nobody was handed. */
void host_http_counted_refused(int status);

/* request:route(pattern): which one it belongs to. */
int host_http_request_route(lua_State *L);

#endif
