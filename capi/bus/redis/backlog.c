/* Results and messages that were sent while Redis was away. They wait here as finished commands: messages within
 * write_soft bytes (the one that passes it is the last), results within write_hard. */
#include "base/error.h"
#include "base/mem.h"
#include "bus/redis/internal.h"
#include "clouds.h"

typedef struct waiting {
    cl_link link;
    uint64_t token;
    int64_t deadline; /* 0: none */
    cl_buf command;
} waiting;

static size_t weight(const waiting *w)
{
    return sizeof *w + w->command.cap;
}

static void release(redis_bus *bus, waiting *w)
{
    cl_list_remove(&w->link);
    bus->backlog_bytes -= weight(w);
    cl_buf_free(&w->command);
    cl_free(w);
}

static int full(const redis_bus *bus, const char *name, size_t limit)
{
    return cl_error_limit(CLOUDS_ELIMIT, bus->backlog_bytes, limit, "%zu bytes wait for Redis already (%s, %zu)",
                          bus->backlog_bytes, name, limit);
}

int cl_redis_backlog_add(redis_bus *bus, const cl_envelope *e, uint64_t token)
{
    if (e->type != CL_RESULT && bus->backlog_bytes > bus->client.limits.write_soft)
        return full(bus, "write_soft", bus->client.limits.write_soft);
    waiting *w = cl_calloc(1, sizeof *w);
    if (!w) return CLOUDS_ENOMEM;
    cl_list_init(&w->link);
    int code = cl_redis_publish_format(bus, e, &w->command);
    bus->backlog_bytes += weight(w);
    if (!code && bus->backlog_bytes > bus->client.limits.write_hard)
        code = full(bus, "write_hard", bus->client.limits.write_hard);
    if (code) {
        release(bus, w);
        return code;
    }
    w->token = token;
    w->deadline = e->deadline;
    cl_list_append(&bus->backlog, &w->link);
    return 0;
}

static int send_waiting(redis_bus *bus, waiting *w, int64_t now)
{
    if (w->deadline && w->deadline <= now) return CLOUDS_EEXPIRED;
    cl_buf *out;
    int code = cl_session_begin(bus->client.commands, &out);
    if (!code) code = cl_buf_reserve(out, w->command.len);
    if (code) return code;
    size_t before = out->len;
    cl_buf_add_str(out, cl_buf_str(&w->command));
    cl_session_end(bus->client.commands, before, &cl_redis_publish_handler, w->token);
    return 0;
}

/* What is sent from inside `fate` comes behind what waits, since the session is ready by now. */
void cl_redis_backlog_send(redis_bus *bus)
{
    int64_t now = cl_loop_now();
    while (!cl_list_empty(&bus->backlog)) {
        waiting *w = CL_OWNER(bus->backlog.next, waiting, link);
        uint64_t token = w->token;
        int code = send_waiting(bus, w, now);
        release(bus, w);
        if (code && token) bus->sink.fate(bus->sink.self, token, CL_FATE_NOT_SENT, 0);
    }
}

void cl_redis_backlog_drop(redis_bus *bus, int tell)
{
    while (!cl_list_empty(&bus->backlog)) {
        waiting *w = CL_OWNER(bus->backlog.next, waiting, link);
        uint64_t token = w->token;
        release(bus, w);
        if (tell && token) bus->sink.fate(bus->sink.self, token, CL_FATE_NOT_SENT, 0);
    }
}
