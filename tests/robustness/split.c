/* A proxy that never delivers two bytes together.
 *
 * Usage: split LISTEN TARGET, both paths of unix sockets. Every byte goes on in a write of its own, in both directions, and
 * each `pause`th byte only when the reader has taken the one before: so it sees a boundary there for certain, and as `pause` has
 * no factor in common with the usual lengths, in time at every place. It ends when standard input does. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PAIRS = 32, CHUNK = 4096, PAUSE = 13 };

static struct pollfd watched[2 + 2 * PAIRS]; /* standard input, the listener, then pairs side by side */
static unsigned used = 2;

static int socket_at(const char *path, int listening)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int bad = listening ? bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 64)
                        : connect(fd, (struct sockaddr *)&at, sizeof at);
    if (bad) close(fd);
    return bad ? -1 : fd;
}

static void accept_pair(const char *target)
{
    int in = accept(watched[1].fd, NULL, NULL), out = in < 0 ? -1 : socket_at(target, 0);
    if (out < 0 || used + 2 > 2 + 2 * PAIRS) {
        close(in);
        close(out);
        return;
    }
    watched[used++] = (struct pollfd){ .fd = in, .events = POLLIN };
    watched[used++] = (struct pollfd){ .fd = out, .events = POLLIN };
}

/* Until the reader has taken all that was written, or for a while: it may be waiting for us elsewhere. */
static void taken(int fd)
{
    int left = 1;
    for (int i = 0; i < 200 && ioctl(fd, SIOCOUTQ, &left) == 0 && left > 0; i++) sched_yield();
}

static int forward(int from, int to)
{
    static unsigned count;
    char chunk[CHUNK];
    ssize_t n = read(from, chunk, sizeof chunk);
    for (ssize_t i = 0; i < n; i++) {
        if (++count % PAUSE == 0) taken(to);
        if (send(to, chunk + i, 1, MSG_NOSIGNAL) != 1) return 0;
    }
    return n > 0;
}

static void drop(unsigned at)
{
    unsigned first = at & ~1u;
    close(watched[first].fd);
    close(watched[first + 1].fd);
    used -= 2;
    memcpy(&watched[first], &watched[used], 2 * sizeof *watched);
}

int main(int argc, char **argv)
{
    if (argc != 3) return fprintf(stderr, "usage: split LISTEN TARGET\n"), 2;
    watched[0] = (struct pollfd){ .fd = 0, .events = POLLIN };
    watched[1] = (struct pollfd){ .fd = socket_at(argv[1], 1), .events = POLLIN };
    if (watched[1].fd < 0) return perror(argv[1]), 1;
    puts("ready");
    fflush(stdout);
    while (poll(watched, used, -1) > 0 && !watched[0].revents) {
        if (watched[1].revents) accept_pair(argv[2]);
        for (unsigned i = 2; i < used; i++)
            if (watched[i].revents && !forward(watched[i].fd, watched[i ^ 1].fd)) drop(i);
    }
    return 0;
}
