#include "bus/local/local.h"

#include "base/error.h"
#include "base/mem.h"

int cl_task_add(cl_local *bus, enum cl_task_kind kind, void *node, uint64_t number, int code, cl_str text)
{
    cl_task *task = cl_malloc(sizeof *task + text.n + 1);
    if (!task) return cl_error(CLOUDS_ENOMEM, NULL);
    *task = (cl_task){.kind = kind, .code = code, .node = node, .number = number, .text = {task->memory, text.n}};
    memcpy(task->memory, text.p, text.n);
    task->memory[text.n] = '\0';
    cl_list_append(&bus->tasks, &task->place);
    cl_loop_poke(bus->loop);
    return 0;
}

void cl_task_drop_last(cl_local *bus)
{
    cl_task *task = CL_OWNER(bus->tasks.prev, cl_task, place);
    cl_list_remove(&task->place);
    cl_free(task);
}

static cl_server *servers_of(const cl_entries *list)
{
    cl_server *servers = list ? cl_malloc(list->n * sizeof *servers) : NULL;
    size_t n = 0;
    if (servers) CL_LIST_EACH(it, &list->list) servers[n++] = (cl_server){CL_OWNER(it, cl_entry, in_method)->id, 1};
    return servers;
}

/* The watch may not have told yet of a server that has just come: nobody is told "none" before the folder was read. */
static void look(cl_local *bus, cl_str method)
{
    if (!cl_strmap_get(&bus->registry.methods, method)) cl_registry_look(bus, NULL, 1);
    cl_registry_check(bus, method);
    const cl_entries *list = cl_strmap_get(&bus->registry.methods, method);
    cl_server *servers = servers_of(list);
    int code = list && !servers ? CLOUDS_ENOMEM : 0;
    bus->sink.servers(bus->sink.self, method, servers, servers ? list->n : 0, code);
    cl_free(servers);
}

static void status(cl_local *bus, uint64_t operation)
{
    const cl_registry *r = &bus->registry;
    cl_server *servers = cl_malloc((r->files.len + 1) * sizeof *servers);
    cl_str *methods = cl_malloc((r->files.len + 1) * sizeof *methods);
    size_t n = 0;
    const cl_entry *entry;
    int code = servers && methods ? 0 : CLOUDS_ENOMEM;
    for (size_t at = 0; code == 0 && (entry = cl_strmap_next(&r->files, &at)); n++) {
        methods[n] = entry->method;
        servers[n] = (cl_server){entry->id, 1};
    }
    if (n) bus->sink.status(bus->sink.self, operation, methods, servers, n, 0, 0);
    cl_free(servers);
    cl_free(methods);
    bus->sink.status(bus->sink.self, operation, NULL, NULL, 0, 1, code);
}

static void run(cl_local *bus, const cl_task *task)
{
    const cl_bus_sink *sink = &bus->sink;
    switch (task->kind) {
    case CL_TASK_UP:
        sink->state(sink->self, 1, 0, "");
        break;
    case CL_TASK_READY:
        sink->node_ready(sink->self, task->node, task->code, task->text.p);
        break;
    case CL_TASK_NODE_CLOSED:
        sink->node_closed(sink->self, task->node);
        break;
    case CL_TASK_ENROLLED:
        sink->enrolled(sink->self, task->number, task->code, task->text.p);
        break;
    case CL_TASK_FILE:
        cl_registry_look(bus, task->text.p, 1);
        break;
    case CL_TASK_LOOK:
        look(bus, task->text);
        break;
    case CL_TASK_STATUS:
        cl_registry_sweep(bus);
        cl_registry_look(bus, NULL, 1);
        status(bus, task->number);
        break;
    case CL_TASK_FATE:
        sink->fate(sink->self, task->number, (enum cl_fate)task->code, task->code == CL_FATE_WRITTEN);
        break;
    }
}

/* What is added meanwhile waits for the next turn (and keeps it from sleeping). */
void cl_task_run(cl_local *bus)
{
    cl_link now;
    cl_list_init(&now);
    while (!cl_list_empty(&bus->tasks)) {
        cl_link *link = bus->tasks.next;
        cl_list_remove(link);
        cl_list_append(&now, link);
    }
    while (!cl_list_empty(&now)) {
        cl_task *task = CL_OWNER(now.next, cl_task, place);
        cl_list_remove(&task->place);
        run(bus, task);
        cl_free(task);
    }
}
