/* Payloads: the record, what it may hold, and the mark of pieces of bytes. */
#include "api/check.h"
#include "api/record.h"
#include "base/error.h"
#include "proto/bytes.h"
#include "proto/extension.h"
#include "proto/json.h"
#include "proto/meta.h"

int cl_payload_read(const clouds_payload *theirs, clouds_payload *out)
{
    *out = (clouds_payload){0};
    return theirs ? cl_record_read(CL_RECORD_clouds_payload, theirs, out)
                  : cl_error(CLOUDS_EINVAL, "the payload is NULL");
}

int cl_check_meta(const cl_limits *limits, cl_str meta)
{
    if (meta.n > CL_META_MAX)
        return cl_error_limit(CLOUDS_ETOOBIG, meta.n, CL_META_MAX, "the meta has %zu bytes, at most %d are possible",
                              meta.n, CL_META_MAX);
    return cl_check_json(limits, meta, '{', "the meta");
}

int cl_payload_check(const cl_limits *limits, const clouds_payload *p, char bracket)
{
    cl_str json = cl_str_of(p->json, p->json_len), meta = cl_str_of(p->meta, p->meta_len);
    int code = cl_check_text(p->json, p->json_len, "the value");
    if (code == 0) code = cl_check_text(p->meta, p->meta_len, "the meta");
    if (code == 0) code = cl_check_text(p->bytes, p->bytes_len, "the bytes");
    if (code == 0 && p->flags)
        code = cl_error(CLOUDS_ENOTSUP, "this version does not know the flags %u of a payload", p->flags);
    if (code == 0) code = cl_check_json(limits, json, bracket, "the value");
    return code == 0 && meta.n ? cl_check_meta(limits, meta) : code;
}

int clouds_trace_id(const char *meta, size_t meta_len, char *id)
{
    char room[CL_TRACE_DIGITS];
    cl_str text = cl_str_of(meta, meta_len);
    if (!id) return 0;
    cl_str found = cl_json_check(text, '{', CL_JSON_ANY) == 0 ? cl_meta_trace_id(text, room) : CL_STR_NONE;
    *cl_str_copy(id, found) = '\0';
    return found.n != 0;
}

int clouds_bytes_mark(const char *name, size_t name_len)
{
    return (int)cl_bytes_mark(cl_str_of(name, name_len));
}
