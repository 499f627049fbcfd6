/* Who has subscribed to what.
 *
 * Design notes
 *
 * What a node has subscribed to stands in its record, beside its methods: it is kept as they are, and a change of it is
 * a new generation of the record. Whoever subscribed is told when a generation that has it is there.
 *
 * Who publishes has all records in mind, as one who looks methods up. Of nodes of this context it needs no record: they
 * are known as soon as etcd has confirmed them, and what the watch says of them later is passed over. */
#include "base/error.h"
#include "base/mem.h"
#include "directory/etcd/internal.h"

/* One of a node of ours. */
typedef struct subscription {
    cl_etcd_subscription name; /* of `text` */
    cl_list_node place;        /* in the list of those that are not confirmed yet */
    uint64_t generation;       /* of the record that has it */
    int is_confirmed;
    size_t n;
    char text[]; /* "<topic>\n<group>": its key */
} subscription;

static cl_str key_of(const subscription *s)
{
    return cl_str_of(s->text, s->n);
}

static size_t bytes_of(const subscription *s)
{
    size_t n = cl_json_quoted_length(s->name.topic) + 1;
    return s->name.group.n ? n + cl_json_quoted_length(s->name.group) + 3 : n;
}

static subscription *find(const etcd_node *node, cl_str topic, cl_str group)
{
    char key[2 * CL_TOPIC_MAX + 1];
    if (topic.n > CL_TOPIC_MAX || group.n > CL_TOPIC_MAX) return NULL;
    memcpy(key, topic.p, topic.n);
    key[topic.n] = '\n';
    memcpy(key + topic.n + 1, group.p, group.n);
    return cl_strmap_get(&node->subscriptions, cl_str_of(key, topic.n + 1 + group.n));
}

/* ---- what is told who publishes */

static void tell(etcd *d, cl_str id, cl_str text, int on)
{
    cl_etcd_subscription s = cl_etcd_subscription_of(text);
    d->sink.subscription(d->sink.self, id, s.topic, s.group, on);
}

static void tell_ours(const etcd_node *node, const subscription *s, int on)
{
    if (node->d->tells && s->is_confirmed) tell(node->d, node->id, key_of(s), on);
}

static int is_ours(const etcd *d, const etcd_peer *peer)
{
    return cl_strmap_get(&d->by_id, peer->id) != NULL;
}

void cl_etcd_subscriptions_change(etcd *d, const etcd_peer *peer, const cl_etcd_record *before,
                                  const cl_etcd_record *now)
{
    size_t i = 0, k = 0;
    if (!d->tells || is_ours(d, peer)) return;
    while (i < before->subscriptions_n || k < now->subscriptions_n) {
        int which = i == before->subscriptions_n ? 1
                    : k == now->subscriptions_n  ? -1
                                                 : cl_etcd_order(before->subscriptions[i], now->subscriptions[k]);
        if (which < 0) tell(d, peer->id, before->subscriptions[i], 0);
        if (which > 0) tell(d, peer->id, now->subscriptions[k], 1);
        i += which <= 0;
        k += which >= 0;
    }
}

void cl_etcd_subscriptions_forget(etcd *d, const etcd_peer *peer)
{
    if (d->tells && peer->record.subscriptions_n && !is_ours(d, peer))
        d->sink.subscription(d->sink.self, peer->id, CL_STR_NONE, CL_STR_NONE, 0);
}

static void tell_all_ours(const etcd_node *node)
{
    const subscription *s;
    for (size_t at = 0; (s = cl_strmap_next(&node->subscriptions, &at));) tell_ours(node, s, 1);
}

/* All that is known, as one list. */
void cl_etcd_subscriptions_tell(etcd *d)
{
    const etcd_peer *peer;
    if (!d->follows || d->tells || !d->synced) return;
    d->tells = 1;
    d->sink.subscriptions(d->sink.self, 1);
    for (size_t at = 0; (peer = cl_strmap_next(&d->peers, &at));)
        for (size_t i = 0; !is_ours(d, peer) && i < peer->record.subscriptions_n; i++)
            tell(d, peer->id, peer->record.subscriptions[i], 1);
    CL_LIST_EACH(it, &d->nodes) tell_all_ours(CL_OWNER(it, etcd_node, place));
    d->sink.subscriptions(d->sink.self, 0);
}

int cl_etcd_follow(cl_directory *base)
{
    etcd *d = cl_etcd_of(base);
    if (!d->follows) {
        d->follows = 1;
        cl_etcd_want(d);
        cl_etcd_subscriptions_tell(d);
    }
    return d->tells ? 0 : CL_PENDING;
}

/* ---- what nodes of ours have subscribed to */

static int keep(etcd_node *node, subscription *s)
{
    if (node->bytes + bytes_of(s) > CL_RECORD_MOST || node->subscriptions.len >= CL_RECORD_SUBSCRIPTIONS)
        return cl_error_limit(CLOUDS_ETOOBIG, node->bytes + bytes_of(s), CL_RECORD_MOST,
                              "over etcd a node has at most %d subscriptions, and %d bytes of names of these and of methods",
                              CL_RECORD_SUBSCRIPTIONS, CL_RECORD_MOST);
    return cl_strmap_put(&node->subscriptions, key_of(s), s) == 0 ? 0 : cl_error(CLOUDS_ENOMEM, NULL);
}

int cl_etcd_subscribe(cl_directory *base, void *handle, cl_str topic, cl_str group)
{
    etcd *d = cl_etcd_of(base);
    etcd_node *node = cl_etcd_node_of(d, handle);
    if (!node || node->failed || node->draining) return cl_error(CLOUDS_ECLOSED, NULL);
    subscription *s = find(node, topic, group);
    if (s) return s->is_confirmed ? 0 : CL_PENDING;
    s = cl_calloc(1, sizeof *s + topic.n + 1 + group.n);
    if (!s) return cl_error(CLOUDS_ENOMEM, NULL);
    s->n = topic.n + 1 + group.n;
    memcpy(s->text, topic.p, topic.n);
    s->text[topic.n] = '\n';
    memcpy(s->text + topic.n + 1, group.p, group.n);
    s->name = cl_etcd_subscription_of(key_of(s));
    int code = keep(node, s);
    if (code != 0) {
        cl_free(s);
        return code;
    }
    node->bytes += bytes_of(s);
    s->generation = ++node->generation;
    cl_list_append(&node->subscribing, &s->place);
    cl_etcd_defer(d);
    return CL_PENDING;
}

void cl_etcd_unsubscribe(cl_directory *base, void *handle, cl_str topic, cl_str group)
{
    etcd *d = cl_etcd_of(base);
    etcd_node *node = cl_etcd_node_of(d, handle);
    subscription *s = node ? find(node, topic, group) : NULL;
    if (!s) return;
    tell_ours(node, s, 0);
    cl_strmap_take(&node->subscriptions, key_of(s));
    cl_list_remove(&s->place);
    node->bytes -= bytes_of(s);
    node->generation++;
    cl_free(s);
    cl_etcd_defer(d);
}

/* Whoever had the id before has it no more. */
void cl_etcd_subscriptions_are_ours(etcd_node *node)
{
    etcd *d = node->d;
    if (!d->tells) return;
    d->sink.subscription(d->sink.self, node->id, CL_STR_NONE, CL_STR_NONE, 0);
    tell_all_ours(node);
}

/* What is told may take any of them back. */
void cl_etcd_subscriptions_end(etcd_node *node, uint64_t up_to, int code, const char *words)
{
    etcd *d = node->d;
    while (!cl_list_empty(&node->subscribing)) {
        subscription *s = CL_OWNER(node->subscribing.next, subscription, place);
        if (s->generation > up_to) return;
        cl_list_remove(&s->place);
        s->is_confirmed = code == 0;
        tell_ours(node, s, 1);
        d->sink.subscribed(d->sink.self, node->handle, s->name.topic, s->name.group, code, words);
    }
}

void cl_etcd_subscriptions_drop(etcd_node *node)
{
    subscription *s;
    etcd *d = node->d;
    if (d->tells && node->subscriptions.len)
        d->sink.subscription(d->sink.self, node->id, CL_STR_NONE, CL_STR_NONE, 0);
    for (size_t at = 0; (s = cl_strmap_next(&node->subscriptions, &at));) {
        node->bytes -= bytes_of(s);
        cl_free(s);
    }
    cl_strmap_free(&node->subscriptions);
    cl_list_init(&node->subscribing);
}
