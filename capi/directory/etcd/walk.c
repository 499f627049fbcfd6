/* All keys below the prefix, a page at a time: every page is of the moment of the first. And the answer to status,
 * which is read afresh. */
#include "base/error.h"
#include "base/mem.h"
#include "directory/etcd/internal.h"

enum { PAGE = 256 };

typedef struct etcd_status {
    cl_list_node place;
    uint64_t operation;
} etcd_status;

/* ---- walking */

static void ask(etcd *d, etcd_walk *walk);

void cl_etcd_walk_reset(etcd_walk *walk)
{
    cl_buf_free(&walk->from);
    walk->is_under_way = 0;
    walk->revision = 0;
}

static void end(etcd *d, etcd_walk *walk, const etcd_answer *answer)
{
    cl_buf_free(&walk->from);
    walk->is_under_way = 0;
    walk->end(d, answer);
}

/* The next page begins behind the last key of this one; a page that leads nowhere is none of etcd. */
static int read_page(etcd *d, etcd_walk *walk, cl_str body)
{
    cl_etcd_list list;
    cl_etcd_kv kv;
    cl_etcd_header header;
    int more, code = cl_etcd_header_of(body, &header);
    if (code == 0 && header.revision <= 0) code = CLOUDS_EPROTO;
    if (code == 0 && !walk->revision) walk->revision = header.revision;
    cl_etcd_list_begin(&list, cl_etcd_member(body, "kvs"));
    while (code == 0 && (more = cl_etcd_next_kv(&list, &kv)) != 0) {
        code = more < 0 ? more : walk->each(d, &kv);
        cl_str from = cl_buf_str(&walk->from);
        size_t shorter = from.n < kv.key.n ? from.n : kv.key.n;
        int order = code == 0 ? memcmp(kv.key.p, from.p, shorter) : 0;
        if (order < 0 || (order == 0 && kv.key.n < from.n)) code = code ? code : CLOUDS_EPROTO;
        if (code != 0) break;
        cl_buf_clear(&walk->from);
        code = cl_buf_put_str(&walk->from, kv.key);
        if (code == 0) code = cl_buf_put_char(&walk->from, '\0');
    }
    cl_etcd_list_end(&list);
    return code;
}

static void on_page(etcd *d, void *of, const etcd_answer *answer)
{
    etcd_walk *walk = of;
    if (answer->code != 0) {
        end(d, walk, answer);
        return;
    }
    size_t before = walk->from.len;
    int code = read_page(d, walk, answer->body);
    if (code == CLOUDS_ENOMEM) cl_etcd_session_fail(d, code, "out of memory");
    else if (code != 0) cl_etcd_session_broken(d, "/v3/kv/range");
    else if (!cl_etcd_is_true(answer->body, "more")) end(d, walk, answer);
    else if (walk->from.len == before && walk->from.len == d->prefix.n) cl_etcd_session_broken(d, "/v3/kv/range");
    else ask(d, walk);
}

static void ask(etcd *d, etcd_walk *walk)
{
    cl_buf_clear(&d->body);
    if (cl_etcd_ask_range(&d->body, cl_buf_str(&walk->from), d->end, PAGE, walk->revision, 0) != 0 ||
        !cl_etcd_post(d, "/v3/kv/range", on_page, walk))
        cl_etcd_session_fail(d, CLOUDS_ENOMEM, "out of memory");
}

void cl_etcd_walk_begin(etcd *d, etcd_walk *walk)
{
    walk->is_under_way = 1;
    walk->revision = 0;
    cl_buf_clear(&walk->from);
    if (cl_buf_put_str(&walk->from, d->prefix) == 0) ask(d, walk);
    else cl_etcd_session_fail(d, CLOUDS_ENOMEM, "out of memory");
}

/* ---- status */

static etcd_status *first(const etcd *d)
{
    return cl_list_empty(&d->statuses) ? NULL : CL_OWNER(d->statuses.next, etcd_status, place);
}

static int tell_row(etcd *d, const cl_etcd_kv *kv)
{
    cl_etcd_record record;
    cl_str id = cl_etcd_id_of(d, kv->key);
    int code = id.n ? cl_etcd_record_read(kv->value, &record) : CLOUDS_EPROTO;
    if (code != 0) return code == CLOUDS_ENOMEM ? code : 0;
    const cl_server server = {id, CL_NATIVE_LINKED, 0, record.traits};
    const cl_server paused = {id, CL_NATIVE_LINKED, 1, record.traits};
    for (size_t i = 0; i < record.methods_n; i++)
        d->sink.status(d->sink.self, first(d)->operation, &record.methods[i], &server, 1, 0, 0);
    for (size_t i = 0; i < record.paused_n; i++)
        d->sink.status(d->sink.self, first(d)->operation, &record.paused[i], &paused, 1, 0, 0);
    cl_etcd_record_free(&record);
    return 0;
}

static void end_first(etcd *d, int code)
{
    etcd_status *status = first(d);
    uint64_t operation = status->operation;
    cl_list_remove(&status->place);
    cl_free(status);
    d->sink.status(d->sink.self, operation, NULL, NULL, 0, 1, code);
}

static void on_listed(etcd *d, const etcd_answer *answer)
{
    end_first(d, answer->code);
    cl_etcd_work(d);
}

void cl_etcd_status_work(etcd *d)
{
    if (!first(d) || d->listing.is_under_way) return;
    d->listing.each = tell_row;
    d->listing.end = on_listed;
    cl_etcd_walk_begin(d, &d->listing);
}

void cl_etcd_statuses_end(etcd *d, int code)
{
    while (first(d)) end_first(d, code);
}

/* Without memory its time ends it. */
void cl_etcd_status(cl_directory *base, uint64_t operation)
{
    etcd *d = cl_etcd_of(base);
    etcd_status *status = cl_malloc(sizeof *status);
    if (!status) return;
    status->operation = operation;
    cl_list_append(&d->statuses, &status->place);
    cl_etcd_defer(d);
}

void cl_etcd_statuses_free(etcd *d)
{
    CL_LIST_EACH(it, &d->statuses) cl_free(CL_OWNER(it, etcd_status, place));
}
