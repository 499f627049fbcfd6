/* Design note. Two connections, shared by all nodes of a context: one listens, one commands. The bus is up when both
 * are ready, every SUBSCRIBE of the nodes is answered and the registrations are sent again; only then `state` reports
 * it, and only then a node that listens is reported as ready.
 *
 * What cannot be reported from inside a call of the owner is deferred to a timer that is due at once. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "bus/redis/internal.h"
#include "clouds.h"

/* ---- up and down */

void cl_redis_reconnect(redis_bus *bus, int code, const char *words)
{
    cl_session_cut(bus->subscriber, code, words);
    cl_session_cut(bus->commands, code, words);
}

/* The name led elsewhere between the two connections: what one publishes would not be heard on the other. */
static int leads_to_two(redis_bus *bus)
{
    const char *a = cl_session_role(bus->commands)->run_id, *b = cl_session_role(bus->subscriber)->run_id;
    if (!*a || !*b || strcmp(a, b) == 0) return 0;
    cl_redis_reconnect(bus, CLOUDS_EREDIS, "the address leads to two different servers");
    return 1;
}

void cl_redis_check_up(redis_bus *bus)
{
    if (bus->up || bus->closing || bus->unconfirmed > 0 || bus->claiming > 0) return;
    if (!cl_session_is_ready(bus->commands) || !cl_session_is_ready(bus->subscriber)) return;
    if (leads_to_two(bus)) return;
    bus->up = 1;
    bus->sink.state(bus->sink.self, 1, 0, "");
    cl_redis_nodes_announce(bus);
}

void cl_redis_down(redis_bus *bus, int code, const char *words)
{
    bus->up = 0;
    CL_LIST_EACH(link, &bus->nodes)
    {
        redis_node *node = CL_OWNER(link, redis_node, link);
        if (node->closing) cl_redis_defer(bus, node); /* no lingering where nobody is heard */
    }
    if (bus->closing) return;
    bus->sink.state(bus->sink.self, 0, code, words);
}

/* ---- what Redis refuses */

static struct redis_refusal *refusal_of(redis_bus *bus, const char *verb)
{
    for (size_t i = 0; i < bus->refusals_len; i++)
        if (strcmp(bus->refusals[i].verb, verb) == 0) return &bus->refusals[i];
    return NULL;
}

static int is_logged(redis_bus *bus, const char *verb, cl_str error)
{
    char head[sizeof bus->refusals->head];
    size_t n = 0;
    while (n + 1 < sizeof head && n < error.n && error.p[n] > ' ') n++;
    snprintf(head, sizeof head, "%.*s", (int)n, error.p);
    struct redis_refusal *t = refusal_of(bus, verb);
    if (t && strcmp(t->head, head) == 0) return 1;
    if (!t && bus->refusals_len < REDIS_REFUSALS) t = &bus->refusals[bus->refusals_len++];
    if (!t) return 0;
    snprintf(t->verb, sizeof t->verb, "%s", verb);
    snprintf(t->head, sizeof t->head, "%s", head);
    return 0;
}

void cl_redis_log_once(redis_bus *bus, const char *verb, cl_str error)
{
    cl_redis_error_text words;
    cl_redis_explain_command(error, verb, bus->prefix, &words);
    if (!is_logged(bus, verb, error)) cl_log(CLOUDS_LOG_WARN, "%s: %s", bus->display_url, words.text);
    if (cl_redis_is_replica(error)) cl_redis_reconnect(bus, CLOUDS_EREDIS, words.text);
}

void cl_redis_log_key_once(redis_bus *bus, const char *verb, cl_str key, cl_str error)
{
    if (!cl_str_starts(error, CL_STR("WRONGTYPE"))) {
        cl_redis_log_once(bus, verb, error);
        return;
    }
    if (!is_logged(bus, verb, error))
        cl_log(CLOUDS_LOG_WARN, "%s: %s: the key %.*s holds a value of another kind, and is passed over",
               bus->display_url, verb, key.n < 200 ? (int)key.n : 200, key.p);
}

void cl_redis_accepted(redis_bus *bus, const char *verb)
{
    struct redis_refusal *t = bus->refusals_len ? refusal_of(bus, verb) : NULL;
    if (!t) return;
    cl_log(CLOUDS_LOG_WARN, "%s: %s is taken again", bus->display_url, verb);
    *t = bus->refusals[--bus->refusals_len];
}

int cl_redis_error(redis_bus *bus, const char *verb, cl_str error)
{
    cl_redis_error_text words;
    int code = cl_redis_explain_command(error, verb, bus->prefix, &words);
    return cl_error(code, "%s", words.text);
}

/* ---- deferred work */

void cl_redis_defer(redis_bus *bus, redis_node *node)
{
    if (node && cl_list_empty(&node->deferred)) cl_list_append(&bus->deferred_nodes, &node->deferred);
    cl_loop_timer_set(bus->deferred_timer, cl_loop_now());
}

static void node_deferred(redis_bus *bus, redis_node *node)
{
    cl_list_remove(&node->deferred);
    if (node->to_announce) {
        node->to_announce = 0;
        cl_redis_announce(bus, node, 'u', CL_STR_NONE);
    }
    cl_redis_node_leave(bus, node);
}

static void on_deferred(void *self)
{
    redis_bus *bus = self;
    while (!cl_list_empty(&bus->deferred_nodes))
        node_deferred(bus, CL_OWNER(bus->deferred_nodes.next, redis_node, deferred));
    cl_redis_lookups_failed(bus);
    cl_redis_statuses_failed(bus);
    if (!cl_session_is_ready(bus->commands)) cl_redis_statuses_fail(bus);
}

/* ---- the end */

void cl_redis_session_closed(redis_bus *bus)
{
    if (--bus->open_sessions > 0) return;
    cl_redis_backlog_drop(bus, 1);
    bus->sink.closed(bus->sink.self);
}

static void bus_flush(cl_bus *base)
{
    redis_bus *bus = (redis_bus *)base;
    cl_redis_batch_flush(bus);
    cl_session_flush(bus->commands);
    cl_session_flush(bus->subscriber);
}

static void bus_close(cl_bus *base)
{
    redis_bus *bus = (redis_bus *)base;
    if (bus->closing) return;
    bus->closing = 1;
    bus->up = 0;
    cl_loop_timer_stop(bus->scan.timer);
    cl_redis_batch_flush(bus);
    cl_session_close(bus->commands);
    cl_session_close(bus->subscriber);
}

static void bus_destroy(cl_bus *base)
{
    redis_bus *bus = (redis_bus *)base;
    cl_session_destroy(bus->commands);
    cl_session_destroy(bus->subscriber);
    while (!cl_list_empty(&bus->nodes)) cl_redis_node_free(bus, CL_OWNER(bus->nodes.next, redis_node, link));
    cl_redis_lookups_free(bus);
    cl_redis_statuses_free(bus);
    cl_redis_backlog_drop(bus, 0);
    cl_redis_scan_free(bus);
    cl_redis_batch_free(bus);
    cl_loop_timer_destroy(bus->deferred_timer);
    cl_idmap_free(&bus->by_handle);
    cl_idmap_free(&bus->ops);
    cl_strmap_free(&bus->by_channel);
    cl_buf_free(&bus->scratch);
    cl_buf_free(&bus->text);
    cl_free(bus->memory);
    cl_free(bus);
}

/* ---- the beginning */

static const cl_bus_ops ops = {
    .node_open = cl_redis_node_open,
    .node_drain = cl_redis_node_drain,
    .node_close = cl_redis_node_close,
    .register_method = cl_redis_register,
    .unregister_method = cl_redis_unregister,
    .abandon = cl_redis_abandon,
    .send = cl_redis_send,
    .lookup = cl_redis_lookup,
    .forget = cl_redis_forget,
    .status = cl_redis_status,
    .flush = bus_flush,
    .close = bus_close,
    .destroy = bus_destroy,
};

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
static int is_taken_apart(const char *prefix)
{
    for (const char *p = strchr(prefix, ':'); p; p = strchr(p + 1, ':'))
        if (p[1] && strchr("SNMCLD", p[1]) && (p[2] == ':' || !p[2])) return 1;
    return 0;
}

/* Copies what the address says; the url may go. */
static int keep_address(redis_bus *bus, const cl_url *url)
{
    const char *prefix = url->prefix[0] ? url->prefix : "clouds";
    if (is_taken_apart(prefix))
        return cl_error(
            CLOUDS_EURL,
            "the prefix %.100s would read keys of another: no part after the first may be S, N, M, C, L or D", prefix);
    size_t n =
        strlen(url->path) + strlen(url->host) + strlen(url->user) + strlen(url->password) + 2 * strlen(prefix) + 40;
    char *p = bus->memory = cl_malloc(n);
    if (!p) return CLOUDS_ENOMEM;
    cl_redis_address *a = &bus->address;
    cl_str path = keep(&p, url->path);
    a->path = url->kind == CL_URL_REDIS_UNIX ? path.p : NULL;
    a->host = keep(&p, url->host).p;
    a->user = keep(&p, url->user);
    a->password = keep(&p, url->password);
    a->port = url->port;
    a->db = url->db;
    bus->prefix = keep(&p, prefix);
    /* Channels know no database: who uses another must not receive what is announced here. */
    int n_channel = a->db ? snprintf(p, bus->prefix.n + 24, "%s:D:%d", prefix, a->db)
                          : snprintf(p, bus->prefix.n + 24, "%s:D", prefix);
    bus->announce_channel = cl_str_of(p, (size_t)n_channel);
    a->probe = bus->announce_channel;
    cl_url_describe(url, bus->display_url, sizeof bus->display_url);
    a->display_url = bus->display_url;
    return 0;
}

static int start(redis_bus *bus)
{
    int code = cl_loop_timer_create(bus->loop, on_deferred, bus, &bus->deferred_timer);
    if (!code) code = cl_redis_scan_create(bus);
    if (!code) code = cl_redis_commands_create(bus);
    if (!code) code = cl_redis_subscriber_create(bus);
    return code;
}

int cl_redis_bus_create(cl_loop *loop, const cl_url *url, const cl_limits *limits, const cl_bus_sink *sink,
                        cl_bus **out)
{
    redis_bus *bus = cl_calloc(1, sizeof *bus);
    if (!bus) return cl_error(CLOUDS_ENOMEM, NULL);
    bus->base.ops = &ops;
    bus->loop = loop;
    bus->sink = *sink;
    bus->limits = *limits;
    bus->open_sessions = 2;
    cl_list_init(&bus->nodes);
    cl_list_init(&bus->deferred_nodes);
    cl_list_init(&bus->lookups);
    cl_list_init(&bus->statuses);
    cl_list_init(&bus->backlog);
    cl_list_init(&bus->open_batches);
    cl_list_init(&bus->idle_batches);
    cl_list_init(&bus->awaited);
    cl_redis_claim_prepare(bus);
    int code = keep_address(bus, url);
    if (!code) code = start(bus);
    if (code) {
        bus_destroy(&bus->base);
        return code == CLOUDS_EURL ? code : cl_error(code, NULL);
    }
    *out = &bus->base;
    return 0;
}
