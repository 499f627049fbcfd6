#include "api/guard.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"

int clouds_set_log(clouds_log_fn hook, void *user_data, int level)
{
    int code = cl_guard_hooks();
    if (code != 0) return code;
    if (level < CLOUDS_LOG_DEBUG || level > CLOUDS_LOG_ERROR)
        return cl_error(CLOUDS_EINVAL, "log level %d: expected 0 (debug) to 3 (error)", level);
    cl_guard_hooked();
    cl_log_hook(hook, user_data, level);
    return 0;
}

int clouds_set_allocator(clouds_realloc_fn hook, void *user_data)
{
    int code = cl_guard_hooks();
    if (code != 0) return code;
    if (cl_guard_kept() != 0)
        return cl_error(CLOUDS_EBUSY,
                        "the allocator can be replaced only while no context, options or kept event exists");
    cl_guard_hooked();
    cl_mem_hook(hook, user_data);
    return 0;
}
