/* A port of this machine that nobody listens at. */
#ifndef TEST_PORT_H
#define TEST_PORT_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* -1: there is none. Somebody else may take it before it is used: whoever starts a server there tries again. */
static inline int test_free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port = -1;
    if (bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && getsockname(fd, (struct sockaddr *)&a, &n) == 0)
        port = ntohs(a.sin_port);
    close(fd);
    return port;
}

#endif
