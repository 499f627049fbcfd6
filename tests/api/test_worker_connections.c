/* The connections of a worker: those that its master gives, those that are accepted here, and listeners for a program
 * that accepts by itself. */
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/worker_kit.h"

static const clouds_channel_connection third = {3, CLOUDS_CONNECTION_BACK};

/* The next event, of this type. */
static clouds_worker_event next_of(uint32_t type)
{
    clouds_worker_event e = {0};
    CHECK_INT(clouds_worker_next(&e, sizeof e, 60), 1);
    CHECK_INT(e.type, type);
    return e;
}

static void nothing_comes(void)
{
    clouds_worker_event e;
    CHECK_INT(clouds_worker_next(&e, sizeof e, 0.05), 0);
}

/* The type of the next message to the master, and the descriptor beside it, -1: none. */
static char answered(int *fd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    char text[64];
    struct iovec part = {text, sizeof text};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t size = recvmsg(master, &message, MSG_DONTWAIT);
    struct cmsghdr *with = size > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    *fd = -1;
    if (with) memcpy(fd, CMSG_DATA(with), sizeof *fd);
    return size > 0 ? text[0] : 0;
}

/* One end of a connection is given. */
static int give_connection(void)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) abort();
    give(CLOUDS_CHANNEL_CONNECTION, &third, sizeof third, &ends[1], 1);
    close(ends[1]);
    return ends[0];
}

static void what_it_takes(void)
{
    int fd;
    unsetenv("CLOUDS_LISTEN");
    CHECK_INT(clouds_worker_take(CLOUDS_WORKER_TAKE_CONNECTIONS), CLOUDS_ENOTSUP);
    CHECK(strstr(clouds_last_error(), "listens nowhere"));
    setenv("CLOUDS_LISTEN", "{\"3\":8080}", 1);
    setenv("CLOUDS_LISTEN_AT", "8080", 1);
    setenv("CLOUDS_DISPATCH", "least", 1);
    CHECK_INT(clouds_worker_take(0), CLOUDS_EINVAL);
    CHECK_INT(clouds_worker_take(CLOUDS_WORKER_TAKE_LISTENERS), CLOUDS_ENOTSUP);
    CHECK(strstr(clouds_last_error(), "--dispatch shared"));
    close(give_connection()); /* before anything was said */
    nothing_comes();
    CHECK_INT(answered(&fd), 'H');
    CHECK(fd >= 0 && close(fd) == 0);
    CHECK_INT(clouds_worker_tell(CLOUDS_WORKER_READY, NULL, 0), CLOUDS_EINVAL);
    CHECK(strstr(clouds_last_error(), "listens at 8080, and the program takes no connections"));
    CHECK_INT(clouds_worker_take(CLOUDS_WORKER_TAKE_CONNECTIONS), 0);
    CHECK_INT(clouds_worker_take(CLOUDS_WORKER_TAKE_CONNECTIONS), CLOUDS_EEXIST);
    CHECK_INT(clouds_worker_tell(CLOUDS_WORKER_READY, NULL, 0), 0);
    CHECK_INT(answered(&fd), 'R');
}

static void what_is_given(void)
{
    int fd, client = give_connection();
    clouds_worker_event e = next_of(CLOUDS_WORKER_CONNECTION);
    CHECK(e.number == 3 && e.flags == CLOUDS_WORKER_CONNECTION_BACK);
    CHECK_INT(write(e.fd, "a", 1), 1);
    char c = 0;
    CHECK(read(client, &c, 1) == 1 && c == 'a');
    CHECK_INT(answered(&fd), 'A');
    CHECK(board->open == 1 && board->accepted == 1);
    give(CLOUDS_CHANNEL_CONNECTION, &third, sizeof third, NULL, 0); /* its descriptor found no place here */
    nothing_comes();
    CHECK_INT(answered(&fd), 'N');
    CHECK_INT(clouds_worker_give_back(3, -1), CLOUDS_EINVAL);
    CHECK_INT(clouds_worker_give_back(3, e.fd), 0);
    CHECK_INT(answered(&fd), 'H');
    CHECK_INT(clouds_worker_count(CLOUDS_WORKER_COUNT_CONNECTIONS, -1), 0);
    CHECK_INT(clouds_worker_count(CLOUDS_WORKER_COUNT_CONNECTIONS, -1), 0);
    CHECK_INT(board->open, 0);
    CHECK(close(e.fd) == 0 && write(client, "b", 1) == 1 && read(fd, &c, 1) == 1 && c == 'b'); /* it has not ended */
    close(fd);
    close(client);
}

/* What the master has no room for is not lost. */
static void a_master_that_does_not_read(void)
{
    static char large[64000];
    int fd, code = 0, clients[2];
    memset(large, '1', sizeof large);
    while (code == 0) code = clouds_worker_send("web", 3, 0, large, sizeof large);
    while ((code = clouds_worker_tell(CLOUDS_WORKER_ALIVE, NULL, 0)) == 0) continue;
    CHECK_INT(code, CLOUDS_ELIMIT);
    for (int i = 0; i < 2; i++) {
        clients[i] = give_connection();
        close(next_of(CLOUDS_WORKER_CONNECTION).fd);
        close(clients[i]);
    }
    char type;
    while ((type = answered(&fd)) != 0) CHECK(type != 'A');
    nothing_comes();
    CHECK_INT(answered(&fd), 'A');
    CHECK_INT(answered(&fd), 'A');
    CHECK_INT(clouds_worker_count(CLOUDS_WORKER_COUNT_CONNECTIONS, -2), 0);
}

static int open_listener(struct sockaddr_in *at)
{
    socklen_t size = sizeof *at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    *at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(fd, (struct sockaddr *)at, size) != 0 || listen(fd, 8) != 0) abort();
    getsockname(fd, (struct sockaddr *)at, &size);
    return fd;
}

static int connect_to(const struct sockaddr_in *at)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (const struct sockaddr *)at, sizeof *at) != 0) abort();
    return fd;
}

static const clouds_channel_listener fifth = {5, 0, 1};

static void what_is_accepted_here(void)
{
    struct sockaddr_in at;
    int fd, listening = open_listener(&at);
    for (int i = 0; i < 2; i++) give(CLOUDS_CHANNEL_LISTENER, &fifth, sizeof fifth, &listening, 1);
    nothing_comes();
    int first = connect_to(&at), second = connect_to(&at);
    clouds_worker_event e = next_of(CLOUDS_WORKER_CONNECTION);
    CHECK(e.number == 5 && e.flags == 0 && (fcntl(e.fd, F_GETFL) & O_NONBLOCK) && fcntl(e.fd, F_GETFD) == FD_CLOEXEC);
    nothing_comes(); /* one is open, and one may be */
    CHECK_INT(answered(&fd), 0);
    close(e.fd);
    CHECK_INT(clouds_worker_count(CLOUDS_WORKER_COUNT_CONNECTIONS, -1), 0);
    close(next_of(CLOUDS_WORKER_CONNECTION).fd);
    CHECK_INT(clouds_worker_count(CLOUDS_WORKER_COUNT_CONNECTIONS, -1), 0);
    close(first);
    close(second);
    give(CLOUDS_CHANNEL_UNLISTEN, &fifth, sizeof fifth, NULL, 0);
    nothing_comes();
    close(connect_to(&at));
    nothing_comes();
    close(listening);
}

/* It is accepted when there is a descriptor for it again. */
static void without_descriptors(void)
{
    struct sockaddr_in at;
    struct rlimit before, none;
    int listening = open_listener(&at);
    give(CLOUDS_CHANNEL_LISTENER, &fifth, sizeof fifth, &listening, 1);
    nothing_comes();
    int client = connect_to(&at);
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = before;
    none.rlim_cur = (rlim_t)lowest_free();
    REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
    nothing_comes();
    REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
    close(next_of(CLOUDS_WORKER_CONNECTION).fd);
    CHECK_INT(clouds_worker_count(CLOUDS_WORKER_COUNT_CONNECTIONS, -1), 0);
    close(client);
    close(listening);
}

static void what_is_said_of_requests(void)
{
    board->most_requests = 2;
    CHECK_INT(clouds_worker_count(CLOUDS_WORKER_COUNT_REQUESTS, 1), 0);
    CHECK_INT(clouds_worker_count(CLOUDS_WORKER_COUNT_IN_FLIGHT, 2), 0);
    CHECK_INT(clouds_worker_count(CLOUDS_WORKER_COUNT_IN_FLIGHT, -1), 0);
    CHECK_INT(clouds_worker_count(CLOUDS_WORKER_COUNT_ERRORS, 1), 0);
    int fd;
    CHECK_INT(answered(&fd), 0);
    CHECK_INT(clouds_worker_count(CLOUDS_WORKER_COUNT_REQUESTS, 1), 0);
    CHECK_INT(answered(&fd), 'L');
    CHECK(board->requests == 2 && board->in_flight == 1 && board->errors == 1 && board->uses_remain == 0);
    CHECK_INT(clouds_worker_count(CLOUDS_WORKER_COUNT_REMAIN, 3), 0);
    CHECK(board->uses_remain == 1 && board->remain == 3);
    CHECK_INT(clouds_worker_count(CLOUDS_WORKER_COUNT_REQUESTS, -1), CLOUDS_EINVAL);
    CHECK_INT(clouds_worker_count(99, 1), CLOUDS_EINVAL);
}

/* From the word to drain on nothing is taken. */
static void the_end_of_taking(void)
{
    struct sockaddr_in at;
    int fd, listening = open_listener(&at);
    CHECK_INT(told("D1 reload").type, CLOUDS_WORKER_DRAIN);
    close(give_connection());
    give(CLOUDS_CHANNEL_LISTENER, &fifth, sizeof fifth, &listening, 1);
    nothing_comes();
    CHECK_INT(answered(&fd), 'H');
    CHECK(fd >= 0 && close(fd) == 0);
    close(connect_to(&at));
    nothing_comes();
    close(listening);
}

static void a_program_that_accepts(void)
{
    struct sockaddr_in at;
    int listening = open_listener(&at);
    CHECK(open_worker() >= 0);
    setenv("CLOUDS_LISTEN", "{\"5\":8080}", 1);
    setenv("CLOUDS_DISPATCH", "shared", 1);
    CHECK_INT(clouds_worker_take(CLOUDS_WORKER_TAKE_LISTENERS), 0);
    give(CLOUDS_CHANNEL_LISTENER, &fifth, sizeof fifth, &listening, 1);
    clouds_worker_event e = next_of(CLOUDS_WORKER_LISTENER);
    CHECK_INT(e.number, 5);
    close(connect_to(&at));
    CHECK(close(accept(e.fd, NULL, NULL)) == 0);
    give(CLOUDS_CHANNEL_LISTENER, &fifth, sizeof fifth, &listening, 1); /* it has that */
    nothing_comes();
    give(CLOUDS_CHANNEL_UNLISTEN, &fifth, sizeof fifth, NULL, 0);
    CHECK_INT(next_of(CLOUDS_WORKER_LISTENER).fd, -1);
    CHECK_INT(e.watch_fd, -1);
    close(e.fd);
    give(CLOUDS_CHANNEL_UNLISTEN, &fifth, sizeof fifth, NULL, 0);
    nothing_comes();
    give(CLOUDS_CHANNEL_LISTENER, &fifth, sizeof fifth, &listening, 1); /* after a pause of all */
    close(next_of(CLOUDS_WORKER_LISTENER).fd);
}

/* Whether this descriptor is readable. */
static bool is_readable(int fd)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    return poll(&one, 1, 0) == 1;
}

/* The descriptor of a connection of the fifth listener that was accepted; -1: there was none to accept. */
static int accept_one(void)
{
    int fd = -1, code = clouds_worker_accept(5, &fd);
    CHECK_INT(code, fd >= 0);
    return fd;
}

static void end_one(int fd)
{
    CHECK(fd >= 0 && close(fd) == 0);
    CHECK_INT(clouds_worker_count(CLOUDS_WORKER_COUNT_CONNECTIONS, -1), 0);
}

/* What the master gives is answered when the program has accepted it, or ends: it is of a listener that is there no more. */
static void give_in_place_of_accepting(const clouds_worker_event *e)
{
    int fd, clients[] = {give_connection(), give_connection()};
    nothing_comes();
    CHECK_INT(answered(&fd), 0);
    CHECK(is_readable(e->watch_fd));
    int taken = accept_one();
    CHECK(taken >= 0 && board->open == 1);
    CHECK_INT(answered(&fd), 'A');
    CHECK(is_readable(e->watch_fd));
    CHECK_INT(told("D1 reload").type, CLOUDS_WORKER_DRAIN);
    CHECK(!is_readable(e->watch_fd));
    CHECK_INT(answered(&fd), 'H');
    CHECK(fd >= 0 && close(fd) == 0);
    CHECK_INT(accept_one(), -1);
    end_one(taken);
    for (int i = 0; i < 2; i++) close(clients[i]);
}

/* It accepts nothing while it should not, and what it should not is not readable for it either. */
static void a_program_that_accepts_when_it_may(void)
{
    struct sockaddr_in at;
    int listening = open_listener(&at);
    CHECK(open_worker() >= 0);
    setenv("CLOUDS_LISTEN", "{\"5\":8080}", 1);
    setenv("CLOUDS_DISPATCH", "shared", 1);
    CHECK_INT(clouds_worker_accept(5, NULL), CLOUDS_EINVAL);
    CHECK_INT(accept_one(), -1);
    CHECK_INT(clouds_worker_take(CLOUDS_WORKER_TAKE_ACCEPTING), 0);
    give(CLOUDS_CHANNEL_LISTENER, &fifth, sizeof fifth, &listening, 1);
    clouds_worker_event e = next_of(CLOUDS_WORKER_LISTENER);
    CHECK(e.number == 5 && e.fd >= 0 && !is_readable(e.watch_fd));
    CHECK_INT(accept_one(), -1);
    int first = connect_to(&at), second = connect_to(&at);
    CHECK(is_readable(e.watch_fd) && is_readable(e.fd));
    int fd = accept_one();
    CHECK(board->open == 1 && board->accepted == 1);
    CHECK(!is_readable(e.watch_fd) && is_readable(e.fd)); /* one is open, and one may be */
    CHECK_INT(accept_one(), -1);
    end_one(fd);
    CHECK(is_readable(e.watch_fd));
    give(CLOUDS_CHANNEL_UNLISTEN, &fifth, sizeof fifth, NULL, 0);
    nothing_comes();
    CHECK(!is_readable(e.watch_fd));
    CHECK_INT(accept_one(), -1);
    give(CLOUDS_CHANNEL_LISTENER, &fifth, sizeof fifth, &listening, 1);
    nothing_comes();
    CHECK(is_readable(e.watch_fd));
    end_one(accept_one());
    close(first);
    close(second);
    CHECK(board->open == 0 && board->accepted == 2);
    CHECK_INT(clouds_worker_tell(CLOUDS_WORKER_ACCEPTS, NULL, 0), 0);
    CHECK_INT(answered(&fd), 'O');
    give_in_place_of_accepting(&e);
    close(e.fd);
    close(e.watch_fd);
    close(listening);
}

/* What a process takes it says once. */
static void in_another_process(void (*fn)(void))
{
    int status = -1;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        fn();
        fflush(stdout);
        _exit(tap_bad != 0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK_INT(status, 0);
}

static void accepting_by_itself(void)
{
    in_another_process(a_program_that_accepts);
}

static void accepting_when_it_may(void)
{
    in_another_process(a_program_that_accepts_when_it_may);
}

int main(void)
{
    RUN(accepting_by_itself);
    RUN(accepting_when_it_may);
    if (open_worker() < 0) return EXIT_FAILURE;
    RUN(what_it_takes);
    RUN(what_is_given);
    RUN(a_master_that_does_not_read);
    RUN(what_is_accepted_here);
    RUN(without_descriptors);
    RUN(what_is_said_of_requests);
    RUN(the_end_of_taking);
    return kit_end();
}
