#include "proto/envelope_fast.h"

#include "proto/utf8.h"

const cl_envelope cl_envelope_empty = {.from = {"", 0},
                                       .to = {"", 0},
                                       .id = {"", 0},
                                       .method = {"", 0},
                                       .args = {"", 0},
                                       .error = {"", 0},
                                       .result = {"", 0},
                                       .data = {"", 0},
                                       .raw = {"", 0},
                                       .home = {"", 0}};

/* What an envelope of the usual form needs of the limits beside its payload: with that much set aside, nothing passes
 * here that the general way would refuse. */
enum { FRAME_VALUES = 8, FRAME_DEPTH = 2 };

/* Of a known length, so that comparing needs no call. */
#define TAKE(j, literal)                                                                                               \
    ((size_t)((j)->end - (j)->p) >= sizeof literal - 1 && memcmp((j)->p, literal, sizeof literal - 1) == 0             \
         ? ((j)->p += sizeof literal - 1, 1)                                                                           \
         : 0)

/* Text without escapes, and the quote behind it. */
static inline int take_text(cl_json *j, cl_str *out)
{
    const char *start = j->p, *p = cl_text_skip_plain(start, j->end);
    if (p == j->end || *p != '"') return 0;
    *out = (cl_str){start, (size_t)(p - start)};
    j->p = p + 1;
    return 1;
}

static inline int take_value(cl_json *j, char bracket, cl_str *out)
{
    return j->p < j->end && *j->p == bracket && cl_json_value(j, out) == 0;
}

/* 1 to 18 digits; what stands behind them is for the caller to check. */
static int take_time(cl_json *j, int64_t *out)
{
    const char *start = j->p, *p = start;
    int64_t value = 0;
    for (; p < j->end && *p >= '0' && *p <= '9' && p - start < 18; p++) value = value * 10 + (*p - '0');
    if (p == start || (*start == '0' && p - start > 1)) return 0;
    *out = value;
    j->p = p;
    return 1;
}

static int read_call(cl_json *j, cl_envelope *out)
{
    out->type = CL_CALL;
    if (out->from.n == 0 || !TAKE(j, ",\"d\":{\"i\":\"") || !take_text(j, &out->id)) return 0;
    if (!TAKE(j, ",\"m\":\"") || !take_text(j, &out->method)) return 0;
    if (!TAKE(j, ",\"a\":") || !take_value(j, '[', &out->args)) return 0;
    if (TAKE(j, ",\"x\":")) {
        if (!take_time(j, &out->deadline)) return 0;
        out->flags = CL_NATIVE;
        if (TAKE(j, ",\"h\":\"") && !take_text(j, &out->home)) return 0;
    }
    return TAKE(j, "}}");
}

static int read_result(cl_json *j, cl_envelope *out)
{
    out->type = CL_RESULT;
    if (!TAKE(j, ",\"d\":{\"i\":\"") || !take_text(j, &out->id) || !TAKE(j, ",\"e\":")) return 0;
    if (!TAKE(j, "null") && !take_value(j, '{', &out->error)) return 0;
    if (!TAKE(j, ",\"r\":") || !take_value(j, '[', &out->result)) return 0;
    if (TAKE(j, ",\"n\":1")) out->flags = CL_REFUSED;
    else if (TAKE(j, ",\"n\":2")) out->flags = CL_LOST;
    return TAKE(j, "}}");
}

static int read_message(cl_json *j, cl_envelope *out)
{
    out->type = CL_MESSAGE;
    if (!TAKE(j, ",\"d\":") || cl_json_value(j, &out->data) != 0) return 0;
    return TAKE(j, "}");
}

size_t cl_envelope_decode_fast(cl_str text, cl_json_limits limits, cl_envelope *out)
{
    if (text.n < 24 || memcmp(text.p, "{\"t\":\"", 6) != 0 || memcmp(text.p + 7, "\",\"s\":\"", 7) != 0) return 0;
    if (limits.values < FRAME_VALUES || limits.depth < FRAME_DEPTH) return 0;
    cl_json j;
    cl_json_start(&j, text, (cl_json_limits){limits.depth - FRAME_DEPTH, limits.values - FRAME_VALUES});
    j.p += 14;
    *out = cl_envelope_empty;
    if (!take_text(&j, &out->from)) return 0;
    char type = text.p[6];
    int done = type == 'c'   ? read_call(&j, out)
               : type == 'r' ? read_result(&j, out)
               : type == 'm' ? read_message(&j, out)
                             : 0;
    return done && !j.bad_utf8 ? (size_t)(j.p - text.p) : 0;
}
