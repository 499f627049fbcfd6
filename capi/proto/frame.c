#include "proto/frame.h"

#include "base/rare.h"
#include "clouds.h"
#include "proto/little_endian.h"
#include "proto/utf8.h"

enum { KNOWN_FLAGS = CL_NATIVE | CL_REFUSED | CL_NOTIFY | CL_LOST | CL_LAST | CL_REDIS_CLOCK };

/* The first payload of each type. */
static inline cl_str first_payload(const cl_envelope *e)
{
    return e->type == CL_CALL ? e->args : e->type == CL_RESULT ? e->error : e->data;
}

/* ---- writing */

static inline void put_head(unsigned char *p, const cl_envelope *e, cl_str from, cl_str to, size_t length, size_t first,
                            size_t block)
{
    cl_put32(p, (uint32_t)length);
    p += CL_FRAME_PREFIX;
    p[0] = (unsigned char)e->type;
    p[1] = (unsigned char)(e->flags & KNOWN_FLAGS);
    cl_put16(p + 2, from.n);
    cl_put16(p + 4, to.n);
    cl_put16(p + 6, e->id.n);
    cl_put16(p + 8, e->method.n);
    cl_put16(p + 10, block);
    cl_put32(p + 12, (uint32_t)first);
    cl_put64(p + 16, (uint64_t)e->deadline);
}

/* With an extension or none: one function, so that the usual way is compiled without. */
__attribute__((always_inline)) static inline int encode(const cl_envelope *e, cl_str from, cl_str to,
                                                        const cl_extension *x, cl_buf *out)
{
    cl_str first = first_payload(e), second = e->type == CL_RESULT ? e->result : CL_STR_NONE;
    size_t block = x ? cl_extension_block_length(x) : 0, bytes = x ? x->bytes.n : 0;
    if ((from.n | to.n | e->id.n | e->method.n | block) > UINT16_MAX) return CLOUDS_ETOOBIG;
    if (first.n > INT32_MAX || second.n > INT32_MAX) return CLOUDS_ETOOBIG;
    size_t length = CL_FRAME_HEAD + from.n + to.n + e->id.n + e->method.n + block + first.n + second.n + bytes;
    if (length > UINT32_MAX) return CLOUDS_ETOOBIG;
    if (cl_buf_reserve(out, CL_FRAME_PREFIX + length) != 0) return CLOUDS_ENOMEM;
    char *p = out->data + out->len;
    put_head((unsigned char *)p, e, from, to, length, first.n, block);
    p = cl_str_copy(cl_str_copy(p + CL_FRAME_PREFIX + CL_FRAME_HEAD, from), to);
    p = cl_str_copy(cl_str_copy(p, e->id), e->method);
    if (x) p = cl_extension_put_block(x, p);
    p = cl_str_copy(cl_str_copy(p, first), second);
    if (x) cl_str_copy(p, x->bytes);
    out->len += CL_FRAME_PREFIX + length;
    return 0;
}

CL_RARE static int encode_extended(const cl_envelope *e, cl_str from, cl_str to, cl_buf *out)
{
    return encode(e, from, to, e->extension, out);
}

static inline int is_known(cl_str name, cl_str known)
{
    return name.p == known.p || cl_str_is(name, known);
}

int cl_frame_encode_between(const cl_envelope *e, cl_str known_from, cl_str known_to, cl_buf *out)
{
    cl_str from = known_from.n && is_known(e->from, known_from) ? CL_STR_NONE : e->from;
    cl_str to = known_to.n && is_known(e->to, known_to) ? CL_STR_NONE : e->to;
    return e->extension ? encode_extended(e, from, to, out) : encode(e, from, to, NULL, out);
}

int cl_frame_encode(const cl_envelope *e, cl_buf *out)
{
    return cl_frame_encode_between(e, CL_STR_NONE, CL_STR_NONE, out);
}

void cl_frame_set_deadline(char *frame, int64_t deadline)
{
    unsigned char *p = (unsigned char *)frame + CL_FRAME_PREFIX + 16;
    cl_put64(p, (uint64_t)deadline);
}

/* ---- reading */

static inline cl_str take(const char **p, size_t n)
{
    cl_str s = {*p, n};
    *p += n;
    return s;
}

/* Each of the four for itself: a chain of assignments reads what was just written in halves, which waits for it. */
static inline void set_payloads(cl_envelope *out, cl_str first, cl_str second)
{
    int is_call = out->type == CL_CALL, is_result = out->type == CL_RESULT;
    out->args = is_call ? first : CL_STR_NONE;
    out->error = is_result ? first : CL_STR_NONE;
    out->result = is_result ? second : CL_STR_NONE;
    out->data = is_call || is_result ? CL_STR_NONE : first;
}

/* The bytes between the head and the payloads: the names and the extension. */
static inline size_t names_of(const unsigned char *head)
{
    return (size_t)cl_get16(head + 2) + cl_get16(head + 4) + cl_get16(head + 6) + cl_get16(head + 8) +
           cl_get16(head + 10);
}

/* The head has come. Do its lengths fit into the frame's? */
static inline int is_valid(const unsigned char *head, uint64_t length)
{
    return CL_FRAME_HEAD + names_of(head) + (uint64_t)cl_get32(head + 12) <= length;
}

static inline void read_frame(const char *frame, size_t length, cl_envelope *out)
{
    const unsigned char *head = (const unsigned char *)frame + CL_FRAME_PREFIX;
    const char *p = frame + CL_FRAME_PREFIX + CL_FRAME_HEAD, *end = frame + CL_FRAME_PREFIX + length;
    out->size = 0;
    out->type = head[0];
    out->flags = head[1] & KNOWN_FLAGS;
    out->from = take(&p, cl_get16(head + 2));
    out->to = take(&p, cl_get16(head + 4));
    out->id = take(&p, cl_get16(head + 6));
    out->method = take(&p, cl_get16(head + 8));
    p += cl_get16(head + 10);
    cl_str first = take(&p, cl_get32(head + 12));
    set_payloads(out, first, cl_str_of(p, (size_t)(end - p)));
    uint64_t deadline = cl_get64(head + 16);
    out->deadline = deadline <= INT64_MAX ? (int64_t)deadline : 0;
    out->raw = cl_str_of(frame, CL_FRAME_PREFIX + length);
    out->home = CL_STR_NONE;
    out->extension = NULL;
    out->carried = NULL;
    out->at = 0;
    out->link = 0;
}

int64_t cl_frame_decode(cl_str bytes, size_t max, cl_envelope *out)
{
    if (bytes.n < CL_FRAME_PREFIX) return 0;
    uint32_t length = cl_get32((const unsigned char *)bytes.p);
    if (length < CL_FRAME_HEAD) return CLOUDS_EPROTO;
    if (length > max) return CLOUDS_ETOOBIG;
    if (bytes.n < CL_FRAME_PREFIX + CL_FRAME_HEAD) return 0;
    if (!is_valid((const unsigned char *)bytes.p + CL_FRAME_PREFIX, length)) return CLOUDS_EPROTO;
    if (bytes.n - CL_FRAME_PREFIX < length) return 0;
    read_frame(bytes.p, length, out);
    return (int64_t)length + CL_FRAME_PREFIX;
}

/* The bytes are the end of what the second payload was until now, or of the first where there is no second. */
static int take_bytes(cl_envelope *e, cl_str *bytes)
{
    const unsigned char *head = (const unsigned char *)e->raw.p + CL_FRAME_PREFIX;
    size_t before = CL_FRAME_PREFIX + CL_FRAME_HEAD + names_of(head) + cl_get32(head + 12), rest = e->raw.n - before;
    if (bytes->n > rest) return CLOUDS_EPROTO;
    if (e->type == CL_RESULT) e->result.n = rest - bytes->n;
    bytes->p = e->raw.p + e->raw.n - bytes->n;
    return 0;
}

CL_RARE int cl_frame_extend(cl_envelope *e, cl_extension *room)
{
    const unsigned char *head = (const unsigned char *)e->raw.p + CL_FRAME_PREFIX;
    size_t block = cl_get16(head + 10);
    int code =
        cl_extension_read_block(cl_str_of((const char *)head + CL_FRAME_HEAD + names_of(head) - block, block), room);
    if (code != CLOUDS_EPROTO && room->bytes.n && take_bytes(e, &room->bytes) != 0) code = CLOUDS_EPROTO;
    if (code == CLOUDS_ENOTSUP) cl_envelope_mark_unsupported(e);
    if (code == 0) e->extension = room;
    return code;
}

CL_RARE int64_t cl_frame_decode_too_big(cl_str bytes, cl_envelope *out)
{
    if (bytes.n < CL_FRAME_PREFIX) return 0;
    size_t length = cl_get32((const unsigned char *)bytes.p);
    if (length < CL_FRAME_HEAD || length > INT32_MAX) return CLOUDS_EPROTO;
    if (bytes.n < CL_FRAME_PREFIX + CL_FRAME_HEAD) return 0;
    const unsigned char *head = (const unsigned char *)bytes.p + CL_FRAME_PREFIX;
    size_t names = names_of(head);
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

/* What is behind an id, which the frames of these types need, is checked by whoever asked for it. */
static int check_other(const cl_envelope *e, cl_json_limits limits)
{
    switch (e->type) {
    case CL_CANCEL:
        return e->id.n ? 0 : CLOUDS_EPROTO;
    case CL_CREDIT:
        return e->id.n && e->data.n == 4 ? 0 : CLOUDS_EPROTO;
    case CL_PART:
        if (!e->id.n) return CLOUDS_EPROTO;
        return e->data.n ? cl_json_check(e->data, 0, limits) : 0;
    case CL_PUBLISH:
        return e->method.n ? cl_json_check(e->data, 0, limits) : CLOUDS_EPROTO;
    case CL_STATE:
        return cl_json_check(e->data, 0, limits);
    default:
        return 0;
    }
}

CL_RARE static int check_extension(const cl_extension *x, cl_json_limits limits)
{
    if (!is_text(x->reply_to) || !is_text(x->correlation) || !is_text(x->group) || !is_text(x->node))
        return CLOUDS_EPROTO;
    if (x->meta.n > CL_META_MAX || x->key.n > CL_ONCE_MAX) return CLOUDS_ETOOBIG;
    return x->meta.n ? cl_json_check(x->meta, '{', limits) : 0;
}

int cl_frame_check(const cl_envelope *e, cl_json_limits limits)
{
    if (!is_name(e->from) || !is_name(e->method)) return CLOUDS_EPROTO;
    int code = e->extension ? check_extension(e->extension, limits) : 0;
    if (code) return code;
    if (e->type == CL_MESSAGE) return e->data.n ? cl_json_check(e->data, 0, limits) : 0;
    if (e->type != CL_CALL && e->type != CL_RESULT) return check_other(e, limits);
    if (e->id.n == 0) return CLOUDS_EPROTO;
    return e->type == CL_CALL ? cl_json_check(e->args, '[', limits) : check_result(e, limits);
}
