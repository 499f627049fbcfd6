#include "api/check.h"

#include <math.h>

#include "api/record.h"
#include "base/buf.h"
#include "base/error.h"
#include "proto/json.h"
#include "proto/utf8.h"

int cl_check_utf8(cl_str text)
{
    const char *end = text.p + text.n;
    for (const char *p = cl_text_skip_plain(text.p, end); p < end; p = cl_text_skip_plain(p, end)) {
        int n = cl_utf8_sequence(p, end);
        if (n < 0) return CLOUDS_EINVAL;
        p += n;
    }
    return 0;
}

int cl_check_text(const char *p, size_t n, const char *what)
{
    return p || n == 0 ? 0 : cl_error(CLOUDS_EINVAL, "%s is NULL with length %zu", what, n);
}

int cl_check_name(cl_str name, size_t max, const char *what)
{
    if (name.n == 0) return cl_error(CLOUDS_EINVAL, "the %s is empty", what);
    if (name.n > max)
        return cl_error_limit(CLOUDS_EINVAL, name.n, max, "the %s has %zu bytes, at most %zu are possible", what,
                              name.n, max);
    return cl_check_utf8(name) == 0 ? 0 : cl_error(CLOUDS_EINVAL, "the %s is not valid UTF-8", what);
}

int cl_check_json(const cl_limits *limits, cl_str text, char bracket, const char *what)
{
    if (text.n > limits->message) return cl_error_too_big(what, text.n, limits->message);
    int code = cl_json_check(text, bracket, limits->json);
    if (code == 0) return 0;
    const char *kind = bracket == '[' ? " array" : bracket == '{' ? " object" : "";
    if (code == CLOUDS_EJSON) return cl_error(code, "%s is not a valid JSON%s", what, kind);
    return cl_error(code, "%s is nested deeper than max_depth (%u), or has more than max_values (%u) values", what,
                    limits->json.depth, limits->json.values);
}

static int is_message(cl_str key, int escaped, int *code)
{
    if (!escaped) return cl_str_eq(key, CL_STR("message"));
    cl_buf plain = {0};
    if (cl_json_unescape(key, &plain) != 0) *code = CLOUDS_ENOMEM;
    int same = cl_str_eq(cl_buf_str(&plain), CL_STR("message"));
    cl_buf_free(&plain);
    return same;
}

int cl_check_error(const cl_limits *limits, cl_str error)
{
    int code = cl_check_json(limits, error, '{', "the error");
    if (code != 0) return code;
    cl_json j;
    cl_str key, value;
    int escaped, has_text = 0;
    cl_json_start(&j, error, limits->json);
    cl_json_enter(&j, '{');
    while (code == 0 && cl_json_member(&j, &key, &escaped) == 1) {
        code = cl_json_value(&j, &value);
        if (code == 0 && is_message(key, escaped, &code)) has_text = value.p[0] == '"';
    }
    if (code != 0) return cl_error(code, NULL);
    return has_text ? 0 : cl_error(CLOUDS_EJSON, "the error has no text member \"message\"");
}

int cl_check_period(double seconds, const char *what)
{
    return seconds >= 0 ? 0 : cl_error(CLOUDS_EINVAL, "%s is %g: expected seconds, 0 or more", what, seconds);
}

int cl_check_amount(double amount, const char *what)
{
    return amount >= 0 && isfinite(amount)
               ? 0
               : cl_error(CLOUDS_EINVAL, "%s is %g: expected a number, 0 or more", what, amount);
}

int cl_check_target(const void *records, size_t size, const cl_text_room *room, double timeout)
{
    int code = cl_record_check_array(CL_RECORD_clouds_event, size);
    if (code == 0 && !records) code = cl_error(CLOUDS_EINVAL, "there is no room for an event");
    if (code == 0 && room) code = cl_check_text(room->text, room->size, "the room for texts");
    if (code == 0 && isnan(timeout)) code = cl_error(CLOUDS_EINVAL, "the timeout is not a number");
    return code;
}
