#include "fuzz.h"

#include "clouds.h"
#include "proto/frame.h"

static const cl_json_limits wide = {64, 10000};
enum { MAX = 2048 };

static int same(const cl_envelope *a, const cl_envelope *b)
{
    return a->type == b->type && a->flags == b->flags && cl_str_eq(a->from, b->from) && cl_str_eq(a->to, b->to) &&
           cl_str_eq(a->id, b->id) && cl_str_eq(a->method, b->method) && cl_str_eq(a->args, b->args) &&
           cl_str_eq(a->error, b->error) && cl_str_eq(a->result, b->result) && cl_str_eq(a->data, b->data) &&
           a->deadline == b->deadline;
}

static void spans_are_inside(const cl_envelope *e, cl_str frame)
{
    const cl_str spans[] = {e->from, e->to, e->id, e->method, e->args, e->error, e->result, e->data, e->raw};
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++)
        HOLDS(spans[i].n == 0 || (spans[i].p >= frame.p && spans[i].p + spans[i].n <= frame.p + frame.n));
}

static int same_extension(const cl_extension *a, const cl_extension *b)
{
    if (!a || !b) return !a && !b;
    return cl_str_eq(a->meta, b->meta) && cl_str_eq(a->bytes, b->bytes) && cl_str_eq(a->key, b->key) &&
           cl_str_eq(a->reply_to, b->reply_to) && cl_str_eq(a->correlation, b->correlation) &&
           cl_str_eq(a->group, b->group) && cl_str_eq(a->abilities, b->abilities) && cl_str_eq(a->node, b->node) &&
           a->epoch == b->epoch && a->sequence == b->sequence;
}

/* The extension, as whoever receives a frame reads it; an envelope that is refused or broken has none. */
static int extend(cl_envelope *e, cl_extension *room, cl_str frame)
{
    int code = cl_frame_is_extended(e) ? cl_frame_extend(e, room) : 0;
    HOLDS(code == 0 || code == CLOUDS_EPROTO || code == CLOUDS_ENOTSUP);
    HOLDS((code == CLOUDS_ENOTSUP) == ((e->flags & CL_UNSUPPORTED) != 0));
    if (!e->extension) return code;
    const cl_extension *x = e->extension;
    const cl_str spans[] = {x->meta, x->bytes, x->key, x->reply_to, x->correlation, x->group, x->abilities, x->node};
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++)
        HOLDS(spans[i].n == 0 || (spans[i].p >= frame.p && spans[i].p + spans[i].n <= frame.p + frame.n));
    return code;
}

static void encoding_is_stable(const cl_envelope *e)
{
    cl_buf again = {0};
    cl_envelope back;
    HOLDS(cl_frame_encode(e, &again) == 0);
    HOLDS(cl_frame_decode(cl_buf_str(&again), again.len, &back) == (int64_t)again.len);
    cl_extension room;
    if (cl_frame_is_extended(&back)) HOLDS(cl_frame_extend(&back, &room) == 0);
    /* One without anything is as good as none. */
    int nothing = e->extension && cl_extension_block_length(e->extension) == 0;
    HOLDS(same(e, &back) && (nothing ? !back.extension : same_extension(e->extension, back.extension)));
    cl_buf_free(&again);
}

/* A part of a good frame asks for more; of a bad one it asks for more or is refused for the same reason. */
static void parts_ask_for_more(cl_str bytes, int64_t whole)
{
    size_t n = whole > 0 ? (size_t)whole : bytes.n < 64 ? bytes.n : 64;
    for (size_t cut = 0; cut < n; cut += cut < 40 ? 1 : 97) {
        cl_envelope e;
        int64_t got = cl_frame_decode((cl_str){bytes.p, cut}, MAX, &e);
        HOLDS(got == 0 || (whole < 0 && got == whole));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cl_str rest = {(const char *)data, size};
    for (;;) {
        cl_envelope e;
        int64_t n = cl_frame_decode(rest, MAX, &e);
        HOLDS(n <= (int64_t)rest.n && (n >= 0 || n == CLOUDS_EPROTO || n == CLOUDS_ETOOBIG));
        parts_ask_for_more(rest, n);
        if (n <= 0) return 0;
        HOLDS(n >= CL_FRAME_PREFIX + CL_FRAME_HEAD);
        cl_extension room;
        int extended = extend(&e, &room, cl_str_of(rest.p, (size_t)n));
        spans_are_inside(&e, cl_str_of(rest.p, (size_t)n));
        if (!extended) encoding_is_stable(&e);
        int code = cl_frame_check(&e, wide);
        HOLDS(code == 0 || code == CLOUDS_EJSON || code == CLOUDS_EPROTO || code == CLOUDS_ETOOBIG);
        rest = (cl_str){rest.p + n, rest.n - (size_t)n};
    }
}
