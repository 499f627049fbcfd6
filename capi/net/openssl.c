#include "net/openssl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

#include "base/error.h"

/* What it was compiled for: another version of the library has other functions. */
#define LIBRARY "libssl.so.3"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static cl_openssl loaded;
static int is_loaded;
static char why[256]; /* not */

/* A function as dlsym gives it: a pointer to data. What libcrypto has is found by the library that needs it. */
static int find(void *library, const char *name, void *function)
{
    *(void **)function = dlsym(library, name);
    if (*(void **)function) return 0;
    snprintf(why, sizeof why, "%s", dlerror());
    return -1;
}

static int find_all(void *library)
{
#define FIND(name)                                                                                                     \
    if (find(library, #name, &loaded.name) != 0) return -1;
    CL_OPENSSL_FUNCTIONS(FIND)
#undef FIND
    return 0;
}

static void load(void)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library) snprintf(why, sizeof why, "%s", dlerror());
    else is_loaded = find_all(library) == 0;
}

const cl_openssl *cl_openssl_get(void)
{
    pthread_once(&once, load);
    if (is_loaded) return &loaded;
    cl_error(CLOUDS_ENOTSUP, "TLS needs OpenSSL 3 (Debian: libssl3), which cannot be loaded: %s", why);
    return NULL;
}
