/* Design note. A thread inside a function of the API pins the handle it came with, so that a destroy on another thread
 * waits for it: that of a context for those who entered the context, and then for those who entered one of its nodes.
 * In inline mode it claims the context instead, whichever handle it came with: another thread gets CLOUDS_ETHREAD, the
 * same one (a hook, a signal handler) CLOUDS_EBUSY. */
#include "api/guard.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "api/internal.h"
#include "api/handle.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/plugin.h"

static atomic_uint fork_generation;
static atomic_long kept;
static atomic_int hooked;

int cl_guard_hooks(void)
{
    if (!atomic_load_explicit(&hooked, memory_order_relaxed)) return 0;
    if (cl_plugin_is_inside()) return cl_error(CLOUDS_EBUSY, "called from inside a directory or a transport");
    if (!cl_mem_in_hook() && !cl_log_in_hook()) return 0;
    return cl_error(CLOUDS_EBUSY, "called from inside a log or allocator hook");
}

void cl_guard_hooked(void)
{
    atomic_store_explicit(&hooked, 1, memory_order_relaxed);
}

unsigned cl_guard_generation(void)
{
    return atomic_load_explicit(&fork_generation, memory_order_relaxed);
}

static void in_child(void)
{
    atomic_fetch_add_explicit(&fork_generation, 1, memory_order_relaxed);
    cl_handle_in_child();
}

static void install(void)
{
    pthread_atfork(cl_handle_before_fork, cl_handle_after_fork, in_child);
}

void cl_guard_install(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
}

void cl_guard_keep(int change)
{
    atomic_fetch_add_explicit(&kept, change, memory_order_relaxed);
}

long cl_guard_kept(void)
{
    return atomic_load_explicit(&kept, memory_order_relaxed);
}

/* ---- refusals */

CL_RARE static int not_live(enum cl_handle_kind kind)
{
    return cl_error(CLOUDS_EHANDLE, "not a live %s handle", kind == CL_HANDLE_NODE ? "node" : "context");
}

CL_RARE static int is_forked(void)
{
    return cl_error(CLOUDS_EFORK, "the context was created before fork()");
}

static int is_of_this_process(const cl_context *context)
{
    return context->fork_generation == cl_guard_generation();
}

/* Somebody is inside; in a forked child that may be a thread of the parent. */
CL_RARE static int inside_already(const void *handle, enum cl_handle_kind kind, enum cl_handle_entry entry)
{
    void *object = cl_handle_enter(handle, kind);
    if (!object) return not_live(kind);
    const cl_context *context = kind == CL_HANDLE_NODE ? ((cl_api_node *)object)->context : object;
    int is_ours = is_of_this_process(context);
    cl_handle_leave(handle);
    if (!is_ours) return is_forked();
    if (entry == CL_HANDLE_MINE)
        return cl_error(CLOUDS_EBUSY, "this thread is inside a function of the context already");
    return cl_error(CLOUDS_ETHREAD, "another thread is inside a function of this inline-mode context");
}

CL_RARE static int refuse(const void *handle, enum cl_handle_kind kind, enum cl_handle_entry entry)
{
    return entry == CL_HANDLE_NOT_LIVE ? not_live(kind) : inside_already(handle, kind, entry);
}

/* ---- in and out */

static inline int has_entered(enum cl_handle_entry entry)
{
    return entry == CL_HANDLE_PINNED || entry == CL_HANDLE_CLAIMED;
}

static inline void leave(const void *pinned, const cl_context *context)
{
    if (context->threaded) cl_handle_leave(pinned);
    else cl_handle_unclaim(context->handle);
}

/* It has been entered. */
static inline int admit(const void *pinned, cl_context *context)
{
    if (!is_of_this_process(context)) {
        leave(pinned, context);
        return is_forked();
    }
    if (!context->threaded && context->log.line) *cl_log_place() = &context->log;
    return 0;
}

static inline void release(const void *pinned, const cl_context *context)
{
    if (!context->threaded && context->log.line) *cl_log_place() = NULL;
    leave(pinned, context);
}

int cl_guard_context(clouds_context *handle, cl_context **out)
{
    void *object;
    int code = cl_guard_hooks();
    if (code != 0) return code;
    enum cl_handle_entry entry = cl_handle_enter_any(handle, CL_HANDLE_CONTEXT, &object);
    if (!has_entered(entry)) return refuse(handle, CL_HANDLE_CONTEXT, entry);
    code = admit(handle, object);
    if (code == 0) *out = object;
    return code;
}

void cl_guard_leave(cl_context *context)
{
    release(context->handle, context);
}

int cl_guard_node(clouds_node *handle, cl_api_node **out)
{
    void *object;
    int code = cl_guard_hooks();
    if (code != 0) return code;
    enum cl_handle_entry entry = cl_handle_enter_any(handle, CL_HANDLE_NODE, &object);
    if (!has_entered(entry)) return refuse(handle, CL_HANDLE_NODE, entry);
    code = admit(handle, ((cl_api_node *)object)->context);
    if (code == 0) *out = object;
    return code;
}

void cl_guard_leave_node(cl_api_node *node)
{
    release(node->handle, node->context);
}

int cl_guard_node_and_context(clouds_node *handle, cl_api_node **out)
{
    cl_api_node *node = NULL;
    cl_context *context;
    int code = cl_guard_node(handle, &node);
    if (code != 0) return code;
    if (node->context->threaded) code = cl_guard_context(node->context_handle, &context);
    if (code != 0) cl_handle_leave(handle);
    else *out = node;
    return code;
}

void cl_guard_unpin_node(clouds_node *handle, const cl_context *context)
{
    if (context->threaded) cl_handle_leave(handle);
}
