/* Design note. A round asks one sentinel after the other until one knows the master; it begins with the one behind the
 * last that answered, since whoever asks again was not helped by that. A sentinel that answered is kept connected and
 * subscribed to +switch-master; when that ends, a round of its own finds another to listen to. What is read is an
 * address only: whether a Redis is a master is asked of itself, as of any other (handshake.c). */
#include "redis/sentinel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/seconds.h"
#include "clouds.h"
#include "net/conn.h"
#include "redis/resp.h"

enum { FRESH_MS = 2000, AGAIN_MS = 1000, HOST_MOST = 256, PATIENCE_MS = 2000 };

enum step { RESTING, CONNECTING, ASKED, LOGGED_IN, SUBSCRIBED, LISTENING };

struct cl_sentinel {
    cl_loop *loop;
    const cl_limits *limits;
    const cl_redis_tls *tls;
    cl_sentinel_hooks hooks;
    cl_url url;            /* its own */
    char *user, *password; /* who we are; its own */
    cl_conn *conn;
    cl_resp *resp;
    cl_loop_timer *timer;
    cl_list_node questions;
    enum step step;
    size_t current, tried; /* who is asked; how many were, in this round */
    int closing, has_logged_in, is_pinged;
    int is_refused;  /* why no sentinel has answered: an error, or 0 */
    uint64_t answer; /* its number */
    int64_t answered_at;
    char host[HOST_MOST];
    int port;
    char words[512]; /* why those of this round did not help */
    char why[200];   /* the same of the current one, as we found it */
};

static const cl_url_host *who(const cl_sentinel *s)
{
    return &s->url.hosts[s->current];
}

static void begin_round(cl_sentinel *s);
static void connect_next(cl_sentinel *s);

/* ---- answers */

static void tell_all(cl_sentinel *s, int code, const char *words)
{
    while (!cl_list_empty(&s->questions)) {
        cl_sentinel_question *q = CL_OWNER(s->questions.next, cl_sentinel_question, place);
        cl_sentinel_forget(q);
        q->answer = s->answer;
        q->told(q->self, code, words);
    }
}

/* 1: it is another one than before. */
static int learn(cl_sentinel *s, cl_str host, int port)
{
    int is_same = port == s->port && cl_str_eq(host, cl_str_z(s->host)), was_known = s->answer > 0;
    snprintf(s->host, sizeof s->host, "%.*s", (int)host.n, host.p);
    s->port = port;
    s->answer++;
    s->answered_at = cl_loop_now();
    return was_known && !is_same;
}

static void moved(cl_sentinel *s)
{
    char words[HOST_MOST + 200];
    snprintf(words, sizeof words, "%s is at %s:%d now, says the sentinel at %s:%d", s->url.name, s->host, s->port,
             who(s)->name, who(s)->port);
    cl_log(CLOUDS_LOG_INFO, "the master %s", words);
    s->hooks.moved(s->hooks.self, words);
}

/* ---- a sentinel that does not help */

static void round_failed(cl_sentinel *s)
{
    char words[sizeof s->words + 200];
    int code = s->is_refused ? s->is_refused : CLOUDS_EUNREACHABLE;
    if (code == CLOUDS_EREDIS)
        snprintf(words, sizeof words, "no sentinel knows a master '%s' (%s)", s->url.name, s->words);
    else snprintf(words, sizeof words, "no sentinel says where the master '%s' is (%s)", s->url.name, s->words);
    s->step = RESTING;
    cl_loop_timer_set(s->timer, cl_loop_now() + AGAIN_MS);
    tell_all(s, code, words);
}

static void not_helped(cl_sentinel *s, const char *why)
{
    size_t n = strlen(s->words);
    snprintf(s->words + n, sizeof s->words - n, "%s%.100s:%d: %.150s", n ? ", " : "", who(s)->name, who(s)->port, why);
    s->current = (s->current + 1) % s->url.hosts_n;
    if (++s->tried < s->url.hosts_n) connect_next(s);
    else round_failed(s);
}

static void on_closed(void *self, int code, const char *words)
{
    cl_sentinel *s = self;
    char why[sizeof s->why];
    int was_listening = s->step == LISTENING, is_silent = s->step == ASKED && code == CLOUDS_ELOST && !*s->why;
    snprintf(why, sizeof why, "%.120s%s",
             *s->why  ? s->why
             : *words ? words
                      : "it closed the connection",
             is_silent ? cl_redis_tls_hint(s->tls, s->conn) : "");
    s->conn = NULL;
    cl_resp_destroy(s->resp);
    s->resp = NULL;
    if (s->closing) return;
    if (s->step == RESTING) begin_round(s);
    else if (was_listening) {
        s->step = RESTING;
        cl_loop_timer_set(s->timer, cl_loop_now() + AGAIN_MS);
    } else {
        not_helped(s, why);
    }
}

/* `why` is said of it, if that is what is asked for. */
static void leave(cl_sentinel *s, const char *why)
{
    snprintf(s->why, sizeof s->why, "%s", why);
    if (s->resp) cl_resp_stop(s->resp);
    cl_conn_close(s->conn, 0);
}

/* ---- what is said */

static void say(cl_sentinel *s, enum step step, size_t argc, const cl_str *argv)
{
    s->step = step;
    if (cl_resp_command(cl_conn_out(s->conn), argc, argv) == 0) cl_conn_commit(s->conn);
    else leave(s, "out of memory");
}

static void ask(cl_sentinel *s)
{
    const cl_str command[] = {CL_STR("SENTINEL"), CL_STR("get-master-addr-by-name"), cl_str_z(s->url.name)};
    say(s, ASKED, 3, command);
}

static void log_in(cl_sentinel *s)
{
    const cl_str command[] = {CL_STR("AUTH"), cl_str_z(s->user), cl_str_z(s->password)};
    const cl_str without[] = {command[0], command[2]};
    int has_user = s->user[0] != '\0';
    s->has_logged_in = 1;
    say(s, LOGGED_IN, has_user ? 3 : 2, has_user ? command : without);
}

static void subscribe(cl_sentinel *s)
{
    const cl_str command[] = {CL_STR("SUBSCRIBE"), CL_STR("+switch-master")};
    say(s, SUBSCRIBED, 2, command);
}

static void ping(cl_sentinel *s)
{
    const cl_str command[] = {CL_STR("PING")};
    s->is_pinged = 1;
    say(s, LISTENING, 1, command);
}

/* ---- what is answered */

static void refused(cl_sentinel *s, cl_str error)
{
    char why[sizeof s->why];
    int wants_login = cl_str_starts(error, CL_STR("NOAUTH")) || cl_str_starts(error, CL_STR("NOPERM"));
    if (wants_login && !s->has_logged_in && s->password[0]) {
        log_in(s);
        return;
    }
    if (wants_login || s->step == LOGGED_IN) s->is_refused = CLOUDS_EAUTH;
    snprintf(why, sizeof why, "%s%.*s", s->step == ASKED && !wants_login ? "is it a sentinel? " : "",
             error.n < 120 ? (int)error.n : 120, error.p);
    leave(s, why);
}

static void address_came(cl_sentinel *s, const cl_reply *reply)
{
    int port;
    if (reply->items[0].type == CL_REPLY_NIL || (reply->items[0].type == CL_REPLY_ARRAY && reply->len == 1)) {
        if (!s->is_refused) s->is_refused = CLOUDS_EREDIS;
        leave(s, "it knows no such master");
        return;
    }
    if (reply->len != 3 || !cl_reply_is_text(reply, 1) || !cl_reply_is_text(reply, 2) ||
        cl_reply_text(reply, 1).n >= HOST_MOST || !cl_str_number(cl_reply_text(reply, 2), 1, 65535, &port)) {
        leave(s, "its answer is no address");
        return;
    }
    int is_another = learn(s, cl_reply_text(reply, 1), port), was_asked = !cl_list_empty(&s->questions);
    subscribe(s);
    if (is_another && !was_asked) moved(s);
    tell_all(s, 0, "");
}

static void on_reply(void *self, const cl_reply *reply)
{
    cl_sentinel *s = self;
    s->is_pinged = 0;
    if (reply->items[0].type == CL_REPLY_ERROR) {
        refused(s, cl_reply_text(reply, 0));
    } else if (s->step == ASKED) {
        address_came(s, reply);
    } else if (s->step == LOGGED_IN) {
        ask(s);
    } else if (s->step == SUBSCRIBED) {
        s->step = LISTENING;
        cl_loop_timer_set(s->timer, cl_loop_now() + cl_ms(s->limits->ping_interval));
    }
}

static void on_channel(void *self, cl_str channel)
{
}

static cl_str next_word(cl_str *rest)
{
    const char *space = rest->n ? memchr(rest->p, ' ', rest->n) : NULL;
    cl_str word = {rest->p, space ? (size_t)(space - rest->p) : rest->n};
    *rest = space ? cl_str_of(space + 1, rest->n - word.n - 1) : CL_STR_NONE;
    return word;
}

/* "<name> <old host> <old port> <host> <port>" */
static void on_message(void *self, cl_str payload)
{
    cl_sentinel *s = self;
    cl_str words[5];
    int port;
    for (size_t i = 0; i < 5; i++) words[i] = next_word(&payload);
    if (!cl_str_eq(words[0], cl_str_z(s->url.name))) return;
    if (!words[3].n || words[3].n >= HOST_MOST || !cl_str_number(words[4], 1, 65535, &port)) return;
    if (learn(s, words[3], port)) moved(s);
}

/* ---- the connection */

static void on_opened(void *self)
{
    cl_sentinel *s = self;
    if (s->step != CONNECTING) return;
    int code = cl_redis_tls_secure(s->tls, s->conn, who(s)->name);
    if (code) leave(s, clouds_strerror(code));
    else ask(s);
}

static void on_data(void *self, const char *p, size_t n)
{
    cl_sentinel *s = self;
    if (!s->resp || *s->why || s->step <= CONNECTING) return;
    if (s->step == ASKED && cl_redis_tls_is_spoken(p, n)) leave(s, "it speaks TLS there: rediss+sentinel://");
    else if (cl_resp_feed(s->resp, p, n) != 0) leave(s, cl_resp_words(s->resp));
}

static int64_t patience(const cl_sentinel *s)
{
    int64_t ms = cl_ms(s->limits->connect_timeout);
    return ms < PATIENCE_MS ? ms : PATIENCE_MS;
}

static void connect_next(cl_sentinel *s)
{
    const cl_resp_hooks parts = {s, on_reply, on_channel, on_message};
    const cl_resp_limits limits = {s->limits->resp_line, s->limits->resp_buffered};
    const cl_conn_hooks hooks = {.self = s, .opened = on_opened, .data = on_data, .closed = on_closed};
    s->step = CONNECTING;
    s->has_logged_in = s->is_pinged = 0;
    s->why[0] = '\0';
    int code = cl_resp_create(&parts, limits, 1, &s->resp);
    if (!code) code = cl_conn_tcp(s->loop, who(s)->name, who(s)->port, (double)patience(s) / 1000, &hooks, &s->conn);
    cl_loop_timer_set(s->timer, cl_loop_now() + 2 * patience(s));
    if (!code) return;
    cl_resp_destroy(s->resp);
    s->resp = NULL;
    not_helped(s, clouds_strerror(code));
}

/* What is left of the one before ends first. */
static void begin_round(cl_sentinel *s)
{
    s->tried = 0;
    s->is_refused = 0;
    s->words[0] = '\0';
    if (!s->conn) {
        connect_next(s);
        return;
    }
    s->step = RESTING;
    leave(s, "another is asked");
}

static void on_timer(void *self)
{
    cl_sentinel *s = self;
    if (s->closing) return;
    if (s->step == RESTING && !s->conn) begin_round(s);
    else if (s->step == LISTENING && !s->is_pinged) {
        ping(s);
        cl_loop_timer_set(s->timer, cl_loop_now() + cl_ms(s->limits->ping_timeout));
    } else if (s->conn) {
        char why[80];
        snprintf(why, sizeof why, "it does not answer%s", s->step == ASKED ? cl_redis_tls_hint(s->tls, s->conn) : "");
        leave(s, why);
    }
}

/* ---- from outside */

void cl_sentinel_ask(cl_sentinel *s, cl_sentinel_question *q)
{
    if (q->answer != s->answer && cl_loop_now() - s->answered_at < FRESH_MS) {
        q->answer = s->answer;
        q->told(q->self, 0, "");
        return;
    }
    cl_list_append(&s->questions, &q->place);
    q->is_asked = 1;
    if (s->step != RESTING && s->step < SUBSCRIBED) return; /* a round is under way */
    if (s->step >= SUBSCRIBED) s->current = (s->current + 1) % s->url.hosts_n;
    if (s->step != RESTING || !s->conn) begin_round(s);
}

void cl_sentinel_forget(cl_sentinel_question *q)
{
    if (q->is_asked) cl_list_remove(&q->place);
    q->is_asked = 0;
}

const char *cl_sentinel_master(const cl_sentinel *s, int *port)
{
    *port = s->port;
    return s->host;
}

/* User and password of Redis, unless the sentinels have others. */
static int keep_login(cl_sentinel *s, const cl_url *url)
{
    int is_own = url->sentinel_password != NULL;
    s->user = cl_str_dup(cl_str_z(!is_own ? url->user : url->sentinel_user ? url->sentinel_user : ""));
    s->password = cl_str_dup(cl_str_z(is_own ? url->sentinel_password : url->password));
    return s->user && s->password ? 0 : CLOUDS_ENOMEM;
}

int cl_sentinel_create(cl_loop *loop, const cl_url *url, const cl_limits *limits, const cl_redis_tls *tls,
                       const cl_sentinel_hooks *hooks, cl_sentinel **out)
{
    cl_sentinel *s = cl_calloc(1, sizeof *s);
    if (!s) return CLOUDS_ENOMEM;
    s->loop = loop;
    s->limits = limits;
    s->tls = tls;
    s->hooks = *hooks;
    cl_list_init(&s->questions);
    int code = cl_url_copy(url, &s->url);
    if (!code) code = keep_login(s, url);
    if (!code) code = cl_loop_timer_create(loop, on_timer, s, &s->timer);
    if (code) cl_sentinel_destroy(s);
    else *out = s;
    return code;
}

void cl_sentinel_close(cl_sentinel *s)
{
    if (s->closing) return;
    s->closing = 1;
    cl_loop_timer_stop(s->timer);
    if (s->conn) leave(s, "");
}

static void nothing(void *self)
{
}

static void no_data(void *self, const char *p, size_t n)
{
}

static void no_end(void *self, int code, const char *words)
{
}

void cl_sentinel_destroy(cl_sentinel *s)
{
    static const cl_conn_hooks none = {.opened = nothing, .data = no_data, .closed = no_end};
    if (!s) return;
    if (s->conn) {
        cl_conn_set_hooks(s->conn, &none);
        cl_conn_close(s->conn, 0);
    }
    cl_resp_destroy(s->resp);
    cl_loop_timer_destroy(s->timer);
    cl_url_free(&s->url);
    if (s->password) explicit_bzero(s->password, strlen(s->password));
    cl_free(s->password);
    cl_free(s->user);
    cl_free(s);
}
