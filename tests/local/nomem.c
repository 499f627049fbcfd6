/* Each allocation is made to fail in turn, once and from then on: the buses of this folder end in order, leak nothing,
 * and leave no files. Run it under the address sanitizer. */
#include <dirent.h>
#include <unistd.h>

#include "local/folder.h"
#include "local/side.h"

enum { FEW = 15, MANY = 5000 };

static long countdown, calls;
static int for_ever;

static void *meter(void *self, void *block, size_t size)
{
    if (size == 0) {
        free(block);
        return NULL;
    }
    calls++;
    if (countdown > 0 && --countdown == 0) {
        if (for_ever) countdown = 1;
        return NULL;
    }
    return realloc(block, size);
}

static int node_a, node_b, went_well, turns;

/* Turns until it holds, or often enough to be sure that it never will: all is in this process, and waits for no other.
 */
#define SOON(a, b, condition)                                                                                          \
    for (int soon = 0; soon < turns && !(condition); soon++) {                                                         \
        cl_loop_run((a)->loop, 1);                                                                                     \
        cl_loop_run((b)->loop, 0);                                                                                     \
    }

static void use(side *a, side *b)
{
    const cl_bus_ops *ops = a->bus->ops;
    if (ops->node_open(a->bus, &node_a, CL_STR("s.1"), 1) != 0 ||
        ops->node_open(b->bus, &node_b, CL_STR("c.1"), 1) != 0)
        return;
    SOON(a, b, a->ready && b->ready);
    if (!a->ready || !b->ready || a->ready_code || b->ready_code) return;
    ops->lookup(b->bus, CL_STR("m"), 0); /* it hears of the method from now on */
    SOON(a, b, b->lists);
    int refused = ops->register_method(a->bus, &node_a, CL_STR("m"), 1) != 0;
    SOON(a, b, refused || (a->registered && b->server_ups));
    ops->lookup(b->bus, CL_STR("m"), 0);
    ops->status(b->bus, 2);
    SOON(a, b, b->lists == 2 && b->status_ends);
    if (refused && b->lists == 2) CHECK_INT(b->list_n, 0); /* what failed is not there either */
    a->answer = 1;
    side_call(b, &node_b, "c.1", "s.1", "[1,2]", 3);
    side_message(b, &node_b, "c.1", "s.1", "1", 4);
    SOON(a, b, b->envelopes || b->deliveries[CL_DELIVERY_NOT_SENT]);
    ops->node_drain(a->bus, &node_a);
    ops->node_close(a->bus, &node_a);
    SOON(a, b, a->node_closed);
    ops->close(a->bus);
    ops->close(b->bus);
    SOON(a, b, a->closed && b->closed);
    went_well = b->envelopes == 1 && a->closed && b->closed;
}

static void scenario(int kind)
{
    const cl_loop_hooks hooks = {0};
    cl_loop *probe = NULL;
    went_well = 0;
    if (cl_loop_create(&hooks, &probe) != 0) return;
    cl_loop_close(probe);
    static side a, b;
    long keep = countdown; /* side_start ends the program when there is no loop */
    countdown = 0;
    a = (side){0}, b = (side){0};
    const cl_limits limits = side_limits();
    if (side_start(&a, kind, "t", &limits) != 0 || side_start(&b, kind, "t", &limits) != 0) exit(95);
    countdown = keep;
    use(&a, &b);
    side_end(&a);
    side_end(&b);
}

static void creation(int kind)
{
    const cl_limits limits = side_limits();
    const cl_bus_sink sink = {0};
    const cl_url url = {.kind = kind, .name = (char *)(size_t) "t"};
    const cl_loop_hooks hooks = {0};
    cl_loop *loop = NULL;
    cl_bus *bus = NULL;
    if (cl_loop_create(&hooks, &loop) != 0) return;
    went_well = cl_bus_create(loop, &url, &limits, &sink, &bus) == 0;
    cl_loop_close(loop);
    if (bus) bus->ops->destroy(bus);
}

static void fail_each(void (*what)(int kind), int kind)
{
    cl_mem_hook(meter, NULL);
    countdown = 0;
    calls = 0;
    turns = MANY;
    what(kind);
    CHECK(went_well);
    turns = FEW;
    long most = calls;
    CHECK(most > 3);
    for (for_ever = 0; for_ever < 2; for_ever++) {
        for (long n = 1; n <= most; n++) {
            countdown = n;
            what(kind);
            countdown = 0;
            CHECK_INT(files_left(), 0);
        }
    }
    turns = MANY;
    what(kind);
    CHECK(went_well);
    cl_mem_hook(NULL, NULL);
}

static void local_creation(void)
{
    fail_each(creation, CL_URL_LOCAL);
}

static void local_use(void)
{
    fail_each(scenario, CL_URL_LOCAL);
}

static void inproc_creation(void)
{
    fail_each(creation, CL_URL_INPROC);
}

static void inproc_use(void)
{
    fail_each(scenario, CL_URL_INPROC);
}

int main(void)
{
    folder_begin();
    RUN(local_creation);
    RUN(local_use);
    RUN(inproc_creation);
    RUN(inproc_use);
    return folder_end();
}
