#include "redis/clear.h"

#include "base/mem.h"
#include "clouds.h"

struct cl_redis_clear {
    cl_conn *conn;
    void (*answered)(void *self); /* NULL: nobody waits for it */
    void *self;
    cl_redis_clear **place;
};

void cl_redis_clear_end(cl_redis_clear *c)
{
    if (!c) return;
    c->answered = NULL;
    *c->place = NULL;
    c->place = NULL;
    cl_conn_close(c->conn, 0);
}

static void on_opened(void *self)
{
    static const char ping[] = "PING\r\n";
    cl_redis_clear *c = self;
    if (cl_buf_put(cl_conn_out(c->conn), ping, sizeof ping - 1) == 0) cl_conn_commit(c->conn);
}

/* Any reply will do: it may want to know who asks. */
static void on_data(void *self, const char *p, size_t n)
{
    cl_redis_clear *c = self;
    void (*answered)(void *) = n && (*p == '+' || *p == '-') ? c->answered : NULL;
    void *owner = c->self;
    if (c->place) cl_redis_clear_end(c);
    if (answered) answered(owner);
}

static void on_closed(void *self, int code, const char *words)
{
    cl_redis_clear *c = self;
    if (c->place) *c->place = NULL;
    cl_free(c);
}

int cl_redis_clear_ask(cl_loop *loop, const char *host, int port, double timeout, void (*answered)(void *self),
                       void *self, cl_redis_clear **place)
{
    cl_redis_clear *c = cl_calloc(1, sizeof *c);
    if (!c) return CLOUDS_ENOMEM;
    c->answered = answered;
    c->self = self;
    c->place = place;
    const cl_conn_hooks hooks = {.self = c, .opened = on_opened, .data = on_data, .closed = on_closed};
    int code = cl_conn_tcp(loop, host, port, timeout, &hooks, &c->conn);
    if (code == 0) *place = c;
    else cl_free(c);
    return code;
}
