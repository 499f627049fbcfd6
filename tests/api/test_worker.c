/* A worker and its master in one process: what each message means, what a hostile master can send, and what a context writes
 * on the board. */
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/kit.h"
#include "clouds_worker.h"
#include "support/locale.h"

enum { CHANNEL = 40, BOARD = CHANNEL + 1 };

static int master = -1;
static clouds_board *board;

static void set_environment(int number)
{
    char text[16];
    snprintf(text, sizeof text, "%d", number);
    setenv("CLOUDS_CHANNEL", text, 1);
}

/* The ends of a worker, as a master makes them. */
static bool make_ends(size_t size)
{
    int ends[2], page = memfd_create("board", 0);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0 || page < 0 || ftruncate(page, (off_t)size) != 0) return false;
    if (master >= 0) close(master);
    master = ends[0];
    dup2(ends[1], CHANNEL);
    dup2(page, BOARD);
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, page, 0);
    close(ends[1]);
    close(page);
    return board != MAP_FAILED;
}

static void no_worker(void)
{
    clouds_worker_event e;
    unsetenv("CLOUDS_CHANNEL");
    CHECK_INT(clouds_worker_open(), CLOUDS_ENOTSUP);
    CHECK_INT(clouds_worker_next(&e, sizeof e, 0), CLOUDS_ENOTSUP);
    CHECK_INT(clouds_worker_tell(CLOUDS_WORKER_READY, NULL, 0), CLOUDS_ENOTSUP);
    CHECK_INT(clouds_worker_send("web", 3, 0, "1", 1), CLOUDS_ENOTSUP);
    static const char *const wrong[] = {"", "x", "-1", "3x", "99999999999", "2147483646"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        setenv("CLOUDS_CHANNEL", wrong[i], 1);
        CHECK_INT(clouds_worker_open(), CLOUDS_ENOTSUP);
    }
    REQUIRE(make_ends(16)); /* too short, and not written to */
    set_environment(CHANNEL);
    CHECK_INT(clouds_worker_open(), CLOUDS_ENOTSUP);
    REQUIRE(make_ends(sizeof *board)); /* without a version */
    CHECK_INT(clouds_worker_open(), CLOUDS_ENOTSUP);
}

static void opening(void)
{
    REQUIRE(make_ends(sizeof *board));
    board->version = CLOUDS_BOARD_VERSION;
    set_environment(CHANNEL);
    CHECK_INT(clouds_worker_open(), CHANNEL);
    CHECK_INT(board->pid, getpid());
    CHECK(!getenv("CLOUDS_CHANNEL"));
    CHECK_INT(fcntl(CHANNEL, F_GETFD), FD_CLOEXEC);
    CHECK(fcntl(BOARD, F_GETFD) < 0);
    CHECK_INT(clouds_worker_open(), CLOUDS_EEXIST);
}

static void tell(const char *text)
{
    CHECK_INT(send(master, text, strlen(text), 0), strlen(text));
}

static clouds_worker_event told(const char *text)
{
    clouds_worker_event e = {0};
    tell(text);
    CHECK_INT(clouds_worker_next(&e, sizeof e, 60), 1);
    return e;
}

static void what_is_told(void)
{
    clouds_worker_event e = told("D2.5 reload");
    CHECK(e.type == CLOUDS_WORKER_DRAIN && e.seconds == 2.5 && e.number == 0);
    CHECK_STR(e.data, e.data_len, "reload");
    e = told("Dnonsense");
    CHECK(e.type == CLOUDS_WORKER_DRAIN && e.seconds == 8 && e.data_len == 0);
    e = told("D-1 stop");
    CHECK(e.seconds == 8);
    e = told("Q");
    CHECK(e.type == CLOUDS_WORKER_QUIET && e.number == 1);
    e = told("U");
    CHECK(e.type == CLOUDS_WORKER_QUIET && e.number == 0);
    CHECK_INT(told("I").type, CLOUDS_WORKER_ASK);
    e = told("Mweb 3\n[1,\n2]");
    CHECK(e.type == CLOUDS_WORKER_MESSAGE && e.number == 3);
    CHECK_STR(e.group, e.group_len, "web");
    CHECK_STR(e.data, e.data_len, "[1,\n2]");
}

/* Nothing comes of what is no message, and descriptors that come along are closed. */
static void what_is_no_message(void)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    char type = 'C';
    struct iovec part = {&type, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    int pair[2], free_before = dup(0);
    close(free_before);
    REQUIRE(pipe(pair) == 0);
    control.header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(&control.header), &pair[0], sizeof(int));
    CHECK_INT(sendmsg(master, &message, 0), 1);
    close(pair[0]);
    close(pair[1]);
    static const char *const wrong[] = {"?", "M", "Mweb", "Mweb\n1", "\x7fwhat"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) tell(wrong[i]);
    CHECK_INT(told("Q").type, CLOUDS_WORKER_QUIET);
    int free_now = dup(0);
    CHECK_INT(free_now, free_before);
    close(free_now);
    clouds_worker_event e;
    CHECK_INT(clouds_worker_next(&e, sizeof e, 0.01), 0);
    CHECK_INT(clouds_worker_next(&e, 4, 0), CLOUDS_EINVAL);
    CHECK_INT(clouds_worker_next(NULL, sizeof e, 0), CLOUDS_EINVAL);
}

static void heard(const char *want)
{
    char text[70000];
    ssize_t n = recv(master, text, sizeof text, MSG_DONTWAIT);
    CHECK_STR(text, n < 0 ? 0 : (size_t)n, want);
}

static void what_it_says(void)
{
    static char large[65001];
    static const char types[] = "?RSIWPV";
    memset(large, '1', sizeof large);
    for (uint32_t word = 1; word <= CLOUDS_WORKER_VARIABLES; word++) {
        CHECK_INT(clouds_worker_tell(word, "{}", 2), 0);
        heard((char[]){types[word], '{', '}', 0});
    }
    CHECK_INT(clouds_worker_tell(0, NULL, 0), CLOUDS_EINVAL);
    CHECK_INT(clouds_worker_tell(99, NULL, 0), CLOUDS_EINVAL);
    CHECK_INT(clouds_worker_tell(CLOUDS_WORKER_VARIABLES, large, sizeof large), CLOUDS_ETOOBIG);
    CHECK_INT(clouds_worker_send("web", 3, 0, "1", 1), 0);
    heard("Mweb\n1");
    CHECK_INT(clouds_worker_send("web", 3, 4294967295U, "1", 1), 0);
    heard("Mweb 4294967295\n1");
    CHECK_INT(clouds_worker_send("a b", 3, 0, "1", 1), CLOUDS_EINVAL);
    CHECK_INT(clouds_worker_send("", 0, 0, "1", 1), CLOUDS_EINVAL);
    CHECK_INT(clouds_worker_send(NULL, 3, 0, "1", 1), CLOUDS_EINVAL);
    CHECK_INT(clouds_worker_send(large, 65, 0, "1", 1), CLOUDS_EINVAL);
    CHECK_INT(clouds_worker_send("web", 3, 0, large, 64001), CLOUDS_ETOOBIG);
    CHECK_INT(clouds_worker_send("web", 3, 0, large, 64000), 0);
    int code = 0;
    for (int i = 0; i < 1000 && code == 0; i++) code = clouds_worker_send("web", 3, 0, large, 64000);
    CHECK_INT(code, CLOUDS_ELIMIT); /* nobody reads */
    while (recv(master, large, sizeof large, MSG_DONTWAIT) > 0) {}
}

/* Requests of all contexts together, and the word when they are enough. */
static void what_is_counted(void)
{
    clouds_context *contexts[2];
    board->most_requests = 3;
    for (int i = 0; i < 2; i++) {
        clouds_event e;
        contexts[i] = kit_context(kit_url(i ? "inproc:b" : "inproc:a"), "inline");
        clouds_node *server = kit_node(contexts[i], "server"), *client = kit_node(contexts[i], "client");
        CHECK_INT(kit_register(contexts[i], server, "never"), 0);
        for (int k = 0; k < 2; k++) {
            kit_call(client, "never", "[]", NULL);
            CHECK(kit_await(contexts[i], NULL, CLOUDS_EVENT_REQUEST, &e) == 1);
        }
        clouds_poll(contexts[i], &e, sizeof e, 1, 0.01);
        CHECK_INT(board->requests, 2 * (i + 1));
        CHECK_INT(board->in_flight, 2 * (i + 1));
    }
    heard("L");
    for (int i = 0; i < 2; i++) clouds_context_destroy(contexts[i]);
    CHECK_INT(board->in_flight, 0);
    CHECK_INT(board->requests, 4);
}

static void the_end_of_the_master(void)
{
    clouds_worker_event e;
    setenv("CLOUDS_DRAIN", "1.5", 1);
    close(master);
    CHECK_INT(clouds_worker_tell(CLOUDS_WORKER_ALIVE, NULL, 0), CLOUDS_ECLOSED);
    CHECK_INT(clouds_worker_next(&e, sizeof e, 60), 1);
    CHECK(e.type == CLOUDS_WORKER_DRAIN && e.number == 1 && e.seconds == 1.5);
    CHECK_INT(clouds_worker_next(&e, sizeof e, 60), CLOUDS_ECLOSED);
}

int main(void)
{
    RUN(no_worker);
    RUN(opening);
    RUN(what_is_told);
    if (use_comma()) RUN(what_is_told);
    setlocale(LC_NUMERIC, "C");
    RUN(what_is_no_message);
    RUN(what_it_says);
    RUN(what_is_counted);
    RUN(the_end_of_the_master);
    return kit_end();
}
