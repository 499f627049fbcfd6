/* Results and messages that were sent while Redis was away. They wait here as finished commands, within write_soft bytes. */
#include "base/mem.h"
#include "bus/redis/inside.h"
#include "clouds.h"

typedef struct waiting {
    cl_link link;
    uint64_t token;
    int64_t deadline; /* 0: none */
    cl_buf command;
} waiting;

int cl_redis_backlog_add(redis_bus *bus, const cl_envelope *e, size_t body, uint64_t token)
{
    size_t size = sizeof(waiting) + cl_redis_publish_room(bus, e, body);
    if (bus->backlog_bytes + size > bus->limits.write_soft) return CLOUDS_ELIMIT;
    waiting *w = cl_calloc(1, sizeof *w);
    if (!w) return CLOUDS_ENOMEM;
    int code = cl_buf_reserve(&w->command, cl_redis_publish_room(bus, e, body));
    if (!code) code = cl_redis_publish_format(bus, e, body, &w->command);
    if (code) {
        cl_buf_free(&w->command);
        cl_free(w);
        return code;
    }
    w->token = token;
    w->deadline = e->deadline;
    bus->backlog_bytes += size;
    cl_list_append(&bus->backlog, &w->link);
    return 0;
}

static int send_waiting(redis_bus *bus, waiting *w, int64_t now)
{
    if (w->deadline && w->deadline <= now) return CLOUDS_EEXPIRED;
    cl_buf *out;
    int code = cl_session_begin(bus->commands, &out);
    if (!code) code = cl_buf_reserve(out, w->command.len);
    if (code) return code;
    size_t before = out->len;
    cl_buf_add_str(out, cl_buf_str(&w->command));
    cl_session_end(bus->commands, before, KIND_PUBLISH, w->token);
    return 0;
}

static void release(waiting *w)
{
    cl_list_remove(&w->link);
    cl_buf_free(&w->command);
    cl_free(w);
}

/* What is sent from inside `fate` comes behind what waits, since the session is ready by now. */
void cl_redis_backlog_send(redis_bus *bus)
{
    int64_t now = cl_loop_now();
    bus->backlog_bytes = 0;
    while (!cl_list_empty(&bus->backlog)) {
        waiting *w = CL_OWNER(bus->backlog.next, waiting, link);
        uint64_t token = w->token;
        int code = send_waiting(bus, w, now);
        release(w);
        if (code && token) bus->sink.fate(bus->sink.self, token, CL_FATE_NOT_SENT, 0);
    }
}

void cl_redis_backlog_drop(redis_bus *bus, int tell)
{
    bus->backlog_bytes = 0;
    while (!cl_list_empty(&bus->backlog)) {
        waiting *w = CL_OWNER(bus->backlog.next, waiting, link);
        uint64_t token = w->token;
        release(w);
        if (tell && token) bus->sink.fate(bus->sink.self, token, CL_FATE_NOT_SENT, 0);
    }
}
