/* Design notes
 *
 * libcurl's multi interface on our loop: it says which descriptors to watch and when to call it again. A handler may do
 * everything, and libcurl may not be entered from its own callbacks: so these only collect, and what is to be told is
 * told after libcurl was left.
 *
 * In a child after fork the connections are the parent's: to end one in TLS would speak on it. So a child closes its
 * copies of the descriptors and leaves libcurl's memory alone.
 *
 * What costs is the beginning and the end of a request, not its bytes: so a descriptor stays watched for reading when
 * libcurl waits for nothing of it, until something comes that nobody waits for; and the handle of a request that went
 * well is kept for the next.
 *
 * A connection in TLS that its peer has closed raises SIGPIPE when it is written to; libcurl would change the handling
 * of that signal for the whole process, so instead it is held back in this thread. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "http/internal.h"

enum { CONNECTIONS = 4 };

void cl_http_enter(cl_http *http, cl_http_guard *guard)
{
    sigset_t pipe, pending;
    guard->guarded = 0;
    if (!http->tls) return;
    sigpending(&pending);
    if (sigismember(&pending, SIGPIPE)) return;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    guard->guarded = pthread_sigmask(SIG_BLOCK, &pipe, &guard->before) == 0;
}

void cl_http_leave(cl_http *http, const cl_http_guard *guard)
{
    if (!guard->guarded) return;
    sigset_t pipe;
    const struct timespec none = {0};
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    while (sigtimedwait(&pipe, NULL, &none) < 0 && errno == EINTR) continue;
    pthread_sigmask(SIG_SETMASK, &guard->before, NULL);
}

/* ---- what is told */

void cl_http_is_fresh(cl_http_request *request)
{
    if (cl_list_empty(&request->fresh)) cl_list_append(&request->http->fresh, &request->fresh);
}

static void collect_ends(cl_http *http)
{
    int left;
    for (CURLMsg *m; (m = http->curl->multi_info_read(http->multi, &left));) {
        cl_http_request *request = NULL;
        if (m->msg != CURLMSG_DONE) continue;
        CURLcode result = m->data.result;
        http->curl->easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&request);
        cl_http_over(request, result);
        cl_http_is_fresh(request);
    }
}

/* The end takes the request along. */
static void tell_end(cl_http_request *request)
{
    cl_http *http = request->http;
    const cl_http_handler *handler = &request->handler;
    http->told = request;
    request->end.body = cl_buf_str(&request->in);
    handler->done(handler->self, &request->end);
    if (http->told == request) cl_http_request_free(request);
}

static void tell(cl_http_request *request)
{
    cl_http *http = request->http;
    const cl_http_handler *handler = &request->handler;
    if (handler->data && request->in.len && !request->failure) {
        http->told = request;
        int code = handler->data(handler->self, request->status, &request->in);
        if (http->told != request || http->destroyed) return;
        if (code && !request->over) {
            request->failure = code;
            cl_http_over(request, CURLE_WRITE_ERROR);
        }
    }
    if (request->over) tell_end(request);
}

static void free_client(cl_http *http);

static void tell_all(cl_http *http)
{
    if (http->telling) return;
    http->telling = 1;
    while (!http->destroyed && !cl_list_empty(&http->fresh)) {
        cl_http_request *request = CL_OWNER(http->fresh.next, cl_http_request, fresh);
        cl_list_remove(&request->fresh);
        tell(request);
    }
    http->telling = 0;
    http->told = NULL;
    if (http->destroyed) free_client(http);
}

static void run(cl_http *http, int fd, int events)
{
    cl_http_guard guard;
    int running;
    cl_http_enter(http, &guard);
    http->curl->multi_socket_action(http->multi, fd, events, &running);
    collect_ends(http);
    cl_http_leave(http, &guard);
    tell_all(http);
}

/* ---- libcurl's callbacks */

static cl_http_socket *socket_of(cl_http *http, int fd)
{
    CL_LIST_EACH(it, &http->sockets)
    {
        cl_http_socket *s = CL_OWNER(it, cl_http_socket, place);
        if (s->fd == fd) return s;
    }
    return NULL;
}

static void watch(cl_http_socket *s, int events)
{
    if (s->watched == events) return;
    cl_fd_watch_set(s->watch, events);
    s->watched = events;
}

static void on_events(void *self, int fd, int events)
{
    cl_http_socket *s = socket_of(self, fd);
    if (s && !s->wanted) {
        watch(s, 0); /* its end, most likely, which libcurl finds when it wants to use it */
        return;
    }
    run(self, fd, (events & CL_FD_READABLE ? CURL_CSELECT_IN : 0) | (events & CL_FD_WRITABLE ? CURL_CSELECT_OUT : 0));
}

static void on_due(void *self)
{
    run(self, CURL_SOCKET_TIMEOUT, 0);
}

static int on_timer(CURLM *multi, long ms, void *self)
{
    cl_http *http = self;
    if (ms < 0) cl_loop_timer_cancel(http->timer);
    else cl_loop_timer_set(http->timer, cl_loop_now() + ms);
    return 0;
}

/* One that cannot be watched is found silent, and ends by its timeout. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *self, void *of_socket)
{
    cl_http *http = self;
    cl_http_socket *s = socket_of(http, fd);
    if (!s) return 0;
    s->wanted = what == CURL_POLL_REMOVE
                    ? 0
                    : (what & CURL_POLL_IN ? CL_FD_READABLE : 0) | (what & CURL_POLL_OUT ? CL_FD_WRITABLE : 0);
    if (!s->watch && (!s->wanted || cl_fd_watch_create(http->loop, fd, on_events, http, &s->watch) != 0)) return 0;
    watch(s, s->wanted ? s->wanted : s->watched & CL_FD_READABLE);
    return 0;
}

curl_socket_t cl_http_open_socket(void *self, curlsocktype purpose, struct curl_sockaddr *address)
{
    cl_http *http = self;
    cl_http_socket *s = cl_calloc(1, sizeof *s);
    int fd = s ? socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->protocol) : -1;
    if (fd < 0) {
        cl_free(s);
        return CURL_SOCKET_BAD;
    }
    s->fd = fd;
    cl_list_append(&http->sockets, &s->place);
    return fd;
}

static void close_socket(cl_http_socket *s)
{
    cl_list_remove(&s->place);
    cl_fd_watch_destroy(s->watch);
    close(s->fd);
    cl_free(s);
}

int cl_http_close_socket(void *self, curl_socket_t fd)
{
    cl_http_socket *s = socket_of(self, fd);
    if (s) close_socket(s);
    return 0;
}

/* ---- life */

static void free_client(cl_http *http)
{
    cl_http_guard guard;
    int is_child = http->owner != getpid();
    CL_LIST_EACH(it, &http->requests) cl_http_cancel(CL_OWNER(it, cl_http_request, place));
    cl_http_spare_free(http);
    if (http->multi && !is_child) {
        cl_http_enter(http, &guard);
        http->curl->multi_cleanup(http->multi);
        cl_http_leave(http, &guard);
    }
    CL_LIST_EACH(it, &http->sockets) close_socket(CL_OWNER(it, cl_http_socket, place));
    cl_loop_timer_destroy(http->timer);
    cl_free(http->ca_file);
    cl_free(http->cert_file);
    cl_free(http->cert_key_file);
    cl_free(http->server_name);
    cl_free(http);
}

void cl_http_destroy(cl_http *http)
{
    if (!http) return;
    http->destroyed = 1;
    if (!http->telling) free_client(http);
}

static int make_multi(cl_http *http)
{
    const cl_curl *curl = http->curl;
    CURLM *multi = http->multi = curl->multi_init();
    if (!multi) return cl_error(CLOUDS_ENOMEM, NULL);
    curl->multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl->multi_setopt(multi, CURLMOPT_SOCKETDATA, http);
    curl->multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl->multi_setopt(multi, CURLMOPT_TIMERDATA, http);
    curl->multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)CONNECTIONS);
    curl->multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS);
    return 0;
}

static char *keep(const char *text)
{
    return cl_str_dup(cl_str_z(text ? text : ""));
}

static int keep_trust(cl_http *http, const cl_http_options *options)
{
    const cl_tls_trust *trust = &options->trust;
    http->takes_any_server = trust->takes_any_server;
    http->ca_file = keep(trust->ca_file);
    http->cert_file = keep(trust->cert_file);
    http->cert_key_file = keep(trust->cert_key_file);
    http->server_name = keep(options->server_name);
    int has_all = http->ca_file && http->cert_file && http->cert_key_file && http->server_name;
    return has_all ? 0 : cl_error(CLOUDS_ENOMEM, NULL);
}

int cl_http_create(cl_loop *loop, const cl_http_options *options, cl_http **out)
{
    const cl_curl *curl = cl_curl_get();
    if (!curl) return cl_error_code();
    cl_http *http = cl_calloc(1, sizeof *http);
    if (!http) return cl_error(CLOUDS_ENOMEM, NULL);
    http->loop = loop;
    http->curl = curl;
    http->owner = getpid();
    http->tls = options->tls;
    http->connect_timeout = options->connect_timeout;
    cl_list_init(&http->requests);
    cl_list_init(&http->sockets);
    cl_list_init(&http->fresh);
    int code = keep_trust(http, options);
    if (code == 0) code = cl_loop_timer_create(loop, on_due, http, &http->timer);
    if (code == 0) code = make_multi(http);
    if (code == 0) *out = http;
    else free_client(http);
    return code;
}
