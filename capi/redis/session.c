/* Design note. A session is in one phase at a time:
 *   WAITING -> CONNECTING -> GREETING -> READY -> CUT -> WAITING ...
 * Every loss goes through on_closed, which the connection calls exactly once: there the pending commands are ended, the
 * owner is told, and the next attempt is planned. cl_session_cut only begins that. Nothing but the clock is carried
 * over from one connection to the next; what has to be said again is the owner's business.
 *
 * Whether a command may have been executed is told by its place in the output: what the kernel had not taken when the
 * connection ended cannot have arrived. */
#include "redis/internal.h"

#include <stdio.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/seconds.h"
#include "clouds.h"

enum { CONTROL_BYTES = 256 * 1024 };

enum { CLOSE_GRACE_MS = 1000, PROBE_MS = 50, ROLE_MS = 5000, DOUBT_MS = 1000, CLEAR_MS = 500 };

static int64_t at_least(double seconds)
{
    int64_t ms = cl_ms(seconds);
    return ms < 1 ? 1 : ms;
}

/* How often there is something to ask. */
static int64_t pace_of(const cl_session *s)
{
    int64_t interval = at_least(s->limits->ping_interval);
    return !s->pushes && interval > ROLE_MS ? ROLE_MS : interval;
}

/* A connection that only listens is pinged then, if nothing comes meanwhile. */
static int64_t ping_at(const cl_session *s)
{
    int64_t interval = at_least(s->limits->ping_interval);
    return cl_loop_together(s->loop, s->complete + interval, interval / 4);
}

/* Nothing is due until the next question. */
static void rest(cl_session *s)
{
    int64_t pace = pace_of(s);
    s->asked = 0;
    if (s->phase != SESSION_READY || s->closing) return;
    cl_loop_timer_set(s->timer, s->pushes ? ping_at(s) : cl_loop_together(s->loop, cl_loop_now() + pace, pace));
}

static void on_reply(void *self, const cl_reply *reply)
{
    cl_session *s = self;
    if (s->pending.len == 0) {
        cl_redis_error_text words = {"Redis sent an answer that nobody asked for"};
        int code = CLOUDS_EPROTO;
        if (reply->items[0].type == CL_REPLY_ERROR) code = cl_redis_explain(cl_reply_text(reply, 0), &words);
        cl_session_cut(s, code, words.text);
        return;
    }
    cl_pending pending = cl_pending_pop(&s->pending);
    s->waiting_since = s->complete = s->heard;
    if (s->reports_accepted && reply->items[0].type != CL_REPLY_ERROR) s->hooks.accepted(s->hooks.self, &pending);
    pending.handler->on_reply(pending.handler->is_internal ? s : s->hooks.self, &pending, reply);
    if (s->asked && s->pending.len == 0) rest(s);
}

/* Who answers nothing to a ClientHello for long may have no TLS: asked in clear, if there is time for that. */
static int is_to_be_asked(const cl_session *s)
{
    return s->address->tls.context && cl_ms(s->limits->ping_timeout) > CLEAR_MS;
}

static void on_channel(void *self, cl_str channel)
{
    cl_session *s = self;
    s->hooks.channel(s->hooks.self, channel);
}

static void on_message(void *self, cl_str payload)
{
    cl_session *s = self;
    s->complete = s->heard;
    s->hooks.message(s->hooks.self, payload);
}

static const char *host_of(const cl_session *s, int *port)
{
    const cl_redis_address *a = s->address;
    *port = a->port;
    return a->sentinel ? cl_sentinel_master(a->sentinel, port) : a->host;
}

static void answers_in_clear(void *self)
{
    cl_session *s = self;
    if (!cl_conn_has_heard(s->conn)) cl_session_cut(s, CLOUDS_EPROTO, "it speaks without TLS there: redis://");
}

static void ask_in_clear(cl_session *s)
{
    int port;
    if (!is_to_be_asked(s) || cl_conn_has_heard(s->conn) || s->asked_in_clear) return;
    s->asked_in_clear = 1;
    const char *host = host_of(s, &port);
    cl_redis_clear_ask(s->loop, host, port, s->limits->connect_timeout, answers_in_clear, s, &s->clear);
}

static void on_opened(void *self)
{
    cl_session *s = self;
    if (s->phase != SESSION_CONNECTING) return;
    s->phase = SESSION_HANDSHAKE;
    s->is_silent = 1;
    s->heard = s->complete = s->waiting_since = cl_loop_now();
    int port, code = cl_redis_tls_secure(&s->address->tls, s->conn, host_of(s, &port));
    if (!code) code = cl_session_handshake(s);
    if (code) cl_session_cut(s, code, clouds_strerror(code));
    else cl_loop_timer_set(s->timer, s->heard + (is_to_be_asked(s) ? CLEAR_MS : cl_ms(s->limits->ping_timeout)));
}

static void on_data(void *self, const char *p, size_t n)
{
    cl_session *s = self;
    if (s->phase != SESSION_HANDSHAKE && s->phase != SESSION_READY) return;
    s->heard = cl_loop_now();
    s->probe = 0;
    if (s->is_silent && cl_redis_tls_is_spoken(p, n)) {
        cl_session_cut(s, CLOUDS_EPROTO, "it speaks TLS there: rediss://");
        return;
    }
    s->is_silent = 0;
    int code = cl_resp_feed(s->resp, p, n);
    if (code) cl_session_cut(s, code, cl_resp_words(s->resp));
}

/* ---- attempts */

/* Half of it is fixed, half is left to chance, so that many clients of one Redis do not come back together. */
static int64_t backoff(cl_session *s, int code)
{
    int64_t least = cl_ms(s->limits->reconnect_min), most = cl_ms(s->limits->reconnect_max);
    int64_t delay = least > 0 ? least : 1;
    for (unsigned i = 0; i < s->attempts && delay < most; i++) delay *= 2;
    if (delay > most || code == CLOUDS_EAUTH) delay = most; /* a wrong password does not mend by itself */
    if (s->attempts < 30) s->attempts++;
    return delay / 2 + (int64_t)(cl_rand_next(&s->random) % (uint64_t)(delay / 2 + 1));
}

static void end_pending(cl_session *s, uint64_t handed)
{
    while (s->pending.len > 0) {
        cl_pending pending = cl_pending_pop(&s->pending);
        if (pending.handler->on_lost) pending.handler->on_lost(s->hooks.self, &pending, pending.end <= handed);
    }
}

static void finish_close(cl_session *s)
{
    s->phase = SESSION_CLOSED;
    cl_sentinel_forget(&s->question);
    cl_loop_timer_stop(s->timer);
    s->hooks.closed(s->hooks.self);
}

/* The end of an attempt or of a connection. */
static void ended(cl_session *s, int code, const char *words)
{
    int64_t now = cl_loop_now();
    int was_ready = s->was_ready;
    if (was_ready && now - s->ready_at >= cl_ms(s->limits->reconnect_max)) s->attempts = 0;
    s->was_ready = 0;
    s->phase = SESSION_WAITING;
    if (s->closing) {
        finish_close(s);
        return;
    }
    cl_loop_timer_set(s->timer, now + backoff(s, code));
    cl_redis_error_text full;
    snprintf(full.text, sizeof full.text, "%s: %s", s->address->display_url, words);
    s->hooks.down(s->hooks.self, was_ready, code, full.text);
}

/* What may be the reason where nothing has come at all. */
static const char *hint_of(const cl_session *s)
{
    return s->is_silent && !s->address->path ? cl_redis_tls_hint(&s->address->tls, s->conn) : "";
}

static void on_closed(void *self, int code, const char *words)
{
    cl_session *s = self;
    uint64_t handed = cl_conn_handed(s->conn);
    const char *hint = code == CLOUDS_ELOST ? hint_of(s) : "";
    s->is_silent = 0;
    cl_redis_clear_end(s->clear);
    s->conn = NULL;
    s->phase = SESSION_CUT;
    cl_resp_destroy(s->resp);
    s->resp = NULL;
    end_pending(s, handed);
    cl_redis_error_text why = s->words;
    if (!s->code) {
        snprintf(why.text, sizeof why.text, "%.200s%s", words, hint);
        s->code = code ? code : CLOUDS_ELOST;
    }
    ended(s, s->code, why.text);
}

static int dial_tcp(cl_session *s, const cl_conn_hooks *hooks)
{
    int port;
    const char *host = host_of(s, &port);
    return cl_conn_tcp(s->loop, host, port, s->limits->connect_timeout, hooks, &s->conn);
}

static int dial(cl_session *s)
{
    const cl_redis_address *a = s->address;
    cl_resp_hooks parts = {s, on_reply, on_channel, on_message};
    cl_resp_limits limits = {s->limits->resp_line, s->limits->resp_buffered};
    cl_conn_hooks hooks = {.self = s, .opened = on_opened, .data = on_data, .closed = on_closed};
    int code = cl_resp_create(&parts, limits, s->pushes, &s->resp);
    if (code) return code;
    if (a->path) code = cl_conn_unix(s->loop, a->path, s->limits->connect_timeout, &hooks, &s->conn);
    else code = dial_tcp(s, &hooks);
    if (!code) return 0;
    cl_resp_destroy(s->resp);
    s->resp = NULL;
    return code;
}

static void attempt(cl_session *s)
{
    s->phase = SESSION_CONNECTING;
    s->queued = 0;
    s->code = 0;
    s->probe = s->clock_refused = s->cluster = s->asked = s->writing = s->asked_in_clear = 0;
    s->role = (cl_redis_role){0};
    if (s->address->sentinel) {
        cl_sentinel_ask(s->address->sentinel, &s->question);
        return;
    }
    int code = dial(s);
    if (code) ended(s, code, clouds_strerror(code));
}

/* The end of the question where Redis is. */
static void on_told(void *self, int code, const char *words)
{
    cl_session *s = self;
    if (code == 0) code = dial(s), words = clouds_strerror(code);
    if (code) ended(s, code, words);
}

void cl_session_hurry(cl_session *s)
{
    s->attempts = 0;
    if (s->phase == SESSION_WAITING && !s->closing) cl_loop_timer_set(s->timer, cl_loop_now());
}

void cl_session_became_ready(cl_session *s)
{
    s->phase = SESSION_READY;
    s->was_ready = 1;
    s->ready_at = s->heard;
    cl_loop_timer_set(s->timer, s->heard); /* the watch sets its own pace */
    s->hooks.ready(s->hooks.self);
}

/* ---- watching the peer */

/* Nothing came for too long. But if this process was stopped meanwhile, the answer lies unread in the socket: look
 * again. */
static void probe(cl_session *s, int64_t now)
{
    char words[80];
    if (s->probe++ == 0) {
        cl_loop_timer_set(s->timer, now + PROBE_MS);
        return;
    }
    snprintf(words, sizeof words, "Redis does not answer%s", hint_of(s));
    cl_session_cut(s, CLOUDS_ELOST, words);
}

/* Whether or not the connection is busy: a clock steps and a primary is demoted without a word. Who writes hears of the
 * latter by itself. */
static void ask_on_schedule(cl_session *s, int64_t now, int64_t interval)
{
    int64_t sure = s->wrote_at > s->role_asked ? s->wrote_at : s->role_asked;
    int64_t pace = pace_of(s), late = pace / 2; /* the last time it may have been late */
    int64_t most = s->writing ? 2 * pace : pace;
    if (now - s->clock_asked >= interval - late) cl_session_ping(s);
    if (s->role.known && now - sure >= most - late) cl_session_ask_role(s);
}

static void watch(cl_session *s, int64_t now)
{
    int64_t interval = at_least(s->limits->ping_interval), patience = at_least(s->limits->ping_timeout);
    int64_t pace = pace_of(s);
    if (s->pending.len > 0) {
        int64_t last = s->heard > s->waiting_since ? s->heard : s->waiting_since;
        int stalled = now - s->waiting_since >= patience * (s->phase == SESSION_READY ? 4 : 2);
        if (now - last >= patience || stalled) {
            probe(s, now);
            return;
        }
        if (s->phase == SESSION_READY && !s->pushes) ask_on_schedule(s, now, interval);
        s->asked = 1;
        cl_loop_timer_set(s->timer, last + patience < now + pace ? last + patience : now + pace);
        return;
    }
    if (!s->pushes) ask_on_schedule(s, now, interval);
    else if (now >= ping_at(s)) cl_session_ping(s);
    s->asked = s->pending.len > 0;
    if (s->asked) cl_loop_timer_set(s->timer, now + (patience < pace ? patience : pace));
    else rest(s);
}

static void on_timer(void *self)
{
    cl_session *s = self;
    if (s->closing) {
        if (s->conn) cl_conn_close(s->conn, 0);
        else finish_close(s);
    } else if (s->phase == SESSION_WAITING) {
        attempt(s);
    } else if (s->phase == SESSION_HANDSHAKE || s->phase == SESSION_READY) {
        if (s->phase == SESSION_HANDSHAKE) ask_in_clear(s);
        watch(s, cl_loop_now());
    }
}

/* ---- life */

int cl_session_create(cl_loop *loop, const cl_redis_address *address, const cl_limits *limits, int pushes,
                      const cl_session_hooks *hooks, cl_session **out)
{
    cl_session *s = cl_calloc(1, sizeof *s);
    if (!s) return CLOUDS_ENOMEM;
    s->loop = loop;
    s->address = address;
    s->limits = limits;
    s->pushes = pushes;
    s->hooks = *hooks;
    s->phase = SESSION_WAITING;
    s->question.self = s;
    s->question.told = on_told;
    int code = cl_loop_timer_create(loop, on_timer, s, &s->timer);
    if (!code && cl_random_bytes(&s->random, sizeof s->random)) code = CLOUDS_ESYSTEM;
    if (code) {
        cl_session_destroy(s);
        return code;
    }
    cl_loop_timer_set(s->timer, cl_loop_now());
    *out = s;
    return 0;
}

void cl_session_close(cl_session *s)
{
    if (s->closing) return;
    s->closing = 1;
    if (s->address->sentinel) cl_sentinel_close(s->address->sentinel);
    cl_loop_timer_set(s->timer, cl_loop_now() + (s->conn ? CLOSE_GRACE_MS : 0));
    if (s->resp) cl_resp_stop(s->resp);
    if (s->conn) cl_conn_close(s->conn, 1);
}

void cl_session_destroy(cl_session *s)
{
    if (!s) return;
    cl_sentinel_forget(&s->question);
    cl_loop_timer_destroy(s->timer);
    cl_resp_destroy(s->resp);
    cl_pending_free(&s->pending);
    cl_free(s);
}

void cl_session_cut(cl_session *s, int code, const char *words)
{
    if (!s->conn || s->phase == SESSION_CUT || s->closing) return;
    s->phase = SESSION_CUT;
    s->code = code;
    snprintf(s->words.text, sizeof s->words.text, "%s", words);
    if (s->resp) cl_resp_stop(s->resp);
    cl_conn_close(s->conn, 0);
}

int cl_session_own_address(const cl_session *s, char *out, size_t cap)
{
    return s->conn ? cl_conn_own_address(s->conn, out, cap) : -1;
}

int cl_session_is_ready(const cl_session *s)
{
    return s->phase == SESSION_READY && !s->closing;
}

int cl_session_is_cluster(const cl_session *s)
{
    return s->cluster;
}

int cl_session_clock(const cl_session *s, int64_t *offset)
{
    if (s->clock_known) *offset = s->clock_offset;
    return s->clock_known;
}

void cl_session_doubt_clock(cl_session *s)
{
    if (s->phase != SESSION_READY || s->clock_refused || cl_loop_now() - s->clock_asked < DOUBT_MS) return;
    cl_session_ping(s);
}

const cl_redis_role *cl_session_role(const cl_session *s)
{
    return &s->role;
}

int64_t cl_session_since(const cl_session *s)
{
    return s->ready_at;
}

void cl_session_writes(cl_session *s)
{
    s->writing = 1;
}

void cl_session_wrote(cl_session *s)
{
    s->wrote_at = cl_loop_now();
    s->writing = 0;
}

void cl_session_report_accepted(cl_session *s, int on)
{
    s->reports_accepted = on;
}

/* ---- commands */

int cl_session_begin(cl_session *s, cl_buf **out)
{
    if (s->phase != SESSION_READY && s->phase != SESSION_HANDSHAKE) return CLOUDS_EUNREACHABLE;
    if (s->closing) return CLOUDS_EUNREACHABLE;
    *out = cl_conn_out(s->conn);
    return cl_pending_reserve(&s->pending);
}

void cl_session_end(cl_session *s, size_t length_before, const cl_redis_handler *handler, uint64_t ref)
{
    s->queued += cl_conn_out(s->conn)->len - length_before;
    if (s->pending.len == 0) s->waiting_since = cl_loop_now();
    cl_pending_push(&s->pending, (cl_pending){handler, ref, s->queued});
    cl_conn_commit(s->conn);
}

/* Envelopes stop at write_hard (publish.c). What keeps the connection and the registrations alive goes a bit beyond:
 * a heartbeat must not cost the answers that are queued. */
static size_t most_unwritten(const cl_session *s)
{
    return s->limits->write_hard + CONTROL_BYTES;
}

int cl_session_send(cl_session *s, const cl_redis_handler *handler, uint64_t ref, size_t argc, const cl_str *argv)
{
    cl_buf *out;
    int code = cl_session_begin(s, &out);
    if (code) return code;
    if (cl_conn_pending(s->conn) > most_unwritten(s)) {
        cl_session_cut(s, CLOUDS_ELIMIT, "Redis does not take what is sent: write_hard is reached");
        return cl_error_limit(CLOUDS_ELIMIT, cl_conn_pending(s->conn), most_unwritten(s),
                              "more than %zu bytes wait for Redis (write_hard and what is kept for commands)",
                              most_unwritten(s));
    }
    size_t before = out->len;
    code = cl_resp_command(out, argc, argv);
    if (!code) cl_session_end(s, before, handler, ref);
    return code;
}

size_t cl_session_unwritten(const cl_session *s)
{
    return s->conn ? cl_conn_pending(s->conn) : 0;
}

void cl_session_flush(cl_session *s)
{
    if (s->conn) cl_conn_flush(s->conn);
}
