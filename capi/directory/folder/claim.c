/* Design notes
 *
 * The id of a node is its own while its lock is held; it is to listen on its socket. Entries are made only when it is
 * announced, so whoever finds an entry finds a listener. A lock that is held by another is tried again for a moment.
 * Draining removes the entries. At last the files are removed, the lock after the others.
 *
 * Files of ours are removed by the process that made them only: a child after fork just lets go. */
#include "directory/folder/internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"

enum {
    RETRY_MS = 10,
    LEAVE_MS = 100,   /* how long a process that ends may hold its lock yet */
    REMOVE_MS = 2000, /* the files of one that was killed are being removed */
    TAKEN_BACK_MAX = 1000
};

static cl_folder_node *node_of(cl_folder_directory *d, const void *node)
{
    return cl_idmap_get(&d->by_node, (uint64_t)(uintptr_t)node);
}

/* ---- where it listens */

static int socket_of(const cl_folder_directory *d, const char *key, cl_address *out)
{
    char file[CL_FILE_NAME], path[sizeof((struct sockaddr_un *)0)->sun_path];
    cl_file_of(key, ".sock", file);
    int code = cl_file_path(&d->folder, file, path, sizeof path);
    if (code == 0) snprintf(out->text, sizeof out->text, "unix:%s", path);
    return code;
}

int cl_folder_locate(cl_directory *base, cl_str id, cl_address *address)
{
    char key[CL_KEY + 1];
    cl_file_key(id, key);
    return socket_of(cl_folder_of(base), key, address);
}

/* ---- claiming */

static void give_up_lock(cl_folder_node *n)
{
    const cl_folder *folder = &n->d->folder;
    if (n->lock < 0) return;
    if (n->d->owner == getpid() && cl_file_is_current(folder, n->key, n->lock))
        cl_file_remove_node(folder, n->key, n->lock);
    close(n->lock);
    n->lock = -1;
}

/* CLOUDS_EEXIST: `owner` has the lock, see cl_file_lock. */
static int take_lock(cl_folder_node *n, cl_address *at, long *owner)
{
    int code = cl_file_lock(&n->d->folder, n->key, n->id, &n->lock, owner);
    if (code != 0) return code;
    code = socket_of(n->d, n->key, at);
    if (code != 0) give_up_lock(n);
    return code;
}

/* A lock that is held for a moment: its process is just ending, or its files are just being removed. */
static int wait_for_lock(cl_folder_node *n, long owner)
{
    int64_t now = cl_loop_now();
    if (!n->claiming) n->claim_by = now + (owner > 0 ? LEAVE_MS : REMOVE_MS);
    n->claiming = now < n->claim_by;
    if (n->claiming) cl_folder_due_by(n->d, now + RETRY_MS);
    return n->claiming;
}

static int enlist(cl_folder_directory *d, cl_folder_node *n)
{
    if (cl_strmap_get(&d->node_by_id, n->id))
        return cl_error(CLOUDS_EEXIST, "the node id %.*s is in use by process %ld (this one)", (int)n->id.n, n->id.p,
                        (long)getpid());
    int code = cl_idmap_put(&d->by_node, (uint64_t)(uintptr_t)n->node, n);
    if (code == 0) code = cl_strmap_put(&d->node_by_id, n->id, n);
    if (code == 0) code = cl_strmap_put(&d->node_by_key, cl_str_of(n->key, CL_KEY), n);
    return code ? cl_error(code, NULL) : 0;
}

static void free_registration(cl_registration *r)
{
    while (!cl_list_empty(&r->reports)) {
        cl_deferred *d = CL_OWNER(r->reports.next, cl_deferred, place);
        cl_list_remove(&d->place);
        cl_deferred_discard(d);
    }
    cl_free(r);
}

static void free_registrations(cl_folder_node *n)
{
    cl_registration *r;
    for (size_t at = 0; (r = cl_strmap_next(&n->registrations, &at));) free_registration(r);
    cl_strmap_free(&n->registrations);
    n->taken_back = 0;
}

void cl_folder_node_free(cl_folder_node *n)
{
    cl_folder_directory *d = n->d;
    if (cl_strmap_get(&d->node_by_id, n->id) == n) cl_strmap_take(&d->node_by_id, n->id);
    if (cl_strmap_get(&d->node_by_key, cl_str_of(n->key, CL_KEY)) == n)
        cl_strmap_take(&d->node_by_key, cl_str_of(n->key, CL_KEY));
    if (node_of(d, n->node) == n) cl_idmap_take(&d->by_node, (uint64_t)(uintptr_t)n->node);
    cl_list_remove(&n->place);
    give_up_lock(n);
    free_registrations(n);
    cl_free(n);
}

int cl_folder_claim(cl_directory *base, void *node, cl_str id, double heartbeat, cl_address *at)
{
    cl_folder_directory *d = cl_folder_of(base);
    long owner = 1;
    cl_folder_node *n = cl_malloc(sizeof *n);
    if (!n) return cl_error(CLOUDS_ENOMEM, NULL);
    *n = (cl_folder_node){.d = d, .node = node, .id = id, .lock = -1};
    cl_list_init(&n->place);
    cl_file_key(id, n->key);
    int code = enlist(d, n);
    if (code == 0) {
        cl_list_append(&d->nodes, &n->place);
        code = take_lock(n, at, &owner);
        if (code == CLOUDS_EEXIST && wait_for_lock(n, owner)) return CL_PENDING;
    }
    if (code != 0) cl_folder_node_free(n);
    return code;
}

static void report(cl_folder_node *n, cl_registration *r, int code, const char *words)
{
    while (!cl_list_empty(&r->reports)) {
        cl_deferred *d = CL_OWNER(r->reports.next, cl_deferred, place);
        cl_list_remove(&d->place);
        cl_deferred_set(d, code, words);
        cl_deferred_put(&n->d->deferred, d);
    }
}

/* The end of a claim that had to wait. */
static void claimed(cl_folder_node *n, int code, const cl_address *at)
{
    cl_folder_directory *d = n->d;
    char words[256];
    n->claiming = 0;
    if (code == 0) {
        d->sink.claimed(d->sink.self, n->node, 0, "", at);
        return;
    }
    snprintf(words, sizeof words, "%s", clouds_last_error());
    cl_registration *r;
    for (size_t i = 0; (r = cl_strmap_next(&n->registrations, &i));) report(n, r, code, words);
    void *node = n->node;
    cl_folder_node_free(n);
    d->sink.claimed(d->sink.self, node, code, words, NULL);
}

void cl_folder_nodes_retry(cl_folder_directory *d, int64_t now)
{
    CL_LIST_EACH(it, &d->nodes)
    {
        cl_folder_node *n = CL_OWNER(it, cl_folder_node, place);
        cl_address at;
        long owner = 1;
        if (!n->claiming) continue;
        int code = take_lock(n, &at, &owner);
        if (code == CLOUDS_ENOMEM) cl_folder_due_by(d, now + RETRY_MS);
        else if (code != CLOUDS_EEXIST || !wait_for_lock(n, owner)) claimed(n, code, &at);
    }
}

/* ---- registrations */

static void on_change(void *owner, const cl_deferred *c)
{
    cl_entries_look(owner, c->text.p);
}

/* Without memory for that the watch notifies. */
static void look_later(cl_folder_node *n, cl_str method)
{
    char file[CL_FILE_NAME];
    if (!cl_strmap_get(&n->d->entries.methods, method)) return;
    for (int paused = 0; paused < 2; paused++) {
        cl_file_entry(n->key, method, paused, file);
        cl_defer(&n->d->deferred, on_change, NULL, 0, 0, cl_str_z(file));
    }
}

static cl_registration *keep(cl_folder_node *n, cl_str method)
{
    cl_registration *r = cl_strmap_get(&n->registrations, method);
    if (r) {
        n->taken_back -= !r->offered;
        if (!r->offered) r->paused = 0;
        r->offered = 1;
        return r;
    }
    r = cl_malloc(sizeof *r + method.n);
    if (!r) return NULL;
    *r = (cl_registration){.offered = 1, .n = method.n};
    cl_list_init(&r->reports);
    memcpy(r->text, method.p, method.n);
    if (cl_strmap_put(&n->registrations, cl_str_of(r->text, r->n), r) == 0) return r;
    cl_free(r);
    return NULL;
}

static int put(cl_folder_node *n, cl_registration *r)
{
    const cl_folder *folder = &n->d->folder;
    cl_str method = cl_str_of(r->text, r->n);
    int code = r->noted ? 0 : cl_file_note_method(folder, n->key, n->lock, method);
    if (code == 0) r->noted = 1;
    if (code == 0) code = cl_file_put_entry(folder, n->key, n->id, method, r->paused);
    if (code == 0) look_later(n, method);
    return code;
}

/* The lock may name methods that were taken back; where a service does that all the time, not too many. */
static void forget_taken_back(cl_folder_node *n)
{
    cl_strmap offered = {0};
    cl_registration *r;
    if (n->taken_back < TAKEN_BACK_MAX || n->taken_back < n->registrations.len / 2 || n->lock < 0) return;
    int code = 0;
    for (size_t at = 0; code == 0 && (r = cl_strmap_next(&n->registrations, &at));)
        if (r->offered) code = cl_strmap_put(&offered, cl_str_of(r->text, r->n), r);
    if (code == 0) code = cl_file_forget_methods(&n->d->folder, n->lock);
    if (code != 0) {
        cl_strmap_free(&offered);
        return;
    }
    for (size_t at = 0; (r = cl_strmap_next(&n->registrations, &at));) {
        if (r->offered) r->noted = cl_file_note_method(&n->d->folder, n->key, n->lock, cl_str_of(r->text, r->n)) == 0;
        else free_registration(r);
    }
    cl_strmap_free(&n->registrations);
    n->registrations = offered;
    n->taken_back = 0;
}

static void take_back(cl_folder_node *n, cl_registration *r)
{
    r->offered = r->failed = 0;
    n->taken_back++;
    forget_taken_back(n);
}

static void tell_registered(void *owner, const cl_deferred *c)
{
    cl_folder_directory *d = owner;
    d->sink.registered(d->sink.self, c->number, c->code, c->text.p);
}

static int is_offered(const cl_folder_node *n, cl_str method)
{
    const cl_registration *r = cl_strmap_get(&n->registrations, method);
    return r && r->offered;
}

/* Before the announcement: it is kept, and reported then. */
static int add_later(cl_folder_node *n, cl_str method, uint64_t operation)
{
    char room[256];
    int is_new = !is_offered(n, method);
    cl_registration *r = keep(n, method);
    if (!r) return cl_error(CLOUDS_ENOMEM, NULL);
    memset(room, ' ', sizeof room);
    cl_deferred *d = cl_deferred_reserve(tell_registered, NULL, operation, 0, cl_str_of(room, sizeof room));
    if (d) {
        cl_list_append(&r->reports, &d->place);
        return CL_PENDING;
    }
    if (is_new) take_back(n, r);
    return CLOUDS_ENOMEM;
}

int cl_folder_add(cl_directory *base, void *node, cl_str method, uint64_t operation)
{
    cl_folder_node *n = node_of(cl_folder_of(base), node);
    if (!n) return cl_error(CLOUDS_ECLOSED, NULL);
    if (!n->announced) return add_later(n, method, operation);
    int is_new = !is_offered(n, method);
    cl_registration *r = keep(n, method);
    if (!r) return cl_error(CLOUDS_ENOMEM, NULL);
    int code = put(n, r);
    if (code == 0) r->failed = 0;
    else if (is_new) take_back(n, r);
    return code;
}

/* ---- what it says of itself */

static int put_traits(const cl_folder_node *n)
{
    char room[CL_TRAITS_TEXT], text[CL_TRAITS_TEXT];
    const cl_traits there = cl_file_read_traits(&n->d->folder, n->key, room);
    cl_traits_write(&there, text);
    return strcmp(text, n->traits) == 0 ? 0 : cl_file_put_traits(&n->d->folder, n->key, n->traits);
}

/* Before any entry, so that whoever finds one finds it too. What cannot be done now is when the files are looked at
 * next. */
void cl_folder_describe(cl_directory *base, void *node, const cl_traits *traits)
{
    cl_folder_node *n = node_of(cl_folder_of(base), node);
    if (!n) return;
    cl_traits_write(traits, n->traits);
    if (!n->announced || n->lock < 0 || !cl_file_is_current(&n->d->folder, n->key, n->lock)) return;
    char file[CL_FILE_NAME];
    put_traits(n);
    cl_file_of(n->key, ".tags", file);
    cl_defer(&n->d->deferred, on_change, NULL, 0, 0, cl_str_z(file));
}

/* ---- the announcement */

int cl_folder_announce(cl_directory *base, void *node, const cl_address *addresses, size_t count)
{
    cl_folder_node *n = node_of(cl_folder_of(base), node);
    if (!n) return cl_error(CLOUDS_ECLOSED, NULL);
    n->announced = n->listens = 1;
    cl_folder_inspect_in_time(n->d);
    if (*n->traits) put_traits(n);
    cl_registration *r;
    for (size_t i = 0; (r = cl_strmap_next(&n->registrations, &i));) {
        if (cl_list_empty(&r->reports)) continue;
        int code = put(n, r);
        r->failed = code != 0;
        report(n, r, code, code ? clouds_last_error() : "");
    }
    return 0;
}

/* Without the lock the files of this name are another process's. */
static void take_out(cl_folder_node *n, cl_str method)
{
    if (n->lock < 0 || !cl_file_is_current(&n->d->folder, n->key, n->lock)) return;
    for (int paused = 0; paused < 2; paused++) cl_file_remove_entry(&n->d->folder, n->key, method, paused);
    look_later(n, method);
}

/* The one is made before the other goes: at no time is the method not registered. What cannot be done now is when the
 * files are looked at next. */
void cl_folder_pause(cl_directory *base, void *node, cl_str method, int paused)
{
    cl_folder_node *n = node_of(cl_folder_of(base), node);
    cl_registration *r = n ? cl_strmap_get(&n->registrations, method) : NULL;
    if (!r || !r->offered || r->paused == paused) return;
    r->paused = paused;
    if (!n->announced || n->lock < 0 || !cl_file_is_current(&n->d->folder, n->key, n->lock)) return;
    if (put(n, r) != 0) return;
    cl_file_remove_entry(&n->d->folder, n->key, method, !paused);
    look_later(n, method);
}

int cl_folder_remove(cl_directory *base, void *node, cl_str method, uint64_t operation)
{
    cl_folder_node *n = node_of(cl_folder_of(base), node);
    if (!n) return cl_error(CLOUDS_ECLOSED, NULL);
    cl_registration *r = cl_strmap_get(&n->registrations, method);
    if (r) report(n, r, CLOUDS_ECLOSED, "it was taken back");
    take_out(n, method);
    if (r && r->offered) take_back(n, r);
    return 0;
}

/* ---- the end */

void cl_folder_drain(cl_directory *base, void *node)
{
    cl_folder_node *n = node_of(cl_folder_of(base), node);
    if (!n) return;
    cl_registration *r;
    for (size_t i = 0; (r = cl_strmap_next(&n->registrations, &i));) take_out(n, cl_str_of(r->text, r->n));
    free_registrations(n);
}

int cl_folder_leave(cl_directory *base, void *node)
{
    cl_folder_node *n = node_of(cl_folder_of(base), node);
    if (n) cl_folder_node_free(n);
    return 0;
}

/* ---- losses */

static int is_whole(const cl_folder_node *n)
{
    const cl_folder *folder = &n->d->folder;
    char file[CL_FILE_NAME];
    cl_file_of(n->key, ".sock", file);
    return n->listens && n->lock >= 0 && cl_file_is_current(folder, n->key, n->lock) &&
           faccessat(folder->fd, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* One that is closed meanwhile needs nothing any more. */
static int claim_again(cl_folder_node *n)
{
    cl_folder_directory *d = n->d;
    cl_address at;
    long owner;
    give_up_lock(n);
    n->listens = 0;
    cl_registration *r;
    for (size_t i = 0; (r = cl_strmap_next(&n->registrations, &i));) r->noted = 0;
    int code = take_lock(n, &at, &owner);
    if (code == 0) code = d->sink.relisten(d->sink.self, n->node, &at);
    n->listens = code == 0;
    if (code != 0) give_up_lock(n);
    return code == CLOUDS_ECLOSED ? 0 : code;
}

int cl_folder_node_restore(cl_folder_node *n)
{
    int code = 0;
    if (!n->announced) return 0;
    if (!is_whole(n)) code = claim_again(n);
    if (code == 0 && n->lock >= 0 && *n->traits) code = put_traits(n);
    cl_registration *r;
    for (size_t i = 0; code == 0 && n->lock >= 0 && (r = cl_strmap_next(&n->registrations, &i));)
        if (r->offered && !r->failed && !cl_file_has_entry(&n->d->folder, n->key, cl_str_of(r->text, r->n), r->paused))
            code = put(n, r);
    return code;
}
