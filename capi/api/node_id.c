#include "api/node_id.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/md5.h"
#include "base/str.h"

static char host[9];
static pthread_once_t host_once = PTHREAD_ONCE_INIT;

static void read_host(void)
{
    char name[256] = "";
    gethostname(name, sizeof name - 1);
    unsigned char digest[16];
    cl_md5(name, strlen(name), digest);
    for (int i = 0; i < 4; i++) snprintf(host + 2 * i, 3, "%02x", digest[i]);
}

char *cl_node_id_make(const char *type)
{
    static _Atomic unsigned long counter;
    pthread_once(&host_once, read_host);
    char id[64];
    int n =
        snprintf(id, sizeof id, "%c.%s.%ld.%lu", type[0] | 0x20, host, (long)getpid(), atomic_fetch_add(&counter, 1));
    return cl_str_dup(cl_str_of(id, (size_t)n));
}
