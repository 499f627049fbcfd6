/* Design notes
 *
 * A lookup of a name may take as long as the resolver likes and cannot be stopped, and the threads of libuv's pool are
 * few, shared with the program, and waited for at the end of a loop. So each name that is looked up has a thread of its
 * own, which is left behind when nobody wants to know any more. Who asks for a name that is being looked up waits for
 * the same answer: a resolver that hangs costs one thread a name, however often it is asked.
 *
 * One lock guards all of it. A thread touches a loop only under the lock and while a request of the loop is in its
 * list; whoever gives up takes the request out first. The memory of a lookup is not that of the library's allocator,
 * since it may outlive every context. */
#include "net/internal.h"

#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct cl_lookup {
    cl_list_node place;    /* in `running`, until the answer is there */
    cl_list_node requests; /* that wait for it */
    int refs;              /* its thread, and requests */
    int status;            /* of getaddrinfo */
    struct addrinfo *list;
    char service[16];
    char host[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static cl_list_node running = {&running, &running};
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* In a child nobody holds the lock, and no thread is there that could answer. */
static void forked(void)
{
    pthread_mutex_init(&lock, NULL);
    cl_list_init(&running);
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, forked);
}

static void enter(void)
{
    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&lock);
}

static void leave(void)
{
    pthread_mutex_unlock(&lock);
}

static void release(cl_lookup *lookup)
{
    if (--lookup->refs > 0) return;
    if (lookup->list) freeaddrinfo(lookup->list);
    free(lookup);
}

static void answer(cl_lookup *lookup)
{
    CL_LIST_EACH(it, &lookup->requests)
    {
        cl_resolve_request *request = CL_OWNER(it, cl_resolve_request, place);
        cl_list_remove(&request->place);
        cl_list_append(&request->loop->resolved, &request->place);
        cl_loop_wake(request->loop);
    }
}

static void *run(void *self)
{
    cl_lookup *lookup = self;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    int status = getaddrinfo(lookup->host, lookup->service, &hints, &list);
    enter();
    lookup->status = status;
    lookup->list = status == 0 ? list : NULL;
    cl_list_remove(&lookup->place);
    answer(lookup);
    release(lookup);
    leave();
    return NULL;
}

static int start_thread(cl_lookup *lookup)
{
    pthread_t thread;
    pthread_attr_t attr;
    sigset_t all, before;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the program's own affair */
    int failure = pthread_create(&thread, &attr, run, lookup);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return failure;
}

static cl_lookup *find(const char *host, const char *service)
{
    CL_LIST_EACH(it, &running)
    {
        cl_lookup *lookup = CL_OWNER(it, cl_lookup, place);
        if (strcmp(lookup->host, host) == 0 && strcmp(lookup->service, service) == 0) return lookup;
    }
    return NULL;
}

static int begin(const char *host, const char *service, cl_lookup **out)
{
    size_t n = strlen(host) + 1;
    cl_lookup *lookup = calloc(1, sizeof *lookup + n);
    if (!lookup) return CLOUDS_ENOMEM;
    memcpy(lookup->host, host, n);
    strncpy(lookup->service, service, sizeof lookup->service - 1);
    cl_list_init(&lookup->requests);
    lookup->refs = 1;
    cl_list_append(&running, &lookup->place);
    if (start_thread(lookup) != 0) {
        cl_list_remove(&lookup->place);
        free(lookup);
        return CLOUDS_ESYSTEM;
    }
    *out = lookup;
    return 0;
}

int cl_resolve(cl_loop *loop, const char *host, const char *service, cl_resolve_request *request)
{
    int code = 0;
    enter();
    cl_lookup *lookup = find(host, service);
    if (!lookup) code = begin(host, service, &lookup);
    if (code == 0) {
        lookup->refs++;
        request->loop = loop;
        request->lookup = lookup;
        cl_list_append(&lookup->requests, &request->place);
    }
    leave();
    return code;
}

void cl_resolve_forget(cl_resolve_request *request)
{
    if (!request->lookup) return;
    enter();
    cl_list_remove(&request->place);
    release(request->lookup);
    request->lookup = NULL;
    leave();
}

static cl_resolve_request *next_answered(cl_loop *loop)
{
    enter();
    cl_resolve_request *request =
        cl_list_empty(&loop->resolved) ? NULL : CL_OWNER(loop->resolved.next, cl_resolve_request, place);
    if (request) cl_list_remove(&request->place);
    leave();
    return request;
}

void cl_resolve_turn(cl_loop *loop)
{
    for (cl_resolve_request *request; (request = next_answered(loop));)
        request->done(request, request->lookup->status, request->lookup->list);
}
