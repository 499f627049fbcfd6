/* The hot path: an envelope becomes a PUBLISH, formatted straight into the output of the connection. */
#include "base/error.h"
#include "bus/redis/inside.h"
#include "clouds.h"

static int is_kind(cl_str json, char open, char close)
{
    return json.n >= 2 && json.p[0] == open && json.p[json.n - 1] == close;
}

/* What a node of 0.1.14 would die of never leaves (docs/WIRE.md, section 11). The texts are valid JSON already. */
static int is_sound(const cl_envelope *e)
{
    switch (e->type) {
    case CL_CALL: return is_kind(e->args, '[', ']');
    case CL_RESULT:
        return (e->result.n == 0 || is_kind(e->result, '[', ']')) &&
               (e->error.n == 0 || is_kind(e->error, '{', '}') || cl_str_eq(e->error, CL_STR("null")));
    case CL_MESSAGE: return 1;
    default: return 0;
    }
}

size_t cl_redis_publish_room(const redis_bus *bus, const cl_envelope *e, size_t body)
{
    return 80 + bus->prefix.n + e->to.n + body;
}

int cl_redis_publish_format(const redis_bus *bus, const cl_envelope *e, size_t body, cl_buf *out)
{
    cl_buf_add(out, "*3\r\n$7\r\nPUBLISH\r\n", 17);
    cl_resp_add_head(out, '$', bus->prefix.n + 3 + e->to.n);
    cl_buf_add_str(out, bus->prefix);
    cl_buf_add(out, ":L:", 3);
    cl_buf_add_str(out, e->to);
    cl_buf_add(out, "\r\n", 2);
    cl_resp_add_head(out, '$', body);
    size_t before = out->len;
    int code = cl_envelope_encode(e, out);
    if (!code && out->len - before != body) code = CLOUDS_EJSON;
    if (!code) code = cl_buf_put(out, "\r\n", 2);
    return code;
}

static int publish(redis_bus *bus, const cl_envelope *e, size_t body, uint64_t token)
{
    cl_buf *out;
    int code = cl_session_begin(bus->commands, &out);
    if (code) return code;
    if (cl_session_unwritten(bus->commands) + body > bus->limits.write_soft) return CLOUDS_ELIMIT;
    if (cl_buf_reserve(out, cl_redis_publish_room(bus, e, body))) return CLOUDS_ENOMEM;
    size_t before = out->len;
    code = cl_redis_publish_format(bus, e, body, out);
    if (code) out->len = before;
    else cl_session_end(bus->commands, before, KIND_PUBLISH, token);
    return code;
}

/* The deadline travels in Redis' time, which both sides know; it is left out when we do not. */
static void to_redis_time(const redis_bus *bus, cl_envelope *e)
{
    int64_t offset;
    int known = e->deadline && cl_session_clock(bus->commands, &offset);
    if (!known || __builtin_add_overflow(e->deadline, offset, &e->deadline)) e->flags &= ~(unsigned)CL_NATIVE;
}

int cl_redis_send(cl_bus *base, void *handle, const cl_envelope *e, uint64_t token)
{
    redis_bus *bus = (redis_bus *)base;
    if (bus->closing || (e->type == CL_CALL && !bus->up)) return cl_error(CLOUDS_EUNREACHABLE, NULL);
    if (!is_sound(e)) return cl_error(CLOUDS_EJSON, "the envelope would break its receiver");
    cl_envelope timed;
    if (e->type == CL_CALL && (e->flags & CL_NATIVE)) {
        timed = *e;
        to_redis_time(bus, &timed);
        e = &timed;
    }
    size_t body = cl_envelope_length(e);
    if (body > bus->limits.message) return cl_error(CLOUDS_ETOOBIG, NULL);
    int code = cl_session_is_ready(bus->commands) ? publish(bus, e, body, token)
                                                  : cl_redis_backlog_add(bus, e, body, token);
    return code ? cl_error(code, NULL) : 0;
}
