/* Answers, to who waits for one: a result that is sent, or one that is published where its caller wants it. */
#include "base/error.h"
#include "core/internal.h"
#include "proto/meta.h"

cl_caller cl_caller_of(const cl_envelope *e)
{
    cl_caller caller = {.id = e->from, .wire_id = e->id, .link = e->link};
    caller.flags = e->flags & (CL_NATIVE | CL_FRAMES | CL_NOTIFY);
    if (e->extension) caller.reply_to = e->extension->reply_to, caller.correlation = e->extension->correlation;
    return caller;
}

/* ---- published: {"result":[...]} or {"error":{...}}, where an error may have values beside it */

static int put_value(cl_buf *out, cl_str error, cl_str result)
{
    int has_values = result.n && !cl_str_eq(result, CL_STR("[]"));
    int code = cl_buf_put_char(out, '{');
    if (code == 0 && error.n) code = cl_buf_put_str(out, CL_STR("\"error\":"));
    if (code == 0 && error.n) code = cl_buf_put_str(out, error);
    if (code == 0 && error.n && has_values) code = cl_buf_put_char(out, ',');
    if (code == 0 && (has_values || !error.n)) code = cl_buf_put_str(out, CL_STR("\"result\":"));
    if (code == 0 && (has_values || !error.n)) code = cl_buf_put_str(out, has_values ? result : CL_STR("[]"));
    return code ? code : cl_buf_put_char(out, '}');
}

/* What the caller recognizes it by is in the meta, with that of the answer. */
static int put_meta(cl_buf *out, cl_str correlation, cl_str meta)
{
    cl_buf own = {0};
    if (!correlation.n) return meta.n ? cl_buf_put_str(out, meta) : 0;
    int code = cl_buf_put_str(&own, CL_STR("{\"in-reply-to\":"));
    if (code == 0) code = cl_json_quote(correlation, &own);
    if (code == 0) code = cl_buf_put_char(&own, '}');
    if (code == 0) code = cl_meta_merge(cl_buf_str(&own), meta, out);
    cl_buf_free(&own);
    return code;
}

CL_RARE static int publish_answer(cl_node *node, const cl_caller *to, cl_str error, cl_str result,
                                  const cl_extension *x)
{
    cl_buf value = {0}, meta = {0};
    int code = cl_topic_check(to->reply_to);
    if (code == 0) code = put_value(&value, error, result);
    if (code == 0) code = put_meta(&meta, to->correlation, x ? x->meta : CL_STR_NONE);
    if (code == 0 && (meta.len > CL_META_MAX || value.len > node->core->config.limits.message)) code = CLOUDS_ETOOBIG;
    const cl_payload payload = {cl_buf_str(&value), cl_buf_str(&meta), x ? x->bytes : CL_STR_NONE};
    if (code == 0) code = cl_publish_send(node, to->reply_to, &payload, 0);
    cl_buf_free(&value);
    cl_buf_free(&meta);
    return code < 0 ? code : 0;
}

int cl_caller_answer(cl_node *node, const cl_caller *to, cl_str error, cl_str result, const cl_extension *x)
{
    cl_bus *bus = node->core->bus;
    if (to->reply_to.n) return publish_answer(node, to, error, result, x);
    cl_envelope answer = cl_envelope_of(CL_RESULT, node->id, to->id, to->wire_id);
    answer.flags = to->flags;
    answer.link = to->link;
    answer.error = error;
    answer.result = result.n ? result : CL_STR("[]");
    answer.extension = x;
    return bus->ops->send(bus, node, &answer, 0);
}

/* ---- what a request keeps of it */

struct cl_reply_to {
    cl_str topic, correlation; /* in `text` */
    char text[];
};

int cl_reply_to_keep(cl_request *r, const cl_extension *x)
{
    cl_reply_to *reply = cl_malloc(sizeof *reply + x->reply_to.n + x->correlation.n);
    if (!reply) return CLOUDS_ENOMEM;
    char *end = cl_str_copy(reply->text, x->reply_to);
    reply->topic = cl_str_of(reply->text, x->reply_to.n);
    reply->correlation = cl_str_of(end, x->correlation.n);
    cl_str_copy(end, x->correlation);
    r->reply_to = reply;
    return 0;
}

cl_caller cl_request_caller(const cl_request *r)
{
    cl_caller caller = {.id = r->caller, .wire_id = r->wire_id, .link = r->link, .flags = r->native};
    if (r->reply_to) caller.reply_to = r->reply_to->topic, caller.correlation = r->reply_to->correlation;
    return caller;
}
