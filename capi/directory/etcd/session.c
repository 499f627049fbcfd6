/* Design notes
 *
 * One member of the cluster is asked at a time. A member that fails is left for the next, and only when all have failed
 * is there a pause, which grows. What is wanted is kept as state, not as requests: a session that fails forgets all
 * requests, and when the next is ready cl_etcd_work asks for whatever is still wanted.
 *
 * A token ends by age: then a new one is asked for, and the watch that runs goes on meanwhile. Of a member that closes
 * the connection instead of saying so, the same is assumed. */
#include <stdio.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/seconds.h"
#include "directory/etcd/internal.h"

enum { ANSWER_MOST = 16 << 20 };

const char *cl_etcd_where(const etcd *d, char out[300])
{
    const etcd_member *m = &d->members[d->current];
    int is_ipv6 = strchr(m->host, ':') != NULL;
    snprintf(out, 300, "etcd at %s%.255s%s:%d", is_ipv6 ? "[" : "", m->host, is_ipv6 ? "]" : "", m->port);
    return out;
}

/* ---- the end of a session */

static void forget_commands(etcd *d)
{
    CL_LIST_EACH(it, &d->requests)
    {
        etcd_request *r = CL_OWNER(it, etcd_request, place);
        cl_http_cancel(r->http);
        cl_list_remove(&r->place);
        cl_free(r);
    }
    d->orphans = 0;
    cl_etcd_lease_reset(d);
    cl_etcd_put_reset(d);
    cl_etcd_doubt_reset(d);
    cl_etcd_walk_reset(&d->snapshot);
    cl_etcd_walk_reset(&d->listing);
}

static void on_orphan(etcd *d, void *of, const etcd_answer *answer)
{
    d->orphans--;
    cl_etcd_work(d);
}

void cl_etcd_orphan_requests(etcd *d, const void *of)
{
    CL_LIST_EACH(it, &d->requests)
    {
        etcd_request *r = CL_OWNER(it, etcd_request, place);
        if (r->of != of) continue;
        r->done = on_orphan;
        r->of = NULL;
        d->orphans++;
    }
}

static void forget_token(etcd *d)
{
    if (d->token) explicit_bzero(d->token, strlen(d->token));
    cl_free(d->token);
    d->token = NULL;
    d->token_worked = 0;
}

static int64_t pause(etcd *d)
{
    int64_t least = cl_ms(d->limits.reconnect_min), most = cl_ms(d->limits.reconnect_max);
    unsigned rounds = d->failures / (unsigned)d->members_n;
    if (d->failures % d->members_n) return 0;
    int64_t ms = least;
    while (--rounds && ms < most) ms *= 2;
    if (ms > most) ms = most;
    return ms - (int64_t)(cl_rand_next(&d->random) % (uint64_t)(ms / 4 + 1));
}

void cl_etcd_session_fail(etcd *d, int code, const char *words)
{
    char said[sizeof d->words];
    if (d->state == ETCD_RESTING) return;
    snprintf(said, sizeof said, "%s", words); /* they may be those of a request that is forgotten now */
    snprintf(d->words, sizeof d->words, "%s", said);
    d->members[d->current].addresses.text[0] = '\0';
    d->state = ETCD_RESTING;
    d->base.up = 0;
    d->failures++;
    cl_name_forget(d->name);
    d->name = NULL;
    forget_commands(d);
    forget_token(d);
    cl_etcd_watch_reset(d);
    d->current = (d->current + 1) % d->members_n;
    d->retry_at = cl_loop_now() + pause(d);
    cl_etcd_due_by(d, d->retry_at);
    cl_etcd_leavers_end(d);
    cl_etcd_defer(d); /* lookups and statuses end */
    if (!d->closing) d->sink.state(d->sink.self, 0, code, d->words);
}

void cl_etcd_session_broken(etcd *d, const char *path)
{
    char words[400], where[300];
    d->sink.dropped(d->sink.self, CLOUDS_EPROTO);
    snprintf(words, sizeof words, "%s: its answer to %s is none of etcd", cl_etcd_where(d, where), path);
    cl_etcd_session_fail(d, CLOUDS_EPROTO, words);
}

/* ---- answers */

static void authenticate(etcd *d);

static int is_about_the_token(const cl_etcd_refusal *refusal)
{
    static const char old[] = "auth store is old", bad[] = "invalid auth token";
    return refusal->code == CL_ETCD_UNAUTHENTICATED ||
           memmem(refusal->message.p, refusal->message.n, old, sizeof old - 1) ||
           memmem(refusal->message.p, refusal->message.n, bad, sizeof bad - 1);
}

static int code_of(const cl_etcd_refusal *refusal)
{
    static const char user[] = "user name", login[] = "authentication failed", big[] = "too large",
                      denied[] = "permission";
    const char *p = refusal->message.p;
    size_t n = refusal->message.n;
    switch (refusal->code) {
    case CL_ETCD_DENIED:
    case CL_ETCD_UNAUTHENTICATED:
        return CLOUDS_EAUTH;
    case CL_ETCD_INVALID:
        if (memmem(p, n, user, sizeof user - 1) || memmem(p, n, login, sizeof login - 1)) return CLOUDS_EAUTH;
        return memmem(p, n, big, sizeof big - 1) ? CLOUDS_ETOOBIG : CLOUDS_EPROTO;
    case CL_ETCD_EXHAUSTED:
        return CLOUDS_ELIMIT;
    case CL_ETCD_UNAVAILABLE:
        return CLOUDS_EUNREACHABLE;
    default:
        return memmem(p, n, denied, sizeof denied - 1) ? CLOUDS_EAUTH : CLOUDS_EPROTO;
    }
}

/* What this user lacks, and where. */
static const char *advice(const etcd *d, const cl_etcd_refusal *refusal)
{
    if (refusal->code == CL_ETCD_DENIED)
        return d->user && *d->user ? ": this user lacks the right to read and write keys of this prefix"
                                   : ": it wants a user and a password";
    if (refusal->code == CL_ETCD_INVALID && !*d->user) return ": it wants a user and a password";
    if (refusal->code == CL_ETCD_EXHAUSTED) return ": its database is full, see its alarms";
    return "";
}

static void refused(etcd *d, const char *path, etcd_done *done, void *of, const cl_etcd_refusal *refusal)
{
    char words[500], where[300];
    int clip = refusal->message.n < 120 ? (int)refusal->message.n : 120;
    etcd_answer answer = {.body = CL_STR_NONE, .code = code_of(refusal), .grpc = refusal->code, .words = words};
    snprintf(words, sizeof words, "%s: %s: %.*s%s", cl_etcd_where(d, where), path, clip, refusal->message.p,
             advice(d, refusal));
    for (char *p = words; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 127) *p = '?';
    if (answer.code == CLOUDS_EUNREACHABLE) cl_etcd_session_fail(d, answer.code, words);
    else done(d, of, &answer);
}

/* The token is too old: a new one, once. */
static void renew_token(etcd *d, const char *words)
{
    if (!d->token_worked) {
        cl_etcd_session_fail(d, CLOUDS_EAUTH, words);
        return;
    }
    cl_log(CLOUDS_LOG_DEBUG, "etcd: a new token is asked for");
    forget_commands(d);
    forget_token(d);
    authenticate(d);
}

static void refuse(etcd *d, const char *path, etcd_done *done, void *of, const cl_etcd_refusal *refusal)
{
    char words[400], where[300];
    if (d->token && is_about_the_token(refusal)) {
        snprintf(words, sizeof words, "%s: it does not take its own token", cl_etcd_where(d, where));
        renew_token(d, words);
    } else {
        refused(d, path, done, of, refusal);
    }
}

static void answered_badly(etcd *d, const char *path, etcd_done *done, void *of, const cl_http_end *end)
{
    cl_etcd_refusal refusal;
    char words[500], where[300];
    if (cl_etcd_check(end->body) == 0 && cl_etcd_refusal_of(end->body, &refusal)) {
        refuse(d, path, done, of, &refusal);
        return;
    }
    if (end->status == 404)
        snprintf(words, sizeof words, "%s: it has no %s: is it etcd 3.4 or later, with its gRPC gateway?",
                 cl_etcd_where(d, where), path);
    else
        snprintf(words, sizeof words, "%s: HTTP status %d to %s: is it etcd?", cl_etcd_where(d, where), end->status,
                 path);
    cl_etcd_session_fail(d, end->status >= 502 && end->status <= 504 ? CLOUDS_EUNREACHABLE : CLOUDS_EPROTO, words);
}

void cl_etcd_answered_badly(etcd *d, const char *path, etcd_done *done, const cl_http_end *end)
{
    answered_badly(d, path, done, NULL, end);
}

static void on_watch_refused(etcd *d, void *of, const etcd_answer *answer)
{
    cl_etcd_session_fail(d, answer->code, answer->words);
}

void cl_etcd_watch_refused(etcd *d, cl_str message, int code)
{
    static const char denied[] = "PermissionDenied";
    if (!code) code = memmem(message.p, message.n, denied, sizeof denied - 1) ? CL_ETCD_DENIED : CL_ETCD_INVALID;
    const cl_etcd_refusal refusal = {code, message};
    refuse(d, "/v3/watch", on_watch_refused, NULL, &refusal);
}

/* Others reach this machine the way etcd does: nodes that listen at any of its addresses are told at this one. */
static void learn_own(etcd *d, const char *local)
{
    if (!*local || strcmp(local, d->own) == 0) return;
    snprintf(d->own, sizeof d->own, "%s", local);
    CL_LIST_EACH(it, &d->nodes) CL_OWNER(it, etcd_node, place)->generation++;
}

static void on_done(void *self, const cl_http_end *end)
{
    etcd_request *r = self;
    etcd *d = r->d;
    char words[sizeof d->words];
    cl_list_remove(&r->place);
    if (end->code != 0) {
        snprintf(words, sizeof words, "etcd at %.480s", end->words);
        cl_etcd_session_fail(d, end->code, words);
    } else if (end->status != 200) {
        answered_badly(d, r->path, r->done, r->of, end);
    } else if (cl_etcd_check(end->body) != 0) {
        cl_etcd_session_broken(d, r->path);
    } else {
        const etcd_answer answer = {.body = end->body, .words = ""};
        d->token_worked |= d->token != NULL;
        learn_own(d, end->local);
        r->done(d, r->of, &answer);
    }
    cl_free(r);
}

cl_http_question cl_etcd_question(const etcd *d, const char *path, size_t most)
{
    const etcd_member *m = &d->members[d->current];
    return (cl_http_question){.host = m->host,
                              .port = m->port,
                              .addresses = &m->addresses,
                              .path = path,
                              .authorization = d->token ? d->token : "",
                              .body = cl_buf_str(&d->body),
                              .most = most};
}

etcd_request *cl_etcd_post(etcd *d, const char *path, etcd_done *done, void *of)
{
    etcd_request *r = cl_malloc(sizeof *r);
    if (!r) return NULL;
    *r = (etcd_request){.d = d, .path = path, .done = done, .of = of};
    const cl_http_handler handler = {.self = r, .done = on_done};
    cl_http_question question = cl_etcd_question(d, path, ANSWER_MOST);
    question.timeout = (double)cl_etcd_patience(d) / 1000;
    cl_list_append(&d->requests, &r->place);
    int code = cl_http_post(d->http, &question, &handler, &r->http);
    if (d->body.cap > 65536) cl_buf_free(&d->body);
    if (code == 0) return r;
    cl_list_remove(&r->place);
    cl_free(r);
    return NULL;
}

/* ---- the beginning */

static void out_of_memory(etcd *d)
{
    cl_etcd_session_fail(d, CLOUDS_ENOMEM, "out of memory");
}

/* An empty database is one that has forgotten everything, and so is that of another cluster. */
static void compare_history(etcd *d, const cl_etcd_header *header)
{
    if ((d->cluster && header->cluster != d->cluster) || header->revision < d->revision) {
        cl_etcd_view_is_outdated(d);
        cl_etcd_lease_lost(d);
    }
    d->cluster = header->cluster;
}

static void on_probed(etcd *d, void *of, const etcd_answer *answer)
{
    cl_etcd_header header;
    if (answer->code != 0) {
        cl_etcd_session_fail(d, answer->code, answer->words);
        return;
    }
    if (cl_etcd_header_of(answer->body, &header) != 0 || header.revision <= 0) {
        cl_etcd_session_broken(d, "/v3/kv/range");
        return;
    }
    compare_history(d, &header);
    d->state = ETCD_READY;
    d->tick_at = 0;
    cl_etcd_work(d);
}

static void probe(etcd *d)
{
    d->state = ETCD_PROBING;
    cl_buf_clear(&d->body);
    int code = cl_etcd_ask_range(&d->body, d->prefix, d->end, 1, 0, 1);
    if (code != 0 || !cl_etcd_post(d, "/v3/kv/range", on_probed, NULL)) out_of_memory(d);
}

static void on_authenticated(etcd *d, void *of, const etcd_answer *answer)
{
    if (answer->grpc == CL_ETCD_PRECONDITION) {
        if (!d->no_login) cl_log(CLOUDS_LOG_WARN, "%s: the password is not needed", answer->words);
        d->no_login = 1;
        probe(d);
        return;
    }
    if (answer->code != 0) {
        cl_etcd_session_fail(d, answer->code, answer->words);
        return;
    }
    cl_str token = cl_etcd_text(answer->body, "token");
    if (token.n == 0 || token.n > 4096) {
        cl_etcd_session_broken(d, "/v3/auth/authenticate");
        return;
    }
    forget_token(d);
    d->token = cl_str_dup(token);
    if (d->token) probe(d);
    else out_of_memory(d);
}

static void authenticate(etcd *d)
{
    d->state = ETCD_AUTHENTICATING;
    cl_buf_clear(&d->body);
    int code = cl_etcd_ask_login(&d->body, d->user, d->password);
    if (code != 0 || !cl_etcd_post(d, "/v3/auth/authenticate", on_authenticated, NULL)) out_of_memory(d);
    if (d->body.data) explicit_bzero(d->body.data, d->body.cap);
}

static void begin(etcd *d)
{
    if (*d->user || *d->password) authenticate(d);
    else probe(d);
}

static void on_resolved(void *self, const cl_addresses *found, const char *words)
{
    etcd *d = self;
    char said[300];
    snprintf(said, sizeof said, "etcd: %s", words);
    cl_name_forget(d->name);
    d->name = NULL;
    if (!found) {
        cl_etcd_session_fail(d, CLOUDS_EUNREACHABLE, said);
        return;
    }
    d->members[d->current].addresses = *found;
    begin(d);
}

void cl_etcd_session_start(etcd *d)
{
    etcd_member *m = &d->members[d->current];
    if (d->state != ETCD_RESTING || d->closing) return;
    d->state = ETCD_RESOLVING;
    if (cl_name_is_address(m->host, &m->addresses)) begin(d);
    else if (cl_name_look_up(d->loop, m->host, d->limits.connect_timeout, on_resolved, d, &d->name) != 0)
        cl_etcd_session_fail(d, cl_error_code(), clouds_last_error());
}

void cl_etcd_session_due(etcd *d, int64_t now)
{
    if (d->state != ETCD_RESTING || d->closing) return;
    if (now >= d->retry_at) cl_etcd_session_start(d);
    else cl_etcd_due_by(d, d->retry_at);
}

/* All of it: what is under way, or done, is left alone by each. */
void cl_etcd_work(etcd *d)
{
    if (d->state == ETCD_READY) cl_etcd_lease_work(d);
    if (d->state == ETCD_READY) cl_etcd_put_work(d);
    if (d->state == ETCD_READY) cl_etcd_left_work(d);
    if (d->state == ETCD_READY) cl_etcd_watch_work(d);
    if (d->state == ETCD_READY) cl_etcd_doubt_work(d);
    if (d->state == ETCD_READY) cl_etcd_status_work(d);
    cl_etcd_check_up(d);
}

/* ---- life */

int cl_etcd_session_init(etcd *d, const cl_url *url)
{
    const cl_url_tls *said = &url->tls;
    const cl_http_options options = {
        .tls = url->is_tls,
        .trust = {said->ca_file, said->cert_file, said->cert_key_file, said->takes_any_server},
        .server_name = said->server_name,
        .connect_timeout = d->limits.connect_timeout};
    d->tls = options.tls;
    d->user = cl_str_dup(cl_str_z(url->user));
    d->password = cl_str_dup(cl_str_z(url->password));
    d->members = cl_calloc(url->hosts_n, sizeof *d->members);
    if (!d->user || !d->password || !d->members) return cl_error(CLOUDS_ENOMEM, NULL);
    d->members_n = url->hosts_n;
    for (size_t i = 0; i < url->hosts_n; i++) {
        d->members[i].port = url->hosts[i].port;
        d->members[i].host = cl_str_dup(cl_str_z(url->hosts[i].name));
        if (!d->members[i].host) return cl_error(CLOUDS_ENOMEM, NULL);
    }
    d->current = cl_rand_next(&d->random) % d->members_n;
    return cl_http_create(d->loop, &options, &d->http);
}

void cl_etcd_session_free(etcd *d)
{
    cl_name_forget(d->name);
    cl_http_destroy(d->http);
    CL_LIST_EACH(it, &d->requests) cl_free(CL_OWNER(it, etcd_request, place));
    forget_token(d);
    for (size_t i = 0; i < d->members_n; i++) cl_free(d->members[i].host);
    cl_free(d->members);
    if (d->password) explicit_bzero(d->password, strlen(d->password));
    cl_free(d->user);
    cl_free(d->password);
    cl_buf_free(&d->body);
}
