/* clouds_extend.h - a directory and a transport of your own.
 *
 * A context is put together of two halves. The directory has who serves which method, and where a node is; it never moves
 * a message. The transport moves messages to a node whose address is known; it never knows a method. Either can be yours.
 * It is registered under a name, once for the process, and is then part of an address:
 *
 *   mine:REST              the directory "mine" with the library's own links between contexts (sockets, TCP, TLS)
 *   fast+mine:REST         the transport "fast" with the directory "mine"
 *   fast+local:name        the transport "fast" with a directory of the library: local, inproc, etcd, etcds
 *   fast+redis://host      the same with Redis, in all its forms, and beside "fast" the channels of Redis: see Transports
 *
 * A context creates one of each and destroys them at its end. REST is yours: it is what follows the first colon. For
 * messages of the library, what stands in it between "//" and "@" is taken for a user and a password, and never shown.
 *
 *   Records    Begin with their size, and grow at their end only. What you pass is read as far as its size says; what you
 *              get has the size of the library's, which may be shorter than yours: look before you use a member that a
 *              later version has brought. All of this page is since 0.3.
 *   Functions  Of a table you pass, those that are marked "optional" may be NULL. A table of the library has them all.
 *   Results    0: done, and nothing is reported. CLOUDS_PENDING: the end is reported later. < 0: an error, a CLOUDS_E*,
 *              whose words `fail` leaves.
 *   Threads    All functions of one instance are called by one thread at a time, not always the same. All functions of a
 *              sink and of the host are called from inside of `ready`, `due`, `woken` or `flush`, except `wake`, which
 *              any thread may call at any time, and where a function below says so; at another time they return
 *              CLOUDS_EBUSY, and nothing is done. Functions of clouds.h that take a context or a node, from inside of any
 *              of them, give CLOUDS_EBUSY.
 *   Ownership  What is passed, in either direction, is borrowed for the time of the call. A node and its id live until
 *              its leave, or close_node, has ended.
 *   Waiting    Nothing here may block: all contexts of a process may share the thread.
 *   Fork       The child may only destroy.
 */
#ifndef CLOUDS_EXTEND_H
#define CLOUDS_EXTEND_H

#include "clouds.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a function returns whose end is reported later. */
enum clouds_extend_result { CLOUDS_PENDING = 1 };

enum clouds_extend_limit {
    CLOUDS_ADDRESSES = 4,      /* of a node, over one transport */
    CLOUDS_ADDRESS_SIZE = 512, /* bytes of one, its NUL included */
    CLOUDS_SCHEME_SIZE = 32    /* bytes of a name that is registered, its NUL included */
};

/* Where a node is reached: a text that ends with a NUL, of the transport's making. A directory keeps it as it is. */
typedef struct clouds_address {
    char text[512];
} clouds_address;

enum clouds_watch { CLOUDS_WATCH_READ = 1, CLOUDS_WATCH_WRITE = 2 };

/* What the library does for an instance. */
typedef struct clouds_host {
    uint32_t size;        /* what this library has of it */
    uint32_t version;     /* clouds_version_number() */
    void *self;           /* the first argument of each function */
    uint64_t max_message; /* bytes of the context's option; a frame is at most some hundred bytes longer than that, names
                             aside */
    double (*now)(void *self);                                   /* seconds of CLOCK_MONOTONIC. At any time */
    void (*defer)(void *self);                                   /* `flush` is called before the thread sleeps. At any time */
    void (*wake)(void *self);                                    /* `woken` is called, soon. Any thread, until destroy */
    int (*timer)(void *self, double seconds);                    /* `due` is called once, then; < 0: not. At any time */
    int (*watch)(void *self, int fd, int events);                /* `ready` is called while it can be read, written; 0: not, which is
                                                                    said before fd is closed. At any time */
    int (*fail)(void *self, int code, const char *words);        /* leaves the words of an error; the code. At any time */
    void (*log)(void *self, int level, const char *words);       /* a line of the context's log. At any time */
} clouds_host;

/* ---- Directories ----------------------------------------------------------------------------------------------- */

enum clouds_server_flags { CLOUDS_SERVER_PAUSED = 1 /* it is registered, and does not take calls */ };

/* A server of a method. In an array all have the size of the first. */
typedef struct clouds_server {
    uint32_t size;
    uint32_t flags; /* enum clouds_server_flags */
    const char *id;
    size_t id_len;
    const char *tags; /* as `describe` was given them */
    size_t tags_len;
    uint32_t weight; /* the same; 0: not said */
    uint32_t reserved;
} clouds_server;

/* A method and one who serves it. In an array all have the size of the first. */
typedef struct clouds_server_row {
    uint32_t size;
    uint32_t reserved;
    const char *method;
    size_t method_len;
    clouds_server server;
} clouds_server_row;

/* What a directory reports. Each returns 0, CLOUDS_EBUSY, or CLOUDS_EINVAL for what cannot be. */
typedef struct clouds_directory_sink {
    uint32_t size;
    uint32_t reserved;
    void *self; /* the first argument of each function */
    /* It can be asked, and the registrations of all announced nodes are restored (up 1), or not (0: code and words). Once
     * for each change, and for each failed attempt. From inside of `create`, too. At first it is down. */
    int (*state)(void *self, int up, int code, const char *words);
    /* The end of a claim: the id is the node's own (0), which is to listen at `at` (NULL or "": anywhere). */
    int (*claimed)(void *self, void *node, int code, const char *words, const char *at);
    /* The end of an announcement: others find the node (0), or it is refused. Again whenever that changes. */
    int (*announced)(void *self, void *node, int code, const char *words);
    /* The claim was lost although the node lives, and is held again: it listens anew and is announced anew. 0: it does. */
    int (*relisten)(void *self, void *node, const char *at);
    /* The end of a leave. */
    int (*left)(void *self, void *node);
    /* The end of an add or a remove. */
    int (*registered)(void *self, uint64_t operation, int code, const char *words);
    /* The answer to lookup: the complete list. code not 0: it could not be had, CLOUDS_EUNREACHABLE: while it is down. */
    int (*servers)(void *self, const char *method, size_t method_len, const clouds_server *servers, size_t n, int code);
    /* Between lookups: a server of a method that was looked up came, changed or went; one that pauses has gone. From inside
     * of `suspend` and `suspect`, too. */
    int (*server_up)(void *self, const char *method, size_t method_len, const clouds_server *server);
    int (*server_down)(void *self, const char *method, size_t method_len, const char *id, size_t id_len);
    /* A node drains: new calls go elsewhere, answers still come. */
    int (*peer_draining)(void *self, const char *id, size_t id_len);
    /* A node is known to be dead. From inside of `suspect`, too. */
    int (*peer_gone)(void *self, const char *id, size_t id_len);
    /* The end of a locate, and later: the node is somewhere else now. */
    int (*located)(void *self, const char *id, size_t id_len, int code, const char *address);
    /* The end of a subscribe that was pending; a refusal also later. */
    int (*subscribed)(void *self, void *node, const char *topic, size_t topic_len, const char *group, size_t group_len,
                      int code, const char *words);
    /* A node has subscribed, or has not any more (on 0; without a topic: to nothing any more). From inside of `follow`,
     * too, as the next. */
    int (*subscription)(void *self, const char *id, size_t id_len, const char *topic, size_t topic_len,
                        const char *group, size_t group_len, int on);
    /* A complete list begins (1): what `subscription` does not name until it ends (0) is no more. */
    int (*subscriptions)(void *self, int begins);
    /* The answer to status: rows, any number of times, then once with end 1. */
    int (*status)(void *self, uint64_t operation, const clouds_server_row *rows, size_t n, int end, int code);
    /* Something broken arrived and was dropped. */
    int (*dropped)(void *self, int code);
    /* All of it is closed: nothing is reported any more, and destroy follows. */
    int (*closed)(void *self);
} clouds_directory_sink;

/* A directory. A node goes through it as claim -> announce -> add, remove ... -> drain -> leave. */
typedef struct clouds_directory_ops {
    uint32_t size;  /* sizeof(clouds_directory_ops) */
    uint32_t flags; /* 0 */
    void *user_data;
    /* Makes an instance for a context and begins to connect. `host` and `sink` live until destroy; `address` is REST. */
    int (*create)(void *user_data, const clouds_host *host, const clouds_directory_sink *sink, const char *address,
                  size_t address_len, void **directory);
    /* Nothing more is asked. Ends with `closed`, when all nodes have left, which were asked to before. */
    void (*close)(void *directory);
    /* Frees it. Without close, and without a call of the sink or the host, when the context is destroyed while it is open. */
    void (*destroy)(void *directory);
    /* Optional, all four; see clouds_host. */
    void (*ready)(void *directory, int fd, int events);
    void (*due)(void *directory);
    void (*woken)(void *directory);
    void (*flush)(void *directory);
    /* Takes an id for a node, for as long as that lives; its registrations are renewed every `heartbeat` seconds, where
     * they would end without. At once: `at` says where to listen ("": anywhere). CLOUDS_EEXIST: it is another's. */
    int (*claim)(void *directory, void *node, const char *id, size_t id_len, double heartbeat, clouds_address *at);
    /* The node listens at these addresses: from now on it may be found. */
    int (*announce)(void *directory, void *node, const clouds_address *addresses, size_t n);
    /* Optional: a node that listened no longer may, and why; the directory sees to it that it listens again (relisten). */
    void (*unlistened)(void *directory, void *node, int code, const char *words);
    /* Registers a method and keeps it registered through every loss, also of a node that is not announced yet; remove takes
     * it back. */
    int (*add)(void *directory, void *node, const char *method, size_t method_len, uint64_t operation);
    int (*remove)(void *directory, void *node, const char *method, size_t method_len, uint64_t operation);
    /* Optional: nobody waits for the end of an add or a remove any more; it is pursued all the same. */
    void (*abandon)(void *directory, uint64_t operation);
    /* Optional: a registered method takes no calls (paused 1), or does so again. */
    void (*pause)(void *directory, void *node, const char *method, size_t method_len, int paused);
    /* Optional: what lists and server_up say of a node, from now on. Before its claim has ended, too. */
    void (*describe)(void *directory, void *node, uint32_t weight, const char *tags, size_t tags_len);
    /* Optional, all three; without them there are no channels. Makes known what an announced node has subscribed to. From
     * the first `follow` on `subscription` reports what all nodes have: at once what is known; 0: that is all,
     * CLOUDS_PENDING: the complete list is to come. */
    int (*subscribe)(void *directory, void *node, const char *topic, size_t topic_len, const char *group,
                     size_t group_len);
    void (*unsubscribe)(void *directory, void *node, const char *topic, size_t topic_len, const char *group,
                        size_t group_len);
    int (*follow)(void *directory);
    /* Takes all methods back, and announces to whoever has looked that the node drains. It keeps its id. Again is nothing. */
    void (*drain)(void *directory, void *node);
    /* Gives the id up. A node whose claim has failed, or not ended, leaves too. */
    int (*leave)(void *directory, void *node);
    /* Asks for the servers of a method; lookups may share an answer. known 1: this is a refresh, and may wait. */
    void (*lookup)(void *directory, const char *method, size_t method_len, int known);
    /* Optional: nobody looks for the method any more. */
    void (*unwatch)(void *directory, const char *method, size_t method_len);
    /* Where a node is: 0 and `address`, CLOUDS_PENDING, or CLOUDS_ENOSERVER. */
    int (*locate)(void *directory, const char *id, size_t id_len, clouds_address *address);
    /* Optional: does any other node serve a method of this one, as far as is known here? 1 or 0. */
    int (*has_other)(void *directory, const char *id, size_t id_len);
    /* Optional: the way to a node does not open: its servers are down (on 1), or up again (0). */
    void (*suspend)(void *directory, const char *id, size_t id_len, int on);
    /* Optional: the way to a node broke. Finds out whether it lives: peer_gone, or its servers are up again. */
    void (*suspect)(void *directory, const char *id, size_t id_len, int was_open);
    /* Asks for all servers of all methods. */
    void (*status)(void *directory, uint64_t operation);
} clouds_directory_ops;

/* Registers the directory `ops`, which is copied, under `scheme`: a small letter, then small letters, digits, '.' and '-'.
 * It stays for the life of the process. Errors: CLOUDS_EINVAL (the name, the size, or a function is missing, which the
 * words name), CLOUDS_ENOTSUP (it has something that this library does not know), CLOUDS_EEXIST (the name is taken, by
 * you or by the library), CLOUDS_ENOMEM, CLOUDS_EBUSY. Thread: any. Since 0.3. */
CLOUDS_API int clouds_directory_register(const char *scheme, const clouds_directory_ops *ops);

/* ---- Transports ------------------------------------------------------------------------------------------------ */

/* Beside Redis a transport is one of two ways. It is asked to carry calls, their results and cancels to nodes of contexts
 * that have it, too, which their records on Redis say; what it refuses with CLOUDS_EUNREACHABLE goes by a channel of
 * Redis, as all does while it is down, to nodes that do not have it, and messages and what is published always. What it
 * carries goes on while Redis is away. There an address is of printable ASCII without blanks, quotes and backslashes, some
 * characters shorter than elsewhere; and a node is opened before it is known whether its id is another's: then
 * close_node follows at once. */

/* What became of a frame that was accepted with a token. */
enum clouds_delivery {
    CLOUDS_DELIVERY_WRITTEN = 0,  /* it left, or arrived; number: how many have it */
    CLOUDS_DELIVERY_NOBODY = 1,   /* it provably reached no one: it is not executed */
    CLOUDS_DELIVERY_NOT_SENT = 2, /* it did not leave, or was refused: it is not executed; number: 0, or why, a CLOUDS_E* */
    CLOUDS_DELIVERY_LOST = 3      /* the way broke after it was written: not known */
};

enum clouds_frame_flags { CLOUDS_FRAME_CONFIRM = 1 /* CLOUDS_DELIVERY_WRITTEN is to be reported, too */ };

/* What is to be sent: bytes that the other end gives to `received` as they are, all at once and in the order of sending. */
typedef struct clouds_frame {
    uint32_t size;
    uint32_t flags; /* enum clouds_frame_flags */
    const char *to; /* the id of a node, which ends with a NUL */
    size_t to_len;
    const void *data;
    size_t data_len;
    uint64_t token; /* 0: nobody waits for its delivery */
} clouds_frame;

/* What a transport reports. Each returns 0, CLOUDS_EBUSY, or CLOUDS_EINVAL for what cannot be. */
typedef struct clouds_transport_sink {
    uint32_t size;
    uint32_t reserved;
    void *self; /* the first argument of each function */
    /* Frames can be sent and received (up 1), or not. As for a directory. */
    int (*state)(void *self, int up, int code, const char *words);
    /* The end of an open that was pending: the node listens (0), or it may not. Again whenever it listens anew. */
    int (*opened)(void *self, void *node, int code, const char *words);
    /* The end of a close_node: what was accepted has left, and nothing more comes. */
    int (*node_closed)(void *self, void *node);
    /* A frame has arrived. CLOUDS_EPROTO: it is none, so who sent it is no peer; CLOUDS_ENOSERVER: no such node is open here. */
    int (*received)(void *self, const void *data, size_t data_len);
    /* At most once for each token. Every delivery but WRITTEN is reported, that where it was asked for. */
    int (*delivery)(void *self, uint64_t token, int delivery, int64_t number);
    /* Where a node is, as directory.locate. From inside of `send`, too, when a way to it has to be made. */
    int (*locate)(void *self, const char *id, size_t id_len, clouds_address *address);
    /* Is there another server for what this node serves? 1 or 0. From inside of `send`, too. */
    int (*has_other)(void *self, const char *id, size_t id_len);
    /* Calls wait for a way to a node that does not open (on 1), or it opened after all (0). */
    int (*suspended)(void *self, const char *id, size_t id_len, int on);
    /* The way to a node broke: what it carried and was not answered is lost. was_open: it had worked. What it had not
     * carried is reported before, as NOT_SENT. */
    int (*peer_lost)(void *self, const char *id, size_t id_len, int was_open);
    /* A node has announced that it drains. */
    int (*peer_draining)(void *self, const char *id, size_t id_len);
    /* All of it is closed: nothing is reported any more, and destroy follows. */
    int (*closed)(void *self);
} clouds_transport_sink;

enum clouds_transport_flags {
    CLOUDS_TRANSPORT_KNOWS_LOSSES = 1 /* it reports every way that breaks, by peer_lost; else the directory's word counts */
};

/* A transport. Whoever sends is believed to be who it says: that only those come in who may is the transport's to see to. */
typedef struct clouds_transport_ops {
    uint32_t size;  /* sizeof(clouds_transport_ops) */
    uint32_t flags; /* enum clouds_transport_flags */
    void *user_data;
    /* As those of a directory. */
    int (*create)(void *user_data, const clouds_host *host, const clouds_transport_sink *sink, const char *address,
                  size_t address_len, void **transport);
    /* Nothing is sent any more; nodes that are still open are closed. Ends with `closed`. */
    void (*close)(void *transport);
    void (*destroy)(void *transport);
    /* Optional, all four; see clouds_host. */
    void (*ready)(void *transport, int fd, int events);
    void (*due)(void *transport);
    void (*woken)(void *transport);
    void (*flush)(void *transport);
    /* Listens for a node, at `at` if that is not empty; *addresses, which has room for CLOUDS_ADDRESSES, and *n, which is 0,
     * say where others reach it. Again for an open node: listens anew. */
    int (*open)(void *transport, void *node, const char *id, size_t id_len, const char *at, clouds_address *addresses,
                size_t *n);
    /* Sends. 0: accepted; refused at once, and then without a delivery: CLOUDS_EUNREACHABLE (there is no way now),
     * CLOUDS_ELIMIT (too much waits), CLOUDS_ETOOBIG, CLOUDS_ENOMEM. */
    int (*send)(void *transport, void *node, const clouds_frame *frame);
    /* Optional: where the node is is known anew, or not any more. */
    void (*forget)(void *transport, const char *id, size_t id_len);
    /* Optional: tells everybody who has a way to the node that it drains. */
    void (*drain)(void *transport, void *node);
    /* Nothing more for this node. Ends with node_closed, but never before what was accepted has left. served: it has served
     * methods, so somebody may still send to it. */
    void (*close_node)(void *transport, void *node, int served);
} clouds_transport_ops;

/* Registers the transport `ops`, which is copied, under `name`, as clouds_directory_register does. Errors: CLOUDS_EINVAL,
 * CLOUDS_ENOTSUP, CLOUDS_EEXIST, CLOUDS_ENOMEM, CLOUDS_EBUSY. Thread: any. Since 0.3. */
CLOUDS_API int clouds_transport_register(const char *name, const clouds_transport_ops *ops);

#ifdef __cplusplus
}
#endif

#endif
