/* Design note. The handshake is one pipeline; it is over when all of it is answered. In the order of sending:
 *   AUTH, SELECT   when the address says so
 *   TIME           Redis' clock against ours
 *   EXISTS         of a key that is never there: finds a Redis that cannot serve yet
 *   INFO cluster   whether the number that PUBLISH returns means anything
 *   INFO replication   whether it is a primary
 *   INFO server    which process it is: both connections have to lead to the same one
 *   CLIENT SETNAME for whoever looks at CLIENT LIST
 *
 * A user without the right to TIME, INFO or CLIENT gets along without. */
#include "redis/internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/log.h"
#include "clouds.h"

enum { STEP_MS = 1000, EXACT_MS = 200 };

static int send_time(cl_session *s);

static void refused(cl_session *s, cl_str error)
{
    cl_redis_error_text words;
    int code = cl_redis_explain(error, &words);
    cl_session_cut(s, code, words.text);
}

/* 1: the command was answered, or the handshake may go on without the answer. */
static int passes(cl_session *s, const cl_reply *reply, int (*is_harmless)(cl_str error))
{
    if (reply->items[0].type != CL_REPLY_ERROR) return 1;
    cl_str error = cl_reply_text(reply, 0);
    if (is_harmless && is_harmless(error)) return 1;
    refused(s, error);
    return 0;
}

static void step_done(cl_session *s)
{
    if (s->phase == SESSION_HANDSHAKE && s->pending.len == 0) cl_session_became_ready(s);
}

static void say_step(const cl_session *s, int64_t step)
{
    char seconds[CL_NUMBER_TEXT];
    snprintf(seconds, sizeof seconds, "%.1f", (double)step / 1000);
    cl_number_plain(seconds);
    cl_log(CLOUDS_LOG_WARN, "%s: the clock of Redis stepped by %s s", s->address->display_url, seconds);
}

/* The offset lies between two bounds; an old one that fits is kept, for a loaded connection gives wide bounds. A new
 * one that is not exact is asked for again. */
static void learn_clock(cl_session *s, int64_t asked, int64_t redis_ms)
{
    int64_t low = redis_ms - s->heard, high = redis_ms + 1 - asked, offset = low + (high - low) / 2;
    if (s->clock_known && s->clock_offset >= low && s->clock_offset <= high) return;
    int64_t slack = (high - low) / 2, step = offset - s->clock_offset;
    if (s->clock_known && llabs(step) - slack - s->clock_slack > STEP_MS) say_step(s, step);
    s->clock_offset = offset;
    s->clock_slack = slack;
    s->clock_known = 1;
    if (high - low <= EXACT_MS) s->clock_again = 0;
    else if (s->phase == SESSION_READY && s->clock_again++ < 3) send_time(s);
}

static int64_t to_number(cl_str text)
{
    char digits[24];
    if (text.n == 0 || text.n >= 18) return -1;
    memcpy(digits, text.p, text.n);
    digits[text.n] = '\0';
    char *end;
    long long value = strtoll(digits, &end, 10);
    return *end ? -1 : value;
}

static void time_came(cl_session *s, const cl_pending *pending, const cl_reply *reply)
{
    if (reply->items[0].type == CL_REPLY_ERROR) {
        s->clock_refused = 1;
        return;
    }
    int64_t seconds = -1, micros = -1;
    if (reply->len == 3 && cl_reply_is_text(reply, 1) && cl_reply_is_text(reply, 2)) {
        seconds = to_number(cl_reply_text(reply, 1));
        micros = to_number(cl_reply_text(reply, 2));
    }
    if (seconds < 0 || seconds > INT64_C(9000000000000) || micros < 0 || micros >= 1000000)
        cl_session_cut(s, CLOUDS_EPROTO, "Redis answered TIME with something else");
    else learn_clock(s, (int64_t)pending->ref, seconds * 1000 + micros / 1000);
}

/* The value of a line "name:value" of INFO; empty when there is none. */
static cl_str info_value(cl_str text, const char *name)
{
    size_t n = strlen(name);
    const char *p = memmem(text.p, text.n, name, n), *end = text.p + text.n, *value;
    if (!p || (p > text.p && p[-1] != '\n')) return CL_STR_NONE;
    for (p = value = p + n; p < end && *p != '\r' && *p != '\n';) p++;
    return cl_str_of(value, (size_t)(p - value));
}

static void cluster_came(cl_session *s)
{
    if (!s->cluster)
        cl_log(CLOUDS_LOG_WARN, "%s is in cluster mode, which clouds does not use", s->address->display_url);
    s->cluster = 1;
}

static void role_came(cl_session *s, cl_str role, cl_str text)
{
    s->role.known = 1;
    s->role.is_replica = !cl_str_eq(role, CL_STR("master"));
    s->role.replicas = to_number(info_value(text, "connected_slaves:"));
    s->role.was_promoted = to_number(info_value(text, "second_repl_offset:")) >= 0;
    s->role.learned = s->heard;
    if (s->role.is_replica) refused(s, CL_STR("READONLY role:slave"));
}

/* It travels in calls as it is. */
static int is_run_id(cl_str text)
{
    for (size_t i = 0; i < text.n; i++)
        if (!strchr("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-", text.p[i])) return 0;
    return text.n > 0;
}

static void learn_info(cl_session *s, const cl_reply *reply)
{
    if (!cl_reply_is_text(reply, 0)) return;
    cl_str text = cl_reply_text(reply, 0), role = info_value(text, "role:"), run_id = info_value(text, "run_id:");
    if (memmem(text.p, text.n, "cluster_enabled:1", 17)) cluster_came(s);
    if (is_run_id(run_id) && run_id.n < sizeof s->role.run_id) memcpy(s->role.run_id, run_id.p, run_id.n);
    if (role.n > 0) role_came(s, role, text);
}

/* ---- replies */

static void on_auth(void *self, const cl_pending *pending, const cl_reply *reply)
{
    cl_session *s = self;
    if (!passes(s, reply, cl_redis_needs_no_password)) return;
    if (reply->items[0].type == CL_REPLY_ERROR && !s->pushes) /* a context has two connections, and says it once */
        cl_log(CLOUDS_LOG_WARN, "%s: the address has a password, but this Redis has none", s->address->display_url);
    step_done(s);
}

static void on_select(void *self, const cl_pending *pending, const cl_reply *reply)
{
    if (passes(self, reply, NULL)) step_done(self);
}

static void on_time(void *self, const cl_pending *pending, const cl_reply *reply)
{
    if (!passes(self, reply, cl_redis_is_refusal)) return;
    time_came(self, pending, reply);
    step_done(self);
}

static int is_cluster_or_refusal(cl_str error)
{
    return cl_redis_is_refusal(error) || cl_redis_is_cluster(error);
}

static void on_probe(void *self, const cl_pending *pending, const cl_reply *reply)
{
    cl_session *s = self;
    if (!passes(s, reply, is_cluster_or_refusal)) return;
    if (reply->items[0].type == CL_REPLY_ERROR && cl_redis_is_cluster(cl_reply_text(reply, 0))) s->cluster = 1;
    step_done(s);
}

static void on_info(void *self, const cl_pending *pending, const cl_reply *reply)
{
    if (!passes(self, reply, cl_redis_is_refusal)) return;
    learn_info(self, reply);
    step_done(self);
}

static void on_name(void *self, const cl_pending *pending, const cl_reply *reply)
{
    if (passes(self, reply, cl_redis_is_refusal)) step_done(self);
}

static int is_alive(cl_str error)
{
    return !cl_redis_is_loading(error);
}

static void on_ping(void *self, const cl_pending *pending, const cl_reply *reply)
{
    if (passes(self, reply, is_alive)) step_done(self);
}

static const cl_redis_handler auth_handler = {"AUTH", on_auth, NULL, 1};
static const cl_redis_handler select_handler = {"SELECT", on_select, NULL, 1};
static const cl_redis_handler time_handler = {"TIME", on_time, NULL, 1};
static const cl_redis_handler probe_handler = {"EXISTS", on_probe, NULL, 1};
static const cl_redis_handler info_handler = {"INFO", on_info, NULL, 1};
static const cl_redis_handler name_handler = {"CLIENT", on_name, NULL, 1};
static const cl_redis_handler ping_handler = {"PING", on_ping, NULL, 1};

/* ---- asking */

static int send_auth(cl_session *s)
{
    const cl_redis_address *a = s->address;
    cl_str with_user[] = {CL_STR("AUTH"), a->user, a->password}, without[] = {CL_STR("AUTH"), a->password};
    if (a->user.n) return cl_session_send(s, &auth_handler, 0, 3, with_user);
    return a->password.n ? cl_session_send(s, &auth_handler, 0, 2, without) : 0;
}

static int send_select(cl_session *s)
{
    if (s->pushes || s->address->db == 0) return 0;
    char digits[24];
    cl_str select[] = {CL_STR("SELECT"), cl_str_of(digits, cl_digits(digits, (uint64_t)s->address->db))};
    return cl_session_send(s, &select_handler, 0, 2, select);
}

static int send_time(cl_session *s)
{
    cl_str time[] = {CL_STR("TIME")};
    s->clock_asked = cl_loop_now();
    return cl_session_send(s, &time_handler, (uint64_t)s->clock_asked, 1, time);
}

static int send_info(cl_session *s, cl_str section)
{
    cl_str info[] = {CL_STR("INFO"), section};
    return cl_session_send(s, &info_handler, 0, 2, info);
}

static int send_questions(cl_session *s)
{
    cl_str probe[] = {CL_STR("EXISTS"), s->address->probe};
    int code = send_time(s);
    if (!code) code = cl_session_send(s, &probe_handler, 0, 2, probe);
    return code ? code : send_info(s, CL_STR("cluster"));
}

static int send_role(cl_session *s)
{
    int code = send_info(s, CL_STR("replication"));
    s->role_asked = cl_loop_now();
    return code ? code : send_info(s, CL_STR("server"));
}

int cl_session_handshake(cl_session *s)
{
    cl_str name[] = {CL_STR("CLIENT"), CL_STR("SETNAME"), CL_STR("clouds")};
    int code = send_auth(s);
    if (!code) code = send_select(s);
    if (!code && !s->pushes) code = send_questions(s);
    if (!code) code = send_role(s);
    return code ? code : cl_session_send(s, &name_handler, 0, 3, name);
}

void cl_session_ping(cl_session *s)
{
    cl_str ping[] = {CL_STR("PING")};
    if (!s->pushes && !s->clock_refused) {
        send_time(s);
        return;
    }
    s->clock_asked = cl_loop_now();
    cl_session_send(s, &ping_handler, 0, 1, ping);
}

void cl_session_ask_role(cl_session *s)
{
    s->role_asked = cl_loop_now();
    send_info(s, CL_STR("replication"));
}
