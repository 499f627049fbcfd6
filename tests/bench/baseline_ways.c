/* The floors of what is no call at a time: bare sockets, nothing looked at but the length. The same work in ours: bench_ways.c.
 *
 * Usage: baseline_ways publish|notify|burst URL SECONDS (URL is not used)
 *   publish: a message of 64 bytes written to each of 100 sockets, with a write each
 *   notify:  frames of 12 bytes one way over one socket, 16 kB a write
 *   burst:   20 sockets on which 1000 frames of 56 bytes go out at once and come back */
#include "ways.h"

enum { MESSAGE = 64, ONE_WAY = 12, FRAME = 56, WRITE = 16 * 1024 };

static int ends[WAYS_SUBSCRIBERS][2];
static int count_of_ends;

static void open_ends(int n)
{
    count_of_ends = n;
    for (int i = 0; i < n; i++)
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends[i]) != 0) bench_die("socketpair");
}

static void write_all(int fd, const char *data, size_t n)
{
    while (n) {
        ssize_t written = write(fd, data, n);
        if (written < 0) bench_die("write");
        data += written;
        n -= (size_t)written;
    }
}

/* A frame at a time into what is written next. */
static size_t frames_into(char *out, size_t size, size_t n)
{
    char frame[MESSAGE] = {(char)size};
    for (size_t i = 0; i < n; i++) {
        frame[1] = (char)i;
        memcpy(out + i * size, frame, size);
    }
    return n * size;
}

/* Whole frames of what is there: their number, and where the rest begins. */
static size_t frames_of(const char *data, size_t n, size_t *at)
{
    size_t found = 0;
    for (*at = 0; *at < n && n - *at >= (size_t)data[*at]; *at += (size_t)data[*at]) found++;
    return found;
}

/* Reads what comes on all of them and counts it, or sends it back. */
static void read_all(void *back, int ready)
{
    enum { ROOM = 64 * 1024 };
    static char data[ROOM];
    static char parts[WAYS_SUBSCRIBERS][MESSAGE];
    static size_t rest[WAYS_SUBSCRIBERS];
    struct epoll_event events[64];
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < count_of_ends; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        close(ends[i][0]);
        epoll_ctl(epoll, EPOLL_CTL_ADD, ends[i][1], &e);
    }
    for (bench_ready(ready);;) {
        int n = epoll_wait(epoll, events, 64, -1);
        for (int i = 0; i < n; i++) {
            uint32_t at = events[i].data.u32;
            size_t end;
            memcpy(data, parts[at], rest[at]);
            ssize_t got = read(ends[at][1], data + rest[at], ROOM - rest[at]);
            if (got <= 0) exit(0);
            size_t all = rest[at] + (size_t)got, whole = frames_of(data, all, &end);
            rest[at] = all - end;
            memcpy(parts[at], data + end, rest[at]);
            if (back) write_all(ends[at][1], data, end);
            else ways_count(whole);
        }
    }
}

static void publish(void)
{
    static const char message[MESSAGE] = {MESSAGE};
    while (ways_goes_on(WAYS_SUBSCRIBERS))
        for (int i = 0; i < WAYS_SUBSCRIBERS; i++) write_all(ends[i][0], message, sizeof message);
}

static void notify(void)
{
    static char frames[WRITE];
    while (ways_goes_on(WRITE / ONE_WAY)) write_all(ends[0][0], frames, frames_into(frames, ONE_WAY, WRITE / ONE_WAY));
}

static void burst(void)
{
    static char frames[WAYS_BURST * FRAME];
    while (ways_goes_on(0)) {
        for (int i = 0; i < WAYS_CLIENTS; i++) write_all(ends[i][0], frames, frames_into(frames, FRAME, WAYS_BURST));
        for (int i = 0; i < WAYS_CLIENTS; i++) {
            size_t left = sizeof frames, end;
            for (ssize_t got; left; left -= (size_t)got)
                if ((got = read(ends[i][0], frames + sizeof frames - left, left)) <= 0) bench_die("read");
            if (frames_of(frames, sizeof frames, &end) != WAYS_BURST) bench_die("the frames");
        }
        ways_count(WAYS_CLIENTS * WAYS_BURST);
    }
}

int main(int argc, char **argv)
{
    int way = ways_arguments(argc, argv);
    open_ends(way == WAYS_PUBLISH ? WAYS_SUBSCRIBERS : way == WAYS_NOTIFY ? 1 : WAYS_CLIENTS);
    pid_t child = bench_fork(read_all, way == WAYS_BURSTS ? argv : NULL);
    for (int i = 0; i < count_of_ends; i++) close(ends[i][1]);
    ways_begin();
    way == WAYS_PUBLISH ? publish() : way == WAYS_NOTIFY ? notify() : burst();
    ways_print();
    bench_end(child, SIGKILL);
    return 0;
}
