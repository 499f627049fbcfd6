/* The variables of the environment that OpenTelemetry has agreed upon. */
#include <stdlib.h>

#include "base/error.h"
#include "base/hex.h"
#include "base/log.h"
#include "trace/internal.h"

const char *cl_environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

int cl_environment_refuse(int is_strict, const char *name, const char *got, const char *expected)
{
    const char *before = got ? ": got '" : ": expected ", *after = got ? "', expected " : "";
    if (!got) got = "";
    if (is_strict)
        return cl_error(CLOUDS_EOPTION, "the environment's %s%s%.80s%s%s", name, before, got, after, expected);
    cl_log(CLOUDS_LOG_WARN, "tracing: the environment's %s%s%.80s%s%s; it is not used", name, before, got, after,
           expected);
    return 0;
}

static cl_str trim(cl_str text)
{
    while (text.n && (text.p[0] == ' ' || text.p[0] == '\t')) text.p++, text.n--;
    while (text.n && (text.p[text.n - 1] == ' ' || text.p[text.n - 1] == '\t')) text.n--;
    return text;
}

static int put_unescaped(cl_str text, cl_buf *out)
{
    cl_buf_clear(out);
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '%') {
            int high = i + 2 < text.n ? cl_hex_value(text.p[i + 1]) : -1;
            int low = high >= 0 ? cl_hex_value(text.p[i + 2]) : -1;
            if (low < 0) return -1;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (cl_buf_put_char(out, c) != 0) return CLOUDS_ENOMEM;
    }
    return 0;
}

static int take_pair(cl_str pair, int (*take)(void *self, cl_str name, cl_str value), void *self)
{
    const char *equals = memchr(pair.p, '=', pair.n);
    cl_buf value = {0};
    if (!equals) return -1;
    size_t n = (size_t)(equals - pair.p);
    cl_str name = trim(cl_str_of(pair.p, n));
    if (!name.n) return -1;
    int code = put_unescaped(trim(cl_str_of(equals + 1, pair.n - n - 1)), &value);
    if (code == 0) code = take(self, name, cl_buf_str(&value));
    cl_buf_free(&value);
    return code;
}

int cl_environment_pairs(const char *text, int (*take)(void *self, cl_str name, cl_str value), void *self)
{
    int code = 0;
    while (code == 0 && *text) {
        size_t n = strcspn(text, ",");
        cl_str pair = trim(cl_str_of(text, n));
        if (pair.n) code = take_pair(pair, take, self);
        text += n + (text[n] == ',');
    }
    return code;
}
