/* The hot path: an envelope becomes a PUBLISH, formatted straight into the output of the connection. */
#include "base/error.h"
#include "bus/redis/internal.h"
#include "clouds.h"

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
    case CL_MESSAGE:
        return 1;
    default:
        return 0;
    }
}

enum { SLACK = 512 }; /* the estimate is not further off, but for escapes */

/* About as long as it will be: right enough to guess the number of digits, and to refuse what is far too long unseen.
 */
static size_t estimate(const cl_envelope *e)
{
    return e->args.n + e->error.n + e->result.n + e->data.n + e->method.n + e->id.n + e->from.n + e->home.n + 44;
}

int cl_redis_publish_head(const redis_bus *bus, cl_str to, cl_buf *out)
{
    if (cl_buf_reserve(out, 80 + bus->prefix.n + to.n)) return CLOUDS_ENOMEM;
    cl_buf_add(out, "*3\r\n$7\r\nPUBLISH\r\n", 17);
    cl_resp_add_head(out, '$', bus->prefix.n + 3 + to.n);
    cl_buf_add_str(out, bus->prefix);
    cl_buf_add(out, ":L:", 3);
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

static int too_big(const redis_bus *bus, const cl_envelope *e)
{
    return cl_error_too_big("the message", estimate(e), bus->limits.message);
}

int cl_redis_publish_format(const redis_bus *bus, const cl_envelope *e, cl_buf *out)
{
    size_t before = out->len;
    int code = estimate(e) > bus->limits.message + SLACK ? too_big(bus, e) : cl_redis_publish_head(bus, e->to, out);
    if (!code) code = put_body(e, bus->limits.message, out);
    if (code) out->len = before;
    return code;
}

/* Larger ones gain nothing. Messages go alone: their receiver may be anybody. */
static int may_batch(const cl_envelope *e, size_t size)
{
    return (e->flags & CL_NATIVE) && e->type != CL_MESSAGE && size <= 4096;
}

/* One envelope may be larger than write_soft; what counts there is what waits already. The answer to work that is done
 * finds room as long as there is any. */
static int has_room(const redis_bus *bus, const cl_envelope *e, size_t size)
{
    size_t waits = cl_session_unwritten(bus->commands) + bus->batched_bytes;
    return (e->type == CL_RESULT || waits <= bus->limits.write_soft) && waits + size <= bus->limits.write_hard;
}

static int no_room(const redis_bus *bus, const cl_envelope *e, size_t size)
{
    size_t waits = cl_session_unwritten(bus->commands) + bus->batched_bytes;
    int soft = e->type != CL_RESULT && waits > bus->limits.write_soft;
    size_t limit = soft ? bus->limits.write_soft : bus->limits.write_hard;
    return cl_error_limit(CLOUDS_ELIMIT, soft ? waits : waits + size, limit,
                          "%zu bytes wait for Redis already (%s, %zu)", waits, soft ? "write_soft" : "write_hard",
                          limit);
}

static int publish(redis_bus *bus, const cl_envelope *e, uint64_t token)
{
    cl_buf *out;
    size_t size = estimate(e);
    if (size > bus->limits.message + SLACK) return too_big(bus, e);
    if (!has_room(bus, e, size)) return no_room(bus, e, size);
    if (may_batch(e, size)) return cl_redis_batch_add(bus, e, token);
    int code = cl_session_begin(bus->commands, &out);
    if (code) return code;
    size_t before = out->len;
    code = cl_redis_publish_format(bus, e, out);
    if (!code) cl_session_end(bus->commands, before, e->flags & CL_NATIVE ? KIND_PUBLISH_OURS : KIND_PUBLISH, token);
    return code;
}

/* A replica hands on what its primary publishes, and is not counted. Its subscribers are no such receivers: they
 * compare this with where they are. In a cluster every subscriber counts, wherever it is. */
static cl_str home_of(const redis_bus *bus)
{
    if (cl_session_is_cluster(bus->commands)) return CL_STR_NONE;
    const char *run_id = cl_session_role(bus->commands)->run_id;
    return cl_str_of(run_id, strnlen(run_id, REDIS_HOME));
}

/* The deadline travels in Redis' time, which both sides know; it is left out when we do not. */
static void to_redis_time(const redis_bus *bus, cl_envelope *e)
{
    int64_t offset;
    int known = e->deadline && cl_session_clock(bus->commands, &offset);
    if (!known || __builtin_add_overflow(e->deadline, offset, &e->deadline) || e->deadline < 0)
        e->flags &= ~(unsigned)CL_NATIVE;
}

int cl_redis_send(cl_bus *base, void *handle, const cl_envelope *e, uint64_t token)
{
    redis_bus *bus = (redis_bus *)base;
    int is_here = cl_session_is_ready(bus->commands);
    /* A call that waited here would not be known to have stayed here. */
    if (bus->closing || (e->type == CL_CALL && !(bus->up && is_here))) return cl_error(CLOUDS_EUNREACHABLE, NULL);
    redis_node *node = e->type == CL_CALL ? cl_redis_node_of(bus, handle) : NULL;
    if (node && !node->listening) return cl_error(CLOUDS_EUNREACHABLE, NULL); /* the answer could not be heard */
    if (!is_sound(e)) return cl_error(CLOUDS_EJSON, "the envelope would break its receiver");
    cl_envelope timed;
    if (e->type == CL_CALL && (e->flags & CL_NATIVE)) {
        timed = *e;
        to_redis_time(bus, &timed);
        timed.home = home_of(bus);
        e = &timed;
    }
    return is_here ? publish(bus, e, token) : cl_redis_backlog_add(bus, e, token);
}
