/* The directory within a process: all of one name share a registry.
 *
 * When the process was forked, the locks may be held by threads that the child does not have: it touches none. */
#include "directory/memory/internal.h"

#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "proto/frame.h"
#include "proto/limits.h"

static memory *of(cl_directory *base)
{
    return CL_OWNER(base, memory, base);
}

static entry *entry_of(memory *m, const void *node)
{
    return cl_idmap_get(&m->by_node, (uint64_t)(uintptr_t)node);
}

/* ---- nodes */

static int in_use(cl_str id)
{
    return cl_error(CLOUDS_EEXIST, "the node id %.*s is in use by process %ld (this one)",
                    (int)(id.n < 100 ? id.n : 100), id.p, (long)getpid());
}

static void free_entry(memory *m, entry *e)
{
    cl_idmap_take(&m->by_node, (uint64_t)(uintptr_t)e->node);
    cl_list_remove(&e->mine);
    cl_strmap_free(&e->registrations);
    cl_free(e);
}

static int claim(cl_directory *base, void *node, cl_str id, double heartbeat, cl_address *at)
{
    memory *m = of(base);
    at->text[0] = '\0';
    entry *e = cl_calloc(1, sizeof *e + id.n);
    if (!e) return cl_error(CLOUDS_ENOMEM, NULL);
    memcpy(e->text, id.p, id.n);
    e->id = cl_str_of(e->text, id.n);
    e->node = node;
    e->member = m;
    cl_list_init(&e->subscriptions);
    cl_list_append(&m->entries, &e->mine);
    int code = cl_idmap_put(&m->by_node, (uint64_t)(uintptr_t)node, e);
    if (code == 0) code = cl_registry_claim(m, e);
    if (code == 0) return 0;
    free_entry(m, e);
    return code == CLOUDS_EEXIST ? in_use(id) : cl_error(code, NULL);
}

static int announce(cl_directory *base, void *node, const cl_address *addresses, size_t n)
{
    return 0;
}

static int add(cl_directory *base, void *node, cl_str name, uint64_t operation)
{
    memory *m = of(base);
    entry *e = entry_of(m, node);
    if (!e) return cl_error(CLOUDS_ECLOSED, NULL);
    int code = cl_registry_add(m, e, name);
    return code ? cl_error(code, NULL) : 0;
}

static int remove_method(cl_directory *base, void *node, cl_str name, uint64_t operation)
{
    memory *m = of(base);
    entry *e = entry_of(m, node);
    if (!e) return cl_error(CLOUDS_ECLOSED, NULL);
    cl_registry_remove(m, e, name);
    return 0;
}

static void pause_method(cl_directory *base, void *node, cl_str name, int paused)
{
    memory *m = of(base);
    entry *e = entry_of(m, node);
    if (e) cl_registry_pause(m, e, name, paused);
}

static void describe(cl_directory *base, void *node, const cl_traits *traits)
{
    memory *m = of(base);
    entry *e = entry_of(m, node);
    if (e) cl_registry_describe(m, e, traits);
}

static int subscribe(cl_directory *base, void *node, cl_str topic, cl_str group)
{
    memory *m = of(base);
    entry *e = entry_of(m, node);
    if (!e) return cl_error(CLOUDS_ECLOSED, NULL);
    int code = cl_registry_subscribe(m, e, topic, group);
    return code ? cl_error(code, NULL) : 0;
}

static void unsubscribe(cl_directory *base, void *node, cl_str topic, cl_str group)
{
    memory *m = of(base);
    entry *e = entry_of(m, node);
    if (e) cl_registry_unsubscribe(m, e, topic, group);
}

/* Without memory for the list that of before goes on; so for the first time there is none. */
static int follow(cl_directory *base)
{
    memory *m = of(base);
    cl_buf rows = {0};
    cl_envelope e;
    int64_t took;
    if (m->followed == m->registry->subscribed) return 0;
    int code = cl_registry_subscriptions(m, &rows);
    if (code == 0) m->sink.subscriptions(m->sink.self, 1);
    for (size_t at = 0;
         code == 0 && (took = cl_frame_decode(cl_str_of(rows.data + at, rows.len - at), SIZE_MAX, &e)) > 0;
         at += (size_t)took)
        m->sink.subscription(m->sink.self, e.from, e.method, e.id, 1);
    if (code == 0) m->sink.subscriptions(m->sink.self, 0);
    cl_buf_free(&rows);
    return 0;
}

static void drain(cl_directory *base, void *node)
{
    memory *m = of(base);
    entry *e = entry_of(m, node);
    if (e) cl_registry_drain(m, e);
}

static void give_up(memory *m, entry *e)
{
    cl_registry_leave(m, e);
    free_entry(m, e);
}

static int leave(cl_directory *base, void *node)
{
    memory *m = of(base);
    entry *e = entry_of(m, node);
    if (e) give_up(m, e);
    return 0;
}

/* ---- lookups and status */

typedef struct rows {
    cl_buf frames;
    cl_server *servers;
    cl_str *methods;
    size_t n;
    int code;
} rows;

/* Both arrays are cut from one block, sized by the smallest frame. */
static rows list_rows(memory *m, const cl_str *name)
{
    rows r = {.n = 0};
    r.code = cl_registry_list(m, name, &r.frames);
    size_t most = r.frames.len / (CL_FRAME_PREFIX + CL_FRAME_HEAD) + 1;
    r.servers = r.code == 0 ? cl_malloc(most * (sizeof *r.servers + sizeof *r.methods)) : NULL;
    if (!r.servers) {
        r.code = CLOUDS_ENOMEM;
        return r;
    }
    r.methods = (cl_str *)(void *)(r.servers + most);
    cl_envelope e;
    int64_t took;
    for (size_t at = 0; (took = cl_frame_decode(cl_str_of(r.frames.data + at, r.frames.len - at), SIZE_MAX, &e)) > 0;
         r.n++) {
        at += (size_t)took;
        r.servers[r.n] = (cl_server){e.from, CL_NATIVE_LINKED, e.type == ROW_PAUSED, cl_traits_read(e.id)};
        r.methods[r.n] = e.method;
    }
    return r;
}

static void free_rows(rows *r)
{
    cl_buf_free(&r->frames);
    cl_free(r->servers);
}

static void lookup_now(void *owner, const cl_deferred *d)
{
    memory *m = owner;
    rows r = list_rows(m, &d->text);
    m->sink.servers(m->sink.self, d->text, r.servers, r.n, r.code);
    free_rows(&r);
}

static void status_now(void *owner, const cl_deferred *d)
{
    memory *m = owner;
    rows r = list_rows(m, NULL);
    if (r.n) m->sink.status(m->sink.self, d->number, r.methods, r.servers, r.n, 0, 0);
    m->sink.status(m->sink.self, d->number, NULL, NULL, 0, 1, r.code);
    free_rows(&r);
}

/* Without memory the caller's own deadline ends its wait. */
static void lookup(cl_directory *base, cl_str name, int known)
{
    cl_defer_once(&of(base)->deferred, lookup_now, name);
}

static void unwatch(cl_directory *base, cl_str name)
{
    cl_registry_unwatch(of(base), name);
}

static void status(cl_directory *base, uint64_t operation)
{
    cl_defer(&of(base)->deferred, status_now, NULL, operation, 0, CL_STR_NONE);
}

static int locate(cl_directory *base, cl_str id, cl_address *address)
{
    address->text[0] = '\0'; /* a mailbox is found by the id of its node */
    return 0;
}

/* ---- reading */

static void on_announcement(memory *m, const cl_envelope *e)
{
    const cl_directory_sink *sink = &m->sink;
    if (e->type == ANNOUNCE_UP)
        sink->server_up(sink->self, e->method, (cl_server){e->from, CL_NATIVE_LINKED, 0, cl_traits_read(e->id)});
    else if (e->type == ANNOUNCE_DOWN) sink->server_down(sink->self, e->method, e->from);
    else sink->peer_draining(sink->self, e->from);
}

static void read_box(void *self)
{
    memory *m = self;
    cl_envelope e;
    int64_t took;
    if (m->is_reading || !atomic_load_explicit(&m->woken, memory_order_acquire)) return;
    m->is_reading = 1;
    cl_buf_clear(&m->reading);
    cl_registry_fetch(m);
    cl_buf *in = &m->reading;
    for (size_t at = 0; (took = cl_frame_decode(cl_str_of(in->data + at, in->len - at), SIZE_MAX, &e)) > 0;
         at += (size_t)took)
        on_announcement(m, &e);
    if (in->cap > m->most) cl_buf_free(in);
    m->is_reading = 0;
}

static void flush(cl_directory *base)
{
    memory *m = of(base);
    base->has_work = m->closing;
    read_box(m);
    cl_deferred_run(&m->deferred);
    if (!m->closing || !cl_deferred_is_empty(&m->deferred)) return;
    m->closing = 0;
    m->sink.closed(m->sink.self);
}

/* ---- life */

static void close_directory(cl_directory *base)
{
    memory *m = of(base);
    m->closing = base->has_work = 1;
    cl_loop_defer(m->loop);
}

/* A child of a fork just lets go. */
static void destroy(cl_directory *base)
{
    memory *m = of(base);
    int is_child = m->owner != getpid();
    if (m->registry && !is_child) cl_registry_detach(m);
    CL_LIST_EACH(it, &m->entries)
    {
        entry *e = CL_OWNER(it, entry, mine);
        if (is_child) free_entry(m, e);
        else give_up(m, e);
    }
    cl_deferred_free(&m->deferred);
    if (m->registry && !is_child) cl_registry_part(m);
    cl_waker_destroy(m->waker);
    cl_strmap_free(&m->asked);
    cl_idmap_free(&m->by_node);
    cl_buf_free(&m->box);
    cl_buf_free(&m->reading);
    cl_free(m);
}

static const cl_directory_ops ops = {
    .claim = claim,
    .announce = announce,
    .add = add,
    .remove = remove_method,
    .pause = pause_method,
    .describe = describe,
    .subscribe = subscribe,
    .unsubscribe = unsubscribe,
    .follow = follow,
    .drain = drain,
    .leave = leave,
    .lookup = lookup,
    .unwatch = unwatch,
    .locate = locate,
    .status = status,
    .flush = flush,
    .close = close_directory,
    .destroy = destroy,
};

int cl_memory_directory_create(cl_loop *loop, const char *name, const cl_limits *limits, const cl_directory_sink *sink,
                               cl_directory **out)
{
    memory *m = cl_calloc(1, sizeof *m);
    if (!m) return cl_error(CLOUDS_ENOMEM, NULL);
    m->base = (cl_directory){.ops = &ops, .up = 1};
    m->loop = loop;
    m->sink = *sink;
    m->owner = getpid();
    m->most = limits->write_hard;
    cl_list_init(&m->place);
    cl_list_init(&m->interests);
    cl_list_init(&m->entries);
    cl_deferred_init(&m->deferred, loop, m, &m->base.has_work);
    int code = cl_waker_create(loop, read_box, m, &m->waker);
    if (code == 0) code = cl_registry_join(m, name);
    if (code == 0) *out = &m->base;
    else destroy(&m->base);
    return code;
}
