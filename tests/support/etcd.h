/* A private etcd for a test: on free loopback ports, with its data in a temp folder. It dies with the test. */
#ifndef TEST_ETCD_H
#define TEST_ETCD_H

#include <stddef.h>
#include <sys/types.h>

typedef struct test_etcd {
    char folder[64];
    char url[128]; /* etcd://127.0.0.1:port */
    int port;
    pid_t pid;             /* 0: not running */
    const char *extra[16]; /* further arguments of etcd; ends with NULL; set before the start */
} test_etcd;

/* Starts and waits until it answers. 0, or -1 with the reason on stdout. */
int test_etcd_start(test_etcd *etcd);
/* SIGKILL, and waits for its end. The address and the data stay. */
void test_etcd_kill(test_etcd *etcd);
/* Starts it again at the same address, with its data. */
int test_etcd_restart(test_etcd *etcd);
/* The same without its data: another cluster. */
int test_etcd_restart_empty(test_etcd *etcd);
/* SIGSTOP, SIGCONT. */
void test_etcd_freeze(test_etcd *etcd, int frozen);
/* Kills it and removes the folder; fine when it was never started. Also done at exit. */
void test_etcd_stop(test_etcd *etcd);

/* Posts a body to its gateway: the body of the answer, in memory that the next call reuses; "" when there is none. */
const char *test_etcd_post(test_etcd *etcd, const char *path, const char *body);
/* Deletes all keys. */
void test_etcd_clear(test_etcd *etcd);
/* The lease of a node's key as digits; "" when there is no such key. In memory that the next call reuses. */
const char *test_etcd_lease_of(test_etcd *etcd, const char *key);

#endif
