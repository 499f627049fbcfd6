#include "clouds.h"
#include "proto/envelope.h"

/* Design note. Lengths first, then one reservation, then nothing but copies. A name is written as it is when its quoted
 * length says that quoting adds only the quotes. */

#define PUT(p, literal) cl_str_copy(p, CL_STR(literal))

static inline cl_str or_else(cl_str s, cl_str otherwise)
{
    return s.n ? s : otherwise;
}

typedef struct sizes {
    size_t from, method, all;
    char digits[20];
    size_t digit_count; /* of the deadline, if one is sent */
} sizes;

static inline int has_deadline(const cl_envelope *e)
{
    return (e->flags & CL_NATIVE) && e->deadline >= 0;
}

static inline void measure_call(const cl_envelope *e, sizes *out)
{
    out->method = cl_json_quoted_length(e->method);
    if (has_deadline(e)) out->digit_count = cl_digits(out->digits, (uint64_t)e->deadline);
    size_t ours = out->digit_count ? sizeof ",\"x\":" - 1 + out->digit_count : 0;
    if (ours && e->home.n) ours += sizeof ",\"h\":\"\"" - 1 + e->home.n;
    out->all += sizeof "{\"t\":\"c\",\"s\":,\"d\":{\"i\":\"\",\"m\":,\"a\":}}" - 1 + e->id.n + out->method +
                (e->args.n ? e->args.n : 2) + ours;
}

static inline void measure_result(const cl_envelope *e, sizes *out)
{
    size_t refused = e->flags & (CL_REFUSED | CL_LOST) ? sizeof ",\"n\":1" - 1 : 0;
    out->all += sizeof "{\"t\":\"r\",\"s\":,\"d\":{\"i\":\"\",\"e\":,\"r\":}}" - 1 + e->id.n +
                (e->error.n ? e->error.n : 4) + (e->result.n ? e->result.n : 2) + refused;
}

static inline void measure_other(const cl_envelope *e, sizes *out)
{
    out->method = e->type == CL_MESSAGE ? 3 : cl_json_quoted_length(e->method);
    out->all += sizeof "{\"t\":,\"s\":}" - 1 + out->method + (e->data.n ? sizeof ",\"d\":" - 1 + e->data.n : 0);
}

static inline void measure(const cl_envelope *e, sizes *out)
{
    out->from = out->all = cl_json_quoted_length(e->from);
    out->digit_count = 0;
    if (e->type == CL_CALL) measure_call(e, out);
    else if (e->type == CL_RESULT) measure_result(e, out);
    else measure_other(e, out);
}

size_t cl_envelope_length(const cl_envelope *e)
{
    sizes s;
    measure(e, &s);
    return s.all;
}

static inline char *put_name(char *p, cl_str name, size_t length)
{
    if (length == name.n + 2) {
        *p++ = '"';
        p = cl_str_copy(p, name);
        *p++ = '"';
        return p;
    }
    cl_buf there = {.data = p, .cap = length};
    cl_json_quote(name, &there); /* fits exactly, so it cannot fail and does not move */
    return p + length;
}

static char *put_call(char *p, const cl_envelope *e, const sizes *s)
{
    p = PUT(p, "{\"t\":\"c\",\"s\":");
    p = put_name(p, e->from, s->from);
    p = PUT(p, ",\"d\":{\"i\":\"");
    p = cl_str_copy(p, e->id);
    p = PUT(p, "\",\"m\":");
    p = put_name(p, e->method, s->method);
    p = PUT(p, ",\"a\":");
    p = cl_str_copy(p, or_else(e->args, CL_STR("[]")));
    if (s->digit_count) p = (char *)memcpy(PUT(p, ",\"x\":"), s->digits, s->digit_count) + s->digit_count;
    if (s->digit_count && e->home.n) p = PUT(cl_str_copy(PUT(p, ",\"h\":\""), e->home), "\"");
    return PUT(p, "}}");
}

static char *put_result(char *p, const cl_envelope *e, const sizes *s)
{
    p = PUT(p, "{\"t\":\"r\",\"s\":");
    p = put_name(p, e->from, s->from);
    p = PUT(p, ",\"d\":{\"i\":\"");
    p = cl_str_copy(p, e->id);
    p = PUT(p, "\",\"e\":");
    p = cl_str_copy(p, or_else(e->error, CL_STR("null")));
    p = PUT(p, ",\"r\":");
    p = cl_str_copy(p, or_else(e->result, CL_STR("[]")));
    if (e->flags & CL_REFUSED) p = PUT(p, ",\"n\":1");
    else if (e->flags & CL_LOST) p = PUT(p, ",\"n\":2");
    return PUT(p, "}}");
}

static char *put_other(char *p, const cl_envelope *e, const sizes *s)
{
    p = PUT(p, "{\"t\":");
    p = put_name(p, e->type == CL_MESSAGE ? CL_STR("m") : e->method, s->method);
    p = PUT(p, ",\"s\":");
    p = put_name(p, e->from, s->from);
    if (e->data.n) p = cl_str_copy(PUT(p, ",\"d\":"), e->data);
    return PUT(p, "}");
}

int cl_envelope_encode(const cl_envelope *e, cl_buf *out)
{
    sizes s;
    measure(e, &s);
    if (cl_buf_reserve(out, s.all) != 0) return CLOUDS_ENOMEM;
    char *p = out->data + out->len;
    if (e->type == CL_CALL) put_call(p, e, &s);
    else if (e->type == CL_RESULT) put_result(p, e, &s);
    else put_other(p, e, &s);
    out->len += s.all;
    return 0;
}
