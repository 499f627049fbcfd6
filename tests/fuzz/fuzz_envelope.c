#include "fuzz.h"
#include "reference.h"

#include "clouds.h"
#include "proto/frame.h"

static const cl_json_limits wide = {200, 100000}, narrow = {5, 16};

static int same(const cl_envelope *a, const cl_envelope *b)
{
    return a->type == b->type && a->flags == b->flags && cl_str_eq(a->from, b->from) && cl_str_eq(a->id, b->id) &&
           cl_str_eq(a->method, b->method) && cl_str_eq(a->args, b->args) && cl_str_eq(a->error, b->error) &&
           cl_str_eq(a->result, b->result) && cl_str_eq(a->data, b->data) && a->deadline == b->deadline;
}

static void span_is_inside(cl_str s, cl_str text, const cl_buf *scratch)
{
    if (s.n == 0) return;
    int in_text = s.p >= text.p && s.p + s.n <= text.p + text.n;
    int in_scratch = scratch->data && s.p >= scratch->data && s.p + s.n <= scratch->data + scratch->len;
    HOLDS(in_text || in_scratch);
}

static void span_is_json(cl_str s, char bracket)
{
    if (s.n)
        HOLDS(s.p[0] == (bracket ? bracket : s.p[0]) &&
              reference_is_json((const uint8_t *)s.p, s.n, wide.depth, wide.values));
}

static void spans_are_sound(const cl_envelope *e, cl_str text, const cl_buf *scratch)
{
    const cl_str spans[] = {e->from, e->to, e->id, e->method, e->args, e->error, e->result, e->data, e->raw};
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) span_is_inside(spans[i], text, scratch);
    span_is_json(e->args, '[');
    span_is_json(e->error, 0);
    span_is_json(e->result, '[');
    span_is_json(e->data, 0);
    span_is_json(e->raw, 0);
    HOLDS(e->type != CL_CALL || (e->from.n && !(e->flags & CL_NO_ARRAY) == (e->args.n > 0)));
}

/* White space in front keeps a text from the fast way. */
static void both_ways_agree(cl_str text, cl_json_limits limits)
{
    cl_buf spaced = {0}, scratch = {0}, other = {0};
    cl_envelope fast, slow;
    HOLDS(cl_buf_put_char(&spaced, ' ') == 0 && cl_buf_put_str(&spaced, text) == 0);
    int code = cl_envelope_decode(text, limits, &scratch, &fast);
    HOLDS(code == 0 || code == CLOUDS_EJSON || code == CLOUDS_ETOOBIG);
    HOLDS(cl_envelope_decode(cl_buf_str(&spaced), limits, &other, &slow) == code);
    HOLDS(code != 0 || same(&fast, &slow));
    cl_buf_free(&spaced);
    cl_buf_free(&scratch);
    cl_buf_free(&other);
}

/* What is left open by the sender is written in one way only. */
static void settle(cl_envelope *e)
{
    if (e->type == CL_CALL && e->args.n == 0) e->args = CL_STR("[]");
    if (e->type == CL_RESULT && e->result.n == 0) e->result = CL_STR("[]");
    e->flags &= ~(unsigned)CL_NO_ARRAY;
}

static void encoding_is_stable(const cl_envelope *decoded)
{
    cl_envelope e = *decoded, back;
    cl_buf first = {0}, second = {0}, scratch = {0};
    settle(&e);
    HOLDS(cl_envelope_encode(&e, &first) == 0);
    HOLDS(first.len == cl_envelope_length(&e));
    HOLDS(reference_is_json((const uint8_t *)first.data, first.len, wide.depth + 2, wide.values + 10));
    cl_json_limits enough = {wide.depth + 2, wide.values + 10};
    HOLDS(cl_envelope_decode(cl_buf_str(&first), enough, &scratch, &back) == 0);
    HOLDS(same(&e, &back));
    HOLDS(cl_envelope_encode(&back, &second) == 0);
    HOLDS(cl_str_eq(cl_buf_str(&first), cl_buf_str(&second)));
    cl_buf_free(&first);
    cl_buf_free(&second);
    cl_buf_free(&scratch);
}

static void frames_carry_it(const cl_envelope *decoded)
{
    cl_envelope e = *decoded, back;
    cl_buf frame = {0};
    settle(&e);
    HOLDS(cl_frame_encode(&e, &frame) == 0);
    HOLDS(cl_frame_decode(cl_buf_str(&frame), frame.len, &back) == (int64_t)frame.len);
    HOLDS(same(&e, &back));
    int is_whole = e.type == CL_MESSAGE || e.type == CL_OTHER || (e.id.n && (e.error.n == 0 || e.error.p[0] == '{'));
    HOLDS((cl_frame_check(&back, wide) == 0) == is_whole);
    cl_buf_free(&frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cl_str text = {(const char *)data, size};
    cl_buf scratch = {0};
    cl_envelope e;
    both_ways_agree(text, wide);
    both_ways_agree(text, narrow);
    if (cl_envelope_decode(text, wide, &scratch, &e) == 0) {
        spans_are_sound(&e, text, &scratch);
        encoding_is_stable(&e);
        frames_carry_it(&e);
    }
    cl_buf_free(&scratch);
    return 0;
}
