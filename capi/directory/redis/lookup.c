/* Design note. Who serves a method is found in three steps, never with KEYS:
 *
 *   SUBSCRIBING       the first lookup waits until announcements are heard, so that none is missed between the two
 *   MEMBERS    SMEMBERS of the index, to which the latest result of a scan adds the npm servers
 *   LIVING     one MGET of their registration keys and node records, and how many listen on the channel of each
 *   SCANNING   only when nobody lives, or for a refresh whose result is old; then once more from the start
 *
 * A scan walks the keys only when somebody listens who may be an npm server (scan.c).
 *
 * So an answer is always verified, and it waits for a scan only when there is nobody to ask meanwhile. Looks for the
 * same method share an answer, but for refreshes, which may wait longer. */
#include "base/mem.h"
#include "directory/redis/internal.h"
#include "clouds.h"

enum { MOST_IDS = 20000, REFRESH_AGE_MS = 1000 };

enum sign { SIGN_KEY = 1, SIGN_RECORD = 2, SIGN_LISTENS = 4, SIGN_UNHEARD = 8, SIGN_FRAMES = 16, SIGN_PAUSED = 32 };
enum lookup_step { LOOKUP_SUBSCRIBING, LOOKUP_MEMBERS, LOOKUP_LIVING, LOOKUP_SCANNING, LOOKUP_FAILED };

struct redis_lookup {
    cl_list_node link;
    char *memory;
    cl_str method;
    int known;
    enum lookup_step step;
    uint64_t round; /* SCANNING: the scan that has the last word */
    int scanned;    /* that one is over */
    cl_buf text, tags; /* of the ids; of all servers together */
    cl_server *ids;
    size_t len, indexed;  /* the first `indexed` came from the index */
    unsigned char *signs; /* what is known of each: enum sign */
    int counting;         /* the answer who listens is to come */
    int code;
};

static void lookup_free(redis_directory *d, redis_lookup *lookup)
{
    cl_strmap *map = &d->lookups_by_method[lookup->known];
    if (cl_strmap_get(map, lookup->method) == lookup) cl_strmap_take(map, lookup->method);
    cl_list_remove(&lookup->link);
    cl_buf_free(&lookup->text), cl_buf_free(&lookup->tags);
    cl_free(lookup->ids), cl_free(lookup->signs);
    cl_free(lookup->memory);
    cl_free(lookup);
}

/* It leaves the map first: who asks from inside the answer asks anew. */
static void answer(redis_directory *d, redis_lookup *lookup, int code)
{
    cl_strmap_take(&d->lookups_by_method[lookup->known], lookup->method);
    d->sink.servers(d->sink.self, lookup->method, lookup->ids, code ? 0 : lookup->len, code);
    lookup_free(d, lookup);
}

/* ---- MEMBERS */

static const cl_redis_handler members_handler, living_handler, counts_handler;

static void ask_members(redis_directory *d, redis_lookup *lookup)
{
    cl_buf *key = &d->text;
    cl_buf_clear(key);
    lookup->step = LOOKUP_MEMBERS;
    int code = cl_buf_put_str(key, d->client->prefix);
    if (!code) code = cl_buf_put(key, ":M:", 3);
    if (!code) code = cl_buf_put_str(key, lookup->method);
    cl_str members[] = {CL_STR("SMEMBERS"), cl_buf_str(key)};
    if (!code) code = cl_redis_client_send(d->client, &members_handler, lookup, 2, members);
    if (!code) return;
    lookup->step = LOOKUP_FAILED;
    lookup->code = code;
    cl_redis_defer(d, NULL);
}

/* Room for all texts is made beforehand, so that they stay where they are. */
static int make_room(redis_lookup *lookup, const cl_reply *reply, const redis_scan_method *found)
{
    size_t count = reply->len + (found ? found->ids.len : 0), bytes = reply->text.len;
    for (size_t at = 0; found && at < found->ids.cap; at++)
        if (found->ids.slots[at].value) bytes += found->ids.slots[at].key.n;
    cl_free(lookup->ids);
    cl_free(lookup->signs);
    lookup->len = lookup->indexed = 0;
    cl_buf_clear(&lookup->text);
    lookup->ids = cl_malloc(count * sizeof *lookup->ids);
    lookup->signs = cl_calloc(count, 1);
    return lookup->ids && lookup->signs ? cl_buf_reserve(&lookup->text, bytes + 1) : CLOUDS_ENOMEM;
}

static void add_id(redis_lookup *lookup, cl_str id)
{
    if (lookup->len >= MOST_IDS) return;
    lookup->ids[lookup->len++] = (cl_server){.id = cl_str_of(lookup->text.data + lookup->text.len, id.n)};
    cl_buf_add_str(&lookup->text, id);
}

/* Adds those that only the scan knows. */
static int add_scanned(redis_lookup *lookup, const redis_scan_method *found)
{
    cl_strmap known = {0};
    int code = 0;
    for (size_t i = 0; i < lookup->indexed && !code; i++) code = cl_strmap_put(&known, lookup->ids[i].id, lookup);
    for (size_t at = 0; at < found->ids.cap && !code; at++) {
        const struct cl_strmap_slot *slot = &found->ids.slots[at];
        if (slot->value && !cl_strmap_get(&known, slot->key)) add_id(lookup, slot->key);
    }
    cl_strmap_free(&known);
    return code;
}

static int collect(redis_directory *d, redis_lookup *lookup, const cl_reply *reply)
{
    const redis_scan_method *found = cl_redis_scan_get(&d->scan.result, lookup->method);
    for (size_t i = 1; i < reply->len; i++)
        if (reply->items[i].type != CL_REPLY_STRING) return CLOUDS_EPROTO;
    if (make_room(lookup, reply, found)) return CLOUDS_ENOMEM;
    for (size_t i = 1; i < reply->len; i++) add_id(lookup, cl_reply_text(reply, i));
    lookup->indexed = lookup->len;
    return found ? add_scanned(lookup, found) : 0;
}

/* ---- LIVING */

static cl_str put_key(redis_directory *d, cl_buf *b, char kind, cl_str method, cl_str id)
{
    const char *p = b->data + b->len;
    cl_buf_add_str(b, d->client->prefix);
    cl_buf_add_char(b, ':');
    cl_buf_add_char(b, kind);
    cl_buf_add_char(b, ':');
    cl_buf_add_str(b, method);
    if (kind == 'S') cl_buf_add_char(b, ':');
    cl_buf_add_str(b, id);
    return cl_str_of(p, (size_t)(b->data + b->len - p));
}

static int ask_living(redis_directory *d, redis_lookup *lookup)
{
    size_t n = lookup->len, bytes = n * (2 * d->client->prefix.n + lookup->method.n + 8) + 2 * lookup->text.len;
    cl_buf keys = {0};
    cl_str *argv = cl_malloc((1 + 2 * n) * sizeof *argv);
    int code = argv ? cl_buf_reserve(&keys, bytes) : CLOUDS_ENOMEM;
    if (!code) {
        argv[0] = CL_STR("MGET");
        for (size_t i = 0; i < n; i++) {
            argv[1 + i] = put_key(d, &keys, 'S', lookup->method, lookup->ids[i].id);
            argv[1 + n + i] = put_key(d, &keys, 'N', CL_STR_NONE, lookup->ids[i].id);
        }
        code = cl_redis_client_send(d->client, &living_handler, lookup, 1 + 2 * n, argv);
    }
    cl_buf_free(&keys);
    cl_free(argv);
    return code;
}

/* An index entry of a server that is no more. */
static void drop_dead(redis_directory *d, redis_lookup *lookup, cl_str id)
{
    cl_buf key = {0};
    if (cl_buf_reserve(&key, d->client->prefix.n + lookup->method.n + 4)) return;
    cl_str rem[] = {CL_STR("SREM"), put_key(d, &key, 'M', lookup->method, CL_STR_NONE), id};
    cl_redis_client_send_unawaited(d->client, 3, rem);
    cl_buf_free(&key);
}

/* A native node whose record and key are there, but to whom nobody listens, was killed a moment ago. One in the index
 * whose keys ran out, but who listens, is busy: it counts where there is no other. */
static int is_alive(unsigned sign)
{
    int is_dead = (sign & SIGN_RECORD) && (sign & SIGN_UNHEARD);
    return (sign & SIGN_KEY) && !is_dead;
}

static int is_any_alive(const redis_lookup *lookup)
{
    for (size_t i = 0; i < lookup->len; i++)
        if (is_alive(lookup->signs[i])) return 1;
    return 0;
}

/* Keeps the living. */
static void sift(redis_directory *d, redis_lookup *lookup)
{
    size_t n = lookup->len, kept = 0;
    int any = is_any_alive(lookup);
    for (size_t i = 0; i < n; i++) {
        cl_server server = lookup->ids[i];
        unsigned sign = lookup->signs[i];
        int is_busy = i < lookup->indexed && (sign & SIGN_LISTENS);
        server.paused = (sign & SIGN_PAUSED) != 0;
        server.native = sign & SIGN_FRAMES                                        ? CL_NATIVE_FRAMES
                        : (sign & SIGN_RECORD) || (is_busy && !(sign & SIGN_KEY)) ? CL_NATIVE_OURS
                                                                                  : CL_NATIVE_NOT;
        if (is_alive(sign) || (!any && is_busy)) lookup->ids[kept++] = server;
        else if (i < lookup->indexed && !(sign & (SIGN_KEY | SIGN_LISTENS))) drop_dead(d, lookup, server.id);
    }
    lookup->len = kept;
}

static int ask_counts(redis_directory *d, redis_lookup *lookup)
{
    size_t n = lookup->len;
    cl_buf names = {0};
    cl_str *argv = cl_malloc((2 + n) * sizeof *argv);
    int code = argv ? cl_buf_reserve(&names, n * (d->client->prefix.n + 4) + lookup->text.len + 1) : CLOUDS_ENOMEM;
    if (!code) {
        argv[0] = CL_STR("PUBSUB");
        argv[1] = CL_STR("NUMSUB");
        for (size_t i = 0; i < n; i++) argv[2 + i] = put_key(d, &names, 'L', CL_STR_NONE, lookup->ids[i].id);
        code = cl_redis_client_send(d->client, &counts_handler, lookup, 2 + n, argv);
    }
    cl_buf_free(&names);
    cl_free(argv);
    return code;
}

/* ---- the steps */

static void await_scan(redis_directory *d, redis_lookup *lookup)
{
    lookup->step = LOOKUP_SCANNING;
    lookup->round = d->scan.round + 1;
    cl_redis_scan_want(d);
}

/* Scans that find nothing are not repeated for every call; announcements name who comes. */
static int is_scan_recent(const redis_directory *d)
{
    const redis_scan *scan = &d->scan;
    return scan->round > 0 && !scan->running && scan->spacing > REFRESH_AGE_MS &&
           cl_loop_now() - scan->started < scan->spacing;
}

static void decide(redis_directory *d, redis_lookup *lookup)
{
    int is_old = d->scan.round == 0 || cl_loop_now() - d->scan.started > REFRESH_AGE_MS;
    int wants = lookup->len == 0 || (lookup->known && is_old);
    if (!lookup->scanned && wants && !is_scan_recent(d)) await_scan(d, lookup);
    else answer(d, lookup, 0);
}

/* Nothing was sent of what waits for this: it is asked again when the connection is back. */
static void broken(redis_directory *d, redis_lookup *lookup, const char *words)
{
    cl_session_cut(d->client->commands, CLOUDS_EPROTO, words);
    answer(d, lookup, CLOUDS_EUNREACHABLE);
}

/* 0, or why the reply is no array. */
static int refusal(redis_directory *d, const cl_reply *reply, const char *verb)
{
    if (!cl_redis_client_is_bad(d->client, reply, CL_REPLY_ARRAY, verb)) return 0;
    int is_error = reply->items[0].type == CL_REPLY_ERROR;
    return is_error ? cl_redis_client_error(d->client, verb, cl_reply_text(reply, 0)) : CLOUDS_EUNREACHABLE;
}

static int is_wrong_kind(const cl_reply *reply)
{
    return reply->items[0].type == CL_REPLY_ERROR && cl_str_starts(cl_reply_text(reply, 0), CL_STR("WRONGTYPE"));
}

/* Somebody else's key stands where the index should: it is passed over, and the keys themselves are walked. */
static void pass_over(redis_directory *d, redis_lookup *lookup, const cl_reply *reply)
{
    cl_buf key = {0};
    if (cl_buf_reserve(&key, d->client->prefix.n + lookup->method.n + 4) == 0)
        cl_redis_client_log_key_once(d->client, "SMEMBERS", put_key(d, &key, 'M', lookup->method, CL_STR_NONE),
                                     cl_reply_text(reply, 0));
    cl_buf_free(&key);
    d->scan.must = 1;
}

static void ask_who_lives(redis_directory *d, redis_lookup *lookup)
{
    lookup->step = LOOKUP_LIVING;
    int code = ask_living(d, lookup);
    if (code) {
        answer(d, lookup, code);
        return;
    }
    lookup->counting = !cl_session_is_cluster(d->client->commands) && ask_counts(d, lookup) == 0;
}

static void on_members(void *self, const cl_pending *pending, const cl_reply *reply)
{
    redis_directory *d = redis_directory_of(self);
    redis_lookup *lookup = cl_redis_from_ref(pending);
    cl_reply_item empty = {.type = CL_REPLY_ARRAY};
    const cl_reply nobody = {.items = &empty, .len = 1};
    if (is_wrong_kind(reply)) {
        pass_over(d, lookup, reply);
        reply = &nobody;
    }
    int code = refusal(d, reply, "SMEMBERS");
    if (!code) code = collect(d, lookup, reply);
    if (code == CLOUDS_EPROTO) broken(d, lookup, "Redis answered SMEMBERS with something else");
    else if (code) answer(d, lookup, code);
    else if (lookup->len == 0) decide(d, lookup);
    else ask_who_lives(d, lookup);
}

static void conclude(redis_directory *d, redis_lookup *lookup)
{
    if (lookup->code) {
        answer(d, lookup, lookup->code);
        return;
    }
    sift(d, lookup);
    decide(d, lookup);
}

/* The words in it are ours alone, so it need not be read as JSON for one of them. */
static unsigned signs_of_record(const cl_reply *reply, size_t at)
{
    if (reply->items[at].type != CL_REPLY_STRING) return 0;
    cl_str record = cl_reply_text(reply, at), frames = CL_STR("\"frames\"");
    return SIGN_RECORD | (memmem(record.p, record.n, frames.p, frames.n) ? SIGN_FRAMES : 0);
}

static void on_living(void *self, const cl_pending *pending, const cl_reply *reply)
{
    redis_directory *d = redis_directory_of(self);
    redis_lookup *lookup = cl_redis_from_ref(pending);
    size_t n = lookup->len;
    lookup->code = refusal(d, reply, "MGET");
    if (!lookup->code && reply->len != 1 + 2 * n) {
        cl_session_cut(d->client->commands, CLOUDS_EPROTO, "Redis answered MGET with something else");
        lookup->code = CLOUDS_EUNREACHABLE;
    }
    for (size_t i = 0; i < n && !lookup->code; i++) {
        int has_key = reply->items[1 + i].type == CL_REPLY_STRING;
        unsigned record = signs_of_record(reply, 1 + n + i);
        if (record && cl_redis_record_pauses(d, cl_reply_text(reply, 1 + n + i), lookup->method)) record |= SIGN_PAUSED;
        lookup->signs[i] = (unsigned char)((has_key ? SIGN_KEY : 0) | record);
        cl_redis_place_learn(d, lookup->ids[i].id, record ? cl_reply_text(reply, 1 + n + i) : CL_STR_NONE);
    }
    if (!lookup->code) cl_redis_read_traits(reply, 1 + n, lookup->ids, n, &lookup->tags);
    if (!lookup->counting) conclude(d, lookup);
}

/* The reply names each channel and its number. Who may not ask goes without. */
static void on_counts(void *self, const cl_pending *pending, const cl_reply *reply)
{
    redis_directory *d = redis_directory_of(self);
    redis_lookup *lookup = cl_redis_from_ref(pending);
    lookup->counting = 0;
    if (reply->items[0].type == CL_REPLY_ERROR) cl_redis_client_log_once(d->client, "PUBSUB", cl_reply_text(reply, 0));
    for (size_t i = 0; i < lookup->len && reply->len == 1 + 2 * lookup->len; i++) {
        const cl_reply_item *count = &reply->items[2 + 2 * i];
        if (count->type == CL_REPLY_INTEGER) lookup->signs[i] |= count->number > 0 ? SIGN_LISTENS : SIGN_UNHEARD;
    }
    conclude(d, lookup);
}

static void on_lost(void *self, const cl_pending *pending, int sent)
{
    answer(redis_directory_of(self), cl_redis_from_ref(pending), CLOUDS_EUNREACHABLE);
}

/* While the next reply is pending, that one reports it. */
static void on_living_lost(void *self, const cl_pending *pending, int sent)
{
    const redis_lookup *lookup = cl_redis_from_ref(pending);
    if (!lookup->counting) on_lost(self, pending, sent);
}

static const cl_redis_handler members_handler = {"SMEMBERS", on_members, on_lost, 0};
static const cl_redis_handler living_handler = {"MGET", on_living, on_living_lost, 0};
static const cl_redis_handler counts_handler = {"PUBSUB", on_counts, on_lost, 0};

/* Those that waited for the subscription to announcements. */
void cl_redis_lookups_begin(redis_directory *d, cl_str method)
{
    CL_LIST_EACH(link, &d->lookups)
    {
        redis_lookup *lookup = CL_OWNER(link, redis_lookup, link);
        int is_meant = !method.n || cl_str_eq(lookup->method, method);
        if (lookup->step == LOOKUP_SUBSCRIBING && is_meant) ask_members(d, lookup);
    }
}

/* ---- scans */

void cl_redis_lookups_scanned(redis_directory *d, int code)
{
    for (cl_list_node *link = d->lookups.next; link != &d->lookups;) {
        redis_lookup *lookup = CL_OWNER(link, redis_lookup, link);
        link = link->next;
        if (lookup->step != LOOKUP_SCANNING) continue;
        int is_final = lookup->round <= d->scan.round;
        if (code && is_final) {
            lookup->code = code;
            lookup->step = LOOKUP_FAILED;
            cl_redis_defer(d, NULL);
        } else if (!code && (is_final || cl_redis_scan_get(&d->scan.result, lookup->method))) {
            lookup->scanned = is_final;
            ask_members(d, lookup);
        }
    }
}

int cl_redis_lookups_want_scan(redis_directory *d, uint64_t round)
{
    CL_LIST_EACH(link, &d->lookups)
    {
        redis_lookup *lookup = CL_OWNER(link, redis_lookup, link);
        if (lookup->step == LOOKUP_SCANNING && lookup->round >= round) return 1;
    }
    return 0;
}

/* ---- life */

static redis_lookup *lookup_make(redis_directory *d, cl_str method, int known)
{
    redis_lookup *lookup = cl_calloc(1, sizeof *lookup);
    if (!lookup) return NULL;
    lookup->known = known;
    lookup->memory = cl_str_dup(method);
    lookup->method = cl_str_of(lookup->memory, method.n);
    if (!lookup->memory || cl_strmap_put(&d->lookups_by_method[known], lookup->method, lookup)) {
        cl_free(lookup->memory);
        cl_free(lookup);
        return NULL;
    }
    cl_list_append(&d->lookups, &lookup->link);
    return lookup;
}

/* There was no memory for it: reported later, from a place that needs none. */
static void remember_failed(redis_directory *d, cl_str method)
{
    if (d->failed_lookups_len == REDIS_FAILED_LOOKUPS || method.n > sizeof d->failed_lookups[0].text) return;
    struct redis_failed_lookup *u = &d->failed_lookups[d->failed_lookups_len++];
    memcpy(u->text, method.p, method.n);
    u->n = method.n;
    cl_redis_defer(d, NULL);
}

void cl_redis_lookup(cl_directory *base, cl_str method, int known)
{
    redis_directory *d = redis_of(base);
    if (d->closing) return;
    int news = cl_redis_news_want(d, method);
    if (cl_strmap_get(&d->lookups_by_method[known != 0], method)) return;
    redis_lookup *lookup = news == 0 || news == CL_PENDING ? lookup_make(d, method, known != 0) : NULL;
    if (!lookup) remember_failed(d, method);
    else if (news == CL_PENDING) lookup->step = LOOKUP_SUBSCRIBING;
    else ask_members(d, lookup);
}

void cl_redis_forget(cl_directory *base, cl_str method, cl_str server)
{
    redis_directory *d = redis_of(base);
    cl_buf key = {0};
    if (cl_buf_reserve(&key, d->client->prefix.n + method.n + server.n + 4)) return;
    cl_str del[] = {CL_STR("DEL"), put_key(d, &key, 'S', method, server)};
    cl_redis_client_send_unawaited(d->client, 2, del);
    cl_buf_free(&key);
}

/* Ends those that cannot be served; those with a pending command hear from that. */
static void end_all(redis_directory *d, enum lookup_step step, int code)
{
    cl_list_node batch; /* what is asked anew from inside an answer waits for the next time */
    cl_list_init(&batch);
    CL_LIST_EACH(link, &d->lookups)
    {
        if (CL_OWNER(link, redis_lookup, link)->step != step) continue;
        cl_list_remove(link);
        cl_list_append(&batch, link);
    }
    while (!cl_list_empty(&batch)) {
        redis_lookup *lookup = CL_OWNER(batch.next, redis_lookup, link);
        answer(d, lookup, code ? code : lookup->code);
    }
}

void cl_redis_lookups_failed(redis_directory *d)
{
    while (d->failed_lookups_len > 0) {
        struct redis_failed_lookup u = d->failed_lookups[--d->failed_lookups_len];
        d->sink.servers(d->sink.self, cl_str_of(u.text, u.n), NULL, 0, CLOUDS_ENOMEM);
    }
    end_all(d, LOOKUP_FAILED, 0);
}

void cl_redis_lookups_fail(redis_directory *d)
{
    end_all(d, LOOKUP_SCANNING, CLOUDS_EUNREACHABLE);
}

void cl_redis_lookups_free(redis_directory *d)
{
    while (!cl_list_empty(&d->lookups)) lookup_free(d, CL_OWNER(d->lookups.next, redis_lookup, link));
    for (int known = 0; known < 2; known++) cl_strmap_free(&d->lookups_by_method[known]);
}
