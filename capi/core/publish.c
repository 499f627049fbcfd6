/* What is published, out and in.
 *
 * Design note. A node numbers what it publishes, from 1 for each topic; with a random epoch, since the numbers of a
 * topic begin anew when it was forgotten here or the node is another. A node that hears keeps the last number of each
 * publisher and topic: the next one says how many are missing, an older one came twice (over Redis by a topic and by a
 * pattern) and is dropped. What is not known is no gap. Groups get some of the messages only, so there are no gaps. */
#include "base/error.h"
#include "core/internal.h"
#include "proto/bytes.h"

typedef struct cl_sequence {
    cl_list_node recent; /* least recently used first */
    uint64_t epoch, number;
    cl_str key; /* in `text` */
    char text[];
} cl_sequence;

/* A value of an all-of subscription that waits for those of the other topics. */
typedef struct cl_joined {
    cl_list_node place;
    int64_t missed;      /* before it */
    cl_str value, bytes; /* in `text` */
    char text[];
} cl_joined;

/* ---- sequences */

static void sequence_end(cl_strmap *map, cl_sequence *q)
{
    cl_strmap_take(map, q->key);
    cl_list_remove(&q->recent);
    cl_free(q);
}

/* The sequence of a key, which is two texts with a line's end between, or one; a new one is all zero. NULL: no memory.
 */
static cl_sequence *sequence_of(cl_strmap *map, cl_list_node *recent, cl_str topic, cl_str of)
{
    char room[512];
    size_t n = topic.n + (of.n ? 1 + of.n : 0);
    char *key = n <= sizeof room ? room : cl_malloc(n);
    if (!key) return NULL;
    memcpy(key, topic.p, topic.n);
    if (of.n) key[topic.n] = '\n', memcpy(key + topic.n + 1, of.p, of.n);
    cl_sequence *q = cl_strmap_get(map, cl_str_of(key, n));
    if (q) {
        cl_list_remove(&q->recent);
    } else if ((q = cl_calloc(1, sizeof *q + n)) != NULL) {
        memcpy(q->text, key, n);
        q->key = cl_str_of(q->text, n);
        if (map->len >= CL_SEQUENCES) sequence_end(map, CL_OWNER(recent->next, cl_sequence, recent));
        if (cl_strmap_put(map, q->key, q) != 0) cl_free(q), q = NULL;
    }
    if (q) cl_list_append(recent, &q->recent);
    if (key != room) cl_free(key);
    return q;
}

static cl_str topic_of(const cl_sequence *q)
{
    const char *end = memchr(q->key.p, '\n', q->key.n);
    return cl_str_of(q->key.p, end ? (size_t)(end - q->key.p) : q->key.n);
}

static void found(void *self, cl_topic_leaf *leaf)
{
    *(int *)self = 1;
}

void cl_publish_forget(cl_node *node, cl_str pattern)
{
    cl_channels *channels = &node->channels;
    CL_LIST_EACH(it, &channels->heard_recent)
    {
        cl_sequence *q = CL_OWNER(it, cl_sequence, recent);
        int is_wanted = 0;
        cl_str topic = topic_of(q);
        if (!cl_topic_matches(pattern, topic)) continue;
        cl_topic_tree_match(&channels->topics, topic, found, &is_wanted);
        if (!is_wanted) sequence_end(&channels->heard, q);
    }
}

void cl_publish_free(cl_channels *channels)
{
    CL_LIST_EACH(heard, &channels->heard_recent) cl_free(CL_OWNER(heard, cl_sequence, recent));
    CL_LIST_EACH(told, &channels->told_recent) cl_free(CL_OWNER(told, cl_sequence, recent));
    cl_strmap_free(&channels->heard);
    cl_strmap_free(&channels->told);
}

/* ---- out */

static cl_sequence *told_of(cl_node *node, cl_str topic)
{
    cl_channels *channels = &node->channels;
    cl_core *core = node->core;
    cl_sequence *q = sequence_of(&channels->told, &channels->told_recent, topic, CL_STR_NONE);
    if (q && !q->epoch) q->epoch = core->port.random(core->port.self) >> 1 | 1;
    return q;
}

CL_RARE void cl_publish_lost(cl_node *node, cl_str topic)
{
    cl_sequence *q = told_of(node, topic);
    node->core->counters[CL_COUNT_PUBLISH_DROPS]++;
    if (q) q->number++;
}

/* The number of deliveries that will be reported for the token, or an error. */
int cl_publish_send(cl_node *node, cl_str topic, const cl_payload *payload, uint64_t token)
{
    cl_core *core = node->core;
    cl_sequence *q = told_of(node, topic);
    if (!q) return CLOUDS_ENOMEM;
    cl_extension x = CL_EXTENSION_NONE;
    x.meta = payload->meta;
    x.bytes = payload->bytes;
    x.epoch = q->epoch;
    x.sequence = q->number + 1;
    cl_envelope e = cl_envelope_of(CL_PUBLISH, node->id, CL_STR_NONE, CL_STR_NONE);
    e.method = topic;
    e.data = payload->json;
    e.extension = &x;
    size_t drops = 0;
    int parts = core->bus->ops->publish(core->bus, node, &e, token, &drops);
    core->counters[CL_COUNT_PUBLISH_DROPS] += drops;
    if (parts < 0) {
        core->counters[CL_COUNT_LIMIT_HITS] += parts == CLOUDS_ELIMIT || parts == CLOUDS_ETOOBIG;
        return parts;
    }
    q->number++;
    core->counters[CL_COUNT_PUBLISHED]++;
    return parts;
}

/* *failure: why it was not published, also where that is in the event. */
static int publish(cl_node *node, cl_str topic, const cl_payload *payload, const cl_op_spec *spec, int confirm,
                   int *failure)
{
    cl_op *op = NULL;
    int code = *failure = cl_message_may_send(node, topic, payload);
    if (code) return code;
    if (confirm && (code = cl_op_create(node, CL_OP_PUBLISH, spec, topic, &op)) != 0) return *failure = code;
    if (node->state == CL_NODE_OPENING)
        code = cl_message_queue(node, CL_PUBLISH, topic, payload, confirm ? spec->id : 0);
    else code = cl_publish_send(node, topic, payload, confirm ? spec->id : 0);
    *failure = code < 0 ? code : 0;
    if (!op) return *failure;
    cl_publish_sent(op, code);
    return 0;
}

static size_t rest_of(size_t most, size_t taken)
{
    return taken < most ? most - taken : 0;
}

/* What there may be of meta, so that a trace is no reason why it cannot be published. */
static size_t room_for_meta(const cl_node *node, cl_str topic, const cl_payload *payload)
{
    enum { HEAD = 1024 }; /* of the envelope: ids and the rest */
    const cl_limits *limits = &node->core->config.limits;
    size_t taken = topic.n + payload->json.n + payload->bytes.n, rest = rest_of(limits->message, taken + HEAD);
    if (node->state != CL_NODE_OPENING) return rest;
    size_t waiting = rest_of(limits->write_soft, node->message_bytes + sizeof(cl_message) + taken);
    return waiting < rest ? waiting : rest;
}

/* Most requests are in no trace. */
static int says_trace(cl_str meta)
{
    return meta.n && (memmem(meta.p, meta.n, "\"traceparent\"", 13) || memmem(meta.p, meta.n, "\"trace-to\"", 10));
}

int cl_node_publish(cl_node *node, cl_str topic, const cl_payload *payload, cl_str trace, const cl_op_spec *spec,
                    int confirm)
{
    int failure;
    cl_core *core = node->core;
    if (!core->config.traces && !says_trace(trace) && !cl_trace_is_asked(core, payload->meta))
        return publish(node, topic, payload, spec, confirm, &failure);
    cl_error_record why;
    cl_buf kept = {0};
    cl_payload traced = *payload;
    cl_open_span *span = cl_trace_publish(core, topic, trace, room_for_meta(node, topic, payload), &traced, &kept);
    int code = publish(node, topic, &traced, spec, confirm, &failure);
    cl_error_save(&why);
    if (span) cl_trace_published(node, span, failure);
    cl_error_restore(&why);
    cl_buf_free(&kept);
    return code;
}

/* code: of deliveries that will be reported, or the error; room for the event is reserved, so the event reports it. */
void cl_publish_sent(cl_op *op, int code)
{
    if (op->node->state == CL_NODE_OPENING && code == 0) return; /* it waits for its node */
    op->parts = code > 0 ? code : 0;
    if (code <= 0) cl_op_end(op, code, code ? clouds_last_error() : NULL, 0, CL_STR_NONE);
}

void cl_publish_held_sent(cl_op *op, int deliveries)
{
    op->parts += deliveries - 1;
    if (op->parts <= 0) cl_op_end(op, 0, NULL, op->uncertain ? -1 : op->receivers, CL_STR_NONE);
}

void cl_publish_delivery(cl_op *op, enum cl_delivery delivery, int64_t number)
{
    if (delivery == CL_DELIVERY_WRITTEN && number > 0) op->receivers += number;
    if (delivery == CL_DELIVERY_LOST || number < 0) op->uncertain = 1;
    if (op->parts > 0 && --op->parts > 0) return;
    cl_op_end(op, 0, NULL, op->uncertain ? -1 : op->receivers, CL_STR_NONE);
}

/* ---- all-of */

void cl_join_drop(cl_subscription *s)
{
    for (size_t i = 0; i < s->n; i++) CL_LIST_EACH(it, &s->parts[i].values) cl_free(CL_OWNER(it, cl_joined, place));
}

static cl_joined *join_take(cl_subscription *s, cl_part *part)
{
    cl_joined *first = CL_OWNER(part->values.next, cl_joined, place);
    cl_list_remove(&first->place);
    part->values_n--;
    s->bytes -= first->value.n + first->bytes.n;
    s->missed += first->missed;
    return first;
}

static void lag(cl_subscription *s, int64_t missed)
{
    s->missed += 1 + missed;
    s->lagged = 1;
    s->node->core->counters[CL_COUNT_LAGGED]++;
}

/* Without memory, or room for it at all, a value is missed. */
static int join_put(cl_subscription *s, cl_part *part, cl_str value, cl_str bytes, int64_t missed)
{
    size_t n = value.n + bytes.n;
    cl_joined *last = n <= s->bytes_max ? cl_malloc(sizeof *last + n) : NULL;
    if (!last) {
        lag(s, missed);
        return 0;
    }
    char *end = cl_str_copy(last->text, value);
    cl_str_copy(end, bytes);
    last->value = cl_str_of(last->text, value.n);
    last->bytes = cl_str_of(end, bytes.n);
    last->missed = missed;
    cl_list_append(&part->values, &last->place);
    part->values_n++;
    s->bytes += n;
    while (part->values_n > s->queue || (s->bytes > s->bytes_max && part->values_n > 1)) {
        cl_free(join_take(s, part));
        lag(s, 0);
    }
    return 1;
}

static int join_is_whole(const cl_subscription *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (!s->parts[i].values_n) return 0;
    return 1;
}

static int join_has_bytes(const cl_subscription *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) n |= CL_OWNER(s->parts[i].values.next, cl_joined, place)->bytes.n;
    return n > 0;
}

static int join_head(const cl_joined *head, int has_bytes, cl_buf *out, cl_buf *bytes)
{
    if (!has_bytes) return cl_buf_put_str(out, head->value);
    int code = cl_bytes_move(head->value, head->bytes.n, bytes->len, out);
    return code ? code : cl_buf_put_str(bytes, head->bytes);
}

/* The heads of all, as an array, and their bytes; the first failure counts. */
static int join_heads(cl_subscription *s, cl_buf *out, cl_buf *bytes)
{
    int has_bytes = join_has_bytes(s);
    cl_buf_clear(out);
    int code = cl_buf_put_char(out, '[');
    for (size_t i = 0; i < s->n; i++) {
        cl_joined *head = join_take(s, &s->parts[i]);
        if (code == 0 && i) code = cl_buf_put_char(out, ',');
        if (code == 0) code = join_head(head, has_bytes, out, bytes);
        cl_free(head);
    }
    return code ? code : cl_buf_put_char(out, ']');
}

/* ---- in */

typedef struct arrival {
    cl_core *core;
    cl_node *node;
    const cl_envelope *e;
    uint64_t number; /* of arrivals, this one included */
    int is_noted, is_double;
    int64_t missed;
} arrival;

static cl_str bytes_of(const arrival *a)
{
    return a->e->extension ? a->e->extension->bytes : CL_STR_NONE;
}

/* `bytes`: those of the message, but for all-of those of all. */
static void emit(const arrival *a, cl_subscription *s, cl_str data, cl_str bytes, int64_t missed, unsigned flags)
{
    const cl_extension *x = a->e->extension;
    clouds_event event = {.type = CLOUDS_EVENT_PUBLISHED,
                          .flags = flags,
                          .id = s->id,
                          .user_data = s->user_data,
                          .number = missed,
                          .sequence = x ? x->sequence : 0};
    cl_set_text(&event.peer, &event.peer_len, a->e->from);
    cl_set_text(&event.method, &event.method_len, a->e->method);
    cl_set_text(&event.data, &event.data_len, data);
    if (x && !s->is_all) cl_set_text(&event.meta, &event.meta_len, x->meta);
    event.bytes = bytes.p;
    event.bytes_len = bytes.n;
    event.flags |= bytes.n ? CLOUDS_FLAG_BYTES : 0;
    a->core->counters[CL_COUNT_DELIVERED]++;
    cl_emit(a->core, a->node, &event);
}

static void join(const arrival *a, cl_subscription *s, cl_part *part)
{
    if (!join_put(s, part, a->e->data, bytes_of(a), a->missed) || !join_is_whole(s)) return;
    cl_buf bytes = {0};
    if (join_heads(s, &a->core->scratch, &bytes) != 0) {
        lag(s, 0);
    } else {
        int64_t missed = s->missed;
        unsigned flags = s->lagged ? CLOUDS_FLAG_LAGGED : 0;
        s->missed = 0;
        s->lagged = 0;
        emit(a, s, cl_buf_str(&a->core->scratch), cl_buf_str(&bytes), missed, flags);
    }
    cl_buf_free(&bytes);
}

static void note(arrival *a)
{
    const cl_extension *x = a->e->extension;
    cl_channels *channels = &a->node->channels;
    a->is_noted = 1;
    if (!x || !x->sequence) return;
    cl_sequence *q = sequence_of(&channels->heard, &channels->heard_recent, a->e->method, a->e->from);
    if (!q) return;
    int is_known = q->number && q->epoch == x->epoch;
    if (is_known && x->sequence <= q->number) {
        a->is_double = 1;
        return;
    }
    uint64_t missed = is_known ? x->sequence - q->number - 1 : 0;
    a->missed = missed < (uint64_t)1 << 53 ? (int64_t)missed : 0; /* more than that is nonsense */
    a->core->counters[CL_COUNT_GAPS] += (uint64_t)a->missed;
    q->epoch = x->epoch;
    q->number = x->sequence;
}

static void meet(void *self, cl_topic_leaf *leaf)
{
    arrival *a = self;
    cl_part *part = CL_OWNER(leaf, cl_part, leaf);
    cl_subscription *s = part->subscription;
    if (!a->is_noted) note(a);
    if (a->is_double || !s->is_open || s->met == a->number) return;
    s->met = a->number;
    if (s->is_all) join(a, s, part);
    else emit(a, s, a->e->data, bytes_of(a), a->missed, 0);
}

/* One member gets it, of several here one after the other. */
static void to_group(const arrival *a, cl_interest *i)
{
    CL_LIST_EACH(it, &i->parts)
    {
        cl_subscription *s = CL_OWNER(it, cl_part, of_interest)->subscription;
        if (!s->is_open) continue;
        cl_list_remove(it);
        cl_list_append(&i->parts, it);
        emit(a, s, a->e->data, bytes_of(a), 0, 0);
        return;
    }
}

void cl_publish_arrived(cl_core *core, cl_node *node, const cl_envelope *e)
{
    arrival a = {.core = core, .node = node, .e = e, .number = ++core->arrivals};
    if (e->extension && e->extension->group.n) {
        cl_interest *i = cl_channel_interest(node, e->method, e->extension->group);
        if (i) to_group(&a, i);
        return;
    }
    if (node->channels.topics.root && cl_topic_check(e->method) == 0)
        cl_topic_tree_match(&node->channels.topics, e->method, meet, &a);
}
