/* Design notes
 *
 * A node is open when its lock is held and its socket listens; only then entries are made, so whoever finds an entry
 * finds a listener. A lock that is held is tried again for a moment. Draining removes the entries and tells every link,
 * which answers behind its last call. Closing ends the listener, and each link when that answer has come and all is
 * written (bounded by CLOSE_NODE_MS): until then calls still come and are refused. At last the files are removed, the
 * lock after the others. */
#include "bus/local/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"

enum {
    CLOSE_NODE_MS = 500, /* a peer that takes longer than that to take what is written, or to say that it stops too, may
                       be stopped for good */
    REPUBLISH_MS = 20,
    REPUBLISH_AGAIN_MS = 1000,
    INSPECT_MS = 5000,
    RETRY_MS = 10,
    LEAVE_MS = 100, /* how long a process that ends may hold its lock yet */
    TAKEN_BACK_MAX = 1000,
    REMOVE_MS = 2000 /* the files of one that was killed are being removed */
};

cl_local_node *cl_local_node_of(cl_local *bus, const void *handle)
{
    return cl_idmap_get(&bus->node_by_handle, (uint64_t)(uintptr_t)handle);
}

/* ---- open */

static int listen_at(cl_local_node *node)
{
    cl_local *bus = node->bus;
    char file[CL_FILE_NAME], path[sizeof((struct sockaddr_un *)0)->sun_path];
    cl_file_of(node->key, ".sock", file);
    int code = cl_file_path(&bus->folder, file, path, sizeof path);
    if (code != 0) return code;
    unlinkat(bus->folder.fd, file, 0); /* the lock is ours, so this is a leftover */
    return cl_listener_unix(bus->loop, path, cl_link_accepted, node, &node->listener);
}

static void give_up_lock(cl_local_node *node)
{
    const cl_folder *folder = &node->bus->folder;
    if (node->lock < 0) return;
    if (node->bus->owner == getpid() && cl_file_is_current(folder, node->key, node->lock))
        cl_file_remove_node(folder, node->key, node->lock);
    close(node->lock);
    node->lock = -1;
}

/* CLOUDS_EEXIST: `owner` has the lock, see cl_file_lock. */
static int publish(cl_local_node *node, long *owner)
{
    int code = cl_file_lock(&node->bus->folder, node->key, node->id, &node->lock, owner);
    if (code != 0) return code;
    code = listen_at(node);
    if (code != 0) give_up_lock(node);
    return code;
}

static void remove_from_maps(cl_local *bus, cl_local_node *node)
{
    if (cl_strmap_get(&bus->node_by_id, node->id) != node) return;
    cl_strmap_take(&bus->node_by_id, node->id);
    cl_strmap_take(&bus->node_by_key, cl_str_of(node->key, CL_KEY));
    cl_idmap_take(&bus->node_by_handle, (uint64_t)(uintptr_t)node->handle);
}

/* One that has an id of a node here is no further node: only the handle finds it. */
static int add(cl_local *bus, cl_local_node *node)
{
    int code = cl_idmap_put(&bus->node_by_handle, (uint64_t)(uintptr_t)node->handle, node);
    if (code == 0) cl_list_append(&bus->nodes, &node->place);
    if (code == 0 && cl_strmap_get(&bus->node_by_id, node->id))
        return cl_error(CLOUDS_EEXIST, "the node id %.*s is in use by process %ld (this one)", (int)node->id.n,
                        node->id.p, (long)getpid());
    if (code == 0) code = cl_strmap_put(&bus->node_by_id, node->id, node);
    if (code == 0) code = cl_strmap_put(&bus->node_by_key, cl_str_of(node->key, CL_KEY), node);
    return code;
}

/* A lock that is held for a moment: its process is just ending, or its files are just being removed. */
static int wait_for_lock(cl_local_node *node, long owner)
{
    int64_t now = cl_loop_now();
    if (!node->opening) node->open_by = now + (owner > 0 ? LEAVE_MS : REMOVE_MS);
    node->opening = now < node->open_by;
    if (node->opening) cl_local_tick_by(node->bus, now + RETRY_MS);
    return node->opening;
}

static void inspect_in_time(cl_local *bus)
{
    int64_t due = cl_loop_now() + INSPECT_MS;
    if (bus->inspect) return;
    bus->inspect = due;
    cl_local_tick_by(bus, due);
}

static int tell_registered(cl_local_node *node, uint64_t operation, int code, const char *words)
{
    return cl_task_add(&node->bus->tasks, CL_TASK_REGISTERED, NULL, operation, code, cl_str_z(words));
}

static int put(cl_local_node *node, cl_registration *k);

/* What was asked for while the node was opening. 0, or CLOUDS_ENOMEM: nothing could be said of the rest. */
static int register_waiting(cl_local_node *node)
{
    cl_registration *k;
    for (size_t at = 0; (k = cl_strmap_next(&node->registrations, &at));) {
        if (!k->operation) continue;
        int code = node->failure ? node->failure : put(node, k);
        const char *words = node->failure ? node->words : code ? clouds_last_error() : "";
        if (tell_registered(node, k->operation, code, words) != 0) return CLOUDS_ENOMEM;
        k->operation = 0;
        k->failed = code != 0;
    }
    return 0;
}

/* Opens, or finds that it cannot: then the event of the node tells why, as for every bus. CLOUDS_ENOMEM: that could not
 * be said, and is to be tried again. */
static int open_now(cl_local_node *node)
{
    cl_local *bus = node->bus;
    long owner = 1;
    int known = !node->opened && !node->failure;
    int code = known ? publish(node, &owner) : 0;
    if (code == CLOUDS_ENOMEM) return code;
    if (code == CLOUDS_EEXIST && wait_for_lock(node, owner)) return 0;
    if (known && code != 0) {
        node->failure = code;
        snprintf(node->words, sizeof node->words, "%s", clouds_last_error());
    }
    node->opened = !node->failure;
    if (node->opened) inspect_in_time(bus);
    if (cl_task_add(&bus->tasks, CL_TASK_READY, node->handle, 0, node->failure, cl_str_z(node->words)) != 0)
        return CLOUDS_ENOMEM;
    node->opening = 0;
    return 0;
}

int cl_local_node_open(cl_bus *base, void *handle, cl_str id, double heartbeat)
{
    cl_local *bus = CL_OWNER(base, cl_local, base);
    cl_local_node *node = cl_malloc(sizeof *node);
    if (!node) return cl_error(CLOUDS_ENOMEM, NULL);
    *node = (cl_local_node){.bus = bus, .handle = handle, .id = id, .lock = -1};
    cl_list_init(&node->place);
    cl_file_key(id, node->key);
    int code = add(bus, node);
    if (code == CLOUDS_EEXIST) {
        node->failure = code;
        snprintf(node->words, sizeof node->words, "%s", clouds_last_error());
    }
    if (code != CLOUDS_ENOMEM) code = open_now(node);
    if (code == 0) return 0;
    cl_local_node_free(node);
    return cl_error(CLOUDS_ENOMEM, NULL);
}

void cl_local_nodes_retry(cl_local *bus, int64_t now)
{
    CL_LIST_EACH(it, &bus->nodes)
    {
        cl_local_node *node = CL_OWNER(it, cl_local_node, place);
        if (node->closing || (!node->opening && !node->pending)) continue;
        int code = node->opening ? open_now(node) : 0;
        if (code == 0 && !node->opening) code = register_waiting(node);
        if (code == 0 && !node->opening) node->pending = 0;
        else cl_local_tick_by(bus, now + RETRY_MS);
    }
}

void cl_local_node_free(cl_local_node *node)
{
    cl_local *bus = node->bus;
    remove_from_maps(bus, node);
    cl_idmap_take(&bus->node_by_handle, (uint64_t)(uintptr_t)node->handle);
    if (bus->last_node == node) bus->last_node = NULL;
    CL_LIST_EACH(it, &bus->links)
    {
        cl_local_link *link = CL_OWNER(it, cl_local_link, place);
        if (link->named == node) link->named = NULL;
    }
    cl_list_remove(&node->place);
    cl_listener_close(node->listener);
    give_up_lock(node);
    cl_registration *k;
    for (size_t at = 0; (k = cl_strmap_next(&node->registrations, &at));) cl_free(k);
    cl_strmap_free(&node->registrations);
    cl_free(node);
}

/* ---- registrations */

static int look_later(cl_local_node *node, cl_str method)
{
    char file[CL_FILE_NAME];
    if (!cl_strmap_get(&node->bus->registry.methods, method)) return 0;
    cl_file_entry(node->key, method, file);
    return cl_task_add(&node->bus->tasks, CL_TASK_FILE, NULL, 0, 0, cl_str_z(file));
}

static cl_registration *keep(cl_local_node *node, cl_str method)
{
    cl_registration *k = cl_strmap_get(&node->registrations, method);
    if (k) {
        node->taken_back -= !k->offered;
        k->offered = 1;
        return k;
    }
    k = cl_malloc(sizeof *k + method.n);
    if (!k) return NULL;
    *k = (cl_registration){.offered = 1, .n = method.n};
    memcpy(k->text, method.p, method.n);
    if (cl_strmap_put(&node->registrations, cl_str_of(k->text, k->n), k) == 0) return k;
    cl_free(k);
    return NULL;
}

static int put(cl_local_node *node, cl_registration *k)
{
    const cl_folder *folder = &node->bus->folder;
    cl_str method = cl_str_of(k->text, k->n);
    int code = k->noted ? 0 : cl_file_note_method(folder, node->key, node->lock, method);
    if (code == 0) k->noted = 1;
    if (code == 0) code = cl_file_put_entry(folder, node->key, node->id, method);
    if (code == 0) look_later(node, method); /* without memory for that the watch tells */
    return code;
}

/* The lock may name methods that were taken back; where a service does that all the time, not too many. */
static void forget_taken_back(cl_local_node *node)
{
    cl_strmap offered = {0};
    cl_registration *k;
    if (node->taken_back < TAKEN_BACK_MAX || node->taken_back < node->registrations.len / 2 || node->lock < 0) return;
    int code = 0;
    for (size_t at = 0; code == 0 && (k = cl_strmap_next(&node->registrations, &at));)
        if (k->offered) code = cl_strmap_put(&offered, cl_str_of(k->text, k->n), k);
    if (code == 0) code = cl_file_forget_methods(&node->bus->folder, node->lock);
    if (code != 0) {
        cl_strmap_free(&offered);
        return;
    }
    for (size_t at = 0; (k = cl_strmap_next(&node->registrations, &at));) {
        if (k->offered)
            k->noted = cl_file_note_method(&node->bus->folder, node->key, node->lock, cl_str_of(k->text, k->n)) == 0;
        else cl_free(k);
    }
    cl_strmap_free(&node->registrations);
    node->registrations = offered;
    node->taken_back = 0;
}

static void take_back(cl_local_node *node, cl_registration *k)
{
    k->offered = k->failed = 0;
    k->operation = 0;
    node->taken_back++;
    forget_taken_back(node);
}

static int is_offered(const cl_local_node *node, cl_str method)
{
    const cl_registration *k = cl_strmap_get(&node->registrations, method);
    return k && k->offered;
}

int cl_local_register(cl_bus *base, void *handle, cl_str method, uint64_t operation)
{
    cl_local *bus = CL_OWNER(base, cl_local, base);
    cl_local_node *node = cl_local_node_of(bus, handle);
    if (!node || node->draining || node->closing) return cl_error(CLOUDS_ECLOSED, NULL);
    if (node->failure) return cl_error(node->failure, "%s", node->words);
    int is_new = !is_offered(node, method);
    cl_registration *k = keep(node, method);
    if (!k) return cl_error(CLOUDS_ENOMEM, NULL);
    if (node->opening && !k->operation) {
        k->operation = operation;
        node->pending = 1;
        return 0;
    }
    /* The word is registration first, so that it cannot fail afterwards. */
    int code = tell_registered(node, operation, 0, "");
    if (code == 0 && node->opened && (code = put(node, k)) != 0) cl_task_drop_last(&bus->tasks);
    if (code == 0) k->failed = 0;
    else if (is_new) take_back(node, k);
    return code;
}

/* Without the lock the files of this name are another process's. */
static void take_out(cl_local_node *node, cl_str method)
{
    if (node->lock < 0 || !cl_file_is_current(&node->bus->folder, node->key, node->lock)) return;
    cl_file_remove_entry(&node->bus->folder, node->key, method);
    look_later(node, method);
}

int cl_local_unregister(cl_bus *base, void *handle, cl_str method, uint64_t operation)
{
    cl_local *bus = CL_OWNER(base, cl_local, base);
    cl_local_node *node = cl_local_node_of(bus, handle);
    if (!node) return cl_error(CLOUDS_ECLOSED, NULL);
    cl_registration *k = cl_strmap_get(&node->registrations, method);
    if (k && k->operation && tell_registered(node, k->operation, CLOUDS_ECLOSED, "it was taken back") != 0)
        return CLOUDS_ENOMEM;
    take_out(node, method);
    if (k && k->offered) take_back(node, k);
    return tell_registered(node, operation, 0, "");
}

/* ---- the end */

static void unregister_all(cl_local_node *node)
{
    cl_registration *k;
    for (size_t at = 0; (k = cl_strmap_next(&node->registrations, &at));) {
        take_out(node, cl_str_of(k->text, k->n));
        cl_free(k);
    }
    cl_strmap_free(&node->registrations);
    node->taken_back = 0;
}

void cl_local_node_drain(cl_bus *base, void *handle)
{
    cl_local *bus = CL_OWNER(base, cl_local, base);
    cl_local_node *node = cl_local_node_of(bus, handle);
    if (!node || node->draining) return;
    node->draining = 1;
    unregister_all(node);
    CL_LIST_EACH(it, &bus->links)
    {
        cl_local_link *link = CL_OWNER(it, cl_local_link, place);
        if (link->node == node && link->state == CL_LINK_OPEN) cl_link_send_control(link, CL_FRAME_DRAINING, node->id);
    }
}

void cl_local_node_begin_close(cl_local_node *node)
{
    cl_local *bus = node->bus;
    if (node->closing) return;
    cl_local_node_drain(&bus->base, node->handle);
    node->closing = 1;
    cl_listener_close(node->listener);
    node->listener = NULL;
    CL_LIST_EACH(it, &bus->links)
    {
        cl_local_link *link = CL_OWNER(it, cl_local_link, place);
        if (link->node == node && link->half_closed) cl_link_finish(link);
    }
    bus->ending = 1;
    node->close_by = cl_loop_now() + CLOSE_NODE_MS;
    cl_local_tick_by(bus, node->close_by);
    cl_loop_defer(bus->loop);
}

void cl_local_node_close(cl_bus *base, void *handle)
{
    cl_local_node *node = cl_local_node_of(CL_OWNER(base, cl_local, base), handle);
    if (node) cl_local_node_begin_close(node);
}

/* Nothing of what was accepted for sending waits any more. Calls that wait for a link end with their node. */
static int is_quiet(const cl_local *bus)
{
    CL_LIST_EACH(it, &bus->links)
    {
        const cl_local_link *link = CL_OWNER(it, cl_local_link, place);
        if (!link->accepted && (link->worth || (link->state == CL_LINK_OPEN && cl_conn_pending(link->conn)))) return 0;
    }
    return 1;
}

void cl_local_nodes_finish(cl_local *bus)
{
    if (!bus->ending) return;
    int left = 0, quiet = is_quiet(bus);
    int64_t now = cl_loop_now();
    CL_LIST_EACH(it, &bus->nodes)
    {
        cl_local_node *node = CL_OWNER(it, cl_local_node, place);
        if (!node->closing) continue;
        if (now < node->close_by && (node->links || !quiet)) {
            left = 1;
            cl_local_tick_by(bus, node->close_by);
            continue;
        }
        void *handle = node->handle;
        CL_LIST_EACH(at, &bus->links)
        {
            cl_local_link *link = CL_OWNER(at, cl_local_link, place);
            if (link->node == node) link->node = NULL, cl_conn_close(link->conn, 0);
        }
        cl_local_node_free(node);
        bus->sink.node_closed(bus->sink.self, handle);
    }
    bus->ending = left || bus->closing;
}

/* ---- losses */

static int is_whole(const cl_local_node *node)
{
    const cl_folder *folder = &node->bus->folder;
    char file[CL_FILE_NAME];
    cl_file_of(node->key, ".sock", file);
    return node->listener && node->lock >= 0 && cl_file_is_current(folder, node->key, node->lock) &&
           faccessat(folder->fd, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* 0, or an error that is worth another try. */
static int restore(cl_local_node *node)
{
    int code = 0;
    long owner;
    if (node->closing || !node->opened) return 0;
    cl_registration *k;
    if (!is_whole(node)) {
        cl_listener_close(node->listener);
        node->listener = NULL;
        give_up_lock(node);
        for (size_t at = 0; (k = cl_strmap_next(&node->registrations, &at));) k->noted = 0;
        code = publish(node, &owner);
    }
    for (size_t at = 0; code == 0 && (k = cl_strmap_next(&node->registrations, &at));)
        if (k->offered && !k->failed && !cl_file_has_entry(&node->bus->folder, node->key, cl_str_of(k->text, k->n)))
            code = put(node, k);
    return code;
}

/* A file of a node of ours that is not there: perhaps nobody of ours removed it. */
static int is_missed(const cl_local *bus, const char *file)
{
    char key[CL_KEY + 1];
    if (cl_file_kind_of(file, key) == CL_FILE_FOREIGN || !cl_strmap_get(&bus->node_by_key, cl_str_of(key, CL_KEY)))
        return 0;
    return faccessat(bus->folder.fd, file, F_OK, AT_SYMLINK_NOFOLLOW) != 0;
}

void cl_local_republish_soon(cl_local *bus)
{
    if (bus->republish || bus->closing) return;
    bus->republish = 1;
    cl_local_tick_by(bus, cl_loop_now() + REPUBLISH_MS);
}

static void on_change(void *self, const char *name)
{
    cl_local *bus = self;
    if (name) cl_registry_look(bus, name);
    else cl_registry_scan(bus);
    if (!name || is_missed(bus, name)) cl_local_republish_soon(bus);
}

int cl_local_watch(cl_local *bus)
{
    cl_fs_watch *watch = NULL;
    int code = cl_fs_watch_create(bus->loop, bus->folder.path, on_change, bus, &watch);
    if (code != 0) return code;
    cl_fs_watch_destroy(bus->watch);
    bus->watch = watch;
    return 0;
}

int cl_local_enter_folder(cl_local *bus)
{
    cl_folder folder;
    int code = cl_folder_open(&folder, bus->name);
    if (code != 0) return code;
    cl_local_sweep_end(bus);
    cl_folder_close(&bus->folder);
    bus->folder = folder;
    code = bus->watch ? cl_local_watch(bus) : 0;
    if (code == 0) cl_registry_scan(bus);
    return code;
}

/* Each node for itself: one whose id was taken meanwhile is in nobody's way. */
static int put_back(cl_local *bus)
{
    int code = cl_folder_is_current(&bus->folder) ? 0 : cl_local_enter_folder(bus);
    if (code != 0) return code;
    CL_LIST_EACH(it, &bus->nodes)
    {
        int failed = restore(CL_OWNER(it, cl_local_node, place));
        if (failed) code = failed;
    }
    return code;
}

void cl_local_republish(cl_local *bus)
{
    bus->republish = 0;
    if (put_back(bus) != 0) {
        if (!bus->republish_failed)
            cl_log(CLOUDS_LOG_ERROR, "local: cannot put back what is gone from the folder: %s", clouds_last_error());
        bus->republish_failed = bus->republish = 1;
        cl_local_tick_by(bus, cl_loop_now() + REPUBLISH_AGAIN_MS);
        return;
    }
    if (bus->republish_failed) cl_log(CLOUDS_LOG_INFO, "local: what was gone from %s is back", bus->folder.path);
    bus->republish_failed = 0;
}

void cl_local_inspect(cl_local *bus, int64_t now)
{
    if (!bus->inspect || bus->closing) return;
    if (now >= bus->inspect) {
        bus->inspect = now + INSPECT_MS;
        if (!bus->republish && !(bus->watch && cl_fs_watch_is_notified(bus->watch))) cl_local_republish(bus);
    }
    cl_local_tick_by(bus, bus->inspect);
}
