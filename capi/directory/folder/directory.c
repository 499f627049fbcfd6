/* Design notes
 *
 * The directory without a server: a folder is the registry, the lock on a file tells the living from the dead. What an
 * operation has to report is deferred, once a turn. */
#include "directory/folder/internal.h"

#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"

/* ---- lookups and status */

static cl_server *servers_of(const cl_wanted *wanted)
{
    cl_server *servers = cl_malloc((wanted->n + 1) * sizeof *servers);
    if (!servers) return NULL;
    size_t n = 0;
    CL_LIST_EACH(it, &wanted->list)
    {
        servers[n++] = cl_entry_server(CL_OWNER(it, cl_entry, in_method));
    }
    return servers;
}

/* Who was listed may be gone when its entry is read, and who came in its place meanwhile is in no list but that of the
 * news. So nobody is told "none" before that was read. */
static void lookup_now(void *self, const cl_deferred *question)
{
    cl_folder_directory *d = self;
    cl_wanted *wanted = cl_entries_want(d, question->text);
    if (wanted) cl_entries_check(d, wanted);
    if (wanted && wanted->n == 0) cl_fs_watch_read(d->watch);
    cl_server *servers = wanted ? servers_of(wanted) : NULL;
    d->sink.servers(d->sink.self, question->text, servers, servers ? wanted->n : 0, servers ? 0 : CLOUDS_ENOMEM);
    cl_free(servers);
}

/* Without memory the caller's own deadline ends its wait. */
static void lookup(cl_directory *base, cl_str method, int known)
{
    cl_defer_once(&cl_folder_of(base)->deferred, lookup_now, method);
}

static void status(cl_directory *base, uint64_t operation)
{
    cl_defer(&cl_folder_of(base)->deferred, cl_folder_status, NULL, operation, 0, CL_STR_NONE);
}

static int has_other(cl_directory *base, cl_str id)
{
    return cl_entries_has_other(cl_folder_of(base), id);
}

static void suspend(cl_directory *base, cl_str id, int on)
{
    cl_entries_tell(cl_folder_of(base), id, !on);
}

/* ---- life */

static void flush(cl_directory *base)
{
    cl_folder_directory *d = cl_folder_of(base);
    base->has_work = d->closing;
    cl_deferred_run(&d->deferred);
    if (!d->closing || d->told_closed || !cl_deferred_is_empty(&d->deferred)) return;
    d->told_closed = 1;
    d->sink.closed(d->sink.self);
}

static void close_directory(cl_directory *base)
{
    cl_folder_directory *d = cl_folder_of(base);
    d->closing = base->has_work = 1;
    cl_loop_defer(d->loop);
}

static void destroy(cl_directory *base)
{
    cl_folder_directory *d = cl_folder_of(base);
    CL_LIST_EACH(it, &d->nodes) cl_folder_node_free(CL_OWNER(it, cl_folder_node, place));
    CL_LIST_EACH(at, &d->probes) cl_free(CL_OWNER(at, cl_probe, place));
    cl_deferred_free(&d->deferred);
    cl_folder_sweep_end(d);
    cl_fs_watch_destroy(d->watch);
    cl_loop_timer_destroy(d->timer);
    cl_folder_close(&d->folder);
    cl_entries_free(&d->entries);
    cl_followed_free(d);
    cl_strmap_free(&d->node_by_id);
    cl_strmap_free(&d->node_by_key);
    cl_idmap_free(&d->by_node);
    cl_free(d->name);
    cl_free(d);
}

static const cl_directory_ops ops = {
    .claim = cl_folder_claim,
    .announce = cl_folder_announce,
    .add = cl_folder_add,
    .remove = cl_folder_remove,
    .pause = cl_folder_pause,
    .describe = cl_folder_describe,
    .subscribe = cl_folder_subscribe,
    .unsubscribe = cl_folder_unsubscribe,
    .follow = cl_folder_follow,
    .drain = cl_folder_drain,
    .leave = cl_folder_leave,
    .lookup = lookup,
    .locate = cl_folder_locate,
    .has_other = has_other,
    .suspend = suspend,
    .suspect = cl_folder_suspect,
    .status = status,
    .flush = flush,
    .close = close_directory,
    .destroy = destroy,
};

int cl_folder_directory_create(cl_loop *loop, const char *name, const cl_directory_sink *sink, cl_directory **out)
{
    cl_folder_directory *d = cl_calloc(1, sizeof *d);
    if (!d) return cl_error(CLOUDS_ENOMEM, NULL);
    d->base = (cl_directory){.ops = &ops, .up = 1};
    d->loop = loop;
    d->sink = *sink;
    d->owner = getpid();
    d->folder.fd = -1;
    d->due = INT64_MAX;
    cl_list_init(&d->nodes);
    cl_list_init(&d->probes);
    cl_deferred_init(&d->deferred, loop, d, &d->base.has_work);
    cl_entries_init(&d->entries);
    d->name = cl_str_dup(cl_str_z(name));
    int code = d->name ? cl_loop_timer_create(loop, cl_folder_due, d, &d->timer) : CLOUDS_ENOMEM;
    if (code == 0) code = cl_folder_enter(d);
    if (code != 0) {
        destroy(&d->base);
        return code == CLOUDS_ENOMEM ? cl_error(code, NULL) : code;
    }
    cl_folder_sweep_begin(d);
    *out = &d->base;
    return 0;
}
