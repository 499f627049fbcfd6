/* What the end of a node and of a context says: CLOUDS_EVENT_NODE_CLOSED and CLOUDS_EVENT_CONTEXT_CLOSED. */
#include "api/inside.h"

static const char *kind, *mode;

static void check_end(const clouds_event *e, uint64_t operation, int code)
{
    CHECK(e->id == operation);
    CHECK_INT(e->code, code);
    CHECK_INT(e->outcome, code ? CLOUDS_OUTCOME_NOT_DONE : CLOUDS_OUTCOME_OK);
    CHECK_INT(e->error_len > 0, code != 0);
}

static void check_context_end(clouds_context *context)
{
    clouds_event e;
    uint64_t operation = 0;
    CHECK_INT(clouds_context_close(context, 0, NULL, &operation), 0);
    CHECK_INT(kit_await(context, NULL, CLOUDS_EVENT_CONTEXT_CLOSED, &e), 1);
    check_end(&e, operation, 0);
    CHECK_INT(kit_next(context, &e, 0), CLOUDS_ECLOSED);
    clouds_context_destroy(context);
}

static void in_order(void)
{
    clouds_context *context = kit_context(kit_url(kind), mode);
    clouds_node *node = kit_node(context, "server");
    clouds_event e;
    uint64_t operation = 0;
    CHECK_INT(kit_register(context, node, "silent"), 0);
    CHECK_INT(clouds_node_close(node, 0, NULL, &operation), 0);
    CHECK_INT(kit_await(context, NULL, CLOUDS_EVENT_NODE_CLOSED, &e), 1);
    check_end(&e, operation, 0);
    CHECK_INT(e.number, 0);
    CHECK_INT(clouds_node_close(node, 0, NULL, NULL), CLOUDS_ECLOSED);
    check_context_end(context);
}

/* Requests that are left at the drain limit are a number, no error. */
static void with_requests_left(void)
{
    kit_pair p = kit_open(kind, mode, mode);
    clouds_event e;
    uint64_t operation = 0;
    for (int i = 0; i < 2; i++) kit_call(p.client_node, "silent", "[]", NULL);
    for (int i = 0; i < 2; i++) {
        double until = kit_now() + KIT_PATIENCE;
        int n = 0;
        while (n == 0 && kit_now() < until) kit_next(p.client, &e, 0), n = kit_next(p.server, &e, 0.002);
        REQUIRE(n == 1);
        CHECK_INT(e.type, CLOUDS_EVENT_REQUEST);
    }
    CHECK_INT(clouds_node_close(p.server_node, 0, NULL, &operation), 0);
    CHECK_INT(kit_await(p.server, NULL, CLOUDS_EVENT_NODE_CLOSED, &e), 1);
    check_end(&e, operation, 0);
    CHECK_INT(e.number, 2);
    kit_close(&p);
}

/* A node whose id is another's has nothing to give up: READY says why it never opened, its end is as any other. */
static void never_opened(int same_context)
{
    const char *url = kit_url(kind);
    clouds_context *context = kit_context(url, mode), *other = same_context ? context : kit_context(url, "thread");
    clouds_event e;
    uint64_t operation = 0;
    clouds_node *second = NULL;
    kit_node_of(other, KIT_OPTIONS("type", "server", "id", "taken"));
    REQUIRE(kit_await(other, NULL, CLOUDS_EVENT_READY, &e) == 1);
    CHECK_INT(e.code, 0);
    clouds_options *options = KIT_OPTIONS("type", "server", "id", "taken");
    int code = clouds_node_create(context, options, &second);
    clouds_options_destroy(options);
    if (code == 0) { /* else the refusal was an error of the function itself, and there is no node to close */
        REQUIRE(kit_await(context, NULL, CLOUDS_EVENT_READY, &e) == 1);
        code = e.code;
        CHECK_INT(clouds_node_close(second, 0, NULL, &operation), 0);
        CHECK_INT(kit_await(context, NULL, CLOUDS_EVENT_NODE_CLOSED, &e), 1);
        check_end(&e, operation, 0);
        CHECK(e.node == second);
        CHECK_INT(e.number, 0);
    }
    CHECK_INT(code, CLOUDS_EEXIST);
    check_context_end(context);
    if (!same_context) clouds_context_destroy(other);
}

static void of_a_node_that_never_opened(void)
{
    never_opened(0);
    never_opened(1);
}


static void waited_for(void)
{
    clouds_context *context = kit_context(kit_url(kind), mode);
    clouds_node *node = kit_node(context, "server");
    const clouds_operation_options wait = {.size = sizeof wait, .flags = CLOUDS_OPERATION_WAIT};
    clouds_event e = {0};
    uint64_t operation = 0;
    CHECK_INT(clouds_node_close(node, 0, &wait, &operation), 0);
    CHECK_INT(clouds_wait(context, operation, KIT_PATIENCE, &e, sizeof e), 1);
    CHECK_INT(e.type, CLOUDS_EVENT_NODE_CLOSED);
    check_end(&e, operation, 0);
    CHECK_INT(clouds_context_close(context, 0, &wait, &operation), 0);
    CHECK_INT(clouds_wait(context, operation, KIT_PATIENCE, &e, sizeof e), 1);
    CHECK_INT(e.type, CLOUDS_EVENT_CONTEXT_CLOSED);
    check_end(&e, operation, 0);
    clouds_context_destroy(context);
}

static void set_closing(clouds_context *handle, int closing)
{
    cl_context *context = cl_handle_enter(handle, CL_HANDLE_CONTEXT);
    atomic_store(&context->closing, closing);
    cl_handle_leave(handle);
}

/* Two threads at once: the close of the node was accepted before that of the context, and comes to the engine when the
 * node is gone. Its operation has an end of its own. */
static void behind_the_close_of_its_context(void)
{
    clouds_context *context = kit_context(kit_url(kind), mode);
    clouds_node *node = kit_node(context, "server"), *busy = kit_node(context, "server");
    clouds_node *caller = kit_node(context, "client");
    clouds_event e;
    uint64_t operation = 0;
    CHECK_INT(kit_register(context, busy, "silent"), 0);
    kit_call(caller, "silent", "[]", NULL);
    CHECK_INT(kit_await(context, NULL, CLOUDS_EVENT_REQUEST, &e), 1);
    uint64_t request = e.id;
    CHECK_INT(clouds_context_close(context, KIT_PATIENCE, NULL, NULL), 0);
    do CHECK_INT(kit_await(context, NULL, CLOUDS_EVENT_NODE_CLOSED, &e), 1);
    while (e.node != node && e.node);
    CHECK_INT(e.code, 0);
    set_closing(context, 0);
    int code = clouds_node_close(node, 0, NULL, &operation);
    set_closing(context, 1);
    if (code == 0) { /* in inline mode the function says it itself */
        CHECK_INT(kit_await(context, NULL, CLOUDS_EVENT_NODE_CLOSED, &e), 1);
        while (e.id != operation && kit_await(context, NULL, CLOUDS_EVENT_NODE_CLOSED, &e) == 1) {}
        check_end(&e, operation, CLOUDS_ECLOSED);
        code = e.code;
    }
    CHECK_INT(code, CLOUDS_ECLOSED);
    CHECK_INT(clouds_reply(context, request, "[]", 2), 0);
    CHECK_INT(kit_await(context, NULL, CLOUDS_EVENT_CONTEXT_CLOSED, &e), 1);
    clouds_context_destroy(context);
}

static void tests(void)
{
    RUN(in_order);
    RUN(with_requests_left);
    RUN(of_a_node_that_never_opened);
    RUN(waited_for);
    RUN(behind_the_close_of_its_context);
}

int main(int argc, char **argv)
{
    if (argc < 2) return 2;
    kind = argv[1];
    kit_modes(&mode, tests);
    return kit_end();
}
