/* Writing by a thread: in order, never waiting, with what is lost counted. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/cluster/cluster.h"
#include "support/tap.h"

static size_t read_all(int fd, char *out, size_t size)
{
    size_t len = 0;
    for (ssize_t n; len < size && (n = read(fd, out + len, size - len)) > 0;) len += (size_t)n;
    return len;
}

static void in_order(void)
{
    int one[2], two[2];
    char text[64];
    host_sink *s = host_sink_open(NULL);
    if (pipe(one) != 0 || pipe(two) != 0) return;
    CHECK(host_sink_put(s, one[1], "a\n", 2, false));
    CHECK(host_sink_put(s, two[1], "b\n", 2, false));
    CHECK(host_sink_put(s, one[1], "c\n", 2, false));
    host_sink_close(s, 30);
    close(one[1]);
    close(two[1]);
    CHECK_STR(text, read_all(one[0], text, sizeof text), "a\nc\n");
    CHECK_STR(text, read_all(two[0], text, sizeof text), "b\n");
    close(one[0]);
    close(two[0]);
}

/* A pipe that nobody reads: what does not fit is lost, and everything else comes when somebody does. */
static void nobody_reads_of(bool without_waiting)
{
    enum { LINE = 1000, COUNT = 4000 };
    static char line[LINE], got[LINE * (COUNT + 1)];
    int ends[2], kept = 0;
    host_sink *s = host_sink_open(NULL);
    if (pipe2(ends, without_waiting ? O_NONBLOCK : 0) != 0) return;
    memset(line, 'x', LINE - 1);
    line[LINE - 1] = '\n';
    for (int i = 0; i < COUNT; i++) kept += host_sink_put(s, ends[1], line, LINE, false);
    CHECK(host_sink_put(s, ends[1], line, LINE, true));
    kept++;
    uint64_t lost = host_sink_lost(s);
    CHECK(lost > 0 && kept + (int)lost == COUNT + 1 && host_sink_lost(s) == 0);
    fcntl(ends[0], F_SETFL, 0);
    size_t len = 0;
    while (len < (size_t)kept * LINE) {
        ssize_t n = read(ends[0], got + len, sizeof got - len);
        if (n <= 0) break;
        len += (size_t)n;
    }
    CHECK(len == (size_t)kept * LINE);
    host_sink_close(s, 30);
    close(ends[0]);
    close(ends[1]);
}

static void refused(void)
{
    int full = open("/dev/full", O_WRONLY);
    host_sink *s = host_sink_open(NULL);
    for (int i = 0; i < 10; i++) host_sink_put(s, full, "line\n", 5, false);
    uint64_t lost = 0;
    while (lost < 10) lost += host_sink_lost(s);
    CHECK(lost == 10);
    host_sink_close(s, 30);
    close(full);
}

static void nobody_reads(void)
{
    nobody_reads_of(false);
}

static void nobody_reads_without_waiting(void)
{
    nobody_reads_of(true);
}

int main(void)
{
    RUN(in_order);
    RUN(nobody_reads);
    RUN(nobody_reads_without_waiting);
    RUN(refused);
    return tap_end();
}
