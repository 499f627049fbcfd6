/* Fuzz target: several envelopes in one message. Those that come out lie in the message one behind the other, each is
 * JSON, what is read of one already is what decoding it finds, and a message that is whole is read to its end. */
#include "transport/pubsub/internal.h"
#include "clouds.h"
#include "fuzz/fuzz.h"

static const cl_json_limits limits = {32, 500};

typedef struct seen {
    const char *at, *end;
    size_t n;
} seen;

static int is_same(const cl_envelope *a, const cl_envelope *b)
{
    return a->type == b->type && a->flags == b->flags && a->deadline == b->deadline && cl_str_eq(a->from, b->from) &&
           cl_str_eq(a->id, b->id) && cl_str_eq(a->method, b->method) && cl_str_eq(a->args, b->args) &&
           cl_str_eq(a->error, b->error) && cl_str_eq(a->result, b->result) && cl_str_eq(a->data, b->data) &&
           cl_str_eq(a->home, b->home);
}

static void on_envelope(void *self, cl_str envelope, cl_envelope *read)
{
    seen *s = self;
    cl_json j;
    cl_str span;
    HOLDS(envelope.n > 0 && envelope.p >= s->at && envelope.p + envelope.n <= s->end);
    s->at = envelope.p + envelope.n;
    s->n++;
    cl_json_start(&j, envelope, limits);
    HOLDS(cl_json_value(&j, &span) == 0 && span.n == envelope.n);
    if (!read) return;
    cl_envelope e;
    cl_buf scratch = {0};
    HOLDS(cl_envelope_decode(envelope, limits, &scratch, &e) == 0 && is_same(&e, read));
    cl_buf_free(&scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cl_str payload = {(const char *)data, size};
    if (!cl_redis_is_batch(payload)) return 0;
    seen s = {payload.p, payload.p + payload.n, 0};
    int code = cl_redis_batch_read(payload, limits, limits, on_envelope, &s);
    HOLDS(code == 0 || code == CLOUDS_EJSON || code == CLOUDS_ETOOBIG);
    HOLDS(s.n <= limits.values);
    return 0;
}
