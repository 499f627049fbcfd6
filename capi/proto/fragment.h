/* Fragments: a frame that is too long to go at once travels in pieces, each the payload of a frame of the type 'f'
 * (frame.h). The pieces are those of the whole frame, its length first: so the first one says how much will come, for
 * whom and of which kind. One frame at a time: the pieces of the next begin when the last of this one was sent. */
#ifndef CL_FRAGMENT_H
#define CL_FRAGMENT_H

#include "base/buf.h"
#include "proto/envelope.h"

enum {
    CL_FRAGMENT_ABOVE = 256 * 1024, /* bytes of an envelope that is sent in fragments */
    CL_FRAGMENT_BYTES = 64 * 1024   /* of one, its head included */
};

/* Appends the next fragment of `frame`, of at most `most` bytes with its head, and moves *at behind what it has of it.
 * 0 or CLOUDS_ENOMEM. */
int cl_fragment_encode(cl_str frame, size_t *at, uint32_t stream, size_t most, cl_buf *out);

/* A frame that is coming in fragments; all zero: none is. */
typedef struct cl_fragments {
    cl_buf frame;
    uint64_t length, came; /* bytes; length 0: none is coming */
    uint32_t stream;
    int is_passed_over; /* it is too long for us */
} cl_fragments;

/* Takes a fragment that was just decoded. 0: more have to come. 1: *out is the whole envelope, as cl_frame_decode would
 * give it, and its texts are valid until the next call; or it is longer than `max`: then *out is as after
 * cl_envelope_mark_too_big, with texts of the fragment, and what is still to come of it is passed over. CLOUDS_EPROTO,
 * CLOUDS_ETOOBIG (nobody waits for an answer to it) or CLOUDS_ENOMEM. */
int cl_fragments_take(cl_fragments *in, const cl_envelope *fragment, size_t max, cl_envelope *out);
/* What was taken is not needed any more. */
void cl_fragments_free(cl_fragments *in);

#endif
