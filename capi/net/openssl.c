#include "net/openssl.h"

#include <pthread.h>

#include "base/error.h"
#include "base/library.h"

/* What it was compiled for: another version of the library has other functions. What libcrypto has is found by the
 * library that needs it. */
static const char *const names[] = {"libssl.so.3"};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static cl_library library = {.is_apart = 1};
static cl_openssl loaded;
static int is_loaded;

static int find_all(void)
{
#define FIND(name)                                                                                                     \
    if (cl_library_find(&library, #name, &loaded.name) != 0) return -1;
    CL_OPENSSL_FUNCTIONS(FIND)
#undef FIND
    return 0;
}

static void load(void)
{
    is_loaded = cl_library_open(&library, names, sizeof names / sizeof *names) == 0 && find_all() == 0;
}

const cl_openssl *cl_openssl_get(void)
{
    pthread_once(&once, load);
    if (is_loaded) return &loaded;
    cl_error(CLOUDS_ENOTSUP, "TLS needs OpenSSL 3 (Debian: libssl3), which cannot be loaded: %s", library.why);
    return NULL;
}
