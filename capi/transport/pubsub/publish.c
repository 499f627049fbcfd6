/* The hot path: an envelope becomes a PUBLISH, formatted straight into the output of the connection. */
#include "base/error.h"
#include "base/rare.h"
#include "clouds.h"
#include "proto/frame.h"
#include "transport/pubsub/internal.h"

static int is_kind(cl_str json, char open, char close)
{
    return json.n >= 2 && json.p[0] == open && json.p[json.n - 1] == close;
}

/* Never publish an envelope that would end npm clouds 0.1 (WIRE.md 5.2). The texts are valid JSON already. */
static int is_sound(const cl_envelope *e)
{
    switch (e->type) {
    case CL_CALL:
        return is_kind(e->args, '[', ']');
    case CL_RESULT:
        return (e->result.n == 0 || is_kind(e->result, '[', ']')) &&
               (e->error.n == 0 || is_kind(e->error, '{', '}') || cl_str_eq(e->error, CL_STR("null")));
    default:
        return 1;
    }
}

static int is_text(const cl_envelope *e)
{
    return e->type == CL_CALL || e->type == CL_RESULT || e->type == CL_MESSAGE;
}

enum { PROMOTION_MS = 15000 };

enum { SLACK = 512 }; /* the estimate is not further off, but for escapes */

/* About as long as it will be: right enough to guess the number of digits, and to refuse what is far too long unseen.
 */
static size_t estimate(const cl_envelope *e)
{
    return e->args.n + e->error.n + e->result.n + e->data.n + e->method.n + e->id.n + e->from.n + e->home.n + 44;
}

int cl_redis_publish_head(const cl_pubsub *p, char kind, cl_str to, cl_buf *out)
{
    const char between[] = {':', kind, ':'};
    cl_str head = kind == 'C' ? p->client->topics : p->client->prefix;
    size_t more = kind == 'C' ? 0 : sizeof between;
    if (cl_buf_reserve(out, 80 + head.n + to.n)) return CLOUDS_ENOMEM;
    cl_buf_add(out, "*3\r\n$7\r\nPUBLISH\r\n", 17);
    cl_resp_add_head(out, '$', head.n + more + to.n);
    cl_buf_add_str(out, head);
    cl_buf_add(out, between, more);
    cl_buf_add_str(out, to);
    cl_buf_add(out, "\r\n", 2);
    return 0;
}

/* The length stands before the body, and its exact value is known after it: the place is guessed, and mended if need
 * be. */
static int put_body(const cl_envelope *e, size_t most, cl_buf *out)
{
    char digits[24];
    size_t mark = out->len, guess = cl_digits(digits, estimate(e));
    if (cl_buf_reserve(out, guess + 3)) return CLOUDS_ENOMEM;
    out->len += guess + 3;
    size_t start = out->len;
    int code = cl_envelope_encode(e, out);
    if (code) return code;
    size_t body = out->len - start, n = cl_digits(digits, body);
    if (body > most) return cl_error_too_big("the message", body, most);
    if (cl_buf_reserve(out, 24)) return CLOUDS_ENOMEM;
    if (n != guess) memmove(out->data + mark + n + 3, out->data + start, body);
    out->len = mark;
    cl_buf_add_char(out, '$');
    cl_buf_add(out, digits, n);
    cl_buf_add(out, "\r\n", 2);
    out->len += body;
    cl_buf_add(out, "\r\n", 2);
    return 0;
}

static int too_big(const cl_pubsub *p, const cl_envelope *e)
{
    return cl_error_too_big("the message", estimate(e), p->client->limits.message);
}

int cl_redis_put_frame(const cl_pubsub *p, char kind, cl_str to, const cl_envelope *e, cl_buf *out)
{
    cl_buf frame = {0};
    int code = cl_frame_encode_between(e, CL_STR_NONE, e->to, &frame);
    if (code == 0) code = cl_redis_publish_head(p, kind, to, out);
    if (code == 0) code = cl_buf_reserve(out, 24 + FRAMES_HEAD + frame.len + 2);
    if (code == 0) {
        cl_resp_add_head(out, '$', cl_redis_frames_head(p) + frame.len);
        cl_redis_put_frames_head(p, out);
        cl_buf_add_str(out, cl_buf_str(&frame));
        cl_buf_add(out, "\r\n", 2);
    }
    cl_buf_free(&frame);
    return code;
}

/* Text has no place for more. */
CL_RARE static int no_text(const cl_envelope *e)
{
    return cl_error(CLOUDS_ENOTSUP,
                    "%.*s is a node of npm clouds 0.1, or of an older version, and takes no more than JSON",
                    e->to.n < 150 ? (int)e->to.n : 150, e->to.p);
}

int cl_redis_publish_format(const cl_pubsub *p, const cl_envelope *e, cl_buf *out)
{
    size_t before = out->len;
    if (e->flags & CL_FRAMES) {
        int failed = cl_redis_put_frame(p, 'F', e->to, e, out);
        if (failed) out->len = before;
        return failed;
    }
    int code =
        estimate(e) > p->client->limits.message + SLACK ? too_big(p, e) : cl_redis_publish_head(p, 'L', e->to, out);
    if (!code) code = put_body(e, p->client->limits.message, out);
    if (code) out->len = before;
    return code;
}

/* Larger ones gain nothing. */
static int may_batch(const cl_envelope *e, size_t size)
{
    return (e->flags & CL_FRAMES) && size <= 4096;
}

/* One envelope may be larger than write_soft; what counts there is what waits already. The answer to work that is done
 * finds room as long as there is any. */
static int has_room(const cl_pubsub *p, const cl_envelope *e, size_t size)
{
    size_t waits = cl_session_unwritten(p->client->commands) + p->batched_bytes;
    return (e->type == CL_RESULT || waits <= p->client->limits.write_soft) &&
           waits + size <= p->client->limits.write_hard;
}

static int no_room(const cl_pubsub *p, const cl_envelope *e, size_t size)
{
    size_t waits = cl_session_unwritten(p->client->commands) + p->batched_bytes;
    int soft = e->type != CL_RESULT && waits > p->client->limits.write_soft;
    size_t limit = soft ? p->client->limits.write_soft : p->client->limits.write_hard;
    return cl_error_limit(CLOUDS_ELIMIT, soft ? waits : waits + size, limit,
                          "%zu bytes wait for Redis already (%s, %zu)", waits, soft ? "write_soft" : "write_hard",
                          limit);
}

int cl_redis_may_publish(const cl_pubsub *p, const cl_envelope *e)
{
    size_t size = cl_envelope_size(e);
    if (size > p->client->limits.message) return cl_error_too_big("the message", size, p->client->limits.message);
    return has_room(p, e, size) ? 0 : no_room(p, e, size);
}

static int publish(cl_pubsub *p, const cl_envelope *e, uint64_t token)
{
    cl_buf *out;
    int frames = (e->flags & CL_FRAMES) != 0;
    size_t size = frames ? cl_envelope_size(e) : estimate(e);
    if (frames && size > p->client->limits.message)
        return cl_error_too_big("the message", size, p->client->limits.message);
    if (size > p->client->limits.message + SLACK) return too_big(p, e);
    if (!has_room(p, e, size)) return no_room(p, e, size);
    if (may_batch(e, size)) return cl_redis_batch_add(p, e, token);
    /* Messages arrive in their order, so those before it do not wait for the end of the turn. */
    int code = e->type == CL_MESSAGE ? cl_redis_batch_send(p, e->to) : 0;
    if (!code) code = cl_session_begin(p->client->commands, &out);
    if (code) return code;
    size_t before = out->len;
    code = cl_redis_publish_format(p, e, out);
    if (!code)
        cl_session_end(p->client->commands, before,
                       e->flags & CL_NATIVE ? &cl_redis_publish_native_handler : &cl_redis_publish_handler, token);
    return code;
}

/* A replica hands on what its primary publishes, and is not counted. Its subscribers are no such receivers: they
 * compare this with where they are. In a cluster every subscriber counts, wherever it is. */
cl_str cl_redis_home(const cl_pubsub *p)
{
    if (cl_session_is_cluster(p->client->commands)) return CL_STR_NONE;
    const char *run_id = cl_session_role(p->client->commands)->run_id;
    return cl_str_of(run_id, strnlen(run_id, REDIS_HOME));
}

/* The deadline travels in Redis' time, which both sides know; it is left out when we do not. */
static void to_redis_time(const cl_pubsub *p, cl_envelope *e)
{
    int64_t offset;
    int known = e->deadline && cl_session_clock(p->client->commands, &offset);
    if (known && !__builtin_add_overflow(e->deadline, offset, &e->deadline) && e->deadline >= 0) {
        e->flags |= CL_REDIS_CLOCK;
        return;
    }
    if (!(e->flags & CL_FRAMES)) e->flags &= ~(unsigned)CL_NATIVE;
    e->deadline = 0;
}

int cl_redis_send(cl_transport *base, void *handle, const cl_envelope *e, uint64_t token)
{
    cl_pubsub *p = cl_pubsub_of(base);
    int is_here = cl_session_is_ready(p->client->commands);
    /* A call that waited here would not be known to have stayed here. */
    if (p->closing || (e->type == CL_CALL && !(p->base.up && is_here))) return cl_error(CLOUDS_EUNREACHABLE, NULL);
    pubsub_node *node = e->type == CL_CALL ? cl_pubsub_node_of(p, handle) : NULL;
    if (node && !node->listening) return cl_error(CLOUDS_EUNREACHABLE, NULL); /* the answer could not be heard */
    if (e->type == CL_PUBLISH) return cl_pubsub_to_member(p, handle, e, token);
    if (!(e->flags & CL_FRAMES) && (e->extension || !is_text(e))) return no_text(e);
    if (!is_sound(e)) return cl_error(CLOUDS_EJSON, "the envelope would break its receiver");
    if (e->type == CL_CANCEL && !is_here) return 0; /* it is too late then */
    cl_envelope timed;
    if (e->type == CL_CALL && (e->flags & CL_NATIVE)) {
        timed = *e;
        to_redis_time(p, &timed);
        timed.home = cl_redis_home(p);
        e = &timed;
    }
    return is_here ? publish(p, e, token) : cl_redis_backlog_add(p, e, token);
}

/* ---- what became of it */

/* No receiver means that nobody has it - unless a replica has subscribers, who get it too and are not counted, at once
 * or when the replica comes to it. A native node takes no call from there that says where it was published. Others
 * leave a replica as soon as they know; so for a while after a promotion, which is when this connection is young, the
 * number proves nothing of them. */
static int proves_nobody(cl_pubsub *p, int to_native)
{
    const cl_redis_role *role = cl_session_role(p->client->commands);
    if (to_native && role->run_id[0]) return 1;
    if (!role->known || role->is_replica) return 0;
    return !role->was_promoted || cl_loop_now() - cl_session_since(p->client->commands) > PROMOTION_MS;
}

enum cl_delivery cl_redis_publish_delivery(cl_pubsub *p, const cl_reply *reply, int to_native, int64_t *receivers)
{
    *receivers = 0;
    int is_error = reply->items[0].type == CL_REPLY_ERROR;
    if (cl_redis_client_is_bad(p->client, reply, CL_REPLY_INTEGER, "PUBLISH")) {
        if (is_error) *receivers = cl_redis_client_error(p->client, "PUBLISH", cl_reply_text(reply, 0));
        return is_error ? CL_DELIVERY_NOT_SENT : CL_DELIVERY_LOST;
    }
    *receivers = cl_session_is_cluster(p->client->commands) ? -1 : reply->items[0].number;
    if (*receivers != 0) return CL_DELIVERY_WRITTEN;
    return proves_nobody(p, to_native) ? CL_DELIVERY_NOBODY : CL_DELIVERY_UNPROVEN;
}

static void published(cl_pubsub *p, const cl_pending *pending, const cl_reply *reply, int to_native)
{
    int64_t receivers;
    enum cl_delivery delivery = cl_redis_publish_delivery(p, reply, to_native, &receivers);
    if (pending->ref) p->sink.delivery(p->sink.receiver, pending->ref, delivery, receivers);
}

static void on_published(void *self, const cl_pending *pending, const cl_reply *reply)
{
    published(cl_pubsub_by(self), pending, reply, 0);
}

static void on_published_native(void *self, const cl_pending *pending, const cl_reply *reply)
{
    published(cl_pubsub_by(self), pending, reply, 1);
}

static void on_lost(void *self, const cl_pending *pending, int sent)
{
    cl_pubsub *p = cl_pubsub_by(self);
    if (pending->ref)
        p->sink.delivery(p->sink.receiver, pending->ref, sent ? CL_DELIVERY_LOST : CL_DELIVERY_NOT_SENT, 0);
}

const cl_redis_handler cl_redis_publish_handler = {"PUBLISH", on_published, on_lost, 0};
const cl_redis_handler cl_redis_publish_native_handler = {"PUBLISH", on_published_native, on_lost, 0};
