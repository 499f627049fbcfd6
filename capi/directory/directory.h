/* A directory: who serves which method, and where a node is to be found. It never moves an envelope and has no socket
 * that one travels over. memory, folder, redis and etcd each make one; any number of transports can be under it.
 *
 * A node goes through it as claim -> (a transport listens) -> announce -> add, remove ... -> drain -> leave.
 *
 * Whatever may take longer than the call returns CL_PENDING and is reported to the sink later; 0 means done, and then
 * nothing is reported; < 0 is an error, in words too. The sink is called only from loop callbacks and from flush,
 * except where a function says so. Everything happens on the loop's thread; bytes are valid during a call only. */
#ifndef CL_DIRECTORY_H
#define CL_DIRECTORY_H

#include <stdint.h>

#include "base/str.h"
#include "proto/address.h"
#include "proto/delivery.h"

typedef struct cl_directory cl_directory;

typedef struct cl_directory_sink {
    void *self;
    /* It can be asked, and the registrations of all announced nodes are restored (up 1), or not (0: code and words).
     * Once per change, and once for each failed attempt to get there. */
    void (*state)(void *self, int up, int code, const char *words);
    /* The end of a claim: the id is the node's own (0), and it is to listen at `at` - or never will be. */
    void (*claimed)(void *self, void *node, int code, const char *words, const cl_address *at);
    /* The end of an announcement: others find the node (0), or it is refused. Again whenever that changes: a node that
     * is refused after it was found is tried again by the directory, with relisten. */
    void (*announced)(void *self, void *node, int code, const char *words);
    /* The claim was lost although the node lives (its files were removed, its lease ran out) and is held again: listen
     * anew at `at`. 0: it listens; else the directory tries again later. The registrations follow by themselves. */
    int (*relisten)(void *self, void *node, const cl_address *at);
    /* The end of a leave. */
    void (*left)(void *self, void *node);
    /* The end of an add or a remove. */
    void (*registered)(void *self, uint64_t operation, int code, const char *words);
    /* The answer to lookup: the complete list. code not 0: it could not be had. */
    void (*servers)(void *self, cl_str method, const cl_server *servers, size_t n, int code);
    /* Between lookups: a server of a method came or went. */
    void (*server_up)(void *self, cl_str method, cl_server server);
    void (*server_down)(void *self, cl_str method, cl_str server);
    /* A node is draining: new calls go elsewhere, answers still come. */
    void (*peer_draining)(void *self, cl_str id);
    /* A node is known to be dead. */
    void (*peer_gone)(void *self, cl_str id);
    /* The end of a locate. */
    void (*located)(void *self, cl_str id, int code, const cl_address *address);
    /* The end of a subscribe that was pending; a refusal also later, when what was confirmed cannot be kept. */
    void (*subscribed)(void *self, void *node, cl_str topic, cl_str group, int code, const char *words);
    /* A node has subscribed, or has not any more; on 0 without a topic: to nothing any more. The names are valid. */
    void (*subscription)(void *self, cl_str id, cl_str topic, cl_str group, int on);
    /* A complete list begins (1): what `subscription` does not name until it ends (0) is no more. */
    void (*subscriptions)(void *self, int begins);
    /* Something broken arrived and was dropped. */
    void (*dropped)(void *self, int code);
    /* The answer to status: a row per (method, server). Then once with n 0: the end, with code. */
    void (*status)(void *self, uint64_t operation, const cl_str *methods, const cl_server *servers, size_t n, int end,
                   int code);
    /* Everything of it is closed; destroy may follow. */
    void (*closed)(void *self);
} cl_directory_sink;

typedef struct cl_directory_ops {
    /* Takes an id for a node of ours, for as long as it lives; `id` lives as long as the node. heartbeat in seconds.
     * 0 or CL_PENDING; at once: *at says where to listen. CLOUDS_EEXIST: it is another's. */
    int (*claim)(cl_directory *d, void *node, cl_str id, double heartbeat, cl_address *at);
    /* The node listens at these addresses: from now on it may be found. */
    int (*announce)(cl_directory *d, void *node, const cl_address *addresses, size_t n);
    /* What others are told of a node that was claimed, or is being claimed, in `traits` of cl_server: kept through every
     * loss, and changed by the next. Who has looked hears of a change as of a server that is up. */
    void (*describe)(cl_directory *d, void *node, const cl_traits *traits);
    /* A node that listened no longer may, and why. The directory sees to it that it listens again (relisten). NULL: it
     * cannot happen. */
    void (*unlistened)(cl_directory *d, void *node, int code, const char *words);
    /* Registers a method and keeps it registered through every loss, also of a node that is not announced yet; remove
     * takes it back. */
    int (*add)(cl_directory *d, void *node, cl_str method, uint64_t operation);
    int (*remove)(cl_directory *d, void *node, cl_str method, uint64_t operation);
    /* A registered method takes no calls (paused 1), or does so again. It is a server that is down, and one that lists
     * name as paused. Kept through every loss. NULL: nobody is told. */
    void (*pause)(cl_directory *d, void *node, cl_str method, int paused);
    /* Makes known that a node which is announced has subscribed to a topic or pattern, alone or in a group, and keeps
     * that known through every loss; unsubscribe takes it back. Only what the transports need to be told (transport.h)
     * is asked for. NULL: there is no such. */
    int (*subscribe)(cl_directory *d, void *node, cl_str topic, cl_str group);
    void (*unsubscribe)(cl_directory *d, void *node, cl_str topic, cl_str group);
    /* Something is to be published: from the first time on `subscription` reports what all nodes have subscribed to.
     * Calls it at once, with what is known by now. 0: that is all; CL_PENDING: the first complete list is to come. NULL
     * with subscribe only. */
    int (*follow)(cl_directory *d);
    /* Nobody waits for the end of an add or a remove any more; it is pursued all the same. NULL: they never wait. */
    void (*abandon)(cl_directory *d, uint64_t operation);
    /* Takes all methods back and announces to whoever looked that the node drains. It keeps its id. */
    void (*drain)(cl_directory *d, void *node);
    /* Gives the id up; the node no longer listens. 0 or CL_PENDING. A node that was never claimed may leave too. */
    int (*leave)(cl_directory *d, void *node);
    /* Asks for the servers of a method; several lookups may share one answer. `known`: the caller has living servers,
     * so this is a refresh and may wait. */
    void (*lookup)(cl_directory *d, cl_str method, int known);
    /* Nobody looks for the method any more: what server_up and server_down say of it matters no longer. NULL: nothing is
     * kept for it. */
    void (*unwatch)(cl_directory *d, cl_str method);
    /* Where a node is: 0 and *address, CL_PENDING, or CLOUDS_ENOSERVER. Allowed at any time. */
    int (*locate)(cl_directory *d, cl_str id, cl_address *address);
    /* Does any other node serve a method of this one, as far as is known here? NULL: not known. */
    int (*has_other)(cl_directory *d, cl_str id);
    /* The sink is told that a node's servers are down (on 1) or up again (0): its link does not
     * open. May call server_up and server_down at once. NULL: no link of it can fail to open. */
    void (*suspend)(cl_directory *d, cl_str id, int on);
    /* A node has said over its link that it drains: it serves nothing any more, although that may be to be heard yet. NULL:
     * who says so has taken everything back before. */
    void (*drains)(cl_directory *d, cl_str id);
    /* The way to a suspended node broke; was_open: it had worked. Finds out whether it lives: its servers come up
     * again, or peer_gone. May call the sink at once. NULL: whoever is gone announces it. */
    void (*suspect)(cl_directory *d, cl_str id, int was_open);
    /* Deletes the registration of a server that did not answer in time (npm nodes only). NULL: there are none. */
    void (*forget)(cl_directory *d, cl_str method, cl_str server);
    void (*status)(cl_directory *d, uint64_t operation);
    /* Does what was deferred, once a turn while has_work is set. */
    void (*flush)(cl_directory *d);
    /* All nodes have left. Ends with `closed`. destroy without close only after the end of the loop. */
    void (*close)(cl_directory *d);
    void (*destroy)(cl_directory *d);
} cl_directory_ops;

struct cl_directory {
    const cl_directory_ops *ops;
    int up; /* it can be asked, and all that is announced is restored; state reports when it is so again */
    /* What is refused within the call of claim is an error of whoever opens the node; else the end of its opening. */
    int refuses_at_once;
    int has_work; /* something waits for flush, which is called only then */
};

struct cl_loop;
struct cl_limits;

/* The constructors; each begins to connect at once. `limits` is copied. */
int cl_memory_directory_create(struct cl_loop *loop, const char *name, const struct cl_limits *limits,
                               const cl_directory_sink *sink, cl_directory **out);
int cl_folder_directory_create(struct cl_loop *loop, const char *name, const cl_directory_sink *sink,
                               cl_directory **out);
/* The client lives longer; its connection for commands is the directory's, and pubsub is made after it. has_addresses:
 * the records of nodes say where a transport beside pubsub reaches them. */
struct cl_redis_client;
int cl_redis_directory_create(struct cl_redis_client *client, int has_addresses, const cl_directory_sink *sink,
                              cl_directory **out);

/* On a cluster of etcd, whose members url names. */
struct cl_url;
int cl_etcd_directory_create(struct cl_loop *loop, const struct cl_url *url, const struct cl_limits *limits,
                             const cl_directory_sink *sink, cl_directory **out);

#endif
