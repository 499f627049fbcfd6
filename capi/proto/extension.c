#include "proto/extension.h"

#include "clouds.h"
#include "proto/little_endian.h"

enum { ITEM_HEAD = 4, BYTES_LENGTH = 4, SEQUENCE_LENGTH = 16, LIMITS_LENGTH = 8, TOPIC_LENGTH = 2 };

/* ---- writing */

static size_t item(size_t n)
{
    return n > UINT16_MAX ? SIZE_MAX / 16 : n ? ITEM_HEAD + n : 0;
}

static int has_reply_to(const cl_extension *x)
{
    return (x->reply_to.n | x->correlation.n) != 0;
}

size_t cl_extension_block_length(const cl_extension *x)
{
    size_t n = item(x->meta.n) + item(x->key.n) + item(x->group.n) + item(x->abilities.n) + item(x->node.n);
    if (x->bytes.n) n += item(BYTES_LENGTH);
    if (x->epoch | x->sequence) n += item(SEQUENCE_LENGTH);
    if (x->longest) n += item(LIMITS_LENGTH);
    if (has_reply_to(x)) n += item(TOPIC_LENGTH + x->reply_to.n + x->correlation.n);
    return n > UINT16_MAX || x->bytes.n > INT32_MAX ? SIZE_MAX : n;
}

size_t cl_extension_size(const cl_extension *x)
{
    size_t block = cl_extension_block_length(x);
    return block == SIZE_MAX ? SIZE_MAX / 2 : block + x->bytes.n;
}

static char *put_head(char *p, enum cl_extension_tag tag, size_t n)
{
    unsigned char *head = (unsigned char *)p;
    head[0] = (unsigned char)tag;
    head[1] = 0;
    cl_put16(head + 2, n);
    return p + ITEM_HEAD;
}

static char *put_text(char *p, cl_str s)
{
    if (s.n) memcpy(p, s.p, s.n);
    return p + s.n;
}

static char *put_item(char *p, enum cl_extension_tag tag, cl_str s)
{
    return s.n ? put_text(put_head(p, tag, s.n), s) : p;
}

static char *put_bytes_length(char *p, size_t n)
{
    p = put_head(p, CL_TAG_BYTES, BYTES_LENGTH);
    cl_put32((unsigned char *)p, (uint32_t)n);
    return p + BYTES_LENGTH;
}

static char *put_sequence(char *p, const cl_extension *x)
{
    p = put_head(p, CL_TAG_SEQUENCE, SEQUENCE_LENGTH);
    cl_put64((unsigned char *)p, x->epoch);
    cl_put64((unsigned char *)p + 8, x->sequence);
    return p + SEQUENCE_LENGTH;
}

static char *put_limits(char *p, const cl_extension *x)
{
    p = put_head(p, CL_TAG_LIMITS, LIMITS_LENGTH);
    cl_put64((unsigned char *)p, x->longest);
    return p + LIMITS_LENGTH;
}

static char *put_reply_to(char *p, const cl_extension *x)
{
    p = put_head(p, CL_TAG_REPLY_TO, TOPIC_LENGTH + x->reply_to.n + x->correlation.n);
    cl_put16((unsigned char *)p, x->reply_to.n);
    return put_text(put_text(p + TOPIC_LENGTH, x->reply_to), x->correlation);
}

char *cl_extension_put_block(const cl_extension *x, char *p)
{
    p = put_item(p, CL_TAG_META, x->meta);
    if (x->bytes.n) p = put_bytes_length(p, x->bytes.n);
    p = put_item(p, CL_TAG_KEY, x->key);
    if (x->epoch | x->sequence) p = put_sequence(p, x);
    if (has_reply_to(x)) p = put_reply_to(p, x);
    p = put_item(p, CL_TAG_GROUP, x->group);
    p = put_item(p, CL_TAG_ABILITIES, x->abilities);
    if (x->longest) p = put_limits(p, x);
    return put_item(p, CL_TAG_NODE, x->node);
}

/* ---- copying */

size_t cl_extension_texts(const cl_extension *x)
{
    return x->meta.n + x->bytes.n + x->key.n + x->reply_to.n + x->correlation.n;
}

static cl_str copy_text(cl_str s, char **to)
{
    char *p = *to;
    *to = put_text(p, s);
    return cl_str_of(p, s.n);
}

cl_extension cl_extension_copy(const cl_extension *x, char **to)
{
    cl_extension copy = CL_EXTENSION_NONE;
    copy.meta = copy_text(x->meta, to);
    copy.bytes = copy_text(x->bytes, to);
    copy.key = copy_text(x->key, to);
    copy.reply_to = copy_text(x->reply_to, to);
    copy.correlation = copy_text(x->correlation, to);
    return copy;
}

/* ---- reading */

static int read_bytes_length(cl_str s, cl_extension *out)
{
    if (s.n != BYTES_LENGTH) return CLOUDS_EPROTO;
    out->bytes.n = cl_get32((const unsigned char *)s.p);
    return 0;
}

static int read_sequence(cl_str s, cl_extension *out)
{
    if (s.n != SEQUENCE_LENGTH) return CLOUDS_EPROTO;
    out->epoch = cl_get64((const unsigned char *)s.p);
    out->sequence = cl_get64((const unsigned char *)s.p + 8);
    return 0;
}

static int read_limits(cl_str s, cl_extension *out)
{
    if (s.n < LIMITS_LENGTH) return CLOUDS_EPROTO;
    out->longest = cl_get64((const unsigned char *)s.p);
    return 0;
}

static int read_reply_to(cl_str s, cl_extension *out)
{
    size_t topic = s.n < TOPIC_LENGTH ? s.n : cl_get16((const unsigned char *)s.p);
    if (topic + TOPIC_LENGTH > s.n) return CLOUDS_EPROTO;
    out->reply_to = cl_str_of(s.p + TOPIC_LENGTH, topic);
    out->correlation = cl_str_of(s.p + TOPIC_LENGTH + topic, s.n - TOPIC_LENGTH - topic);
    return 0;
}

/* Of an item that comes twice the last counts. */
static int read_item(int tag, cl_str s, cl_extension *out)
{
    switch (tag) {
    case CL_TAG_META:
        out->meta = s;
        return 0;
    case CL_TAG_BYTES:
        return read_bytes_length(s, out);
    case CL_TAG_KEY:
        out->key = s;
        return 0;
    case CL_TAG_SEQUENCE:
        return read_sequence(s, out);
    case CL_TAG_REPLY_TO:
        return read_reply_to(s, out);
    case CL_TAG_GROUP:
        out->group = s;
        return 0;
    case CL_TAG_ABILITIES:
        out->abilities = s;
        return 0;
    case CL_TAG_NODE:
        out->node = s;
        return 0;
    case CL_TAG_LIMITS:
        return read_limits(s, out);
    default:
        return tag >= 'a' && tag <= 'z' ? 0 : CLOUDS_ENOTSUP;
    }
}

/* A block that is broken anywhere is broken, whatever else it has. */
int cl_extension_read_block(cl_str block, cl_extension *out)
{
    int refused = 0;
    *out = CL_EXTENSION_NONE;
    while (block.n) {
        const unsigned char *head = (const unsigned char *)block.p;
        if (block.n < ITEM_HEAD || cl_get16(head + 2) > block.n - ITEM_HEAD) return CLOUDS_EPROTO;
        size_t n = cl_get16(head + 2);
        int code = read_item(head[0], cl_str_of(block.p + ITEM_HEAD, n), out);
        if (code == CLOUDS_EPROTO) return code;
        if (code) refused = code;
        block = (cl_str){block.p + ITEM_HEAD + n, block.n - ITEM_HEAD - n};
    }
    return refused;
}
