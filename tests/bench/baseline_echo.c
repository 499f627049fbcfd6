/* The floor of a direct link: a libuv echo over a unix socket, or over TCP. Frames of a 16-byte head and a 40-byte payload, nothing looked at
 * but the length; output coalesced per turn and flushed at 16 kB or 256 frames. Usage: baseline_echo
 * OUTSTANDING SECONDS [tcp] */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <uv.h>

#include "bench.h"

enum { FRAME = 56, FLUSH_BYTES = 16 * 1024, FLUSH_FRAMES = 256, IN_SIZE = 64 * 1024 };

typedef struct side {
    union {
        uv_stream_t any;
        uv_pipe_t pipe;
        uv_tcp_t tcp;
    } stream;
    uv_prepare_t prepare;
    char in[IN_SIZE], part[FRAME], out[8 * 1024 * 1024];
    size_t part_len, out_len;
    unsigned frames;
    void (*frame)(struct side *side, const char *frame);
    bench *bench;
    int64_t *sent_at;
    int64_t now;
    uint32_t next;
} side;

static void flush(side *s)
{
    size_t at = 0;
    s->frames = 0;
    while (at < s->out_len) {
        uv_buf_t buf = uv_buf_init(s->out + at, (unsigned)(s->out_len - at));
        int n = uv_try_write(&s->stream.any, &buf, 1);
        if (n == UV_EAGAIN) break;
        if (n < 0) bench_die("write");
        at += (size_t)n;
    }
    memmove(s->out, s->out + at, s->out_len - at);
    s->out_len -= at;
}

static void put(side *s, const char *frame)
{
    if (s->out_len + FRAME > sizeof s->out) bench_die("output buffer");
    memcpy(s->out + s->out_len, frame, FRAME);
    s->out_len += FRAME;
    if (++s->frames >= FLUSH_FRAMES || s->out_len >= FLUSH_BYTES) flush(s);
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    (void)size;
    *buf = uv_buf_init(((side *)handle->data)->in, IN_SIZE);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    side *s = stream->data;
    const char *p = buf->base;
    if (n < 0) exit(0);
    size_t left = (size_t)n;
    s->now = bench_now();
    while (left) {
        size_t need = FRAME - s->part_len, take = left < need ? left : need;
        if (s->part_len == 0 && left >= FRAME) {
            s->frame(s, p);
        } else {
            memcpy(s->part + s->part_len, p, take);
            s->part_len += take;
            if (s->part_len == FRAME) {
                s->frame(s, s->part);
                s->part_len = 0;
            }
        }
        p += take;
        left -= take;
    }
}

static void on_prepare(uv_prepare_t *handle)
{
    flush(handle->data);
}

static int is_tcp;

static void open_side(side *s, int fd)
{
    if (is_tcp) {
        uv_tcp_init(uv_default_loop(), &s->stream.tcp);
        uv_tcp_open(&s->stream.tcp, fd);
    } else {
        uv_pipe_init(uv_default_loop(), &s->stream.pipe, 0);
        uv_pipe_open(&s->stream.pipe, fd);
    }
    uv_prepare_init(uv_default_loop(), &s->prepare);
    s->stream.any.data = s->prepare.data = s;
    uv_read_start(&s->stream.any, on_alloc, on_read);
    uv_prepare_start(&s->prepare, on_prepare);
}

static void echo(side *s, const char *frame)
{
    put(s, frame);
}

static void serve(void *fds, int ready)
{
    side *s = calloc(1, sizeof *s);
    s->frame = echo;
    close(((int *)fds)[0]);
    open_side(s, ((int *)fds)[1]);
    bench_ready(ready);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}

static void ask(side *s)
{
    char frame[FRAME] = {FRAME};
    memcpy(frame + 8, &s->next, sizeof s->next);
    s->sent_at[s->next++ % s->bench->outstanding] = s->now;
    put(s, frame);
}

static void answered(side *s, const char *frame)
{
    bench *b = s->bench;
    (void)frame;
    bench_count(b, s->sent_at[s->next % b->outstanding], s->now);
    if (s->now < b->end) ask(s);
    else uv_stop(uv_default_loop());
}

static void connect_tcp(int fds[2])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&at, n) != 0 || listen(listener, 1) != 0) bench_die("listen");
    getsockname(listener, (struct sockaddr *)&at, &n);
    if (connect(fds[0], (struct sockaddr *)&at, n) != 0) bench_die("connect");
    fds[1] = accept(listener, NULL, NULL);
    for (int i = 0; i < 2; i++) setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    close(listener);
}

int main(int argc, char **argv)
{
    static bench b;
    int fds[2];
    bench_arguments(argc, argv, 1, &b.outstanding, &b.seconds);
    is_tcp = argc > 3;
    if (is_tcp) connect_tcp(fds);
    else if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) bench_die("socketpair");
    pid_t server = bench_fork(serve, fds);
    close(fds[1]);
    side *s = calloc(1, sizeof *s);
    s->frame = answered;
    s->bench = &b;
    s->sent_at = calloc(b.outstanding, sizeof *s->sent_at);
    open_side(s, fds[0]);
    bench_begin(&b, b.outstanding, b.seconds);
    s->now = b.begin;
    for (uint32_t i = 0; i < b.outstanding; i++) ask(s);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    bench_print(&b, "");
    bench_end(server, SIGKILL);
    return 0;
}
