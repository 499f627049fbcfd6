/* Commands meet the core. */
#include <stdio.h>
#include <string.h>

#include "api/config.h"
#include "api/internal.h"
#include "base/error.h"

static int do_call(const cl_command *c)
{
    return c->node->core ? cl_node_call(c->node->core, &c->call) : CLOUDS_ECLOSED;
}

CL_RARE static int stays_open(void)
{
    cl_facts facts = cl_error_facts();
    return cl_error_limit(CLOUDS_ELIMIT, facts.size, facts.limit,
                          "the answer cannot be queued now; the request stays open");
}

static int do_answer(cl_context *context, const cl_command *c)
{
    const cl_payload values = {c->answer.result, c->answer.meta, c->answer.bytes};
    int code = cl_core_answer_along(context->engine.core, c->id, c->answer.error, &values);
    return code == CLOUDS_ELIMIT ? stays_open() : code;
}

int cl_execute_answer(cl_context *context, uint64_t request, cl_str error, const cl_payload *result)
{
    unsigned serial = cl_error_serial();
    int code = cl_core_answer_along(context->engine.core, request, error, result);
    if (code == CLOUDS_ELIMIT) return stays_open();
    if (code != 0 && serial == cl_error_serial()) cl_error(code, NULL);
    return code;
}

/* The bus opens the address; what fails here is undone without an event. */
static int do_open(cl_context *context, cl_api_node *node)
{
    if (context->engine.close_begun) return CLOUDS_ECLOSED;
    int code = cl_node_create(context->engine.core, cl_str_z(node->id), &node->config, node, &node->core);
    if (code != 0) return code;
    context->engine.nodes++;
    code = cl_node_open(node->core, node->heartbeat);
    if (code == 0) return 0;
    node->open_failed = 1;
    cl_core_node_closed(context->engine.core, node->core);
    node->open_failed = 0;
    return code;
}

static int do_configure(const cl_command *c)
{
    cl_api_node *node = c->node;
    for (size_t at = 0; at + sizeof(cl_config_change) <= c->change.text.n; at += sizeof(cl_config_change)) {
        cl_config_change change;
        memcpy(&change, c->change.text.p + at, sizeof change);
        cl_config_apply(&node->config, &change);
    }
    cl_node_configure(node->core, &node->config);
    return 0;
}

/* When the context closes already, its end of the node is this one's too. */
static int do_close_node(cl_context *context, const cl_command *c)
{
    cl_api_node *node = c->node;
    node->close_id = c->id;
    node->close_user_data = c->user_data;
    if (!node->core && node->promised == 0) return CLOUDS_ECLOSED; /* its end was reported already */
    if (!node->core) return cl_deliver_end(context, node), 0;      /* it never opened */
    return cl_node_is_closing(node->core) ? 0 : cl_node_close(node->core, c->close.drain);
}

static int do_destroy(cl_api_node *node, int no_close_event)
{
    if (!node->core) {
        cl_api_node_free(node);
        return 0;
    }
    /* The rest happens when the bus gave up the address. */
    node->destroyed = 1;
    if (no_close_event) node->no_close_event = 1;
    if (!cl_node_is_closing(node->core)) cl_node_close(node->core, 0);
    return 0;
}

static int do_close(cl_context *context, const cl_command *c)
{
    double drain = c->close.drain;
    context->engine.close_begun = 1;
    context->engine.close_id = c->id;
    context->engine.close_user_data = c->user_data;
    CL_LIST_EACH(it, &context->inbox.nodes)
    {
        cl_api_node *node = CL_OWNER(it, cl_api_node, link);
        if (node->core && !cl_node_is_closing(node->core)) cl_node_close(node->core, drain);
    }
    if (context->engine.nodes == 0) context->engine.finish_due = 1;
    return 0;
}

/* The limits are bytes behind the command, so they are not aligned. */
static int do_register(cl_node *node, const cl_command *c)
{
    cl_offer_spec limits;
    cl_str bytes = c->operation.value;
    if (bytes.n) memcpy(&limits, bytes.p, sizeof limits);
    return cl_node_offer_schema(node, c->operation.name, bytes.n ? &limits : NULL, c->operation.meta, &c->operation.spec);
}

static int with_node(cl_context *context, const cl_command *c)
{
    cl_api_node *node = c->node;
    if (!node->core) return CLOUDS_ECLOSED;
    const cl_op_spec *spec = &c->operation.spec;
    switch (c->kind) {
    case CL_DO_CONFIGURE:
        return do_configure(c);
    case CL_DO_SEND:
        return cl_node_send_along(node->core, c->operation.name,
                                  &(cl_payload){c->operation.value, c->operation.meta, c->operation.bytes}, spec,
                                  c->operation.confirm);
    case CL_DO_REGISTER:
        return do_register(node->core, c);
    case CL_DO_PAUSE:
        return cl_node_pause(node->core, c->operation.name, c->operation.confirm, spec);
    case CL_DO_LINKS:
        return cl_node_links(node->core, spec);
    case CL_DO_STATS:
        return cl_node_stats(node->core, spec);
    case CL_DO_UNREGISTER:
        return cl_node_unregister(node->core, c->operation.name, spec);
    case CL_DO_PUBLISH:
        return cl_node_publish(node->core, c->operation.name,
                               &(cl_payload){c->operation.value, c->operation.meta, c->operation.bytes},
                               c->operation.trace, spec, c->operation.confirm);
    case CL_DO_ASK:
        return cl_node_ask(node->core, c->operation.name, c->operation.meta, c->operation.value, spec);
    case CL_DO_SUBSCRIBE:
        return cl_node_subscribe(node->core, &c->subscribe);
    case CL_DO_END_SPAN:
        return cl_trace_end(node->core, &c->own.span);
    case CL_DO_EXPLAIN:
        return cl_node_explain(node->core, c->operation.name, spec);
    default:
        return cl_node_status(node->core, spec);
    }
}

/* That the core does not know it any more is nobody's fault: it was closed, or its timer was first. */
static int do_refuse(cl_context *context, uint64_t request, int code)
{
    cl_deliver_forget(context, request);
    return cl_core_refuse(context->engine.core, request, code);
}

static int dispatch(cl_context *context, const cl_command *c)
{
    switch (c->kind) {
    case CL_DO_CANCEL:
        return cl_core_cancel(context->engine.core, c->id);
    case CL_DO_UNSUBSCRIBE:
        return cl_core_unsubscribe(context->engine.core, c->id);
    case CL_DO_ANSWER:
        return do_answer(context, c);
    case CL_DO_REFUSE:
        return do_refuse(context, c->id, c->refusal.code);
    case CL_DO_CHOOSE:
        return cl_core_choose(context->engine.core, c->id, c->change.text);
    case CL_DO_ATTEMPT:
        return cl_core_attempt(context->engine.core, c->id, c->change.text,
                               c->change.with_bytes ? &c->change.bytes : NULL);
    case CL_DO_OPEN:
        return do_open(context, c->node);
    case CL_DO_CLOSE_NODE:
        return do_close_node(context, c);
    case CL_DO_DESTROY:
        return do_destroy(c->node, c->close.no_event);
    case CL_DO_CLOSE:
        return do_close(context, c);
    default:
        return with_node(context, c);
    }
}

int cl_execute(cl_context *context, const cl_command *command)
{
    unsigned serial = cl_error_serial();
    int code = command->kind == CL_DO_CALL ? do_call(command) : dispatch(context, command);
    if (code != 0 && serial == cl_error_serial()) cl_error(code, NULL);
    return code;
}
