/* What goes out on a connection: answers whole and in pieces, and how long the other end may leave them where they are.
 *
 * Design note. What the kernel takes at once is written at once: nothing is kept of it, and the next request is there
 * in the same turn. So what is short is made in one room for all connections, and moved when it has to wait. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/http/internal.h"

typedef struct piece {
    uv_write_t write;
    host_http_connection *connection;
    char *text;
} piece;

size_t host_http_unsent(const host_http_connection *c)
{
    return uv_stream_get_write_queue_size(&c->uv.stream);
}

void host_http_want_room(host_http_connection *c)
{
    c->wants_room = true;
}

static void watch_for_stall(host_http_connection *c)
{
    c->stalled_at = host_http_unsent(c);
    uv_timer_start(&c->write_timer, host_http_on_stall, (uint64_t)(c->server->limits.write_time * 1000), 0);
    if (!c->server->holds) uv_unref((uv_handle_t *)&c->write_timer);
}

/* Was anything taken since the last look? */
void host_http_on_stall(uv_timer_t *timer)
{
    host_http_connection *c = timer->data;
    if (host_http_unsent(c) < c->stalled_at) watch_for_stall(c);
    else host_http_lost(c);
}

static void on_written(uv_write_t *request, int status)
{
    piece *p = (piece *)request;
    host_http_connection *c = p->connection;
    const host_http_handlers *handlers = &c->server->handlers;
    free(p->text);
    free(p);
    c->writes--;
    if (c->state == HOST_HTTP_CLOSING) return;
    if (status != 0) {
        host_http_lost(c);
        return;
    }
    if (c->writes) return;
    uv_timer_stop(&c->write_timer);
    if (c->state == HOST_HTTP_WEBSOCKET) host_http_websocket_wrote(c);
    if (c->wants_room) {
        c->wants_room = false;
        handlers->room(handlers->self, c);
    } else {
        host_http_advance(c);
    }
}

static char few[4096];

char *host_http_room(size_t size)
{
    return size <= sizeof few ? few : malloc(size);
}

char *host_http_more_room(char *text, size_t size, size_t more)
{
    if (text == few && size + more <= sizeof few) return text;
    char *moved = malloc(size + more);
    if (moved) memcpy(moved, text, size);
    host_http_free_room(text);
    return moved;
}

void host_http_free_room(char *text)
{
    if (text != few) free(text);
}

/* What waits is in memory of its own. */
static char *keep(char *text, size_t size)
{
    if (text != few) return text;
    char *kept = malloc(size);
    return kept ? memcpy(kept, text, size) : NULL;
}

static bool queue_rest(host_http_connection *c, char *text, size_t size, size_t done)
{
    piece *p = malloc(sizeof *p);
    text = keep(text, size);
    uv_buf_t rest = uv_buf_init(text ? text + done : NULL, (unsigned)(size - done));
    if (!p || !text || uv_write(&p->write, &c->uv.stream, &rest, 1, on_written) != 0) {
        free(p);
        free(text);
        return false;
    }
    p->connection = c;
    p->text = text;
    if (c->writes++ == 0) watch_for_stall(c);
    return true;
}

bool host_http_put(host_http_connection *c, char *text, size_t size)
{
    int n = UV_EAGAIN;
    if (!text) return false;
    if (c->writes == 0) {
        uv_buf_t buf = uv_buf_init(text, (unsigned)size);
        n = uv_try_write(&c->uv.stream, &buf, 1);
    }
    if (n == (int)size || (n < 0 && n != UV_EAGAIN)) {
        host_http_free_room(text);
        return n >= 0;
    }
    return queue_rest(c, text, size, n > 0 ? (size_t)n : 0);
}

bool host_http_queue(host_http_connection *c, char *text, size_t size)
{
    return queue_rest(c, text, size, 0);
}

/* ---- answers */

static int gone(host_http_connection *c)
{
    host_http_connection_close(c);
    errno = ECONNRESET;
    return -1;
}

int host_http_answer(host_http_connection *c, const host_http_response *response)
{
    size_t size = 0;
    bool keep_alive = host_http_can_go_on(c);
    char *text = host_http_format(response, c->server->always, c->is_head, keep_alive, &size);
    if (!text && errno == EINVAL) return -1;
    c->keep_alive = keep_alive;
    if (!host_http_put(c, text, size)) return gone(c);
    host_http_answered(c);
    return 0;
}

static enum host_http_framing framing_of(const host_http_connection *c, int status, int64_t length)
{
    if (length >= 0 || host_http_has_no_body(status)) return HOST_HTTP_COUNTED;
    return c->parser.request.minor == 1 ? HOST_HTTP_CHUNKED : HOST_HTTP_TO_THE_END;
}

int host_http_start(host_http_connection *c, const host_http_response *response, int64_t length)
{
    size_t size = 0;
    enum host_http_framing framing = framing_of(c, response->status, length);
    bool keep_alive = framing != HOST_HTTP_TO_THE_END && host_http_can_go_on(c);
    uint64_t counted = length > 0 ? (uint64_t)length : 0;
    char *text = host_http_format_head(response, c->server->always, framing, counted, keep_alive, &size);
    if (!text && errno == EINVAL) return -1;
    c->started = true;
    c->keep_alive = keep_alive;
    c->framing = framing;
    c->promised = host_http_has_no_body(response->status) ? 0 : counted;
    c->is_head = c->is_head || host_http_has_no_body(response->status);
    return host_http_put(c, text, size) ? 0 : gone(c);
}

/* A piece as it goes over the connection. */
static char *frame(const host_http_connection *c, host_http_text body, size_t *size)
{
    char head[24];
    size_t head_len = c->framing == HOST_HTTP_CHUNKED ? (size_t)snprintf(head, sizeof head, "%zx\r\n", body.n) : 0;
    size_t tail_len = head_len ? 2 : 0;
    char *text = malloc(head_len + body.n + tail_len);
    if (!text) return NULL;
    memcpy(text, head, head_len);
    memcpy(text + head_len, body.p, body.n);
    memcpy(text + head_len + body.n, "\r\n", tail_len);
    *size = head_len + body.n + tail_len;
    return text;
}

int host_http_write(host_http_connection *c, host_http_text body)
{
    size_t size = 0;
    if (body.n == 0) return 0;
    if (!c->is_head && c->framing == HOST_HTTP_COUNTED) {
        if (body.n > c->promised) return errno = EINVAL, -1;
        c->promised -= body.n;
    }
    if (c->is_head) return 0;
    char *text = frame(c, body, &size);
    return host_http_put(c, text, size) ? 0 : gone(c);
}

int host_http_finish(host_http_connection *c)
{
    static const char end[] = "0\r\n\r\n";
    if (c->framing == HOST_HTTP_COUNTED && c->promised && !c->is_head) {
        host_http_connection_close(c);
        return errno = EINVAL, -1;
    }
    if (c->framing == HOST_HTTP_CHUNKED && !c->is_head && !host_http_put(c, strdup(end), sizeof end - 1))
        return gone(c);
    host_http_answered(c);
    return 0;
}

void host_http_abort(host_http_connection *c)
{
    host_http_connection_close(c);
}
