/* Design notes
 *
 * The directory on etcd: a key for each node, under one lease a context, over etcd's JSON gateway. It is up when a member
 * answers and the keys of all nodes that were found are there again.
 *
 *   claim      nothing yet: whose an id is shows when its key is put
 *   announce   the node listens, so its key is put: then it is found, or the id is another's
 *   drain      its record says so, and names no method any more
 *   leave      its key is deleted; of the last one the lease is revoked
 *
 * One timer serves all that takes time: it is set for the earliest thing and looks at everything when it is due. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/rand.h"
#include "directory/etcd/internal.h"

/* ---- time */

void cl_etcd_due_by(etcd *d, int64_t when)
{
    if (when >= d->due) return;
    d->due = when;
    cl_loop_timer_set(d->timer, when);
}

static void on_due(void *self)
{
    etcd *d = self;
    int64_t now = cl_loop_now();
    d->due = INT64_MAX;
    cl_etcd_session_due(d, now);
    cl_etcd_lease_due(d, now);
    cl_etcd_watch_due(d, now);
    cl_etcd_view_due(d, now);
    cl_etcd_put_due(d, now);
}

void cl_etcd_defer(etcd *d)
{
    d->base.has_work = 1;
    cl_loop_defer(d->loop);
}

/* ---- up */

void cl_etcd_check_up(etcd *d)
{
    if (d->base.up || d->closing || d->state != ETCD_READY) return;
    if ((d->wanted && d->synced && !d->watching) || !cl_etcd_put_is_complete(d)) return;
    d->base.up = 1;
    d->failures = 0;
    d->sink.state(d->sink.self, 1, 0, "");
}

/* ---- what is deferred */

static void end_operations(etcd *d)
{
    CL_LIST_EACH(it, &d->nodes)
    {
        etcd_node *node = CL_OWNER(it, etcd_node, place);
        if (node->draining) cl_etcd_operations_end(node, UINT64_MAX, CLOUDS_ECLOSED, "the node is closing");
    }
}

static void finish_close(etcd *d)
{
    if (!d->closing || d->told_closed || !cl_list_empty(&d->nodes)) return;
    d->told_closed = 1;
    d->base.has_work = 0;
    cl_etcd_watch_reset(d);
    d->sink.closed(d->sink.self);
}

static void flush(cl_directory *base)
{
    etcd *d = cl_etcd_of(base);
    base->has_work = 0;
    end_operations(d);
    cl_etcd_work(d);
    cl_etcd_lookups_run(d);
    if (d->state == ETCD_RESTING) cl_etcd_statuses_end(d, CLOUDS_EUNREACHABLE);
    finish_close(d);
}

/* ---- life */

static void close_directory(cl_directory *base)
{
    etcd *d = cl_etcd_of(base);
    d->closing = 1;
    cl_etcd_defer(d);
}

static void destroy(cl_directory *base)
{
    etcd *d = cl_etcd_of(base);
    d->tells = 0;
    CL_LIST_EACH(it, &d->nodes) cl_etcd_node_free(CL_OWNER(it, etcd_node, place));
    cl_etcd_session_free(d);
    cl_etcd_view_free(d);
    cl_etcd_left_free(d);
    cl_etcd_statuses_free(d);
    cl_deferred_free(&d->waiting);
    cl_deferred_free(&d->locating);
    cl_deferred_free(&d->doubts);
    cl_deferred_free(&d->doubted);
    cl_buf_free(&d->snapshot.from);
    cl_buf_free(&d->listing.from);
    cl_buf_free(&d->host);
    cl_loop_timer_destroy(d->timer);
    cl_idmap_free(&d->by_handle);
    cl_strmap_free(&d->by_id);
    cl_free(d->memory);
    cl_free(d);
}

static const cl_directory_ops ops = {
    .claim = cl_etcd_claim,
    .announce = cl_etcd_announce,
    .add = cl_etcd_add,
    .remove = cl_etcd_remove,
    .pause = cl_etcd_pause,
    .describe = cl_etcd_describe,
    .subscribe = cl_etcd_subscribe,
    .unsubscribe = cl_etcd_unsubscribe,
    .follow = cl_etcd_follow,
    .abandon = cl_etcd_abandon,
    .drain = cl_etcd_drain,
    .leave = cl_etcd_leave,
    .lookup = cl_etcd_lookup,
    .locate = cl_etcd_locate,
    .has_other = cl_etcd_has_other,
    .suspend = cl_etcd_suspend,
    .suspect = cl_etcd_suspect,
    .drains = cl_etcd_drains,
    .status = cl_etcd_status,
    .flush = flush,
    .close = close_directory,
    .destroy = destroy,
};

/* "<prefix>/n/", and what is behind all that begins so. */
static int name_keys(etcd *d, const char *prefix)
{
    size_t n = strlen(prefix);
    d->memory = cl_malloc(2 * (n + 3));
    if (!d->memory) return cl_error(CLOUDS_ENOMEM, NULL);
    for (int i = 0; i < 2; i++) {
        char *to = d->memory + (size_t)i * (n + 3);
        memcpy(to, prefix, n);
        memcpy(to + n, i ? "/n0" : "/n/", 3);
    }
    d->prefix = cl_str_of(d->memory, n + 3);
    d->end = cl_str_of(d->memory + n + 3, n + 3);
    return 0;
}

static int introduce(etcd *d)
{
    char host[65] = "?";
    struct timespec now;
    uint64_t context;
    if (cl_random_bytes(&context, sizeof context) != 0 || cl_random_bytes(&d->random, sizeof d->random) != 0)
        return cl_error(CLOUDS_ESYSTEM, "no random bytes");
    snprintf(d->context, sizeof d->context, "%016llx", (unsigned long long)context);
    gethostname(host, sizeof host - 1);
    clock_gettime(CLOCK_REALTIME, &now);
    int code = cl_json_quote(cl_str_z(host), &d->host);
    d->writer = (cl_etcd_record_writer){.context = d->context,
                                   .host = cl_buf_str(&d->host),
                                   .pid = (long)getpid(),
                                   .started = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000};
    return code ? cl_error(code, NULL) : 0;
}

int cl_etcd_directory_create(cl_loop *loop, const cl_url *url, const cl_limits *limits, const cl_directory_sink *sink,
                             cl_directory **out)
{
    etcd *d = cl_calloc(1, sizeof *d);
    if (!d) return cl_error(CLOUDS_ENOMEM, NULL);
    d->base.ops = &ops;
    d->loop = loop;
    d->sink = *sink;
    d->limits = *limits;
    d->owner = getpid();
    d->due = d->rest_at = INT64_MAX;
    cl_list_init(&d->requests);
    cl_list_init(&d->nodes);
    cl_list_init(&d->left);
    cl_list_init(&d->statuses);
    cl_deferred_init(&d->waiting, loop, d, NULL);
    cl_deferred_init(&d->locating, loop, d, NULL);
    cl_deferred_init(&d->doubts, loop, d, NULL);
    cl_deferred_init(&d->doubted, loop, d, NULL);
    int code = cl_loop_timer_create(loop, on_due, d, &d->timer);
    if (code == 0) code = introduce(d);
    if (code == 0) code = name_keys(d, url->prefix);
    if (code == 0) code = cl_etcd_session_init(d, url);
    if (code == 0) *out = &d->base;
    else destroy(&d->base);
    if (code == 0) cl_etcd_due_by(d, cl_loop_now());
    return code;
}
