/* Asks a server of HTTP/1.1 again and again on kept connections, one request outstanding on each.
 * Usage: http_load PORT CONNECTIONS REQUESTS [PATH]: prints the seconds, and how many answers were 200, as JSON. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 1 << 20, MOST = 1000 };

typedef struct peer {
    int fd;
    size_t n;
    char in[ROOM / 16];
} peer;

static char request[600];
static long left, outstanding, good, bad;

static void ask(peer *p)
{
    size_t n = strlen(request);
    if (left == 0) return;
    left--;
    outstanding++;
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
        if (memcmp(p->in + 9, "200", 3) == 0) good++;
        else bad++;
        outstanding--;
        memmove(p->in, p->in + size, p->n - size);
        p->n -= size;
        ask(p);
    }
}

static int open_one(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        perror("connect");
        exit(1);
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    if (argc < 4) return fprintf(stderr, "usage: http_load PORT CONNECTIONS REQUESTS [PATH]\n"), 2;
    int count = atoi(argv[2]), loop = epoll_create1(0);
    if (count < 1 || count > MOST) return fprintf(stderr, "1 to %d connections\n", MOST), 2;
    left = atol(argv[3]);
    snprintf(request, sizeof request, "GET %.400s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: http_load\r\nAccept: */*\r\n\r\n",
             argc > 4 ? argv[4] : "/");
    peer **peers = calloc((size_t)count, sizeof *peers);
    double begun = now();
    for (int i = 0; i < count; i++) {
        peers[i] = calloc(1, sizeof **peers);
        peers[i]->fd = open_one(atoi(argv[1]));
        struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = peers[i]}};
        epoll_ctl(loop, EPOLL_CTL_ADD, peers[i]->fd, &event);
        ask(peers[i]);
    }
    while (outstanding) {
        struct epoll_event events[64];
        int n = epoll_wait(loop, events, 64, -1);
        for (int i = 0; i < n; i++) take(events[i].data.ptr);
    }
    printf("{\"seconds\":%.4f,\"good\":%ld,\"bad\":%ld}\n", now() - begun, good, bad);
    return 0;
}
