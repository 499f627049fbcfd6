/* The tasks of this bus: what is asked of it, and files of its own that changed. */
#include "base/mem.h"
#include "bus/local/internal.h"
#include "clouds.h"

static cl_server *servers_of(const cl_wanted *wanted)
{
    cl_server *servers = cl_malloc((wanted->n + 1) * sizeof *servers);
    if (!servers) return NULL;
    size_t n = 0;
    CL_LIST_EACH(it, &wanted->list) servers[n++] = (cl_server){CL_OWNER(it, cl_entry, in_method)->id, CL_NATIVE_LINKED};
    return servers;
}

static void look(cl_local *bus, cl_str method)
{
    cl_wanted *wanted = cl_registry_want(bus, method);
    if (wanted) cl_registry_check(bus, wanted);
    cl_server *servers = wanted ? servers_of(wanted) : NULL;
    bus->sink.servers(bus->sink.self, method, servers, servers ? wanted->n : 0, servers ? 0 : CLOUDS_ENOMEM);
    cl_free(servers);
}

void cl_local_answer(void *self, const cl_task *task)
{
    cl_local *bus = self;
    if (task->kind == CL_TASK_FILE) cl_registry_look(bus, task->text.p);
    else if (task->kind == CL_TASK_LOOKUP) look(bus, task->text);
    else cl_local_status(bus, task->number);
}
