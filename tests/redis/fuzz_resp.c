/* Fuzz target: bytes as Redis might send them, cut into slices as the first byte says. Whatever they are, the reader
 * keeps its limits, and the bytes in one piece mean the same as in many. */
#include "redis/resp.h"
#include "fuzz/fuzz.h"

enum { LINE = 300, BUFFERED = 4000 };

typedef struct heard {
    uint64_t hash;
    size_t replies, messages, channels;
} heard;

static void mix(heard *h, const void *p, size_t n)
{
    const unsigned char *bytes = p;
    for (size_t i = 0; i < n; i++) h->hash = (h->hash ^ bytes[i]) * UINT64_C(1099511628211);
}

static void on_reply(void *self, const cl_reply *reply)
{
    heard *h = self;
    h->replies++;
    HOLDS(reply->len > 0 && reply->text.len <= BUFFERED);
    for (size_t i = 0; i < reply->len; i++) {
        const cl_reply_item *item = &reply->items[i];
        mix(h, &item->type, sizeof item->type);
        mix(h, &item->number, sizeof item->number);
        if (item->type == CL_REPLY_STRING || item->type == CL_REPLY_STATUS || item->type == CL_REPLY_ERROR) {
            HOLDS(item->at + (size_t)item->number <= reply->text.len);
            cl_str text = cl_reply_text(reply, i);
            mix(h, text.p, text.n);
        }
    }
}

static void on_channel(void *self, cl_str channel)
{
    heard *h = self;
    h->channels++;
    mix(h, channel.p, channel.n);
}

static void on_message(void *self, cl_str payload)
{
    heard *h = self;
    h->messages++;
    HOLDS(h->messages <= h->channels);
    mix(h, payload.p, payload.n);
}

static int feed(const uint8_t *data, size_t size, size_t slice, int pushes, heard *h)
{
    cl_resp_hooks hooks = {h, on_reply, on_channel, on_message};
    cl_resp *resp;
    int code = 0;
    if (cl_resp_create(&hooks, (cl_resp_limits){LINE, BUFFERED}, pushes, &resp)) return 0;
    for (size_t at = 0; at < size && !code; at += slice)
        code = cl_resp_feed(resp, (const char *)data + at, size - at < slice ? size - at : slice);
    HOLDS(!code || cl_resp_words(resp)[0]);
    cl_resp_destroy(resp);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    heard whole = {0}, cut = {0};
    int pushes = data[0] & 1;
    size_t slice = 1 + (data[0] >> 1) % 40;
    int code = feed(data + 1, size - 1, size, pushes, &whole);
    int code_cut = feed(data + 1, size - 1, slice, pushes, &cut);
    /* Limits on what is unfinished depend on the cut; what was understood does not. */
    if (!code && !code_cut)
        HOLDS(whole.hash == cut.hash && whole.replies == cut.replies && whole.messages == cut.messages);
    return 0;
}
