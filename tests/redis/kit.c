#include "redis/kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clouds.h"

enum { MOST_KITS = 8 };

static kit *kits[MOST_KITS];

static void list_kit(kit *k, kit *as)
{
    for (int i = 0; i < MOST_KITS; i++)
        if (kits[i] == k) {
            kits[i] = as;
            return;
        }
}

static kit_note *note(kit *k, const char *what)
{
    if (k->len == KIT_NOTES) k->len = 0; /* the oldest are of no interest any more */
    kit_note *n = &k->notes[k->len++];
    memset(n, 0, sizeof *n);
    snprintf(n->what, sizeof n->what, "%s", what);
    n->at = cl_loop_now();
    return n;
}

static void set_text(kit_note *n, cl_str text)
{
    snprintf(n->text, sizeof n->text, "%.*s", (int)text.n, text.p);
}

static void on_state(void *self, int up, int code, const char *words)
{
    kit *k = self;
    kit_note *n = note(k, "state");
    k->up = up;
    n->number = up;
    n->code = code;
    set_text(n, cl_str_z(words));
}

static void on_ready(void *self, void *node, int code, const char *words)
{
    kit_note *n = note(self, "ready");
    n->node = node;
    n->code = code;
    set_text(n, cl_str_z(words));
}

static void on_node_closed(void *self, void *node)
{
    note(self, "closed")->node = node;
}

static void on_enrolled(void *self, uint64_t operation, int code, const char *words)
{
    kit_note *n = note(self, "registered");
    n->id = operation;
    n->code = code;
    set_text(n, cl_str_z(words));
}

#define PART(s) (int)(s).n, (s).p

/* What a link carries is told by the token, for calls that wait for an answer; the id is the token, where that counts.
 */
enum { CARRIED = 4096 };

static cl_carried *carried_by(uint64_t token)
{
    static cl_carried all[CARRIED];
    cl_carried *c = &all[token % CARRIED];
    if (!c->place.next) cl_list_init(&c->place);
    return c;
}

static void is_over(uint64_t token)
{
    cl_list_remove(&carried_by(token)->place);
}

static void on_envelope(void *self, void *node, const cl_envelope *e)
{
    kit *k = self;
    char id[24] = "";
    if (e->type == CL_RESULT) snprintf(id, sizeof id, "%.*s", (int)(e->id.n < 20 ? e->id.n : 20), e->id.p);
    if (id[0]) is_over(strtoull(id, NULL, 10));
    k->envelopes++;
    if (k->on_envelope) k->on_envelope(k, node, e);
    if (k->quiet) return;
    kit_note *n = note(k, "envelope");
    n->node = node;
    n->number = e->deadline;
    n->code = (int)e->flags;
    snprintf(n->text, sizeof n->text,
             "%c from=%.*s to=%.*s id=%.*s method=%.*s args=%.*s error=%.*s result=%.*s data=%.*s", e->type,
             PART(e->from), PART(e->to), PART(e->id), PART(e->method), PART(e->args), PART(e->error), PART(e->result),
             PART(e->data));
}

static void on_dropped(void *self, int code)
{
    note(self, "dropped")->code = code;
}

static void on_delivery(void *self, uint64_t token, enum cl_delivery delivery, int64_t number)
{
    kit *k = self;
    k->deliveries++;
    is_over(token);
    if (k->quiet) return;
    kit_note *n = note(k, "delivery");
    n->id = token;
    n->code = (int)delivery;
    n->number = number;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void on_servers(void *self, cl_str method, const cl_server *servers, size_t count, int code)
{
    kit_note *n = note(self, "servers");
    char lines[16][80], *order[16];
    size_t shown = count < 16 ? count : 16;
    n->code = code;
    n->number = (int64_t)count;
    for (size_t i = 0; i < shown; i++) {
        snprintf(lines[i], sizeof lines[i], " %.*s%s", PART(servers[i].id), servers[i].native ? "+" : "");
        order[i] = lines[i];
    }
    qsort(order, shown, sizeof *order, by_text);
    int at = snprintf(n->text, sizeof n->text, "%.*s", PART(method));
    for (size_t i = 0; i < shown && at < KIT_TEXT; i++)
        at += snprintf(n->text + at, sizeof n->text - (size_t)at, "%s", order[i]);
}

static void on_server_up(void *self, cl_str method, cl_server server)
{
    kit_note *n = note(self, "up");
    snprintf(n->text, sizeof n->text, "%.*s %.*s%s", PART(method), PART(server.id), server.native ? "+" : "");
}

static void on_server_down(void *self, cl_str method, cl_str server)
{
    kit_note *n = note(self, "down");
    snprintf(n->text, sizeof n->text, "%.*s %.*s", PART(method), PART(server));
}

static void on_peer_down(void *self, cl_str id)
{
    set_text(note(self, "gone"), id);
}

static void on_peer_draining(void *self, cl_str id)
{
    set_text(note(self, "draining"), id);
}

static void on_status(void *self, uint64_t operation, const cl_str *methods, const cl_server *servers, size_t count,
                      int end, int code)
{
    if (end) {
        kit_note *n = note(self, "end");
        n->id = operation;
        n->code = code;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        kit_note *n = note(self, "status");
        n->id = operation;
        snprintf(n->text, sizeof n->text, "%.*s %.*s", PART(methods[i]), PART(servers[i].id));
    }
}

static void on_closed(void *self)
{
    ((kit *)self)->closed = 1;
}

void kit_limits(cl_limits *limits)
{
    *limits = (cl_limits){.message = 4 << 20,
                          .method = 128,
                          .json = {256, 1000000},
                          .links = 1000,
                          .write_soft = 1 << 20,
                          .write_hard = 8 << 20,
                          .resp_line = 64 << 10,
                          .resp_buffered = 16 << 20,
                          .connect_timeout = 5,
                          .hello_timeout = 2,
                          .ping_interval = 5,
                          .ping_timeout = 10,
                          .reconnect_min = 0.02,
                          .reconnect_max = 0.5,
                          .linger = 0.1};
}

static void on_turn(void *self)
{
    kit *k = self;
    if (k->bus) k->bus->ops->flush(k->bus);
}

int kit_open(kit *k, const char *url, const cl_limits *limits)
{
    static const cl_bus_sink sink = {.state = on_state,
                                     .node_ready = on_ready,
                                     .node_closed = on_node_closed,
                                     .registered = on_enrolled,
                                     .envelope = on_envelope,
                                     .dropped = on_dropped,
                                     .delivery = on_delivery,
                                     .servers = on_servers,
                                     .server_up = on_server_up,
                                     .server_down = on_server_down,
                                     .peer_down = on_peer_down,
                                     .peer_draining = on_peer_draining,
                                     .status = on_status,
                                     .closed = on_closed};
    memset(k, 0, sizeof *k);
    if (limits) k->limits = *limits;
    else kit_limits(&k->limits);
    cl_url parsed;
    cl_loop_hooks hooks = {k, on_turn, NULL};
    int code = cl_url_parse(cl_str_z(url), &parsed);
    if (code) return code;
    code = cl_loop_create(&hooks, &k->loop);
    cl_bus_sink own = sink;
    own.self = k;
    if (!code) code = cl_bus_create(k->loop, &parsed, &k->limits, &own, &k->bus);
    cl_url_free(&parsed);
    list_kit(NULL, k);
    return code;
}

void kit_close(kit *k, int abrupt)
{
    list_kit(k, NULL);
    if (k->bus && !abrupt) {
        k->bus->ops->close(k->bus);
        int64_t end = cl_loop_now() + 20000;
        while (!k->closed && cl_loop_now() < end) cl_loop_run(k->loop, 20);
        if (!k->closed) printf("# the bus does not close\n");
        if (!k->closed) abort();
        k->bus->ops->destroy(k->bus);
        k->bus = NULL;
    }
    cl_bus *bus = k->bus;
    k->bus = NULL;
    cl_loop_close(k->loop);
    if (bus) bus->ops->destroy(bus);
    memset(k, 0, sizeof *k);
}

void kit_turn_all(int ms)
{
    int count = 0;
    for (int i = 0; i < MOST_KITS; i++) count += kits[i] != NULL;
    for (int i = 0; i < MOST_KITS; i++)
        if (kits[i]) cl_loop_run(kits[i]->loop, count > 1 ? (ms > 0) : ms);
}

void kit_idle(int ms)
{
    int64_t end = cl_loop_now() + ms;
    while (cl_loop_now() < end) kit_turn_all(5);
}

kit_note *kit_find(kit *k, const char *what)
{
    for (size_t i = 0; i < k->len; i++)
        if (strcmp(k->notes[i].what, what) == 0) {
            k->notes[i].what[0] = '\0';
            return &k->notes[i];
        }
    return NULL;
}

kit_note *kit_take(kit *k, const char *what)
{
    static kit_note none = {.what = "none", .code = 999, .number = -999, .text = "nothing came"};
    int64_t end = cl_loop_now() + 20000;
    for (;;) {
        kit_note *n = kit_find(k, what);
        if (n) return n;
        if (cl_loop_now() > end) break;
        kit_turn_all(20);
    }
    printf("# no %s came\n", what);
    return &none;
}

void kit_forget(kit *k)
{
    k->len = 0;
}

int kit_node(kit *k, void *node, const char *id, double heartbeat)
{
    int code = k->bus->ops->node_open(k->bus, node, cl_str_z(id), heartbeat);
    return code ? code : kit_take(k, "ready")->code;
}

int kit_register(kit *k, void *node, const char *method)
{
    static uint64_t operations = 1000000;
    int code = k->bus->ops->register_method(k->bus, node, cl_str_z(method), ++operations);
    if (code) return code;
    kit_note *n = kit_take(k, "registered");
    return n->id == operations ? n->code : 998;
}

int kit_call(kit *k, const char *from, const char *to, const char *method, const char *id, const char *args,
             uint64_t token)
{
    cl_envelope e = {.type = CL_CALL,
                     .from = cl_str_z(from),
                     .to = cl_str_z(to),
                     .id = cl_str_z(id),
                     .method = cl_str_z(method),
                     .args = cl_str_z(args),
                     .carried = carried_by(token)};
    is_over(token);
    return k->bus->ops->send(k->bus, NULL, &e, token);
}

int kit_say(kit *k, const char *from, const char *to, const char *value, uint64_t token)
{
    cl_envelope e = {.type = CL_MESSAGE, .from = cl_str_z(from), .to = cl_str_z(to), .data = cl_str_z(value)};
    return k->bus->ops->send(k->bus, NULL, &e, token);
}
