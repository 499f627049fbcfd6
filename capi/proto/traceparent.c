#include "proto/traceparent.h"

#include "base/hex.h"

enum { VERSION_AT = 0, TRACE_AT = 3, SPAN_AT = 36, FLAGS_AT = 53 };

static const uint8_t nothing[CL_TRACE_ID];

static int read_byte(const char *p, uint8_t *out)
{
    int high = cl_hex_value(p[0]), low = cl_hex_value(p[1]);
    int is_large = (p[0] >= 'A' && p[0] <= 'F') || (p[1] >= 'A' && p[1] <= 'F');
    if (high < 0 || low < 0 || is_large) return -1;
    *out = (uint8_t)(high << 4 | low);
    return 0;
}

static int read_bytes(const char *p, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (read_byte(p + 2 * i, &out[i]) != 0) return -1;
    return 0;
}

/* All zero is none. */
static int read_id(const char *p, uint8_t *out, size_t n)
{
    return read_bytes(p, out, n) == 0 && memcmp(out, nothing, n) != 0 ? 0 : -1;
}

int cl_traceparent_read(cl_str text, cl_trace_place *out)
{
    uint8_t version;
    cl_trace_place place;
    const char *p = text.p;
    if (text.n < CL_TRACEPARENT || read_byte(p + VERSION_AT, &version) != 0 || version == 0xff) return -1;
    if (text.n > CL_TRACEPARENT && (version == 0 || p[CL_TRACEPARENT] != '-')) return -1;
    if (p[TRACE_AT - 1] != '-' || p[SPAN_AT - 1] != '-' || p[FLAGS_AT - 1] != '-') return -1;
    if (read_id(p + TRACE_AT, place.trace, CL_TRACE_ID) != 0 || read_id(p + SPAN_AT, place.span, CL_SPAN_ID) != 0 ||
        read_byte(p + FLAGS_AT, &place.flags) != 0)
        return -1;
    *out = place;
    return 0;
}

void cl_traceparent_write(const cl_trace_place *place, char out[CL_TRACEPARENT])
{
    memcpy(out, "00-", 3);
    cl_hex_write(place->trace, CL_TRACE_ID, out + TRACE_AT);
    out[SPAN_AT - 1] = out[FLAGS_AT - 1] = '-';
    cl_hex_write(place->span, CL_SPAN_ID, out + SPAN_AT);
    cl_hex_write(&place->flags, 1, out + FLAGS_AT);
}
