/* Design note. Redis is single-threaded and its cost is per PUBLISH, hardly per byte. So what goes to one node that
 * reads frames within one turn travels as one message: a byte 1, the length of the home, the home, and the frames one
 * behind the other. It goes to a channel of its own, on which no node of npm clouds listens, whatever its id. A batch
 * is sent at the end of the turn (flush), at 16 kB or at 256 envelopes; so nothing waits longer than the bytes of the
 * connection do. */
#include "base/error.h"
#include "base/mem.h"
#include "clouds.h"
#include "proto/envelope_fast.h"
#include "proto/frame.h"
#include "transport/pubsub/internal.h"

enum { BATCH_BYTES = 16 * 1024, BATCH_ENVELOPES = 256, IDLE_BATCHES = 64, FRAMES_MARK = 1 };

static const cl_str head = {"{\"t\":\"b\",\"d\":[", 14};

struct redis_batch {
    cl_list_node link; /* in open_batches, or in idle_batches */
    cl_buf to, body;
    size_t count;
    redis_tokens *tokens; /* room for all a batch can hold; NULL: nobody asked for a delivery */
};

static redis_batch *reuse(cl_pubsub *p)
{
    if (cl_list_empty(&p->idle_batches)) return NULL;
    p->idle_len--;
    redis_batch *batch = CL_OWNER(p->idle_batches.next, redis_batch, link);
    cl_list_remove(&batch->link);
    return batch;
}

static void batch_free(redis_batch *batch)
{
    cl_buf_free(&batch->to);
    cl_buf_free(&batch->body);
    cl_free(batch->tokens);
    cl_free(batch);
}

static void retire(cl_pubsub *p, redis_batch *batch)
{
    if (p->last_batch == batch) p->last_batch = NULL;
    cl_strmap_take(&p->batches, cl_buf_str(&batch->to));
    cl_list_remove(&batch->link);
    p->batched_bytes -= batch->body.len;
    cl_buf_clear(&batch->body);
    cl_buf_clear(&batch->to);
    batch->count = 0;
    if (p->idle_len >= IDLE_BATCHES) {
        batch_free(batch);
        return;
    }
    cl_list_append(&p->idle_batches, &batch->link);
    p->idle_len++;
}

static redis_batch *open_batch(cl_pubsub *p, cl_str to)
{
    redis_batch *batch = reuse(p);
    if (!batch) batch = cl_calloc(1, sizeof *batch);
    if (!batch) return NULL;
    cl_list_init(&batch->link);
    if (cl_buf_put_str(&batch->to, to) || cl_strmap_put(&p->batches, cl_buf_str(&batch->to), batch)) {
        batch_free(batch);
        return NULL;
    }
    cl_list_append(&p->open_batches, &batch->link);
    return batch;
}

static int keep_token(redis_batch *batch, uint64_t token)
{
    if (!token) return 0;
    if (!batch->tokens) batch->tokens = cl_calloc(1, sizeof *batch->tokens + BATCH_ENVELOPES * sizeof(uint64_t));
    if (!batch->tokens) return CLOUDS_ENOMEM;
    if (batch->tokens->n == 0) cl_list_init(&batch->tokens->link);
    batch->tokens->list[batch->tokens->n++] = token;
    return 0;
}

static int append(cl_pubsub *p, redis_batch *batch, const cl_envelope *e, uint64_t token)
{
    size_t before = batch->body.len;
    int code = cl_frame_encode_between(e, CL_STR_NONE, e->to, &batch->body);
    if (!code) code = keep_token(batch, token);
    if (code) {
        batch->body.len = before;
        return code;
    }
    batch->count++;
    p->batched_bytes += batch->body.len - before;
    return 0;
}

void cl_redis_put_frames_head(const cl_pubsub *p, cl_buf *out)
{
    cl_str home = cl_redis_home(p);
    cl_buf_add_char(out, FRAMES_MARK);
    cl_buf_add_char(out, (char)home.n);
    cl_buf_add_str(out, home);
}

size_t cl_redis_frames_head(const cl_pubsub *p)
{
    return 2 + cl_redis_home(p).n;
}

static int put_command(cl_pubsub *p, const redis_batch *batch, cl_buf *out)
{
    int code = cl_redis_publish_head(p, 'F', cl_buf_str(&batch->to), out);
    if (code || cl_buf_reserve(out, FRAMES_HEAD + batch->body.len + 32)) return CLOUDS_ENOMEM;
    cl_resp_add_head(out, '$', cl_redis_frames_head(p) + batch->body.len);
    cl_redis_put_frames_head(p, out);
    cl_buf_add_str(out, cl_buf_str(&batch->body));
    cl_buf_add(out, "\r\n", 2);
    return 0;
}

/* Frees the tokens. */
static void tell_delivery(cl_pubsub *p, redis_tokens *tokens, enum cl_delivery delivery, int64_t number)
{
    cl_list_remove(&tokens->link);
    for (size_t i = 0; i < tokens->n; i++) p->sink.delivery(p->sink.receiver, tokens->list[i], delivery, number);
    cl_free(tokens);
}

static void on_published(void *self, const cl_pending *pending, const cl_reply *reply)
{
    cl_pubsub *p = cl_pubsub_by(self);
    int64_t receivers;
    enum cl_delivery delivery = cl_redis_publish_delivery(p, reply, 1, &receivers);
    tell_delivery(p, cl_redis_from_ref(pending), delivery, receivers);
}

static void on_lost(void *self, const cl_pending *pending, int sent)
{
    tell_delivery(cl_pubsub_by(self), cl_redis_from_ref(pending), sent ? CL_DELIVERY_LOST : CL_DELIVERY_NOT_SENT, 0);
}

static const cl_redis_handler batch_handler = {"PUBLISH", on_published, on_lost, 0}; /* redis_tokens */

/* One token goes with its command; several need a list of their own until the answer comes. */
static void end_command(cl_pubsub *p, redis_batch *batch, size_t before)
{
    redis_tokens *tokens = batch->tokens;
    size_t n = tokens ? tokens->n : 0;
    if (n > 1) {
        batch->tokens = NULL;
        cl_list_append(&p->awaited, &tokens->link);
        cl_session_end(p->client->commands, before, &batch_handler, cl_redis_ref(tokens));
        return;
    }
    cl_session_end(p->client->commands, before, &cl_redis_publish_native_handler, n ? tokens->list[0] : 0);
    if (tokens) tokens->n = 0;
}

static int send_batch(cl_pubsub *p, redis_batch *batch)
{
    cl_buf *out;
    int code = cl_session_begin(p->client->commands, &out);
    if (code) return code;
    size_t before = out->len;
    code = put_command(p, batch, out);
    if (code) {
        out->len = before;
        return code;
    }
    end_command(p, batch, before);
    retire(p, batch);
    return 0;
}

static int is_full(const redis_batch *batch)
{
    return batch->count >= BATCH_ENVELOPES || batch->body.len >= BATCH_BYTES;
}

static redis_batch *find(const cl_pubsub *p, cl_str to)
{
    redis_batch *last = p->last_batch;
    return last && cl_str_eq(cl_buf_str(&last->to), to) ? last : cl_strmap_get(&p->batches, to);
}

int cl_redis_batch_add(cl_pubsub *p, const cl_envelope *e, uint64_t token)
{
    redis_batch *batch = find(p, e->to);
    if (batch && is_full(batch)) {
        int code = send_batch(p, batch);
        if (code) return code;
        batch = NULL;
    }
    if (!batch) batch = open_batch(p, e->to);
    if (!batch) return CLOUDS_ENOMEM;
    p->last_batch = batch;
    int code = append(p, batch, e, token);
    if (batch->count == 0) retire(p, batch);
    else if (is_full(batch)) send_batch(p, batch); /* if that fails, the end of the turn tries again and tells */
    return code;
}

int cl_redis_batch_send(cl_pubsub *p, cl_str to)
{
    redis_batch *batch = find(p, to);
    return batch ? send_batch(p, batch) : 0;
}

static void give_up(cl_pubsub *p, redis_batch *batch)
{
    redis_tokens *tokens = batch->tokens;
    batch->tokens = NULL;
    retire(p, batch);
    if (tokens) tell_delivery(p, tokens, CL_DELIVERY_NOT_SENT, 0);
}

/* A delivery may open new batches: the loop below goes on until there are none. */
void cl_redis_batch_flush(cl_pubsub *p)
{
    while (!cl_list_empty(&p->open_batches)) {
        redis_batch *batch = CL_OWNER(p->open_batches.next, redis_batch, link);
        if (send_batch(p, batch)) give_up(p, batch);
    }
}

void cl_redis_batch_free(cl_pubsub *p)
{
    cl_list_node *lists[] = {&p->open_batches, &p->idle_batches};
    for (int i = 0; i < 2; i++) {
        CL_LIST_EACH(link, lists[i]) batch_free(CL_OWNER(link, redis_batch, link));
        cl_list_init(lists[i]);
    }
    CL_LIST_EACH(link, &p->awaited) cl_free(CL_OWNER(link, redis_tokens, link));
    cl_list_init(&p->awaited);
    cl_strmap_free(&p->batches);
}

/* ---- reading */

int cl_redis_is_frames(cl_str payload, cl_str *home, cl_str *frames)
{
    if (payload.n < 2 || payload.p[0] != FRAMES_MARK) return 0;
    size_t n = (unsigned char)payload.p[1];
    if (n > payload.n - 2) return 0;
    *home = cl_str_of(payload.p + 2, n);
    *frames = cl_str_of(payload.p + 2 + n, payload.n - 2 - n);
    return 1;
}

int cl_redis_is_batch(cl_str payload)
{
    return cl_str_starts(payload, head);
}

/* Nearly all have the usual form, so one pass finds the end of an envelope and what it says. */
static int next(cl_json *j, cl_json_limits of_each, cl_str *envelope, cl_envelope *read)
{
    cl_str rest = {j->p, (size_t)(j->end - j->p)};
    size_t n = j->values_left ? cl_envelope_decode_fast(rest, of_each, read) : 0;
    if (n == 0) return cl_json_value(j, envelope);
    *envelope = (cl_str){rest.p, n};
    j->p += n;
    j->values_left--;
    return 1;
}

int cl_redis_batch_read(cl_str payload, cl_json_limits limits, cl_json_limits of_each,
                        void (*each)(void *self, cl_str envelope, cl_envelope *read), void *self)
{
    cl_json j;
    int more, code;
    cl_json_start(&j, cl_str_of(payload.p + head.n - 1, payload.n - head.n + 1), limits);
    if ((code = cl_json_enter(&j, '[')) != 0) return code;
    while ((more = cl_json_element(&j)) == 1) {
        cl_str envelope;
        cl_envelope read;
        if ((code = next(&j, of_each, &envelope, &read)) < 0) return code;
        each(self, envelope, code ? &read : NULL);
    }
    return more;
}
