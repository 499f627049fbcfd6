/* What the files of the pubsub transport share.
 *
 *   transport.c      the transport: the life of a node on it
 *   subscriptions.c  what comes in
 *   publish.c        envelopes that go out
 *   batch.c          several of them in one message, between native nodes
 *   channels.c       what is published at topics
 *   backlog.c        results and messages that wait for Redis to come back */
#ifndef CL_PUBSUB_INTERNAL_H
#define CL_PUBSUB_INTERNAL_H

#include "base/list.h"
#include "base/map.h"
#include "net/loop.h"
#include "redis/client.h"
#include "transport/transport.h"

typedef struct pubsub_node {
    cl_list_node link;
    struct cl_pubsub *p;
    void *node;
    char *memory; /* of the channels */
    cl_str channel, id;
    cl_str frames;        /* the channel that only nodes which read frames listen on */
    int frames_code;      /* why it is not subscribed to that; 0: it is, or will be */
    cl_loop_timer *timer; /* linger, then the wait for Redis */
    unsigned refs;        /* pending commands that point here */
    int subscribed;       /* its SUBSCRIBE is confirmed */
    int listening;        /* and the directory has confirmed that the id is its own */
    int refused;          /* it is not to listen until it is opened again */
    cl_buf held;          /* what arrived before the id was known to be its own */
    int closing, leaving, is_leave_due;
} pubsub_node;

/* The tokens of a batch, until its delivery is known. */
typedef struct redis_tokens {
    cl_list_node link; /* in bus->awaited, once the batch is sent */
    size_t n;
    uint64_t list[];
} redis_tokens;

typedef struct redis_batch redis_batch;
typedef struct pubsub_channel pubsub_channel;

/* What went to a member of a group, until it is known whether somebody got it. */
typedef struct pubsub_sent {
    cl_list_node link;
    void *handle;
    uint64_t token;
    size_t n;
    char frame[];
} pubsub_sent;

/* So much of the name that a Redis gives itself tells it from others. */
enum { REDIS_HOME = 16 };

typedef struct cl_pubsub {
    cl_transport base;
    cl_loop *loop;
    cl_transport_sink sink;
    cl_redis_client *client;
    char home[REDIS_HOME + 1]; /* the Redis that the subscriber is or was at */
    int closing, session_closed, told_closed;
    unsigned unconfirmed; /* SUBSCRIBEs under way */
    size_t leaves_due;
    cl_idmap by_node;     /* pubsub_node */
    cl_strmap by_channel; /* pubsub_node */
    cl_list_node nodes;
    pubsub_node *current; /* the message being read is for it */
    int current_is_announcement, current_is_subscriber;
    pubsub_channel *current_channel; /* or at this one */
    cl_strmap channels;              /* pubsub_channel by name */
    cl_list_node members_sent;       /* pubsub_sent */
    int64_t read_at;                 /* when this message was read */
    cl_buf scratch;
    cl_list_node backlog;
    size_t backlog_bytes;
    cl_strmap batches;       /* redis_batch by receiver: those that are open */
    redis_batch *last_batch; /* the one added to last, most often the one added to next; or NULL */
    cl_list_node open_batches, idle_batches;
    cl_list_node awaited; /* redis_tokens whose answer is to come */
    size_t idle_len, batched_bytes;
} cl_pubsub;

static inline cl_pubsub *cl_pubsub_of(cl_transport *base)
{
    return CL_OWNER(base, cl_pubsub, base);
}

/* The `self` of all handlers is the client. */
static inline cl_pubsub *cl_pubsub_by(void *client)
{
    return ((cl_redis_client *)client)->pubsub.self;
}

/* ---- transport.c */
pubsub_node *cl_pubsub_node_of(cl_pubsub *p, const void *node);
void cl_pubsub_check_up(cl_pubsub *p);
void cl_pubsub_end_linger(cl_pubsub *p);
void cl_pubsub_node_unref(cl_pubsub *p, pubsub_node *node);

/* ---- subscriptions.c */
int cl_pubsub_subscriber_create(cl_pubsub *p);
void cl_pubsub_subscribe(cl_pubsub *p, pubsub_node *node);
void cl_pubsub_unsubscribe(cl_pubsub *p, pubsub_node *node);
void cl_pubsub_deliver_held(cl_pubsub *p, pubsub_node *node);

/* ---- publish.c: a PUBLISH of one envelope, whose token is the ref. */
extern const cl_redis_handler cl_redis_publish_handler;
extern const cl_redis_handler cl_redis_publish_native_handler; /* the same, of what only a native node receives */
/* What became of a PUBLISH. */
enum cl_delivery cl_redis_publish_delivery(cl_pubsub *p, const cl_reply *reply, int to_native, int64_t *receivers);
int cl_redis_send(cl_transport *base, void *node, const cl_envelope *e, uint64_t token);
/* Appends the command that publishes an envelope. 0, CLOUDS_ETOOBIG or CLOUDS_ENOMEM with the buffer unchanged. */
int cl_redis_publish_format(const cl_pubsub *p, const cl_envelope *e, cl_buf *out);

/* What names the Redis that commands go to; empty where nothing is to be compared. */
cl_str cl_redis_home(const cl_pubsub *p);

/* Appends a PUBLISH to this channel, of the kind 'L', 'F' or 'C', up to its payload. 0 or CLOUDS_ENOMEM. */
int cl_redis_publish_head(const cl_pubsub *p, char kind, cl_str to, cl_buf *out);
/* Appends a PUBLISH of one frame, which leaves the name e->to out. */
int cl_redis_put_frame(const cl_pubsub *p, char kind, cl_str to, const cl_envelope *e, cl_buf *out);
/* 0, or why there is no room for it. */
int cl_redis_may_publish(const cl_pubsub *p, const cl_envelope *e);

/* ---- channels.c: what is published at topics */
int cl_pubsub_topic_subscribe(cl_transport *base, void *handle, cl_str topic);
void cl_pubsub_topic_unsubscribe(cl_transport *base, void *handle, cl_str topic);
int cl_pubsub_topic_publish(cl_transport *base, void *handle, cl_str topic, const cl_envelope *e, uint64_t token);
int cl_pubsub_to_member(cl_pubsub *p, void *handle, const cl_envelope *e, uint64_t token);
void cl_pubsub_channel_message(cl_pubsub *p, const pubsub_channel *channel, cl_str payload);
void cl_pubsub_channels_ready(cl_pubsub *p);
void cl_pubsub_channels_down(cl_pubsub *p);
void cl_pubsub_channels_free(cl_pubsub *p);

/* ---- batch.c */
/* Takes an envelope for a node that reads frames into this turn's message for it. 0, or an error with nothing kept. */
int cl_redis_batch_add(cl_pubsub *p, const cl_envelope *e, uint64_t token);
/* Sends what waits for a node now. 0, or an error: it waits on. */
int cl_redis_batch_send(cl_pubsub *p, cl_str to);
void cl_redis_batch_flush(cl_pubsub *p);
void cl_redis_batch_free(cl_pubsub *p);
/* What frames begin with; room for FRAMES_HEAD bytes must be there. Which Redis they are published at stands once
 * before all of them. */
enum { FRAMES_HEAD = 2 + REDIS_HOME };
size_t cl_redis_frames_head(const cl_pubsub *p); /* its length */
void cl_redis_put_frames_head(const cl_pubsub *p, cl_buf *out);
/* Is a payload frames? Then *home is where it was published, and *frames all that follows. */
int cl_redis_is_frames(cl_str payload, cl_str *home, cl_str *frames);
/* Batches as native nodes of version 0.2 publish them. */
int cl_redis_is_batch(cl_str payload);
/* `limits` are those of the whole, `of_each` those of an envelope. `read` is what it says if that is clear already, or
 * NULL: then it must be decoded. */
int cl_redis_batch_read(cl_str payload, cl_json_limits limits, cl_json_limits of_each,
                        void (*each)(void *self, cl_str envelope, cl_envelope *read), void *self);

/* ---- backlog.c */
/* A finished command, whose memory is the backlog's from then on, whatever comes of it. */
int cl_redis_backlog_put(cl_pubsub *p, cl_buf *command, int is_result, int64_t deadline, uint64_t token);
int cl_redis_backlog_add(cl_pubsub *p, const cl_envelope *e, uint64_t token);
void cl_redis_backlog_send(cl_pubsub *p);
void cl_redis_backlog_drop(cl_pubsub *p, int tell);

#endif
