#include "proto/fragment.h"

#include "clouds.h"
#include "proto/frame.h"
#include "proto/little_endian.h"

enum { STREAM = 4 /* bytes of its number */ };

int cl_fragment_encode(cl_str frame, size_t *at, uint32_t stream, size_t most, cl_buf *out)
{
    unsigned char number[STREAM];
    size_t left = frame.n - *at, n = most - CL_FRAME_PREFIX - CL_FRAME_HEAD - STREAM;
    if (n > left) n = left;
    cl_put32(number, stream);
    const cl_envelope e = {.type = CL_FRAME_FRAGMENT,
                           .flags = n < left ? CL_MORE : 0,
                           .id = cl_str_of((const char *)number, STREAM),
                           .data = cl_str_of(frame.p + *at, n)};
    int code = cl_frame_encode(&e, out);
    if (code == 0) *at += n;
    return code;
}

void cl_fragments_free(cl_fragments *in)
{
    cl_buf_free(&in->frame);
    *in = (cl_fragments){0};
}

/* Frames that are about a link itself are short. */
static int may_be_cut(int type)
{
    switch (type) {
    case CL_CALL:
    case CL_RESULT:
    case CL_MESSAGE:
    case CL_PUBLISH:
    case CL_PART:
    case CL_STATE:
        return 1;
    default:
        return 0;
    }
}

/* Whoever sent such a one is told; of the others nobody waits for more than its loss. */
static int pass_over(cl_fragments *in, cl_str first, cl_envelope *out)
{
    int64_t all = cl_frame_decode_too_big(first, out);
    if (all <= 0) return CLOUDS_EPROTO; /* a first fragment has the head and all names */
    in->is_passed_over = 1;
    return out->type == CL_PART || out->type == CL_STATE ? CLOUDS_ETOOBIG : 1;
}

static int begin(cl_fragments *in, uint32_t stream, cl_str first, size_t max, cl_envelope *out)
{
    cl_envelope head;
    if (first.n < CL_FRAME_PREFIX + CL_FRAME_HEAD) return CLOUDS_EPROTO;
    const unsigned char *p = (const unsigned char *)first.p;
    if (!may_be_cut(p[CL_FRAME_PREFIX])) return CLOUDS_EPROTO;
    cl_fragments_free(in);
    in->length = (uint64_t)cl_get32(p) + CL_FRAME_PREFIX;
    in->stream = stream;
    int64_t code = cl_frame_decode(first, max, &head); /* a head that can become none is refused now */
    if (code == CLOUDS_ETOOBIG) return pass_over(in, first, out);
    return code < 0 ? (int)code : 0;
}

static int finish(cl_fragments *in, cl_envelope *out)
{
    int64_t took = in->is_passed_over ? 0 : cl_frame_decode(cl_buf_str(&in->frame), SIZE_MAX, out);
    in->length = in->came = 0;
    in->is_passed_over = 0;
    return took > 0;
}

int cl_fragments_take(cl_fragments *in, const cl_envelope *fragment, size_t max, cl_envelope *out)
{
    cl_str piece = fragment->data;
    if (fragment->id.n != STREAM || !piece.n) return CLOUDS_EPROTO;
    uint32_t stream = cl_get32((const unsigned char *)fragment->id.p);
    int begun = in->length ? 0 : begin(in, stream, piece, max, out);
    if (begun < 0) return begun;
    uint64_t left = in->length - in->came;
    int is_last = !(fragment->flags & CL_MORE);
    if (stream != in->stream || piece.n > left || (piece.n == left) != is_last) return CLOUDS_EPROTO;
    in->came += piece.n;
    if (!in->is_passed_over && cl_buf_put(&in->frame, piece.p, piece.n) != 0) return CLOUDS_ENOMEM;
    return is_last && finish(in, out) ? 1 : begun;
}
