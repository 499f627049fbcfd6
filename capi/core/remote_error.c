#include "core/internal.h"

#include <stdio.h>

/* Error objects that the other side sent: npm clouds 0.1 and its services send any JSON value, and texts as objects of
 * single characters. */

#define LONGEST_MS UINT64_C(1000000000)

/* Of a JSON number of seconds, to the millisecond; 0 for what is no period. No strtod, which reads what the locale of
 * the program says. */
static uint64_t ms_of(cl_str number)
{
    uint64_t ms = 0;
    int decimals = 0, behind_point = 0;
    for (size_t i = 0; i < number.n && decimals < 3; i++) {
        char c = number.p[i];
        if (c == '.' && !behind_point) {
            behind_point = 1;
            continue;
        }
        if (c < '0' || c > '9' || ms > LONGEST_MS) return 0;
        ms = ms * 10 + (uint64_t)(c - '0');
        decimals += behind_point;
    }
    for (; decimals < 3; decimals++) ms *= 10;
    return ms;
}

static int read_member(cl_json *j, cl_str key, cl_remote_error *out, unsigned index)
{
    char number[16];
    int digits = snprintf(number, sizeof number, "%u", index);
    int is_text = cl_json_peek(j) == '"', escaped;
    cl_str value;
    int code = is_text ? cl_json_string(j, &value, &escaped) : cl_json_value(j, &value);
    if (code) return code;
    if (!is_text || !cl_str_eq(key, cl_str_of(number, (size_t)digits))) out->numbered = 0;
    if (cl_str_eq(key, CL_STR("message"))) {
        out->has_message = 1;
        if (is_text) out->message = value;
    } else if (cl_str_eq(key, CL_STR("code"))) {
        out->has_code = 1;
        if (is_text) out->code = value;
    } else if (cl_str_eq(key, CL_STR("reason"))) {
        if (is_text) out->reason = value;
    } else if (cl_str_eq(key, CL_STR("retry_after"))) {
        if (!is_text) out->retry_after = ms_of(value);
    }
    return 0;
}

void cl_remote_error_read(const cl_core *core, cl_str error, cl_remote_error *out)
{
    *out = (cl_remote_error){.message = CL_STR_NONE, .code = CL_STR_NONE, .reason = CL_STR_NONE};
    cl_json j;
    cl_json_start(&j, error, core->config.limits.json);
    if (cl_json_peek(&j) != '{' || cl_json_enter(&j, '{') != 0) return;
    cl_remote_error error_of = *out;
    error_of.is_object = error_of.numbered = 1;
    cl_str key;
    int escaped, more;
    unsigned n = 0;
    while ((more = cl_json_member(&j, &key, &escaped)) == 1)
        if (read_member(&j, key, &error_of, n++) != 0) return;
    if (more != 0) return;
    error_of.empty = n == 0;
    error_of.numbered = error_of.numbered && n > 0;
    *out = error_of;
}

/* {"0":"b","1":"o",...}: the raw pieces in a row are the raw text, surrogate pairs included. */
static int put_numbered(const cl_core *core, cl_str error, cl_buf *out)
{
    cl_json j;
    cl_json_start(&j, error, core->config.limits.json);
    int code = cl_json_enter(&j, '{'), escaped;
    cl_str key, piece;
    while (code == 0 && cl_json_member(&j, &key, &escaped) == 1) {
        code = cl_json_string(&j, &piece, &escaped);
        if (code == 0) code = cl_buf_put_str(out, piece);
    }
    return code;
}

static int put_message(const cl_core *core, cl_str error, const cl_remote_error *e, cl_buf *out)
{
    if (e->empty) return 0;
    if (e->numbered) return put_numbered(core, error, out);
    if (error.p[0] == '"') return cl_buf_put(out, error.p + 1, error.n - 2);
    if (error.p[0] != '[') return cl_buf_put_str(out, error); /* a number or true */
    return cl_buf_put_str(out, cl_str_z(clouds_strerror(CLOUDS_EAPP)));
}

cl_str cl_remote_error_normal(cl_core *core, cl_str error, const cl_remote_error *e)
{
    if (e->is_object && !e->empty && !e->numbered) return error;
    cl_buf *out = &core->scratch;
    cl_buf_clear(out);
    int code = cl_buf_put_str(out, CL_STR("{\"message\":\""));
    if (code == 0) code = put_message(core, error, e, out);
    if (code == 0) code = cl_buf_put_str(out, CL_STR("\"}"));
    return code == 0 ? cl_buf_str(out) : CL_STR("{\"message\":\"the service answered with an error\"}");
}
