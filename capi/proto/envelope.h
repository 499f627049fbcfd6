/* The envelope: what one node says to another, whatever carries it; and its JSON form on Redis (docs/WIRE.md). */
#ifndef CL_ENVELOPE_H
#define CL_ENVELOPE_H

#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/str.h"
#include "proto/extension.h"
#include "proto/json.h"

enum cl_envelope_type {
    CL_CALL = 'c',
    CL_RESULT = 'r',
    CL_MESSAGE = 'm',
    CL_CANCEL = 'x',  /* of the call with this id: its caller has given up */
    CL_PUBLISH = 'P', /* method: the topic; data: the value */
    CL_PART = 's',    /* of the call with this id: data, or bytes alone */
    CL_CREDIT = 'w',  /* of the call with this id: data is a u32, the parts that may be sent now */
    CL_STATE = 'u',   /* method, or empty for all of the node; data: what it is now, a JSON value */
    CL_OTHER = '?'    /* a type that this library does not have: its name is in `method`, the whole text in `raw` */
};

enum cl_envelope_flags {
    CL_NATIVE = 1,  /* call: caller and receiver are native */
    CL_REFUSED = 2, /* result: the call was not executed (only towards native nodes) */
    CL_NOTIFY = 4,  /* call: no answer is wanted */
    CL_LOST = 8,    /* result: the call was begun, and its server ended without an answer (only towards native nodes) */
    CL_MORE = 8,    /* fragment: it is not the last of its frame */
    CL_LAST = 16,   /* part: none follows in this direction */
    CL_REDIS_CLOCK = 32, /* the deadline is by the clock of Redis. Never seen by the core */
    /* These are never sent. */
    CL_NO_ARRAY = 0x100,   /* call: `a` was no array (`args` is then empty): answer with an error, do not run */
    CL_TOO_BIG = 0x200,    /* a call or result that exceeds the limits: its payload is left out */
    CL_BY_LINK = 0x1000,   /* call, cancel: it goes over the link that stands open beside another way, or not at all */
    CL_FRAMES = 0x800,     /* receiver and sender read frames, whatever carries them */
    CL_UNSUPPORTED = 0x400 /* a call or result that says something which this library does not know */
};

/* The place of a call among those that a link carries, which it puts there when it takes the call: what is there when
 * it ends is told as lost. The place is the sender's, who takes it out (cl_list_remove) before the call is sent anew,
 * and once it waits for no answer any more: when that, or a delivery, has come, or it has given up. */
typedef struct cl_carried {
    cl_list_node place;
    uint64_t token;
} cl_carried;

typedef struct cl_envelope {
    int type;        /* enum cl_envelope_type */
    unsigned flags;  /* enum cl_envelope_flags */
    cl_str from, to; /* node ids, plain text */
    /* call, result: id of the attempt. Opaque, to be returned as it came (on Redis: raw JSON string text) */
    cl_str id;
    cl_str method; /* call: plain text */
    cl_str args;   /* call: JSON array */
    cl_str error;  /* result: JSON text; empty: none (null) */
    cl_str result; /* result: JSON array; empty: absent */
    cl_str data;   /* message, other: JSON value; empty: left out */
    cl_str raw;    /* other: the whole envelope */
    cl_str home;   /* call: what names the Redis that it was published at; empty: not known, or not over Redis */
    /* What there is besides; NULL: nothing. It lives as long as the texts. */
    const cl_extension *extension;
    int64_t deadline;    /* call: when it expires, ms of the clock of whoever handles the envelope; 0: not known */
    int64_t at;          /* when it was read, or is sent, on the same clock; 0: not known, so as good as now */
    size_t size;         /* with CL_TOO_BIG: the bytes of all of it */
    cl_carried *carried; /* call: NULL: nobody asks what becomes of it once it is written */
    uint64_t link;       /* bus's own: where it came from; a result carries that of its call back. 0: by name */
} cl_envelope;

/* An envelope of this type between two nodes, whose other texts are empty. */
static inline cl_envelope cl_envelope_of(int type, cl_str from, cl_str to, cl_str id)
{
    return (cl_envelope){.type = type,
                         .from = from,
                         .to = to,
                         .id = id,
                         .method = CL_STR_NONE,
                         .args = CL_STR_NONE,
                         .error = CL_STR_NONE,
                         .result = CL_STR_NONE,
                         .data = CL_STR_NONE,
                         .raw = CL_STR_NONE};
}

/* Nobody answers it: who waits for its delivery is told when it is written. */
static inline int cl_envelope_is_one_way(const cl_envelope *e)
{
    return e->type == CL_MESSAGE || e->type == CL_PUBLISH || (e->type == CL_CALL && (e->flags & CL_NOTIFY));
}

/* The bytes of all its texts. */
static inline size_t cl_envelope_size(const cl_envelope *e)
{
    size_t n = e->from.n + e->to.n + e->id.n + e->method.n + e->args.n + e->error.n + e->result.n + e->data.n;
    return e->extension ? n + cl_extension_size(e->extension) : n;
}

/* Appends the JSON form: exactly {"t","s","d"} towards npm nodes; a call with CL_NATIVE carries its deadline as d.x
 * (ms of Redis' clock) and its home as d.h, a result with CL_REFUSED carries d.n = 1, one with CL_LOST d.n = 2. args,
 * error, result, data must be valid JSON; empty args and results become []. 0 or CLOUDS_ENOMEM. */
int cl_envelope_encode(const cl_envelope *e, cl_buf *out);

/* The exact length that cl_envelope_encode appends. */
size_t cl_envelope_length(const cl_envelope *e);

/* Reads the JSON form. Spans point into `text` or into `scratch` (escaped names are resolved there; a text with bad
 * UTF-8 is mended there first and then everything points into it). `scratch` is cleared first. Everything that WIRE.md
 * 5.2 calls broken is CLOUDS_EJSON or CLOUDS_ETOOBIG: to be counted and dropped. Unknown members are skipped; of
 * duplicate members the last counts. A call whose `i` is no text is an error; so is one without `s`. One whose `m` is
 * no text has an empty method. JSON that is no object (but null, which is broken) is CL_OTHER without a name. */
int cl_envelope_decode(cl_str text, cl_json_limits limits, cl_buf *scratch, cl_envelope *out);

/* Reads the head of a text that exceeds the limits, so that its caller need not wait: a call or a result with
 * CL_TOO_BIG. 0, or CLOUDS_ETOOBIG when it is neither, or far beyond all limits. */
int cl_envelope_decode_too_big(cl_str text, cl_buf *scratch, cl_envelope *out);

/* Leaves out what a call or result carries. */
void cl_envelope_mark_too_big(cl_envelope *e, size_t size);
void cl_envelope_mark_unsupported(cl_envelope *e);

#endif
