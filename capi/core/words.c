#include "core/internal.h"

#include <stdio.h>

/* Error objects: reading what the other side sent, and making our own. */

cl_str cl_words_of(cl_core *core, int code)
{
    cl_buf_clear(&core->scratch);
    if (cl_buf_printf(&core->scratch, "{\"message\":\"%s\",\"code\":\"%s\"}", clouds_strerror(code),
                      clouds_err_name(code)) == 0)
        return cl_buf_str(&core->scratch);
    return CL_STR("{\"message\":\"out of memory\",\"code\":\"CLOUDS_OUT_OF_MEMORY\"}");
}

static cl_str words_with(cl_core *core, int code, cl_str message)
{
    cl_buf *out = &core->scratch;
    cl_buf_clear(out);
    int failed = cl_buf_put_str(out, CL_STR("{\"message\":"));
    if (failed == 0) failed = cl_json_quote(message, out);
    if (failed == 0) failed = cl_buf_printf(out, ",\"code\":\"%s\"}", clouds_err_name(code));
    return failed == 0 ? cl_buf_str(out) : cl_words_of(core, code);
}

cl_str cl_words_said(cl_core *core, int code)
{
    return words_with(core, code, cl_str_z(clouds_last_error()));
}

cl_str cl_words_bus_away(cl_core *core, int code)
{
    char message[sizeof core->bus_words + 100];
    snprintf(message, sizeof message, "%s: %s", clouds_strerror(code), core->bus_words);
    return words_with(core, code, cl_str_z(message));
}

int cl_words_is_false(cl_str error)
{
    if (error.n == 0) return 1;
    if (error.p[0] == '{' || error.p[0] == '[' || error.p[0] == 't') return 0;
    if (error.p[0] == 'n' || error.p[0] == 'f') return 1;
    if (error.p[0] == '"') return error.n == 2;
    /* a number: zero when no digit before the exponent is other than 0 */
    for (size_t i = 0; i < error.n && error.p[i] != 'e' && error.p[i] != 'E'; i++)
        if (error.p[i] >= '1' && error.p[i] <= '9') return 0;
    return 1;
}

static int read_member(cl_json *j, cl_str key, cl_words *out, unsigned index)
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
    }
    return 0;
}

void cl_words_read(const cl_core *core, cl_str error, cl_words *out)
{
    *out = (cl_words){.message = CL_STR_NONE, .code = CL_STR_NONE};
    cl_json j;
    cl_json_start(&j, error, core->config.limits.json);
    if (cl_json_peek(&j) != '{' || cl_json_enter(&j, '{') != 0) return;
    cl_words words = {.is_object = 1, .numbered = 1, .message = CL_STR_NONE, .code = CL_STR_NONE};
    cl_str key;
    int escaped, more;
    unsigned n = 0;
    while ((more = cl_json_member(&j, &key, &escaped)) == 1)
        if (read_member(&j, key, &words, n++) != 0) return;
    if (more != 0) return;
    words.empty = n == 0;
    words.numbered = words.numbered && n > 0;
    *out = words;
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

static int put_message(const cl_core *core, cl_str error, const cl_words *words, cl_buf *out)
{
    if (words->empty) return 0;
    if (words->numbered) return put_numbered(core, error, out);
    if (error.p[0] == '"') return cl_buf_put(out, error.p + 1, error.n - 2);
    if (error.p[0] != '[') return cl_buf_put_str(out, error); /* a number or true */
    return cl_buf_put_str(out, cl_str_z(clouds_strerror(CLOUDS_EAPP)));
}

cl_str cl_words_normal(cl_core *core, cl_str error, const cl_words *words)
{
    if (words->is_object && !words->empty && !words->numbered) return error;
    cl_buf *out = &core->scratch;
    cl_buf_clear(out);
    int code = cl_buf_put_str(out, CL_STR("{\"message\":\""));
    if (code == 0) code = put_message(core, error, words, out);
    if (code == 0) code = cl_buf_put_str(out, CL_STR("\"}"));
    return code == 0 ? cl_buf_str(out) : CL_STR("{\"message\":\"the service answered with an error\"}");
}
