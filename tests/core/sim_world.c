#include "sim.h"

#include <stdio.h>

/* ---- the port and the bus of each node */

static int64_t port_now(void *self)
{
    return ((sim_node *)self)->world->now;
}

static uint64_t port_random(void *self)
{
    return cl_rand_next(&((sim_node *)self)->world->state);
}

static void port_arm(void *self, int64_t when)
{
    sim_node *n = self;
    sim *w = n->world;
    if (when == INT64_MAX) when = w->now + 3600 * 1000;
    if (w->broken == SIM_SLOW) when += 500;
    if (when < w->now) when = w->now;
    cl_heap_set(&w->agenda, &n->tick->timer, when);
}

static void bus_lookup(cl_bus *bus, cl_str method, int known)
{
    sim_node *n = CL_OWNER(bus, sim_node, bus);
    sim_item *item = sim_later(n->world, sim_delay(n->world), SIM_LOOKED, n->index);
    item->method = method.p[1] - '0';
}

static void list(sim *w, sim_node *n, int method, int listed)
{
    for (int i = 0; i < w->n_entries; i++) {
        sim_entry *e = &w->entries[i];
        if (e->node != n->index || e->life != n->life || e->method != method) continue;
        e->listed = listed;
        return;
    }
    if (listed && w->n_entries < SIM_ENTRIES) w->entries[w->n_entries++] = (sim_entry){n->index, n->life, method, 1};
}

/* Some hear of it at once, some later, some never. */
static void spread(sim *w, const sim_node *about, enum sim_what what, int method)
{
    for (int i = 0; i < SIM_NODES; i++) {
        if (i == about->index || !w->nodes[i].alive || sim_chance(w, 0.4)) continue;
        sim_item *item = sim_later(w, sim_delay(w), what, i);
        memcpy(item->from, about->id, sizeof item->from);
        item->number = about->native;
        item->method = method;
    }
}

static void bus_forget(cl_bus *bus, cl_str method, cl_str server)
{
    sim_node *n = CL_OWNER(bus, sim_node, bus);
    char id[24];
    snprintf(id, sizeof id, "%.*s", (int)server.n, server.p);
    sim_node *forgotten = sim_find(n->world, id);
    if (forgotten) list(n->world, forgotten, method.p[1] - '0', 0);
}

static int bus_register(cl_bus *bus, void *node, cl_str method, uint64_t operation)
{
    sim_node *n = CL_OWNER(bus, sim_node, bus);
    list(n->world, n, method.p[1] - '0', 1);
    if (n->native) spread(n->world, n, SIM_NEWS_UP, method.p[1] - '0');
    sim_later(n->world, sim_delay(n->world), SIM_REGISTERED, n->index)->id = operation;
    return 0;
}

static int bus_unregister(cl_bus *bus, void *node, cl_str method, uint64_t operation)
{
    sim_node *n = CL_OWNER(bus, sim_node, bus);
    list(n->world, n, method.p[1] - '0', 0);
    sim_later(n->world, sim_delay(n->world), SIM_REGISTERED, n->index)->id = operation;
    return 0;
}

static void bus_drain(cl_bus *bus, void *node)
{
    sim_node *n = CL_OWNER(bus, sim_node, bus);
    for (int i = 0; i < n->n_methods; i++) list(n->world, n, n->methods[i], 0);
    if (n->native) spread(n->world, n, SIM_PEER_DRAINING, 0);
    if (n->native && n->n_methods) spread(n->world, n, SIM_NEWS_DOWN, n->methods[0]);
}

static void bus_close_node(cl_bus *bus, void *node)
{
    sim_node *n = CL_OWNER(bus, sim_node, bus);
    sim_later(n->world, sim_delay(n->world), SIM_CLOSED, n->index);
}

static int port_reserve(void *self)
{
    return sim_chance(((sim_node *)self)->world, 0.0005) ? CLOUDS_ELIMIT : 0;
}

static int port_withdraw_request(void *self, uint64_t request)
{
    return 0;
}

static void port_forget_request(void *self, uint64_t request)
{
}

static uint64_t port_next_id(void *self)
{
    return ++((sim_node *)self)->world->next_id;
}

static void on_request(sim_node *n, const clouds_event *e)
{
    sim *w = n->world;
    sim_started(w, n, e);
    if (sim_chance(w, 0.02)) return; /* never answered */
    int64_t work = sim_chance(w, 0.05) ? (int64_t)sim_random(w, 3000) : (int64_t)sim_random(w, 30);
    if (sim_chance(w, 0.1)) sim_later(w, work / 2, SIM_CALL, n->index)->id = e->id;
    sim_item *item = sim_later(w, work, SIM_ANSWER, n->index);
    item->id = e->id;
    memcpy(item->text, e->data, e->data_len);
    if (sim_chance(w, 0.1))
        snprintf(item->error, sizeof item->error, "{\"message\":\"%.*s\"}", (int)e->data_len, e->data);
}

static int port_event(void *self, void *tag, const clouds_event *e)
{
    sim_node *n = self;
    sim *w = n->world;
    w->events++;
    sim_note(w, e->type, e->id ^ (uint64_t)w->now << 20 ^ (uint64_t)(uint32_t)e->code);
    if (e->type == CLOUDS_EVENT_REQUEST) on_request(n, e);
    if (e->type != CLOUDS_EVENT_RESULT) return 0;
    if (w->broken == SIM_SILENT && sim_chance(w, 0.01)) return 0;
    sim_completed(w, n, e);
    if (w->broken == SIM_TWICE && sim_chance(w, 0.01)) sim_completed(w, n, e);
    return 0;
}

/* ---- lives of nodes */

static cl_core_config core_config(sim *w)
{
    cl_core_config c = {.limits = {.message = 1 << 20, .method = 128, .json = {64, 10000}, .write_soft = 1 << 20},
                        .max_in_flight = 50,
                        .max_in_flight_bytes = 1 << 20,
                        .max_deadline = 10,
                        .once_window = 60000,
                        .once_keys = 1000,
                        .once_bytes = 1 << 20};
    c.secret[0] = cl_rand_next(&w->state);
    c.secret[1] = cl_rand_next(&w->state);
    return c;
}

static void come_alive(sim *w, sim_node *n)
{
    static const cl_bus_ops bus_ops = {
        .node_drain = bus_drain,
        .node_close = bus_close_node,
        .register_method = bus_register,
        .unregister_method = bus_unregister,
        .send = sim_send,
        .lookup = bus_lookup,
        .forget = bus_forget,
    };
    cl_port port = {.self = n,
                    .now = port_now,
                    .now_about = port_now,
                    .random = port_random,
                    .arm = port_arm,
                    .event = port_event,
                    .reserve = port_reserve,
                    .reserve_request = port_reserve,
                    .withdraw_request = port_withdraw_request,
                    .forget_request = port_forget_request,
                    .next_id = port_next_id};
    cl_core_config config = core_config(w);
    cl_node_config node = n->config = (cl_node_config){.breaker = 1,
                                                       .timeout = 0.4 + (double)sim_random(w, 1000) / 1000,
                                                       .server_max_age = 2,
                                                       .auto_clean = 1,
                                                       .drain_timeout = 1,
                                                       .operation_timeout = 2,
                                                       .retries = (int32_t)sim_random(w, 3)};
    snprintf(node.type, sizeof node.type, "%s", n->server ? "server" : "client");
    snprintf(n->id, sizeof n->id, "%c.%d.%d", n->server ? 's' : 'c', n->index, ++n->life);
    n->tick = sim_later(w, 3600 * 1000, SIM_TICK, n->index);
    if (cl_core_create(&config, &port, &n->core) != 0) abort();
    n->bus.ops = &bus_ops;
    cl_core_set_bus(n->core, &n->bus);
    while (cl_node_create(n->core, cl_str_z(n->id), &node, n, &n->node) != 0) {
    } /* the port refuses at random */
    n->alive = 1;
    n->bus_up = 0;
    sim_later(w, sim_delay(w), SIM_BUS_UP, n->index);
    sim_later(w, sim_delay(w), SIM_READY, n->index);
    if (w->now < w->quiet) sim_later(w, (int64_t)sim_random(w, 300), SIM_CALL, n->index);
}

static void die(sim *w, sim_node *n)
{
    cl_core_destroy(n->core);
    n->alive = 0;
    n->core = NULL;
    cl_heap_remove(&w->agenda, &n->tick->timer);
    free(n->tick);
    n->tick = NULL;
    if (w->now < w->quiet) sim_later(w, (int64_t)sim_random(w, 2000) + 1, SIM_RETURN, n->index);
}

sim_node *sim_find(sim *w, const char *id)
{
    int index = atoi(id + 2);
    sim_node *n = &w->nodes[index];
    return n->alive && strcmp(n->id, id) == 0 ? n : NULL;
}

void sim_populate(sim *w)
{
    for (int i = 0; i < SIM_NODES; i++) {
        sim_node *n = &w->nodes[i];
        n->world = w;
        n->index = i;
        n->server = i < SIM_NODES * 2 / 5;
        n->native = sim_chance(w, 0.2) ? CL_NATIVE_NOT : sim_chance(w, 0.4) ? CL_NATIVE_LINKED : CL_NATIVE_OURS;
        n->n_methods = n->server ? 1 + (int)sim_random(w, 3) : 0;
        for (int k = 0; k < n->n_methods; k++) n->methods[k] = (int)sim_random(w, SIM_METHODS);
        come_alive(w, n);
        if (sim_chance(w, w->chaos))
            sim_later(w, (int64_t)sim_random(w, 5000), sim_chance(w, 0.5) ? SIM_CRASH : SIM_CLOSE, i);
        if (sim_chance(w, w->chaos)) sim_later(w, (int64_t)sim_random(w, 5000), SIM_BUS_DOWN, i);
    }
}

void sim_depopulate(sim *w)
{
    for (int i = 0; i < SIM_NODES; i++)
        if (w->nodes[i].alive) die(w, &w->nodes[i]);
}

/* ---- what happens */

/* What the call may take, worked out again. */
static int64_t length_of(const sim_node *n, const cl_call_spec *spec)
{
    int retries = spec->retries < 0 ? 0 : spec->retries ? spec->retries : n->config.retries;
    double timeout = spec->timeout > 0 ? spec->timeout : n->config.timeout;
    double length = spec->deadline > 0 ? spec->deadline : (retries + 1) * timeout;
    return length < 10 ? (int64_t)(length * 1000) + 1 : 10000;
}

/* Makes it one that repeats an earlier one with a key. */
static void repeat_one(sim *w, sim_call *call)
{
    sim_call *other = &w->calls[sim_random(w, w->n_calls)];
    if (!other->once || other == call) return;
    call->content = other->content;
    call->method = other->method;
    call->duplicated = 1;
    w->calls[other->content].duplicated = 1; /* executed for either */
}

static void make_call(sim *w, sim_node *n, uint64_t parent)
{
    char args[32], method[8], server[24] = "", once[16] = "";
    sim_call *call = sim_call_new(w, n->index);
    call->method = (int)sim_random(w, SIM_METHODS);
    call->once = sim_chance(w, 0.2);
    if (call->once && sim_chance(w, 0.5)) repeat_one(w, call);
    snprintf(args, sizeof args, "[%zu]", call->content);
    snprintf(method, sizeof method, "m%d", call->method);
    if (call->once) snprintf(once, sizeof once, "k%zu", call->content);
    if (sim_chance(w, 0.02)) snprintf(server, sizeof server, "%s", w->nodes[sim_random(w, SIM_NODES)].id);
    cl_call_spec spec = {.id = call->id,
                         .method = cl_str_z(method),
                         .args = cl_str_z(args),
                         .server = cl_str_z(server),
                         .once = cl_str_z(once),
                         .hedge = call->once && sim_chance(w, 0.5) ? 0.03 : 0,
                         .timeout = sim_chance(w, 0.3) ? 0.05 + (double)sim_random(w, 1000) / 1000 : 0,
                         .deadline = sim_chance(w, 0.3) ? 0.05 + (double)sim_random(w, 2000) / 1000 : 0,
                         .retries = (int32_t)sim_random(w, 4) - 1,
                         .parent = parent,
                         .made_at = w->now};
    call->deadline = w->now + length_of(n, &spec);
    sim_call *content = &w->calls[call->content];
    if (content->latest < call->deadline) content->latest = call->deadline;
    size_t number = (size_t)(call - w->calls);
    int code = cl_node_call(n->node, &spec);
    if (code) w->calls[number].completions = w->calls[number].completions ? -100 : -1; /* refused: none may come */
}

static void next_call(sim *w, sim_node *n, const sim_item *item)
{
    make_call(w, n, item->id);
    if (!item->id && w->now < w->quiet) sim_later(w, (int64_t)sim_random(w, 600) + 1, SIM_CALL, n->index);
    if (sim_chance(w, 0.01) && w->n_calls) cl_core_cancel(n->core, w->calls[sim_random(w, w->n_calls)].id);
}

static void looked(sim *w, sim_node *n, int method)
{
    static char ids[SIM_ENTRIES][24];
    cl_server servers[SIM_ENTRIES];
    size_t count = 0;
    char name[8];
    snprintf(name, sizeof name, "m%d", method);
    for (int i = 0; i < w->n_entries; i++) {
        const sim_entry *e = &w->entries[i];
        if (!e->listed || e->method != method) continue;
        snprintf(ids[count], sizeof ids[count], "s.%d.%d", e->node, e->life);
        servers[count] = (cl_server){.id = cl_str_z(ids[count]), .native = w->nodes[e->node].native};
        count++;
    }
    int code = n->bus_up ? sim_chance(w, 0.005) ? CLOUDS_EREDIS : 0 : CLOUDS_EUNREACHABLE;
    cl_core_servers(n->core, cl_str_z(name), servers, code ? 0 : count, code);
}

static void ready(sim *w, sim_node *n)
{
    cl_node_ready(n->node, 0, NULL);
    for (int i = 0; i < n->n_methods; i++) {
        char name[8];
        snprintf(name, sizeof name, "m%d", n->methods[i]);
        const cl_offer_spec limits = {
            .concurrency = 2, .key_arg = 1, .queue = 5, .age = 100, .target = 5, .rate = 200, .burst = 20};
        const cl_offer_spec *some = n->index % 3 == 0 ? &limits : NULL;
        while (cl_node_offer(n->node, cl_str_z(name), some, &(cl_op_spec){.id = ++w->next_id}) == CLOUDS_ELIMIT) {
        }
    }
}

static void bus(sim *w, sim_node *n, int up)
{
    n->bus_up = up;
    cl_core_bus(n->core, up, up ? 0 : CLOUDS_EUNREACHABLE, "");
    if (!up) sim_later(w, (int64_t)sim_random(w, 800) + 1, SIM_BUS_UP, n->index);
}

/* The keys of a crashed node expire later; some peers see the connection break. */
static void crash(sim *w, sim_node *n)
{
    if (n->native) spread(w, n, SIM_PEER_DOWN, 0);
    sim_item *item = sim_later(w, 2000, SIM_UNLIST, n->index);
    item->number = n->life;
    item->life = -1;
    die(w, n);
}

static void unlist(sim *w, const sim_item *item)
{
    for (int i = 0; i < w->n_entries; i++)
        if (w->entries[i].node == item->node && w->entries[i].life == item->number) w->entries[i].listed = 0;
}

static void to_core(sim *w, sim_node *n, const sim_item *item)
{
    char name[8];
    snprintf(name, sizeof name, "m%d", item->method);
    cl_str method = cl_str_z(name), about = cl_str_z(item->from);
    switch (item->what) {
    case SIM_DELIVERY:
        cl_core_delivery(n->core, item->id, (enum cl_delivery)item->number, 0);
        break;
    case SIM_ANSWER:
        cl_core_answer(n->core, item->id, cl_str_z(item->error), cl_str_z(item->text));
        break;
    case SIM_REGISTERED:
        cl_core_registered(n->core, item->id, 0, NULL);
        break;
    case SIM_NEWS_UP:
        cl_core_server_up(n->core, method, (cl_server){.id = about, .native = item->number});
        break;
    case SIM_NEWS_DOWN:
        cl_core_server_down(n->core, method, about);
        break;
    case SIM_PEER_DOWN:
        cl_core_peer_down(n->core, about);
        break;
    case SIM_PEER_DRAINING:
        cl_core_peer_draining(n->core, about);
        break;
    default:
        break;
    }
}

static void to_node(sim *w, sim_node *n, sim_item *item)
{
    switch (item->what) {
    case SIM_LOOKED:
        looked(w, n, item->method);
        break;
    case SIM_CALL:
        next_call(w, n, item);
        break;
    case SIM_CRASH:
        crash(w, n);
        break;
    case SIM_CLOSE:
        cl_node_close(n->node, -1);
        break;
    case SIM_READY:
        ready(w, n);
        break;
    case SIM_CLOSED:
        cl_core_node_closed(n->core, n->node), die(w, n);
        break;
    case SIM_BUS_UP:
        bus(w, n, 1);
        break;
    case SIM_BUS_DOWN:
        bus(w, n, 0);
        break;
    default:
        to_core(w, n, item);
        break;
    }
}

void sim_happen(sim *w, sim_item *item)
{
    sim_node *n = &w->nodes[item->node];
    if (item->what == SIM_PACKET) sim_deliver(w, item);
    else if (item->what == SIM_UNLIST) unlist(w, item);
    else if (item->what == SIM_RETURN && !n->alive) come_alive(w, n);
    else if (n->alive && n->life == item->life) to_node(w, n, item);
}
