#include "base/library.h"

#include <dlfcn.h>
#include <stdio.h>

int cl_library_open(cl_library *library, const char *const *names, size_t n)
{
    for (size_t i = 0; !library->handle && i < n; i++) {
        library->handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
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
