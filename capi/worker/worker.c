/* Design note. The master is on the same machine and reads all the time, so nothing is queued here but the answers to
 * connections, which must not be lost: what the kernel has no room for is an error of the sender. Requests are counted
 * by who has them, at the end of each turn, and added to the board, since a process may have several contexts, each
 * with a thread. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/str.h"
#include "worker/counts.h"
#include "worker/internal.h"

#define VARIABLE "CLOUDS_CHANNEL"

enum { ANSWER_AGAIN = 10 }; /* milliseconds until the master is answered what it had no room for */

static struct {
    pthread_mutex_t opening, reading;
    char incoming[1 + CLOUDS_CHANNEL_BYTES + 1];
    atomic_bool told_enough;
} self = {.opening = PTHREAD_MUTEX_INITIALIZER, .reading = PTHREAD_MUTEX_INITIALIZER};

cl_worker_place cl_worker_self = {.channel = -1, .watch = -1};
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

/* The third descriptor is there if the master wants to know what is counted. It has made it, so it begins as it should.
 */
static void map_counts(int fd)
{
    struct stat found;
    clouds_counts head;
    if (fstat(fd, &found) != 0 || pread(fd, &head, sizeof head, 0) != (ssize_t)sizeof head) return;
    if (head.version != CLOUDS_COUNTS_VERSION || head.size != (uint64_t)found.st_size) return;
    void *memory = mmap(NULL, head.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (memory != MAP_FAILED && cl_counts_use(memory, head.size) != 0) munmap(memory, head.size);
}

int cl_worker_watch(int watch, int fd, uint64_t what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = what};
    if (epoll_ctl(watch, EPOLL_CTL_ADD, fd, &event) == 0) return 0;
    return cl_error(CLOUDS_ESYSTEM, "the channel of the worker cannot be watched: %s", strerror(errno));
}

static int open_watch(int channel)
{
    cl_worker_self.watch = epoll_create1(EPOLL_CLOEXEC);
    int code = cl_worker_watch(cl_worker_self.watch, channel, CL_WATCH_CHANNEL);
    if (code != 0 && cl_worker_self.watch >= 0) close(cl_worker_self.watch);
    return code;
}

static int take_place(void)
{
    int channel, code;
    if (!cl_str_number(cl_str_z(getenv(VARIABLE)), 0, INT_MAX, &channel) || !is_channel(channel)) return no_worker();
    clouds_board *board = map_board(channel + 1);
    if (!board) return no_worker();
    if ((code = open_watch(channel)) != 0) return munmap(board, sizeof *board), code;
    close(channel + 1);
    map_counts(channel + 2);
    fcntl(channel, F_SETFD, FD_CLOEXEC);
    unsetenv(VARIABLE);
    board->pid = getpid();
    cl_worker_self.channel = channel;
    cl_worker_self.board = board;
    cl_worker_self.pid = board->pid;
    atomic_store(&cl_worker_opened, true);
    return cl_worker_self.watch;
}

int cl_worker_open(void)
{
    pthread_mutex_lock(&self.opening);
    int code =
        cl_worker_self.pid ? cl_error(CLOUDS_EEXIST, "this process has opened its channel already") : take_place();
    pthread_mutex_unlock(&self.opening);
    return code;
}

int cl_worker_check(void)
{
    if (!cl_worker_self.pid) return no_worker();
    return cl_worker_self.pid == getpid() ? 0 : cl_error(CLOUDS_EFORK, NULL);
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

/* The first of the descriptors that came along, -1: there is none; no message has more. */
static int take_descriptor(struct msghdr *from)
{
    int fd, first = -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(from); c; c = CMSG_NXTHDR(from, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        for (size_t at = 0; CMSG_LEN(at + sizeof fd) <= c->cmsg_len; at += sizeof fd) {
            memcpy(&fd, CMSG_DATA(c) + at, sizeof fd);
            if (first < 0) first = fd;
            else close(fd);
        }
    }
    return first;
}

/* The end of a peer that had not read everything is an error first, and what it has said comes behind that. */
static ssize_t read_message(int *fd)
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
        size = recvmsg(cl_worker_self.channel, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (size >= 0 || !(errno == EINTR || (errno == ECONNRESET && resets++ == 0))) break;
    }
    *fd = size >= 0 ? take_descriptor(&header) : -1;
    return size;
}

static int receive_message(cl_worker_message *out)
{
    int fd;
    ssize_t size = read_message(&fd);
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return 0;
    if (size <= 0) return master_gone();
    self.incoming[size] = 0;
    *out = (cl_worker_message){self.incoming[0], self.incoming + 1, (size_t)size - 1, fd};
    return 1;
}

/* Signals do not end the wait, as nowhere in this library; then it may take longer. */
static int wait_for_one(struct epoll_event *out, int milliseconds)
{
    int n;
    do n = epoll_wait(cl_worker_self.watch, out, 1, milliseconds);
    while (n < 0 && errno == EINTR);
    return n;
}

static int receive(cl_worker_message *out, int milliseconds)
{
    struct epoll_event event;
    if (cl_worker_answer() && (milliseconds < 0 || milliseconds > ANSWER_AGAIN)) milliseconds = ANSWER_AGAIN;
    if (wait_for_one(&event, milliseconds) <= 0) return 0;
    if (event.data.u64 == CL_WATCH_CHANNEL) return receive_message(out);
    if (event.data.u64 >= CL_WATCH_LISTENER)
        return cl_worker_accept((unsigned)(event.data.u64 - CL_WATCH_LISTENER), out);
    cl_worker_end_pause();
    return 0;
}

int cl_worker_receive(cl_worker_message *out, int milliseconds)
{
    int code = cl_worker_check();
    if (code != 0) return code;
    if (pthread_mutex_trylock(&self.reading) != 0)
        return cl_error(CLOUDS_ETHREAD, "another thread waits for messages of the master");
    code = receive(out, milliseconds);
    pthread_mutex_unlock(&self.reading);
    return code;
}

static ssize_t write_message(char type, const void *body, size_t size, int fd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof fd)];
    } control = {0};
    struct iovec parts[] = {{&type, 1}, {(void *)body, size}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = size ? 2 : 1};
    ssize_t written;
    if (fd >= 0) {
        control.header =
            (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd)};
        memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
        message.msg_control = &control;
        message.msg_controllen = sizeof control.space;
    }
    do written = sendmsg(cl_worker_self.channel, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (written < 0 && errno == EINTR);
    return written;
}

int cl_worker_send_with(char type, const void *body, size_t size, int fd)
{
    int code = cl_worker_check();
    if (code != 0) return code;
    if (size > CLOUDS_CHANNEL_BYTES)
        return cl_error_limit(CLOUDS_ETOOBIG, size, CLOUDS_CHANNEL_BYTES,
                              "a message to the master has %zu bytes, at most %d", size, CLOUDS_CHANNEL_BYTES);
    if (write_message(type, body, size, fd) >= 0) return 0;
    if (errno == EPIPE || errno == ECONNRESET) return master_gone();
    return cl_error(CLOUDS_ELIMIT, "the master does not take it: %s", strerror(errno));
}

int cl_worker_send(char type, const void *body, size_t size)
{
    return cl_worker_send_with(type, body, size, -1);
}

/* ---- the board */

void cl_worker_begin(uint64_t requests)
{
    clouds_board *board = cl_worker_self.board;
    uint64_t all = __atomic_add_fetch(&board->requests, requests, __ATOMIC_RELAXED);
    uint64_t most = __atomic_load_n(&board->most_requests, __ATOMIC_RELAXED);
    if (!most || all < most || atomic_exchange(&self.told_enough, true)) return;
    if (cl_worker_send(CLOUDS_CHANNEL_ENOUGH, NULL, 0) != 0) atomic_store(&self.told_enough, false);
}

void cl_worker_publish(cl_worker_share *told, uint64_t requests, uint64_t in_flight)
{
    if (!cl_worker_is_open()) return;
    __atomic_add_fetch(&cl_worker_self.board->in_flight, in_flight - told->in_flight, __ATOMIC_RELAXED);
    cl_worker_begin(requests - told->requests);
    *told = (cl_worker_share){requests, in_flight};
}
