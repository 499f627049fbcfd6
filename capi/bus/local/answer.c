/* The answers to look and status: what the registry holds. */
#include "bus/local/local.h"

#include "base/mem.h"
#include "clouds.h"

static cl_server *servers_of(const cl_entries *list)
{
    cl_server *servers = list ? cl_malloc(list->n * sizeof *servers) : NULL;
    if (!servers) return NULL;
    size_t n = 0;
    CL_LIST_EACH(it, &list->list) servers[n++] = (cl_server){CL_OWNER(it, cl_entry, in_method)->id, CL_NATIVE_LINKED};
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
        servers[n] = (cl_server){entry->id, CL_NATIVE_LINKED};
    }
    if (n) bus->sink.status(bus->sink.self, operation, methods, servers, n, 0, 0);
    cl_free(servers);
    cl_free(methods);
    bus->sink.status(bus->sink.self, operation, NULL, NULL, 0, 1, code);
}

void cl_local_answer(void *self, const cl_task *task)
{
    cl_local *bus = self;
    if (task->kind == CL_TASK_FILE) {
        cl_registry_look(bus, task->text.p, 1);
    } else if (task->kind == CL_TASK_LOOK) {
        look(bus, task->text);
    } else {
        cl_registry_sweep(bus);
        cl_registry_look(bus, NULL, 1);
        status(bus, task->number);
    }
}
