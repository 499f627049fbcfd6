/* Results and messages that were sent while Redis was away. They wait here as finished commands: messages within
 * write_soft bytes (the one that passes it is the last), results within write_hard. */
#include "base/error.h"
#include "base/mem.h"
#include "transport/pubsub/internal.h"
#include "clouds.h"

typedef struct waiting {
    cl_list_node link;
    uint64_t token;
    int64_t deadline; /* 0: none */
    cl_buf command;
} waiting;

static size_t weight(const waiting *w)
{
    return sizeof *w + w->command.cap;
}

static void release(cl_pubsub *p, waiting *w)
{
    cl_list_remove(&w->link);
    p->backlog_bytes -= weight(w);
    cl_buf_free(&w->command);
    cl_free(w);
}

static int full(const cl_pubsub *p, const char *name, size_t limit)
{
    return cl_error_limit(CLOUDS_ELIMIT, p->backlog_bytes, limit, "%zu bytes wait for Redis already (%s, %zu)",
                          p->backlog_bytes, name, limit);
}

int cl_redis_backlog_put(cl_pubsub *p, cl_buf *command, int is_result, int64_t deadline, uint64_t token)
{
    waiting *w = cl_calloc(1, sizeof *w);
    if (!w) {
        cl_buf_free(command);
        return CLOUDS_ENOMEM;
    }
    cl_list_init(&w->link);
    w->command = *command;
    w->token = token;
    w->deadline = deadline;
    p->backlog_bytes += weight(w);
    int code = 0;
    if (!is_result && p->backlog_bytes - weight(w) > p->client->limits.write_soft)
        code = full(p, "write_soft", p->client->limits.write_soft);
    else if (p->backlog_bytes > p->client->limits.write_hard)
        code = full(p, "write_hard", p->client->limits.write_hard);
    if (code) release(p, w);
    else cl_list_append(&p->backlog, &w->link);
    return code;
}

int cl_redis_backlog_add(cl_pubsub *p, const cl_envelope *e, uint64_t token)
{
    cl_buf command = {0};
    int is_result = e->type == CL_RESULT;
    if (!is_result && p->backlog_bytes > p->client->limits.write_soft)
        return full(p, "write_soft", p->client->limits.write_soft);
    int code = cl_redis_publish_format(p, e, &command);
    if (!code) return cl_redis_backlog_put(p, &command, is_result, e->deadline, token);
    cl_buf_free(&command);
    return code;
}

static int send_waiting(cl_pubsub *p, waiting *w, int64_t now)
{
    if (w->deadline && w->deadline <= now) return CLOUDS_EEXPIRED;
    cl_buf *out;
    int code = cl_session_begin(p->client->commands, &out);
    if (!code) code = cl_buf_reserve(out, w->command.len);
    if (code) return code;
    size_t before = out->len;
    cl_buf_add_str(out, cl_buf_str(&w->command));
    cl_session_end(p->client->commands, before, &cl_redis_publish_handler, w->token);
    return 0;
}

/* What is sent from inside `delivery` comes behind what waits, since the session is ready by now. */
void cl_redis_backlog_send(cl_pubsub *p)
{
    int64_t now = cl_loop_now();
    while (!cl_list_empty(&p->backlog)) {
        waiting *w = CL_OWNER(p->backlog.next, waiting, link);
        uint64_t token = w->token;
        int code = send_waiting(p, w, now);
        release(p, w);
        if (code && token) p->sink.delivery(p->sink.receiver, token, CL_DELIVERY_NOT_SENT, 0);
    }
}

void cl_redis_backlog_drop(cl_pubsub *p, int tell)
{
    while (!cl_list_empty(&p->backlog)) {
        waiting *w = CL_OWNER(p->backlog.next, waiting, link);
        uint64_t token = w->token;
        release(p, w);
        if (tell && token) p->sink.delivery(p->sink.receiver, token, CL_DELIVERY_NOT_SENT, 0);
    }
}
