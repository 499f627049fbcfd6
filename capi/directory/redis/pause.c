/* What the record of a node says beyond where it is: methods that take no calls, and its traits. */
#include "base/mem.h"
#include "directory/redis/internal.h"
#include "clouds.h"

int cl_redis_put_paused(const redis_node *node, cl_buf *out)
{
    size_t at = 0;
    int count = 0, code = 0;
    for (redis_reg *reg; code == 0 && (reg = cl_strmap_next(&node->regs, &at));) {
        if (!reg->paused) continue;
        code = cl_buf_put_str(out, count++ ? CL_STR(",") : CL_STR(",\"paused\":["));
        if (!code) code = cl_json_quote(reg->method, out);
    }
    return code || !count ? code : cl_buf_put_char(out, ']');
}

static int names(redis_directory *d, cl_json *list, cl_str method)
{
    cl_str raw;
    int escaped, found = 0;
    cl_buf plain = {0};
    if (cl_json_enter(list, '[')) return 0;
    while (!found && cl_json_element(list) > 0 && cl_json_string(list, &raw, &escaped) == 0) {
        cl_buf_clear(&plain);
        found = cl_json_unescape(raw, &plain) == 0 && cl_str_eq(cl_buf_str(&plain), method);
    }
    cl_buf_free(&plain);
    return found;
}

int cl_redis_record_pauses(redis_directory *d, cl_str record, cl_str method)
{
    cl_json j;
    cl_str key, ignored;
    int escaped;
    if (!memmem(record.p, record.n, "\"paused\"", 8)) return 0; /* as most often */
    cl_json_start(&j, record, d->client->limits.json);
    if (cl_json_enter(&j, '{')) return 0;
    while (cl_json_member(&j, &key, &escaped) > 0) {
        if (cl_str_eq(key, CL_STR("paused")) && cl_json_peek(&j) == '[') return names(d, &j, method);
        if (cl_json_value(&j, &ignored)) return 0;
    }
    return 0;
}

/* Room for all tags is made beforehand, so that the texts stay where they are. */
void cl_redis_read_traits(const cl_reply *reply, size_t first, cl_server *servers, size_t n, cl_buf *tags)
{
    size_t bytes = 1;
    cl_buf_clear(tags);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < n; i++) {
            if (reply->items[first + i].type != CL_REPLY_STRING) continue;
            cl_traits traits = cl_traits_of_object(cl_reply_text(reply, first + i));
            bytes += traits.tags.n;
            if (round == 0) continue;
            const char *at = tags->data + tags->len;
            cl_buf_add_str(tags, cl_traits_tags(&traits));
            servers[i].traits = (cl_traits){traits.weight, cl_str_of(at, traits.tags.n)};
        }
        if (round == 0 && cl_buf_reserve(tags, bytes)) return;
    }
}

void cl_redis_publish_record(redis_directory *d, redis_node *node)
{
    if (node->listening && node->refused_code != CLOUDS_EEXIST) cl_redis_send_record(d, node);
}

/* Who looks finds it in the record, and who has looked is told as of servers that come. */
void cl_redis_describe(cl_directory *base, void *handle, const cl_traits *traits)
{
    redis_directory *d = redis_of(base);
    redis_node *node = cl_redis_node_of(d, handle);
    if (!node) return;
    cl_traits_write(traits, node->traits);
    if (!node->listening) return;
    cl_redis_publish_record(d, node);
    size_t at = 0;
    for (redis_reg *reg; (reg = cl_strmap_next(&node->regs, &at));)
        if (reg->wanted && reg->listed && !reg->paused) reg->fresh = node->to_announce = 1;
    if (node->to_announce) cl_redis_defer(d, node);
}

/* Who looks finds it in the record, and who has looked is told as if it were withdrawn. npm nodes go on choosing it,
 * and get an error. */
void cl_redis_pause(cl_directory *base, void *handle, cl_str method, int paused)
{
    redis_directory *d = redis_of(base);
    redis_node *node = cl_redis_node_of(d, handle);
    redis_reg *reg = node ? cl_strmap_get(&node->regs, method) : NULL;
    if (!reg || !reg->wanted || reg->paused == paused) return;
    reg->paused = paused;
    cl_redis_publish_record(d, node);
    if (!reg->listed) return;
    if (paused) {
        cl_redis_announce(d, node, 'p', method);
    } else {
        reg->fresh = reg->resumed = node->to_announce = 1;
        cl_redis_defer(d, node);
    }
}
