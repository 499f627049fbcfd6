/* What a connection of WebSocket is read for: the handler and what the client owes may each hold that up. */
#include "support/tap.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/http/internal.h"

static const host_http_limits limits = {.head = 4096, .target = 64, .body = 64, .connections = 4, .head_time = 60, .body_time = 60, .body_rate = 1, .idle_time = 60, .write_time = 60};

static uv_loop_t loop;
static host_http_server *server;
static host_http_connection *connection; /* of the one client there is */
static int client, messages;
static bool pauses_at_first;

static void on_request(void *self, host_http_connection *c, const host_http_request *request)
{
    (void)self;
    (void)request;
    if (host_http_upgrade(c, (host_http_text){"", 0}, 1000, 60) == 0) connection = c;
}

static void on_message(void *self, host_http_connection *c, bool is_binary, host_http_text text)
{
    (void)self;
    (void)is_binary;
    (void)text;
    if (messages++ == 0 && pauses_at_first) host_http_pause(c, true);
}

static void on_gone(void *self, host_http_connection *c)
{
    (void)self;
    (void)c;
    connection = NULL;
}

static void on_drained(void *self)
{
    (void)self;
}

static void turn(void)
{
    for (int i = 0; i < 5; i++) uv_run(&loop, UV_RUN_NOWAIT);
}

static bool say(const char *text, size_t n)
{
    return send(client, text, n, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)n;
}

/* Everything that is there; how many bytes that was. */
static size_t hear(void)
{
    static char text[65536];
    size_t all = 0;
    ssize_t n;
    do {
        turn();
        n = recv(client, text, sizeof text, MSG_DONTWAIT);
        all += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    return all;
}

/* A client that is upgraded, and says `more` right behind. */
static bool begin(const char *more, size_t n)
{
    static const host_http_handlers handlers = {.request = on_request, .gone = on_gone, .message = on_message, .drained = on_drained};
    static const char head[] = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    host_http_address address;
    char name[64], text[1024], why[200] = "";
    messages = 0;
    connection = NULL;
    snprintf(name, sizeof name, "unix:/tmp/test-websocket-%d.sock", (int)getpid());
    snprintf(to.sun_path, sizeof to.sun_path, "%s", name + 5);
    memcpy(text, head, sizeof head - 1);
    memcpy(text + sizeof head - 1, more, n);
    uv_loop_init(&loop);
    if (host_http_address_read(name, &address, why, sizeof why) != 0) return false;
    server = host_http_listen(&loop, &address, &limits, &handlers, true, why, sizeof why);
    client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (!server || connect(client, (struct sockaddr *)&to, sizeof to) != 0 || !say(text, sizeof head - 1 + n)) return false;
    return hear() > 0 && connection;
}

static void end(void)
{
    close(client);
    host_http_close_all();
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&loop), 0);
}

static const char message[] = "\x81\x81\0\0\0\0x";

/* Sends pings until none is taken any more, and makes the last one whole. */
static void fill(void)
{
    static const char ping[6 + 125] = "\x89\xfd";
    size_t at = 0;
    ssize_t n;
    for (int waits = 0; waits < 10;) {
        n = send(client, ping + at, sizeof ping - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) at = (at + (size_t)n) % sizeof ping;
        waits = n > 0 ? 0 : waits + 1;
        if (n <= 0) turn();
    }
    CHECK_INT(at, 0);
    CHECK(!connection->reads);
    CHECK(host_http_unsent(connection) > 0);
}

static void pings_are_owed_until_all_is_taken(void)
{
    REQUIRE(begin("", 0));
    fill();
    host_http_pause(connection, true);
    host_http_pause(connection, false);
    CHECK(!connection->reads); /* what the handler wants does not pay for it */
    CHECK(hear() > 0);
    CHECK(connection->reads && host_http_unsent(connection) == 0);
    CHECK(say(message, sizeof message - 1));
    turn();
    CHECK_INT(messages, 1);
    end();
}

static void a_handler_that_pauses_meanwhile_is_sent_nothing_behind_them(void)
{
    REQUIRE(begin("", 0));
    fill();
    host_http_pause(connection, true);
    hear();
    CHECK_INT(host_http_unsent(connection), 0);
    CHECK(!connection->reads);
    host_http_pause(connection, false);
    CHECK(connection->reads && hear() > 0);
    CHECK(say(message, sizeof message - 1));
    turn();
    CHECK_INT(messages, 1);
    end();
}

static void a_handler_may_pause_at_what_came_with_the_head(void)
{
    pauses_at_first = true;
    REQUIRE(begin(message, sizeof message - 1));
    CHECK_INT(messages, 1);
    CHECK(say(message, sizeof message - 1));
    turn();
    CHECK_INT(messages, 1);
    host_http_pause(connection, false);
    turn();
    CHECK_INT(messages, 2);
    end();
    pauses_at_first = false;
}

/* As many as come are answered while they are taken: only what is owed at once counts. */
static void pings_whose_answers_are_taken_are_read_for_ever(void)
{
    static const char ping[6 + 125] = "\x89\xfd";
    static char large[4 << 20];
    size_t heard = 0;
    REQUIRE(begin("", 0));
    for (int i = 0; i < 20000; i++) {
        REQUIRE(say(ping, sizeof ping));
        if (i % 100 == 99) heard += hear();
    }
    CHECK_INT(heard, 20000 * 127);
    CHECK_INT(host_http_websocket_send(connection, true, (host_http_text){large, sizeof large}), 0);
    CHECK(host_http_unsent(connection) > 0);
    REQUIRE(say(ping, sizeof ping));
    turn();
    CHECK(connection->reads);
    end();
}

int main(void)
{
    RUN(pings_are_owed_until_all_is_taken);
    RUN(a_handler_that_pauses_meanwhile_is_sent_nothing_behind_them);
    RUN(a_handler_may_pause_at_what_came_with_the_head);
    RUN(pings_whose_answers_are_taken_are_read_for_ever);
    return tap_end();
}
