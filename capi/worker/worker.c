/* Design note. The master is on the same machine and reads all the time, so nothing is queued here: what the kernel has
 * no room for is an error of the sender. Requests are counted by who has them, at the end of each turn, and added to
 * the board, since a process may have several contexts, each with a thread. */
#include "worker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/str.h"
#include "clouds_worker.h"

#define VARIABLE "CLOUDS_CHANNEL"

static struct {
    pthread_mutex_t opening, reading;
    pid_t pid; /* 0: it has no master */
    int channel;
    clouds_board *board;
    char incoming[1 + CLOUDS_CHANNEL_BYTES + 1];
    atomic_bool told_enough;
} self = {.opening = PTHREAD_MUTEX_INITIALIZER, .reading = PTHREAD_MUTEX_INITIALIZER, .channel = -1};

atomic_bool cl_worker_opened;

/* ---- taking the place */

static int no_worker(void)
{
    return cl_error(CLOUDS_ENOTSUP, "this process is no worker of clouds start");
}

static int is_channel(int fd)
{
    int type = 0;
    socklen_t size = sizeof type;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

/* A program that a worker has started may have the variable, and other descriptors behind it. */
static clouds_board *map_board(int fd)
{
    struct stat found;
    if (fstat(fd, &found) != 0 || found.st_size < (off_t)sizeof(clouds_board)) return NULL;
    void *page = mmap(NULL, sizeof(clouds_board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) return NULL;
    clouds_board *board = page;
    if (board->version >= CLOUDS_BOARD_VERSION) return board;
    munmap(page, sizeof *board);
    return NULL;
}

static int take_place(void)
{
    int channel;
    if (!cl_str_number(cl_str_z(getenv(VARIABLE)), 0, INT_MAX, &channel) || !is_channel(channel)) return no_worker();
    clouds_board *board = map_board(channel + 1);
    if (!board) return no_worker();
    close(channel + 1);
    fcntl(channel, F_SETFD, FD_CLOEXEC);
    unsetenv(VARIABLE);
    board->pid = getpid();
    self.channel = channel;
    self.board = board;
    self.pid = board->pid;
    atomic_store(&cl_worker_opened, true);
    return channel;
}

int cl_worker_open(void)
{
    pthread_mutex_lock(&self.opening);
    int code = self.pid ? cl_error(CLOUDS_EEXIST, "this process has opened its channel already") : take_place();
    pthread_mutex_unlock(&self.opening);
    return code;
}

static int check(void)
{
    if (!self.pid) return no_worker();
    return self.pid == getpid() ? 0 : cl_error(CLOUDS_EFORK, NULL);
}

/* ---- messages */

/* What was written to the master goes nowhere now, and is to fail nobody who finishes what was accepted. */
static void mute_output(void)
{
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
        struct pollfd one = {.fd = fd, .events = POLLOUT};
        if (poll(&one, 1, 0) <= 0 || !(one.revents & POLLERR)) continue; /* somebody reads it */
        int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (nowhere < 0) return;
        dup2(nowhere, fd);
        close(nowhere);
    }
}

static int master_gone(void)
{
    mute_output();
    return cl_error(CLOUDS_ECLOSED, "the master is gone");
}

static void close_descriptors(struct msghdr *from)
{
    int fd;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(from); c; c = CMSG_NXTHDR(from, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        for (size_t at = 0; CMSG_LEN(at + sizeof fd) <= c->cmsg_len; at += sizeof fd) {
            memcpy(&fd, CMSG_DATA(c) + at, sizeof fd);
            close(fd);
        }
    }
}

/* The end of a peer that had not read everything is an error first, and what it has said comes behind that. */
static ssize_t read_message(void)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(CLOUDS_CHANNEL_FDS * sizeof(int))];
    } control;
    struct iovec part = {self.incoming, 1 + CLOUDS_CHANNEL_BYTES};
    struct msghdr header = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t size;
    for (int resets = 0;;) {
        size = recvmsg(self.channel, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (size >= 0 || !(errno == EINTR || (errno == ECONNRESET && resets++ == 0))) break;
    }
    if (size >= 0) close_descriptors(&header);
    return size;
}

/* Signals do not end the wait, as nowhere in this library; then it may take longer. */
static int wait_for_one(int milliseconds)
{
    struct pollfd one = {.fd = self.channel, .events = POLLIN};
    int n;
    do n = poll(&one, 1, milliseconds);
    while (n < 0 && errno == EINTR);
    return n;
}

static int receive(cl_worker_message *out, int milliseconds)
{
    if (wait_for_one(milliseconds) <= 0) return 0;
    ssize_t size = read_message();
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return 0;
    if (size <= 0) return master_gone();
    self.incoming[size] = 0;
    *out = (cl_worker_message){self.incoming[0], self.incoming + 1, (size_t)size - 1};
    return 1;
}

int cl_worker_receive(cl_worker_message *out, int milliseconds)
{
    int code = check();
    if (code != 0) return code;
    if (pthread_mutex_trylock(&self.reading) != 0)
        return cl_error(CLOUDS_ETHREAD, "another thread waits for messages of the master");
    code = receive(out, milliseconds);
    pthread_mutex_unlock(&self.reading);
    return code;
}

int cl_worker_send(char type, const void *body, size_t size)
{
    struct iovec parts[] = {{&type, 1}, {(void *)body, size}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = size ? 2 : 1};
    ssize_t written;
    int code = check();
    if (code != 0) return code;
    if (size > CLOUDS_CHANNEL_BYTES)
        return cl_error_limit(CLOUDS_ETOOBIG, size, CLOUDS_CHANNEL_BYTES,
                              "a message to the master has %zu bytes, at most %d", size, CLOUDS_CHANNEL_BYTES);
    do written = sendmsg(self.channel, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (written < 0 && errno == EINTR);
    if (written >= 0) return 0;
    if (errno == EPIPE || errno == ECONNRESET) return master_gone();
    return cl_error(CLOUDS_ELIMIT, "the master does not take it: %s", strerror(errno));
}

/* ---- the board */

void cl_worker_publish(cl_worker_share *told, uint64_t requests, uint64_t in_flight)
{
    if (!cl_worker_is_open()) return;
    clouds_board *board = self.board;
    uint64_t all = __atomic_add_fetch(&board->requests, requests - told->requests, __ATOMIC_RELAXED);
    __atomic_add_fetch(&board->in_flight, in_flight - told->in_flight, __ATOMIC_RELAXED);
    uint64_t most = __atomic_load_n(&board->most_requests, __ATOMIC_RELAXED);
    *told = (cl_worker_share){requests, in_flight};
    if (!most || all < most || atomic_exchange(&self.told_enough, true)) return;
    if (cl_worker_send(CLOUDS_CHANNEL_ENOUGH, NULL, 0) != 0) atomic_store(&self.told_enough, false);
}
