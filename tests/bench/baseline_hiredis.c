/* The same closed loop as baseline_redis, over hiredis' asynchronous API and its own formatter: what a straightforward program
 * reaches. baseline_redis has to beat it, or it is no floor. Usage: baseline_hiredis ADDRESS OUTSTANDING SECONDS */
#include <hiredis/hiredis.h>
#include <hiredis/async.h>
#include <hiredis/adapters/libuv.h>

#include "bench.h"

typedef struct side {
    redisAsyncContext *sub, *cmd;
    char to[64], in[64];
    void (*message)(struct side *side, const char *payload);
    bench *bench;
    int64_t *sent_at;
    uint32_t next;
} side;

static char server_channel[64], client_channel[64];
static const char call_text[] = "{\"t\":\"c\",\"s\":\"c.686c821a.12059.1\",\"d\":{\"i\":\"%.8s\",\"m\":\"bench.add\",\"a\":[1,2]}}";
static const char result_text[] = "{\"t\":\"r\",\"s\":\"s.686c821a.12059.0\",\"d\":{\"i\":\"%.8s\",\"e\":null,\"r\":[3]}}";

static redisAsyncContext *dial(const char *address)
{
    redisAsyncContext *c;
    if (strncmp(address, "unix:", 5) == 0) {
        c = redisAsyncConnectUnix(address + 5);
    } else {
        char host[256];
        snprintf(host, sizeof host, "%s", address);
        char *colon = strrchr(host, ':');
        if (!colon) bench_die("the address has no port");
        *colon = 0;
        c = redisAsyncConnect(host, atoi(colon + 1));
    }
    if (!c || c->err) bench_die(address);
    redisLibuvAttach(c, uv_default_loop());
    return c;
}

static void publish(side *s, const char *format, const char *id)
{
    char payload[256];
    int n = snprintf(payload, sizeof payload, format, id);
    redisAsyncCommand(s->cmd, NULL, NULL, "PUBLISH %s %b", s->to, payload, (size_t)n);
}

static void on_push(redisAsyncContext *c, void *r, void *arg)
{
    redisReply *reply = r;
    side *s = arg;
    (void)c;
    if (!reply || reply->elements != 3) return;
    s->message(s, reply->element[2]->type == REDIS_REPLY_STRING ? reply->element[2]->str : NULL);
}

static void open_side(side *s, const char *address, const char *channel, const char *to)
{
    s->sub = dial(address);
    s->cmd = dial(address);
    snprintf(s->to, sizeof s->to, "%s", to);
    redisAsyncCommand(s->sub, on_push, s, "SUBSCRIBE %s", channel);
}

static const char *id_in(const char *payload)
{
    return strstr(payload, "\"i\":\"") + 5;
}

static int ready_end = -1;

static void answer(side *s, const char *payload)
{
    if (payload) publish(s, result_text, id_in(payload));
    else bench_ready(ready_end);
}

static void serve(void *address, int ready)
{
    side *s = calloc(1, sizeof *s);
    ready_end = ready;
    s->message = answer;
    open_side(s, address, server_channel, client_channel);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}

static void ask(side *s, int64_t now)
{
    char id[16];
    snprintf(id, sizeof id, "%08u", s->next % 100000000u);
    s->sent_at[s->next++ % s->bench->outstanding] = now;
    publish(s, call_text, id);
}

static void answered(side *s, const char *payload)
{
    bench *b = s->bench;
    int64_t now = bench_now();
    if (!payload) { /* the subscription is confirmed */
        bench_begin(b, b->outstanding, b->seconds);
        for (uint32_t i = 0; i < b->outstanding; i++) ask(s, b->begin);
        return;
    }
    bench_count(b, s->sent_at[s->next % b->outstanding], now);
    if (now < b->end) ask(s, now);
    else uv_stop(uv_default_loop());
}

int main(int argc, char **argv)
{
    static bench b;
    if (argc < 2) return fprintf(stderr, "usage: %s ADDRESS OUTSTANDING SECONDS\n", argv[0]), 2;
    bench_arguments(argc, argv, 2, &b.outstanding, &b.seconds);
    snprintf(server_channel, sizeof server_channel, "clouds:L:s.686c821a.%d.0", (int)getpid());
    snprintf(client_channel, sizeof client_channel, "clouds:L:c.686c821a.%d.1", (int)getpid());
    pid_t server = bench_fork(serve, argv[1]);
    side *s = calloc(1, sizeof *s);
    s->message = answered;
    s->bench = &b;
    s->sent_at = calloc(b.outstanding, sizeof *s->sent_at);
    open_side(s, argv[1], client_channel, server_channel);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    bench_print(&b, "");
    bench_end(server, SIGKILL);
    return 0;
}
