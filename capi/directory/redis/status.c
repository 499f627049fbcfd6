/* Who serves what: one scan that begins after the question; then the records of the nodes that it found, which say what is
 * paused, and what they say of themselves; told in rows. */
#include "base/error.h"
#include "base/mem.h"
#include "directory/redis/internal.h"
#include "clouds.h"

enum { ROWS = 256 };

typedef struct question {
    cl_list_node link;
    uint64_t operation;
    uint64_t round; /* the scan that answers it */
    int asked;      /* the records are to come */
    cl_strmap ids;  /* id -> which of the records is its own, from 1; they point into `keys` */
    cl_buf keys;
    size_t bytes; /* of the keys, at most */
} question;

static const cl_redis_handler records_handler;

typedef struct rows {
    redis_directory *d;
    const question *q;
    const cl_reply *records; /* NULL: they could not be had */
    uint64_t operation;
    size_t n;
    cl_str methods[ROWS];
    cl_server servers[ROWS];
} rows;

static void flush(rows *r)
{
    if (r->n) r->d->sink.status(r->d->sink.self, r->operation, r->methods, r->servers, r->n, 0, 0);
    r->n = 0;
}

/* Whoever came since is told of without. */
static cl_server server_of(const rows *r, cl_str id, cl_str method)
{
    cl_server server = {.id = id};
    size_t at = (size_t)(uintptr_t)cl_strmap_get(&r->q->ids, id);
    if (!at || !r->records || r->records->items[at].type != CL_REPLY_STRING) return server;
    cl_str record = cl_reply_text(r->records, at);
    server.native = CL_NATIVE_OURS;
    server.paused = cl_redis_record_pauses(r->d, record, method);
    server.traits = cl_traits_of_object(record);
    return server;
}

static void tell_found(rows *r, const redis_scan_method *found)
{
    size_t at = 0;
    for (const struct cl_strmap_slot *slot; at < found->ids.cap; at++) {
        slot = &found->ids.slots[at];
        if (!slot->value) continue;
        r->methods[r->n] = found->method;
        r->servers[r->n++] = server_of(r, slot->key, found->method);
        if (r->n == ROWS) flush(r);
    }
}

static void question_free(question *q)
{
    cl_list_remove(&q->link);
    cl_strmap_free(&q->ids);
    cl_buf_free(&q->keys);
    cl_free(q);
}

static void answer(redis_directory *d, question *q, const cl_reply *records, int code)
{
    uint64_t operation = q->operation;
    if (!code) {
        rows r = {.d = d, .q = q, .records = records, .operation = operation};
        size_t at = 0;
        for (redis_scan_method *l; (l = cl_strmap_next(&d->scan.result.methods, &at));) tell_found(&r, l);
        flush(&r);
    }
    question_free(q);
    d->sink.status(d->sink.self, operation, NULL, NULL, 0, 1, code);
}

/* ---- the records */

typedef int each_fn(redis_directory *d, question *q, cl_str id);

static int each_id(redis_directory *d, question *q, each_fn *fn)
{
    const redis_scan_method *l;
    int code = 0;
    for (size_t at = 0; code == 0 && (l = cl_strmap_next(&d->scan.result.methods, &at));)
        for (size_t i = 0; code == 0 && i < l->ids.cap; i++)
            if (l->ids.slots[i].value) code = fn(d, q, l->ids.slots[i].key);
    return code;
}

static int count_id(redis_directory *d, question *q, cl_str id)
{
    q->bytes += d->client->prefix.n + 3 + id.n;
    return 0;
}

static int add_id(redis_directory *d, question *q, cl_str id)
{
    if (cl_strmap_get(&q->ids, id)) return 0;
    cl_buf_add_str(&q->keys, d->client->prefix);
    cl_buf_add(&q->keys, ":N:", 3);
    cl_str own = cl_str_of(q->keys.data + q->keys.len, id.n);
    cl_buf_add_str(&q->keys, id);
    return cl_strmap_put(&q->ids, own, (void *)(uintptr_t)(q->ids.len + 1));
}

static int ask_records(redis_directory *d, question *q)
{
    each_id(d, q, count_id); /* room for all of them first, so that they stay where they are */
    int code = cl_buf_reserve(&q->keys, q->bytes + 1);
    if (code == 0) code = each_id(d, q, add_id);
    if (code || !q->ids.len) return code ? code : CLOUDS_ENOSERVER;
    cl_str *argv = cl_malloc((1 + q->ids.len) * sizeof *argv);
    if (!argv) return CLOUDS_ENOMEM;
    size_t head = d->client->prefix.n + 3;
    argv[0] = CL_STR("MGET");
    for (size_t i = 0; i < q->ids.cap; i++) {
        const struct cl_strmap_slot *slot = &q->ids.slots[i];
        if (slot->value) argv[(size_t)(uintptr_t)slot->value] = cl_str_of(slot->key.p - head, slot->key.n + head);
    }
    code = cl_redis_client_send(d->client, &records_handler, q, 1 + q->ids.len, argv);
    q->asked = code == 0;
    cl_free(argv);
    return code;
}

/* Without the right to read them who serves what is told all the same. */
static void on_records(void *self, const cl_pending *pending, const cl_reply *reply)
{
    redis_directory *d = redis_directory_of(self);
    question *q = cl_redis_from_ref(pending);
    int is_sound = reply->items[0].type == CL_REPLY_ARRAY && reply->len == 1 + q->ids.len;
    if (reply->items[0].type == CL_REPLY_ERROR) cl_redis_client_log_once(d->client, "MGET", cl_reply_text(reply, 0));
    answer(d, q, is_sound ? reply : NULL, 0);
}

static void on_records_lost(void *self, const cl_pending *pending, int sent)
{
    answer(redis_directory_of(self), cl_redis_from_ref(pending), NULL, CLOUDS_EUNREACHABLE);
}

static const cl_redis_handler records_handler = {"MGET", on_records, on_records_lost, 0};

void cl_redis_status(cl_directory *base, uint64_t operation)
{
    redis_directory *d = redis_of(base);
    question *q = cl_malloc(sizeof *q);
    if (!q) { /* reported later; with more than fit there, nothing is left but silence */
        if (d->failed_statuses_len < REDIS_FAILED_STATUSES) d->failed_statuses[d->failed_statuses_len++] = operation;
        cl_redis_defer(d, NULL);
        return;
    }
    *q = (question){.operation = operation, .round = d->scan.round + 1};
    cl_list_append(&d->statuses, &q->link);
    if (cl_session_is_ready(d->client->commands)) cl_redis_scan_want(d);
    else cl_redis_defer(d, NULL);
}

int cl_redis_statuses_want_scan(redis_directory *d, uint64_t round)
{
    CL_LIST_EACH(link, &d->statuses)
    if (!CL_OWNER(link, question, link)->asked && CL_OWNER(link, question, link)->round >= round) return 1;
    return 0;
}

void cl_redis_statuses_scanned(redis_directory *d, int code)
{
    for (cl_list_node *link = d->statuses.next; link != &d->statuses;) {
        question *q = CL_OWNER(link, question, link);
        link = link->next;
        if (q->asked || q->round > d->scan.round) continue;
        if (code || ask_records(d, q)) answer(d, q, NULL, code);
    }
}

void cl_redis_statuses_failed(redis_directory *d)
{
    while (d->failed_statuses_len > 0)
        d->sink.status(d->sink.self, d->failed_statuses[--d->failed_statuses_len], NULL, NULL, 0, 1, CLOUDS_ENOMEM);
}

void cl_redis_statuses_fail(redis_directory *d)
{
    for (cl_list_node *link = d->statuses.next; link != &d->statuses;) {
        question *q = CL_OWNER(link, question, link);
        link = link->next;
        if (!q->asked) answer(d, q, NULL, CLOUDS_EUNREACHABLE);
    }
}

void cl_redis_statuses_free(redis_directory *d)
{
    while (!cl_list_empty(&d->statuses)) {
        question_free(CL_OWNER(d->statuses.next, question, link));
    }
}
