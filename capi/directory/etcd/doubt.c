/* Design note. What is known of all nodes is a moment old, by as much as the watch is behind. Who has just heard that a
 * node is there, from anybody, must find it: so nobody is told "there is none" before etcd was asked for what has changed
 * since. All that asked meanwhile share one question. */
#include "base/error.h"
#include "base/mem.h"
#include "directory/etcd/internal.h"

enum { ABSENT_MS = 1000 };

static void out_of_memory(etcd *d)
{
    cl_etcd_session_fail(d, CLOUDS_ENOMEM, "out of memory");
}

static int apply(etcd *d, cl_str body)
{
    cl_etcd_list list;
    cl_etcd_kv kv;
    int more, code = 0;
    cl_etcd_list_begin(&list, cl_etcd_member(body, "kvs"));
    while (code == 0 && (more = cl_etcd_next_kv(&list, &kv)) != 0) code = more < 0 ? more : cl_etcd_view_put(d, &kv);
    cl_etcd_list_end(&list);
    return code;
}

static void on_changes(etcd *d, void *of, const etcd_answer *answer)
{
    d->doubting = 0;
    if (answer->code != 0) {
        cl_etcd_session_fail(d, answer->code, answer->words);
        return;
    }
    int code = apply(d, answer->body);
    if (code == CLOUDS_ENOMEM) out_of_memory(d);
    else if (code != 0) cl_etcd_session_broken(d, "/v3/kv/range");
    else cl_deferred_run(&d->doubted);
    if (code == 0) cl_etcd_work(d);
}

void cl_etcd_doubt(etcd *d, void (*run)(void *owner, const cl_deferred *question), cl_str text)
{
    if (cl_defer_once(&d->doubts, run, text) == 0) cl_etcd_defer(d);
}

void cl_etcd_doubt_work(etcd *d)
{
    if (d->doubting || !d->synced || cl_deferred_is_empty(&d->doubts)) return;
    cl_buf_clear(&d->body);
    if (cl_etcd_ask_changes(&d->body, d->prefix, d->end, d->revision + 1) != 0 ||
        !cl_etcd_post(d, "/v3/kv/range", on_changes, NULL)) {
        out_of_memory(d);
        return;
    }
    d->doubting = 1;
    cl_list_move(&d->doubts.list, &d->doubted.list);
}

/* The question is gone: it is asked again. */
void cl_etcd_doubt_reset(etcd *d)
{
    d->doubting = 0;
    while (!cl_list_empty(&d->doubted.list)) {
        cl_list_node *last = d->doubted.list.prev;
        cl_list_remove(last);
        cl_list_insert_first(&d->doubts.list, last);
    }
}

/* ---- nodes that are known not to be there, for a moment */

int cl_etcd_is_absent(const etcd *d, cl_str id)
{
    int64_t now = cl_loop_now();
    for (size_t i = 0; i < ETCD_ABSENT; i++) {
        const struct etcd_absent *a = &d->absent[i];
        if (a->until > now && cl_str_eq(id, cl_str_of(a->text, a->n))) return 1;
    }
    return 0;
}

void cl_etcd_set_absent(etcd *d, cl_str id)
{
    struct etcd_absent *a = &d->absent[d->absent_next++ % ETCD_ABSENT];
    a->n = id.n < sizeof a->text ? id.n : sizeof a->text;
    memcpy(a->text, id.p, a->n);
    a->until = cl_loop_now() + ABSENT_MS;
}
