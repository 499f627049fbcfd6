#include "http/curl.h"

#include <pthread.h>
#include <stdio.h>

#include "base/error.h"
#include "base/library.h"

/* Debian's two libraries with the same functions, one over OpenSSL and one over GnuTLS. */
static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static cl_library library;
static cl_curl loaded;
static int is_loaded;

static int find_all(void)
{
#define FIND(type, name, arguments) \
    if (cl_library_find(&library, "curl_" #name, &loaded.name) != 0) return -1;
    CL_CURL_FUNCTIONS(FIND)
#undef FIND
    return 0;
}

static void load(void)
{
    if (cl_library_open(&library, names, sizeof names / sizeof *names) != 0 || find_all() != 0) return;
    CURLcode code = loaded.global_init(CURL_GLOBAL_DEFAULT);
    if (code == CURLE_OK) is_loaded = 1;
    else snprintf(library.why, sizeof library.why, "%s", loaded.easy_strerror(code));
}

const cl_curl *cl_curl_get(void)
{
    pthread_once(&once, load);
    if (is_loaded) return &loaded;
    cl_error(CLOUDS_ENOTSUP, "this address needs libcurl (Debian: libcurl4), which cannot be loaded: %s", library.why);
    return NULL;
}
