/* A private redis-server for a test: on a unix socket in a temp folder, on a free port too if asked. It dies with the
 * test. */
#ifndef TEST_REDIS_H
#define TEST_REDIS_H

#include <stddef.h>
#include <sys/types.h>

typedef struct test_redis_options {
    int tcp;               /* 1: listen on a free loopback port as well */
    const char *password;  /* requirepass */
    const char *extra[24]; /* further arguments of redis-server, as "--maxmemory", "1mb"; ends with NULL */
} test_redis_options;

typedef struct test_redis {
    char folder[64];
    char socket[96];
    char url[256];     /* redis+unix://..., with the password */
    char tcp_url[256]; /* redis://127.0.0.1:port, "" without tcp */
    int port;          /* 0 without tcp */
    pid_t pid;         /* 0: not running */
    test_redis_options options;
    void *raw; /* a connection for test_redis_command */
} test_redis;

/* Starts and waits until it answers. 0, or -1 with the reason on stdout. `options` may be NULL; its texts must live on.
 */
int test_redis_start(test_redis *redis, const test_redis_options *options);
/* SIGKILL, and waits for its end. The address stays. */
void test_redis_kill(test_redis *redis);
/* Starts it again at the same address, empty. */
int test_redis_restart(test_redis *redis);
/* SIGSTOP, SIGCONT. */
void test_redis_freeze(test_redis *redis, int frozen);
/* Kills it and removes the folder; fine when it was never started. Also done at exit. */
void test_redis_stop(test_redis *redis);

/* One command over a raw blocking connection. The answer as text, in memory that the next call reuses: a string or
 * status as it is, an integer in digits, nil as "(nil)", an error as "(error) ...", an array as its parts joined by
 * '\n'. */
const char *test_redis_command(test_redis *redis, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for commands with binary arguments. */
const char *test_redis_argv(test_redis *redis, int argc, const char **argv, const size_t *lengths);

#endif
