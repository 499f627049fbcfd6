/* What native nodes announce about their registrations, on channels that npm nodes do not subscribe to:
 * {"t":"u","s":"<id>","d":{"f":1,"m":["method",...]}} - u: up, w: withdrawn, d: draining, and so withdrawn too, p:
 * paused, r: resumed. f: it reads frames. Of one that is up also what its record says: "weight":3,"tags":"zone=a",
 * before "m".
 *
 * Each method has a channel, and what is said there names that method. For nodes of 0.2 the same is said for all methods
 * at once on the channel that those have, without p and r, while one of them listens (news.c). "n" there says that
 * whoever listens to the methods has heard it already: said twice it could be the older of two. */
#include "directory/redis/internal.h"
#include "base/mem.h"
#include "clouds.h"

/* ---- out: to nodes of 0.2 */

/* What is about to be said to them. */
typedef struct old_news {
    redis_node *node;
    cl_buf text;
    int is_up;
} old_news;

static const cl_redis_handler count_handler, publish_handler;

static void old_news_free(redis_directory *d, old_news *news)
{
    redis_node *node = news->node;
    cl_buf_free(&news->text);
    cl_free(news);
    cl_redis_node_unref(d, node);
}

static void publish_to_all(redis_directory *d, old_news *news)
{
    cl_str publish[] = {CL_STR("PUBLISH"), d->client->announce_channel, cl_buf_str(&news->text)};
    if (cl_redis_client_send(d->client, &publish_handler, news, 3, publish)) old_news_free(d, news);
}

static int64_t count_in(const cl_reply *reply, size_t at)
{
    return reply->len == 5 && reply->items[at].type == CL_REPLY_INTEGER ? reply->items[at].number : -1;
}

/* Who may not count says it to nobody in vain. */
static void on_count(void *self, const cl_pending *pending, const cl_reply *reply)
{
    redis_directory *d = redis_directory_of(self);
    old_news *news = cl_redis_from_ref(pending);
    int64_t all = count_in(reply, 2), ours = count_in(reply, 4);
    if (reply->items[0].type == CL_REPLY_ERROR) cl_redis_client_log_once(d->client, "PUBSUB", cl_reply_text(reply, 0));
    if (all < 0 || all > ours) publish_to_all(d, news);
    else old_news_free(d, news);
}

static void on_published(void *self, const cl_pending *pending, const cl_reply *reply)
{
    redis_directory *d = redis_directory_of(self);
    cl_redis_client_is_bad(d->client, reply, CL_REPLY_INTEGER, "PUBLISH");
    old_news_free(d, cl_redis_from_ref(pending));
}

/* Nobody may have heard it, neither here nor on the channels of the methods: it is said once more. */
static void on_lost(void *self, const cl_pending *pending, int sent)
{
    old_news *news = cl_redis_from_ref(pending);
    if (news->is_up) news->node->again = 1;
    old_news_free(redis_directory_of(self), news);
}

static const cl_redis_handler count_handler = {"PUBSUB", on_count, on_lost, 0};
static const cl_redis_handler publish_handler = {"PUBLISH", on_published, on_lost, 0};

/* In a cluster the counts are those of one of its servers. */
static void say_to_old(redis_directory *d, redis_node *node, char type, cl_buf *text)
{
    cl_str ask[] = {CL_STR("PUBSUB"), CL_STR("NUMSUB"), d->client->announce_channel, d->client->news_marker};
    old_news *news = cl_calloc(1, sizeof *news);
    if (!news) {
        cl_buf_free(text);
        return;
    }
    node->refs++;
    *news = (old_news){.node = node, .text = *text, .is_up = type == 'u'};
    if (cl_session_is_cluster(d->client->commands)) publish_to_all(d, news);
    else if (cl_redis_client_send(d->client, &count_handler, news, 4, ask)) old_news_free(d, news);
}

/* ---- out */

/* Is there something to say of it? */
static int is_meant(const redis_reg *reg, char type, cl_str method)
{
    if (type == 'u') return reg->fresh && !reg->paused;
    return type == 'd' ? reg->wanted : cl_str_eq(reg->method, method);
}

/* Up to the first method. */
static int begin(cl_buf *text, char type, const redis_node *node, cl_str more)
{
    const cl_traits traits = cl_traits_read(cl_str_z(node->traits));
    int code = cl_buf_printf(text, "{\"t\":\"%c\",\"s\":", type);
    if (!code) code = cl_json_quote(node->id, text);
    if (!code) code = cl_buf_put_str(text, CL_STR(",\"d\":{\"f\":1"));
    if (!code && (type == 'u' || type == 'r')) code = cl_traits_put(&traits, text);
    if (!code) code = cl_buf_put_str(text, more);
    return code ? code : cl_buf_put_str(text, CL_STR(",\"m\":["));
}

static void say_of(redis_directory *d, const redis_node *node, char type, cl_str method)
{
    cl_buf *text = &d->text;
    cl_buf_clear(text);
    int code = cl_buf_put_str(text, d->client->method_news);
    if (!code) code = cl_buf_put_str(text, method);
    size_t n = text->len;
    if (!code) code = begin(text, type, node, CL_STR_NONE);
    if (!code) code = cl_json_quote(method, text);
    if (!code) code = cl_buf_put_str(text, CL_STR("]}}"));
    cl_str publish[] = {CL_STR("PUBLISH"), cl_str_of(text->data, n), cl_str_of(text->data + n, text->len - n)};
    if (!code) cl_redis_client_send_unawaited(d->client, 3, publish);
}

void cl_redis_announce(redis_directory *d, redis_node *node, char type, cl_str method)
{
    cl_buf all = {0};
    char to_old = type == 'p' ? 'w' : type;
    int count = 0;
    int code = begin(&all, to_old, node, CL_STR(",\"n\":1"));
    size_t at = 0;
    for (redis_reg *reg; (reg = cl_strmap_next(&node->regs, &at));) {
        if (is_meant(reg, type, method)) {
            say_of(d, node, type == 'u' && reg->resumed ? 'r' : type, reg->method);
            if (!code && count++) code = cl_buf_put_char(&all, ',');
            if (!code) code = cl_json_quote(reg->method, &all);
        }
        if (type == 'u' || type == 'd') reg->fresh = reg->resumed = 0;
    }
    if (!code) code = cl_buf_put_str(&all, CL_STR("]}}"));
    if (!code && count) say_to_old(d, node, to_old, &all);
    else cl_buf_free(&all);
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
    if (type == 'u' || type == 'r') d->sink.server_up(self, method, *server);
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
        if (cl_str_eq(key, CL_STR("n"))) return;
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
    if (id_len == 0 || !memchr("uwdpr", n.type ? n.type : '?', 5)) return;
    if (n.type == 'u') cl_redis_place_announced(d, cl_buf_str(&d->scratch));
    if (n.type == 'd') d->sink.peer_draining(d->sink.self, cl_buf_str(&d->scratch));
    tell_all(d, &n, id_len);
}
