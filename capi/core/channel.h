/* Channels: what nodes subscribe to, what they publish, and how what is missing is known. */
#ifndef CL_CORE_CHANNEL_H
#define CL_CORE_CHANNEL_H

#include "core/core.h"
#include "base/list.h"
#include "base/map.h"
#include "base/str.h"
#include "proto/delivery.h"
#include "proto/envelope.h"
#include "proto/topic.h"

struct cl_node;
struct cl_op;

enum {
    CL_SEQUENCES = 10000,      /* of topics published, and of (publisher, topic) pairs heard: each node keeps so many */
    CL_SUBSCRIPTIONS = 100000, /* of one context */
    CL_SUBSCRIPTION_TOPICS = 64
};

/* What a node wants of the bus: a topic or a pattern, alone or as a member of a group. Its subscriptions share it. */
typedef struct cl_interest {
    cl_list_node parts; /* cl_part */
    int asked, confirmed;
    cl_str topic, group; /* in `text`, which is also the key: "topic\ngroup" */
    size_t n;
    char text[];
} cl_interest;

/* One topic of a subscription. */
typedef struct cl_part {
    cl_topic_leaf leaf; /* without a group: in node->channels.topics */
    cl_list_node of_interest;
    struct cl_subscription *subscription;
    cl_interest *interest;
    cl_list_node values; /* all-of: those that wait for the others, cl_joined */
    size_t values_n;
} cl_part;

typedef struct cl_subscription {
    cl_list_node of_node;
    struct cl_node *node;
    uint64_t id, user_data;
    int is_open;    /* CLOUDS_EVENT_SUBSCRIBED was raised and was no failure: CLOUDS_EVENT_UNSUBSCRIBED will be */
    uint64_t met;   /* the latest message that it matched */
    uint32_t queue; /* all-of: so many values wait for each topic, and so many bytes for all */
    size_t bytes_max;
    size_t bytes;   /* of the values that wait */
    int64_t missed; /* since its last event */
    int is_all, lagged;
    size_t n;
    cl_part parts[];
} cl_subscription;

/* What of a node has to do with channels. */
typedef struct cl_channels {
    cl_list_node subscriptions;
    cl_strmap interests;
    cl_topic_tree topics;
    cl_strmap heard, told; /* cl_sequence by "topic\npublisher", and by topic */
    cl_list_node heard_recent, told_recent;
} cl_channels;

void cl_channels_init(cl_channels *channels);
/* Ends all subscriptions of a node: those that are not complete with this code. */
void cl_channels_end(struct cl_node *node, int code, const char *words);
void cl_channels_free(struct cl_node *node); /* without an event */
/* The node is ready: asks the bus for what was subscribed until then. */
void cl_channels_ready(struct cl_node *node);

/* NULL: nobody of the node has subscribed so. */
cl_interest *cl_channel_interest(const struct cl_node *node, cl_str topic, cl_str group);

/* The operation that subscribes ended otherwise than by the bus: by its time (the subscription goes on), or canceled.
 */
void cl_channel_due(struct cl_op *op);
int cl_channel_cancel(struct cl_op *op);

/* publish.c */
/* The number of deliveries that will be reported for the token, or an error. */
int cl_publish_send(struct cl_node *node, cl_str topic, const cl_payload *payload, uint64_t token);
/* The same, of what is to be confirmed. */
void cl_publish_sent(struct cl_op *op, int code);
/* What counted as one delivery is so many. */
void cl_publish_held_sent(struct cl_op *op, int deliveries);
void cl_publish_arrived(struct cl_core *core, struct cl_node *node, const cl_envelope *e);
void cl_publish_delivery(struct cl_op *op, enum cl_delivery delivery, int64_t number);
/* A node no longer hears what its subscription matched, as far as no other does. */
void cl_publish_forget(struct cl_node *node, cl_str pattern);
void cl_publish_free(cl_channels *channels);
/* All-of: drops what waits. */
void cl_join_drop(cl_subscription *s);

#endif
