/* traceparent, and a meta with a trace: what is read is written again, and a meta stays one that says the same. */
#include "fuzz.h"

#include "base/mem.h"
#include "proto/json.h"
#include "proto/meta.h"
#include "proto/traceparent.h"

static void traceparent_is_sound(cl_str text)
{
    cl_trace_place place, again;
    char written[CL_TRACEPARENT];
    memset(&place, 0, sizeof place);
    memset(&again, 0, sizeof again);
    if (cl_traceparent_read(text, &place) != 0) return;
    cl_traceparent_write(&place, written);
    HOLDS(memcmp(written + 2, text.p + 2, CL_TRACEPARENT - 2) == 0);
    HOLDS(cl_traceparent_read(cl_str_of(written, sizeof written), &again) == 0);
    HOLDS(memcmp(&place, &again, sizeof place) == 0);
}

static void meta_is_sound(cl_str meta)
{
    cl_buf out = {0};
    cl_meta_trace trace = cl_meta_trace_of(meta), found;
    traceparent_is_sound(trace.parent);
    HOLDS(cl_meta_with_trace(meta, &trace, &out) == 0);
    HOLDS(out.len == 0 || cl_json_check(cl_buf_str(&out), '{', CL_JSON_ANY) == 0);
    found = cl_meta_trace_of(cl_buf_str(&out));
    HOLDS(cl_str_eq(found.parent, trace.parent) && cl_str_eq(found.state, trace.state) &&
          cl_str_eq(found.to, trace.to));
    HOLDS(found.has_other == trace.has_other);
    cl_buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cl_str text = {(const char *)data, size};
    traceparent_is_sound(text);
    if (cl_json_check(text, '{', CL_JSON_ANY) == 0) meta_is_sound(text);
    return 0;
}
