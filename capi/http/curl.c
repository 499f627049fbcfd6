#include "http/curl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

#include "base/error.h"

/* Debian's two libraries with the same functions, one over OpenSSL and one over GnuTLS. */
static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static cl_curl loaded;
static int is_loaded;
static char why[256]; /* not */

/* A function as dlsym gives it: a pointer to data. */
static int find(void *library, const char *name, void *function)
{
    *(void **)function = dlsym(library, name);
    if (*(void **)function) return 0;
    snprintf(why, sizeof why, "%s", dlerror());
    return -1;
}

static int find_all(void *library)
{
#define FIND(type, name, arguments) \
    if (find(library, "curl_" #name, &loaded.name) != 0) return -1;
    CL_CURL_FUNCTIONS(FIND)
#undef FIND
    return 0;
}

static void load(void)
{
    void *library = NULL;
    for (size_t i = 0; !library && i < sizeof names / sizeof *names; i++) {
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
        if (!library && i == 0) snprintf(why, sizeof why, "%s", dlerror());
    }
    if (!library || find_all(library) != 0) return;
    CURLcode code = loaded.global_init(CURL_GLOBAL_DEFAULT);
    if (code == CURLE_OK) is_loaded = 1;
    else snprintf(why, sizeof why, "%s", loaded.easy_strerror(code));
}

const cl_curl *cl_curl_get(void)
{
    pthread_once(&once, load);
    if (is_loaded) return &loaded;
    cl_error(CLOUDS_ENOTSUP, "this address needs libcurl (Debian: libcurl4), which cannot be loaded: %s", why);
    return NULL;
}
