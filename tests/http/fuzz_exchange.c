/* A whole connection: what a client sends in pieces, by handlers that answer in every way there is. However it ends, the
 * answers are HTTP, each to one request in its order, and nothing is left. */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/http/internal.h"

enum { SAID = 1 << 20, LATER = 16 };

static const host_http_limits limits = {.head = 1024, .target = 256, .body = 2048, .connections = 4, .head_time = 60, .body_time = 60,
                                        .body_rate = 1, .idle_time = 60, .write_time = 60};

typedef struct waiting {
    host_http_connection *connection;
    char way;
} waiting;

static uv_loop_t *loop;
static host_http_server *server;
static char path[64];
static waiting open_request; /* of the one connection there is */
static int requests, file;

static void finish_stream(host_http_connection *c, int64_t length)
{
    static const host_http_response response = {.status = 200};
    static const char text[] = "some bytes";
    if (host_http_start(c, &response, length) != 0) return;
    for (int i = 0; i < 3; i++)
        if (host_http_write(c, (host_http_text){text, sizeof text - 1}) != 0) return;
    host_http_finish(c);
}

static void answer(host_http_connection *c, int status)
{
    const host_http_response response = {.status = status, .body = {"answer", 6}};
    open_request.connection = NULL;
    HOLDS(host_http_answer(c, &response) == 0 || errno != EINVAL);
}

/* Reads all that is there; whether the body is at its end. */
static bool read_body(host_http_connection *c, bool *failed)
{
    for (;;) {
        host_http_text piece;
        const char *why = NULL;
        switch (host_http_read(c, &piece, &why)) {
        case HOST_HTTP_PIECE:
            HOLDS(piece.n > 0 && piece.n <= limits.body);
            continue;
        case HOST_HTTP_BODY_END:
            return true;
        case HOST_HTTP_FAILED:
            HOLDS(why && *why);
            *failed = true;
            return false;
        default:
            return false;
        }
    }
}

static void go_on(host_http_connection *c)
{
    bool failed = false, ends = read_body(c, &failed);
    if (failed) open_request.connection = NULL;
    else if (ends) answer(c, 200);
}

static void on_request(void *self, host_http_connection *c, const host_http_request *request)
{
    (void)self;
    HOLDS(open_request.connection == NULL);
    requests++;
    char way = request->target.n > 1 ? request->target.p[1] : '/';
    open_request = (waiting){c, way};
    switch (way) {
    case 'b': /* the body, then an answer */
        go_on(c);
        break;
    case 's': /* in pieces */
        open_request.connection = NULL;
        finish_stream(c, request->target.n > 2 ? 30 : -1);
        break;
    case 'f': /* a part of a file, small or large */
        open_request.connection = NULL;
        HOLDS(host_http_answer_file(c, &(host_http_response){.status = 200}, file, 10, request->target.n > 2 ? 200000 : 100) == 0 ||
              errno != EINVAL);
        break;
    case 'x': /* breaks off */
        open_request.connection = NULL;
        host_http_abort(c);
        break;
    case 'l': /* later */
        break;
    case 'w':
        if (host_http_upgrade(c, (host_http_text){"chat", request->target.n > 2 ? 4 : 0}, limits.body, 60) == 0) break;
        if (errno == EINVAL) answer(c, 400);
        else open_request.connection = NULL;
        break;
    case 'n':
        answer(c, 204);
        break;
    default:
        answer(c, 200);
    }
}

static void on_body(void *self, host_http_connection *c)
{
    (void)self;
    HOLDS(open_request.connection == c && open_request.way == 'b');
    go_on(c);
}

static void on_room(void *self, host_http_connection *c)
{
    (void)self;
    (void)c;
    HOLDS(!"nobody asked for room");
}

static void on_gone(void *self, host_http_connection *c)
{
    (void)self;
    HOLDS(open_request.connection == c);
    open_request.connection = NULL;
}

/* Comes back; a certain one ends it. */
static void on_message(void *self, host_http_connection *c, bool is_binary, host_http_text text)
{
    (void)self;
    HOLDS(open_request.connection == c && open_request.way == 'w' && text.n <= limits.body);
    int code = text.n == 1 ? host_http_websocket_close(c, 1001, text) : host_http_websocket_send(c, is_binary, text);
    if (code != 0 && errno == ECONNRESET) open_request.connection = NULL;
}

static void on_drained(void *self)
{
    (void)self;
}

static void remove_socket(void)
{
    unlink(path);
}

static void open_server(void)
{
    static const host_http_handlers handlers = {.request = on_request, .body = on_body, .room = on_room, .gone = on_gone, .message = on_message, .drained = on_drained};
    host_http_address address;
    char text[80], why[200];
    loop = uv_default_loop();
    snprintf(path, sizeof path, "/tmp/fuzz-http-%d.sock", (int)getpid());
    snprintf(text, sizeof text, "unix:%s", path);
    HOLDS(host_http_address_read(text, &address, why, sizeof why) == 0);
    server = host_http_listen(loop, &address, &limits, &handlers, true, why, sizeof why);
    file = memfd_create("file", MFD_CLOEXEC);
    HOLDS(server != NULL && file >= 0 && ftruncate(file, 300000) == 0);
    atexit(remove_socket);
}

/* The loop, until nothing happens any more but time. */
static void turn(void)
{
    for (int i = 0; i < 3; i++) uv_run(loop, UV_RUN_NOWAIT);
    if (open_request.connection && open_request.way == 'l') {
        answer(open_request.connection, 200);
        for (int i = 0; i < 3; i++) uv_run(loop, UV_RUN_NOWAIT);
    }
}

static size_t receive(int fd, char *to, size_t n)
{
    ssize_t got;
    while (n < SAID && (got = recv(fd, to + n, SAID - n, MSG_DONTWAIT)) > 0) n += (size_t)got;
    return n;
}

/* The answers, as a client reads them that knows nothing of the requests but HEAD and 100-continue. */
static void answers_are_sound(const char *said, size_t n)
{
    int count = 0;
    for (size_t at = 0; at < n;) {
        HOLDS(n - at >= 12 && memcmp(said + at, "HTTP/1.1 ", 9) == 0);
        int status = atoi(said + at + 9);
        if (status == 101) return; /* frames follow */
        HOLDS(status == 100 || (status >= 200 && status < 600));
        const char *end = memmem(said + at, n - at, "\r\n\r\n", 4);
        HOLDS(end != NULL);
        count += status != 100;
        const char *next = memmem(end + 4, n - (size_t)(end + 4 - said), "HTTP/1.1 ", 9);
        at = next ? (size_t)(next - said) : n;
    }
    HOLDS(count <= requests + 1); /* one may have been refused before it was a request */
}

static int connect_to_it(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
    HOLDS(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    return fd;
}

static void exchange(const uint8_t *data, size_t size, size_t piece)
{
    static char said[SAID];
    size_t n = 0;
    requests = 0;
    int fd = connect_to_it();
    turn();
    for (size_t at = 0; at < size; at += piece) {
        size_t part = size - at < piece ? size - at : piece;
        if (send(fd, data + at, part, MSG_NOSIGNAL) < 0) break;
        turn();
        n = receive(fd, said, n);
    }
    shutdown(fd, SHUT_WR);
    turn();
    n = receive(fd, said, n);
    close(fd);
    turn();
    answers_are_sound(said, n);
    HOLDS(open_request.connection == NULL && server->count == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!server) open_server();
    exchange(data, size, size ? size : 1);
    if (size > 1) exchange(data, size, size / 3 + 1);
    return 0;
}
