/* Thread mode: the descriptor that is readable while events wait. */
#include <errno.h>
#include <stdint.h>
#include <unistd.h>

#include "api/internal.h"

void cl_event_fd_write(int fd)
{
    uint64_t one = 1;
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR) continue;
}

void cl_event_fd_clear(int fd)
{
    uint64_t count;
    while (read(fd, &count, sizeof count) < 0 && errno == EINTR) continue;
}
