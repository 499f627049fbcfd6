/* A transport: how envelopes reach a node whose address is known. It has no methods and no registry. mailbox, link
 * and pubsub each make one; a bus has one or several, in order of preference.
 *
 * As in a directory, CL_PENDING means that the end is reported later, 0 that it is done, < 0 an error, in words too.
 * The sink is called only from loop callbacks and from flush, except where a function says so. */
#ifndef CL_TRANSPORT_H
#define CL_TRANSPORT_H

#include <stdint.h>

#include "proto/address.h"
#include "proto/delivery.h"
#include "proto/envelope.h"

typedef struct cl_transport cl_transport;

enum cl_link_count {
    CL_LINK_OPENED,
    CL_LINK_LOST,     /* it had worked */
    CL_LINK_REFUSED,  /* it was dialled and never worked */
    CL_LINK_UNTRUSTED /* the other end has no key of ours */
};

typedef struct cl_transport_sink {
    void *self;
    /* Envelopes can be sent and received (up 1) or not. As for a directory. */
    void (*state)(void *self, int up, int code, const char *words);
    /* The end of an open: the node listens, its own envelopes will arrive - or it may not listen, and why. Again
     * whenever it listens anew after a loss. */
    void (*opened)(void *self, void *node, int code, const char *words);
    /* The end of a close_node: what was accepted is written, and nothing more comes. */
    void (*node_closed)(void *self, void *node);
    /* These three are bus/bus.h's, with a `self` of their own, so that nothing stands between a transport and the core.
     */
    void *receiver;
    void (*envelope)(void *receiver, void *node, const cl_envelope *e);
    void (*dropped)(void *receiver, int code);
    void (*delivery)(void *receiver, uint64_t token, enum cl_delivery delivery, int64_t number);
    /* Where a node is; asked from inside send, when a way to it has to be made. As directory.locate. */
    int (*locate)(void *self, cl_str id, cl_address *address);
    /* Is there another server for what this node serves? NULL is not allowed. */
    int (*has_other)(void *self, cl_str id);
    /* Calls wait for a way to a node that does not open (on 1), or it opened after all (0). What it reaches may have
     * changed. */
    void (*suspended)(void *self, cl_str id, int on);
    /* The way to a node broke: what it had carried and was not answered is lost. was_open: it had worked. `suspended`
     * and the deliveries NOT_SENT of what it had not carried come before. */
    void (*peer_lost)(void *self, cl_str id, int was_open);
    /* A node has announced that it drains. */
    void (*peer_draining)(void *self, cl_str id);
    /* A way that calls are not kept for stands open from now on (a transport beside another). NULL: nobody asks. */
    void (*linked)(void *self);
    /* Something to be counted happened. NULL: nobody counts. */
    void (*count)(void *self, enum cl_link_count what);
    /* The end of a subscribe that was pending; a refusal also later. */
    void (*subscribed)(void *self, void *node, cl_str topic, int code, const char *words);
    /* What was sent to a member of a group (the type CL_PUBLISH) has found nobody. */
    void (*unreached)(void *self, void *node, const cl_envelope *e);
    /* Everything of it is closed; destroy may follow. */
    void (*closed)(void *self);
} cl_transport_sink;

typedef struct cl_transport_ops {
    /* Listens for a node of ours, at `at` if that is not empty; *addresses (room for CL_NODE_ADDRESSES) and *n say
     * where others reach it. `id` lives as long as the node. Again for an open node: listens anew. 0 or CL_PENDING. */
    int (*open)(cl_transport *t, void *node, cl_str id, const cl_address *at, cl_address *addresses, size_t *n);
    /* The directory has announced the node (0): what arrived for it until then is delivered now. Or it is refused: it
     * no longer listens until it is opened again. NULL: nothing arrives before. */
    void (*confirm)(cl_transport *t, void *node, int code);
    /* Can it reach such an address? NULL: it reaches all that its bus can find. */
    int (*reaches)(cl_transport *t, const cl_address *address);
    /* See bus/bus.h. Without a way to e->to it makes one, and asks `locate` for the address. */
    int (*send)(cl_transport *t, void *node, const cl_envelope *e, uint64_t token);
    int (*recall)(cl_transport *t, cl_str to, uint64_t token); /* NULL: what was sent cannot be taken back */
    /* Does a way to the node stand open? If not, one is begun when its time has come. NULL: ways are never asked for.
     */
    int (*is_open)(cl_transport *t, cl_str to);
    /* Where the node is is known anew, or not any more. NULL: nothing is kept of that. */
    void (*forget)(cl_transport *t, cl_str id);
    /* What is published at `topic`, a topic or a pattern, arrives at the node until unsubscribe; kept through every
     * loss. publish sends an envelope once to all who have subscribed to `topic` so, and reports one delivery for a
     * token. NULL: whoever publishes is told by the directory who has subscribed, and sends to each. Else the directory
     * is told of patterns and groups only. */
    int (*subscribe)(cl_transport *t, void *node, cl_str topic);
    void (*unsubscribe)(cl_transport *t, void *node, cl_str topic);
    int (*publish)(cl_transport *t, void *node, cl_str topic, const cl_envelope *e, uint64_t token);
    /* Appends a JSON object for each way there is, with commas between, also behind what ends with one. NULL: it has
     * none. The one with the id `asked_by` (0: none) is marked as such. 0 or CLOUDS_ENOMEM. */
    int (*put_links)(cl_transport *t, uint64_t asked_by, cl_buf *out);
    /* Tells everybody who has a way to the node that it drains; envelopes still arrive and go out. */
    void (*drain)(cl_transport *t, void *node);
    /* Nothing more for this node. Ends with node_closed, soon, but never before what was accepted is written. served:
     * it has served methods, so somebody may still send to it. */
    void (*close_node)(cl_transport *t, void *node, int served);
    /* Hands to the kernel what was queued in this turn, and does what was deferred, while has_work is set. */
    void (*flush)(cl_transport *t);
    /* Nothing is sent any more, and nodes that are still open are closed. Ends with `closed`. destroy without close
     * only after the end of the loop. */
    void (*close)(cl_transport *t);
    void (*destroy)(cl_transport *t);
} cl_transport_ops;

enum { CL_NODE_ADDRESSES = 4 };

struct cl_transport {
    const cl_transport_ops *ops;
    int up;           /* envelopes can be sent; changes are reported by state */
    int knows_losses; /* it reports every way that breaks, by peer_lost */
    int takes_ids;    /* whoever has opened a node gets what is for its id, although that may be another's */
    int has_work;     /* something waits for flush, which is called only then; a transport may leave it set for ever */
};

struct cl_loop;
struct cl_limits;

int cl_mailbox_transport_create(struct cl_loop *loop, const char *name, const struct cl_limits *limits,
                                const cl_transport_sink *sink, cl_transport **out);
/* The client lives longer; its subscribing connection is the transport's. */
struct cl_redis_client;
int cl_pubsub_transport_create(struct cl_redis_client *client, const cl_transport_sink *sink, cl_transport **out);
/* Listens where limits->direct says; the error names the address. */
int cl_link_transport_create(struct cl_loop *loop, const struct cl_limits *limits, const cl_transport_sink *sink,
                             cl_transport **out);
/* The same beside another transport: calls go over links that are open, and none waits for one. A link that ends is no
 * end of its peer: what it carried (cl_carried) is reported as lost, each by its token. */
int cl_link_transport_create_beside(struct cl_loop *loop, const struct cl_limits *limits, const cl_transport_sink *sink,
                                    cl_transport **out);

#endif
