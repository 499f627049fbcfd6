/* What the files of host/http share. */
#ifndef HOST_HTTP_INTERNAL_H
#define HOST_HTTP_INTERNAL_H

#include <llhttp.h>
#include <netinet/in.h>

#include "host/http/http.h"

/* ---- parser.c: bytes to a request, by llhttp */

enum host_http_progress {
    HOST_HTTP_MORE, /* all of it was understood, and the request goes on */
    HOST_HTTP_HEAD, /* its head is complete, and without a body it is, too: is_complete */
    HOST_HTTP_END,  /* it is complete */
    HOST_HTTP_BAD   /* it is refused: parser.status and parser.why */
};

typedef struct host_http_parser {
    llhttp_t llhttp;
    const host_http_limits *limits;
    const char *head; /* where the first bytes of the request lie */
    bool has_head, is_complete, is_chunked;
    uint64_t length;     /* of the body, as far as it says so */
    uint64_t body_total; /* what has come of it */
    uint64_t body_limit;
    char *body; /* what has come and was not taken */
    size_t body_len, body_cap;
    size_t overhead; /* bytes behind the head that are no body */
    int status;
    const char *why;
    host_http_request request; /* of its fields only those that are there are set */
} host_http_parser;

void host_http_parser_begin(host_http_parser *parser, const host_http_limits *limits);
/* Reads on. Until the head is complete each piece has to lie in memory right behind the one before. `used` of the bytes
 * are done with: less than `size` at the end of the head, and at the end of the request. */
enum host_http_progress host_http_parse(host_http_parser *parser, const char *data, size_t size, size_t *used);
/* Is there anything of a request yet? */
bool host_http_parser_is_fresh(const host_http_parser *parser);
void host_http_parser_end(host_http_parser *parser);
/* The status for a head that does not end within its limit. */
int host_http_refuse_long(host_http_parser *parser, const char *data, size_t size);

/* check.c */

/* Of the fields that say how a request is understood, how many there are, and the first of each. */
typedef struct host_http_facts {
    size_t hosts, lengths, encodings;
    host_http_text length, encoding, expect;
} host_http_facts;

host_http_facts host_http_facts_of(const host_http_request *request);
/* What llhttp takes, and we do not. `raw` is the head as it came. 0, or the status and why. */
int host_http_check(const host_http_request *request, const host_http_facts *facts, host_http_text raw, bool is_upgrade,
                    const char **why);

/* request.c: may it be the name of a header field? */
bool host_http_is_token(host_http_text text);

/* ---- response.c */

enum host_http_framing {
    HOST_HTTP_COUNTED, /* by Content-Length */
    HOST_HTTP_CHUNKED,
    HOST_HTTP_TO_THE_END /* of the connection */
};

/* The bytes of a response, in room for host_http_put; NULL: no memory, or (errno EINVAL) a field cannot be sent.
 * `always`: the lines of its server. */
char *host_http_format(const host_http_response *response, host_http_text always, bool is_head, bool keep_alive,
                       size_t *size);
/* Of its head alone. */
char *host_http_format_head(const host_http_response *response, host_http_text always, enum host_http_framing framing,
                            uint64_t length, bool keep_alive, size_t *size);
/* The answer to a request that is refused; ends the connection. */
char *host_http_format_refusal(int status, const char *why, host_http_text always, size_t *size);
bool host_http_has_no_body(int status);

/* ---- connection.c, output.c, server.c */

enum host_http_state {
    HOST_HTTP_READING,   /* a head */
    HOST_HTTP_ANSWERING, /* who was handed the request has it */
    HOST_HTTP_WEBSOCKET, /* it was upgraded */
    HOST_HTTP_FLUSHING,  /* it is answered: the answer goes out, and what is left of the body is read off */
    HOST_HTTP_LINGERING, /* all is said; the client's end is waited for */
    HOST_HTTP_CLOSING
};

struct host_http_connection {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    uv_timer_t timer, write_timer;
    uint64_t due; /* what `timer` stands for, of the loop's clock */
    int open_handles;
    host_http_server *server;
    struct host_http_connection *next, **from;
    enum host_http_state state;
    bool is_unix;
    unsigned listener;           /* of the process that accepted it */
    char peer[INET6_ADDRSTRLEN]; /* once somebody has asked */
    host_http_parser parser;
    /* reading */
    bool reads, wants_body, said_continue;
    bool pumps; /* requests are being handed over, one after the other */
    bool later; /* what is in `in` is looked at in the next turn */
    bool ended; /* nothing more will come */
    char *in;
    size_t in_len, parsed; /* parsed: of what is in it */
    size_t in_head;        /* where the head ends */
    double waited;         /* seconds that the body was waited for, before `waits_since` */
    uint64_t waits_since;
    size_t discarded; /* of a body that nobody wanted, or behind the end */
    /* writing */
    bool keep_alive, started, wants_room, is_head;
    enum host_http_framing framing;
    uint64_t promised; /* bytes of a counted body that are to come */
    int writes;        /* pieces that the kernel has not taken */
    size_t stalled_at; /* how many bytes that were */
    struct {
        int fd; /* 0: none */
        uint64_t at, left;
    } file; /* goes out behind the head */
    struct host_http_websocket *websocket;
    void *slot;
};

struct host_http_server {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } listener;
    uv_loop_t *loop;
    host_http_limits limits;
    host_http_handlers handlers;
    host_http_text always; /* lines of every answer */
    bool is_unix, holds, is_stopping, is_closing;
    host_http_end end;      /* while it stops */
    uint64_t patient_until; /* of the loop's clock */
    struct host_http_server *next;
    host_http_connection *connections;
    size_t count;
    char *spare; /* room for `in` of the next that needs some */
};

/* arrival.c: takes one that waits at the listener. */
void host_http_accept(host_http_server *server);
/* It waits for a request from now on; reads, unless there is no room. */
void host_http_begin(host_http_connection *connection);
void host_http_read_on(host_http_connection *connection);
void host_http_stop_reading(host_http_connection *connection);
void host_http_connection_close(host_http_connection *connection);
void host_http_close_connections(host_http_server *server);
/* A connection has ended: the server may, too. */
void host_http_server_check(host_http_server *server);
/* The client is gone; who works at its request hears of it. */
void host_http_lost(host_http_connection *connection);
/* The answer is complete, and may have gone out: what comes next. */
void host_http_answered(host_http_connection *connection);
void host_http_advance(host_http_connection *connection);
/* Before an answer is begun: may another request follow? */
bool host_http_can_go_on(host_http_connection *connection);

/* leave.c: a server has begun to stop: what that means for its connections. */
void host_http_end_idle(host_http_server *server);
/* Whether a connection may have a request behind the one that it has. */
bool host_http_may_follow(const host_http_server *server);
/* Seconds that the next request is waited for. */
double host_http_idle_time(const host_http_server *server);
/* Gives the connection away, when it may be; true: it has ended here. */
bool host_http_leave(host_http_connection *connection);

/* output.c: room for what is put next; with so much more, else NULL and there is none any more; it is not put. */
char *host_http_room(size_t size);
char *host_http_more_room(char *text, size_t size, size_t more);
void host_http_free_room(char *text);
/* Takes over `text`, which is such room, or was allocated. False: the connection is lost. */
bool host_http_put(host_http_connection *connection, char *text, size_t size);
/* The same, and it is left with the loop in any case, which goes on with it in its next turn. */
bool host_http_queue(host_http_connection *connection, char *text, size_t size);
void host_http_on_stall(uv_timer_t *timer);

/* file.c: more of the file goes out; it does no longer. */
void host_http_send_on(host_http_connection *connection);
void host_http_end_file(host_http_connection *connection);

/* Calls on_time of connection.c in so many seconds. */
void host_http_limit(host_http_connection *connection, double seconds);

/* accept.c: the answer to a key of WebSocket, which has to be one. */
enum { HOST_HTTP_KEY = 24, HOST_HTTP_ACCEPT = 29 };

void host_http_accept_key(host_http_text key, char out[HOST_HTTP_ACCEPT]);
bool host_http_is_key(host_http_text key);

/* websocket.c: there are bytes in `in`; all is written; its time is over; it is to end within so many seconds. */
void host_http_websocket_begin(host_http_connection *connection); /* in the turn behind the upgrade */
void host_http_websocket_took(host_http_connection *connection);
void host_http_websocket_wrote(host_http_connection *connection);
void host_http_websocket_time(host_http_connection *connection);
void host_http_websocket_stop(host_http_connection *connection, double within);
void host_http_websocket_free(host_http_connection *connection);

#endif
