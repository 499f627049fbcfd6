/* Fragments from anywhere, and what our own become when they are cut. */
#include "fuzz.h"

#include "clouds.h"
#include "proto/fragment.h"
#include "proto/frame.h"

enum { MAX = 4096, LONGEST_FRAGMENT = 2048 };

static void from_anywhere(cl_str bytes)
{
    cl_fragments in = {0};
    cl_envelope fragment, out;
    for (int64_t n; (n = cl_frame_decode(bytes, LONGEST_FRAGMENT, &fragment)) > 0;) {
        bytes = (cl_str){bytes.p + n, bytes.n - (size_t)n};
        if (fragment.type != CL_FRAME_FRAGMENT) continue;
        int code = cl_fragments_take(&in, &fragment, MAX, &out);
        HOLDS(in.frame.len <= MAX + CL_FRAME_PREFIX && in.came <= in.length);
        if (code < 0) {
            HOLDS(code == CLOUDS_EPROTO || code == CLOUDS_ETOOBIG);
            cl_fragments_free(&in); /* the link ends */
            continue;
        }
        if (code == 0 || (out.flags & CL_TOO_BIG)) continue;
        HOLDS(in.length == 0 && out.raw.n == in.frame.len && out.type != CL_FRAME_FRAGMENT);
    }
    cl_fragments_free(&in);
}

/* The first byte says how long the pieces are. */
static void cut_and_put_together(cl_str data)
{
    cl_fragments in = {0};
    cl_buf frame = {0}, pieces = {0};
    cl_envelope e = cl_envelope_of(CL_MESSAGE, CL_STR("c.1"), CL_STR("s.1"), CL_STR_NONE), fragment, out;
    size_t at = 0, most = 70 + (unsigned char)data.p[0] * 4u, read = 0;
    int code = 0;
    e.data = data;
    HOLDS(cl_frame_encode(&e, &frame) == 0);
    while (at < frame.len) HOLDS(cl_fragment_encode(cl_buf_str(&frame), &at, 9, most, &pieces) == 0);
    while (read < pieces.len) {
        HOLDS(code == 0);
        int64_t n = cl_frame_decode(cl_str_of(pieces.data + read, pieces.len - read), most, &fragment);
        HOLDS(n > 0 && (size_t)n <= most);
        code = cl_fragments_take(&in, &fragment, SIZE_MAX, &out);
        read += (size_t)n;
    }
    HOLDS(code == 1 && cl_str_eq(out.data, data) && cl_str_eq(out.raw, cl_buf_str(&frame)));
    cl_fragments_free(&in);
    cl_buf_free(&pieces);
    cl_buf_free(&frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    from_anywhere(cl_str_of((const char *)data, size));
    if (size) cut_and_put_together(cl_str_of((const char *)data, size));
    return 0;
}
