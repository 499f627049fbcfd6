#include "proto/meta.h"

#include "base/hex.h"
#include "clouds.h"
#include "proto/json.h"
#include "proto/traceparent.h"

static void start(cl_json *j, cl_str object)
{
    cl_json_start(j, object, CL_JSON_ANY);
    cl_json_enter(j, '{');
}

/* By its text: one name written in two ways is two names here, and the later counts wherever it is read. */
static int has(cl_str object, cl_str name)
{
    cl_json j;
    cl_str key, value;
    int escaped;
    if (!object.n) return 0;
    start(&j, object);
    while (cl_json_member(&j, &key, &escaped) == 1) {
        if (cl_str_eq(key, name)) return 1;
        if (cl_json_value(&j, &value) < 0) return 0;
    }
    return 0;
}

static int is_for_one_hop(cl_str name)
{
    static const char *const dashes[] = {"-", "\\u002d", "\\u002D"};
    for (int i = 0; i < 3; i++)
        if (cl_str_starts(name, cl_str_z(dashes[i]))) return 1;
    return 0;
}

static int put(cl_buf *out, size_t before, cl_str name, cl_str value)
{
    int code = cl_buf_put_char(out, out->len == before ? '{' : ',');
    if (code == 0) code = cl_buf_reserve(out, name.n + value.n + 3);
    if (code) return CLOUDS_ENOMEM;
    cl_buf_add_char(out, '"');
    cl_buf_add_str(out, name);
    cl_buf_add(out, "\":", 2);
    cl_buf_add_str(out, value);
    return 0;
}

static int put_inherited(cl_str inherited, cl_str own, size_t before, cl_buf *out)
{
    cl_json j;
    cl_str name, value;
    int escaped, code = 0;
    start(&j, inherited);
    while (code == 0 && cl_json_member(&j, &name, &escaped) == 1) {
        if (cl_json_value(&j, &value) < 0) break;
        if (!is_for_one_hop(name) && !has(own, name)) code = put(out, before, name, value);
    }
    return code;
}

static int put_own(cl_str own, size_t before, cl_buf *out)
{
    cl_json j;
    cl_str name, value;
    int escaped, code = 0;
    start(&j, own);
    while (code == 0 && cl_json_member(&j, &name, &escaped) == 1) {
        if (cl_json_value(&j, &value) < 0) break;
        code = put(out, before, name, value);
    }
    return code;
}

int cl_meta_merge(cl_str inherited, cl_str own, cl_buf *out)
{
    size_t before = out->len;
    int code = inherited.n ? put_inherited(inherited, own, before, out) : 0;
    if (code == 0 && own.n) code = put_own(own, before, out);
    if (code == 0 && out->len > before) code = cl_buf_put_char(out, '}') ? CLOUDS_ENOMEM : 0;
    if (code) out->len = before;
    return code;
}

/* ---- a trace */

static cl_str *of_trace(cl_meta_trace *trace, cl_str name)
{
    if (cl_str_eq(name, CL_STR("traceparent"))) return &trace->parent;
    if (cl_str_eq(name, CL_STR("tracestate"))) return &trace->state;
    return cl_str_eq(name, CL_STR("trace-to")) ? &trace->to : NULL;
}

cl_meta_trace cl_meta_trace_of(cl_str meta)
{
    cl_meta_trace trace = {CL_STR_NONE, CL_STR_NONE, CL_STR_NONE, 0};
    cl_json j;
    cl_str name, value;
    int escaped;
    if (!meta.n) return trace;
    start(&j, meta);
    while (cl_json_member(&j, &name, &escaped) == 1) {
        cl_str *place = of_trace(&trace, name);
        int kind = cl_json_item(&j, &value, &escaped);
        if (kind < 0) break;
        if (!place) trace.has_other = 1;
        else *place = kind == '"' ? value : CL_STR_NONE;
    }
    return trace;
}

cl_str cl_meta_trace_id(cl_str meta, char room[CL_TRACE_DIGITS])
{
    cl_trace_place place;
    if (!meta.n || cl_traceparent_read(cl_meta_trace_of(meta).parent, &place) != 0) return CL_STR_NONE;
    cl_hex_write(place.trace, CL_TRACE_ID, room);
    return cl_str_of(room, CL_TRACE_DIGITS);
}

static int put_others(cl_str meta, size_t before, cl_buf *out)
{
    cl_meta_trace unused;
    cl_json j;
    cl_str name, value;
    int escaped, code = 0;
    if (!meta.n) return 0;
    start(&j, meta);
    while (code == 0 && cl_json_member(&j, &name, &escaped) == 1) {
        if (cl_json_value(&j, &value) < 0) break;
        if (!of_trace(&unused, name)) code = put(out, before, name, value);
    }
    return code;
}

static int put_quoted(cl_buf *out, size_t before, cl_str name, cl_str text)
{
    if (!text.n) return 0;
    int code = put(out, before, name, CL_STR("\""));
    if (code == 0) code = cl_buf_put_str(out, text);
    return code ? code : cl_buf_put_char(out, '"');
}

int cl_meta_with_trace(cl_str meta, const cl_meta_trace *trace, cl_buf *out)
{
    size_t before = out->len;
    int code = put_others(meta, before, out);
    if (code == 0) code = put_quoted(out, before, CL_STR("traceparent"), trace->parent);
    if (code == 0) code = put_quoted(out, before, CL_STR("tracestate"), trace->state);
    if (code == 0) code = put_quoted(out, before, CL_STR("trace-to"), trace->to);
    if (code == 0 && out->len > before) code = cl_buf_put_char(out, '}');
    if (code) out->len = before;
    return code;
}
