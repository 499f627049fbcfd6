/* Writing by a thread: in order, never waiting, with what is lost counted. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

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
    host_sink_close(s, 30, 30);
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
    host_sink_close(s, 30, 30);
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
    host_sink_close(s, 30, 30);
    close(full);
}

enum { SLOW_BYTES = 40 * 16000, SLOW_PIECE = 8000 };

static void read_slowly(void *arg)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    static char piece[SLOW_PIECE];
    const int *fd = arg;
    while (read(*fd, piece, sizeof piece) > 0) nanosleep(&pause, NULL);
}

/* What waits at the end is written as long as somebody reads, however long that takes as a whole. */
static void somebody_reads_slowly(void)
{
    static char line[SLOW_BYTES / 40];
    int ends[2];
    uv_thread_t reader;
    host_sink *s = host_sink_open(NULL);
    if (pipe(ends) != 0 || fcntl(ends[1], F_SETPIPE_SZ, 4096) < 0) return;
    for (int i = 0; i < 40; i++) CHECK(host_sink_put(s, ends[1], line, sizeof line, false));
    uv_thread_create(&reader, read_slowly, &ends[0]);
    uint64_t begin = uv_hrtime();
    host_sink_close(s, 1, 300);
    CHECK(uv_hrtime() - begin > 1000000000); /* it took longer than it may stand still */
    int unread = -1;
    CHECK(ioctl(ends[0], FIONREAD, &unread) == 0 && unread <= 4096);
    close(ends[1]);
    uv_thread_join(&reader);
    close(ends[0]);
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
    RUN(somebody_reads_slowly);
    RUN(refused);
    return tap_end();
}
