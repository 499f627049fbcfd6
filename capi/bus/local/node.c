/* Design notes
 *
 * A node is open when its lock is held and its socket listens; only then entries are made, so whoever finds an entry
 * finds a listener. Draining removes the entries and tells every link, which answers behind its last call. Closing ends
 * the listener, and each link when that answer has come and all is written (bounded by CLOSE_MS): until then calls
 * still come and are refused. At last the files are removed, the lock after the others. */
#include "bus/local/local.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"

enum { CLOSE_MS = 2000, HEAL_MS = 1000 };

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

static int publish(cl_local_node *node)
{
    int code = cl_file_lock(&node->bus->folder, node->key, node->id, &node->lock);
    if (code == 0) code = listen_at(node);
    if (code == 0) node->opened = 1;
    return code;
}

static void give_up_lock(cl_local_node *node)
{
    const cl_folder *folder = &node->bus->folder;
    if (node->lock < 0) return;
    if (node->bus->owner == getpid() && cl_file_is_current(folder, node->key, node->lock))
        cl_file_remove_node(folder, node->key);
    close(node->lock);
    node->lock = -1;
}

static int add(cl_local *bus, cl_local_node *node)
{
    if (cl_strmap_get(&bus->node_by_id, node->id))
        return cl_error(CLOUDS_EEXIST, "the node id %.*s is in use", (int)node->id.n, node->id.p);
    if (cl_strmap_put(&bus->node_by_id, node->id, node) != 0) return CLOUDS_ENOMEM;
    if (cl_idmap_put(&bus->node_by_handle, (uint64_t)(uintptr_t)node->handle, node) != 0) {
        cl_strmap_take(&bus->node_by_id, node->id);
        return CLOUDS_ENOMEM;
    }
    cl_list_append(&bus->nodes, &node->place);
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
    if (code == 0) {
        code = publish(node);
        /* Whatever is wrong with the folder is told by the event, as for every bus. */
        cl_str words = code ? cl_str_z(clouds_last_error()) : CL_STR_NONE;
        if (code == CLOUDS_ENOMEM || cl_task_add(&bus->tasks, CL_TASK_READY, handle, 0, code, words) != 0)
            code = CLOUDS_ENOMEM;
        else code = 0;
    }
    if (code != 0) cl_local_node_free(node);
    return code;
}

void cl_local_node_free(cl_local_node *node)
{
    cl_local *bus = node->bus;
    if (cl_strmap_get(&bus->node_by_id, node->id) == node) {
        cl_strmap_take(&bus->node_by_id, node->id);
        cl_idmap_take(&bus->node_by_handle, (uint64_t)(uintptr_t)node->handle);
    }
    if (bus->last_node == node) bus->last_node = NULL;
    CL_LIST_EACH(it, &bus->links)
    {
        cl_local_link *link = CL_OWNER(it, cl_local_link, place);
        if (link->named == node) link->named = NULL;
    }
    cl_list_remove(&node->place);
    cl_listener_close(node->listener);
    give_up_lock(node);
    char *method;
    for (size_t at = 0; (method = cl_strmap_next(&node->enrolled, &at));) cl_free(method);
    cl_strmap_free(&node->enrolled);
    cl_free(node);
}

/* ---- registrations */

static int look_later(cl_local_node *node, cl_str method)
{
    char file[CL_FILE_NAME];
    cl_file_entry(node->key, method, file);
    return cl_task_add(&node->bus->tasks, CL_TASK_FILE, NULL, 0, 0, cl_str_z(file));
}

/* The key text is kept in a block of its own: length in front, for walking. */
typedef struct kept {
    size_t n;
    char text[];
} kept;

static int keep(cl_local_node *node, cl_str method)
{
    if (cl_strmap_get(&node->enrolled, method)) return 0;
    kept *k = cl_malloc(sizeof *k + method.n);
    if (!k) return CLOUDS_ENOMEM;
    k->n = method.n;
    memcpy(k->text, method.p, method.n);
    if (cl_strmap_put(&node->enrolled, cl_str_of(k->text, k->n), k) == 0) return 0;
    cl_free(k);
    return CLOUDS_ENOMEM;
}

int cl_local_enroll(cl_bus *base, void *handle, cl_str method, uint64_t operation)
{
    cl_local *bus = CL_OWNER(base, cl_local, base);
    cl_local_node *node = cl_local_node_of(bus, handle);
    if (!node || node->draining || node->closing) return cl_error(CLOUDS_ECLOSED, NULL);
    if (!node->opened) return cl_error(CLOUDS_ESYSTEM, "the node does not listen");
    int is_new = !cl_strmap_get(&node->enrolled, method);
    if (keep(node, method) != 0) return cl_error(CLOUDS_ENOMEM, NULL);
    /* The word is kept first, so that it cannot fail afterwards. */
    int code = cl_task_add(&bus->tasks, CL_TASK_ENROLLED, NULL, operation, 0, CL_STR_NONE);
    if (code == 0 && (code = cl_file_put_entry(&bus->folder, node->key, node->id, method)) != 0)
        cl_task_drop_last(&bus->tasks);
    if (code == 0) look_later(node, method); /* without memory for that the watch tells */
    else if (is_new) cl_free(cl_strmap_take(&node->enrolled, method));
    return code;
}

int cl_local_withdraw(cl_bus *base, void *handle, cl_str method, uint64_t operation)
{
    cl_local *bus = CL_OWNER(base, cl_local, base);
    cl_local_node *node = cl_local_node_of(bus, handle);
    if (!node) return cl_error(CLOUDS_ECLOSED, NULL);
    cl_free(cl_strmap_take(&node->enrolled, method));
    cl_file_remove_entry(&bus->folder, node->key, method);
    look_later(node, method);
    return cl_task_add(&bus->tasks, CL_TASK_ENROLLED, NULL, operation, 0, CL_STR_NONE);
}

/* ---- the end */

static void withdraw_all(cl_local_node *node)
{
    kept *k;
    for (size_t at = 0; (k = cl_strmap_next(&node->enrolled, &at));) {
        cl_file_remove_entry(&node->bus->folder, node->key, cl_str_of(k->text, k->n));
        look_later(node, cl_str_of(k->text, k->n));
        cl_free(k);
    }
    cl_strmap_free(&node->enrolled);
}

void cl_local_node_drain(cl_bus *base, void *handle)
{
    cl_local *bus = CL_OWNER(base, cl_local, base);
    cl_local_node *node = cl_local_node_of(bus, handle);
    if (!node || node->draining) return;
    node->draining = 1;
    withdraw_all(node);
    CL_LIST_EACH(it, &bus->links)
    {
        cl_local_link *link = CL_OWNER(it, cl_local_link, place);
        if (link->node == node && link->state == CL_LINK_OPEN) cl_link_say(link, CL_FRAME_DRAINING, node->id);
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
        if (link->node == node && link->fenced) cl_link_finish(link);
    }
    bus->settling = 1;
    node->close_by = cl_loop_now() + CLOSE_MS;
    cl_local_tick_by(bus, node->close_by);
    cl_loop_poke(bus->loop);
}

void cl_local_node_close(cl_bus *base, void *handle)
{
    cl_local_node *node = cl_local_node_of(CL_OWNER(base, cl_local, base), handle);
    if (node) cl_local_node_begin_close(node);
}

/* Nothing of what was accepted for sending waits any more. */
static int is_quiet(const cl_local *bus)
{
    CL_LIST_EACH(it, &bus->links)
    {
        const cl_local_link *link = CL_OWNER(it, cl_local_link, place);
        if (!link->accepted && (link->waiting || (link->state == CL_LINK_OPEN && cl_conn_pending(link->conn))))
            return 0;
    }
    return 1;
}

void cl_local_nodes_settle(cl_local *bus)
{
    if (!bus->settling) return;
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
    bus->settling = left || bus->closing;
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
    const cl_folder *folder = &node->bus->folder;
    int code = 0;
    if (node->closing || !node->opened) return 0;
    if (!is_whole(node)) {
        cl_listener_close(node->listener);
        node->listener = NULL;
        if (node->lock >= 0) close(node->lock);
        node->lock = -1;
        code = publish(node);
    }
    kept *k;
    for (size_t at = 0; code == 0 && (k = cl_strmap_next(&node->enrolled, &at));)
        code = cl_file_put_entry(folder, node->key, node->id, cl_str_of(k->text, k->n));
    return code;
}

static int is_current_folder(const cl_folder *folder)
{
    struct stat ours, theirs;
    return fstat(folder->fd, &ours) == 0 && lstat(folder->path, &theirs) == 0 && ours.st_ino == theirs.st_ino &&
           ours.st_dev == theirs.st_dev;
}

static void on_change(void *self, const char *name)
{
    cl_registry_look(self, name, 1);
}

int cl_local_enter_folder(cl_local *bus)
{
    cl_folder folder;
    cl_watch *watch = NULL;
    int code = cl_folder_open(&folder, bus->name);
    if (code == 0) code = cl_watch_create(bus->loop, folder.path, on_change, bus, &watch);
    if (code != 0) {
        cl_folder_close(&folder);
        return code;
    }
    cl_watch_destroy(bus->watch);
    cl_folder_close(&bus->folder);
    bus->watch = watch;
    bus->folder = folder;
    return 0;
}

void cl_local_heal(cl_local *bus)
{
    bus->heal = 0;
    int code = is_current_folder(&bus->folder) ? 0 : cl_local_enter_folder(bus);
    CL_LIST_EACH(it, &bus->nodes)
    {
        int failed = code == 0 ? restore(CL_OWNER(it, cl_local_node, place)) : 0;
        if (failed) code = failed;
    }
    if (code != 0) {
        cl_log(CLOUDS_LOG_ERROR, "local: cannot put back what is gone from the folder: %s", clouds_last_error());
        bus->heal = 1;
        cl_local_tick_by(bus, cl_loop_now() + HEAL_MS);
        return;
    }
    cl_registry_look(bus, NULL, 1);
    bus->heal = 0;
}
