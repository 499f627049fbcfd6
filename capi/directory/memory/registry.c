/* The registry that all directories of a name in this process share.
 *
 * Design note. One lock guards it and is held for the time of a copy. Nothing is called under it but cl_waker_wake and,
 * on the directory's own thread, cl_loop_defer. What changes is announced to those who asked for the method, as frames
 * in a box of theirs that they read on their own thread. */
#include "directory/memory/internal.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "proto/frame.h"

enum { LOOKUPS_MAX = 10000 };

static pthread_mutex_t registries_lock = PTHREAD_MUTEX_INITIALIZER;
static cl_list_node registries = {&registries, &registries};

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
    cl_list_init(&r->subscriptions);
    atomic_init(&r->subscribed, 1);
    cl_list_append(&registries, &r->place);
    return r;
}

int cl_registry_join(memory *m, const char *name)
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

void cl_registry_detach(memory *m)
{
    pthread_mutex_lock(&m->registry->lock);
    m->detached = 1;
    pthread_mutex_unlock(&m->registry->lock);
}

void cl_registry_part(memory *m)
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
    if (to != from) cl_waker_wake(to->waker);
    else to->base.has_work = 1, cl_loop_defer(to->loop);
}

static void announce_method(const method *of, const entry *from, int what)
{
    cl_str traits = what == ANNOUNCE_UP ? cl_str_z(from->traits) : CL_STR_NONE;
    const cl_envelope e = {.type = what, .from = from->id, .method = of->name, .id = traits};
    CL_LIST_EACH(it, &of->interests) announce_to(CL_OWNER(it, interest, in_method)->member, from->member, &e);
}

/* That a node drains concerns whoever asked for a method of it: told once, and before it serves none any more. */
static void announce_draining(registry *r, const entry *from)
{
    const cl_envelope e = {.type = ANNOUNCE_DRAINING, .from = from->id};
    const registration *g;
    r->drains++;
    for (size_t at = 0; (g = cl_strmap_next(&from->registrations, &at));)
        CL_LIST_EACH(it, &g->method->interests)
        {
            memory *to = CL_OWNER(it, interest, in_method)->member;
            if (to->told != r->drains) announce_to(to, from->member, &e);
            to->told = r->drains;
        }
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
    announce_method(m, e, ANNOUNCE_UP);
    return 0;
}

static void end_registration(registry *r, registration *g)
{
    cl_list_remove(&g->in_method);
    announce_method(g->method, g->entry, ANNOUNCE_DOWN);
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

/* The member gets announcements of the method from now on; of the one it asked for first, if there are too many, no
 * more. */
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

static int list_method(const method *of, cl_buf *out)
{
    int code = 0;
    CL_LIST_EACH(it, &of->servers)
    {
        const registration *g = CL_OWNER(it, registration, in_method);
        const int type = g->paused ? ROW_PAUSED : ANNOUNCE_UP;
        const cl_str traits = cl_str_z(g->entry->traits);
        const cl_envelope row = {.type = type, .from = g->entry->id, .method = of->name, .id = traits};
        if (code == 0) code = cl_frame_encode(&row, out);
    }
    return code;
}

static subscription *find_subscription(const entry *e, cl_str topic, cl_str group)
{
    CL_LIST_EACH(it, &e->subscriptions)
    {
        subscription *s = CL_OWNER(it, subscription, in_entry);
        if (cl_str_eq(s->topic, topic) && cl_str_eq(s->group, group)) return s;
    }
    return NULL;
}

static int begin_subscription(registry *r, entry *e, cl_str topic, cl_str group)
{
    subscription *s = cl_malloc(sizeof *s + topic.n + group.n);
    if (!s) return CLOUDS_ENOMEM;
    memcpy(s->text, topic.p, topic.n);
    memcpy(s->text + topic.n, group.p, group.n);
    s->topic = cl_str_of(s->text, topic.n);
    s->group = cl_str_of(s->text + topic.n, group.n);
    s->entry = e;
    cl_list_append(&r->subscriptions, &s->in_registry);
    cl_list_append(&e->subscriptions, &s->in_entry);
    r->subscribed++;
    return 0;
}

static void end_subscription(registry *r, subscription *s)
{
    cl_list_remove(&s->in_registry);
    cl_list_remove(&s->in_entry);
    cl_free(s);
    r->subscribed++;
}

static void unsubscribe_all(registry *r, entry *e)
{
    CL_LIST_EACH(it, &e->subscriptions) end_subscription(r, CL_OWNER(it, subscription, in_entry));
}

/* ---- from outside */

int cl_registry_claim(memory *m, entry *e)
{
    pthread_mutex_lock(&m->registry->lock);
    int code = cl_strmap_get(&m->registry->ids, e->id) ? CLOUDS_EEXIST : cl_strmap_put(&m->registry->ids, e->id, e);
    e->claimed = code == 0;
    pthread_mutex_unlock(&m->registry->lock);
    return code;
}

int cl_registry_add(memory *m, entry *e, cl_str name)
{
    pthread_mutex_lock(&m->registry->lock);
    int code = register_method(m->registry, e, name);
    pthread_mutex_unlock(&m->registry->lock);
    return code;
}

void cl_registry_remove(memory *m, entry *e, cl_str name)
{
    pthread_mutex_lock(&m->registry->lock);
    registration *g = cl_strmap_take(&e->registrations, name);
    if (g) end_registration(m->registry, g);
    pthread_mutex_unlock(&m->registry->lock);
}

void cl_registry_pause(memory *m, entry *e, cl_str name, int paused)
{
    pthread_mutex_lock(&m->registry->lock);
    registration *g = cl_strmap_get(&e->registrations, name);
    if (g && g->paused != paused) {
        g->paused = paused;
        announce_method(g->method, e, paused ? ANNOUNCE_DOWN : ANNOUNCE_UP);
    }
    pthread_mutex_unlock(&m->registry->lock);
}

void cl_registry_describe(memory *m, entry *e, const cl_traits *traits)
{
    registration *g;
    pthread_mutex_lock(&m->registry->lock);
    cl_traits_write(traits, e->traits);
    for (size_t at = 0; (g = cl_strmap_next(&e->registrations, &at));)
        if (!g->paused) announce_method(g->method, e, ANNOUNCE_UP);
    pthread_mutex_unlock(&m->registry->lock);
}

int cl_registry_subscribe(memory *m, entry *e, cl_str topic, cl_str group)
{
    pthread_mutex_lock(&m->registry->lock);
    int code = find_subscription(e, topic, group) ? 0 : begin_subscription(m->registry, e, topic, group);
    pthread_mutex_unlock(&m->registry->lock);
    return code;
}

void cl_registry_unsubscribe(memory *m, entry *e, cl_str topic, cl_str group)
{
    pthread_mutex_lock(&m->registry->lock);
    subscription *s = find_subscription(e, topic, group);
    if (s) end_subscription(m->registry, s);
    pthread_mutex_unlock(&m->registry->lock);
}

int cl_registry_subscriptions(memory *m, cl_buf *out)
{
    registry *r = m->registry;
    int code = 0;
    pthread_mutex_lock(&r->lock);
    CL_LIST_EACH(it, &r->subscriptions)
    {
        const subscription *s = CL_OWNER(it, subscription, in_registry);
        const cl_envelope row = {.type = ANNOUNCE_UP, .from = s->entry->id, .method = s->topic, .id = s->group};
        if (code == 0) code = cl_frame_encode(&row, out);
    }
    if (code == 0) m->followed = r->subscribed;
    pthread_mutex_unlock(&r->lock);
    return code;
}

void cl_registry_drain(memory *m, entry *e)
{
    pthread_mutex_lock(&m->registry->lock);
    announce_draining(m->registry, e);
    unregister_all(m->registry, e);
    unsubscribe_all(m->registry, e);
    pthread_mutex_unlock(&m->registry->lock);
}

void cl_registry_leave(memory *m, entry *e)
{
    pthread_mutex_lock(&m->registry->lock);
    unregister_all(m->registry, e);
    unsubscribe_all(m->registry, e);
    if (e->claimed) cl_strmap_take(&m->registry->ids, e->id);
    pthread_mutex_unlock(&m->registry->lock);
}

int cl_registry_list(memory *m, const cl_str *name, cl_buf *out)
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

void cl_registry_unwatch(memory *m, cl_str name)
{
    pthread_mutex_lock(&m->registry->lock);
    interest *i = cl_strmap_get(&m->asked, name);
    if (i) end_interest(m->registry, i);
    pthread_mutex_unlock(&m->registry->lock);
}

void cl_registry_fetch(memory *m)
{
    pthread_mutex_lock(&m->registry->lock);
    cl_buf full = m->box;
    m->box = m->reading;
    m->reading = full;
    atomic_store_explicit(&m->woken, 0, memory_order_relaxed);
    pthread_mutex_unlock(&m->registry->lock);
}
