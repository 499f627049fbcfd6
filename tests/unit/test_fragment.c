#include "proto/fragment.h"

#include "clouds.h"
#include "proto/frame.h"
#include "proto/little_endian.h"
#include "support/tap.h"

enum { MAX = 1 << 20, STREAM = 7 };

static char text[5000];

static cl_envelope some_call(size_t n)
{
    cl_envelope e = cl_envelope_of(CL_CALL, CL_STR("c.1"), CL_STR("s.2"), CL_STR("i9"));
    memset(text, ' ', sizeof text);
    text[0] = '[', text[n - 1] = ']';
    e.method = CL_STR("add");
    e.args = cl_str_of(text, n);
    e.deadline = 5;
    return e;
}

static cl_buf frame_of(const cl_envelope *e)
{
    cl_buf frame = {0};
    CHECK_INT(cl_frame_encode(e, &frame), 0);
    return frame;
}

/* What cl_fragments_take says of a fragment with this content. */
static int take(cl_fragments *in, uint32_t stream, unsigned flags, cl_str piece, size_t max, cl_envelope *out)
{
    static cl_buf bytes; /* *out may have texts of the fragment */
    unsigned char number[4];
    cl_put32(number, stream);
    cl_envelope e = cl_envelope_of(CL_FRAME_FRAGMENT, CL_STR_NONE, CL_STR_NONE, cl_str_of((char *)number, 4)), back;
    e.flags = flags;
    e.data = piece;
    cl_buf_clear(&bytes);
    CHECK_INT(cl_frame_encode(&e, &bytes), 0);
    CHECK(cl_frame_decode(cl_buf_str(&bytes), SIZE_MAX, &back) > 0);
    return cl_fragments_take(in, &back, max, out);
}

static void cut_and_put_together(void)
{
    const cl_envelope e = some_call(4000);
    cl_buf frame = frame_of(&e), pieces = {0};
    static const size_t sizes[] = {33, 100, 1000, 4095, 5000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        cl_fragments in = {0};
        cl_envelope fragment, whole;
        size_t at = 0;
        int code = 0;
        /* The first has to have the head and all names. */
        CHECK_INT(cl_fragment_encode(cl_buf_str(&frame), &at, STREAM, 200, &pieces), 0);
        while (at < frame.len) CHECK_INT(cl_fragment_encode(cl_buf_str(&frame), &at, STREAM, sizes[i], &pieces), 0);
        for (size_t read = 0; read < pieces.len;) {
            CHECK_INT(code, 0);
            int64_t n = cl_frame_decode(cl_str_of(pieces.data + read, pieces.len - read), MAX, &fragment);
            REQUIRE(n > 0 && n <= (int64_t)(sizes[i] > 200 ? sizes[i] : 200));
            CHECK_INT(fragment.type, CL_FRAME_FRAGMENT);
            code = cl_fragments_take(&in, &fragment, MAX, &whole);
            read += (size_t)n;
        }
        CHECK_INT(code, 1);
        CHECK(whole.type == CL_CALL && cl_str_eq(whole.args, e.args) && cl_str_eq(whole.from, e.from) &&
              cl_str_eq(whole.to, e.to) && cl_str_eq(whole.id, e.id) && whole.deadline == 5);
        CHECK_INT(in.length, 0);
        cl_fragments_free(&in);
        cl_buf_clear(&pieces);
    }
    cl_buf_free(&pieces);
    cl_buf_free(&frame);
}

static void what_does_not_fit_together(void)
{
    const cl_envelope e = some_call(1000);
    cl_buf frame = frame_of(&e);
    cl_str whole = cl_buf_str(&frame), first = {whole.p, 500}, rest = {whole.p + 500, whole.n - 500};
    cl_envelope out;
    const struct {
        uint32_t stream;
        unsigned flags;
        cl_str piece;
    } bad[] = {{STREAM + 1, 0, rest},             /* of another frame */
               {STREAM, CL_MORE, rest},           /* nothing is left, and more is to come */
               {STREAM, 0, {rest.p, rest.n - 1}}, /* the last, and something is missing */
               {STREAM, 0, {whole.p, whole.n}},   /* more than was said */
               {STREAM, CL_MORE, CL_STR_NONE}};   /* nothing */
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cl_fragments in = {0};
        CHECK_INT(take(&in, STREAM, CL_MORE, first, MAX, &out), 0);
        CHECK_INT(take(&in, bad[i].stream, bad[i].flags, bad[i].piece, MAX, &out), CLOUDS_EPROTO);
        cl_fragments_free(&in);
    }
    cl_buf_free(&frame);
}

static void what_is_no_beginning(void)
{
    static const int types[] = {CL_FRAME_HELLO, CL_FRAME_PING, CL_FRAME_FRAGMENT, CL_FRAME_DRAINING, CL_CANCEL, 'Z'};
    cl_envelope e = some_call(1000), out;
    cl_buf frame = frame_of(&e);
    cl_fragments in = {0};
    CHECK_INT(take(&in, STREAM, CL_MORE, cl_str_of(frame.data, 27), MAX, &out), CLOUDS_EPROTO); /* half a head */
    cl_put32((unsigned char *)frame.data, 23);
    CHECK_INT(take(&in, STREAM, CL_MORE, cl_str_of(frame.data, 500), MAX, &out), CLOUDS_EPROTO);
    cl_put32((unsigned char *)frame.data, 100); /* less than its payload takes */
    CHECK_INT(take(&in, STREAM, CL_MORE, cl_str_of(frame.data, 50), MAX, &out), CLOUDS_EPROTO);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        cl_buf_free(&frame);
        e.type = types[i];
        frame = frame_of(&e);
        CHECK_INT(take(&in, STREAM, CL_MORE, cl_str_of(frame.data, 50), MAX, &out), CLOUDS_EPROTO);
    }
    cl_fragments_free(&in);
    cl_buf_free(&frame);
}

/* The sum is known with the first, so nothing of it is collected. */
static void what_is_too_long(void)
{
    const cl_envelope e = some_call(4000);
    cl_buf frame = frame_of(&e);
    cl_fragments in = {0};
    cl_envelope out;
    CHECK_INT(take(&in, STREAM, CL_MORE, cl_str_of(frame.data, 1000), 3000, &out), 1);
    CHECK(out.type == CL_CALL && (out.flags & CL_TOO_BIG) && cl_str_eq(out.id, CL_STR("i9")) && out.size == frame.len);
    CHECK_INT(in.frame.cap, 0);
    CHECK_INT(take(&in, STREAM, CL_MORE, cl_str_of(frame.data + 1000, 1000), 3000, &out), 0);
    CHECK_INT(take(&in, STREAM, 0, cl_str_of(frame.data + 2000, frame.len - 2000), 3000, &out), 0);
    CHECK_INT(in.frame.cap, 0);
    /* and the next is taken */
    const cl_envelope next = some_call(100);
    cl_buf_free(&frame);
    frame = frame_of(&next);
    CHECK_INT(take(&in, STREAM + 1, 0, cl_buf_str(&frame), 3000, &out), 1);
    CHECK(!(out.flags & CL_TOO_BIG) && cl_str_eq(out.args, next.args));
    cl_fragments_free(&in);
    cl_buf_free(&frame);
}

int main(void)
{
    RUN(cut_and_put_together);
    RUN(what_does_not_fit_together);
    RUN(what_is_no_beginning);
    RUN(what_is_too_long);
    return tap_end();
}
