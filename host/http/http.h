/* HTTP/1.1 for the host: a server on the loop of the process. What its files share with who uses it.
 *
 * Design notes
 *
 * - The grammar is llhttp's, in its strict mode. What that lets through is refused by check.c and parser.c, each with
 *   its reason. A refused request gets its status and the end of its connection: nobody knows where the next begins.
 *
 * - The head of a request is read into one piece of memory that does not move, so its texts are spans of that.
 *
 * - A request is handed over when its head is there. Its body is asked for, and only then understood: so a body that
 *   nobody wants is not read, one that is read slowly is sent slowly, and a client that asks first (100-continue) is
 *   told to send when somebody reads.
 *
 * - A connection has one request at a time. What was pipelined behind it waits in the buffer of the connection, which
 *   is read on only while it has room. So the order of the answers is that of the requests, and the memory is bounded.
 *
 * - Every wait for the other end has a limit: for a head, a body, the next request, and for what is written.
 *
 * - Nothing that is called from outside calls back before it returns. */
#ifndef HOST_HTTP_H
#define HOST_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
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
    host_http_text body; /* when all of it was understood at once */
    size_t field_count;
    host_http_field fields[HOST_HTTP_FIELDS];
} host_http_request;

typedef struct host_http_response {
    int status;
    const host_http_field *fields; /* besides Date, Content-Length and Connection */
    size_t field_count;
    host_http_text lines; /* more of them as they are sent, by host_http_lines or otherwise known to be right */
    host_http_text body;
} host_http_response;

typedef struct host_http_limits {
    size_t head, target, body; /* bytes */
    size_t connections;
    double head_time;  /* seconds from the first byte of a request, or from the connection, to the end of its head */
    double body_time;  /* seconds that a body is waited for, and one more for each `body_rate` bytes of it */
    double body_rate;  /* bytes a second */
    double idle_time;  /* seconds until the next request */
    double write_time; /* seconds without a byte of the answer being taken */
    bool half_close;   /* a client that says nothing more may still wait for what it has asked for */
} host_http_limits;

extern const host_http_limits host_http_default_limits;

typedef struct host_http_server host_http_server;
typedef struct host_http_connection host_http_connection;

/* Called in the loop. Each request ends by host_http_answer, host_http_finish or host_http_abort, now or later; or by
 * `gone`, or by a call that says so: then there is nobody to answer any more. The request lives until then. */
typedef struct host_http_handlers {
    void *self;
    void (*request)(void *self, host_http_connection *connection, const host_http_request *request);
    void (*body)(void *self, host_http_connection *connection); /* there is more, after HOST_HTTP_WAIT */
    void (*room)(void *self, host_http_connection *connection); /* as host_http_want_room asked for */
    void (*gone)(void *self, host_http_connection *connection);
    void (*message)(void *self, host_http_connection *connection, bool is_binary, host_http_text text); /* WebSocket */
    /* May be NULL: a request is answered by this status in the place of its handler, if it has come to one. */
    void (*refused)(void *self, host_http_connection *connection, int status);
    /* If it is there, connections are its: it accepts what waits there, and nothing else here is done. */
    void (*connection)(void *self, uv_stream_t *listener);
    void (*drained)(void *self); /* after host_http_stop: the last connection has ended, and the server with it */
} host_http_handlers;

/* address.c: where a server listens: unix:PATH or unix:PATH?mode=0660, ADDRESS:PORT with a numeric address, [ADDRESS]
 * for IPv6, or a PORT alone, at all addresses. */
typedef struct host_http_address {
    bool is_unix, is_loopback, is_any;
    int mode; /* of the file of a socket */
    char path[108];
    struct sockaddr_storage socket;
} host_http_address;

/* 0; or -1 and why not. */
int host_http_address_read(const char *text, host_http_address *out, char *why, size_t why_size);

/* server.c */

/* Listens; `holds`: the loop goes on as long as it does. NULL, and why not. */
host_http_server *host_http_listen(uv_loop_t *loop, const host_http_address *address, const host_http_limits *limits,
                                   const host_http_handlers *handlers, bool holds, char *why, size_t why_size);
/* The same without an address: connections are brought to it by host_http_adopt. */
host_http_server *host_http_open(uv_loop_t *loop, const host_http_limits *limits, const host_http_handlers *handlers,
                                 bool holds);
/* All answers have these lines (host_http_lines) from now on, also those that no handler gives. False: no memory. */
bool host_http_always(host_http_server *server, host_http_text lines);
/* Whether this is a unix socket. */
bool host_http_is_unix(int fd);
/* A connection that another process has accepted, from its listener of this number; `is_idle`: it has had requests, and
 * waits for the next. False: the server stops, and `fd` is still the caller's; else it is taken over. */
bool host_http_adopt(host_http_server *server, int fd, unsigned listener, bool is_idle);
/* Connections of all servers that are open. */
size_t host_http_connections(void);
int host_http_port(const host_http_server *server); /* 0: a unix socket */

typedef struct host_http_end {
    double idle;     /* seconds until connections end that wait for a request */
    double patience; /* seconds over which WebSockets are closed, and how long the next request is waited for with
                        `leave` */
    /* NULL; or who takes connections that wait for a request, and have nothing of it: now, or after their answer. True:
     * it has a copy of the descriptor, and the connection ends here without its client noticing. */
    bool (*leave)(int fd, unsigned listener);
} host_http_end;

/* Takes no connection any more, and without `leave` no request behind those that are there. `drained` is called when
 * the last connection has ended. */
void host_http_stop(host_http_server *server, const host_http_end *end);
/* Of all servers that stop: `leave` is called no more, since nobody is there who would go on. */
void host_http_stay_all(void);
/* Ends it and all of its connections; what is not answered is not told to be gone. */
void host_http_close(host_http_server *server);
/* All of them, at the end of the program. */
void host_http_close_all(void);

/* connection.c */

enum host_http_piece {
    HOST_HTTP_PIECE,    /* one more, which stays until the next call */
    HOST_HTTP_BODY_END, /* there is no more */
    HOST_HTTP_WAIT,     /* `body` will be called */
    HOST_HTTP_FAILED    /* it is refused, and the client is told: the request is over */
};

/* The next piece of the body. */
enum host_http_piece host_http_read(host_http_connection *connection, host_http_text *piece, const char **why);
/* The most that the body of this request may have, from here on. */
void host_http_limit_body(host_http_connection *connection, size_t size);
/* Where the client is: its address, or "unix"; "" when it is gone and nobody has asked before. */
const char *host_http_peer(host_http_connection *connection);
/* As host_http_adopt was told; else 0. */
unsigned host_http_listener(const host_http_connection *connection);
/* What belongs to the request that is not answered yet; NULL at its beginning. */
void **host_http_slot(host_http_connection *connection);

/* output.c: each gives 0; or -1, with errno EINVAL when a header field cannot be sent, which leaves all as it was, else
 * because the client is gone, and with it the request. */

int host_http_answer(host_http_connection *connection, const host_http_response *response);
/* Fields as they are sent, each with the end of its line, in memory that the caller frees. NULL: EINVAL, or ENOMEM. */
char *host_http_lines(const host_http_field *fields, size_t count, size_t *size);
/* The beginning of an answer whose body follows in pieces: of `length` bytes in all, or (-1) of any. */
int host_http_start(host_http_connection *connection, const host_http_response *response, int64_t length);
/* EINVAL: more than was promised. */
int host_http_write(host_http_connection *connection, host_http_text piece);
/* Its end. EINVAL: less was written than was promised; then the connection ends. */
int host_http_finish(host_http_connection *connection);
/* Ends the connection: nothing else can be said any more. */
void host_http_abort(host_http_connection *connection);
/* Bytes that the kernel has not taken yet. */
size_t host_http_unsent(const host_http_connection *connection);
/* `room` will be called when there are none. */
void host_http_want_room(host_http_connection *connection);

/* file.c */

/* A file or a folder below a folder (an open one), whatever the path or its links say; or -1 and errno. */
int host_http_open_beneath(int folder, const char *path);
/* As host_http_answer, with so many bytes of an open file as the body. */
int host_http_answer_file(host_http_connection *connection, const host_http_response *response, int fd, uint64_t at,
                          uint64_t length);

/* websocket.c: after host_http_upgrade messages come, until `gone`. Each gives 0, or -1: errno EINVAL for what cannot
 * be (a key that is none, a code that may not be sent), EPIPE when it is being closed, else the connection is lost. */

/* `longest`: the bytes of a message; `ping`: seconds after which the client is asked whether it is there. */
int host_http_upgrade(host_http_connection *connection, host_http_text protocol, size_t longest, double ping);
int host_http_websocket_send(host_http_connection *connection, bool is_binary, host_http_text text);
int host_http_websocket_close(host_http_connection *connection, int code, host_http_text reason);
/* How it ended, in `gone`: 1006 without a word. */
void host_http_websocket_status(const host_http_connection *connection, int *code, host_http_text *reason);
/* Nothing is read meanwhile. */
void host_http_pause(host_http_connection *connection, bool pauses);

/* Without regard to case. Here, since most words are told apart by their length, which is known when this is compiled.
 */
static inline bool host_http_is(host_http_text text, const char *word)
{
    return text.n == strlen(word) && strncasecmp(text.p, word, text.n) == 0;
}

/* The value of the first field of this name, in small letters; or .p NULL. */
static inline host_http_text host_http_find(const host_http_request *request, const char *name)
{
    for (size_t i = 0; i < request->field_count; i++)
        if (host_http_is(request->fields[i].name, name)) return request->fields[i].value;
    return (host_http_text){NULL, 0};
}

#endif
