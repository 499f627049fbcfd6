#include "base/error.h"
#include "core/internal.h"

/* Questions of a node to another, which its library answers: is it there, what is it, what has it counted, what does it
 * serve, what links has it; pause, resume, stop. A question is a call for a method that no program can offer, pinned to
 * the node that is asked, and only nodes that read frames get it. It ends as an operation does, by CLOUDS_EVENT_STATUS. */

static const char *const questions[] = {"ping",    "info",  "status", "stats", "methods",
                                        "links", "pause", "resume", "stop"};

int cl_ask_is_method(cl_str method)
{
    return cl_str_eq(method, CL_STR(CL_ASK_METHOD));
}

int cl_ask_is_known(cl_str what)
{
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++)
        if (cl_str_eq(what, cl_str_z(questions[i]))) return 1;
    return 0;
}

static int put_args(cl_buf *out, cl_str what, cl_str args)
{
    int code = cl_buf_put_str(out, CL_STR("[\""));
    if (code == 0) code = cl_buf_put_str(out, what);
    if (code == 0) code = cl_buf_put_str(out, CL_STR("\","));
    if (code == 0) code = cl_buf_put_str(out, args.n ? args : CL_STR("{}"));
    return code ? code : cl_buf_put_char(out, ']');
}

int cl_node_ask(cl_node *node, cl_str peer, cl_str what, cl_str args, const cl_op_spec *spec)
{
    cl_buf list = {0};
    double seconds = spec->timeout > 0 ? spec->timeout : node->config.operation_timeout;
    int code = put_args(&list, what, args);
    if (code == 0)
        code = cl_node_call(node, &(cl_call_spec){.id = spec->id,
                                                  .user_data = spec->user_data,
                                                  .method = CL_STR(CL_ASK_METHOD),
                                                  .args = cl_buf_str(&list),
                                                  .server = peer,
                                                  .timeout = seconds,
                                                  .deadline = seconds,
                                                  .retries = -1,
                                                  .question = 1});
    cl_buf_free(&list);
    return code;
}

/* What was asked: the word at the beginning of the arguments. */
cl_str cl_ask_word(const cl_call *call)
{
    const char *from = call->args.p + 2, *end = memchr(from, '"', call->args.n - 2);
    return cl_str_of(from, end ? (size_t)(end - from) : 0);
}

/* The one object of the list that answers it; empty: it is no such list. */
static cl_str object_of(const cl_core *core, cl_str list)
{
    cl_json j;
    cl_str object;
    cl_json_start(&j, list, core->config.limits.json);
    if (cl_json_enter(&j, '[') != 0 || cl_json_element(&j) != 1 || cl_json_peek(&j) != '{' ||
        cl_json_value(&j, &object) != 0 || cl_json_element(&j) != 0)
        return CL_STR_NONE;
    return object;
}

/* Of a node that answers as one that does not know the method: it is older. */
int cl_ask_code(int code)
{
    if (code != CLOUDS_ENOMETHOD) return code;
    return cl_error(CLOUDS_ENOTSUP, "it is a node of an older version, which answers no questions");
}

void cl_ask_complete(cl_core *core, const cl_call *call, clouds_event *event, cl_str data)
{
    cl_str object = event->code == 0 ? object_of(core, data) : CL_STR_NONE;
    event->type = CLOUDS_EVENT_STATUS;
    if (event->code == 0 && !object.n) {
        event->code = CLOUDS_EPROTO;
        event->outcome = CLOUDS_OUTCOME_UNKNOWN;
        cl_str error = cl_error_text_of_call(call, CLOUDS_EPROTO, 0);
        cl_set_text(&event->error, &event->error_len, error);
    }
    cl_str what = cl_ask_word(call);
    cl_set_text(&event->method, &event->method_len, what);
    cl_set_text(&event->data, &event->data_len, object);
    cl_set_text(&event->peer, &event->peer_len, call->peer->id);
}
