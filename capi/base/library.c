#include "base/library.h"

#include <dlfcn.h>
#include <stdio.h>

/* The sanitizers replace functions of libc, and refuse what would not see that. */
#if defined(RTLD_DEEPBIND) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
enum { APART = RTLD_DEEPBIND };
#else
enum { APART = 0 };
#endif

int cl_library_open(cl_library *library, const char *const *names, size_t n)
{
    int flags = RTLD_NOW | RTLD_LOCAL | (library->is_apart ? APART : 0);
    for (size_t i = 0; !library->handle && i < n; i++) {
        library->handle = dlopen(names[i], flags);
        if (!library->handle && i == 0) snprintf(library->why, sizeof library->why, "%s", dlerror());
    }
    if (!library->handle) return -1;
    library->why[0] = '\0';
    return 0;
}

/* dlsym gives a function as a pointer to data. */
int cl_library_find(cl_library *library, const char *name, void *function)
{
    *(void **)function = dlsym(library->handle, name);
    if (*(void **)function) return 0;
    snprintf(library->why, sizeof library->why, "%s", dlerror());
    return -1;
}
