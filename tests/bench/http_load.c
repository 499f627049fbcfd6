/* Asks a server of HTTP/1.1 again and again, with one request outstanding on each connection.
 * Usage: http_load PORT CONNECTIONS REQUESTS [PATH [BODY [close]]]: prints the seconds, how many answers were 200, and
 * the microseconds in which half of them and 99 of 100 came, as JSON. With BODY, which is JSON, the requests are POST;
 * with close each has a connection of its own. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 1 << 20, MOST = 1000 };

typedef struct peer {
    int fd; /* 0: it has none */
    double asked_at;
    size_t n;
    char in[ROOM / 16];
} peer;

static char request[1200];
static int port, loop;
static bool closes;
static long left, outstanding, good, bad;
static float *times; /* of the answers, microseconds */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void write_request(const char *path, const char *body)
{
    int n = snprintf(request, sizeof request,
                     "%s %.400s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: http_load\r\nAccept: */*\r\n%s",
                     *body ? "POST" : "GET", path, closes ? "Connection: close\r\n" : "");
    if (*body)
        snprintf(request + n, sizeof request - (size_t)n,
                 "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%.400s", strlen(body), body);
    else snprintf(request + n, sizeof request - (size_t)n, "\r\n");
}

static void open_one(peer *p)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = p}};
    int one = 1;
    p->fd = socket(AF_INET, SOCK_STREAM, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (p->fd < 0 || connect(p->fd, (struct sockaddr *)&to, sizeof to) != 0) {
        perror("connect");
        exit(1);
    }
    setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    epoll_ctl(loop, EPOLL_CTL_ADD, p->fd, &event);
}

static void ask(peer *p)
{
    size_t n = strlen(request);
    if (left == 0) return;
    left--;
    outstanding++;
    p->asked_at = now();
    if (!p->fd) open_one(p);
    if (write(p->fd, request, n) != (ssize_t)n) exit(1);
}

/* The bytes of the first answer that is there; 0: it is not whole. */
static size_t answer_of(const peer *p)
{
    const char *end = memmem(p->in, p->n, "\r\n\r\n", 4);
    const char *length = end ? memmem(p->in, (size_t)(end - p->in), "Content-Length: ", 16) : NULL;
    if (!end) return 0;
    size_t size = (size_t)(end + 4 - p->in) + (length ? strtoul(length + 16, NULL, 10) : 0);
    return size <= p->n ? size : 0;
}

static void take(peer *p)
{
    ssize_t n = read(p->fd, p->in + p->n, sizeof p->in - p->n);
    if (n <= 0) exit(1);
    p->n += (size_t)n;
    for (size_t size; p->n > 12 && (size = answer_of(p)) > 0;) {
        times[good + bad] = (float)((now() - p->asked_at) * 1e6);
        if (memcmp(p->in + 9, "200", 3) == 0) good++;
        else bad++;
        outstanding--;
        memmove(p->in, p->in + size, p->n - size);
        p->n -= size;
        if (closes) close(p->fd), p->fd = 0;
        ask(p);
    }
}

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    if (argc < 4) return fprintf(stderr, "usage: http_load PORT CONNECTIONS REQUESTS [PATH [BODY [close]]]\n"), 2;
    int count = atoi(argv[2]);
    long total = atol(argv[3]);
    if (count < 1 || count > MOST || total < 1)
        return fprintf(stderr, "1 to %d connections, 1 request or more\n", MOST), 2;
    port = atoi(argv[1]);
    loop = epoll_create1(0);
    left = total;
    closes = argc > 6;
    times = calloc((size_t)total, sizeof *times);
    write_request(argc > 4 ? argv[4] : "/", argc > 5 ? argv[5] : "");
    peer **peers = calloc((size_t)count, sizeof *peers);
    double begun = now();
    for (int i = 0; i < count; i++) {
        peers[i] = calloc(1, sizeof **peers);
        ask(peers[i]);
    }
    while (outstanding) {
        struct epoll_event events[64];
        int n = epoll_wait(loop, events, 64, -1);
        for (int i = 0; i < n; i++) take(events[i].data.ptr);
    }
    double seconds = now() - begun;
    qsort(times, (size_t)total, sizeof *times, by_size);
    printf("{\"seconds\":%.4f,\"good\":%ld,\"bad\":%ld,\"p50\":%.1f,\"p99\":%.1f}\n", seconds, good, bad,
           times[total / 2], times[total * 99 / 100]);
    return 0;
}
