/* One connection: reads requests one after the other, and hands each over when its head is there.
 *
 * Design note. `in` begins with the head of the request, which stays where it is until the answer is complete; behind
 * it comes what was read of the body and was not asked for, and then what is pipelined. While nothing is in it, an idle
 * connection has none. A refused request is answered, and then what the client still sends is read for a moment: closed
 * with bytes unread, the kernel would answer with a reset, and the client might never see why. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/http/internal.h"

enum { BODY_ROOM = 16384, LINGER_MS = 1000, LINGER_BYTES = 1 << 20, DISCARD = 65536 };

void host_http_read_on(host_http_connection *c);
static void next_request(host_http_connection *c);
static void on_time(uv_timer_t *timer);

static size_t capacity(const host_http_connection *c)
{
    return c->server->limits.head + BODY_ROOM;
}

/* One is kept for the next, since most requests come and go before another needs room. */
static char *take_room(host_http_connection *c)
{
    char *room = c->server->spare;
    c->server->spare = NULL;
    return room ? room : malloc(capacity(c));
}

static void give_room(host_http_connection *c)
{
    if (c->server->spare) free(c->in);
    else c->server->spare = c->in;
    c->in = NULL;
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
    host_http_end_file(c);
    host_http_websocket_free(c);
    give_room(c);
    free(c);
    host_http_server_check(server);
}

void host_http_connection_close(host_http_connection *c)
{
    if (c->state == HOST_HTTP_CLOSING) return;
    c->state = HOST_HTTP_CLOSING;
    uv_close(&c->uv.handle, on_closed);
    uv_close((uv_handle_t *)&c->timer, on_closed);
    uv_close((uv_handle_t *)&c->write_timer, on_closed);
}

void host_http_close_connections(host_http_server *server)
{
    for (host_http_connection *c = server->connections; c; c = c->next) host_http_connection_close(c);
}

void host_http_lost(host_http_connection *c)
{
    bool is_open = c->state == HOST_HTTP_ANSWERING || c->state == HOST_HTTP_WEBSOCKET;
    host_http_connection_close(c);
    if (is_open) c->server->handlers.gone(c->server->handlers.self, c);
}

/* ---- time */

static void start_timer(host_http_connection *c)
{
    uv_timer_start(&c->timer, on_time, c->due - uv_now(c->server->loop), 0);
    if (!c->server->holds) uv_unref((uv_handle_t *)&c->timer);
}

/* One that is due before is left until then: most limits are followed by the next long before they are over. */
void host_http_limit(host_http_connection *c, double seconds)
{
    uint64_t now = uv_now(c->server->loop);
    if (c->state == HOST_HTTP_CLOSING) return;
    c->due = now + (uint64_t)(seconds * 1000);
    if (uv_is_active((uv_handle_t *)&c->timer) && now + uv_timer_get_due_in(&c->timer) <= c->due) return;
    start_timer(c);
}

/* A body has some seconds, and more as it comes. What its reader takes is no fault of who sends it. */
static void wait_for_body(host_http_connection *c)
{
    const host_http_limits *limits = &c->server->limits;
    double left = limits->body_time + (double)c->parser.body_total / limits->body_rate - c->waited;
    c->waits_since = uv_now(c->server->loop);
    host_http_limit(c, left > 0 ? left : 0);
    host_http_read_on(c);
}

static void body_came(host_http_connection *c)
{
    c->waited += (double)(uv_now(c->server->loop) - c->waits_since) / 1000;
    uv_timer_stop(&c->timer);
}

/* ---- refusing, and the end of what is said */

static void on_shut(uv_shutdown_t *request, int status)
{
    (void)status;
    free(request);
}

/* It has said that this request is its last, and has sent nothing behind it. */
static bool has_said_all(const host_http_connection *c)
{
    return c->parser.is_complete && !c->parser.request.keep_alive && c->parsed == c->in_len;
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
    c->state = HOST_HTTP_LINGERING;
    c->discarded = 0;
    host_http_limit(c, LINGER_MS / 1000.0);
    host_http_read_on(c);
}

static void refuse(host_http_connection *c, int status, const char *why)
{
    size_t size = 0;
    char *text = c->started ? NULL : host_http_format_refusal(status, why, c->server->always, &size);
    c->state = HOST_HTTP_FLUSHING;
    c->keep_alive = false;
    uv_timer_stop(&c->timer);
    if (c->server->handlers.refused) c->server->handlers.refused(c->server->handlers.self, c, status);
    if (host_http_put(c, text, size)) host_http_advance(c);
    else host_http_connection_close(c);
}

static void on_pump(host_http_connection *c);

/* A timer that nobody waits for any more is left as it is: the next wait starts it anew, and most requests are answered
 * before it matters. */
static void on_time(uv_timer_t *timer)
{
    host_http_connection *c = timer->data;
    if (uv_now(c->server->loop) < c->due) {
        start_timer(c);
    } else if (c->later) {
        on_pump(c);
    } else if (c->state == HOST_HTTP_WEBSOCKET) {
        host_http_websocket_time(c);
    } else if (c->state == HOST_HTTP_READING && !host_http_parser_is_fresh(&c->parser)) {
        refuse(c, 408, "the head took too long");
    } else if (c->state == HOST_HTTP_ANSWERING) {
        if (!c->wants_body) return;
        c->parser.why = "the body took too long";
        refuse(c, 408, c->parser.why);
        c->server->handlers.gone(c->server->handlers.self, c);
    } else if (c->state == HOST_HTTP_FLUSHING) {
        if (c->parser.is_complete) return;
        c->keep_alive = false;
        host_http_advance(c);
    } else {
        host_http_connection_close(c);
    }
}

/* ---- the body of a request */

/* What is understood of a body needs no place any more. */
static void drop_understood(host_http_connection *c)
{
    memmove(c->in + c->in_head, c->in + c->parsed, c->in_len - c->parsed);
    c->in_len -= c->parsed - c->in_head;
    c->parsed = c->in_head;
}

/* Understands what there is of the body, instead of what was taken. */
static enum host_http_progress parse_body(host_http_connection *c)
{
    size_t used = 0;
    c->parser.body_len = 0;
    if (c->parser.is_complete) return HOST_HTTP_END;
    enum host_http_progress progress = host_http_parse(&c->parser, c->in + c->parsed, c->in_len - c->parsed, &used);
    if (progress == HOST_HTTP_BAD) return progress;
    c->parsed += used;
    drop_understood(c);
    return progress;
}

/* The other end is told that its body is wanted, as it asked for. What does not go out at once is left out. */
static void say_continue(host_http_connection *c)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    uv_buf_t buf = uv_buf_init((char *)text, sizeof text - 1);
    if (!c->parser.request.expects_continue || c->said_continue || c->parser.body_total || c->started) return;
    c->said_continue = true;
    (void)uv_try_write(&c->uv.stream, &buf, 1);
}

enum host_http_piece host_http_read(host_http_connection *c, host_http_text *piece, const char **why)
{
    enum host_http_progress progress = parse_body(c);
    if (progress == HOST_HTTP_BAD) {
        *why = c->parser.why;
        refuse(c, c->parser.status, c->parser.why);
        return HOST_HTTP_FAILED;
    }
    *piece = (host_http_text){c->parser.body, c->parser.body_len};
    if (piece->n) {
        host_http_read_on(c);
        return HOST_HTTP_PIECE;
    }
    if (progress == HOST_HTTP_END) return HOST_HTTP_BODY_END;
    if (c->ended) {
        *why = "the body is not whole";
        refuse(c, 400, *why);
        return HOST_HTTP_FAILED;
    }
    c->wants_body = true;
    say_continue(c);
    wait_for_body(c);
    return HOST_HTTP_WAIT;
}

void host_http_limit_body(host_http_connection *c, size_t size)
{
    c->parser.body_limit = size;
}

unsigned host_http_listener(const host_http_connection *c)
{
    return c->listener;
}

const char *host_http_peer(host_http_connection *c)
{
    struct sockaddr_storage address = {0};
    int length = sizeof address;
    if (c->is_unix) return "unix";
    if (c->peer[0] || uv_tcp_getpeername(&c->uv.tcp, (struct sockaddr *)&address, &length) != 0) return c->peer;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&address;
    bool is_mapped = address.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr);
    if (is_mapped) uv_inet_ntop(AF_INET, &six->sin6_addr.s6_addr[12], c->peer, sizeof c->peer);
    else if (address.ss_family == AF_INET6) uv_ip6_name(six, c->peer, sizeof c->peer);
    else uv_ip4_name((const struct sockaddr_in *)&address, c->peer, sizeof c->peer);
    return c->peer;
}

/* A short body that nobody read, or that nobody wanted in the end, is read off. */
static bool may_be_discarded(const host_http_connection *c)
{
    const host_http_parser *p = &c->parser;
    if (p->is_complete) return true;
    if (c->ended) return false;
    if (p->request.expects_continue && !c->said_continue && p->body_total == 0) return false;
    return p->is_chunked || p->length - p->body_total <= DISCARD;
}

bool host_http_can_go_on(host_http_connection *c)
{
    return c->parser.request.keep_alive && host_http_may_follow(c->server) && may_be_discarded(c);
}

static void discard(host_http_connection *c)
{
    size_t before = c->in_len;
    c->parser.body_limit = UINT64_MAX;
    enum host_http_progress progress = parse_body(c);
    c->discarded += before - c->in_len;
    if (progress == HOST_HTTP_BAD || c->discarded > 2 * DISCARD) c->keep_alive = false;
    if (progress == HOST_HTTP_MORE && c->keep_alive) wait_for_body(c);
}

void host_http_answered(host_http_connection *c)
{
    c->state = HOST_HTTP_FLUSHING;
    c->wants_body = c->wants_room = false;
    c->discarded = 0;
    if (c->keep_alive && !c->parser.is_complete) discard(c);
    host_http_advance(c);
}

void host_http_advance(host_http_connection *c)
{
    if (c->state != HOST_HTTP_FLUSHING || c->writes) return;
    if (c->file.left) host_http_send_on(c);
    else if (!c->keep_alive && has_said_all(c)) host_http_connection_close(c);
    else if (!c->keep_alive) linger(c);
    else if (c->parser.is_complete) next_request(c);
}

/* ---- requests */

void **host_http_slot(host_http_connection *c)
{
    return &c->slot;
}

void host_http_begin(host_http_connection *c)
{
    c->state = HOST_HTTP_READING;
    c->slot = NULL;
    c->said_continue = c->started = c->wants_body = c->wants_room = false;
    c->in_head = c->parsed = 0;
    c->waited = 0;
    host_http_parser_begin(&c->parser, &c->server->limits);
}

/* Its head is there, and if it has no body all of it. */
static void hand_over(host_http_connection *c)
{
    const host_http_handlers *handlers = &c->server->handlers;
    c->in_head = c->parsed;
    c->state = HOST_HTTP_ANSWERING;
    c->is_head = host_http_is(c->parser.request.method, "HEAD");
    handlers->request(handlers->self, c, &c->parser.request);
}

static void parse_head(host_http_connection *c)
{
    size_t used = 0;
    enum host_http_progress progress = host_http_parse(&c->parser, c->in + c->parsed, c->in_len - c->parsed, &used);
    c->parsed += used;
    if (progress == HOST_HTTP_BAD) {
        refuse(c, c->parser.status, c->parser.why);
    } else if (progress == HOST_HTTP_HEAD) {
        hand_over(c);
    } else if (c->in_len >= c->server->limits.head) {
        host_http_refuse_long(&c->parser, c->in, c->in_len);
        refuse(c, c->parser.status, c->parser.why);
    }
}

/* Hands over what is there, one after the other: one that is answered at once is followed by the next. */
static void pump(host_http_connection *c)
{
    c->pumps = true;
    while (c->state == HOST_HTTP_READING && c->parsed < c->in_len) parse_head(c);
    c->pumps = false;
    if (c->state == HOST_HTTP_READING && c->ended) host_http_connection_close(c);
}

static void on_pump(host_http_connection *c)
{
    c->later = false;
    if (c->state == HOST_HTTP_WEBSOCKET) {
        host_http_websocket_begin(c);
        return;
    }
    host_http_limit(c, c->server->limits.head_time);
    pump(c);
    host_http_read_on(c);
}

/* A request is over: what came behind it moves to the front, where the next head begins. Who answers may be called from
 * anywhere, so the next is handed over by the loop. */
static void next_request(host_http_connection *c)
{
    size_t left = c->in_len - c->parsed;
    if (!left && c->ended) {
        host_http_connection_close(c);
        return;
    }
    if (left) memmove(c->in, c->in + c->parsed, left);
    c->in_len = left;
    host_http_parser_end(&c->parser);
    host_http_begin(c);
    c->later = left && !c->pumps;
    host_http_limit(c, c->later ? 0 : left ? c->server->limits.head_time : host_http_idle_time(c->server));
    if (!left) give_room(c);
    if (!host_http_leave(c)) host_http_read_on(c);
}

/* ---- reading */

static void on_room(uv_handle_t *handle, size_t unused, uv_buf_t *buf)
{
    host_http_connection *c = handle->data;
    (void)unused;
    if (!c->in && !(c->in = take_room(c))) {
        *buf = uv_buf_init(NULL, 0);
        return;
    }
    if (c->state == HOST_HTTP_LINGERING) c->in_len = c->parsed = 0;
    size_t end = c->state == HOST_HTTP_READING && !c->parser.has_head ? c->server->limits.head : capacity(c);
    *buf = uv_buf_init(c->in + c->in_len, (unsigned)(end > c->in_len ? end - c->in_len : 0));
}

void host_http_stop_reading(host_http_connection *c)
{
    c->reads = false;
    uv_read_stop(&c->uv.stream);
}

static void took(host_http_connection *c, size_t n)
{
    const host_http_handlers *handlers = &c->server->handlers;
    bool is_first = c->state == HOST_HTTP_READING && c->in_len == 0;
    c->in_len += n;
    if (c->state == HOST_HTTP_LINGERING) {
        c->discarded += n;
        if (c->discarded > LINGER_BYTES) host_http_connection_close(c);
        return;
    }
    if (c->state == HOST_HTTP_WEBSOCKET) {
        if (!c->later) host_http_websocket_took(c);
        return;
    }
    if (c->state == HOST_HTTP_READING && !c->later) {
        pump(c);
        if (is_first && c->state == HOST_HTTP_READING && c->in_len) host_http_limit(c, c->server->limits.head_time);
    } else if (c->state == HOST_HTTP_ANSWERING && c->wants_body) {
        c->wants_body = false;
        body_came(c);
        handlers->body(handlers->self, c);
    } else if (c->state == HOST_HTTP_FLUSHING && c->keep_alive && !c->parser.is_complete) {
        body_came(c);
        discard(c);
        host_http_advance(c);
    }
    if (c->state != HOST_HTTP_CLOSING && c->in_len == capacity(c)) host_http_stop_reading(c);
}

/* Whether a client that says nothing more can still be given something. */
static bool is_owed(const host_http_connection *c)
{
    if (c->state == HOST_HTTP_FLUSHING) return c->writes || c->file.left;
    if (!c->server->limits.half_close) return false;
    return c->state == HOST_HTTP_ANSWERING ? !c->wants_body : c->state == HOST_HTTP_READING && c->later;
}

/* The client says nothing more. An answer that is complete still goes out; others do where that is no sign that it is
 * gone. */
static void ended(host_http_connection *c)
{
    if (!is_owed(c)) {
        host_http_lost(c);
        return;
    }
    host_http_stop_reading(c);
    c->ended = true;
    if (!c->server->limits.half_close) c->keep_alive = false;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    host_http_connection *c = stream->data;
    (void)buf;
    if (n > 0) took(c, (size_t)n);
    else if (n == UV_ENOBUFS) host_http_stop_reading(c);
    else if (n == UV_EOF) ended(c);
    else if (n < 0) host_http_lost(c);
}

void host_http_read_on(host_http_connection *c)
{
    if (c->reads || c->state == HOST_HTTP_CLOSING) return;
    if (c->ended && c->state != HOST_HTTP_LINGERING) return;
    if (c->in && c->in_len == capacity(c) && c->state != HOST_HTTP_LINGERING) return;
    c->reads = uv_read_start(&c->uv.stream, on_room, on_read) == 0;
}
