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

int cl_along_keep(cl_core *core, cl_call *call, const cl_call_spec *spec, const cl_request *parent)
{
    cl_buf merged = {0};
    cl_str meta = spec->meta;
    int code = 0;
    if (parent && parent->meta_len) {
        code = cl_meta_merge(cl_str_of(parent->meta, parent->meta_len), meta, &merged);
        meta = cl_buf_str(&merged);
    }
    if (code == 0 && meta.n > CL_META_MAX)
        code = cl_error_limit(
            CLOUDS_ETOOBIG, meta.n, CL_META_MAX,
            "the meta, with what the call on whose behalf it is made has, takes %zu bytes: at most %d are possible",
            meta.n, CL_META_MAX);
    cl_extension x = CL_EXTENSION_NONE;
    x.meta = meta;
    x.bytes = spec->bytes;
    x.key = spec->once;
    x.reply_to = spec->reply_to;
    x.correlation = spec->correlation;
    if (code == 0 && cl_extension_texts(&x)) code = keep_block(core, call, &x);
    cl_buf_free(&merged);
    return code;
}

CL_RARE int cl_along_set_bytes(cl_core *core, cl_call *call, cl_str bytes)
{
    cl_extension x = call->along ? *call->along : CL_EXTENSION_NONE;
    x.bytes = bytes;
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
