#include "support/redis.h"

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/freeze.h"
#include "support/port.h"

enum { MOST_SERVERS = 32, START_SECONDS = 20 };

static test_redis *servers[MOST_SERVERS];

static void stop_all(void)
{
    for (int i = 0; i < MOST_SERVERS; i++)
        if (servers[i]) test_redis_stop(servers[i]);
}

static void remember(test_redis *r)
{
    static int hooked;
    if (!hooked++) atexit(stop_all);
    for (int i = 0; i < MOST_SERVERS; i++)
        if (!servers[i]) {
            servers[i] = r;
            return;
        }
}

static void run_server(test_redis *r, pid_t parent)
{
    char port[16], log[128];
    const char *argv[64] = {"redis-server", "--unixsocket", r->socket,   "--save",      "",
                            "--appendonly", "no",           "--dir",     r->folder,     "--port",
                            port,           "--bind",       "127.0.0.1", "--daemonize", "no"};
    int n = 15;
    snprintf(port, sizeof port, "%d", r->port);
    snprintf(log, sizeof log, "%s/log", r->folder);
    if (r->options.password) {
        argv[n++] = "--requirepass";
        argv[n++] = r->options.password;
    }
    for (int i = 0; i < 24 && r->options.extra[i]; i++) argv[n++] = r->options.extra[i];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(0);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(fd, 1);
    dup2(fd, 2);
    execvp("redis-server", (char **)argv);
    _exit(127);
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

static redisContext *raw_connection(test_redis *r)
{
    redisContext *c = r->raw;
    if (c && !c->err) return c;
    if (c) redisFree(c);
    c = redisConnectUnixWithTimeout(r->socket, (struct timeval){.tv_sec = 5});
    if (c && !c->err) redisSetTimeout(c, (struct timeval){.tv_sec = 20});
    if (c && !c->err && r->options.password) {
        redisReply *reply = redisCommand(c, "AUTH %s", r->options.password);
        if (reply) freeReplyObject(reply);
    }
    r->raw = c;
    return c && !c->err ? c : NULL;
}

static int is_answering(test_redis *r)
{
    redisContext *c = raw_connection(r);
    redisReply *reply = c ? redisCommand(c, "PING") : NULL;
    int ok = reply && reply->type == REDIS_REPLY_STATUS;
    if (reply) freeReplyObject(reply);
    return ok;
}

/* 1: it answers; 0: it ended, perhaps because somebody took the port. */
static int await(test_redis *r)
{
    for (int i = 0; i < START_SECONDS * 200; i++) {
        if (waitpid(r->pid, NULL, WNOHANG) == r->pid) {
            r->pid = 0;
            return 0;
        }
        if (is_answering(r)) return 1;
        nap();
    }
    return 0;
}

static int launch(test_redis *r)
{
    pid_t parent = getpid();
    unlink(r->socket);
    r->pid = fork();
    if (r->pid == 0) run_server(r, parent);
    return r->pid > 0 && await(r) ? 0 : -1;
}

static void write_urls(test_redis *r)
{
    const char *password = r->options.password ? r->options.password : "";
    const char *colon = r->options.password ? ":" : "", *at = r->options.password ? "@" : "";
    snprintf(r->url, sizeof r->url, "redis+unix://%s%s%s%s", colon, password, at, r->socket);
    r->tcp_url[0] = '\0';
    if (r->port) snprintf(r->tcp_url, sizeof r->tcp_url, "redis://%s%s%s127.0.0.1:%d", colon, password, at, r->port);
}

int test_redis_start(test_redis *r, const test_redis_options *options)
{
    memset(r, 0, sizeof *r);
    if (options) r->options = *options;
    snprintf(r->folder, sizeof r->folder, "/tmp/clouds-redis-XXXXXX");
    if (!mkdtemp(r->folder)) return -1;
    snprintf(r->socket, sizeof r->socket, "%s/redis.sock", r->folder);
    remember(r);
    for (int tries = 0; tries < 5; tries++) {
        r->port = r->options.tcp ? test_free_port() : 0;
        write_urls(r);
        if (launch(r) == 0) return 0;
        if (!r->options.tcp) break;
    }
    printf("# cannot start redis-server in %s\n", r->folder);
    test_redis_stop(r);
    return -1;
}

static void drop_raw(test_redis *r)
{
    if (r->raw) redisFree(r->raw);
    r->raw = NULL;
}

void test_redis_kill(test_redis *r)
{
    drop_raw(r);
    if (r->pid <= 0) return;
    kill(r->pid, SIGKILL);
    while (waitpid(r->pid, NULL, 0) < 0 && errno == EINTR) continue;
    r->pid = 0;
}

int test_redis_restart(test_redis *r)
{
    test_redis_kill(r);
    return launch(r);
}

void test_redis_freeze(test_redis *r, int frozen)
{
    test_freeze(r->pid, frozen);
}

void test_redis_stop(test_redis *r)
{
    char path[160];
    test_redis_kill(r);
    for (int i = 0; i < MOST_SERVERS; i++)
        if (servers[i] == r) servers[i] = NULL;
    if (!r->folder[0]) return;
    static const char *const names[] = {"redis.sock", "log", "dump.rdb", "nodes.conf"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", r->folder, names[i]);
        unlink(path);
    }
    rmdir(r->folder);
    r->folder[0] = '\0';
}

/* ---- raw commands */

static char *answer;
static size_t answer_len, answer_cap;

static void put(const char *p, size_t n)
{
    if (answer_len + n + 1 > answer_cap) {
        answer_cap = (answer_len + n + 1) * 2;
        answer = realloc(answer, answer_cap);
        if (!answer) abort();
    }
    if (n) memcpy(answer + answer_len, p, n);
    answer_len += n;
    answer[answer_len] = '\0';
}

static void put_reply(const redisReply *reply)
{
    char digits[32];
    switch (reply->type) {
    case REDIS_REPLY_NIL:
        put("(nil)", 5);
        break;
    case REDIS_REPLY_INTEGER:
        put(digits, (size_t)snprintf(digits, sizeof digits, "%lld", reply->integer));
        break;
    case REDIS_REPLY_ARRAY:
        for (size_t i = 0; i < reply->elements; i++) {
            if (i) put("\n", 1);
            put_reply(reply->element[i]);
        }
        break;
    case REDIS_REPLY_ERROR:
        put("(error) ", 8);
        put(reply->str, reply->len);
        break;
    default:
        put(reply->str, reply->len);
        break;
    }
}

static const char *finish(redisReply *reply)
{
    answer_len = 0;
    put("", 0);
    if (!reply) return "(no connection)";
    put_reply(reply);
    freeReplyObject(reply);
    return answer;
}

const char *test_redis_command(test_redis *r, const char *format, ...)
{
    redisContext *c = raw_connection(r);
    va_list args;
    va_start(args, format);
    redisReply *reply = c ? redisvCommand(c, format, args) : NULL;
    va_end(args);
    return finish(reply);
}

const char *test_redis_argv(test_redis *r, int argc, const char **argv, const size_t *lengths)
{
    redisContext *c = raw_connection(r);
    return finish(c ? redisCommandArgv(c, argc, argv, lengths) : NULL);
}
