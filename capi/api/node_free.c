/* The end of the record of a node, for those who create it and for the engine. */
#include "api/internal.h"

#include "base/mem.h"

/* On the engine's thread, or when it never got there: out of the list, and freed. */
void cl_api_node_free(cl_api_node *node)
{
    cl_context_lock(node->context);
    cl_events_unreserve(&node->context->inbox.events, (size_t)node->promised);
    cl_list_remove(&node->link);
    cl_context_unlock(node->context);
    cl_free(node->id);
    cl_free(node);
}
