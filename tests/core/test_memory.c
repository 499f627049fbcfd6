#include "fake.h"

#include "base/mem.h"

/* Every allocation of core made to fail in turn, once and from then on, over one life: nothing leaks, and every
 * accepted call and operation still ends exactly once. */

static long at_count, fail_at, blocks;
static int fail_on;

static void *failing(void *user_data, void *block, size_t size)
{
    if (size == 0) {
        blocks -= block != NULL;
        free(block);
        return NULL;
    }
    at_count++;
    if (fail_at && (at_count == fail_at || (fail_on && at_count > fail_at))) return NULL;
    void *p = realloc(block, size);
    blocks += p && !block;
    return p;
}

enum { ACCEPTED_MAX = 64 };
static uint64_t accepted[ACCEPTED_MAX], operations[ACCEPTED_MAX];
static int n_accepted, n_operations;

static void try_call(fake *f, cl_call_spec spec)
{
    uint64_t id = fake_call_spec(f, spec);
    if (id) accepted[n_accepted++] = id;
}

static void note_operation(int code, uint64_t id)
{
    if (code == 0) operations[n_operations++] = id;
}

static void make_calls(fake *f)
{
    static char big[1000];
    memset(big, ' ', sizeof big);
    big[0] = '[', big[sizeof big - 1] = ']';
    try_call(f, (cl_call_spec){.method = CL_STR("m")});
    try_call(f, (cl_call_spec){.method = CL_STR("m"), .args = cl_str_of(big, sizeof big)});
    try_call(f, (cl_call_spec){.method = CL_STR("k"), .retries = 2});
    try_call(f, (cl_call_spec){.method = CL_STR("k"), .server = CL_STR("p.1")});
}

static void let_others_act(fake *f)
{
    fake_servers(f, "m", "s.1,s.2,s.3,s.4,s.5,s.6,s.7");
    fake_servers(f, "k", "n.1,n.2");
    for (int i = 0; i < f->n_sent && i < 12; i++) fake_refuse(f, i, CLOUDS_EDRAINING);
    make_calls(f);
    for (int i = 0; i < f->n_sent; i++)
        if (i % 3) fake_answer(f, i, i % 2 ? "{\"0\":\"x\"}" : "", "[1]");
    cl_core_server_up(f->core, CL_STR("m"), (cl_server){.id = CL_STR("s.9"), .native = 1});
    cl_core_peer_down(f->core, CL_STR("s.9"));
    cl_str methods[] = {CL_STR("m"), CL_STR("k")};
    cl_server servers[] = {{.id = CL_STR("s.1"), .native = 1}, {.id = CL_STR("n.1"), .native = 0}};
    cl_core_status(f->core, 10, methods, servers, 2, 0, 0);
    cl_core_status(f->core, 10, NULL, NULL, 0, 1, 0);
}

static void serve_some(fake *f)
{
    char id[200];
    memset(id, 'i', sizeof id - 1);
    id[sizeof id - 1] = 0;
    uint64_t first = fake_inbound(f, f->node, "c.9", "short", "up", CL_NATIVE, 0);
    uint64_t second = fake_inbound(f, f->node, "c.9", id, "up", 0, 0);
    fake_inbound(f, f->node, "c.9", "left", "up", 0, 0);
    if (first) CHECK_INT(cl_core_answer(f->core, first, CL_STR_NONE, CL_STR("[]")), 0);
    if (second) CHECK_INT(cl_core_answer(f->core, second, CL_STR_NONE, CL_STR("[]")), 0);
}

static void serve_once(fake *f)
{
    f->once = "key";
    uint64_t first = fake_inbound(f, f->node, "c.9", "first", "up", CL_NATIVE | CL_FRAMES, 0);
    fake_inbound(f, f->node, "c.9", "again", "up", CL_NATIVE | CL_FRAMES, 0);
    if (first) CHECK_INT(cl_core_answer(f->core, first, CL_STR_NONE, CL_STR("[]")), 0);
    fake_inbound(f, f->node, "c.9", "late", "up", CL_NATIVE | CL_FRAMES, 0);
    f->once = NULL;
}

static void serve_with_limits(fake *f)
{
    const cl_offer_spec limits = {.concurrency = 2,
                                  .key_arg = 1,
                                  .queue = 3,
                                  .age = 100,
                                  .target = 5,
                                  .rate = 100,
                                  .burst = 100,
                                  .caller_rate = 1,
                                  .caller_burst = 9};
    note_operation(cl_node_offer(f->node, CL_STR("few"), &limits, &(cl_op_spec){.id = 12}), 12);
    cl_core_registered(f->core, 12, 0, NULL);
    uint64_t first = fake_inbound(f, f->node, "c.9", "short", "few", CL_NATIVE, 0);
    for (int i = 0; i < 5; i++) fake_inbound_args(f, f->node, "c.9", "x", "few", i % 2 ? "[7]" : "[8]", 0, f->now + 50);
    if (first) CHECK_INT(cl_core_answer(f->core, first, CL_STR_NONE, CL_STR("[]")), 0);
    fake_advance(f, 20);
}

static void hedge(fake *f)
{
    const cl_call_spec spec = {.method = CL_STR("h"), .args = CL_STR("[]"), .hedge = -0.001, .once = CL_STR("key")};
    for (int i = 0; i < 21; i++) {
        try_call(f, spec);
        if (i == 0) fake_servers(f, "h", "f.1,f.2");
        if (f->n_sent && i < 20) fake_answer(f, f->n_sent - 1, "", "[1]");
    }
    fake_advance(f, 20);
    if (f->n_sent) fake_answer(f, f->n_sent - 1, "", "[1]");
}

static void live(fake *f)
{
    cl_core_config config = fake_core_config();
    cl_node_config node = fake_node_config("server");
    if (fake_open(f, &config) != 0) return;
    f->node = fake_node(f, "c.1", &node);
    if (!f->node) return;
    note_operation(cl_node_register(f->node, CL_STR("up"), &(cl_op_spec){.id = 7}), 7);
    cl_core_registered(f->core, 7, 0, NULL);
    note_operation(cl_node_send(f->node, CL_STR("b.1"), CL_STR("1"), &(cl_op_spec){.id = 8}, 1), 8);
    cl_node_send(f->node, CL_STR("b.1"), CL_STR("1"), &(cl_op_spec){.id = 0}, 0);
    make_calls(f);
    cl_core_bus(f->core, 1, 0, NULL);
    cl_node_ready(f->node, 0, NULL);
    note_operation(cl_node_status(f->node, &(cl_op_spec){.id = 10}), 10);
    let_others_act(f);
    serve_some(f);
    serve_once(f);
    serve_with_limits(f);
    note_operation(cl_node_unregister(f->node, CL_STR("up"), &(cl_op_spec){.id = 11}), 11);
    hedge(f);
    fake_advance(f, 3000);
    make_calls(f);
    cl_node_close(f->node, 1);
    fake_advance(f, 2000);
    cl_core_node_closed(f->core, f->node);
    CHECK_INT(fake_count(f, CLOUDS_EVENT_NODE_CLOSED), 1);
}

static int events_with_id(const fake *f, uint64_t id)
{
    int n = 0;
    for (int i = 0; i < f->n_events; i++) n += f->events[i].e.id == id && f->events[i].e.type != CLOUDS_EVENT_REQUEST;
    return n;
}

/* Returns the number of allocations. */
static long one_life(long which, int from_then_on)
{
    fake f = {0};
    n_accepted = n_operations = 0;
    at_count = 0, fail_at = which, fail_on = from_then_on;
    live(&f);
    for (int i = 0; i < n_accepted; i++) CHECK_INT(fake_results(&f, accepted[i]), 1);
    for (int i = 0; i < n_operations; i++) CHECK_INT(events_with_id(&f, operations[i]), 1);
    fake_end(&f);
    if (!CHECK(blocks == 0))
        printf("# allocation %ld%s: %ld blocks left\n", which, from_then_on ? " and on" : "", blocks);
    return at_count;
}

static void each_allocation_fails_once(void)
{
    long n = one_life(0, 0);
    CHECK(n > 40);
    CHECK_INT(n_accepted, 33);
    CHECK_INT(n_operations, 5);
    for (long i = 1; i <= n; i++) one_life(i, 0);
}

static void all_allocations_fail_from_one_on(void)
{
    long n = one_life(0, 0);
    for (long i = 1; i <= n; i++) one_life(i, 1);
}

int main(void)
{
    cl_mem_hook(failing, NULL);
    RUN(each_allocation_fails_once);
    RUN(all_allocations_fail_from_one_on);
    cl_mem_hook(NULL, NULL);
    return tap_end();
}
