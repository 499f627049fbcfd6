#include "directory/etcd/answers.h"

#include "base/base64.h"
#include "clouds.h"

static const cl_json_limits limits = {32, 4000000};

int cl_etcd_check(cl_str text)
{
    return cl_json_check(text, '{', limits) == 0 ? 0 : CLOUDS_EPROTO;
}

/* ---- members */

cl_str cl_etcd_member(cl_str object, const char *name)
{
    cl_json j;
    cl_str key, value;
    int escaped;
    cl_json_start(&j, object, limits);
    if (cl_json_enter(&j, '{') != 0) return CL_STR_NONE;
    while (cl_json_member(&j, &key, &escaped) == 1) {
        if (cl_json_value(&j, &value) != 0) break;
        if (cl_str_eq(key, cl_str_z(name))) return value;
    }
    return CL_STR_NONE;
}

static cl_str unquoted(cl_str value)
{
    if (value.n < 2 || value.p[0] != '"') return CL_STR_NONE;
    cl_str text = cl_str_of(value.p + 1, value.n - 2);
    return text.n && memchr(text.p, '\\', text.n) ? CL_STR_NONE : text;
}

cl_str cl_etcd_text(cl_str object, const char *name)
{
    return unquoted(cl_etcd_member(object, name));
}

int cl_etcd_is_true(cl_str object, const char *name)
{
    return cl_str_eq(cl_etcd_member(object, name), CL_STR("true"));
}

/* Up to 64 bits with or without a sign, as protobuf has both. */
static int read_number(cl_str text, uint64_t *out)
{
    int negative = text.n && text.p[0] == '-';
    uint64_t value = 0;
    if (text.n == (size_t)negative) return CLOUDS_EPROTO;
    for (size_t i = (size_t)negative; i < text.n; i++) {
        unsigned digit = (unsigned)(text.p[i] - '0');
        if (digit > 9 || value > (UINT64_MAX - digit) / 10) return CLOUDS_EPROTO;
        value = value * 10 + digit;
    }
    *out = negative ? 0 - value : value;
    return 0;
}

static int number_of(cl_str object, const char *name, uint64_t *out)
{
    cl_str value = cl_etcd_member(object, name);
    *out = 0;
    if (!value.n) return 0;
    return read_number(value.p[0] == '"' ? unquoted(value) : value, out);
}

int cl_etcd_number(cl_str object, const char *name, int64_t *out)
{
    uint64_t value;
    int code = number_of(object, name, &value);
    *out = (int64_t)value;
    return code;
}

int cl_etcd_header_of(cl_str object, cl_etcd_header *out)
{
    cl_str header = cl_etcd_member(object, "header");
    *out = (cl_etcd_header){0};
    if (!header.n) return 0;
    int code = number_of(header, "cluster_id", &out->cluster);
    return code ? code : cl_etcd_number(header, "revision", &out->revision);
}

/* Its members moved between versions of the gateway. */
int cl_etcd_refusal_of(cl_str object, cl_etcd_refusal *out)
{
    cl_str inner = cl_etcd_member(object, "error");
    cl_str from = inner.n && inner.p[0] == '{' ? inner : object;
    int64_t code = 0;
    if (cl_etcd_number(from, "code", &code) != 0 || code == 0) cl_etcd_number(from, "grpc_code", &code);
    if (code <= 0 || code > 16) code = inner.n ? 2 : 0; /* unknown, in words of gRPC */
    out->code = (int)code;
    out->message = cl_etcd_text(from, "message");
    if (!out->message.n) out->message = cl_etcd_text(from, "error");
    return code != 0;
}

/* ---- lists */

void cl_etcd_list_begin(cl_etcd_list *list, cl_str array)
{
    *list = (cl_etcd_list){.is_open = array.n > 0};
    cl_json_start(&list->json, array, limits);
    if (list->is_open && cl_json_enter(&list->json, '[') != 0) list->is_open = -1;
}

void cl_etcd_list_end(cl_etcd_list *list)
{
    cl_buf_free(&list->memory);
}

static int next(cl_etcd_list *list, cl_str *out)
{
    if (list->is_open <= 0) return list->is_open < 0 ? CLOUDS_EPROTO : 0;
    int more = cl_json_element(&list->json);
    if (more == 1 && cl_json_value(&list->json, out) == 0 && out->p[0] == '{') return 1;
    list->is_open = more == 0 ? 0 : -1;
    return more == 0 ? 0 : CLOUDS_EPROTO;
}

static int decode(cl_etcd_list *list, cl_str object, const char *name, size_t *n)
{
    size_t before = list->memory.len;
    cl_str value = cl_etcd_member(object, name);
    cl_str text = unquoted(value);
    if (value.n > 2 && !text.n) return CLOUDS_EPROTO;
    int code = cl_base64_read(&list->memory, text);
    *n = list->memory.len - before;
    return code;
}

static int read_kv(cl_etcd_list *list, cl_str object, cl_etcd_kv *out)
{
    size_t key, value;
    cl_buf_clear(&list->memory);
    int code = decode(list, object, "key", &key);
    if (code == 0) code = decode(list, object, "value", &value);
    if (code == 0) code = cl_etcd_number(object, "create_revision", &out->created);
    if (code == 0) code = cl_etcd_number(object, "mod_revision", &out->modified);
    if (code == 0) code = cl_etcd_number(object, "lease", &out->lease);
    if (code != 0) return code;
    out->key = cl_str_of(list->memory.data, key);
    out->value = cl_str_of(list->memory.data + key, value);
    return 1;
}

int cl_etcd_next_kv(cl_etcd_list *list, cl_etcd_kv *out)
{
    cl_str object;
    int more = next(list, &object);
    *out = (cl_etcd_kv){.key = CL_STR_NONE, .value = CL_STR_NONE};
    return more == 1 ? read_kv(list, object, out) : more;
}

int cl_etcd_next_event(cl_etcd_list *list, cl_etcd_kv *out)
{
    cl_str object;
    int more = next(list, &object);
    *out = (cl_etcd_kv){.key = CL_STR_NONE, .value = CL_STR_NONE};
    if (more != 1) return more;
    cl_str kv = cl_etcd_member(object, "kv");
    if (!kv.n || kv.p[0] != '{') return CLOUDS_EPROTO;
    out->deleted = cl_str_eq(cl_etcd_text(object, "type"), CL_STR("DELETE"));
    return read_kv(list, kv, out);
}

cl_str cl_etcd_read_instead(cl_str transaction)
{
    cl_etcd_list list;
    cl_str first;
    cl_etcd_list_begin(&list, cl_etcd_member(transaction, "responses"));
    if (next(&list, &first) != 1) return CL_STR_NONE;
    cl_str range = cl_etcd_member(first, "response_range");
    return range.n && range.p[0] == '{' ? cl_etcd_member(range, "kvs") : CL_STR_NONE;
}

int cl_etcd_news_of(cl_str line, cl_etcd_news *out)
{
    cl_str result = cl_etcd_member(line, "result");
    *out = (cl_etcd_news){.reason = CL_STR_NONE, .events = CL_STR_NONE};
    if (!result.n || result.p[0] != '{') return CLOUDS_EPROTO;
    int code = cl_etcd_header_of(result, &out->header);
    if (code == 0) code = cl_etcd_number(result, "compact_revision", &out->compacted);
    if (code != 0) return code;
    out->is_created = cl_etcd_is_true(result, "created");
    out->is_canceled = cl_etcd_is_true(result, "canceled");
    out->reason = cl_etcd_text(result, "cancel_reason");
    out->events = cl_etcd_member(result, "events");
    return 0;
}
