#include "redis/monitor.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int read_until(monitor *m, const char *text)
{
    while (!strstr(m->text, text)) {
        ssize_t n = read(m->fd, m->text + m->len, sizeof m->text - m->len - 1);
        if (n <= 0) return -1;
        m->len += (size_t)n;
        m->text[m->len] = '\0';
    }
    return 0;
}

int monitor_start(monitor *m, const test_redis *redis)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = 10};
    m->len = 0;
    m->text[0] = '\0';
    m->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", redis->socket);
    if (connect(m->fd, (struct sockaddr *)&a, sizeof a)) return -1;
    setsockopt(m->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return write(m->fd, "MONITOR\r\n", 9) == 9 ? read_until(m, "+OK") : -1;
}

void monitor_read(monitor *m, test_redis *redis)
{
    static int marks;
    char mark[32];
    snprintf(mark, sizeof mark, "mark-%d-end", ++marks);
    test_redis_command(redis, "ECHO %s", mark);
    if (read_until(m, mark)) printf("# MONITOR does not answer\n");
}

int monitor_count(const monitor *m, const char *text)
{
    int n = 0;
    for (const char *p = m->text; (p = strstr(p, text)); p++) n++;
    return n;
}

void monitor_clear(monitor *m)
{
    m->len = 0;
    m->text[0] = '\0';
}

void monitor_stop(monitor *m)
{
    close(m->fd);
}
