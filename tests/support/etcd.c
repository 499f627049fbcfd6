#include "support/etcd.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/base64.h"
#include "support/freeze.h"
#include "support/port.h"

enum { MOST = 8, START_SECONDS = 30, ANSWER = 1 << 20 };

static test_etcd *all[MOST];

static void stop_all(void)
{
    for (int i = 0; i < MOST; i++)
        if (all[i]) test_etcd_stop(all[i]);
}

static void remember(test_etcd *e)
{
    static int hooked;
    if (!hooked++) atexit(stop_all);
    for (int i = 0; i < MOST; i++)
        if (!all[i]) {
            all[i] = e;
            return;
        }
}

static void run_server(test_etcd *e, pid_t parent)
{
    char data[96], client[48], peer[48], cluster[64], log[96];
    const char *argv[48] = {"etcd", "--data-dir", data, "--listen-client-urls", client, "--advertise-client-urls", client,
                            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", cluster,
                            "--heartbeat-interval", "50", "--election-timeout", "500"};
    int n = 17;
    snprintf(data, sizeof data, "%s/data", e->folder);
    snprintf(client, sizeof client, "http://127.0.0.1:%d", e->port);
    snprintf(peer, sizeof peer, "http://127.0.0.1:%d", test_free_port());
    snprintf(cluster, sizeof cluster, "default=%s", peer);
    snprintf(log, sizeof log, "%s/log", e->folder);
    for (int i = 0; i < 16 && e->extra[i]; i++) argv[n++] = e->extra[i];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(0);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(fd, 1);
    dup2(fd, 2);
    execvp("etcd", (char **)argv);
    _exit(127);
}

/* ---- its gateway */

static char answer[ANSWER];

static int dial(const test_etcd *e)
{
    const struct sockaddr_in a = {.sin_family = AF_INET,
                                  .sin_port = htons((unsigned short)e->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval patience = {.tv_sec = 10};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (const struct sockaddr *)&a, sizeof a) == 0) return fd;
    close(fd);
    return -1;
}

const char *test_etcd_post(test_etcd *e, const char *path, const char *body)
{
    char head[512];
    size_t n = 0;
    int fd = dial(e);
    answer[0] = '\0';
    if (fd < 0) return answer;
    /* In HTTP/1.0 the body ends with the connection, and comes in one piece. */
    int length = snprintf(head, sizeof head, "POST %s HTTP/1.0\r\nContent-Length: %zu\r\n\r\n", path, strlen(body));
    if (send(fd, head, (size_t)length, MSG_NOSIGNAL) < 0 || send(fd, body, strlen(body), MSG_NOSIGNAL) < 0) n = 0;
    for (ssize_t got; n < ANSWER - 1 && (got = recv(fd, answer + n, ANSWER - 1 - n, 0)) > 0;) n += (size_t)got;
    close(fd);
    answer[n] = '\0';
    char *text = strstr(answer, "\r\n\r\n");
    return text ? text + 4 : "";
}

static void encode(const char *text, char *out, size_t cap)
{
    cl_buf buf = {0};
    cl_base64_put(&buf, cl_str_z(text));
    snprintf(out, cap, "%.*s", (int)buf.len, buf.data ? buf.data : "");
    cl_buf_free(&buf);
}

void test_etcd_clear(test_etcd *e)
{
    test_etcd_post(e, "/v3/kv/deleterange", "{\"key\":\"AA==\",\"range_end\":\"AA==\"}");
}

const char *test_etcd_lease_of(test_etcd *e, const char *key)
{
    static char lease[32];
    char encoded[256], body[300];
    encode(key, encoded, sizeof encoded);
    snprintf(body, sizeof body, "{\"key\":\"%s\"}", encoded);
    const char *at = strstr(test_etcd_post(e, "/v3/kv/range", body), "\"lease\":\"");
    snprintf(lease, sizeof lease, "%.*s", at ? (int)strcspn(at + 9, "\"") : 0, at ? at + 9 : "");
    return lease;
}

/* ---- life */

static int await(test_etcd *e)
{
    for (int i = 0; i < START_SECONDS * 100; i++) {
        if (waitpid(e->pid, NULL, WNOHANG) == e->pid) {
            e->pid = 0;
            return -1;
        }
        if (strstr(test_etcd_post(e, "/v3/kv/range", "{\"key\":\"YQ==\"}"), "revision") ||
            strstr(answer, "user name is empty"))
            return 0;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return -1;
}

static int launch(test_etcd *e)
{
    pid_t parent = getpid();
    e->pid = fork();
    if (e->pid == 0) run_server(e, parent);
    return e->pid > 0 ? await(e) : -1;
}

int test_etcd_start(test_etcd *e)
{
    /* In memory, where there is such a place: etcd waits for the disk at each write, and a busy disk takes seconds. */
    snprintf(e->folder, sizeof e->folder, "%s/clouds-etcd-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(e->folder)) return -1;
    remember(e);
    for (int tries = 0; tries < 5; tries++) {
        e->port = test_free_port();
        snprintf(e->url, sizeof e->url, "etcd://127.0.0.1:%d", e->port);
        if (launch(e) == 0) return 0;
        test_etcd_kill(e);
    }
    printf("# cannot start etcd in %s\n", e->folder);
    test_etcd_stop(e);
    return -1;
}

void test_etcd_kill(test_etcd *e)
{
    if (e->pid <= 0) return;
    kill(e->pid, SIGKILL);
    while (waitpid(e->pid, NULL, 0) < 0 && errno == EINTR) continue;
    e->pid = 0;
}

int test_etcd_restart(test_etcd *e)
{
    test_etcd_kill(e);
    return launch(e);
}

static void remove_data(const test_etcd *e, const char *what)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s%s'", e->folder, what);
    if (system(command) != 0) printf("# cannot remove %s%s\n", e->folder, what);
}

int test_etcd_restart_empty(test_etcd *e)
{
    test_etcd_kill(e);
    remove_data(e, "/data");
    return launch(e);
}

void test_etcd_freeze(test_etcd *e, int frozen)
{
    test_freeze(e->pid, frozen);
}

void test_etcd_stop(test_etcd *e)
{
    test_etcd_kill(e);
    for (int i = 0; i < MOST; i++)
        if (all[i] == e) all[i] = NULL;
    if (e->folder[0]) remove_data(e, "");
    e->folder[0] = '\0';
}
