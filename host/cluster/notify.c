/* What a service manager (systemd) is told, and the sockets that it has opened: the protocols of sd_notify(3) and
 * sd_listen_fds(3), which are one datagram and three variables of the environment. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/cluster/cluster.h"

enum { FIRST_FD = 3, MOST_FDS = 1024 };

/* A number of the environment; 0: there is none. */
static unsigned long long number_of(const char *name)
{
    const char *text = getenv(name);
    char *end;
    errno = 0;
    unsigned long long value = text && *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;
    return value && errno == 0 && *end == 0 ? value : 0;
}

int host_notify(const char *text)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    if (!path || !*path) return 0;
    size_t length = strlen(path);
    if ((*path != '/' && *path != '@') || length >= sizeof address.sun_path) return errno = EINVAL, -1;
    memcpy(address.sun_path, path, length);
    if (*path == '@') address.sun_path[0] = 0; /* a name that is no file */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    ssize_t sent = sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&address, size);
    int problem = errno;
    close(fd);
    return errno = problem, sent < 0 ? -1 : 1;
}

double host_notify_watchdog(void)
{
    unsigned long long pid = number_of("WATCHDOG_PID");
    if (getenv("WATCHDOG_PID") && pid != (unsigned long long)getpid()) return 0;
    return (double)number_of("WATCHDOG_USEC") / 1e6;
}

int host_notify_listeners(void)
{
    unsigned long long count = number_of("LISTEN_FDS");
    if (number_of("LISTEN_PID") != (unsigned long long)getpid() || count > MOST_FDS) return 0;
    for (int i = 0; i < (int)count; i++) {
        int flags = fcntl(FIRST_FD + i, F_GETFL);
        if (flags < 0 || fcntl(FIRST_FD + i, F_SETFD, FD_CLOEXEC) != 0) return i;
        fcntl(FIRST_FD + i, F_SETFL, flags | O_NONBLOCK);
    }
    return (int)count;
}

int host_notify_listener(int index, char *name, size_t size)
{
    const char *at = getenv("LISTEN_FDNAMES");
    for (int i = 0; at && i < index; i++)
        if ((at = strchr(at, ':')) != NULL) at++;
    if (size) snprintf(name, size, "%.*s", at ? (int)strcspn(at, ":") : 0, at ? at : "");
    return FIRST_FD + index;
}
