/* The floor over Redis: what is left when nothing but the transport is done.
 *
 * Client and server are two processes with two connections each (one subscribed, one for commands), like a real node.
 * Own RESP, preformatted PUBLISH commands in which only the eight characters of the id are copied, writes coalesced
 * per loop turn, the JSON never looked at. Usage: baseline_redis ADDRESS OUTSTANDING SECONDS */
#include <sys/epoll.h>

#include "redis_addr.h"

enum { IN_SIZE = 256 * 1024, OUT_SIZE = 16 * 1024 * 1024, ID = 8 };

/* A side: its two sockets, what it publishes, and where the id stands in what it gets and gives. */
typedef struct side {
    int sub, cmd, epoll;
    char in[IN_SIZE];
    size_t in_len;
    char *out;
    size_t out_len, out_sent;
    char command[512];
    size_t command_len, id_in, id_out;
    void (*message)(struct side *side, const char *payload);
    bench *bench;
    int64_t *sent_at;
    int64_t now;
    uint32_t next;
} side;

static char server_channel[64], client_channel[64];
static const char question[] =
    "{\"t\":\"c\",\"s\":\"c.686c821a.12059.1\",\"d\":{\"i\":\"########\",\"m\":\"bench.add\",\"a\":[1,2]}}";
static const char reply[] =
    "{\"t\":\"r\",\"s\":\"s.686c821a.12059.0\",\"d\":{\"i\":\"########\",\"e\":null,\"r\":[3]}}";

static void prepare(side *s, const char *to, const char *payload)
{
    s->command_len = (size_t)snprintf(s->command, sizeof s->command, "*3\r\n$7\r\nPUBLISH\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n",
                                      strlen(to), to, strlen(payload), payload);
    s->id_out = (size_t)(strstr(s->command, "########") - s->command);
}

static void publish(side *s, const char *id)
{
    if (s->out_len + s->command_len > OUT_SIZE) bench_die("output buffer");
    char *at = s->out + s->out_len;
    memcpy(at, s->command, s->command_len);
    memcpy(at + s->id_out, id, ID);
    s->out_len += s->command_len;
}

static void flush(side *s)
{
    while (s->out_sent < s->out_len) {
        ssize_t n = write(s->cmd, s->out + s->out_sent, s->out_len - s->out_sent);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) bench_die("write");
        s->out_sent += (size_t)n;
    }
    s->out_len = s->out_sent = 0;
}

/* "$<n>\r\n<bytes>\r\n" at `p`; returns what follows, or NULL when it is not all there. */
static const char *bulk(const char *p, const char *end, const char **text, size_t *len)
{
    size_t n = 0;
    if (p >= end) return NULL;
    for (p++; p < end && *p != '\r'; p++) n = n * 10 + (size_t)(*p - '0');
    if ((size_t)(end - p) < n + 4 || end < p) return NULL;
    *text = p + 2;
    *len = n;
    return p + 2 + n + 2;
}

/* Every whole "*3 message channel payload" in the buffer; the rest moves to its head. */
static void messages(side *s)
{
    const char *p = s->in, *end = s->in + s->in_len, *text, *next;
    size_t len;
    while (end - p > 4) {
        if (!(next = bulk(p + 4, end, &text, &len))) break;
        int is_message = len == 7 && text[0] == 'm';
        if (!(next = bulk(next, end, &text, &len))) break;
        if (is_message) {
            if (!(next = bulk(next, end, &text, &len))) break;
            s->message(s, text);
        } else {
            const char *cr = memchr(next, '\n', (size_t)(end - next));
            if (!cr) break;
            next = cr + 1;
        }
        p = next;
    }
    s->in_len = (size_t)(end - p);
    memmove(s->in, p, s->in_len);
}

static void read_sub(side *s)
{
    ssize_t n = read(s->sub, s->in + s->in_len, IN_SIZE - s->in_len);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) bench_die("read");
    s->in_len += (size_t)n;
    messages(s);
}

/* Receiver counts: read, not looked at. */
static void read_cmd(side *s)
{
    static char sink[64 * 1024];
    ssize_t n = read(s->cmd, sink, sizeof sink);
    if (n == 0 || (n < 0 && errno != EAGAIN)) bench_die("read");
}

static void turn(side *s)
{
    struct epoll_event events[2];
    int n = epoll_wait(s->epoll, events, 2, -1);
    s->now = bench_now();
    for (int i = 0; i < n; i++) {
        if (events[i].data.fd == s->sub)
            read_sub(s);
        else if (events[i].events & EPOLLIN)
            read_cmd(s);
    }
    flush(s);
    struct epoll_event e = { .events = EPOLLIN | (s->out_len ? EPOLLOUT : 0u), .data.fd = s->cmd };
    static unsigned last;
    if (last != e.events) epoll_ctl(s->epoll, EPOLL_CTL_MOD, s->cmd, &e);
    last = e.events;
}

static void open_side(side *s, const char *address, const char *channel)
{
    s->sub = redis_connect(address);
    s->cmd = redis_connect(address);
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    s->out = malloc(OUT_SIZE);
    if (!s->out || s->epoll < 0) bench_die("open");
    struct epoll_event sub = { .events = EPOLLIN, .data.fd = s->sub }, cmd = { .events = EPOLLIN, .data.fd = s->cmd };
    epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->sub, &sub);
    epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->cmd, &cmd);
    char line[256];
    int n = snprintf(line, sizeof line, "*2\r\n$9\r\nSUBSCRIBE\r\n$%zu\r\n%s\r\n", strlen(channel), channel);
    if (write(s->sub, line, (size_t)n) != n) bench_die("subscribe");
    struct epoll_event e;
    epoll_wait(s->epoll, &e, 1, -1); /* the confirmation is there */
    read_sub(s);
}

static void answer(side *s, const char *payload)
{
    publish(s, payload + s->id_in);
}

static void serve(void *address, int ready)
{
    side *s = calloc(1, sizeof *s);
    s->message = answer;
    s->id_in = (size_t)(strchr(question, '#') - question);
    prepare(s, client_channel, reply);
    open_side(s, address, server_channel);
    bench_ready(ready);
    for (;;) turn(s);
}

/* Answers come back in the order of the questions, so a ring of times is enough. */
static void ask(side *s)
{
    char id[ID + 1];
    snprintf(id, sizeof id, "%08u", s->next % 100000000u);
    s->sent_at[s->next++ % s->bench->outstanding] = s->now;
    publish(s, id);
}

static void answered(side *s, const char *payload)
{
    (void)payload;
    bench *b = s->bench;
    bench_count(b, s->sent_at[s->next % b->outstanding], s->now);
    if (s->now < b->end) ask(s);
}

int main(int argc, char **argv)
{
    static bench b;
    uint32_t outstanding;
    double seconds;
    if (argc < 2) return fprintf(stderr, "usage: %s ADDRESS OUTSTANDING SECONDS\n", argv[0]), 2;
    bench_arguments(argc, argv, 2, &outstanding, &seconds);
    snprintf(server_channel, sizeof server_channel, "clouds:L:s.686c821a.%d.0", (int)getpid());
    snprintf(client_channel, sizeof client_channel, "clouds:L:c.686c821a.%d.1", (int)getpid());
    pid_t server = bench_fork(serve, argv[1]);
    side *s = calloc(1, sizeof *s);
    s->message = answered;
    s->bench = &b;
    s->sent_at = calloc(outstanding, sizeof *s->sent_at);
    prepare(s, server_channel, question);
    open_side(s, argv[1], client_channel);
    bench_begin(&b, outstanding, seconds);
    s->now = b.begin;
    for (uint32_t i = 0; i < outstanding; i++) ask(s);
    flush(s);
    while (s->now < b.end) turn(s);
    bench_print(&b, "");
    bench_end(server, SIGKILL);
    return 0;
}
