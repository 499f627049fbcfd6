/* A worker and its master in one process: what each message means, what a hostile master can send, and what a context writes
 * on the board. */
#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

#include "api/worker_kit.h"
#include "support/locale.h"

static void no_worker(void)
{
    clouds_worker_event e;
    unsetenv("CLOUDS_CHANNEL");
    CHECK_INT(clouds_worker_open(), CLOUDS_ENOTSUP);
    CHECK_INT(clouds_worker_next(&e, sizeof e, 0), CLOUDS_ENOTSUP);
    CHECK_INT(clouds_worker_tell(CLOUDS_WORKER_READY, NULL, 0), CLOUDS_ENOTSUP);
    CHECK_INT(clouds_worker_send("web", 3, 0, "1", 1), CLOUDS_ENOTSUP);
    CHECK_INT(clouds_worker_take(CLOUDS_WORKER_TAKE_CONNECTIONS), CLOUDS_ENOTSUP);
    CHECK_INT(clouds_worker_count(CLOUDS_WORKER_COUNT_CONNECTIONS, 1), CLOUDS_ENOTSUP);
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
    CHECK(open_worker() >= 0);
    CHECK_INT(board->pid, getpid());
    CHECK(!getenv("CLOUDS_CHANNEL"));
    CHECK_INT(fcntl(CHANNEL, F_GETFD), FD_CLOEXEC);
    CHECK(fcntl(BOARD, F_GETFD) < 0);
    CHECK_INT(clouds_worker_open(), CLOUDS_EEXIST);
}

static void what_is_told(void)
{
    clouds_worker_event e = told("D2.5 reload");
    CHECK(e.type == CLOUDS_WORKER_DRAIN && e.seconds == 2.5 && e.number == 0);
    CHECK_STR(e.data, e.data_len, "reload");
    e = told("Dnonsense");
    CHECK(e.type == CLOUDS_WORKER_DRAIN && e.seconds == 8 && e.fd == -1);
    CHECK_STR(e.data, e.data_len, "stop");
    e = told("D-1 stop");
    CHECK(e.seconds == 8);
    e = told("Q");
    CHECK(e.type == CLOUDS_WORKER_QUIET && e.number == 1);
    CHECK_INT(e.data_len, 0);
    e = told("Ushop.add");
    CHECK(e.type == CLOUDS_WORKER_QUIET && e.number == 0);
    CHECK_STR(e.data, e.data_len, "shop.add");
    CHECK_INT(told("I").type, CLOUDS_WORKER_ASK);
    CHECK_INT(told("T").type, CLOUDS_WORKER_TURN);
    e = told("Mweb 3\n[1,\n2]");
    CHECK(e.type == CLOUDS_WORKER_MESSAGE && e.number == 3);
    CHECK_STR(e.group, e.group_len, "web");
    CHECK_STR(e.data, e.data_len, "[1,\n2]");
}

/* Nothing comes of what is no message, and descriptors that come along are closed. */
static void what_is_no_message(void)
{
    int pair[2], free_before = lowest_free();
    REQUIRE(pipe(pair) == 0);
    give('?', NULL, 0, pair, 2);
    give('O', "short", 5, pair, 2);
    give('K', "short", 5, pair, 1);
    close(pair[0]);
    close(pair[1]);
    static const char *const wrong[] = {"?", "M", "Mweb", "Mweb\n1", "\x7fwhat", "O", "Oshort", "K", "Kmissing"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) tell(wrong[i]);
    CHECK_INT(told("Q").type, CLOUDS_WORKER_QUIET);
    CHECK_INT(lowest_free(), free_before);
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
    static const char types[] = "?RSIWPVGF";
    memset(large, '1', sizeof large);
    for (uint32_t word = 1; word <= CLOUDS_WORKER_END_TURN; word++) {
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
    CHECK_STR(e.data, e.data_len, "stop");
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
