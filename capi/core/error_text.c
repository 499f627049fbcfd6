#include "core/internal.h"
#include "proto/error_object.h"
#include "proto/url.h"

#include <stdio.h>

/* The error objects of the library: what each says of a call, an operation, a node, the bus. */

static cl_str object(cl_core *core, int code, cl_str message, const cl_facts *facts)
{
    cl_buf_clear(&core->scratch);
    if (cl_error_object(&core->scratch, code, message, facts) == 0) return cl_buf_str(&core->scratch);
    return CL_STR("{\"message\":\"out of memory\",\"code\":\"CLOUDS_OUT_OF_MEMORY\"}");
}

static cl_str text_of(int code)
{
    return cl_str_z(clouds_strerror(code));
}

cl_str cl_error_text_of_code(cl_core *core, int code)
{
    return object(core, code, text_of(code), &(cl_facts){0});
}

cl_str cl_error_text_last(cl_core *core, int code)
{
    cl_facts facts = cl_error_facts();
    return object(core, code, cl_str_z(clouds_last_error()), &facts);
}

/* ---- messages: the parts in a row, without the empty ones' lead */

static cl_buf *begin(cl_core *core, cl_str text)
{
    cl_buf_clear(&core->message);
    cl_buf_put_str(&core->message, text); /* without memory for all of it a message is shorter */
    return &core->message;
}

static void add(cl_buf *message, const char *lead, cl_str text)
{
    if (text.n && cl_buf_put_str(message, cl_str_z(lead)) == 0) cl_buf_put_str(message, text);
}

/* Why it is so, behind what may end with the cluster. */
static void add_why(cl_buf *message, cl_str text)
{
    message->len = cl_url_before_colon(cl_buf_str(message)).n;
    add(message, ": ", text);
}

static cl_str bus_text(const cl_core *core)
{
    return core->bus_up ? CL_STR_NONE : cl_str_z(core->bus_text);
}

static void add_expired(cl_buf *message, const cl_core *core, const cl_facts *facts)
{
    cl_str away = bus_text(core);
    cl_buf_put_str(message, CL_STR("the deadline passed before "));
    cl_buf_put_str(message, facts->method);
    cl_buf_put_str(message, CL_STR(" was sent"));
    if (away.n) add(message, ": ", away);
    else add(message, " on ", facts->cluster);
}

/* What servers say themselves is ahead of the list. */
static void add_paused(cl_buf *message, const cl_call *call)
{
    uint32_t listed = call->method->paused_n, n = call->paused_n > listed ? call->paused_n : listed;
    char why[40];
    snprintf(why, sizeof why, "%u %s paused", n, n == 1 ? "server is" : "servers are");
    if (n) add_why(message, cl_str_z(why));
}

static int begins_with(cl_str text, cl_str lead)
{
    return text.n >= lead.n && cl_str_eq(cl_str_of(text.p, lead.n), lead);
}

/* Over Redis nobody hears a question who reads no frames. */
static void add_unasked(cl_buf *message, const cl_facts *facts)
{
    if (!begins_with(facts->cluster, CL_STR("redis"))) return;
    cl_buf_put_str(message, CL_STR(": it is not there, or a node of npm clouds 0.1, which answers no questions"));
}

static void describe_call(const cl_call *call, int code, const cl_facts *facts)
{
    cl_core *core = call->node->core;
    cl_buf *message = begin(core, CL_STR_NONE);
    if (code == CLOUDS_EEXPIRED) {
        add_expired(message, core, facts);
        return;
    }
    if (call->node->state == CL_NODE_FAILED) {
        cl_buf_put_str(message, facts->method);
        add(message, " was not sent: ", cl_str_z(call->node->failure_text));
        return;
    }
    int no_answer = code == CLOUDS_ETIMEOUT, lost = code == CLOUDS_ELOST;
    cl_buf_put_str(message, text_of(code));
    if (code == CLOUDS_ENOSERVER) {
        if (call->pinned) add(message, " ", facts->server);
        add(message, " for ", facts->method);
        add(message, " on ", facts->cluster);
        if (call->question) add_unasked(message, facts);
        if (!call->pinned) add_paused(message, call);
        return;
    } else if (no_answer || lost) {
        add(message, no_answer ? ": no answer to " : " to ", facts->method);
        add(message, " from ", facts->server);
    } else {
        add(message, ": ", facts->method);
        add(message, " at ", facts->server);
    }
    add(message, " on ", facts->cluster);
}

cl_str cl_error_text_of_call(const cl_call *call, int code, int said)
{
    cl_core *core = call->node->core;
    cl_facts facts = {0};
    if (said) facts = cl_error_facts();
    facts.method = call->question ? cl_ask_word(call) : call->method->name;
    if (call->peer && (call->sends || call->pinned)) facts.server = call->peer->id;
    facts.cluster = core->cluster;
    if (!said) {
        describe_call(call, code, &facts);
    } else {
        add(begin(core, facts.method), ": ", cl_str_z(clouds_last_error()));
        add(&core->message, " on ", core->cluster);
    }
    return object(core, code, cl_buf_str(&core->message), &facts);
}

/* Ends the message with the cluster and the reason, which may name the cluster itself. */
static void add_reason(cl_core *core, int code, const char *why)
{
    int away = code == CLOUDS_EUNREACHABLE || code == CLOUDS_ETIMEOUT || code == core->bus_code;
    cl_str known = away ? bus_text(core) : CL_STR_NONE;
    cl_str reason = why && *why ? cl_str_z(why) : known.n ? known : text_of(code);
    if (!begins_with(reason, core->cluster)) add(&core->message, " on ", core->cluster);
    add_why(&core->message, reason);
}

cl_str cl_error_text_of_op(const cl_op *op, int code, const char *why)
{
    static const char *const begins[] = {"cannot register ", "cannot unregister ",   "cannot send to ", "no status",
                                         "cannot publish ",  "cannot subscribe to ", "cannot pause ", "cannot explain "};
    cl_core *core = op->node->core;
    cl_facts facts = {.node = op->kind == CL_OP_SEND ? op->text : op->node->id, .cluster = core->cluster};
    if (op->kind == CL_OP_REGISTER || op->kind == CL_OP_UNREGISTER || op->kind == CL_OP_PAUSE ||
        op->kind == CL_OP_EXPLAIN)
        facts.method = op->text;
    cl_buf *message = begin(core, cl_str_z(begins[op->kind]));
    size_t before = message->len;
    cl_buf_put_str(message, op->text);
    if (op->kind == CL_OP_SUBSCRIBE) /* one a line */
        for (size_t i = before; i < message->len; i++)
            if (message->data[i] == '\n') message->data[i] = ',';
    add_reason(core, code, why);
    return object(core, code, cl_buf_str(&core->message), &facts);
}

cl_str cl_error_text_of_node(const cl_node *node, int code, const char *why)
{
    cl_core *core = node->core;
    const cl_facts facts = {.node = node->id, .cluster = core->cluster};
    cl_buf_put_str(begin(core, node->id), CL_STR(" does not listen"));
    add_reason(core, code, why);
    return object(core, code, cl_buf_str(&core->message), &facts);
}

cl_str cl_error_text_of_bus(cl_core *core, int code, const char *why)
{
    return object(core, code, cl_str_z(why), &(cl_facts){.cluster = core->cluster});
}
