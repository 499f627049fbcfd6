/* Spans of the program's own. Each is a text that the program keeps, see core/trace.c. */
#include "api/check.h"
#include "api/internal.h"
#include "base/error.h"
#include "base/hex.h"
#include "base/rand.h"
#include "proto/json.h"
#include "proto/meta.h"

/* That of the engine is used by one thread at a time. */
static uint64_t draw(void *self)
{
    uint64_t word = 0;
    cl_random_bytes(&word, sizeof word);
    return word;
}

static int begin(const cl_context *context, cl_str meta, char *out, size_t size)
{
    const cl_port chance = {.random = draw};
    cl_buf text = {0};
    int code = meta.n ? cl_check_json(&context->config.limits, meta, '{', "the meta") : 0;
    if (code == 0 && (!out || size < meta.n + CLOUDS_SPAN_MORE))
        code = cl_error_limit(CLOUDS_ETOOBIG, meta.n + CLOUDS_SPAN_MORE, size,
                              "the text of the span may take %zu bytes, and there is room for %zu",
                              meta.n + CLOUDS_SPAN_MORE, size);
    if (code == 0 && cl_trace_begin(context->engine.core, &chance, meta, &text) != 0) code = cl_error(CLOUDS_ENOMEM, NULL);
    if (code == 0) *cl_str_copy(out, cl_buf_str(&text)) = '\0', code = (int)text.len;
    cl_buf_free(&text);
    return code;
}

int clouds_span_begin(clouds_node *handle, const char *meta, size_t meta_len, char *span, size_t span_size)
{
    cl_api_node *node;
    int code = cl_guard_node(handle, &node);
    if (code == 0) {
        code = cl_check_text(meta, meta_len, "the meta");
        if (code == 0) code = begin(node->context, cl_str_of(meta, meta_len), span, span_size);
        cl_guard_leave_node(node);
    }
    return code;
}

static int end(cl_api_node *node, cl_command *command)
{
    cl_span read;
    const cl_own_span *own = &command->own.span;
    if (own->kind != CL_SPAN_INTERNAL && own->kind != CL_SPAN_PRODUCER && own->kind != CL_SPAN_CONSUMER)
        return cl_error(CLOUDS_EINVAL, "a span of the kind %d: expected one of enum clouds_span_kind", (int)own->kind);
    int code = cl_check_json(&node->context->config.limits, own->text, '{', "the span");
    if (code == 0 && !own->name.n) code = cl_error(CLOUDS_EINVAL, "the name of the span is empty");
    if (code == 0) code = cl_trace_read(own, &read);
    if (code == CLOUDS_EINVAL) code = cl_error(CLOUDS_EINVAL, "the span is no text of clouds_span_begin");
    if (code != 1) return code;
    return cl_refused(node->context, cl_submit(node->context, command));
}

int clouds_span_end(clouds_node *handle, const char *span, size_t span_len, uint32_t kind, const char *name,
                    size_t name_len, const char *error, size_t error_len)
{
    cl_api_node *node;
    int code = cl_guard_node(handle, &node);
    if (code == 0) {
        cl_command command = {.kind = CL_DO_END_SPAN,
                              .node = node,
                              .own.span = {.text = cl_str_of(span, span_len),
                                           .name = cl_str_of(name, name_len),
                                           .error = cl_str_of(error, error_len),
                                           .kind = (enum cl_span_kind)kind,
                                           .ended = cl_trace_micros(node->context->engine.core)}};
        code = cl_check_text(span, span_len, "the span");
        if (code == 0) code = cl_check_text(name, name_len, "the name");
        if (code == 0) code = cl_check_text(error, error_len, "the error");
        if (code == 0) code = end(node, &command);
        cl_guard_leave_node(node);
    }
    return code;
}

int clouds_span_id(const char *meta, size_t meta_len, char *id)
{
    enum { DIGITS = 2 * CL_SPAN_ID };
    cl_trace_place place;
    cl_str text = cl_str_of(meta, meta_len);
    if (!id) return 0;
    *id = '\0';
    if (cl_json_check(text, '{', CL_JSON_ANY) != 0 || cl_traceparent_read(cl_meta_trace_of(text).parent, &place) != 0) return 0;
    cl_hex_write(place.span, CL_SPAN_ID, id);
    id[DIGITS] = '\0';
    return place.flags & CL_TRACE_SAMPLED;
}
