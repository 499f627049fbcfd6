/* What the files of the link transport share. */
#ifndef CL_LINK_INTERNAL_H
#define CL_LINK_INTERNAL_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "base/seconds.h"
#include "net/conn.h"
#include "net/deferred.h"
#include "net/loop.h"
#include "net/tls.h"
#include "proto/direct.h"
#include "proto/fragment.h"
#include "proto/frame.h"
#include "proto/limits.h"
#include "transport/transport.h"

struct cl_link_transport;

enum { CL_CONTEXT_ID = 16 }; /* hex digits */

/* A node of ours that listens: at an address of its own (local:), or where its context does. */
typedef struct cl_endpoint {
    cl_list_node place;
    struct cl_link_transport *t;
    void *node;
    cl_str id;
    cl_listener *listener; /* NULL: the context's */
    size_t links;          /* accepted ones that live */
    int draining, closing;
    int64_t close_by;
} cl_endpoint;

enum cl_link_state { CL_LINK_DIALING, CL_LINK_HELLO, CL_LINK_OPEN, CL_LINK_ENDING };

typedef struct cl_peer_link {
    cl_list_node place;
    struct cl_link_transport *t;
    cl_conn *conn;
    int accepted;          /* else opened by us */
    cl_endpoint *endpoint; /* accepted by */
    uint64_t id;
    enum cl_link_state state;
    cl_endpoint *named; /* ours, as our hello named it, while it lives */
    char *peer;         /* the node at the other end, or the context (is_context); NULL while not known */
    cl_str peer_id;
    cl_str own_node, peer_node; /* is_context: whom an envelope is for, or from, that does not say it; empty: it says */
    char *own_text, *peer_text; /* where these stand */
    int is_context;             /* it serves all nodes of the two contexts, and an envelope says whom it is for */
    int is_tcp;                 /* the other end may have another clock */
    struct cl_far *way;         /* to the context; NULL: accepted, or of a node */
    char *left;                 /* the name of the key at the other end, and addresses that are left to try */
    cl_list_node carried;  /* cl_carried: is_context, ours: the calls that it has taken and that wait for answers */
    uint64_t skip;         /* bytes to come of a frame that was too large */
    cl_buf tail;           /* the beginning of a frame whose end has not come */
    cl_fragments incoming; /* a frame that comes in pieces */
    int64_t incoming_since;
    size_t tail_counted; /* the memory of both, as the transport counts it */
    size_t out_counted;  /* what waits to be written, as the transport counts it: never less than it is */
    int64_t held_up;     /* since when nothing is read, for the output is full; 0: it is not */
    uint64_t held_up_at; /* how much the kernel had taken then */
    cl_buf queue;        /* frames that wait for the link, each behind a cl_waiting */
    cl_idmap places;     /* of the calls among them: token -> where it stands in the queue, from 1 on */
    size_t waiting;
    size_t worth;        /* of those, what is worth to be waited for at the end: messages and results */
    int64_t give_back;   /* when the first of the calls among them is to go elsewhere; INT64_MAX: none */
    int suspended;       /* some did */
    int takes_fragments; /* said the other end's hello */
    uint64_t takes;      /* the same: the longest envelope; 0: it did not say */
    cl_list_node large;  /* cl_large: frames that go in fragments, and those that must not overtake them */
    size_t large_bytes, large_in_order;
    uint32_t stream; /* number of the last one */
    cl_buf unsent;   /* cl_unsent of the calls that the kernel may not have taken yet */
    int64_t calls;   /* sent and not answered */
    int cut;         /* ended by us because of its peer */
    const char *why; /* the same in words */
    int half_closed; /* ours: the node drains, no further call goes; accepted: nothing more comes */
    int watched;     /* keepalive looks at it */
    int was_open;
    int64_t pinged, hello_by, heard;
    int64_t since; /* when it began, then when it opened */
    char *address; /* that was dialled, if there was memory for it */
} cl_peer_link;

typedef struct cl_waiting {
    uint64_t token;
    int64_t deadline;
    int64_t patience; /* a call: until when it waits for this link */
    uint64_t key;     /* cl_call_key */
    uint32_t length;
    uint32_t type; /* 0: it is gone */
} cl_waiting;

/* A call in the output of a link: where it ends in the stream. */
typedef struct cl_unsent {
    uint64_t end, token;
} cl_unsent;

/* A frame that goes in fragments, or behind one that does. */
typedef struct cl_large {
    cl_list_node place;
    cl_buf frame;
    size_t at; /* what of it stands in the output */
    uint64_t token, key;
    int64_t deadline;
    int type, is_counted; /* among the calls of the link */
    cl_deferred *report;  /* that it was written; NULL: nobody asked */
} cl_large;

/* The way to another context: at most one link is dialled or open for it at a time. */
typedef struct cl_far {
    cl_list_node place;
    struct cl_link_transport *t;
    cl_peer_link *link; /* NULL: none */
    cl_list_node nodes; /* cl_far_node: who lives there, as far as anybody asked */
    int64_t rest_until; /* no link is dialled before */
    unsigned failures;  /* in a row */
    char *error;        /* why the last one failed or broke, if there was memory for it; NULL: none has */
    char text[CL_CONTEXT_ID + 1];
    cl_str context;
} cl_far;

/* A node of another context. */
typedef struct cl_far_node {
    cl_list_node place;
    cl_far *way; /* NULL: it is a node of this context */
    int is_old;  /* where it is has to be learned anew before anything is sent to it */
    cl_str id;
    char text[];
} cl_far_node;

typedef struct cl_link_transport {
    cl_transport base;
    cl_loop *loop;
    cl_limits limits;
    cl_transport_sink sink;
    /* Links between contexts. */
    cl_direct direct;
    int has_contexts; /* there may be any; else only nodes of local: */
    int is_beside;    /* another transport carries what no open link does: nothing waits for a link */
    char context[CL_CONTEXT_ID + 1];
    cl_listener *unix_listener, *tcp_listener;
    pid_t owner; /* of the socket's name: a process that was forked from it does not take that away */
    char unix_path[128], unix_address[192], tcp_address[224];
    cl_list_node ways;
    cl_strmap way_by_context, way_nodes;
    cl_far_node *last_node; /* that was sent to last */
    int64_t drain_by;       /* closing: until then others may say that they send nothing more */
    uint64_t random;
    cl_tls_context *tls; /* NULL: no keys */
    int64_t complained;  /* when somebody without a key was logged last */
    cl_loop_timer *timer;
    int64_t due; /* INT64_MAX: not set */
    cl_list_node endpoints, links;
    cl_deferred_queue deferred;
    cl_strmap endpoint_by_id, link_by_peer;
    cl_idmap endpoint_by_node, link_by_id;
    cl_peer_link *last;               /* the link that was sent over last: the next send often is for it too */
    const cl_endpoint *last_endpoint; /* that received last */
    uint64_t next_link;
    size_t link_count;
    size_t tail_bytes, out_bytes; /* of all links together */
    size_t large_bytes;           /* of out_bytes, what goes in fragments */
    int ending;                   /* somebody waits for an end */
    int closing, links_finishing, told_closed;
    int64_t close_by;
} cl_link_transport;

static inline cl_link_transport *cl_links_of(cl_transport *base)
{
    return CL_OWNER(base, cl_link_transport, base);
}

/* endpoint_unix.c: an address "unix:<path>" of a node, "unix:<device>:<inode>:<path>" of a context. */
int cl_endpoint_unix_reaches(const cl_address *address);
int cl_endpoint_unix_listen(cl_endpoint *endpoint, const cl_address *at);
int cl_endpoint_unix_dial(cl_link_transport *t, const cl_address *address, const cl_conn_hooks *hooks, cl_conn **out);
/* May whoever is at the other end? */
int cl_endpoint_unix_is_trusted(const cl_conn *conn);
/* The socket of the context, in the runtime folder. Without one others come by TCP, or not at all. */
int cl_endpoint_unix_open(cl_link_transport *t);
void cl_endpoint_unix_close(cl_link_transport *t);
/* CLOUDS_EUNREACHABLE: it is on another machine, or in another container. */
int cl_endpoint_unix_dial_context(cl_link_transport *t, cl_str address, const cl_conn_hooks *hooks, cl_conn **out);

/* endpoint_tcp.c: an address "tcp:<host>:<port>" of a context. */
int cl_endpoint_tcp_open(cl_link_transport *t);
int cl_endpoint_tcp_dial(cl_link_transport *t, cl_str address, int is_secured, const cl_conn_hooks *hooks,
                         cl_conn **out);
/* The connection is there: with keys it goes on as TLS, before anything else is said. */
int cl_endpoint_tcp_secure(cl_peer_link *link);
/* The other end had no key of ours. */
void cl_endpoint_tcp_untrusted(cl_link_transport *t, const char *words);
/* What of a key may be said in a record. */
enum { CL_NO_KEY = '-' };

/* ways.c: the links to other contexts, by the nodes that live there. */
int cl_way_is_open(cl_transport *base, cl_str to);
void cl_way_forget(cl_transport *base, cl_str id);
/* The link that leads to the node; dialled if that may be waited for. */
int cl_way_find(cl_link_transport *t, cl_str to, cl_peer_link **out);
/* It could not be opened a moment ago, or broke. */
int cl_way_rests(cl_link_transport *t, cl_str to);
/* NULL: none is there now. */
cl_peer_link *cl_way_link(cl_link_transport *t, cl_str to);
/* The address that a context is told others about: what others need to find it. */
void cl_ways_address(const cl_link_transport *t, cl_address *out);
/* The link could not be opened here: is it tried at the next address? */
int cl_way_goes_on(cl_peer_link *link);
void cl_way_opened(cl_peer_link *link);
/* As the sink's, for each node that lives there. */
void cl_way_suspend(cl_peer_link *link, int on);
int cl_way_has_other(cl_peer_link *link);
/* why: it failed or broke; NULL: its end was our wish. */
void cl_way_ended(cl_peer_link *link, const char *why);
/* Is it a node of the context at the other end of a link of ours? */
int cl_way_has(cl_link_transport *t, const cl_peer_link *link, cl_str id);
void cl_ways_free(cl_link_transport *t);

/* endpoint.c */
int cl_endpoint_open(cl_transport *base, void *node, cl_str id, const cl_address *at, cl_address *addresses, size_t *n);
void cl_endpoint_drain(cl_transport *base, void *node);
void cl_endpoint_close(cl_transport *base, void *node, int served);
void cl_endpoint_begin_close(cl_endpoint *endpoint);
/* Ends those whose close is through. */
void cl_endpoints_finish(cl_link_transport *t);
void cl_endpoint_free(cl_endpoint *endpoint);

/* link.c */
int cl_link_make(cl_link_transport *t, cl_peer_link **out);
void cl_link_release(cl_peer_link *link);
cl_conn_hooks cl_link_hooks(cl_peer_link *link);
void cl_link_accepted_by_context(void *transport, cl_conn *conn);
int cl_link_open(cl_link_transport *t, cl_str to, cl_peer_link **out);
void cl_link_accepted(void *endpoint, cl_conn *conn);
/* As the sink's, of the node, or of all that live at the other end. */
void cl_link_suspend(cl_peer_link *link, int on);
void cl_link_report_lost(cl_link_transport *t, cl_str id, int was_open);
void cl_link_cut(cl_peer_link *link, const char *why); /* `why` lives on */
void cl_link_finish(cl_peer_link *link);
void cl_link_hello_came(cl_peer_link *link, cl_envelope *hello);
int cl_link_send_control(cl_peer_link *link, int type, cl_str from);

/* receive.c */
void cl_link_read(void *link, const char *p, size_t n);
/* Counts the memory of the tail anew. */
void cl_link_count_tail(cl_peer_link *link);

/* send.c */
int cl_link_send(cl_transport *base, void *node, const cl_envelope *e, uint64_t token);
int cl_link_recall(cl_transport *base, cl_str to, uint64_t token);
void cl_link_send_waiting(cl_peer_link *link);
/* The link has ended: reports the calls that it did not carry. nobody: who it was opened for does not listen. */
void cl_link_fail_waiting(cl_peer_link *link, int nobody);
/* Counts what waits to be written anew. */
void cl_link_count_out(cl_peer_link *link);
/* report.c: as transport.put_links. */
int cl_links_put(cl_transport *base, uint64_t asked_by, cl_buf *out);

/* What becomes of an envelope whose sender has asked. */
void cl_link_tell(cl_link_transport *t, uint64_t token, enum cl_delivery delivery);
/* The delivery that is deferred. */
void cl_link_delivered(void *transport, const cl_deferred *d);
/* A call stands in the output, which had so many bytes before. */
void cl_link_remember_unsent(cl_peer_link *link, uint64_t token, size_t pending_before);
/* What is left until then; now 0: the clock is read. */
int64_t cl_link_time_left(int64_t deadline, int64_t now);
/* Calls that waited for long enough go elsewhere. */
void cl_link_give_back(cl_peer_link *link, int64_t now);

/* Of an envelope that may have to wait: its report is reserved here, before it is put. */
cl_large *cl_large_make(cl_peer_link *link, const cl_envelope *e, uint64_t token);
void cl_large_free(cl_large *large);
/* It has its frame. */
void cl_large_put(cl_peer_link *link, cl_large *large);
/* Does it go in fragments, or must it not overtake what does? */
int cl_large_holds(const cl_peer_link *link, int type, uint64_t key, size_t size);
/* Puts what comes next into the output, while that is nearly empty; or all that is left. */
void cl_large_go_on(cl_peer_link *link);
void cl_large_put_all(cl_peer_link *link);
int cl_large_recall(cl_peer_link *link, uint64_t token);
/* The link has ended. */
void cl_large_fail(cl_peer_link *link);

/* All that waits to be written. */
static inline size_t cl_link_unwritten(const cl_peer_link *link)
{
    return cl_conn_pending(link->conn) + link->large_bytes;
}

/* What a call is found by when its result comes: its id begins with its number. */
static inline uint64_t cl_call_key(cl_str id)
{
    uint64_t key = 0;
    memcpy(&key, id.p, id.n < sizeof key ? id.n : sizeof key);
    return key;
}
/* A call over a link of ours needs no answer any more. */
static inline void cl_link_forget_call(cl_peer_link *link)
{
    if (link->calls > 0) link->calls--;
}
/* The link has ended: what it carried is lost. */
void cl_link_lose_carried(cl_peer_link *link);

/* keepalive.c: what time does to links and ends. */
int64_t cl_link_ping_after(const cl_peer_link *link);
int64_t cl_link_answers_within(const cl_peer_link *link);
void cl_links_due(void *transport);
void cl_links_due_by(cl_link_transport *t, int64_t when);

#endif
