/* The directory within a process: all of one name share a registry.
 *
 * Design note. One lock guards a registry and is held for the time of a copy. Nothing is called under it but
 * cl_waker_wake and, on the directory's own thread, cl_loop_defer. What changes is announced to those who asked for the
 * method, as frames in a box of theirs that they read on their own thread.
 *
 * When the process was forked, the locks may be held by threads that the child does not have: it touches none. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "directory/directory.h"
#include "net/deferred.h"
#include "net/loop.h"
#include "proto/frame.h"
#include "proto/limits.h"

/* Announcements, between directories only. */
enum { ANNOUNCE_UP = 'U', ANNOUNCE_DOWN = 'D', ANNOUNCE_DRAINING = 'G' };

enum { LOOKUPS_MAX = 10000 };

typedef struct registry {
    cl_link place;
    pthread_mutex_t lock;
    int members_n;
    cl_link members;
    cl_strmap ids;     /* to entry */
    cl_strmap methods; /* to method */
    char name[];
} registry;

/* A method, who serves it, and who asked for it: announcements of it are for those. */
typedef struct method {
    cl_str name;
    cl_link servers, interests;
    char text[];
} method;

typedef struct interest {
    cl_link in_method, in_member;
    method *method;
    struct memory *member;
} interest;

typedef struct registration {
    cl_link in_method;
    method *method;
    struct entry *entry;
} registration;

/* A node. */
typedef struct entry {
    cl_link mine; /* in its directory */
    void *node;
    struct memory *member;
    cl_strmap registrations; /* by method */
    cl_str id;
    int claimed;
    char text[];
} entry;

typedef struct memory {
    cl_directory base;
    cl_link place; /* in the registry */
    cl_loop *loop;
    cl_directory_sink sink;
    pid_t owner;
    registry *registry;
    cl_waker *waker;
    cl_buf box;       /* announcements; under the lock */
    atomic_int woken; /* it was woken for what lies in the box; set under the lock */
    int detached;     /* its loop is gone; under the lock */
    size_t most;      /* bytes of announcements that may wait */
    cl_strmap asked;  /* method -> interest; under the lock */
    cl_link interests;
    cl_link entries;
    cl_idmap by_node;
    cl_buf reading; /* the buffer that the box is exchanged for */
    int is_reading, closing;
    cl_deferred_queue deferred;
} memory;

static pthread_mutex_t registries_lock = PTHREAD_MUTEX_INITIALIZER;
static cl_link registries = {&registries, &registries};

static memory *of(cl_directory *base)
{
    return CL_OWNER(base, memory, base);
}

static entry *entry_of(memory *m, const void *node)
{
    return cl_idmap_get(&m->by_node, (uint64_t)(uintptr_t)node);
}

/* ---- registries */

static registry *find(const char *name)
{
    CL_LIST_EACH(it, &registries)
    if (strcmp(CL_OWNER(it, registry, place)->name, name) == 0) return CL_OWNER(it, registry, place);
    return NULL;
}

static registry *make(const char *name)
{
    registry *r = cl_calloc(1, sizeof *r + strlen(name) + 1);
    if (!r) return NULL;
    memcpy(r->name, name, strlen(name) + 1);
    pthread_mutex_init(&r->lock, NULL);
    cl_list_init(&r->members);
    cl_list_append(&registries, &r->place);
    return r;
}

static int join(memory *m, const char *name)
{
    pthread_mutex_lock(&registries_lock);
    registry *r = find(name);
    if (!r) r = make(name);
    if (r) {
        r->members_n++;
        pthread_mutex_lock(&r->lock);
        cl_list_append(&r->members, &m->place);
        pthread_mutex_unlock(&r->lock);
    }
    pthread_mutex_unlock(&registries_lock);
    m->registry = r;
    return r ? 0 : cl_error(CLOUDS_ENOMEM, NULL);
}

static void end_interest(registry *r, interest *i);

static void part(memory *m)
{
    registry *r = m->registry;
    pthread_mutex_lock(&registries_lock);
    pthread_mutex_lock(&r->lock);
    while (!cl_list_empty(&m->interests)) end_interest(r, CL_OWNER(m->interests.next, interest, in_member));
    cl_list_remove(&m->place);
    pthread_mutex_unlock(&r->lock);
    if (--r->members_n == 0) {
        cl_list_remove(&r->place);
        pthread_mutex_destroy(&r->lock);
        cl_strmap_free(&r->ids);
        cl_strmap_free(&r->methods);
        cl_free(r);
    }
    pthread_mutex_unlock(&registries_lock);
}

/* ---- announcements, under the lock */

/* Without memory for it, or behind a full box that nobody reads, a member learns it late: by its next lookup, or by its
 * calls' timeouts. */
static void announce_to(memory *to, const memory *from, const cl_envelope *e)
{
    if (to->detached || to->box.len > to->most || cl_frame_encode(e, &to->box) != 0) return;
    if (atomic_exchange_explicit(&to->woken, 1, memory_order_release)) return;
    if (to == from) cl_loop_defer(to->loop);
    else cl_waker_wake(to->waker);
}

static void announce_method(const method *of, const memory *from, int what, cl_str id)
{
    const cl_envelope e = {.type = what, .from = id, .method = of->name};
    CL_LIST_EACH(it, &of->interests) announce_to(CL_OWNER(it, interest, in_method)->member, from, &e);
}

/* That a node drains concerns whoever has asked it something. */
static void announce_draining(registry *r, const memory *from, cl_str id)
{
    const cl_envelope e = {.type = ANNOUNCE_DRAINING, .from = id};
    CL_LIST_EACH(it, &r->members) announce_to(CL_OWNER(it, memory, place), from, &e);
}

/* ---- methods, under the lock */

static method *method_of(registry *r, cl_str name)
{
    method *m = cl_strmap_get(&r->methods, name);
    if (m) return m;
    m = cl_malloc(sizeof *m + name.n);
    if (!m) return NULL;
    memcpy(m->text, name.p, name.n);
    m->name = cl_str_of(m->text, name.n);
    cl_list_init(&m->servers);
    cl_list_init(&m->interests);
    if (cl_strmap_put(&r->methods, m->name, m) == 0) return m;
    cl_free(m);
    return NULL;
}

static void end_if_unused(registry *r, method *m)
{
    if (!m || !cl_list_empty(&m->servers) || !cl_list_empty(&m->interests)) return;
    cl_strmap_take(&r->methods, m->name);
    cl_free(m);
}

static int register_method(registry *r, entry *e, cl_str name)
{
    if (cl_strmap_get(&e->registrations, name)) return 0;
    method *m = method_of(r, name);
    registration *made = m ? cl_malloc(sizeof *made) : NULL;
    if (!made || cl_strmap_put(&e->registrations, m->name, made) != 0) {
        cl_free(made);
        end_if_unused(r, m);
        return CLOUDS_ENOMEM;
    }
    *made = (registration){.method = m, .entry = e};
    cl_list_append(&m->servers, &made->in_method);
    announce_method(m, e->member, ANNOUNCE_UP, e->id);
    return 0;
}

static void end_registration(registry *r, registration *g)
{
    cl_list_remove(&g->in_method);
    announce_method(g->method, g->entry->member, ANNOUNCE_DOWN, g->entry->id);
    end_if_unused(r, g->method);
    cl_free(g);
}

static void unregister_all(registry *r, entry *e)
{
    registration *g;
    for (size_t at = 0; (g = cl_strmap_next(&e->registrations, &at));) end_registration(r, g);
    cl_strmap_free(&e->registrations);
}

static void end_interest(registry *r, interest *i)
{
    method *m = i->method;
    cl_strmap_take(&i->member->asked, m->name);
    cl_list_remove(&i->in_method);
    cl_list_remove(&i->in_member);
    cl_free(i);
    end_if_unused(r, m);
}

/* The member hears of the method from now on; of the one it asked for first, if there are too many, no more. */
static int take_interest(registry *r, memory *member, cl_str name, method **out)
{
    const interest *known = cl_strmap_get(&member->asked, name);
    if (known) {
        *out = known->method;
        return 0;
    }
    if (member->asked.len >= LOOKUPS_MAX) end_interest(r, CL_OWNER(member->interests.next, interest, in_member));
    method *m = method_of(r, name);
    interest *made = m ? cl_malloc(sizeof *made) : NULL;
    if (!made || cl_strmap_put(&member->asked, m->name, made) != 0) {
        cl_free(made);
        end_if_unused(r, m);
        return CLOUDS_ENOMEM;
    }
    *made = (interest){.method = m, .member = member};
    cl_list_append(&m->interests, &made->in_method);
    cl_list_append(&member->interests, &made->in_member);
    *out = m;
    return 0;
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
    cl_list_append(&m->entries, &e->mine);
    int code = cl_idmap_put(&m->by_node, (uint64_t)(uintptr_t)node, e);
    if (code == 0) {
        pthread_mutex_lock(&m->registry->lock);
        code = cl_strmap_get(&m->registry->ids, e->id) ? CLOUDS_EEXIST : cl_strmap_put(&m->registry->ids, e->id, e);
        e->claimed = code == 0;
        pthread_mutex_unlock(&m->registry->lock);
    }
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
    pthread_mutex_lock(&m->registry->lock);
    int code = register_method(m->registry, e, name);
    pthread_mutex_unlock(&m->registry->lock);
    return code ? cl_error(code, NULL) : 0;
}

static int remove_method(cl_directory *base, void *node, cl_str name, uint64_t operation)
{
    memory *m = of(base);
    entry *e = entry_of(m, node);
    if (!e) return cl_error(CLOUDS_ECLOSED, NULL);
    pthread_mutex_lock(&m->registry->lock);
    registration *g = cl_strmap_take(&e->registrations, name);
    if (g) end_registration(m->registry, g);
    pthread_mutex_unlock(&m->registry->lock);
    return 0;
}

static void drain(cl_directory *base, void *node)
{
    memory *m = of(base);
    entry *e = entry_of(m, node);
    if (!e) return;
    pthread_mutex_lock(&m->registry->lock);
    unregister_all(m->registry, e);
    announce_draining(m->registry, m, e->id);
    pthread_mutex_unlock(&m->registry->lock);
}

static void give_up(memory *m, entry *e)
{
    pthread_mutex_lock(&m->registry->lock);
    unregister_all(m->registry, e);
    if (e->claimed) cl_strmap_take(&m->registry->ids, e->id);
    pthread_mutex_unlock(&m->registry->lock);
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

static int list_method(const method *of, cl_buf *out)
{
    int code = 0;
    CL_LIST_EACH(it, &of->servers)
    {
        const entry *e = CL_OWNER(it, registration, in_method)->entry;
        const cl_envelope row = {.type = ANNOUNCE_UP, .from = e->id, .method = of->name};
        if (code == 0) code = cl_frame_encode(&row, out);
    }
    return code;
}

/* Appends a frame (method, from) for each server of a method, which is announced from now on, or (NULL) of all. */
static int list(memory *m, const cl_str *name, cl_buf *out)
{
    registry *r = m->registry;
    method *found;
    int code = 0;
    pthread_mutex_lock(&r->lock);
    if (name) {
        code = take_interest(r, m, *name, &found);
        if (code == 0) code = list_method(found, out);
    } else {
        for (size_t at = 0; code == 0 && (found = cl_strmap_next(&r->methods, &at));) code = list_method(found, out);
    }
    pthread_mutex_unlock(&r->lock);
    return code;
}

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
    r.code = list(m, name, &r.frames);
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
        r.servers[r.n] = (cl_server){e.from, CL_NATIVE_LINKED};
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
    if (e->type == ANNOUNCE_UP) sink->server_up(sink->self, e->method, (cl_server){e->from, CL_NATIVE_LINKED});
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
    pthread_mutex_lock(&m->registry->lock);
    cl_buf full = m->box;
    m->box = m->reading;
    m->reading = full;
    atomic_store_explicit(&m->woken, 0, memory_order_relaxed);
    pthread_mutex_unlock(&m->registry->lock);
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
    m->closing = 1;
    cl_loop_defer(m->loop);
}

/* A child of a fork just lets go. */
static void destroy(cl_directory *base)
{
    memory *m = of(base);
    int is_child = m->owner != getpid();
    if (m->registry && !is_child) {
        pthread_mutex_lock(&m->registry->lock);
        m->detached = 1;
        pthread_mutex_unlock(&m->registry->lock);
    }
    CL_LIST_EACH(it, &m->entries)
    {
        entry *e = CL_OWNER(it, entry, mine);
        if (is_child) free_entry(m, e);
        else give_up(m, e);
    }
    cl_deferred_free(&m->deferred);
    if (m->registry && !is_child) part(m);
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
    .drain = drain,
    .leave = leave,
    .lookup = lookup,
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
    cl_deferred_init(&m->deferred, loop, m);
    int code = cl_waker_create(loop, read_box, m, &m->waker);
    if (code == 0) code = join(m, name);
    if (code == 0) *out = &m->base;
    else destroy(&m->base);
    return code;
}
