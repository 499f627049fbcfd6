/* A worker and its master in one process: the ends of a worker, and what the master says by them. */
#ifndef API_WORKER_KIT_H
#define API_WORKER_KIT_H

#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "api/kit.h"
#include "clouds_worker.h"

enum { CHANNEL = 40, BOARD = CHANNEL + 1 };

static int master = -1;
static clouds_board *board;

static inline void set_environment(int number)
{
    char text[16];
    snprintf(text, sizeof text, "%d", number);
    setenv("CLOUDS_CHANNEL", text, 1);
}

/* The ends of a worker, as a master makes them. */
static inline bool make_ends(size_t size)
{
    int ends[2], page = memfd_create("board", 0);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0 || page < 0 || ftruncate(page, (off_t)size) != 0)
        return false;
    if (master >= 0) close(master);
    master = ends[0];
    dup2(ends[1], CHANNEL);
    dup2(page, BOARD);
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, page, 0);
    close(ends[1]);
    close(page);
    return board != MAP_FAILED;
}

static inline int open_worker(void)
{
    if (!make_ends(sizeof *board)) return -1;
    board->version = CLOUDS_BOARD_VERSION;
    set_environment(CHANNEL);
    return clouds_worker_open();
}

static inline void tell(const char *text)
{
    CHECK_INT(send(master, text, strlen(text), 0), strlen(text));
}

static inline clouds_worker_event told(const char *text)
{
    clouds_worker_event e = {0};
    tell(text);
    CHECK_INT(clouds_worker_next(&e, sizeof e, 60), 1);
    return e;
}

/* A message of the master with a body and descriptors beside it. */
static inline void give(char type, const void *body, size_t size, const int *fds, size_t count)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(2 * sizeof(int))];
    } control = {0};
    struct iovec parts[] = {{&type, 1}, {(void *)body, size}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    if (count) {
        control.header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    }
    CHECK_INT(sendmsg(master, &message, 0), 1 + (int)size);
}

static inline int lowest_free(void)
{
    int fd = dup(0);
    close(fd);
    return fd;
}

#endif
