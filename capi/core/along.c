#include "core/internal.h"

#include "proto/meta.h"

/* What goes along with a call: meta and bytes. Few have it, so it lies in a block of its own. */

static cl_str keep(char **to, cl_str text)
{
    if (text.n) memcpy(*to, text.p, text.n);
    cl_str kept = cl_str_of(*to, text.n);
    *to += text.n;
    return kept;
}

/* Takes the place of what it had. */
static int keep_block(cl_core *core, cl_call *call, cl_str meta, cl_str bytes)
{
    size_t size = meta.n + bytes.n;
    if (core->call_bytes && core->call_bytes + size > core->config.max_in_flight_bytes)
        return cl_error_limit(CLOUDS_ELIMIT, core->call_bytes + size, core->config.max_in_flight_bytes,
                              "the arguments of the calls outstanding take %zu bytes already (max_in_flight_bytes)",
                              core->call_bytes);
    cl_extension *x = cl_malloc(sizeof *x + size);
    if (!x) return CLOUDS_ENOMEM;
    char *to = (char *)(x + 1);
    *x = CL_EXTENSION_NONE;
    x->meta = keep(&to, meta);
    x->bytes = keep(&to, bytes);
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
    if (code == 0 && (meta.n | spec->bytes.n)) code = keep_block(core, call, meta, spec->bytes);
    cl_buf_free(&merged);
    return code;
}

CL_RARE int cl_along_set_bytes(cl_core *core, cl_call *call, cl_str bytes)
{
    cl_str meta = call->along ? call->along->meta : CL_STR_NONE;
    if (meta.n | bytes.n) return keep_block(core, call, meta, bytes);
    if (call->along) cl_along_drop(core, call);
    return 0;
}

void cl_along_drop(cl_core *core, cl_call *call)
{
    core->call_bytes -= call->along->meta.n + call->along->bytes.n;
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
