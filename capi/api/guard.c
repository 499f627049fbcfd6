/* Design note. A thread inside a function of the API pins the handle it came with, so that a destroy on another thread
 * waits for it: that of a context for those who entered the context, and then for those who entered one of its nodes.
 * In inline mode the context's `owner` word names the thread that is inside, by the address of what takes its log
 * lines: another one gets CLOUDS_ETHREAD, the same one (a hook, a signal handler) CLOUDS_EBUSY. */
#include "api/guard.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "api/internal.h"
#include "api/handle.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"

static atomic_uint fork_generation;
static atomic_long kept;
static atomic_int hooked;

int cl_guard_hooks(void)
{
    if (!atomic_load_explicit(&hooked, memory_order_relaxed)) return 0;
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

static int claim(cl_context *context)
{
    const cl_log_sink **lines = cl_log_place();
    uintptr_t me = (uintptr_t)lines, owner = 0;
    if (atomic_compare_exchange_strong_explicit(&context->owner, &owner, me, memory_order_acquire,
                                                memory_order_relaxed)) {
        if (context->log.line) *lines = &context->log;
        return 0;
    }
    if (owner == me) return cl_error(CLOUDS_EBUSY, "this thread is inside a function of the context already");
    return cl_error(CLOUDS_ETHREAD, "another thread is inside a function of this inline-mode context");
}

static int admit(cl_context *context)
{
    if (context->fork_generation != cl_guard_generation())
        return cl_error(CLOUDS_EFORK, "the context was created before fork()");
    return context->threaded ? 0 : claim(context);
}

int cl_guard_context(clouds_context *handle, cl_context **out)
{
    int code = cl_guard_hooks();
    if (code != 0) return code;
    cl_context *context = cl_handle_enter(handle, CL_HANDLE_CONTEXT);
    if (!context) return cl_error(CLOUDS_EHANDLE, "not a live context handle");
    code = admit(context);
    if (code != 0) cl_handle_leave(handle);
    else *out = context;
    return code;
}

static void release(cl_context *context)
{
    if (context->log.line) *(const cl_log_sink **)atomic_load_explicit(&context->owner, memory_order_relaxed) = NULL;
    atomic_store_explicit(&context->owner, 0, memory_order_release);
}

void cl_guard_leave(cl_context *context)
{
    if (!context->threaded) release(context);
    cl_handle_leave(context->handle);
}

int cl_guard_node(clouds_node *handle, cl_api_node **out)
{
    int code = cl_guard_hooks();
    if (code != 0) return code;
    cl_api_node *node = cl_handle_enter(handle, CL_HANDLE_NODE);
    if (!node) return cl_error(CLOUDS_EHANDLE, "not a live node handle");
    code = admit(node->context);
    if (code != 0) cl_handle_leave(handle);
    else *out = node;
    return code;
}

void cl_guard_leave_node(cl_api_node *node)
{
    cl_context *context = node->context;
    if (!context->threaded) release(context);
    cl_handle_leave(node->handle);
}

int cl_guard_node_and_context(clouds_node *handle, cl_api_node **out)
{
    int code = cl_guard_hooks();
    if (code != 0) return code;
    cl_api_node *node = cl_handle_enter(handle, CL_HANDLE_NODE);
    if (!node) return cl_error(CLOUDS_EHANDLE, "not a live node handle");
    cl_context *context;
    code = cl_guard_context(node->context_handle, &context);
    if (code != 0) cl_handle_leave(handle);
    else *out = node;
    return code;
}
