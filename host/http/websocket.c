/* A connection that was upgraded to WebSocket: its frames are wslay's.
 *
 * Design note. wslay asks for bytes and gives bytes by callbacks; what it gives is gathered and goes out at once. It
 * answers pings and the client's close itself, and ends what is no WebSocket with the code that says why. Whoever sends
 * is not called back, so what a send finds out is told in the next turn.
 *
 * Nobody waits before a ping is answered, so a client that sends pings and takes no answer is not read any more when
 * these have become many, until it has taken all. It is known to be there as long as it takes anything. While the
 * handler does not take its messages nothing is read, so the answers to our pings are not asked for. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

#include "host/http/internal.h"

enum {
    CLOSE_TIME = 2,
    SERVICE_RESTART = 1012,
    ABNORMAL = 1006,
    NO_CODE = 1005,
    OUT_FIRST = 1024,
    MOST_OWED = 256 * 1024
};

struct host_http_websocket {
    wslay_event_context_ptr context;
    const char *in;
    size_t in_left;
    char *out;
    size_t out_len, out_cap;
    double ping;
    bool receives;        /* wslay is reading: what is sent meanwhile goes out behind that */
    bool heard;           /* something came since the last ping */
    bool pauses, is_full; /* nothing is read: as the handler wants; as too much is owed */
    size_t owed;          /* what answers to pings take that were queued since all was written, about */
    bool stops, closing;  /* it is to be closed; it waits for the client's close */
    int code;             /* of the client's close, or ours; 0: none */
    char reason[125];
    size_t reason_len;
};

/* ---- callbacks of wslay */

static ssize_t on_recv(wslay_event_context_ptr context, uint8_t *to, size_t room, int flags, void *data)
{
    struct host_http_websocket *w = ((host_http_connection *)data)->websocket;
    (void)flags;
    if (w->in_left == 0) {
        wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    size_t n = w->in_left < room ? w->in_left : room;
    memcpy(to, w->in, n);
    w->in += n;
    w->in_left -= n;
    return (ssize_t)n;
}

static bool grow(struct host_http_websocket *w, size_t need)
{
    size_t cap = w->out_cap ? w->out_cap : OUT_FIRST;
    while (cap < need) cap *= 2;
    if (cap == w->out_cap) return true;
    char *out = realloc(w->out, cap);
    if (!out) return false;
    w->out = out;
    w->out_cap = cap;
    return true;
}

static ssize_t on_send(wslay_event_context_ptr context, const uint8_t *from, size_t n, int flags, void *data)
{
    struct host_http_websocket *w = ((host_http_connection *)data)->websocket;
    (void)flags;
    if (!grow(w, w->out_len + n)) {
        wslay_event_set_error(context, WSLAY_ERR_CALLBACK_FAILURE);
        return -1;
    }
    memcpy(w->out + w->out_len, from, n);
    w->out_len += n;
    return (ssize_t)n;
}

static void keep_close(struct host_http_websocket *w, int code, const char *reason, size_t n)
{
    w->code = code ? code : NO_CODE;
    w->reason_len = n < sizeof w->reason ? n : sizeof w->reason;
    if (w->reason_len) memcpy(w->reason, reason, w->reason_len);
}

static void on_message(wslay_event_context_ptr context, const struct wslay_event_on_msg_recv_arg *arg, void *data)
{
    host_http_connection *c = data;
    const host_http_handlers *handlers = &c->server->handlers;
    (void)context;
    if (c->state != HOST_HTTP_WEBSOCKET) return;
    if (arg->opcode == WSLAY_CONNECTION_CLOSE) {
        size_t skipped = arg->msg_length >= 2 ? 2 : 0;
        keep_close(c->websocket, arg->status_code, (const char *)arg->msg + skipped, arg->msg_length - skipped);
    } else if (arg->opcode == WSLAY_PING) {
        c->websocket->owed += arg->msg_length + 2;
    } else if (!wslay_is_ctrl_frame(arg->opcode)) {
        handlers->message(handlers->self, c, arg->opcode == WSLAY_BINARY_FRAME,
                          (host_http_text){arg->msg_length ? (const char *)arg->msg : "", arg->msg_length});
    }
}

/* ---- what goes out, and the end */

/* What is queued becomes bytes. wslay would send a close before the messages that wait, so none ever do. */
static bool gather(host_http_connection *c)
{
    return wslay_event_send(c->websocket->context) == 0;
}

/* False: the connection is lost. */
static bool flush(host_http_connection *c)
{
    struct host_http_websocket *w = c->websocket;
    char *out = w->out;
    size_t n = w->out_len;
    w->out = NULL;
    w->out_len = w->out_cap = 0;
    bool ok = n == 0 || host_http_put(c, out, n);
    if (ok && wslay_event_get_close_sent(w->context) && !w->closing) {
        w->closing = true;
        if (!c->later) host_http_limit(c, CLOSE_TIME);
    }
    return ok;
}

/* Both ends have said that it ends; or what came was no WebSocket. */
static bool is_over(const struct host_http_websocket *w)
{
    return wslay_event_get_close_sent(w->context) &&
           (wslay_event_get_close_received(w->context) || !wslay_event_get_read_enabled(w->context));
}

static void end(host_http_connection *c)
{
    struct host_http_websocket *w = c->websocket;
    if (!w->code) w->code = wslay_event_get_status_code_sent(w->context);
    c->state = HOST_HTTP_FLUSHING;
    c->keep_alive = c->wants_room = false;
    uv_timer_stop(&c->timer);
    c->server->handlers.gone(c->server->handlers.self, c);
    host_http_advance(c);
}

/* Frames that cannot be. For some wslay only gives up, and would close without a code: this says it in its place. */
static void refuse(host_http_connection *c)
{
    static const uint8_t close_frame[] = {0x80 | WSLAY_CONNECTION_CLOSE, 2, WSLAY_CODE_PROTOCOL_ERROR >> 8,
                                          WSLAY_CODE_PROTOCOL_ERROR & 0xff};
    struct host_http_websocket *w = c->websocket;
    w->code = WSLAY_CODE_PROTOCOL_ERROR;
    if (on_send(w->context, close_frame, sizeof close_frame, 0, c) > 0 && flush(c)) end(c);
    else host_http_lost(c);
}

/* ---- reading */

static void read_on(host_http_connection *c)
{
    if (!c->websocket->pauses && !c->websocket->is_full) host_http_read_on(c);
}

void host_http_pause(host_http_connection *c, bool pauses)
{
    c->websocket->pauses = pauses;
    c->websocket->heard = true; /* it has until the next ping from now on */
    if (pauses) host_http_stop_reading(c);
    else read_on(c);
}

void host_http_websocket_wrote(host_http_connection *c)
{
    struct host_http_websocket *w = c->websocket;
    w->owed = 0;
    if (!w->is_full) return;
    w->is_full = false;
    read_on(c);
}

static void look_at_owed(host_http_connection *c)
{
    struct host_http_websocket *w = c->websocket;
    if (c->writes == 0) {
        w->owed = 0;
    } else if (w->owed > MOST_OWED) {
        w->is_full = true;
        host_http_stop_reading(c);
    }
}

void host_http_websocket_took(host_http_connection *c)
{
    struct host_http_websocket *w = c->websocket;
    size_t owed = w->owed;
    w->in = c->in + c->parsed;
    w->in_left = c->in_len - c->parsed;
    w->heard = w->receives = true;
    bool ok = wslay_event_recv(w->context) == 0;
    w->receives = false;
    if (w->owed > owed) w->owed += OUT_FIRST; /* as little as they are, they take that */
    c->in_len = c->parsed = c->in_head = 0;
    free(c->in);
    c->in = NULL;
    if (c->state != HOST_HTTP_WEBSOCKET) return;
    if (!ok) refuse(c);
    else if (!gather(c) || !flush(c)) host_http_lost(c);
    else if (is_over(w)) end(c);
    else look_at_owed(c);
}

void host_http_websocket_begin(host_http_connection *c)
{
    const struct host_http_websocket *w = c->websocket;
    host_http_limit(c, w->closing ? CLOSE_TIME : w->stops ? 0 : w->ping);
    if (c->in_len > c->parsed) host_http_websocket_took(c);
    if (c->state == HOST_HTTP_WEBSOCKET) read_on(c);
}

/* ---- time */

void host_http_websocket_time(host_http_connection *c)
{
    struct host_http_websocket *w = c->websocket;
    bool ok = !w->closing && (w->heard || w->is_full || w->pauses || w->stops);
    if (ok && w->stops) {
        ok = wslay_event_queue_close(w->context, SERVICE_RESTART, NULL, 0) == 0 && gather(c) && flush(c);
    } else if (ok) {
        const struct wslay_event_msg ping = {.opcode = WSLAY_PING};
        w->heard = false;
        host_http_limit(c, w->ping);
        ok = wslay_event_queue_msg(w->context, &ping) == 0 && gather(c) && flush(c);
    }
    if (!ok) host_http_lost(c);
}

void host_http_websocket_stop(host_http_connection *c, double within)
{
    if (c->websocket->closing) return;
    c->websocket->stops = true;
    if (!c->later) host_http_limit(c, within * (double)rand() / RAND_MAX);
}

void host_http_websocket_free(host_http_connection *c)
{
    struct host_http_websocket *w = c->websocket;
    if (!w) return;
    wslay_event_context_free(w->context);
    free(w->out);
    free(w);
    c->websocket = NULL;
}

/* ---- from outside */

static bool make(host_http_connection *c, size_t longest, double ping)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_recv, .send_callback = on_send, .on_msg_recv_callback = on_message};
    struct host_http_websocket *w = calloc(1, sizeof *w);
    if (!w || wslay_event_context_server_init(&w->context, &callbacks, c) != 0) return free(w), false;
    wslay_event_config_set_max_recv_msg_length(w->context, longest);
    w->ping = ping;
    w->heard = true;
    c->websocket = w;
    return true;
}

static int gone(host_http_connection *c)
{
    host_http_connection_close(c);
    errno = ECONNRESET;
    return -1;
}

int host_http_upgrade(host_http_connection *c, host_http_text protocol, size_t longest, double ping)
{
    char accept[HOST_HTTP_ACCEPT], text[512];
    host_http_text key = host_http_find(&c->parser.request, "sec-websocket-key");
    if (!host_http_is_key(key) || (protocol.n && !host_http_is_token(protocol)) || protocol.n > 256)
        return errno = EINVAL, -1;
    host_http_accept_key(key, accept);
    int n = snprintf(text, sizeof text,
                     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Accept: %s\r\n%s%.*s%s\r\n",
                     accept, protocol.n ? "Sec-WebSocket-Protocol: " : "", (int)protocol.n, protocol.p,
                     protocol.n ? "\r\n" : "");
    char *copy = strdup(text);
    if (!make(c, longest, ping)) return free(copy), gone(c);
    if (!host_http_put(c, copy, (size_t)n)) return gone(c);
    c->state = HOST_HTTP_WEBSOCKET;
    c->in_head = 0;
    c->later = true; /* frames may have come behind the head */
    c->websocket->stops = c->server->is_stopping;
    host_http_limit(c, 0);
    return 0;
}

static int queued(host_http_connection *c, int code)
{
    if (code == WSLAY_ERR_NO_MORE_MSG) return errno = EPIPE, -1;
    if (code == WSLAY_ERR_INVALID_ARGUMENT) return errno = EINVAL, -1;
    if (code != 0) return gone(c);
    if (!gather(c)) return gone(c);
    return c->websocket->receives || flush(c) ? 0 : gone(c);
}

int host_http_websocket_send(host_http_connection *c, bool is_binary, host_http_text text)
{
    const struct wslay_event_msg message = {.opcode = is_binary ? WSLAY_BINARY_FRAME : WSLAY_TEXT_FRAME,
                                            .msg = (const uint8_t *)text.p,
                                            .msg_length = text.n};
    return queued(c, wslay_event_queue_msg(c->websocket->context, &message));
}

int host_http_websocket_close(host_http_connection *c, int code, host_http_text reason)
{
    return queued(c,
                  wslay_event_queue_close(c->websocket->context, (uint16_t)code, (const uint8_t *)reason.p, reason.n));
}

void host_http_websocket_status(const host_http_connection *c, int *code, host_http_text *reason)
{
    const struct host_http_websocket *w = c->websocket;
    *code = w && w->code ? w->code : ABNORMAL;
    *reason = (host_http_text){w ? w->reason : "", w ? w->reason_len : 0};
}
