/* Who serves what: one scan that begins after the question, told in rows. */
#include "base/error.h"
#include "base/mem.h"
#include "directory/redis/internal.h"
#include "clouds.h"

enum { ROWS = 256 };

typedef struct question {
    cl_list_node link;
    uint64_t operation;
    uint64_t round; /* the scan that answers it */
} question;

typedef struct rows {
    redis_directory *d;
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

static void tell_found(rows *r, const redis_scan_method *found)
{
    size_t at = 0;
    for (const struct cl_strmap_slot *slot; at < found->ids.cap; at++) {
        slot = &found->ids.slots[at];
        if (!slot->value) continue;
        r->methods[r->n] = found->method;
        r->servers[r->n++] = (cl_server){.id = slot->key};
        if (r->n == ROWS) flush(r);
    }
}

static void answer(redis_directory *d, question *q, int code)
{
    uint64_t operation = q->operation;
    cl_list_remove(&q->link);
    cl_free(q);
    if (!code) {
        rows r = {.d = d, .operation = operation};
        size_t at = 0;
        for (redis_scan_method *l; (l = cl_strmap_next(&d->scan.result.methods, &at));) tell_found(&r, l);
        flush(&r);
    }
    d->sink.status(d->sink.self, operation, NULL, NULL, 0, 1, code);
}

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
    if (CL_OWNER(link, question, link)->round >= round) return 1;
    return 0;
}

void cl_redis_statuses_scanned(redis_directory *d, int code)
{
    for (cl_list_node *link = d->statuses.next; link != &d->statuses;) {
        question *q = CL_OWNER(link, question, link);
        link = link->next;
        if (q->round <= d->scan.round) answer(d, q, code);
    }
}

void cl_redis_statuses_failed(redis_directory *d)
{
    while (d->failed_statuses_len > 0)
        d->sink.status(d->sink.self, d->failed_statuses[--d->failed_statuses_len], NULL, NULL, 0, 1, CLOUDS_ENOMEM);
}

void cl_redis_statuses_fail(redis_directory *d)
{
    while (!cl_list_empty(&d->statuses)) answer(d, CL_OWNER(d->statuses.next, question, link), CLOUDS_EUNREACHABLE);
}

void cl_redis_statuses_free(redis_directory *d)
{
    while (!cl_list_empty(&d->statuses)) {
        question *q = CL_OWNER(d->statuses.next, question, link);
        cl_list_remove(&q->link);
        cl_free(q);
    }
}
