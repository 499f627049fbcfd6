/* What the files of host/http share. */
#ifndef HOST_HTTP_INTERNAL_H
#define HOST_HTTP_INTERNAL_H

#include <llhttp.h>

#include "host/http/http.h"

/* ---- parser.c: bytes to a request, by llhttp */

enum host_http_progress {
    HOST_HTTP_MORE, /* all of it was understood, and the request goes on */
    HOST_HTTP_HEAD, /* its head is complete */
    HOST_HTTP_END,  /* it is complete */
    HOST_HTTP_BAD   /* it is refused: parser.status and parser.why */
};

typedef struct host_http_parser {
    llhttp_t llhttp;
    const host_http_limits *limits;
    host_http_request request;
    const char *head; /* where the first bytes of the request lie */
    bool has_head, is_complete, is_chunked;
    uint64_t length; /* of the body, as far as it says so */
    char *body;
    size_t body_len, body_cap;
    size_t overhead; /* bytes behind the head that are no body */
    int status;
    const char *why;
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

/* check.c: what llhttp takes, and we do not. `raw` is the head as it came. 0, or the status and why. */
int host_http_check(const host_http_request *request, host_http_text raw, bool is_upgrade, const char **why);

/* request.c: may it be the name of a header field? */
bool host_http_is_token(host_http_text text);

/* ---- response.c */

/* The bytes of a response, in memory that the caller frees; NULL: no memory, or (errno EINVAL) a field cannot be sent.
 */
char *host_http_format(const host_http_response *response, bool is_head, bool keep_alive, size_t *size);
/* The answer to a request that is refused; ends the connection. */
char *host_http_format_refusal(int status, const char *why, size_t *size);

/* ---- connection.c, server.c */

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
    bool is_unix, holds, is_closing;
    struct host_http_server *next;
    host_http_connection *connections;
    size_t count;
};

/* Takes one that waits at the listener. */
void host_http_accept(host_http_server *server);
void host_http_connection_close(host_http_connection *connection);
void host_http_close_connections(host_http_server *server);
/* A connection has ended: the server may, too. */
void host_http_server_check(host_http_server *server);

#endif
