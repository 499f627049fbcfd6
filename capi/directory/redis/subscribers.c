/* Who has subscribed to a pattern, or in a group: what a publisher has to know beside the channel of the topic.
 *
 * Design note. A node keeps all of that under one key, <prefix>:X:<id>, a JSON array of [topic, group], which lives as
 * a registration does; the set <prefix>:X has the ids, and each change is announced at the channel of the same name.
 * Who publishes subscribes to that, reads all keys once, and then the key of a node that has changed. An id whose key
 * is gone leaves the set. A key that outlives its node costs a PUBLISH that reaches nobody, and nothing else. */
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "clouds.h"
#include "directory/redis/internal.h"
#include "proto/topic.h"

enum { MOST_IDS = 20000 };

/* The keys of some nodes are asked for. */
typedef struct question {
    cl_list_node link;
    int is_all; /* of the complete list */
    size_t n;
    cl_buf ids; /* one a line */
} question;

static const cl_redis_handler write_handler, renew_handler, subscribe_handler, members_handler, keys_handler;

/* ---- names */

static cl_str set_name(redis_directory *d, cl_buf *room)
{
    cl_buf_clear(room);
    if (cl_buf_put_str(room, d->client->prefix) || cl_buf_put_str(room, CL_STR(":X"))) return CL_STR_NONE;
    return cl_buf_str(room);
}

static cl_str key_name(redis_directory *d, cl_str id, cl_buf *room)
{
    if (!set_name(d, room).n || cl_buf_put_char(room, ':') || cl_buf_put_str(room, id)) return CL_STR_NONE;
    return cl_buf_str(room);
}

/* ---- what nodes of ours have subscribed to */

static redis_subscription *find(const redis_node *node, cl_str topic, cl_str group)
{
    CL_LIST_EACH(it, &node->subscriptions)
    {
        redis_subscription *s = CL_OWNER(it, redis_subscription, link);
        if (cl_str_eq(s->topic, topic) && cl_str_eq(s->group, group)) return s;
    }
    return NULL;
}

static int put_all(const redis_node *node, cl_buf *out)
{
    cl_buf_clear(out);
    int code = cl_buf_put_char(out, '[');
    CL_LIST_EACH(it, &node->subscriptions)
    {
        const redis_subscription *s = CL_OWNER(it, redis_subscription, link);
        if (!code && it != node->subscriptions.next) code = cl_buf_put_char(out, ',');
        if (!code) code = cl_buf_put_char(out, '[');
        if (!code) code = cl_json_quote(s->topic, out);
        if (!code) code = cl_buf_put_char(out, ',');
        if (!code) code = cl_json_quote(s->group, out);
        if (!code) code = cl_buf_put_char(out, ']');
    }
    return code ? code : cl_buf_put_char(out, ']');
}

static void announce(redis_directory *d, const redis_node *node)
{
    cl_str publish[] = {CL_STR("PUBLISH"), d->client->subscribers, node->id};
    cl_redis_client_send_unawaited(d->client, 3, publish);
}

/* Writes all of a node. What cannot be sent now is written when the connection is there, or with the next heartbeat. */
static void write_all(redis_directory *d, redis_node *node)
{
    cl_buf names[2] = {{0}, {0}};
    if (!node->listening || !cl_session_is_ready(d->client->commands)) return;
    cl_str set = set_name(d, &names[0]), key = key_name(d, node->id, &names[1]);
    if (set.n && key.n && put_all(node, &d->text) == 0) {
        cl_str sadd[] = {CL_STR("SADD"), set, node->id};
        cl_str expire[] = {CL_STR("EXPIRE"), set, CL_STR("86400")};
        cl_str write[] = {CL_STR("SET"), key, cl_buf_str(&d->text), CL_STR("EX"), cl_str_z(node->ttl)};
        cl_redis_client_send_unawaited(d->client, 3, sadd);
        cl_redis_client_send_unawaited(d->client, 3, expire);
        if (cl_redis_client_send(d->client, &write_handler, node, 5, write) == 0) {
            node->refs++;
            node->writes++;
            CL_LIST_EACH(it, &node->subscriptions)
            {
                redis_subscription *s = CL_OWNER(it, redis_subscription, link);
                if (!s->sent) s->sent = node->writes;
            }
        }
    }
    cl_buf_free(&names[0]);
    cl_buf_free(&names[1]);
}

static void remove_all(redis_directory *d, redis_node *node)
{
    cl_buf names[2] = {{0}, {0}};
    cl_str set = set_name(d, &names[0]), key = key_name(d, node->id, &names[1]);
    cl_str del[] = {CL_STR("DEL"), key}, rem[] = {CL_STR("SREM"), set, node->id};
    if (set.n && key.n && node->refused_code != CLOUDS_EEXIST) {
        cl_redis_client_send_unawaited(d->client, 2, del);
        cl_redis_client_send_unawaited(d->client, 3, rem);
        announce(d, node);
    }
    cl_buf_free(&names[0]);
    cl_buf_free(&names[1]);
}

int cl_redis_subscribe(cl_directory *base, void *handle, cl_str topic, cl_str group)
{
    redis_directory *d = redis_of(base);
    redis_node *node = cl_redis_node_of(d, handle);
    if (!node || node->draining) return cl_error(CLOUDS_ECLOSED, NULL);
    redis_subscription *s = find(node, topic, group);
    if (s) return s->told ? 0 : CL_PENDING;
    int is_first = cl_list_empty(&node->subscriptions) && !cl_redis_has_heartbeat(node);
    if (is_first && cl_redis_node_beat_later(d, node)) return cl_error(CLOUDS_ENOMEM, NULL);
    s = cl_calloc(1, sizeof *s + topic.n + group.n);
    if (!s) return cl_error(CLOUDS_ENOMEM, NULL);
    memcpy(s->text, topic.p, topic.n);
    memcpy(s->text + topic.n, group.p, group.n);
    s->topic = cl_str_of(s->text, topic.n);
    s->group = cl_str_of(s->text + topic.n, group.n);
    cl_list_append(&node->subscriptions, &s->link);
    write_all(d, node);
    return CL_PENDING;
}

void cl_redis_unsubscribe(cl_directory *base, void *handle, cl_str topic, cl_str group)
{
    redis_directory *d = redis_of(base);
    redis_node *node = cl_redis_node_of(d, handle);
    redis_subscription *s = node ? find(node, topic, group) : NULL;
    if (!s) return;
    cl_list_remove(&s->link);
    cl_free(s);
    if (cl_list_empty(&node->subscriptions)) remove_all(d, node);
    else write_all(d, node);
}

void cl_redis_subscriptions_free(redis_node *node)
{
    CL_LIST_EACH(it, &node->subscriptions) cl_free(CL_OWNER(it, redis_subscription, link));
    cl_list_init(&node->subscriptions);
}

void cl_redis_subscriptions_end(redis_directory *d, redis_node *node)
{
    if (cl_list_empty(&node->subscriptions)) return;
    cl_redis_subscriptions_free(node);
    remove_all(d, node);
}

void cl_redis_subscriptions_restore(redis_directory *d, redis_node *node)
{
    node->writes = node->written = 0;
    CL_LIST_EACH(it, &node->subscriptions) CL_OWNER(it, redis_subscription, link)->sent = 0;
    if (!cl_list_empty(&node->subscriptions)) write_all(d, node);
}

void cl_redis_subscriptions_renew(redis_directory *d, redis_node *node)
{
    cl_buf room = {0};
    if (cl_list_empty(&node->subscriptions) || !node->listening) return;
    cl_str expire[] = {CL_STR("EXPIRE"), key_name(d, node->id, &room), cl_str_z(node->ttl)};
    if (expire[1].n && cl_redis_client_send(d->client, &renew_handler, node, 3, expire) == 0) node->refs++;
    cl_buf_free(&room);
}

/* The words may go with what is told. */
static void refused(redis_directory *d, redis_node *node, cl_str error)
{
    cl_redis_error_text words;
    int code = cl_redis_explain_command(error, "SET", d->client->prefix, &words);
    cl_redis_client_log_once(d->client, "SET", error);
    for (int any = 1; any;) {
        any = 0;
        CL_LIST_EACH(it, &node->subscriptions)
        {
            redis_subscription *s = CL_OWNER(it, redis_subscription, link);
            if (s->told || !s->sent || s->sent > node->written) continue;
            any = 1;
            cl_list_remove(&s->link);
            d->sink.subscribed(d->sink.self, node->handle, s->topic, s->group, code, words.text);
            cl_free(s);
            break;
        }
    }
}

static void confirmed(redis_directory *d, redis_node *node)
{
    announce(d, node);
    CL_LIST_EACH(it, &node->subscriptions)
    {
        redis_subscription *s = CL_OWNER(it, redis_subscription, link);
        if (s->told || !s->sent || s->sent > node->written) continue;
        s->told = 1;
        d->sink.subscribed(d->sink.self, node->handle, s->topic, s->group, 0, "");
    }
}

static void on_written(void *self, const cl_pending *pending, const cl_reply *reply)
{
    redis_directory *d = redis_directory_of(self);
    redis_node *node = cl_redis_from_ref(pending);
    node->written++;
    if (reply->items[0].type == CL_REPLY_ERROR) refused(d, node, cl_reply_text(reply, 0));
    else if (!cl_redis_client_is_bad(d->client, reply, CL_REPLY_STATUS, "SET")) confirmed(d, node);
    cl_redis_node_unref(d, node);
}

static void on_renewed(void *self, const cl_pending *pending, const cl_reply *reply)
{
    redis_directory *d = redis_directory_of(self);
    redis_node *node = cl_redis_from_ref(pending);
    int is_bad = cl_redis_client_is_bad(d->client, reply, CL_REPLY_INTEGER, "EXPIRE");
    if (!is_bad && reply->items[0].number != 1 && !cl_list_empty(&node->subscriptions)) write_all(d, node);
    cl_redis_node_unref(d, node);
}

static void on_node_lost(void *self, const cl_pending *pending, int sent)
{
    cl_redis_node_unref(redis_directory_of(self), cl_redis_from_ref(pending));
}

static const cl_redis_handler write_handler = {"SET", on_written, on_node_lost, 0};
static const cl_redis_handler renew_handler = {"EXPIRE", on_renewed, on_node_lost, 0};

/* ---- what others have subscribed to */

static void dropped(redis_directory *d, int code)
{
    d->sink.dropped(d->sink.self, code);
}

/* One [topic, group] of `id`. */
static int read_one(redis_directory *d, cl_json *j, cl_str id)
{
    cl_str raw[2];
    cl_buf *b = &d->scratch;
    size_t ends[2];
    int escaped, n = 0, code = cl_json_enter(j, '[');
    cl_buf_clear(b);
    while (!code && cl_json_element(j) > 0) {
        if (n == 2 || cl_json_peek(j) != '"') return CLOUDS_EJSON;
        code = cl_json_string(j, &raw[n], &escaped);
        if (!code) code = cl_json_unescape(raw[n], b);
        ends[n++] = b->len;
    }
    if (code || n != 2) return code ? code : CLOUDS_EJSON;
    cl_str topic = cl_str_of(b->data, ends[0]), group = cl_str_of(b->data + ends[0], ends[1] - ends[0]);
    if (cl_topic_check_pattern(topic) || (group.n && cl_topic_check_group(group))) return CLOUDS_EJSON;
    if (!group.n && !cl_topic_is_pattern(topic)) return 0;
    d->sink.subscription(d->sink.self, id, topic, group, 1);
    return 0;
}

static void read_key(redis_directory *d, cl_str id, cl_str text)
{
    cl_json j;
    int code = text.n > d->client->limits.message ? CLOUDS_ETOOBIG : 0;
    cl_json_start(&j, text, d->client->limits.json);
    if (!code) code = cl_json_enter(&j, '[');
    while (!code && cl_json_element(&j) > 0) code = read_one(d, &j, id);
    if (code) dropped(d, code);
}

static void question_free(question *q)
{
    cl_list_remove(&q->link);
    cl_buf_free(&q->ids);
    cl_free(q);
}

void cl_redis_questions_free(redis_directory *d)
{
    CL_LIST_EACH(it, &d->questions) question_free(CL_OWNER(it, question, link));
}

static cl_str next_line(cl_str *rest)
{
    const char *end = memchr(rest->p, '\n', rest->n);
    cl_str line = {rest->p, end ? (size_t)(end - rest->p) : rest->n};
    *rest = end ? (cl_str){end + 1, rest->n - line.n - 1} : CL_STR_NONE;
    return line;
}

/* What is not asked now would never be: all is asked anew on the next connection. */
static void out_of_memory(redis_directory *d)
{
    cl_session_cut(d->client->commands, CLOUDS_ENOMEM, "out of memory");
}

/* MGET of the keys of all ids of a question. */
static int ask_keys(redis_directory *d, const question *q)
{
    cl_buf names = {0};
    cl_str *argv = cl_malloc((q->n + 1) * sizeof *argv);
    int code = argv ? 0 : CLOUDS_ENOMEM;
    cl_str rest = cl_buf_str(&q->ids);
    size_t most = q->ids.len + q->n * (d->client->prefix.n + 3);
    if (!code) code = cl_buf_reserve(&names, most + 1);
    for (size_t i = 0; !code && i < q->n; i++) {
        cl_str id = next_line(&rest);
        size_t at = names.len;
        cl_buf_add_str(&names, d->client->prefix);
        cl_buf_add(&names, ":X:", 3);
        cl_buf_add_str(&names, id);
        argv[i + 1] = cl_str_of(names.data + at, names.len - at);
    }
    if (!code) argv[0] = CL_STR("MGET");
    if (!code) code = cl_redis_client_send(d->client, &keys_handler, q, q->n + 1, argv);
    cl_buf_free(&names);
    cl_free(argv);
    return code;
}

static void ask_about(redis_directory *d, question *q)
{
    cl_list_append(&d->questions, &q->link);
    if (ask_keys(d, q) == 0) return;
    if (q->is_all) d->asks_subscribers = 0;
    question_free(q);
    out_of_memory(d);
}

static void whole(redis_directory *d)
{
    d->asks_subscribers = 0;
    d->knows_subscribers = 1;
    d->sink.subscriptions(d->sink.self, 0);
}

static void on_keys(void *self, const cl_pending *pending, const cl_reply *reply)
{
    redis_directory *d = redis_directory_of(self);
    question *q = cl_redis_from_ref(pending);
    cl_str rest = cl_buf_str(&q->ids);
    int is_bad = cl_redis_client_is_bad(d->client, reply, CL_REPLY_ARRAY, "MGET");
    if (!is_bad && q->is_all) d->sink.subscriptions(d->sink.self, 1);
    for (size_t i = 1; !is_bad && i <= q->n && i < reply->len; i++) {
        cl_str id = next_line(&rest);
        if (!q->is_all) d->sink.subscription(d->sink.self, id, CL_STR_NONE, CL_STR_NONE, 0);
        if (cl_reply_is_text(reply, i)) {
            read_key(d, id, cl_reply_text(reply, i));
            continue;
        }
        cl_buf room = {0};
        cl_str rem[] = {CL_STR("SREM"), set_name(d, &room), id};
        if (q->is_all && rem[1].n) cl_redis_client_send_unawaited(d->client, 3, rem);
        cl_buf_free(&room);
    }
    if (q->is_all) whole(d);
    question_free(q);
}

static void on_keys_lost(void *self, const cl_pending *pending, int sent)
{
    question *q = cl_redis_from_ref(pending);
    if (q->is_all) redis_directory_of(self)->asks_subscribers = 0;
    question_free(q);
}

static question *question_new(void)
{
    question *q = cl_calloc(1, sizeof *q);
    if (q) cl_list_init(&q->link);
    return q;
}

/* Ids with a line's end in them are none of ours. */
static int add_id(question *q, cl_str id)
{
    if (!id.n || memchr(id.p, '\n', id.n) || q->n == MOST_IDS) return 0;
    int code = q->n ? cl_buf_put_char(&q->ids, '\n') : 0;
    if (!code) code = cl_buf_put_str(&q->ids, id);
    q->n += !code;
    return code;
}

static void on_members(void *self, const cl_pending *pending, const cl_reply *reply)
{
    redis_directory *d = redis_directory_of(self);
    question *q = question_new();
    int is_bad = cl_redis_client_is_bad(d->client, reply, CL_REPLY_ARRAY, "SMEMBERS"), code = q ? 0 : CLOUDS_ENOMEM;
    for (size_t i = 1; !code && !is_bad && i < reply->len; i++)
        if (cl_reply_is_text(reply, i)) code = add_id(q, cl_reply_text(reply, i));
    if (code) {
        if (q) question_free(q);
        d->asks_subscribers = 0;
        out_of_memory(d);
        return;
    }
    if (q->n && !is_bad) {
        q->is_all = 1;
        ask_about(d, q);
        return;
    }
    question_free(q);
    if (!is_bad) d->sink.subscriptions(d->sink.self, 1);
    whole(d); /* refused: then nothing of that is known */
}

static void on_members_lost(void *self, const cl_pending *pending, int sent)
{
    redis_directory_of(self)->asks_subscribers = 0;
}

static const cl_redis_handler members_handler = {"SMEMBERS", on_members, on_members_lost, 0};
static const cl_redis_handler keys_handler = {"MGET", on_keys, on_keys_lost, 0};

void cl_redis_subscribers_ask(redis_directory *d)
{
    cl_buf room = {0};
    if (!d->follows || !d->hears_subscribers || d->asks_subscribers) return;
    cl_str smembers[] = {CL_STR("SMEMBERS"), set_name(d, &room)};
    d->asks_subscribers = smembers[1].n && cl_redis_client_send(d->client, &members_handler, NULL, 2, smembers) == 0;
    if (!d->asks_subscribers && cl_session_is_ready(d->client->commands)) out_of_memory(d);
    cl_buf_free(&room);
}

void cl_redis_subscriber_changed(redis_directory *d, cl_str id)
{
    question *q = question_new();
    int code = q ? add_id(q, id) : CLOUDS_ENOMEM;
    if (code) out_of_memory(d);
    if (!code && q->n) ask_about(d, q);
    else if (q) question_free(q);
}

static void on_subscribed(void *self, const cl_pending *pending, const cl_reply *reply)
{
    redis_directory *d = redis_directory_of(self);
    cl_redis_error_text words;
    int code, is_confirmed = cl_redis_client_is_confirmed(d->client, reply, "subscribe", &code, &words);
    if (is_confirmed < 0) return;
    if (!is_confirmed) cl_log(CLOUDS_LOG_WARN, "no announcements of subscribers from Redis: %s", words.text);
    d->hears_subscribers = 1;
    cl_redis_subscribers_ask(d);
}

static const cl_redis_handler subscribe_handler = {"SUBSCRIBE", on_subscribed, NULL, 0};

void cl_redis_subscribers_ready(redis_directory *d)
{
    cl_str command[] = {CL_STR("SUBSCRIBE"), d->client->subscribers};
    if (d->follows && cl_session_send(d->client->subscriber, &subscribe_handler, 0, 2, command))
        cl_session_cut(d->client->subscriber, CLOUDS_ENOMEM, "out of memory");
}

void cl_redis_subscribers_down(redis_directory *d)
{
    d->hears_subscribers = 0;
}

int cl_redis_follow(cl_directory *base)
{
    redis_directory *d = redis_of(base);
    if (d->follows) return d->knows_subscribers ? 0 : CL_PENDING;
    d->follows = 1;
    if (cl_session_is_ready(d->client->subscriber)) cl_redis_subscribers_ready(d);
    return CL_PENDING;
}
