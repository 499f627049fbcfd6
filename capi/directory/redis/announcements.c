/* What native nodes announce about their registrations, on a channel that npm nodes do not subscribe to:
 * {"t":"u","s":"<id>","d":{"f":1,"m":["method",...]}} - u: up, w: withdrawn, d: draining, and so withdrawn too. f: it
 * reads frames. Of one that is up also what its record says: "weight":3,"tags":"zone=a", before "m". */
#include "directory/redis/internal.h"
#include "clouds.h"

/* ---- out */

static int put_method(cl_buf *out, cl_str method, int *count)
{
    if ((*count)++ > 0 && cl_buf_put_char(out, ',')) return CLOUDS_ENOMEM;
    return cl_json_quote(method, out);
}

static int put_methods(cl_buf *out, redis_node *node, char type, cl_str method, int *count)
{
    if (type == 'w') return put_method(out, method, count);
    size_t at = 0;
    for (redis_reg *reg; (reg = cl_strmap_next(&node->regs, &at));) {
        if (type == 'u' ? !reg->fresh : !reg->wanted) continue;
        reg->fresh = 0;
        if (type == 'u' && reg->paused) continue;
        if (put_method(out, reg->method, count)) return CLOUDS_ENOMEM;
    }
    return 0;
}

void cl_redis_announce(redis_directory *d, redis_node *node, char type, cl_str method)
{
    cl_buf *text = &d->text;
    int count = 0;
    cl_buf_clear(text);
    int code = cl_buf_printf(text, "{\"t\":\"%c\",\"s\":", type);
    if (!code) code = cl_json_quote(node->id, text);
    const cl_traits traits = cl_traits_read(cl_str_z(node->traits));
    if (!code) code = cl_buf_put_str(text, CL_STR(",\"d\":{\"f\":1"));
    if (!code && type == 'u') code = cl_traits_put(&traits, text);
    if (!code) code = cl_buf_put_str(text, CL_STR(",\"m\":["));
    if (!code) code = put_methods(text, node, type, method, &count);
    if (!code) code = cl_buf_put_str(text, CL_STR("]}}"));
    cl_str publish[] = {CL_STR("PUBLISH"), d->client->announce_channel, cl_buf_str(text)};
    if (!code && count > 0) cl_redis_client_send_unawaited(d->client, 3, publish);
}

/* ---- in */

typedef struct announcement {
    char type;
    cl_str id; /* raw */
    cl_str data;
} announcement;

static int read_head(redis_directory *d, cl_str text, announcement *out)
{
    cl_json j;
    cl_str key, type = CL_STR_NONE;
    int escaped, more;
    *out = (announcement){0};
    cl_json_start(&j, text, d->client->limits.json);
    int code = cl_json_enter(&j, '{');
    if (code) return code;
    while ((more = cl_json_member(&j, &key, &escaped)) > 0) {
        cl_str ignored;
        if (cl_str_eq(key, CL_STR("t"))) code = cl_json_string(&j, &type, &escaped);
        else if (cl_str_eq(key, CL_STR("s"))) code = cl_json_string(&j, &out->id, &escaped);
        else code = cl_json_value(&j, cl_str_eq(key, CL_STR("d")) ? &out->data : &ignored);
        if (code) return code;
    }
    if (more < 0) return more;
    if (j.bad_utf8) return CLOUDS_EJSON;
    if (type.n == 1) out->type = type.p[0];
    return cl_json_end(&j);
}

static void tell(redis_directory *d, char type, const cl_server *server, cl_str method)
{
    void *self = d->sink.self;
    if (type == 'u') d->sink.server_up(self, method, *server);
    else d->sink.server_down(self, method, server->id);
}

/* The buffer holds the id, and behind it one method at a time. */
static void tell_methods(redis_directory *d, cl_json *j, char type, cl_server *server, size_t id_len)
{
    cl_str raw;
    int escaped;
    cl_buf *b = &d->scratch;
    if (cl_json_enter(j, '[')) return;
    while (cl_json_element(j) > 0) {
        b->len = id_len;
        if (cl_json_string(j, &raw, &escaped) || cl_json_unescape(raw, b)) return;
        server->id = cl_str_of(b->data, id_len);
        tell(d, type, server, cl_str_of(b->data + id_len, b->len - id_len));
    }
}

static void tell_all(redis_directory *d, const announcement *n, size_t id_len)
{
    cl_json j;
    cl_str key, value;
    int escaped;
    cl_server server = {.native = CL_NATIVE_OURS};
    cl_json_start(&j, n->data, d->client->limits.json);
    if (cl_json_enter(&j, '{')) return;
    while (cl_json_member(&j, &key, &escaped) > 0) {
        if (cl_str_eq(key, CL_STR("m")) && cl_json_peek(&j) == '[') {
            tell_methods(d, &j, n->type, &server, id_len);
            return;
        }
        int is_frames = cl_str_eq(key, CL_STR("f"));
        if (cl_json_value(&j, &value)) return;
        if (is_frames && cl_str_eq(value, CL_STR("1"))) server.native = CL_NATIVE_FRAMES;
        cl_traits_take(&server.traits, key, value);
    }
}

void cl_redis_announced(redis_directory *d, cl_str text)
{
    announcement n;
    int code = text.n > d->client->limits.message ? CLOUDS_ETOOBIG : read_head(d, text, &n);
    cl_buf_clear(&d->scratch);
    if (!code) code = cl_json_unescape(n.id, &d->scratch);
    if (code) {
        d->sink.dropped(d->sink.self, code);
        return;
    }
    size_t id_len = d->scratch.len;
    if (id_len == 0 || !memchr("uwd", n.type ? n.type : '?', 3)) return;
    if (n.type == 'u') cl_redis_place_announced(d, cl_buf_str(&d->scratch));
    if (n.type == 'd') d->sink.peer_draining(d->sink.self, cl_buf_str(&d->scratch));
    tell_all(d, &n, id_len);
}
