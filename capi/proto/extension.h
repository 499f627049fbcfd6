/* What an envelope may have besides its usual members. Most have nothing of it, so it is a record of its own, and costs
 * those nothing. In a frame it is the extension block, behind the method: items of
 *   u8 tag   u8 zero   u16 length   bytes
 * An unknown tag that is a small letter is skipped, so that such items can be added; one that is none refuses the
 * frame, for what must not be overlooked. */
#ifndef CL_EXTENSION_H
#define CL_EXTENSION_H

#include <stdint.h>

#include "base/str.h"

enum cl_extension_tag {
    CL_TAG_META = 'm',      /* a JSON object */
    CL_TAG_BYTES = 'b',     /* u32: the length of the bytes, which stand behind the second payload */
    CL_TAG_KEY = 'k',       /* an idempotency key */
    CL_TAG_SEQUENCE = 'q',  /* u64 epoch, u64 sequence */
    CL_TAG_REPLY_TO = 'y',  /* u16 length of the topic, the topic, the correlation */
    CL_TAG_GROUP = 'g',     /* of subscribers */
    CL_TAG_ABILITIES = 'a', /* hello: what the sender can do, words with commas between */
    CL_TAG_LIMITS = 'l',    /* hello: u64, the longest envelope that the sender takes; more numbers may follow */
    CL_TAG_NODE = 'd'       /* hello: the node that envelopes without a name are from */
};

enum {
    CL_META_MAX = 8192, /* bytes of meta */
    CL_ONCE_MAX = 255   /* of an idempotency key */
};

/* What is empty or 0 is absent. */
typedef struct cl_extension {
    cl_str meta;
    cl_str bytes; /* what {"$bytes":[offset,length]} in the payloads point into */
    cl_str key;
    cl_str reply_to, correlation;
    cl_str group;
    cl_str abilities, node;
    uint64_t epoch, sequence;
    uint64_t longest;
} cl_extension;

#define CL_EXTENSION_NONE                                                                                              \
    ((cl_extension){CL_STR_NONE, CL_STR_NONE, CL_STR_NONE, CL_STR_NONE, CL_STR_NONE, CL_STR_NONE, CL_STR_NONE,         \
                    CL_STR_NONE, 0, 0, 0})

/* What it adds to an envelope: the block and the bytes. */
size_t cl_extension_size(const cl_extension *x);
/* The length of the block; SIZE_MAX when one of the items is longer than can be said. */
size_t cl_extension_block_length(const cl_extension *x);
/* A copy of what goes along with a call, in cl_extension_texts bytes at *to, which is then behind them. */
size_t cl_extension_texts(const cl_extension *x);
cl_extension cl_extension_copy(const cl_extension *x, char **to);
/* Writes the block; where it ends. */
char *cl_extension_put_block(const cl_extension *x, char *p);
/* Reads a block; *out->bytes has a length and no address yet. 0; CLOUDS_EPROTO: it is none; CLOUDS_ENOTSUP: it has
 * something that must not be overlooked. */
int cl_extension_read_block(cl_str block, cl_extension *out);

#endif
