/* The error of every event that failed is a JSON object with message and code. The cluster is a Redis that is not there. */
#include "api/kit.h"
#include "proto/json.h"

static const char *mode;
static clouds_context *context;
static clouds_node *node;

static void open_nowhere(void)
{
    context = kit_context("redis://127.0.0.1:1", mode);
    node = kit_node_of(context, KIT_OPTIONS("type", "base", "operation_timeout", "0.05"));
}

static int has(const clouds_event *e, const char *text)
{
    return memmem(e->error, e->error_len, text, strlen(text)) != NULL;
}

static void check_object(const clouds_event *e)
{
    char code[80];
    snprintf(code, sizeof code, "\"code\":\"%s\"", clouds_err_name(e->code));
    CHECK(e->code < 0);
    CHECK_INT(cl_json_check(cl_str_of(e->error, e->error_len), '{', (cl_json_limits){.depth = 8, .values = 64}), 0);
    int whole = has(e, "\"message\":\"") && has(e, code);
    CHECK(whole);
    if (!whole) printf("# %.*s\n", (int)e->error_len, e->error);
}

static void check_event(uint32_t type)
{
    clouds_event e = {0};
    REQUIRE(kit_await(context, NULL, type, &e) == 1);
    check_object(&e);
}

static void of_the_bus(void)
{
    open_nowhere();
    check_event(CLOUDS_EVENT_BUS_DOWN);
    clouds_context_destroy(context);
}

static void of_operations(void)
{
    open_nowhere();
    CHECK_INT(clouds_node_register(node, "m", 1, NULL, NULL), 0);
    check_event(CLOUDS_EVENT_REGISTERED);
    CHECK_INT(clouds_node_unregister(node, "m", 1, NULL, NULL), 0);
    check_event(CLOUDS_EVENT_UNREGISTERED);
    CHECK_INT(clouds_node_status(node, NULL, NULL), 0);
    check_event(CLOUDS_EVENT_STATUS);
    uint64_t sent = 0;
    CHECK_INT(clouds_node_send(node, "x", 1, "1", 1, CLOUDS_SEND_CONFIRM, NULL, &sent), 0);
    check_event(CLOUDS_EVENT_SENT);
    clouds_context_destroy(context);
}

static void of_calls(void)
{
    const clouds_call_options brief = {.size = sizeof brief, .deadline = 0.05};
    open_nowhere();
    kit_call(node, "m", "[]", &brief);
    check_event(CLOUDS_EVENT_RESULT);
    CHECK_INT(clouds_cancel(context, kit_call(node, "m", "[]", NULL)), 0);
    check_event(CLOUDS_EVENT_RESULT);
    clouds_context_destroy(context);
}

/* A node that closes before it ever listened. */
static void of_nodes(void)
{
    open_nowhere();
    CHECK_INT(clouds_node_close(node, 0, NULL, NULL), 0);
    check_event(CLOUDS_EVENT_READY);
    clouds_context_destroy(context);
}

static void in_each_mode(void)
{
    RUN(of_the_bus);
    RUN(of_operations);
    RUN(of_calls);
    RUN(of_nodes);
}

int main(void)
{
    kit_modes(&mode, in_each_mode);
    return kit_end();
}
