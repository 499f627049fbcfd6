#include "fake.h"

#include "base/rand.h"

/* Inputs of every kind in any order, for known and unknown ids, twice, during close: nothing crashes (the sanitizers
 * watch), and every accepted call and operation ends exactly once. A failing seed is printed. */

enum { NODES = 3, IDS = 30000, STEPS = 1500, SEEDS = 60 };

typedef struct monkey {
    fake f;
    uint64_t state;
    cl_node *nodes[NODES];
    unsigned char accepted[IDS];
} monkey;

static uint64_t any(monkey *m, uint64_t below)
{
    return cl_rand_next(&m->state) % below;
}

static uint64_t any_id(monkey *m)
{
    return any(m, m->f.ids + 3);
}

static cl_str any_method(monkey *m)
{
    static const char *const names[] = {"a", "b", "c", "up"};
    return cl_str_z(names[any(m, 4)]);
}

static cl_str any_peer(monkey *m)
{
    static const char *const names[] = {"s.1", "s.2", "s.3", "n.1", "n.2", "zz"};
    return cl_str_z(names[any(m, 6)]);
}

static cl_node *any_node(monkey *m)
{
    return m->nodes[any(m, NODES)];
}

static void note(monkey *m, int code, uint64_t id)
{
    if (code == 0 && id < IDS) m->accepted[id] = 1;
}

static void call(monkey *m, cl_node *node)
{
    cl_call_spec spec = {.id = ++m->f.ids,
                         .method = any_method(m),
                         .args = CL_STR("[]"),
                         .retries = (int32_t)any(m, 3),
                         .timeout = (double)any(m, 40) / 10,
                         .deadline = (double)any(m, 50) / 10,
                         .parent = any_id(m)};
    spec.server = any(m, 6) ? CL_STR_NONE : any_peer(m);
    spec.once = any(m, 3) ? CL_STR_NONE : CL_STR("k");
    spec.hedge = any(m, 3) ? 0 : (double)any(m, 3) / 10 - 0.1;
    note(m, fake_call_code(&m->f, node, spec), spec.id);
}

static void answer(monkey *m, cl_node *node)
{
    static const char *const errors[] = {"",
                                         "",
                                         "null",
                                         "{}",
                                         "5",
                                         "{\"message\":\"service handler not found\"}",
                                         "{\"message\":\"x\",\"code\":\"CLOUDS_DRAINING\"}",
                                         "{\"message\":\"x\",\"code\":\"CLOUDS_OVERLOADED\"}"};
    if (!m->f.n_sent) return;
    const fake_sent *s = &m->f.sent[any(m, (uint64_t)m->f.n_sent)];
    cl_envelope e = {.type = CL_RESULT,
                     .flags = any(m, 2) ? CL_REFUSED : 0,
                     .from = any_peer(m),
                     .to = cl_str_z(s->from),
                     .id = cl_str_z(s->id),
                     .method = CL_STR_NONE,
                     .args = CL_STR_NONE,
                     .error = cl_str_z(errors[any(m, 8)]),
                     .result = CL_STR("[]"),
                     .data = CL_STR_NONE,
                     .raw = CL_STR_NONE};
    cl_core_envelope(m->f.core, node, &e);
}

static void list(monkey *m)
{
    cl_server servers[4];
    size_t n = any(m, 5);
    for (size_t i = 0; i < n; i++) servers[i] = (cl_server){.id = any_peer(m), .native = (int)any(m, 2)};
    static const int codes[] = {0, 0, 0, 0, CLOUDS_EUNREACHABLE, CLOUDS_EREDIS};
    cl_core_servers(m->f.core, any_method(m), servers, n, codes[any(m, 6)]);
}

static void status(monkey *m)
{
    cl_str methods[] = {CL_STR("a"), CL_STR("b")};
    cl_server servers[] = {{.id = CL_STR("s.1"), .native = 1}, {.id = CL_STR("s.2"), .native = 0}};
    static const int codes[] = {0, CLOUDS_EUNREACHABLE, CLOUDS_EREDIS};
    cl_core_status(m->f.core, any_id(m), methods, servers, any(m, 3), (int)any(m, 2), codes[any(m, 3)]);
}

static void close_one(monkey *m)
{
    int i = (int)any(m, NODES);
    if (any(m, 40)) return;
    cl_node_close(m->nodes[i], (double)any(m, 3) - 1);
    if (any(m, 2)) return;
    cl_node_config config = fake_node_config("server");
    config.find_server = (int)any(m, 2);
    cl_core_node_closed(m->f.core, m->nodes[i]);
    m->nodes[i] = fake_node(&m->f, "again", &config);
}

static int offer(monkey *m, cl_node *node, uint64_t id)
{
    const cl_offer_spec limits = {.concurrency = (uint32_t)any(m, 3),
                                  .key_arg = (uint32_t)any(m, 2),
                                  .queue = (uint32_t)any(m, 20),
                                  .age = (int64_t)any(m, 2) * 100,
                                  .target = 5,
                                  .rate = (double)any(m, 2) * 50,
                                  .burst = 10,
                                  .caller_rate = (double)any(m, 2) * 20,
                                  .caller_burst = 5};
    return cl_node_offer(node, any_method(m), any(m, 3) ? &limits : NULL, &(cl_op_spec){.id = id});
}

static void act(monkey *m, cl_node *node)
{
    cl_core *core = m->f.core;
    uint64_t id = ++m->f.ids;
    switch (any(m, 11)) {
    case 0:
        note(m, offer(m, node, id), id);
        break;
    case 1:
        note(m, cl_node_unregister(node, any_method(m), &(cl_op_spec){.id = id}), id);
        break;
    case 2:
        note(m, cl_node_send(node, any_peer(m), CL_STR("1"), &(cl_op_spec){.id = id}, 1), id);
        break;
    case 3:
        note(m, cl_node_status(node, &(cl_op_spec){.id = id}), id);
        break;
    case 4:
        cl_core_cancel(core, any_id(m));
        break;
    case 5:
        cl_core_answer(core, any_id(m), CL_STR_NONE, CL_STR("[]"));
        break;
    case 6:
        cl_core_choose(core, any_id(m), any(m, 4) ? any_peer(m) : CL_STR_NONE);
        break;
    case 10:
        note(m, cl_node_pause(node, any(m, 2) ? any_method(m) : CL_STR_NONE, (int)any(m, 2), &(cl_op_spec){.id = id}),
             id);
        break;
    case 7:
        cl_core_registered(core, any_id(m), any(m, 2) ? 0 : CLOUDS_EREDIS, "");
        break;
    case 8:
        cl_node_ready(node, any(m, 20) ? 0 : CLOUDS_EAUTH, "");
        break;
    default:
        close_one(m);
        break;
    }
}

static void suffer(monkey *m, cl_node *node)
{
    fake *f = &m->f;
    static const int sends[] = {0, 0, 0, 0, 0, CLOUDS_EUNREACHABLE, CLOUDS_ELIMIT, CLOUDS_ETOOBIG};
    switch (any(m, 10)) {
    case 0:
        list(m);
        break;
    case 1:
        cl_core_server_up(f->core, any_method(m), (cl_server){.id = any_peer(m), .native = (int)any(m, 2)});
        break;
    case 2:
        cl_core_server_down(f->core, any_method(m), any_peer(m));
        break;
    case 3:
        if (f->bus.way ^= 1) cl_core_peer_down(f->core, any_peer(m));
        else cl_core_way_lost(f->core, any_peer(m), (unsigned)f->now & 1);
        break;
    case 4:
        cl_core_peer_draining(f->core, any_peer(m));
        break;
    case 5:
        cl_core_bus(f->core, any(m, 4) != 0, CLOUDS_EUNREACHABLE, "");
        break;
    case 6:
        f->once = any(m, 2) ? "k" : NULL;
        fake_inbound(f, node, "c.9", "id", any(m, 2) ? "up" : "a", (unsigned)any(m, 8), any(m, 2) ? f->now + 50 : 0);
        break;
    case 7:
        if (f->n_sent) fake_delivery(f, (int)any(m, (uint64_t)f->n_sent), (enum cl_delivery)any(m, 4));
        break;
    case 8:
        status(m);
        break;
    default:
        f->send_code = sends[any(m, 8)];
        break;
    }
}

static void check_all(monkey *m, uint64_t seed)
{
    static unsigned char ended[IDS];
    memset(ended, 0, sizeof ended);
    for (int i = 0; i < m->f.n_events; i++) {
        const clouds_event *e = &m->f.events[i].e;
        if (e->id && e->id < IDS && e->type != CLOUDS_EVENT_REQUEST && e->type != CLOUDS_EVENT_FIND_SERVER)
            ended[e->id]++;
    }
    CHECK(m->f.n_events < FAKE_MAX);
    for (uint64_t id = 0; id < IDS; id++)
        if (!CHECK(ended[id] == m->accepted[id]))
            printf("# seed %llu: id %llu ended %d times\n", (unsigned long long)seed, (unsigned long long)id,
                   ended[id]);
}

static void play(uint64_t seed)
{
    static monkey m;
    m = (monkey){.state = seed};
    cl_core_config config = fake_core_config();
    cl_node_config node = fake_node_config("server");
    fake_open(&m.f, &config);
    for (int i = 0; i < NODES; i++) {
        node.find_server = node.remove_server = i == 2;
        m.nodes[i] = fake_node(&m.f, "s.0", &node);
    }
    for (int i = 0; i < STEPS; i++) {
        uint64_t what = any(&m, 10);
        if (what < 3) call(&m, any_node(&m));
        else if (what < 5) answer(&m, any_node(&m));
        else if (what < 7) act(&m, any_node(&m));
        else if (what < 9) suffer(&m, any_node(&m));
        else fake_advance(&m.f, (int64_t)any(&m, 300));
    }
    fake_advance(&m.f, 20000);
    for (int i = 0; i < NODES; i++) cl_core_node_closed(m.f.core, m.nodes[i]);
    check_all(&m, seed);
    fake_end(&m.f);
}

static void any_order_is_survived(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) play(seed);
}

int main(void)
{
    RUN(any_order_is_survived);
    return tap_end();
}
