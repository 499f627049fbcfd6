/* One connection: reads requests one after the other, hands each over, writes its answer.
 *
 * Design note. `in` begins with the head of the request, which stays where it is until the answer is written; behind it
 * comes what was read of the body and is understood at once, and then what is pipelined. While nothing is in it, an
 * idle connection has none. A refused request is answered, and then what the client still sends is read for a moment:
 * closed with bytes unread, the kernel would answer with a reset, and the client might never see why. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/http/internal.h"

enum state { READING, ANSWERING, WRITING, LINGERING, CLOSING };

enum { BODY_ROOM = 16384, LINGER_MS = 1000, LINGER_BYTES = 1 << 20 };

struct host_http_connection {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    uv_timer_t timer;
    int open_handles;
    host_http_server *server;
    struct host_http_connection *next, **from;
    enum state state;
    bool keep_alive, reads, said_continue;
    host_http_parser parser;
    char *in;
    size_t in_len, parsed; /* parsed: of what is in it */
    size_t in_head;        /* where the head ends */
    uint64_t body_since;   /* when its body began */
    size_t lingered;
    uv_write_t write;
    char *out;
    void *slot;
};

static void read_on(host_http_connection *c);
static void next_request(host_http_connection *c);

static size_t capacity(const host_http_connection *c)
{
    return c->server->limits.head + BODY_ROOM;
}

/* ---- its end */

static void on_closed(uv_handle_t *handle)
{
    host_http_connection *c = handle->data;
    if (--c->open_handles > 0) return;
    host_http_server *server = c->server;
    *c->from = c->next;
    if (c->next) c->next->from = c->from;
    server->count--;
    host_http_parser_end(&c->parser);
    free(c->in);
    free(c->out);
    free(c);
    host_http_server_check(server);
}

void host_http_connection_close(host_http_connection *c)
{
    if (c->state == CLOSING) return;
    c->state = CLOSING;
    uv_close(&c->uv.handle, on_closed);
    uv_close((uv_handle_t *)&c->timer, on_closed);
}

void host_http_close_connections(host_http_server *server)
{
    for (host_http_connection *c = server->connections; c; c = c->next) host_http_connection_close(c);
}

/* The client is gone; who works at its request hears of it. */
static void lost(host_http_connection *c)
{
    bool is_open = c->state == ANSWERING;
    if (c->state == CLOSING) return;
    host_http_connection_close(c);
    if (is_open) c->server->handlers.gone(c->server->handlers.self, c);
}

/* ---- writing */

static void on_time(uv_timer_t *timer);

static void limit(host_http_connection *c, double seconds)
{
    if (c->state == CLOSING) return;
    uv_timer_start(&c->timer, on_time, (uint64_t)(seconds * 1000), 0);
    if (!c->server->holds) uv_unref((uv_handle_t *)&c->timer);
}

static void on_shut(uv_shutdown_t *request, int status)
{
    free(request);
}

/* Nothing more is written. Reads until the client has closed, too. */
static void linger(host_http_connection *c)
{
    uv_shutdown_t *request = malloc(sizeof *request);
    if (!request || uv_shutdown(request, &c->uv.stream, on_shut) != 0) {
        free(request);
        host_http_connection_close(c);
        return;
    }
    c->state = LINGERING;
    limit(c, LINGER_MS / 1000.0);
    read_on(c);
}

static void on_written(uv_write_t *request, int status)
{
    host_http_connection *c = request->data;
    free(c->out);
    c->out = NULL;
    if (c->state == CLOSING) return;
    if (status != 0) host_http_connection_close(c);
    else if (!c->keep_alive) linger(c);
    else next_request(c);
}

static void send_text(host_http_connection *c, char *text, size_t size, bool keep_alive)
{
    uv_buf_t buf = uv_buf_init(text, (unsigned)size);
    c->state = WRITING;
    c->keep_alive = keep_alive;
    c->out = text;
    c->write.data = c;
    limit(c, c->server->limits.write_time);
    if (!text || uv_write(&c->write, &c->uv.stream, &buf, 1, on_written) != 0) host_http_connection_close(c);
}

static void refuse(host_http_connection *c, int status, const char *why)
{
    size_t size = 0;
    char *text = host_http_format_refusal(status, why, &size);
    send_text(c, text, size, false);
}

int host_http_answer(host_http_connection *c, const host_http_response *response)
{
    const host_http_request *r = &c->parser.request;
    size_t size = 0;
    bool keep_alive = r->keep_alive && !c->server->is_closing;
    char *text = host_http_format(response, host_http_is(r->method, "HEAD"), keep_alive, &size);
    if (!text && errno == EINVAL) {
        refuse(c, 500, "the answer has a header field that cannot be sent");
        return -1;
    }
    send_text(c, text, size, keep_alive);
    return 0;
}

void **host_http_slot(host_http_connection *c)
{
    return &c->slot;
}

/* The other end is told that its body is wanted, as it asked for. What does not go out at once is left out. */
static void say_continue(host_http_connection *c)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    uv_buf_t buf = uv_buf_init((char *)text, sizeof text - 1);
    c->said_continue = true;
    (void)uv_try_write(&c->uv.stream, &buf, 1);
}

/* ---- time */

static void on_time(uv_timer_t *timer)
{
    host_http_connection *c = timer->data;
    bool has_begun = c->state == READING && !host_http_parser_is_fresh(&c->parser);
    if (has_begun) refuse(c, 408, c->parser.has_head ? "the body took too long" : "the head took too long");
    else host_http_connection_close(c);
}

/* A body has some seconds, and more as it comes. */
static void limit_body(host_http_connection *c)
{
    const host_http_limits *limits = &c->server->limits;
    double so_far = (double)(uv_now(c->server->loop) - c->body_since) / 1000;
    double left = limits->body_time + (double)c->parser.body_len / limits->body_rate - so_far;
    limit(c, left > 0 ? left : 0);
}

/* ---- requests */

static void begin(host_http_connection *c)
{
    c->state = READING;
    c->slot = NULL;
    c->said_continue = false;
    c->in_head = c->parsed = 0;
    host_http_parser_begin(&c->parser, &c->server->limits);
}

static void hand_over(host_http_connection *c)
{
    const host_http_handlers *handlers = &c->server->handlers;
    c->state = ANSWERING;
    uv_timer_stop(&c->timer);
    handlers->request(handlers->self, c, &c->parser.request);
}

static void head_is_there(host_http_connection *c)
{
    c->in_head = c->parsed;
    c->body_since = uv_now(c->server->loop);
    limit_body(c);
}

/* What is understood of a body needs no place any more. */
static void drop_body(host_http_connection *c)
{
    memmove(c->in + c->in_head, c->in + c->parsed, c->in_len - c->parsed);
    c->in_len -= c->parsed - c->in_head;
    c->parsed = c->in_head;
}

/* Reads as much as makes a request; the rest stays for the next. */
static void parse(host_http_connection *c)
{
    enum host_http_progress progress;
    do {
        size_t used = 0;
        progress = host_http_parse(&c->parser, c->in + c->parsed, c->in_len - c->parsed, &used);
        c->parsed += used;
        if (progress == HOST_HTTP_HEAD) head_is_there(c);
    } while (progress == HOST_HTTP_HEAD);
    bool is_long = !c->parser.has_head && c->in_len >= c->server->limits.head;
    if (progress == HOST_HTTP_BAD) {
        refuse(c, c->parser.status, c->parser.why);
    } else if (progress == HOST_HTTP_END) {
        hand_over(c);
    } else if (is_long) {
        host_http_refuse_long(&c->parser, c->in, c->in_len);
        refuse(c, c->parser.status, c->parser.why);
    } else if (c->parser.has_head) {
        drop_body(c);
        if (c->parser.request.expects_continue && !c->said_continue && c->parser.body_len == 0) say_continue(c);
        limit_body(c);
    }
}

/* A request is over: what came behind it moves to the front, where the next head begins. */
static void next_request(host_http_connection *c)
{
    size_t left = c->in_len - c->parsed;
    if (left) memmove(c->in, c->in + c->parsed, left);
    c->in_len = left;
    host_http_parser_end(&c->parser);
    begin(c);
    limit(c, left ? c->server->limits.head_time : c->server->limits.idle_time);
    if (left) {
        parse(c);
    } else {
        free(c->in);
        c->in = NULL;
    }
    if (c->state == READING || c->state == ANSWERING) read_on(c);
}

/* ---- reading */

static void on_room(uv_handle_t *handle, size_t unused, uv_buf_t *buf)
{
    host_http_connection *c = handle->data;
    if (!c->in && !(c->in = malloc(capacity(c)))) {
        *buf = uv_buf_init(NULL, 0);
        return;
    }
    if (c->state == LINGERING) c->in_len = c->parsed = 0;
    size_t end = c->state == READING && !c->parser.has_head ? c->server->limits.head : capacity(c);
    *buf = uv_buf_init(c->in + c->in_len, (unsigned)(end - c->in_len));
}

static void pause_reading(host_http_connection *c)
{
    c->reads = false;
    uv_read_stop(&c->uv.stream);
}

static void took(host_http_connection *c, size_t n)
{
    bool is_first = c->state == READING && c->in_len == 0 && host_http_parser_is_fresh(&c->parser);
    if (c->state == LINGERING) {
        c->lingered += n;
        if (c->lingered > LINGER_BYTES) host_http_connection_close(c);
        return;
    }
    c->in_len += n;
    if (is_first) limit(c, c->server->limits.head_time);
    if (c->state == READING) parse(c);
    if (c->state != CLOSING && c->in_len == capacity(c)) pause_reading(c);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    host_http_connection *c = stream->data;
    if (n > 0) took(c, (size_t)n);
    else if (n == UV_ENOBUFS) pause_reading(c);
    else if (n == UV_EOF && c->state == WRITING) c->keep_alive = false, pause_reading(c);
    else if (n < 0) lost(c);
}

static void read_on(host_http_connection *c)
{
    if (c->reads) return;
    c->reads = true;
    if (uv_read_start(&c->uv.stream, on_room, on_read) != 0) lost(c);
}

/* ---- its beginning */

static int open_handles(host_http_connection *c)
{
    uv_loop_t *loop = c->server->loop;
    int code = c->server->is_unix ? uv_pipe_init(loop, &c->uv.pipe, 0) : uv_tcp_init(loop, &c->uv.tcp);
    if (code != 0) return code;
    uv_timer_init(loop, &c->timer);
    c->open_handles = 2;
    c->uv.handle.data = c->timer.data = c;
    if (!c->server->holds) uv_unref(&c->uv.handle);
    return 0;
}

static void link_to(host_http_connection *c, host_http_server *server)
{
    c->server = server;
    c->next = server->connections;
    c->from = &server->connections;
    if (c->next) c->next->from = &c->next;
    server->connections = c;
    server->count++;
}

void host_http_accept(host_http_server *server)
{
    host_http_connection *c = calloc(1, sizeof *c);
    if (!c) return;
    link_to(c, server);
    if (open_handles(c) != 0) {
        server->connections = c->next;
        if (c->next) c->next->from = &server->connections;
        server->count--;
        free(c);
        return;
    }
    begin(c);
    if (uv_accept(&server->listener.stream, &c->uv.stream) != 0 || server->count > server->limits.connections) {
        host_http_connection_close(c);
        return;
    }
    if (!server->is_unix) uv_tcp_nodelay(&c->uv.tcp, 1);
    limit(c, server->limits.head_time);
    read_on(c);
}
