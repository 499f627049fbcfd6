/* A bus, as the core sees it: how envelopes travel and where registrations are kept.
 *
 * A bus runs on the loop of its context and on no other thread. It calls its sink only from loop callbacks or from
 * flush/turn, never from inside a function below - except `send`, whose immediate refusal is its return value.
 * Bytes that a sink call hands over are valid during that call only. */
#ifndef CL_BUS_H
#define CL_BUS_H

#include <stdint.h>

#include "base/str.h"
#include "proto/address.h"
#include "proto/delivery.h"
#include "proto/envelope.h"
#include "proto/limits.h"
#include "proto/url.h"

typedef struct cl_bus cl_bus;
struct cl_loop;

enum cl_bus_state {
    CL_BUS_DOWN,
    CL_BUS_UP,
    CL_BUS_BLIND /* nobody new is found and nothing is registered, but who is known is reached */
};

typedef struct cl_bus_sink {
    void *self;
    /* Connected or not (then code and words); enum cl_bus_state. Told once per change, and once for each failed attempt.
     */
    void (*state)(void *self, int state, int code, const char *words);
    /* The node listens: its own envelopes will arrive (code 0), or never will. Told once per open. */
    void (*node_ready)(void *self, void *node, int code, const char *words);
    /* The node's registrations are gone, accepted bytes are written, and its address is given up. */
    void (*node_closed)(void *self, void *node);
    /* register_method or unregister_method ended. */
    void (*registered)(void *self, uint64_t operation, int code, const char *words);
    /* What a node subscribed to is confirmed (code 0): what is published from now on arrives. Or it is refused for
     * good, and taken back. Told once for each subscribe; a refusal also later. */
    void (*subscribed)(void *self, void *node, cl_str topic, cl_str group, int code, const char *words);
    /* An envelope for `node`, decoded and checked; deadline is on the loop's clock. */
    void (*envelope)(void *self, void *node, const cl_envelope *e);
    /* Something broken arrived and was dropped. */
    void (*dropped)(void *self, int code);
    /* What became of an envelope with a token, at most once for each. Every delivery but WRITTEN is reported; WRITTEN
     * is reported when the number of receivers is known (redis: always, links: for messages). No report means that it
     * may have arrived. */
    void (*delivery)(void *self, uint64_t token, enum cl_delivery delivery, int64_t number);
    /* What counted as one delivery of a publish, before it was known who has subscribed, is sent: it is so many. */
    void (*published)(void *self, uint64_t token, int deliveries);
    /* The answer to lookup: the complete list. code not 0: it could not be had (the old list stays). */
    void (*servers)(void *self, cl_str method, const cl_server *servers, size_t n, int code);
    /* Between lookups: a server of a method came or went. */
    void (*server_up)(void *self, cl_str method, cl_server server);
    void (*server_down)(void *self, cl_str method, cl_str server);
    /* A node is gone (its link broke, its lock is free, nobody subscribes): calls it has not answered are lost. */
    void (*peer_down)(void *self, cl_str node_id);
    /* One way to a node broke, of several: lost are the calls that went this way. Its servers stay. */
    void (*way_lost)(void *self, cl_str node_id, unsigned way);
    /* Another node is linked. */
    void (*linked)(void *self);
    /* A node is draining: new calls go elsewhere, answers still come. */
    void (*peer_draining)(void *self, cl_str node_id);
    /* A node is dead: no call goes there any more; those under way are lost by way_lost, or peer_down. NULL: as draining. */
    void (*peer_gone)(void *self, cl_str node_id);
    /* The answer to status: a row per (method, server). Then once with rows NULL and n 0: the end, with code. */
    void (*status)(void *self, uint64_t operation, const cl_str *methods, const cl_server *servers, size_t n, int end,
                   int code);
    /* Everything of the bus is closed; destroy may follow. */
    void (*closed)(void *self);
} cl_bus_sink;

typedef struct cl_bus_ops {
    /* Opens the address of a node; `node` is the handle used everywhere; `id` lives as long as it. heartbeat in
     * seconds. */
    int (*node_open)(cl_bus *bus, void *node, cl_str id, double heartbeat);
    /* What others are told of the node as a server; kept through every loss, and changed by the next. NULL: nobody is
     * told. */
    void (*describe)(cl_bus *bus, void *node, const cl_traits *traits);
    /* Stage 1 of a stop: unregister every method now and announce it; envelopes still arrive and go out. */
    void (*node_drain)(cl_bus *bus, void *node);
    /* Stage 2: nothing more for this node; ends with node_closed (soon, but never before what was accepted is written).
     */
    void (*node_close)(cl_bus *bus, void *node);
    /* Registers a method, and keeps it registered through every loss; unregister_method takes it back. End with
     * `registered`. */
    int (*register_method)(cl_bus *bus, void *node, cl_str method, uint64_t operation);
    int (*unregister_method)(cl_bus *bus, void *node, cl_str method, uint64_t operation);
    /* Tells whoever chooses a server that this one does not take calls for a registered method, or does so again; kept
     * through every loss, as the registration. NULL: nobody is told. */
    void (*pause)(cl_bus *bus, void *node, cl_str method, int paused);
    /* The owner no longer waits for the end of a register_method or unregister_method: `registered` is not reported any
     * more, and what was asked for is pursued all the same. Unknown operations are fine. NULL: they never wait for
     * long. */
    void (*abandon)(cl_bus *bus, uint64_t operation);
    /* What is published at a topic or a pattern arrives at a node that is ready as envelopes of the type CL_PUBLISH,
     * until unsubscribe; `group` not empty: of a (topic, group) one member gets it, and the extension names the group.
     * Kept through every loss. Each is asked for once; what more the node subscribed to may come with it, and over
     * Redis one message more than once. Ends with `subscribed`, later. */
    int (*subscribe)(cl_bus *bus, void *node, cl_str topic, cl_str group);
    void (*unsubscribe)(cl_bus *bus, void *node, cl_str topic, cl_str group);
    /* Publishes an envelope of the type CL_PUBLISH, without `to`, to everybody who is known to have subscribed to its
     * topic (e->method), nodes of this bus and the node itself included. The number of deliveries that are reported
     * for the token (0: for none), or an error: then nobody got it. *drops: counts those whose queues are full. While
     * it is not known who has subscribed, all of those count as one; `published` follows. */
    int (*publish)(cl_bus *bus, void *node, const cl_envelope *e, uint64_t token, size_t *drops);
    /* Sends from `node`, which is ready. CL_NATIVE in e->flags says that e->to is ours. token 0: nobody waits for its
     * delivery. Refused at once, without a delivery: CLOUDS_EUNREACHABLE, CLOUDS_ELIMIT, CLOUDS_ETOOBIG, CLOUDS_ENOMEM.
     * While the bus is down, and not blind, calls are refused (the core keeps them) but those that is_reached lets go;
     * results and messages queue within write_soft, and what is past its deadline then is never sent. */
    int (*send)(cl_bus *bus, void *node, const cl_envelope *e, uint64_t token);
    /* Takes an envelope back that was sent to `to`. 1: it had not left, never will, and no delivery of it is reported;
     * 0: it may have left. NULL: what was sent cannot be taken back. */
    int (*recall)(cl_bus *bus, cl_str to, uint64_t token);
    /* Does a link to the node stand open, beside another way? A call with CL_BY_LINK goes by that alone: refused with
     * CLOUDS_EUNREACHABLE when it is not there any more. NULL: never. */
    int (*is_linked)(cl_bus *bus, cl_str id);
    /* Does a call go to the node although the bus is down? NULL: never. */
    int (*is_reached)(cl_bus *bus, cl_str id);
    /* How a call would go to the node now: 1: by a link, 0: otherwise; and its address, as far as it is known. NULL: it
     * is not known. */
    int (*find_way)(cl_bus *bus, cl_str id, cl_address *at);
    /* Asks for the servers of a method; several lookups may share one answer, which is `servers` (while the bus is
     * down: with CLOUDS_EUNREACHABLE). `known`: the caller has living servers, so this is only a refresh and may wait.
     */
    void (*lookup)(cl_bus *bus, cl_str method, int known);
    /* The method will be looked up anew before it is used again: server_up and server_down need not be reported. NULL:
     * they always are. */
    void (*unwatch)(cl_bus *bus, cl_str method);
    /* Deletes the registration of a server that did not answer in time (npm nodes only, as npm clouds does). */
    void (*forget)(cl_bus *bus, cl_str method, cl_str server);
    void (*status)(cl_bus *bus, uint64_t operation);
    /* Appends a JSON array of the links there are (clouds_node_links). `asked_by`: the link of the envelope that asks for
     * it, 0 for none. 0 or CLOUDS_ENOMEM. */
    int (*put_links)(cl_bus *bus, uint64_t asked_by, cl_buf *out);
    /* Hands to the kernel what was queued in this turn. */
    void (*flush)(cl_bus *bus);
    /* Closes all; ends with `closed`. Then destroy frees. destroy without close is allowed only after the loop was
     * closed by cl_loop_close (which ends every handle). */
    void (*close)(cl_bus *bus);
    void (*destroy)(cl_bus *bus);
} cl_bus_ops;

/* What a bus with direct links counts. */
enum cl_bus_count {
    CL_BUS_LINK_OPENS,    /* links that we opened and that worked */
    CL_BUS_LINK_LOSSES,   /* of those, the ones that broke */
    CL_BUS_LINK_REFUSED,  /* dialled, and never worked */
    CL_BUS_AUTH_FAILURES, /* the other end had not our key */
    CL_BUS_LINK_CALLS,
    CL_BUS_BUS_CALLS, /* calls that no link carried */
    CL_BUS_COUNTS
};

struct cl_bus {
    const cl_bus_ops *ops;
    uint64_t counts[CL_BUS_COUNTS];
    unsigned way; /* what carried the envelope that send accepted last; always 0 where there is one way */
};

/* Makes the bus of an address, which begins to connect at once. `limits` is copied. The clock is cl_loop_now. */
int cl_bus_create(struct cl_loop *loop, const cl_url *url, const cl_limits *limits, const cl_bus_sink *sink,
                  cl_bus **out);

#endif
