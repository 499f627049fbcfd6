/* Design notes
 *
 * The folder is the truth and this is a picture of a part of it: the entries of the methods that somebody here asked
 * for. Who only serves keeps none, and watches nothing. The first question for a method looks at all names once; then
 * the watch names what changed, and a name whose method nobody asked for costs one look into a table.
 *
 * An entry never changes, so it is read once. When news was lost, all names are looked at again, and those that are
 * known are not read again.
 *
 * An entry is in three places: by file, in the list of its method, in the list of its node. */
#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "directory/folder/internal.h"

enum { WANTED_MAX = 10000, CHECK_MS = 1000 };

/* ---- the picture */

/* What it says of itself, read afresh: 1 when that is something else now. Without memory it is as before. */
static int read_traits(const cl_folder_directory *d, cl_peer_entries *peer, const char *key)
{
    char room[CL_TRAITS_TEXT], text[CL_TRAITS_TEXT];
    const cl_traits traits = cl_file_read_traits(&d->folder, key, room);
    size_t n = cl_traits_write(&traits, text);
    if (strcmp(text, peer->traits ? peer->traits : "") == 0) return 0;
    char *copy = n ? cl_str_dup(cl_str_of(text, n)) : NULL;
    if (n && !copy) return 0;
    cl_free(peer->traits);
    peer->traits = copy;
    return 1;
}

static cl_peer_entries *peer_of(cl_folder_directory *d, cl_str id, const char *file)
{
    cl_entries *r = &d->entries;
    cl_peer_entries *peer = cl_strmap_get(&r->peers, id);
    if (peer) return peer;
    peer = cl_malloc(sizeof *peer + id.n);
    if (!peer) return NULL;
    memcpy(peer->text, id.p, id.n);
    *peer = (cl_peer_entries){.id = {peer->text, id.n}};
    cl_list_init(&peer->list);
    read_traits(d, peer, file);
    if (cl_strmap_put(&r->peers, peer->id, peer) == 0) return peer;
    cl_free(peer->traits);
    cl_free(peer);
    return NULL;
}

static void free_if_empty(cl_entries *r, cl_peer_entries *peer)
{
    if (!peer || peer->n) return;
    cl_strmap_take(&r->peers, peer->id);
    cl_free(peer->traits);
    cl_free(peer);
}

cl_server cl_entry_server(const cl_entry *entry)
{
    const char *traits = entry->peer->traits;
    return (cl_server){entry->id, CL_NATIVE_LINKED, entry->paused, cl_traits_read(cl_str_z(traits ? traits : ""))};
}

static int is_of_paused(const char *file)
{
    char key[CL_KEY + 1];
    return cl_file_kind_of(file, key) == CL_FILE_PAUSED;
}

static int add(cl_folder_directory *d, const char *file, cl_str id, cl_wanted *wanted, int tell)
{
    cl_entries *r = &d->entries;
    cl_entry *entry = cl_calloc(1, sizeof *entry + id.n);
    cl_peer_entries *peer = entry ? peer_of(d, id, file) : NULL;
    if (peer) memcpy(entry->file, file, strlen(file) + 1);
    if (!peer || cl_strmap_put(&r->files, cl_str_z(entry->file), entry) != 0) {
        free_if_empty(r, peer);
        cl_free(entry);
        return CLOUDS_ENOMEM;
    }
    memcpy(entry->text, id.p, id.n);
    entry->id = cl_str_of(entry->text, id.n);
    entry->round = r->round;
    entry->wanted = wanted;
    entry->peer = peer;
    entry->paused = is_of_paused(file);
    cl_list_append(&wanted->list, &entry->in_method);
    cl_list_append(&peer->list, &entry->in_peer);
    wanted->n++;
    peer->n++;
    if (tell && !entry->paused) d->sink.server_up(d->sink.self, wanted->method, cl_entry_server(entry));
    return 0;
}

static void drop(cl_folder_directory *d, cl_entry *entry, int tell)
{
    cl_entries *r = &d->entries;
    cl_strmap_take(&r->files, cl_str_z(entry->file));
    cl_list_remove(&entry->in_method);
    cl_list_remove(&entry->in_peer);
    entry->wanted->n--;
    entry->peer->n--;
    free_if_empty(r, entry->peer);
    if (tell && !entry->paused) d->sink.server_down(d->sink.self, entry->wanted->method, entry->id);
    cl_free(entry);
}

void cl_entries_init(cl_entries *r)
{
    cl_list_init(&r->recent);
}

void cl_entries_free(cl_entries *r)
{
    void *value;
    for (size_t at = 0; (value = cl_strmap_next(&r->files, &at));) cl_free(value);
    for (size_t at = 0; (value = cl_strmap_next(&r->methods, &at));) cl_free(value);
    for (size_t at = 0; (value = cl_strmap_next(&r->peers, &at)); cl_free(value))
        cl_free(((cl_peer_entries *)value)->traits);
    cl_strmap_free(&r->files);
    cl_strmap_free(&r->methods);
    cl_strmap_free(&r->keys);
    cl_strmap_free(&r->peers);
}

/* ---- looking */

static cl_wanted *wanted_by(cl_folder_directory *d, const char *file)
{
    char key[CL_KEY + 1];
    enum cl_file_kind kind = cl_file_kind_of(file, key);
    if (kind != CL_FILE_ENTRY && kind != CL_FILE_PAUSED) return NULL;
    return cl_strmap_get(&d->entries.keys, cl_str_of(file + CL_KEY + 1, CL_KEY));
}

static int read_entry(cl_folder_directory *d, const char *file, cl_wanted *wanted, int tell)
{
    cl_buf memory = {0};
    cl_str id, method;
    d->entries.reads++;
    int code = cl_file_read_entry(&d->folder, file, &memory, &id, &method);
    if (code == 0 && cl_str_eq(method, wanted->method)) code = add(d, file, id, wanted, tell);
    cl_buf_free(&memory);
    if (code == CLOUDS_ENOMEM) cl_log(CLOUDS_LOG_WARN, "local: no memory to keep a registration");
    return code;
}

/* A node that is known says something else of itself. */
static void look_at_traits(cl_folder_directory *d, const char *key)
{
    char of_peer[CL_KEY + 1];
    size_t at = 0;
    for (cl_peer_entries *peer; (peer = cl_strmap_next(&d->entries.peers, &at));) {
        cl_file_key(peer->id, of_peer);
        if (memcmp(of_peer, key, CL_KEY) != 0) continue;
        if (read_traits(d, peer, key)) cl_entries_tell(d, peer->id, 1);
        return;
    }
}

void cl_entries_look(cl_folder_directory *d, const char *file)
{
    char key[CL_KEY + 1];
    if (cl_file_kind_of(file, key) == CL_FILE_TRAITS) {
        look_at_traits(d, key);
        return;
    }
    cl_wanted *wanted = wanted_by(d, file);
    if (!wanted) return;
    cl_entry *entry = cl_strmap_get(&d->entries.files, cl_str_z(file));
    if (!entry) read_entry(d, file, wanted, 1);
    else if (faccessat(d->folder.fd, file, F_OK, AT_SYMLINK_NOFOLLOW) != 0) drop(d, entry, 1);
}

/* Looks at all names: for all methods, or for one that was not asked for before, whose list is the answer then. */
static void scan(cl_folder_directory *d, const cl_wanted *only)
{
    cl_entries *r = &d->entries;
    DIR *dir = cl_folder_list(&d->folder);
    if (!dir) return;
    r->round++;
    r->scans++;
    for (struct dirent *f; (f = readdir(dir));) {
        cl_wanted *wanted = wanted_by(d, f->d_name);
        if (!wanted || (only && wanted != only)) continue;
        cl_entry *entry = cl_strmap_get(&r->files, cl_str_z(f->d_name));
        if (entry) entry->round = r->round;
        else read_entry(d, f->d_name, wanted, !only);
    }
    closedir(dir);
}

static void look_at_all_traits(cl_folder_directory *d)
{
    char key[CL_KEY + 1];
    size_t at = 0;
    for (cl_peer_entries *peer; (peer = cl_strmap_next(&d->entries.peers, &at));) {
        cl_file_key(peer->id, key);
        if (read_traits(d, peer, key)) cl_entries_tell(d, peer->id, 1);
    }
}

static void drop_unseen(cl_folder_directory *d, cl_wanted *wanted)
{
    CL_LIST_EACH(it, &wanted->list)
    {
        cl_entry *entry = CL_OWNER(it, cl_entry, in_method);
        if (entry->round != d->entries.round) drop(d, entry, 1);
    }
}

void cl_entries_scan(cl_folder_directory *d)
{
    if (cl_list_empty(&d->entries.recent)) return;
    unsigned before = d->entries.round;
    scan(d, NULL);
    if (d->entries.round == before) return; /* the folder could not be read */
    CL_LIST_EACH(it, &d->entries.recent) drop_unseen(d, CL_OWNER(it, cl_wanted, place));
    look_at_all_traits(d);
}

/* ---- wanting */

static void unwant(cl_entries *r, cl_wanted *wanted)
{
    cl_list_remove(&wanted->place);
    cl_strmap_take(&r->methods, wanted->method);
    if (cl_strmap_get(&r->keys, cl_str_of(wanted->key, CL_KEY)) == wanted)
        cl_strmap_take(&r->keys, cl_str_of(wanted->key, CL_KEY));
    cl_free(wanted);
}

/* The method that was not asked for the longest is forgotten; who asks again is answered anew. */
static void make_room(cl_folder_directory *d)
{
    cl_entries *r = &d->entries;
    if (r->methods.len < WANTED_MAX) return;
    cl_wanted *oldest = CL_OWNER(r->recent.next, cl_wanted, place);
    CL_LIST_EACH(it, &oldest->list) drop(d, CL_OWNER(it, cl_entry, in_method), 0);
    unwant(r, oldest);
}

static cl_wanted *create(cl_entries *r, cl_str method)
{
    cl_wanted *wanted = cl_calloc(1, sizeof *wanted + method.n);
    if (!wanted) return NULL;
    memcpy(wanted->text, method.p, method.n);
    wanted->method = cl_str_of(wanted->text, method.n);
    wanted->checked = INT64_MIN;
    cl_list_init(&wanted->list);
    cl_list_append(&r->recent, &wanted->place);
    cl_file_key(method, wanted->key);
    if (cl_strmap_put(&r->methods, wanted->method, wanted) == 0 &&
        cl_strmap_put(&r->keys, cl_str_of(wanted->key, CL_KEY), wanted) == 0)
        return wanted;
    unwant(r, wanted);
    return NULL;
}

cl_wanted *cl_entries_want(cl_folder_directory *d, cl_str method)
{
    cl_entries *r = &d->entries;
    if (!d->watch && cl_folder_watch(d) != 0) return NULL;
    cl_wanted *wanted = cl_strmap_get(&r->methods, method);
    if (wanted) {
        cl_list_remove(&wanted->place);
        cl_list_append(&r->recent, &wanted->place);
        cl_fs_watch_read(d->watch);
        return wanted;
    }
    make_room(d);
    wanted = create(r, method);
    if (wanted) scan(d, wanted);
    return wanted;
}

int cl_entries_has_other(const cl_folder_directory *d, cl_str id)
{
    const cl_peer_entries *peer = cl_strmap_get(&d->entries.peers, id);
    if (!peer) return 0;
    CL_LIST_EACH(it, &peer->list)
    if (CL_OWNER(it, cl_entry, in_peer)->wanted->n > 1) return 1;
    return 0;
}

/* ---- the dead */

void cl_entries_forget(cl_folder_directory *d, cl_str id)
{
    cl_peer_entries *peer = cl_strmap_get(&d->entries.peers, id);
    for (size_t left = peer ? peer->n : 0; left > 0; left--) drop(d, CL_OWNER(peer->list.next, cl_entry, in_peer), 1);
}

void cl_entries_check(cl_folder_directory *d, cl_wanted *wanted)
{
    int64_t now = cl_loop_now();
    if (wanted->checked != INT64_MIN && now - wanted->checked < CHECK_MS) return;
    wanted->checked = now;
    CL_LIST_EACH(it, &wanted->list)
    {
        cl_entry *entry = CL_OWNER(it, cl_entry, in_method);
        char key[CL_KEY + 1] = "";
        memcpy(key, entry->file, CL_KEY);
        if (!cl_file_is_alive(&d->folder, key, entry->file)) drop(d, entry, 1);
    }
}

void cl_entries_tell(cl_folder_directory *d, cl_str id, int up)
{
    cl_peer_entries *peer = cl_strmap_get(&d->entries.peers, id);
    if (!peer) return;
    CL_LIST_EACH(it, &peer->list)
    {
        const cl_entry *entry = CL_OWNER(it, cl_entry, in_peer);
        cl_str method = entry->wanted->method;
        if (entry->paused) continue;
        if (up) d->sink.server_up(d->sink.self, method, cl_entry_server(entry));
        else d->sink.server_down(d->sink.self, method, entry->id);
    }
}
