/* Design notes
 *
 * Whoever looks something up keeps all nodes in mind from then on, and hears of each change. What was known stays known
 * while etcd is away: links work on without it.
 *
 * A key that goes without a word of its node says nothing yet: a lease that ended, or a database that was lost, is made
 * good by a node that lives. So it counts for a while, unless its link breaks.
 *
 * A node whose link does not open, or broke, is no server for a while, although its key is there: it may be dead, and
 * its lease not at its end. Then it is tried again; after a while that grows with each vain try, or as soon as its key
 * changes. */
#include <stdlib.h>
#include <stdio.h>

#include "base/error.h"
#include "base/mem.h"
#include "directory/etcd/internal.h"

enum { REST_SHORT_MS = 200, REST_MS = 1000, REST_MOST_MS = 10000, GONE_MS = 5000 };

static etcd_peer *peer_of(const etcd *d, cl_str id)
{
    return cl_strmap_get(&d->peers, id);
}

cl_str cl_etcd_id_of(const etcd *d, cl_str key)
{
    return cl_str_starts(key, d->prefix) ? cl_str_of(key.p + d->prefix.n, key.n - d->prefix.n) : CL_STR_NONE;
}

static cl_server server_of(const etcd_peer *peer)
{
    return (cl_server){.id = peer->id, .native = CL_NATIVE_LINKED, .traits = peer->record.traits};
}

/* ---- who serves what */

static etcd_service *make_service(etcd *d, cl_str name)
{
    etcd_service *s = cl_malloc(sizeof *s + name.n);
    if (!s) return NULL;
    *s = (etcd_service){.name_n = name.n};
    memcpy(s->name, name.p, name.n);
    if (cl_strmap_put(&d->services, cl_str_of(s->name, name.n), s) == 0) return s;
    cl_free(s);
    return NULL;
}

static void free_service(etcd_service *s)
{
    cl_free(s->peers);
    cl_free(s);
}

static int serve(etcd *d, etcd_peer *peer, cl_str name)
{
    etcd_service *s = cl_strmap_get(&d->services, name);
    if (!s) s = make_service(d, name);
    if (!s) return CLOUDS_ENOMEM;
    for (size_t i = 0; i < s->n; i++)
        if (s->peers[i] == peer) return 0;
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 2;
        etcd_peer **more = cl_realloc(s->peers, cap * sizeof(*more));
        if (!more) return CLOUDS_ENOMEM;
        s->peers = more;
        s->cap = cap;
    }
    s->peers[s->n++] = peer;
    if (!peer->suspended) d->sink.server_up(d->sink.self, name, server_of(peer));
    return 0;
}

static void serve_no_more(etcd *d, etcd_peer *peer, cl_str name)
{
    etcd_service *s = cl_strmap_get(&d->services, name);
    size_t i = 0;
    while (s && i < s->n && s->peers[i] != peer) i++;
    if (!s || i == s->n) return;
    s->peers[i] = s->peers[--s->n];
    if (!peer->suspended) d->sink.server_down(d->sink.self, name, peer->id);
    if (s->n) return;
    cl_strmap_take(&d->services, name);
    free_service(s);
}

/* All that it serves counts again, or does not. */
static void tell(etcd *d, const etcd_peer *peer, int up)
{
    for (size_t i = 0; i < peer->record.methods_n; i++) {
        cl_str name = peer->record.methods[i];
        if (up) d->sink.server_up(d->sink.self, name, server_of(peer));
        else d->sink.server_down(d->sink.self, name, peer->id);
    }
}

/* ---- keys */

static etcd_peer *make_peer(etcd *d, cl_str id)
{
    etcd_peer *peer = cl_calloc(1, sizeof *peer + id.n);
    if (!peer) return NULL;
    memcpy(peer->text, id.p, id.n);
    peer->id = cl_str_of(peer->text, id.n);
    if (cl_strmap_put(&d->peers, peer->id, peer) == 0) return peer;
    cl_free(peer);
    return NULL;
}

static void free_peer(etcd_peer *peer)
{
    cl_etcd_record_free(&peer->record);
    cl_free(peer);
}

int cl_etcd_order(cl_str a, cl_str b)
{
    int first = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
    return first ? first : (a.n > b.n) - (a.n < b.n);
}

static int is_described_as(const cl_traits *a, const cl_traits *b)
{
    return cl_traits_weight(a) == cl_traits_weight(b) && cl_str_eq(cl_traits_tags(a), cl_traits_tags(b));
}

/* Both lists are in order. A process that took the place of another serves anew whatever it serves. */
static int change(etcd *d, etcd_peer *peer, const cl_etcd_record *before, const cl_etcd_record *now)
{
    int same = strcmp(before->context, now->context) == 0, code = 0;
    size_t i = 0, k = 0;
    while (i < before->methods_n || k < now->methods_n) {
        int which = i == before->methods_n ? 1
                    : k == now->methods_n  ? -1
                                           : cl_etcd_order(before->methods[i], now->methods[k]);
        if (which < 0 || (which == 0 && !same)) serve_no_more(d, peer, before->methods[i]);
        if (which > 0 || (which == 0 && !same)) code |= serve(d, peer, now->methods[k]);
        i += which <= 0;
        k += which >= 0;
    }
    return code ? CLOUDS_ENOMEM : 0;
}

/* It lives: what it serves counts. */
static void awake(etcd *d, etcd_peer *peer)
{
    peer->falls = 0;
    peer->rests = 0;
    if (!peer->suspended) return;
    peer->suspended = 0;
    tell(d, peer, 1);
}

static int is_at(const cl_etcd_record *a, const cl_etcd_record *b)
{
    if (a->addresses_n != b->addresses_n) return 0;
    for (size_t i = 0; i < a->addresses_n; i++)
        if (!cl_str_eq(a->addresses[i], b->addresses[i])) return 0;
    return 1;
}

static void join(const etcd_peer *peer, cl_address *out);

static void tell_place(etcd *d, const etcd_peer *peer)
{
    cl_address address;
    join(peer, &address);
    d->sink.located(d->sink.self, peer->id, 0, &address);
}

int cl_etcd_view_put(etcd *d, const cl_etcd_kv *kv)
{
    cl_etcd_record record;
    cl_str id = cl_etcd_id_of(d, kv->key);
    int code = id.n ? cl_etcd_record_read(kv->value, &record) : CLOUDS_EPROTO;
    if (code == CLOUDS_EPROTO) {
        d->sink.dropped(d->sink.self, code);
        cl_etcd_view_delete(d, kv->key, kv->modified);
        return 0;
    }
    if (code != 0) return code;
    etcd_peer *peer = peer_of(d, id);
    if (peer && peer->modified >= kv->modified) { /* it is known already: from another question, or of a later moment */
        peer->round = d->round;
        cl_etcd_record_free(&record);
        return 0;
    }
    if (!peer) peer = make_peer(d, id);
    if (!peer) {
        cl_etcd_record_free(&record);
        return CLOUDS_ENOMEM;
    }
    awake(d, peer);
    cl_etcd_record before = peer->record;
    int drains = record.draining && !before.draining, moved = !is_at(&before, &record);
    peer->record = record;
    peer->modified = kv->modified;
    peer->gone = 0;
    peer->round = d->round;
    if (moved) tell_place(d, peer);
    code = change(d, peer, &before, &record);
    if (code == 0 && !is_described_as(&before.traits, &record.traits) && !peer->suspended) tell(d, peer, 1);
    cl_etcd_subscriptions_change(d, peer, &before, &record);
    cl_etcd_record_free(&before);
    if (drains) d->sink.peer_draining(d->sink.self, peer->id);
    return code;
}

static void look_at_peers_by(etcd *d, int64_t when)
{
    if (when < d->rest_at) d->rest_at = when;
    cl_etcd_due_by(d, when);
}

static void remove_peer(etcd *d, etcd_peer *peer)
{
    cl_strmap_take(&d->peers, peer->id);
    for (size_t i = 0; i < peer->record.methods_n; i++) serve_no_more(d, peer, peer->record.methods[i]);
    cl_etcd_subscriptions_forget(d, peer);
    if (peer->suspended) d->sink.peer_gone(d->sink.self, peer->id);
    free_peer(peer);
}

void cl_etcd_view_delete(etcd *d, cl_str key, int64_t revision)
{
    cl_str id = cl_etcd_id_of(d, key);
    etcd_node *ours = cl_etcd_node_by_id(d, id);
    etcd_peer *peer = peer_of(d, id);
    if (peer && peer->modified > revision) return;
    if (ours) cl_etcd_put_gone(ours);
    if (!peer) return;
    peer->round = d->round;
    const cl_etcd_record *r = &peer->record;
    if (peer->suspended || r->draining || !(r->methods_n + r->paused_n + r->subscriptions_n)) {
        remove_peer(d, peer);
        return;
    }
    if (peer->gone) return;
    peer->gone = cl_loop_now() + GONE_MS;
    look_at_peers_by(d, peer->gone);
}

/* Removing one moves others: so it begins anew, but for those that were seen to stay. */
void cl_etcd_view_sweep(etcd *d)
{
    etcd_peer *peer;
    cl_buf key = {0};
    for (size_t at = 0; (peer = cl_strmap_next(&d->peers, &at));) {
        if (peer->round == d->round) continue;
        cl_buf_clear(&key);
        if (cl_buf_put_str(&key, d->prefix) != 0 || cl_buf_put_str(&key, peer->id) != 0) break;
        cl_etcd_view_delete(d, cl_buf_str(&key), INT64_MAX);
        at = 0;
    }
    cl_buf_free(&key);
}

void cl_etcd_view_is_outdated(etcd *d)
{
    etcd_peer *peer;
    d->revision = 0;
    for (size_t at = 0; (peer = cl_strmap_next(&d->peers, &at));) peer->modified = 0;
}

void cl_etcd_view_free(etcd *d)
{
    etcd_peer *peer;
    etcd_service *s;
    for (size_t at = 0; (s = cl_strmap_next(&d->services, &at));) free_service(s);
    for (size_t at = 0; (peer = cl_strmap_next(&d->peers, &at));) free_peer(peer);
    cl_strmap_free(&d->services);
    cl_strmap_free(&d->peers);
}

/* ---- lookups */

void cl_etcd_want(etcd *d)
{
    if (d->wanted) return;
    d->wanted = 1;
    cl_etcd_defer(d);
}

static int has_paused(const etcd_peer *peer, cl_str method)
{
    for (size_t i = 0; i < peer->record.paused_n; i++)
        if (cl_str_eq(peer->record.paused[i], method)) return 1;
    return 0;
}

static void answer(void *self, const cl_deferred *question)
{
    etcd *d = self;
    const etcd_service *s = cl_strmap_get(&d->services, question->text);
    const etcd_peer *peer;
    size_t n = 0;
    cl_server *servers = cl_malloc((d->peers.len + 1) * sizeof *servers);
    for (size_t i = 0; servers && s && i < s->n; i++)
        if (!s->peers[i]->suspended) servers[n++] = server_of(s->peers[i]);
    for (size_t at = 0; servers && (peer = cl_strmap_next(&d->peers, &at));)
        if (has_paused(peer, question->text))
            servers[n++] = (cl_server){peer->id, CL_NATIVE_LINKED, 1, peer->record.traits};
    d->sink.servers(d->sink.self, question->text, servers, n, servers ? 0 : CLOUDS_ENOMEM);
    cl_free(servers);
}

static int is_served(const etcd *d, cl_str method)
{
    const etcd_service *s = cl_strmap_get(&d->services, method);
    for (size_t i = 0; s && i < s->n; i++)
        if (!s->peers[i]->suspended) return 1;
    return 0;
}

static void lookup_now(void *self, const cl_deferred *question)
{
    etcd *d = self;
    if (is_served(d, question->text)) answer(d, question);
    else if (d->state == ETCD_RESTING)
        d->sink.servers(d->sink.self, question->text, NULL, 0, CLOUDS_EUNREACHABLE);
    else cl_etcd_doubt(d, answer, question->text);
}

void cl_etcd_lookup(cl_directory *base, cl_str method, int known)
{
    etcd *d = cl_etcd_of(base);
    cl_etcd_want(d);
    if (!known && d->synced && d->state == ETCD_READY) cl_etcd_doubt(d, answer, method);
    else if (cl_defer_once(&d->waiting, lookup_now, method) == 0) cl_etcd_defer(d);
}

/* Those who ask before anything is known wait, unless nobody answers. */
void cl_etcd_lookups_run(etcd *d)
{
    if (d->synced || d->state == ETCD_RESTING) cl_deferred_run(&d->waiting);
    if (d->synced) cl_deferred_run(&d->locating);
}

/* ---- where a node is */

static void join(const etcd_peer *peer, cl_address *out)
{
    cl_address list[CL_RECORD_ADDRESSES];
    for (size_t i = 0; i < peer->record.addresses_n; i++) {
        cl_str text = peer->record.addresses[i];
        snprintf(list[i].text, sizeof list[i].text, "%.*s", (int)text.n, text.p);
    }
    cl_address_join(list, peer->record.addresses_n, out);
}

static void located(void *self, const cl_deferred *question)
{
    etcd *d = self;
    const etcd_peer *peer = peer_of(d, question->text);
    cl_address address;
    if (peer) join(peer, &address);
    else cl_etcd_set_absent(d, question->text);
    d->sink.located(d->sink.self, question->text, peer ? 0 : CLOUDS_ENOSERVER, peer ? &address : NULL);
}

int cl_etcd_locate(cl_directory *base, cl_str id, cl_address *address)
{
    etcd *d = cl_etcd_of(base);
    const etcd_node *ours = cl_etcd_node_by_id(d, id);
    const etcd_peer *peer = peer_of(d, id);
    if (ours) {
        cl_address_join(ours->addresses, ours->addresses_n, address);
        return 0;
    }
    if (!peer && !d->synced) {
        cl_etcd_want(d);
        cl_defer_once(&d->locating, located, id);
        return CL_PENDING;
    }
    if (!peer && !cl_etcd_is_absent(d, id)) {
        cl_etcd_doubt(d, located, id);
        return CL_PENDING;
    }
    if (!peer) return cl_error(CLOUDS_ENOSERVER, "no node %.*s is known", id.n < 100 ? (int)id.n : 100, id.p);
    join(peer, address);
    return 0;
}

int cl_etcd_has_other(cl_directory *base, cl_str id)
{
    const etcd *d = cl_etcd_of(base);
    const etcd_peer *peer = peer_of(d, id);
    for (size_t i = 0; peer && i < peer->record.methods_n; i++) {
        const etcd_service *s = cl_strmap_get(&d->services, peer->record.methods[i]);
        for (size_t k = 0; s && k < s->n; k++)
            if (s->peers[k] != peer && !s->peers[k]->suspended) return 1;
    }
    return 0;
}

/* ---- ways that do not work */

static void fall(etcd *d, etcd_peer *peer)
{
    if (peer->suspended) return;
    peer->suspended = 1;
    tell(d, peer, 0);
    if (peer->gone) look_at_peers_by(d, peer->gone = cl_loop_now());
}

void cl_etcd_suspend(cl_directory *base, cl_str id, int on)
{
    etcd *d = cl_etcd_of(base);
    etcd_peer *peer = peer_of(d, id);
    if (peer && on) fall(d, peer);
    else if (peer) awake(d, peer);
}

/* Until its record says so, too. */
void cl_etcd_drains(cl_directory *base, cl_str id)
{
    etcd *d = cl_etcd_of(base);
    etcd_peer *peer = peer_of(d, id);
    if (!peer) return;
    fall(d, peer);
    peer->rests = 0;
}

void cl_etcd_suspect(cl_directory *base, cl_str id, int was_open)
{
    etcd *d = cl_etcd_of(base);
    etcd_peer *peer = peer_of(d, id);
    if (!peer) return;
    fall(d, peer);
    if (was_open) peer->falls = 0;
    int64_t ms = was_open ? REST_SHORT_MS : REST_MS << (peer->falls < 4 ? peer->falls : 4);
    peer->falls++;
    peer->rests = cl_loop_now() + (ms < REST_MOST_MS ? ms : REST_MOST_MS);
    look_at_peers_by(d, peer->rests);
}

static void earlier(int64_t *next, int64_t when)
{
    if (when && when < *next) *next = when;
}

/* Those that have rested are tried again; what became of the vain tries stays known. Those that are gone for long go. */
void cl_etcd_view_due(etcd *d, int64_t now)
{
    etcd_peer *peer;
    int64_t next = INT64_MAX;
    if (now >= d->rest_at) {
        for (size_t at = 0; (peer = cl_strmap_next(&d->peers, &at));) {
            if (peer->gone && peer->gone <= now) {
                remove_peer(d, peer);
                at = 0;
                continue;
            }
            if (peer->suspended && peer->rests && peer->rests <= now) {
                peer->suspended = 0;
                peer->rests = 0;
                tell(d, peer, 1);
            }
            earlier(&next, peer->gone);
            if (peer->suspended) earlier(&next, peer->rests);
        }
        d->rest_at = next;
    }
    if (d->rest_at != INT64_MAX) cl_etcd_due_by(d, d->rest_at);
}
