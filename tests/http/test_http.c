/* Requests as they come, and what becomes of them. */
#include "support/tap.h"

#include "host/http/internal.h"

static const host_http_limits limits = {.head = 4096, .target = 64, .body = 64};

/* 200: understood; 0: it goes on; else the status by which it is refused. */
static int read_text(const char *text, size_t size, host_http_parser *p)
{
    size_t at = 0;
    enum host_http_progress progress;
    host_http_parser_begin(p, &limits);
    do {
        size_t used = 0;
        progress = host_http_parse(p, text + at, size - at, &used);
        at += used;
    } while (progress == HOST_HTTP_HEAD);
    if (progress == HOST_HTTP_BAD) return p->status;
    return progress == HOST_HTTP_END ? 200 : 0;
}

static int status_of(const char *text, size_t size)
{
    host_http_parser p;
    int status = read_text(text, size, &p);
    host_http_parser_end(&p);
    return status;
}

#define EXPECT(status, text) \
    do { \
        if (status_of(text, sizeof(text) - 1) != (status)) \
            tap_bad++, printf("# line %d: %d instead of %d\n", __LINE__, status_of(text, sizeof(text) - 1), status); \
    } while (0)

#define H "Host: localhost\r\n"

static void what_is_understood(void)
{
    EXPECT(200, "GET / HTTP/1.1\r\n" H "\r\n");
    EXPECT(200, "\r\nGET / HTTP/1.1\r\n" H "\r\n");
    EXPECT(200, "GET /a?b=c%20d HTTP/1.0\r\n\r\n");
    EXPECT(200, "OPTIONS * HTTP/1.1\r\n" H "\r\n");
    EXPECT(200, "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc");
    EXPECT(200, "POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n");
    EXPECT(200, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    EXPECT(200, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: Chunked \r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n");
    EXPECT(200, "GET / HTTP/1.1\r\n" H "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    EXPECT(200, "GET / HTTP/1.1\r\n" H "X: a\tb\r\nEmpty:\r\n\r\n");
    EXPECT(200, "GET / HTTP/1.1\r\n" H "X:a\r\nY:\tb \r\nZ:  c  \r\nEmpty: \r\n\r\n");
    EXPECT(0, "GET / HTTP/1.1\r\n" H);
    EXPECT(0, "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nab");
    EXPECT(0, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n");
}

/* What llhttp alone takes. */
static void what_is_refused_beyond_llhttp(void)
{
    EXPECT(400, "GET / HTTP/1.1\r\n" H "X: a\r\n Content-Length: 5\r\n\r\n");
    EXPECT(400, "GET / HTTP/1.1\r\n" H " Content-Length: 5\r\n\r\n");
    EXPECT(400, "POST / HTTP/1.1\r\n" H "Content-Length\r\n : 5\r\n\r\nabcde");
    EXPECT(400, "GET / HTTP/1.1\r\n\r\n");
    EXPECT(400, "GET / HTTP/1.1\r\n" H H "\r\n");
    EXPECT(505, "GET / HTTP/2.0\r\n" H "\r\n");
    EXPECT(505, "GET / HTTP/0.9\r\n" H "\r\n");
    EXPECT(505, "GET / HTTP/1.2\r\n" H "\r\n");
    EXPECT(501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n");
    EXPECT(501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\n\r\n");
    EXPECT(501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    EXPECT(400, "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    EXPECT(400, "GET / HTTP/1.1\r\n" H "Upgrade: x\r\nConnection: Upgrade\r\nContent-Length: 1\r\n\r\na");
    EXPECT(400, "GET  / HTTP/1.1\r\n" H "\r\n");
    EXPECT(400, "GET /  HTTP/1.1\r\n" H "\r\n");
}

static void what_is_refused(void)
{
    EXPECT(400, "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    EXPECT(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n");
    EXPECT(400, "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc");
    EXPECT(400, "POST / HTTP/1.1\r\n" H "Content-Length: 3, 3\r\n\r\nabc");
    EXPECT(400, "POST / HTTP/1.1\r\n" H "Content-Length: +3\r\n\r\nabc");
    EXPECT(400, "POST / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999999\r\n\r\n");
    EXPECT(400, "POST / HTTP/1.1\r\n" H "Content-Length : 3\r\n\r\nabc");
    EXPECT(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\nx\r\nabc\r\n0\r\n\r\n");
    EXPECT(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n");
    EXPECT(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n");
    EXPECT(400, "GET / HTTP/1.1\n" "Host: localhost\n\n");
    EXPECT(400, "GET / HTTP/1.1\r\n" H "X: a\rTransfer-Encoding: chunked\r\n\r\n");
    EXPECT(400, "GET / HTTP/1.1\r\n" H "X: a\0b\r\n\r\n");
    EXPECT(400, "GET / HTTP/1.1\r\n" H "X: a\x7f\r\n\r\n");
    EXPECT(400, "GET / HTTP/1.1\r\n" H ": a\r\n\r\n");
    EXPECT(400, "GET / HTTP/1.1\r\n" H "X\x01: a\r\n\r\n");
    EXPECT(400, "GET http://localhost/ HTTP/1.1\r\n" H "\r\n");
    EXPECT(400, "GET /a\x80 HTTP/1.1\r\n" H "\r\n");
    EXPECT(400, "NONSENSE / HTTP/1.1\r\n" H "\r\n");
    EXPECT(501, "CONNECT localhost:80 HTTP/1.1\r\n" H "\r\n");
    EXPECT(417, "POST / HTTP/1.1\r\n" H "Expect: more\r\nContent-Length: 1\r\n\r\n");
    EXPECT(400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    EXPECT(400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
}

static void limits_hold(void)
{
    static char text[8192];
    EXPECT(413, "POST / HTTP/1.1\r\n" H "Content-Length: 65\r\n\r\n");
    int n = snprintf(text, sizeof text, "GET /%0100d HTTP/1.1\r\n" H "\r\n", 0);
    CHECK_INT(status_of(text, (size_t)n), 414);
    n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\n" H);
    for (int i = 0; i < 100; i++) n += snprintf(text + n, sizeof text - (size_t)n, "x: y\r\n");
    n += snprintf(text + n, sizeof text - (size_t)n, "\r\n");
    CHECK_INT(status_of(text, (size_t)n), 431);
    n = snprintf(text, sizeof text, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 65; i++) n += snprintf(text + n, sizeof text - (size_t)n, "1\r\na\r\n");
    CHECK_INT(status_of(text, (size_t)n), 413);
}

/* A chunk's extension is as long as the client likes, and nothing comes of it. */
static void what_stands_between_chunks_is_bounded(void)
{
    static char text[65536];
    int n = snprintf(text, sizeof text, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1;");
    memset(text + n, 'x', 30000);
    CHECK_INT(status_of(text, (size_t)n + 30000), 400);
    CHECK_INT(status_of(text, (size_t)n + 3000), 0);
}

static void a_request_without_a_body_ends_with_its_head(void)
{
    static const char *const heads[] = {"GET / HTTP/1.1\r\n" H "\r\n", "POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n",
                                        "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\n",
                                        "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"};
    for (int i = 0; i < 4; i++) {
        host_http_parser p;
        size_t used = 0, size = strlen(heads[i]);
        host_http_parser_begin(&p, &limits);
        CHECK_INT(host_http_parse(&p, heads[i], size, &used), HOST_HTTP_HEAD);
        CHECK(used == size && p.is_complete == (i < 2));
        CHECK_INT(host_http_parse(&p, "GET", i < 2 ? 3 : 0, &used), i < 2 ? HOST_HTTP_END : HOST_HTTP_MORE);
        CHECK(used == 0 && p.request.body.n == 0);
        host_http_parser_end(&p);
    }
}

static void what_it_says(void)
{
    host_http_parser p;
    const char text[] = "POST /a?b HTTP/1.1\r\n" H "X:  y z \t\r\nEmpty:\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabcGET";
    CHECK_INT(read_text(text, sizeof text - 1, &p), 200);
    CHECK_STR(p.request.method.p, p.request.method.n, "POST");
    CHECK_STR(p.request.target.p, p.request.target.n, "/a?b");
    CHECK_INT(p.request.field_count, 5);
    CHECK_STR(p.request.fields[1].value.p, p.request.fields[1].value.n, "y z");
    CHECK_STR(p.request.fields[2].value.p, p.request.fields[2].value.n, "");
    CHECK_STR(p.request.body.p, p.request.body.n, "abc");
    CHECK(p.request.minor == 1 && p.request.keep_alive && p.request.expects_continue);
    host_http_parser_end(&p);
    const char close[] = "GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n";
    CHECK_INT(read_text(close, sizeof close - 1, &p), 200);
    CHECK(!p.request.keep_alive);
    const char keep[] = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    CHECK_INT(read_text(keep, sizeof keep - 1, &p), 200);
    CHECK(p.request.keep_alive && p.request.minor == 0);
}

static int holds(const char *text, size_t n, const char *part)
{
    return text && memmem(text, n, part, strlen(part)) != NULL;
}

static char *format(int status, const char *name, const char *value, bool is_head, size_t *size)
{
    const host_http_field field = {{name, strlen(name)}, {value, strlen(value)}};
    const host_http_response response = {.status = status, .fields = &field, .field_count = 1, .body = {"body", 4}};
    return host_http_format(&response, (host_http_text){"", 0}, is_head, true, size);
}

static void answers(void)
{
    size_t n = 0;
    char *text = format(200, "X-Y", "a b", false, &n);
    REQUIRE(text != NULL);
    CHECK(memcmp(text, "HTTP/1.1 200 OK\r\nDate: ", 23) == 0);
    CHECK(holds(text, n, "\r\nX-Y: a b\r\nContent-Length: 4\r\nConnection: keep-alive\r\n\r\nbody"));
    text = format(200, "X", "y", true, &n);
    CHECK(holds(text, n, "Content-Length: 4") && memcmp(text + n - 4, "\r\n\r\n", 4) == 0);
    text = format(204, "X", "y", false, &n);
    CHECK(text && !holds(text, n, "Content-Length") && memcmp(text + n - 4, "\r\n\r\n", 4) == 0);
    CHECK(format(200, "X", "a\r\nSet-Cookie: b", false, &n) == NULL);
    CHECK(format(200, "X", "a\nb", false, &n) == NULL);
    CHECK(format(200, "X: y", "a", false, &n) == NULL);
    CHECK(format(200, "", "a", false, &n) == NULL);
    CHECK(format(200, "content-length", "9", false, &n) == NULL);
    CHECK(format(200, "Transfer-Encoding", "chunked", false, &n) == NULL);
}

static int address(const char *text, host_http_address *a)
{
    char why[200] = "";
    int code = host_http_address_read(text, a, why, sizeof why);
    CHECK((code == 0) == (why[0] == '\0'));
    return code;
}

static void addresses(void)
{
    static const char *const bad[] = {"", "70000", "7000x", "unix:", "unix:?mode=0600", "unix:/tmp/x?mode=", "unix:/tmp/x?mode=8", "unix:/tmp/x?mode=1777", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "127.0.0.1:-1",
                                      "host.example:1", "::1:7000", "[::1:7000", "[::1]", "[]:1", "127.0.0.1: 1"};
    host_http_address a;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!CHECK(address(bad[i], &a) != 0)) printf("# %s\n", bad[i]);
    CHECK(address("unix:/tmp/x", &a) == 0 && a.is_unix && a.is_loopback);
    CHECK(a.mode == 0600);
    CHECK(address("unix:/tmp/x?mode=0660", &a) == 0 && a.mode == 0660 && strcmp(a.path, "/tmp/x") == 0);
    CHECK(address("7000", &a) == 0 && a.is_any && !a.is_loopback);
    CHECK(address("127.0.0.1:7000", &a) == 0 && !a.is_unix && a.is_loopback && !a.is_any);
    CHECK(address("127.9.9.9:0", &a) == 0 && a.is_loopback);
    CHECK(address("[::1]:7000", &a) == 0 && a.is_loopback);
    CHECK(address("localhost:7000", &a) == 0 && a.is_loopback);
    CHECK(address("0.0.0.0:7000", &a) == 0 && !a.is_loopback);
    CHECK(address("[::]:7000", &a) == 0 && !a.is_loopback);
    CHECK(address("[::ffff:127.0.0.1]:7000", &a) == 0 && !a.is_loopback);
}

int main(void)
{
    RUN(what_is_understood);
    RUN(what_is_refused_beyond_llhttp);
    RUN(what_is_refused);
    RUN(limits_hold);
    RUN(what_stands_between_chunks_is_bounded);
    RUN(a_request_without_a_body_ends_with_its_head);
    RUN(what_it_says);
    RUN(answers);
    RUN(addresses);
    return tap_end();
}
