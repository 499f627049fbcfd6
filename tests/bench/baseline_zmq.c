/* What ZeroMQ does of this: a DEALER and a ROUTER over TCP, one message a request, nothing looked at but that it came.
 * Its thread for I/O works beside the program's. Usage: baseline_zmq OUTSTANDING SECONDS */
#include <zmq.h>

#include "bench.h"

enum { PAYLOAD = 40, NAME = 64 };

static char endpoint[128];

static void must(int code, const char *what)
{
    if (code >= 0) return;
    fprintf(stderr, "%s: %s\n", what, zmq_strerror(zmq_errno()));
    exit(1);
}

static void *open_socket(int type)
{
    int unlimited = 0;
    void *context = zmq_ctx_new(), *socket = context ? zmq_socket(context, type) : NULL;
    if (!socket) bench_die("zmq");
    must(zmq_setsockopt(socket, ZMQ_SNDHWM, &unlimited, sizeof unlimited), "sndhwm");
    must(zmq_setsockopt(socket, ZMQ_RCVHWM, &unlimited, sizeof unlimited), "rcvhwm");
    return socket;
}

/* The name of who asked comes first, and goes first. */
static void serve(void *fds, int ready)
{
    char name[NAME], payload[PAYLOAD];
    size_t n = sizeof endpoint;
    void *socket = open_socket(ZMQ_ROUTER);
    must(zmq_bind(socket, "tcp://127.0.0.1:*"), "bind");
    must(zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &n), "endpoint");
    if (write(((int *)fds)[1], endpoint, sizeof endpoint) != sizeof endpoint) bench_die("write");
    bench_ready(ready);
    for (;;) {
        int name_n = zmq_recv(socket, name, sizeof name, 0), payload_n = zmq_recv(socket, payload, sizeof payload, 0);
        must(name_n, "recv");
        must(payload_n, "recv");
        must(zmq_send(socket, name, (size_t)name_n, ZMQ_SNDMORE), "send");
        must(zmq_send(socket, payload, (size_t)payload_n, 0), "send");
    }
}

int main(int argc, char **argv)
{
    static bench b;
    int fds[2];
    char payload[PAYLOAD] = {0};
    bench_arguments(argc, argv, 1, &b.outstanding, &b.seconds);
    if (pipe(fds) != 0) bench_die("pipe");
    pid_t server = bench_fork(serve, fds);
    if (read(fds[0], endpoint, sizeof endpoint) != sizeof endpoint) bench_die("read");
    void *socket = open_socket(ZMQ_DEALER);
    must(zmq_connect(socket, endpoint), "connect");
    int64_t *sent_at = calloc(b.outstanding, sizeof *sent_at), now = bench_now();
    bench_begin(&b, b.outstanding, b.seconds);
    for (uint32_t i = 0; i < b.outstanding; i++) {
        sent_at[i] = now;
        must(zmq_send(socket, payload, sizeof payload, 0), "send");
    }
    for (uint64_t next = 0; now < b.end; next++) {
        must(zmq_recv(socket, payload, sizeof payload, 0), "recv");
        if (next % 16 == 0) now = bench_now(); /* as for those who read the clock once for all that came */
        bench_count(&b, sent_at[next % b.outstanding], now);
        sent_at[next % b.outstanding] = now;
        must(zmq_send(socket, payload, sizeof payload, 0), "send");
    }
    bench_print(&b, "");
    bench_end(server, SIGKILL);
    return 0;
}
