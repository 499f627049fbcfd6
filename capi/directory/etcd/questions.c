#include "directory/etcd/questions.h"

#include "base/base64.h"
#include "proto/json.h"

static int put(cl_buf *out, const char *text)
{
    return cl_buf_put_str(out, cl_str_z(text));
}

/* "name":"<base64>" */
static int put_bytes(cl_buf *out, const char *name, cl_str bytes)
{
    int code = cl_buf_printf(out, "\"%s\":\"", name);
    if (code == 0) code = cl_base64_put(out, bytes);
    return code ? code : cl_buf_put_char(out, '"');
}

int cl_etcd_ask_login(cl_buf *out, const char *user, const char *password)
{
    int code = put(out, "{\"name\":");
    if (code == 0) code = cl_json_quote(cl_str_z(user), out);
    if (code == 0) code = put(out, ",\"password\":");
    if (code == 0) code = cl_json_quote(cl_str_z(password), out);
    return code ? code : cl_buf_put_char(out, '}');
}

static int put_span(cl_buf *out, cl_str from, cl_str end)
{
    int code = put_bytes(out, "key", from);
    if (code == 0) code = cl_buf_put_char(out, ',');
    return code ? code : put_bytes(out, "range_end", end);
}

int cl_etcd_ask_range(cl_buf *out, cl_str from, cl_str end, int limit, int64_t revision, int keys_only)
{
    int code = cl_buf_put_char(out, '{');
    if (code == 0) code = put_span(out, from, end);
    if (code == 0) code = cl_buf_printf(out, ",\"limit\":\"%d\"", limit);
    if (code == 0 && revision) code = cl_buf_printf(out, ",\"revision\":\"%lld\"", (long long)revision);
    if (code == 0 && keys_only) code = put(out, ",\"keys_only\":true");
    return code ? code : cl_buf_put_char(out, '}');
}

int cl_etcd_ask_changes(cl_buf *out, cl_str from, cl_str end, int64_t revision)
{
    int code = cl_buf_put_char(out, '{');
    if (code == 0) code = put_span(out, from, end);
    return code ? code : cl_buf_printf(out, ",\"min_mod_revision\":\"%lld\"}", (long long)revision);
}

int cl_etcd_ask_grant(cl_buf *out, int64_t ttl)
{
    return cl_buf_printf(out, "{\"TTL\":\"%lld\"}", (long long)ttl);
}

int cl_etcd_ask_lease(cl_buf *out, int64_t lease, int with_keys)
{
    return cl_buf_printf(out, "{\"ID\":\"%lld\"%s}", (long long)lease, with_keys ? ",\"keys\":true" : "");
}

static int put_condition(cl_buf *out, cl_etcd_condition condition, cl_str key)
{
    static const char *const names[] = {"\"CREATE\",\"create_revision\"", "\"LEASE\",\"lease\"",
                                        "\"MOD\",\"mod_revision\""};
    int code = put(out, "{\"compare\":[{");
    if (code == 0) code = put_bytes(out, "key", key);
    return code ? code
                : cl_buf_printf(out, ",\"target\":%s:\"%lld\"}]", names[condition.target], (long long)condition.number);
}

int cl_etcd_ask_put(cl_buf *out, cl_etcd_condition condition, cl_str key, cl_str value, int64_t lease)
{
    int code = put_condition(out, condition, key);
    if (code == 0) code = put(out, ",\"success\":[{\"request_put\":{");
    if (code == 0) code = put_bytes(out, "key", key);
    if (code == 0) code = cl_buf_put_char(out, ',');
    if (code == 0) code = put_bytes(out, "value", value);
    if (code == 0)
        code = cl_buf_printf(out, ",\"lease\":\"%lld\"}}],\"failure\":[{\"request_range\":{", (long long)lease);
    if (code == 0) code = put_bytes(out, "key", key);
    return code ? code : put(out, "}}]}");
}

int cl_etcd_ask_delete(cl_buf *out, cl_etcd_condition condition, cl_str key)
{
    int code = put_condition(out, condition, key);
    if (code == 0) code = put(out, ",\"success\":[{\"request_delete_range\":{");
    if (code == 0) code = put_bytes(out, "key", key);
    return code ? code : put(out, "}}]}");
}

int cl_etcd_ask_watch(cl_buf *out, cl_str from, cl_str end, int64_t revision)
{
    int code = put(out, "{\"create_request\":{");
    if (code == 0) code = put_span(out, from, end);
    return code ? code
                : cl_buf_printf(out, ",\"start_revision\":\"%lld\",\"progress_notify\":true}}", (long long)revision);
}
