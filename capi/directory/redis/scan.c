/* Design note. A scan walks all keys and keeps what looks like a registration: the result. It is the only way to find
 * npm servers, and is left out where none can be there. One runs at a time and at most one starts in a second; who
 * wants one that starts after now asks for the number of the next round. The result of the latest scan stays until the
 * next is complete. */
#include "base/mem.h"
#include "directory/redis/internal.h"
#include "clouds.h"

/* PAGE_MS: a page costs Redis half a millisecond, and a walk may take a fiftieth of its time. */
enum { SPACING_MS = 1000, PAGE_MS = 25, LONGEST_MS = 30000, PATIENCE_MS = 30000, MOST_IDS = 20000 };

/* ---- the result */

static void result_free(redis_scan_result *result)
{
    size_t at = 0;
    for (redis_scan_method *l; (l = cl_strmap_next(&result->methods, &at));) {
        size_t id_at = 0;
        for (void *id; (id = cl_strmap_next(&l->ids, &id_at));) cl_free(id);
        cl_strmap_free(&l->ids);
        cl_free(l->memory);
        cl_free(l);
    }
    cl_strmap_free(&result->methods);
    result->bytes = 0;
}

redis_scan_method *cl_redis_scan_get(const redis_scan_result *result, cl_str method)
{
    return cl_strmap_get(&result->methods, method);
}

static redis_scan_method *found_of(redis_scan_result *result, cl_str method)
{
    redis_scan_method *l = cl_redis_scan_get(result, method);
    if (l) return l;
    l = cl_calloc(1, sizeof *l);
    if (!l) return NULL;
    l->memory = cl_str_dup(method);
    l->method = cl_str_of(l->memory, method.n);
    if (!l->memory || cl_strmap_put(&result->methods, l->method, l)) {
        cl_free(l->memory);
        cl_free(l);
        return NULL;
    }
    result->bytes += sizeof *l + method.n;
    return l;
}

static int add(redis_scan_result *result, cl_str method, cl_str id)
{
    redis_scan_method *l = found_of(result, method);
    if (!l) return CLOUDS_ENOMEM;
    if (cl_strmap_get(&l->ids, id)) return 0;
    char *copy = cl_str_dup(id);
    if (!copy || cl_strmap_put(&l->ids, cl_str_of(copy, id.n), copy)) {
        cl_free(copy);
        return CLOUDS_ENOMEM;
    }
    result->bytes += id.n + 64;
    return 0;
}

/* prefix:S:<method>:<id>; the method may have colons, an id has none. */
static int add_key(redis_directory *d, cl_str key)
{
    size_t head = d->client->prefix.n + 3;
    if (key.n <= head || !cl_str_starts(key, d->client->prefix) || memcmp(key.p + d->client->prefix.n, ":S:", 3) != 0)
        return 0;
    const char *rest = key.p + head, *colon = memrchr(rest, ':', key.n - head);
    if (!colon || colon + 1 == key.p + key.n) return 0;
    return add(&d->scan.next, cl_str_of(rest, (size_t)(colon - rest)),
               cl_str_of(colon + 1, (size_t)(key.p + key.n - colon - 1)));
}

/* ---- the walk */

static const cl_redis_handler page_handler, channels_handler, records_handler;

static int put_pattern(redis_directory *d, char kind, cl_buf *out)
{
    cl_buf_clear(out);
    if (cl_buf_reserve(out, d->client->prefix.n * 2 + 8)) return CLOUDS_ENOMEM;
    for (size_t i = 0; i < d->client->prefix.n; i++) {
        if (memchr("*?[]\\^-", d->client->prefix.p[i], 7)) cl_buf_add_char(out, '\\');
        cl_buf_add_char(out, d->client->prefix.p[i]);
    }
    cl_buf_add_char(out, ':');
    cl_buf_add_char(out, kind);
    cl_buf_add(out, ":*", 2);
    return 0;
}

static int ask_page(redis_directory *d, cl_str cursor)
{
    if (put_pattern(d, 'S', &d->text)) return CLOUDS_ENOMEM;
    cl_str scan[] = {CL_STR("SCAN"), cursor, CL_STR("MATCH"), cl_buf_str(&d->text), CL_STR("COUNT"), CL_STR("1000")};
    return cl_redis_client_send(d->client, &page_handler, NULL, 6, scan);
}

static int ask_channels(redis_directory *d)
{
    if (put_pattern(d, 'L', &d->text)) return CLOUDS_ENOMEM;
    cl_str ask[] = {CL_STR("PUBSUB"), CL_STR("CHANNELS"), cl_buf_str(&d->text)};
    return cl_redis_client_send(d->client, &channels_handler, NULL, 3, ask);
}

/* ---- is there anybody who has to be found so?
 *
 * Every node listens on its channel, and Redis counts channels, not keys. So a round asks for the channels first, which
 * costs next to nothing, and walks the keys only when there is one that is neither ours nor, by its id, a client. */

static void begin(redis_directory *d)
{
    redis_scan *scan = &d->scan;
    int must =
        scan->must || cl_redis_statuses_want_scan(d, scan->round + 1) || cl_session_is_cluster(d->client->commands);
    int code = must ? ask_page(d, CL_STR("0")) : ask_channels(d);
    if (code) return; /* the connection is gone; whoever waits hears of that */
    scan->must = 0;
    scan->running = 1;
    scan->round++;
    scan->pages = 0;
    scan->started = cl_loop_now();
}

void cl_redis_scan_want(redis_directory *d)
{
    redis_scan *scan = &d->scan;
    if (scan->running || !cl_session_is_ready(d->client->commands)) return;
    int64_t now = cl_loop_now(), spacing = scan->spacing;
    if (spacing < SPACING_MS || cl_redis_statuses_want_scan(d, scan->round + 1)) spacing = SPACING_MS;
    if (scan->round == 0 || now - scan->started >= spacing) begin(d);
    else cl_loop_timer_set(scan->timer, scan->started + spacing);
}

static void want_again(redis_directory *d)
{
    uint64_t next = d->scan.round + 1;
    if (cl_redis_lookups_want_scan(d, next) || cl_redis_statuses_want_scan(d, next)) cl_redis_scan_want(d);
}

static void on_timer(void *self)
{
    want_again(self);
}

static void end(redis_directory *d, int code)
{
    d->scan.running = 0;
    if (!code) {
        redis_scan_result old = d->scan.result;
        d->scan.result = d->scan.next;
        d->scan.next = old;
    }
    result_free(&d->scan.next);
    cl_redis_lookups_scanned(d, code);
    cl_redis_statuses_scanned(d, code);
    want_again(d);
}

/* The more keys Redis holds, the longer it is left alone. Pages tell what a walk costs; how long it took would tell how
 * busy this machine is, too. */
static void walked(redis_directory *d, int code)
{
    int64_t spacing = (int64_t)d->scan.pages * PAGE_MS;
    d->scan.spacing = spacing > LONGEST_MS ? LONGEST_MS : spacing;
    end(d, code);
}

static void forget_ids(cl_strmap *map)
{
    size_t at = 0;
    for (void *id; (id = cl_strmap_next(map, &at));) cl_free(id);
    cl_strmap_free(map);
}

static int keep_id(cl_strmap *map, cl_str id)
{
    if (cl_strmap_get(map, id)) return 0;
    char *copy = cl_str_dup(id);
    if (copy && cl_strmap_put(map, cl_str_of(copy, id.n), copy) == 0) return 0;
    cl_free(copy);
    return CLOUDS_ENOMEM;
}

/* c.<8 hex digits>.<pid>.<number> and the like: npm nodes of these kinds cannot register. */
int cl_redis_is_client(cl_str id)
{
    if (id.n < 14 || !memchr("cbm", id.p[0], 3) || id.p[1] != '.' || id.p[10] != '.') return 0;
    for (size_t i = 2; i < id.n; i++)
        if (!memchr("0123456789abcdef.", id.p[i], 17)) return 0;
    return 1;
}

static int gather(redis_directory *d, const cl_reply *reply)
{
    redis_scan *scan = &d->scan;
    int code = 0;
    if (scan->natives.len > MOST_IDS) forget_ids(&scan->natives);
    forget_ids(&scan->strangers);
    for (size_t i = 1; i < reply->len && !code && scan->strangers.len < MOST_IDS; i++) {
        cl_str channel = cl_reply_is_text(reply, i) ? cl_reply_text(reply, i) : CL_STR_NONE;
        if (channel.n <= d->client->prefix.n + 3 || cl_strmap_get(&d->by_channel, channel)) continue;
        cl_str id = cl_str_of(channel.p + d->client->prefix.n + 3, channel.n - d->client->prefix.n - 3);
        if (!cl_redis_is_client(id) && !cl_strmap_get(&scan->natives, id)) code = keep_id(&scan->strangers, id);
    }
    return code;
}

static int ask_records(redis_directory *d)
{
    redis_scan *scan = &d->scan;
    size_t n = 1, bytes = 0;
    for (size_t at = 0; at < scan->strangers.cap; at++)
        if (scan->strangers.slots[at].value) bytes += scan->strangers.slots[at].key.n + d->client->prefix.n + 3;
    cl_buf keys = {0};
    cl_str *argv = cl_malloc((1 + scan->strangers.len) * sizeof *argv);
    int code = argv ? cl_buf_reserve(&keys, bytes + 1) : CLOUDS_ENOMEM;
    if (!code) argv[0] = CL_STR("MGET");
    for (size_t at = 0; at < scan->strangers.cap && !code; at++) {
        if (!scan->strangers.slots[at].value) continue;
        const char *p = keys.data + keys.len;
        cl_buf_add_str(&keys, d->client->prefix);
        cl_buf_add(&keys, ":N:", 3);
        cl_buf_add_str(&keys, scan->strangers.slots[at].key);
        argv[n++] = cl_str_of(p, (size_t)(keys.data + keys.len - p));
    }
    if (!code) code = cl_redis_client_send(d->client, &records_handler, NULL, n, argv);
    cl_buf_free(&keys);
    cl_free(argv);
    return code;
}

/* Without the right to ask, or memory to know, the keys are walked. */
static void walk(redis_directory *d)
{
    int code = ask_page(d, CL_STR("0"));
    if (code) end(d, code);
}

static void nobody_to_find(redis_directory *d)
{
    d->scan.spacing = 0;
    end(d, 0);
}

static void on_channels(void *self, const cl_pending *pending, const cl_reply *reply)
{
    redis_directory *d = redis_directory_of(self);
    if (reply->items[0].type == CL_REPLY_ERROR) cl_redis_client_log_once(d->client, "PUBSUB", cl_reply_text(reply, 0));
    int code = reply->items[0].type == CL_REPLY_ARRAY ? gather(d, reply) : CLOUDS_EREDIS;
    if (!code && d->scan.strangers.len == 0) {
        nobody_to_find(d);
        return;
    }
    if (code || ask_records(d)) walk(d);
}

static void on_records(void *self, const cl_pending *pending, const cl_reply *reply)
{
    redis_directory *d = redis_directory_of(self);
    redis_scan *scan = &d->scan;
    size_t n = 1, strange = 0;
    int is_sound = reply->items[0].type == CL_REPLY_ARRAY && reply->len == 1 + scan->strangers.len;
    for (size_t at = 0; at < scan->strangers.cap && is_sound; at++) {
        if (!scan->strangers.slots[at].value) continue;
        if (reply->items[n++].type != CL_REPLY_STRING) strange++;
        else keep_id(&scan->natives, scan->strangers.slots[at].key);
    }
    if (is_sound && !strange) nobody_to_find(d);
    else walk(d);
}

static int add_page(redis_directory *d, const cl_reply *reply)
{
    for (size_t i = 3; i < reply->len; i++) {
        if (reply->items[i].type != CL_REPLY_STRING) return CLOUDS_EPROTO;
        if (add_key(d, cl_reply_text(reply, i))) return CLOUDS_ENOMEM;
    }
    return d->scan.next.bytes > d->client->limits.resp_buffered ? CLOUDS_ELIMIT : 0;
}

/* Who only calls native services can do without; who asked for the status cannot. */
static void refused_page(redis_directory *d, const cl_reply *reply)
{
    int is_error = reply->items[0].type == CL_REPLY_ERROR;
    int code = is_error ? cl_redis_client_error(d->client, "SCAN", cl_reply_text(reply, 0)) : CLOUDS_EPROTO;
    int is_asked = cl_redis_statuses_want_scan(d, d->scan.round);
    d->scan.spacing = LONGEST_MS;
    end(d, is_error && !is_asked ? 0 : code);
}

static void on_page(void *self, const cl_pending *pending, const cl_reply *reply)
{
    redis_directory *d = redis_directory_of(self);
    if (cl_redis_client_is_bad(d->client, reply, CL_REPLY_ARRAY, "SCAN")) {
        refused_page(d, reply);
        return;
    }
    int is_sound = reply->items[0].number == 2 && reply->len >= 3 && cl_reply_is_text(reply, 1) &&
                   reply->items[2].type == CL_REPLY_ARRAY;
    int code = is_sound ? add_page(d, reply) : CLOUDS_EPROTO;
    if (code == CLOUDS_EPROTO) cl_session_cut(d->client->commands, code, "Redis answered SCAN with something else");
    if (!code && cl_loop_now() - d->scan.started > PATIENCE_MS) code = CLOUDS_EREDIS;
    d->scan.pages++;
    int is_last = cl_str_eq(code ? CL_STR_NONE : cl_reply_text(reply, 1), CL_STR("0"));
    if (!code && !is_last) code = ask_page(d, cl_reply_text(reply, 1));
    if (code || is_last) walked(d, code);
}

static void on_lost(void *self, const cl_pending *pending, int sent)
{
    redis_directory *d = redis_directory_of(self);
    d->scan.running = 0;
    result_free(&d->scan.next);
}

static const cl_redis_handler page_handler = {"SCAN", on_page, on_lost, 0};
static const cl_redis_handler channels_handler = {"PUBSUB", on_channels, on_lost, 0};
static const cl_redis_handler records_handler = {"MGET", on_records, on_lost, 0};

int cl_redis_scan_create(redis_directory *d)
{
    return cl_loop_timer_create(d->loop, on_timer, d, &d->scan.timer);
}

void cl_redis_scan_free(redis_directory *d)
{
    result_free(&d->scan.next);
    result_free(&d->scan.result);
    forget_ids(&d->scan.natives);
    forget_ids(&d->scan.strangers);
    cl_loop_timer_destroy(d->scan.timer);
}
