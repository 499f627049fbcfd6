/* What bus.c, node.c and route.c share: one bus made of a directory and transports. */
#ifndef CL_BUS_INTERNAL_H
#define CL_BUS_INTERNAL_H

#include "base/list.h"
#include "base/map.h"
#include "bus/bus.h"
#include "directory/directory.h"
#include "net/deferred.h"
#include "net/loop.h"
#include "proto/topic.h"
#include "redis/client.h"
#include "transport/transport.h"

enum { CL_TRANSPORTS = 2 };

/* What the sink of a transport calls with: so it is known which one reports. */
typedef struct cl_way {
    struct cl_composed *bus;
    unsigned number; /* its place in `transports` */
} cl_way;

/* A directory, and transports in order of preference. Handles of nodes are the owner's, on every floor. */
typedef struct cl_composed {
    cl_bus base;
    cl_transport *direct; /* the transport of every envelope; NULL: see route.c */
    enum {
        CL_BESIDE_NONE,
        CL_BESIDE_LINKS, /* the first transport has links that come and go, the second reaches everybody */
        CL_BESIDE_OWN    /* the same, where the first is one of the program's */
    } beside;
    struct cl_route {
        cl_transport *transport; /* NULL: none is kept */
        unsigned way;
        size_t n;
        char to[160];
    } route; /* what was decided last */
    cl_loop *loop;
    cl_bus_sink sink;
    cl_redis_client *redis; /* of a bus on Redis; NULL: it is none */
    cl_directory *directory;
    cl_transport *transports[CL_TRANSPORTS];
    cl_way ways[CL_TRANSPORTS];
    size_t transports_n, transports_open;
    cl_deferred_queue deferred;
    cl_list_node nodes; /* cl_bus_node */
    cl_idmap by_handle;
    size_t closing_n; /* nodes that close and that no transport holds any more */
    struct cl_channels_of_bus {
        cl_transport *broadcaster; /* the transport that publishes by itself; NULL: there is none */
        cl_list_node asked;        /* subscribes whose ends are to come */
        cl_strmap channels, peers; /* what others have subscribed to, and who they are */
        cl_topic_tree tree;
        uint64_t round, sent; /* of complete lists; of what was published */
        cl_buf held;          /* published before it was known who has subscribed */
        int is_following;
    } channels;
    cl_list_node held;            /* messages that wait for the directory: held.c */
    size_t held_bytes, held_most; /* most 0: none is held */
    int up;                       /* as reported last */
    int was_up;
    int closing, directory_closing;
} cl_composed;

/* ---- bus.c: a bus is allocated, given its directory and its transports, which are made with these sinks, and started.
 * Destroyed by its own ops. */
cl_composed *cl_bus_allocate(cl_loop *loop, const cl_bus_sink *sink);
cl_directory_sink cl_bus_directory_sink(cl_composed *bus);
cl_transport_sink cl_bus_transport_sink(cl_composed *bus, unsigned number);
int cl_bus_start(cl_composed *bus);

/* ---- compose.c: its parts. Each 0 or an error. */
/* The client and its directory; has_addresses: those of a transport beside it are in the records. */
int cl_bus_add_redis(cl_composed *bus, const cl_url *url, const cl_limits *limits, int has_addresses);
int cl_bus_add_pubsub(cl_composed *bus, unsigned place);
/* The library's links, and no other transport. */
int cl_bus_add_links(cl_composed *bus, const cl_limits *limits);

/* ---- own.c: with a directory or a transport that the program has registered */
int cl_bus_compose_own(cl_composed *bus, const cl_url *url, const cl_limits *limits);

/* ---- node.c: the life of a node */
int cl_bus_node_open(cl_bus *base, void *handle, cl_str id, double heartbeat);
void cl_bus_node_describe(cl_bus *base, void *handle, const cl_traits *traits);
void cl_bus_node_drain(cl_bus *base, void *handle);
void cl_bus_node_close(cl_bus *base, void *handle);
int cl_bus_node_register(cl_bus *base, void *handle, cl_str method, uint64_t operation);
int cl_bus_node_unregister(cl_bus *base, void *handle, cl_str method, uint64_t operation);
void cl_bus_node_pause(cl_bus *base, void *handle, cl_str method, int paused);
void cl_bus_nodes_close(cl_composed *bus);
/* The bus is up: nodes that listen are ready, which is reported at once. */
void cl_bus_nodes_up(cl_composed *bus);
/* In flush: those that are closed leave. */
void cl_bus_nodes_flush(cl_composed *bus);
void cl_bus_nodes_free(cl_composed *bus);
/* The parts of the sinks that are about a node of ours. */
void cl_bus_node_claimed(void *bus, void *handle, int code, const char *words, const cl_address *at);
void cl_bus_node_announced(void *bus, void *handle, int code, const char *words);
int cl_bus_node_relisten(void *bus, void *handle, const cl_address *at);
void cl_bus_node_left(void *bus, void *handle);
void cl_bus_node_opened(void *way, void *handle, int code, const char *words);
void cl_bus_node_closed(void *way, void *handle);

/* ---- channels.c: who has subscribed, and what is published */
int cl_bus_subscribe(cl_bus *base, void *handle, cl_str topic, cl_str group);
void cl_bus_unsubscribe(cl_bus *base, void *handle, cl_str topic, cl_str group);
int cl_bus_publish(cl_bus *base, void *handle, const cl_envelope *e, uint64_t token, size_t *drops);
/* The parts of the sinks that are about channels. */
void cl_bus_directory_subscribed(void *bus, void *handle, cl_str topic, cl_str group, int code, const char *words);
void cl_bus_transport_subscribed(void *way, void *handle, cl_str topic, int code, const char *words);
void cl_bus_subscription(void *bus, cl_str id, cl_str topic, cl_str group, int on);
void cl_bus_subscriptions(void *bus, int begins);
void cl_bus_unreached(void *way, void *handle, const cl_envelope *e);
/* To everybody who is listed; the number of deliveries. */
int cl_bus_publish_listed(cl_composed *bus, void *handle, const cl_envelope *e, uint64_t token, size_t *drops);
void cl_bus_channels_start(cl_composed *bus);
/* The node is no more. */
void cl_bus_channels_forget(cl_composed *bus, const void *handle);
void cl_bus_channels_free(cl_composed *bus);

/* Nothing is held any more: nodes that waited for that close. */
void cl_bus_nodes_unheld(cl_composed *bus);
int cl_bus_node_is_closing(cl_composed *bus, const void *handle);

/* ---- held_publishes.c: what is published before there is a list. 0, or why it is not held */
int cl_bus_hold_publish(cl_composed *bus, void *handle, const cl_envelope *e, uint64_t token);
int cl_bus_holds_publishes(const cl_composed *bus, const void *handle);
void cl_bus_publish_held(cl_composed *bus);

/* ---- held.c: messages whose receiver is being located */
/* send has refused it. 0: it will be sent, or reported; else that refusal. */
int cl_bus_hold(cl_composed *bus, void *handle, const cl_envelope *e, uint64_t token);
int cl_bus_holds(const cl_composed *bus, const void *handle);
/* The directory has answered, or is away. */
void cl_bus_held_send(cl_composed *bus);
void cl_bus_held_free(cl_composed *bus);

/* ---- route.c: which transport carries an envelope to a node */
/* NULL: none reaches it. base.way says which it is. */
cl_transport *cl_bus_route(cl_composed *bus, cl_str to);
/* Beside links: calls over an open link, results the way their call came, everything else by the other. */
int cl_bus_send_beside_links(cl_composed *bus, void *node, const cl_envelope *e, uint64_t token);
/* Beside a transport of the program's: calls, results and cancels by that, to whom it reaches. */
int cl_bus_send_beside_own(cl_composed *bus, void *node, const cl_envelope *e, uint64_t token);
/* Parts of the bus' operations. */
int cl_bus_is_linked(cl_bus *base, cl_str id);
int cl_bus_is_reached(cl_bus *base, cl_str id);
int cl_bus_find_way(cl_bus *base, cl_str id, cl_address *at);
int cl_bus_put_links(cl_bus *base, uint64_t asked_by, cl_buf *out);
/* Something happened that may change a way. */
void cl_bus_route_forget(cl_composed *bus);

#endif
