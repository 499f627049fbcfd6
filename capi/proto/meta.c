#include "proto/meta.h"

#include "clouds.h"
#include "proto/json.h"

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
