/* A port of this machine that nobody listens at. */
#ifndef TEST_PORT_H
#define TEST_PORT_H

#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TEST_FIRST_PORT = 11000, TEST_PORT_TRIES = 100 };

/* The first port that the system gives away by itself, such as to who connects. */
static inline int test_first_port_given(void)
{
    int first = 0;
    FILE *range = fopen("/proc/sys/net/ipv4/ip_local_port_range", "r");
    if (range && fscanf(range, "%d", &first) != 1) first = 0;
    if (range) fclose(range);
    return first;
}

/* The port, 0: any; -1: somebody has it. */
static inline int test_try_port(int port)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), found = -1;
    if (bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && getsockname(fd, (struct sockaddr *)&a, &n) == 0)
        found = ntohs(a.sin_port);
    close(fd);
    return found;
}

/* -1: there is none. Of those that the system gives nobody: any connection may take one of these before it is used, and
 * while a server there is started anew. Another test may still take it: whoever starts a server there tries again. */
static inline int test_free_port(void)
{
    int given = test_first_port_given();
    for (int i = 0; given > 2 * TEST_FIRST_PORT && i < TEST_PORT_TRIES; i++) {
        uint32_t random = 0;
        if (getrandom(&random, sizeof random, 0) != sizeof random) break;
        int port = test_try_port(TEST_FIRST_PORT + (int)(random % (uint32_t)(given - TEST_FIRST_PORT)));
        if (port > 0) return port;
    }
    return test_try_port(0);
}

#endif
