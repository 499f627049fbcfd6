/* HTTP/1.1 for the host: a server on the loop of the process. What its files share with who uses it.
 *
 * Design notes
 *
 * - The grammar is llhttp's, in its strict mode. What that lets through is refused by check.c and parser.c, each with
 *   its reason. A refused request gets its status and the end of its connection: nobody knows where the next begins.
 *
 * - The head of a request is read into one piece of memory that does not move, so its texts are spans of that.
 *
 * - A connection has one request at a time. What was pipelined behind it waits in the buffer of the connection, which
 *   is read on only while it has room. So the order of the answers is that of the requests, and the memory is bounded.
 *
 * - Every wait for the other end has a limit: for a head, a body, the next request, and for what is written. */
#ifndef HOST_HTTP_H
#define HOST_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

typedef struct host_http_text {
    const char *p;
    size_t n;
} host_http_text;

typedef struct host_http_field {
    host_http_text name, value; /* the value without blanks around it */
} host_http_field;

enum { HOST_HTTP_FIELDS = 100 }; /* header fields of a request, at most */

typedef struct host_http_request {
    host_http_text method, target;
    int minor; /* of the version: 1.0 or 1.1 */
    bool keep_alive, expects_continue;
    size_t field_count;
    host_http_field fields[HOST_HTTP_FIELDS];
    host_http_text body;
} host_http_request;

typedef struct host_http_response {
    int status;
    const host_http_field *fields; /* besides Date, Content-Length and Connection */
    size_t field_count;
    host_http_text body;
} host_http_response;

typedef struct host_http_limits {
    size_t head, target, body; /* bytes */
    size_t connections;
    double head_time;  /* seconds from the first byte of a request, or from the connection, to the end of its head */
    double body_time;  /* seconds for a body, and one more for each `body_rate` bytes of it */
    double body_rate;  /* bytes a second */
    double idle_time;  /* seconds until the next request */
    double write_time; /* seconds without a byte of the answer being taken */
} host_http_limits;

extern const host_http_limits host_http_default_limits;

typedef struct host_http_server host_http_server;
typedef struct host_http_connection host_http_connection;

/* Called in the loop. Each request ends by one host_http_answer, now or later, unless `gone` is called for it before:
 * then there is nobody to answer any more. The request lives until then. */
typedef struct host_http_handlers {
    void *self;
    void (*request)(void *self, host_http_connection *connection, const host_http_request *request);
    void (*gone)(void *self, host_http_connection *connection);
} host_http_handlers;

/* address.c: where a server listens: unix:PATH, or ADDRESS:PORT with a numeric address, [ADDRESS] for IPv6. */
typedef struct host_http_address {
    bool is_unix, is_loopback;
    char path[108];
    struct sockaddr_storage socket;
} host_http_address;

/* 0; or -1 and why not. */
int host_http_address_read(const char *text, host_http_address *out, char *why, size_t why_size);

/* server.c */

/* Listens; `holds`: the loop goes on as long as it does. NULL, and why not. */
host_http_server *host_http_listen(uv_loop_t *loop, const host_http_address *address, const host_http_limits *limits,
                                   const host_http_handlers *handlers, bool holds, char *why, size_t why_size);
int host_http_port(const host_http_server *server); /* 0: a unix socket */
/* Ends it and all of its connections; what is not answered is not told to be gone. */
void host_http_close(host_http_server *server);
/* All of them, at the end of the program. */
void host_http_close_all(void);

/* connection.c: 0; or -1 when a header field cannot be sent: the client gets 500 then. */
int host_http_answer(host_http_connection *connection, const host_http_response *response);
/* What belongs to the request that is not answered yet; NULL at its beginning. */
void **host_http_slot(host_http_connection *connection);

/* request.c: the value of the first field of this name, in small letters; or .p NULL. */
host_http_text host_http_find(const host_http_request *request, const char *name);
bool host_http_is(host_http_text text, const char *word); /* without regard to case */

#endif
