#include "proto/frame.h"

#include "clouds.h"

enum { KNOWN_FLAGS = CL_NATIVE | CL_REFUSED, MAX_NAME = 0xffff };

static inline void put(char *at, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) at[i] = (char)(v >> (8 * i));
}

static inline uint64_t get(const char *at, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++) v |= (uint64_t)(unsigned char)at[i] << (8 * i);
    return v;
}

static cl_str first_payload(const cl_envelope *e)
{
    return e->type == CL_CALL ? e->args : e->type == CL_RESULT ? e->error : e->data;
}

int cl_frame_encode(const cl_envelope *e, cl_buf *out)
{
    cl_str first = first_payload(e), second = e->type == CL_RESULT ? e->result : CL_STR_NONE;
    if (e->from.n > MAX_NAME || e->to.n > MAX_NAME || e->id.n > MAX_NAME || e->method.n > MAX_NAME) return CLOUDS_ETOOBIG;
    if (first.n > UINT32_MAX / 4 || second.n > UINT32_MAX / 4) return CLOUDS_ETOOBIG;
    size_t length = CL_FRAME_HEAD + e->from.n + e->to.n + e->id.n + e->method.n + first.n + second.n;
    if (cl_buf_reserve(out, CL_FRAME_PREFIX + length) != 0) return CLOUDS_ENOMEM;
    char *at = out->data + out->len;
    put(at, length, 4);
    at[4] = (char)e->type;
    at[5] = (char)(e->flags & KNOWN_FLAGS);
    put(at + 6, e->from.n, 2);
    put(at + 8, e->to.n, 2);
    put(at + 10, e->id.n, 2);
    put(at + 12, e->method.n, 2);
    put(at + 14, 0, 2);
    put(at + 16, first.n, 4);
    put(at + 20, (uint64_t)e->deadline, 8);
    out->len += CL_FRAME_PREFIX + CL_FRAME_HEAD;
    cl_buf_add_str(out, e->from);
    cl_buf_add_str(out, e->to);
    cl_buf_add_str(out, e->id);
    cl_buf_add_str(out, e->method);
    cl_buf_add_str(out, first);
    cl_buf_add_str(out, second);
    return 0;
}

static cl_str take(const char **at, size_t n)
{
    cl_str s = {*at, n};
    *at += n;
    return s;
}

static void set_payloads(cl_envelope *e, cl_str first, cl_str second)
{
    e->args = e->error = e->data = e->result = CL_STR_NONE;
    if (e->type == CL_CALL) e->args = first;
    else if (e->type == CL_RESULT) e->error = first, e->result = second;
    else e->data = first;
}

int64_t cl_frame_decode(cl_str bytes, size_t max, cl_envelope *out)
{
    if (bytes.n < CL_FRAME_PREFIX) return 0;
    size_t length = (size_t)get(bytes.p, 4);
    if (length < CL_FRAME_HEAD) return CLOUDS_EPROTO;
    if (length > max) return CLOUDS_ETOOBIG;
    if (bytes.n < CL_FRAME_PREFIX + length) return 0;
    const char *head = bytes.p + CL_FRAME_PREFIX, *at = head + CL_FRAME_HEAD;
    size_t from = (size_t)get(head + 2, 2), to = (size_t)get(head + 4, 2), id = (size_t)get(head + 6, 2);
    size_t method = (size_t)get(head + 8, 2), first = (size_t)get(head + 12, 4);
    if (from + to + id + method + first > length - CL_FRAME_HEAD) return CLOUDS_EPROTO;
    *out = (cl_envelope){.type = (unsigned char)head[0],
                         .flags = (unsigned char)head[1] & KNOWN_FLAGS,
                         .deadline = (int64_t)get(head + 16, 8),
                         .raw = cl_str_of(bytes.p, CL_FRAME_PREFIX + length)};
    out->from = take(&at, from);
    out->to = take(&at, to);
    out->id = take(&at, id);
    out->method = take(&at, method);
    cl_str one = take(&at, first);
    set_payloads(out, one, cl_str_of(at, (size_t)(head + length - at)));
    if (out->deadline < 0) out->deadline = 0;
    return (int64_t)(CL_FRAME_PREFIX + length);
}

static int check_optional(cl_str json, char bracket, cl_json_limits limits)
{
    return json.n ? cl_json_check(json, bracket, limits) : 0;
}

int cl_frame_check(const cl_envelope *e, cl_json_limits limits)
{
    if (e->type == CL_CALL) return e->method.n && e->id.n ? cl_json_check(e->args, '[', limits) : CLOUDS_EJSON;
    if (e->type == CL_MESSAGE) return check_optional(e->data, 0, limits);
    if (e->type != CL_RESULT) return 0;
    if (e->id.n == 0) return CLOUDS_EJSON;
    int code = check_optional(e->error, '{', limits);
    return code ? code : check_optional(e->result, '[', limits);
}
