#include "base/error.h"
#include "core/internal.h"

/* A method that is paused stays registered, and is not called: the directory tells callers, and who calls all the same
 * is refused. A node that is paused pauses what it registers meanwhile, too. */

static void publish(cl_node *node, const cl_service *service)
{
    cl_bus *bus = node->core->bus;
    if (bus->ops->pause) bus->ops->pause(bus, node, service->name, cl_service_is_paused(node, service));
}

static void changed(cl_node *node, cl_service *service)
{
    cl_service_changed(node, service);
    publish(node, service);
}

static void set_all(cl_node *node, int paused)
{
    size_t at = 0;
    node->paused = paused;
    for (cl_service *service; (service = cl_strmap_next(&node->services, &at));) {
        if (!paused) service->paused = 0;
        changed(node, service);
    }
}

void cl_pause_registered(cl_node *node, const cl_service *service)
{
    if (cl_service_is_paused(node, service)) publish(node, service);
}

int cl_pause_may(const cl_node *node, cl_str method)
{
    if (node->draining || node->state == CL_NODE_CLOSING) return cl_error(CLOUDS_ECLOSED, "the node is closed");
    if (!method.n || cl_strmap_get(&node->services, method)) return 0;
    return cl_error(CLOUDS_EINVAL, "no method '%.*s' is registered", method.n < 200 ? (int)method.n : 200, method.p);
}

/* The method of a node that is paused as a whole goes on with it, not before. */
void cl_pause_set(cl_node *node, cl_str method, int paused)
{
    cl_service *service = method.n ? cl_strmap_get(&node->services, method) : NULL;
    if (service) {
        service->paused = paused;
        changed(node, service);
    } else {
        set_all(node, paused);
    }
}

int cl_node_pause(cl_node *node, cl_str method, int paused, const cl_op_spec *spec)
{
    cl_op *op;
    int code = cl_pause_may(node, method);
    if (code == 0) code = cl_op_create(node, CL_OP_PAUSE, spec, method, &op);
    if (code) return code;
    cl_pause_set(node, method, paused);
    cl_op_end(op, 0, NULL, paused, CL_STR_NONE);
    return 0;
}
