/* The checks every exported function begins with: not from a hook, not after fork, a live handle, the right thread. */
#ifndef CL_GUARD_H
#define CL_GUARD_H

#include "clouds.h"

struct cl_context;
struct cl_api_node;

/* No record that a caller hands over is larger: a larger size is a mistake. */
enum { CL_LARGEST_RECORD = 4096 };

/* 0, or CLOUDS_EBUSY inside a log or allocator hook. */
int cl_guard_hooks(void);

/* The program has set a hook, so that the check above has something to look at. */
void cl_guard_hooked(void);

/* Rises with each fork in the child. */
unsigned cl_guard_generation(void);
/* Installs the fork handlers, once. */
void cl_guard_install(void);

/* Options, contexts and events of clouds_wait that hold memory are counted, for clouds_set_allocator. */
void cl_guard_keep(int change);
long cl_guard_kept(void);

/* 0, then cl_guard_leave is due; or an error, and nothing is: in inline mode also when another thread is inside. */
int cl_guard_context(clouds_context *handle, struct cl_context **out);
void cl_guard_leave(struct cl_context *context);

/* Pins the node alone, or in inline mode claims its context: a context goes only after its nodes were left. */
int cl_guard_node(clouds_node *handle, struct cl_api_node **out);
void cl_guard_leave_node(struct cl_api_node *node);

/* Both, for clouds_node_destroy: leave with cl_guard_unpin_node, which touches no node, and cl_guard_leave. */
int cl_guard_node_and_context(clouds_node *handle, struct cl_api_node **out);
void cl_guard_unpin_node(clouds_node *handle, const struct cl_context *context);

#endif
