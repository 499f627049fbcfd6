/* Subscriptions.
 *
 * Design note. A subscription is a number of parts, one a topic; parts of a node with the same topic (and group) share
 * an interest, which is asked of the bus once and taken back with the last of them. A subscription is complete, and
 * raises SUBSCRIBED, when all of its interests are confirmed; the operation behind that is an ordinary one and has the
 * id of the subscription. Until its node is ready an interest waits here. */
#include "base/error.h"
#include "core/internal.h"

static cl_subscription *find(const cl_core *core, uint64_t id)
{
    return cl_idmap_get(&core->subscriptions, id);
}

void cl_channels_init(cl_channels *channels)
{
    cl_list_init(&channels->subscriptions);
    cl_list_init(&channels->heard_recent);
    cl_list_init(&channels->told_recent);
}

/* ---- interests */

static cl_interest *interest_new(cl_node *node, cl_str topic, cl_str group)
{
    cl_interest *i = cl_calloc(1, sizeof *i + topic.n + 1 + group.n);
    if (!i) return NULL;
    cl_list_init(&i->parts);
    memcpy(i->text, topic.p, topic.n);
    i->text[topic.n] = '\n';
    memcpy(i->text + topic.n + 1, group.p, group.n);
    i->n = topic.n + 1 + group.n;
    i->topic = cl_str_of(i->text, topic.n);
    i->group = cl_str_of(i->text + topic.n + 1, group.n);
    if (cl_strmap_put(&node->channels.interests, cl_str_of(i->text, i->n), i) == 0) return i;
    cl_free(i);
    return NULL;
}

cl_interest *cl_channel_interest(const cl_node *node, cl_str topic, cl_str group)
{
    char key[2 * CL_TOPIC_MAX + 1];
    if (topic.n > CL_TOPIC_MAX || group.n > CL_TOPIC_MAX) return NULL;
    memcpy(key, topic.p, topic.n);
    key[topic.n] = '\n';
    memcpy(key + topic.n + 1, group.p, group.n);
    return cl_strmap_get(&node->channels.interests, cl_str_of(key, topic.n + 1 + group.n));
}

static int ask(cl_node *node, cl_interest *i)
{
    cl_bus *bus = node->core->bus;
    if (i->asked || node->state != CL_NODE_READY) return 0;
    int code = bus->ops->subscribe(bus, node, i->topic, i->group);
    i->asked = code == 0;
    return code;
}

static void interest_end(cl_node *node, cl_interest *i)
{
    cl_bus *bus = node->core->bus;
    if (!cl_list_empty(&i->parts)) return;
    if (i->asked && node->state != CL_NODE_CLOSING) bus->ops->unsubscribe(bus, node, i->topic, i->group);
    cl_strmap_take(&node->channels.interests, cl_str_of(i->text, i->n));
    cl_free(i);
}

/* ---- parts */

static int part_begin(cl_node *node, cl_part *part, cl_str topic, cl_str group)
{
    cl_interest *i = cl_channel_interest(node, topic, group);
    int is_new = i == NULL;
    if (is_new) i = interest_new(node, topic, group);
    if (!i) return CLOUDS_ENOMEM;
    int code = group.n ? 0 : cl_topic_tree_add(&node->channels.topics, topic, &part->leaf);
    if (code == 0) {
        part->interest = i;
        cl_list_append(&i->parts, &part->of_interest);
    } else if (is_new) {
        interest_end(node, i);
    }
    return code;
}

static void part_end(cl_node *node, cl_part *part)
{
    cl_interest *i = part->interest;
    if (!i) return;
    cl_topic_tree_remove(&node->channels.topics, &part->leaf);
    cl_list_remove(&part->of_interest);
    part->interest = NULL;
    if (cl_list_empty(&i->parts) && !i->group.n) cl_publish_forget(node, i->topic);
    interest_end(node, i);
}

/* ---- subscriptions */

static size_t count_lines(cl_str text)
{
    size_t n = 1;
    for (size_t i = 0; i < text.n; i++) n += text.p[i] == '\n';
    return n;
}

static cl_str next_line(cl_str *rest)
{
    const char *end = memchr(rest->p, '\n', rest->n);
    cl_str line = {rest->p, end ? (size_t)(end - rest->p) : rest->n};
    *rest = end ? (cl_str){end + 1, rest->n - line.n - 1} : CL_STR_NONE;
    return line;
}

static cl_subscription *allocate(cl_node *node, const cl_subscribe_spec *spec)
{
    size_t n = count_lines(spec->topics);
    cl_subscription *s = cl_calloc(1, sizeof *s + n * sizeof *s->parts);
    if (!s) return NULL;
    s->node = node;
    s->id = spec->op.id;
    s->user_data = spec->user_data;
    s->is_all = spec->all;
    s->queue = spec->queue;
    s->bytes_max = spec->queue_bytes;
    s->n = n;
    cl_list_init(&s->of_node);
    for (size_t i = 0; i < n; i++) {
        s->parts[i].subscription = s;
        cl_list_init(&s->parts[i].values);
        cl_list_init(&s->parts[i].of_interest);
        cl_list_init(&s->parts[i].leaf.place);
    }
    return s;
}

/* Without an event. */
static void discard(cl_subscription *s)
{
    cl_node *node = s->node;
    cl_join_drop(s);
    for (size_t i = 0; i < s->n; i++) part_end(node, &s->parts[i]);
    cl_idmap_take(&node->core->subscriptions, s->id);
    cl_list_remove(&s->of_node);
    cl_free(s);
}

/* code: why it ends by itself. */
static void end(cl_subscription *s, int code)
{
    cl_core *core = s->node->core;
    clouds_event event = {.type = CLOUDS_EVENT_UNSUBSCRIBED,
                          .code = code,
                          .outcome = (uint32_t)clouds_err_outcome(code),
                          .id = s->id,
                          .user_data = s->user_data};
    if (code) cl_set_text(&event.error, &event.error_len, cl_error_text_of_node(s->node, code, NULL));
    cl_emit(core, s->node, &event);
    discard(s);
}

/* The bus has all of it, or refuses. */
static void complete(cl_subscription *s, int code, const char *words)
{
    cl_op *op = cl_op_find(s->node->core, s->id);
    if (code == 0) s->is_open = 1;
    if (op) cl_op_end(op, code, words, 0, CL_STR_NONE);
    if (code && s->is_open) end(s, code);
    else if (code) discard(s);
}

static int is_confirmed(const cl_subscription *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (!s->parts[i].interest->confirmed) return 0;
    return 1;
}

static int begin(cl_node *node, cl_subscription *s, const cl_subscribe_spec *spec)
{
    cl_str rest = spec->topics;
    int code = 0;
    for (size_t i = 0; i < s->n && code == 0; i++) code = part_begin(node, &s->parts[i], next_line(&rest), spec->group);
    return code;
}

static int too_many(cl_core *core)
{
    core->counters[CL_COUNT_LIMIT_HITS]++;
    return cl_error_limit(CLOUDS_ELIMIT, core->subscriptions.len, CL_SUBSCRIPTIONS,
                          "there are %zu subscriptions already (at most %d in a context)", core->subscriptions.len,
                          CL_SUBSCRIPTIONS);
}

/* What is asked may be refused at once; what is confirmed already waits for nothing. */
static void ask_all(cl_subscription *s)
{
    int code = 0;
    for (size_t i = 0; i < s->n && code == 0; i++) code = ask(s->node, s->parts[i].interest);
    if (code) complete(s, code, clouds_last_error());
    else if (is_confirmed(s)) complete(s, 0, NULL);
}

int cl_node_subscribe(cl_node *node, const cl_subscribe_spec *spec)
{
    cl_core *core = node->core;
    if (node->draining || node->state == CL_NODE_CLOSING) return CLOUDS_ECLOSED;
    if (node->state == CL_NODE_FAILED) return cl_error(node->failure, "%s", node->failure_text);
    if (core->subscriptions.len >= CL_SUBSCRIPTIONS) return too_many(core);
    cl_subscription *s = allocate(node, spec);
    cl_op *op;
    int code = s ? cl_idmap_put(&core->subscriptions, s->id, s) : CLOUDS_ENOMEM;
    if (code) return cl_free(s), code;
    cl_list_append(&node->channels.subscriptions, &s->of_node);
    code = begin(node, s, spec);
    if (code == 0) code = core->port.reserve(core->port.self); /* UNSUBSCRIBED */
    if (code == 0) code = cl_op_create(node, CL_OP_SUBSCRIBE, &spec->op, spec->topics, &op);
    if (code) discard(s);
    else ask_all(s);
    return code;
}

int cl_core_unsubscribe(cl_core *core, uint64_t id)
{
    cl_subscription *s = find(core, id);
    if (!s) return CLOUDS_ESTALE;
    cl_op *op = cl_op_find(core, id);
    if (op) return cl_channel_cancel(op);
    end(s, 0);
    return 0;
}

void cl_channel_due(cl_op *op)
{
    cl_subscription *s = find(op->node->core, op->id);
    if (s) s->is_open = 1;
    cl_op_end(op, cl_op_timeout_code(op->node->core), NULL, 1, CL_STR_NONE);
}

int cl_channel_cancel(cl_op *op)
{
    cl_subscription *s = find(op->node->core, op->id);
    cl_op_end(op, CLOUDS_ECANCELED, NULL, 0, CL_STR_NONE);
    if (s) discard(s);
    return 0;
}

/* ---- what the bus reports */

/* Each of them that ends may end the interest, too. */
static void refused(cl_node *node, cl_str topic, cl_str group, int code, const char *words)
{
    cl_interest *i;
    while ((i = cl_channel_interest(node, topic, group)) != NULL)
        complete(CL_OWNER(i->parts.next, cl_part, of_interest)->subscription, code, words);
}

static void confirmed(cl_interest *i)
{
    i->confirmed = 1;
    CL_LIST_EACH(it, &i->parts)
    {
        cl_subscription *s = CL_OWNER(it, cl_part, of_interest)->subscription;
        if (!is_confirmed(s)) continue;
        if (cl_op_find(s->node->core, s->id)) complete(s, 0, NULL);
    }
}

void cl_core_subscribed(cl_core *core, cl_node *node, cl_str topic, cl_str group, int code, const char *words)
{
    cl_interest *i = cl_channel_interest(node, topic, group);
    if (!i || !i->asked) return;
    if (code == 0) confirmed(i);
    else refused(node, topic, group, code, words);
}

void cl_channels_ready(cl_node *node)
{
    CL_LIST_EACH(it, &node->channels.subscriptions) ask_all(CL_OWNER(it, cl_subscription, of_node));
}

/* ---- the end of a node */

void cl_channels_end(cl_node *node, int code, const char *words)
{
    cl_list_node *all = &node->channels.subscriptions;
    while (!cl_list_empty(all)) {
        cl_subscription *s = CL_OWNER(all->next, cl_subscription, of_node);
        if (s->is_open) end(s, 0);
        else complete(s, code, words);
    }
}

void cl_channels_free(cl_node *node)
{
    cl_list_node *all = &node->channels.subscriptions;
    node->state = CL_NODE_CLOSING; /* the bus may be gone */
    while (!cl_list_empty(all)) discard(CL_OWNER(all->next, cl_subscription, of_node));
    cl_strmap_free(&node->channels.interests);
    cl_publish_free(&node->channels);
}
