#include "proto/error_object.h"

#include <inttypes.h>

#include "proto/json.h"

static int put_text(cl_buf *out, const char *name, cl_str value)
{
    if (!value.n) return 0;
    int code = cl_buf_printf(out, ",\"%s\":", name);
    return code ? code : cl_json_quote(value, out);
}

static int put_limit(cl_buf *out, const cl_facts *facts)
{
    if (!facts->limit) return 0;
    return cl_buf_printf(out, ",\"size\":%" PRIu64 ",\"limit\":%" PRIu64, facts->size, facts->limit);
}

/* In seconds; no printf of a double, which would write what the locale of the program says. */
static int put_retry_after(cl_buf *out, uint64_t ms)
{
    return ms ? cl_buf_printf(out, ",\"retry_after\":%" PRIu64 ".%03u", ms / 1000, (unsigned)(ms % 1000)) : 0;
}

int cl_error_object(cl_buf *out, int code, cl_str message, const cl_facts *facts)
{
    int failed = cl_buf_put_str(out, CL_STR("{\"message\":"));
    if (!failed) failed = cl_json_quote(message, out);
    if (!failed) failed = cl_buf_printf(out, ",\"code\":\"%s\"", clouds_err_name(code));
    if (!failed) failed = put_text(out, "method", facts->method);
    if (!failed) failed = put_text(out, "server", facts->server);
    if (!failed) failed = put_text(out, "node", facts->node);
    if (!failed) failed = put_text(out, "cluster", facts->cluster);
    if (!failed) failed = put_limit(out, facts);
    if (!failed) failed = put_text(out, "reason", facts->reason);
    if (!failed) failed = put_retry_after(out, facts->retry_after);
    return failed ? failed : cl_buf_put_char(out, '}');
}
