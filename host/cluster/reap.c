/* Children that have ended. Each is waited for by its pid: a wait for any would take the status of a child that libuv, or
 * the script, waits for itself. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "host/cluster/cluster.h"

typedef struct child {
    struct child *next;
    pid_t pid;
    host_reap_hook hook;
    void *self;
} child;

static child *children;
static uv_signal_t watch;
static bool watches;

/* 1: it has; -1: it has, and somebody else has collected it, as a shell between two programs of a master does. */
static int has_ended(pid_t pid)
{
    siginfo_t info = {0};
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0) return errno == ECHILD ? -1 : 0;
    return info.si_pid == pid;
}

/* What it has started and left behind, in its process group, ends with it. While it is not collected, nobody else can have
 * that number. A hook may add children, so it is called when the list is whole again; then the list is begun anew. */
static bool collect_one(void)
{
    for (child **at = &children; *at; at = &(*at)->next) {
        child ended = **at;
        int status = HOST_REAP_UNKNOWN, how = has_ended(ended.pid);
        if (how == 0) continue;
        if (how > 0) kill(-ended.pid, SIGKILL);
        if (how > 0 && waitpid(ended.pid, &status, WNOHANG) != ended.pid) continue;
        free(*at);
        *at = ended.next;
        if (!children) uv_unref((uv_handle_t *)&watch);
        ended.hook(ended.self, ended.pid, status);
        return true;
    }
    return false;
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)handle;
    (void)number;
    while (collect_one()) continue;
}

int host_reap(uv_loop_t *loop, pid_t pid, host_reap_hook hook, void *self)
{
    child *c = malloc(sizeof *c);
    bool is_first = !watches;
    if (!c) return -1;
    if (is_first) {
        if (uv_signal_init(loop, &watch) != 0 || uv_signal_start(&watch, on_signal, SIGCHLD) != 0) return free(c), -1;
        watches = true;
    }
    *c = (child){children, pid, hook, self};
    children = c;
    uv_ref((uv_handle_t *)&watch); /* the loop goes on as long as there are any */
    if (is_first) raise(SIGCHLD); /* it may have ended before anybody watched */
    return 0;
}

void host_reap_close(void)
{
    if (watches) uv_close((uv_handle_t *)&watch, NULL);
    watches = false;
    while (children) {
        child *next = children->next;
        free(children);
        children = next;
    }
}
