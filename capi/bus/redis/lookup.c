/* Design note. Who serves a method is found in three steps, never with KEYS:
 *
 *   NEWS       the first look waits until announcements are heard, so that none is missed between the two
 *   MEMBERS    SMEMBERS of the index, to which the latest picture of a scan adds the npm servers
 *   LIVING     one MGET of their registration keys and node records, and how many listen on the channel of each
 *   SCANNING   only when nobody lives, or for a refresh whose picture is old; then once more from the start
 *
 * A scan walks the keys only when somebody listens who may be an npm server (scan.c).
 *
 * So an answer is always verified, and it waits for a scan only when there is nobody to ask meanwhile. Looks for the
 * same method share an answer, but for refreshes, which may wait longer. */
#include "base/mem.h"
#include "bus/redis/inside.h"
#include "clouds.h"

enum { MOST_IDS = 20000, REFRESH_AGE_MS = 1000 };

enum sign { SIGN_KEY = 1, SIGN_RECORD = 2, SIGN_LISTENS = 4, SIGN_DEAF = 8 };
enum look_step { LOOK_NEWS, LOOK_MEMBERS, LOOK_LIVING, LOOK_SCANNING, LOOK_FAILED };

struct redis_look {
    cl_link link;
    char *memory;
    cl_str method;
    int known;
    enum look_step step;
    uint64_t round; /* SCANNING: the scan that has the last word */
    int scanned;    /* that one is over */
    cl_buf text;    /* of the ids */
    cl_server *ids;
    size_t len, indexed;  /* the first `indexed` came from the index */
    unsigned char *signs; /* what is known of each: enum sign */
    int counting;         /* the answer who listens is to come */
    int code;
};

static void look_free(redis_bus *bus, redis_look *look)
{
    cl_strmap *map = &bus->looks_by_method[look->known];
    if (cl_strmap_get(map, look->method) == look) cl_strmap_take(map, look->method);
    cl_list_remove(&look->link);
    cl_buf_free(&look->text);
    cl_free(look->ids);
    cl_free(look->signs);
    cl_free(look->memory);
    cl_free(look);
}

/* It leaves the map first: who asks from inside the answer asks anew. */
static void answer(redis_bus *bus, redis_look *look, int code)
{
    cl_strmap_take(&bus->looks_by_method[look->known], look->method);
    bus->sink.servers(bus->sink.self, look->method, look->ids, code ? 0 : look->len, code);
    look_free(bus, look);
}

/* ---- MEMBERS */

static void ask_members(redis_bus *bus, redis_look *look)
{
    cl_buf *key = &bus->text;
    cl_buf_clear(key);
    look->step = LOOK_MEMBERS;
    int code = cl_buf_put_str(key, bus->prefix);
    if (!code) code = cl_buf_put(key, ":M:", 3);
    if (!code) code = cl_buf_put_str(key, look->method);
    cl_str members[] = {CL_STR("SMEMBERS"), cl_buf_str(key)};
    if (!code) code = cl_redis_command(bus, KIND_MEMBERS, look, 2, members);
    if (!code) return;
    look->step = LOOK_FAILED;
    look->code = code;
    cl_redis_chore(bus, NULL);
}

/* Room for all texts is made beforehand, so that they stay where they are. */
static int make_room(redis_look *look, const cl_reply *reply, const redis_listing *listing)
{
    size_t count = reply->len + (listing ? listing->ids.len : 0), bytes = reply->text.len;
    for (size_t at = 0; listing && at < listing->ids.cap; at++)
        if (listing->ids.slots[at].value) bytes += listing->ids.slots[at].key.n;
    cl_free(look->ids);
    cl_free(look->signs);
    look->len = look->indexed = 0;
    cl_buf_clear(&look->text);
    look->ids = cl_malloc(count * sizeof *look->ids);
    look->signs = cl_calloc(count, 1);
    return look->ids && look->signs ? cl_buf_reserve(&look->text, bytes + 1) : CLOUDS_ENOMEM;
}

static void add_id(redis_look *look, cl_str id)
{
    if (look->len >= MOST_IDS) return;
    look->ids[look->len++] = (cl_server){cl_str_of(look->text.data + look->text.len, id.n), 0};
    cl_buf_add_str(&look->text, id);
}

/* Adds those that only the scan knows. */
static int add_picture(redis_look *look, const redis_listing *listing)
{
    cl_strmap known = {0};
    int code = 0;
    for (size_t i = 0; i < look->indexed && !code; i++) code = cl_strmap_put(&known, look->ids[i].id, look);
    for (size_t at = 0; at < listing->ids.cap && !code; at++) {
        const struct cl_strmap_slot *slot = &listing->ids.slots[at];
        if (slot->value && !cl_strmap_get(&known, slot->key)) add_id(look, slot->key);
    }
    cl_strmap_free(&known);
    return code;
}

static int collect(redis_bus *bus, redis_look *look, const cl_reply *reply)
{
    const redis_listing *listing = cl_redis_picture_get(&bus->scan.picture, look->method);
    for (size_t i = 1; i < reply->len; i++)
        if (reply->items[i].type != CL_REPLY_STRING) return CLOUDS_EPROTO;
    if (make_room(look, reply, listing)) return CLOUDS_ENOMEM;
    for (size_t i = 1; i < reply->len; i++) add_id(look, cl_reply_text(reply, i));
    look->indexed = look->len;
    return listing ? add_picture(look, listing) : 0;
}

/* ---- LIVING */

static cl_str put_key(redis_bus *bus, cl_buf *b, char kind, cl_str method, cl_str id)
{
    const char *p = b->data + b->len;
    cl_buf_add_str(b, bus->prefix);
    cl_buf_add_char(b, ':');
    cl_buf_add_char(b, kind);
    cl_buf_add_char(b, ':');
    cl_buf_add_str(b, method);
    if (kind == 'S') cl_buf_add_char(b, ':');
    cl_buf_add_str(b, id);
    return cl_str_of(p, (size_t)(b->data + b->len - p));
}

static int ask_living(redis_bus *bus, redis_look *look)
{
    size_t n = look->len, bytes = n * (2 * bus->prefix.n + look->method.n + 8) + 2 * look->text.len;
    cl_buf keys = {0};
    cl_str *argv = cl_malloc((1 + 2 * n) * sizeof *argv);
    int code = argv ? cl_buf_reserve(&keys, bytes) : CLOUDS_ENOMEM;
    if (!code) {
        argv[0] = CL_STR("MGET");
        for (size_t i = 0; i < n; i++) {
            argv[1 + i] = put_key(bus, &keys, 'S', look->method, look->ids[i].id);
            argv[1 + n + i] = put_key(bus, &keys, 'N', CL_STR_NONE, look->ids[i].id);
        }
        code = cl_redis_command(bus, KIND_LIVING, look, 1 + 2 * n, argv);
    }
    cl_buf_free(&keys);
    cl_free(argv);
    return code;
}

/* An index entry of a server that is no more. */
static void drop_dead(redis_bus *bus, redis_look *look, cl_str id)
{
    cl_buf key = {0};
    if (cl_buf_reserve(&key, bus->prefix.n + look->method.n + 4)) return;
    cl_str rem[] = {CL_STR("SREM"), put_key(bus, &key, 'M', look->method, CL_STR_NONE), id};
    cl_redis_command(bus, KIND_NEWS, NULL, 3, rem);
    cl_buf_free(&key);
}

/* One of ours whose record and key are there, but to whom nobody listens, was killed a moment ago. One in the index
 * whose keys ran out, but who listens, is busy: it counts where there is no other. */
static int is_alive(unsigned sign)
{
    int is_dead = (sign & SIGN_RECORD) && (sign & SIGN_DEAF);
    return (sign & SIGN_KEY) && !is_dead;
}

static int is_any_alive(const redis_look *look)
{
    for (size_t i = 0; i < look->len; i++)
        if (is_alive(look->signs[i])) return 1;
    return 0;
}

/* Keeps the living. */
static void sift(redis_bus *bus, redis_look *look)
{
    size_t n = look->len, kept = 0;
    int any = is_any_alive(look);
    for (size_t i = 0; i < n; i++) {
        cl_server server = look->ids[i];
        unsigned sign = look->signs[i];
        int is_busy = i < look->indexed && (sign & SIGN_LISTENS);
        server.native = (sign & SIGN_RECORD) || (is_busy && !(sign & SIGN_KEY)) ? CL_NATIVE_OURS : CL_NATIVE_NOT;
        if (is_alive(sign) || (!any && is_busy)) look->ids[kept++] = server;
        else if (i < look->indexed && !(sign & (SIGN_KEY | SIGN_LISTENS))) drop_dead(bus, look, server.id);
    }
    look->len = kept;
}

static int ask_counts(redis_bus *bus, redis_look *look)
{
    size_t n = look->len;
    cl_buf names = {0};
    cl_str *argv = cl_malloc((2 + n) * sizeof *argv);
    int code = argv ? cl_buf_reserve(&names, n * (bus->prefix.n + 4) + look->text.len + 1) : CLOUDS_ENOMEM;
    if (!code) {
        argv[0] = CL_STR("PUBSUB");
        argv[1] = CL_STR("NUMSUB");
        for (size_t i = 0; i < n; i++) argv[2 + i] = put_key(bus, &names, 'L', CL_STR_NONE, look->ids[i].id);
        code = cl_redis_command(bus, KIND_COUNTS, look, 2 + n, argv);
    }
    cl_buf_free(&names);
    cl_free(argv);
    return code;
}

/* ---- the steps */

static void await_scan(redis_bus *bus, redis_look *look)
{
    look->step = LOOK_SCANNING;
    look->round = bus->scan.round + 1;
    cl_redis_scan_want(bus);
}

/* Scans that find nothing are not repeated for every call; news tell of who comes. */
static int is_scan_recent(const redis_bus *bus)
{
    const redis_scan *scan = &bus->scan;
    return scan->round > 0 && !scan->running && scan->spacing > REFRESH_AGE_MS &&
           cl_loop_now() - scan->started < scan->spacing;
}

static void decide(redis_bus *bus, redis_look *look)
{
    int is_old = bus->scan.round == 0 || cl_loop_now() - bus->scan.started > REFRESH_AGE_MS;
    int wants = look->len == 0 || (look->known && is_old);
    if (!look->scanned && wants && !is_scan_recent(bus)) await_scan(bus, look);
    else answer(bus, look, 0);
}

/* Nothing was sent of what waits for this: it is asked again when the connection is back. */
static void broken(redis_bus *bus, redis_look *look, const char *words)
{
    cl_session_cut(bus->commands, CLOUDS_EPROTO, words);
    answer(bus, look, CLOUDS_EUNREACHABLE);
}

/* 0, or why the reply is no array. */
static int refusal(redis_bus *bus, const cl_reply *reply, const char *verb)
{
    if (!cl_redis_is_bad(bus, reply, CL_REPLY_ARRAY, verb)) return 0;
    int is_error = reply->items[0].type == CL_REPLY_ERROR;
    return is_error ? cl_redis_error(bus, verb, cl_reply_text(reply, 0)) : CLOUDS_EUNREACHABLE;
}

static int is_wrong_kind(const cl_reply *reply)
{
    return reply->items[0].type == CL_REPLY_ERROR && cl_str_starts(cl_reply_text(reply, 0), CL_STR("WRONGTYPE"));
}

/* Somebody else's key stands where the index should: it is passed over, and the keys themselves are walked. */
static void pass_over(redis_bus *bus, redis_look *look, const cl_reply *reply)
{
    cl_buf key = {0};
    if (cl_buf_reserve(&key, bus->prefix.n + look->method.n + 4) == 0)
        cl_redis_complain_of_key(bus, "SMEMBERS", put_key(bus, &key, 'M', look->method, CL_STR_NONE),
                                 cl_reply_text(reply, 0));
    cl_buf_free(&key);
    bus->scan.must = 1;
}

static void ask_who_lives(redis_bus *bus, redis_look *look)
{
    look->step = LOOK_LIVING;
    int code = ask_living(bus, look);
    if (code) {
        answer(bus, look, code);
        return;
    }
    look->counting = !cl_session_is_cluster(bus->commands) && ask_counts(bus, look) == 0;
}

void cl_redis_look_members(redis_bus *bus, redis_look *look, const cl_reply *reply)
{
    cl_reply_item empty = {.type = CL_REPLY_ARRAY};
    const cl_reply nobody = {.items = &empty, .len = 1};
    if (is_wrong_kind(reply)) {
        pass_over(bus, look, reply);
        reply = &nobody;
    }
    int code = refusal(bus, reply, "SMEMBERS");
    if (!code) code = collect(bus, look, reply);
    if (code == CLOUDS_EPROTO) broken(bus, look, "Redis answered SMEMBERS with something else");
    else if (code) answer(bus, look, code);
    else if (look->len == 0) decide(bus, look);
    else ask_who_lives(bus, look);
}

static void conclude(redis_bus *bus, redis_look *look)
{
    if (look->code) {
        answer(bus, look, look->code);
        return;
    }
    sift(bus, look);
    decide(bus, look);
}

void cl_redis_look_living(redis_bus *bus, redis_look *look, const cl_reply *reply)
{
    size_t n = look->len;
    look->code = refusal(bus, reply, "MGET");
    if (!look->code && reply->len != 1 + 2 * n) {
        cl_session_cut(bus->commands, CLOUDS_EPROTO, "Redis answered MGET with something else");
        look->code = CLOUDS_EUNREACHABLE;
    }
    for (size_t i = 0; i < n && !look->code; i++) {
        int has_key = reply->items[1 + i].type == CL_REPLY_STRING;
        int has_record = reply->items[1 + n + i].type == CL_REPLY_STRING;
        look->signs[i] = (unsigned char)((has_key ? SIGN_KEY : 0) | (has_record ? SIGN_RECORD : 0));
    }
    if (!look->counting) conclude(bus, look);
}

/* The reply names each channel and its number. Who may not ask goes without. */
void cl_redis_look_counts(redis_bus *bus, redis_look *look, const cl_reply *reply)
{
    look->counting = 0;
    if (reply->items[0].type == CL_REPLY_ERROR) cl_redis_complain(bus, "PUBSUB", cl_reply_text(reply, 0));
    for (size_t i = 0; i < look->len && reply->len == 1 + 2 * look->len; i++) {
        const cl_reply_item *count = &reply->items[2 + 2 * i];
        if (count->type == CL_REPLY_INTEGER) look->signs[i] |= count->number > 0 ? SIGN_LISTENS : SIGN_DEAF;
    }
    conclude(bus, look);
}

int cl_redis_look_counts_pending(const redis_look *look)
{
    return look->counting;
}

void cl_redis_look_lost(redis_bus *bus, redis_look *look)
{
    answer(bus, look, CLOUDS_EUNREACHABLE);
}

/* Those that waited for the news. */
void cl_redis_looks_begin(redis_bus *bus)
{
    CL_LIST_EACH(link, &bus->looks)
    {
        redis_look *look = CL_OWNER(link, redis_look, link);
        if (look->step == LOOK_NEWS) ask_members(bus, look);
    }
}

/* ---- scans */

void cl_redis_looks_scanned(redis_bus *bus, int code)
{
    for (cl_link *link = bus->looks.next; link != &bus->looks;) {
        redis_look *look = CL_OWNER(link, redis_look, link);
        link = link->next;
        if (look->step != LOOK_SCANNING) continue;
        int is_final = look->round <= bus->scan.round;
        if (code && is_final) {
            look->code = code;
            look->step = LOOK_FAILED;
            cl_redis_chore(bus, NULL);
        } else if (!code && (is_final || cl_redis_picture_get(&bus->scan.picture, look->method))) {
            look->scanned = is_final;
            ask_members(bus, look);
        }
    }
}

int cl_redis_looks_want_scan(redis_bus *bus, uint64_t round)
{
    CL_LIST_EACH(link, &bus->looks)
    {
        redis_look *look = CL_OWNER(link, redis_look, link);
        if (look->step == LOOK_SCANNING && look->round >= round) return 1;
    }
    return 0;
}

/* ---- life */

static redis_look *look_make(redis_bus *bus, cl_str method, int known)
{
    redis_look *look = cl_calloc(1, sizeof *look);
    if (!look) return NULL;
    look->known = known;
    look->memory = cl_str_dup(method);
    look->method = cl_str_of(look->memory, method.n);
    if (!look->memory || cl_strmap_put(&bus->looks_by_method[known], look->method, look)) {
        cl_free(look->memory);
        cl_free(look);
        return NULL;
    }
    cl_list_init(&look->link);
    cl_list_append(&bus->looks, &look->link);
    return look;
}

/* There was no memory for it: the chores tell so from a place that needs none. */
static void remember_unlooked(redis_bus *bus, cl_str method)
{
    if (bus->unlooked_len == REDIS_UNLOOKED || method.n > sizeof bus->unlooked[0].text) return;
    struct redis_unlooked *u = &bus->unlooked[bus->unlooked_len++];
    memcpy(u->text, method.p, method.n);
    u->n = method.n;
    cl_redis_chore(bus, NULL);
}

static void tell_unlooked(redis_bus *bus)
{
    while (bus->unlooked_len > 0) {
        struct redis_unlooked u = bus->unlooked[--bus->unlooked_len];
        bus->sink.servers(bus->sink.self, cl_str_of(u.text, u.n), NULL, 0, CLOUDS_ENOMEM);
    }
}

void cl_redis_lookup(cl_bus *base, cl_str method, int known)
{
    redis_bus *bus = (redis_bus *)base;
    if (bus->closing || cl_strmap_get(&bus->looks_by_method[known != 0], method)) return;
    redis_look *look = look_make(bus, method, known != 0);
    if (look && !cl_redis_hear_news(bus)) look->step = LOOK_NEWS;
    else if (look) ask_members(bus, look);
    else remember_unlooked(bus, method);
}

void cl_redis_forget(cl_bus *base, cl_str method, cl_str server)
{
    redis_bus *bus = (redis_bus *)base;
    cl_buf key = {0};
    if (cl_buf_reserve(&key, bus->prefix.n + method.n + server.n + 4)) return;
    cl_str del[] = {CL_STR("DEL"), put_key(bus, &key, 'S', method, server)};
    cl_redis_command(bus, KIND_NEWS, NULL, 2, del);
    cl_buf_free(&key);
}

/* Ends those that cannot be served; those with a pending command hear from that. */
static void end_all(redis_bus *bus, enum look_step step, int code)
{
    cl_link batch; /* what is asked anew from inside an answer waits for the next time */
    cl_list_init(&batch);
    CL_LIST_EACH(link, &bus->looks)
    {
        if (CL_OWNER(link, redis_look, link)->step != step) continue;
        cl_list_remove(link);
        cl_list_append(&batch, link);
    }
    while (!cl_list_empty(&batch)) {
        redis_look *look = CL_OWNER(batch.next, redis_look, link);
        answer(bus, look, code ? code : look->code);
    }
}

void cl_redis_looks_failed(redis_bus *bus)
{
    tell_unlooked(bus);
    end_all(bus, LOOK_FAILED, 0);
}

void cl_redis_looks_fail(redis_bus *bus)
{
    end_all(bus, LOOK_SCANNING, CLOUDS_EUNREACHABLE);
}

void cl_redis_looks_free(redis_bus *bus)
{
    while (!cl_list_empty(&bus->looks)) look_free(bus, CL_OWNER(bus->looks.next, redis_look, link));
    cl_strmap_free(&bus->looks_by_method[0]);
    cl_strmap_free(&bus->looks_by_method[1]);
}
