/* Design note. One watch of all keys. It begins where the snapshot, or what came last, ends; where that is compacted
 * away, a snapshot closes the gap. A watch that ends in another way is the end of the session: a new one, with the same
 * member or another, resumes it. What ends again and again at once is not made anew at once. */
#include <stdio.h>

#include "base/error.h"
#include "base/seconds.h"
#include "directory/etcd/internal.h"

enum { LINE_MOST = 4 << 20 };

static const char path[] = "/v3/watch";

void cl_etcd_watch_reset(etcd *d)
{
    cl_http_cancel(d->watch);
    d->watch = NULL;
    d->watching = 0;
    d->watch_by = 0;
}

/* It failed: soon, and then ever later. */
static void watch_later(etcd *d)
{
    int64_t least = cl_ms(d->limits.reconnect_min), most = cl_ms(d->limits.reconnect_max);
    unsigned faults = d->watch_faults++;
    int64_t ms = faults == 0 ? 0 : least << (faults < 12 ? faults - 1 : 11);
    d->watch_at = cl_loop_now() + (ms < most ? ms : most);
}

/* ---- the snapshot */

static void on_snapshot(etcd *d, const etcd_answer *answer)
{
    if (answer->grpc == CL_ETCD_COMPACTED) {
        watch_later(d);
        cl_etcd_work(d);
        return;
    }
    if (answer->code != 0) {
        cl_etcd_session_fail(d, answer->code, answer->words);
        return;
    }
    d->revision = d->snapshot.revision;
    cl_etcd_view_sweep(d);
    d->synced = 1;
    cl_etcd_subscriptions_tell(d);
    cl_etcd_defer(d);
    cl_etcd_work(d);
}

/* ---- the watch */

static int apply(etcd *d, const cl_etcd_news *news)
{
    cl_etcd_list list;
    cl_etcd_kv kv;
    int more, code = 0;
    cl_etcd_list_begin(&list, news->events);
    while ((more = cl_etcd_next_event(&list, &kv)) == 1 && code == 0) {
        if (kv.deleted) cl_etcd_view_delete(d, kv.key, kv.modified);
        else code = cl_etcd_view_put(d, &kv);
        if (kv.modified > d->revision) d->revision = kv.modified;
    }
    cl_etcd_list_end(&list);
    return code ? code : more < 0 ? more : 0;
}

static void canceled(etcd *d, const cl_etcd_news *news)
{
    cl_etcd_watch_reset(d);
    if (news->compacted <= 0) {
        cl_etcd_watch_refused(d, news->reason, 0);
        return;
    }
    d->revision = 0;
    watch_later(d);
    cl_etcd_work(d);
}

/* 1: the watch goes on. */
static int on_line(etcd *d, cl_str line)
{
    cl_etcd_news news;
    cl_etcd_refusal refusal;
    if (line.n == 0) return 1;
    int code = cl_etcd_check(line);
    if (code == 0 && cl_etcd_refusal_of(line, &refusal)) {
        cl_etcd_watch_reset(d);
        cl_etcd_watch_refused(d, refusal.message, refusal.code);
        return 0;
    }
    if (code == 0) code = cl_etcd_news_of(line, &news);
    if (code == 0 && news.is_canceled) {
        canceled(d, &news);
        return 0;
    }
    if (code == 0) code = apply(d, &news);
    if (code != 0) {
        if (code == CLOUDS_ENOMEM) cl_etcd_session_fail(d, code, "out of memory");
        else cl_etcd_session_broken(d, path);
        return 0;
    }
    /* What tells of progress has seen everything up to there. */
    if (!news.is_created && !news.events.n && news.header.revision > d->revision) d->revision = news.header.revision;
    if (news.is_created && !d->watching) {
        d->watching = 1;
        d->watch_by = 0;
        d->token_worked |= d->token != NULL;
        cl_etcd_check_up(d);
    }
    if (news.events.n) d->watch_faults = 0;
    return d->watch != NULL;
}

static int on_data(void *self, int status, cl_buf *in)
{
    etcd *d = self;
    size_t at = 0;
    if (status != 200) return 0;
    for (const char *end; (end = memchr(in->data + at, '\n', in->len - at));) {
        cl_str line = cl_str_of(in->data + at, (size_t)(end - in->data) - at);
        at += line.n + 1;
        if (!on_line(d, line)) return 0; /* the request is gone, and its bytes with it */
    }
    cl_buf_consume(in, at);
    return 0;
}

static void on_refused(etcd *d, void *of, const etcd_answer *answer)
{
    cl_etcd_session_fail(d, answer->code, answer->words);
}

static void on_done(void *self, const cl_http_end *end)
{
    etcd *d = self;
    char words[sizeof d->words], where[300];
    d->watch = NULL;
    if (end->code == 0 && end->status != 200) {
        cl_etcd_answered_badly(d, path, on_refused, end);
        return;
    }
    snprintf(words, sizeof words, end->code ? "etcd at %.400s" : "%.400s: it ended the watch",
             end->code ? end->words : cl_etcd_where(d, where));
    cl_etcd_session_fail(d, end->code ? end->code : CLOUDS_EUNREACHABLE, words);
}

static void begin(etcd *d)
{
    const cl_http_handler handler = {.self = d, .data = on_data, .done = on_done};
    cl_buf_clear(&d->body);
    int code = cl_etcd_ask_watch(&d->body, d->prefix, d->end, d->revision + 1);
    const cl_http_question question = cl_etcd_question(d, path, LINE_MOST);
    if (code == 0) code = cl_http_post(d->http, &question, &handler, &d->watch);
    if (code != 0) {
        cl_etcd_session_fail(d, code, "out of memory");
        return;
    }
    d->watch_by = cl_loop_now() + cl_etcd_patience(d);
    cl_etcd_due_by(d, d->watch_by);
}

void cl_etcd_watch_work(etcd *d)
{
    if (!d->wanted || d->watch || d->snapshot.is_under_way) return;
    if (cl_loop_now() < d->watch_at) {
        cl_etcd_due_by(d, d->watch_at);
    } else if (d->revision) {
        begin(d);
    } else {
        d->round++;
        d->snapshot.each = cl_etcd_view_put;
        d->snapshot.end = on_snapshot;
        cl_etcd_walk_begin(d, &d->snapshot);
    }
}

void cl_etcd_watch_due(etcd *d, int64_t now)
{
    char words[400], where[300];
    if (!d->watch_by) return;
    if (now < d->watch_by) {
        cl_etcd_due_by(d, d->watch_by);
        return;
    }
    snprintf(words, sizeof words, "%s: no watch in time", cl_etcd_where(d, where));
    cl_etcd_session_fail(d, CLOUDS_EUNREACHABLE, words);
}
