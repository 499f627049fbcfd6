#include "core/internal.h"

#include "proto/meta.h"

/* What goes along with a call: meta, bytes, an idempotency key. Few have it, so it lies in a block of its own. */

/* Takes the place of what it had. */
static int keep_block(cl_core *core, cl_call *call, const cl_extension *source)
{
    size_t size = cl_extension_texts(source);
    if (core->call_bytes && core->call_bytes + size > core->config.max_in_flight_bytes)
        return cl_error_limit(CLOUDS_ELIMIT, core->call_bytes + size, core->config.max_in_flight_bytes,
                              "the arguments of the calls outstanding take %zu bytes already (max_in_flight_bytes)",
                              core->call_bytes);
    cl_extension *x = cl_malloc(sizeof *x + size);
    if (!x) return CLOUDS_ENOMEM;
    char *to = (char *)(x + 1);
    *x = cl_extension_copy(source, &to);
    if (call->along) cl_along_drop(core, call);
    call->along = x;
    core->call_bytes += size;
    return 0;
}

/* The meta of the parent, with what `meta` says of a trace: a request that is not the parent, or a span. */
static int put_trace(cl_str inherited, cl_str meta, cl_buf *out)
{
    const cl_meta_trace trace = cl_meta_trace_of(meta);
    return trace.parent.n || !inherited.n ? cl_meta_with_trace(inherited, &trace, out) : 0;
}

/* Appends the meta of a call with what it inherits. */
static int inherit(const cl_call_spec *spec, const cl_request *parent, cl_buf *out)
{
    cl_buf trace = {0};
    cl_str inherited = parent ? cl_str_of(parent->meta, parent->meta_len) : CL_STR_NONE;
    int code = spec->trace.n ? put_trace(inherited, spec->trace, &trace) : 0;
    if (trace.len) inherited = cl_buf_str(&trace);
    if (code == 0) code = cl_meta_merge(inherited, spec->meta, out);
    cl_buf_free(&trace);
    return code;
}

/* What a trace adds is no reason why a call cannot be made. */
static int leave_trace_out(cl_str *meta, cl_buf *merged)
{
    static const cl_meta_trace none;
    cl_buf rest = {0};
    int code = cl_meta_with_trace(*meta, &none, &rest);
    cl_buf_free(merged);
    *merged = rest;
    *meta = cl_buf_str(merged);
    return code;
}

/* What there may be of meta, as far as the arguments and the bytes leave room for it. */
static size_t room_for_meta(const cl_core *core, const cl_call_spec *spec)
{
    enum { HEAD = 1024 }; /* of the envelope: ids and the rest */
    size_t taken = spec->method.n + spec->args.n + spec->bytes.n + HEAD, most = core->config.limits.message;
    return taken < most ? most - taken : 0;
}

/* Does it matter to nobody when it does not arrive? */
static int is_trace_alone(const cl_extension *x)
{
    if (!x->meta.n || x->bytes.n || x->key.n || x->reply_to.n) return 0;
    const cl_meta_trace trace = cl_meta_trace_of(x->meta);
    return !trace.has_other && (trace.parent.n || trace.state.n || trace.to.n);
}

int cl_along_keep(cl_core *core, cl_call *call, const cl_call_spec *spec, const cl_request *parent)
{
    cl_buf merged = {0};
    cl_str meta = spec->meta;
    int code = 0;
    if ((parent && parent->meta_len) || spec->trace.n) {
        code = inherit(spec, parent, &merged);
        meta = cl_buf_str(&merged);
    }
    if (code == 0 && meta.n > CL_META_MAX) code = leave_trace_out(&meta, &merged);
    if (code == 0 && meta.n > CL_META_MAX)
        code = cl_error_limit(
            CLOUDS_ETOOBIG, meta.n, CL_META_MAX,
            "the meta, with what the call on whose behalf it is made has, takes %zu bytes: at most %d are possible",
            meta.n, CL_META_MAX);
    if (code == 0 && !spec->question && (core->config.traces || cl_trace_is_asked(core, meta)))
        cl_trace_call(core, call, room_for_meta(core, spec), &meta, &merged);
    cl_extension x = CL_EXTENSION_NONE;
    x.meta = meta;
    x.bytes = spec->bytes;
    x.key = spec->once;
    x.reply_to = spec->reply_to;
    x.correlation = spec->correlation;
    call->is_traced = (uint8_t)is_trace_alone(&x);
    if (code == 0 && cl_extension_texts(&x)) code = keep_block(core, call, &x);
    cl_buf_free(&merged);
    return code;
}

CL_RARE int cl_along_set_bytes(cl_core *core, cl_call *call, cl_str bytes)
{
    cl_extension x = call->along ? *call->along : CL_EXTENSION_NONE;
    x.bytes = bytes;
    call->is_traced = (uint8_t)is_trace_alone(&x);
    if (cl_extension_texts(&x)) return keep_block(core, call, &x);
    if (call->along) cl_along_drop(core, call);
    return 0;
}

int cl_along_copy(cl_core *core, cl_call *call, const cl_extension *x)
{
    return keep_block(core, call, x);
}

void cl_along_drop(cl_core *core, cl_call *call)
{
    core->call_bytes -= cl_extension_texts(call->along);
    cl_free(call->along);
    call->along = NULL;
}

void cl_along_show(const cl_extension *x, clouds_event *event)
{
    cl_set_text(&event->meta, &event->meta_len, x->meta);
    event->bytes = x->bytes.p;
    event->bytes_len = x->bytes.n;
    if (x->bytes.n) event->flags |= CLOUDS_FLAG_BYTES;
}
