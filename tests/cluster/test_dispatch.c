/* Which worker gets a connection. The workers are the other ends of channels on the same loop. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/cluster/cluster.h"
#include "support/tap.h"

enum { WORKERS = 4, CLIENTS = 128 };

typedef struct worker {
    host_channel *mine, *masters;
    host_target *target;
    host_board *board;
    int got, sockets[CLIENTS], last_listener, last_flags;
    bool silent; /* takes and says nothing */
    int shared;  /* a listener that it was given, 0: none */
    uint32_t most;
} worker;

static uv_loop_t *loop;
static host_dispatch *dispatch;
static worker workers[WORKERS];
static int port, clients[CLIENTS], client_count;

#define UNTIL(condition) \
    for (int turns_ = 0; !(condition) && turns_ < 100000; turns_++) uv_run(loop, UV_RUN_ONCE)

static void turn(void)
{
    for (int i = 0; i < 50; i++) uv_run(loop, UV_RUN_NOWAIT);
}

static void on_shared(worker *w, host_channel_message *m)
{
    clouds_channel_listener about;
    if (m->size != sizeof about || m->fd_count != (m->type == CLOUDS_CHANNEL_LISTENER)) exit(96);
    memcpy(&about, m->body, sizeof about);
    w->last_listener = about.listener;
    w->most = about.connections;
    if (w->shared) close(w->shared);
    w->shared = m->type == CLOUDS_CHANNEL_LISTENER ? m->fds[0] : 0;
    if (w->shared) m->fds[0] = -1;
}

static void on_connection(void *self, host_channel_message *m)
{
    worker *w = self;
    clouds_channel_connection about;
    uint32_t one = 1;
    if (m->type == CLOUDS_CHANNEL_LISTENER || m->type == CLOUDS_CHANNEL_UNLISTEN) {
        on_shared(w, m);
        return;
    }
    if (m->type != CLOUDS_CHANNEL_CONNECTION || m->fd_count != 1 || m->size != sizeof about) exit(98);
    memcpy(&about, m->body, sizeof about);
    w->last_listener = about.listener;
    w->last_flags = about.flags;
    w->sockets[w->got++] = m->fds[0];
    m->fds[0] = -1;
    if (w->silent) return;
    host_board_add(&w->board->open, 1);
    host_channel_send(w->mine, CLOUDS_CHANNEL_TAKEN, &one, sizeof one, NULL, 0);
}

static void on_acknowledged(void *self, host_channel_message *m)
{
    worker *w = self;
    uint32_t count;
    memcpy(&count, m->body, sizeof count);
    if (w->target) host_target_acknowledge(w->target, count);
}

static void on_ended(void *self)
{
    (void)self;
}

static void start_worker(worker *w, bool ready)
{
    int ends[2];
    *w = (worker){0};
    if (host_channel_pair(ends) != 0) exit(99);
    int fd = host_board_create(&w->board);
    close(fd);
    host_channel_hooks here = {.self = w, .message = on_connection, .ended = on_ended};
    host_channel_hooks there = {.self = w, .message = on_acknowledged, .ended = on_ended};
    w->mine = host_channel_open(loop, ends[0], true, &here);
    w->masters = host_channel_open(loop, ends[1], true, &there);
    w->target = host_target_create(dispatch, w->masters, w->board);
    host_target_ready(w->target, ready);
}

/* As by SIGKILL: its sockets are closed by the kernel. */
static void end_worker(worker *w)
{
    if (!w->mine) return;
    for (int i = 0; i < w->got; i++) close(w->sockets[i]);
    if (w->shared) close(w->shared);
    host_target *target = w->target;
    w->target = NULL;
    if (target) host_target_remove(target);
    host_channel_close(w->mine);
    host_channel_close(w->masters);
    host_board_free(w->board);
    w->mine = NULL;
}

static bool is_shared;

static void begin(double hold, uint64_t connections)
{
    static const char gone[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    char why[200];
    host_dispatch_options options = {hold, gone, sizeof gone - 1, connections, is_shared};
    dispatch = host_dispatch_create(loop, &options);
    int fd = host_listener_open("127.0.0.1:0", 1024, why, sizeof why);
    if (fd < 0) exit(99);
    port = host_listener_port(fd);
    CHECK_INT(host_dispatch_listen(dispatch, fd, 3), 0);
    client_count = 0;
}

static void finish(void)
{
    for (int i = 0; i < client_count; i++) close(clients[i]);
    for (int i = 0; i < WORKERS; i++) end_worker(&workers[i]);
    host_dispatch_close(dispatch);
    uv_run(loop, UV_RUN_DEFAULT);
}

static int connect_one(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) exit(97);
    return clients[client_count++] = fd;
}

static int got_by_all(void)
{
    int sum = 0;
    for (int i = 0; i < WORKERS; i++) sum += workers[i].got;
    return sum;
}

/* The first byte that a client gets, 0 for the end, -1 for a reset. */
static int first_byte(int fd)
{
    char c;
    ssize_t n = recv(fd, &c, 1, 0);
    return n == 1 ? c : (int)n;
}

static void sixty_five_connections_on_four_workers(void)
{
    begin(1, 100);
    for (int i = 0; i < WORKERS; i++) start_worker(&workers[i], true);
    for (int i = 0; i < 65; i++) {
        connect_one();
        UNTIL(got_by_all() == i + 1);
    }
    int sixteen = 0, seventeen = 0;
    for (int i = 0; i < WORKERS; i++) sixteen += workers[i].got == 16, seventeen += workers[i].got == 17;
    CHECK_INT(sixteen, 3);
    CHECK_INT(seventeen, 1);
    CHECK_INT(workers[0].last_listener, 3);
    finish();
}

static void the_least_loaded_is_chosen(void)
{
    begin(1, 100);
    for (int i = 0; i < WORKERS; i++) start_worker(&workers[i], true);
    for (int i = 0; i < WORKERS; i++) host_board_write(&workers[i].board->open, 10);
    host_board_write(&workers[2].board->open, 3);
    for (int i = 0; i < 7; i++) {
        connect_one();
        UNTIL(got_by_all() == i + 1);
    }
    CHECK_INT(workers[2].got, 7);
    workers[1].board->uses_remain = 1; /* what the script says of itself goes before what is open */
    host_board_write(&workers[1].board->remain, 1);
    connect_one();
    UNTIL(got_by_all() == 8);
    CHECK_INT(workers[1].got, 1);
    host_board_write(&workers[1].board->busy_since, 1); /* for a long time: others are chosen as long as there are */
    connect_one();
    UNTIL(got_by_all() == 9);
    CHECK_INT(workers[1].got, 1);
    for (int i = 0; i < WORKERS; i++) host_board_write(&workers[i].board->busy_since, 1);
    connect_one();
    UNTIL(got_by_all() == 10);
    CHECK_INT(workers[1].got, 2);
    finish();
}

/* A worker that says nothing gets as many as the window has; the rest waits for the others. When it dies, no client of
 * those notices. */
static void what_was_not_acknowledged_goes_to_another(void)
{
    begin(10, 100);
    start_worker(&workers[0], true);
    workers[0].silent = true;
    for (int i = 0; i < 20; i++) connect_one();
    UNTIL(workers[0].got == CLOUDS_CHANNEL_WINDOW);
    turn();
    CHECK_INT(workers[0].got, CLOUDS_CHANNEL_WINDOW);
    start_worker(&workers[1], true);
    UNTIL(workers[1].got == 20 - CLOUDS_CHANNEL_WINDOW);
    CHECK_INT(workers[1].got, 20 - CLOUDS_CHANNEL_WINDOW);
    end_worker(&workers[0]);
    UNTIL(workers[1].got == 20);
    CHECK_INT((int)host_dispatch_count(dispatch).given_again, CLOUDS_CHANNEL_WINDOW);
    for (int i = 0; i < workers[1].got; i++) CHECK_INT((int)send(workers[1].sockets[i], "k", 1, MSG_NOSIGNAL), 1);
    for (int i = 0; i < 20; i++) CHECK_INT(first_byte(clients[i]), 'k');
    finish();
}

static void a_worker_has_a_number_of_connections(void)
{
    begin(10, 3);
    start_worker(&workers[0], true);
    for (int i = 0; i < 5; i++) connect_one();
    UNTIL(workers[0].got == 3);
    turn();
    CHECK_INT(workers[0].got, 3);
    host_board_add(&workers[0].board->open, -1);
    connect_one(); /* what is closed is seen with the next change */
    host_target_ready(workers[0].target, true);
    UNTIL(workers[0].got == 4);
    turn();
    CHECK_INT(workers[0].got, 4);
    finish();
}

/* Who comes while nobody is ready waits; past `hold` he is told. */
static void nobody_is_ready(void)
{
    begin(0.05, 100);
    start_worker(&workers[0], false);
    int fd = connect_one();
    CHECK_INT((int)send(fd, "GET", 3, 0), 3); /* what was sent does not make a reset of the answer */
    UNTIL(host_dispatch_count(dispatch).gone == 1);
    CHECK_INT(first_byte(fd), CLOUDS_CHANNEL_BACK);
    fd = connect_one(); /* from now on at once */
    UNTIL(host_dispatch_count(dispatch).gone == 2);
    CHECK_INT(first_byte(fd), CLOUDS_CHANNEL_BACK);
    host_target_ready(workers[0].target, true);
    connect_one();
    UNTIL(workers[0].got == 1);
    CHECK_INT(workers[0].got, 1);
    finish();
}

/* Between two requests nothing is said, which would be the answer to the next. */
static void nobody_is_ready_for_one_that_is_given_back(void)
{
    begin(0.05, 100);
    start_worker(&workers[0], true);
    int fd = connect_one();
    UNTIL(workers[0].got == 1);
    host_target_ready(workers[0].target, false);
    host_dispatch_give(dispatch, workers[0].sockets[0],
                       (clouds_channel_connection){.listener = 3, .flags = CLOUDS_CONNECTION_BACK});
    workers[0].got = 0;
    CHECK_INT((int)host_dispatch_count(dispatch).held, 1);
    UNTIL(host_dispatch_count(dispatch).held == 0);
    CHECK_INT(first_byte(fd), 0);
    CHECK_INT((int)host_dispatch_count(dispatch).gone, 0);
    finish();
}

static void a_pause_keeps_them_in_the_kernel(void)
{
    begin(0.01, 100);
    start_worker(&workers[0], true);
    host_dispatch_pause(dispatch, true);
    connect_one();
    turn();
    CHECK_INT(workers[0].got, 0);
    host_dispatch_pause(dispatch, false);
    UNTIL(workers[0].got == 1);
    CHECK_INT((int)host_dispatch_count(dispatch).gone, 0);
    finish();
}

static void one_that_is_given_back(void)
{
    begin(1, 100);
    start_worker(&workers[0], true);
    connect_one();
    UNTIL(workers[0].got == 1);
    start_worker(&workers[1], true);
    host_target_ready(workers[0].target, false);
    host_dispatch_give(dispatch, workers[0].sockets[0],
                       (clouds_channel_connection){.listener = 3, .flags = CLOUDS_CONNECTION_BACK});
    workers[0].got = 0;
    UNTIL(workers[1].got == 1);
    CHECK_INT(workers[1].last_flags, CLOUDS_CONNECTION_BACK);
    CHECK_INT((int)send(workers[1].sockets[0], "k", 1, MSG_NOSIGNAL), 1);
    CHECK_INT(first_byte(clients[0]), 'k');
    finish();
}

/* What a client has connected before the listener closes is served. */
static void the_backlog_is_taken_before_the_end(void)
{
    begin(1, 100);
    for (int i = 0; i < 30; i++) connect_one();
    start_worker(&workers[0], false);
    host_dispatch_unlisten(dispatch, 3);
    CHECK_INT((int)host_dispatch_count(dispatch).held, 30);
    host_target_ready(workers[0].target, true);
    UNTIL(workers[0].got == 30);
    CHECK_INT(workers[0].got, 30);
    finish();
}

static void addresses(void)
{
    static const char *const wrong[] = {"", "x", "127.0.0.1", "127.0.0.1:70000", "70000", "unix:", "unix:/tmp/x?mode=9",
                                        "unix:/tmp/x?mode=", ":80"};
    char why[200], path[64];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        errno = 0;
        CHECK_INT(host_listener_open(wrong[i], 10, why, sizeof why), -1);
        CHECK_INT(errno, EINVAL);
        CHECK(*why);
    }
    int fd = host_listener_open("0", 10, why, sizeof why);
    CHECK(fd >= 0 && host_listener_port(fd) > 0);
    char text[32];
    snprintf(text, sizeof text, "%d", host_listener_port(fd));
    CHECK_INT(host_listener_open(text, 10, why, sizeof why), -1);
    CHECK_INT(errno, EADDRINUSE);
    close(fd);
    snprintf(path, sizeof path, "unix:/tmp/clouds-listener-%d?mode=0640", (int)getpid());
    fd = host_listener_open(path, 10, why, sizeof why);
    CHECK(fd >= 0);
    CHECK_INT(host_listener_open(path, 10, why, sizeof why), -1);
    CHECK_INT(errno, EADDRINUSE);
    close(fd);
    int again = host_listener_open(path, 10, why, sizeof why); /* that of a process that is gone */
    CHECK(again >= 0);
    close(again);
    *strchr(path, '?') = 0;
    CHECK_INT(unlink(path + 5), 0);
}

/* Workers accept by themselves, of a listener that each has a copy of; the master only what nobody is there for. */
static void shared_listeners(void)
{
    is_shared = true;
    begin(0.05, 7);
    start_worker(&workers[0], true);
    start_worker(&workers[1], false);
    UNTIL(workers[0].shared);
    CHECK_INT(workers[0].last_listener, 3);
    CHECK_INT(workers[0].most, 7);
    connect_one();
    turn();
    CHECK_INT(workers[0].got, 0);
    int fd = accept4(workers[0].shared, NULL, NULL, SOCK_NONBLOCK);
    CHECK(fd >= 0);
    close(fd);
    host_target_ready(workers[1].target, true);
    UNTIL(workers[1].shared);
    host_target_ready(workers[0].target, false); /* it drains: its copy is closed, the backlog is the other's */
    UNTIL(!workers[0].shared);
    connect_one();
    fd = accept4(workers[1].shared, NULL, NULL, SOCK_NONBLOCK);
    CHECK(fd >= 0);
    close(fd);
    host_dispatch_pause(dispatch, true);
    UNTIL(!workers[1].shared);
    host_dispatch_pause(dispatch, false);
    UNTIL(workers[1].shared);
    end_worker(&workers[1]);
    int late = connect_one(); /* nobody is left */
    char c = 0;
    UNTIL(recv(late, &c, 1, MSG_DONTWAIT) == 1);
    CHECK_INT(c, CLOUDS_CHANNEL_BACK);
    start_worker(&workers[1], true);
    UNTIL(workers[1].shared);
    connect_one(); /* in the backlog when the listener ends: it is given */
    host_dispatch_unlisten(dispatch, 3);
    UNTIL(workers[1].got == 1 && !workers[1].shared);
    CHECK_INT(workers[1].got, 1);
    finish();
    is_shared = false;
}

int main(void)
{
    loop = uv_default_loop();
    RUN(sixty_five_connections_on_four_workers);
    RUN(the_least_loaded_is_chosen);
    RUN(what_was_not_acknowledged_goes_to_another);
    RUN(a_worker_has_a_number_of_connections);
    RUN(nobody_is_ready);
    RUN(nobody_is_ready_for_one_that_is_given_back);
    RUN(a_pause_keeps_them_in_the_kernel);
    RUN(one_that_is_given_back);
    RUN(the_backlog_is_taken_before_the_end);
    RUN(addresses);
    RUN(shared_listeners);
    return tap_end();
}
