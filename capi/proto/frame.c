#include "proto/frame.h"

#include "base/rare.h"
#include "clouds.h"
#include "proto/utf8.h"

enum { KNOWN_FLAGS = CL_NATIVE | CL_REFUSED | CL_LOST };

/* The first payload of each type. */
static inline cl_str first_payload(const cl_envelope *e)
{
    return e->type == CL_CALL ? e->args : e->type == CL_RESULT ? e->error : e->data;
}

/* ---- numbers, little-endian on every machine */

static inline void put16(unsigned char *p, size_t v)
{
    p[0] = (unsigned char)v;
    p[1] = (unsigned char)(v >> 8);
}

static inline void put32(unsigned char *p, uint32_t v)
{
    put16(p, v & 0xffff);
    put16(p + 2, v >> 16);
}

static inline uint32_t get16(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8;
}

static inline uint32_t get32(const unsigned char *p)
{
    return get16(p) | get16(p + 2) << 16;
}

static inline uint64_t get64(const unsigned char *p)
{
    return get32(p) | (uint64_t)get32(p + 4) << 32;
}

/* ---- writing */

static inline char *put(char *p, cl_str s)
{
    if (s.n) memcpy(p, s.p, s.n); /* an absent one may have no address at all */
    return p + s.n;
}

static inline void put_head(unsigned char *p, const cl_envelope *e, cl_str from, cl_str to, size_t length, size_t first)
{
    put32(p, (uint32_t)length);
    p += CL_FRAME_PREFIX;
    p[0] = (unsigned char)e->type;
    p[1] = (unsigned char)(e->flags & KNOWN_FLAGS);
    put16(p + 2, from.n);
    put16(p + 4, to.n);
    put16(p + 6, e->id.n);
    put16(p + 8, e->method.n);
    put16(p + 10, 0);
    put32(p + 12, (uint32_t)first);
    put32(p + 16, (uint32_t)e->deadline);
    put32(p + 20, (uint32_t)((uint64_t)e->deadline >> 32));
}

int cl_frame_encode_between(const cl_envelope *e, cl_str known_from, cl_str known_to, cl_buf *out)
{
    cl_str from = known_from.n && cl_str_eq(e->from, known_from) ? CL_STR_NONE : e->from;
    cl_str to = known_to.n && cl_str_eq(e->to, known_to) ? CL_STR_NONE : e->to;
    cl_str first = first_payload(e), second = e->type == CL_RESULT ? e->result : CL_STR_NONE;
    if ((from.n | to.n | e->id.n | e->method.n) > UINT16_MAX) return CLOUDS_ETOOBIG;
    if (first.n > INT32_MAX || second.n > INT32_MAX) return CLOUDS_ETOOBIG;
    size_t length = CL_FRAME_HEAD + from.n + to.n + e->id.n + e->method.n + first.n + second.n;
    if (length > UINT32_MAX) return CLOUDS_ETOOBIG;
    if (cl_buf_reserve(out, CL_FRAME_PREFIX + length) != 0) return CLOUDS_ENOMEM;
    char *p = out->data + out->len;
    put_head((unsigned char *)p, e, from, to, length, first.n);
    p = put(put(p + CL_FRAME_PREFIX + CL_FRAME_HEAD, from), to);
    p = put(put(p, e->id), e->method);
    put(put(p, first), second);
    out->len += CL_FRAME_PREFIX + length;
    return 0;
}

int cl_frame_encode(const cl_envelope *e, cl_buf *out)
{
    return cl_frame_encode_between(e, CL_STR_NONE, CL_STR_NONE, out);
}

void cl_frame_set_deadline(char *frame, int64_t deadline)
{
    unsigned char *p = (unsigned char *)frame + CL_FRAME_PREFIX + 16;
    put32(p, (uint32_t)deadline);
    put32(p + 4, (uint32_t)((uint64_t)deadline >> 32));
}

/* ---- reading */

static inline cl_str take(const char **p, size_t n)
{
    cl_str s = {*p, n};
    *p += n;
    return s;
}

static inline void set_payloads(cl_envelope *out, cl_str first, cl_str second)
{
    out->args = out->error = out->result = out->data = CL_STR_NONE;
    if (out->type == CL_CALL) {
        out->args = first;
    } else if (out->type == CL_RESULT) {
        out->error = first;
        out->result = second;
    } else {
        out->data = first;
    }
}

/* The head has come. Do its lengths fit into the frame's? */
static inline int is_valid(const unsigned char *head, uint64_t length)
{
    uint64_t names = (uint64_t)get16(head + 2) + get16(head + 4) + get16(head + 6) + get16(head + 8);
    return CL_FRAME_HEAD + names + get32(head + 12) <= length;
}

static inline void read_frame(const char *frame, size_t length, cl_envelope *out)
{
    const unsigned char *head = (const unsigned char *)frame + CL_FRAME_PREFIX;
    const char *p = frame + CL_FRAME_PREFIX + CL_FRAME_HEAD, *end = frame + CL_FRAME_PREFIX + length;
    out->size = 0;
    out->type = head[0];
    out->flags = head[1] & KNOWN_FLAGS;
    out->from = take(&p, get16(head + 2));
    out->to = take(&p, get16(head + 4));
    out->id = take(&p, get16(head + 6));
    out->method = take(&p, get16(head + 8));
    cl_str first = take(&p, get32(head + 12));
    set_payloads(out, first, cl_str_of(p, (size_t)(end - p)));
    uint64_t deadline = get64(head + 16);
    out->deadline = deadline <= INT64_MAX ? (int64_t)deadline : 0;
    out->raw = cl_str_of(frame, CL_FRAME_PREFIX + length);
    out->home = CL_STR_NONE;
    out->arrived = 0;
    out->link = 0;
}

int64_t cl_frame_decode(cl_str bytes, size_t max, cl_envelope *out)
{
    if (bytes.n < CL_FRAME_PREFIX) return 0;
    uint32_t length = get32((const unsigned char *)bytes.p);
    if (length < CL_FRAME_HEAD) return CLOUDS_EPROTO;
    if (length > max) return CLOUDS_ETOOBIG;
    if (bytes.n < CL_FRAME_PREFIX + CL_FRAME_HEAD) return 0;
    if (!is_valid((const unsigned char *)bytes.p + CL_FRAME_PREFIX, length)) return CLOUDS_EPROTO;
    if (bytes.n - CL_FRAME_PREFIX < length) return 0;
    read_frame(bytes.p, length, out);
    return (int64_t)length + CL_FRAME_PREFIX;
}

CL_RARE int64_t cl_frame_decode_too_big(cl_str bytes, cl_envelope *out)
{
    if (bytes.n < CL_FRAME_PREFIX) return 0;
    size_t length = get32((const unsigned char *)bytes.p);
    if (length < CL_FRAME_HEAD || length > INT32_MAX) return CLOUDS_EPROTO;
    if (bytes.n < CL_FRAME_PREFIX + CL_FRAME_HEAD) return 0;
    const unsigned char *head = (const unsigned char *)bytes.p + CL_FRAME_PREFIX;
    size_t names = (size_t)get16(head + 2) + get16(head + 4) + get16(head + 6) + get16(head + 8);
    if (!is_valid(head, length)) return CLOUDS_EPROTO;
    if (bytes.n < CL_FRAME_PREFIX + CL_FRAME_HEAD + names) return 0;
    read_frame(bytes.p, CL_FRAME_HEAD + names, out);
    cl_envelope_mark_too_big(out, CL_FRAME_PREFIX + length);
    return (int64_t)(CL_FRAME_PREFIX + length);
}

/* ---- checking */

/* Well-formed UTF-8, lone surrogates in three bytes included: what a name read from JSON can be. */
static int is_text(cl_str s)
{
    const char *p = s.p, *end = p + s.n;
    while (p < end) {
        if (cl_utf8_is_surrogate(p, end)) {
            p += 3;
            continue;
        }
        int n = cl_utf8_sequence(p, end);
        if (n < 0) return 0;
        p += n;
    }
    return 1;
}

static inline int is_name(cl_str s)
{
    const char *end = s.p + s.n;
    return cl_text_skip_plain(s.p, end) == end || is_text(s);
}

static int check_result(const cl_envelope *e, cl_json_limits limits)
{
    int has_error = e->error.n && !cl_str_eq(e->error, CL_STR("null"));
    int code = has_error ? cl_json_check(e->error, '{', limits) : 0;
    return code == 0 && e->result.n ? cl_json_check(e->result, '[', limits) : code;
}

int cl_frame_check(const cl_envelope *e, cl_json_limits limits)
{
    if (!is_name(e->from) || !is_name(e->method)) return CLOUDS_EPROTO;
    if (e->type == CL_MESSAGE) return e->data.n ? cl_json_check(e->data, 0, limits) : 0;
    if (e->type != CL_CALL && e->type != CL_RESULT) return 0;
    if (e->id.n == 0) return CLOUDS_EPROTO;
    return e->type == CL_CALL ? cl_json_check(e->args, '[', limits) : check_result(e, limits);
}
