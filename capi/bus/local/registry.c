/* Design notes
 *
 * The folder is the truth and this is its picture: inotify names what changed, and every name is looked at again, so it
 * does not matter in which order news arrives or whether we knew already. When news was lost, all of the folder is
 * looked at.
 *
 * An entry is in three places: by file, in the list of its method, in the list of its node. Lists vanish with their
 * last. */
#include "bus/local/local.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"

enum { HEAL_MS = 20 };

/* ---- the picture */

static cl_entries *entries_of(cl_strmap *map, cl_str name)
{
    cl_entries *list = cl_strmap_get(map, name);
    if (list) return list;
    list = cl_malloc(sizeof *list + name.n);
    if (!list) return NULL;
    memcpy(list->text, name.p, name.n);
    *list = (cl_entries){.name = {list->text, name.n}};
    cl_list_init(&list->list);
    if (cl_strmap_put(map, list->name, list) == 0) return list;
    cl_free(list);
    return NULL;
}

static void forget_if_empty(cl_strmap *map, cl_entries *list)
{
    if (!list || list->n) return;
    cl_strmap_take(map, list->name);
    cl_free(list);
}

static cl_entry *make_entry(const char *file, cl_str id, cl_str method)
{
    cl_entry *entry = cl_calloc(1, sizeof *entry + id.n + method.n);
    if (!entry) return NULL;
    memcpy(entry->file, file, strlen(file) + 1);
    memcpy(entry->text, id.p, id.n);
    memcpy(entry->text + id.n, method.p, method.n);
    entry->id = cl_str_of(entry->text, id.n);
    entry->method = cl_str_of(entry->text + id.n, method.n);
    return entry;
}

int cl_registry_add(cl_local *bus, const char *file, cl_str id, cl_str method, int tell)
{
    cl_registry *r = &bus->registry;
    cl_entry *entry = make_entry(file, id, method);
    cl_entries *of_method = entry ? entries_of(&r->methods, method) : NULL;
    cl_entries *of_peer = of_method ? entries_of(&r->peers, id) : NULL;
    if (!of_peer || cl_strmap_put(&r->files, cl_str_z(entry->file), entry) != 0) {
        forget_if_empty(&r->methods, of_method);
        forget_if_empty(&r->peers, of_peer);
        cl_free(entry);
        return CLOUDS_ENOMEM;
    }
    entry->round = r->round;
    entry->methods = of_method;
    entry->peer = of_peer;
    cl_list_append(&of_method->list, &entry->in_method);
    cl_list_append(&of_peer->list, &entry->in_peer);
    of_method->n++;
    of_peer->n++;
    if (tell) bus->sink.server_up(bus->sink.self, entry->method, (cl_server){entry->id, CL_NATIVE_LINKED});
    return 0;
}

static void drop(cl_local *bus, cl_entry *entry, int tell)
{
    cl_registry *r = &bus->registry;
    cl_strmap_take(&r->files, cl_str_z(entry->file));
    cl_list_remove(&entry->in_method);
    cl_list_remove(&entry->in_peer);
    entry->methods->n--;
    entry->peer->n--;
    forget_if_empty(&r->methods, entry->methods);
    forget_if_empty(&r->peers, entry->peer);
    if (tell) bus->sink.server_down(bus->sink.self, entry->method, entry->id);
    cl_free(entry);
}

void cl_registry_drop(cl_local *bus, const char *file, int tell)
{
    cl_entry *entry = cl_strmap_get(&bus->registry.files, cl_str_z(file));
    if (entry) drop(bus, entry, tell);
}

void cl_registry_free(cl_registry *r)
{
    void *value;
    for (size_t at = 0; (value = cl_strmap_next(&r->files, &at));) cl_free(value);
    for (size_t at = 0; (value = cl_strmap_next(&r->methods, &at));) cl_free(value);
    for (size_t at = 0; (value = cl_strmap_next(&r->peers, &at));) cl_free(value);
    cl_strmap_free(&r->files);
    cl_strmap_free(&r->methods);
    cl_strmap_free(&r->peers);
}

/* ---- looking */

static int ends_with(const char *file, const char *suffix)
{
    size_t n = strlen(file), m = strlen(suffix);
    return n > m && strcmp(file + n - m, suffix) == 0;
}

static int is_entry(const char *file)
{
    return strlen(file) == 2 * CL_KEY + 3 && file[CL_KEY] == '-' && ends_with(file, ".m");
}

static void look_at_entry(cl_local *bus, const char *file, int tell)
{
    cl_entry *entry = cl_strmap_get(&bus->registry.files, cl_str_z(file));
    cl_buf memory = {0};
    cl_str id, method;
    int code = cl_file_read_entry(&bus->folder, file, &memory, &id, &method);
    if (code == 0 && !entry) code = cl_registry_add(bus, file, id, method, tell);
    else if (code == 0) entry->round = bus->registry.round;
    else if (code != CLOUDS_ENOMEM && entry) drop(bus, entry, tell);
    if (code == CLOUDS_ENOMEM) cl_log(CLOUDS_LOG_WARN, "local: no memory to keep a registration");
    cl_buf_free(&memory);
}

/* A file of a node of ours that is not there: perhaps nobody of ours removed it. */
static int is_missed(const cl_local *bus, const char *file)
{
    CL_LIST_EACH(it, &bus->nodes)
    if (strncmp(CL_OWNER(it, cl_local_node, place)->key, file, CL_KEY) == 0)
        return faccessat(bus->folder.fd, file, F_OK, AT_SYMLINK_NOFOLLOW) != 0;
    return 0;
}

/* A scan saw what exists; what has an older round is gone. Dropping while walking is not allowed, so one at a time. */
static void drop_unseen(cl_local *bus, int tell)
{
    cl_registry *r = &bus->registry;
    for (;;) {
        cl_entry *entry, *unseen = NULL;
        for (size_t at = 0; !unseen && (entry = cl_strmap_next(&r->files, &at));)
            if (entry->round != r->round) unseen = entry;
        if (!unseen) return;
        drop(bus, unseen, tell);
    }
}

static DIR *open_folder(cl_local *bus)
{
    int fd = openat(bus->folder.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir && fd >= 0) close(fd);
    return dir;
}

static void look_at_all(cl_local *bus, int tell)
{
    DIR *dir = open_folder(bus);
    if (!dir) return;
    bus->registry.round++;
    for (struct dirent *d; (d = readdir(dir));)
        if (is_entry(d->d_name)) look_at_entry(bus, d->d_name, tell);
    closedir(dir);
    drop_unseen(bus, tell);
}

void cl_registry_look(cl_local *bus, const char *file, int tell)
{
    if (!file) look_at_all(bus, tell);
    else if (is_entry(file)) look_at_entry(bus, file, tell);
    if (bus->heal || bus->closing || (file && !is_missed(bus, file))) return;
    bus->heal = 1;
    cl_local_tick_by(bus, cl_loop_now() + HEAL_MS);
}

/* ---- the dead */

void cl_registry_sweep(cl_local *bus)
{
    DIR *dir = open_folder(bus);
    for (struct dirent *d; dir && (d = readdir(dir));) {
        char key[CL_KEY + 1] = "", lock[CL_FILE_NAME];
        if (strlen(d->d_name) < CL_KEY) continue;
        memcpy(key, d->d_name, CL_KEY);
        cl_file_of(key, ".lock", lock);
        int lost = ends_with(d->d_name, ".sock") && faccessat(bus->folder.fd, lock, F_OK, AT_SYMLINK_NOFOLLOW) != 0;
        if (lost || ends_with(d->d_name, ".lock")) cl_file_is_alive(&bus->folder, key);
    }
    if (dir) closedir(dir);
}

static void drop_node(cl_local *bus, cl_str id)
{
    for (cl_entries *peer; (peer = cl_strmap_get(&bus->registry.peers, id));) {
        int last = peer->n == 1;
        drop(bus, CL_OWNER(peer->list.next, cl_entry, in_peer), 1);
        if (last) return;
    }
}

void cl_registry_check(cl_local *bus, cl_str method)
{
    cl_entries *list = cl_strmap_get(&bus->registry.methods, method);
    for (size_t left = list ? list->n : 0; left && list; left--) {
        cl_entry *entry = CL_OWNER(list->list.next, cl_entry, in_method);
        cl_list_remove(&entry->in_method);
        cl_list_append(&list->list, &entry->in_method);
        char key[CL_KEY + 1] = "";
        memcpy(key, entry->file, CL_KEY);
        if (cl_file_is_alive(&bus->folder, key)) continue;
        cl_buf id = {0};
        if (cl_buf_put_str(&id, entry->id) == 0) drop_node(bus, cl_buf_str(&id));
        cl_buf_free(&id);
        list = cl_strmap_get(&bus->registry.methods, method);
    }
}

void cl_registry_tell(cl_local *bus, cl_str id, int up)
{
    cl_entries *peer = cl_strmap_get(&bus->registry.peers, id);
    if (!peer) return;
    CL_LIST_EACH(it, &peer->list)
    {
        const cl_entry *entry = CL_OWNER(it, cl_entry, in_peer);
        if (up) bus->sink.server_up(bus->sink.self, entry->method, (cl_server){entry->id, CL_NATIVE_LINKED});
        else bus->sink.server_down(bus->sink.self, entry->method, entry->id);
    }
}
