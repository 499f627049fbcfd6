#include "redis/client.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "clouds.h"

/* ---- the address */

static cl_str keep(char **to, const char *text)
{
    char *p = *to;
    size_t n = strlen(text);
    memcpy(p, text, n + 1);
    *to += n + 1;
    return cl_str_of(p, n);
}

/* With the prefix app:S the keys of the prefix app would be read as ours: after the first part none may be a letter
 * that stands for a kind of key or channel. */
static int is_ambiguous(const char *prefix)
{
    for (const char *p = strchr(prefix, ':'); p; p = strchr(p + 1, ':'))
        if (p[1] && strchr("SNMCLFDX", p[1]) && (p[2] == ':' || !p[2])) return 1;
    return 0;
}

static void on_moved(void *self, const char *words)
{
    cl_redis_client *client = self;
    if (client->commands) cl_session_hurry(client->commands);
    if (client->subscriber) cl_session_hurry(client->subscriber);
    cl_redis_client_reconnect(client, CLOUDS_EREDIS, words);
}

static int find_master(cl_redis_client *client, cl_loop *loop, const cl_url *url)
{
    const cl_sentinel_hooks hooks = {client, on_moved};
    if (url->kind != CL_URL_REDIS_SENTINEL) return 0;
    int code = cl_sentinel_create(loop, url, &client->limits, &client->address.tls, &hooks, &client->address.sentinel);
    return code ? cl_error(code, NULL) : 0;
}

int cl_redis_client_init(cl_redis_client *client, cl_loop *loop, const cl_url *url, const cl_limits *limits)
{
    const char *prefix = url->prefix[0] ? url->prefix : "clouds";
    client->loop = loop;
    client->limits = *limits;
    if (is_ambiguous(prefix))
        return cl_error(
            CLOUDS_EURL,
            "the prefix %.100s would read keys of another: no part after the first may be S, N, M, C, L, F, D or X",
            prefix);
    size_t n =
        strlen(url->path) + strlen(url->host) + strlen(url->user) + strlen(url->password) + 5 * strlen(prefix) + 160;
    char *p = client->memory = cl_malloc(n);
    if (!p) return cl_error(CLOUDS_ENOMEM, NULL);
    cl_redis_address *a = &client->address;
    cl_str path = keep(&p, url->path);
    a->path = url->kind == CL_URL_REDIS_UNIX ? path.p : NULL;
    a->host = keep(&p, url->host).p;
    a->user = keep(&p, url->user);
    a->password = keep(&p, url->password);
    a->port = url->port;
    a->db = url->db;
    client->prefix = keep(&p, prefix);
    /* Channels are the same in every database: who uses another must not receive what is announced here. */
    int n_channel = a->db ? snprintf(p, client->prefix.n + 24, "%s:D:%d", prefix, a->db)
                          : snprintf(p, client->prefix.n + 24, "%s:D", prefix);
    client->announce_channel = cl_str_of(p, (size_t)n_channel);
    p += n_channel + 1;
    /* A method may be called as a database is, so this one has the database in the same place always. */
    n_channel = snprintf(p, client->prefix.n + 24, "%s:D%d:", prefix, a->db);
    client->method_news = cl_str_of(p, (size_t)n_channel);
    client->news_marker = cl_str_of(p, (size_t)n_channel - 1);
    p += n_channel + 1;
    n_channel = a->db ? snprintf(p, client->prefix.n + 24, "%s:X:%d", prefix, a->db)
                      : snprintf(p, client->prefix.n + 24, "%s:X", prefix);
    client->subscribers = cl_str_of(p, (size_t)n_channel);
    p += n_channel + 1;
    n_channel = a->db ? snprintf(p, client->prefix.n + 24, "%s:C%d:", prefix, a->db)
                      : snprintf(p, client->prefix.n + 24, "%s:C:", prefix);
    client->topics = cl_str_of(p, (size_t)n_channel);
    a->probe = client->announce_channel;
    cl_url_describe(url, client->display_url, sizeof client->display_url);
    a->display_url = client->display_url;
    int code = cl_redis_tls_init(&a->tls, url);
    return code ? code : find_master(client, loop, url);
}

void cl_redis_client_free(cl_redis_client *client)
{
    cl_session_destroy(client->commands);
    cl_session_destroy(client->subscriber);
    cl_sentinel_destroy(client->address.sentinel);
    cl_redis_tls_free(&client->address.tls);
    cl_free(client->memory);
}

/* ---- which server it is */

void cl_redis_client_reconnect(cl_redis_client *client, int code, const char *words)
{
    if (client->subscriber) cl_session_cut(client->subscriber, code, words);
    if (client->commands) cl_session_cut(client->commands, code, words);
}

int cl_redis_client_is_ready(cl_redis_client *client)
{
    if (!cl_session_is_ready(client->commands) || !cl_session_is_ready(client->subscriber)) return 0;
    const char *a = cl_session_role(client->commands)->run_id, *b = cl_session_role(client->subscriber)->run_id;
    if (!*a || !*b || strcmp(a, b) == 0) return 1;
    cl_redis_client_reconnect(client, CLOUDS_EREDIS, "the address leads to two different servers");
    return 0;
}

/* ---- what Redis refuses */

static struct cl_redis_refusal *refusal_of(cl_redis_client *client, const char *verb)
{
    for (size_t i = 0; i < client->refusals_len; i++)
        if (strcmp(client->refusals[i].verb, verb) == 0) return &client->refusals[i];
    return NULL;
}

static int is_logged(cl_redis_client *client, const char *verb, cl_str error)
{
    char head[sizeof client->refusals->head];
    size_t n = 0;
    while (n + 1 < sizeof head && n < error.n && error.p[n] > ' ') n++;
    snprintf(head, sizeof head, "%.*s", (int)n, error.p);
    struct cl_redis_refusal *r = refusal_of(client, verb);
    if (r && strcmp(r->head, head) == 0) return 1;
    if (!r && client->refusals_len < CL_REDIS_REFUSALS) r = &client->refusals[client->refusals_len++];
    if (!r) return 0;
    cl_session_report_accepted(client->commands, 1);
    snprintf(r->verb, sizeof r->verb, "%s", verb);
    snprintf(r->head, sizeof r->head, "%s", head);
    return 0;
}

void cl_redis_client_log_once(cl_redis_client *client, const char *verb, cl_str error)
{
    cl_redis_error_text words;
    cl_redis_explain_command(error, verb, client->prefix, &words);
    if (!is_logged(client, verb, error)) cl_log(CLOUDS_LOG_WARN, "%s: %s", client->display_url, words.text);
    if (cl_redis_is_replica(error)) cl_redis_client_reconnect(client, CLOUDS_EREDIS, words.text);
}

void cl_redis_client_log_key_once(cl_redis_client *client, const char *verb, cl_str key, cl_str error)
{
    if (!cl_str_starts(error, CL_STR("WRONGTYPE"))) {
        cl_redis_client_log_once(client, verb, error);
        return;
    }
    if (!is_logged(client, verb, error))
        cl_log(CLOUDS_LOG_WARN, "%s: %s: the key %.*s holds a value of another kind, and is passed over",
               client->display_url, verb, key.n < 200 ? (int)key.n : 200, key.p);
}

void cl_redis_client_accepted(cl_redis_client *client, const char *verb)
{
    struct cl_redis_refusal *r = refusal_of(client, verb);
    if (!r) return;
    cl_log(CLOUDS_LOG_WARN, "%s: %s is taken again", client->display_url, verb);
    *r = client->refusals[--client->refusals_len];
    if (!client->refusals_len) cl_session_report_accepted(client->commands, 0);
}

int cl_redis_client_error(cl_redis_client *client, const char *verb, cl_str error)
{
    cl_redis_error_text words;
    int code = cl_redis_explain_command(error, verb, client->prefix, &words);
    return cl_error(code, "%s", words.text);
}

int cl_redis_client_is_bad(cl_redis_client *client, const cl_reply *reply, int type, const char *verb)
{
    if (reply->items[0].type == type) return 0;
    if (reply->items[0].type == CL_REPLY_ERROR) {
        cl_redis_client_log_once(client, verb, cl_reply_text(reply, 0));
        return 1;
    }
    cl_redis_error_text words;
    snprintf(words.text, sizeof words.text, "Redis answered %s with something else", verb);
    cl_session_cut(client->commands, CLOUDS_EPROTO, words.text);
    return 1;
}

int cl_redis_client_is_confirmed(cl_redis_client *client, const cl_reply *reply, const char *verb, int *code,
                                 cl_redis_error_text *words)
{
    *code = 0;
    if (reply->items[0].type == CL_REPLY_ERROR) {
        *code = cl_redis_explain_command(cl_reply_text(reply, 0), "SUBSCRIBE", client->prefix, words);
        if (*code == CLOUDS_EAUTH) return 0;
        cl_session_cut(client->subscriber, *code, words->text);
        return -1;
    }
    if (reply->len == 4 && reply->items[0].number == 3 && cl_reply_is_text(reply, 1) &&
        cl_str_eq(cl_reply_text(reply, 1), cl_str_z(verb)))
        return 1;
    cl_session_cut(client->subscriber, CLOUDS_EPROTO, "Redis answered SUBSCRIBE with something else");
    return -1;
}

/* ---- commands */

int cl_redis_client_send(cl_redis_client *client, const cl_redis_handler *handler, const void *ref, size_t argc,
                         const cl_str *argv)
{
    if (!cl_session_is_ready(client->commands)) return CLOUDS_EUNREACHABLE;
    return cl_session_send(client->commands, handler, cl_redis_ref(ref), argc, argv);
}

static void on_unawaited(void *self, const cl_pending *pending, const cl_reply *reply)
{
    if (reply->items[0].type == CL_REPLY_ERROR)
        cl_redis_client_log_once(self, cl_redis_verb(pending), cl_reply_text(reply, 0));
}

int cl_redis_client_send_unawaited(cl_redis_client *client, size_t argc, const cl_str *argv)
{
    static const cl_redis_handler handler = {.on_reply = on_unawaited};
    return cl_redis_client_send(client, &handler, argv[0].p, argc, argv);
}
