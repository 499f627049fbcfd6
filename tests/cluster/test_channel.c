/* Messages between two processes, and the page that one writes and the other reads. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/cluster/cluster.h"
#include "support/tap.h"

static uv_loop_t *loop;

typedef struct end {
    host_channel *channel;
    int count, ended, fd_count;
    size_t bytes;
    char last_type, last[64];
    int keep[64]; /* descriptors that were taken */
    bool closes;
} end;

static void on_message(void *self, host_channel_message *m)
{
    end *e = self;
    e->count++;
    e->bytes += m->size;
    e->last_type = m->type;
    snprintf(e->last, sizeof e->last, "%.*s", (int)m->size, m->body);
    for (int i = 0; i < m->fd_count; i++) {
        e->keep[e->fd_count++ % 64] = m->fds[i];
        m->fds[i] = -1;
    }
    if (e->closes) host_channel_close(e->channel);
}

static void on_ended(void *self)
{
    ((end *)self)->ended++;
}

static void make_pair(end *a, end *b)
{
    int ends[2];
    if (host_channel_pair(ends) != 0) exit(99);
    end *both[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        host_channel_hooks hooks = {.self = both[i], .message = on_message, .ended = on_ended};
        *both[i] = (end){0};
        both[i]->channel = host_channel_open(loop, ends[i], true, &hooks);
    }
}

#define UNTIL(condition) \
    for (int turns_ = 0; !(condition) && turns_ < 100000; turns_++) uv_run(loop, UV_RUN_ONCE)

static void close_pair(end *a, end *b)
{
    host_channel_close(a->channel);
    host_channel_close(b->channel);
    uv_run(loop, UV_RUN_DEFAULT);
}

static void messages_in_order(void)
{
    end a, b;
    make_pair(&a, &b);
    CHECK_INT(host_channel_send(a.channel, 'M', "one", 3, NULL, 0), 0);
    CHECK_INT(host_channel_send(a.channel, 'X', NULL, 0, NULL, 0), 0);
    UNTIL(b.count == 2);
    CHECK_INT(b.last_type, 'X');
    CHECK_INT((int)b.bytes, 3);
    CHECK_INT(host_channel_send(b.channel, 'R', "back", 4, NULL, 0), 0);
    UNTIL(a.count == 1);
    CHECK_STR(a.last, strlen(a.last), "back");
    close_pair(&a, &b);
}

static void a_descriptor_travels(void)
{
    end a, b;
    int ends[2];
    char got = 0;
    make_pair(&a, &b);
    if (pipe(ends) != 0) exit(99);
    CHECK_INT(host_channel_send(a.channel, 'C', "x", 1, &ends[1], 1), 0);
    close(ends[1]);
    UNTIL(b.count == 1);
    CHECK_INT(b.fd_count, 1);
    CHECK(fcntl(b.keep[0], F_GETFD) & FD_CLOEXEC);
    CHECK_INT((int)write(b.keep[0], "y", 1), 1);
    CHECK_INT((int)read(ends[0], &got, 1), 1);
    close(b.keep[0]);
    CHECK_INT((int)read(ends[0], &got, 1), 0); /* there is no copy left */
    close(ends[0]);
    close_pair(&a, &b);
}

/* What the other end does not read waits, with its descriptors, and nothing is lost or changes places. */
static void what_is_not_taken_waits(void)
{
    enum { COUNT = 2000 };
    end a, b;
    char body[1000];
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    make_pair(&a, &b);
    memset(body, 'x', sizeof body);
    for (int i = 0; i < COUNT; i++) {
        int size = snprintf(body, sizeof body, "%d", i);
        CHECK_INT(host_channel_send(a.channel, 'M', body, (size_t)size, &fd, i < 32 ? 1 : 0), 0);
    }
    UNTIL(b.count == COUNT);
    CHECK_STR(b.last, strlen(b.last), "1999");
    CHECK_INT(b.fd_count, 32);
    for (int i = 0; i < 32; i++) CHECK_INT(close(b.keep[i]), 0);
    close(fd);
    close_pair(&a, &b);
}

static void what_waits_has_a_limit(void)
{
    end a, b;
    static char body[CLOUDS_CHANNEL_BYTES + 1];
    make_pair(&a, &b);
    int code = 0, sent = 0;
    while ((code = host_channel_send(a.channel, 'M', body, CLOUDS_CHANNEL_BYTES, NULL, 0)) == 0 && sent < 1000) sent++;
    CHECK_INT(code, -1);
    CHECK_INT(errno, ENOBUFS);
    CHECK_INT(host_channel_send(a.channel, 'M', body, sizeof body, NULL, 0), -1);
    CHECK_INT(errno, EMSGSIZE);
    UNTIL(b.count == sent);
    CHECK_INT(b.count, sent);
    close_pair(&a, &b);
}

static void *count_messages(void *fd)
{
    static char body[1 + CLOUDS_CHANNEL_BYTES];
    intptr_t count = 0;
    struct pollfd one = {.fd = *(int *)fd, .events = POLLIN};
    while (poll(&one, 1, -1) == 1 && recv(one.fd, body, sizeof body, 0) > 0) count++;
    return (void *)count;
}

/* Without a turn of the loop: what waits goes as soon as the other end reads, and no longer than it is given. */
static void what_waits_is_sent_before_the_end(void)
{
    enum { COUNT = 50 };
    static char body[CLOUDS_CHANNEL_BYTES];
    int ends[2];
    pthread_t reader;
    void *count = NULL;
    end a = {0};
    host_channel_hooks hooks = {.self = &a, .message = on_message, .ended = on_ended};
    if (host_channel_pair(ends) != 0) exit(99);
    a.channel = host_channel_open(loop, ends[0], true, &hooks);
    for (int i = 0; i < COUNT; i++) CHECK_INT(host_channel_send(a.channel, 'M', body, sizeof body, NULL, 0), 0);
    host_channel_finish(a.channel, 0.01); /* nobody reads */
    CHECK_INT(pthread_create(&reader, NULL, count_messages, &ends[1]), 0);
    host_channel_finish(a.channel, 60);
    host_channel_close(a.channel);
    pthread_join(reader, &count);
    CHECK_INT((int)(intptr_t)count, COUNT);
    close(ends[1]);
    uv_run(loop, UV_RUN_DEFAULT);
}

static void the_other_end_is_gone(void)
{
    end a, b;
    make_pair(&a, &b);
    host_channel_send(b.channel, 'X', "left", 4, NULL, 0);
    host_channel_close(b.channel);
    UNTIL(a.ended);
    CHECK_INT(a.count, 1); /* its last words come before its end */
    CHECK_INT(a.ended, 1);
    CHECK_INT(host_channel_send(a.channel, 'D', NULL, 0, NULL, 0), -1);
    CHECK_INT(errno, EPIPE);
    host_channel_close(a.channel);
    uv_run(loop, UV_RUN_DEFAULT);
    CHECK_INT(a.ended, 1);
}

static void closing_in_a_hook(void)
{
    end a, b;
    make_pair(&a, &b);
    b.closes = true;
    for (int i = 0; i < 5; i++) host_channel_send(a.channel, 'M', "m", 1, NULL, 0);
    UNTIL(a.ended);
    CHECK_INT(b.count, 1);
    CHECK_INT(b.ended, 0);
    host_channel_close(a.channel);
    uv_run(loop, UV_RUN_DEFAULT);
}

/* A peer that sends what no channel does: descriptors beyond the number, an empty message, one that is too long. */
static void hostile_bytes(void)
{
    int ends[2], fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    static char large[CLOUDS_CHANNEL_BYTES + 1000];
    end a = {0};
    host_channel_hooks hooks = {.self = &a, .message = on_message, .ended = on_ended};
    if (host_channel_pair(ends) != 0) exit(99);
    a.channel = host_channel_open(loop, ends[0], true, &hooks);
    char control[CMSG_SPACE(20 * sizeof(int))] = {0};
    struct iovec part = {large, 5};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_RIGHTS, c->cmsg_len = CMSG_LEN(20 * sizeof(int));
    for (int i = 0; i < 20; i++) memcpy(CMSG_DATA(c) + i * (int)sizeof(int), &fd, sizeof fd);
    int before = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    close(before);
    CHECK_INT((int)sendmsg(ends[1], &m, 0), 5);
    CHECK(send(ends[1], large, sizeof large, 0) > 0);
    CHECK_INT((int)send(ends[1], "Mgood", 5, 0), 5);
    UNTIL(a.count == 2); /* the first without the descriptors, for which there was no room */
    CHECK_INT(a.fd_count, 0);
    CHECK_STR(a.last, strlen(a.last), "good");
    CHECK_INT(a.ended, 0);
    int after = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* none of the twenty is left open */
    CHECK_INT(after, before);
    close(after);
    close(fd);
    close(ends[1]);
    UNTIL(a.ended);
    host_channel_close(a.channel);
    uv_run(loop, UV_RUN_DEFAULT);
}

static void a_board_keeps_its_size(void)
{
    host_board *board = NULL;
    struct stat found;
    int fd = host_board_create(&board);
    CHECK(fd >= 0);
    CHECK_INT(ftruncate(fd, 0), -1);
    CHECK_INT(ftruncate(fd, 1 << 20), -1);
    CHECK(fstat(fd, &found) == 0 && found.st_size == sizeof(host_board));
    CHECK_INT(host_board_take(fd), 0);
    host_board_write(&host_board_mine()->open, 7);
    host_board_add(&host_board_mine()->open, -2);
    CHECK_INT((int)host_board_read(&board->open), 5);
    CHECK_INT(board->pid, getpid());
    close(fd);
    fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    CHECK_INT(host_board_take(fd), -1);
    close(fd);
    host_board_free(board);
}

static uint64_t busy_in_a_timer, started;

static void on_timer(uv_timer_t *timer)
{
    uint64_t begun = uv_hrtime();
    busy_in_a_timer = host_board_read(&host_board_mine()->busy_since);
    while (uv_hrtime() - begun < 20000000) continue;
    uv_close((uv_handle_t *)timer, NULL);
}

static void a_board_says_when_the_loop_is_busy(void)
{
    uv_timer_t timer;
    started = uv_hrtime();
    host_board_watch(loop);
    uv_timer_init(loop, &timer);
    uv_timer_start(&timer, on_timer, 1, 0);
    uv_run(loop, UV_RUN_DEFAULT);
    CHECK(busy_in_a_timer >= started);
    uv_update_time(loop);
    uv_run(loop, UV_RUN_NOWAIT);
    CHECK(host_board_mine()->lag_most >= 10000000);
    CHECK(host_board_mine()->turns > 0);
}

int main(void)
{
    loop = uv_default_loop();
    RUN(messages_in_order);
    RUN(a_descriptor_travels);
    RUN(what_is_not_taken_waits);
    RUN(what_waits_has_a_limit);
    RUN(what_waits_is_sent_before_the_end);
    RUN(the_other_end_is_gone);
    RUN(closing_in_a_hook);
    RUN(hostile_bytes);
    RUN(a_board_keeps_its_size);
    RUN(a_board_says_when_the_loop_is_busy);
    return tap_end();
}
