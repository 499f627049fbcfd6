/* One side of a bus test: a loop, a bus, and everything its sink was told. */
#ifndef SIDE_H
#define SIDE_H

#include "base/error.h"
#include "base/mem.h"
#include "bus/bus.h"
#include "net/loop.h"
#include "support/tap.h"

typedef struct side {
    cl_loop *loop;
    cl_bus *bus;
    int ups, ready, ready_code, node_closed, closed, dropped, dropped_code, peer_downs, drainings, lists, list_code;
    int registered, registered_code, status_rows, status_ends, server_ups, server_downs, envelopes;
    int deliveries[4];
    int order, delivery_order, down_order, envelope_order;
    int64_t delivery_number;
    size_t list_n;
    char list[4096], words[512], last_up[256], last_down[256], peer[256], rows[4096];
    cl_envelope last;
    char last_args[256], last_from[256], last_method[256];
    int quiet;  /* envelopes are only counted */
    int answer; /* calls are answered with their arguments at once */
    void *answer_node;
    uint64_t last_link;
} side;

static inline void copy_text(char *out, size_t cap, cl_str s)
{
    size_t n = s.n < cap - 1 ? s.n : cap - 1;
    memcpy(out, s.p, n);
    out[n] = 0;
}

static void side_state(void *self, int up, int code, const char *words)
{
    ((side *)self)->ups += up;
}

static void side_ready(void *self, void *node, int code, const char *words)
{
    side *s = self;
    s->ready++;
    s->ready_code = code;
    snprintf(s->words, sizeof s->words, "%s", words);
}

static void side_node_closed(void *self, void *node)
{
    ((side *)self)->node_closed++;
}

static void side_registered(void *self, uint64_t operation, int code, const char *words)
{
    side *s = self;
    s->registered++;
    s->registered_code = code;
}

static void side_envelope(void *self, void *node, const cl_envelope *e)
{
    side *s = self;
    s->envelopes++;
    s->envelope_order = ++s->order;
    s->last_link = e->link;
    if (s->quiet) return;
    if (s->answer && e->type == CL_CALL) {
        cl_envelope r = {
            .type = CL_RESULT, .from = e->to, .to = e->from, .id = e->id, .result = e->args, .link = e->link};
        s->bus->ops->send(s->bus, node, &r, 0);
        return;
    }
    s->last = *e;
    copy_text(s->last_args, sizeof s->last_args,
              e->type == CL_CALL     ? e->args
              : e->type == CL_RESULT ? e->result
                                     : e->data);
    copy_text(s->last_from, sizeof s->last_from, e->from);
    copy_text(s->last_method, sizeof s->last_method, e->method);
}

static void side_dropped(void *self, int code)
{
    side *s = self;
    s->dropped++;
    s->dropped_code = code;
}

static void side_delivery(void *self, uint64_t token, enum cl_delivery delivery, int64_t number)
{
    side *s = self;
    s->deliveries[delivery]++;
    s->delivery_number = number;
    s->delivery_order = ++s->order;
}

static void side_servers(void *self, cl_str method, const cl_server *servers, size_t n, int code)
{
    side *s = self;
    s->lists++;
    s->list_n = n;
    s->list_code = code;
    s->list[0] = 0;
    for (size_t i = 0; i < n; i++) {
        size_t at = strlen(s->list);
        snprintf(s->list + at, sizeof s->list - at, "%.*s ", (int)servers[i].id.n, servers[i].id.p);
    }
}

static void side_server_up(void *self, cl_str method, cl_server server)
{
    side *s = self;
    s->server_ups++;
    copy_text(s->last_up, sizeof s->last_up, server.id);
}

static void side_server_down(void *self, cl_str method, cl_str server)
{
    side *s = self;
    s->server_downs++;
    copy_text(s->last_down, sizeof s->last_down, server);
}

static void side_peer_down(void *self, cl_str id)
{
    side *s = self;
    s->peer_downs++;
    s->down_order = ++s->order;
    copy_text(s->peer, sizeof s->peer, id);
}

static void side_draining(void *self, cl_str id)
{
    side *s = self;
    s->drainings++;
    copy_text(s->peer, sizeof s->peer, id);
}

static void side_status(void *self, uint64_t operation, const cl_str *methods, const cl_server *servers, size_t n,
                        int end, int code)
{
    side *s = self;
    if (end) {
        s->status_ends++;
        return;
    }
    for (size_t i = 0; i < n; i++, s->status_rows++) {
        size_t at = strlen(s->rows);
        snprintf(s->rows + at, sizeof s->rows - at, "%.*s@%.*s ", (int)methods[i].n, methods[i].p, (int)servers[i].id.n,
                 servers[i].id.p);
    }
}

static void side_closed(void *self)
{
    ((side *)self)->closed++;
}

static void side_turn(void *self)
{
    side *s = self;
    if (s->bus) s->bus->ops->flush(s->bus);
}

static cl_limits side_limits(void)
{
    return (cl_limits){.message = 4 << 20,
                       .method = 128,
                       .json = {256, 1000000},
                       .links = 1000,
                       .write_soft = 1 << 20,
                       .write_hard = 8 << 20,
                       .connect_timeout = 5,
                       .hello_timeout = 2,
                       .ping_interval = 10,
                       .ping_timeout = 5,
                       .reconnect_min = 0.05,
                       .reconnect_max = 2};
}

static int side_start_at(side *s, const cl_url *url, const cl_limits *limits)
{
    const cl_bus_sink sink = {.self = s,
                              .state = side_state,
                              .node_ready = side_ready,
                              .node_closed = side_node_closed,
                              .registered = side_registered,
                              .envelope = side_envelope,
                              .dropped = side_dropped,
                              .delivery = side_delivery,
                              .servers = side_servers,
                              .server_up = side_server_up,
                              .server_down = side_server_down,
                              .peer_down = side_peer_down,
                              .peer_draining = side_draining,
                              .status = side_status,
                              .closed = side_closed};
    const cl_loop_hooks hooks = {.self = s, .turn = side_turn};
    const cl_limits standard = side_limits();
    *s = (side){0};
    if (cl_loop_create(&hooks, &s->loop) != 0) exit(97);
    return cl_bus_create(s->loop, url, limits ? limits : &standard, &sink, &s->bus);
}

static inline int side_start(side *s, int kind, const char *name, const cl_limits *limits)
{
    const cl_url url = {.kind = (enum cl_url_kind)kind, .name = (char *)(size_t)name};
    return side_start_at(s, &url, limits);
}

static void side_end(side *s)
{
    cl_loop_close(s->loop);
    if (s->bus) s->bus->ops->destroy(s->bus);
}

/* Turns of up to three loops of this thread until something holds. */
#define UNTIL3(a, b, c, condition)                                                                                     \
    do {                                                                                                               \
        side *until_sides[] = {a, b, c};                                                                               \
        int64_t until_end = cl_loop_now() + 20000;                                                                     \
        while (!(condition) && cl_loop_now() < until_end)                                                              \
            for (int until_i = 0; until_i < 3; until_i++)                                                              \
                if (until_sides[until_i]) cl_loop_run(until_sides[until_i]->loop, 1);                                  \
        CHECK(condition);                                                                                              \
    } while (0)
#define UNTIL(a, condition) UNTIL3(a, NULL, NULL, condition)
#define UNTIL2(a, b, condition) UNTIL3(a, b, NULL, condition)

static inline void side_node(side *s, void *handle, const char *id)
{
    int before = s->ready;
    CHECK_INT(s->bus->ops->node_open(s->bus, handle, cl_str_z(id), 1), 0);
    UNTIL(s, s->ready > before);
    CHECK_INT(s->ready_code, 0);
}

static inline void side_register(side *s, void *handle, const char *method)
{
    int before = s->registered;
    CHECK_INT(s->bus->ops->register_method(s->bus, handle, cl_str_z(method), 7), 0);
    UNTIL(s, s->registered > before);
    CHECK_INT(s->registered_code, 0);
}

static inline int side_call(side *s, void *handle, const char *from, const char *to, const char *args, uint64_t token)
{
    cl_envelope e = {.type = CL_CALL,
                     .flags = CL_NATIVE,
                     .from = cl_str_z(from),
                     .to = cl_str_z(to),
                     .id = CL_STR("1"),
                     .method = CL_STR("m"),
                     .args = cl_str_z(args),
                     .deadline = cl_loop_now() + 10000};
    return s->bus->ops->send(s->bus, handle, &e, token);
}

static inline int side_message(side *s, void *handle, const char *from, const char *to, const char *data,
                               uint64_t token)
{
    cl_envelope e = {.type = CL_MESSAGE, .from = cl_str_z(from), .to = cl_str_z(to), .data = cl_str_z(data)};
    return s->bus->ops->send(s->bus, handle, &e, token);
}

#endif
