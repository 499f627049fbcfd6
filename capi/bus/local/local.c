/* Design notes
 *
 * The bus without a server: a folder is the registry, sockets carry the frames. Operations never tell the sink anything
 * themselves; what they have to say becomes a task, and tasks run in flush, once a turn.
 *
 * Files of ours are removed by the process that made them only: a child after fork just lets go. */
#include "bus/local/internal.h"

#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"

enum { CLOSE_BUS_MS = 1000 };

static void look(cl_bus *base, cl_str method, int known)
{
    cl_task_lookup(&CL_OWNER(base, cl_local, base)->tasks, method);
}

static void forget(cl_bus *base, cl_str method, cl_str server)
{
}

static void status(cl_bus *base, uint64_t operation)
{
    cl_task_add(&CL_OWNER(base, cl_local, base)->tasks, CL_TASK_STATUS, NULL, operation, 0, CL_STR_NONE);
}

/* ---- the end */

static void force_links(cl_local *bus)
{
    CL_LIST_EACH(it, &bus->links) cl_conn_close(CL_OWNER(it, cl_local_link, place)->conn, 0);
}

static void finish_close(cl_local *bus)
{
    if (!bus->closing || bus->told_closed || !cl_list_empty(&bus->nodes)) return;
    if (cl_loop_now() >= bus->close_by) force_links(bus);
    else cl_local_tick_by(bus, bus->close_by);
    if (!cl_list_empty(&bus->links) || !cl_list_empty(&bus->tasks.list)) return;
    bus->told_closed = 1;
    bus->ending = 0;
    bus->sink.closed(bus->sink.self);
}

static void flush(cl_bus *base)
{
    cl_local *bus = CL_OWNER(base, cl_local, base);
    if (!cl_list_empty(&bus->tasks.list)) cl_tasks_run(&bus->tasks);
    if (!bus->ending) return;
    cl_local_nodes_finish(bus);
    if (bus->closing && cl_list_empty(&bus->nodes) && !bus->finishing) {
        bus->finishing = 1;
        CL_LIST_EACH(it, &bus->links) cl_link_finish(CL_OWNER(it, cl_local_link, place));
    }
    finish_close(bus);
}

static void close_bus(cl_bus *base)
{
    cl_local *bus = CL_OWNER(base, cl_local, base);
    if (bus->closing) return;
    CL_LIST_EACH(it, &bus->nodes) cl_local_node_begin_close(CL_OWNER(it, cl_local_node, place));
    bus->closing = bus->ending = 1;
    bus->close_by = cl_loop_now() + CLOSE_BUS_MS;
    cl_local_tick_by(bus, bus->close_by);
    cl_loop_defer(bus->loop);
}

static void destroy(cl_bus *base)
{
    if (!base) return;
    cl_local *bus = CL_OWNER(base, cl_local, base);
    CL_LIST_EACH(it, &bus->nodes) cl_local_node_free(CL_OWNER(it, cl_local_node, place));
    CL_LIST_EACH(at, &bus->probes) cl_free(CL_OWNER(at, cl_probe, place));
    cl_tasks_free(&bus->tasks);
    cl_local_sweep_end(bus);
    cl_fs_watch_destroy(bus->watch);
    cl_loop_timer_destroy(bus->tick);
    cl_folder_close(&bus->folder);
    cl_registry_free(&bus->registry);
    cl_strmap_free(&bus->node_by_id);
    cl_strmap_free(&bus->node_by_key);
    cl_strmap_free(&bus->link_by_peer);
    cl_idmap_free(&bus->node_by_handle);
    cl_idmap_free(&bus->link_by_id);
    cl_free(bus->name);
    cl_free(bus);
}

static const cl_bus_ops ops = {
    .node_open = cl_local_node_open,
    .node_drain = cl_local_node_drain,
    .node_close = cl_local_node_close,
    .register_method = cl_local_register,
    .unregister_method = cl_local_unregister,
    .send = cl_local_send,
    .recall = cl_local_recall,
    .lookup = look,
    .forget = forget,
    .status = status,
    .flush = flush,
    .close = close_bus,
    .destroy = destroy,
};

static void init(cl_local *bus, cl_loop *loop, const cl_limits *limits, const cl_bus_sink *sink)
{
    bus->base.ops = &ops;
    bus->loop = loop;
    bus->limits = *limits;
    bus->sink = *sink;
    bus->owner = getpid();
    bus->folder.fd = -1;
    bus->tick_at = INT64_MAX;
    cl_list_init(&bus->nodes);
    cl_list_init(&bus->links);
    cl_tasks_init(&bus->tasks, loop, &bus->sink, bus, cl_local_answer);
    cl_list_init(&bus->probes);
    cl_registry_init(&bus->registry);
}

int cl_local_bus_create(cl_loop *loop, const cl_url *url, const cl_limits *limits, const cl_bus_sink *sink,
                        cl_bus **out)
{
    cl_local *bus = cl_calloc(1, sizeof *bus);
    if (!bus) return cl_error(CLOUDS_ENOMEM, NULL);
    init(bus, loop, limits, sink);
    bus->name = cl_str_dup(cl_str_z(url->name));
    int code = bus->name ? cl_loop_timer_create(loop, cl_local_tick, bus, &bus->tick) : CLOUDS_ENOMEM;
    if (code == 0) code = cl_local_enter_folder(bus);
    if (code == 0) code = cl_task_add(&bus->tasks, CL_TASK_UP, NULL, 0, 0, CL_STR_NONE);
    if (code != 0) {
        destroy(&bus->base);
        return code == CLOUDS_ENOMEM ? cl_error(code, NULL) : code;
    }
    cl_local_sweep_begin(bus);
    *out = &bus->base;
    return 0;
}
