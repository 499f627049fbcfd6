/* Frames: the binary form of an envelope between native nodes on a direct link, and the link's own control frames.
 *
 * All numbers little-endian. 4 bytes: length of what follows (24 to the limit). Then the head, 24 bytes:
 *   0 u8 type ('h' hello, 'c' call, 'r' result, 'm' message, 'x' cancel, 'P' publish, 's' part, 'w' credit, 'u' state,
 *     'f' fragment, 'p' ping, 'q' pong, 'd' draining)   1 u8 flags
 *   2 u16 length of from   4 u16 length of to   6 u16 length of id   8 u16 length of method
 *   10 u16 length of the extension block (extension.h)
 *   12 u32 length of the first payload (args, error or data; the second, result, is the rest)
 *   16 i64 deadline (0: none)
 * then from, to, id, method, extension block, payload 1, payload 2, bytes. Flags: the first of enum cl_envelope_flags.
 * An absent payload has length 0, as no JSON text has. Fragments: fragment.h. Hello: `from` the sender's node id, `to`
 * the node it wants, `method` the highest version it speaks, "2"; the lower of both counts. A link serves a node only
 * if the hello names it. Afterwards `from` and `to` may be absent: then they are those of the hello. Unknown types and
 * flags are skipped: that is how the protocol grows. */
#ifndef CL_FRAME_H
#define CL_FRAME_H

#include "proto/envelope.h"

enum cl_frame_type {
    CL_FRAME_HELLO = 'h',
    CL_FRAME_PING = 'p',
    CL_FRAME_PONG = 'q',
    CL_FRAME_DRAINING = 'd',
    CL_FRAME_FRAGMENT = 'f'
};

enum { CL_FRAME_PREFIX = 4, CL_FRAME_HEAD = 24 };

/* Appends a frame with the type and texts of the envelope (type may be an enum cl_frame_type too). 0, CLOUDS_ENOMEM, or
 * CLOUDS_ETOOBIG (a name or an extension block of 64 kB or more). */
int cl_frame_encode(const cl_envelope *e, cl_buf *out);
/* The same, but a name that the other end knows to be `from` or `to` is left out. */
int cl_frame_encode_between(const cl_envelope *e, cl_str from, cl_str to, cl_buf *out);

/* Changes that of a frame that was encoded. */
void cl_frame_set_deadline(char *frame, int64_t deadline);

/* Reads the frame at the head of `bytes`. Returns its length; 0 when more bytes are needed; CLOUDS_EPROTO when it can
 * never become one; CLOUDS_ETOOBIG when it is longer than `max`. Spans point into `bytes`, `raw` is the frame. JSON
 * payloads are not looked at, nor is the extension: when cl_frame_is_extended, cl_frame_extend has to follow. */
int64_t cl_frame_decode(cl_str bytes, size_t max, cl_envelope *out);

/* Does a frame that was just decoded have an extension? */
static inline int cl_frame_is_extended(const cl_envelope *e)
{
    return (e->raw.p[14] | e->raw.p[15]) != 0;
}

/* Reads the extension of a frame that was just decoded into `room`, which is e->extension from then on. 0;
 * CLOUDS_EPROTO: it is none; CLOUDS_ENOTSUP: it says something that this library does not know and must not overlook,
 * and *e is as after cl_envelope_mark_unsupported. */
int cl_frame_extend(cl_envelope *e, cl_extension *room);

/* Is a decoded frame valid: names that are text, an id where one belongs, payloads that are valid JSON of the
 * right kind (args an array; error an object, null or absent; result an array or absent; meta an object)? 0,
 * CLOUDS_EPROTO, CLOUDS_EJSON or CLOUDS_ETOOBIG. */
int cl_frame_check(const cl_envelope *e, cl_json_limits limits);

/* Reads the head and the names of a frame that is longer than what we take: *out as after cl_envelope_mark_too_big. The
 * bytes of the whole frame, 0 when more are needed for that, or CLOUDS_EPROTO. */
int64_t cl_frame_decode_too_big(cl_str bytes, cl_envelope *out);

#endif
