/* What MONITOR shows: every command that Redis gets, as lines. */
#ifndef TEST_REDIS_MONITOR_H
#define TEST_REDIS_MONITOR_H

#include "support/redis.h"

typedef struct monitor {
    int fd;
    char text[1 << 18];
    size_t len;
} monitor;

int monitor_start(monitor *m, const test_redis *redis);
/* Reads what is there, up to and including what was executed before a marker that it sends itself. */
void monitor_read(monitor *m, test_redis *redis);
/* How many lines contain the text. */
int monitor_count(const monitor *m, const char *text);
void monitor_clear(monitor *m);
void monitor_stop(monitor *m);

#endif
